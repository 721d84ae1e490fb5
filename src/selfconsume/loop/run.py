"""A run: the configuration of one chain of generations, without its seed."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from selfconsume.errors import ConfigError
from selfconsume.loop import coding, pool
from selfconsume.loop.plans import checked_plan
from selfconsume.models.external.host_family import HostFamily
from selfconsume.models.sequences.vocabulary_fields import VocabularyFields, filled
from selfconsume.models.training.scaling import is_image
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.models.training.training_settings import TrainingSettings
from selfconsume.types import Curation, Family, Generator, Plan, Regime, Representation, Samples, Source


@dataclasses.dataclass(frozen=True)
class Run:
    """Configuration of one chain of generations: with the seed, everything that its numbers depend on.

    Attributes:
        source: Where real data comes from.
        family: What is fitted; fields that it leaves to the source are filled in.
        regime: How the pool is weighted.
        start: Where each retraining starts: "cold" from a new initialisation, "warm" from the last generator, "first"
            from generation 0.
        initial: Generation 0: "fit" to the real data, "truth" (the source's own distribution), or the path of a
            checkpoint: a safetensors file of this family's generator, or a public network of EDM, torchcfm or DDPM.
        n_synthetic: Examples sampled in each generation; None is the size of the real set.
        curation: Selection of the published samples; None publishes all.
        extrapolation: Weight of the negative extrapolation after each retraining, see `generation.extrapolate`; 0 is none.
        representation: What the family is fitted to in place of the examples: their codes. The pool, curations and metrics
            see examples. None: the examples.
    """

    source: Source
    family: Family
    regime: Regime
    start: Literal["cold", "warm", "first"] = "cold"
    initial: str = "fit"
    n_synthetic: int | None = None
    curation: Curation | None = None
    extrapolation: float = 0.0
    representation: Representation | None = None

    def __post_init__(self) -> None:
        if isinstance(self.family, VocabularyFields):
            object.__setattr__(self, "family", filled(self.family, self.source))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what the family is fitted to: of an example, or of its code."""
        return self.source.shape if self.representation is None else coding.code_shape(self.representation, self.source)

    def encode(self, x: Samples) -> Samples:
        """What the family is fitted to: the examples, or their codes."""
        if self.representation is None:
            return x
        return coding.encode(self.representation, self.representation.weights(self.source), x)

    def of_examples(self, generator: Generator) -> Generator:
        """The family's generator as a generator of examples."""
        if self.representation is None:
            return generator
        return coding.decoded(generator, self.representation, self.representation.weights(self.source))

    @property
    def long_fits(self) -> bool:
        """Whether a fit may take hours: then it is advanced in timed chunks, and runs that share generation 0 fit it once."""
        return isinstance(self.family, TrainingSettings) and is_image(self.shape)

    @property
    def fits_on_host(self) -> bool:
        """Whether models are fitted outside JAX, one lane after the other."""
        return isinstance(self.family, HostFamily)

    @property
    def is_recorded(self) -> bool:
        """Whether samples are read from files that another pipeline wrote, and nothing is fitted."""
        return isinstance(self.family, HostFamily) and self.family.is_recorded

    @property
    def resamples(self) -> int:
        """Bootstrap resamples that give the standard errors of a single recorded sequence; 0: none."""
        return getattr(self.family, "bootstrap", 0) if self.is_recorded else 0

    @property
    def can_start_warm(self) -> bool:
        """Whether a fit can start from an earlier generator."""
        return self.family.can_start if isinstance(self.family, HostFamily) else self.family.parametric

    @property
    def microbatch(self) -> int | None:
        """Examples of one gradient evaluation, which several devices may share; None: the whole pool, on one device."""
        return self.family.batch // self.family.grad_accumulation if isinstance(self.family, TrainingSettings) else None

    @property
    def generation_zero_inputs(self) -> tuple[Any, ...] | None:
        """Configuration that the fit of generation 0 depends on, equal for runs that share it; None if it is not a fit."""
        is_fit = self.initial == "fit" and not self.is_recorded
        return (self.source, self.family, self.representation) if is_fit else None

    @property
    def sample_size(self) -> int:
        """Samples of each generation that metrics see."""
        return self.source.size if self.n_synthetic is None else self.n_synthetic

    @property
    def block(self) -> int:
        """Size of a synthetic block: the number of samples that each generation publishes."""
        return self.regime.block(self.source.size, self.sample_size)

    def plan(self, t: int) -> Plan:
        """The plan of any generation; that of generation 0 is the fixed real set.

        Raises:
            ConfigError: The pool cannot fulfil the regime's plan, or a model outside JAX cannot be given its weights.
        """
        if t == 0:
            return Plan(counts=(self.source.size,), weight=(1.0,))
        plan = checked_plan(self.regime, t, self.source.size, self.sample_size)
        if self.fits_on_host:
            self._check_multiplicities(plan, t)
        return plan

    def _check_multiplicities(self, plan: Plan, t: int) -> None:
        """Models outside JAX know how often an example is there; no sum over rows weighs it by a fraction."""
        weights = [weight for count, weight in zip(plan.counts, plan.weight, strict=True) if count * weight > 0]
        ratios = [weight / min(weights) for weight in weights]
        if any(abs(ratio - round(ratio)) > 1e-6 for ratio in ratios):
            raise ConfigError(
                f"regime: {self.regime} weighs blocks of generation {t} by {tuple(weights)}, but {type(self.family).__name__} "
                "is fitted outside JAX and takes multiples of the smallest weight only; use counts or n_synthetic"
            )

    def slots(self, t: int, until: int) -> int:
        """Slots of the pool when generation ``t`` of ``until`` is trained.

        Merged statistics and random budgets do not depend on the number of slots: they get the last generation's number from
        the start, and so one program.
        """
        is_invariant = self.pools_statistics or self.plan(1).budget is not None
        return pool.capacity(max(t, until) if is_invariant else t, self.regime.lookback)

    @property
    def pools_statistics(self) -> bool:
        """Whether the pool holds sufficient statistics of its blocks in place of their examples."""
        return (
            isinstance(self.family, SufficientStatisticsFamily)
            and self.regime.fixed_block_use
            and self.plan(1).budget is None
        )
