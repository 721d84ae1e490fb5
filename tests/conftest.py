"""Run-time shape checks for the whole package, on in tests only, and JAX set up as every entry point sets it up."""

import jaxtyping
import pytest

with jaxtyping.install_import_hook("selfconsume", "beartype.beartype"):
    import selfconsume.lanes

selfconsume.lanes.start_jax()


@pytest.fixture(scope="session")
def layout():
    """The default layout of this machine."""
    return selfconsume.lanes.Layout.default()
