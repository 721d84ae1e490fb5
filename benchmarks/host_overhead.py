"""What the loop costs beside the same `for` loop by hand, for models that are fitted outside JAX.

    python benchmarks/host_overhead.py [--models sklearn torch command] [--sizes tiny small medium] [--seeds 5]

Both retrain the same model on the same data, draw as many samples, and measure the same two metrics in every generation; the
loop also derives keys, plans the pool, and commits every generation to disk. The models are scikit-learn's Gaussian mixture,
the PyTorch diffusion model of `examples/pytorch_ddpm.py`, and a program that is called to train and to sample, with npz files
between; by hand the same program is called with the same files. Compiled programs of both are made in a run before, of another
seed, and both take turns. Time inside the model (`fit` and `sample`, or the processes) is taken apart, because it is the same
work and its noise would hide the rest: the overhead is the loop's other time less that of the loop by hand, over the whole of
the latter.

Prints one line of medians over seeds for each model and size, in milliseconds a generation, and the fit time from which the
overhead is below 5 %.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.mixture import GaussianMixture

import selfconsume as sc
from selfconsume.types import Generation

GENERATIONS = 6
N = 2000
WORK = {
    "sklearn": {"tiny": 6, "small": 40, "medium": 120},  # restarts of EM
    "torch": {"tiny": 100, "small": 800, "medium": 2500},  # updates
    "command": {"tiny": 0, "small": 15, "medium": 80},  # singular value decompositions
}
"""How much work each fit of a model is; the sizes take about 0.2, 1 and 3 seconds."""
AIM = 0.05
EXAMPLE = Path(__file__).parents[1] / "examples" / "pytorch_ddpm.py"
PROGRAM = """
import sys
import numpy as np

step, data, model, seed, number = sys.argv[1:]
if step == "train":
    x = np.load(data)["x"]
    for _ in range(int(number)):
        np.linalg.svd(np.random.default_rng(0).normal(size=(250, 250)))
    np.savez(open(model, "wb"), mean=x.mean(0), std=x.std(0))
else:
    fitted = np.load(model)
    noise = np.random.default_rng(int(seed)).normal(size=(int(number), len(fitted["mean"])))
    np.savez(data, x=fitted["mean"] + fitted["std"] * noise)
"""


class Stopwatch:
    """Seconds inside the model, and outside of it since the last reading."""

    def __init__(self) -> None:
        self.inside, self.begun = 0.0, time.perf_counter()

    def attach(self, owner: Any, *names: str) -> None:
        """Counts the time in functions of a class or module as the model's."""
        for name in names:
            setattr(owner, name, self.timed(getattr(owner, name)))

    def timed(self, function: Callable) -> Callable:
        """The function, with its time counted."""

        @functools.wraps(function)
        def call(*arguments, **options):
            begun = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.inside += time.perf_counter() - begun

        return call

    def read(self) -> tuple[float, float]:
        """Seconds inside and outside; both start again."""
        now = time.perf_counter()
        seconds = self.inside, now - self.begun - self.inside
        self.inside, self.begun = 0.0, now
        return seconds


def sklearn_model(work: int, folder: Path, watch: Stopwatch) -> tuple[Any, Callable]:
    """A mixture of 8 Gaussians: the family, and fitting and sampling by hand."""
    options = {"n_components": 8, "n_init": work, "tol": 1e-6, "max_iter": 100}

    def by_hand(x, seed):
        model = GaussianMixture(**options, random_state=seed).fit(x.astype(np.float64))
        return model.sample(N)[0]

    return sc.family(GaussianMixture(**options)), by_hand


def torch_model(work: int, folder: Path, watch: Stopwatch) -> tuple[Any, Callable]:
    """A diffusion model of width 64."""
    options = {"updates": work, "cold_updates": work}
    family = sc.family("python", object=f"{EXAMPLE}:DDPM", options=options)
    sc.Study(sc.source("eight_gaussians", n=N), family, sc.regime("replace"))  # imports the class
    (module,) = (module for name, module in sys.modules.items() if name.startswith("selfconsume_object_"))
    if not hasattr(module.DDPM.fit, "__wrapped__"):
        watch.attach(module.DDPM, "fit", "sample")

    def by_hand(x, seed):
        model = module.DDPM(**options)
        return model.sample(model.fit(x, start=None, seed=seed), N, seed)

    return family, by_hand


def command_model(work: int, folder: Path, watch: Stopwatch) -> tuple[Any, Callable]:
    """Two calls of a program, with files between."""
    script = folder / "program.py"
    script.write_text(PROGRAM)
    program = [sys.executable, str(script)]
    line = " ".join(program)
    family = sc.family(
        "command",
        train=f"{line} train {{data}} {{model}} {{seed}} {work}",
        sample=f"{line} sample {{out}} {{model}} {{seed}} {{n}}",
    )

    def by_hand(x, seed):
        data, model, out = (folder / name for name in ("data.npz", "model", "out.npz"))
        np.savez(data, x=x)
        subprocess.run([*program, "train", data, model, str(seed), str(work)], check=True)
        subprocess.run([*program, "sample", out, model, str(seed), str(N)], check=True)
        return np.load(out)["x"]

    return family, by_hand


MODELS = {"sklearn": sklearn_model, "torch": torch_model, "command": command_model}


def metrics() -> list:
    """What is measured."""
    return [sc.metric("energy_distance"), sc.metric("moments")]


def compiled() -> list:
    """Each metric as a compiled function of samples, with what it prepares."""
    source = sc.source("eight_gaussians", n=N)
    programs = []
    for metric in metrics():
        prepared = metric.prepare(jax.random.key(0), source)

        def measure(key, x, prepared, metric=metric):
            truth = source.truth()
            return metric(key, Generation(1, truth, truth, x, jax.numpy.ones(len(x), bool)), prepared)

        programs.append((jax.jit(measure), prepared))
    return programs


def by_hand(draw: Callable, seed: int, programs: list) -> None:
    """The loop as one writes it, without anything stored."""
    x = np.asarray(sc.source("eight_gaussians", n=N).train(jax.random.key(seed)))
    for t in range(GENERATIONS):
        x = draw(x, 100 * seed + t).astype(np.float32)
        for program, prepared in programs:
            jax.block_until_ready(program(jax.random.key(t), x, prepared))


def by_loop(family: Any, seed: int, out: Path) -> None:
    """`sc.run` into a new directory: fully synthetic retraining."""
    source, regime = sc.source("eight_gaussians", n=N), sc.regime("replace")
    sc.run(sc.Study(source, family, regime, metrics(), generations=GENERATIONS, seeds=[seed]), out)


def main() -> None:
    """Prints versions, and a line for each model and size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--sizes", nargs="*", default=["tiny", "small", "medium"])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    libraries = ["jax", "numpy", "scikit-learn", *(["torch"] if "torch" in options.models else [])]
    versions = {name: metadata.version(name) for name in libraries}
    print(json.dumps({"python": platform.python_version(), **versions}), flush=True)
    watch, programs = Stopwatch(), compiled()
    watch.attach(GaussianMixture, "fit", "sample")
    watch.attach(subprocess, "run")
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            for size in options.sizes:
                family, draw = MODELS[model](WORK[model][size], Path(name), watch)
                rows = []
                for seed in (1000, *range(options.seeds)):
                    watch.read()
                    by_hand(draw, seed, programs)
                    hand = watch.read()
                    by_loop(family, seed, Path(name, f"{model}-{size}-{seed}"))
                    rows.append((*hand, *watch.read()))
                print(json.dumps({"model": model, "size": size, **summary(rows[1:])}), flush=True)


def summary(rows: list[tuple[float, float, float, float]]) -> dict[str, float]:
    """Medians in milliseconds a generation: in the model, the rest by hand, the rest by the loop, and their comparison."""
    fit, hand, loop_fit, loop = (1e3 * statistics.median(column) / GENERATIONS for column in zip(*rows, strict=True))
    extra = 1e3 * statistics.median(loop - hand for _, hand, _, loop in rows) / GENERATIONS
    numbers = {
        "fit_ms": fit,
        "fit_in_loop_ms": loop_fit,
        "hand_ms": hand,
        "loop_ms": loop,
        "extra_ms": extra,
        "overhead_percent": 100 * extra / (fit + hand),
        "below_5_percent_from_ms": extra / AIM - hand,
    }
    return {name: round(value, 1) for name, value in numbers.items()}


if __name__ == "__main__":
    main()
