"""Principal components."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from annotated_types import Gt, Lt
from jax.lax import Precision
from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.representations.fitted_representation import FittedRepresentation
from selfconsume.types import Samples, Source

ROWS = 4096
"""Examples that are held in float64 at once."""

NEGLIGIBLE = 1e-12
"""Components whose share of the largest variance is below this are rounding, and count as absent."""


@dataclasses.dataclass(frozen=True)
class PCA(FittedRepresentation):
    r"""Principal components of the real training set: the linear representation of least squared error.

    .. math:: z = W^T (x - \mu), \quad x = \mu + W z

    with the mean μ and the orthonormal eigenvectors W of largest variance of the training set. Both are computed in float64
    from the exact covariance, once for each training set, and applied in float32. Images are scaled to [0, 1] first; decoded
    ones are rounded and clipped to bytes. Each component is positive where its eigenvector's largest entry is.

    Samples are confined to the components: what these leave out, fine detail of images, is lost in generation 0 and never
    comes back; ``<metric>.decoded.floor`` says what that costs.

    Attributes:
        components: How many components (an integer), or the least share of the variance that they explain (below 1).
        whiten: Whether codes are divided by the standard deviations of the components. Families that scale all coordinates
            by one number then see every component at unit variance, and errors in small components count as much as in large
            ones.
    """

    components: Annotated[int, Gt(0)] | Annotated[float, Gt(0), Lt(1)] = 64
    whiten: bool = False

    batch_size: ClassVar[int] = 1024

    @classmethod
    def tiny(cls) -> PCA:
        """The smallest configuration, for tests."""
        return cls(components=2)

    def fit(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Mean, eigenvectors as rows, and the standard deviations that codes are divided by (1 unless whitened).

        Raises:
            ConfigError: The training set has fewer components.
        """
        variance, directions, mean = principal_components(x)
        count = self.components
        if not isinstance(count, int):
            share = np.cumsum(variance) / variance.sum() if len(variance) else np.zeros(0)
            count = int(np.searchsorted(share, count)) + 1
        _check_count(count, len(variance))
        scale = np.sqrt(variance[:count]) if self.whiten else np.ones(count)
        return {"mean": mean, "directions": directions[:count], "scale": scale}

    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n k"]:
        flat = x.reshape(x.shape[0], -1).astype(jnp.float32) / (255.0 if x.dtype == jnp.uint8 else 1.0)
        centred = flat - weights["mean"].reshape(-1)
        return jnp.matmul(centred, weights["directions"].T, precision=Precision.HIGHEST) / weights["scale"]

    def decode(self, weights: Any, z: Float[Array, "n k"]) -> Samples:
        flat = jnp.matmul(z * weights["scale"], weights["directions"], precision=Precision.HIGHEST)
        x = flat.reshape(z.shape[0], *weights["mean"].shape) + weights["mean"]
        if weights["mean"].ndim == 1:
            return x
        return jnp.nan_to_num(jnp.clip(jnp.round(255.0 * x), 0, 255)).astype(jnp.uint8)

    def check(self, source: Source) -> None:
        """Raises `ConfigError` for training sets that have fewer components, or none in common for all seeds."""
        _check_count(self.components, min(source.size - 1, math.prod(source.shape)))
        super().check(source)


def principal_components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variances in descending order, unit vectors as rows, and the mean, in float64; components without variance left out.

    Args:
        x: Examples ``(n, *shape)``; uint8 is scaled to [0, 1].
    """
    n, flat = len(x), x.reshape(len(x), -1)
    unit = 255.0 if x.dtype == np.uint8 else 1.0
    parts = [slice(start, start + ROWS) for start in range(0, n, ROWS)]
    mean = np.sum([flat[rows].sum(axis=0, dtype=np.float64) for rows in parts], axis=0) / n
    if flat.shape[1] <= n:
        scatter = np.zeros((flat.shape[1],) * 2)
        for rows in parts:
            centred = (flat[rows] - mean) / unit
            scatter += centred.T @ centred
        values, vectors = scipy.linalg.eigh(scatter, overwrite_a=True)
        directions = vectors.T[::-1]
    else:
        # Fewer examples than coordinates: the eigenvectors of the inner products are cheaper, and lead to the same ones.
        centred = (flat - mean) / unit
        values, vectors = scipy.linalg.eigh(centred @ centred.T, overwrite_a=True)
        directions = vectors.T[::-1] @ centred
    values = values[::-1]
    present = values > NEGLIGIBLE * max(values[0], np.finfo(np.float64).tiny)
    values, directions = values[present], directions[present]
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return values / (n - 1), directions * np.sign(largest), (mean / unit).reshape(x.shape[1:])


def _check_count(count: float, most: int) -> None:
    if count > most:
        raise ConfigError(
            f"representation.components: expected at most the {most} of the training set, got {count}; lower it"
        )
