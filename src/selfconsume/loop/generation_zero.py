"""Generation 0 from the truth or a checkpoint, and the pytree structure of fits."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp

from selfconsume.errors import ConfigError
from selfconsume.loop.run import Run
from selfconsume.models.checkpoints import load
from selfconsume.tracing import traced_in_lane
from selfconsume.types import FitState, Generator


def fit_structure(run: Run, t: int) -> FitState:
    """Shapes and dtypes of the finished fit of generation ``t``; shapes hold for parametric families only."""
    # A file behind the same path may have changed: its sizes are part of what a structure is kept for.
    return _fit_structure(run, t == 0 and run.initial != "fit", run.shape, run.source.size)


@functools.lru_cache(maxsize=64)
def _fit_structure(run: Run, is_initial: bool, shape: tuple[int, ...], n: int) -> FitState:
    """`fit_structure`, traced once: a generation asks for it several times, and tracing takes longer than small fits."""

    def fit(key):
        if is_initial:
            return FitState(run.family.init(key, shape), None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)
        x = jnp.zeros((n, *shape), jnp.float32 if run.source.vocabulary is None else jnp.int32)
        state = run.family.begin(key, x, jnp.ones(n), None)
        return run.family.advance(state, run.family.updates).without_data()

    return jax.eval_shape(traced_in_lane(fit), jax.random.key(0))


def initial_generator(run: Run) -> Generator:
    """The generator of generation 0 where it is not a fit: the truth or a checkpoint, as a generator of the family.

    Raises:
        ConfigError: The source's distribution is not a member of the family, or the checkpoint does not fit.
    """
    like = jax.eval_shape(lambda: run.family.init(jax.random.key(0), run.shape))
    if run.initial != "truth":
        return load.load(run.initial, like, float(run.family.temperature))
    if run.representation is not None:
        raise ConfigError("study.initial: the distribution of codes is not known, so that 'truth' is none; use 'fit'")
    truth = run.source.truth()
    if truth is not None and hasattr(truth, "temperature"):
        # The sampling bias belongs to the family: it biases generation 0's samples like every other generation's.
        temperature = getattr(run.family.init(jax.random.key(0), run.shape), "temperature", None)
        truth = (
            None if temperature is None else eqx.tree_at(lambda generator: generator.temperature, truth, temperature)
        )
    if truth is None or jax.tree.structure(truth) != jax.tree.structure(like) or not run.family.parametric:
        raise ConfigError(
            "study.initial: 'truth' needs a source whose distribution is a member of the family; use 'fit'"
        )
    shapes = jax.tree.map(lambda a, b: jnp.shape(a) == b.shape, truth, like)
    if not all(jax.tree.leaves(shapes)):
        raise ConfigError(
            "study.initial: the source's distribution has other sizes than the family's generators; use 'fit'"
        )
    return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), truth, like)
