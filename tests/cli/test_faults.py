"""Faults of machine and terminal, in processes of their own: one line, a documented exit code, no traceback."""

import os
import signal
import subprocess
import sys
import time

import pytest

from selfconsume.cli import start
from selfconsume.cli.main import app
from selfconsume.errors import ConfigError

# A process that was started in the background may ignore Ctrl-C.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-c", f"{LISTEN}; from selfconsume.cli.start import main; main()"]
STUDY = """
source = { kind = "gaussian", n = 8 }
family = { kind = "gaussian" }
regime = { kind = "mix", ratio = 0.5 }
metrics = [{ kind = "moments" }]
study = { generations = 2, seeds = 2 }
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    (folder / "study.toml").write_text(STUDY)
    app(["run", str(folder / "study.toml"), "--out", str(folder / "out")], standalone_mode=False)
    return folder / "out"


@pytest.mark.parametrize(("number", "delay"), [(signal.SIGINT, 0.3), (signal.SIGTERM, 1.0)])
def test_a_signal_among_the_imports_is_one_line(results, number, delay):
    with subprocess.Popen(
        [*COMMAND, "table", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 20
        while not catches(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(delay)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error.decode()) in ((130, start.STOPPED + "\n"), (0, ""))


def catches(process):
    """Whether a process has its own handler for SIGTERM: its first module is imported."""
    try:
        with open(f"/proc/{process}/status") as lines:
            caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    except (OSError, StopIteration):
        return True
    return bool(caught & 1 << (signal.SIGTERM - 1))


def test_a_bare_environment_a_narrow_terminal_and_a_full_device(results, tmp_path):
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "40", "LC_ALL": "C"}
    bare |= {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    status = subprocess.run([*COMMAND, "status", str(results)], env=bare, cwd=tmp_path, capture_output=True, text=True)
    assert (status.returncode, status.stderr) == (0, "") and status.stdout
    assert not list(tmp_path.iterdir()), "a folder named ~"
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            table = subprocess.run([*COMMAND, "table", str(results)], stdout=full, stderr=subprocess.PIPE, text=True)
        assert (table.returncode, table.stderr) == (2, "error: the output: No space left on device\n")


def test_a_closed_pipe_is_no_error(results):
    with subprocess.Popen([*COMMAND, "table", str(results)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_errors_after_a_signal_are_its_consequences(command, monkeypatch, results):
    from selfconsume.cli.display import study_run

    def compiling(*args, **options):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("INTERNAL: a callback failed") from None

    monkeypatch.setattr(study_run, "execute", compiling)
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code, _, error = command("run", results.parent / "study.toml", "--out", results)
    signal.signal(signal.SIGINT, before)
    assert (code, error) == (130, start.STOPPED + "\n")


def test_escape_sequences_do_not_reach_the_terminal(command, monkeypatch):
    from selfconsume.study import toml_file

    def refuse(*args):
        raise ConfigError("x.csv: 'a\x1b[2J\u202e' is no column\nbut\ta name")

    monkeypatch.setattr(toml_file, "read", refuse)
    assert command("theory", "x.toml") == (2, "", "error: x.csv: 'a\\x1b[2J\\u202e' is no column but a name\n")
