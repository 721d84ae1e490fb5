"""The digits, and what they show of every finite source."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from selfconsume.errors import ConfigError
from selfconsume.sources.digits import Digits

KEY = jax.random.key(1)


def as_set(rows) -> set[bytes]:
    """All 1797 digits differ, so that rows can be told apart by their content."""
    return {row.tobytes() for row in np.asarray(rows)}


def test_the_first_use_may_be_traced():
    """Loading inside a compiled function leaves nothing of the trace behind."""
    source = Digits(n=11)
    inside = jax.jit(source.train)(KEY)
    np.testing.assert_array_equal(inside, source.train(KEY))


def test_flat_rows_are_scikit_learns_with_their_labels():
    source = Digits()
    pixels, labels = load_digits(return_X_y=True)
    digit = {(row / 16).astype(np.float32).tobytes(): label for row, label in zip(pixels, labels, strict=True)}
    x = np.asarray(source.train(KEY))
    assert x.dtype == np.float32 and x.shape == (1000, 64) == (source.size, *source.shape)
    assert x.min() == 0 and x.max() == 1
    np.testing.assert_array_equal(source.labels(KEY), [digit[row.tobytes()] for row in x])
    # Shuffled: in scikit-learn's order the digits of one writer follow each other.
    assert len(digit) == 1797 and not np.array_equal(x, (pixels[:1000] / 16).astype(np.float32))


def test_images_are_the_same_rows_in_eight_bits():
    flat, image = Digits(), Digits(form="image")
    x, y = np.asarray(flat.train(KEY)), np.asarray(image.train(KEY))
    assert y.dtype == np.uint8 and y.shape == (1000, 8, 8, 1) == (image.size, *image.shape)
    np.testing.assert_allclose(y.reshape(-1, 64) / 255, x, atol=0.5 / 255 + 1e-6)
    assert y.max() == 255
    np.testing.assert_array_equal(image.labels(KEY), flat.labels(KEY))


def test_train_test_and_reserve_share_nothing_and_leave_nothing_out():
    source = Digits()
    assert source.fixed and source.reserve == 297
    train, test = as_set(source.train(KEY)), as_set(source.test(KEY))
    fresh = [as_set(source.draw(KEY, 99, batch)) for batch in range(3)]
    assert [len(part) for part in (train, test, *fresh)] == [1000, 500, 99, 99, 99]
    assert len(train.union(test, *fresh)) == 1797


def test_the_key_shuffles_the_reserve_and_nothing_else():
    source, other = Digits(), jax.random.key(2)
    np.testing.assert_array_equal(source.train(KEY), source.train(other))
    np.testing.assert_array_equal(source.test(KEY), source.test(other))
    one, two = source.draw(KEY, 297, 0), source.draw(other, 297, 0)
    assert as_set(one) == as_set(two) and not np.array_equal(one, two)


def test_a_batch_may_be_traced():
    source = Digits()
    np.testing.assert_array_equal(jax.jit(lambda b: source.draw(KEY, 50, b))(2), source.draw(KEY, 50, 2))


def test_test_rows_do_not_depend_on_n_and_train_sets_are_nested():
    small, large = Digits(n=100), Digits(n=1297)
    np.testing.assert_array_equal(small.test(KEY), large.test(KEY))
    np.testing.assert_array_equal(small.train(KEY), large.train(KEY)[:100])
    assert large.reserve == 0
    large.check()


def test_more_than_there_is():
    with pytest.raises(
        ConfigError, match=r"source.n: 1298 training and 500 test rows .* the data has 1797; lower n to at most 1297"
    ):
        Digits(n=1298).check()
    with pytest.raises(ConfigError, match=r"298 fresh examples .* the reserve has 297"):
        Digits().draw(KEY, 298, 0)
    Digits.tiny().check()
