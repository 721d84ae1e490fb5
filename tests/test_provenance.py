"""What was measured on what, and what must not be compared silently."""

from types import SimpleNamespace

from selfconsume import provenance


def store(*cells, earlier=None):
    """A directory whose latest study measured two metrics on these cells; ``earlier`` cells were measured before."""

    def study(cells):
        return {
            "cells": [{"id": str(i), "measured": on} for i, on in enumerate(cells)],
            "measured": [{"name": "classifier.frechet", "split": "test"}, {"name": "update", "split": ""}],
            "tables": {"metrics": [{"kind": "frechet", "features": {"kind": "classifier"}}, {"kind": "update"}]},
        }

    studies = [study(earlier), study(cells)] if earlier else [study(cells)]
    return SimpleNamespace(studies=studies, study=studies[-1])


def cell(n=100, test=50, sha256="aa" * 32):
    return {"n": n, "train": 80, "test": test, "extractors": {"classifier.frechet": sha256}}


def test_cells_that_agree_are_one_row_and_no_warning():
    same = store(cell(), cell())
    assert provenance.gather(same) == [
        ("classifier.frechet", 100, "test", 50, "classifier", "aa" * 32, 2),
        ("update", 100, "", 0, "", "", 2),
    ]
    line = "classifier.frechet: 100 samples against 50 real examples (test), through classifier (sha256 aaaaaaaaaaaa)"
    assert provenance.lines(same) == [line]
    assert provenance.warnings(same) == []


def test_both_parts_of_the_real_data_are_counted():
    """Memorisation looks at 80 training examples and 50 test examples."""
    both = store(cell())
    both.study["measured"] = [{"name": "nearest_real", "split": "train and test"}]
    both.study["tables"]["metrics"] = [{"kind": "nearest_real"}]
    assert provenance.gather(both) == [("nearest_real", 100, "train and test", 130, "", "", 1)]
    assert provenance.lines(both) == ["nearest_real: 100 samples against 130 real examples (train and test)"]


def test_different_numbers_are_said():
    (line,) = provenance.warnings(store(cell(), cell(n=1000)))
    assert line.startswith("cells differ in their number of samples (100, 1000): classifier.frechet depend on it")
    (line,) = provenance.warnings(store(cell(), cell(test=20)))
    assert line.startswith("cells differ in their number of real examples (20, 50)")


def test_different_weights_are_said():
    (line,) = provenance.warnings(store(cell(), cell(sha256="bb" * 32)))
    assert line == "cells differ in the weights of the extractor: values of classifier.frechet are on different scales"
    (line,) = provenance.warnings(store(cell(), earlier=[cell(sha256="bb" * 32)]))
    assert line.startswith("the weights behind classifier.frechet have changed since earlier generations were measured")


def test_studies_stored_before_this_was_have_nothing_to_say():
    old = SimpleNamespace(studies=[{"cells": [{"id": "0"}], "tables": {"metrics": [{"kind": "frechet"}]}}])
    old.study = old.studies[0]
    assert provenance.gather(old) == provenance.lines(old) == provenance.warnings(old) == []
