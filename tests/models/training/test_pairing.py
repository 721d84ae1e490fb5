import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from selfconsume.models.training.pairing import assignment, draw_pairs, paired, plan, sample_permutation

solved = jax.jit(assignment)


def least(cost):
    return sum(np.float64(one)[linear_sum_assignment(one)].sum() for one in cost)


def reached(cost, rows):
    return sum(np.float64(one)[row, np.arange(len(row))].sum() for one, row in zip(cost, rows, strict=True))


def check_exact(cost):
    rows = np.asarray(solved(jnp.asarray(cost)))
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.broadcast_to(np.arange(cost.shape[1]), rows.shape))
    np.testing.assert_allclose(reached(cost, rows), least(cost), rtol=1e-5, atol=1e-5 * np.abs(cost).max())


@hypothesis.given(
    # XLA flushes subnormal numbers to zero, so to it they are ties.
    hnp.arrays(
        np.float32, (3, 6, 6), elements=st.integers(-3, 3) | st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
    ),
)
@hypothesis.settings(max_examples=150, deadline=None)
def test_exact_and_a_permutation_whatever_the_costs(cost):
    """Ties, duplicates and mixed magnitudes."""
    check_exact(cost)


@pytest.mark.parametrize(("p", "k"), [(1, 1), (5, 2), (40, 16), (3, 48)])
def test_exact_on_clustered_points(p, k):
    rng = np.random.default_rng(k)
    noise = rng.normal(size=(p, k, 2))
    data = 2.0 * rng.integers(-1, 2, size=(p, k, 2)) + 0.1 * rng.normal(size=(p, k, 2))
    check_exact(((noise[:, :, None] - data[:, None]) ** 2).sum(axis=-1).astype(np.float32))


@pytest.mark.parametrize("cost", [np.zeros((2, 6, 6)), np.tile(np.arange(6.0), (2, 6, 1))])
def test_any_permutation_is_best_where_all_are_equal(cost):
    check_exact(cost.astype(np.float32))


def test_not_a_number_ends():
    assert solved(jnp.full((3, 6, 6), jnp.nan)).shape == (3, 6)


def test_vectorised_calls_are_one_call_with_more_blocks():
    cost = jax.random.normal(jax.random.key(0), (4, 3, 6, 6))
    stacked = jax.jit(jax.vmap(assignment))(cost)
    np.testing.assert_array_equal(stacked.reshape(12, 6), solved(cost.reshape(12, 6, 6)))
    loops = str(jax.make_jaxpr(jax.vmap(jax.vmap(assignment)))(cost[None])).count("while[")
    assert loops == 1


OPTIONS = {"block": 8, "epsilon": 0.05, "iterations": 50}


@pytest.fixture(scope="module")
def points():
    noise, data = jax.random.split(jax.random.key(3))
    return jax.random.normal(noise, (32, 2)), 3.0 + 2.0 * jax.random.normal(data, (32, 2))


@pytest.mark.parametrize("pairing", ["independent", "exact", "sinkhorn"])
def test_pairing_permutes_noise_inside_blocks(points, pairing):
    x0, x1 = points
    y = np.asarray(paired(jax.random.key(0), x0, x1, pairing=pairing, **OPTIONS))
    for block in range(4):
        rows = slice(8 * block, 8 * block + 8)
        np.testing.assert_array_equal(np.unique(y[rows], axis=0), np.unique(x0[rows], axis=0))
    if pairing == "independent":
        np.testing.assert_array_equal(y, x0)


def test_exact_pairing_is_scipy_s(points):
    x0, x1 = points
    y = paired(jax.random.key(0), x0, x1, pairing="exact", **OPTIONS)
    cost = ((x0.reshape(4, 8, 1, 2) - x1.reshape(4, 1, 8, 2)) ** 2).sum(axis=-1)
    np.testing.assert_allclose(((y - x1) ** 2).sum(), least(np.asarray(cost)), rtol=1e-5)


def test_sinkhorn_is_between_chance_and_the_best(points):
    x0, x1 = points

    def cost(pairing, epsilon=0.05):
        options = {**OPTIONS, "epsilon": epsilon}
        return float(((paired(jax.random.key(0), x0, x1, pairing=pairing, **options) - x1) ** 2).sum())

    assert cost("exact") < cost("sinkhorn", epsilon=0.01) < cost("sinkhorn", epsilon=1.0) < cost("independent")


def test_the_plan_has_uniform_margins_and_is_that_of_its_regularisation(points):
    a, b = (x.reshape(4, 8, 2) for x in points)
    cost = -2 * jnp.einsum("pid,pjd->pij", a, b)
    log_plan = np.asarray(plan(cost, a, b, 0.1, 200), np.float64)
    np.testing.assert_allclose(np.exp(log_plan).sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_plan).sum(axis=2), 1.0, rtol=1e-3)
    # log P + C / epsilon is a function of the row plus a function of the column.
    squared = ((np.asarray(a)[:, :, None] - np.asarray(b)[:, None]) ** 2).sum(axis=-1)
    rest = log_plan + squared / (0.1 * squared.mean(axis=(1, 2), keepdims=True))
    mixed = rest - rest.mean(axis=1, keepdims=True) - rest.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(mixed + rest.mean(axis=(1, 2), keepdims=True), 0.0, atol=1e-3)


def test_sampled_permutations_follow_the_plan():
    p = np.array([[0.5, 0.2, 0.3], [0.4, 0.1, 0.5], [0.1, 0.7, 0.2]])
    n = 40_000
    rows = np.asarray(
        sample_permutation(jax.random.key(0), jnp.broadcast_to(jnp.log(jnp.asarray(p, jnp.float32)), (n, 3, 3)))
    )
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(3), (n, 1)))
    tolerance = 4.5 * 0.5 / n**0.5
    first = np.bincount(rows[:, 0], minlength=3) / n
    np.testing.assert_allclose(first, p[:, 0], atol=tolerance)
    # The second column chooses among what the first left.
    second = sum(p[i, 0] * np.where(np.arange(3) == i, 0, p[:, 1]) / (1 - p[i, 1]) for i in range(3))
    np.testing.assert_allclose(np.bincount(rows[:, 1], minlength=3) / n, second, atol=tolerance)


@pytest.mark.parametrize("pairing", ["exact", "sinkhorn"])
def test_pairs_drawn_with_replacement_have_the_distribution_of_the_plan(pairing):
    """Frequencies of all pairs over many draws, against the plan; about a share 1/e of the data is in no pair of a draw."""
    n, draws = 6, 4000
    x0, x1 = jax.random.normal(jax.random.key(0), (2, n, 2))
    options = {"pairing": pairing, "block": n, "epsilon": 0.3, "iterations": 50}
    noise, index = jax.jit(jax.vmap(lambda key: draw_pairs(key, x0, x1, **options)))(
        jax.random.split(jax.random.key(1), draws)
    )
    rows = np.asarray(jnp.argmin(((noise[:, :, None] - x0) ** 2).sum(axis=3), axis=2))
    share = np.zeros((n, n))
    np.add.at(share, (rows.ravel(), np.asarray(index).ravel()), 1 / (n * draws))
    cost = (-2 * x0 @ x1.T)[None]
    if pairing == "exact":
        expected = np.zeros((n, n))
        expected[np.asarray(assignment(cost))[0], np.arange(n)] = 1 / n
    else:
        expected = np.asarray(jax.nn.softmax(plan(cost, x0[None], x1[None], 0.3, 50).reshape(-1))).reshape(n, n)
    error = np.sqrt(expected * (1 - expected) / (n * draws))
    assert (np.abs(share - expected) < 5 * error + 1e-6).all()
    absent = 1 - np.mean([len(np.unique(row)) for row in np.asarray(index)]) / n
    assert absent == pytest.approx((1 - 1 / n) ** n, abs=0.02)


def test_blocks_of_pairs_stay_apart():
    x0, x1 = jax.random.normal(jax.random.key(0), (2, 12, 2))
    noise, index = draw_pairs(jax.random.key(1), x0, x1, pairing="exact", block=4, epsilon=0.1, iterations=5)
    rows = np.asarray(jnp.argmin(((noise[:, None] - x0) ** 2).sum(axis=2), axis=1))
    assert (rows // 4 == np.arange(12) // 4).all() and (np.asarray(index) // 4 == np.arange(12) // 4).all()
