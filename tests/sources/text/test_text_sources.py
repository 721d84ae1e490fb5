"""Text files as documents of tokens."""

import json

import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.text.python_topics import PythonTopics, prose
from selfconsume.sources.text.text import Text


def words_of(source, rows):
    return [" ".join(source.vocabulary.tokens[token] for token in row) for row in np.asarray(rows).tolist()]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.txt").write_text("The cat sat.\nThe cat ran away!\n\nA dog\nbarked.", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": f"Record {i}, don't."}) for i in range(4)))
    (tmp_path / "image.png").write_bytes(b"\x00")
    return tmp_path


def test_a_folder_is_read_by_file_name_and_divided(folder):
    lines = Text(str(folder), documents="line", length=8)
    assert words_of(lines, lines.rows().examples) == [
        *(f"record {i} , don't . <end> <end> <end>" for i in range(4)),
        "the cat sat . <end> <end> <end> <end>",
        "the cat ran away ! <end> <end> <end>",
        "a dog <end> <end> <end> <end> <end> <end>",
        "barked . <end> <end> <end> <end> <end> <end>",
    ]
    paragraphs = Text(str(folder / "b.txt"), length=4)
    assert words_of(paragraphs, paragraphs.rows().examples) == [
        "the cat sat .",
        "the cat ran away",
        "! <end> <end> <end>",
        "a dog barked .",
        "<end> <end> <end> <end>",
    ]
    fixed = Text(str(folder / "b.txt"), documents="fixed", length=5)
    assert words_of(fixed, fixed.rows().examples) == ["the cat sat . the", "cat ran away ! a"]
    assert not fixed.vocabulary.has_end


def test_tokens_are_numbered_by_frequency_and_rare_ones_are_merged(folder):
    source = Text(str(folder), documents="line", length=8, largest_vocabulary=5)
    assert source.vocabulary.tokens[:3] == ("<end>", ".", ",") and source.vocabulary.tokens[-1] == "<unknown>"
    assert len(source.vocabulary.tokens) == 5
    assert any("became <unknown>" in note for note in source.description)


def test_characters_keep_one_space(folder):
    source = Text(str(folder / "b.txt"), tokens="characters", documents="fixed", length=10, lowercase=False)
    text = "".join("".join(source.vocabulary.tokens[token] for token in row) for row in source.rows().examples.tolist())
    assert text == "The cat sat. The cat ran away! A dog bar"


def test_byte_pairs_give_the_text_back(tmp_path):
    pytest.importorskip("tokenizers", reason="byte pairs need the extra selfconsume[text]")
    text = "the lower the newer the lowest the newest widest"
    (tmp_path / "a.txt").write_text("\n".join([text, text + " slow"]))
    source = Text(str(tmp_path / "a.txt"), tokens="byte_pairs", documents="line", length=40, largest_vocabulary=40)
    rows = source.rows().examples
    shown = ["".join(source.vocabulary.tokens[token] for token in row if token) for row in rows.tolist()]
    assert shown[0].strip() == text and len(source.vocabulary.tokens) <= 40


def test_repeated_documents_are_left_out_and_content_counts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one two\none two\nthree\nfour")
    source = Text(str(path), documents="line", length=3, n_test=2)
    assert len(source.rows().examples) == 3 and any("left out 1 repeated" in note for note in source.description)
    first = source.fingerprint()
    (tmp_path / "b.txt").write_text(path.read_text())
    assert Text(str(tmp_path / "b.txt"), documents="line", length=3, n_test=2).fingerprint() == first
    path.write_text("one two\none two\nthree\nfive!")
    assert source.fingerprint() != first


@pytest.mark.parametrize(
    ("name", "content", "fields", "message"),
    [
        ("a.csv", b"x", {}, "ends in '.csv', expected .txt or .jsonl, or a folder"),
        ("a.txt", b"\xff\xfe\x00", {}, "is not text in UTF-8"),
        ("a.jsonl", b"{", {}, "line 1 of .* is not JSON"),
        ("a.jsonl", b'{"body": "x"}', {}, "source.field: expected text under 'text' in line 1"),
        ("a.txt", b"one two", {"documents": "fixed"}, "source.length: no document has 64 tokens"),
        ("a.txt", b"one", {"documents": "line", "length": 3, "n_test": 2}, "source.n_test: 2 test rows leave no"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, content, fields, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Text(str(path), **fields).check()


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no file or folder"):
        Text(str(tmp_path / "nothing")).check()
    with pytest.raises(ConfigError, match=r"holds no .txt or .jsonl file"):
        Text(str(tmp_path)).check()


def test_the_topics_are_prose():
    assert len(prose()) > 500
    source = PythonTopics()
    source.check()
    assert source.shape == (32,) and source.size == 800 and source.reserve > 800
    train, test = (np.asarray(part(jax.random.key(0))) for part in (source.train, source.test))
    assert train.dtype == np.int32
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}
    counts = np.bincount(train.ravel(), minlength=len(source.vocabulary.tokens))
    assert source.vocabulary.tokens[int(counts.argmax())] in ("the", '"')
