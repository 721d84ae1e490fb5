"""The categorical source."""

import jax
import numpy as np
import pytest
import scipy.stats

from selfconsume.errors import ConfigError
from selfconsume.sources.categorical import Categorical

KEY = jax.random.key(1)


@pytest.mark.parametrize(
    ("source", "p"), [(Categorical(p=(0.5, 0.3, 0.2)), [0.5, 0.3, 0.2]), (Categorical(k=4), [0.25] * 4)]
)
def test_rows_are_one_hot_with_the_given_frequencies(source, p):
    source.check()
    x = np.asarray(source.train(KEY))
    assert x.dtype == np.float32 and x.shape == (1000, len(p)) == (source.size, *source.shape)
    np.testing.assert_array_equal(np.sort(x, axis=1)[:, -1], 1)
    np.testing.assert_array_equal(x.sum(axis=1), 1)
    assert scipy.stats.chisquare(x.sum(axis=0), 1000 * np.array(p)).pvalue > 1e-4
    np.testing.assert_allclose(source.truth().parameters()["p"], p, rtol=1e-6)
    assert source.one_hot


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Categorical(), "source: expected either p or k, got neither"),
        (Categorical(p=(1.0,), k=1), "got both"),
        (Categorical(p=(0.5, 0.4)), "source.p: expected probabilities with sum 1, got sum 0.9"),
        (Categorical(p=(0.5, float("nan"))), "got sum nan"),
        (Categorical(p=(0.5, 0.5), zipf=1.0), "source.zipf: expected 0 beside p"),
    ],
)
def test_contradictions_are_named(source, message):
    with pytest.raises(ConfigError, match=message):
        source.check()


def test_zipf_is_scipys():
    source = Categorical(k=1000, zipf=1.2, n=2000)
    source.check()
    truth = scipy.stats.zipfian(1.2, 1000)
    np.testing.assert_allclose(source.truth().parameters()["p"], truth.pmf(np.arange(1, 1001)), rtol=1e-5)
    counts = np.asarray(source.train(KEY)).sum(axis=0)
    head = np.append(counts[:20], counts[20:].sum())
    expected = np.append(truth.pmf(np.arange(1, 21)), truth.sf(20))
    assert scipy.stats.chisquare(head, 2000 * expected).pvalue > 1e-4
