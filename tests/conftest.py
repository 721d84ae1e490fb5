"""Run-time shape checks where arrays are computed with, on in tests only, and JAX set up as every entry point does."""

import hypothesis
import jaxtyping
import pytest

# Recipes are left out: while programs are traced, their fields hold other things than a study file may give them.
jaxtyping.install_import_hook(
    [f"selfconsume.{name}" for name in ("nets.layers", "nets.mlp", "nets.unet", "pool", "draws", "split", "batches")],
    "beartype.beartype",
)
import selfconsume.lanes  # noqa: E402 (after the hook)

selfconsume.lanes.start_jax()

# The suite draws the same examples every time. New ones are looked for by hand, with `--hypothesis-profile=explore`.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def layout():
    """The default layout of this machine."""
    return selfconsume.lanes.Layout.default()
