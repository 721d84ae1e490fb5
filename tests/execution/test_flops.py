"""Counting what networks cost: against closed forms, published counts, and the loop itself."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from selfconsume.execution import flops
from selfconsume.execution.schedule import pending
from selfconsume.families.ddpm import DDPM
from selfconsume.families.edm import EDM
from selfconsume.families.otcfm import OTCFM
from selfconsume.models.nets import Network
from selfconsume.models.nets.unet import SIZES, Sizes
from selfconsume.study.study import Study

MOONS = {"kind": "two_moons", "n": 30, "n_test": 10}


def test_a_perceptron_takes_two_operations_a_weight():
    counted = flops.network(OTCFM(width=256, depth=4), (2,))
    weights = 11 * 256 + 3 * 256**2 + 256 * 2
    assert counted.parameters == weights + 4 * 256 + 2
    assert counted.forward == pytest.approx(2 * weights, rel=0.05)


def test_the_network_of_ddpm_takes_what_is_published():
    """6.1 billion multiply-adds, Fang et al. 2023, arXiv:2305.10924, table 1; here borders of zeros are not counted."""
    counted = flops.network(DDPM(net="ddpm_32", batch=1), (32, 32, 3))
    assert counted.forward / 2 == pytest.approx(6.1e9, rel=0.06)


def test_what_a_gradient_keeps_grows_with_the_batch_and_falls_with_its_parts(monkeypatch):
    monkeypatch.setitem(SIZES, "tiny", Sizes(8, (1,), 1, ()))
    whole, half, parts = (
        flops.network(EDM(net="tiny", batch=batch, grad_accumulation=parts), (8, 8, 1)).activation_bytes
        for batch, parts in ((8, 1), (4, 1), (8, 2))
    )
    assert parts == half and 1.8 < whole / half < 2


@pytest.mark.parametrize(
    "family",
    [
        EDM(steps=3),
        EDM(steps=2, S_churn=1.0),
        DDPM(T=21, steps=5),
        OTCFM(solver="euler", steps=3),
        OTCFM(solver="midpoint", steps=3),
        OTCFM(solver="heun", steps=3),
    ],
    ids=lambda family: f"{type(family).__name__}-{family.evaluations}",
)
def test_samples_take_as_many_evaluations_as_they_are_said_to(family):
    seen = []

    class Counting(Network):
        weight: jax.Array

        def __call__(self, x, condition, training=None):
            jax.debug.callback(lambda _: seen.append(1), condition)
            return self.weight * x

    generator = dataclasses.replace(family.init(jax.random.key(0), (2,)), net=Counting(jnp.ones(())))
    jax.block_until_ready(jax.jit(lambda generator: generator.sample_scaled(jax.random.key(0), 2))(generator))
    jax.effects_barrier()
    assert len(seen) == family.evaluations


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_a_study_is_the_sum_of_its_fits_and_samples(layout, start):
    family = {"kind": "edm", "width": 8, "depth": 1, "batch": 10, "steps": 2, "updates": 5, "updates_from_scratch": 20}
    study = Study(MOONS, family, {"kind": "replace"}, generations=4, seeds=2, start=start)
    forward = flops.network(study.cells[0].run.family, (2,)).forward
    counted = flops.total(pending(study, None, layout))
    updates = {"warm": 20 + 3 * 5, "cold": 4 * 20}[start]
    assert counted.training == pytest.approx(2 * updates * 10 * 3 * forward)
    assert counted.sampling == pytest.approx(2 * 4 * 30 * 3 * forward) and not counted.adaptive


def test_generation_zero_counts_once_where_it_is_shared(layout, monkeypatch):
    monkeypatch.setitem(SIZES, "tiny", Sizes(8, (1,), 1, ()))
    family = {
        "kind": "otcfm",
        "batch": 4,
        "pairing_block": 4,
        "updates": 1,
        "updates_from_scratch": 50,
        "solver": "dopri5",
    }
    axes = {"regime": [{"kind": "replace"}, {"kind": "mix"}, {"kind": "real_only"}]}
    source = {"kind": "digits", "form": "image", "n": 30, "n_test": 10}
    study = Study(source, family, None, [], axes, generations=3, seeds=1, start="warm")
    counted = flops.total(pending(study, None, layout))
    forward = flops.network(study.cells[0].run.family, (8, 8, 1)).forward
    assert counted.training == pytest.approx((50 + 3 * 2) * 4 * 3 * forward)
    assert counted.adaptive and not counted.sampling
    first, second = flops.lines(pending(study, None, layout))
    assert "to train, at 100 TFLOP/s under a minute, plus sampling by adaptive solvers" in first
    assert "parameters" in second


def test_families_without_such_networks_cost_nothing_here(layout):
    study = Study(MOONS, {"kind": "gaussian"}, {"kind": "replace"}, generations=2, seeds=1)
    assert flops.lines(pending(study, None, layout)) == []
