"""Results outlive the code: directories that earlier code has written are continued by later code."""

import dataclasses
import shutil
from pathlib import Path

import polars as pl
import pytest

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import execute
from selfconsume.families.gaussian import Gaussian
from selfconsume.metrics.moments import Moments
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study.study import Study

FIXTURE = Path(__file__).parents[1] / "results" / "fixtures" / "format_2"


def study(**settings):
    metrics = [{"kind": "moments"}, {"kind": "update"}]
    axes = {"regime": [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]}
    settings = {"generations": 3, "seeds": 2, **settings}
    return Study({"kind": "gaussian", "n": 8}, {"kind": "gaussian"}, None, metrics, axes, **settings)


@pytest.fixture
def later(monkeypatch):
    """Puts a later version of a class in the place of a kind: one field more, or attributes."""

    def replace(role, kind, cls, fields=(), **attributes):
        made = dataclasses.make_dataclass(
            f"Later{cls.__name__}", fields, bases=(cls,), frozen=True, namespace={"__doc__": "Later.", **attributes}
        )
        monkeypatch.setitem(registry._KINDS[role], kind, made)

    return replace


def test_a_field_with_a_default_orphans_no_result(tmp_path, later):
    execute(study(generations=5), tmp_path / "whole")
    execute(study(), tmp_path / "out")
    later("family", "gaussian", Gaussian, [("jitter", float, 0.0)])
    later("metric", "moments", Moments, [("robust", bool, False)])
    result = execute(study(generations=5), tmp_path / "out")
    assert [(s.first, s.last, s.keep) for s in result.segments] == [(0, 2, "all"), (3, 4, "all")]
    assert table(result).equals(table(Store(tmp_path / "whole")))


def test_a_raised_version_is_another_run(tmp_path, later):
    execute(study(), tmp_path / "out")
    later("family", "gaussian", Gaussian, version=2)
    with pytest.raises(ConfigError, match="share no run with this study"):
        execute(study(), tmp_path / "out")


def test_a_metric_of_a_raised_version_is_measured_again(tmp_path, later):
    before = table(execute(study(), tmp_path / "out"))
    later("metric", "moments", Moments, version=2)
    result = execute(study(), tmp_path / "out")
    assert result.segments[-1].keep == "values" and set(result.segments[-1].metrics) == {'moments{"version":2}'}
    assert (
        table(result)
        .sort("run", "seed", "generation", "metric")
        .equals(before.sort("run", "seed", "generation", "metric"))
    )


def test_a_directory_of_this_format_opens_and_resumes_from_now_on(tmp_path):
    """The directory was written when the format was new. It is never written again; later formats add one of their own."""
    shutil.copytree(FIXTURE, tmp_path / "out")
    stored = table(Store(tmp_path / "out"))
    assert stored.equals(pl.read_csv(FIXTURE.with_suffix(".csv")))
    result = execute(study(generations=4), tmp_path / "out")
    # Other machines may differ in the bits of the generation that is new; what was stored is taken up as it is.
    assert result.progress() == dict.fromkeys([(cell.id, seed) for cell in study().cells for seed in (0, 1)], 3)
    assert table(result).filter(pl.col("generation") < 3).equals(stored)
