"""The public layout of torchcfm's networks, against a network written here from its description with its names."""

import dataclasses

import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.ddpm import DDPM
from selfconsume.families.otcfm import OTCFM
from selfconsume.models.checkpoints import load as initial
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.checkpoints.layout import fill
from selfconsume.models.checkpoints.load import load
from selfconsume.models.checkpoints.safe_pickle import UncalledObject
from selfconsume.models.checkpoints.torchcfm import TORCHCFM
from selfconsume.models.nets.layers import parameters
from selfconsume.models.nets.unet import SIZES, Sizes, UNet

# Channels in multiples of 128: the public network always has 32 groups, ours at least four channels in each.
SMALL = SIZES["torchcfm_32"]._replace(multipliers=(1, 2), blocks=1, attention=(4,))


def shapes(sizes: Sizes, side: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the public network's arrays, from its description."""
    found = {}
    width, wide = sizes.channels, 4 * sizes.channels

    def layer(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def block(name, inputs, outputs):
        layer(f"{name}.in_layers.0", inputs)
        layer(f"{name}.in_layers.2", outputs, inputs, 3, 3)
        layer(f"{name}.emb_layers.1", outputs, wide)
        layer(f"{name}.out_layers.0", outputs)
        layer(f"{name}.out_layers.3", outputs, outputs, 3, 3)
        if inputs != outputs:
            layer(f"{name}.skip_connection", outputs, inputs, 1, 1)

    def attention(name, channels):
        layer(f"{name}.norm", channels)
        layer(f"{name}.qkv", 3 * channels, channels, 1)
        layer(f"{name}.proj_out", channels, channels, 1)

    layer("time_embed.0", wide, width)
    layer("time_embed.2", wide, wide)
    layer("input_blocks.0.0", width, 3, 3, 3)
    now, kept, number = width, [width], 1
    for level, multiplier in enumerate(sizes.multipliers):
        for _ in range(sizes.blocks):
            block(f"input_blocks.{number}.0", now, multiplier * width)
            now, number = multiplier * width, number + 1
            kept.append(now)
            if side >> level in sizes.attention:
                attention(f"input_blocks.{number - 1}.1", now)
        if level < len(sizes.multipliers) - 1:
            layer(f"input_blocks.{number}.0.op", now, now, 3, 3)
            number += 1
            kept.append(now)
    block("middle_block.0", now, now)
    attention("middle_block.1", now)
    block("middle_block.2", now, now)
    number = 0
    for level, multiplier in reversed(list(enumerate(sizes.multipliers))):
        for i in range(sizes.blocks + 1):
            block(f"output_blocks.{number}.0", now + kept.pop(), multiplier * width)
            now = multiplier * width
            attends = side >> level in sizes.attention
            if attends:
                attention(f"output_blocks.{number}.1", now)
            if level and i == sizes.blocks:
                layer(f"output_blocks.{number}.{1 + attends}.conv", now, now, 3, 3)
            number += 1
    layer("out.0", now)
    layer("out.2", 3, now, 3, 3)
    return found


def random(sizes: Sizes, side: int) -> dict[str, np.ndarray]:
    """Arrays that keep the size of activations."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes(sizes, side).items():
        size = np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.2
        scales = len(shape) == 1 and name.endswith("weight")
        arrays[name] = (size * rng.standard_normal(shape) + scales).astype(np.float32)
    return arrays


def generator(family, sizes: Sizes, side: int):
    """The shapes of a generator with a network of these sizes."""
    like = jax.eval_shape(lambda: family.init(jax.random.key(0), (side, side, 3)))
    return dataclasses.replace(like, net=jax.eval_shape(lambda: UNet.init(jax.random.key(0), (side, side, 3), sizes)))


def test_every_array_of_the_published_size_has_its_place():
    sizes = SIZES["torchcfm_32"]
    net = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (32, 32, 3), sizes))
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes(sizes, 32).items()}
    full = fill(TORCHCFM, net, 32, state, "file")
    assert jax.tree.structure(full) == jax.tree.structure(net)
    assert parameters(full) == parameters(net) == sum(array.size for array in state.values())


def reference(state, sizes, side, torch):
    """The public network's function of images and times, in PyTorch."""
    F = torch.nn.functional
    w = {name: torch.as_tensor(array) for name, array in state.items()}

    def conv(name, x, **options):
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    def norm(name, x):
        return F.group_norm(x, 32, w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-5)

    def linear(name, x):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def block(name, x, e):
        h = conv(f"{name}.in_layers.2", F.silu(norm(f"{name}.in_layers.0", x)), padding=1)
        h = h + linear(f"{name}.emb_layers.1", F.silu(e))[:, :, None, None]
        h = conv(f"{name}.out_layers.3", F.silu(norm(f"{name}.out_layers.0", h)), padding=1)
        return h + (conv(f"{name}.skip_connection", x) if f"{name}.skip_connection.weight" in w else x)

    def attention(name, x):
        n, c, heads = x.shape[0], x.shape[1], x.shape[1] // sizes.head
        qkv = F.conv1d(norm(f"{name}.norm", x).flatten(2), w[f"{name}.qkv.weight"], w[f"{name}.qkv.bias"])
        q, k, v = qkv.reshape(n * heads, 3 * c // heads, -1).split(c // heads, dim=1)
        weight = torch.einsum("bct,bcs->bts", q, k).div((c // heads) ** 0.5).softmax(dim=-1)
        seen = torch.einsum("bts,bcs->bct", weight, v).reshape(n, c, -1)
        back = F.conv1d(seen, w[f"{name}.proj_out.weight"], w[f"{name}.proj_out.bias"])
        return x + back.reshape(x.shape)

    def layers(name, x, e):
        for i in range(3):
            if f"{name}.{i}.in_layers.0.weight" in w:
                x = block(f"{name}.{i}", x, e)
            elif f"{name}.{i}.qkv.weight" in w:
                x = attention(f"{name}.{i}", x)
            elif f"{name}.{i}.op.weight" in w:
                x = conv(f"{name}.{i}.op", x, stride=2, padding=1)
            elif f"{name}.{i}.conv.weight" in w:
                x = conv(f"{name}.{i}.conv", F.interpolate(x, scale_factor=2, mode="nearest"), padding=1)
            elif f"{name}.{i}.weight" in w:
                x = conv(f"{name}.{i}", x, padding=1)
        return x

    def network(x, t):
        half = sizes.channels // 2
        angles = t[:, None] * torch.exp(-np.log(10000.0) * torch.arange(half) / half)
        e = torch.cat([angles.cos(), angles.sin()], dim=1)
        e = linear("time_embed.2", F.silu(linear("time_embed.0", e)))
        kept = []
        for i in range(len({name.split(".")[1] for name in w if name.startswith("input_blocks")})):
            x = layers(f"input_blocks.{i}", x, e)
            kept.append(x)
        x = layers("middle_block", x, e)
        for i in range(len(kept)):
            x = layers(f"output_blocks.{i}", torch.cat([x, kept.pop()], dim=1), e)
        return conv("out.2", F.silu(norm("out.0", x)), padding=1)

    return network


@pytest.mark.parametrize("prefix", ["", "module."])
def test_outputs_are_those_of_the_public_network(tmp_path, prefix):
    torch = pytest.importorskip("torch")
    state, path = random(SMALL, 8), str(tmp_path / "weights.pt")
    averaged = {prefix + name: torch.as_tensor(array) for name, array in state.items()}
    raw = {name: torch.zeros_like(tensor) for name, tensor in averaged.items()}
    torch.save({"net_model": raw, "ema_model": averaged, "sched": {}, "optim": {"state": {}}, "step": 400000}, path)
    ours = load(path, generator(OTCFM(net="tiny"), SMALL, 8))
    x = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype(np.float32)
    t = np.array([0.0, 0.3, 1.0], np.float32)
    expected = reference(state, SMALL, 8, torch)(torch.as_tensor(x.transpose(0, 3, 1, 2)), torch.as_tensor(t))
    got = jax.jit(lambda net, x, t: net(x, t))(ours.net, x, t)
    assert np.abs(got).mean() > 0.1
    np.testing.assert_allclose(got, expected.numpy().transpose(0, 2, 3, 1), atol=1e-4)


@pytest.fixture
def holding(monkeypatch, tmp_path):
    """The path of a file that is read as a given tree."""

    def holding(tree):
        monkeypatch.setattr(torch_file, "read", lambda path, where: tree)
        (tmp_path / "weights.pt").write_bytes(b"PK\x03\x04")
        return str(tmp_path / "weights.pt")

    return holding


def test_arrays_come_to_their_places(holding):
    state = random(SMALL, 8)
    raw = {name: np.zeros_like(array) for name, array in state.items()}
    net = load(holding({"net_model": raw, "ema_model": state, "step": 4}), generator(OTCFM(net="tiny"), SMALL, 8)).net
    # Cosines first there, sines first here.
    np.testing.assert_array_equal(net.embed[0].weight[:64], state["time_embed.0.weight"][:, 64:].T)
    # Four heads of 64 channels, each with its queries, keys and values there.
    public = state["middle_block.1.qkv.weight"][:, :, 0].reshape(4, 3, 64, 256)
    ours = net.middle[0].attention.project.weight.T.reshape(3, 4, 64, 256)
    np.testing.assert_array_equal(ours, public.swapaxes(0, 1))
    public, ours = state["middle_block.1.qkv.bias"].reshape(4, 3, 64), net.middle[0].attention.project.bias
    np.testing.assert_array_equal(ours.reshape(3, 4, 64), public.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("last", "averaged", "prefix"),
    [("model", "ema", ""), ("state_dict", "model_ema", "module."), ("model", "ema_state_dict", "")],
)
def test_the_averaged_weights_are_taken_where_both_are_there(holding, last, averaged, prefix):
    """Also from a network that was trained on several devices, whose names have a prefix."""
    state = random(SMALL, 8)
    tree = {last: {name: np.zeros_like(array) for name, array in state.items()}}
    tree[averaged] = {prefix + name: array for name, array in state.items()}
    net = load(holding(tree), generator(OTCFM(net="tiny"), SMALL, 8)).net
    np.testing.assert_array_equal(net.first.kernel, state["input_blocks.0.0.weight"].transpose(2, 3, 1, 0))


def test_a_generator_of_this_package_may_begin_with_any_byte(monkeypatch, tmp_path):
    """Its header's length comes first: one file in 256 begins like a pickle."""
    (tmp_path / "own.safetensors").write_bytes(b"\x80" + bytes(7) + b'{"net": 0}')
    monkeypatch.setattr(initial, "load_generator", lambda path, like: ("own", like))
    assert load(str(tmp_path / "own.safetensors"), None) == ("own", None)


def test_what_fits_no_family_or_net_is_refused(holding):
    path = holding({"ema_model": random(SMALL, 8)})
    words = "which the family 'otcfm' with net = 'torchcfm_32' continues"
    with pytest.raises(ConfigError, match=words):
        load(path, generator(DDPM(net="tiny"), SMALL, 8))
    with pytest.raises(ConfigError, match=words):
        load(path, jax.eval_shape(lambda: OTCFM().init(jax.random.key(0), (2,))))
    for field, value in {"epsilon": 1e-6, "factor": 0.5, "frequency": 2.0, "to_end": True, "corner": True}.items():
        with pytest.raises(ConfigError, match=f"a network of another {field}; set family.net = 'torchcfm_32'"):
            load(path, generator(OTCFM(net="tiny"), SMALL._replace(**{field: value}), 8))
    holding({"weights": {"layer.weight": np.zeros(3)}, "step": 3})
    with pytest.raises(
        ConfigError,
        match="no network in a layout that is known here: found a dictionary of 'weights', 'step'; known are",
    ):
        load(path, generator(OTCFM(net="tiny"), SMALL, 8))
    holding({"state_dict": {"layer.weight": np.zeros(3)}})
    with pytest.raises(ConfigError, match=r"found a dictionary of 'state_dict', with arrays such as 'layer\.weight'"):
        load(path, generator(OTCFM(net="tiny"), SMALL, 8))
    linear = UncalledObject("torch.nn.Linear")
    linear.state = {"_parameters": {"weight": np.zeros((2, 2)), "bias": np.zeros(2)}}
    holding(linear)
    with pytest.raises(ConfigError, match="found a pickled object, with arrays such as 'weight', 'bias'"):
        load(path, generator(OTCFM(net="tiny"), SMALL, 8))
