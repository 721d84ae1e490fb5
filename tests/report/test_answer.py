"""The answer of a report: sentences say what the tests' words say, and no more."""

import math

from selfconsume.report.answer import sentence

NAMES = {"a": "replace", "b": "mix(ratio=0.5)", "c": "mix(ratio=1)", "d": "window", "e": "subsample"}


def row(run, word, difference=-0.19, half=0.04, value=0.65, margin=0.02, **further):
    bounds = {"low": difference - half, "high": difference + half}
    base = {
        "run": run,
        "word": word,
        "value": value,
        "difference": difference,
        "margin": margin,
        "pairs": 6,
        "diverged": 0,
    }
    return base | bounds | {"text": word, "seeds_needed": None} | further


def test_worse_and_equal_are_one_sentence_with_levels_and_intervals():
    text = sentence([row("b", "equal", -0.001, 0.01), row("a", "worse")], NAMES, "coverage", "real data alone")
    assert text == (
        "With synthetic data only (replace), coverage is 0.650, 0.190 [0.150, 0.230] below real data alone: worse; "
        "with mix(ratio=0.5), coverage is within 0.020 of real data alone: equal."
    )


def test_an_equal_difference_that_excludes_zero_is_given_with_its_sign():
    text = sentence([row("b", "equal", -0.01, 0.005)], NAMES, "coverage", "real data alone")
    assert "within 0.0200 of real data alone, though 0.0100 [0.0050, 0.0150] below: equal" in text


def test_undecided_says_how_many_seeds_would_decide():
    text = sentence([row("c", "undecided", 0.01, 0.02, seeds_needed=21)], NAMES, "distance", "generation 0")
    assert "it is undecided" in text and "about 21 seeds would decide" in text
    assert not any(word in text for word in ("worse", "better", "equal"))


def test_diverged_and_single_pairs_have_no_numbers():
    nan = {"difference": math.nan, "half": math.nan, "pairs": 0}
    text = sentence([row("a", "diverged", **nan, text="6 of 6 seeds diverged")], NAMES, "coverage", "real data alone")
    assert text == "With synthetic data only (replace): 6 of 6 seeds diverged."


def test_many_cells_are_counted_and_the_largest_loss_is_named():
    rows = [
        row("a", "worse"),
        row("b", "equal", 0.0),
        row("c", "undecided"),
        row("d", "worse", -0.3),
        row("e", "better", 0.1),
    ]
    text = sentence(rows, NAMES, "coverage", "real data alone")
    assert text.startswith(
        "By coverage, of 5 cells compared with real data alone 2 are worse, 1 are equal to it within"
    )
    assert "the largest loss is that of window, coverage is 0.650, 0.300 [0.260, 0.340] below" in text
