"""What holds for every source: sizes, keys, and that no two roles share an example."""

import jax
import numpy as np
import pytest

from selfconsume import registry
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.keys import Keys, keys_of
from selfconsume.types import Density

FRESH, SAMPLES = 5, 200


def draws(source, layout, everything=True):
    """What a source gives, in three lanes, the first and the last of the same seed."""

    def draw(shared, lane):
        keys = Keys(*map(jax.random.wrap_key_data, lane))
        got = {"train": source.train(keys.train)}
        if not everything:
            return got
        got["test"] = source.test(keys.reference)
        for batch in (0, 1):
            got[f"fresh {batch}"] = source.draw(keys.fresh, FRESH, jax.numpy.asarray(batch))
        if (labels := source.labels(keys.train)) is not None:
            got["labels"] = labels
        if isinstance(truth := source.truth(), Density):
            got["density of data"] = truth.log_prob(got["train"])
            got["density of samples"] = truth.log_prob(truth.sample(keys.sample, SAMPLES))
        return got

    raw = [jax.tree.map(jax.random.key_data, keys_of(seed, 0)) for seed in (0, 1, 0)]
    lanes = layout.put(jax.tree.map(lambda *leaves: np.stack(leaves), *raw))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:3], lane_program(draw, layout)(3, None, tuple(lanes)))


@pytest.fixture(scope="module", params=registry.kinds("source"))
def source(request, tiny):
    return tiny("source", request.param)


@pytest.fixture(scope="module")
def drawn(source, layout):
    return draws(source, layout)


def test_sizes_are_what_is_said(source, drawn):
    source.check()
    assert drawn["train"].shape == (3, source.size, *source.shape)
    assert drawn["test"].shape[2:] == source.shape and drawn["test"].shape[1] > 0
    assert drawn["fresh 0"].shape == (3, FRESH, *source.shape)
    dtypes = {drawn[name].dtype for name in ("train", "test", "fresh 0")}
    assert dtypes in (
        [{np.dtype(np.float32)}, {np.dtype(np.uint8)}] if source.vocabulary is None else [{np.dtype(np.int32)}]
    )
    if "labels" in drawn:
        assert drawn["labels"].shape == (3, source.size)
        assert drawn["labels"].dtype.kind == "i" and drawn["labels"].min() >= 0
    assert all(np.isfinite(value).all() for value in drawn.values())


def test_the_same_key_gives_the_same_data(source, drawn):
    for value in drawn.values():
        np.testing.assert_array_equal(value[0], value[2])
    different = not np.array_equal(drawn["train"][0], drawn["train"][1])
    assert different != source.fixed
    assert different != np.array_equal(drawn["test"][0], drawn["test"][1])
    assert not np.array_equal(drawn["fresh 0"][0], drawn["fresh 0"][1])  # fresh data is the seed's own, always
    assert not np.array_equal(drawn["fresh 0"][0], drawn["fresh 1"][0])


def test_sequences_hold_numbers_of_the_vocabulary(source, drawn):
    if source.vocabulary is None:
        return
    tokens, size = source.vocabulary.tokens, len(source.vocabulary.tokens)
    assert len(set(tokens)) == size
    assert all(drawn[name].min() >= 0 and drawn[name].max() < size for name in ("train", "test", "fresh 0"))
    if source.vocabulary.has_end:
        ended = np.maximum.accumulate(drawn["train"] == 0, axis=-1)
        assert (drawn["train"][ended] == 0).all()


def test_roles_do_not_share_examples(source, drawn):
    """Of a finite set no row is given twice; of a continuous one equal rows would be a key used twice."""
    if source.one_hot:
        return
    rows = np.concatenate(
        [drawn[name][0].reshape(-1, *source.shape) for name in ("train", "test", "fresh 0", "fresh 1")]
    )
    rows = rows.reshape(len(rows), -1)
    if source.fixed and source.reserve < 2 * FRESH:
        return
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_what_is_vectorised_is_the_same_data(source, drawn, layout):
    (vectorised,) = draws(source, DeviceLayout(layout.devices, loop=False), everything=False).values()
    np.testing.assert_allclose(vectorised, drawn["train"], rtol=1e-5, atol=1e-5)


def test_the_truth_is_where_the_data_comes_from(source, drawn):
    """Same shapes; and where its density is known, data is as probable as samples, within 4.5 standard errors."""
    truth = source.truth()
    if truth is None:
        assert source.fixed
        return
    samples = jax.eval_shape(lambda: truth.sample(jax.random.key(0), 7))
    assert samples.shape == (7, *source.shape) and samples.dtype == drawn["train"].dtype
    if isinstance(truth, Density):
        own, data = (drawn[f"density of {name}"][0] for name in ("samples", "data"))
        error = own.std() * np.sqrt(1 / len(own) + 1 / len(data)) + 1e-6
        assert abs(own.mean() - data.mean()) < 4.5 * error


def test_modes_are_points(source):
    modes = source.modes()
    if modes is not None:
        assert modes.ndim == 2 and modes.shape[1:] == source.shape
        assert np.isfinite(modes).all()
