"""Recipes of your own are held to the contract where they are registered; every kind of the package keeps it."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import selfconsume as sc
from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.types import Family, FitState, Generator, Metric, Plan, Regime, Source

ROLES = ("family", "metric", "regime", "source", "curation", "extractor")
ALIAS = "representation"
"""The extractor that stands for a run's representation, which keeps a contract of its own."""


@pytest.mark.parametrize(
    ("role", "kind"), [(role, kind) for role in ROLES for kind in registry.kinds(role) if kind != ALIAS]
)
def test_every_kind_keeps_its_contract(tiny, role, kind):
    sc.check(tiny(role, kind))


class Shifted(Generator):
    mean: jax.Array

    def sample(self, key, n):
        return self.mean + jax.random.normal(key, (n, *self.mean.shape))


@dataclasses.dataclass(frozen=True)
class Mean(Family):
    """A Gaussian of variance 1 around a mean, computed in a way that the tests choose."""

    rule: str = "weighted"

    def init(self, key, shape):
        return Shifted(jnp.zeros(shape))

    def begin(self, key, x, weight, start):
        rows = weight[:, None] > 0
        means = {
            "weighted": lambda: (weight[:, None] * x).sum(0) / weight.sum(),
            "careless": lambda: x.mean(0),
            "present": lambda: jnp.where(rows, x, 0).sum(0) / rows.sum(),
            "half": lambda: (jnp.sqrt(weight)[:, None] * x).sum(0) / weight.sum(),
            "host": lambda: jnp.asarray(np.asarray(x).mean(0)),
            "branch": lambda: x[0] if weight[0] > 0 else x[1],
        }
        return FitState(Shifted(means[self.rule]()), None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)

    def advance(self, state, updates):
        return dataclasses.replace(state, iteration=state.iteration + updates)


def test_a_family_that_weighs_its_rows_passes():
    sc.check(Mean())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("careless", "^family Mean: its fit changes with rows of weight 0"),
        ("half", "^family Mean: weight 2 is not the example twice"),
        ("host", "expected operations that JAX can compile"),
        ("branch", "expected operations that JAX can compile"),
    ],
)
def test_a_family_that_cheats_is_refused_by_name(rule, message):
    with pytest.raises(ConfigError, match=message):
        sc.check(Mean(rule))


@dataclasses.dataclass(frozen=True)
class Halves(Regime):
    """Half of each of the latest two generations."""

    lookback: int | None = 2
    blocks: int = 2
    growing: bool = False
    fixed_block_use: ClassVar[bool] = True

    def plan(self, t, n_real, n_synthetic):
        synthetic = [n_synthetic // 2] * min(t, self.blocks)
        if self.growing:
            synthetic = [n_synthetic // (1 + age) for age in range(min(t, self.blocks))]
        return Plan(counts=(n_real, *synthetic), weight=(1.0,) * (1 + len(synthetic)))


def test_a_regime_whose_plans_are_possible_passes():
    sc.check(Halves())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blocks": 3}, "plan of generation 3: 3 synthetic blocks are used, but 2 are kept"),
        ({"growing": True}, r"plan of generation 2: \d+ samples of generation 0 are used, but \d+ were used before"),
    ],
)
def test_a_regime_that_contradicts_itself_is_refused_by_name(fields, message):
    with pytest.raises(ConfigError, match=f"^regime Halves, {message}"):
        sc.check(Halves(**fields))


@dataclasses.dataclass(frozen=True)
class Spread(Metric):
    """Log standard deviation of the first coordinate, in a way that the tests choose."""

    rule: str = "floored"

    def prepare(self, key, source):
        return source.test(key).std()

    def __call__(self, key, generation, prepared):
        x, valid = generation.samples[:, 0], generation.valid
        if self.rule == "all rows":
            return {"spread": x.std()}
        mean = jnp.where(valid, x, 0).sum() / valid.sum()
        variance = jnp.where(valid, (x - mean) ** 2, 0).sum() / valid.sum()
        return {"spread": jnp.log(variance if self.rule == "log" else jnp.maximum(variance, 1e-12)) - jnp.log(prepared)}


def test_a_metric_that_is_defined_everywhere_passes():
    sc.check(Spread())


@pytest.mark.parametrize("better", ["low", {"spread": "Lower"}])
def test_a_metric_whose_direction_is_misspelt_is_refused_by_name(better):
    misspelt = type("Misspelt", (Spread,), {"better": better})
    with pytest.raises(
        ConfigError, match=r"^metric Misspelt: better is '[Ll]ow.*'; expected 'lower', 'higher' or None$"
    ):
        sc.check(misspelt())


@pytest.mark.parametrize(
    ("rule", "message"),
    [("log", "'spread' is -inf on a point mass"), ("all rows", "its value changes with invalid samples")],
)
def test_a_metric_that_is_undefined_at_collapse_is_refused_by_name(rule, message):
    with pytest.raises(ConfigError, match=f"^metric Spread: {message}"):
        sc.check(Spread(rule))


@dataclasses.dataclass(frozen=True)
class Line(Source):
    """Uniform numbers, with a fault that the tests choose."""

    rule: str = "sound"

    @property
    def shape(self):
        return (1,)

    @property
    def size(self):
        return 20

    def train(self, key):
        return jax.random.uniform(key, (19 if self.rule == "short" else 20, 1))

    def test(self, key):
        return jax.random.uniform(key, (20, 1))

    def draw(self, key, n, batch):
        return jax.random.uniform(key if self.rule == "same" else jax.random.fold_in(key, batch), (n, 1))


def test_a_source_that_keeps_its_roles_apart_passes():
    sc.check(Line())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("short", r"train has shape \(19, 1\); expected \(20, 1\)"),
        ("same", "draw, batch 0 and draw, batch 1 share examples"),
    ],
)
def test_a_source_that_repeats_examples_is_refused_by_name(rule, message):
    with pytest.raises(ConfigError, match=f"^source Line: {message}"):
        sc.check(Line(rule))


def test_only_recipes_are_checked():
    with pytest.raises(
        ConfigError,
        match=r"^check: expected an instance of one of the roles source, representation, family, .*metric, got int",
    ):
        sc.check(3)


def test_registering_a_family_that_ignores_weights_is_refused():
    """It gave the numbers of `mix` under the label `replace`."""
    with pytest.raises(ConfigError, match="rows of weight 0"):
        sc.register("family", "careless_mean", Careless)
    assert "careless_mean" not in registry.kinds("family")


@dataclasses.dataclass(frozen=True)
class Careless(Mean):
    """A mean that ignores weights."""

    rule: str = "careless"


def test_a_study_checks_a_family_that_was_never_registered():
    with pytest.raises(ConfigError, match="rows of weight 0"):
        sc.Study(source=sc.source("gaussian", n=20), family=Careless(), regime=sc.regime("replace"))


@dataclasses.dataclass(frozen=True)
class Absent(Line):
    """A line whose file is not there yet."""

    def train(self, key):
        return jnp.asarray(np.load("absent.npy"))


def test_a_source_is_registered_before_its_file_is_there(monkeypatch):
    monkeypatch.setitem(registry._KINDS, "source", dict(registry._KINDS["source"]))
    sc.register("source", "absent", Absent)
    assert "absent" in registry.kinds("source")
