import jax
import numpy as np

from selfconsume.sources.linear import HalfSpace, Linear


def test_labels_are_linear_in_standard_normal_inputs():
    n = 4000
    x = np.asarray(Linear(dim=4, n=n, sigma=0.5, norm=3.0).train(jax.random.key(0)), np.float64)
    assert x.shape == (n, 5)
    np.testing.assert_allclose(np.cov(x[:, :4].T), np.eye(4), atol=5 * np.sqrt(2 / n))
    w, residual, _, _ = np.linalg.lstsq(x[:, :4], x[:, 4])
    np.testing.assert_allclose(w, 1.5, atol=5 * 0.5 / np.sqrt(n))
    np.testing.assert_allclose(residual / n, 0.25, rtol=5 * np.sqrt(2 / n))


def test_half_spaces_are_labelled_with_a_share_of_wrong_labels():
    n = 20_000
    for flip in (0.0, 0.2):
        x = np.asarray(HalfSpace(dim=3, n=n, flip=flip).train(jax.random.key(0)), np.float64)
        assert x.shape == (n, 4)
        np.testing.assert_allclose(np.cov(x[:, :3].T), np.eye(3), atol=5 * np.sqrt(2 / n))
        is_wrong = x[:, 3] != np.sign(x[:, :3].sum(axis=1))
        assert abs(is_wrong.mean() - flip) <= 4.5 * np.sqrt(flip * (1 - flip) / n)
