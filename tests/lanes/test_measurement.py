"""Values on features: those of the metric on what the extractor gives, in every way that they can come about."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.extractors.classifier import Classifier
from selfconsume.extractors.pixels import Pixels
from selfconsume.families.gaussian import Gaussian
from selfconsume.lanes import metric_programs
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.metrics.frechet import distance_to, real_moments
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.on_features import Featured, features_of
from selfconsume.regimes.real_only import RealOnly
from selfconsume.report import page as report
from selfconsume.results import provenance, table
from selfconsume.sources.digits import Digits
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.study.study import Study
from selfconsume.types import Metric

DIGITS = {"kind": "digits", "n": 60, "n_test": 40}
TINY = {"kind": "classifier", "width": 4, "updates": 10, "batch": 8}
PLAIN = [{"kind": "frechet"}, {"kind": "neighbours"}]
SEEN = [{**metric, "features": "pixels"} for metric in PLAIN]
JUDGED = [{"kind": "frechet", "features": TINY}, {"kind": "labels", "features": {**TINY, "output": "scores"}}]


def study(metrics, source=DIGITS, **settings):
    settings = {"generations": 2, "seeds": 2} | settings
    return Study(source, {"kind": "gaussian"}, {"kind": "replace"}, metrics=metrics, **settings)


def values(store):
    """Value name -> its values over seeds and generations."""
    rows = table.table(store).sort("seed", "generation")
    return {name: part["value"].to_numpy() for (name,), part in rows.group_by("metric")}


@pytest.mark.parametrize("source", [DIGITS, {"kind": "gaussian_mixture", "k": 2, "n": 40, "n_test": 30}])
def test_pixels_give_the_numbers_that_are_there_without_them(tmp_path, layout, source):
    """On the host and in lanes, with one real set for all lanes and with one each; floors too."""
    plain = values(run_study.execute(study(PLAIN, source), tmp_path / "plain", layout=layout))
    on_pixels = values(run_study.execute(study(SEEN, source), tmp_path / "seen", layout=layout))
    assert set(on_pixels) == {f"pixels.{name}" for name in plain}
    assert {"pixels.frechet.floor", "pixels.recall.floor"} <= set(on_pixels)
    for name, value in plain.items():
        np.testing.assert_allclose(on_pixels[f"pixels.{name}"], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def judged(tmp_path_factory, layout):
    """A study whose metrics were there from the start, and one to which they were added later."""
    at_once, later = (tmp_path_factory.mktemp(name) for name in ("at_once", "later"))
    run_study.execute(study([{"kind": "nonfinite"}]), later, layout=layout)
    return (
        run_study.execute(study([{"kind": "nonfinite"}, *JUDGED]), at_once, layout=layout),
        run_study.execute(study([{"kind": "nonfinite"}, *JUDGED]), later, layout=layout),
    )


def test_metrics_added_later_give_the_same_numbers(judged):
    at_once, later = map(values, judged)
    assert set(at_once) == set(later)
    assert {"classifier.frechet", "classifier.frechet.floor", "classifier.labels.kl"} <= set(at_once)
    for name, value in at_once.items():
        np.testing.assert_array_equal(later[name], value, err_msg=name)


def test_the_frechet_distance_is_that_of_the_features(judged):
    store, _ = judged
    source, judge = Digits(n=60, n_test=40), Classifier(width=4, updates=10, batch=8)
    weights = judge.weights(source)
    # Slow machines commit each generation by itself.
    segment = next(
        segment for segment in store.segments if segment.keep != "values" and segment.first <= 1 <= segment.last
    )
    with store.tensors(segment.file, segment.sha256) as tensors:
        samples = tensors.get_tensor("1/samples")
    real = real_moments(np.asarray(judge(weights, source.test(jax.random.key(0))), np.float64))
    expected = [distance_to(np.asarray(judge(weights, jnp.asarray(x)), np.float64), real) for x in samples]
    rows = table.table(store).filter(pl.col("metric") == "classifier.frechet", pl.col("generation") == 1)
    np.testing.assert_allclose(rows.sort("seed")["value"], expected, rtol=1e-4)


def test_the_store_says_what_was_measured_on_what(judged):
    for store in judged:
        rows = {row.metric: row for row in provenance.gather(store)}
        assert set(rows) == {"nonfinite", "classifier.frechet", "classifier.labels"}
        row = rows["classifier.frechet"]
        assert (row.n, row.split, row.n_reference, row.extractor, row.cells) == (60, "test", 40, "classifier", 1)
        assert row.sha256 == Classifier(width=4, updates=10, batch=8).fingerprint(Digits(n=60, n_test=40))
        assert rows["nonfinite"].split == rows["nonfinite"].sha256 == ""
        assert row.accuracy == Classifier(width=4, updates=10, batch=8).accuracy(Digits(n=60, n_test=40)) < 0.9
        (line,) = provenance.warnings(store)
        assert "of real examples that it was not trained on: classifier.frechet, classifier.labels see little" in line
        page = report.write(store).read_text()
        accuracy = f"right on {row.accuracy:.0%} of held-out examples"
        through = f"through classifier (sha256 {row.sha256[:12]}, {accuracy})"
        assert f"classifier.frechet: 60 samples against 40 real examples (test), {through}" in page


@dataclasses.dataclass(frozen=True)
class Overflowing(Pixels):
    """Ten times the pixels."""

    def __call__(self, weights, x):
        return 10 * super().__call__(weights, x)


def test_features_are_computed_once_for_all_metrics(layout, monkeypatch):
    run = Run(Digits(n=40, n_test=20), Gaussian(), RealOnly())
    batch = LaneBatch([run, run], [0, 1], layout)
    config_metrics = study([*SEEN, {"kind": "sliced_wasserstein", "n_projections": 4, "features": "pixels"}]).metrics
    assert all(isinstance(metric, Featured) for metric in config_metrics)
    calls = []
    monkeypatch.setattr(
        metric_programs, "features", lambda *args, made=metric_programs.features: calls.append(args[0]) or made(*args)
    )
    prepared_data = batch.prepare(config_metrics)
    x = layout.put(np.asarray(np.random.default_rng(0).random((2, 40, 64)), np.float32))
    generator = layout.put(jax.tree.map(lambda a: np.stack([a, a]), Gaussian().init(jax.random.key(0), (64,))))
    valid = layout.put(np.ones((2, 40), bool))
    result, compared = batch.measure(config_metrics, prepared_data, 1, generator, generator, x, valid)
    assert len(result) == 3 and len(calls) == 1
    assert {name: counts.tolist() for name, counts in compared.items()} == {name: [40, 40] for name in result}


@dataclasses.dataclass(frozen=True)
class OfHost(Metric):
    """What a metric on the host is given, as numbers."""

    runs_on = "host"

    def prepare(self, key, source):
        return float(np.mean(source.train(key)))

    def __call__(self, key, generation, prepared):
        means = generation.generator.mean.sum(), generation.previous.mean.sum()
        return {"drawn": jax.random.uniform(key), "real": prepared, "now": means[0], "before": means[1]}


def test_on_the_host_every_lane_has_its_own_key_real_set_and_generators(layout):
    run = Run(GaussianMixture(k=2, n=20, n_test=10), Gaussian(), RealOnly())
    batch, metric = LaneBatch([run, run], [0, 1], layout), OfHost()
    first = Gaussian().init(jax.random.key(0), (2,))
    current, previous = (
        layout.put(jax.tree.map(lambda leaf: np.stack([leaf, leaf]), dataclasses.replace(first, mean=first.mean + by)))
        for by in (1.0, 2.0)
    )
    x, valid = layout.put(np.zeros((2, 20, 2), np.float32)), layout.put(np.ones((2, 20), bool))
    result = batch.measure([metric], batch.prepare([metric]), 1, current, previous, x, valid)[0][metric_key(metric)]
    assert result["drawn"][0] != result["drawn"][1]
    real = [np.mean(run.source.train(key_at(seed, 0, Role.TRAIN))) for seed in (0, 1)]
    np.testing.assert_allclose(result["real"], real, rtol=1e-5)
    assert (result["before"] - result["now"]).tolist() == [2.0, 2.0]


def test_rows_whose_features_are_not_finite_are_not_valid(layout):
    x = np.ones((2, 5, 3), np.float32)
    program = metric_programs.features(Overflowing(), 5, layout)
    x[0, 2] = 3e38
    out = program(2, {"weights": ()}, layout.put({"samples": x, "valid": np.ones((2, 5), bool)}))
    np.testing.assert_array_equal(out["valid"], [[True, True, False, True, True], [True] * 5])
    assert np.isfinite(out["samples"]).all()
    assert features_of(Overflowing(), (), x[1]).shape == (5, 3)


def test_a_floor_is_real_data_that_is_neither_the_reference_nor_trained_on(tmp_path, layout):
    """Of 1797 digits 1700 are the test set and 37 are left: too few for 60 fresh ones."""
    source = {"kind": "digits", "n": 60, "n_test": 1700}
    extractor = {"kind": "classifier", "width": 4, "updates": 10, "batch": 8}
    metrics = [
        {"kind": "frechet", "against": "train"},
        {"kind": "neighbours"},
        {"kind": "frechet", "features": extractor},
    ]
    result = values(run_study.execute(study(metrics, source, seeds=1, generations=1), tmp_path / "out", layout=layout))
    real, key = Digits(n=60, n_test=1700), jax.random.key(0)
    train, test = (np.asarray(rows, np.float64) for rows in (real.train(key), real.test(key)))
    np.testing.assert_allclose(result["frechet.floor"], distance_to(test[:60], real_moments(train)), rtol=1e-4)
    assert "coverage.floor" in result and "classifier.frechet" in result and "classifier.frechet.floor" not in result


def test_the_training_set_is_no_reference_for_what_is_trained_on_it():
    with pytest.raises(
        ConfigError, match=r"^metrics.kid: 'classifier' is trained on the training set, so it cannot be compared"
    ):
        study([{"kind": "kid", "against": "train", "features": "classifier"}])
    study([{"kind": "kid", "against": "train", "features": "pixels"}])


@dataclasses.dataclass(frozen=True)
class Named(Metric):
    """One value of a given name and shape."""

    name: str = "moments.mean.0"
    size: int = 0

    has_noise_floor = False

    def prepare(self, key, source):
        return None

    def __call__(self, key, generation, prepared):
        return {self.name: jnp.ones(self.size) if self.size else jnp.ones(())}


class OnHost(Named):
    """The same, on the host."""

    runs_on = "host"


def test_two_metrics_do_not_share_a_name(tmp_path, layout):
    """At once, and where the second one is added to what is stored; then nothing of it is stored."""
    plain = {"kind": "gaussian", "n": 10}
    moments = {"kind": "moments"}
    store = run_study.execute(study([moments], plain), tmp_path / "out", layout=layout)
    (name, *_) = store.segments[0].metrics[metric_key(study([moments], plain).metrics[0])]
    both = [moments, Named(name)]
    message = rf"^metrics: moments and \S*:Named\S* both give a value called {name!r}; name values after"
    for out in ("new", "out"):
        with pytest.raises(ConfigError, match=message):
            run_study.execute(study(both, plain), tmp_path / out, layout=layout)
    renamed = run_study.execute(study([moments, Named("named")], plain), tmp_path / "out", layout=layout)
    assert {name, "named"} <= set(values(renamed))


@pytest.mark.parametrize("metric", [Named("spread", 3), OnHost("spread", 3)])
def test_a_value_is_one_number(tmp_path, layout, metric):
    with pytest.raises(ConfigError, match=r"gives 'spread' of shape \(3,\); expected one number a name"):
        run_study.execute(study([metric], {"kind": "gaussian", "n": 10}), tmp_path / "out", layout=layout)
