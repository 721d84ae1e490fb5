"""Checkpoint layout of DDPM (Ho et al.) in its PyTorch ports: ``pytorch_diffusion``, and the code of DDIM."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from selfconsume.models.checkpoints.layout import CheckpointLayout


def _shift_level(weight: np.ndarray) -> np.ndarray:
    """Noise levels start at 0 there and at 1 here: sine and cosine of each frequency are rotated back by one level."""
    half = weight.shape[1] // 2
    angle = 10_000.0 ** (-np.arange(half) / max(half - 1, 1))
    sine, cosine = weight[:, :half], weight[:, half:]
    rotated = (sine * np.cos(angle) + cosine * np.sin(angle), cosine * np.cos(angle) - sine * np.sin(angle))
    return np.concatenate(rotated, axis=1).astype(np.float32)


DDPM = CheckpointLayout(
    title="a network of DDPM, ported to PyTorch",
    signature="temb.dense.0.weight",
    family="ddpm",
    mark="T",
    nets=("ddpm_32",),
    style=MappingProxyType({"factor": 1.0, "frequency": 1000.0, "to_end": True, "epsilon": 1e-6, "corner": True}),
    embed=("temb.dense.0", "temb.dense.1"),
    first="conv_in",
    down=("down.{level}.block.{index}", "down.{level}.attn.{index}"),
    halve="down.{above}.downsample.conv",
    middle=(("mid.block_1", "mid.attn_1"), ("mid.block_2", "")),
    up=("up.{level}.block.{index}", "up.{level}.attn.{index}"),
    double="up.{below}.upsample.conv",
    norm="norm_out",
    last="conv_out",
    parts=("norm1", "conv1", "temb_proj", "norm2", "conv2", "nin_shortcut"),
    attention_norm="norm",
    projections=("q", "k", "v"),
    back="proj_out",
    order=("part", "head", "channel"),
    frequencies=_shift_level,
    settings=MappingProxyType({"T": 1000}),
)
