"""Networks that diffusion and flow-matching families train: one file an architecture."""

from __future__ import annotations

import abc

import equinox as eqx
from jaxtyping import Array, Float


class Network(eqx.Module):
    """A function of noisy examples and one number each, the noise level or the flow time.

    All leaves are trainable arrays. A network takes whole batches, so that each layer is one matrix product and custom
    gradients see the batch; examples must not influence each other, because likelihoods take derivatives of many at once.
    """

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "n *shape"], condition: Float[Array, " n"]) -> Float[Array, "n *shape"]:
        """One output of the shape of an example for each example."""
