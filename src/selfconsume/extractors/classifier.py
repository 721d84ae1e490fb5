"""A judge without a download: a small network trained on the source's own labels."""

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
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.nets.layers import Convolution, Dense, Weights
from selfconsume.types import Extractor, Samples, Source

SEED = 20_000_101
"""Of the network's weights and batches: fixed, so that there is one judge for all runs."""


class Judge(eqx.Module):
    """SiLU layers: convolutions that halve images down to 4 pixels where sides are even, then two dense layers and the head.

    Attributes:
        centre: Subtracted from examples: one number for each channel, or for each coordinate of a vector.
        scale: What they are divided by then.
    """

    convolutions: tuple[Convolution, ...]
    hidden: tuple[Dense, ...]
    head: Dense
    centre: Float[Array, " c"]
    scale: Float[Array, ""]

    @classmethod
    def init(cls, weights: Weights, shape: tuple[int, ...], width: int, classes: int) -> Judge:
        """Glorot weights, biases 0; ``width`` units of a dense layer, a quarter of it channels of the first convolution."""
        convolutions: list[Convolution] = []
        if len(shape) == 3:
            height, breadth, channels = shape
            wide = max(width // 4, 1)
            convolutions.append(Convolution.init(weights, channels, wide))
            while height % 2 == breadth % 2 == 0 and min(height, breadth) > 4:
                convolutions.append(Convolution.init(weights, wide, 2 * wide, stride=2))
                height, breadth, wide = height // 2, breadth // 2, 2 * wide
            shape = (height, breadth, wide)
        size = math.prod(shape)
        hidden = (Dense.init(weights, size, width), Dense.init(weights, width, width))
        head = Dense.init(weights, width, classes)
        return cls(tuple(convolutions), hidden, head, jnp.zeros(1), jnp.ones(()))

    def features(self, x: Float[Array, "n *shape"]) -> Float[Array, "n width"]:
        """The last hidden layer."""
        h = (x - self.centre) / self.scale
        for layer in self.convolutions:
            h = jax.nn.silu(layer(h))
        h = h.reshape(h.shape[0], -1)
        for layer in self.hidden:
            h = jax.nn.silu(layer(h))
        return h


@dataclasses.dataclass(frozen=True)
class Classifier(Extractor):
    """The last hidden layer of a small network that was trained once on the source's own labels.

    A convolutional network for images, a multilayer perceptron for vectors, trained with Adam by cross-entropy on the
    training set but a tenth, from a fixed seed: seconds for the digits. Images are moved by up to an eighth of their sides
    while it learns. It sees what tells the classes apart, as far as it knows them (`accuracy`, on that tenth), and little
    else: detail that no class needs is invisible to it. Features of training examples are not like those of others. Distances
    on it are comparable where kind and hash agree: the same source, rows and kind of processor. For images and vectors that
    come with labels.

    Attributes:
        width: Units of a dense layer, so the number of features.
        updates: Updates of the training.
        batch: Examples of an update.
        learning_rate: Of Adam, falling to 0 along a cosine.
        output: "features", or "scores": the probabilities of the classes, for the metric `labels`.
    """

    width: Annotated[int, Ge(1)] = 128
    updates: Annotated[int, Ge(1)] = 600
    batch: Annotated[int, Ge(1)] = 128
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

    def weights(self, source: Source) -> Judge:
        """The trained network, on the host."""
        return self._trained(source).judge

    def __call__(self, weights: Judge, x: Samples) -> Float[Array, "n d"]:
        """Features or probabilities."""
        features = weights.features(_scaled(x))
        return features if self.output == "features" else jax.nn.softmax(weights.head(features))

    def fingerprint(self, source: Source) -> str:
        """Of the trained weights, and of what is read from them."""
        total = hashlib.sha256(self.output.encode())
        for leaf in jax.tree.leaves(self.weights(source)):
            total.update(np.ascontiguousarray(leaf).tobytes())
        return total.hexdigest()

    def accuracy(self, source: Source) -> float:
        """Share of `held_out` training examples that it gets right."""
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
            raise ConfigError("features: 'classifier' needs two classes at least; all labels are the same")
        if len(source.shape) not in (1, 3):
            raise ConfigError(
                f"features: 'classifier' takes vectors (d,) and images (H, W, C), the examples are {source.shape}"
            )


def held_out(source: Source) -> int:
    """How many of the source's training examples the network is not trained on, but tried on: a tenth."""
    return max(source.size // 10, 1)


def _scaled(x: Samples) -> Float[Array, "n *shape"]:
    return x.astype(jnp.float32) / (255.0 if x.dtype == jnp.uint8 else 1.0)


def _shifted(key: PRNGKeyArray, x: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
    """Images moved by up to an eighth of their sides, with edges repeated; vectors as they are."""
    if x.ndim != 4:
        return x
    most = x.shape[1] // 8, x.shape[2] // 8
    wide = jnp.pad(x, ((0, 0), *((each, each) for each in most), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * jnp.array(most) + 1)
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), x.shape[1:]))(wide, corners)


class Trained(NamedTuple):
    """A network after its training, and how well it knows examples that it was not trained on."""

    judge: Judge
    accuracy: float


@functools.lru_cache(maxsize=8)
def _trained(recipe: Classifier, source: Source) -> Trained:
    """The network after its training. Labels may be any integers; classes are numbered in their order."""
    key = jax.random.key(SEED)
    start, batches, split = jax.random.split(key, 3)
    x = jnp.asarray(source.train(key))
    found, labels = np.unique(np.asarray(source.labels(key)), return_inverse=True)
    order, held = jax.random.permutation(split, len(x)), held_out(source)
    labels = jnp.asarray(labels, jnp.int32)
    size = Weights()
    jax.eval_shape(lambda: Judge.init(size, source.shape, recipe.width, len(found)))
    axes = tuple(range(x.ndim - 1))
    schedule = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, recipe.updates))

    @jax.jit
    def train(x, labels, known):
        judge = Judge.init(
            Weights(jax.random.uniform(start, (size.used,), minval=-1.0)), source.shape, recipe.width, len(found)
        )
        centre = _scaled(x).mean(axis=axes)
        spread = jnp.sqrt(jnp.mean((_scaled(x) - centre) ** 2))
        judge = dataclasses.replace(judge, centre=centre, scale=jnp.where(spread > 0, spread, 1.0))

        def loss(judge, rows, key):
            fixed = jax.tree.map(jax.lax.stop_gradient, (judge.centre, judge.scale))
            judge = dataclasses.replace(judge, centre=fixed[0], scale=fixed[1])
            logits = judge.head(judge.features(_shifted(key, _scaled(x[rows]))))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows]).mean()

        def update(state, key):
            judge, optimizer = state
            draw, shift = jax.random.split(key)
            rows = known[jax.random.randint(draw, (recipe.batch,), 0, len(known))]
            gradient = jax.grad(loss)(judge, rows, shift)
            step, optimizer = schedule.update(gradient, optimizer)
            return (optax.apply_updates(judge, step), optimizer), None

        first = judge, schedule.init(judge)
        (judge, _), _ = jax.lax.scan(update, first, jax.random.split(batches, recipe.updates))
        return judge

    @jax.jit
    def right(judge, x, labels):
        return jnp.argmax(judge.head(judge.features(_scaled(x))), axis=1) == labels

    judge = train(x, labels, order[held:])
    parts = [order[i : min(i + recipe.batch_size, held)] for i in range(0, held, recipe.batch_size)]
    accuracy = np.mean(np.concatenate([right(judge, x[rows], labels[rows]) for rows in parts]))
    return Trained(jax.device_get(judge), float(accuracy))
