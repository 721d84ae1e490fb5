import dataclasses
import functools
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

from selfconsume.errors import ConfigError
from selfconsume.lanes.lane_program import lane_program
from selfconsume.models.training.gradient_loop import (
    NeuralGenerator,
    advance_training,
    begin_training,
    learning_rate,
)
from selfconsume.models.training.minibatches import Minibatches
from selfconsume.models.training.scaling import Scaling
from selfconsume.models.training.training_settings import TrainingSettings, check_training
from selfconsume.types import Family, FitState


class Point(NeuralGenerator):
    net: Any
    scaling: Scaling
    temperature: Float[Array, ""]

    def sample(self, key, n):
        return self.scaling.decode(jnp.broadcast_to(self.net, (n, *self.net.shape)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location(TrainingSettings, Family):
    """The least-squares location: its loss is least at the weighted mean."""

    def init(self, key, shape):
        return Point(jnp.ones(shape), Scaling.identity(shape), jnp.asarray(self.temperature, jnp.float32))

    def begin(self, key, x, weight, start):
        return begin_training(self, self.init, key, x, weight, start)

    def advance(self, state, updates):
        return advance_training(self, state, updates, prepare=lambda key, generator, z: z, loss=self.loss)

    def loss(self, generator, prepared):
        return ((prepared - generator.net) ** 2).sum(axis=1).mean()


class Pictures(Location):
    """Its loss says what it was shown."""

    def loss(self, generator, prepared):
        return prepared[:, 0, 0, 0].mean() + 0 * generator.net.sum()


X = jnp.array([[0.0, 3.0], [1.0, -1.0], [4.0, 1.0], [5.0, 5.0]])
WEIGHT = jnp.array([1.0, 2.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def unscaled():
    """A start that keeps data as they are, and remembers no training."""
    generator = Location().init(jax.random.key(0), (2,))
    return FitState(generator, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)


def run(family, x, weight, start, updates, key=0):
    begun = family.begin(jax.random.key(key), x, weight, start)
    return jax.jit(lambda state: family.advance(state, updates))(begun)


# Batches


@functools.partial(jax.jit, static_argnames=("size", "count"))
def draw(seed, weight, size=250, count=4, first=0):
    """The rows of some batches in a row."""
    batches = Minibatches.of(jax.random.key(seed), jnp.zeros((weight.shape[0], 1)), weight, 1)
    return jax.vmap(lambda i: batches.rows(i, size))(first + jnp.arange(count)).ravel()


@hypothesis.given(
    weights=st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0, 1.0, 2.0, 7.5]), min_size=1, max_size=30),
    seed=st.integers(0, 2**31 - 1),
)
@hypothesis.settings(max_examples=60, deadline=None)
def test_every_row_gets_its_share_at_any_time(weights, seed):
    hypothesis.assume(sum(weights) > 0)
    weight = np.zeros(30, np.float32)
    weight[: len(weights)] = weights
    rows = np.asarray(draw(seed, weight))
    counts = np.cumsum(rows[:, None] == np.arange(len(weight)), axis=0)
    shares = np.arange(1, 1001)[:, None] * weight / weight.sum()
    # Multiples of the golden ratio have logarithmic discrepancy; chance would miss by up to 3 * sqrt(1000 / 4) = 47.
    assert np.abs(counts - shares).max() < 5
    assert not counts[-1][weight == 0].any()


def test_lengths_are_the_weights():
    weight = jax.random.exponential(jax.random.key(0), (100_000,)) * (jnp.arange(100_000) % 3 > 0)
    batches = Minibatches.of(jax.random.key(1), jnp.zeros((100_000, 1)), weight, 1)
    ends = np.asarray(batches.ends).astype(np.int64)
    lengths = np.diff(ends, prepend=-1)
    assert (lengths >= 0).all() and ends[-1] == 2**32 - 1
    expected = np.asarray(weight, np.float64)[np.asarray(batches.order)]
    expected *= 2**32 / expected.sum()
    assert (lengths[expected == 0] == 0).all()
    # Rounding of one position, of what is spread over all rows, and of float32.
    np.testing.assert_allclose(lengths, expected, rtol=1e-5, atol=4)


def test_rows_without_weight_are_absent_even_if_they_come_first_or_are_all_but_one():
    weight = jnp.zeros(50).at[31].set(0.125)
    assert (draw(0, weight) == 31).all()


def test_no_weight_at_all_still_gives_rows():
    rows = draw(0, jnp.zeros(50))
    assert ((rows >= 0) & (rows < 50)).all()


def test_each_draw_by_itself_follows_the_weights():
    """The first one too, whatever the order of the rows; and rows that follow each other are others for every key."""

    @jax.jit
    def first(weight):
        x = jnp.zeros((50, 1))
        return jax.vmap(lambda seed: Minibatches.of(jax.random.key(seed), x, weight, 1).rows(jnp.int32(0), 2))(
            jnp.arange(2000)
        )

    rows = first(jnp.ones(50).at[0].set(49.0))
    np.testing.assert_allclose((rows == 0).mean(axis=0), 0.5, atol=4.5 * 0.5 / 2000**0.5)
    rows = np.asarray(first(jnp.ones(50)))
    # Forty-nine steps from one row to the next, 41 of each expected.
    assert np.bincount((rows[:, 1] - rows[:, 0]) % 50, minlength=50)[1:].min() > 10


def test_batches_of_late_updates_are_as_even_as_early_ones():
    # The draw's number wraps around 2^32 inside the second batch.
    late = draw(0, jnp.ones(50), first=2**32 // 250 - 1)
    assert np.abs(np.bincount(late, minlength=50) - 20).max() < 10


# Scaling


def test_scaling_is_the_weighted_one_and_comes_back():
    scaling = Scaling.of(X, WEIGHT)
    doubled = np.asarray(X)[[0, 1, 1, 3]]
    np.testing.assert_allclose(scaling.shift, doubled.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaling.scale, np.sqrt(doubled.var(axis=0).mean()), rtol=1e-6)
    np.testing.assert_allclose(scaling.decode(scaling.encode(X)), X, atol=1e-6)


@pytest.mark.parametrize("x", [jnp.full((3, 2), 7.0), jnp.zeros((1, 2))])
def test_scaling_of_a_point_mass_is_finite(x):
    scaling = Scaling.of(x, jnp.ones(len(x)))
    np.testing.assert_allclose(scaling.encode(x), 0.0, atol=1e-5)
    assert scaling.scale == 1.0


def test_scaling_of_bytes():
    images = jnp.array([[[[0]], [[255]]], [[[255]], [[0]]]], jnp.uint8)
    scaling = Scaling.of(images, jnp.ones(2))
    assert scaling.encode(images).dtype == jnp.float32
    np.testing.assert_allclose(np.abs(scaling.encode(images)), 1.0, rtol=1e-6)


def test_scaling_of_images_is_fixed_and_comes_back_as_bytes():
    images = jnp.arange(256, dtype=jnp.uint8).reshape(4, 8, 8, 1)
    scaling = Scaling.of(images[:1], jnp.ones(1))
    jax.tree.map(np.testing.assert_array_equal, scaling, Scaling.identity((8, 8, 1)))
    z = scaling.encode(images)
    assert z.min() == -1 and z.max() == 1
    back = scaling.decode(z)
    assert back.dtype == jnp.uint8
    np.testing.assert_array_equal(back, images)
    beyond = jnp.array([-9.0, 9.0, jnp.nan, jnp.inf, 0.4 / 127.5, -jnp.inf])
    ends = scaling.decode(jnp.broadcast_to(beyond[:, None, None, None], (6, 8, 8, 1)))
    assert ends[:, 0, 0, 0].tolist() == [0, 255, 0, 255, 128, 0]


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_same_gradients(unscaled, parts):
    one, several = (
        run(
            Location(updates=6, batch=8, learning_rate=0.1, clip_norm=0.5, grad_accumulation=count),
            X,
            WEIGHT,
            unscaled,
            6,
        )
        for count in (1, parts)
    )
    np.testing.assert_allclose(several.generator.net, one.generator.net, rtol=1e-5)
    np.testing.assert_allclose(several.loss, one.loss, rtol=1e-5)
    assert not np.allclose(one.generator.net, unscaled.generator.net)


def test_parts_divide_the_batch():
    class Plane:
        shape = (2,)

    with pytest.raises(
        ConfigError, match=r"family\.grad_accumulation: 3 does not divide the batch of 8; give a divisor"
    ):
        check_training(Location(batch=8, grad_accumulation=3), Plane())


def test_flips_mirror_half_of_the_images_left_to_right():
    def seen(flip):
        family = Pictures(batch=400, random_flip=flip)
        x = jnp.array([[[[0], [255]], [[0], [0]]]], jnp.uint8)
        state = family.begin(jax.random.key(0), x, jnp.ones(1), None)
        return jax.jit(lambda state: family.advance(state, 1))(state).loss

    # The loss is the mean of the upper left pixel: -1, or 1 if the image is mirrored left to right, and only then.
    assert seen(False) == -1
    np.testing.assert_allclose(seen(True), 0.0, atol=4.5 / 400**0.5)


# The loop


def test_the_loop_is_that_of_optax(unscaled):
    family = Location(
        updates=12, batch=4, learning_rate=0.1, warmup_updates=5, weight_decay=0.1, clip_norm=0.5, ema=0.6
    )
    state = run(family, X, WEIGHT, unscaled, 12)
    batches = family.begin(jax.random.key(0), X, WEIGHT, unscaled).data
    adam = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adamw(
            lambda i: 0.1 * jnp.minimum((i + 1) / 5, 1) * optax.cosine_decay_schedule(1.0, 12)(i), weight_decay=0.1
        ),
    )
    point = average = jnp.ones(2)
    memory = adam.init(point)
    losses = []
    for i in range(12):
        z = X[batches.rows(jnp.int32(i), 4)]
        loss, gradient = jax.value_and_grad(lambda p, z=z: ((z - p) ** 2).sum(axis=1).mean())(point)
        change, memory = adam.update(gradient, memory, point)
        point = point + change
        decay = min(0.6, (1 + i) / (10 + i))
        average = decay * average + (1 - decay) * point
        losses.append(loss)
    np.testing.assert_allclose(state.optimizer.net, point, rtol=1e-5)
    np.testing.assert_allclose(state.generator.net, average, rtol=1e-5)
    np.testing.assert_allclose(state.loss, np.mean(losses), rtol=1e-5)
    assert state.iteration == 12


def test_weight_two_is_the_example_twice_and_weight_zero_is_absence(unscaled):
    family = Location(updates=400, batch=8, learning_rate=0.0)
    doubled = X[jnp.array([0, 1, 1, 3])]
    at = jnp.ones(2)
    losses = ((doubled - at) ** 2).sum(axis=1)
    weighted = run(family, X, WEIGHT, unscaled, 400).loss
    repeated = run(family, doubled, jnp.ones(4), unscaled, 400, key=1).loss
    # 3200 draws, of which each example's number is within 5 of its share.
    tolerance = 5 * losses.sum() / 3200
    np.testing.assert_allclose([weighted, repeated], losses.mean(), atol=tolerance)
    moved = run(Location(updates=400, batch=8, learning_rate=0.05), X, WEIGHT, unscaled, 400)
    np.testing.assert_allclose(moved.generator.net, doubled.mean(axis=0), atol=0.02)


def test_splitting_changes_no_bit(unscaled):
    family = Location(updates=40, batch=4, ema=0.9, schedule="constant")
    whole = run(family, X, WEIGHT, unscaled, 37)
    parts = family.begin(jax.random.key(0), X, WEIGHT, unscaled)
    for updates in (16, 1, 12, 8):
        parts = jax.jit(lambda state, updates=updates: family.advance(state, updates))(parts)
    for one, other in zip(
        jax.tree.leaves((whole.generator, whole.optimizer, whole.iteration)),
        jax.tree.leaves((parts.generator, parts.optimizer, parts.iteration)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def trained(unscaled):
    """A finished fit whose averaged and last weights differ."""
    return run(Location(updates=10, batch=4, ema=0.9), X, WEIGHT, unscaled, 10).without_data()


def begun(trained, **fields):
    return Location(batch=4, ema=0.9, **fields).begin(jax.random.key(5), X, WEIGHT, trained)


def test_a_warm_start_trains_on_from_the_weights_that_it_says(trained):
    averaged, last = trained.generator.net, trained.optimizer.net
    assert (averaged != last).all()
    for start, expected in (("ema", averaged), ("raw", last)):
        state = begun(trained, warm_from=start)
        np.testing.assert_array_equal(state.optimizer.net, expected)
        np.testing.assert_array_equal(state.generator.net, expected)
        assert state.optimizer.averaged == 0
        state = begun(trained, warm_from=start, reset_ema=False)
        np.testing.assert_array_equal(state.optimizer.net, expected)
        np.testing.assert_array_equal(state.generator.net, averaged)
        assert state.optimizer.averaged == 10


def test_a_warm_start_forgets_or_carries_the_optimizer(trained):
    fresh, carried = begun(trained).optimizer.moments, begun(trained, carry_optimizer=True).optimizer.moments
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(fresh))
    jax.tree.map(np.testing.assert_array_equal, carried, trained.optimizer.moments)
    assert carried[0].count == 10


def test_a_warm_start_keeps_the_scaling_and_takes_the_family_s_temperature(trained):
    other = X * 10
    state = Location(temperature=0.5).begin(jax.random.key(0), other, WEIGHT, trained)
    np.testing.assert_array_equal(state.generator.scaling.scale, trained.generator.scaling.scale)
    assert state.generator.temperature == 0.5
    cold = Location().begin(jax.random.key(0), other, WEIGHT, None)
    assert cold.generator.scaling.scale > 5 and cold.generator.temperature == 1


def test_a_start_without_a_memory_of_training(unscaled):
    state = Location(warm_from="raw", carry_optimizer=True, reset_ema=False).begin(
        jax.random.key(0), X, WEIGHT, unscaled
    )
    np.testing.assert_array_equal(state.optimizer.net, unscaled.generator.net)
    assert state.optimizer.averaged == 0


def test_cold_fits_may_have_their_own_number_of_updates(trained):
    family = Location(updates=20, updates_from_scratch=40, batch=4, learning_rate=1.0)
    assert (family.updates_of(warm=False), family.updates_of(warm=True)) == (40, 20)
    assert Location(updates=20).updates_of(warm=False) == 20
    # The cosine runs over the fit's own updates: half of them are half of the learning rate.
    for start, half in ((None, 20), (trained, 10)):
        state = family.begin(jax.random.key(0), X, WEIGHT, start)
        assert state.data.length == 2 * half
        np.testing.assert_allclose(learning_rate(family, jnp.int32(half), state.data), 0.5, rtol=1e-6)


def test_cold_and_warm_states_are_alike(trained):
    """What a loop over generations carries must not change its structure."""
    states = [begun(trained, carry_optimizer=True, reset_ema=False), begun(None)]
    states += [Location(batch=4).advance(states[0], 3)]
    kinds = [[(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(state)] for state in states]
    assert kinds[0] == kinds[1] == kinds[2]
    structures = [jax.tree.structure(state) for state in states]
    assert structures[0] == structures[1] == structures[2]


def test_no_ema_samples_from_the_last_weights(unscaled):
    state = run(Location(batch=4), X, WEIGHT, unscaled, 5)
    np.testing.assert_array_equal(state.generator.net, state.optimizer.net)


def test_fits_that_cross_programs_as_lanes(layout):
    """States cross compiled boundaries lane by lane, learning rates are lane numbers."""

    def begin(_, lane):
        family = Location(batch=4, learning_rate=lane["rate"], ema=0.9)
        return family.begin(jax.random.key(lane["seed"]), X, WEIGHT, None)

    def advance(_, lane):
        return Location(batch=4, learning_rate=lane["rate"], ema=0.9).advance(lane["state"], 9)

    lanes = {"seed": np.arange(3, dtype=np.uint32), "rate": np.array([0.0, 0.01, 0.1], np.float32)}
    state = lane_program(begin, layout)(3, (), layout.put(lanes))
    state = lane_program(advance, layout)(3, (), {"state": state, **layout.put(lanes)})
    single = run(Location(batch=4, learning_rate=0.1, ema=0.9), X, WEIGHT, None, 9, key=2)
    np.testing.assert_allclose(state.generator.net[2], single.generator.net, rtol=1e-5)
    np.testing.assert_array_equal(state.optimizer.net[0], 1.0)


def test_examples_that_are_neither_vectors_nor_images_are_refused():
    class Matrices:
        shape = (8, 8)

    with pytest.raises(ConfigError, match=r"family: takes vectors or images .* \(8, 8\)"):
        check_training(Location(), Matrices())


def test_a_cold_start_may_warm_up_longer(unscaled):
    """The first Adam step is the learning rate itself, whatever the gradient."""
    family = Location(
        updates=9, batch=8, learning_rate=0.1, schedule="constant", warmup_updates=2, cold_warmup_updates=5
    )
    cold = run(family, X, WEIGHT, None, 1)
    np.testing.assert_allclose(np.abs(cold.optimizer.net - 1.0), 0.1 / 5, rtol=1e-3)
    warm = run(family, X, WEIGHT, unscaled, 1)
    np.testing.assert_allclose(np.abs(warm.optimizer.net - 1.0), 0.1 / 2, rtol=1e-3)


# Fields of the published protocols


def test_a_warm_up_in_images_is_one_in_updates():
    """40 images in batches of 4 are 10 updates; from zero, the first update is none."""
    images, updates = (
        Location(updates=20, batch=4, learning_rate=0.5, schedule="constant", **fields)
        for fields in ({"warmup_images": 40}, {"warmup_updates": 10})
    )
    batches = Minibatches.of(jax.random.key(0), X, WEIGHT, 20, 10)
    rates = [[float(learning_rate(family, jnp.asarray(i), batches)) for i in range(20)] for family in (images, updates)]
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-6)
    np.testing.assert_allclose(rates[0], 0.5 * np.minimum(np.arange(1, 21) / 10, 1), rtol=1e-6)
    zero = dataclasses.replace(updates, warmup_from="zero")
    from_zero = [float(learning_rate(zero, jnp.asarray(i), batches)) for i in range(20)]
    np.testing.assert_allclose(from_zero, 0.5 * np.minimum(np.arange(20) / 10, 1), rtol=1e-6)
    without = dataclasses.replace(zero, warmup_updates=0)
    assert float(learning_rate(without, jnp.asarray(0), Minibatches.of(jax.random.key(0), X, WEIGHT, 20))) == 0.5


@pytest.mark.parametrize(
    "fields",
    [
        {"ema": 0.9},
        {"ema": 0.9, "ema_ramp": False},
        {"ema_halflife_images": 12.0, "ema_ramp": False},
        {"ema_halflife_images": 12.0, "ema_ramp": False, "reset_ema": False},
        {"ema": 0.8, "reset_ema": False},
    ],
    ids=str,
)
def test_the_share_of_old_weights_is_what_the_average_holds(fields, unscaled):
    """With a learning rate so small that new weights are all one: the average is share * old + (1 - share) * new."""
    family = Location(updates=6, batch=4, learning_rate=1e-12, schedule="constant", warm_from="raw", **fields)
    first = run(family, X, WEIGHT, None, 6)
    raw = dataclasses.replace(first.optimizer, net=first.optimizer.net + 1.0)
    moved = dataclasses.replace(first, optimizer=raw)
    begun = family.begin(jax.random.key(0), X, WEIGHT, moved)
    # A reset average starts at the raw weights; put it at the old ones, to see how much of them is left.
    begun = dataclasses.replace(begun, generator=first.generator)
    later = jax.jit(lambda state: family.advance(state, 6))(begun)
    share = float(jnp.mean(1 - (later.generator.net - first.generator.net)))
    assert share == pytest.approx(family.old_weights_kept(), abs=1e-5)
    assert 0 < family.old_weights_kept() < 1


def test_the_published_averages_keep_what_was_found_in_them():
    """A half-life of 0.5 million images over 4,000 minibatches of 256, and a decay of 0.9999 over 390 updates."""
    edm = Location(updates=4000, batch=256, ema_halflife_images=5e5, ema_ramp=False)
    assert edm.old_weights_kept() == pytest.approx(0.242, abs=5e-4)
    otcfm = Location(updates=390, batch=128, ema=0.9999, ema_ramp=False)
    assert otcfm.old_weights_kept() == pytest.approx(0.962, abs=5e-4)
    # With the ramp, the same average forgets them.
    assert dataclasses.replace(edm, ema_ramp=True).old_weights_kept() < 1e-20
    assert Location(updates=3).old_weights_kept() == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steep(Location):
    """The gradient of its first coordinate is infinite."""

    def loss(self, generator, prepared):
        return jnp.sqrt(jnp.abs(0 * generator.net[0])) + ((prepared - generator.net) ** 2)[:, 1].mean()


def test_gradients_that_are_not_finite_count_as_zero_on_request(unscaled):
    fields: Any = {"updates": 4, "batch": 4, "learning_rate": 0.1, "schedule": "constant"}
    kept = run(Steep(**fields), X, WEIGHT, unscaled, 4)
    assert np.isnan(kept.generator.net[0])
    zeroed = run(Steep(**fields, nonfinite_gradients="zero", clip_norm=1.0), X, WEIGHT, unscaled, 4)
    assert zeroed.generator.net[0] == unscaled.generator.net[0]
    assert np.isfinite(zeroed.generator.net[1]) and zeroed.generator.net[1] != unscaled.generator.net[1]


def test_two_values_of_one_quantity_are_refused():
    from selfconsume.sources.gaussian import Gaussian

    with pytest.raises(
        ConfigError, match=r"^family.ema: expected either a decay or ema_halflife_images, got both; drop one$"
    ):
        check_training(Location(ema=0.9, ema_halflife_images=10), Gaussian(dim=2, n=4))
    with pytest.raises(
        ConfigError, match=r"^family.warmup_images: expected a warm-up in examples or in updates, got both"
    ):
        check_training(Location(warmup_images=9, warmup_updates=3), Gaussian(dim=2, n=4))
