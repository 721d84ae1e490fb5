import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from selfconsume.models.nets import inception
from selfconsume.models.nets.inception import NETWORK, apply_block, features, fold, resize, units, untrained

BLOCKS = {block.name: block for block in NETWORK}


def state(rng):
    """Arrays in the layout of the public files."""
    arrays = {}
    for name, unit, inputs in units():
        size = (2 / (inputs * math.prod(unit.kernel))) ** 0.5
        arrays[f"{name}.conv.weight"] = size * rng.standard_normal((unit.channels, inputs, *unit.kernel), np.float32)
        for part, low, high in (("weight", 0.5, 1.5), ("bias", -0.3, 0.3), ("running_mean", -0.3, 0.3)):
            arrays[f"{name}.bn.{part}"] = rng.uniform(low, high, unit.channels).astype(np.float32)
        arrays[f"{name}.bn.running_var"] = rng.uniform(0.5, 1.5, unit.channels).astype(np.float32)
        arrays[f"{name}.bn.num_batches_tracked"] = np.array(7)
    return arrays


@pytest.fixture(scope="module")
def arrays():
    return state(np.random.default_rng(0))


@pytest.fixture(scope="module")
def weights(arrays):
    return fold(arrays)


def windows(x, kernel, stride, border, fill):
    """``(n, h, w, c, *kernel)`` of an image with a border of ``fill``."""
    x = np.pad(x, ((0, 0), (border[0],) * 2, (border[1],) * 2, (0, 0)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, kernel, (1, 2))[:, ::stride, ::stride]


class Plain:
    """The network's parts one by one in NumPy: convolution, then normalisation, from the arrays as they are in the file."""

    def __init__(self, arrays, block):
        self.arrays, self.block = arrays, block

    def unit(self, x, name, border=(0, 0), stride=1):
        whole = f"{self.block}.{name}" if self.block else name
        a = {part: self.arrays[f"{whole}.{part}"].astype(float) for part in ("conv.weight", "bn.weight")}
        a |= {part: self.arrays[f"{whole}.bn.{part}"] for part in ("bias", "running_mean", "running_var")}
        seen = windows(x, a["conv.weight"].shape[2:], stride, border, 0.0)
        y = np.einsum("nhwcij,ocij->nhwo", seen, a["conv.weight"], optimize=True)
        y = (y - a["running_mean"]) / np.sqrt(a["running_var"] + 0.001) * a["bn.weight"] + a["bias"]
        return np.maximum(y, 0)

    def units(self, x, *steps):
        for name, *border in steps:
            x = self.unit(x, name, *border)
        return x

    def average(self, x):
        return np.nanmean(windows(x, (3, 3), 1, (1, 1), np.nan), axis=(4, 5))

    def maximum(self, x, stride=1, border=(1, 1)):
        return windows(x, (3, 3), stride, border, -np.inf).max(axis=(4, 5))

    def first(self, x):
        return [
            self.unit(x, "branch1x1"),
            self.units(x, ("branch5x5_1",), ("branch5x5_2", (2, 2))),
            self.units(x, ("branch3x3dbl_1",), ("branch3x3dbl_2", (1, 1)), ("branch3x3dbl_3", (1, 1))),
            self.unit(self.average(x), "branch_pool"),
        ]

    def smaller(self, x):
        return [
            self.unit(x, "branch3x3", stride=2),
            self.units(x, ("branch3x3dbl_1",), ("branch3x3dbl_2", (1, 1)), ("branch3x3dbl_3", (0, 0), 2)),
            self.maximum(x, 2, (0, 0)),
        ]

    def middle(self, x):
        row, column = (0, 3), (3, 0)
        double = [(f"branch7x7dbl_{i}", border) for i, border in enumerate([column, row, column, row], 2)]
        return [
            self.unit(x, "branch1x1"),
            self.units(x, ("branch7x7_1",), ("branch7x7_2", row), ("branch7x7_3", column)),
            self.units(x, ("branch7x7dbl_1",), *double),
            self.unit(self.average(x), "branch_pool"),
        ]

    def smallest(self, x):
        return [
            self.units(x, ("branch3x3_1",), ("branch3x3_2", (0, 0), 2)),
            self.units(
                x,
                ("branch7x7x3_1",),
                ("branch7x7x3_2", (0, 3)),
                ("branch7x7x3_3", (3, 0)),
                ("branch7x7x3_4", (0, 0), 2),
            ),
            self.maximum(x, 2, (0, 0)),
        ]

    def last(self, x):
        side = self.unit(x, "branch3x3_1")
        double = self.units(x, ("branch3x3dbl_1",), ("branch3x3dbl_2", (1, 1)))
        pooled = self.average(x) if self.block == "Mixed_7b" else self.maximum(x)
        return [
            self.unit(x, "branch1x1"),
            self.unit(side, "branch3x3_2a", (0, 1)),
            self.unit(side, "branch3x3_2b", (1, 0)),
            self.unit(double, "branch3x3dbl_3a", (0, 1)),
            self.unit(double, "branch3x3dbl_3b", (1, 0)),
            self.unit(pooled, "branch_pool"),
        ]


@pytest.mark.parametrize(
    ("name", "like", "channels"),
    [
        ("Mixed_5b", "first", 192),
        ("Mixed_6a", "smaller", 288),
        ("Mixed_6c", "middle", 768),
        ("Mixed_7a", "smallest", 768),
        ("Mixed_7b", "last", 1280),
        ("Mixed_7c", "last", 2048),
    ],
)
def test_blocks_agree_with_numpy(arrays, weights, name, like, channels):
    x = np.random.default_rng(1).standard_normal((2, 5, 6, channels))
    own = {key: value for key, value in weights.items() if key.startswith(name)}
    got = jax.jit(lambda own, x: apply_block(BLOCKS[name], own, x))(own, jnp.asarray(x, jnp.float32))
    expected = np.concatenate(getattr(Plain(arrays, name), like)(x), axis=-1)
    # Sums of up to 20,000 float32 products of either sign.
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_the_layers_before_the_blocks_and_the_mean_behind_them_agree_with_numpy(arrays, weights, monkeypatch):
    monkeypatch.setattr(inception, "NETWORK", NETWORK[:1])
    x = np.random.default_rng(1).uniform(-1, 1, (2, 35, 37, 3))
    got = jax.jit(features)({name: weights[name] for name, *_ in units()}, jnp.asarray(x, jnp.float32))
    plain = Plain(arrays, "")
    h = plain.units(x, ("Conv2d_1a_3x3", (0, 0), 2), ("Conv2d_2a_3x3",), ("Conv2d_2b_3x3", (1, 1)))
    h = plain.units(plain.maximum(h, 2, (0, 0)), ("Conv2d_3b_1x1",), ("Conv2d_4a_3x3",))
    np.testing.assert_allclose(got, plain.maximum(h, 2, (0, 0)).mean(axis=(1, 2)), atol=1e-4)


def test_sizes_are_the_published_ones(weights):
    """21.8 million numbers up to the pooled features, two a channel for normalisation counted in."""
    kernels = sum(math.prod(unit.kernel) * inputs * unit.channels for _, unit, inputs in units())
    channels = sum(unit.channels for _, unit, _ in units())
    assert kernels + 2 * channels == 21_785_568
    assert len(list(units())) == 94
    x = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
    shapes = jax.eval_shape(
        features, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), weights), x
    )
    assert shapes.shape == (2, 2048) and shapes.dtype == jnp.float32


def test_weights_that_do_not_fit_are_named(arrays):
    with pytest.raises(ValueError, match=r"expected Conv2d_1a_3x3\.conv\.weight of shape .*, found no such array"):
        fold({})
    name = "Mixed_6b.branch1x1.bn.bias"
    with pytest.raises(ValueError, match=rf"expected {name} of shape \(192,\), found shape \(3,\)"):
        fold(arrays | {name: np.zeros(3)})


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shape", [(8, 5), (40, 33)])
def test_resizing_is_linear_interpolation(centred, shape):
    x = np.random.default_rng(0).uniform(0, 255, (2, *shape, 3)).astype(np.float32)
    half = 0.5 if centred else 0.0
    places = [np.maximum((np.arange(31) + half) * size / 31 - half, 0) for size in shape]
    grid = np.stack(np.meshgrid(*places, indexing="ij"))
    expected = np.stack(
        [[map_coordinates(image[..., c], grid, order=1, mode="nearest") for c in range(3)] for image in x]
    )
    np.testing.assert_allclose(resize(jnp.asarray(x), 31, centred=centred), expected.transpose(0, 2, 3, 1), atol=1e-3)


def test_untrained_weights_are_those_of_their_seed_and_keep_sizes(monkeypatch):
    monkeypatch.setattr(inception, "NETWORK", NETWORK[:1])
    first, again, other = (untrained(seed)["Conv2d_4a_3x3"]["kernel"] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    np.testing.assert_allclose(first.var() * first[..., 0].size, 2.0, rtol=0.05)


@pytest.mark.slow
def test_features_are_those_of_a_public_implementation(arrays, tmp_path):
    """On random weights in a file of PyTorch; images of 299 pixels, and smaller ones that both resize."""
    torch = pytest.importorskip("torch")
    public = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    from selfconsume.models.checkpoints.torch_file import read

    ends = {"fc.weight": np.zeros((1008, 2048), np.float32), "fc.bias": np.zeros(1008, np.float32)}
    path = tmp_path / "weights.pth"
    torch.save({name: torch.as_tensor(array) for name, array in (arrays | ends).items()}, path)
    network = public.FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    weights = fold(read(path, "extractor.path"))
    for side in (inception.SIDE, 32):
        x = np.random.default_rng(2).integers(0, 256, (2, side, side, 3), np.uint8)
        with torch.no_grad():
            (expected,) = network(torch.as_tensor(x.transpose(0, 3, 1, 2)))
        near = resize(jnp.asarray(x, jnp.float32), inception.SIDE, centred=False)
        got = jax.jit(features)(weights, (near - 128) / 128)
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-4 * expected.abs().max().item())
