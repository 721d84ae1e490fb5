"""What was measured on what, and what must not be compared silently."""

from types import SimpleNamespace

import numpy as np

from selfconsume.execution.provenance import fewest, most_compared, of_cells
from selfconsume.families.gaussian import Gaussian
from selfconsume.loop.run import Run
from selfconsume.metrics.kid import KID
from selfconsume.metrics.metric_key import metric_key
from selfconsume.metrics.parameters import Nonfinite
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.results import provenance
from selfconsume.sources.digits import Digits
from selfconsume.study.cells import Cell

FRECHET = "Featured(Frechet)"


def study(cells):
    """A study that measures two metrics on these cells."""
    return {
        "cells": [{"id": str(i), "measured": on} for i, on in enumerate(cells)],
        "generations": 5,
        "metrics": [FRECHET, "Update()"],
        "measured": [{"name": "classifier.frechet", "split": "test"}, {"name": "update", "split": ""}],
        "tables": {"metrics": [{"kind": "frechet", "features": {"kind": "classifier"}}, {"kind": "update"}]},
    }


def store(*cells, earlier=None, fewest=None):
    """A directory whose latest study measured these cells; an earlier one measured a generation of ``earlier`` cells."""
    studies = [study(earlier), study(cells)] if earlier else [study(cells)]
    names = {FRECHET: ["classifier.frechet"], "Update()": ["update"]}
    segments = [
        SimpleNamespace(lanes="all", first=i, metrics=names, study=i, fewest={FRECHET: fewest} if fewest else {})
        for i in range(len(studies))
    ]
    lanes = {"all": [(str(i), seed) for i in range(len(cells)) for seed in range(2)]}
    return SimpleNamespace(studies=studies, study=studies[-1], segments=segments, lanes=lanes)


def cell(n=100, test=50, sha256="aa" * 32, accuracy=0.95, **more):
    seen = {"extractors": {"classifier.frechet": sha256}, "accuracy": {"classifier.frechet": accuracy}}
    return {"n": n, "train": 80, "test": test, **seen, **more}


def test_cells_that_agree_are_one_row_and_no_warning():
    same = store(cell(), cell())
    assert provenance.gather(same) == [
        ("classifier.frechet", 100, 100, "test", 50, "classifier", "aa" * 32, 0.95, 2),
        ("update", 100, 100, "", 0, "", "", None, 2),
    ]
    through = "through classifier (sha256 aaaaaaaaaaaa, right on 95% of held-out examples)"
    assert provenance.lines(same) == [f"classifier.frechet: 100 samples against 50 real examples (test), {through}"]
    assert provenance.warnings(same) == []


def test_both_parts_of_the_real_data_are_counted():
    """Memorisation looks at 80 training examples and 50 test examples."""
    both = store(cell())
    both.study["measured"] = [{"name": "nearest_real", "split": "train and test"}]
    both.study["tables"]["metrics"] = [{"kind": "nearest_real"}]
    assert provenance.gather(both) == [("nearest_real", 100, 100, "train and test", 130, "", "", None, 1)]
    assert provenance.lines(both) == ["nearest_real: 100 samples against 130 real examples (train and test)"]


def test_different_numbers_are_said():
    (line,) = provenance.warnings(store(cell(), cell(n=1000)))
    assert line.startswith(
        "cells differ in their number of samples (100, 1000), on which bias or noise of classifier.frechet"
    )
    (line,) = provenance.warnings(store(cell(), cell(test=20)))
    assert line.startswith("cells differ in their number of real examples (20, 50)")


def test_what_was_compared_is_what_is_said():
    subsets = store(cell(compared={"classifier.frechet": [30, 20]}))
    assert provenance.lines(subsets)[0].startswith("classifier.frechet: 30 samples against 20 real examples (test)")
    few = store(cell(), cell(), fewest={"1": 20})
    assert [(row.fewest, row.cells) for row in provenance.gather(few)] == [(20, 2), (100, 2)]
    assert "100 samples (where not all are valid, as few as 20) against 50" in provenance.lines(few)[0]
    (line,) = provenance.warnings(few)
    assert line.startswith(
        "not all samples were valid: some values of classifier.frechet compare only 20% of the samples"
    )
    generator = store(cell(compared={"classifier.frechet": [0, 50]}))
    assert provenance.lines(generator)[0].startswith("classifier.frechet: generators against 50 real examples")


def test_the_fewest_samples_are_those_of_lanes_that_are_alive():
    runs = [Run(Digits(n=60, n_test=40), Gaussian(), regime) for regime in (Replace(), Mix(0.5))]
    cells = [Cell(run, {}) for run in (runs[0], runs[0], runs[1])]
    metrics = [KID(), KID(subset_size=30), Nonfinite()]
    whole, subsets, other = map(metric_key, metrics)
    first = {whole: np.array([60, 0, 60]), subsets: np.array([30, 0, 30]), other: np.full(3, 60)}
    later = {whole: np.array([50, 40, 60]), subsets: np.full(3, 30), other: np.full(3, 50)}
    most = most_compared(metrics, runs[0])
    assert most == {whole: 60, subsets: 30}
    # A lane that has diverged compares nothing, and does not count.
    assert fewest(most, cells, np.array([True, False, True]), first) == {}
    assert fewest(most, cells, np.ones(3, bool), later)[whole] == {cells[0].id: 40}
    (on,) = of_cells(cells[:1], metrics[:1])
    assert on.pop("data") == ["1797 examples of shape 64: 60 to train, 40 to test, 1697 in reserve"]
    assert on == {"n": 60, "train": 60, "test": 40, "compared": {"kid": (60, 40)}}


def test_different_weights_are_said():
    for apart in (store(cell(), cell(sha256="bb" * 32)), store(cell(), earlier=[cell(sha256="bb" * 32)])):
        (line,) = provenance.warnings(apart)
        assert line.startswith(
            "cells or generations differ in the weights of the extractor: values of classifier.frechet are"
        )
        assert len({row.sha256 for row in provenance.gather(apart)} - {""}) == 2


def test_a_classifier_that_errs_is_said():
    (line,) = provenance.warnings(store(cell(accuracy=0.514)))
    assert line.startswith(
        "classifier is right on only 51% of real examples that it was not trained on: classifier.frechet see"
    )


def test_studies_stored_before_this_was_have_nothing_to_say():
    old = store({})
    del old.study["measured"], old.study["cells"][0]["measured"]
    assert provenance.gather(old) == provenance.lines(old) == provenance.warnings(old) == []
