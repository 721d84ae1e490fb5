"""Results name code of one's own; reading them runs none of it."""

from pathlib import Path

import pytest

import selfconsume as sc
from selfconsume.study import own_code, toml_file

MODEL = """
import numpy as np

class Mean:
    def fit(self, x, *, start, seed):
        return x.mean(0)

    def sample(self, model, n, seed):
        return model + np.random.default_rng(seed).normal(size=(n, len(model)))
"""
STUDY = """[study]
generations = 2
seeds = 1
[source]
kind = "gaussian"
n = 20
[family]
kind = "python"
object = "my_model.py:Mean"
[regime]
kind = "mix"
ratio = 0.5
[[metrics]]
kind = "moments"
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Results whose family is a file that leaves a trace when it is executed, opened by another process."""
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(MODEL)
    Path("study.toml").write_text(STUDY)
    sc.run(sc.load("study.toml"), "out")
    Path("my_model.py").write_text(MODEL + "\nopen('trace', 'w').close()\n")
    own_code.forget()
    return Path("out")


COMMANDS = [
    ("status",),
    ("table",),
    ("verdict",),
    ("compare",),
    ("report",),
    ("report", "--figure", "figure.png"),
    ("verify",),
    ("export", "--out", "samples.npy"),
    ("export", "--out", "samples.png"),
    ("export", "--out", "generator.safetensors"),
]


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_on_results_runs_their_code(stranger, command, words):
    code, _, errors = command(words[0], stranger, *words[1:])
    assert code in (0, 2) and "Traceback" not in errors
    assert not Path("trace").exists()
    if words[0] in ("status", "table", "verdict", "report", "verify"):
        assert code == 0, errors


def test_the_study_file_is_a_permission(stranger):
    tables = sc.load_results(stranger).store.study["tables"]
    with pytest.raises(sc.ConfigError, match=r"results do not run code that they name \('my_model.py:Mean'\)"):
        toml_file.from_stored(tables)
    sc.load("study.toml")
    assert toml_file.from_stored(tables).cells


@pytest.mark.parametrize(
    ("family", "axes"),
    [
        ({"kind": "python", "object": "evil.py:Model"}, {}),
        ({"kind": "sklearn", "estimator": "antigravity.Model"}, {}),
        ({"kind": "command", "train": "touch trace {data} {model} {seed}", "sample": "a {model} {n} {seed} {out}"}, {}),
        ({"kind": "gaussian"}, {"family": [{"kind": "python", "object": "evil.py:Model"}]}),
        ({"kind": "python", "object": "my_model.py:Mean"}, {"family.object": ["evil.py:Model"]}),
    ],
)
def test_every_place_that_names_code_is_looked_at(family, axes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(MODEL)
    Path("study.toml").write_text(STUDY)
    sc.load("study.toml")
    with pytest.raises(sc.ConfigError, match="results do not run code that they name"):
        own_code.refuse_unknown({"family": family, "axes": axes})
