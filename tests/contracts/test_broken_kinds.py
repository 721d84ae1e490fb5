"""Kinds of one's own that are wrong are refused in one line with their name, never by a traceback or a wrong number."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import step
from selfconsume.loop.run import Run
from selfconsume.regimes.replace import Replace
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.types import Curation, Extractor, Family, FitState, Generator, Metric, Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Late(Regime):
    """Sound at first, with a fault in generation 9 that the tests choose."""

    fault: str = ""

    def plan(self, t, n_real, n_synthetic):
        plan = Plan((n_real, n_synthetic), (1.0, 1.0))
        if t < 9:
            return plan
        return {
            "none": None,
            "tuple": ((n_real, n_synthetic), (1.0, 1.0)),
            "nan": plan._replace(weight=(1.0, float("nan"))),
            "negative": plan._replace(weight=(1.0, -1.0)),
            "too many": plan._replace(counts=(n_real + 1, n_synthetic)),
            "fraction": plan._replace(counts=(n_real, n_synthetic / 2)),
            "no budget": plan._replace(budget=0),
            "new budget": plan._replace(budget=3),
            "fresh": plan._replace(fresh=True),
            "old": Plan((n_real, 0, 1), (1.0, 1.0, 1.0)),
            "empty": plan._replace(weight=(0.0, 0.0)),
            "other rows": Plan((n_real, 1, 2), (1.0, 1.0, 1.0)),
        }[self.fault]


@dataclasses.dataclass(frozen=True)
class LongLate(Late):
    """As `Late`, of the latest two generations."""

    lookback: int | None = 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("none", "it is a NoneType; return selfconsume.types.Plan"),
        ("tuple", "it is a tuple; return selfconsume.types.Plan"),
        ("nan", r"weights are \(1.0, nan\); give finite numbers"),
        ("negative", r"weights are \(1.0, -1.0\); give finite numbers that are not negative"),
        ("too many", r"counts \(11, 10\) exceed blocks of 10 real and 10 synthetic examples"),
        ("fraction", r"counts are \(10, 5.0\); give whole numbers"),
        ("no budget", "budget is 0; give a whole number of examples above 0"),
        ("new budget", "its budget changes with the generation"),
        ("fresh", "its fresh changes with the generation"),
        ("old", "2 synthetic blocks are used, but 1 are kept"),
        ("empty", "no example has a weight"),
    ],
)
def test_every_plan_of_a_study_is_looked_at(fault, message):
    """A mistake in a later generation trained on something else, with status ok."""
    regime = Late(fault)
    sc.check(regime)
    with pytest.raises(ConfigError, match=f"^regime Late, plan of generation 9: {message}"):
        sc.Study(Normal(n=10), Gaussian(), regime, generations=12)
    sc.Study(Normal(n=10), Gaussian(), regime, generations=9)


def test_a_block_is_used_by_the_rows_that_its_statistics_were_made_of():
    with pytest.raises(ConfigError, match="plan of generation 9: 2 samples of generation 7 are used, but 10 were used"):
        sc.Study(Normal(n=10), Gaussian(), LongLate("other rows"), generations=12)


def test_a_plan_of_a_bundled_regime_is_looked_at_when_it_is_used():
    with pytest.raises(ConfigError, match=r"^regime Late, plan of generation 9: weights are"):
        Run(Normal(n=10), Gaussian(), Late("nan")).plan(9)


@pytest.mark.parametrize("lookback", [0, -1, 1.5])
def test_a_regime_looks_back_by_a_whole_number(lookback):
    with pytest.raises(ConfigError, match=r"^regime Odd: lookback is .*; expected the number of latest generations"):
        sc.check(dataclasses.dataclass(frozen=True)(type("Odd", (Late,), {"lookback": lookback}))())


def test_a_block_holds_what_metrics_see():
    small = type("Small", (Late,), {"block": lambda self, n_real, n_synthetic: n_synthetic // 2})
    with pytest.raises(
        ConfigError, match=r"^regime Small, plan of generation 1: a block has 5 samples; metrics see 10"
    ):
        sc.check(dataclasses.dataclass(frozen=True)(small)())


class Column(Generator):
    mean: jax.Array
    columns: int = eqx.field(static=True)

    def sample(self, key, n):
        return self.mean[: self.columns] + jax.random.normal(key, (n, self.columns))


@dataclasses.dataclass(frozen=True)
class OneColumn(Family):
    """A Gaussian that samples ``columns`` columns whatever the data has."""

    columns: int = 1
    updates: int = 1

    def init(self, key, shape):
        return Column(jnp.zeros(shape), self.columns)

    def begin(self, key, x, weight, start):
        mean = (weight[:, None] * x).sum(0) / weight.sum()
        return FitState(Column(mean, self.columns), None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)

    def advance(self, state, updates):
        return dataclasses.replace(state, iteration=state.iteration + updates)


def test_samples_have_the_shape_of_the_data(layout):
    """(n, 1) broadcasts against (n, 2) without a word."""
    with pytest.raises(
        ConfigError, match=r"^family OneColumn: samples are float32 of shape \(64, 1\); expected .*\(64, 2\)"
    ):
        sc.check(OneColumn())
    # Right for the tiny data of the contract, wrong for these.
    sc.check(OneColumn(columns=2))
    run = Run(Normal(n=10, dim=3), OneColumn(columns=2), Replace())
    message = r"^OneColumn: 10 samples are asked for, got samples of shape \(10, 2\) .*expected \(10, 3\) and \(10,\)$"
    with pytest.raises(ConfigError, match=message):
        list(LaneBatch([run] * 2, [0, 1], layout).generations([], 1))
    with pytest.raises(ConfigError, match=message):
        next(step.retrain(run, seed=0))


@pytest.mark.parametrize("updates", [0, 2.5])
def test_updates_are_whole_numbers(updates):
    with pytest.raises(
        ConfigError, match=r"^family OneColumn: updates of a fit are .*; expected whole numbers above 0"
    ):
        sc.check(OneColumn(columns=2, updates=updates))


@dataclasses.dataclass(frozen=True)
class Selection(Curation):
    """The first half of the candidates, with a fault that the tests choose."""

    fault: str = ""

    def candidates(self, n):
        return n - 1 if self.fault == "few" else 2 * n

    def choose(self, key, x, valid, n, generator, source):
        m = {"all": 2 * n, "few": n - 1}.get(self.fault, n)
        mask = jnp.ones(m, bool) if self.fault == "hopeful" else valid[:m]
        if self.fault == "column":
            mask = mask[:, None]
        return (x[:m].astype(jnp.float16) if self.fault == "half" else x[:m]), mask


def test_a_sound_curation_passes():
    sc.check(Selection())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("all", r"publishes float32 of shape \(40, 2\); expected float32 of shape \(20, 2\)"),
        ("few", r"candidates\(20\) is 19; expected a whole number of at least 20"),
        ("half", "publishes float16"),
        ("column", r"its mask is bool of shape \(20, 1\); expected bool of shape \(20,\)"),
        ("hopeful", "marks samples valid where no candidate is"),
    ],
)
def test_a_curation_that_publishes_something_else_is_refused(fault, message):
    with pytest.raises(ConfigError, match=f"^curation Selection: {message}"):
        sc.check(Selection(fault))


def test_a_curation_that_returns_all_candidates_is_refused_by_the_loop(layout):
    """The pool took the first of them: the best half was chosen, and every sample was trained on."""
    run = Run(Normal(n=10), Gaussian(), Replace(), curation=Selection("all"))
    message = r"^Selection: 10 samples are asked for, got samples of shape \(20, 1\)"
    with pytest.raises(ConfigError, match=message):
        list(LaneBatch([run], [0], layout).generations([], 1))
    with pytest.raises(ConfigError, match=message):
        next(step.retrain(run, seed=0))


@dataclasses.dataclass(frozen=True)
class Pixel(Extractor):
    """Pixels in disguise, with a fault that the tests choose."""

    fault: str = ""

    def weights(self, source):
        return {}

    def __call__(self, weights, x):
        flat = x.reshape(len(x), -1).astype(jnp.float32)
        if self.fault == "rows":
            return flat - flat.cumsum(axis=0)
        return flat[:, 0] if self.fault == "scalar" else flat

    def fingerprint(self, source):
        return "v1" if self.fault == "version" else "0" * 64


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("rows", "features of an example depend on other rows"),
        ("scalar", r"features are float32 of shape \(20,\)"),
        ("version", "its fingerprint is no sha256"),
    ],
)
def test_an_extractor_that_breaks_its_contract_is_refused(fault, message):
    sc.check(Pixel())
    with pytest.raises(ConfigError, match=f"^extractor Pixel: {message}"):
        sc.check(Pixel(fault))


@dataclasses.dataclass(frozen=True)
class Count(Metric):
    """The number of valid samples, with a fault that the tests choose."""

    fault: str = ""

    def compared(self, n, m):
        return {"one": n, "minus": (-1, m), "fraction": (n / 2, m)}.get(self.fault, (n, m))

    def prepare(self, key, source):
        return ()

    def __call__(self, key, generation, prepared):
        value = generation.valid.sum().astype(jnp.float32)
        faults = {"scalar": value, "nothing": None, "no value": {}, "no name": {"": value}, "lines": {"a\nb": value}}
        return faults.get(self.fault, {"count": value})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("one", r"compared\(40, 40\) is 40; expected the numbers of samples and of real examples"),
        ("minus", r"compared\(40, 40\) is \(-1, 40\); expected"),
        ("fraction", r"compared\(40, 40\) is \(20.0, 40\); expected"),
        ("scalar", "failed on tiny data with TypeError"),
        ("nothing", "failed on tiny data with TypeError: 'NoneType'"),
        ("no value", "it gives no value; return at least one number by name"),
        ("no name", "'' is no name of a value"),
        ("lines", r"'a\\nb' is no name of a value"),
    ],
)
def test_a_metric_that_is_no_table_of_numbers_is_refused(fault, message):
    """A wrong `compared` wrote a log that its reader called damaged."""
    sc.check(Count())
    with pytest.raises(ConfigError, match=f"^metric Count: .*{message}") as caught:
        sc.check(Count(fault))
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "value"), [("compares_with", "training"), ("runs_on", "gpu"), ("takes", "vectors")]
)
def test_attributes_that_the_loop_does_not_know_are_refused(attribute, value):
    wrong = dataclasses.dataclass(frozen=True)(type("Wrong", (Count,), {attribute: value}))
    with pytest.raises(ConfigError, match=f"^metric Wrong: {attribute} is '{value}'; expected "):
        sc.check(wrong())
    with pytest.raises(ConfigError, match=f"{attribute} is '{value}'"):
        sc.Study(Normal(n=10), Gaussian(), Replace(), metrics=[wrong()])


@dataclasses.dataclass(frozen=True)
class Uniform(Source):
    """Uniform numbers, with a fault that the tests choose."""

    fault: str = ""
    fixed: ClassVar[bool] = False

    @property
    def shape(self):
        return 1 if self.fault == "shape" else (1,)

    @property
    def size(self):
        return 20.0 if self.fault == "size" else 20

    def train(self, key):
        if self.fault == "numpy":
            return np.random.default_rng(int(jax.random.bits(key))).uniform(size=(20, 1)).astype(np.float32)
        if self.fault == "missing":
            return jnp.asarray(np.load("not_there.npy"))
        x = jax.random.uniform(key, (40, 1))
        return x[x[:, 0] > 0.5][:20] if self.fault == "mask" else x[:20]

    def test(self, key):
        return jax.random.uniform(key, (20, 1))

    def draw(self, key, n, batch):
        return jax.random.uniform(jax.random.fold_in(key, batch), (n, 1))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shape", "source Uniform: shape is 1; expected a tuple of whole numbers"),
        ("size", "source Uniform: size is 20.0; expected a whole number"),
        ("numpy", r"test_broken_kinds.py:\d+ \(train\): expected operations that JAX can compile"),
        ("mask", r"test_broken_kinds.py:\d+ \(train\): expected operations that JAX can compile"),
        ("missing", r"source Uniform: test_broken_kinds.py:\d+ \(train\) failed on tiny data with FileNotFoundError"),
    ],
)
def test_a_source_that_breaks_its_contract_is_refused_by_the_study_too(fault, message):
    sc.check(Uniform())
    with pytest.raises(ConfigError, match=f"^{message}"):
        sc.check(Uniform(fault))
    with pytest.raises(ConfigError, match=message):
        sc.Study(Uniform(fault), Gaussian(), Replace())


def test_a_fixed_source_names_its_data_by_a_checksum():
    versioned = type("Versioned", (Uniform,), {"fixed": True, "fingerprint": lambda self: "v1"})
    with pytest.raises(ConfigError, match=r"^source Versioned: fingerprint\(\) is 'v1'; return the sha256"):
        sc.check(dataclasses.dataclass(frozen=True)(versioned)())


def test_a_recipe_is_a_frozen_dataclass_that_can_be_hashed():
    rows = [("rows", list, dataclasses.field(default_factory=list))]
    mutable = dataclasses.make_dataclass("Mutable", rows, bases=(Count,), frozen=True)
    with pytest.raises(ConfigError, match=r"^metric Mutable: fields must be hashable, got rows \(list\); use tuples"):
        sc.check(mutable(rows=[1]))
    sc.check(type("Renamed", (Count,), {})())
    # Without the decorator, the field would not be one: two different recipes would be the same run.
    plain = type("Plain", (Count,), {"width": 3, "__annotations__": {"width": int}})
    for use in (sc.check, lambda metric: sc.Study(Normal(n=10), Gaussian(), Replace(), metrics=[metric])):
        with pytest.raises(ConfigError, match=r"^metric Plain: expected a frozen dataclass; write @dataclasses"):
            use(plain())


def test_a_class_that_is_not_complete_is_refused_where_it_is_registered():
    unfinished = dataclasses.dataclass(frozen=True)(type("Unfinished", (Family,), {}))
    with pytest.raises(ConfigError, match=r"^register: family Unfinished lacks advance, begin, init; define"):
        sc.register("family", "unfinished", unfinished)


def test_an_error_in_the_constructor_is_no_reason_to_skip_the_contract():
    def fails(cls):
        raise TypeError("no tiny today")

    tiny = dataclasses.dataclass(frozen=True)(type("Tiny", (Count,), {"tiny": classmethod(fails)}))
    with pytest.raises(ConfigError, match=r"^register: metric Tiny: .*TypeError: no tiny today"):
        sc.register("metric", "tiny_count", tiny)
