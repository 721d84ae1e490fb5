"""Principal components against scikit-learn's, their errors, and what a study does with them."""

import jax
import numpy as np
import polars as pl
import pytest
from safetensors import safe_open
from sklearn.decomposition import PCA as Reference

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.loop import coding
from selfconsume.representations import fitted_representation, pca
from selfconsume.representations.pca import PCA
from selfconsume.results import export_generator
from selfconsume.sources.arrays import Arrays
from selfconsume.sources.digits import Digits
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.study.identity import identity, nondefaults

IMAGES, FLAT = Digits(n=300, n_test=100, form="image"), Digits(n=300, n_test=100)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, so that components are fitted here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fitted_representation._weights.cache_clear()
    yield tmp_path
    fitted_representation._weights.cache_clear()


@pytest.mark.parametrize("n", [300, 40], ids=["covariance", "inner products"])
def test_components_are_those_of_an_independent_implementation(n):
    """scikit-learn's by singular values. In float64, to the rounding of a squared matrix."""
    x = np.asarray(FLAT.train(jax.random.key(0)), np.float64)[:n]
    reference = Reference(20, svd_solver="full").fit(x)
    variance, directions, mean = pca.principal_components(x)
    np.testing.assert_allclose(mean, reference.mean_, atol=1e-14)
    np.testing.assert_allclose(variance[:20], reference.explained_variance_, rtol=1e-10)
    sign = np.sign((directions[:20] * reference.components_).sum(axis=1))
    np.testing.assert_allclose(directions[:20] * sign[:, None], reference.components_, atol=1e-8)
    # Signs are fixed by the largest entry, so that they are the same everywhere.
    assert (np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_images_are_in_the_unit_interval_and_bytes_again():
    x = np.asarray(IMAGES.train(jax.random.key(0)))
    reference = Reference(8, svd_solver="full").fit(x.reshape(300, -1) / 255.0)
    representation = PCA(components=8)
    weights = representation.weights(IMAGES)
    z = np.asarray(representation(weights, x))
    expected = reference.transform(x.reshape(300, -1) / 255.0)
    np.testing.assert_allclose(np.abs(z), np.abs(expected), atol=1e-5)
    decoded = np.asarray(representation.decode(weights, z))
    exact = reference.inverse_transform(expected).reshape(x.shape) * 255
    assert decoded.dtype == np.uint8
    # Half a grey level of rounding, and float32.
    assert np.abs(decoded - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3


def test_codes_of_decoded_vectors_are_the_codes():
    """Exactly, where nothing is rounded to bytes; and all components lose nothing."""
    for whiten in (False, True):
        representation = PCA(components=10, whiten=whiten)
        weights = representation.weights(FLAT)
        z = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
        np.testing.assert_allclose(representation(weights, representation.decode(weights, z)), z, atol=1e-5)
    x = np.asarray(FLAT.train(jax.random.key(0)))
    most = np.linalg.matrix_rank(x - x.mean(axis=0))
    representation = PCA(components=int(most))
    weights = representation.weights(FLAT)
    np.testing.assert_allclose(representation.decode(weights, representation(weights, x)), x, atol=1e-5)


def test_whitened_codes_have_unit_variance():
    representation = PCA(components=12, whiten=True)
    z = np.asarray(representation(representation.weights(FLAT), FLAT.train(jax.random.key(0))), np.float64)
    np.testing.assert_allclose(np.cov(z.T), np.eye(12), atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_share_of_the_variance_takes_the_fewest_components_that_reach_it(share):
    x = np.asarray(FLAT.train(jax.random.key(0)), np.float64)
    total = np.cumsum(Reference(svd_solver="full").fit(x).explained_variance_ratio_)
    count = coding.code_shape(PCA(components=share), FLAT)[0]
    assert total[count - 1] >= share > total[count - 2]


def test_components_are_stored_and_read_again(cache, monkeypatch):
    first = PCA(components=3).weights(FLAT)
    (path,) = fitted_representation.cache_folder().iterdir()
    assert path.is_relative_to(cache)
    monkeypatch.setattr(pca, "principal_components", None)  # Now nothing can be fitted.
    second = PCA(components=3).weights(FLAT)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    monkeypatch.undo()
    path.write_bytes(b"torn")
    fitted_representation._weights.cache_clear()
    third = PCA(components=3).weights(FLAT)
    assert all(np.array_equal(first[name], third[name]) for name in first)


def test_what_cannot_be_is_said(tmp_path):
    with pytest.raises(
        ConfigError, match="representation: it is fitted to one real training set, this source draws one"
    ):
        PCA(components=1).check(Normal(n=10))
    with pytest.raises(
        ConfigError, match=r"representation.components: expected at most the 64 of the .*, got 65; lower it"
    ):
        PCA(components=65).check(FLAT)
    rows = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    np.save(tmp_path / "plane.npy", rows @ np.ones((2, 5), np.float32))
    with pytest.raises(
        ConfigError, match=r"representation.components: expected at most the 1 of the .*, got 2; lower it"
    ):
        PCA(components=2).check(Arrays(path=str(tmp_path / "plane.npy")))
    with pytest.raises(ConfigError, match=r"representation.components: expected .*, got 0"):
        sc.representation("pca", components=0)
    metric = {"kind": "frechet", "features": "representation"}
    with pytest.raises(
        ConfigError, match=r"metrics: 'representation' stands for the representation of a run, and there is"
    ):
        sc.Study(FLAT, {"kind": "gaussian"}, {"kind": "replace"}, [metric])


def study(**options):
    return sc.Study(
        family={"kind": "gaussian"},
        regime={"kind": "replace"},
        generations=2,
        seeds=2,
        n_synthetic=100,
        **{
            "source": IMAGES,
            "metrics": [
                {"kind": "sliced_wasserstein"},
                {"kind": "frechet", "features": "representation"},
                {"kind": "log_likelihood"},
            ],
            "axes": {"representation.components": [2, 8]},
            "representation": {"kind": "pca"},
            **options,
        },
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return sc.run(study(), tmp_path_factory.mktemp("pca") / "out")


@pytest.fixture(scope="module")
def frame(results):
    return results.table()


def test_stored_generators_give_images_and_are_exported_with_the_checksum(results, tmp_path):
    run = results.store.study["cells"][0]["id"]
    generator = results.generator(0, run=run, seed=0)
    x = generator.sample(jax.random.key(0), 4)
    assert x.dtype == np.uint8 and x.shape == (4, *IMAGES.shape) and "mean" in generator.parameters()
    out = export_generator.generator(results.store, tmp_path / "model.safetensors", run=run)
    with safe_open(out, "numpy") as file:
        assert PCA(components=2).fingerprint(IMAGES) in file.metadata()["representation"]


def test_the_floor_of_decoded_real_data_stands_beside_every_floor(frame):
    """More components, less loss; and below what generation 0 gets, whose codes are drawn from a Gaussian."""
    at = {
        (components, name): group["value"].mean()
        for (components, name), group in frame.filter(pl.col("generation") == 0).group_by(
            "representation.components", "metric"
        )
    }
    name = "sliced_wasserstein"
    assert (
        at[2, f"{name}.floor"]
        == at[8, f"{name}.floor"]
        < at[8, f"{name}.decoded.floor"]
        < at[2, f"{name}.decoded.floor"]
    )
    for components in (2, 8):
        assert at[components, f"{name}.decoded.floor"] < 1.2 * at[components, name]
        # In the codes nothing is lost but what clipping to bytes changes, less than sampling noise.
        within = [at[components, f"representation.frechet{suffix}"] for suffix in (".floor", ".decoded.floor")]
        assert within[0] != within[1] < 1.5 * within[0]


def test_densities_are_those_of_codes(frame):
    """The log-likelihood of generation 0, in closed form: that of held-out codes under the training codes' moments."""
    for components in (2, 8):
        representation = PCA(components=components)
        weights = representation.weights(IMAGES)
        train, test = (
            np.asarray(representation(weights, rows(jax.random.key(0))), np.float64)
            for rows in (IMAGES.train, IMAGES.test)
        )
        covariance, offset = np.cov(train.T, bias=True), test - train.mean(axis=0)
        squares = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(covariance), offset)
        expected = -0.5 * (squares.mean() + np.linalg.slogdet(2 * np.pi * covariance)[1])
        row = frame.filter(
            (pl.col("metric") == "log_likelihood")
            & (pl.col("generation") == 0)
            & (pl.col("representation.components") == components)
        )
        np.testing.assert_allclose(row["value"], expected, atol=1e-3)


def test_a_representation_is_an_axis_and_part_of_the_identity():
    """Without one, runs are what they were before representations came."""
    metrics = [{"kind": "sliced_wasserstein"}]
    kinds = ["none", {"kind": "pca", "components": 2}]
    cells = study(source=FLAT, metrics=metrics, representation=None, axes={"representation": kinds}).cells
    assert [cell.labels["representation"] for cell in cells] == ["none", "pca(components=2)"]
    plain, coded = (cell.run for cell in cells)
    assert "representation" not in nondefaults(plain)
    assert nondefaults(coded)["representation"] == {"kind": "pca", "components": 2}
    assert identity(plain) != identity(coded) and plain.representation is None


def test_a_curation_sees_examples_and_their_density():
    curation = {"kind": "top_q", "reward": "density"}
    run = study(curation=curation).cells[0].run
    generator = run.of_examples(run.family.init(jax.random.key(0), run.shape))
    x = IMAGES.test(jax.random.key(0))
    codes = run.encode(x)
    inner = run.family.init(jax.random.key(0), run.shape)
    np.testing.assert_allclose(generator.log_prob(x), inner.log_prob(codes), rtol=1e-6)
