"""`evaluate` on the command line."""

import json

import numpy as np
import pytest

from selfconsume.results.store import Store
from selfconsume.results.table import table


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Real data, and three generations of two seeds of two runs."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    np.save(folder / "real.npy", random.normal(size=(100, 2)))
    for name, factor in (("replace", 0.5), ("real_only", 1.0)):
        for seed in range(2):
            (folder / name / f"seed_{seed}").mkdir(parents=True)
            for t in range(3):
                np.save(folder / name / f"seed_{seed}" / f"gen_{t}.npy", factor**t * random.normal(size=(40, 2)))
    return folder


@pytest.fixture
def evaluate(command, files, tmp_path):
    """Runs `evaluate` with these words; gives exit code, output and errors."""
    return lambda *words: command("evaluate", "--real", files / "real.npy", "--out", tmp_path / "out", *words)


def test_runs_by_name_give_results_for_every_other_command(evaluate, command, files, tmp_path):
    words = ["--metric", "frechet", "--metric", "pixels.frechet"]
    words += [f"--run={name}={files / name}" for name in ("replace", "real_only")]
    code, out, err = evaluate(*words)
    assert code == 0
    assert "collapsed" in out or "drifting" in out
    assert "generation 2" in out and "real_only" in out
    assert "data: 100 examples" in err
    assert set(table(Store(tmp_path / "out"))["metric"]) == {
        f"{name}{suffix}" for name in ("frechet", "pixels.frechet") for suffix in ("", ".floor")
    }
    for name in ("verdict", "status", "table", "compare", "verify", "report"):
        code, out, err = command(name, tmp_path / "out")
        assert code == 0, err
        assert "Traceback" not in err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "another pipeline" in page and "retrained, generation after generation" not in page
    code, out, _ = evaluate(*words, "--json")
    assert code == 0 and {row["regime"] for row in json.loads(out)} == {"replace", "real_only"}


@pytest.mark.parametrize("form", ["option", "words", "folder"])
def test_one_sequence_in_three_ways(evaluate, files, form):
    paths = [files / "replace" / "seed_0" / f"gen_{t}.npy" for t in range(3)]
    words = {"option": ["--generation", *paths], "words": paths, "folder": [paths[0].parent]}[form]
    code, out, err = evaluate(*words, "--metric", "frechet", "--json")
    assert code == 0, err
    assert [row["metric"] for row in json.loads(out)] == ["frechet"]


def test_seeds_generations_and_fields_of_the_real_data_are_chosen(evaluate, files, tmp_path):
    run = f"--run=mine={files / 'replace'}"
    code, _, err = evaluate(
        run, "--seed", "1", "--generations", "2", "--n", "20", "--set", "source.n_test=60", "--metric", "moments"
    )
    assert code == 0, err
    store = Store(tmp_path / "out")
    assert store.study["seeds"] == [1] and store.study["generations"] == 2
    measured = store.study["cells"][0]["measured"]
    assert (measured["n"], measured["test"]) == (20, 60)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "evaluate: there are no generations to evaluate; give files, a folder, or --run NAME=FOLDER"),
        (["--run", "replace"], "--run replace: expected NAME=FOLDER"),
        (["--run", "a={}/replace", "{}/replace/seed_0"], "beside it; name every sequence by --run"),
        (["--run", "a={}/replace", "--run", "a={}/real_only"], "'a' is there twice"),
        (["--run", "a={}/replace", "--seed", "7"], "run 'a' has no seed 7; it has 0, 1"),
        (["--run", "a={}/replace", "--generations", "9"], "run 'a' has 3 generations, 9 are to be evaluated"),
        (["--run", "a={}/replace", "--run", "b={}/replace/seed_0"], "run 'b' has seeds 0, run 'a' has 0, 1"),
        (["--run", "a={}/replace", "--metric", "frechets"], "unknown 'frechets'; did you mean 'frechet'?"),
        (["--run", "a={}/replace", "--set", "study.seeds=3"], "expected a field of the real data"),
        (["--run", "a={}/replace", "--metric", "parameters"], "expected a family with named parameters"),
        (["--generation", "{}/a", "--generation", "{}/b", "{}/c"], "got it 2 times"),
    ],
)
def test_mistakes_are_one_line(evaluate, files, words, message, tmp_path):
    code, out, err = evaluate(*(word.replace("{}", str(files)) for word in words))
    assert code == 2 and message in err and err.count("\n") == 1 and not out
    assert not (tmp_path / "out").exists()


def test_real_data_that_is_not_there_is_one_line(command, files, tmp_path):
    code, _, err = command("evaluate", "--real", "nowhere", files / "replace" / "seed_0", "--out", tmp_path / "out")
    assert code == 2
    assert err == "error: --real: there is no file or folder 'nowhere', nor a kind of source of that name\n"
