"""JSON lines of numbers."""

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.files import json_lines


def read(tmp_path, text, columns=None):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    return json_lines.read(str(path), columns)


def test_lists_are_rows(tmp_path):
    table = read(tmp_path, "[1, 2.5]\n\n[-3e2, null]\n")
    np.testing.assert_array_equal(table.values, [[1, 2.5], [-300, np.nan]])
    assert table.columns is None


def test_objects_are_rows_of_named_columns_in_any_order(tmp_path):
    text = '{"a": 1, "b": 2}\n{"b": 4, "a": 3, "c": "more"}\n'
    table = read(tmp_path, text)
    np.testing.assert_array_equal(table.values, [[1, 2], [3, 4]])
    assert table.columns == ("a", "b")
    np.testing.assert_array_equal(read(tmp_path, text, ["b"]).values, [[2], [4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"holds no lines"),
        ("[1]\n[1, 2]\n", r"line 2 of '.*' is \[1, 2\]; expected 1 numbers"),
        ('[1]\n["a"]\n', r'line 2 of \'.*\' is \["a"\]'),
        ("[true]\n", r"line 1 of '.*' is \[true\]"),
        ("3\n", r"line 1 of '.*' is 3; expected"),
        ("[1\n", r"line 1 of '.*' is not JSON"),
        ('{"a": 1}\n{"b": 1}\n', r"line 2 of '.*' has no 'a'; it has 'b'"),
        ('{"a": 1}\n[1]\n', r"line 2 of '.*' has no 'a'; it has no names"),
    ],
)
def test_other_lines_are_named(text, message, tmp_path):
    with pytest.raises(ConfigError, match=f"^source.path: .*{message}") as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)
