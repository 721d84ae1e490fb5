"""Precision, recall, density and coverage against the public implementation (the package prdc), in turns in one run.

    pip install '.[test]' && python benchmarks/neighbours.py [--n 5000] [--d 2048] [--repeats 5]

Both sides get the same float32 features. Prints the values of both, medians of seconds and their ratio; `--out FILE` writes
them as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path

import selfconsume as sc  # sets up JAX before it starts
from selfconsume.lanes import layout

LAYOUT = layout.Layout.default()

import jax
import jax.numpy as jnp
import numpy as np
import prdc

from selfconsume.types import Generation


class Given:
    """A source that has nothing but a test set."""

    fixed = True

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def test(self, key: jax.Array) -> np.ndarray:
        return self.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=5000, help="examples of each set")
    parser.add_argument("--d", type=int, default=2048, help="features of an example")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", help="write the results as JSON")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    real = random.normal(size=(given.n, given.d)).astype(np.float32)
    fake = (0.95 * random.normal(size=(given.n, given.d))).astype(np.float32)
    metric = sc.metric("neighbours", k=5, k_density=5)

    @jax.jit
    def both(real, fake):
        prepared = metric.prepare(jax.random.key(0), Given(real))
        generation = Generation(jnp.int32(0), None, None, fake, jnp.ones(len(fake), bool))
        return metric(jax.random.key(0), generation, prepared)

    def ours() -> dict:
        return {name: float(value) for name, value in both(real, fake).items()}

    def theirs() -> dict:
        return {name: float(value) for name, value in prdc.compute_prdc(real, fake, nearest_k=5).items()}

    values = {"selfconsume": ours(), "prdc": theirs()}  # compiles, too
    seconds: dict[str, list[float]] = {"selfconsume": [], "prdc": []}
    for _ in range(given.repeats):
        for name, side in (("selfconsume", ours), ("prdc", theirs)):
            start = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - start)
    row = {
        "what": f"precision, recall, density, coverage of {given.n} x {given.n} x {given.d}, k = 5",
        "values": values,
        **{f"{name}_seconds": round(statistics.median(each), 3) for name, each in seconds.items()},
        "prdc/selfconsume": round(statistics.median(b / a for a, b in zip(*seconds.values(), strict=True)), 2),
    }
    facts = {
        "machine": {**LAYOUT.record(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: metadata.version(name) for name in ("jax", "prdc", "scikit-learn", "numpy")},
    }
    print(json.dumps(row))
    print(json.dumps(facts))
    if given.out:
        Path(given.out).write_text(json.dumps({**facts, "rows": [row]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
