"""Log densities of models outside JAX: metrics of the density work with them, and are refused without."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.models.external.workers import VARIABLE

MODEL = """
import numpy as np

class Normal:
    def fit(self, x, *, seed):
        return np.stack([x.mean(0), x.std(0)])

    def sample(self, model, n, seed):
        return model[0] + model[1] * np.random.default_rng(seed).normal(size=(n, model.shape[1]))

    def log_prob(self, model, x):
        return -0.5 * (((x - model[0]) / model[1]) ** 2 + np.log(2 * np.pi * model[1] ** 2)).sum(1)
"""
LIKELIHOOD = [{"kind": "log_likelihood"}]


def study(family, metrics=LIKELIHOOD, source="gaussian", **settings):
    axes = {"regime": [{"kind": "replace"}, {"kind": "mix", "ratio": 1.0}]}
    settings = {"generations": 3, "seeds": 2, **settings}
    return sc.Study({"kind": source, "n": 40}, family, None, metrics, axes, **settings)


@pytest.fixture
def family(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return {"kind": "python", "object": f"{path}:Normal"}


def values(results):
    return results.table().filter(metric="log_likelihood")["value"].to_numpy()


def test_a_host_model_has_the_likelihood_of_the_same_model_in_jax(family, tmp_path):
    """Generation 0 of both is the maximum-likelihood Gaussian of the same real set (independent coordinates: dim 1)."""
    host, inside = (
        sc.run(
            sc.Study(
                sc.source("gaussian", n=40, dim=1),
                chosen,
                None,
                LIKELIHOOD,
                {"regime": [sc.regime("replace")]},
                generations=1,
                seeds=3,
            ),
            tmp_path / name,
        ).table()
        for name, chosen in (
            ("host", sc.family(**{"kind": "python", **family})),
            ("jax", sc.family("gaussian", estimator="ml")),
        )
    )
    np.testing.assert_allclose(host["value"], inside["value"], rtol=1e-5)


def test_workers_and_continuation_change_no_likelihood(family, tmp_path, monkeypatch):
    whole = sc.run(study(family), tmp_path / "whole")
    assert np.isfinite(values(whole)).all() and len(values(whole)) == 12
    monkeypatch.setenv(VARIABLE, "2")
    sc.run(study(family, generations=1, seeds=1), tmp_path / "parts")
    parts = sc.run(study(family), tmp_path / "parts")
    order = ["run", "seed", "generation", "metric"]
    assert parts.table().sort(order).equals(whole.table().sort(order))


def test_scikit_learn_scores_samples(tmp_path):
    results = sc.run(study(sc.family(GaussianMixture(2)), seeds=1), tmp_path / "out")
    assert np.isfinite(values(results)).all()


def test_a_model_without_log_prob_is_refused_at_construction(family, tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL.replace("def log_prob", "def other"))
    with pytest.raises(ConfigError, match=r"^metrics.log_likelihood: .* got Python; .*give it log_prob"):
        study(family)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return x", r"log_prob gave float32 of shape \(.*\); expected one number"),
        ("return x.nothing", "log_prob failed"),
    ],
)
def test_wrong_densities_are_refused_in_one_line(family, tmp_path, body, message):
    path = tmp_path / "model.py"
    path.write_text(MODEL.replace("return -0.5", f"{body}\n        return -0.5"))
    with pytest.raises(ConfigError, match=message):
        sc.run(study(family), tmp_path / "out")


def test_likelihoods_cannot_be_added_later(family, tmp_path):
    """Models outside JAX are not kept."""
    sc.run(study(family, [{"kind": "moments"}]), tmp_path / "out")
    with pytest.raises(ConfigError, match="models outside JAX are not kept; drop them or run in a new directory"):
        sc.run(study(family, [{"kind": "moments"}, *LIKELIHOOD]), tmp_path / "out")


def test_curation_by_density_needs_it_everywhere(family):
    with pytest.raises(ConfigError, match=r"^curation.reward: 'density' needs a family"):
        study(family, curation={"kind": "top_q", "q": 0.5, "reward": "density"})
