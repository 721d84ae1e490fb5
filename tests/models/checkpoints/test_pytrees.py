import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file, save_file

from selfconsume.errors import ConfigError
from selfconsume.models.checkpoints.pytrees import load_generator, named, named_shapes, rebuilt, save_generator
from selfconsume.models.distributions.exact import MixtureDistribution, Normal
from selfconsume.types import FitState


def test_arrays_have_the_names_of_their_places():
    weights = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
    state = FitState(
        Normal(jnp.zeros(2), jnp.eye(2)), optax.adam(1e-3).init(weights), jnp.int32(4), jnp.array(0.5), None
    )
    tensors = named(state, "fit")
    assert {"fit.generator.mean", "fit.generator.temperature", "fit.optimizer[0].mu['w']", "fit.iteration"} <= set(
        tensors
    )
    # A scalar stays one: NumPy's ascontiguousarray would make it a vector.
    assert tensors["fit.iteration"].shape == tensors["fit.generator.temperature"].shape == ()
    again = rebuilt(tensors, state, "fit")
    assert jax.tree.structure(again) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, again, state)
    assert {name: leaf.shape for name, leaf in named_shapes(state).items()} == {
        name.removeprefix("fit"): leaf.shape for name, leaf in tensors.items()
    }
    with pytest.raises(KeyError):
        rebuilt({}, state)


@pytest.mark.parametrize(
    "generator",
    [
        Normal(jnp.arange(3.0), jnp.eye(3), 0.5),
        MixtureDistribution(jnp.array([0.25, 0.75]), jnp.ones((2, 1)), jnp.ones((2, 1, 1))),
    ],
)
def test_generators_come_back_from_a_file(tmp_path, generator):
    save_generator(tmp_path / "generator.safetensors", generator)
    again = load_generator(tmp_path / "generator.safetensors", jax.eval_shape(lambda: generator))
    assert jax.tree.structure(again) == jax.tree.structure(generator)
    jax.tree.map(np.testing.assert_array_equal, again, generator)
    np.testing.assert_array_equal(again.sample(jax.random.key(0), 4), generator.sample(jax.random.key(0), 4))


def test_transposed_arrays_are_written_as_they_are_seen(tmp_path):
    generator = Normal(jnp.zeros(2), jnp.asarray(np.asfortranarray([[1.0, 2.0], [3.0, 4.0]], np.float32)))
    save_generator(tmp_path / "g.safetensors", generator)
    np.testing.assert_array_equal(load_file(tmp_path / "g.safetensors")[".factor"], [[1, 2], [3, 4]])


def test_files_that_do_not_fit_are_refused(tmp_path):
    like = Normal(jnp.zeros(2), jnp.eye(2))
    path = tmp_path / "generator.safetensors"
    with pytest.raises(
        ConfigError, match=r"study\.initial: no file '.*'; give 'fit', 'truth' or the path of a checkpoint"
    ):
        load_generator(path, like)
    with pytest.raises(ConfigError, match="is not a safetensors file"):
        load_generator(tmp_path, like)
    path.write_bytes(b"0123456789")
    with pytest.raises(ConfigError, match="is not a safetensors file"):
        load_generator(path, like)
    save_generator(path, Normal(jnp.zeros(3), jnp.eye(3)))
    with pytest.raises(ConfigError, match=r"\.factor should have shape \(2, 2\), the file has \(3, 3\)"):
        load_generator(path, like)
    save_file({".mean": np.zeros(2, np.float32)}, path)
    with pytest.raises(ConfigError, match=r"\.factor should have shape \(2, 2\), the file has none"):
        load_generator(path, like)
    save_file({**named(like), "more": np.zeros(2)}, path)
    with pytest.raises(ConfigError, match=r"more should have shape none \(it is not a part\), the file has \(2,\)"):
        load_generator(path, like)
