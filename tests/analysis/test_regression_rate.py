"""The rate that runs show by themselves, where it is known."""

import numpy as np
import pytest

from selfconsume.analysis import regression_rate
from selfconsume.analysis.regression_rate import estimate_contraction, fit_slope, statistics
from selfconsume.execution import run_study
from selfconsume.families.gaussian import Gaussian
from selfconsume.regimes.mix import Mix
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.study.study import Study


def chains(rate, *, seeds=40, generations=12, k=3, shared=False, seed=0, own=0.0, unread=0.0):
    """Statistics of real sets, of training rows and of what comes of them.

    From the law that is assumed, unless a fit keeps something of the real set beyond these statistics (``own``, its standard
    deviation) or does not read some of the rows' chance (``unread``).
    """
    rng, more = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    real = np.zeros((seeds, k)) if shared else rng.normal(size=(seeds, k))
    centre = real + own * more.normal(size=(seeds, k))
    scale, model, trained, made = 10.0 ** np.arange(k), rng.normal(size=(seeds, k)), [], []
    for t in range(generations):
        rows = model + rng.normal(size=(seeds, k))
        model = np.sin(t) + rate * rows + (1 - rate) * centre + 0.3 * rng.normal(size=(seeds, k))
        rows = rows + unread * more.normal(size=(seeds, k))
        trained.append(rows * scale)
        made.append((model + rng.normal(size=(seeds, k))) * scale)
    return real * scale + 5, np.stack(trained, axis=1), np.stack(made, axis=1)


@pytest.mark.parametrize("shared", [False, True])
def test_the_interval_covers_the_rate(shared):
    found = [fit_slope(*chains(0.6, shared=shared, seeds=12, generations=6, seed=seed)) for seed in range(200)]
    covered = sum(each.low < 0.6 < each.high for each in found)
    # 190 of 200 expected; four standard deviations of a binomial count.
    assert abs(covered - 190) < 4 * (200 * 0.95 * 0.05) ** 0.5
    rates = np.array([each.rate for each in found])
    assert abs(rates.mean() - 0.6) < 4 * rates.std() / 200**0.5


def test_it_is_no_rate_where_means_and_products_are_not_what_a_fit_reads():
    """As the module says: what a seed keeps beyond them raises the slope, chance that is not read lowers it."""

    def mean(**law):
        return np.mean([fit_slope(*chains(0.2, seeds=12, generations=6, seed=seed, **law)).rate for seed in range(50)])

    assert mean() == pytest.approx(0.2, abs=0.03)
    # Given the real set, rows vary by 0.8^2 + 1 + 0.3^2 / (1 - 0.2^2) or so, and 0.8^2 of it stays with the seed.
    assert mean(own=1.0) > 0.4 and mean(unread=1.0) < 0.15


def test_too_little_gives_none():
    real, trained, made = chains(0.5, seeds=3)
    assert fit_slope(real, trained, made) is None
    alike = (np.repeat(each[:1], 20, axis=0) for each in (real, trained, made))
    assert fit_slope(*alike) is None


def test_statistics_are_means_over_valid_rows():
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    valid = np.array([[True] * 5, [True, False, True, False, False]])
    found = statistics(x, valid)
    a, b = x[1, [0, 2]].T
    np.testing.assert_allclose(found[1], [a.mean(), b.mean(), (a * a).mean(), (a * b).mean(), (b * b).mean()])
    np.testing.assert_allclose(found[0, :2], x[0].mean(axis=0))


def test_the_real_loop(tmp_path, layout):
    """Gaussians in the plane: maximum likelihood matches means and products, so that λ/(1+λ) holds for all of them."""
    axes = {"regime.ratio": [0.25, 1.0]}
    study = Study(Source(dim=2, n=100), Gaussian(), Mix(1.0), axes=axes, generations=8, seeds=60)
    store = run_study.execute(study, tmp_path / "out", layout=layout)
    for cell, rate in zip(study.cells, (0.2, 0.5), strict=True):
        found = estimate_contraction(store, cell, layout=layout)
        # The interval is of 95 %; a third more on each side makes both hold together, in all but one case of 100.
        slack = (found.high - found.low) / 6
        assert found.low - slack < rate < found.high + slack and found.high - found.low < 0.25
        assert found.seeds == 60


@pytest.mark.parametrize(
    "change",
    [
        {"regime": {"kind": "replace"}},
        {"regime": {"kind": "mix", "ratio": 0.0}},
        {"seeds": 9},
        {"generations": 2},
    ],
    ids=str,
)
def test_none_where_it_is_not_defined(change, tmp_path, layout):
    given = {"source": Source(n=20), "family": Gaussian(), "regime": Mix(1.0), "seeds": 12, "generations": 3}
    study = Study(**{**given, **change})
    store = run_study.execute(study, tmp_path / "out", layout=layout)
    assert estimate_contraction(store, study.cells[0], layout=layout) is None


def test_none_in_many_dimensions(tmp_path, layout, monkeypatch):
    study = Study(Source(n=20), Gaussian(), Mix(1.0), seeds=12, generations=3)
    store = run_study.execute(study, tmp_path / "out", layout=layout)
    assert estimate_contraction(store, study.cells[0], layout=layout) is not None
    monkeypatch.setattr(regression_rate, "MAX_COORDINATES", 0)
    assert estimate_contraction(store, study.cells[0], layout=layout) is None


def test_samples_that_were_not_kept_are_drawn_again(tmp_path, layout):
    options = {"generations": 4, "seeds": 12}
    kept = [
        Study(Source(n=20), Gaussian(), Mix(1.0), **options, keep=keep) for keep in ("all", "generators", "samples")
    ]
    rates = [
        estimate_contraction(
            run_study.execute(study, tmp_path / study.settings.keep, layout=layout), study.cells[0], layout=layout
        )
        for study in kept
    ]
    assert rates[0] == rates[1] == rates[2] is not None
