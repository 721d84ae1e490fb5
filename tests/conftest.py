"""Run-time shape checks for the whole package, on in tests only, and JAX set up as every entry point sets it up."""

import hypothesis
import jaxtyping
import pytest

with jaxtyping.install_import_hook("selfconsume", "beartype.beartype"):
    import selfconsume.lanes

selfconsume.lanes.start_jax()

# The suite draws the same examples every time. New ones are looked for by hand, with `--hypothesis-profile=explore`.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def layout():
    """The default layout of this machine."""
    return selfconsume.lanes.Layout.default()
