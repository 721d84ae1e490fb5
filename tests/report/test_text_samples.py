"""Documents of stored generations as text, with lost and invented words marked."""

import html

import numpy as np

from selfconsume.report import page, text_samples
from selfconsume.results import stored_study
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study.toml_file import from_tables


def store_of(path, source, documents):
    """A store of one lane whose generations hold these documents."""
    study = from_tables(
        {"study": {"generations": len(documents), "seeds": 1}, "source": source, "family": {"kind": "ngram"}}
        | {"regime": {"kind": "replace"}}
    )
    (cell,) = study.cells
    with Writer(path) as writer:
        cells = [{"id": cell.id, "labels": cell.labels}]
        common = {"axes": [], "seeds": study.settings.seeds, "generations": study.settings.generations, "metrics": []}
        common |= {"time": "2030-01-02T03:04:05+0000", "python": "3.11", "machine": {"cores": 2, "device": "cpu"}}
        versions = {"selfconsume": "0.1.0", "jax": "1"}
        writer.commit("study", text=None, tables=study.table(), cells=cells, versions=versions, **common)
        lanes = writer.add_lanes([(cell.id, 0)])
        arrays = {}
        for t, rows in enumerate(documents):
            samples = np.asarray(rows, np.int32)[None]
            arrays[f"{t}/samples"], arrays[f"{t}/valid"] = samples, np.ones(samples.shape[:2], bool)
            arrays[f"{t}/alive"] = np.array([True])
        file, sha = writer.write(lanes, 0, len(documents) - 1, "arrays", arrays)
        layout = {"platform": "cpu", "device": "cpu", "devices": 2, "lanes": "loop", "jax": "1", "jaxlib": "1"}
        about = {"metrics": {}, "kept": "all", "layout": layout, "seconds": {"fit": 1.0}}
        writer.commit("segment", lanes=lanes, first=0, last=len(documents) - 1, file=file, sha256=sha, **about)
    return Store(path)


def test_lost_words_are_struck_in_real_text_and_invented_ones_marked(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("red blue one\nred red two\nblue red red three\nred green <b> four", encoding="utf-8")
    source = {"kind": "text", "path": str(text), "documents": "line", "length": 12, "n": 2, "n_test": 2}
    study = from_tables({"source": source, "family": {"kind": "ngram"}, "regime": {"kind": "replace"}})
    tokens = study.cells[0].run.source.vocabulary.tokens
    real = np.asarray(study.cells[0].run.source.train(None))
    train_words = {tokens[token] for token in real.ravel()} - {"<end>"}
    lost = sorted(train_words)[0]
    other = next(word for word in tokens[1:] if word not in train_words)
    last = sorted(train_words - {lost})
    rows = [[tokens.index(word) for word in [*last, other]] + [0] * (11 - len(last))]
    store = store_of(tmp_path / "results", source, [real, rows])
    shown = text_samples.text_samples(store, stored_study.readable(store), store.study["cells"], ["only"])
    (row,) = shown.rows
    assert shown.generations == [0, 1]
    assert row.panels[0].summary == f"{len(train_words)} of {len(train_words)} words kept, 0 invented"
    assert row.panels[1].summary == f"{len(last)} of {len(train_words)} words kept, 1 invented"
    assert row.panels[1].documents[0][-1] == (other + " ", "invented")
    marked = {word for pieces in row.real for piece, mark in pieces if mark == "lost" for word in piece.split()}
    assert marked == {lost}
    written = page.write(store).read_text(encoding="utf-8")
    assert f'<mark class="invented">{html.escape(other)} </mark>' in written
    assert f"<del>{html.escape(lost)} </del>" in written
    assert "<b>" not in written.split("<h2>Samples</h2>")[1].split("</section>")[0]
