"""Kills runs at random moments, continues them, and compares every stored array with that of an undisturbed run.

    python benchmarks/faults/kills.py [--kills 300] [--families gaussian flow ...] [--out FILE.json]

Each round starts a run in a process of its own, kills it (SIGKILL, SIGTERM or SIGINT) after a random time, up to three times in
a row, and lets the last one finish. Rounds are shared equally among the families.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import damage

from selfconsume.cli.start import CODE, STOPPED
from selfconsume.results.integrity import verify

SETTINGS = """
metrics = [{ kind = "moments" }]
axes = { "regime.ratio" = [0.5, 1.0] }
regime = { kind = "mix" }
"""
MOONS = 'source = { kind = "two_moons", n = 40, n_test = 40 }'
NEURAL = "updates = 400, batch = 32, width = 16"
HOST = """
import numpy as np

class Model:
    def fit(self, x, *, seed):
        return x.mean(axis=0), x.std(axis=0)

    def sample(self, model, n, seed):
        return np.random.default_rng(seed).normal(size=(n, len(model[0]))) * model[1] + model[0]
"""
STUDIES = {
    "gaussian": f'{MOONS}\nfamily = {{ kind = "gaussian" }}\nstudy = {{ generations = 400, seeds = 3 }}',
    "kde": f'{MOONS}\nfamily = {{ kind = "kde" }}\nstudy = {{ generations = 200, seeds = 2, start = "cold" }}',
    "flow": (
        f'{MOONS}\nfamily = {{ kind = "flow", layers = 2, {NEURAL} }}\n'
        f'study = {{ generations = 6, seeds = 2, start = "warm" }}'
    ),
    "otcfm": (
        f'{MOONS}\nfamily = {{ kind = "otcfm", {NEURAL} }}\nstudy = {{ generations = 6, seeds = 2, start = "first" }}'
    ),
    "edm": (
        f'{MOONS}\nfamily = {{ kind = "edm", {NEURAL} }}\nstudy = {{ generations = 5, seeds = 2, start = "cold" }}'
    ),
    "images": (
        'source = { kind = "digits", form = "image", n = 32, n_test = 32 }\n'
        'family = { kind = "otcfm", net = "tiny", updates = 4, batch = 16, steps = 2 }\n'
        "study = { generations = 3, seeds = 1 }"
    ),
    "host": (
        f'{MOONS}\nfamily = {{ kind = "python", object = "HOST:Model" }}\nstudy = {{ generations = 60, seeds = 2 }}'
    ),
}
"""Family -> its study; `HOST` is replaced by the path of a module."""
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from selfconsume.cli.start import catch_signals, main; catch_signals(); "
    "from selfconsume.execution import commit; commit.COMMIT_SECONDS = 0.2; main()"
)
"""Generations are committed ten times as often as by default: more of the kills hit a directory that is being written."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def start(study: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", str(study), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(study: Path, out: Path) -> float:
    """Runs a study to its end; the seconds that it took."""
    since = time.monotonic()
    process = start(study, out)
    _, error = process.communicate()
    assert process.returncode == 0, error
    return time.monotonic() - since


def written(folder: Path, family: str) -> Path:
    study, module = folder / f"{family}.toml", folder / "own_model.py"
    module.write_text(HOST)
    study.write_text(SETTINGS + STUDIES[family].replace("HOST", str(module)))
    return study


class Family:
    """A family's study, the results of its undisturbed run, and what kills have done so far."""

    def __init__(self, folder: Path, name: str, draw: random.Random) -> None:
        self.folder, self.name, self.draw = folder, name, draw
        self.study = written(folder, name)
        reference = folder / f"{name}-reference"
        finish(self.study, reference)  # This compiles.
        shutil.rmtree(reference)
        self.seconds = finish(self.study, reference)
        self.expected = damage.content(reference)
        self.counts: collections.Counter[str] = collections.Counter()

    def round(self) -> None:
        """One to three kills of a run, and its continuation.

        Raises:
            AssertionError: Other arrays than those of the undisturbed run, or a directory with faults.
        """
        out = self.folder / f"{self.name}-killed"
        for _ in range(self.draw.choice((1, 2, 3))):
            number = self.draw.choice(SIGNALS)
            process = start(self.study, out)
            delay = self.draw.uniform(0.3, self.seconds)
            time.sleep(delay)
            process.send_signal(number)
            _, error = process.communicate()
            is_early = process.returncode == -number  # SIGTERM before Python has read the first module
            if process.returncode == 0:
                self.counts["finished before"] += 1
                break
            if number != signal.SIGKILL and not (is_early and not error):
                assert (process.returncode, error) == (CODE, STOPPED + "\n"), (delay, process.returncode, error)
            self.counts[signal.Signals(number).name] += 1
            self.counts["in the middle of results" if (out / "log.jsonl").exists() else "before the first line"] += 1
        finish(self.study, out)
        assert damage.content(out) == self.expected, f"{self.name}: other arrays than those of an undisturbed run"
        assert not verify(out), verify(out)
        self.counts["continued bit for bit"] += 1
        shutil.rmtree(out)

    @property
    def kills(self) -> int:
        return sum(self.counts[signal.Signals(number).name] for number in set(SIGNALS))


def run(kills: int, names: tuple[str, ...] = tuple(STUDIES), seed: int = 0) -> dict[str, dict[str, int]]:
    """Kills until there were as many, families in turns; counts by family."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        families: list[Family] = []
        while not families or sum(family.kills for family in families) < kills or len(families) < len(names):
            if len(families) < len(names):
                families.append(Family(Path(folder), names[len(families)], draw))
                families[-1].round()
            else:
                min(families, key=lambda family: family.kills).round()
            print({family.name: family.kills for family in families}, file=sys.stderr, flush=True)
        return {family.name: {"kills": family.kills, **family.counts} for family in families}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--families", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    since = time.monotonic()
    counts = run(options.kills, tuple(options.families), options.seed)
    total = sum(family["kills"] for family in counts.values())
    result = {"kills": total, "seconds": round(time.monotonic() - since), **counts}
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
