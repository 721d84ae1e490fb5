"""N-gram models against a plain dictionary of counts, for every smoothing, order and fractional weights."""

import itertools
import math
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.models.sequences import contexts, ngram_tables
from selfconsume.models.sequences.ngram_model import NgramModel

V, LENGTH = 4, 6
SMOOTHINGS = ("witten_bell", "kneser_ney", "add_k", "none")


def model(x, weight, order, smoothing, has_end, amount=0.6):
    form = {"order": order, "vocabulary": V, "has_end": has_end, "smoothing": smoothing}
    tables = ngram_tables.count(jnp.asarray(x), jnp.asarray(weight), amount=amount, **form)
    return NgramModel(tables, order, ngram_tables.lengths(order, smoothing), V, x.shape[1], has_end)


class Dictionary:
    """The same model from the textbook's formulas: probabilities by recursion over shorter contexts."""

    def __init__(self, x, weight, order, smoothing, has_end, amount=0.6):
        self.order, self.smoothing, self.amount = order, smoothing, amount
        self.counts = [defaultdict(float) for _ in range(order + 1)]
        for row, w in zip(x.tolist(), weight, strict=True):
            tokens = row[: row.index(0) + 1] if has_end and 0 in row else row
            for i, token in enumerate(tokens):
                history = (["start"] * order + tokens[:i])[-order:] if order else []
                for j in range(order + 1):
                    if w > 0:
                        self.counts[j][tuple(history[order - j :]), token] += float(w)
        if smoothing == "kneser_ney":
            for j in range(order):
                for history, token in self.counts[j]:
                    if not history or history[0] != "start":
                        longer = [h for h, t in self.counts[j + 1] if h[1:] == history and t == token]
                        self.counts[j][history, token] = float(len(longer))

    def probability(self, history, token):
        if self.smoothing == "add_k":
            own = {t: c for (h, t), c in self.counts[self.order].items() if h == history}
            return (own.get(token, 0) + self.amount) / (sum(own.values()) + self.amount * V)
        own = {t: c for (h, t), c in self.counts[len(history)].items() if h == history}
        shorter = self.probability(history[1:], token) if history else 1 / V
        if not own:
            return shorter
        total = sum(own.values())
        if self.smoothing == "witten_bell":
            return (own.get(token, 0) + len(own) * shorter) / (total + len(own))
        if self.smoothing == "none":
            return own.get(token, 0) / total
        left = sum(min(count, self.amount) for count in own.values()) / total
        return max(own.get(token, 0) - self.amount, 0) / total + left * shorter


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.integers(0, V, (9, LENGTH)).astype(np.int32), np.array([1, 2, 0, 0.5, 1, 1, 0, 3, 1], np.float32)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("has_end", [False, True])
def test_probabilities_are_those_of_the_formulas(data, order, smoothing, has_end):
    x, weight = data
    if order == 3 and has_end:
        x = np.where(x == 0, 1, x)
        x[::2, -2:] = 0
    expected = Dictionary(x, weight, order, smoothing, has_end)
    documents = np.random.default_rng(1).integers(0, V, (7, LENGTH)).astype(np.int32)
    got = model(x, weight, order, smoothing, has_end).token_log_prob(jnp.asarray(documents))
    for row, logs in zip(documents.tolist(), np.asarray(got), strict=True):
        for i, token in enumerate(row[: row.index(0) + 1] if has_end and 0 in row else row):
            history = tuple((["start"] * order + row[:i])[-order:]) if order else ()
            np.testing.assert_allclose(math.exp(logs[i]), expected.probability(history, token), rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_all_documents_have_probability_one_together(data, smoothing):
    x, weight = data
    everything = jnp.asarray(list(itertools.product(range(V), repeat=4)), jnp.int32)
    fitted = model(x[:, :4], weight, 2, smoothing, False)
    assert float(jnp.exp(fitted.log_prob(everything)).sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("has_end", [False, True])
def test_samples_follow_the_probabilities(data, smoothing, has_end):
    """Frequencies of all documents of 3 tokens within five standard errors."""
    x, weight = data
    fitted = model(x[:, :3], weight, 1, smoothing, has_end)
    n = 40_000
    samples = np.asarray(jax.jit(lambda key: fitted.sample(key, n))(jax.random.key(2)))
    documents = np.array(list(itertools.product(range(V), repeat=3)), np.int32)
    if has_end:
        documents = np.unique(np.asarray(contexts.padded_after_end(jnp.asarray(documents), True)), axis=0)
    p = np.exp(np.asarray(fitted.log_prob(jnp.asarray(documents)), float))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    code = 4 ** np.arange(3)
    counts = np.bincount(samples @ code, minlength=64)[documents @ code]
    assert counts.sum() == n
    assert (np.abs(counts / n - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-6).all()
    assert counts[p == 0].sum() == 0


def test_sums_within_contexts_are_exact_in_large_tables():
    """In float32, differences of one long sum would lose digits: here all words of a context have the same probability."""
    n = 200_000
    starts = jnp.arange(n) % 4 == 0
    sums = np.asarray(ngram_tables._sums_within(jnp.full(n, 0.25), starts), np.int64)
    np.testing.assert_array_equal(sums.reshape(-1, 4), np.tile(np.arange(1, 5) * 2**29, (n // 4, 1)))


def test_positions_after_the_end_are_absent():
    x = jnp.asarray([[1, 0, 2, 0], [2, 2, 1, 1], [0, 3, 3, 3]])
    expected = [[True, True, False, False], [True] * 4, [True, False, False, False]]
    np.testing.assert_array_equal(contexts.present(x, True), expected)
    np.testing.assert_array_equal(contexts.padded_after_end(x, True)[0], [1, 0, 0, 0])
    assert contexts.present(x, False).all()
    np.testing.assert_array_equal(contexts.preceding(x, 2, 9)[1][1], [9, 9, 2, 2])


@pytest.mark.parametrize("right", [False, True])
def test_search_is_a_search_in_each_range(right):
    column = np.sort(np.random.default_rng(3).integers(0, 9, 37))
    low, high = np.array([0, 5, 5, 36, 37]), np.array([37, 20, 5, 37, 37])
    value = np.array([4, 8, 3, 0, 5])
    expected = [
        a + np.searchsorted(column[a:b], v, "right" if right else "left")
        for a, b, v in zip(low, high, value, strict=True)
    ]
    got = contexts.search(jnp.asarray(column), jnp.asarray(value), jnp.asarray(low), jnp.asarray(high), right=right)
    np.testing.assert_array_equal(got, expected)
