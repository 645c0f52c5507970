"""Where a token's information can have come from, through all layers: attention rollout and attention flow.

Both see the network as pipes. A layer's pipe from a position to one below has the width that the heads give it on
average, and half of everything goes straight down the residual connection.

Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

MOST_PIPES = 60_000  # of one flow problem; there is one for each key
FULL = 1e-9  # a pipe with less room than this is full


def with_residual(weights: Float[NDArray, "heads query key"]) -> Float[NDArray, "query key"]:
    """½ · (mean over heads) + ½ · identity: what a layer passes on, with the residual connection. Rows add to 1.

    A query that may look nowhere passes on what it has.
    """
    mixed = weights.mean(axis=0) + np.eye(weights.shape[-1], dtype=weights.dtype)
    return mixed / mixed.sum(axis=-1, keepdims=True)


def attention_rollout(layers: Sequence[Float[NDArray, "_heads time time"]]) -> list[Float[NDArray, "time time"]]:
    """For each layer how much of each input token is in each position, if attention were all that mixed them.

    The layers' mixing matrices multiplied: R₁ = A₁, R_l = A_l R_{l−1}. Rows add to 1. Self-attention only: raises
    ValueError for matrices that are not square.
    """
    _check_square(layers)
    rolled: list[NDArray] = []
    for weights in layers:
        mixed = with_residual(weights)
        rolled.append(mixed @ rolled[-1] if rolled else mixed)
    return rolled


def attention_flow(layers: Sequence[Float[NDArray, "_heads time time"]], query: int) -> Float[NDArray, "time"]:
    """For each input token the most that can flow to it from position `query` of the last layer, all pipes used well.

    Unlike the product in `attention_rollout` a flow never passes a pipe twice: what many paths share counts once.
    Each key is a maximum-flow problem, so this is for short texts: raises ValueError above MOST_PIPES pipes, for
    matrices that are not square, and for a query outside the text.
    """
    _check_square(layers)
    time = layers[0].shape[-1]
    if not 0 <= query < time:
        raise ValueError(f"There is no position {query}: the text has positions 0 to {time - 1}.")
    if len(layers) * time**2 > MOST_PIPES:
        raise ValueError(
            f"Flow through {len(layers)} layers of {time} tokens has {len(layers) * time**2} pipes, and {MOST_PIPES} "
            "are the most that can be solved in reasonable time: take a shorter text, or attention_rollout."
        )
    pipes = np.stack([with_residual(weights.astype(np.float64)) for weights in reversed(layers)])  # the top one first
    return np.array([_largest_flow(pipes.copy(), query, key) for key in range(time)])


def _largest_flow(room: Float[NDArray, "layers time time"], query: int, key: int) -> float:
    """The largest flow from the top position `query` down to the bottom position `key`. Uses up `room`.

    Ford and Fulkerson's method: as long as there is a path with room, send along the widest one what fits. Flow that
    was sent may be sent back, which is what makes the greedy steps end in the largest flow.
    """
    sent = np.zeros_like(room)
    total = 0.0
    while True:
        width, came_from = _widest_paths(room, sent, query)
        amount = width[-1, key]
        if amount <= FULL:
            return total
        total += amount
        layer, position = len(room), key
        while (layer, position) != (0, query):
            before_layer, before = came_from[layer, position]
            if before_layer < layer:
                room[before_layer, before, position] -= amount
                sent[before_layer, before, position] += amount
            else:  # back up a pipe
                sent[layer, position, before] -= amount
                room[layer, position, before] += amount
            layer, position = int(before_layer), int(before)


def _widest_paths(
    room: Float[NDArray, "layers time time"], sent: Float[NDArray, "layers time time"], query: int
) -> tuple[NDArray, NDArray]:
    """For each position the width of the widest path from the top position `query`, and the position before it.

    Sweeps down and up over all layers until nothing gets wider.
    """
    layers, time, _ = room.shape
    width = np.zeros((layers + 1, time))
    width[0, query] = np.inf
    came_from = np.zeros((layers + 1, time, 2), dtype=int)

    def widen(into: int, source: int, capacity: NDArray) -> bool:
        """Try the paths that reach layer `into` from `source` through pipes of this capacity, (source, into)."""
        through = np.minimum(width[source][:, None], capacity)
        best = through.argmax(axis=0)
        widest = through[best, np.arange(time)]
        wider = widest > width[into] + FULL
        width[into, wider] = widest[wider]
        came_from[into, wider] = np.stack([np.full(time, source), best], axis=1)[wider]
        return bool(wider.any())

    changed = True
    while changed:
        changed = False
        for layer in range(layers):
            changed |= widen(layer + 1, layer, room[layer])
        for layer in reversed(range(layers)):
            changed |= widen(layer, layer + 1, sent[layer].T)
    return width, came_from


def _check_square(layers: Sequence[NDArray]) -> None:
    for weights in layers:
        if weights.shape[-1] != weights.shape[-2]:
            raise ValueError(
                f"Rollout and flow follow a text through its own layers, so weights must be (heads, time, time), but "
                f"these are {weights.shape}: cross-attention has no rollout."
            )
