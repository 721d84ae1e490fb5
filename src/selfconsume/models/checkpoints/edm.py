"""Checkpoint layout of EDM (Karras et al.): the DDPM++ network in their network pickles."""

from __future__ import annotations

from types import MappingProxyType

from selfconsume.models.checkpoints.layout import CheckpointLayout

EDM = CheckpointLayout(
    title="a network of EDM, DDPM++",
    signature="model.map_layer0.weight",
    family="edm",
    mark="sigma_data",
    nets=("edm_32", "edm_64"),
    style=MappingProxyType({"factor": 0.5**0.5, "frequency": 1.0, "to_end": True, "epsilon": 1e-6, "corner": None}),
    embed=("model.map_layer0", "model.map_layer1"),
    first="model.enc.{side}x{side}_conv",
    down=("model.enc.{side}x{side}_block{index}", "model.enc.{side}x{side}_block{index}"),
    halve="model.enc.{side}x{side}_down",
    middle=(
        ("model.dec.{side}x{side}_in0", "model.dec.{side}x{side}_in0"),
        ("model.dec.{side}x{side}_in1", "model.dec.{side}x{side}_in1"),
    ),
    up=("model.dec.{side}x{side}_block{index}", "model.dec.{side}x{side}_block{index}"),
    double="model.dec.{side}x{side}_up",
    norm="model.dec.{side}x{side}_aux_norm",
    last="model.dec.{side}x{side}_aux_conv",
    parts=("norm0", "conv0", "affine", "norm1", "conv1", "skip"),
    attention_norm="norm2",
    projections=("qkv",),
    back="proj",
    order=("head", "channel", "part"),
    augmented="model.map_augment.weight",
    # Resampling filters are constants, checked by `load`. The augmentation layer has no bias: at labels 0 it adds nothing.
    unused=("model.map_augment.", ".resample_filter"),
)
