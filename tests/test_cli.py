"""What the command itself does: signals, exit codes, one line for every mistake."""

import signal

import pytest

from selfconsume import cli, console

STUDY = """
[study]
generations = 2
seeds = 1
[source]
kind = "gaussian"
n = 10
[family]
kind = "gaussian"
[regime]
kind = "replace"
[[metrics]]
kind = "moments"
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder that holds study.toml: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    term = signal.getsignal(signal.SIGTERM)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["selfconsume", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return (stop.value.code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, term)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_run_is_told_how_to_go_on(call, monkeypatch, number):
    monkeypatch.setattr(console, "execute", lambda *args, **options: signal.raise_signal(number))
    code, _, error = call("run", "study.toml", "--out", "out")
    assert code == 130
    assert error == "stopped; what was finished is stored; run the same command again to continue\n"


def test_mistakes_are_one_line(call):
    assert call("run", "nowhere.toml", "--out", "out") == (2, "", "error: nowhere.toml: there is no such file\n")
    code, _, error = call("run")
    assert code == 2 and "Missing argument" in error and error.count("\n") == 1
