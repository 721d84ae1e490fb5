"""What holds for every representation: its own contract, families fitted to its codes, and the same bits on resume."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume import contracts, registry
from selfconsume.contracts.representation import SOURCES
from selfconsume.errors import ConfigError
from selfconsume.extractors.representation import code_source
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import coding
from selfconsume.loop.run import Run
from selfconsume.models.external.host_family import HostFamily
from selfconsume.regimes.mix import Mix
from selfconsume.representations import fitted_representation
from selfconsume.representations.pca import PCA

IMAGES = SOURCES[0]


@pytest.fixture(scope="module", params=registry.kinds("representation"))
def representation(request, tiny):
    return tiny("representation", request.param)


def test_it_keeps_its_contract(representation):
    contracts.check(representation)


def test_its_weights_are_arrays_of_the_host_fitted_once(representation):
    first, second = representation.weights(IMAGES), representation.weights(IMAGES)
    assert all(a is b for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))
    assert all(isinstance(leaf, np.ndarray) and np.isfinite(leaf).all() for leaf in jax.tree.leaves(first))


def test_its_first_use_may_be_within_a_trace(representation, tmp_path, monkeypatch):
    """With an empty cache: whichever of a study's programs is traced first fits it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fitted_representation._weights.cache_clear()
    codes = jax.eval_shape(lambda: representation(representation.weights(IMAGES), IMAGES.test(jax.random.key(0))))
    assert codes.shape == (IMAGES.test_size, representation.components) and list(tmp_path.rglob("*.safetensors"))


def test_its_programs_can_be_built_for_accelerators(representation, for_accelerators):
    weights, x = representation.weights(IMAGES), np.asarray(IMAGES.test(jax.random.key(0)))
    for_accelerators(lambda weights, x: representation.decode(weights, representation(weights, x)), weights, x)


def run_all(layout, run, until, **options):
    return list(LaneBatch([run] * 2, [3, 4], layout).generations([], until, **options))


@pytest.mark.parametrize("family", [Gaussian(), Kde(bandwidth=0.5)], ids=["summaries", "rows"])
def test_a_resumed_run_has_the_same_bits(representation, family, layout):
    """The pool holds decoded examples, as the store does, so nothing of the codes is lost between two sessions."""
    run = Run(IMAGES, family, Mix(0.5), representation=representation)
    whole = run_all(layout, run, 2)
    resumed = run_all(layout, run, 2, history=whole[:2])
    assert [record.t for record in resumed] == [2]
    for part in ("samples", "valid", "fit"):
        jax.tree.map(np.testing.assert_array_equal, getattr(resumed[0], part), getattr(whole[2], part))
    assert whole[2].samples.dtype == np.uint8 and whole[2].samples.shape == (2, IMAGES.size, *IMAGES.shape)
    assert len(np.unique(whole[2].samples[0], axis=0)) == IMAGES.size and whole[2].valid.all()


FAMILIES = [kind for kind in registry.kinds("family") if not issubclass(registry.find("family", kind), HostFamily)]


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_of_vectors_is_fitted_to_codes(kind, tiny):
    """As `step` and the lanes do it: images go in, images come out, and the model between them is one of codes."""
    family, representation = tiny("family", kind), PCA(components=2)
    run = Run(IMAGES, family, Mix(), representation=representation)
    try:
        family.check(code_source(IMAGES, representation))
    except ConfigError:
        # Neither one-hot rows, regression pairs nor tokens are codes.
        assert kind in ("categorical", "linear_classifier", "linear_regression") or hasattr(family, "vocabulary")
        return
    assert run.shape == (2,) and not run.long_fits

    @jax.jit
    def generation(x, key):
        state = family.begin(key, run.encode(x), jnp.ones(len(x)), None)
        generator = family.advance(state, 1).generator
        return run.of_examples(generator).attempt(key, 5)

    x, valid = generation(IMAGES.train(jax.random.key(0)), jax.random.key(1))
    assert x.dtype == np.uint8 and x.shape == (5, *IMAGES.shape) and valid.all()
    codes = coding.encode(representation, representation.weights(IMAGES), x)
    assert np.isfinite(codes).all() and len(np.unique(codes, axis=0)) > 1


def test_a_model_outside_jax_is_fitted_to_codes(layout, tiny):
    family = tiny("family", "sklearn")
    record = run_all(layout, Run(IMAGES, family, Mix(), representation=PCA(components=2)), 1)[-1]
    assert record.samples.shape == (2, IMAGES.size, *IMAGES.shape) and record.valid.all()


def test_a_broken_one_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Deaf(PCA):
        """Decodes to the mean, whatever the code."""

        def decode(self, weights, z):
            return super().decode(weights, 0 * z)

    with pytest.raises(
        ConfigError, match="representation Deaf: the codes of decoded examples are not the decoded codes"
    ):
        contracts.check(Deaf(components=2))

    @dataclasses.dataclass(frozen=True)
    class Raw(PCA):
        """Forgets to give bytes."""

        def decode(self, weights, z):
            return super().decode(weights, z).astype(np.float32)

    with pytest.raises(ConfigError, match=r"representation Raw: decoded examples are float32 .* expected finite uint8"):
        contracts.check(Raw(components=2))
