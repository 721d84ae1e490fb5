"""E-values against simulation and independent formulas, and false alarms of a study that is extended again and again."""

import numpy as np
import polars as pl
import pytest
from scipy import integrate, stats

from selfconsume.analysis.anytime import EFFECTS, looks, sign_e_value, t_e_value, watch
from selfconsume.errors import ConfigError


def tidy(values, metric="distance"):
    """A tidy table of ``{regime: (seeds, generations)}``."""
    rows = [
        (regime, seed, regime, t, metric, float(value))
        for regime, chains in values.items()
        for seed, chain in enumerate(chains)
        for t, value in enumerate(chain)
    ]
    frame = pl.DataFrame(rows, ["run", "seed", "regime", "generation", "metric", "value"], orient="row")
    return frame.with_columns(pl.lit("ok").alias("status"))


@pytest.mark.parametrize("n", [2, 5, 12])
def test_the_e_value_is_the_ratio_of_densities_of_the_t_statistic(n):
    x = np.random.default_rng(n).normal(0.7, 1.0, n)
    t = stats.ttest_1samp(x, 0.0).statistic
    expected = np.mean([stats.nct.pdf(t, n - 1, effect * np.sqrt(n)) for effect in EFFECTS]) / stats.t.pdf(t, n - 1)
    assert t_e_value(x) == pytest.approx(expected, rel=1e-6)
    assert t_e_value(1e6 * x) == pytest.approx(t_e_value(x), rel=1e-6)


def test_its_mean_under_the_null_is_one():
    def integrand(t):
        x = np.array([1.0, -1.0, 0.0, 0.5, -0.5])
        x = x - x.mean() + t * x.std(ddof=1) / np.sqrt(5)
        return t_e_value(x) * stats.t.pdf(t, 4)

    total = integrate.quad(integrand, -np.inf, np.inf, limit=200)[0]
    assert total == pytest.approx(1, rel=1e-4)


def test_the_sign_e_value_is_the_mixture_and_has_mean_one():
    def mixture(k, n):
        return 2 * integrate.quad(lambda p: (2 * p) ** k * (2 * (1 - p)) ** (n - k), 0.5, 1)[0]

    values = [sign_e_value(np.r_[np.ones(k), -np.ones(6 - k), 0.0]) for k in range(7)]
    assert values == pytest.approx([mixture(k, 6) for k in range(7)])
    assert stats.binom.pmf(np.arange(7), 6, 0.5) @ values == pytest.approx(1)


def test_looks_share_alpha():
    chosen = list(looks(100_000))
    assert [t for t, _ in chosen[:9]] == [1, 2, 3, 4, 6, 8, 12, 16, 24]
    assert 0.95 < sum(share for _, share in chosen) < 1
    assert list(looks(0)) == [] and len(list(looks(5))) == 4


def autoregressive(rng, shape, phi=0.9):
    x = rng.standard_normal(shape)
    for t in range(1, shape[-1]):
        x[..., t] = phi * x[..., t - 1] + np.sqrt(1 - phi**2) * x[..., t]
    return x


@pytest.mark.parametrize("e_value", ["t", "sign"])
def test_false_alarms_of_a_study_that_is_extended_a_hundred_times(e_value):
    """100 stationary studies of 8 seeds, looked at after each generation: 5 % allow 5; a repeated test alarms in most."""
    rng = np.random.default_rng(0)
    alarms, repeated = 0, 0
    for _ in range(100):
        base, cell = autoregressive(rng, (2, 8, 101))
        table = watch(tidy({"real_only": base, "cell": cell}), {"distance": "lower"}, e_value=e_value)
        alarms += table["word"].to_list() == ["worse"]
        p = stats.ttest_1samp(cell[:, 1:] - base[:, 1:], 0.0, alternative="greater").pvalue
        repeated += p.min() <= 0.05
    assert alarms <= 5 and repeated >= 50


def test_an_alarm_stands_and_names_its_generation():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((10, 25))
    cell = base + 0.3 * rng.standard_normal((10, 25)) + 0.3 * np.arange(25)
    frame = tidy({"real_only": base, "cell": cell})
    (row,) = watch(frame, {"distance": "lower"}).to_dicts()
    assert row["word"] == "worse" and row["p_study"] <= 0.05 and row["pairs"] == 10 and row["last_look"] == 24
    first = row["generation"]
    (shorter,) = watch(frame.filter(pl.col("generation") < first), {"distance": "lower"}).to_dicts()
    assert shorter["word"] == "not shown" and shorter["generation"] is None
    (longer,) = watch(frame.filter(pl.col("generation") <= first), {"distance": "lower"}).to_dicts()
    assert longer["generation"] == first
    assert watch(frame, {"distance": "higher"})["word"].to_list() == ["not shown"]


def test_more_cells_share_the_error():
    rng = np.random.default_rng(2)
    base = rng.standard_normal((6, 5))
    cells = {f"cell{i}": base + 1.0 + 0.5 * rng.standard_normal((6, 5)) for i in range(3)}
    table = watch(tidy({"real_only": base, **cells}), {"distance": "lower"})
    assert (table["p_study"] >= table["p_anytime"]).all() and len(table) == 3
    alone = watch(tidy({"real_only": base, "cell0": cells["cell0"]}), {"distance": "lower"})
    assert alone["p_anytime"][0] == table["p_anytime"][0] and alone["p_study"][0] <= table["p_study"][0]


def test_without_a_direction_nothing_is_watched():
    with pytest.raises(ConfigError, match="better direction"):
        watch(tidy({"replace": np.zeros((2, 3))}), {"distance": None})
