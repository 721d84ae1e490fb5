"""Truncation of a model's next-token distribution in sampling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def truncated(logits: Float[Array, "n tokens"], top_k: int | None, top_p: float) -> Float[Array, "n tokens"]:
    """Logits with ``-inf`` for the tokens that are cut off.

    Args:
        logits: Unnormalised log-probabilities.
        top_k: Only the k most probable tokens stay, and those as probable as the last of them; None: all.
        top_p: The fewest most probable tokens stay whose probabilities sum to at least this; 1: all.

    References:
        Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2020, arXiv:1904.09751 (top-p, nucleus sampling).
    """
    if top_k is not None and top_k < logits.shape[-1]:
        least = jax.lax.top_k(logits, top_k)[0][..., -1:]
        logits = jnp.where(logits >= least, logits, -jnp.inf)
    if top_p < 1:
        ordered = jnp.sort(logits, axis=-1, descending=True)
        p = jax.nn.softmax(ordered, axis=-1)
        # A token stays if those before it have less than the share: at least the first one does.
        stays = jnp.cumsum(p, axis=-1) - p < top_p
        least = jnp.min(jnp.where(stays, ordered, jnp.inf), axis=-1, keepdims=True)
        logits = jnp.where(logits >= least, logits, -jnp.inf)
    return logits
