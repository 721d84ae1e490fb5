"""The contract of metrics: defined on duplicates, on a point mass and where samples are invalid."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.loop.generation import compared_counts, measure
from selfconsume.models.distributions.exact import Normal
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.sources.text.zipf import Zipf
from selfconsume.tracing import traced_in_lane
from selfconsume.types import Generation, Metric, Samples


@dataclasses.dataclass(frozen=True)
class FixedMixture(GaussianMixture):
    """Two Gaussians whose training set is the same for every key, as a run's is."""

    def train(self, key: PRNGKeyArray) -> Samples:
        return super().train(jax.random.key(0))


@dataclasses.dataclass(frozen=True)
class FixedText(Zipf):
    """Documents whose training set is the same for every key."""

    def train(self, key: PRNGKeyArray) -> Samples:
        return super().train(jax.random.key(0))


TEXT = FixedText(words=6, length=8, n=40, n_test=40)
SOURCE = FixedMixture(k=2, n=40, n_test=40)


def check(metric: Metric) -> None:
    """Measures tiny generations: good samples, duplicates, a point mass, and some rows that are invalid.

    Raises:
        ConfigError: A value is not finite, depends on invalid rows, or has a name that a table cannot hold.
    """
    name = type(metric).__name__
    _check_attributes(name, metric)
    directions = metric.better if isinstance(metric.better, Mapping) else {"": metric.better}
    for direction in directions.values():
        # Comparisons take the sign of a loss from it: a misspelt one would call worse better.
        if direction not in ("lower", "higher", None):
            raise ConfigError(f"metric {name}: better is {direction!r}; expected 'lower', 'higher' or None")
    source = TEXT if metric.takes == "sequences" else SOURCE
    compared_counts(metric, source.n, {"train": source.n, "test": source.n_test})
    prepared = metric.prepare(jax.random.key(2), source)
    samples = np.asarray(source.draw(jax.random.key(3), source.n, 0))
    valid = np.ones(source.n, bool)
    point = np.broadcast_to(samples[:1], samples.shape)
    cases = {
        "plain samples": (samples, valid),
        "duplicates": (np.repeat(samples[: SOURCE.n // 4], 4, axis=0), valid),
        "a point mass": (point, valid),
        "a point mass far away": (np.full_like(samples, 1e3 if source is SOURCE else 5), valid),
    }
    measured = _measured(metric, prepared)
    for case, (x, rows) in cases.items():
        values = measured(x, rows)
        if not values:
            raise ConfigError(f"metric {name}: it gives no value; return at least one number by name")
        for key, value in values.items():
            if not isinstance(key, str) or not key or not key.isprintable():
                raise ConfigError(f"metric {name}: {key!r} is no name of a value; use a short printable text")
            if key.endswith(".floor") or "/" in key or key != key.strip():
                raise ConfigError(
                    f"metric {name}: the value name {key!r} is reserved; choose one without '/' or '.floor'"
                )
            if not np.isfinite(value):
                raise ConfigError(f"metric {name}: {key!r} is {value} on {case}; it must be defined there")
    some = np.arange(source.n) % 4 != 1
    first, second = (
        measured(np.where(some[:, None], samples, np.asarray(filling, samples.dtype)), some) for filling in (0, 4)
    )
    if first != second:
        raise ConfigError(f"metric {name}: its value changes with invalid samples; use generation.valid")


def _check_attributes(name: str, metric: Metric) -> None:
    """Attributes by which the loop chooses a program and real data are among those that it knows."""
    choices = {
        "runs_on": ("lane", "host"),
        "compares_with": ("test", "train", "train and test", ""),
    }
    for attribute, values in choices.items():
        if (value := getattr(metric, attribute)) not in values:
            expected = ", ".join(map(repr, values))
            raise ConfigError(f"metric {name}: {attribute} is {value!r}; expected one of {expected}")


def _measured(metric: Metric, prepared: Any) -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    """Samples and their validity -> values by name, computed in one program as in a study, or on the host."""
    on_host = metric.runs_on == "host"
    generator = Normal.from_covariance(jnp.zeros(2), jnp.eye(2)) if metric.takes != "sequences" else TEXT.truth()

    def values(prepared, x, valid):
        t: Any = np.asarray(1) if on_host else jnp.asarray(1)
        return measure(metric, jax.random.key(4), Generation(t, generator, generator, x, valid), prepared)

    program = values if on_host else jax.jit(traced_in_lane(values))
    return lambda x, valid: {name: float(value) for name, value in program(prepared, x, valid).items()}
