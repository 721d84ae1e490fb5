"""Training and sampling of the neural families against the same network in PyTorch, alternating in one run.

    pip install '.[benchmarks]' && python benchmarks/neural.py [--quick]

Both sides train the same multilayer perceptron (depth 3, SiLU, the same embedding of time) by flow matching on two-dimensional
data: same batch, same Adam, as many chains. PyTorch runs them one after the other on all threads, eagerly, as published loops
do. Prints medians over repeats and their ratio; `--out FILE` also writes them as JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable

import selfconsume as sc  # sets up JAX before it starts
from selfconsume.lanes import lane_program
from selfconsume.lanes import layout as lanes

# JAX's threads must be there before PyTorch binds its own to cores: threads that start later inherit one core.
LAYOUT = lanes.Layout.default()
lane_program.lane_program(lambda shared, lane: lane + 1, LAYOUT)(
    2, {}, LAYOUT.zeros((2, 2), "float32")
).block_until_ready()
os.environ.setdefault("OMP_PROC_BIND", "true")  # without it, PyTorch's two threads can land on one core

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch
import zuko

DEPTH, OCTAVES, DIM = 3, 4, 2


class TorchMLP(torch.nn.Module):
    """The network of `selfconsume.models.nets.mlp`, in PyTorch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [DIM + 2 * OCTAVES + 1, *[width] * DEPTH, DIM]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(OCTAVES))

    def forward(self, x: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        angles = tau[:, None] * self.frequencies
        h = torch.cat([x, tau[:, None], torch.sin(angles), torch.cos(angles)], dim=1)
        for layer in self.layers[:-1]:
            h = torch.nn.functional.silu(layer(h))
        return self.layers[-1](h)


def alternate(first: Callable[[], None], second: Callable[[], None], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both, taken in turns, so that a noisy neighbour disturbs both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for run, into in zip((first, second), times, strict=True):
            start = time.perf_counter()
            run()
            into.append(time.perf_counter() - start)
    return times


def family_lanes(family: sc.Family, chains: int, n: int, layout: lanes.Layout):
    """Begun fits of all chains, and the compiled advance."""
    x = np.random.default_rng(0).normal(size=(chains, n, DIM)).astype(np.float32)
    data = layout.put({"x": x, "seed": np.arange(chains, dtype=np.uint32)})
    begin = lane_program.lane_program(
        lambda _, lane: family.begin(jax.random.key(lane["seed"]), lane["x"], jnp.ones(n), None), layout
    )
    return begin(chains, {}, data)


def training(width: int, batch: int, chains: int, updates: int, repeats: int, layout: lanes.Layout) -> dict:
    """Updates of `chains` models."""
    family = sc.family("otcfm", width=width, depth=DEPTH, batch=batch, pairing="independent", updates=updates)
    state = family_lanes(family, chains, 4096, layout)
    advance = lane_program.lane_program(lambda _, fit: family.advance(fit, updates), layout)
    jax.block_until_ready(advance(chains, {}, state))

    def ours() -> None:
        jax.block_until_ready(advance(chains, {}, state))

    models = [TorchMLP(width) for _ in range(chains)]
    optimizers = [torch.optim.Adam(model.parameters(), lr=2e-3) for model in models]
    data = torch.randn(chains, 4096, DIM)

    def torchs() -> None:
        for model, optimizer, x in zip(models, optimizers, data, strict=True):
            for _ in range(updates):
                x1 = x[torch.randint(0, 4096, (batch,))]
                x0, tau = torch.randn(batch, DIM), torch.rand(batch)
                loss = ((model(x0 + tau[:, None] * (x1 - x0), tau) - (x1 - x0)) ** 2).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

    torchs()
    times = alternate(ours, torchs, repeats)
    parameters = sum(p.numel() for p in models[0].parameters())
    flops = 6 * batch * parameters * updates * chains
    return row(f"train OT-CFM: {chains} chains x width {width} x batch {batch}", times, flops=flops)


def sampling(width: int, n: int, steps: int, repeats: int, layout: lanes.Layout) -> dict:
    """Samples by Euler steps, 2 models."""
    chains = 2
    family = sc.family("otcfm", width=width, depth=DEPTH, solver="euler", steps=steps, updates=8)
    state = family_lanes(family, chains, 1024, layout)
    draw = lane_program.lane_program(lambda _, generator: generator.sample(jax.random.key(0), n), layout)
    jax.block_until_ready(draw(chains, {}, state.generator))
    models = [TorchMLP(width) for _ in range(chains)]

    def ours() -> None:
        jax.block_until_ready(draw(chains, {}, state.generator))

    @torch.no_grad()
    def torchs() -> None:
        for model in models:
            x = torch.randn(n, DIM)
            for step in range(steps):
                x = x + model(x, torch.full((n,), step / steps)) / steps

    torchs()
    return row(f"sample: {chains} models x {n} x {steps} Euler steps, width {width}", alternate(ours, torchs, repeats))


def realnvp(chains: int, batch: int, updates: int, repeats: int, layout: lanes.Layout) -> list[dict]:
    """A RealNVP-type flow against zuko's: training and density."""
    layers, width = 6, 64
    family = sc.family("flow", architecture="coupling", layers=layers, width=width, batch=batch, updates=updates)
    state = family_lanes(family, chains, 4096, layout)
    advance = lane_program.lane_program(lambda _, fit: family.advance(fit, updates), layout)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(10_000, DIM)), jnp.float32)
    density = lane_program.lane_program(lambda x, generator: generator.log_prob(x), layout)
    # Couplings with an affine transform of one half given the other: RealNVP, which zuko calls NICE.
    flows = [
        zuko.flows.NICE(DIM, transforms=layers, hidden_features=(width, width), activation=torch.nn.SiLU)
        for _ in range(chains)
    ]
    optimizers = [torch.optim.Adam(flow.parameters(), lr=2e-3) for flow in flows]
    data, query = torch.randn(chains, 4096, DIM), torch.tensor(np.asarray(x))

    def ours() -> None:
        jax.block_until_ready(advance(chains, {}, state))

    def torchs() -> None:
        for flow, optimizer, x in zip(flows, optimizers, data, strict=True):
            for _ in range(updates):
                loss = -flow().log_prob(x[torch.randint(0, 4096, (batch,))]).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

    def our_density() -> None:
        jax.block_until_ready(density(chains, x, state.generator))

    @torch.no_grad()
    def their_density() -> None:
        for flow in flows:
            flow().log_prob(query)

    for warm in (ours, torchs, our_density, their_density):
        warm()
    name = f"{chains} chains x {layers} couplings x width {width}"
    return [
        row(f"train RealNVP, zuko beside: {name} x batch {batch}", alternate(ours, torchs, repeats)),
        row(f"density RealNVP, zuko beside: {name}, 10,000 points", alternate(our_density, their_density, repeats)),
    ]


def pairing(width: int, batch: int, updates: int, repeats: int, layout: lanes.Layout) -> dict:
    """Training with exact pairing against training without: what the pairing costs."""
    runs = []
    for kind in ("exact", "independent"):
        family = sc.family("otcfm", width=width, batch=batch, pairing=kind, updates=updates)
        state = family_lanes(family, 2, 4096, layout)
        advance = lane_program.lane_program(lambda _, fit, family=family: family.advance(fit, updates), layout)
        jax.block_until_ready(advance(2, {}, state))
        runs.append(lambda advance=advance, state=state: jax.block_until_ready(advance(2, {}, state)))
    exact, independent = (statistics.median(times) for times in alternate(*runs, repeats))
    share = 1 - independent / exact
    name = f"share of the default exact pairing in training, width {width}, batch {batch}"
    return {"what": name, "exact_seconds": exact, "independent_seconds": independent, "share": round(share, 3)}


def matrix_rate(repeats: int) -> float:
    """float32 operations a second of a large matrix product in JAX, on all cores."""
    a = jnp.ones((2048, 2048))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    best = math.inf
    for _ in range(max(repeats, 5)):
        start = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def row(name: str, times: tuple[list[float], list[float]], flops: float | None = None) -> dict:
    """Medians, and the ratio of each pair's times."""
    ours, theirs = times
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    result = {
        "what": name,
        "selfconsume_seconds": statistics.median(ours),
        "pytorch_seconds": statistics.median(theirs),
        "pytorch/selfconsume": round(ratio, 2),
    }
    if flops:
        result["selfconsume_flops"] = flops / result["selfconsume_seconds"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", help="write the results as JSON")
    parser.add_argument("--repeats", type=int, default=7, help="times that each side is measured, in turns")
    given = parser.parse_args()
    quick, out = given.quick, given.out
    layout = LAYOUT
    repeats, updates = (2, 16) if quick else (given.repeats, 96)
    rate = matrix_rate(repeats)
    parts = [
        lambda: [training(128, 512, 16, updates, repeats, layout)],
        lambda: [training(64, 256, 16, updates, repeats, layout)],
        lambda: [training(32, 256, 16, updates, repeats, layout)],
        lambda: [sampling(128, 1000 if quick else 10_000, 100, repeats, layout)],
        lambda: realnvp(4, 256, updates, repeats, layout),
        lambda: [pairing(64, 256, updates, repeats, layout)],
    ]
    rows = []
    for part in parts:
        for each in part():
            if "selfconsume_flops" in each:
                each["share of matrix rate"] = round(each.pop("selfconsume_flops") / rate, 3)
            print(json.dumps(each), flush=True)
            rows.append(each)
    facts = {
        "machine": {**layout.record(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {
            "jax": jax.__version__,
            "equinox": eqx.__version__,
            "torch": torch.__version__,
            "zuko": zuko.__version__,
        },
        "torch": {
            "threads": torch.get_num_threads(),
            "blas": torch.__config__.show().split("BLAS_INFO=")[1].split(",")[0],
        },
        "matrix_rate_gflops": round(rate / 1e9, 1),
    }
    print(json.dumps(facts))
    if out:
        with open(out, "w") as file:
            json.dump({**facts, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
