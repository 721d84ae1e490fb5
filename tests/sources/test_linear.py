import jax
import numpy as np

from selfconsume.sources.linear import Linear


def test_labels_are_linear_in_standard_normal_inputs():
    n = 4000
    x = np.asarray(Linear(dim=4, n=n, sigma=0.5, norm=3.0).train(jax.random.key(0)), np.float64)
    assert x.shape == (n, 5)
    np.testing.assert_allclose(np.cov(x[:, :4].T), np.eye(4), atol=5 * np.sqrt(2 / n))
    w, residual, _, _ = np.linalg.lstsq(x[:, :4], x[:, 4])
    np.testing.assert_allclose(w, 1.5, atol=5 * 0.5 / np.sqrt(n))
    np.testing.assert_allclose(residual / n, 0.25, rtol=5 * np.sqrt(2 / n))
