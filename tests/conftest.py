"""Run-time shape checks where arrays are computed with, on in tests only, and JAX set up as every entry point does."""

import os
import re
import sys
from pathlib import Path

import hypothesis
import jax
import jaxtyping
import pytest

# Recipes are left out: while programs are traced, their fields hold other things than a study file may give them.
jaxtyping.install_import_hook(
    [
        f"selfconsume.{name}"
        for name in (
            "loop.pool",
            "models.distributions.random",
            "models.nets.layers",
            "models.nets.mlp",
            "models.nets.unet",
            "models.training.data_parallel",
            "models.training.minibatches",
        )
    ],
    "beartype.beartype",
)
from selfconsume.lanes.layout import DeviceLayout  # noqa: E402 (after the hook)
from selfconsume.start_jax import start_jax  # noqa: E402
from selfconsume.tracing import traced_in_lane  # noqa: E402
from tests.layers import LAYERS, RANK  # noqa: E402

start_jax()

# The suite draws the same examples every time. New ones are looked for by hand, with `--hypothesis-profile=explore`.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("fixed")


class Patches(pytest.MonkeyPatch):
    """pytest's patches. One of this package empties the caches that may rest on it, as programs are found by recipe alone."""

    lowest = len(LAYERS)

    def setattr(self, target, *rest, **options):
        super().setattr(target, *rest, **options)
        owner = (
            target
            if isinstance(target, str)
            else getattr(target, "__module__", None) or getattr(target, "__name__", "")
        )
        if str(owner).startswith("selfconsume"):
            self.lowest = min(self.lowest, rank(str(owner)))
            clear_caches(self.lowest)


def rank(module):
    """The layer of a module's package; 0 for the root."""
    return RANK.get(module.split(".")[1], 0) if "." in module else 0


def clear_caches(lowest):
    """Empties the caches of functions in this layer and above, which alone can import what was patched.

    What is known of the devices that run already stays.
    """
    names = [name for name in sys.modules if name.startswith("selfconsume") and name != "selfconsume.start_jax"]
    for module in [sys.modules[name] for name in names if rank(name) >= lowest]:
        for value in list(vars(module).values()):
            if callable(getattr(value, "cache_clear", None)):
                value.cache_clear()


@pytest.fixture
def monkeypatch():
    patches = Patches()
    yield patches
    patches.undo()
    clear_caches(patches.lowest)


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command line with these words; gives exit code, output and errors."""
    from selfconsume.cli import main

    def run(*words):
        monkeypatch.setattr("sys.argv", ["selfconsume", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        return (stop.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def layout():
    """The default layout of this machine."""
    return DeviceLayout.default()


@pytest.fixture
def at_hand():
    """Finds real data by the names that it may have; skips the test where there is none."""

    def find(*names):
        data, wanted = os.environ.get("SELFCONSUME_DATA"), " or ".join(names)
        if not data:
            pytest.skip(f"SELFCONSUME_DATA is not set; set it to a directory that holds {wanted}")
        found = [path for name in names if (path := Path(data, name)).exists()]
        return found[0] if found else pytest.skip(f"the directory SELFCONSUME_DATA holds no {wanted}")

    return find


@pytest.fixture(scope="session")
def for_accelerators():
    """Fails if a program cannot be built for CUDA and TPU, or needs the host in its middle: seen without having either."""

    def lowered(f, *arguments):
        # As lane programs are traced: a failed run-time check outside of them raises, through a callback.
        traced = jax.jit(traced_in_lane(f)).trace(*arguments)
        for platform in ("cuda", "tpu"):
            called = re.findall(r'custom_call @"?(\w+)', traced.lower(lowering_platforms=(platform,)).as_text())
            assert not [name for name in called if re.search("lapack|callback|cpu", name, re.IGNORECASE)]

    return lowered
