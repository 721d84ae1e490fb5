"""Fields of log lines that no writer writes are refused, whatever the checksum says."""

import pytest
from typer.testing import CliRunner

from selfconsume.cli.main import app
from selfconsume.errors import ConfigError
from selfconsume.execution.merging.merge import merge
from selfconsume.execution.run_study import execute
from selfconsume.execution.shares import Share
from selfconsume.results import events
from selfconsume.results import format as fmt
from selfconsume.results.log import entries as entries_of
from selfconsume.study.study import Study

SEGMENT = {
    "lanes": "a", "kept": "all", "first": 0, "last": 0, "file": "f", "sha256": "0", "metrics": {}, "seconds": {},
    "layout": {"platform": "cpu", "devices": 2},
}  # fmt: skip


def test_a_layout_holds_texts_and_numbers_only():
    events.check(fmt.SEGMENT, SEGMENT)
    for value in ([1], {"a": 1}, None):
        with pytest.raises(ValueError, match=r"layout\.devices"):
            events.check(fmt.SEGMENT, {**SEGMENT, "layout": {"devices": value}})


SHARE = {"number": 1, "count": 2, "lanes": [["a", [0, 1]]]}
STUDY = {"cells": [{"id": "a", "labels": {}}], "axes": [], "share": SHARE, "machine": {"host": "h", "cores": 2}}
MERGE = {
    "name": "share-1-of-2", "directory": "0" * 16, "lines": 7, "checksum": "f" * 16, "machine": {"host": "h"},
    "share": {"number": 1, "count": 2},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", None),
        ("share", {"number": 1, "count": 2}),
        ("share.number", 0),
        ("share.number", 3),
        ("share.number", "1"),
        ("share.count", 10**6),
        ("share.lanes", {"a": [0]}),
        ("share.lanes", [["a"]]),
        ("share.lanes", [["a", ["0"]]]),
        ("share.lanes", [["a", [-1]]]),
        ("share.lanes", [["b", [0]]]),
        ("machine", "h"),
        ("machine.host", 1),
    ],
)
def test_a_share_that_no_writer_stores_is_refused_by_its_name(name, value):
    events.check(fmt.STUDY, STUDY)
    with pytest.raises(ValueError, match=name.partition(".")[0]):
        events.check(fmt.STUDY, changed(STUDY, name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", None),
        ("directory", "../.."),
        ("directory", 1),
        ("lines", -1),
        ("lines", "7"),
        ("checksum", 7),
        ("share", [1, 2]),
        ("share.count", None),
        ("share.number", 3),
        ("machine.host", ["h"]),
        ("versions", {"jax": 1}),
    ],
)
def test_a_merge_that_no_writer_stores_is_refused_by_its_name(name, value):
    events.check(fmt.MERGE, MERGE)
    with pytest.raises(ValueError, match=name.partition(".")[0]):
        events.check(fmt.MERGE, changed(MERGE, name, value))


@pytest.mark.parametrize("name", ["name", "directory", "lines", "checksum"])
def test_a_merge_that_lacks_a_field_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=name):
        events.check(fmt.MERGE, {field: value for field, value in MERGE.items() if field != name})


def test_damaged_shares_and_merges_are_one_line_that_names_file_and_line(tmp_path):
    study = Study({"kind": "gaussian", "n": 8}, {"kind": "gaussian"}, {"kind": "mix"}, generations=1, seeds=2)
    execute(study, tmp_path / "part", share=Share(1, 2))
    merge([tmp_path / "part"], tmp_path / "whole")
    for directory, event, name in (("part", fmt.STUDY, "share.lanes"), ("whole", fmt.MERGE, "share.count")):
        number = reseal(tmp_path / directory / fmt.LOG, event, name, {"a": 1})
        for command in ("status", "table", "verify"):
            result = CliRunner().invoke(app, [command, str(tmp_path / directory)])
            text = str(result.exception) if isinstance(result.exception, ConfigError) else result.output
            assert f"log.jsonl:{number}" in text.replace("\n", "") and name in text.replace("\n", "")


def changed(fields, name, value):
    """A copy of an event's fields in which one, named with dots, has another value."""
    first, _, rest = name.partition(".")
    return {**fields, first: changed(fields[first], rest, value) if rest else value}


def reseal(log, event, name, value):
    """Changes a field of the last line of an event in a log, and seals all lines again; returns the line's number."""
    entries = list(entries_of(log.parent))
    number = max(entry.number for entry in entries if entry.event == event)
    previous, lines = "", []
    for entry in entries:
        fields = changed(entry.fields, name, value) if entry.number == number else entry.fields
        lines.append(fmt.line(entry.number, previous, entry.event, fields))
        previous = fmt.parsed(lines[-1], entry.number, previous)[1]
    log.write_bytes(b"".join(lines))
    return number
