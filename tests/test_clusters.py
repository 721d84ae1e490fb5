"""The recipes of docs/clusters.md, run as they are printed, with schedulers in a simulated form."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from selfconsume.execution.merging.merge import merge
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


def command(folder, name, text):
    """Makes a command of the simulated cluster."""
    (folder / "bin" / name).write_text(text)
    (folder / "bin" / name).chmod(stat.S_IRWXU)


@pytest.fixture
def cluster(tmp_path):
    """A folder with study.toml, and an environment in which `selfconsume` and `sbatch` are commands."""
    (tmp_path / "study.toml").write_text(STUDY)
    commands = tmp_path / "bin"
    commands.mkdir()
    command(tmp_path, "selfconsume", f"#!{sys.executable}\nfrom selfconsume.cli.main import main\nmain()\n")
    command(tmp_path, "sbatch", SBATCH.format(python=sys.executable))
    paths = {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return tmp_path, os.environ | paths


def test_the_array_job_gives_the_results_of_a_single_run(cluster):
    folder, environment = cluster
    (folder / "study.sbatch").write_text(block("--share array").replace("--array=1-40", "--array=1-3"))
    done = subprocess.run(["bash", "-e", "-c", block("sbatch --parsable")], cwd=folder, env=environment, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "shares").iterdir()} == {f"share-{i}-of-3" for i in (1, 2, 3)}
    single = execute(toml_file.parse(STUDY, "study.toml"), folder / "single")
    assert table(Store(folder / "results")).equals(table(single))


RSYNC = '''#!{python}
"""rsync in a simulated form: copies new and changed files of a folder, but those of an excluded name."""
import shutil, sys
from pathlib import Path
excluded = sys.argv[sys.argv.index("--exclude") + 1] if "--exclude" in sys.argv else None
source, target = map(Path, sys.argv[-2:])
for file in sorted(source.rglob("*")):
    copy = target / file.relative_to(source)
    if file.is_file() and file.name not in (excluded, ".lock"):
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != file.read_bytes():
            shutil.copy2(file, copy)
'''


def test_a_budget_is_requeued_until_the_study_is_complete(cluster):
    folder, environment = cluster
    text = block("scontrol requeue").replace("--budget 3h50m", "--budget 0.001s")
    # Requeues by starting the job again, twice; then with time for all of it.
    requeue = (
        'n=$(cat n 2>/dev/null); echo $((n + 1)) > n; [ "$n" = 1 ] && sed -i s/0.001s/1h/ job.sh; exec bash job.sh\n'
    )
    command(folder, "scontrol", f"#!/bin/bash\n{requeue}")
    (folder / "job.sh").write_text(text)
    done = subprocess.run(["bash", "job.sh"], cwd=folder, env=environment | {"SLURM_JOB_ID": "7"}, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stopped after 0.001s: ") == 2 and (folder / "n").read_text() == "2\n"
    assert set(Store(folder / "results").progress().values()) == {2}


def test_a_fleet_loses_machines_and_finishes(cluster):
    """Machine 1 dies in its second quarter of an hour; the one that replaces it has nothing but the place that outlives it."""
    folder, environment = cluster
    command(folder, "rsync", RSYNC.format(python=sys.executable))
    (folder / "place").mkdir()
    text = block("fleet.sh NUMBER")
    for attempt, (number, budget, is_lost) in enumerate([(1, "0.001s", True), (1, "1h", False), (2, "1h", False)]):
        machine = folder / f"machine-{attempt}"
        machine.mkdir()
        (machine / "study.toml").write_text(STUDY)
        # The first machine is lost after its first copies.
        (machine / "fleet.sh").write_text(text.replace("--budget 15m", f"--budget {budget}"))
        dying = '\ncase "$*" in *exclude*) ;; */place/1/) kill -9 $PPID;; esac\n' if is_lost else ""
        if dying:
            command(folder, "rsync.real", RSYNC.format(python=sys.executable))
            command(folder, "rsync", f'#!/bin/bash\nrsync.real "$@"{dying}')
        else:
            command(folder, "rsync", RSYNC.format(python=sys.executable))
        words = ["bash", "fleet.sh", str(number), "2", str(folder / "place")]
        done = subprocess.run(words, cwd=machine, env=environment, capture_output=True, text=True)
        assert done.returncode == (-9 if dying else 0), done.stderr
    merged = merge(sorted((folder / "place").glob("*/share-*")), folder / "results")
    assert table(merged).equals(table(execute(toml_file.parse(STUDY, "study.toml"), folder / "single")))


@pytest.mark.slow
def test_ray_inside_a_slurm_job(cluster):
    """Four nodes in a simulated form: each is a node of Ray on this machine."""
    ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    folder, environment = cluster
    binary = Path(sys.executable).with_name("ray")
    command(folder, "ray", f'#!/bin/bash\nexec {binary} "$@"\n')
    command(folder, "hostname", f"#!/bin/bash\necho {ray.util.get_node_ip_address()}\n")
    command(folder, "srun", '#!/bin/bash\nwhile [ "$1" != ray ]; do shift; done\nexec "$@"\n')
    (folder / "job.sh").write_text(block("ray start --head").replace("6379", "26379"))
    slurm = {"SLURM_CPUS_PER_TASK": "1", "SLURM_NNODES": "2"}
    done = subprocess.run(["bash", "job.sh"], cwd=folder, env=environment | slurm, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    single = execute(toml_file.parse(STUDY, "study.toml"), folder / "single")
    assert table(Store(folder / "results")).equals(table(single))
