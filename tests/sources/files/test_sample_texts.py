"""Documents of another pipeline in the tokens of the real data."""

from types import SimpleNamespace

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.files import sample_texts

WORDS = SimpleNamespace(tokens=("<end>", "the", "cat", ".", "<unknown>"), has_end=True, separator=" ")
LETTERS = SimpleNamespace(tokens=("a", "b", " "), has_end=False, separator="")


def read(tmp_path, text, vocabulary=WORDS, length=4, name="a.jsonl"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return sample_texts.read(str(tmp_path / name), vocabulary, length)


def test_records_and_lines_are_documents_cut_and_padded(tmp_path):
    expected = np.array([[1, 2, 3, 0], [1, 1, 1, 1], [4, 2, 0, 0]], np.int32)
    lines = ["The cat.", "the the the the the", "dog cat"]
    records = f'"{lines[0]}"\n\n{{"text": "{lines[1]}", "id": 3}}\n{{"text": "{lines[2]}"}}\n'
    np.testing.assert_array_equal(read(tmp_path, records), expected)
    np.testing.assert_array_equal(read(tmp_path, "\n\n".join(lines), name="a.txt"), expected)


def test_characters(tmp_path):
    np.testing.assert_array_equal(read(tmp_path, "ab \t b\n", LETTERS, name="a.txt"), [[0, 1, 2, 1]])


@pytest.mark.parametrize(
    ("text", "vocabulary", "message"),
    [
        ("", WORDS, "holds no lines"),
        ("3\n", WORDS, "line 1 of '.*' is no text; expected a text, or an object with the field 'text'"),
        ('{"body": "x"}\n', WORDS, "line 1 of '.*' is no text"),
        ('"abc a"\n', LETTERS, "line 1 of '.*' holds 'c', which the real data lacks"),
        ('"ab"\n', LETTERS, "line 1 of '.*' has 2 tokens; expected 4"),
        ('"ab"\n', SimpleNamespace(tokens=("ab", "a"), has_end=False, separator=""), "cannot be written in byte pairs"),
    ],
)
def test_what_cannot_be_written_in_them_is_one_line(text, vocabulary, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as refused:
        read(tmp_path, text, vocabulary)
    assert "\n" not in str(refused.value)
