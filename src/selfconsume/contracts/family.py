"""The contract of families: weights mean multiplicities, and rows of weight 0 are absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.categorical import Categorical
from selfconsume.sources.gaussian import Gaussian
from selfconsume.sources.linear import Linear
from selfconsume.sources.text.zipf import Zipf
from selfconsume.tracing import traced_in_lane
from selfconsume.types import Family, Source

N, PRESENT, SAMPLES = 12, 8, 64
"""Rows, rows with a weight, and samples that are compared."""
UPDATES = 20
"""Updates of one fit, at most: enough for data to move a model, few enough for a check."""
OFFSET = 8.0
"""Mean of the rows, in standard deviations: around 0, a sum that is divided by a wrong number is still 0."""
FAR = 1e3
"""Where absent rows are placed, in standard deviations of the data."""
TINY_TEXT = Zipf(words=6, length=8, n=N, n_test=N)
"""Sequences that families and metrics of text are checked on."""
TOLERANCE = 1e-3
"""Largest difference of samples that rounding explains, in standard deviations of the data."""

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def check(family: Family) -> None:
    """Fits the family to tiny weighted data, several times with the same key.

    Raises:
        ConfigError: It cannot be traced, sees rows of weight 0, or ignores weights.
    """
    name = type(family).__name__
    source = tiny_source(family)
    x = np.asarray(source.train(jax.random.key(5)))
    scale = max(float(x.std()), 1e-6)
    if not (source.one_hot or source.vocabulary):
        x = (x + OFFSET * scale).astype(np.float32)
    present = np.arange(N) < PRESENT
    rows = present.reshape(-1, *[1] * (x.ndim - 1))
    updates = [family.updates_of(warm) for warm in (False, True)]
    if not all(isinstance(number, int) and number > 0 for number in updates):
        raise ConfigError(f"family {name}: updates of a fit are {updates!r}; expected whole numbers above 0")
    fit = _program(family)
    base = fit(x, present)
    if base.shape != (SAMPLES, *x.shape[1:]) or base.dtype != x.dtype:
        raise ConfigError(
            f"family {name}: samples are {base.dtype} of shape {base.shape}; expected {x.dtype} of shape "
            f"{(SAMPLES, *x.shape[1:])}, as the data"
        )
    absent = [fit(np.where(rows, x, filling).astype(x.dtype), present) for filling in _fillings(source, x)]
    unequal = fit(x, np.where(np.arange(N) < N // 2, 2.0, 0.0))
    for samples in absent:
        if not np.allclose(samples, base, atol=TOLERANCE * scale, rtol=0, equal_nan=True):
            raise ConfigError(
                f"family {name}: its fit changes with rows of weight 0, which are absent; use the argument weight of begin, "
                "also in means, counts and draws of minibatches"
            )
    if np.isfinite(base).all() and np.array_equal(unequal, base):
        raise ConfigError(f"family {name}: weights do not change its fit; weight 2 means the example twice")
    if family.updates_of(False) == 1:
        _check_multiplicity(family, fit, x, scale)


def tiny_source(family: Family) -> Source:
    """The first tiny source that the family can be fitted to; of vectors, unless it takes sequences only.

    Raises:
        ConfigError: There is none.
    """
    refusals = []
    vectors = (Gaussian(dim=2, n=N), Categorical(p=(0.5, 0.3, 0.2), n=N), Linear(n=N, dim=2))
    for source in (TINY_TEXT,) if family.takes == "sequences" else vectors:
        try:
            family.check(source)
        except ConfigError as error:
            refusals.append(str(error))
        else:
            return source
    raise ConfigError(f"family {type(family).__name__}: refuses every tiny source it is checked on ({refusals[0]})")


def _fillings(source: Source, x: np.ndarray) -> Iterator[np.ndarray | float]:
    """Contents of absent rows: far away where examples are vectors, else other possible rows."""
    if source.one_hot or source.vocabulary:
        yield np.roll(x, 1, axis=-1)
    else:
        yield FAR * max(float(x.std()), 1e-6)
    yield 0.0


def _program(family: Family) -> Fit:
    """Rows and weights -> samples of a cold fit with a fixed key, computed in one program as in a study."""

    @jax.jit
    @traced_in_lane
    def fit_and_sample(x, weight):
        state = family.begin(jax.random.key(0), x, weight, None)
        state = family.advance(state, min(family.updates_of(False), UPDATES))
        return state.generator.sample(jax.random.key(1), SAMPLES)

    return lambda x, weight: np.asarray(fit_and_sample(jnp.asarray(x), jnp.asarray(weight, jnp.float32)))


def _check_multiplicity(family: Family, fit: Fit, x: np.ndarray, scale: float) -> None:
    """Weight 2 against the example twice, for fits in one update: their samples have the same mean and deviation."""
    half = N // 2
    weighted = fit(x, np.where(np.arange(N) < half, 2.0, 0.0))
    repeated = fit(np.repeat(x[:half], 2, axis=0), np.ones(N))
    # A sampler may choose rows by index, so that only moments agree: within six standard errors of the means.
    difference = np.abs(weighted.mean(axis=0) - repeated.mean(axis=0)).max()
    if difference > 6 * scale * np.sqrt(2 / SAMPLES):
        raise ConfigError(
            f"family {type(family).__name__}: weight 2 is not the example twice (means of samples differ by {difference:.3g}); "
            "weigh every sum over rows"
        )
