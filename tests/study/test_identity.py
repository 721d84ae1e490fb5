"""Identities outlive the code: defaults are left out, versions count, files count by content."""

import dataclasses

import numpy as np
import pytest

from selfconsume.extractors.pixels import Pixels
from selfconsume.families.gaussian import Gaussian
from selfconsume.loop.run import Run
from selfconsume.metrics.frechet import Frechet
from selfconsume.metrics.kid import KID
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.on_features import Featured
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.sources.arrays import Arrays
from selfconsume.sources.gaussian import Gaussian as GaussianSource
from selfconsume.study.identity import identity, nondefaults

RUN = Run(GaussianSource(n=10), Gaussian(), Mix(0.5))


def renamed(cls, fields, **attributes):
    """A later version of a class: the same name in the same module, with more fields."""
    later = dataclasses.make_dataclass(
        cls.__name__, fields, bases=(cls,), frozen=True, namespace={"__module__": cls.__module__, **attributes}
    )
    later.__qualname__ = cls.__qualname__
    return later


@pytest.fixture
def replaced(monkeypatch):
    """Registers a later version of a class under the kind of the earlier one."""
    from selfconsume import registry

    def replace(role, kind, cls):
        monkeypatch.setitem(registry._KINDS[role], kind, cls)
        return cls

    return replace


def test_an_identity_is_the_hash_of_what_differs_from_the_defaults():
    assert nondefaults(RUN) == {
        "source": {"kind": "gaussian", "n": 10},
        "family": {"kind": "gaussian"},
        "regime": {"kind": "mix", "ratio": 0.5},
    }
    # Written once, never changed: results that are stored are found by it.
    assert identity(RUN) == "aa8cf893909a7bae"


def test_fields_at_their_defaults_change_no_identity():
    assert identity(dataclasses.replace(RUN, n_synthetic=10, start="cold", extrapolation=0.0)) == identity(RUN)
    fields = [
        ("start", "warm"),
        ("n_synthetic", 11),
        ("extrapolation", 0.5),
        ("initial", "truth"),
        ("regime", Replace()),
    ]
    assert len({identity(dataclasses.replace(RUN, **{name: value})) for name, value in fields} | {identity(RUN)}) == 6


def test_a_field_that_a_class_gains_changes_no_identity(replaced):
    stored = identity(RUN)
    later = replaced("family", "gaussian", renamed(Gaussian, [("jitter", float, 0.0)]))
    assert identity(dataclasses.replace(RUN, family=later())) == stored
    assert identity(dataclasses.replace(RUN, family=later(jitter=0.1))) != stored
    measured = replaced("metric", "frechet", renamed(Frechet, [("flag", bool, False)]))
    assert metric_key(measured()) == "frechet" and metric_key(measured(flag=True)) == 'frechet{"flag":true}'


def test_a_raised_version_changes_the_identity(replaced):
    stored = identity(RUN)
    later = replaced("family", "gaussian", renamed(Gaussian, [], version=2))
    assert nondefaults(dataclasses.replace(RUN, family=later()))["family"] == {"kind": "gaussian", "version": 2}
    assert identity(dataclasses.replace(RUN, family=later())) != stored
    assert metric_key(replaced("metric", "frechet", renamed(Frechet, [], version=3))()) == 'frechet{"version":3}'


def test_metrics_are_keyed_by_kind_fields_and_features():
    assert metric_key(KID()) == 'kid{"version":2}'
    assert metric_key(KID(subset_size=100)) == 'kid{"subset_size":100,"version":2}'
    assert metric_key(Featured(Frechet(), Pixels())) == 'frechet{"features":{"kind":"pixels"}}'


def test_files_count_by_their_content(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    for name, values in {"a": rows, "b": rows, "c": rows + 1}.items():
        np.save(tmp_path / f"{name}.npy", values)
    first, moved, changed = (
        identity(Run(Arrays(path=str(tmp_path / f"{name}.npy"), n=10, n_test=10), Gaussian(), Replace()))
        for name in "abc"
    )
    assert first == moved != changed
