import numpy as np
import pytest
import scipy.stats

from selfconsume.theory.closed_forms import drift


@pytest.mark.parametrize("initial", ["fit", "truth"])
def test_diversity_and_fixation_against_sampling(agree, initial):
    rng = np.random.default_rng(0)
    truth, n, runs = np.array([0.5, 0.3, 0.2]), 12, 20_000
    p = rng.multinomial(n, truth, size=runs) / n if initial == "fit" else np.tile(truth, (runs, 1))
    time = np.zeros(runs)
    for t in range(400):
        if t in (0, 1, 5):
            agree(1 - (p**2).sum(axis=1), drift.diversity(t, truth, n, initial=initial))
            agree((p * (1 - p))[:, 1], drift.category_variance(t, 0.3, n, initial=initial))
        time += p.max(axis=1) < 1
        p = rng.multinomial(n, p) / n
    assert (p.max(axis=1) == 1).all()
    agree(p.T, drift.fixation_probability(truth))
    if initial == "truth":
        # What the approximation is documented to be off by, and 4.5 standard errors.
        excess = drift.fixation_time(truth, n) - time.mean()
        assert abs(excess - 1.5) < 1.0 + 4.5 * time.std() / runs**0.5


def test_fixation_time_against_the_exact_chain():
    n = 60
    counts = np.arange(n + 1)
    chain = scipy.stats.binom.pmf(counts, n, counts[:, None] / n)[1:-1, 1:-1]
    exact = np.linalg.solve(np.eye(n - 1) - chain, np.ones(n - 1))
    approximate = [drift.fixation_time([k / n, 1 - k / n], n) for k in range(1, n)]
    assert (approximate > exact).all() and (approximate - exact).max() < 2.0
    assert exact.max() > 80


def test_certain_and_impossible_categories():
    assert drift.fixation_time([1.0, 0.0], 50) == 0.0
    assert drift.fixation_time([0.5, 0.5, 0.0], 50) == pytest.approx(drift.fixation_time([0.5, 0.5], 50))
    with pytest.raises(ValueError, match="sum 1"):
        drift.diversity(1, [0.5, 0.2], 10)


def test_the_chances_of_survival_add_up_to_the_vocabulary():
    p, t = np.array([0.6, 0.3, 0.08, 0.02]), np.arange(30)
    for initial in ("truth", "fit"):
        total = sum(drift.survival_probability(t, share, 40, initial=initial) for share in p)
        np.testing.assert_allclose(total, drift.expected_vocabulary(t, p, 40, initial=initial), rtol=1e-12)


def test_a_rare_category_lasts_in_proportion_to_its_count():
    """Feller's diffusion: 1 - exp(-2 count / refits), whatever the count, up to (log count) / count and the share."""
    chances = [drift.survival_probability(2 * count, count / 2000, 2000) for count in (20, 40, 80)]
    np.testing.assert_allclose(chances, 1 - np.exp(-1), atol=0.02)
