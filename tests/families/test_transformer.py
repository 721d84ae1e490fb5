"""The transformer family: its cache, truncation, densities and training."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.transformer import Transformer
from selfconsume.models.sequences.decoding import truncated
from selfconsume.sources.text.zipf import Zipf
from selfconsume.types import Vocabulary

V, LENGTH = 3, 4


@pytest.fixture(scope="module")
def model():
    family = Transformer(width=8, depth=2, heads=2, vocabulary=V, has_end=False)
    fresh = family.init(jax.random.key(0), (LENGTH,))
    # Larger weights than initial ones, so that nothing is nearly uniform.
    return dataclasses.replace(fresh, net=jax.tree.map(lambda leaf: 3 * leaf, fresh.net))


def everything():
    return jnp.asarray(list(itertools.product(range(V), repeat=LENGTH)), jnp.int32)


def test_the_cache_gives_the_logits_of_all_positions_at_once(model):
    x = everything()
    full = np.asarray(model.net(x))
    cache, before = model.net.empty_cache(len(x)), jnp.full(len(x), V, jnp.int32)
    for position in range(LENGTH):
        cache, logits = model.net.next_logits(cache, before, jnp.asarray(position))
        np.testing.assert_allclose(logits, full[:, position], rtol=1e-4, atol=1e-4)
        before = x[:, position]


def test_a_token_depends_on_those_before_it_only(model):
    x = everything()
    changed = x.at[:, 2:].set(0)
    np.testing.assert_allclose(model.net(x)[:, :3], model.net(changed)[:, :3], atol=1e-5)
    assert np.abs(np.asarray(model.net(x)[:, 3] - model.net(changed)[:, 3])).max() > 0.01


def test_all_documents_have_probability_one_together_and_samples_follow_them(model):
    x = everything()
    p = np.exp(np.asarray(model.log_prob(x), float))
    assert p.sum() == pytest.approx(1, abs=1e-4)
    n, code = 20_000, V ** np.arange(LENGTH)
    samples = np.asarray(jax.jit(lambda key: model.sample(key, n))(jax.random.key(1)))
    counts = np.bincount(samples @ code, minlength=V**LENGTH)[np.asarray(x) @ code]
    assert (np.abs(counts / n - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-5).all()


def test_ends_are_predicted_and_padding_is_free():
    family = Transformer(width=8, depth=1, heads=2, vocabulary=V, has_end=True)
    model = family.init(jax.random.key(0), (LENGTH,))
    x = jnp.asarray([[1, 0, 0, 0], [1, 0, 2, 1]], jnp.int32)
    first, second = np.asarray(model.log_prob(x))
    assert first == pytest.approx(second, abs=1e-6)
    samples = np.asarray(model.sample(jax.random.key(2), 200))
    assert (samples[np.maximum.accumulate(samples == 0, axis=1)] == 0).all()


def test_truncation_keeps_the_most_probable_tokens():
    logits = jnp.log(jnp.asarray([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]))

    def kept(**settings):
        return np.isfinite(np.asarray(truncated(logits, **{"top_k": None, "top_p": 1.0, **settings}))).tolist()

    assert kept() == [[True] * 4] * 2
    assert kept(top_k=2) == [[True, True, False, False], [False, False, True, True]]
    assert kept(top_p=0.79) == [[True, True, False, False], [False, False, True, True]]
    assert kept(top_p=0.81) == [[True, True, True, False], [False, True, True, True]]
    assert kept(top_p=0.01) == [[True, False, False, False], [False, False, False, True]]
    # Of three tokens, the first two have (0.5 + 0.3) / 0.95 of the probability.
    assert kept(top_k=3, top_p=0.84) == [[True, True, False, False], [False, False, True, True]]


def test_temperature_divides_the_logits(model):
    """First tokens of many samples at temperature 1/2: probabilities proportional to the squares."""
    cold = Transformer(width=8, depth=2, heads=2, vocabulary=V, has_end=False, temperature=0.5)
    halved = dataclasses.replace(cold.init(jax.random.key(0), (LENGTH,)), net=model.net)
    n = 20_000
    first = np.asarray(jax.jit(lambda key: halved.sample(key, n))(jax.random.key(3)))[:, 0]
    p = np.asarray(jax.nn.softmax(model.net(everything()[:1])[0, 0] / 0.5), float)
    assert (np.abs(np.bincount(first, minlength=V) / n - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-5).all()


def test_training_learns_a_rule_and_a_warm_start_goes_on():
    """Documents that count modulo 3 from a random start: all tokens but the first are determined."""
    x = jnp.asarray((np.arange(6) + np.arange(3)[:, None]) % 3, jnp.int32)
    family = Transformer(width=16, depth=1, heads=2, updates=400, batch=12, vocabulary=V, has_end=False)
    fit = jax.jit(
        lambda start: family.advance(family.begin(jax.random.key(0), x, jnp.ones(3), start), 400).without_data()
    )
    first = fit(None)
    assert float(-first.generator.log_prob(x).mean()) == pytest.approx(np.log(3), abs=0.1)
    second = fit(first)
    assert float(second.loss) < float(first.loss)
    samples = np.asarray(second.generator.sample(jax.random.key(1), 100))
    assert ((np.diff(samples, axis=1) % 3) == 1).mean() > 0.99


def test_heads_that_do_not_divide_the_width_are_refused():
    source = Zipf(words=6, length=8)
    assert isinstance(source.vocabulary, Vocabulary)
    with pytest.raises(ConfigError, match=r"^family\.heads: 5 does not divide the width of 64"):
        Transformer(heads=5).check(source)
    with pytest.raises(ConfigError, match=r"^family\.random_flip: only images can be mirrored"):
        Transformer(random_flip=True).check(source)
