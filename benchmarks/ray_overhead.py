"""What Ray costs: a study of 200 runs on a local cluster of two workers against the same study as local lanes, in turns.

    python benchmarks/ray_overhead.py --out benchmarks/results/ray_overhead.json     # about 8 minutes on 2 cores
    python benchmarks/ray_overhead.py --runs 4 --generations 20                      # a small sample

Start-up is left out: the first tenth of the generations, in which programs are compiled. Given are lanes times generations
a second of wall-clock time, and of CPU time of all processes, which other load disturbs less. Exit code 1 if Ray takes over
15 % more wall-clock time.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from selfconsume.execution.engines.ray import RayEngine
from selfconsume.execution.run_study import execute
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study.study import Study

START = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


def study(runs, generations):
    family = {"kind": "otcfm", "updates": 100, "batch": 64, "width": 32}
    ratios = [2.0 * i / max(runs - 1, 1) for i in range(runs)]
    return Study(
        {"kind": "eight_gaussians", "n": 200}, family, {"kind": "mix"}, [{"kind": "moments"}], {"regime.ratio": ratios},
        generations=generations, seeds=1, keep="generators",
    )  # fmt: skip


def cpu_seconds():
    """CPU time of this process and all that descend from it; of the ended ones what their parents have collected."""
    parents, times = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)], times[int(folder.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS

    def descends(pid):
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return sum(seconds for pid, seconds in times.items() if descends(pid))


def measure(made, path, engine):
    """Lanes times generations a second after start-up, of wall-clock and of CPU time."""
    marks = []

    def mark(state):
        if state.done >= START * state.total and not marks:
            marks.append((state.done, time.monotonic(), cpu_seconds()))

    begin = time.monotonic()
    execute(made, path, engine=engine, on_progress=mark)
    done, start, cpu = marks[0]
    total = len(made.cells) * made.settings.generations
    seconds = time.monotonic() - start
    return {
        "startup_seconds": round(start - begin, 1), "seconds": round(seconds, 1),
        "per_second": round((total - done) / seconds, 2), "per_cpu_second": round((total - done) / (cpu_seconds() - cpu), 2),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=1, help="turns")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    made = study(arguments.runs, arguments.generations)
    turns = []
    with tempfile.TemporaryDirectory() as folder, RayEngine() as engine:
        for turn in range(arguments.repeats):
            paths = {name: Path(folder) / f"{name}-{turn}" for name in ("local", "ray")}
            turns.append({name: measure(made, paths[name], engine if name == "ray" else None) for name in paths})
            tables = [table(Store(path)) for path in paths.values()]
            turns[-1]["equal"] = tables[0].equals(tables[1])
            print(json.dumps(turns[-1]), flush=True)
        workers = engine.workers
    ratios = {
        key: sorted(turn["local"][key] / turn["ray"][key] for turn in turns)[len(turns) // 2]
        for key in ("per_second", "per_cpu_second")
    }
    result = {
        "runs": arguments.runs, "generations": arguments.generations, "workers": workers, "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0], "turns": turns, "local_over_ray": ratios,
    }  # fmt: skip
    print(json.dumps({"local_over_ray": ratios}))
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(result, indent=2) + "\n")
    raise SystemExit(0 if ratios["per_second"] <= 1.15 and all(turn["equal"] for turn in turns) else 1)


if __name__ == "__main__":
    main()
