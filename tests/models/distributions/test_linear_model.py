import jax.numpy as jnp
import numpy as np
import scipy.stats

from selfconsume.models.distributions.linear_model import LinearModel, least_norm


def model(sigma):
    return LinearModel(jnp.array([1.0, -2.0]), jnp.asarray(sigma), jnp.zeros((0, 2)))


def test_the_density_is_that_of_the_label():
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    expected = scipy.stats.norm(x[:, 0] - 2 * x[:, 1], 0.7).logpdf(x[:, 2])
    np.testing.assert_allclose(model(0.7).log_prob(jnp.asarray(x)), expected, rtol=1e-4)


def test_the_density_of_labels_without_noise_is_a_number():
    on, off, far = model(0.0).log_prob(jnp.array([[1.0, 1.0, -1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1e30]]))
    assert np.isfinite(on) and on > 0 > off >= far and not np.isnan(far)


def test_the_shortest_solution_of_a_singular_system():
    rng = np.random.default_rng(1)
    for rank in (0, 1, 3, 5):
        root = rng.normal(size=(5, rank))
        matrix = root @ root.T
        vector = matrix @ rng.normal(size=5)
        expected = np.linalg.pinv(matrix, hermitian=True, rtol=1e-10) @ vector if rank else np.zeros(5)
        found = least_norm(jnp.asarray(matrix, jnp.float32), jnp.asarray(vector, jnp.float32))
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
