"""Estimators of scikit-learn as families."""

import dataclasses

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.families.external.sklearn import Sklearn
from selfconsume.models.external import host_family
from selfconsume.sources.gaussian import Gaussian
from selfconsume.study import validation

X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)


def samples(family, seed=0, x=X, weight=None):
    weight = np.ones(len(x)) if weight is None else weight
    model = host_family.fit_rows(family, x, weight, None, seed)
    return host_family.draw_samples(family, model, 50, seed + 1, x)[0]


def test_an_estimator_becomes_a_recipe_of_its_class_and_parameters():
    family = sc.family(GaussianMixture(3, covariance_type="diag", random_state=4))
    assert family == Sklearn("sklearn.mixture.GaussianMixture", (("covariance_type", "diag"), ("n_components", 3)))
    assert family == sc.family(GaussianMixture(n_components=3, covariance_type="diag"))
    assert sc.family("sklearn", estimator=family.estimator, options=dict(family.options)) == family
    (cell,) = sc.Study({"kind": "gaussian"}, family, {"kind": "mix"}).cells
    assert family.fingerprint() and cell.id


def test_a_description_shows_options_as_a_call_does():
    few, many = sc.family(GaussianMixture(8)), sc.family(GaussianMixture(8, tol=0.01))
    assert validation.label("family", few) == "sklearn(estimator=sklearn.mixture.GaussianMixture, n_components=8)"
    assert validation.label("family", many).endswith("GaussianMixture, n_components=8, tol=0.01)")
    study = sc.Study({"kind": "gaussian"}, None, {"kind": "mix"}, axes={"family": [few, Sklearn(few.estimator)]})
    assert next(cell.labels["family"] for cell in study.cells).endswith("n_components=8)")


@pytest.mark.parametrize(
    "estimator", [GaussianMixture(2), BayesianGaussianMixture(n_components=2, tol=0.1), KernelDensity(bandwidth=0.2)]
)
def test_samples_follow_the_seed_and_nothing_else(estimator):
    family = sc.family(estimator)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = samples(family)
    assert first.dtype == np.float32 and first.shape == (50, 2)
    np.testing.assert_array_equal(samples(family), first)
    assert not np.array_equal(samples(family, 1), first)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_components_are_mixed_within_a_block():
    """scikit-learn sorts the samples of a mixture by component."""
    x = np.concatenate([X, X + 50])
    right = samples(sc.family(GaussianMixture(2)), x=x)[:, 0] > 25
    assert np.abs(np.diff(right.astype(int))).sum() > 1


def test_weights_are_passed_where_the_estimator_takes_them():
    weight = np.where(np.arange(len(X)) < 20, 3.0, 1.0)
    repeated = np.concatenate([np.repeat(X[:20], 3, axis=0), X[20:]])
    density = Sklearn("sklearn.neighbors.KernelDensity")
    assert density.takes_weight
    model = host_family.fit_rows(density, X, weight, None, 0)
    assert np.isclose(model.score(X), host_family.fit_rows(density, repeated, np.ones(100), None, 0).score(X))
    mixture = Sklearn("sklearn.mixture.GaussianMixture")
    model = host_family.fit_rows(mixture, X, weight, None, 0)
    np.testing.assert_allclose(model.means_[0], repeated.mean(0), atol=1e-6)


@dataclasses.dataclass
class Foreign:
    """No estimator."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sc.family(KMeans(2)), "sklearn.cluster.KMeans has no sample"),
        (lambda: sc.family(Foreign()), "with fit, sample and get_params"),
        (lambda: sc.family(GaussianMixture(means_init=X)), "parameter means_init of GaussianMixture"),
        (lambda: Sklearn("sklearn.mixture.GaussianMixtures"), "cannot import 'sklearn.mixture.GaussianMixtures'"),
        (lambda: Sklearn("sklearn.mixture.GaussianMixture", (("k", 3),)), "cannot be made with {'k': 3}"),
        (lambda: Sklearn("sklearn.mixture.GaussianMixture", (("random_state", 3),)), "random_state is set from"),
    ],
)
def test_what_is_no_estimator_is_refused_in_one_line(make, message):
    with pytest.raises(ConfigError, match=message) as error:
        make().check(Gaussian())
    assert "\n" not in str(error.value)


class Images(Gaussian):
    """Examples that are no vectors."""

    shape = (8, 8, 1)


def test_images_are_refused():
    with pytest.raises(ConfigError, match="'sklearn' takes vectors"):
        Sklearn.tiny().check(Images())


def test_a_failed_fit_is_one_line():
    with pytest.raises(ConfigError, match=r"^family Sklearn: fit failed \(ValueError: ") as error:
        samples(Sklearn("sklearn.mixture.GaussianMixture", (("n_components", 100),)))
    assert "\n" not in str(error.value)
