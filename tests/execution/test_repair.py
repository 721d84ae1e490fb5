"""Damaged generations are computed again, bit for bit, and nothing else is."""

import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import commit, repair, run_study
from selfconsume.results import integrity
from selfconsume.results.format import DATA, LOG
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study.study import Study


def study(**settings):
    axes = {"regime": [{"kind": "mix", "ratio": 0.5}, {"kind": "accumulate"}]}
    source, family = {"kind": "gaussian", "n": 8}, {"kind": "gaussian"}
    return Study(source, family, None, [{"kind": "moments"}], axes, **{"generations": 4, "seeds": 2, **settings})


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(commit, "COMMIT_SECONDS", 0.0)
    run_study.execute(study(), tmp_path / "out")
    return tmp_path / "out"


def test_only_the_damaged_segment_is_committed_again(path):
    before = Store(path)
    expected = table(before, measured=True)
    bytes_before = {file.name: file.read_bytes() for file in (path / DATA).iterdir()}
    hurt = before.segments[2]
    (path / DATA / hurt.file).write_bytes(b"")
    with pytest.raises(ConfigError, match="compute it again with `run --repair`"):
        table(before)
    after = run_study.execute(study(), path, repair=True)
    assert integrity.verify(path) == []
    assert table(after, measured=True).equals(expected)
    assert [s.replaces for s in after.segments if s.replaces] == [hurt.number]
    untouched = set(bytes_before) - {hurt.file}
    assert {name: (path / DATA / name).read_bytes() for name in untouched} == {n: bytes_before[n] for n in untouched}
    (new,) = (s for s in after.segments if s.replaces)
    assert (path / DATA / new.file).read_bytes() == bytes_before[hurt.file]


def test_an_interrupted_repair_loses_nothing_and_is_continued(path, monkeypatch):
    expected = table(Store(path))
    for segment in Store(path).segments[1:3]:
        (path / DATA / segment.file).write_bytes(b"damaged")
    replace, count = repair._replace, 0

    def interrupted(*arguments):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(repair, "_replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_study.execute(study(), path, repair=True)
    assert len(integrity.verify(path)) == 1
    assert len(list((path / DATA).glob("*.arrays.*"))) == len(
        Store(path).segments
    )  # the damaged file stays until its generation is committed
    assert table(run_study.execute(study(), path, repair=True)).equals(expected)


def test_generations_of_an_earlier_study_are_repaired_too(path):
    """Runs that the latest study does not name are hidden, and repaired as their own study gave them."""
    run_study.execute(study(seeds=1), path)
    (path / DATA / Store(path).segments[1].file).unlink()
    run_study.execute(study(seeds=1), path, repair=True)
    assert integrity.verify(path) == []


def test_a_run_that_is_no_longer_computed_as_it_was_is_refused(path, monkeypatch):
    (path / DATA / Store(path).segments[1].file).unlink()
    monkeypatch.setattr(repair.toml_file, "from_stored", lambda tables: study(n_synthetic=3))
    with pytest.raises(ConfigError, match="cannot be computed again"):
        run_study.execute(study(), path, repair=True)


def test_generations_after_a_damaged_line_of_the_log_are_computed_again(path):
    expected = table(Store(path))
    log = (path / LOG).read_bytes()
    (path / LOG).write_bytes(log.replace(b'"first":2', b'"first":1', 1))
    with pytest.raises(ConfigError, match="damaged line"):
        run_study.execute(study(), path)
    assert table(run_study.execute(study(), path, repair=True)).equals(expected)
    assert integrity.verify(path) == []
    assert (path / f"{LOG}.damaged-1").exists()
