"""The contract of sources, representations, families, generators, regimes, curations, extractors and metrics.

One generation: *plan* the pool, *fit* a generator to it, *sample*, *curate* the samples, *measure* and *push* them.
Recipes are frozen dataclasses of plain values, validated by `Study`, never in `__post_init__`, which tracing calls too.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume import validity

Samples = Array
"""Examples, ``(n, *shape)``: floating point, uint8 ``(n, H, W, C)`` for images, int32 ``(n, length)`` for token sequences."""


class Number:
    """Marks a field as a lane number, ``Annotated[float, Number]``: runs that differ only in these and seed share a program."""


class Vocabulary(NamedTuple):
    """Texts of a source's tokens, whether token 0 ends a sequence and pads what follows, and the text between tokens."""

    tokens: tuple[str, ...]
    has_end: bool
    separator: str = " "


class Recipe:
    """A frozen dataclass of plain values; `version` is raised when a class changes its numbers on purpose."""

    version: ClassVar[int] = 1
    takes: ClassVar[str] = "numbers"  # Its examples: "numbers" (vectors, images), "sequences" of tokens, or "any".


class Source(Recipe, abc.ABC):
    """Where real data comes from. Subclasses are frozen dataclasses."""

    common_unit: ClassVar[bool] = False
    """Whether all coordinates share a unit, as pixels do, so that deviations may differ by any factor. May be a property."""
    units: tuple[Sequence[float], Sequence[float]] | None = None
    """Center and factor of each column by which the data was standardised; None: it has its own units. May be a property."""
    table_columns: Sequence[tuple[str, Sequence[str] | None]] = ()
    """Each column of the table that examples encode: its name, and its categories if one-hot. May be a property."""
    description: Sequence[str] = ()
    """Lines for people on what was read: rows, columns, scale, what was skipped, warnings. May be a property."""
    fixed: ClassVar[bool] = False
    """Whether `train` and `test` ignore the key: a program then receives the data once, not once per lane."""
    one_hot: ClassVar[bool] = False  # Whether examples are one-hot rows, for categories. May be a property.
    standard_inputs: ClassVar[bool] = False  # Whether examples are pairs (x, y) with standard normal inputs x.
    vocabulary: Vocabulary | None = None  # Of sources whose examples are sequences of token numbers. May be a property.
    ink_shape: ClassVar[tuple[int, int] | None] = None
    """Height and width of grey images, flat or not, whose levels are amounts of ink: figures show 0 as white."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of training examples, the rows of `train`."""

    @property
    def test_size(self) -> int:
        """Number of held-out examples, the rows of `test`."""
        return jax.eval_shape(self.test, jax.random.key(0)).shape[0]

    @abc.abstractmethod
    def train(self, key: PRNGKeyArray) -> Samples:
        """The fixed real set, ``(size, *shape)``."""

    @abc.abstractmethod
    def test(self, key: PRNGKeyArray) -> Samples:
        """Held-out real examples, ``(test_size, *shape)``. Only metrics see them."""

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        """The ``batch``-th batch of ``n`` fresh real examples; batches of one key are disjoint."""

    def fingerprint(self) -> str:
        """Checksum (sha256) of data read from outside, which a `fixed` source must define; "" if fields determine it."""
        return ""

    @property
    def reserve(self) -> int | None:
        """Total number of fresh examples that `draw` can return; None if unlimited."""
        return None

    def reserve_rows(self) -> Samples | None:
        """The finite set that `draw` takes disjoint batches from, ``(reserve, *shape)``, if it is the same for all keys."""
        return None

    def truth(self) -> Generator | None:
        """The data distribution; None if unknown."""
        return None

    def labels(self, key: PRNGKeyArray) -> Array | None:
        """Class labels of `train`, ``(size,)`` integers; None if there are none."""
        return None

    def modes(self) -> Float[Array, "k d"] | None:
        """Centres of the modes of a mixture; None if there are none or they are unknown."""
        return None

    def mode_std(self) -> float | None:
        """Standard deviation of each mode in each coordinate, for mixtures of equal isotropic Gaussians; otherwise None."""
        return None

    def check(self) -> None:
        """Raises `ConfigError` if the fields contradict each other or the data cannot be read."""


class Generator(eqx.Module):
    """A fitted generative model: an Equinox module of arrays."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        """``n`` examples, ``(n, *shape)``."""

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        """The examples of `sample` and a mask of valid ones: finite ones, unless a generator of uint8 images overrides it."""
        return (x := self.sample(key, n)), validity.finite(x)

    def parameters(self) -> Mapping[str, Array]:
        """Interpretable parameters by name, for plots; empty for networks."""
        return {}


class Density(Generator):
    """A generator with a tractable density."""

    @abc.abstractmethod
    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log density (nats) of each example; log probability for discrete examples."""


class FitState(eqx.Module):
    """State of a fit: generator, optimiser state, updates done, last loss and training data."""

    generator: Generator
    optimizer: Any
    iteration: Int[Array, ""]
    loss: Float[Array, ""]
    data: Any

    def without_data(self) -> FitState:
        """The state without training data: the part that is stored and starts the next generation."""
        return dataclasses.replace(self, data=None)


class Family(Recipe, abc.ABC):
    """A model class and its training procedure. Subclasses are frozen dataclasses of hyperparameters."""

    parametric: ClassVar[bool] = True
    """Whether the shapes of a generator's arrays are independent of the data, as warm starts and update norms require."""
    temperature: float = 1.0
    """Sampling bias: factor on the variance of every sample; a field of families that have one. 1: unbiased sampling."""
    updates: int = 1
    """Updates of one fit; 1 for a closed form."""

    def updates_of(self, warm: bool) -> int:
        """Updates of a warm or a cold start, for families in which these differ."""
        return self.updates

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Generator:
        """A generator before any training, for examples of this shape."""

    @abc.abstractmethod
    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        """The state of a fit before its first update; a cold start if ``start``, a state without data, is None.

        Examples ``(n, *shape)`` are finite. Weight 2 counts one twice, 0 excludes it; they sum to the number of those used.
        """

    @abc.abstractmethod
    def advance(self, state: FitState, updates: int) -> FitState:
        """The state after ``updates`` further updates. Its generator can be sampled."""

    def check(self, source: Source) -> None:
        """Raises `ConfigError` if this family cannot be fitted to this source."""


class Plan(NamedTuple):
    """Training set of one generation, by blocks of the pool: block 0 is real, then the synthetic blocks, newest first."""

    counts: Sequence[int]
    """Number of valid examples used from each block."""
    weight: Sequence[float]
    """Relative weight of an example of each block; all weights are scaled to sum to the number of examples used."""
    budget: int | None = None
    """Size of a random subset of these examples, without replacement; None: all of them."""
    fresh: bool = False  # Whether block 0 is a fresh real sample instead of the fixed real set.


class Regime(Recipe, abc.ABC):
    """The training set of each generation, as a weighting of the pool. Subclasses are frozen dataclasses; plain Python."""

    lookback: int | None = 1
    """Number of latest generations that a plan may use; None: all of them. May be a property."""
    fixed_block_use: ClassVar[bool] = True
    """Whether the number used from a block is constant while it is used: sufficient statistics can then replace it."""

    @abc.abstractmethod
    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        """The plan of generation ``t >= 1``. Generation 0 is always fitted to the whole fixed real set."""

    def block(self, n_real: int, n_synthetic: int) -> int:
        """Samples drawn in every generation, the size of a synthetic block: at least ``n_synthetic``, independent of t."""
        return n_synthetic

    def real(self, n_real: int) -> int:
        """Size of the real block: that of the fixed real set unless the regime draws fresh data."""
        return n_real

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        """Raises `ConfigError` if the source cannot serve this regime for so many generations."""


class Curation(Recipe, abc.ABC):
    """Selection or correction of a generation's samples before metrics and pool receive them. Frozen dataclasses."""

    def candidates(self, n: int) -> int:
        """Number of samples to draw so that ``n`` are published."""
        return n

    @abc.abstractmethod
    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        """``n`` published samples of the candidates ``x`` in sampling order, and their validity mask; invalid rows are zero."""

    def check(self, source: Source, family: Family, n: int) -> None:
        """Raises `ConfigError` if this curation is not defined for this source and family, and blocks of ``n``."""


class Generation(NamedTuple):
    """One generation, as metrics receive it."""

    t: Int[Array, ""]
    generator: Generator
    previous: Generator
    samples: Samples
    valid: Bool[Array, " n"]
    """Mask of samples that are finite and published; all other rows are zero."""


class Extractor(Recipe, abc.ABC):
    """A feature map that is applied before metrics compare examples. Subclasses are frozen dataclasses."""

    batch_size: ClassVar[int] = 256  # Largest batch of one call; the caller splits larger inputs to bound memory.
    trained: ClassVar[bool] = False
    """Whether it is trained on the source's training set, whose features are then not comparable with those of other data."""
    probabilities: ClassVar[bool] = False  # Whether its features are class probabilities. May be a property.

    @abc.abstractmethod
    def weights(self, source: Source) -> Any:
        """Its parameters, a pytree of host arrays shared by all lanes and seeds. The implementation caches them."""

    @abc.abstractmethod
    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n d"]:
        """Features (float32) of examples ``(n, *shape)``, row by row. Pure JAX."""

    @abc.abstractmethod
    def fingerprint(self, source: Source) -> str:
        """Checksum (sha256) of weights and preprocessing. Values are comparable only if kind and fingerprint agree."""

    def accuracy(self, source: Source) -> float | None:
        """Accuracy on held-out real examples; None if it is not a classifier."""
        return None

    def check(self, source: Source) -> None:
        """Raises `ConfigError` if this extractor is not defined for this source, or its weights cannot be loaded."""


class Representation(Extractor):
    """An extractor with an inverse: families are fitted to its features, the codes, and samples decoded before all else."""

    @abc.abstractmethod
    def decode(self, weights: Any, z: Float[Array, "n *code"]) -> Samples:
        """Examples of codes, row by row; images as uint8. Pure JAX."""


class Metric(Recipe, abc.ABC):
    """One or more scalar values for each generation. Subclasses are frozen dataclasses."""

    runs_on: ClassVar[str] = "lane"  # "lane": JAX, compiled with the other lanes; "host": NumPy, one lane at a time.
    has_noise_floor: ClassVar[bool] = True  # Whether real samples in place of generated ones give a noise floor.
    accepts_features: ClassVar[bool] = False  # Whether it compares arbitrary vectors, and so an extractor's features.
    compares_with: ClassVar[str] = "test"  # Split: "test", "train", "train and test" or "". May be a property.
    evaluates_generator: ClassVar[bool] = False
    """Whether it evaluates the generator at examples or names its parameters: with a representation, examples are codes."""
    needs_density: ClassVar[bool] = False  # Whether it evaluates log densities, at what it prepares as "test" only.
    needs_probabilities: ClassVar[bool] = False  # Whether it is defined only on class probabilities.
    better: ClassVar[str | Mapping[str, str | None] | None] = "lower"
    """``"lower"``, ``"higher"`` or None, or a mapping from the names of its values to these."""

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """Sample sizes of a value, given ``n`` valid samples and ``m`` real examples; (0, m) if it evaluates the generator."""
        return n, m

    @abc.abstractmethod
    def prepare(self, key: PRNGKeyArray, source: Source) -> Any:
        """Statistics of the real data, computed once: a pytree of arrays."""

    @abc.abstractmethod
    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Any) -> Mapping[str, Float[Array, ""]]:
        """Values of one generation by name. Finite on duplicates and on a point mass."""

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` if this metric is not defined for this source and family."""
