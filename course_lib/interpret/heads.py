"""What a head does, in one number each: how wide it looks, how far back, and which simple rule it follows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from course_lib.interpret.reading import View

SINK = 0.3  # of the weight of an average query: a key that gets more is a sink


class HeadScores(NamedTuple):
    """One number for each head; (layers, heads) for a view, (heads,) for a layer.

    Attributes:
        entropy: of a query's weights in nats, mean over queries: e^entropy is to how many keys it looks in effect.
        distance: |query − key| under the weights, mean over queries, in tokens.
        previous: mean weight on the token before the query.
        first: mean weight on the first token, over the queries after it.
        duplicate: mean weight on earlier tokens like the query, over the queries that have one.
        induction: mean weight on the tokens that came right after earlier tokens like the query, over those queries.

    What does not exist is NaN: distance and the rules in cross-attention, where queries and keys are different texts;
    the last two in a text in which no token comes twice.

    Sources: Voita et al. 2019 and Clark et al. 2019 (previous, first); Olsson et al. 2022 (induction).
    """

    entropy: Float[NDArray, "..."]
    distance: Float[NDArray, "..."]
    previous: Float[NDArray, "..."]
    first: Float[NDArray, "..."]
    duplicate: Float[NDArray, "..."]
    induction: Float[NDArray, "..."]


def head_scores(view: View) -> HeadScores:
    """The scores of every head of a view, (layers, heads)."""
    repeats = repeats_of(view)
    layers = [layer_scores(weights, repeats) for weights in view.weights]
    return HeadScores(*(np.stack(scores) for scores in zip(*layers, strict=True)))


class Repeats(NamedTuple):
    """Where a text repeats itself.

    Attributes:
        duplicate: True where the key is an earlier token like the query.
        induction: True where the key is the token right after one of those, and earlier than the query.
    """

    duplicate: Bool[NDArray, "query key"]
    induction: Bool[NDArray, "query key"]


def repeats_of(view: View) -> Repeats | None:
    """Where the text of a self-attention repeats itself, special tokens left out; None for cross-attention."""
    if not is_self_attention(view):
        return None
    _, numbers = np.unique(np.array(view.query_tokens, dtype=object), return_inverse=True)
    text = ~np.array(view.query_special, dtype=bool)
    same = (numbers[:, None] == numbers[None, :]) & text[:, None] & text[None, :]
    duplicate = np.tril(same, -1)
    induction = np.zeros_like(duplicate)
    induction[:, 1:] = duplicate[:, :-1]
    return Repeats(duplicate, np.tril(induction, -1))


def is_self_attention(view: View) -> bool:
    """Whether queries and keys are the same tokens."""
    return view.query_tokens == view.key_tokens


def layer_scores(weights: Float[NDArray, "heads query key"], repeats: Repeats | None) -> HeadScores:
    """The scores of the heads of one layer; `repeats` of the text comes from `repeats_of`."""
    heads, n_query, _ = weights.shape
    unknown = np.full(heads, np.nan, dtype=np.float32)
    entropy = entropies(weights).mean(axis=1)
    if repeats is None:
        return HeadScores(entropy, unknown, unknown, unknown, unknown, unknown)
    position = np.arange(n_query, dtype=np.float32)
    away = np.abs(position[:, None] - position[None, :])
    distance = (weights.reshape(heads, -1) @ away.ravel()) / n_query
    if n_query == 1:
        return HeadScores(entropy, distance, unknown, unknown, unknown, unknown)
    return HeadScores(
        entropy=entropy,
        distance=distance,
        previous=np.diagonal(weights, -1, axis1=1, axis2=2).mean(axis=1),
        first=weights[:, 1:, 0].mean(axis=1),
        duplicate=_mean_on(weights, repeats.duplicate),
        induction=_mean_on(weights, repeats.induction),
    )


def entropies(weights: Float[NDArray, "*batch query key"]) -> Float[NDArray, "*batch query"]:
    """−Σ w log w of each row, in nats: 0 for one key, log n for n equal ones."""
    smallest = np.finfo(weights.dtype).tiny  # 0 · log 0 is 0
    heads = weights.reshape(-1, *weights.shape[-2:])  # one after the other they stay in the processor's cache
    found = [-np.einsum("qk,qk->q", head, np.log(np.maximum(head, smallest))) for head in heads]
    return np.stack(found).reshape(weights.shape[:-1])


def _mean_on(weights: Float[NDArray, "heads query key"], places: Bool[NDArray, "query key"]) -> Float[NDArray, "heads"]:
    """The weight on some places of each row, mean over the rows that have such a place; NaN where none has."""
    query, key = np.nonzero(places)
    if not len(query):
        return np.full(len(weights), np.nan, dtype=np.float32)
    return weights[:, query, key].sum(axis=1) / len(np.unique(query))


def sinks(view: View, layer: int, threshold: float = SINK) -> Bool[NDArray, "heads key"]:
    """Which keys are sinks: the other queries give them more than `threshold` of their weight on average.

    Only queries that may look at the key count, and it must be a quarter of all queries at least: under a causal
    mask the last keys are seen by a few queries only, which is no pattern yet.

    Sources: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks"; the threshold is that of
    Gu et al. 2024, "When Attention Sink Emerges in Language Models".
    """
    weights = view.weights[layer]
    n_query, n_key = weights.shape[1:]
    others = np.ones((n_query, n_key), dtype=np.float32)
    if is_self_attention(view):
        np.fill_diagonal(others, 0)
        if view.causal:
            others = np.tril(others)
    lookers = others.sum(axis=0)
    received = np.einsum("hqk,qk->hk", weights, others) / np.maximum(lookers, 1)
    return (received > threshold) & (lookers >= max(1, n_query / 4))


def value_weighted(
    weights: Float[NDArray, "heads query key"], value_norms: Float[NDArray, "heads key"]
) -> Float[NDArray, "heads query key"]:
    """‖w · v W_O‖ = w · ‖v W_O‖: the length of what each key adds to each query's stream.

    A large weight on a key whose vector is almost nothing does almost nothing: sinks are often of this kind. The
    rows do not add to 1; `value_norms` is a layer's row of `View.value_norms`.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms".
    """
    return weights * value_norms[:, None, :]
