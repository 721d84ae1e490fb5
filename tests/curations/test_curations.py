"""Curations by themselves; what they do to generations is in papers/test_curation_papers.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from selfconsume.curations.bradley_terry import BradleyTerry
from selfconsume.curations.correction import Correction
from selfconsume.curations.top_q import TopQ
from selfconsume.curations.verifier import Verifier
from selfconsume.errors import ConfigError
from selfconsume.families.edm import EDM
from selfconsume.families.gaussian import Gaussian
from selfconsume.models.distributions.exact import Normal
from selfconsume.models.distributions.linear_model import NoisyHalfSpace
from selfconsume.sources.digits import Digits
from selfconsume.sources.eight_gaussians import EightGaussians
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.sources.linear import HalfSpace, Linear
from selfconsume.theory.closed_forms.selection import bradley_terry

N = 4000
NORMAL = Normal(jnp.zeros(2), jnp.eye(2))
SOURCE = Source(dim=2, n=50)


def curated(curation, n=N, generator=NORMAL, source=SOURCE, broken=0):
    candidates, choice = jax.random.split(jax.random.key(3))
    x = generator.sample(candidates, curation.candidates(n))
    valid = jnp.arange(len(x)) >= broken
    x = jnp.where(valid[:, None], x, 0)
    kept, there = curation.choose(choice, x, valid, n, generator, source)
    assert kept.shape == (n, *x.shape[1:]) and there.shape == (n,)
    assert (np.asarray(kept)[~np.asarray(there)] == 0).all()
    rows = {tuple(row) for row in np.asarray(x)}
    if not isinstance(curation, Correction):
        assert all(tuple(row) in rows for row in np.asarray(kept)[np.asarray(there)])
    return np.asarray(x), np.asarray(kept), np.asarray(there)


@pytest.mark.parametrize("q", [1.0, 0.5, 0.03])
def test_top_q_keeps_the_best_share_in_order(q):
    x, kept, there = curated(TopQ(q=q))
    assert there.all()
    best = np.argsort(-x[:, 0], kind="stable")[:N]
    np.testing.assert_array_equal(kept, x[np.sort(best)])


def test_truncation_by_density_keeps_the_middle():
    """Half of a standard normal in two dimensions lies within radius sqrt(2 log 2)."""
    _, kept, _ = curated(TopQ(q=0.5, reward="density"))
    radius = np.linalg.norm(kept, axis=1).max()
    assert radius == pytest.approx(np.sqrt(2 * np.log(2)), abs=0.05)
    np.testing.assert_array_equal(kept, curated(TopQ(q=0.5, reward="near"))[1])


def test_a_user_picks_by_bradley_terry_odds():
    """Frequencies of three categories against the closed form, chi-square at one in ten thousand."""
    p, reward = np.array([0.5, 0.3, 0.2]), (0.0, 1.0, 2.0)
    x = jnp.eye(3)[jax.random.categorical(jax.random.key(0), jnp.log(p), shape=(N * 3,))]
    curation = BradleyTerry(choices=3, coefficients=reward)
    kept, there = curation.choose(jax.random.key(1), x, jnp.ones(N * 3, bool), N, NORMAL, SOURCE)
    assert there.all()
    expected = N * bradley_terry(p, reward, 3)
    assert scipy.stats.chisquare(np.asarray(kept).sum(axis=0), expected).pvalue > 1e-4


def test_one_candidate_is_no_choice_and_scale_zero_no_preference():
    x, kept, _ = curated(BradleyTerry(choices=1))
    np.testing.assert_array_equal(kept, x)
    _, kept, _ = curated(BradleyTerry(choices=4, scale=0.0))
    assert abs(kept.mean()) < 4.5 / np.sqrt(kept.size)


def test_a_verifier_keeps_by_probability():
    """Of N(0,1): right are the positive; 0.9 of them and 0.3 of the others pass, so that 3/4 of what is kept is right."""
    _, kept, there = curated(Verifier(right="linear", keep_right=0.9, keep_wrong=0.3))
    assert there.all()
    share = (kept[:, 0] > 0).mean()
    assert abs(share - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / N)


def test_where_too_few_pass_the_rest_is_missing():
    _, kept, there = curated(Verifier(right="linear", threshold=1.5, oversample=2))
    assert 0.5 * N * 2 * 0.0668 < there.sum() < 2 * N * 2 * 0.0668
    assert (kept[there][:, 0] > 1.5).all()
    assert there[: there.sum()].all()  # what is there comes first


def test_right_is_near_a_mode():
    source = EightGaussians(n=50)
    generator = Normal(jnp.zeros(2), 2 * jnp.eye(2))
    _, kept, there = curated(Verifier(radius=0.5, oversample=20), source=source, generator=generator)
    distance = np.linalg.norm(kept[there][:, None] - np.asarray(source.modes()), axis=2).min(axis=1)
    assert there.all() and distance.max() <= 0.5


def test_labels_pass_by_whether_they_are_right():
    """Of labels of the opposite half-space with 0.3 flipped, 0.3 are right: 0.3 x 0.9 pass for 0.7 x 0.2."""
    source = HalfSpace(dim=2, n=50)
    generator = NoisyHalfSpace(-source.truth().coefficients, jnp.asarray(0.3))
    verifier = Verifier(right="label", keep_right=0.9, keep_wrong=0.2)
    _, kept, there = curated(verifier, source=source, generator=generator)
    assert there.all()
    share, expected = (kept[:, 2] == np.sign(kept[:, :2].sum(axis=1))).mean(), 0.27 / (0.27 + 0.14)
    assert abs(share - expected) < 4.5 * np.sqrt(expected * (1 - expected) / N)


def test_a_band_keeps_what_is_near_the_belief_of_the_verifier():
    source = Linear(dim=2, n=50)
    verifier = Verifier(right="band", coefficients=(1.0, -1.0), radius=0.5, threshold=0.25, oversample=20)
    x, kept, there = curated(verifier, source=source, generator=source.truth())
    residual, width = np.abs(x[:, 2] - x[:, :2] @ [1, -1]), 0.25 + 0.5 * np.linalg.norm(x[:, :2], axis=1)
    clear = np.abs(residual - width) > 1e-5
    assert there.all() and clear.all()
    np.testing.assert_array_equal(kept, x[residual <= width][:N])


def test_a_correction_replaces_a_share_by_the_truth():
    source = Source(dim=2, n=50, mean=100.0)
    for gamma in (0.0, 1.0, 3.0):
        x, kept, there = curated(Correction(gamma=gamma), source=source)
        true = kept[:, 0] > 50
        share = gamma / (1 + gamma)
        assert there.all() and abs(true.mean() - share) <= 4.5 * np.sqrt(share * (1 - share) / N)
        np.testing.assert_array_equal(kept[~true], x[~true])


@pytest.mark.parametrize("curation", [TopQ(), BradleyTerry(), Verifier(right="linear"), Correction()])
def test_candidates_that_are_not_finite_are_never_published(curation):
    """A zeroed row would otherwise win against negative rewards."""
    broken = curation.candidates(N) // 4
    _, kept, there = curated(curation, generator=Normal(jnp.full(2, -5.0), jnp.eye(2)), broken=broken)
    assert (kept[there] != 0).any(axis=1).all()


@pytest.mark.parametrize(
    ("curation", "source", "family", "message"),
    [
        (BradleyTerry(coefficients=(1.0,)), SOURCE, Gaussian(), "coefficients: expected 2 numbers"),
        (TopQ(reward="near", centre=(1.0,) * 3), SOURCE, Gaussian(), "centre: expected 2 numbers"),
        (TopQ(reward="density"), SOURCE, EDM.tiny(), "have a density"),
        (Verifier(), SOURCE, Gaussian(), "knows its modes"),
        (Verifier(right="linear", keep_right=0.0), SOURCE, Gaussian(), "nothing is kept; raise one"),
        (Verifier(right="label"), Linear(dim=2), Gaussian(), "use source.kind = 'half_space'"),
        (Verifier(right="label"), SOURCE, Gaussian(), "use source.kind = 'half_space'"),
        (Verifier(right="band", coefficients=(1.0, 1.0)), SOURCE, Gaussian(), "coefficients: expected 1 numbers"),
        (Verifier(right="band"), Source(dim=1), Gaussian(), "needs inputs and a label"),
        (Correction(), Digits(n=1000, n_test=500), Gaussian(), "left over"),
    ],
)
def test_what_cannot_be_is_refused(curation, source, family, message):
    with pytest.raises(ConfigError, match=message):
        curation.check(source, family, 500)
