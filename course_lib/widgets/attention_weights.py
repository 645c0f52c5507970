"""What the attention explorer needs of a reading before it is drawn: checks, thumbnails, float16, differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from course_lib.interpret.reading import Predictions, Reading, View
from course_lib.interpret.token_text import words_of

THUMBNAIL = 48  # cells along one side of a thumbnail at most
ATLAS_BYTES = 420_000  # all thumbnails of all views together; more heads get smaller thumbnails
NOT_A_NUMBER = 255  # the byte of a thumbnail's cell that stands for a NaN
OFF = 0.02  # a row may differ from 1 by this much before it is marked: bfloat16 rounds that coarsely
LARGEST_HALF = 65504.0
SIGNED_ZERO = 127  # the byte of a difference of zero; 127 · √|difference| above or below it


def reading_of_arrays(
    attentions: Sequence[Any],
    tokens: Sequence[str],
    key_tokens: Sequence[str] | None = None,
    scores: Sequence[Any] | None = None,
) -> Reading:
    """A reading of attention weights that some model gave, one (heads, query, key) or (1, heads, query, key) a layer.

    Raises ValueError when the shapes do not fit each other or the tokens, or when there are no weights.
    """
    weights = checked_layers(attentions, "weights")
    query_tokens = tuple(str(token) for token in tokens)
    keys = query_tokens if key_tokens is None else tuple(str(token) for token in key_tokens)
    check_counts(weights[0].shape, query_tokens, keys)
    raw = None if scores is None else checked_layers(scores, "scores")
    if raw is not None and [layer.shape for layer in raw] != [layer.shape for layer in weights]:
        raise ValueError(
            f"The scores have shapes {shapes_of(raw)} and the weights {shapes_of(weights)}: they should be the same."
        )
    words = words_of(query_tokens)
    view = View(
        weights=weights,
        query_tokens=query_tokens,
        key_tokens=keys,
        scores=raw,
        query_words=words,
        key_words=words if keys is query_tokens else words_of(keys),
        causal=looks_causal(weights),
    )
    return Reading(views={"self" if key_tokens is None else "cross": view}, text="".join(query_tokens))


def checked_layers(layers: Sequence[Any], name: str) -> tuple[NDArray[np.floating[Any]], ...]:
    """Each layer as (heads, query, key) in float32, or a ValueError that says what does not fit."""
    if layers is None or len(layers) == 0 or any(layer is None for layer in layers):
        raise ValueError(
            f"There are no attention {name}. Ask the model for them: return_attentions=True in course_lib, "
            'output_attentions=True in transformers, with a model loaded with attn_implementation="eager".'
        )
    arrays = tuple(one_text(as_array(layer), number) for number, layer in enumerate(layers))
    if len({layer.shape for layer in arrays}) > 1:
        raise ValueError(f"All layers must have the same shape (heads, query, key), but there are {shapes_of(arrays)}.")
    return arrays


def shapes_of(layers: Sequence[NDArray[np.floating[Any]]]) -> str:
    """The shapes that occur, each once, in the order of the layers."""
    return ", ".join(map(str, dict.fromkeys(layer.shape for layer in layers)))


def as_array(values: Any) -> NDArray[np.floating[Any]]:
    """Numbers as float32, without a copy where they are that already: from lists, arrays, or tensors anywhere."""
    if hasattr(values, "detach"):  # a torch tensor; torch itself need not be imported to say so
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=np.float32)


def one_text(layer: NDArray[np.floating[Any]], number: int) -> NDArray[np.floating[Any]]:
    """(heads, query, key) from that or from (1, heads, query, key)."""
    if layer.ndim == 4 and layer.shape[0] != 1:
        raise ValueError(
            f"Layer {number} holds {layer.shape[0]} texts: pick one, for example [layer[:1] for layer in attentions]."
        )
    layer = layer[0] if layer.ndim == 4 else layer
    if layer.ndim != 3 or 0 in layer.shape:
        raise ValueError(f"Layer {number} has the shape {layer.shape}; it should be (heads, query, key).")
    return layer


def check_counts(shape: tuple[int, ...], query_tokens: Sequence[str], key_tokens: Sequence[str]) -> None:
    """Raise ValueError unless there is one token for each query and each key."""
    _, queries, keys = shape
    if (queries, keys) == (len(query_tokens), len(key_tokens)):
        return
    if query_tokens is key_tokens:
        hint = " For cross-attention give the keys' tokens as key_tokens." if queries != keys else ""
        raise ValueError(
            f"The weights are for {queries} queries and {keys} keys, but there are {len(query_tokens)} tokens.{hint}"
        )
    raise ValueError(
        f"The weights are for {queries} queries and {keys} keys, but there are {len(query_tokens)} tokens and "
        f"{len(key_tokens)} key tokens."
    )


def looks_causal(layers: Sequence[NDArray[np.floating[Any]]]) -> bool:
    """Whether no query looks at a later key, in any head of the first and the last layer, and some could."""
    _, queries, keys = layers[0].shape
    if queries != keys or queries == 1:
        return False
    return all(
        not layer[:, query, query + 1 :].any()
        for layer in layers[:: max(1, len(layers) - 1)]
        for query in range(queries - 1)
    )


def is_off(sums: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Where a row adds to neither 1 nor 0 (a query that may look nowhere)."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(sums) & (np.abs(sums - 1) > OFF) & (np.abs(sums) > 1e-6)


class Survey(NamedTuple):
    """What one pass over a view's weights finds.

    Attributes:
        sums: (layers, heads, query), what each row adds to.
        lowest: the smallest weight; NaN does not count.
        blocks: (layers, heads, rows, columns), the largest weight of each block of tokens.
    """

    sums: NDArray[np.floating[Any]]
    lowest: float
    blocks: NDArray[np.floating[Any]]


def survey(view: View, step: int) -> Survey:
    """Sums, smallest and largest weights, head by head: a head is read from memory once, then from the cache."""
    sums, blocks, lowest = [], [], math.inf
    for layer in view.weights:
        for head in layer:
            sums.append(head.sum(axis=-1))
            least = float(head.min())
            lowest = min(lowest, least if not math.isnan(least) else float(np.nanmin(head, initial=math.inf)))
            blocks.append(largest_of_blocks(head, step))
    shape = (view.n_layers, view.n_heads)
    all_sums, all_blocks = (np.stack(found).reshape(*shape, *found[0].shape) for found in (sums, blocks))
    return Survey(all_sums, lowest, all_blocks)


def problems_of(view: View, found_in: Survey) -> list[str]:
    """What is wrong with the weights, one sentence for each kind, with the first place where it happens.

    Raises ValueError for numbers that cannot be weights at all: none is a number, or they are raw scores.
    """
    sums, lowest = found_in.sums, found_in.lowest
    off, broken = is_off(sums), ~np.isfinite(sums)
    if broken.all():
        raise ValueError("No row of these weights is made of numbers: they are all NaN or infinite.")
    if lowest < -OFF and off.mean() > 0.5:
        layer, head, query = np.argwhere(off)[0]
        raise ValueError(
            f"Row {query} of layer {layer}, head {head} adds to {sums[layer, head, query]:.3f} and the smallest entry "
            f"is {lowest:.3f}; weights are not negative and add to 1. Are these raw scores? Take their softmax."
        )
    found = []
    if broken.any():
        count = sum(int((~np.isfinite(layer)).sum()) for layer in view.weights)
        verb = "weight is not a number" if count == 1 else "weights are not numbers"
        found.append(f"{count} {verb} (NaN or infinite), first in {place(broken)}; they are drawn in grey.")
    if off.any():
        layer, head, query = np.argwhere(off)[0]
        verb = "row does not add to 1" if off.sum() == 1 else "rows do not add to 1"
        found.append(f"{off.sum()} {verb}: {place(off)} adds to {sums[layer, head, query]:.3f}.")
    if lowest < -OFF:
        found.append(f"Some weights are negative; the smallest is {lowest:.3f}.")
    return found


def place(where: NDArray[np.bool_]) -> str:
    """The first place that is True, in words."""
    layer, head, query = np.argwhere(where)[0]
    return f"layer {layer}, head {head}, row {query}"


def thumbnail_step(views: Sequence[View]) -> int:
    """How many tokens one cell of a thumbnail stands for, so that all thumbnails fit into the budget."""
    sizes = [(view.n_layers * view.n_heads, *view.weights[0].shape[1:]) for view in views]
    longest = max(max(queries, keys) for _, queries, keys in sizes)
    step = max(1, math.ceil(longest / THUMBNAIL))
    while sum(n * math.ceil(q / step) * math.ceil(k / step) for n, q, k in sizes) > ATLAS_BYTES:
        step += 1
    return step


def largest_of_blocks(matrix: NDArray[np.floating[Any]], step: int) -> NDArray[np.floating[Any]]:
    """(…, query, key) → (…, ⌈query / step⌉, ⌈key / step⌉): the largest number of each block; NaN wins."""
    if step == 1:
        return matrix
    *heads, queries, keys = matrix.shape
    whole = queries // step * step
    # Rows first: that reads memory in order, and leaves little for the second, slower pass.
    rows = matrix[..., :whole, :].reshape(*heads, whole // step, step, keys).max(axis=-2)
    if whole < queries:
        rows = np.concatenate([rows, matrix[..., whole:, :].max(axis=-2, keepdims=True)], axis=-2)
    return np.maximum.reduceat(rows, np.arange(0, keys, step), axis=-1)


def square_root_atlas(blocks: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Thumbnails (layers, heads, rows, columns) of the blocks of a survey: 254 · √(largest weight).

    The square root keeps small weights visible: in a row of 200 tokens a linear scale rounds nearly all to 0. The
    byte 255 stands for a NaN.
    """
    with np.errstate(invalid="ignore"):
        levels = np.round(254 * np.sqrt(np.clip(blocks, 0, 1)))
    return np.where(np.isfinite(blocks), levels, NOT_A_NUMBER).astype(np.uint8)


def difference_atlas(first: View, second: View, step: int) -> tuple[NDArray[np.uint8], float]:
    """Thumbnails of second − first, and the largest difference of all, r.

    A cell is 127 + 127 · sign · √(|difference| / r), of the largest difference in its block; 255 is NaN.
    """
    layers = []
    for before, after in zip(first.weights, second.weights, strict=True):
        change = after - before
        up, down = largest_of_blocks(change, step), largest_of_blocks(-change, step)
        layers.append(np.where(up >= down, up, -down))
    extreme = np.stack(layers)
    reach = float(np.abs(np.where(np.isfinite(extreme), extreme, 0)).max()) or 1.0
    levels = SIGNED_ZERO + np.round(127 * np.sign(extreme) * np.sqrt(np.abs(extreme) / reach))
    return np.where(np.isfinite(levels), levels, NOT_A_NUMBER).astype(np.uint8), reach


def half_precision(matrix: NDArray[Any]) -> bytes:
    """Little-endian float16; finite numbers stay finite."""
    limited = np.where(np.isfinite(matrix), np.clip(matrix, -LARGEST_HALF, LARGEST_HALF), matrix)
    return limited.astype("<f2").tobytes()


def aligned(first: Reading, second: Reading) -> tuple[Reading, Reading, list[str]]:
    """Both readings cut to the tokens that they share, in order, and sentences that say what was left out.

    Raises ValueError when they differ in views, layers or heads, or share no token.
    """
    if list(first.views) != list(second.views):
        raise ValueError(
            f"One model has the views {', '.join(first.views)}, the other {', '.join(second.views)}: these cannot be "
            "compared head by head."
        )
    notes: list[str] = []
    cut: tuple[dict[str, View], dict[str, View]] = ({}, {})
    for name, before in first.views.items():
        after = second.views[name]
        sizes = [(view.n_layers, view.n_heads) for view in (before, after)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"One model has {sizes[0][0]} layers of {sizes[0][1]} heads, the other {sizes[1][0]} of "
                f"{sizes[1][1]}: a difference needs the same number of layers and heads."
            )
        queries = common(before.query_tokens, after.query_tokens)
        keys = common(before.key_tokens, after.key_tokens)
        if not queries or not keys:
            raise ValueError("The two texts share no token, so there is no difference to show.")
        cut[0][name] = restricted(before, [i for i, _ in queries], [i for i, _ in keys])
        cut[1][name] = restricted(after, [j for _, j in queries], [j for _, j in keys])
        if len(keys) < max(len(before.key_tokens), len(after.key_tokens)):
            notes.append(
                f"Compared on the {len(keys)} tokens that both texts share, in order (A has {len(before.key_tokens)}, "
                f"B {len(after.key_tokens)}); the rows are not renormalised."
            )
    return replace(first, views=cut[0]), replace(second, views=cut[1]), list(dict.fromkeys(notes))


def common(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of positions of a longest run of tokens that both texts have, in order."""
    if tuple(first) == tuple(second):
        return [(place, place) for place in range(len(first))]
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]


def restricted(view: View, queries: list[int], keys: list[int]) -> View:
    """The view of these queries and keys only."""
    if len(queries) == len(view.query_tokens) and len(keys) == len(view.key_tokens):
        return view
    cells = np.ix_(range(view.n_heads), queries, keys)

    def pick(values: Sequence[Any], places: list[int]) -> tuple[Any, ...]:
        return tuple(values[place] for place in places)

    return replace(
        view,
        weights=tuple(layer[cells] for layer in view.weights),
        scores=None if view.scores is None else tuple(layer[cells] for layer in view.scores),
        query_tokens=pick(view.query_tokens, queries),
        key_tokens=pick(view.key_tokens, keys),
        query_special=pick(view.query_special, queries),
        key_special=pick(view.key_special, keys),
        query_words=pick(view.query_words, queries),
        key_words=pick(view.key_words, keys),
        value_norms=None if view.value_norms is None else view.value_norms[:, :, keys],
    )


def prediction_rows(
    before: Predictions, after: Predictions | None, read: Sequence[str], most: int = 8
) -> list[dict[str, Any]]:
    """For each place where something is predicted: the likeliest tokens, before and after, and KL(before ‖ after).

    `read` are the tokens that were read. At most three places. A place's tokens are the likeliest of either, so that a
    new favourite shows too.
    """
    rows = []
    same = after is not None and after.probabilities.shape == before.probabilities.shape
    divergences = before.kl_divergence(after) if same else None
    for row, position in list(enumerate(before.positions))[:3]:
        p = before.probabilities[row]
        q = after.probabilities[row] if same else None
        order = np.argsort(-(p if q is None else np.maximum(p, q)), kind="stable")[:most]
        rows.append(
            {
                "kind": before.kind,
                "position": int(position),
                "token": read[position],
                "tokens": [str(before.tokens[int(index)]) for index in order],
                "before": [float(p[index]) for index in order],
                "after": None if q is None else [float(q[index]) for index in order],
                "kl": None if divergences is None else float(divergences[row]),
            }
        )
    return rows
