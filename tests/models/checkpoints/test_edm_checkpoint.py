"""The public layout of EDM's networks, against a network written here from the papers' description with its names."""

import dataclasses
import pickle
import sys
import types

import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.families.edm import EDM
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.checkpoints.edm import EDM as LAYOUT
from selfconsume.models.checkpoints.layout import fill
from selfconsume.models.checkpoints.load import load
from selfconsume.models.checkpoints.safe_pickle import UncalledObject
from selfconsume.models.nets.layers import parameters
from selfconsume.models.nets.unet import SIZES, Sizes, UNet

SMALL = SIZES["edm_32"]._replace(channels=16, multipliers=(1, 2), blocks=2, attention=(4,))


def shapes(sizes: Sizes, side: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the public network's arrays, from its description."""
    found = {}
    width, wide = sizes.channels, 4 * sizes.channels

    def layer(name, *shape):
        found[f"model.{name}.weight"], found[f"model.{name}.bias"] = shape, shape[:1]

    def block(name, inputs, outputs, attends=False, changes=False):
        layer(f"{name}.norm0", inputs)
        layer(f"{name}.conv0", outputs, inputs, 3, 3)
        layer(f"{name}.affine", outputs, wide)
        layer(f"{name}.norm1", outputs)
        layer(f"{name}.conv1", outputs, outputs, 3, 3)
        if changes:
            found[f"model.{name}.conv0.resample_filter"] = found[f"model.{name}.skip.resample_filter"] = (1, 1, 2, 2)
        if inputs != outputs or changes:
            layer(f"{name}.skip", outputs, inputs, 1, 1)
        if attends:
            layer(f"{name}.norm2", outputs)
            layer(f"{name}.qkv", 3 * outputs, outputs, 1, 1)
            layer(f"{name}.proj", outputs, outputs, 1, 1)

    layer("map_layer0", wide, width)
    layer("map_layer1", wide, wide)
    found["model.map_augment.weight"] = (width, 9)
    layer(f"enc.{side}x{side}_conv", width, 3, 3, 3)
    now, kept = width, [width]
    for level, multiplier in enumerate(sizes.multipliers):
        here = f"{side >> level}x{side >> level}"
        if level:
            block(f"enc.{here}_down", now, now, changes=True)
            kept.append(now)
        for i in range(sizes.blocks):
            block(f"enc.{here}_block{i}", now, multiplier * width, side >> level in sizes.attention)
            now = multiplier * width
            kept.append(now)
    block(f"dec.{here}_in0", now, now, True)
    block(f"dec.{here}_in1", now, now)
    for level, multiplier in reversed(list(enumerate(sizes.multipliers))):
        here = f"{side >> level}x{side >> level}"
        if level < len(sizes.multipliers) - 1:
            block(f"dec.{here}_up", now, now, changes=True)
        for i in range(sizes.blocks + 1):
            attends = i == sizes.blocks and side >> level in sizes.attention
            block(f"dec.{here}_block{i}", now + kept.pop(), multiplier * width, attends)
            now = multiplier * width
    layer(f"dec.{side}x{side}_aux_norm", now)
    layer(f"dec.{side}x{side}_aux_conv", 3, now, 3, 3)
    return found


def random(sizes: Sizes, side: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays that keep the size of activations."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes(sizes, side).items():
        size = np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.2
        arrays[name] = (size * rng.standard_normal(shape) + ("norm" in name and "weight" in name)).astype(np.float32)
        if name.endswith("resample_filter"):
            arrays[name] = np.full(shape, 0.25, np.float32)
    return arrays


def generator(sizes: Sizes, side: int, **fields):
    """The shapes of a generator with a network of these sizes."""
    like = jax.eval_shape(lambda: EDM(net="tiny", **fields).init(jax.random.key(0), (side, side, 3)))
    return dataclasses.replace(like, net=jax.eval_shape(lambda: UNet.init(jax.random.key(0), (side, side, 3), sizes)))


@pytest.mark.parametrize(("name", "side"), [("edm_32", 32), ("edm_64", 64)])
def test_every_array_of_the_published_sizes_has_its_place(name, side):
    net = jax.eval_shape(lambda: UNet.init(jax.random.key(0), (side, side, 3), SIZES[name]))
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes(SIZES[name], side).items()}
    full = fill(LAYOUT, net, side, state, "file")
    assert jax.tree.structure(full) == jax.tree.structure(net)
    assert parameters(full) == parameters(net)
    unused = [name for name in state if "filter" in name or "augment" in name]
    assert parameters(full) == sum(array.size for name, array in state.items() if name not in unused)


class Persisted:
    """Pickled as a helper that makes an object from the text of its class, as the public files are."""

    def __init__(self, name, **state):
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": "raise SystemExit",
            "class_name": name,
            "state": state,
        }

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@pytest.fixture
def persistence(monkeypatch):
    def _reconstruct_persistent_obj(meta):
        raise AssertionError("this must never be called")

    module = types.ModuleType("torch_utils.persistence")
    _reconstruct_persistent_obj.__module__ = module.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)


def network_pickle(path, state, torch, name="EDMPrecond", **facts):
    """A file like the public ones: modules in modules, tensors as parameters."""
    tree = Persisted(name, _parameters={}, _buffers={}, _modules={}, label_dim=0, sigma_data=0.5, **facts)
    for full, array in state.items():
        *place, leaf = full.split(".")
        here = tree.meta["state"]
        for part in place:
            here = here["_modules"].setdefault(part, Persisted("Part", _parameters={}, _buffers={}, _modules={}))
            here = here.meta["state"]
        kind = "_buffers" if "filter" in leaf else "_parameters"
        tensor = torch.as_tensor(array)
        here[kind][leaf] = tensor if "filter" in leaf else torch.nn.Parameter(tensor)
    with open(path, "wb") as file:
        pickle.dump({"ema": tree, "loss_fn": Persisted("EDMLoss", P_mean=-1.2), "dataset_kwargs": {"path": "x"}}, file)


def reference(state, sizes, side, torch):
    """The public network's function of images and noise, in PyTorch."""
    F = torch.nn.functional
    w = {name: torch.as_tensor(array) for name, array in state.items()}

    def conv(name, x):
        weight = w[f"model.{name}.weight"]
        return F.conv2d(x, weight, w[f"model.{name}.bias"], padding=weight.shape[-1] // 2)

    def linear(name, x):
        return F.linear(x, w[f"model.{name}.weight"], w[f"model.{name}.bias"])

    def norm(name, x):
        groups = min(32, x.shape[1] // 4)
        return F.group_norm(x, groups, w[f"model.{name}.weight"], w[f"model.{name}.bias"], eps=1e-6)

    def block(name, x, e):
        def changed(x):
            if name.endswith("_down"):
                return F.avg_pool2d(x, 2)
            return F.interpolate(x, scale_factor=2, mode="nearest") if name.endswith("_up") else x

        h = conv(f"{name}.conv0", changed(F.silu(norm(f"{name}.norm0", x))))
        h = F.silu(norm(f"{name}.norm1", h + linear(f"{name}.affine", e)[:, :, None, None]))
        h = conv(f"{name}.conv1", h)
        x = changed(x)
        x = (conv(f"{name}.skip", x) if f"model.{name}.skip.weight" in w else x) + h
        x = x * 0.5**0.5
        if f"model.{name}.qkv.weight" in w:
            n, c = x.shape[:2]
            q, k, v = conv(f"{name}.qkv", norm(f"{name}.norm2", x)).reshape(n, c, 3, -1).unbind(2)
            attention = torch.einsum("ncq,nck->nqk", q, k / c**0.5).softmax(dim=2)
            seen = torch.einsum("nqk,nck->ncq", attention, v)
            x = (x + conv(f"{name}.proj", seen.reshape(x.shape))) * 0.5**0.5
        return x

    def network(x, noise):
        half = sizes.channels // 2
        angles = noise[:, None] * (1 / 10000) ** (torch.arange(half) / (half - 1))
        e = torch.cat([angles.sin(), angles.cos()], dim=1)
        e = F.silu(linear("map_layer1", F.silu(linear("map_layer0", e))))
        x = conv(f"enc.{side}x{side}_conv", x)
        kept = [x]
        for level in range(len(sizes.multipliers)):
            here = f"{side >> level}x{side >> level}"
            for name in ["down"] * (level > 0) + [f"block{i}" for i in range(sizes.blocks)]:
                x = block(f"enc.{here}_{name}", x, e)
                kept.append(x)
        for name in ("in0", "in1"):
            x = block(f"dec.{here}_{name}", x, e)
        for level in reversed(range(len(sizes.multipliers))):
            here = f"{side >> level}x{side >> level}"
            if level < len(sizes.multipliers) - 1:
                x = block(f"dec.{here}_up", x, e)
            for i in range(sizes.blocks + 1):
                x = block(f"dec.{here}_block{i}", torch.cat([x, kept.pop()], dim=1), e)
        return conv(f"dec.{side}x{side}_aux_conv", F.silu(norm(f"dec.{side}x{side}_aux_norm", x)))

    return network


def test_outputs_are_those_of_the_public_network(tmp_path, persistence):
    torch = pytest.importorskip("torch")
    state = random(SMALL, 8)
    network_pickle(tmp_path / "net.pkl", state, torch)
    ours = load(str(tmp_path / "net.pkl"), generator(SMALL, 8), 0.5)
    assert ours.temperature == 0.5
    x = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype(np.float32)
    noise = np.array([-1.2, 0.1, 1.05], np.float32)
    expected = reference(state, SMALL, 8, torch)(torch.as_tensor(x.transpose(0, 3, 1, 2)), torch.as_tensor(noise))
    got = jax.jit(lambda net, x, c: net(x, c))(ours.net, x, noise)
    assert np.abs(got).mean() > 0.1
    np.testing.assert_allclose(got, expected.numpy().transpose(0, 2, 3, 1), atol=1e-4)


def nodes(state, name="EDMPrecond", **facts):
    """What such a file is read as."""

    def made(name, **inside):
        meta = {"class_name": name, "state": {"_parameters": {}, "_buffers": {}, "_modules": {}, **inside}}
        return UncalledObject("torch_utils.persistence._reconstruct_persistent_obj", (meta,))

    tree = made(name, label_dim=0, sigma_data=0.5, **facts)
    for full, array in state.items():
        *place, leaf = full.split(".")
        here = tree.arguments[0]["state"]
        for part in place:
            here = here["_modules"].setdefault(part, made("Part")).arguments[0]["state"]
        here["_buffers" if "filter" in leaf else "_parameters"][leaf] = array
    return {"ema": tree, "loss_fn": UncalledObject("EDMLoss")}


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    """A generator from a file that is read as these nodes."""

    def loaded(like, state, **facts):
        monkeypatch.setattr(torch_file, "read", lambda path, where: nodes(state, **facts))
        (tmp_path / "net.pkl").write_bytes(b"\x80\x02")
        return load(str(tmp_path / "net.pkl"), like, 0.5)

    return loaded


def test_arrays_come_to_their_places(loaded):
    state = random(SMALL, 8)
    ours = loaded(generator(SMALL, 8), state)
    assert ours.temperature == 0.5 and ours.scaling.scale == 127.5
    first = state["model.enc.8x8_conv.weight"]
    np.testing.assert_array_equal(ours.net.first.kernel[0, 2, 1], first[:, 1, 0, 2])
    public = state["model.dec.4x4_in0.qkv.weight"][:, :, 0, 0]
    for part in range(3):
        np.testing.assert_array_equal(
            ours.net.middle[0].attention.project.weight[:, 32 * part : 32 * (part + 1)], public[part::3].T
        )
    # Without a place for what it was told of augmentations, that is left out; with one, it is taken.
    shape = (8, 8, 3)
    told = jax.eval_shape(lambda: UNet.init(jax.random.key(0), shape, SMALL, labels=9))
    ours = loaded(dataclasses.replace(generator(SMALL, 8), net=told), state)
    np.testing.assert_array_equal(ours.net.augmented, state["model.map_augment.weight"].T)


def test_networks_that_are_not_the_family_s_are_refused(loaded):
    state, like = random(SMALL, 8), generator(SMALL, 8)

    def refused(words, state, like=like, **facts):
        with pytest.raises(ConfigError, match=words):
            loaded(like, state, **facts)

    refused("has the preconditioning VPPrecond", state, name="VPPrecond")
    refused("is conditioned on classes", state | {"model.map_label.weight": np.zeros((16, 10), np.float32)})
    refused("set family.sigma_data to it", state, generator(SMALL, 8, sigma_data=1.0))
    filters = {name: np.ones((1, 1, 4, 4), np.float32) / 16 for name in state if name.endswith("filter")}
    refused("resamples with a filter of 16 numbers", state | filters)
    refused("has no array model.enc.8x8_block1.norm0.weight", {k: v for k, v in state.items() if "8x8_block1" not in k})
    refused(
        "1 arrays that family.net has not, such as 'model.map_noise",
        state | {"model.map_noise.freqs": filters.popitem()[1]},
    )
    refused("is a network of another factor", state, generator(SMALL._replace(factor=1.0), 8))
    refused(r"has model.map_layer0.weight of shape \(64, 16\)", state, generator(SMALL._replace(channels=32), 8))


def test_modules_that_hold_themselves_and_names_that_are_none_end_in_words(monkeypatch, tmp_path):
    tree = nodes(random(SMALL, 8))
    tree["ema"].arguments[0]["state"]["sigma_data"] = -(10**400)
    network = tree["ema"].arguments[0]["state"]["_modules"]["model"]
    inside = network.arguments[0]["state"]
    inside["_modules"] |= {"again": network, 10**5000: network}
    inside["_parameters"] |= {10**5000: np.zeros(2, np.float32)}
    monkeypatch.setattr(torch_file, "read", lambda path, where: tree)
    (tmp_path / "net.pkl").write_bytes(b"\x80\x02")
    assert load(str(tmp_path / "net.pkl"), generator(SMALL, 8), 0.5).temperature == 0.5
