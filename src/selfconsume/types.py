"""The contract: what a source, a family, a generator, a regime and a metric are.

One generation of self-consuming training, in words: *plan* the pool, *fit* a generator to it, *sample* from it, *curate* the
samples, *measure* them, *push* them into the pool. Its nouns are the classes of this page; all else serves them.

Recipes (`Source`, `Family`, `Regime`, `Curation`, `Extractor`, `Metric`) are frozen dataclasses of plain values: they are the
configuration itself. Results (`Generator`) are Equinox modules of arrays. Recipes are validated where a `Study` is built,
never in `__post_init__`, because tracing rebuilds them with traced numbers.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume import validity

Samples = Array
"""Examples, ``(n, *shape)``: floating point, or uint8 ``(n, H, W, C)`` for images."""

Prepared = Any
"""What a metric prepared once from the real data: a pytree of arrays."""


class Number:
    """Marks a dataclass field as a lane number: ``temperature: Annotated[float, Number] = 1.0``.

    Runs that differ only in such fields (and in seed, ratio, weights) are lanes of one compiled program. Every other field
    is static: a different value is a different program. A field that holds something else than a number in a given run (a
    bandwidth rule, say) is static in that run.
    """


class Recipe:
    """A frozen dataclass of plain values; `version` is raised when a class changes its numbers on purpose."""

    version: ClassVar[int] = 1


class Source(Recipe, abc.ABC):
    """Where real data comes from. Subclasses are frozen dataclasses."""

    fixed: ClassVar[bool] = False
    """Whether `train` and `test` ignore the key; such data is passed to a program once, not once per lane."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of examples that `train` returns."""

    @abc.abstractmethod
    def train(self, key: PRNGKeyArray) -> Samples:
        """The fixed real set, ``(size, *shape)``."""

    @abc.abstractmethod
    def test(self, key: PRNGKeyArray) -> Samples:
        """Held-out real data. Only metrics see it."""

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        """The ``batch``-th batch of ``n`` fresh real examples; batches of one key never share an example."""

    @property
    def reserve(self) -> int | None:
        """How many fresh examples `draw` can give in total; None if there is no end."""
        return None

    def reserve_rows(self) -> Samples | None:
        """All rows that `draw` takes from by `batch_of`, ``(reserve, *shape)``, where they are the same for all keys."""
        return None

    def truth(self) -> Generator | None:
        """The distribution itself, where it is known."""
        return None

    def labels(self, key: PRNGKeyArray) -> Array | None:
        """Class labels beside `train`, ``(size,)`` integers, where there are any."""
        return None

    def modes(self) -> Float[Array, "k d"] | None:
        """Centres of the modes, for sources that are mixtures with known modes."""
        return None

    def check(self) -> None:
        """Raises `ConfigError` if the fields contradict each other or the data cannot be had."""


class Generator(eqx.Module):
    """A fitted model: arrays that can be sampled."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        """``n`` examples, ``(n, *shape)``."""

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        """The examples of `sample`, and which of them are valid: the finite ones, unless a generator knows of others.

        Bytes hold no NaN, so that a generator of images says here which of them failed.
        """
        x = self.sample(key, n)
        return x, validity.finite(x)

    def parameters(self) -> Mapping[str, Array]:
        """Named arrays worth plotting one by one; empty for models whose parameters mean nothing singly."""
        return {}


class Density(Generator):
    """A generator that knows its density."""

    @abc.abstractmethod
    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        """Log density (nats) of each example; log mass for discrete examples."""


class FitState(eqx.Module):
    """A fit in progress. `generator` is usable at any time after the first `advance`."""

    generator: Generator
    optimizer: Any
    iteration: Int[Array, ""]
    loss: Float[Array, ""]
    data: Any

    def without_data(self) -> FitState:
        """The same state without the training data: what is carried to the next generation and stored."""
        return dataclasses.replace(self, data=None)


class Family(Recipe, abc.ABC):
    """A recipe that fits generators. Subclasses are frozen dataclasses of hyperparameters."""

    parametric: ClassVar[bool] = True
    """Whether a generator's arrays have the same shapes whatever the data: what warm starts and update sizes need."""

    @property
    def updates(self) -> int:
        """Updates that one fit takes; a closed form is done after one."""
        return 1

    def updates_of(self, warm: bool) -> int:
        """Updates of a fit that starts from another one, or from nothing, for families that tell them apart."""
        return self.updates

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Generator:
        """A generator before any training, for examples of this shape."""

    @abc.abstractmethod
    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        """A fit to weighted data, not yet advanced.

        Args:
            key: Randomness of the whole fit.
            x: Examples, ``(n, *shape)``. Rows of weight 0 are absent (and finite).
            weight: Weight 2 means the example twice; the weights sum to the number of examples used.
            start: The state to start from (its `data` is None), or None for a cold start.
        """

    @abc.abstractmethod
    def advance(self, state: FitState, updates: int) -> FitState:
        """The same fit, ``updates`` updates further."""

    def check(self, source: Source) -> None:
        """Raises `ConfigError` if this family cannot be fitted to this source."""


class Plan(NamedTuple):
    """How the pool is used to train one generation. Block 0 is real, then the synthetic blocks, newest first."""

    counts: Sequence[int]
    """How many valid examples of each block are used."""
    weight: Sequence[float]
    """Weight of each example of each block; scaled later so that all weights sum to the number used."""
    budget: int | None = None
    """If given, only this many of them, drawn at random without replacement."""
    fresh: bool = False
    """Whether block 0 is a new real draw instead of the fixed real set."""


class Regime(Recipe, abc.ABC):
    """A weighting of the pool for each generation. Subclasses are frozen dataclasses; everything here is host Python."""

    lookback: int | None = 1
    """How many of the latest generations are ever used; None: all of them. May be a property."""
    fixed_block_use: ClassVar[bool] = True
    """Whether a synthetic block, once used, is later used by as many rows or not at all: its summary can stand for it."""

    @abc.abstractmethod
    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        """The plan of generation ``t >= 1``. Generation 0 is always the fit to the whole fixed real set."""

    def block(self, n_real: int, n_synthetic: int) -> int:
        """Examples sampled in every generation: a function of the run alone, at least ``n_synthetic``."""
        return n_synthetic

    def real(self, n_real: int) -> int:
        """Rows of the real block: the fixed set's size unless the regime draws fresh data."""
        return n_real

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        """Raises `ConfigError` if this regime cannot run on this source for that long."""


class Curation(Recipe, abc.ABC):
    """Which of a generation's samples are published: metrics see these, and the pool gets these. Frozen dataclasses."""

    def candidates(self, n: int) -> int:
        """How many samples are drawn so that ``n`` are published."""
        return n

    @abc.abstractmethod
    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        """The published samples.

        Args:
            key: Randomness of the choice.
            x: Candidates, ``(m, *shape)``; rows that are not valid are zero.
            valid: Candidates that are finite.
            n: How many are published.
            generator: What has drawn them.
            source: The real data's source.

        Returns:
            ``(n, *shape)``, and which rows are there: fewer than n may have been found. Rows that are not are zero.
        """

    def check(self, source: Source, family: Family, n: int) -> None:
        """Raises `ConfigError` if this curation is not defined for this source and family, and blocks of ``n``."""


class Generation(NamedTuple):
    """One generation, as metrics see it."""

    t: Int[Array, ""]
    generator: Generator
    previous: Generator
    samples: Samples
    valid: Bool[Array, " n"]
    """Rows of `samples` that are finite and were published; the others are zeroed."""


class Extractor(Recipe, abc.ABC):
    """What examples are turned into before metrics compare them. Subclasses are frozen dataclasses."""

    batch_size: ClassVar[int] = 256
    """Examples that one call gets: whoever calls splits the rows, so that memory stays bounded for any number of them."""
    trained: ClassVar[bool] = False
    """Whether its weights come from the source's training set: it then sees these examples like no others."""
    probabilities: ClassVar[bool] = False
    """Whether its features are probabilities of classes. May be a property."""

    @abc.abstractmethod
    def weights(self, source: Source) -> Any:
        """A pytree of host arrays, loaded or trained, the same for all lanes and seeds. The implementation caches it."""

    @abc.abstractmethod
    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n d"]:
        """float32 features of examples ``(n, *shape)``, each row for itself. Pure JAX."""

    @abc.abstractmethod
    def fingerprint(self, source: Source) -> str:
        """The sha256 of what it computes with: values of equal kinds and fingerprints can be compared."""

    def accuracy(self, source: Source) -> float | None:
        """Share of held-out real examples whose class it knows; None where it is not made to tell classes apart."""
        return None

    def check(self, source: Source) -> None:
        """Raises `ConfigError` if this extractor is not defined for this source, or its weights cannot be had."""


class Metric(Recipe, abc.ABC):
    """A number, or several, for each generation. Subclasses are frozen dataclasses."""

    runs_on: ClassVar[str] = "lane"
    """``"lane"``: JAX, compiled with the other lanes; ``"host"``: NumPy, one lane at a time."""
    has_noise_floor: ClassVar[bool] = True
    """Whether the metric compares samples with real data, so that a real set of the same size gives its noise floor."""
    accepts_features: ClassVar[bool] = False
    """Whether an extractor can stand before it: it compares vectors, whatever they are, and does not ask the generator."""
    compares_with: ClassVar[str] = "test"
    """Which real data it compares with: "test", "train", "train and test", or "" for none. May be a property."""
    needs_probabilities: ClassVar[bool] = False
    """Whether the vectors that it compares are probabilities of classes."""
    better: ClassVar[str | Mapping[str, str | None] | None] = "lower"
    """``"lower"``, ``"higher"``, or None where neither is better; for values that differ in it, a mapping from their names,
    in which a name that is missing has no direction. Read it by `better_of`."""

    @classmethod
    def better_of(cls, name: str) -> str | None:
        """Which way the value of that name is better."""
        return cls.better.get(name) if isinstance(cls.better, Mapping) else cls.better

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """How many of ``n`` valid samples and ``m`` real examples a value compares; no samples: it asks the generator."""
        return n, m

    @abc.abstractmethod
    def prepare(self, key: PRNGKeyArray, source: Source) -> Prepared:
        """What is computed once from the real data."""

    @abc.abstractmethod
    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Prepared) -> Mapping[str, Float[Array, ""]]:
        """Named values of one generation. Defined (finite) on duplicates and on a point mass."""

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` if this metric is not defined for this source and family."""
