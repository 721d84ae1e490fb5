"""Toy sources against the definitions they name: scikit-learn, FFJORD, scipy."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_moons, make_swiss_roll

from selfconsume.loop.keys import Role, key_at
from selfconsume.sources.checkerboard import Checkerboard
from selfconsume.sources.eight_gaussians import EightGaussians
from selfconsume.sources.gaussian import Gaussian
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.sources.swiss_roll import SwissRoll
from selfconsume.sources.two_moons import TwoMoons

N = 5000
KEY = key_at(3, 0, Role.TRAIN)
ALL = (Gaussian, GaussianMixture, EightGaussians, TwoMoons, SwissRoll, Checkerboard)


def ffjord_eight_gaussians(rng, n):
    angle = rng.integers(8, size=n) * np.pi / 4
    return (4 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.5 * rng.normal(size=(n, 2))) / 1.414


def ffjord_checkerboard(rng, n):
    x = rng.uniform(-2, 2, size=n)
    y = rng.uniform(size=n) - 2 * rng.integers(2, size=n) + np.floor(x) % 2
    return 2 * np.stack([x, y], axis=1)


REFERENCES = {
    "gaussian": (Gaussian(dim=2, mean=1.0, std=2.0), lambda rng, n: rng.normal(1.0, 2.0, size=(n, 2))),
    "gaussian_mixture": (
        GaussianMixture(k=4, separation=3.0, std=0.7),
        lambda rng, n: rng.choice([-1.5, 1.5], size=(n, 2)) + 0.7 * rng.normal(size=(n, 2)),
    ),
    "eight_gaussians": (EightGaussians(), ffjord_eight_gaussians),
    "two_moons": (TwoMoons(), lambda rng, n: make_moons(n, noise=0.1, random_state=0)[0]),
    "swiss_roll": (SwissRoll(), lambda rng, n: make_swiss_roll(n, noise=1.0, random_state=0)[0][:, [0, 2]] / 5),
    "checkerboard": (Checkerboard(), ffjord_checkerboard),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_source_has_the_distribution_that_it_names(kind):
    """Kolmogorov-Smirnov on projections in eight directions, which together tell two laws in the plane apart."""
    source, reference = REFERENCES[kind]
    x = np.asarray(jax.jit(dataclasses.replace(source, n=N).train)(KEY))
    y = reference(np.random.default_rng(0), N)
    for angle in np.arange(8) * np.pi / 8 + 0.1:
        direction = np.array([np.cos(angle), np.sin(angle)])
        assert scipy.stats.ks_2samp(x @ direction, y @ direction).pvalue > 1e-4


@pytest.mark.parametrize("kind", ALL)
def test_the_roles_of_data_are_independent_samples_of_the_truth(kind):
    source = dataclasses.replace(kind.tiny(), n_test=7)
    source.check()

    @jax.jit
    def give(key, batch):
        fresh = [source.draw(key, 5, b) for b in (0, 1, batch)]
        return source.train(key), source.truth().sample(key, source.size), source.test(key), *fresh

    train, truth, test, first, second, traced = give(KEY, 1)
    assert train.dtype == jnp.float32
    assert train.shape == (source.size, *source.shape)
    assert test.shape == (7, *source.shape)
    assert first.shape == (5, *source.shape)
    np.testing.assert_array_equal(train, truth)
    rows = np.concatenate([first, second, train])
    assert len(np.unique(rows, axis=0)) == len(rows)
    np.testing.assert_array_equal(second, traced)
    assert source.reserve is None and not source.fixed


def test_numbers_may_be_traced():
    """What lanes do: the same program for every radius, width and noise."""

    @jax.jit
    def build(number):
        return [
            Gaussian(n=3, mean=number, std=number).train(KEY),
            GaussianMixture(n=3, separation=number, std=number).train(KEY),
            EightGaussians(n=3, radius=number, std=number).modes(),
            TwoMoons(n=3, noise=number).train(KEY),
            SwissRoll(n=3, noise=number).train(KEY),
        ]

    one, two = build(1.0), build(2.0)
    for a, b in zip(one[:3], two[:3], strict=True):
        np.testing.assert_allclose(2 * a, b, rtol=1e-6)
    for a, b in zip(one[3:], two[3:], strict=True):
        assert not np.allclose(a, b)


def test_the_truth_of_a_gaussian_has_the_density_of_scipy():
    source = Gaussian(dim=3, mean=-1.0, std=0.5)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    expected = scipy.stats.norm(-1.0, 0.5).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(eqx.filter_jit(source.truth().log_prob)(jnp.asarray(x)), expected, rtol=1e-4)


def test_the_ring_and_its_labels():
    source = EightGaussians(n=500, std=0.01)
    modes = np.asarray(source.modes())
    np.testing.assert_allclose(np.linalg.norm(modes, axis=1), 2 * np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(modes - np.roll(modes, 1, axis=0), axis=1), 2.1648, rtol=1e-4)
    x, labels = (np.asarray(jax.jit(part)(KEY)) for part in (source.train, source.labels))
    # Six standard deviations: every example is next to the mode that its label names.
    assert np.linalg.norm(x - modes[labels], axis=1).max() < 0.06
    assert set(labels) == set(range(8))


@given(dim=st.integers(1, 5), k=st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_means_of_a_mixture_are_a_centred_lattice(dim, k):
    modes = np.asarray(GaussianMixture(dim=dim, k=k, separation=3.0).modes())
    assert modes.shape == (k, dim)
    np.testing.assert_allclose(modes.mean(axis=0), 0, atol=1e-5)
    distances = np.linalg.norm(modes[:, None] - modes[None], axis=-1)[~np.eye(k, dtype=bool)]
    if k > 1:
        assert distances.min() == pytest.approx(3.0, rel=1e-5)
    # Compact: no side is longer than the cube needs.
    side = next(s for s in range(1, 31) if s**dim >= k)
    assert np.ptp(modes, axis=0).max() == pytest.approx(3.0 * (side - 1), rel=1e-5)


def test_a_mixture_in_many_dimensions():
    source = GaussianMixture(dim=64, k=10, n=50)
    x, labels = (np.asarray(jax.jit(part)(KEY)) for part in (source.train, source.labels))
    # In 64 dimensions noise is 8 long on average; along the line between two means it is 1, so 5 apart is clear.
    modes = np.asarray(source.modes())
    nearest = np.linalg.norm((x[:, None] - modes)[:, :, :4], axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.8


def test_moons_without_noise_lie_on_their_half_circles():
    source = TwoMoons(n=200, noise=0.0)
    x, labels = (np.asarray(jax.jit(part)(KEY)) for part in (source.train, source.labels))
    inner = labels == 1
    assert 50 < inner.sum() < 150
    np.testing.assert_allclose(np.linalg.norm(x[~inner], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(x[inner] - [1, 0.5], axis=1), 1, rtol=1e-5)
    assert x[~inner, 1].min() >= -1e-6 and x[inner, 1].max() <= 0.5 + 1e-6


def test_the_checkerboard_is_uniform_on_its_dark_squares():
    source = Checkerboard(n=N)
    x, truth = jax.jit(source.train)(KEY), source.truth()
    np.testing.assert_allclose(jax.jit(truth.log_prob)(x), -np.log(32), rtol=1e-6)
    squares, counts = np.unique(np.floor(np.asarray(x) / 2), axis=0, return_counts=True)
    assert len(squares) == 8
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    side = np.arange(-5, 5, 0.1) + 0.05
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    assert np.exp(truth.log_prob(jnp.asarray(grid, jnp.float32))).sum() * 0.1**2 == pytest.approx(1, rel=1e-4)
