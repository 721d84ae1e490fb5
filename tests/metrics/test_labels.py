"""Histograms of classes: on scores whose histogram is known."""

import numpy as np
import pytest
from scipy.stats import entropy

from selfconsume.errors import ConfigError
from selfconsume.extractors.classifier import Classifier
from selfconsume.extractors.pixels import Pixels
from selfconsume.families.gaussian import Gaussian
from selfconsume.metrics.labels import Labels
from selfconsume.metrics.on_features import Featured
from selfconsume.sources.categorical import Categorical
from selfconsume.sources.digits import Digits


def scores(counts, confidence=0.7):
    """Rows of probabilities with so many of each class."""
    k = len(counts)
    rows = np.full((sum(counts), k), (1 - confidence) / (k - 1), np.float32)
    rows[np.arange(sum(counts)), np.repeat(np.arange(k), counts)] = confidence
    return rows


def test_values_are_those_of_the_histograms(measure):
    own, real = np.array([6, 0, 2, 12]), np.array([10, 5, 4, 1])
    found = measure(Labels(), scores(real), scores(own, 0.9))
    p, q = own / own.sum(), (real + 0.5) / (real.sum() + 2)
    assert [found[f"labels.share.{i}"] for i in range(4)] == pytest.approx(p)
    assert found["labels.entropy"] == pytest.approx(entropy(p) / np.log(4), rel=1e-5)
    assert found["labels.kl"] == pytest.approx(entropy(p, q), rel=1e-5)
    assert found["labels.covered"] == 0.75
    assert found["labels.confidence"] == pytest.approx(0.9)


def test_the_same_histogram_is_at_the_level_of_half_an_example(measure):
    real = np.array([10, 5, 4, 1])
    found = measure(Labels(most=0), scores(real), scores(2 * real))
    assert not [name for name in found if name.startswith("labels.share")]
    p, q = real / real.sum(), (real + 0.5) / (real.sum() + 2)
    assert found["labels.kl"] == pytest.approx(entropy(p, q), abs=1e-6)
    assert found["labels.covered"] == 1.0


def test_a_class_is_covered_with_a_tenth_of_its_share(measure):
    """Of the test set's two classes one has 1 % where 50 % are real; others that samples are in do not count."""
    real, own = scores([50, 50, 0, 0]), scores([1, 19, 80, 0])
    for threshold, covered in ((0.1, 0.5), (0.01, 1.0)):
        assert measure(Labels(threshold=threshold), real, own)["labels.covered"] == covered


def test_rows_that_are_not_valid_are_left_out(measure):
    x = scores([5, 5])
    found = measure(Labels(), x, x, np.arange(10) < 6)
    assert found["labels.share.1"] == pytest.approx(1 / 6)
    assert all(np.isnan(value) for value in measure(Labels(), x, x, np.zeros(10, bool)).values())


def test_images_need_a_classifier_before_it():
    with pytest.raises(
        ConfigError, match=r"^metrics.labels: expected vectors of class probabilities.*output = 'scores'"
    ):
        Labels().check(Digits(form="image"), Gaussian())


def test_what_are_no_probabilities_is_refused():
    """The natural short form gives hidden units; 64 grey levels are vectors too."""
    Labels().check(Categorical.tiny(), Gaussian())
    with pytest.raises(ConfigError, match=r"^metrics.labels: .*the test set holds others; add features"):
        Labels().check(Digits(), Gaussian())
    for features in (Classifier(), Pixels()):
        with pytest.raises(ConfigError, match=r"^metrics.labels: expected class probabilities, .* output = 'scores'"):
            Featured(Labels(), features).check(Digits(), Gaussian())
    Featured(Labels(), Classifier(output="scores")).check(Digits(), Gaussian())
