import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.models.nets.mlp import MLP, OCTAVES, embedding


@pytest.fixture(scope="module")
def net():
    return MLP.init(jax.random.key(0), 3, 16, 2)


def test_each_layer_is_one_matrix_product(net):
    jaxpr = jax.make_jaxpr(lambda net, x, c: net(x, c))(net, jnp.zeros((5, 3)), jnp.zeros(5))
    products = [equation for equation in jaxpr.eqns if equation.primitive.name == "dot_general"]
    assert [tuple(v.aval.shape for v in p.invars) for p in products] == [
        ((5, 3 + 2 * OCTAVES + 1), (3 + 2 * OCTAVES + 1, 16)),
        ((5, 16), (16, 16)),
        ((5, 16), (16, 3)),
    ]


def test_agrees_with_numpy(net):
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(4, 3)), rng.uniform(-1, 1, size=4)
    angles = np.pi * c[:, None] * [1, 2, 4, 8]
    h = np.concatenate([x, c[:, None], np.sin(angles), np.cos(angles)], axis=1)
    weights = [np.asarray(w, float) for w in net.weights]
    for w in weights[:-1]:
        h = h @ w
        h = h / (1 + np.exp(-h))
    np.testing.assert_allclose(
        net(jnp.asarray(x, jnp.float32), jnp.asarray(c, jnp.float32)), h @ weights[-1], atol=1e-5
    )


def test_examples_do_not_influence_each_other(net):
    x, c = jax.random.normal(jax.random.key(1), (4, 3)), jnp.linspace(0, 1, 4)
    moved = net(x.at[2].add(10.0), c.at[2].add(1.0))
    others = jnp.array([0, 1, 3])
    np.testing.assert_array_equal(moved[others], net(x, c)[others])


def test_weights_have_the_variance_of_their_inputs():
    net = MLP.init(jax.random.key(0), 4, 300, 2)
    for weight in net.weights:
        n = weight.size
        # The variance of n normal numbers has relative standard deviation sqrt(2 / n).
        np.testing.assert_allclose(weight.var() * weight.shape[0], 1.0, atol=5 * (2 / n) ** 0.5)
    assert not np.intersect1d(net.weights[0].ravel(), net.weights[1].ravel()).size


def test_gradients_reach_every_parameter(net):
    x, c = jax.random.normal(jax.random.key(1), (8, 3)), jnp.linspace(0, 1, 8)
    gradient = jax.grad(lambda net: (net(x, c) ** 2).mean())(net)
    for leaf in jax.tree.leaves(gradient):
        assert (leaf != 0).all()


def test_the_embedding_tells_conditions_apart():
    points = embedding(jnp.linspace(-2, 2, 401))
    gaps = jnp.sqrt(((points[1:] - points[:-1]) ** 2).sum(axis=1))
    assert gaps.min() > 0.01
