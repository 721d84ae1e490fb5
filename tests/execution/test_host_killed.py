"""Models outside JAX whose process is killed with SIGKILL: the continued study is bit for bit the one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import selfconsume as sc

ROOT = Path(__file__).parents[2]
TRAIN = """
BEGIN { FS = "[][]" }
{ d = split($2, x, ","); for (i = 1; i <= d; i++) { sum[i] += x[i]; square[i] += x[i] * x[i] } }
END { for (i = 1; i <= d; i++) printf "%.17g %.17g\\n", sum[i] / NR, sqrt(square[i] / NR - (sum[i] / NR) ^ 2) }
"""
SAMPLE = """
BEGIN { srand(seed) }
{ mean[NR] = $1; deviation[NR] = $2 }
END {
    for (k = 1; k <= n; k++) {
        printf "{\\"x\\": ["
        for (i = 1; i <= NR; i++) {
            noise = sqrt(-2 * log(1 - rand())) * cos(6.283185307179586 * rand())
            printf "%s%.9g", (i > 1 ? ", " : ""), mean[i] + deviation[i] * noise
        }
        print "]}"
    }
}
"""
SHELL = """
case $1 in
  train) awk -f "${0%/*}/train.awk" "$2" > "$3" ;;
  sample) awk -v n="$4" -v seed="$5" -f "${0%/*}/sample.awk" "$2" > "$3" ;;
esac
"""
SCRIPT = """
import json, os, signal, sys
import selfconsume as sc
from selfconsume.execution import commit
from selfconsume.execution.run_study import execute

commit.COMMIT_SECONDS = 0  # every generation by itself
family, start, out, generations = json.loads(sys.argv[1])
study = sc.Study(
    {"kind": "gaussian", "n": 24, "dim": 2},
    family,
    None,
    [{"kind": "moments"}, {"kind": "energy_distance"}],
    {"regime": [{"kind": "replace"}, {"kind": "accumulate"}]},
    generations=4,
    seeds=2,
    start=start,
)
execute(study, out, on_progress=lambda state: state.done >= generations and os.kill(os.getpid(), signal.SIGKILL))
"""


def command_family(folder):
    for name, text in (("train.awk", TRAIN), ("sample.awk", SAMPLE)):
        (folder / name).write_text(text)
    (folder / "model.sh").write_text(SHELL)
    script = folder / "model.sh"
    return {
        "kind": "command",
        "train": f"sh {script} train {{data}}.jsonl {{model}} {{seed}}",
        "sample": f"sh {script} sample {{model}} {{out}}.jsonl {{n}} {{seed}}",
    }


def family(kind, folder):
    if kind == "command":
        if shutil.which("awk") is None:
            pytest.skip("the model is a shell script that needs awk")
        return command_family(folder), "cold"
    if kind == "sklearn":
        options = {"n_components": 2, "n_init": 2, "max_iter": 20}
        return {"kind": "sklearn", "estimator": "sklearn.mixture.GaussianMixture", "options": options}, "cold"
    pytest.importorskip("torch", reason="the model is written in PyTorch")
    options = {"width": 8, "updates": 5, "cold_updates": 10, "steps": 4, "batch": 16}
    return {"kind": "python", "object": f"{ROOT}/examples/pytorch_ddpm.py:DDPM", "options": options}, "warm"


@pytest.mark.parametrize("kind", ["sklearn", "torch", "command"])
def test_a_killed_process_is_continued_to_the_same_table(kind, tmp_path):
    recipe, start = family(kind, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(sc.__file__).parents[1])}

    def run(out, generations):
        words = [sys.executable, "-c", SCRIPT, json.dumps([recipe, start, str(tmp_path / out), generations])]
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    whole, killed = (run(out, generations) for out, generations in (("whole", 99), ("killed", 9)))
    assert whole.returncode == 0, whole.stderr
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    part, expected = (sc.load_results(tmp_path / out).table() for out in ("killed", "whole"))
    assert 0 < len(part) < len(expected) and expected["value"].is_finite().all()
    continued = run("killed", 99)
    assert continued.returncode == 0, continued.stderr
    assert sc.load_results(tmp_path / "killed").table().equals(expected)
