"""The n-gram family in the loop: an unsmoothed unigram model is the Wright-Fisher model."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.families.categorical import Categorical as CategoricalFamily
from selfconsume.families.ngram import Ngram
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop.run import Run
from selfconsume.models.sequences.vocabulary_fields import filled
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.replace import Replace
from selfconsume.sources.categorical import Categorical
from selfconsume.sources.text.python_topics import PythonTopics
from selfconsume.sources.text.zipf import Zipf
from selfconsume.theory.closed_forms import drift

SOURCE = Zipf(words=300, length=10, n=40, n_test=40)
SEEDS, LAST = 24, 4
TOKENS = SOURCE.n * SOURCE.length


@pytest.fixture(scope="module")
def records(layout):
    """Generations of unsmoothed unigram models trained on their own samples."""
    run = Run(SOURCE, Ngram(order=0, smoothing="none"), Replace())
    return list(LaneBatch([run] * SEEDS, range(SEEDS), layout).generations([], LAST))


def probabilities():
    return np.asarray(SOURCE.truth().p, float)


def within(values, expected, errors=4.5):
    assert abs(values.mean() - expected) < errors * values.std(ddof=1) / np.sqrt(len(values))


def test_the_vocabulary_shrinks_as_in_the_wright_fisher_model(records):
    """Generation 0 samples a fit to N real words: E vocabulary of the fit is sum_w 1 - (1 - p_w)^N."""
    key = [jax.random.key(seed) for seed in range(200)]
    sizes = np.array([len(np.unique(np.asarray(SOURCE.train(k)))) for k in key])
    within(sizes, drift.expected_vocabulary(0, probabilities(), TOKENS, initial="fit"))
    assert float(drift.expected_vocabulary(0, probabilities(), TOKENS, initial="truth")) == SOURCE.words


def test_heterozygosity_falls_by_a_factor_a_generation(records):
    expected = drift.diversity(np.arange(LAST + 1), probabilities(), TOKENS, initial="fit")
    for t, record in enumerate(records):
        counts = np.stack([np.bincount(x.ravel(), minlength=SOURCE.words) for x in np.asarray(record.samples)])
        unbiased = (1 - ((counts / TOKENS) ** 2).sum(axis=1)) * TOKENS / (TOKENS - 1)
        within(unbiased, expected[t])


def test_a_lost_word_never_returns(records):
    for seed in range(SEEDS):
        words = [set(np.unique(np.asarray(record.samples[seed]))) for record in records]
        assert all(later <= earlier for earlier, later in itertools.pairwise(words))
        assert len(words[-1]) < len(words[0])


def test_documents_of_one_word_are_the_categorical_family(layout):
    """The same law: generation 3 of both has the same mean vocabulary and the same mean spread of a word's frequency."""
    p, n, seeds = (0.5, 0.3, 0.15, 0.05), 20, 300
    words = Zipf(words=4, length=1, n=n, n_test=4)
    run = Run(words, Ngram(order=0, smoothing="none"), Replace())
    p = tuple(np.asarray(words.truth().p, float) / np.asarray(words.truth().p, float).sum())
    other = Run(Categorical(p=p, n=n, n_test=4), CategoricalFamily(), Replace())
    ngram = list(LaneBatch([run] * seeds, range(seeds), layout).generations([], 3))[-1]
    categorical = list(LaneBatch([other] * seeds, range(1000, 1000 + seeds), layout).generations([], 3))[-1]
    first = np.stack([np.bincount(x.ravel(), minlength=4) for x in np.asarray(ngram.samples)])
    second = np.asarray(categorical.samples).sum(axis=1)
    for statistic in (lambda c: (c > 0).sum(axis=1), lambda c: (c[:, 0] / n) ** 2, lambda c: c[:, 3] / n):
        a, b = statistic(first), statistic(second)
        assert abs(a.mean() - b.mean()) < 4 * np.sqrt(a.var() / len(a) + b.var() / len(b))


def test_weights_are_multiplicities():
    x = np.random.default_rng(0).integers(0, 6, (8, 8)).astype(np.int32)
    family = Ngram(order=2, smoothing="witten_bell", vocabulary=6, has_end=False)
    documents = jnp.asarray(np.random.default_rng(1).integers(0, 6, (5, 8)), jnp.int32)

    def log_prob(rows, weight):
        state = family.begin(jax.random.key(0), jnp.asarray(rows), jnp.asarray(weight, jnp.float32), None)
        return family.advance(state, 1).generator.log_prob(documents)

    weighted = log_prob(x, [2, 1, 1, 1, 0, 0, 0, 3])
    repeated = log_prob(x[[0, 0, 1, 2, 3, 7, 7, 7]], np.ones(8))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)
    assert not np.allclose(weighted, log_prob(x, np.ones(8)))


def test_lanes_are_single_runs(layout):
    run = Run(Zipf(words=30, length=6, n=12, n_test=4), Ngram(order=1), Accumulate())
    records = list(LaneBatch([run] * 3, range(3), layout).generations([], 1))
    generations = sc.retrain(run, seed=2)
    for record in records:
        np.testing.assert_array_equal(record.samples[2], next(generations).samples)


def test_real_text_is_more_probable_than_shuffled_text():
    source = PythonTopics(n=400, n_test=100)
    family = filled(Ngram(order=1), source)
    state = family.begin(jax.random.key(0), source.train(jax.random.key(0)), jnp.ones(400), None)
    model = family.advance(state, 1).generator
    test = np.asarray(source.test(jax.random.key(0)))
    shuffled = np.random.default_rng(0).permuted(test, axis=1)
    assert float(model.log_prob(jnp.asarray(test)).mean()) > float(model.log_prob(jnp.asarray(shuffled)).mean()) + 30


@pytest.mark.parametrize(
    ("family", "source", "message"),
    [
        (Ngram(), Categorical(k=3), "^family: 'ngram' takes sequences of tokens"),
        (Ngram(vocabulary=7), Zipf(words=6), "^family.vocabulary: the source has 6 tokens and has_end = False, got 7"),
    ],
)
def test_what_cannot_be_fitted_is_refused(family, source, message):
    with pytest.raises(ConfigError, match=message):
        Run(source, family, Replace()).family.check(source)


@pytest.mark.parametrize(
    ("family", "metric", "message"),
    [
        (
            "ngram",
            "frechet",
            "^metrics: 'frechet' takes vectors or images, but the source 'zipf' gives sequences of tokens",
        ),
        (
            "gaussian",
            "perplexity",
            "^family: 'gaussian' takes vectors or images, but the source 'zipf' gives sequences",
        ),
    ],
)
def test_recipes_for_vectors_refuse_sequences_by_name(family, metric, message):
    with pytest.raises(ConfigError, match=message):
        sc.Study({"kind": "zipf"}, {"kind": family}, {"kind": "replace"}, [{"kind": metric}])


def test_samples_hold_no_lost_word_where_that_is_asked_for():
    x = jnp.asarray(np.random.default_rng(0).integers(0, 5, (20, 8)), jnp.int32)

    def model(reinvent):
        family = Ngram(order=1, vocabulary=50, has_end=False, reinvent=reinvent)
        return family.advance(family.begin(jax.random.key(0), x, jnp.ones(20), None), 1).generator

    kept, invented = (np.asarray(model(reinvent).sample(jax.random.key(1), 500)) for reinvent in (False, True))
    assert kept.max() < 5 <= invented.max()
    np.testing.assert_array_equal(model(False).log_prob(x), model(True).log_prob(x))
    with pytest.raises(ConfigError, match=r"^family\.reinvent: 'add_k' has no shorter context"):
        Ngram(smoothing="add_k", reinvent=False).check(SOURCE)
