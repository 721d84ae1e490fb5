"""The judge is trained once, tells the classes apart, and says where it cannot be had."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.extractors.classifier import Classifier, _shifted
from selfconsume.sources.digits import Digits
from selfconsume.sources.gaussian_mixture import GaussianMixture


def held_out(source):
    """Examples behind the training set, with their labels: the training set of a larger source."""
    larger = dataclasses.replace(source, n=source.n + 200)
    key = jax.random.key(0)
    return larger.train(key)[source.n :], np.asarray(larger.labels(key))[source.n :]


@pytest.mark.parametrize(("form", "least"), [("flat", 0.92), ("image", 0.92)])
def test_it_knows_digits_that_it_has_not_seen(form, least):
    """At least 0.92 of 200: three standard errors below an accuracy of 0.96."""
    source = Digits(n=1000, form=form)
    judge = Classifier(output="scores", width=32, updates=250)
    x, labels = held_out(source)
    scores = np.asarray(jax.jit(judge)(judge.weights(source), x))
    assert scores.shape == (200, 10)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert (scores.argmax(axis=1) == labels).mean() >= least
    features = Classifier(width=32, updates=250)
    assert jax.eval_shape(features, features.weights(source), x).shape == (200, 32)
    assert features.weights(source) is judge.weights(source)
    assert judge.accuracy(source) == features.accuracy(source) >= 0.87  # of 100: three standard errors below 0.96


def test_what_it_says_of_itself_is_about_examples_that_it_was_not_trained_on():
    """Labels that mean nothing are learnt by heart, and known of no other example."""

    @dataclasses.dataclass(frozen=True)
    class Shuffled(Digits):
        def labels(self, key):
            return jax.random.randint(jax.random.key(3), (self.n,), 0, 2)

    source, judge = Shuffled(n=200), Classifier(output="scores", width=32, updates=300, batch=60)
    scores = np.asarray(judge(judge.weights(source), source.train(jax.random.key(0))))
    right = (scores.argmax(axis=1) == source.labels(None)).sum()
    assert right - judge.accuracy(source) * 20 > 0.95 * 180  # of those it was trained on
    assert judge.accuracy(source) < 0.85


def test_images_are_moved_by_an_eighth_at_most():
    x = jnp.zeros((200, 16, 8, 1)).at[:, 8, 4].set(1.0)
    moved = np.asarray(_shifted(jax.random.key(0), x))
    assert moved.shape == x.shape and (moved.sum(axis=(1, 2, 3)) == 1).all()
    assert {(int(i), int(j)) for _, i, j, _ in np.argwhere(moved)} == {
        (i, j) for i in range(6, 11) for j in range(3, 6)
    }
    assert _shifted(jax.random.key(0), x[:, 0, :, 0]) is not None


def test_its_fingerprint_is_that_of_what_it_computes():
    source = Digits(n=100, n_test=20)
    tiny = Classifier.tiny()
    others = tiny.fingerprint(dataclasses.replace(source, n=101)), dataclasses.replace(tiny, output="scores")
    assert len({tiny.fingerprint(source), others[0], others[1].fingerprint(source)}) == 3


def test_without_labels_it_says_so():
    with pytest.raises(ConfigError, match="'classifier' is trained on labels, and this source has none; use another"):
        Classifier().check(GaussianMixture())
    Classifier().check(Digits())


def test_it_sees_examples_in_units_of_the_training_set():
    """Their mean and deviation are taken once, and not trained."""
    source = Digits(n=60, n_test=20, form="image")
    judge = Classifier.tiny().weights(source)
    x = np.asarray(source.train(jax.random.key(0)), np.float64) / 255
    np.testing.assert_allclose(judge.centre, [x.mean()], rtol=1e-5)
    np.testing.assert_allclose(judge.scale, x.std(), rtol=1e-5)
