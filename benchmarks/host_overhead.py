"""What the loop costs beside the same `for` loop by hand, for models that are fitted outside JAX.

    python benchmarks/host_overhead.py [--seeds 3] [--sizes tiny small medium]

Both retrain the same scikit-learn mixture on the same data, draw as many samples, and measure the same two metrics in every
generation; the loop also derives keys, plans the pool, and commits every generation to disk. Compiled programs of both are made
in a run before, of another seed. Time inside the model's `fit` and `sample` is taken apart, because it is the same work and its
noise would hide the rest: the overhead is the loop's other time less that of the loop by hand, over the whole of the latter.
Prints one line of medians over seeds for each size.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from sklearn.mixture import GaussianMixture

import selfconsume as sc
from selfconsume.types import Generation

GENERATIONS = 6
SIZES = {"tiny": (500, 1), "small": (2000, 3), "medium": (10_000, 5)}
"""Examples, and restarts of each fit."""


def study(n: int, restarts: int, seed: int) -> sc.Study:
    """Fully synthetic retraining of a mixture with 8 components."""
    return sc.Study(
        source=sc.source("eight_gaussians", n=n),
        family=sc.family(GaussianMixture(8, n_init=restarts, tol=1e-6, max_iter=200)),
        regime=sc.regime("replace"),
        metrics=[sc.metric("energy_distance"), sc.metric("moments")],
        generations=GENERATIONS,
        seeds=[seed],
    )


class Stopwatch:
    """Seconds inside the model, and outside of it since the last reading."""

    def __init__(self) -> None:
        self.inside, self.begun = 0.0, time.perf_counter()
        for name in ("fit", "sample"):
            setattr(GaussianMixture, name, self.timed(getattr(GaussianMixture, name)))

    def timed(self, method):
        """The method, with its time counted as the model's."""

        @functools.wraps(method)
        def call(*arguments, **options):
            begun = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                self.inside += time.perf_counter() - begun

        return call

    def read(self) -> tuple[float, float]:
        """Seconds inside and outside; both start again."""
        now = time.perf_counter()
        seconds = self.inside, now - self.begun - self.inside
        self.inside, self.begun = 0.0, now
        return seconds


def by_hand(n: int, restarts: int, seed: int, metrics: list) -> None:
    """The loop as one writes it, without anything stored."""
    key = jax.random.key(seed)
    source = sc.source("eight_gaussians", n=n)
    x = np.asarray(source.train(key))
    for t in range(GENERATIONS):
        model = GaussianMixture(8, n_init=restarts, tol=1e-6, max_iter=200, random_state=seed + t).fit(
            x.astype(np.float64)
        )
        x = model.sample(n)[0].astype(np.float32)
        for program, prepared in metrics:
            jax.block_until_ready(program(jax.random.key(t), x, prepared))


def compiled(n: int) -> list:
    """Each metric as a compiled function of samples, with what it prepares."""
    source = sc.source("eight_gaussians", n=n)
    programs = []
    for metric in (sc.metric("energy_distance"), sc.metric("moments")):
        prepared = metric.prepare(jax.random.key(0), source)

        def measure(key, x, prepared, metric=metric):
            truth = source.truth()
            return metric(key, Generation(1, truth, truth, x, jax.numpy.ones(len(x), bool)), prepared)

        programs.append((jax.jit(measure), prepared))
    return programs


def by_loop(n: int, restarts: int, seed: int, folder: Path) -> None:
    """`sc.run` into a new directory."""
    sc.run(study(n, restarts, seed), folder / f"{n}-{seed}")


def main() -> None:
    """Milliseconds a generation inside the model and outside of it, by hand and by the loop, and the overhead."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES))
    options = parser.parse_args()
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sizes:
            n, restarts = SIZES[name]
            metrics = compiled(n)
            rows = []
            for seed in (1000, *range(options.seeds)):
                watch.read()
                by_hand(n, restarts, seed, metrics)
                hand = watch.read()
                by_loop(n, restarts, seed, Path(folder))
                rows.append((*hand, *watch.read()))
            fit, hand, _, loop = (
                1e3 * statistics.median(column) / GENERATIONS for column in zip(*rows[1:], strict=True)
            )
            overhead = 100 * (loop - hand) / (fit + hand)
            line = {"fit_ms": fit, "hand_ms": hand, "loop_ms": loop, "overhead_percent": overhead}
            rounded = {key: round(value, 1) for key, value in line.items()}
            print(json.dumps({"size": name, "n": n, **rounded}), flush=True)


if __name__ == "__main__":
    main()
