"""Retraining as a map: one generation takes a generator and gives the next, ``theta_{t+1} = R(theta_t)``.

The functions here are one lane's work, pure and compiled elsewhere (`programs`). `steps` composes them into the map itself
for a single run.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume import pool as pools
from selfconsume import rows
from selfconsume.checkpoints import initial
from selfconsume.fit import Trained, is_image
from selfconsume.keys import Keys
from selfconsume.summaries import Summarised
from selfconsume.types import (
    Curation,
    Family,
    FitState,
    Generation,
    Generator,
    Metric,
    Plan,
    Problem,
    Regime,
    Samples,
    Source,
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run is, seed aside: everything that its numbers depend on.

    Attributes:
        source: Where real data comes from.
        family: What is fitted.
        regime: How the pool is weighted.
        start: Where each retraining starts: "cold" from a new initialisation, "warm" from the last generator, "first"
            from generation 0.
        initial: Generation 0: "fit" to the real data, "truth" (the source's own distribution), or the path of a
            checkpoint: a safetensors file of this family's generator, or a public network of EDM, torchcfm or DDPM.
        n_synthetic: Examples sampled in each generation; None is the size of the real set.
        curation: Which samples are published; None: all of them.
        extrapolation: How far every retrained model is moved on, away from what the retraining did to it, see
            `extrapolated`; 0 is not at all.
    """

    source: Source
    family: Family
    regime: Regime
    start: Literal["cold", "warm", "first"] = "cold"
    initial: str = "fit"
    n_synthetic: int | None = None
    curation: Curation | None = None
    extrapolation: float = 0.0

    @property
    def paced(self) -> bool:
        """Whether a fit may take hours: then it is dispatched by time, and runs that share generation 0 fit it once."""
        return isinstance(self.family, Trained) and is_image(self.source.shape)

    @property
    def rows(self) -> int | None:
        """Examples that one step of a fit works through at once, which several devices may share; None: all, on one."""
        return self.family.batch // self.family.parts if isinstance(self.family, Trained) else None

    @property
    def origin(self) -> tuple[Any, ...] | None:
        """What the fit of generation 0 depends on, seed aside: equal for runs that share it. None: it is no fit."""
        return (self.source, self.family) if self.initial == "fit" else None

    @property
    def sampled(self) -> int:
        """Examples of each generation that metrics see."""
        return self.source.size if self.n_synthetic is None else self.n_synthetic

    @property
    def block(self) -> int:
        """Rows of a synthetic block: what each generation really samples."""
        return self.regime.block(self.source.size, self.sampled)

    def plan(self, t: int) -> Plan:
        """The plan of any generation; generation 0 is the fit to the whole fixed real set.

        Raises:
            Problem: The regime's plan has not one weight for each count, or uses generations that are not there.
        """
        if t == 0:
            return Plan(use=(self.source.size,), weight=(1.0,))
        plan, reach = self.regime.plan(t, self.source.size, self.sampled), self.regime.lookback
        there = t if reach is None else min(t, reach)
        if len(plan.use) != len(plan.weight):
            counts = f"{len(plan.use)} counts and {len(plan.weight)} weights"
            raise Problem(f"regime: {self.regime} plans generation {t} with {counts}; give each block one of both")
        if any(plan.use[1 + there :]):
            raise Problem(
                f"regime: {self.regime} plans generation {t} with {len(plan.use) - 1} synthetic blocks, but {there} are kept; "
                "say with lookback how many are ever used, and use no more than t"
            )
        return plan

    def slots(self, t: int, until: int) -> int:
        """Slots of the pool when generation ``t`` of ``until`` is trained.

        Summaries and drawn budgets do not depend on the number of slots, so the horizon's number is compiled at once.
        """
        neutral = self.summarised or self.plan(1).budget is not None
        return pools.capacity(max(t, until) if neutral else t, self.regime.lookback)

    @property
    def summarised(self) -> bool:
        """Whether the pool holds summaries of its blocks instead of being re-read."""
        return isinstance(self.family, Summarised) and self.regime.whole and self.plan(1).budget is None


class Emitted(NamedTuple):
    """What one generation leaves behind."""

    samples: Samples
    valid: Bool[Array, " block"]
    alive: Bool[Array, ""]
    """False from the generation on in which the parameters are not finite or no sample is."""


def real_rows(run: Run, keys: Keys, t: Int[Array, ""], real: Samples, plan: pools.Placed, fresh: int) -> Samples:
    """The real block of generation ``t``: the fixed set, or ``fresh`` new examples where the plan says so (0: nowhere)."""
    if not fresh:
        return real
    drawn = run.source.draw(keys.fresh, fresh, t - 1)
    return jnp.where(plan.fresh, drawn, real) if drawn.shape == real.shape else drawn


def begin(
    run: Run,
    keys: Keys,
    t: Int[Array, ""],
    real: Samples,
    blocks: Samples,
    valid: Bool[Array, "slots block"],
    plan: pools.Placed,
    start: FitState | None,
    *,
    fresh: int = 0,
    size: int | None = None,
    mixed: bool = False,
) -> FitState:
    """A fit to what the plan takes from the pool's rows, not yet advanced.

    Args:
        run: The run.
        keys: Its keys of this generation.
        t: The generation to be trained.
        real: The fixed real set.
        blocks: Synthetic blocks by slot, ``(slots, block, *shape)``.
        valid: Their finite rows.
        plan: The plan, by slot.
        start: State to start from, or None.
        fresh: Rows of a fresh real block (see `real_rows`).
        size: Rows that training data is gathered into where plans have budgets; None trains on the whole pool.
        mixed: Whether only some of the program's lanes have a budget.
    """
    real = real_rows(run, keys, t, real, plan, fresh)
    if size is None:
        x, weight = pools.rows(real, blocks, valid, plan)
    else:
        x, weight = pools.drawn(keys.subset, real, blocks, valid, plan, size, mixed=mixed)
    return run.family.begin(keys.fit, x, weight, start)


def begin_summarised(
    run: Run,
    keys: Keys,
    t: Int[Array, ""],
    real: Any,
    blocks: Any,
    counts: Int[Array, " slots"],
    plan: pools.Placed,
    *,
    fresh: int = 0,
) -> FitState:
    """As `begin`, from summaries: ``real`` is the summary of the real rows that the plan uses, or the rows if fresh."""
    if fresh:
        real = summary(run, real_rows(run, keys, t, real, plan, fresh), plan.use[0])
    total = pools.summarised(run.family, real, plan.use[0], blocks, counts, plan)
    return run.family.begin_from(keys.fit, run.source.shape, total)


def summary(run: Run, x: Samples, use: Int[Array, ""]) -> Any:
    """The summary of the first ``use`` rows, all valid."""
    return run.family.summarise(x, (jnp.arange(x.shape[0]) < use).astype(jnp.float32))


def emit(
    n: int,
    keys: Keys,
    generator: Generator,
    alive: Bool[Array, ""],
    curation: Curation | None = None,
    source: Source | None = None,
) -> Emitted:
    """Samples ``n`` rows, curated if so. Those that are not valid are zeroed and marked: they never re-enter the data."""
    samples, valid = generator.attempt(keys.sample, curation.candidates(n) if curation else n)
    samples = rows.zeroed(samples, valid)
    if curation:
        samples, valid = curation.choose(keys.curate, samples, valid, n, generator, source)
    sound = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(generator, eqx.is_inexact_array))]
    return Emitted(samples, valid, alive & jnp.array(sound).all() & valid.any())


def extrapolated(fit: FitState, previous: Generator, weight: Float[Array, ""] | float) -> FitState:
    """A fit whose generator is ``(1 + w) previous - w fitted``: moved away from where training on own samples led.

    Acts on every array of the generator, so on parameters as the family keeps them (a Gaussian: mean and the root of the
    covariance). What an optimizer remembers stays; a warm start from its raw weights does not see the extrapolation.

    References:
        Alemohammad et al. 2025, arXiv:2510.03597 (Neon), there after one short training on own samples.
    """
    moved = jax.tree.map(
        lambda old, new: (1 + weight) * old - weight * new if eqx.is_inexact_array(new) else new,
        previous,
        fit.generator,
    )
    return dataclasses.replace(fit, generator=moved)


def measure(metric: Metric, key: PRNGKeyArray, generation: Generation, reference: Any) -> dict[str, Float[Array, ""]]:
    """The values of one metric in one generation. Its key does not depend on which other metrics there are.

    Raises:
        Problem: A value is not one number.
    """
    values = dict(metric(key, generation, reference))
    for name, value in values.items():
        if jnp.shape(value):
            raise Problem(f"metrics: {metric} gives {name!r} of shape {jnp.shape(value)}; expected one number a name")
    return values


def floor_set(source: Source, n: int, split: str, *, trained: bool) -> Literal["fresh", "train", "test"] | None:
    """Where ``n`` real examples come from that stand for a perfect generator's: the noise floor's sample.

    Fresh ones where the source has enough. Else the set that is not the reference, unless an extractor was ``trained`` on
    it: features of such examples are not those of others. None if that is too small too; then there is no floor.
    """
    if source.reserve is None or n <= source.reserve:
        return "fresh"
    if split == "train":
        there = jax.eval_shape(source.test, jax.random.key(0)).shape[0] if source.fixed else 0
        return "test" if n <= there else None
    return "train" if n <= source.size and not trained else None


def real_sample(source: Source, keys: Keys, n: int, *, fresh: bool) -> Samples:
    """``n`` real examples, fresh ones or those of the training set."""
    return source.draw(keys.floor, n, 0) if fresh else source.train(keys.train)[:n]


def fit_structure(run: Run, t: int) -> FitState:
    """The structure of a finished fit of generation ``t``; shapes hold for families whose generators have a fixed size."""
    shape = run.source.shape

    def fitted(key):
        if t == 0 and run.initial != "fit":
            return FitState(run.family.init(key, shape), None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)
        x = jnp.zeros((run.source.size, *shape))
        state = run.family.begin(key, x, jnp.ones(run.source.size), None)
        return run.family.advance(state, run.family.updates).without_data()

    return jax.eval_shape(fitted, jax.random.key(0))


def initial_generator(run: Run) -> Generator:
    """Generation 0 where it is not a fit: the truth or a checkpoint, with the structure of the family's generators.

    Raises:
        Problem: The source's distribution is not a member of the family, or the checkpoint does not fit.
    """
    like = jax.eval_shape(lambda: run.family.init(jax.random.key(0), run.source.shape))
    if run.initial != "truth":
        return initial.load(run.initial, like, float(getattr(run.family, "temperature", 1.0)))
    truth = run.source.truth()
    if truth is not None and hasattr(truth, "temperature"):
        # The sampling bias belongs to the family: it biases generation 0's samples like every other generation's.
        own = getattr(run.family.init(jax.random.key(0), run.source.shape), "temperature", None)
        truth = None if own is None else eqx.tree_at(lambda generator: generator.temperature, truth, own)
    if truth is None or jax.tree.structure(truth) != jax.tree.structure(like) or not run.family.parametric:
        raise Problem("study.initial: 'truth' needs a source whose distribution is a member of the family; use 'fit'")
    shapes = jax.tree.map(lambda a, b: jnp.shape(a) == b.shape, truth, like)
    if not all(jax.tree.leaves(shapes)):
        raise Problem(
            "study.initial: the source's distribution has other sizes than the family's generators; use 'fit'"
        )
    return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), truth, like)
