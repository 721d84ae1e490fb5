"""Long and wide studies: memory, handles and files over 1,000 generations; 1,000 cells x 3 seeds; a log of a million lines.

    python benchmarks/long_runs.py                         # everything: about 10 minutes on 2 cores
    python benchmarks/long_runs.py --part 0.02             # a fiftieth of each
    python benchmarks/long_runs.py --only generations --family otcfm --engine ray

Prints one JSON line for each measurement. Exit code 1 if memory, handles or files grow with the number of generations, or a
log of a million lines takes more than `SECONDS_A_MILLION` of CPU time to open.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

from selfconsume.execution.run_study import execute
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results import format as fmt
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study.study import Study

FAMILIES = {
    "gaussian": {"kind": "gaussian"},
    "otcfm": {"kind": "otcfm", "updates": 20, "batch": 32, "width": 16},
}
GROWTH_MB = 25.0
"""Memory that the last 80 % of the generations may add: 8 MB were measured over 1,000 generations."""
SECONDS_A_MILLION = 30.0
"""CPU time: 31 s were measured while 35 other processes shared two cores."""


def memory_mb():
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def handles():
    return len(os.listdir("/proc/self/fd"))


def files(path):
    return len(list((path / fmt.DATA).iterdir()))


def run_generations(folder, count, family, engine):
    """One run, three seeds: memory and handles early and at the end."""
    study = Study(
        {"kind": "eight_gaussians", "n": 64}, FAMILIES[family], {"kind": "mix"}, [{"kind": "moments"}],
        generations=count, seeds=3,
    )  # fmt: skip
    path = Path(folder) / f"generations-{family}"
    marks = []

    def mark(state):
        share = state.done / state.total
        if not marks or (share >= 0.2 and len(marks) == 1):
            marks.append((memory_mb(), handles()))

    start = time.monotonic()
    with cluster(engine) as ray_engine:
        execute(study, path, engine=ray_engine, on_progress=mark)
    early, late = marks[-1], (memory_mb(), handles())
    return {
        "measured": "generations", "family": family, "engine": engine, "generations": count,
        "seconds": round(time.monotonic() - start, 1), "memory_mb_at_20_percent": round(early[0]),
        "memory_mb_at_end": round(late[0]), "handles_at_20_percent": early[1], "handles_at_end": late[1],
        "files": files(path), "log_lines": Store(path).number,
        "holds": late[0] - early[0] <= GROWTH_MB and late[1] <= early[1] + 2 and files(path) <= 4 + count // 50,
    }  # fmt: skip


def cluster(engine):
    import contextlib

    if engine == "local":
        return contextlib.nullcontext()
    from selfconsume.execution.engines.ray import RayEngine

    return RayEngine()


def run_cells(folder, count, engine):
    """Many cells of one cohort."""
    study = Study(
        {"kind": "gaussian", "n": 32}, {"kind": "gaussian"}, {"kind": "mix"}, [{"kind": "moments"}],
        {"regime.ratio": [i / count for i in range(count)]}, generations=11, seeds=3,
    )  # fmt: skip
    path = Path(folder) / "cells"
    start = time.monotonic()
    with cluster(engine) as ray_engine:
        execute(study, path, engine=ray_engine)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "measured": "cells", "engine": engine, "cells": count, "seeds": 3, "generations": 11, "seconds": round(seconds, 1),
        "files": files(path), "peak_memory_mb": round(peak), "holds": files(path) <= 100,
    }  # fmt: skip


def open_log(folder, count):
    """A log of many segments, written line by line as a writer does, but without their files."""
    path = Path(folder) / "log"
    study = Study({"kind": "gaussian", "n": 8}, {"kind": "gaussian"}, {"kind": "mix"}, [{"kind": "moments"}], seeds=1)
    with Writer(path) as writer:
        lanes = writer.add_lanes([(study.cells[0].id, 0)])
        store = writer.store
    number, checksum = store.number, store.checksum
    layout = DeviceLayout.default().record()
    with open(path / fmt.LOG, "ab") as log:
        for t in range(count):
            number += 1
            file, state = (
                fmt.file_name(store.directory, number, lanes, t, t, part) for part in (fmt.ARRAYS, fmt.STATE)
            )
            fields = {  # as `execution.commit` orders them
                "lanes": lanes, "first": t, "last": t, "file": file, "sha256": "0" * 64,
                "metrics": {"moments": ["mean", "variance"]}, "fewest": {}, "kept": "all", "layout": layout, "host": "a",
                "time": 1.0, "seconds": {"fit": 0.1, "sample": 0.1, "measure": 0.1},
                "state": state, "state_sha256": "0" * 64, "state_is_kept": False,
            }  # fmt: skip
            line = fmt.line(number, checksum, fmt.SEGMENT, fields)
            checksum = fmt.parsed(line, number, checksum)[1]
            log.write(line)
    del study
    before = memory_mb()
    seconds, start = time.monotonic(), time.process_time()
    opened = Store(path)
    seconds, cpu_seconds = time.monotonic() - seconds, time.process_time() - start
    memory, progress = memory_mb() - before, opened.progress()
    assert list(progress.values()) == [count - 1]
    return {
        "measured": "log", "lines": opened.number, "bytes": (path / fmt.LOG).stat().st_size,
        "seconds_to_open": round(seconds, 2), "cpu_seconds_to_open": round(cpu_seconds, 2), "memory_mb": round(memory),
        "holds": cpu_seconds <= max(1.0, SECONDS_A_MILLION * count / 1e6),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--only", choices=["generations", "cells", "log"])
    parser.add_argument("--family", choices=FAMILIES, help="default: all")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    arguments = parser.parse_args()
    size = lambda full: max(2, int(full * arguments.part))  # noqa: E731
    results = []
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only in (None, "log"):
            results.append(open_log(folder, size(1_000_000)))
            print(json.dumps(results[-1]), flush=True)
        for family in [arguments.family] if arguments.family else FAMILIES:
            if arguments.only in (None, "generations"):
                results.append(run_generations(folder, size(1000), family, arguments.engine))
                print(json.dumps(results[-1]), flush=True)
        if arguments.only in (None, "cells"):
            results.append(run_cells(folder, size(1000), arguments.engine))
            print(json.dumps(results[-1]), flush=True)
    raise SystemExit(0 if all(result["holds"] for result in results) else 1)


if __name__ == "__main__":
    main()
