"""Host families: models that are fitted outside JAX, one lane at a time, by any Python object or command.

In the loop, the generator of such a model is the set of samples that it drew; the model itself is kept as the bytes of its
file, and only where a later fit starts from it.
"""

from __future__ import annotations

import abc
import dataclasses
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.types import Density, Family, FitState, Generator, Samples
from selfconsume.validity import unmasked


class HostSamples(Generator):
    """The samples of a model outside JAX, in random order: what the loop knows of it."""

    examples: Samples
    """``(n, *shape)``; invalid rows are zero."""
    valid: Bool[Array, " n"]

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        """The examples.

        Raises:
            ConfigError: Another number of them is asked for, as by `step` and `retrain`.
        """
        if n != self.examples.shape[0]:
            raise ConfigError(
                f"family: a model outside JAX has drawn {self.examples.shape[0]} samples, {n} are asked for; "
                "run it in a Study, not by step or retrain"
            )
        return self.examples

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        return self.sample(key, n), self.valid


class HostDensity(HostSamples):
    """Samples of a model outside JAX, and its log densities at the held-out examples."""

    held_out: Float[Array, " m"]
    """In nats, one for each held-out example."""

    def log_prob(self, x: Samples) -> Float[Array, " m"]:
        """The log densities of the held-out examples, which ``x`` must be."""
        if x.shape[:1] != self.held_out.shape:
            raise ConfigError(
                f"family: log densities of {self.held_out.shape[0]} held-out examples are known, of {x.shape[0]} asked for; "
                "a metric of densities prepares the held-out examples under the name 'test'"
            )
        return self.held_out


class SavedModel(eqx.Module):
    """The file of a model outside JAX, from which the next fit starts; empty for cold starts."""

    content: Array
    """Its bytes, uint8, padded with zeros."""
    size: Int[Array, ""]
    """Number of bytes."""


class HostFamily(Family):
    """A family whose model is fitted outside JAX. Subclasses are frozen dataclasses of plain values.

    The loop never passes rows of weight 0. Multiplicities above 1 are passed as ``weight`` if the model takes weights;
    otherwise the rows are repeated.
    """

    parametric: ClassVar[bool] = False
    is_recorded: ClassVar[bool] = False
    """Whether samples are read from files and nothing is fitted, as the kind "recorded" does."""
    code_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that name code to import, execute or call: results that name it do not run it when they are read."""
    is_command: ClassVar[bool] = False
    """Whether models are fitted and sampled by processes of their own, so that several threads may do it."""

    @property
    def title(self) -> str:
        """What messages call the family: its class, or the class of one's own behind it."""
        return type(self).__name__

    @property
    def takes_weight(self) -> bool:
        """Whether `fit_model` weighs rows."""
        return False

    @property
    def can_start(self) -> bool:
        """Whether `fit_model` can start from an earlier model, which `save_model` and `load_model` keep."""
        return False

    @abc.abstractmethod
    def fit_model(self, x: np.ndarray, *, weight: np.ndarray, start: Any, seed: int) -> Any:
        """A fitted model.

        Args:
            x: Examples ``(n, *shape)``, all of them finite and used.
            weight: The multiplicity of each, ``(n,)`` integers; 1 everywhere unless `takes_weight`.
            start: The model to start from; None for a cold start.
            seed: Determines all randomness of the fit; below 2^31.
        """

    @abc.abstractmethod
    def sample_model(self, model: Any, n: int, seed: int) -> Any:
        """``n`` examples ``(n, *shape)`` of a model, as an array; ``seed`` determines all randomness."""

    @property
    def has_log_prob(self) -> bool:
        """Whether `log_prob_model` is defined."""
        return False

    def log_prob_model(self, model: Any, x: np.ndarray) -> Any:
        """Log densities (nats) of examples ``(m, *shape)`` under a model, ``(m,)``."""
        raise ConfigError(f"family: {type(self).__name__} has no log_prob; drop metrics of the density")

    def save_model(self, model: Any, path: Path) -> None:
        """Writes a model into a file."""
        raise ConfigError(f"family: {type(self).__name__} cannot save models; use start = 'cold'")

    def load_model(self, path: Path) -> Any:
        """The model in a file of `save_model`."""
        raise ConfigError(f"family: {type(self).__name__} cannot load models; use start = 'cold'")

    def fingerprint(self) -> str:
        """Version or checksum of the code outside of this package; part of a run's identity."""
        return ""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> HostSamples:
        """No samples yet."""
        return HostSamples(jnp.zeros((0, *shape)), jnp.zeros(0, bool))

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        """The structure of a fit; lanes are fitted by `fit_rows`."""
        model = SavedModel(jnp.zeros(0, jnp.uint8), jnp.zeros((), jnp.int32))
        return FitState(self.init(key, x.shape[1:]), model, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)

    def advance(self, state: FitState, updates: int) -> FitState:
        """The structure of a finished fit."""
        return dataclasses.replace(state, iteration=state.iteration + updates)


def fit_rows(family: HostFamily, x: np.ndarray, weight: np.ndarray, start: Any, seed: int) -> Any:
    """A model fitted to the rows of positive weight; their weights count as multiplicities, the smallest as 1.

    Raises:
        ConfigError: The fit failed.
    """
    present = weight > 0
    rows, weight = x[present], weight[present]
    multiplicity = np.rint(weight / weight.min()).astype(np.int64)
    if not family.takes_weight:
        rows, multiplicity = np.repeat(rows, multiplicity, axis=0), np.ones(multiplicity.sum(), np.int64)
    try:
        return family.fit_model(rows, weight=multiplicity, start=start, seed=seed)
    except ConfigError:
        raise
    except Exception as error:
        raise _failure(family, "fit", error) from error


def draw_samples(family: HostFamily, model: Any, n: int, seed: int, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``n`` samples of a model in random order, and which of them are finite; the others are zero.

    Samplers may order their samples, by component for instance, but any prefix of a block must be an unbiased subsample.

    Args:
        family: The family.
        model: The model.
        n: Number of samples.
        seed: Determines the samples and their order.
        like: Real examples, whose shape and dtype samples have.

    Raises:
        ConfigError: Sampling failed, or shape or dtype are wrong.
    """
    try:
        samples = np.asarray(unmasked(family.sample_model(model, n, seed)))
    except ConfigError:
        raise
    except Exception as error:
        raise _failure(family, "sample", error) from error
    name, expected = family.title, (n, *like.shape[1:])
    if samples.shape != expected:
        raise ConfigError(f"family {name}: samples have shape {samples.shape}; expected {expected}")
    kinds = "fiu" if np.issubdtype(like.dtype, np.floating) else like.dtype.kind
    if like.dtype == np.int32 and samples.dtype.kind in "iu":  # token numbers
        samples = samples.astype(np.int32)
    if samples.dtype.kind not in kinds or (kinds != "fiu" and samples.dtype != like.dtype):
        raise ConfigError(f"family {name}: samples have dtype {samples.dtype}; expected {like.dtype}, as the real data")
    with np.errstate(over="ignore"):  # Beyond float32 is inf, which is not valid.
        samples = samples[np.random.default_rng(seed).permutation(n)].astype(like.dtype)
    valid = np.asarray(np.isfinite(samples).reshape(n, -1).all(axis=1))
    samples[~valid] = 0
    return samples, valid


def log_densities(family: HostFamily, model: Any, x: np.ndarray) -> np.ndarray:
    """Log densities of examples under a model, as float32.

    Raises:
        ConfigError: They cannot be computed, or are not one number for each example.
    """
    try:
        values = np.asarray(unmasked(family.log_prob_model(model, x)))
    except ConfigError:
        raise
    except Exception as error:
        raise _failure(family, "log_prob", error) from error
    if values.shape != x.shape[:1] or values.dtype.kind not in "fiu":
        raise ConfigError(
            f"family {family.title}: log_prob gave {values.dtype} of shape {values.shape}; expected one number for "
            f"each of {len(x)} examples"
        )
    with np.errstate(over="ignore"):  # Beyond float32 is inf, which the metrics cut.
        return values.astype(np.float32)


def has_density(family: Family, shape: tuple[int, ...]) -> bool:
    """Whether held-out examples of this shape have log densities under the family's models, in JAX or outside."""
    if isinstance(family, HostFamily):
        return family.has_log_prob
    return isinstance(eqx.filter_eval_shape(family.init, jax.random.key(0), shape), Density)


def model_bytes(family: HostFamily, model: Any) -> bytes:
    """The file of a model."""
    with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
        path = Path(folder, "model")
        family.save_model(model, path)
        return path.read_bytes()


def model_from_bytes(family: HostFamily, content: bytes) -> Any:
    """The model of `model_bytes`."""
    with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
        path = Path(folder, "model")
        path.write_bytes(content)
        return family.load_model(path)


def _failure(family: HostFamily, step: str, error: Exception) -> ConfigError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return ConfigError(f"family {family.title}: {step} failed ({reason[:400]})")
