"""A small classifier trained on the source's own labels; no download."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.nets.layers import Convolution, Dense, Weights
from selfconsume.types import Extractor, Samples, Source

SEED = 20_000_101
"""Seed of weights and minibatches: fixed, so that all runs share one classifier."""


class ClassifierNet(eqx.Module):
    """SiLU network: stride-2 convolutions down to 4 pixels (while sides are even), two dense layers, linear head.

    Attributes:
        centre: Mean of the examples, per channel or per coordinate of a vector.
        scale: Root mean square of the centred examples.
    """

    convolutions: tuple[Convolution, ...]
    hidden: tuple[Dense, ...]
    head: Dense
    centre: Float[Array, " c"]
    scale: Float[Array, ""]

    @classmethod
    def init(cls, weights: Weights, shape: tuple[int, ...], width: int, classes: int) -> ClassifierNet:
        """Glorot weights and zero biases; the first convolution has ``width // 4`` channels."""
        convolutions: list[Convolution] = []
        if len(shape) == 3:
            height, breadth, channels = shape
            n_channels = max(width // 4, 1)
            convolutions.append(Convolution.init(weights, channels, n_channels))
            while height % 2 == breadth % 2 == 0 and min(height, breadth) > 4:
                convolutions.append(Convolution.init(weights, n_channels, 2 * n_channels, stride=2))
                height, breadth, n_channels = height // 2, breadth // 2, 2 * n_channels
            shape = (height, breadth, n_channels)
        size = math.prod(shape)
        hidden = (Dense.init(weights, size, width), Dense.init(weights, width, width))
        head = Dense.init(weights, width, classes)
        return cls(tuple(convolutions), hidden, head, jnp.zeros(1), jnp.ones(()))

    def features(self, x: Float[Array, "n *shape"]) -> Float[Array, "n width"]:
        """Activations of the last hidden layer."""
        h = (x - self.centre) / self.scale
        for layer in self.convolutions:
            h = jax.nn.silu(layer(h))
        h = h.reshape(h.shape[0], -1)
        for layer in self.hidden:
            h = jax.nn.silu(layer(h))
        return h


@dataclasses.dataclass(frozen=True)
class Classifier(Extractor):
    """Last hidden layer of a small network, trained once on the source's own labels.

    A convolutional network for images, a multilayer perceptron for vectors, trained with Adam by cross-entropy on nine
    tenths of the training set from a fixed seed; seconds for the digits. Training images are shifted by up to an eighth of
    their sides. Features capture class differences, as far as the network knows the classes (`accuracy`, on the tenth held
    out), and miss detail that no class depends on. Features of training examples differ from those of held-out examples.
    Distances are comparable for equal kinds and fingerprints: same source, examples and processor type. Needs labels.

    Attributes:
        width: Units of a dense layer; the number of features.
        updates: Optimiser updates.
        batch: Minibatch size.
        learning_rate: Learning rate of Adam, with cosine decay to 0.
        output: "features", or "scores": class probabilities, for the metric `labels`.
    """

    width: Annotated[int, Ge(1), Le(100_000)] = 128
    updates: Annotated[int, Ge(1), Le(10_000_000)] = 600
    batch: Annotated[int, Ge(1), Le(1_000_000)] = 128
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    output: Literal["features", "scores"] = "features"

    trained: ClassVar[bool] = True

    @property
    def probabilities(self) -> bool:
        return self.output == "scores"

    @classmethod
    def tiny(cls) -> Classifier:
        """The smallest configuration, for tests."""
        return cls(width=8, updates=20, batch=16)

    def weights(self, source: Source) -> ClassifierNet:
        """The trained network, on the host."""
        return self._trained(source).net

    def __call__(self, weights: ClassifierNet, x: Samples) -> Float[Array, "n d"]:
        """Features or class probabilities."""
        features = weights.features(_scaled(x))
        return features if self.output == "features" else jax.nn.softmax(weights.head(features))

    def fingerprint(self, source: Source) -> str:
        """Hash of the trained weights and the output."""
        total = hashlib.sha256(self.output.encode())
        for leaf in jax.tree.leaves(self.weights(source)):
            total.update(np.ascontiguousarray(leaf).tobytes())
        return total.hexdigest()

    def accuracy(self, source: Source) -> float:
        """Accuracy on the tenth of the training set held out from training."""
        return self._trained(source).accuracy

    def _trained(self, source: Source) -> Trained:
        return _trained(dataclasses.replace(self, output="features"), source)

    def check(self, source: Source) -> None:
        """Raises `ConfigError` for sources without labels or without a fixed training set."""
        labels = source.labels(jax.random.key(0)) if source.fixed else None
        if labels is None:
            raise ConfigError(
                "features: 'classifier' is trained on labels, and this source has none; use another extractor, "
                "or a source with labels such as digits, mnist, cifar10, or arrays with labels"
            )
        if len(np.unique(labels)) < 2:
            raise ConfigError("features: 'classifier' needs at least two classes, got one; use another extractor")
        if len(source.shape) not in (1, 3):
            raise ConfigError(
                f"features: 'classifier' expects vectors (d,) or images (H, W, C), "
                f"got shape {source.shape}; use another extractor"
            )


def validation_size(source: Source) -> int:
    """Number of training examples held out for `accuracy`: a tenth."""
    return max(source.size // 10, 1)


def _scaled(x: Samples) -> Float[Array, "n *shape"]:
    return x.astype(jnp.float32) / (255.0 if x.dtype == jnp.uint8 else 1.0)


def _shifted(key: PRNGKeyArray, x: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
    """Images shifted by up to an eighth of their sides, with edge padding; vectors unchanged."""
    if x.ndim != 4:
        return x
    limits = x.shape[1] // 8, x.shape[2] // 8
    padded = jnp.pad(x, ((0, 0), *((limit, limit) for limit in limits), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * jnp.array(limits) + 1)
    return jax.vmap(lambda image, corner: jax.lax.dynamic_slice(image, (*corner, 0), x.shape[1:]))(padded, corners)


class Trained(NamedTuple):
    """A trained network, and its accuracy on examples held out from training."""

    net: ClassifierNet
    accuracy: float


@functools.lru_cache(maxsize=8)
def _trained(recipe: Classifier, source: Source) -> Trained:
    """Trains the network. Labels may be any integers; classes are numbered in ascending order."""
    key = jax.random.key(SEED)
    start, batches, split = jax.random.split(key, 3)
    x = jnp.asarray(source.train(key))
    classes, labels = np.unique(np.asarray(source.labels(key)), return_inverse=True)
    order, n_held = jax.random.permutation(split, len(x)), validation_size(source)
    labels = jnp.asarray(labels, jnp.int32)
    size = Weights()
    jax.eval_shape(lambda: ClassifierNet.init(size, source.shape, recipe.width, len(classes)))
    axes = tuple(range(x.ndim - 1))
    adam = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, recipe.updates))

    @jax.jit
    def train(x, labels, rows):
        net = ClassifierNet.init(
            Weights(jax.random.uniform(start, (size.used,), minval=-1.0)), source.shape, recipe.width, len(classes)
        )
        centre = _scaled(x).mean(axis=axes)
        spread = jnp.sqrt(jnp.mean((_scaled(x) - centre) ** 2))
        net = dataclasses.replace(net, centre=centre, scale=jnp.where(spread > 0, spread, 1.0))

        def loss(net, rows, key):
            fixed = jax.tree.map(jax.lax.stop_gradient, (net.centre, net.scale))
            net = dataclasses.replace(net, centre=fixed[0], scale=fixed[1])
            logits = net.head(net.features(_shifted(key, _scaled(x[rows]))))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows]).mean()

        def update(state, key):
            net, optimizer = state
            draw, shift = jax.random.split(key)
            minibatch = rows[jax.random.randint(draw, (recipe.batch,), 0, len(rows))]
            gradient = jax.grad(loss)(net, minibatch, shift)
            step, optimizer = adam.update(gradient, optimizer)
            return (optax.apply_updates(net, step), optimizer), None

        first = net, adam.init(eqx.filter(net, eqx.is_array))
        (net, _), _ = jax.lax.scan(update, first, jax.random.split(batches, recipe.updates))
        return net

    @jax.jit
    def is_correct(net, x, labels):
        return jnp.argmax(net.head(net.features(_scaled(x))), axis=1) == labels

    net = train(x, labels, order[n_held:])
    parts = [order[i : min(i + recipe.batch_size, n_held)] for i in range(0, n_held, recipe.batch_size)]
    accuracy = np.mean(np.concatenate([is_correct(net, x[rows], labels[rows]) for rows in parts]))
    return Trained(jax.device_get(net), float(accuracy))
