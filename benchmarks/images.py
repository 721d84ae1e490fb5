"""Training and sampling of a U-Net against the same network in PyTorch, alternating in one run; and what a generation
spends on neither training, sampling nor metrics.

    pip install '.[benchmarks]' && python benchmarks/images.py [--net torchcfm_32] [--batch 128] [--quick]

Both sides train the network of `models.nets.unet` by flow matching with independent pairing, Adam and an average of the
weights, on random bytes, and sample by Euler steps. On a GPU both compute in bfloat16, PyTorch channels-last under autocast
and `torch.compile`; on a CPU both compute in float32, PyTorch eagerly. Prints medians of images per second, and the ratio;
`--out FILE` also writes them as JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory of the same GPU

import selfconsume as sc  # sets up JAX before it starts
from selfconsume.execution import run_study
from selfconsume.lanes import lane_program
from selfconsume.lanes import layout as lanes
from selfconsume.models.nets.layers import parameters
from selfconsume.models.nets.unet import SIZES, Sizes
from selfconsume.results import store

# JAX's threads must be there before PyTorch binds its own to cores: threads that start later inherit one core.
LAYOUT = lanes.Layout.default()
lane_program.lane_program(lambda shared, lane: lane + 1, LAYOUT)(
    2, {}, LAYOUT.zeros((2, 2), "float32")
).block_until_ready()
os.environ.setdefault("OMP_PROC_BIND", "true")  # without it, PyTorch's two threads can land on one core

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

GPU = LAYOUT.devices[0].platform == "gpu" and torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
DECAY = 0.9999


class Attention(nn.Module):
    """`selfconsume.models.nets.layers.Attention`."""

    def __init__(self, channels: int, heads: int, factor: float) -> None:
        super().__init__()
        self.norm, self.heads, self.factor = norm(channels), heads, factor
        self.project, self.back = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        parts = self.project(self.norm(x)).permute(0, 2, 3, 1).reshape(n, h * w, 3, self.heads, c // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h, w, c).permute(0, 3, 1, 2)
        return (x + self.back(seen)) * self.factor


class Residual(nn.Module):
    """`selfconsume.models.nets.unet.Residual`."""

    def __init__(self, sizes: Sizes, inputs: int, outputs: int, attends=False, change="none", joins=False) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = norm(inputs), norm(outputs)
        self.convolution_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.convolution_2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.condition = nn.Linear(4 * sizes.channels, outputs)
        plain = inputs == outputs and change == "none"
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, outputs, 1)
        heads = outputs // sizes.head if sizes.head else 1
        self.attention = Attention(outputs, heads, sizes.factor) if attends else nn.Identity()
        self.change, self.joins, self.factor = change, joins, sizes.factor

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        resampled = {"none": lambda x: x, "halve": lambda x: F.avg_pool2d(x, 2), "double": doubled}[self.change]
        h = self.convolution_1(resampled(F.silu(self.norm_1(x)))) + self.condition(e)[:, :, None, None]
        h = self.convolution_2(F.silu(self.norm_2(h)))
        return self.attention((self.shortcut(resampled(x)) + h) * self.factor)


class Resample(nn.Module):
    """`selfconsume.models.nets.unet.Halve` and `Double`."""

    joins = False

    def __init__(self, channels: int, halves: bool) -> None:
        super().__init__()
        self.convolution, self.halves = nn.Conv2d(channels, channels, 3, stride=1 + halves, padding=1), halves

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return self.convolution(x if self.halves else doubled(x))


class TorchUNet(nn.Module):
    """`selfconsume.models.nets.unet.UNet`, channels second as PyTorch has them."""

    def __init__(self, sizes: Sizes, side: int, colours: int) -> None:
        super().__init__()
        self.sizes, wide = sizes, 4 * sizes.channels
        levels = [sizes.channels * each for each in sizes.multipliers]
        self.embed = nn.ModuleList([nn.Linear(2 * (sizes.channels // 2), wide), nn.Linear(wide, wide)])
        self.first, now, kept = nn.Conv2d(colours, sizes.channels, 3, padding=1), sizes.channels, [sizes.channels]
        by_block = sizes.resample == "block"
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, channels in enumerate(levels):
            attends = side >> level in sizes.attention
            if level:
                self.down.append(Residual(sizes, now, now, change="halve") if by_block else Resample(now, True))
                kept.append(now)
            for _ in range(sizes.blocks):
                self.down.append(Residual(sizes, now, channels, attends))
                now = channels
                kept.append(now)
        self.middle = nn.ModuleList([Residual(sizes, now, now, True), Residual(sizes, now, now)])
        for level, channels in reversed(list(enumerate(levels))):
            attends = side >> level in sizes.attention
            if level < len(levels) - 1:
                self.up.append(Residual(sizes, now, now, change="double") if by_block else Resample(now, False))
            for block in range(sizes.blocks + 1):
                here = attends and (sizes.attend_up == "every" or block == sizes.blocks)
                self.up.append(Residual(sizes, now + kept.pop(), channels, here, joins=True))
                now = channels
        self.norm, self.last = norm(now), nn.Conv2d(now, colours, 3, padding=1)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        half = self.sizes.channels // 2
        rates = self.sizes.frequency * 10_000.0 ** (-torch.arange(half, device=x.device) / half)
        angles = condition[:, None] * rates
        e = F.silu(self.embed[0](torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)))
        e = F.silu(self.embed[1](e))
        h = self.first(x)
        kept = [h]
        for layer in self.down:
            h = layer(h, e)
            kept.append(h)
        for layer in self.middle:
            h = layer(h, e)
        for layer in self.up:
            h = layer(torch.cat([h, kept.pop()], dim=1) if layer.joins else h, e)
        return self.last(F.silu(self.norm(h)))


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, max(1, min(32, channels // 4))), channels, eps=1e-6)


def doubled(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def alternate(first: Callable[[], None], second: Callable[[], None], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both, taken in turns, after one turn that compiles."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for run, into in zip((first, second), times, strict=True):
            start = time.perf_counter()
            run()
            if turn:
                into.append(time.perf_counter() - start)
    return times


def against(given: argparse.Namespace) -> list[dict]:
    """Images per second of both sides."""
    sizes, side, batch, updates = SIZES[given.net], given.side, given.batch, given.updates
    fields = {"net": given.net, "batch": batch, "updates": updates, "pairing": "independent", "ema": DECAY}
    fields |= {"schedule": "constant", "learning_rate": 2e-4, "solver": "euler", "steps": given.steps}
    family = sc.family("otcfm", compute="bfloat16" if GPU else "float32", **fields)
    x = np.random.default_rng(0).integers(0, 256, (4 * batch, side, side, 3)).astype(np.uint8)
    layout = LAYOUT.spread(1, batch)
    begin = lane_program.lane_program(
        lambda x, seed: {"fit": family.begin(jax.random.key(seed), x, jnp.ones(len(x)), None)}, layout
    )
    state = begin(1, layout.share(x), layout.put(np.zeros(1, np.uint32)))
    advance = lane_program.lane_program(
        lambda _, lane: {"fit": family.advance(lane["fit"], updates)}, layout, reuse=None if layout.loop else "fit"
    )
    draw = lane_program.lane_program(lambda _, net: net.sample(jax.random.key(0), given.samples), layout)

    def ours() -> None:
        nonlocal state
        state = jax.block_until_ready(advance(1, {}, state))

    def our_samples() -> None:
        jax.block_until_ready(draw(1, {}, state["fit"].generator))

    form = {"memory_format": torch.channels_last}
    net = TorchUNet(sizes, side, 3).to(DEVICE).to(**form)
    count = sum(each.numel() for each in net.parameters())
    assert count == parameters(jax.eval_shape(lambda: family.init(jax.random.key(0), (side, side, 3))).net)
    average = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4, fused=GPU)
    call = torch.compile(net) if GPU else net
    sampled = torch.compile(average) if GPU else average
    data = torch.tensor(x).permute(0, 3, 1, 2).to(DEVICE)
    half = torch.autocast(DEVICE, torch.bfloat16, enabled=GPU)

    def wait() -> None:
        if GPU:
            torch.cuda.synchronize()

    def theirs() -> None:
        for _ in range(updates):
            x1 = data[torch.randint(0, len(data), (batch,), device=DEVICE)].float().to(**form) / 127.5 - 1
            x0, tau = torch.randn_like(x1), torch.rand(batch, device=DEVICE)
            with half:
                out = call(x0 + tau[:, None, None, None] * (x1 - x0), tau)
            loss = ((out.float() - (x1 - x0)) ** 2).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - DECAY)
        wait()

    @torch.no_grad()
    def their_samples() -> None:
        for start in range(0, given.samples, 512):
            z = torch.randn(min(512, given.samples - start), 3, side, side, device=DEVICE).to(**form)
            for step in range(given.steps):
                with half:
                    out = sampled(z, torch.full((len(z),), step / given.steps, device=DEVICE))
                z = z + out.float() / given.steps
            (z * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
        wait()

    what = f"{given.net} ({count / 1e6:.1f} M), {side} x {side} x 3"
    return [
        row(f"train {what}, batch {batch}", batch * updates, alternate(ours, theirs, given.repeats)),
        row(
            f"sample {what}, {given.steps} Euler steps",
            given.samples,
            alternate(our_samples, their_samples, given.repeats),
        ),
    ]


def row(what: str, images: int, times: tuple[list[float], list[float]]) -> dict:
    """Medians of images per second, and of the ratio of neighbouring turns."""
    ours, theirs = times
    return {
        "what": what,
        "selfconsume_images_per_second": round(images / statistics.median(ours), 2),
        "pytorch_images_per_second": round(images / statistics.median(theirs), 2),
        "pytorch/selfconsume_seconds": round(statistics.median(b / a for a, b in zip(ours, theirs, strict=True)), 3),
    }


PARTS = ("fit", "sample", "measure")


def overhead(updates: int) -> dict:
    """Two more generations of a stored study: wall time that is neither training, sampling nor metrics.

    What is read, checked, fetched, written and synchronised: of both with the start, whose programs come from the cache that
    the first two filled, and of the second alone, from the end of the one before.
    """
    family = {"kind": "otcfm", "net": "tiny", "updates": updates, "batch": 64, "steps": 10}

    def study(generations: int) -> sc.Study:
        source = {"kind": "digits", "form": "image", "n": 1000, "n_test": 200}
        axes = {"regime": [{"kind": "mix", "ratio": 1.0}]}
        return sc.Study(
            source, family, None, [{"kind": "neighbours"}], axes, generations=generations, seeds=1, start="warm"
        )

    with tempfile.TemporaryDirectory() as folder:
        run_study.execute(study(2), folder, layout=LAYOUT)
        start, ends = time.perf_counter(), {}
        run_study.execute(
            study(4), folder, layout=LAYOUT, on_progress=lambda now: ends.setdefault(now.done, time.perf_counter())
        )
        wall = time.perf_counter() - start
        *_, first, second = (segment.seconds for segment in store.Store(Path(folder)).segments if segment.last >= 2)
    one, alone = ends[2.0] - ends[1.0], sum(second[name] for name in PARTS)
    spent = {name: round(first[name] + second[name], 4) for name in PARTS}
    return {
        "what": f"time that is no training, sampling or metric: digits, tiny U-Net, {updates} updates a generation",
        "two_generations_and_start_seconds": round(wall, 3),
        **spent,
        "share": round(1 - sum(spent.values()) / wall, 4),
        "one_generation_seconds": round(one, 3),
        "share_of_one_generation": round(1 - alone / one, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--net", default="torchcfm_32", choices=sorted(SIZES))
    parser.add_argument("--side", type=int, default=32, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--updates", type=int, default=16, help="updates of one measurement")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10, help="Euler steps of a sample")
    parser.add_argument("--repeats", type=int, default=7, help="times that each side is measured, in turns")
    parser.add_argument("--out", help="write the results as JSON")
    given = parser.parse_args()
    if given.quick:
        given.net, given.side, given.batch, given.updates, given.samples, given.repeats = "tiny", 8, 16, 8, 16, 2
    rows = []
    for part in (lambda: against(given), lambda: [overhead(16 if given.quick else 1000)]):
        for each in part():
            print(json.dumps(each), flush=True)
            rows.append(each)
    facts = {
        "machine": {**LAYOUT.record(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {"jax": jax.__version__, "torch": torch.__version__},
        "torch": {"device": torch.cuda.get_device_name() if GPU else "cpu", "threads": torch.get_num_threads()},
    }
    print(json.dumps(facts))
    if given.out:
        Path(given.out).write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
