"""One lane on several devices, and on several hosts."""

import os
import re
import socket
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.models.training import data_parallel
from selfconsume.results import store
from selfconsume.results.table import table

ONE_LANE = """
    import sys, jax, numpy as np
    from selfconsume.start_jax import start_jax
    start_jax()
    from selfconsume.families.edm import EDM
    from selfconsume.lanes.lane_batch import LaneBatch
    from selfconsume.lanes.layout import DeviceLayout
    from selfconsume.loop.run import Run
    from selfconsume.models.nets.unet import SIZES, Sizes
    from selfconsume.models.training import batched_sampling
    from selfconsume.regimes.mix import Mix
    from selfconsume.sources.digits import Digits
    from selfconsume.sources.gaussian import Gaussian

    SIZES["tiny"] = Sizes(4, (1,), 1, ())
    batched_sampling.SAMPLE_BATCH = 5
    digits = Digits(n=24, n_test=20, form="image")
    images = Run(digits, EDM(updates=8, batch=8, steps=2, dropout=0.1, augment=0.3, ema=0.9, learning_rate=1e-3), Mix(0.5))
    vectors = Run(Gaussian(dim=2, n=40), EDM(updates=8, batch=8, width=8, depth=1, steps=2, learning_rate=1e-3), Mix(0.5))
    assert len(jax.devices()) == 4
    run = {"images": images, "vectors": vectors}[sys.argv[1]]
    records = []
    for devices, parts in ((1, 1), (4, 4), (4, 2)):
        layout = DeviceLayout(tuple(jax.devices()[:devices]), loop=True, devices_per_lane=parts)
        assert layout.record().get("devices_per_lane", 1) == parts
        *_, last = LaneBatch([run], [0], layout).generations([], 1)
        records.append(last)
    one, *others = records
    for other in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4), one.fit, other.fit)
        samples = [np.float32(record.samples) for record in (one, other)]
        # Bytes may fall on the other side of a rounding.
        assert np.abs(samples[0] - samples[1]).max() <= (1 if run is images else 2e-3)
    print("agreed")
    """


def process(script, *arguments, **environment):
    """Another Python, with its own number of virtual devices."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("what", ["vectors", "images"])
def test_one_lane_on_one_two_and_four_devices(what):
    """The same to float tolerance: weights, the average, and samples, whose portions are shared too."""
    running = process(ONE_LANE, what, JAX_NUM_CPU_DEVICES="4", PJRT_NPROC="5")
    out, error = running.communicate(timeout=600)
    assert out.split() == ["agreed"], error


STUDY = """
    import sys
    from selfconsume.start_jax import start_jax
    start_jax()
    import jax
    from selfconsume.execution import run_study
    from selfconsume.lanes.layout import DeviceLayout
    from selfconsume.study.study import Study
    family = {"kind": "edm", "width": 8, "depth": 1, "updates": 8, "batch": 8, "steps": 2, "learning_rate": 1e-3}
    study = lambda generations: Study({"kind": "gaussian", "dim": 2, "n": 20}, family, None, [{"kind": "moments"}],
        {"regime": [{"kind": "mix", "ratio": 0.5}]}, generations=generations, seeds=1, start="warm")
    layout = DeviceLayout.default()
    for generations in (2, 3):  # the second time from what the first has stored
        run_study.execute(study(generations), sys.argv[1], layout=layout)
    print(layout.hosts, layout.leads, layout.record().get("devices_per_lane", 1), len(jax.local_devices()))
    """


def test_one_lane_on_two_hosts(tmp_path):
    """Two processes that know each other by an address. The first one writes; the numbers are those of one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone = process(STUDY, str(tmp_path / "alone"), JAX_NUM_CPU_DEVICES="2", PJRT_NPROC="3")
    shared = {"JAX_NUM_CPU_DEVICES": "1", "PJRT_NPROC": "3", "SELFCONSUME_SPLIT": "2", "SELFCONSUME_HOSTS": "2"}
    hosts = [
        process(
            STUDY,
            str(tmp_path / "both"),
            **shared,
            SELFCONSUME_COORDINATOR=f"127.0.0.1:{port}",
            SELFCONSUME_HOST=str(number),
        )
        for number in range(2)
    ]
    said = []
    for running in (alone, *hosts):
        out, error = running.communicate(timeout=600)
        assert running.returncode == 0, error[-3000:]
        said.append(out.split()[-4:])
    assert said == [["1", "True", "1", "2"], ["2", "True", "2", "1"], ["2", "False", "2", "1"]]
    first, second = (table(store.Store(tmp_path / name)) for name in ("alone", "both"))
    columns = [name for name in first.columns if name != "value"]
    assert first.select(columns).equals(second.select(columns)) and len(first) > 0
    np.testing.assert_allclose(first["value"], second["value"], rtol=1e-3, atol=1e-3)


def test_outside_of_lanes_nothing_is_split(layout):
    x = np.arange(6.0)
    assert (
        data_parallel.n_devices() == 1
        and data_parallel.local_rows(x) is x
        and data_parallel.all_rows(x) is x
        and data_parallel.mean(x) is x
    )
    assert data_parallel.pad_rows(jax.numpy.asarray(x)).shape == (6,)
    # And on a layout that gives each lane one device.
    assert (
        int(
            lane_program(lambda _, lane: lane * 0 + data_parallel.n_devices(), layout)(1, (), layout.put(np.ones(1)))[0]
        )
        == 1
    )


def test_rows_of_the_devices_are_the_batch(layout):
    if len(layout.devices) < 2:
        pytest.skip("one device")
    two = DeviceLayout(layout.devices[:2], loop=layout.loop, devices_per_lane=2)

    def body(_, lane):
        rows = data_parallel.local_rows(data_parallel.pad_rows(lane["x"]))
        return {
            "joined": data_parallel.all_rows(rows),
            "mean": data_parallel.mean(rows.mean()),
            "rows": rows.sum() * 0 + rows.shape[0],
        }

    x = np.arange(15.0, dtype=np.float32).reshape(3, 5)
    out = jax.device_get(lane_program(body, two)(3, (), two.put({"x": x})))
    padded = np.concatenate([x, x[:, -1:]], axis=1)
    np.testing.assert_array_equal(out["joined"], padded)
    np.testing.assert_allclose(out["mean"], padded.mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(out["rows"], 3)


@pytest.mark.parametrize(
    ("lanes", "divisor", "expected"),
    [(1, 256, 8), (2, 256, 4), (3, 256, 2), (4, 6, 2), (5, 256, 1), (40, 8, 1), (1, 1, 1)],
)
def test_accelerators_without_a_lane_join_another_one(layout, lanes, divisor, expected):
    eight = layout.devices[:1] * 8  # nothing is computed on them
    layout = DeviceLayout(eight, loop=False)
    spread = layout.spread(lanes, divisor)
    assert spread.devices_per_lane == expected
    assert spread.padded(lanes) % spread.groups == 0 and spread.groups * spread.devices_per_lane == 8
    assert ("devices_per_lane" in spread.record()) == (expected > 1)
    assert layout.spread(lanes, divisor).spread(lanes, divisor) == spread
    assert DeviceLayout(eight, loop=True).spread(lanes, divisor).devices_per_lane == 1


def test_devices_of_a_lane_that_do_not_divide_a_batch_are_refused(layout):
    """They would leave rows out."""
    four = DeviceLayout(layout.devices[:1] * 4, loop=True, devices_per_lane=4)
    assert four.spread(1, 8) == four and four.spread(1, None) == four
    with pytest.raises(
        ConfigError, match="SELFCONSUME_SPLIT: 4 devices of one lane do not divide a batch of 10 examples"
    ):
        four.spread(1, 10)


def test_a_number_of_devices_that_does_not_divide_is_refused(monkeypatch):
    for wrong in ("0", "7.5", "97"):
        monkeypatch.setenv("SELFCONSUME_SPLIT", wrong)
        with pytest.raises(ValueError, match=re.escape("SELFCONSUME_SPLIT: expected a divisor of")):
            DeviceLayout.default()
