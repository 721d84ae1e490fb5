"""The recipes of docs/clusters.md, run as they are printed, with schedulers in a simulated form."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from selfconsume.execution.run_study import execute
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study import toml_file

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/clusters.md").read_text()

STUDY = """
[study]
generations = 3
seeds = 3
[source]
kind = "gaussian"
n = 8
[family]
kind = "gaussian"
[[metrics]]
kind = "moments"
[axes]
regime = [{kind = "mix", ratio = 0.5}, {kind = "mix", ratio = 1.0}]
"""

SBATCH = '''#!{python}
"""Slurm in a simulated form: runs the jobs at once, the last one first, each in a process of its own; one is requeued."""
import os, re, subprocess, sys
script, wrapped = sys.argv[-1], "--wrap" in sys.argv
text = "" if wrapped else open(script).read()
array = re.search(r"#SBATCH --array=(\\d+)-(\\d+)", text)
jobs = range(int(array[1]), int(array[2]) + 1) if array else [0]
for number in reversed(jobs):
    variables = dict(SLURM_JOB_ID=str(100 + number))
    if array:
        variables.update(
            SLURM_ARRAY_JOB_ID="100",
            SLURM_ARRAY_TASK_ID=str(number), SLURM_ARRAY_TASK_MIN=array[1], SLURM_ARRAY_TASK_COUNT=str(len(jobs))
        )
    job = ["bash", "-c", script] if wrapped else ["bash", script]
    code = 0
    for attempt in range(2 if number == 2 else 1):
        code = subprocess.run(job, env=os.environ | variables, stdout=subprocess.DEVNULL).returncode
    if code:
        sys.exit(f"job {{number}} ended with {{code}}")
print(100)
'''


def block(pattern):
    """The fenced block of bash that matches a pattern."""
    (found,) = [text for text in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if re.search(pattern, text)]
    return found


@pytest.fixture
def cluster(tmp_path):
    """A folder with study.toml, and an environment in which `selfconsume` and `sbatch` are commands."""
    (tmp_path / "study.toml").write_text(STUDY)
    commands = tmp_path / "bin"
    commands.mkdir()
    texts = {
        "selfconsume": f"#!{sys.executable}\nfrom selfconsume.cli.main import main\nmain()\n",
        "sbatch": SBATCH.format(python=sys.executable),
    }
    for name, text in texts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(stat.S_IRWXU)
    paths = {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return tmp_path, os.environ | paths


def test_the_array_job_gives_the_results_of_a_single_run(cluster):
    folder, environment = cluster
    (folder / "study.sbatch").write_text(block("#SBATCH").replace("--array=1-40", "--array=1-3"))
    done = subprocess.run(["bash", "-e", "-c", block("sbatch --parsable")], cwd=folder, env=environment, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "shares").iterdir()} == {f"share-{i}-of-3" for i in (1, 2, 3)}
    single = execute(toml_file.parse(STUDY, "study.toml"), folder / "single")
    assert table(Store(folder / "results")).equals(table(single))
