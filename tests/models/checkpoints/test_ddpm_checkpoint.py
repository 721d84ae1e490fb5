"""The public layout of DDPM's networks in PyTorch, against a network written here from its description with its names."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.ddpm import DDPM
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.checkpoints.ddpm import DDPM as LAYOUT
from selfconsume.models.checkpoints.layout import fill
from selfconsume.models.checkpoints.load import load
from selfconsume.models.nets.layers import embedding, parameters
from selfconsume.models.nets.unet import SIZES, Sizes, UNet

# Channels in multiples of 128: the public network always has 32 groups, ours at least four channels in each.
SMALL = SIZES["ddpm_32"]._replace(multipliers=(1, 2), blocks=1, attention=(4,))


def shapes(sizes: Sizes, side: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the public network's arrays, from its description."""
    found = {}
    width, wide, last = sizes.channels, 4 * sizes.channels, len(sizes.multipliers) - 1

    def layer(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def block(name, inputs, outputs):
        layer(f"{name}.norm1", inputs)
        layer(f"{name}.conv1", outputs, inputs, 3, 3)
        layer(f"{name}.temb_proj", outputs, wide)
        layer(f"{name}.norm2", outputs)
        layer(f"{name}.conv2", outputs, outputs, 3, 3)
        if inputs != outputs:
            layer(f"{name}.nin_shortcut", outputs, inputs, 1, 1)

    def attention(name, channels):
        layer(f"{name}.norm", channels)
        for part in ("q", "k", "v", "proj_out"):
            layer(f"{name}.{part}", channels, channels, 1, 1)

    layer("temb.dense.0", wide, width)
    layer("temb.dense.1", wide, wide)
    layer("conv_in", width, 3, 3, 3)
    now, kept = width, [width]
    for level, multiplier in enumerate(sizes.multipliers):
        for i in range(sizes.blocks):
            block(f"down.{level}.block.{i}", now, multiplier * width)
            now = multiplier * width
            kept.append(now)
            if side >> level in sizes.attention:
                attention(f"down.{level}.attn.{i}", now)
        if level < last:
            layer(f"down.{level}.downsample.conv", now, now, 3, 3)
            kept.append(now)
    block("mid.block_1", now, now)
    attention("mid.attn_1", now)
    block("mid.block_2", now, now)
    for level, multiplier in reversed(list(enumerate(sizes.multipliers))):
        for i in range(sizes.blocks + 1):
            block(f"up.{level}.block.{i}", now + kept.pop(), multiplier * width)
            now = multiplier * width
            if side >> level in sizes.attention:
                attention(f"up.{level}.attn.{i}", now)
        if level:
            layer(f"up.{level}.upsample.conv", now, now, 3, 3)
    layer("norm_out", now)
    layer("conv_out", 3, now, 3, 3)
    return found


def test_every_array_of_the_published_size_has_its_place():
    sizes = SIZES["ddpm_32"]
    net = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (32, 32, 3), sizes))
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes(sizes, 32).items()}
    full = fill(LAYOUT, net, 32, state, "file")
    assert jax.tree.structure(full) == jax.tree.structure(net)
    assert parameters(full) == parameters(net) == sum(array.size for array in state.values())


def test_arrays_come_to_their_places():
    rng = np.random.default_rng(0)
    state = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes(SMALL, 8).items()}
    like = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (8, 8, 3), SMALL))
    net = fill(LAYOUT, like, 8, state, "file")
    for ours, theirs in (
        (net.middle[0], "mid.block_1"),
        (net.middle[1], "mid.block_2"),
        (net.down[0], "down.0.block.0"),
    ):
        for i in (1, 2):
            np.testing.assert_array_equal(getattr(ours, f"norm_{i}").scale, state[f"{theirs}.norm{i}.weight"])
            kernel = state[f"{theirs}.conv{i}.weight"].transpose(2, 3, 1, 0)
            np.testing.assert_array_equal(getattr(ours, f"convolution_{i}").kernel, kernel)
    project = net.middle[0].attention.project
    for weight, bias, part in zip(np.split(project.weight, 3, axis=1), np.split(project.bias, 3), "qkv", strict=True):
        np.testing.assert_array_equal(weight, state[f"mid.attn_1.{part}.weight"][:, :, 0, 0].T)
        np.testing.assert_array_equal(bias, state[f"mid.attn_1.{part}.bias"])
    # Levels are counted from 0 there: what the first layer makes of level t is what ours makes of t + 1.
    t = np.array([0.0, 1.0, 500.0, 999.0])
    angles = t[:, None] * 10_000.0 ** (-np.arange(64) / 63)
    public = np.concatenate([np.sin(angles), np.cos(angles)], axis=1) @ state["temb.dense.0.weight"].T
    own = (
        embedding(jnp.asarray((t + 1) / 1000, jnp.float32), 128, like.frequency, to_end=like.to_end)
        @ net.embed[0].weight
    )
    np.testing.assert_allclose(own, public, atol=0.02)


def test_levels_that_it_was_not_trained_on_are_refused(monkeypatch, tmp_path):
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes(SMALL, 8).items()}
    monkeypatch.setattr(torch_file, "read", lambda path, where: {"ema": state})
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    net = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (8, 8, 3), SMALL))
    like = jax.eval_shape(lambda: DDPM(net="tiny", T=100).init(jax.random.key(0), (8, 8, 3)))
    with pytest.raises(ConfigError, match=r"trained with T = 1000; set family\.T to it \(it is 100\)"):
        load(str(tmp_path / "model.pt"), dataclasses.replace(like, net=net))
    like = jax.eval_shape(lambda: DDPM(net="tiny", T=1000).init(jax.random.key(0), (8, 8, 3)))
    assert load(str(tmp_path / "model.pt"), dataclasses.replace(like, net=net)).T == 1000


def reference(state, sizes, side, torch):
    """The public network's function of images and levels from 0 on, in PyTorch."""
    F = torch.nn.functional
    w = {name: torch.as_tensor(array) for name, array in state.items()}

    def conv(name, x, **options):
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    def norm(name, x):
        return F.group_norm(x, 32, w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-6)

    def linear(name, x):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def block(name, x, e):
        h = conv(f"{name}.conv1", F.silu(norm(f"{name}.norm1", x)), padding=1)
        h = h + linear(f"{name}.temb_proj", F.silu(e))[:, :, None, None]
        h = conv(f"{name}.conv2", F.silu(norm(f"{name}.norm2", h)), padding=1)
        return h + (conv(f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in w else x)

    def attention(name, x):
        if f"{name}.q.weight" not in w:
            return x
        h = norm(f"{name}.norm", x)
        q, k, v = (conv(f"{name}.{part}", h).flatten(2) for part in "qkv")
        weight = torch.softmax(q.transpose(1, 2) @ k * x.shape[1] ** -0.5, dim=2)
        return x + conv(f"{name}.proj_out", (v @ weight.transpose(1, 2)).reshape(x.shape))

    def network(x, t):
        half, levels = sizes.channels // 2, len(sizes.multipliers)
        angles = t[:, None] * torch.exp(torch.arange(half) * -(np.log(10000.0) / (half - 1)))
        e = torch.cat([angles.sin(), angles.cos()], dim=1).float()
        e = linear("temb.dense.1", F.silu(linear("temb.dense.0", e)))
        kept = [conv("conv_in", x, padding=1)]
        for level in range(levels):
            for i in range(sizes.blocks):
                kept.append(attention(f"down.{level}.attn.{i}", block(f"down.{level}.block.{i}", kept[-1], e)))
            if level < levels - 1:
                kept.append(conv(f"down.{level}.downsample.conv", F.pad(kept[-1], (0, 1, 0, 1)), stride=2))
        x = block("mid.block_2", attention("mid.attn_1", block("mid.block_1", kept[-1], e)), e)
        for level in reversed(range(levels)):
            for i in range(sizes.blocks + 1):
                x = block(f"up.{level}.block.{i}", torch.cat([x, kept.pop()], dim=1), e)
                x = attention(f"up.{level}.attn.{i}", x)
            if level:
                x = conv(f"up.{level}.upsample.conv", F.interpolate(x, scale_factor=2, mode="nearest"), padding=1)
        return conv("conv_out", F.silu(norm("norm_out", x)), padding=1)

    return network


@pytest.mark.parametrize("old", [False, True])
def test_outputs_are_those_of_the_public_network(tmp_path, old):
    """Its levels 0 to 999 are 1 to 1000 here. The older format of files is what the public ones have."""
    torch = pytest.importorskip("torch")
    rng, path = np.random.default_rng(0), str(tmp_path / "model.ckpt")
    state = {}
    for name, shape in shapes(SMALL, 8).items():
        size = np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.2
        scales = len(shape) == 1 and name.endswith("weight")
        state[name] = (size * rng.standard_normal(shape) + scales).astype(np.float32)
    tensors = {name: torch.as_tensor(array) for name, array in state.items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=not old)
    like = jax.eval_shape(lambda: DDPM(net="tiny", T=1000).init(jax.random.key(0), (8, 8, 3)))
    net = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (8, 8, 3), SMALL))
    ours = load(path, dataclasses.replace(like, net=net))
    x = rng.standard_normal((4, 8, 8, 3)).astype(np.float32)
    t = np.array([0, 1, 500, 999])
    expected = reference(state, SMALL, 8, torch)(torch.as_tensor(x.transpose(0, 3, 1, 2)), torch.as_tensor(t))
    got = jax.jit(lambda net, x, c: net(x, c))(ours.net, x, ((t + 1) / 1000).astype(np.float32))
    assert np.abs(got).mean() > 0.1
    # Angles of up to 1000 in float32 are known to 6e-5.
    np.testing.assert_allclose(got, expected.numpy().transpose(0, 2, 3, 1), atol=1e-4)
