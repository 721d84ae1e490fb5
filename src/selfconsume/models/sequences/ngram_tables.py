"""Tables of n-gram counts as sorted rows of the training tokens: no array grows with a power of the vocabulary.

All tables are sorted by context, nearest token first. The rows of a context of j tokens are then one range, the same in the
table of every longer context, and those of its continuations lie inside it: a context is looked up by narrowing a range.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from selfconsume.models.sequences import contexts

UNITS = 2.0**31
"""Units of a probability in cumulative sums."""
Smoothing = Literal["witten_bell", "kneser_ney", "add_k", "none"]


class NgramTables(eqx.Module):
    """Smoothed probabilities of continuations, a row for each training token in every level.

    A level holds contexts of one length; levels are ordered from the longest to the shortest. With ``d`` the discounted
    weight of a continuation and ``Z`` its context's normaliser, the probability of a token is ``d / Z`` plus the context's
    backoff mass times the probability in the next level. The last level backs off to equal probabilities.
    """

    context: Int[Array, "order rows"]
    """Tokens before each training token, nearest first, sorted lexicographically."""
    token: Int[Array, "levels rows"]
    """Training tokens, sorted by context and then by token."""
    share: Float[Array, "levels rows"]
    """``d / Z`` of each row's continuation."""
    cumulative: UInt32[Array, "levels rows"]
    """Sum of ``d / Z`` over the context's different tokens up to this row, in units of 1 / `UNITS`."""
    backoff: Float[Array, "levels rows"]
    """Backoff mass of each row's context."""
    used: Int[Array, ""]
    """Number of rows with a weight; the others come last."""


class _Rows(NamedTuple):
    """Training tokens with context and weight."""

    context: Int[Array, "order rows"]
    token: Int[Array, " rows"]
    weight: Float[Array, " rows"]


def lengths(order: int, smoothing: Smoothing) -> tuple[int, ...]:
    """Context length of each level, longest first. Adding k uses one context length only."""
    return (order,) if smoothing == "add_k" else tuple(range(order, -1, -1))


def count(
    x: Int[Array, "n length"],
    weight: Float[Array, " n"],
    *,
    order: int,
    vocabulary: int,
    has_end: bool,
    smoothing: Smoothing,
    amount: Array | float,
) -> NgramTables:
    """Tables of the weighted sequences.

    Args:
        x: Sequences of token numbers.
        weight: Weight of each sequence: 2 counts it twice, 0 leaves it out, whatever it holds.
        order: Tokens of the longest context.
        vocabulary: Number of tokens; it also stands for the start of a sequence.
        has_end: Whether token 0 ends a sequence.
        smoothing: Kind of smoothing.
        amount: The discount of Kneser-Ney, or what is added to every count by "add_k".
    """
    weights = jnp.where(contexts.present(x, has_end), weight[:, None], 0.0).reshape(-1)
    # Tokens without weight sort behind all others, and then belong to no context.
    absent = weights <= 0
    context = jnp.where(absent, vocabulary + 1, contexts.preceding(x, order, vocabulary).reshape(order, x.size))
    rows = _Rows(context, jnp.where(absent, vocabulary + 1, x.reshape(-1)), weights)
    levels = [
        _level(rows, length, vocabulary=vocabulary, is_longest=length == order, smoothing=smoothing, amount=amount)
        for length in lengths(order, smoothing)
    ]
    token, share, cumulative, backoff = (jnp.stack(part) for part in zip(*levels, strict=True))
    sorted_context = jnp.stack(jax.lax.sort(tuple(context), num_keys=order)) if order else context
    return NgramTables(sorted_context, token, share, cumulative, backoff, (~absent).sum(dtype=jnp.int32))


def _level(
    rows: _Rows, length: int, *, vocabulary: int, is_longest: bool, smoothing: Smoothing, amount: Array | float
) -> tuple[Array, Array, Array, Array]:
    """Token, share, cumulative share and backoff mass of one level."""
    continues = smoothing == "kneser_ney" and not is_longest
    keys = (*rows.context[:length], rows.token, *((rows.context[length],) if continues else ()))
    *keys, weight = jax.lax.sort((*keys, rows.weight), num_keys=len(keys))
    token, present = keys[length], weight > 0
    starts_context = _changes(keys[:length], token.shape[0])
    starts_token = starts_context | _changes([token], token.shape[0])
    if continues:
        # The number of different tokens before the n-gram; before the start of a sequence there is none.
        is_first = starts_token | _changes([keys[-1]], token.shape[0])
        different = jnp.where(is_first & present, 1.0, 0.0)
        weight = jnp.where(keys[length - 1] == vocabulary, weight, different) if length else different
    first = starts_token & present
    number = _totals(weight, starts_token)
    total = _totals(weight, starts_context)
    discounted = jnp.zeros_like(number)
    if smoothing == "kneser_ney":
        discounted = jnp.minimum(number, amount)
        normaliser, left = total, _totals(jnp.where(first, discounted, 0.0), starts_context)
    elif smoothing == "witten_bell":
        left = _totals(first.astype(weight.dtype), starts_context)
        normaliser = total + left
    else:
        left = jnp.full_like(total, amount * vocabulary if smoothing == "add_k" else 0.0)
        normaliser = total + left
    normaliser = jnp.where(normaliser > 0, normaliser, 1.0)
    share = (number - discounted) / normaliser
    return token, share, _sums_within(jnp.where(first, share, 0.0), starts_context), left / normaliser


def _changes(columns: list[Array] | tuple[Array, ...], n: int) -> Bool[Array, " rows"]:
    """Rows whose entries differ from those of the row before; the first row counts as different."""
    changed = jnp.arange(n) == 0
    for column in columns:
        changed = changed | (column != jnp.roll(column, 1))
    return changed


def _totals(values: Float[Array, " rows"], starts: Bool[Array, " rows"]) -> Float[Array, " rows"]:
    """For each row the sum over its segment."""
    segment = jnp.cumsum(starts, dtype=jnp.int32) - 1
    sums = jax.ops.segment_sum(values, segment, num_segments=len(values), indices_are_sorted=True)
    return sums[segment]


def _sums_within(values: Float[Array, " rows"], starts: Bool[Array, " rows"]) -> UInt32[Array, " rows"]:
    """Cumulative sums that begin anew with each segment, of values whose sum in a segment is at most 1, in `UNITS`.

    The sum over all rows wraps around, its differences inside a segment do not: they are as exact in a large table as in a
    small one, which float32 is not, and compile faster than a segmented scan.
    """
    units = jnp.round(values * UNITS).astype(jnp.uint32)
    sums = jnp.cumsum(units, dtype=jnp.uint32)
    rows = jnp.arange(len(values), dtype=jnp.int32)
    start = jax.lax.cummax(jnp.where(starts, rows, 0))
    return sums - (sums - units)[start]
