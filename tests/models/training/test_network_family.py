"""Diffusion and flow matching on images: what the three families share there."""

import dataclasses
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.families.ddpm import DDPM
from selfconsume.families.edm import EDM
from selfconsume.families.flow import NormalizingFlow
from selfconsume.families.otcfm import OTCFM
from selfconsume.loop import generation
from selfconsume.loop.keys import keys_of
from selfconsume.metrics.log_likelihood import LogLikelihood
from selfconsume.models.nets.mlp import MLP
from selfconsume.models.nets.unet import SIZES, Sizes, UNet
from selfconsume.models.training import samplers
from selfconsume.models.training.batched_sampling import SAMPLE_BATCH, in_batches
from selfconsume.models.training.network_family import augment_minibatch
from selfconsume.results import store
from selfconsume.sources.digits import Digits
from selfconsume.study.study import Study
from selfconsume.types import Density

DIGITS = Digits(n=24, n_test=20, form="image")
FAMILIES = [
    EDM(updates=6, batch=8, steps=2, random_flip=True),
    DDPM(updates=6, batch=8, T=21, steps=3, dropout=0.2, augment=0.5),
    OTCFM(updates=6, batch=8, pairing_block=4, steps=2),
]
ids = {"argvalues": FAMILIES, "ids": lambda family: type(family).__name__}


@pytest.fixture
def least(monkeypatch):
    """A network with one level: programs of this module compile in seconds."""
    monkeypatch.setitem(SIZES, "tiny", Sizes(4, (1,), 1, ()))


@pytest.mark.parametrize("family", **ids)
def test_a_fit_to_images_samples_bytes(family, least):
    x = DIGITS.train(jax.random.key(0))
    family.check(DIGITS)

    @jax.jit
    def begin(x):
        return family.begin(jax.random.key(0), x, jnp.ones(24), None)

    @jax.jit
    def part(state):
        return family.advance(state, 3)

    begun = begin(x)
    assert begun.data.x.dtype == jnp.uint8
    half = part(begun)
    state = part(half)
    assert jnp.isfinite(state.loss)
    assert any(
        (a != b).any()
        for a, b in zip(jax.tree.leaves(half.generator.net), jax.tree.leaves(state.generator.net), strict=True)
    )
    y = np.asarray(jax.jit(lambda generator: generator.sample(jax.random.key(1), 5))(state.generator))
    assert y.shape == (5, 8, 8, 1) and y.dtype == np.uint8
    # A barely trained network in few steps: noise around the middle of the range, cut at its ends.
    assert y.min() < 64 < 192 < y.max()


@pytest.mark.parametrize("family", **ids)
def test_the_structure_is_known_before_a_fit(family):
    init = jax.eval_shape(lambda: family.init(jax.random.key(0), (8, 8, 1)))
    assert isinstance(init.net, UNet)

    def fit():
        x = DIGITS.train(jax.random.key(0))
        return family.advance(family.begin(jax.random.key(0), x, jnp.ones(24), None), 6).generator

    fitted = jax.eval_shape(fit)
    assert jax.tree.structure(init) == jax.tree.structure(fitted)
    assert jax.tree.map(lambda leaf: leaf.shape, init) == jax.tree.map(lambda leaf: leaf.shape, fitted)


def test_networks_by_name():
    assert isinstance(EDM().init(jax.random.key(0), (3,)).net, MLP)
    bare = jax.eval_shape(lambda: EDM(net="edm_32", compute="bfloat16").init(jax.random.key(0), (32, 32, 3))).net
    assert bare.compute == "bfloat16" and bare.first.kernel.shape == (3, 3, 3, 128)


def test_noise_levels_are_those_of_images_in_plus_minus_one():
    """EDM takes vectors to sigma_data, images not: their deviation is about 0.5 by itself."""
    family = EDM(P_mean=-20.0, P_std=0.0)
    z = jnp.linspace(-1, 1, 64).reshape(1, 8, 8, 1)
    prepared = family.prepare(jax.random.key(0), None, z)
    # Without noise the network's input is c_in x, with c_in = 1 / sigma_data.
    np.testing.assert_allclose(prepared.x, z / 0.5, atol=1e-5)
    vector = family.prepare(jax.random.key(0), None, z.reshape(1, 64))
    np.testing.assert_allclose(vector.x, z.reshape(1, 64), atol=1e-5)


def test_pairing_takes_images_as_vectors(least):
    z = jax.random.normal(jax.random.key(2), (64, 4, 4, 1))

    def prepared(shape, pairing):
        family = OTCFM(batch=64, pairing=pairing)
        return jax.jit(lambda z: family.prepare(jax.random.key(1), None, z))(z.reshape(shape))

    images, vectors = prepared((64, 4, 4, 1), "exact"), prepared((64, 16), "exact")
    np.testing.assert_allclose(images.target.reshape(64, 16), vectors.target, atol=1e-6)
    np.testing.assert_allclose(images.x.reshape(64, 16), vectors.x, atol=1e-6)
    assert (images.target**2).sum() < (prepared((64, 4, 4, 1), "independent").target ** 2).sum()


@pytest.mark.parametrize("family", [*FAMILIES, NormalizingFlow.tiny()], ids=lambda family: type(family).__name__)
def test_images_that_failed_are_not_valid_whatever_their_bytes(family, least):
    """A sound network with a number in it that overflows: its parameters are finite, what it draws is not."""
    generator = family.init(jax.random.key(0), (8, 8, 1))
    attempt = jax.jit(lambda generator: generator.attempt(jax.random.key(0), 3))
    x, valid = attempt(generator)
    assert x.dtype == np.uint8 and valid.all()
    huge = eqx.tree_at(lambda generator: generator.temperature, generator, jnp.asarray(jnp.inf))
    x, valid = attempt(huge)
    assert x.dtype == np.uint8 and not valid.any()


def test_a_run_ends_where_no_solution_is_reached(least, monkeypatch):
    """Every sample fails, though every parameter is finite."""
    monkeypatch.setattr(samplers, "MAX_STEPS", 2)
    family = dataclasses.replace(FAMILIES[2], solver="dopri5")
    generator = family.init(jax.random.key(0), (8, 8, 1))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(generator))
    out = jax.jit(lambda generator: generation.sample_block(3, keys_of(0, 0), generator, jnp.array(True)))(generator)
    assert not out.alive and not out.valid.any() and not out.samples.any()


@pytest.mark.parametrize("family", [*FAMILIES, NormalizingFlow.tiny()], ids=lambda family: type(family).__name__)
def test_programs_of_images_can_be_built_for_accelerators(family, least, for_accelerators):
    def generation(x, data):
        key = jax.random.wrap_key_data(data)
        state = family.begin(key, x, jnp.ones(len(x)), None)
        return family.advance(state, jnp.int32(3)).generator.attempt(key, 4)

    x = DIGITS.train(jax.random.key(0))
    for_accelerators(jax.vmap(generation), x[None], jax.random.key_data(jax.random.key(0))[None])


@pytest.mark.parametrize("shape", [(2, 2, 1), (4,)])
def test_batches_are_equal_and_cut_to_the_number_asked_for(monkeypatch, shape):
    asked = []

    def draw(key, n):
        asked.append(n)
        return jax.random.randint(key, (n, *shape), 0, 1 << 30)

    x = np.asarray(in_batches(jax.random.key(0), 2 * SAMPLE_BATCH + 3, shape, draw))
    assert asked == [(2 * SAMPLE_BATCH + 3 + 2) // 3] and x.shape == (2 * SAMPLE_BATCH + 3, *shape)
    assert len(np.unique(x.reshape(len(x), -1)[:, 0])) > 2 * SAMPLE_BATCH
    # Few examples are drawn at once, with the key as it is; vectors on accelerators always.
    few = draw(jax.random.key(0), SAMPLE_BATCH)
    np.testing.assert_array_equal(in_batches(jax.random.key(0), SAMPLE_BATCH, shape, draw), few)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    asked.clear()
    in_batches(jax.random.key(0), 3 * SAMPLE_BATCH, shape, draw)
    assert asked == ([SAMPLE_BATCH] if len(shape) == 3 else [3 * SAMPLE_BATCH])


def test_images_have_no_density():
    """So that nothing that needs one accepts them."""
    generator = jax.eval_shape(lambda: OTCFM().init(jax.random.key(0), (8, 8, 1)))
    assert not isinstance(generator, Density)
    with pytest.raises(
        ConfigError, match=r"metrics\.log_likelihood: expected a family whose generators have a density"
    ):
        LogLikelihood().check(DIGITS, OTCFM())


@dataclasses.dataclass(frozen=True)
class Shaped:
    """What `check` looks at."""

    shape: tuple
    dtype: str = "uint8"

    def train(self, key):
        return jnp.zeros((2, *self.shape), self.dtype)


@pytest.mark.parametrize(
    ("fields", "source", "message"),
    [
        ({"net": "mlp"}, Shaped((8, 8, 1)), r"family\.net: 'mlp' takes vectors, .*\(8, 8, 1\); use 'auto'"),
        ({}, Shaped((9, 8, 1)), r"family\.net: 'tiny' .* multiples of 2, got 9 x 8; resize or pad"),
        ({"net": "ddpm_32"}, Shaped((28, 28, 1)), r"family\.net: 'ddpm_32' .* multiples of 8, got 28 x 28"),
        ({}, Shaped((8, 8, 1), "float32"), r"family: expected images as uint8 .* gives float32"),
        ({"net": "tiny"}, Shaped((4,)), r"family\.net: 'tiny' is for images .* shape \(4,\); use 'mlp'"),
        ({"compute": "bfloat16"}, Shaped((4,)), r"family\.compute: 'bfloat16' is for images .*; use 'float32'"),
        ({"dropout": 0.1}, Shaped((4,)), r"family\.dropout: 0\.1 is for images .*; use 0\.0"),
        ({"augment": 0.1}, Shaped((4,)), r"family\.augment: 0\.1 is for images .*; use 0\.0"),
        ({"random_flip": True}, Shaped((4,)), r"family\.random_flip: only images can be mirrored"),
        ({}, Shaped((4, 4)), r"family: takes vectors or images"),
    ],
)
def test_what_cannot_be_trained_is_said_before(fields, source, message):
    for family in (EDM, DDPM, OTCFM):
        with pytest.raises(ConfigError, match=message):
            family(**fields).check(source)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_what_can(shape):
    OTCFM(random_flip=True, compute="bfloat16").check(Shaped(shape))


def study(generations):
    return Study(
        {"kind": "digits", "form": "image", "n": 24, "n_test": 20},
        {"kind": "otcfm", "net": "tiny", "updates": 4, "batch": 8, "pairing": "independent", "steps": 1},
        None,
        [{"kind": "nonfinite"}],
        {"regime": [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]},
        generations=generations,
        seeds=1,
        start="warm",
    )


def test_the_loop_on_digits_keeps_bytes_and_extends_to_the_same_bits(tmp_path, least):
    """Two generations at once, or the second later, from what the first left on disk."""

    def samples(directory):
        opened, found = store.Store(directory), {}
        for segment in opened.segments:
            with opened.tensors(segment.file, segment.sha256) as file:
                for key in file.keys():  # noqa: SIM118
                    for row, lane in enumerate(opened.lanes[segment.lanes]):
                        found[*lane, key] = file.get_tensor(key)[row]
        return found

    run_study.execute(study(2), tmp_path / "whole")
    run_study.execute(study(1), tmp_path / "parts")
    run_study.execute(study(2), tmp_path / "parts")
    whole, parts = samples(tmp_path / "whole"), samples(tmp_path / "parts")
    assert any(each.dtype == np.uint8 and each.shape[1:] == (8, 8, 1) for each in whole.values())
    assert whole.keys() == parts.keys()
    for key, each in whole.items():
        np.testing.assert_array_equal(each, parts[key])


@pytest.mark.parametrize("family", [EDM(), DDPM(), OTCFM()], ids=lambda family: type(family).__name__)
def test_networks_are_told_what_was_done_to_what_they_see(family):
    """Of the batch, before anything else is drawn; without it keys and batches are as they came."""
    z = DIGITS.train(jax.random.key(0))[:6] / 127.5 - 1
    key = jax.random.key(3)
    _, same, nothing = augment_minibatch(family, key, z)
    assert same is z and nothing is None
    own = dataclasses.replace(family, augment=1.0, dropout=0.1, batch=6)
    _, moved, training = augment_minibatch(own, key, z)
    assert training.augment_labels.shape == (6, 9) and training.dropout == 0.1
    assert len(np.unique(jax.random.key_data(training.keys), axis=0)) == 6
    assert np.abs(moved - z).max(axis=(1, 2, 3)).min() > 0.1

    def prepared(family):
        pairing = {"pairing": "independent"} if isinstance(family, OTCFM) else {}
        return dataclasses.replace(family, **pairing).prepare(key, None, z)

    with_it, without = prepared(own), prepared(dataclasses.replace(own, augment=0.0, dropout=0.0))
    assert without.training is None
    np.testing.assert_array_equal(with_it.training.augment_labels, training.augment_labels)
    # And the loss hands it on.
    seen = []
    for batch in (with_it, without):
        own.loss(SimpleNamespace(net=lambda x, condition, training=None: seen.append(training) or x), batch)
    assert seen[0] is with_it.training and seen[1] is None
