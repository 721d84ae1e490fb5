"""Updates of EDM, OT-CFM and DDPM against the formulas of their papers, written out here in float64, with the papers' settings.

Loss, gradient, Adam and average of three updates in a row, on the same examples, noise and times. The network is the family's:
its formula is no part of the papers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.ddpm import DDPM
from selfconsume.families.edm import EDM
from selfconsume.families.otcfm import OTCFM

BATCH, UPDATES = 8, 3
X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
SMALL = {"batch": BATCH, "width": 8, "depth": 2, "schedule": "constant", "updates": 10, "warmup_from": "zero"}


def edm_loss(apply, family, z, batch):
    """Karras et al. 2022, eq. 2 with table 1, and the loss of their code: the sum over coordinates, the mean over examples."""
    deviation = family.sigma_data
    sigma = np.exp(4 * np.asarray(batch.condition, np.float64))[:, None]  # c_noise = ln(sigma) / 4
    c_skip = deviation**2 / (sigma**2 + deviation**2)
    c_out = sigma * deviation / np.sqrt(sigma**2 + deviation**2)
    c_in = 1 / np.sqrt(sigma**2 + deviation**2)
    y = deviation * z
    noisy = np.asarray(batch.x, np.float64) / c_in
    # What is called the target leads to the clean example.
    np.testing.assert_allclose(c_skip * noisy + c_out * np.asarray(batch.target), y, atol=1e-4)
    weight = (sigma**2 + deviation**2) / (sigma * deviation) ** 2

    def loss(net):
        denoised = c_skip * noisy + c_out * apply(net, c_in * noisy, np.log(sigma[:, 0]) / 4)
        return (weight * (denoised - y) ** 2).sum(axis=1).mean()

    return loss


def otcfm_loss(apply, family, z, batch):
    """Tong et al. 2024, eq. 5 and algorithm 3 with sigma = 0, the pairs drawn from the plan of the whole minibatch."""
    tau = np.asarray(batch.condition, np.float64)[:, None]
    x1 = np.asarray(batch.x, np.float64) + (1 - tau) * np.asarray(batch.target, np.float64)
    x0 = x1 - np.asarray(batch.target, np.float64)
    # Every pair ends at an example of the minibatch, and some example has several pairs and another none.
    distance = ((x1[:, None] - z[None]) ** 2).sum(axis=2)
    assert distance.min(axis=1).max() < 1e-9
    assert 1 < len(np.unique(distance.argmin(axis=1))) < BATCH

    def loss(net):
        return ((apply(net, (1 - tau) * x0 + tau * x1, tau[:, 0]) - (x1 - x0)) ** 2).mean()

    return loss


def ddpm_loss(apply, family, z, batch):
    """Ho et al. 2020, eq. 14, with their linear betas from 1e-4 to 0.02."""
    t = np.rint(np.asarray(batch.condition, np.float64) * 1000).astype(int)
    signal = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[t - 1][:, None]
    epsilon = np.asarray(batch.target, np.float64)
    x = np.sqrt(signal) * z + np.sqrt(1 - signal) * epsilon

    def loss(net):
        return ((apply(net, x, t / 1000) - epsilon) ** 2).mean()

    return loss


CASES = {
    "edm": (
        EDM(
            **SMALL,
            loss_over="sum",
            learning_rate=1e-3,
            warmup_images=4 * BATCH,
            ema_halflife_images=3 * BATCH,
            ema_ramp=False,
            nonfinite_gradients="zero",
        ),
        edm_loss,
        {"rates": [0, 0.25e-3, 0.5e-3], "decay": 2 ** (-1 / 3)},
    ),
    "otcfm": (
        OTCFM(
            **SMALL,
            learning_rate=2e-4,
            warmup_updates=5,
            clip_norm=1.0,
            ema=0.9999,
            ema_ramp=False,
            pairing_block=0,
            pairing_draw="replacement",
        ),
        otcfm_loss,
        {"rates": [0, 0.4e-4, 0.8e-4], "decay": 0.9999, "clip": 1.0},
    ),
    "ddpm": (
        DDPM(**SMALL, T=1000, learning_rate=2e-4, warmup_updates=2, clip_norm=1.0, ema=0.5, ema_ramp=False),
        ddpm_loss,
        {"rates": [0, 1e-4, 2e-4], "decay": 0.5, "clip": 1.0},
    ),
}


def flat(net):
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(net)])


@pytest.mark.parametrize("name", CASES)
def test_three_updates_are_those_of_the_paper(name):
    family, formula, facts = CASES[name]
    state = family.begin(jax.random.key(1), jnp.asarray(X), jnp.ones(len(X)), None)
    advance = jax.jit(lambda state: family.advance(state, 1))
    start = theta = average = flat(state.generator.net)
    m = v = np.zeros_like(theta)
    losses = []

    def apply(net, x, condition):
        return net(jnp.asarray(x, jnp.float32), jnp.asarray(condition, jnp.float32))

    for i in range(UPDATES):
        batches, scaling = state.data, state.generator.scaling
        z = scaling.encode(batches.x[batches.rows(jnp.asarray(i), BATCH)])
        batch = family.prepare(batches.key_at(jnp.asarray(i)), state.generator, z)
        loss = formula(apply, family, np.asarray(z, np.float64), batch)
        value, gradient = jax.value_and_grad(loss)(state.optimizer.net)
        losses.append(float(value))
        g = flat(gradient)
        if (norm := np.linalg.norm(g)) > facts.get("clip", np.inf):
            g = g * facts["clip"] / norm
        state = advance(state)
        np.testing.assert_allclose(state.loss, np.mean(losses), rtol=1e-5)
        # Kingma and Ba 2015, algorithm 1: moments of the paper's gradient ...
        moments = state.optimizer.moments[-1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        np.testing.assert_allclose(flat(moments.mu), m, rtol=0, atol=1e-5 * np.abs(m).max())
        np.testing.assert_allclose(flat(moments.nu), v, rtol=0, atol=1e-5 * v.max())
        # ... and the step along them. A gradient that is rounding has a sign that is: so from the moments as they are.
        m, v = flat(moments.mu), flat(moments.nu)
        theta = theta - facts["rates"][i] * m / (1 - 0.9 ** (i + 1)) / (np.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8)
        average = facts["decay"] * average + (1 - facts["decay"]) * theta
        np.testing.assert_allclose(flat(state.optimizer.net), theta, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(flat(state.generator.net), average, rtol=1e-5, atol=1e-7)
    # The first update of a warm-up from zero is none, and later ones are.
    assert facts["rates"][0] == 0 and np.abs(theta - start).max() > 1e-5
