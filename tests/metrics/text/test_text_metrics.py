"""Metrics of text on documents whose values are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.ngram import Ngram
from selfconsume.metrics.text import spans, token_diversity
from selfconsume.metrics.text.perplexity import Perplexity
from selfconsume.metrics.text.reference_perplexity import ReferencePerplexity
from selfconsume.metrics.text.token_diversity import TokenDiversity
from selfconsume.metrics.text.vocabulary import Vocabulary
from selfconsume.models.distributions.independent_tokens import IndependentTokens
from selfconsume.models.sequences.vocabulary_fields import filled
from selfconsume.sources.text.text import Text
from selfconsume.sources.text.zipf import Zipf
from selfconsume.types import Generation
from selfconsume.types import Vocabulary as Tokens

KEY = jax.random.key(0)


def generation(x, generator=None, valid=None):
    valid = np.ones(len(x), bool) if valid is None else np.asarray(valid)
    return Generation(jnp.asarray(1), generator, generator, jnp.asarray(x), jnp.asarray(valid))


def values(metric, source, x, valid=None, generator=None):
    return metric(KEY, generation(x, generator, valid), metric.prepare(KEY, source))


@pytest.fixture
def source(tmp_path):
    """Documents of the words a and b, each with a word of its own."""
    path = tmp_path / "text.txt"
    path.write_text("a b b c a a\na b d\nb a e\nb b a f")
    return Text(str(path), documents="line", length=8, n=2, n_test=2)


def numbers(source, text):
    row = [source.vocabulary.tokens.index(word) for word in text.split()]
    return np.array([row + [0] * (8 - len(row))], np.int32)


def test_perplexity_of_equal_probabilities_is_the_number_of_words():
    source = Zipf(words=7, exponent=0.0, length=5, n=4, n_test=6)
    got = values(Perplexity(), source, source.train(KEY), generator=source.truth())
    assert float(got["perplexity"]) == pytest.approx(7, rel=1e-5) and float(got["perplexity.clipped"]) == 0


def test_a_lost_word_makes_a_perplexity_that_says_so():
    source = Zipf(words=3, exponent=0.0, length=4, n=4, n_test=50)
    two = IndependentTokens(jnp.array([0.5, 0.5, 0.0]), 4)
    got = values(Perplexity(limit=5.0), source, source.train(KEY), generator=two)
    test = np.asarray(source.test(KEY))
    lost = (test == 2).any(axis=1)
    assert float(got["perplexity.clipped"]) == pytest.approx(lost.mean())
    expected = np.exp((np.log(2) * (~lost).sum() + 5.0 * lost.sum()) / len(test))
    assert float(got["perplexity"]) == pytest.approx(expected, rel=1e-5)


def test_ends_count_and_padding_does_not(source):
    """Of "a b d <end>" under a unigram model, four tokens count."""
    family = filled(Ngram(order=0, smoothing="add_k", k=1.0), source)
    x = jnp.asarray(numbers(source, "a b d"))
    size = len(source.vocabulary.tokens)
    model = family.advance(family.begin(KEY, x, jnp.ones(1), None), 1).generator
    assert float(model.log_prob(x)[0]) == pytest.approx(4 * np.log(2 / (4 + size)), rel=1e-5)


def test_the_reference_is_the_training_set():
    source = Zipf(words=50, length=20, n=100, n_test=10)
    real = values(ReferencePerplexity(order=1), source, source.draw(jax.random.key(1), 100, 0))
    own = values(ReferencePerplexity(order=1), source, source.train(KEY))
    uniform = values(ReferencePerplexity(order=1), source, np.tile(np.arange(40, 50, dtype=np.int32), (100, 2)))
    name = "reference_perplexity"
    assert float(own[name]) < float(real[name]) < float(uniform[name])


def test_kept_words_are_those_of_the_real_lexicon(source):
    train = np.asarray(source.train(KEY))
    counts = spans.word_counts(train, source.vocabulary)
    lexicon = set(counts)
    metric = Vocabulary(classes=(1,))
    x = np.concatenate([numbers(source, "a a b"), numbers(source, "a e e e")])
    got = values(metric, source, x)
    shown = {"a", "b", "e"} & lexicon
    assert got["vocabulary.kept"] == pytest.approx(len(shown) / len(lexicon))
    assert got["vocabulary.size"] == 3
    assert got["vocabulary.invented"] == pytest.approx(0.0 if "e" in lexicon else 3 / 7)
    once = {word for word, count in counts.items() if count == 1}
    assert got["vocabulary.kept.1"] == pytest.approx(len(once & shown) / len(once))
    assert got["vocabulary.mass.1"] + got["vocabulary.mass.2+"] == pytest.approx(1 - got["vocabulary.invented"])
    assert values(metric, source, train)["vocabulary.kept"] == 1
    assert np.isnan(values(metric, source, x, valid=[False, False])["vocabulary.kept"])


def test_words_of_characters_are_those_of_the_text():
    vocabulary = Tokens(("<end>", *"abc "), has_end=True, separator="")
    x = np.array([[1, 2, 4, 3, 0, 0], [3, 4, 3, 4, 1, 1]])  # "ab c", "c c aa"
    assert spans.word_counts(x, vocabulary) == {"ab": 1, "c": 3, "aa": 1}
    cut = Tokens(tuple("-abc "), has_end=False, separator="")
    assert spans.word_counts(x[1:], cut) == {"c": 1}  # its first and last words may be parts


def test_hashes_tell_ngrams_apart():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (60, 12)).astype(np.int32)
    for size in (1, 2, 3, 5):
        code, inside = spans.ngrams(x, size, False)
        windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=1).reshape(-1, size)
        distinct, inverse = np.unique(windows, axis=0, return_inverse=True)
        assert inside.all() and len(np.unique(code)) == len(distinct)
        assert len({(int(c), int(i)) for c, i in zip(code.ravel(), inverse, strict=True)}) == len(distinct)
    _, inside = spans.ngrams(np.array([[1, 2, 0, 0], [1, 1, 1, 1]]), 2, True)
    np.testing.assert_array_equal(inside, [[True, False, False], [True, True, True]])


def test_diversity_of_known_documents():
    source = Zipf(words=9, length=6, n=4, n_test=4)
    x = np.array([[1, 2, 1, 2, 1, 2], [3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8]], np.int32)
    got = values(TokenDiversity(), source, x)
    assert got["token_diversity.distinct_1"] == pytest.approx(8 / 18)
    assert got["token_diversity.distinct_2"] == pytest.approx(7 / 15)
    p = np.array([3, 3, 2, 2, 2, 2, 2, 2]) / 18
    assert got["token_diversity.entropy"] == pytest.approx(-(p * np.log(p)).sum())
    # 1 -> 2, 2 -> 1 and so on: every next token is determined.
    assert got["token_diversity.conditional_entropy"] == pytest.approx(0, abs=1e-12)
    assert got["token_diversity.repetition"] == pytest.approx(1 / 9)
    assert got["token_diversity.duplicates"] == pytest.approx(2 / 3)


def test_the_slope_of_zipfs_law_is_its_exponent():
    for exponent in (0.7, 1.0, 1.4):
        assert token_diversity.zipf_slope(1e6 * np.arange(1, 500.0) ** -exponent) == pytest.approx(-exponent)
    assert token_diversity.zipf_slope(np.array([3])) == 0
