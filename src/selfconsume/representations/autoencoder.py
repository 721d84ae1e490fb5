"""A small autoencoder."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Ge, Gt
from jaxtyping import Array, Float

from selfconsume.models.nets.layers import Convolution, Dense, Weights
from selfconsume.models.training.row_batches import map_rows
from selfconsume.representations.fitted_representation import FittedRepresentation
from selfconsume.types import Samples

SEED = 20_000_103
"""Seed of weights and minibatches: fixed, so that all runs share one autoencoder."""


class AutoencoderNet(eqx.Module):
    """SiLU networks: stride-2 convolutions down to about 4 pixels and a dense layer, and the same way back.

    Vectors have two hidden layers each way. Layers of images double their channels where they halve sides.
    """

    encoder: tuple[Convolution | Dense, ...]
    bottleneck: Dense
    expansion: Dense
    decoder: tuple[Convolution | Dense, ...]
    inner: tuple[int, ...] = eqx.field(static=True)
    """Shape of the features before the bottleneck."""

    @classmethod
    def init(cls, weights: Weights, shape: tuple[int, ...], width: int, components: int) -> AutoencoderNet:
        """Glorot weights and zero biases; the first layer has ``width`` channels or units."""
        encoder: list[Convolution | Dense] = []
        decoder: list[Convolution | Dense] = []
        if len(shape) == 3:
            height, breadth, channels = shape
            encoder.append(Convolution.init(weights, channels, width))
            decoder.append(Convolution.init(weights, width, channels))
            n = width
            while height % 2 == breadth % 2 == 0 and min(height, breadth) > 4:
                encoder.append(Convolution.init(weights, n, 2 * n, stride=2))
                decoder.insert(0, Convolution.init(weights, 2 * n, n))
                height, breadth, n = height // 2, breadth // 2, 2 * n
            inner = (height, breadth, n)
        else:
            encoder = [Dense.init(weights, shape[0], 4 * width), Dense.init(weights, 4 * width, 4 * width)]
            decoder = [Dense.init(weights, 4 * width, 4 * width), Dense.init(weights, 4 * width, shape[0])]
            inner = (4 * width,)
        size = math.prod(inner)
        bottleneck, expansion = Dense.init(weights, size, components), Dense.init(weights, components, size)
        return cls(tuple(encoder), bottleneck, expansion, tuple(decoder), inner)

    def encode(self, x: Float[Array, "n *shape"]) -> Float[Array, "n k"]:
        """Codes of centred examples."""
        for layer in self.encoder:
            x = jax.nn.silu(layer(x))
        return self.bottleneck(x.reshape(x.shape[0], -1))

    def decode(self, z: Float[Array, "n k"]) -> Float[Array, "n *shape"]:
        """Centred examples of codes."""
        x = jax.nn.silu(self.expansion(z)).reshape(z.shape[0], *self.inner)
        for i, layer in enumerate(self.decoder):
            x = jax.nn.silu(x) if i else x
            if isinstance(layer, Convolution) and i < len(self.decoder) - 1:
                x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            x = layer(x)
        return x


@dataclasses.dataclass(frozen=True)
class Autoencoder(FittedRepresentation):
    """A small convolutional autoencoder, trained once on the real training set by squared error.

    Codes are shifted and scaled to mean 0 and root mean square 1 over the training set. On images of few grey levels and at
    64 numbers, `pca` is the better one and costs a fraction: an autoencoder pays where the data lie on a curved surface of
    few dimensions, or after long training. It is no projection: an example that is encoded and decoded twice changes twice.

    Attributes:
        components: Numbers of a code.
        width: Channels of the first convolution; a quarter of the units of a hidden layer for vectors.
        updates: Optimiser updates.
        batch: Minibatch size.
        learning_rate: Learning rate of Adam, with cosine decay to 0.
    """

    components: Annotated[int, Ge(1)] = 64
    width: Annotated[int, Ge(1)] = 16
    updates: Annotated[int, Ge(1)] = 4000
    batch: Annotated[int, Ge(1)] = 128
    learning_rate: Annotated[float, Gt(0)] = 2e-3

    batch_size: ClassVar[int] = 256

    @classmethod
    def tiny(cls) -> Autoencoder:
        """The smallest configuration, for tests."""
        return cls(components=2, width=4, updates=150, batch=32)

    def fit(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The trained network's arrays, the mean example, and mean and scale of the codes."""
        rows, centre = jnp.asarray(x), jnp.asarray(_unit(jnp.asarray(x)).mean(axis=0))
        key, start = jax.random.split(jax.random.key(SEED))
        size = Weights()
        jax.eval_shape(lambda: AutoencoderNet.init(size, x.shape[1:], self.width, self.components))
        net = AutoencoderNet.init(
            Weights(jax.random.uniform(start, (size.used,), minval=-1.0)), x.shape[1:], self.width, self.components
        )
        adam = optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.updates))

        def loss(net, batch):
            return jnp.mean((net.decode(net.encode(batch)) - batch) ** 2)

        @jax.jit
        def train(net, rows, key):
            def update(state, key):
                net, optimizer = state
                batch = _unit(rows[jax.random.randint(key, (self.batch,), 0, len(rows))]) - centre
                step, optimizer = adam.update(jax.grad(loss)(net, batch), optimizer)
                return (optax.apply_updates(net, step), optimizer), None

            return jax.lax.scan(update, (net, adam.init(net)), jax.random.split(key, self.updates))[0][0]

        net = train(net, rows, key)
        codes = jax.jit(lambda rows: map_rows(lambda part: net.encode(_unit(part) - centre), rows, self.batch_size))(
            rows
        )
        codes = np.asarray(codes, np.float64)
        shift = codes.mean(axis=0)
        scale = max(float(np.sqrt(((codes - shift) ** 2).mean())), float(np.finfo(np.float32).tiny))
        arrays = {"mean": centre, "shift": shift, "scale": np.full(1, scale)}
        leaves = {f"net.{i:03d}": leaf for i, leaf in enumerate(jax.tree.leaves(net))}
        return {name: np.asarray(array) for name, array in (arrays | leaves).items()}

    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n k"]:
        return (self._net(weights).encode(_unit(x) - weights["mean"]) - weights["shift"]) / weights["scale"]

    def decode(self, weights: Any, z: Float[Array, "n k"]) -> Samples:
        x = self._net(weights).decode(z * weights["scale"] + weights["shift"]) + weights["mean"]
        if weights["mean"].ndim == 1:
            return x
        return jnp.nan_to_num(jnp.clip(jnp.round(255.0 * x), 0, 255)).astype(jnp.uint8)

    def _net(self, weights: Any) -> AutoencoderNet:
        """The network from its arrays by name."""
        shape = weights["mean"].shape
        like = jax.eval_shape(lambda: AutoencoderNet.init(Weights(), shape, self.width, self.components))
        leaves = [jnp.asarray(weights[name]) for name in sorted(weights) if name.startswith("net.")]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _unit(x: Samples) -> Float[Array, "n *shape"]:
    """Examples in network units: images in [0, 1]."""
    return x.astype(jnp.float32) / (255.0 if x.dtype == jnp.uint8 else 1.0)
