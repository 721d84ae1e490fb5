import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.mixture import Mixture
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout


def test_lanes_are_what_the_function_gives_one_by_one(layout):
    """Any number of lanes; those behind the last one are zeros, and shared arrays are read by all."""
    program = lane_program(lambda shared, lane: {"sum": lane["x"].sum() + shared, "x": lane["x"] * 2}, layout)
    for count in (1, 2, 5):
        x = np.arange(3.0 * count, dtype=np.float32).reshape(count, 3)
        out = program(count, np.float32(10), layout.put({"x": x}))
        np.testing.assert_array_equal(out["x"][:count], 2 * x)
        np.testing.assert_array_equal(out["sum"][:count], x.sum(axis=1) + 10)
        assert out["sum"].shape == (layout.padded(count),)
        if layout.loop:
            assert (np.asarray(out["sum"])[count:] == 0).all()


def test_a_second_call_compiles_nothing(layout):
    """Outputs come with the sharding of the inputs, so that a program can be fed with its own results."""
    traces = []

    def body(shared, lane):
        traces.append(1)
        return lane + shared

    program = lane_program(body, layout)
    x = program(3, np.float32(1), layout.put(np.zeros(3, np.float32)))
    count = len(traces)
    for _ in range(3):
        x = program(3, np.float32(1), x)
    assert len(traces) == count
    np.testing.assert_array_equal(x[:3], [4, 4, 4])


def test_padding_repeats_the_last_lane(layout):
    devices = len(layout.devices)
    assert [layout.padded(n) for n in (1, devices, devices + 1)] == [devices, devices, 2 * devices]
    x = layout.put({"a": np.arange(devices + 1)})["a"]
    assert x.shape == (2 * devices,)
    np.testing.assert_array_equal(x, [*range(devices + 1), *[devices] * (devices - 1)])
    assert x.sharding == layout.sharding
    assert layout.share(np.zeros(3)).sharding == layout.replicated


def test_cpus_get_at_least_two_virtual_devices(layout):
    """One partition and two give different bits, so there are never fewer than two."""
    if layout.devices[0].platform == "cpu":
        assert layout.loop and len(layout.devices) >= 2
        # On CPUs the number of devices changes no bit: it is not part of the record.
        assert layout.record()["devices"] == DeviceLayout(layout.devices[:2], loop=True).record()["devices"] == 2
        assert DeviceLayout(layout.devices[:1], loop=True).record() != layout.record()
    assert DeviceLayout(layout.devices, loop=not layout.loop).record() != layout.record()
    assert {"platform", "device", "jax", "jaxlib", "lanes"} <= set(layout.record())


@pytest.fixture(scope="module")
def expectation_maximisation():
    """Fits of a mixture: loops whose number of turns differs from lane to lane."""
    family = Mixture(k=2, iterations=50, tolerance=1e-4)
    keys = jax.random.key_data(jax.random.split(jax.random.key(0), 12))
    data = np.random.default_rng(0).normal(size=(12, 30, 1)).astype(np.float32)

    def fit(shared, lane):
        state = family.begin(jax.random.wrap_key_data(lane["key"]), lane["x"], jnp.ones(30), None)
        return family.advance(state, 1).without_data()

    def run(layout, count):
        lanes = layout.put({"key": keys[:count], "x": data[:count]})
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], lane_program(fit, layout)(count, None, lanes))

    return run


def test_the_number_of_lanes_changes_no_bit_of_a_loop(layout, expectation_maximisation):
    twelve = expectation_maximisation(layout, 12)
    single = expectation_maximisation(layout, 1)
    jax.tree.map(lambda got, expected: np.testing.assert_array_equal(got, expected[:1]), single, twelve)
    vectorised = expectation_maximisation(DeviceLayout(layout.devices, loop=False), 12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3), vectorised, twelve)
