"""Ray as the engine: a real cluster on this machine gives the numbers of this process, also when its workers die."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import selfconsume as sc
from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import execute
from selfconsume.regimes.mix import Mix
from selfconsume.results import integrity
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study.study import Study

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
# Ray's own threads and sockets outlive the call that opens them.
pytestmark = pytest.mark.filterwarnings("ignore")


def study(regimes=({"kind": "mix", "ratio": 0.5}, {"kind": "window", "size": 2}), metrics=("moments",), **settings):
    source, family = {"kind": "gaussian", "n": 10}, {"kind": "gaussian"}
    metrics = [{"kind": kind} for kind in metrics]
    return Study(source, family, None, metrics, {"regime": list(regimes)}, **{"generations": 3, "seeds": 3, **settings})


@pytest.fixture(scope="module")
def engine():
    from selfconsume.execution.engines.ray import RayEngine

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with RayEngine() as made:
        yield made
    ray.shutdown()


def ancestors(pid):
    """The processes that a process descends from."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


def workers():
    """Processes of this cluster that compute a task."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::_compute" in (folder / "cmdline").read_bytes() and os.getpid() in ancestors(int(folder.name)):
                yield int(folder.name)
        except OSError:
            continue


def test_a_cluster_gives_the_local_results_and_extends_them(tmp_path, engine, layout):
    assert engine.workers == 2
    for made in (study(generations=2), study(metrics=["moments", "frechet"])):
        execute(made, tmp_path / "local", layout=layout)
        execute(made, tmp_path / "ray", layout=layout, engine=engine)
    local, remote = (Store(tmp_path / name) for name in ("local", "ray"))
    assert table(local, measured=True).equals(table(remote, measured=True))
    assert len({segment.lanes for segment in remote.segments}) > len({segment.lanes for segment in local.segments})


def test_a_worker_that_is_killed_loses_nothing(tmp_path, engine, layout):
    made, killed = study(generations=60), []

    def kill(state):
        if len(killed) < 2 and state.done >= 6 * (1 + 20 * len(killed)):
            for pid in [pid for pid in workers() if pid not in killed][:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    execute(made, tmp_path / "ray", layout=layout, engine=engine, on_progress=kill)
    assert len(set(killed)) == 2
    execute(made, tmp_path / "local", layout=layout)
    assert table(Store(tmp_path / "local"), measured=True).equals(table(Store(tmp_path / "ray"), measured=True))
    assert integrity.verify(tmp_path / "ray") == []


class Half(Mix):
    """A kind that no package has."""


def test_kinds_of_ones_own_travel_with_the_task(tmp_path, engine, layout, monkeypatch):
    monkeypatch.setitem(registry._KINDS["regime"], "half_of_a_test", Half)
    made = study([{"kind": "half_of_a_test", "ratio": 0.5}])
    assert ("regime", "half_of_a_test", Half) in registry.own_kinds()
    execute(made, tmp_path / "ray", layout=layout, engine=engine)
    execute(made, tmp_path / "local", layout=layout)
    assert table(Store(tmp_path / "local")).equals(table(Store(tmp_path / "ray")))


def test_data_in_memory_travels_with_the_task(tmp_path, engine, layout):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    made = Study(
        sc.source(rows, n=10), {"kind": "gaussian"}, {"kind": "mix"}, [{"kind": "moments"}], generations=2, seeds=3
    )
    execute(made, tmp_path / "ray", layout=layout, engine=engine)
    execute(made, tmp_path / "local", layout=layout)
    assert table(Store(tmp_path / "local")).equals(table(Store(tmp_path / "ray")))


def test_an_error_of_the_task_is_raised_as_it_is_here(tmp_path, engine, layout, monkeypatch):
    class Broken(type(study().metrics[0])):
        def prepare(self, key, source):
            raise ConfigError("the metric is broken")

    made = study()
    monkeypatch.setattr(made, "metrics", (Broken(),))
    with pytest.raises(ConfigError, match="the metric is broken"):
        execute(made, tmp_path / "ray", layout=layout, engine=engine)


def test_a_batch_that_always_kills_its_worker_is_given_up(tmp_path, engine, layout, monkeypatch):
    class Deadly(type(study().metrics[0])):
        def prepare(self, key, source):
            os.kill(os.getpid(), signal.SIGKILL)

    made = study(seeds=1)
    monkeypatch.setattr(made, "metrics", (Deadly(),))
    monkeypatch.setattr("selfconsume.execution.engines.ray.MOST_LOSSES", 2)
    with pytest.raises(ConfigError, match="2 workers in a row were lost on one batch"):
        execute(made, tmp_path / "ray", layout=layout, engine=engine)


def test_a_cluster_that_is_not_there_is_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = command("run", "mix", "--out", "out", "--address", "auto")
    assert code == 2 and error == "error: --address: expected with --engine ray; drop it, or add that\n"


def test_without_ray_the_extra_is_named(monkeypatch):
    from selfconsume.execution.engines.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"needs the extra 'ray'; pip install 'selfconsume\[ray\]'"):
        RayEngine()


def test_a_client_address_is_refused():
    """Ray's client protocol has no streams."""
    from selfconsume.execution.engines.ray import RayEngine

    with pytest.raises(ConfigError, match="expected HOST:PORT or 'auto' on a machine of the cluster"):
        RayEngine("ray://head:10001")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head", "head:", ":1", "a:99999999"])
def test_where_no_cluster_is_one_line_says_so_at_once(address):
    from selfconsume.execution.engines.ray import _check_reachable

    with pytest.raises((ValueError, OSError)):
        _check_reachable(address)
