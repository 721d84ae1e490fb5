"""JSON lines of numbers."""

import json

import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.sources.files import json_lines


def read(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    return json_lines.read(str(path))


def test_lists_are_rows(tmp_path):
    np.testing.assert_array_equal(read(tmp_path, "[1, 2.5]\n\n[-3e2, null]\n"), [[1, 2.5], [-300, np.nan]])


def test_objects_are_rows_of_named_columns_in_any_order(tmp_path):
    frame = read(tmp_path, '{"a": 1, "b": null, "c": "x"}\n{"b": 4, "a": true, "c": 2, "d": "more"}\n')
    assert frame.to_dict(as_series=False) == {"a": [1.0, 1.0], "b": [None, 4.0], "c": ["x", "2"]}


def test_they_are_real_data_too(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 2))
    text = "\n".join(json.dumps({"x": x, "y": y, "kind": "ab"[i % 2]}) for i, (x, y) in enumerate(rows.tolist()))
    (tmp_path / "rows.jsonl").write_text(text)
    source = sc.source("arrays", path=str(tmp_path / "rows.jsonl"), columns=["x", "y"], label="kind")
    np.testing.assert_allclose(source.table().values, rows)
    assert set(np.asarray(source.labels(None)).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"holds no lines"),
        ("[1]\n[1, 2]\n", r"line 2 of '.*' is \[1, 2\]; expected 1 numbers"),
        ('[1]\n["a"]\n', r'line 2 of \'.*\' is \["a"\]'),
        ("[true]\n", r"line 1 of '.*' is \[true\]"),
        ("3\n", r"line 1 of '.*' is 3; expected"),
        ("[1\n", r"line 1 of '.*' is not JSON"),
        ('{"a": 1}\n{"b": 1}\n', r"line 2 of '.*' has no 'a', as its first one does"),
        ('{"a": 1}\n[1]\n', r"line 2 of '.*' has no 'a', as"),
        ('{"a": [1]}\n', r"line 1 of '.*' has \[1\] as 'a'; expected a number or a text"),
    ],
)
def test_other_lines_are_named(text, message, tmp_path):
    with pytest.raises(ConfigError, match=f"^source.path: .*{message}") as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)
