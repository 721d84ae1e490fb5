"""Self-BLEU, copied spans and the divergence area against plain loops and known values."""

import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.metrics.text import divergence_area
from selfconsume.metrics.text.divergence_area import DivergenceArea
from selfconsume.metrics.text.memorised import Memorised
from selfconsume.metrics.text.self_bleu import self_bleu
from selfconsume.sources.text.zipf import Zipf
from selfconsume.types import Generation

KEY = jax.random.key(0)


def values(metric, source, x):
    generation = Generation(jnp.asarray(1), None, None, np.asarray(x), np.ones(len(x), bool))
    return metric(KEY, generation, metric.prepare(KEY, source))


def bleu(candidate, references):
    """BLEU-4 with several references and epsilon 0.1, from its definition."""
    log = 0.0
    for size in (1, 2, 3, 4):
        grams = [tuple(candidate[i : i + size]) for i in range(len(candidate) - size + 1)]
        allowed = Counter()
        for reference in references:
            allowed |= Counter(tuple(reference[i : i + size]) for i in range(len(reference) - size + 1))
        matches = sum((Counter(grams) & allowed).values())
        log += math.log((matches or 0.1) / max(len(grams), 1)) / 4
    nearest = min((abs(len(r) - len(candidate)), len(r)) for r in references)[1]
    return math.exp(log + min(0.0, 1 - nearest / len(candidate)))


def test_self_bleu_is_the_mean_of_bleu_against_all_others():
    rng = np.random.default_rng(0)
    x = rng.integers(1, 6, (12, 9)).astype(np.int32)
    x[3:8, 5:] = 0
    x[0] = x[1]
    rows = [row[: row.index(0)] if 0 in row else row for row in x.tolist()]
    expected = np.mean([bleu(row, rows[:i] + rows[i + 1 :]) for i, row in enumerate(rows)])
    assert self_bleu(x, True) == pytest.approx(expected)
    assert self_bleu(np.repeat(x[:1], 5, axis=0), True) == pytest.approx(1)
    assert self_bleu(x[:1], True) == 0


def test_copied_spans_are_found():
    source = Zipf(words=1000, exponent=0.0, length=10, n=5, n_test=5)
    train = np.asarray(source.train(KEY))
    new = np.setdiff1d(np.arange(1000), train)[:20].astype(np.int32).reshape(2, 10)
    x = new.copy()
    x[0, 2:6] = train[1, 3:7]
    got = values(Memorised(span=4), source, x)
    assert got == {"memorised.share": pytest.approx(4 / 20), "memorised.longest": pytest.approx(2)}
    assert values(Memorised(span=5), source, x)["memorised.share"] == 0
    assert values(Memorised(span=5), source, train) == {"memorised.share": 1, "memorised.longest": 10}


def test_the_area_of_equal_and_of_disjoint_histograms():
    p = np.array([0.2, 0.3, 0.5])
    assert divergence_area.area(p, p) == pytest.approx(1)
    assert divergence_area.area(np.array([1.0, 0.0]), np.array([0.0, 1.0])) < 0.02
    closer = divergence_area.area(p, np.array([0.25, 0.3, 0.45]))
    assert 0.5 < divergence_area.area(p, np.array([0.5, 0.3, 0.2])) < closer < 1


def test_real_text_is_nearer_than_other_text():
    source = Zipf(words=30, length=20, n=100, n_test=100)
    other = (np.asarray(source.train(KEY)) + 7) % 30
    name = "divergence_area"
    real = values(DivergenceArea(clusters=10), source, source.draw(jax.random.key(1), 100, 0))[name]
    assert values(DivergenceArea(clusters=10), source, other.astype(np.int32))[name] < 0.5 * real
