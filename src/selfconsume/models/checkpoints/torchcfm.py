"""Checkpoint layout of torchcfm (Tong et al.): the U-Net of guided diffusion, trained on CIFAR-10, in ``ema_model``."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from selfconsume.models.checkpoints.layout import CheckpointLayout


def _sines_first(weight: np.ndarray) -> np.ndarray:
    """From an embedding of cosines first to one of sines first."""
    return np.roll(weight, weight.shape[1] // 2, axis=1)


TORCHCFM = CheckpointLayout(
    title="a network of torchcfm",
    signature="input_blocks.0.0.weight",
    family="otcfm",
    mark="integrator",
    nets=("torchcfm_32",),
    style=MappingProxyType({"factor": 1.0, "frequency": 1.0, "to_end": False, "epsilon": 1e-5, "corner": False}),
    embed=("time_embed.0", "time_embed.2"),
    first="input_blocks.0.0",
    down=("input_blocks.{order}.0", "input_blocks.{order}.1"),
    halve="input_blocks.{order}.0.op",
    middle=(("middle_block.0", "middle_block.1"), ("middle_block.2", "")),
    up=("output_blocks.{count}.0", "output_blocks.{count}.1"),
    double="output_blocks.{last}.{pooled}.conv",
    norm="out.0",
    last="out.2",
    parts=("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection"),
    attention_norm="norm",
    projections=("qkv",),
    back="proj_out",
    order=("head", "part", "channel"),
    frequencies=_sines_first,
)
