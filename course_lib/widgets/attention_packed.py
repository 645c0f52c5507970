"""All numbers of an explorer in one block of bytes, for a page without a kernel; `attention_explorer_page.js` reads it.

Every matrix is a stream of its own (zlib), so that a page unpacks the heads that it shows. It holds float16 as long as
that fits; else each row as steps of its square roots and the sum that the row had.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.widgets.attention_shown import Shown
from course_lib.widgets.attention_weights import NOT_A_NUMBER, half_precision

STEPS = (254, 127, 63)  # of the square roots from 0 to 1: the finest that fit are taken
LEAST = 0.4  # what compression leaves of float16 weights at best; half of a causal map is zeros
Encode = Callable[[NDArray[Any]], bytes]


class TooLargeError(ValueError):
    """The numbers do not fit into the block."""


class Block:
    """Bytes one after the other, at most so many."""

    def __init__(self, most: int) -> None:
        self.most, self.length, self.parts = most, 0, list[bytes]()

    def put(self, data: bytes) -> list[int]:
        """Where the bytes begin, and how many they are. Raises TooLargeError when they do not fit."""
        if self.length + len(data) > self.most:
            raise TooLargeError
        self.parts.append(data)
        self.length += len(data)
        return [self.length - len(data), len(data)]

    def put_all(self, matrices: Iterable[NDArray[Any]], encode: Encode) -> list[list[int]]:
        """The same for each of some matrices, compressed."""
        return [self.put(zlib.compress(encode(matrix), 5)) for matrix in matrices]


def pack(shown: Shown, most: int) -> tuple[bytes, dict[str, Any], list[str]]:
    """The block, where everything in it begins and ends, and sentences about what had to be left out.

    The places are {side: {view: {"weights": [layer · heads + head], "scores" and "rollout" where there are some,
    "norms", "measures"}}, "atlases": {side: …}, "steps": how many, or 0 for float16}, each place [start, length]; norms
    and measures are of all layers.

    Raises:
        ValueError: when even the rounded weights take more than `most` bytes.
    """
    count = sum(layer.size for side in shown.views.values() for view in side.values() for layer in view.weights)
    ways = [0] * (2 * LEAST * count <= most) + [*STEPS]
    for steps in ways:
        block = Block(most)
        try:
            places = put_weights(block, shown, partial(rounded_rows, steps=steps) if steps else half_precision)
        except TooLargeError:
            continue
        notes = [ROUNDED.format(1 / steps)] if steps else []
        if any(view.scores is not None for side in shown.views.values() for view in side.values()):
            notes += put_scores(block, shown, places)
        return b"".join(block.parts), {**places, "steps": steps}, notes
    longest = max(len(view.key_tokens) for view in shown.views["a"].values())
    raise ValueError(
        f"These are {count / 1e6:,.0f} million weights; rounded and compressed they still take more than the "
        f"{most / 1e6:.0f} MB that a page should hold: show fewer layers or a shorter text than {longest} tokens."
    )


ROUNDED = "So that this page stays small, its weights are rounded: a number here is right to about {:.3f}."
NO_SCORES = "The raw scores are left out: with them this page would be too large."


def put_weights(block: Block, shown: Shown, encode: Encode) -> dict[str, Any]:
    """Weights, rollout, norms, measures and thumbnails."""
    places: dict[str, Any] = {"atlases": {side: block.put(shown.atlas(side)) for side in shown.sides}}
    for side, views in shown.views.items():
        places[side] = {}
        for name, view in views.items():
            here = places[side][name] = {}
            measured = [shown.measures(side, name, layer) for layer in range(view.n_layers)]
            here["measures"] = block.put(np.stack(measured).astype("<f4").tobytes())
            if view.value_norms is not None:
                here["norms"] = block.put(view.value_norms.astype("<f4").tobytes())
            here["weights"] = block.put_all((head for layer in view.weights for head in layer), encode)
            if view.query_tokens == view.key_tokens:
                here["rollout"] = block.put_all(shown.rollout(side, name), encode)
    return places


def put_scores(block: Block, shown: Shown, places: dict[str, Any]) -> list[str]:
    """The raw scores in float16, all of them or none; a sentence when there was no room."""
    before = len(block.parts)
    try:
        found = {
            (side, name): block.put_all((head for layer in view.scores for head in layer), half_precision)
            for side, views in shown.views.items()
            for name, view in views.items()
            if view.scores is not None
        }
    except TooLargeError:
        del block.parts[before:]
        return [NO_SCORES]
    for (side, name), put in found.items():
        places[side][name]["scores"] = put
    return []


def rounded_rows(matrix: NDArray[Any], steps: int) -> bytes:
    """(query, key) uint8, steps · √weight (255 is NaN), then a float32 for each row: what it adds to.

    The page scales each row so that it adds to that again, which makes the most of the steps.
    """
    with np.errstate(invalid="ignore"):
        levels = np.round(steps * np.sqrt(np.clip(matrix, 0, 1)))
    bytes_ = np.where(np.isfinite(levels), levels, NOT_A_NUMBER).astype(np.uint8)
    return bytes_.tobytes() + matrix.sum(axis=-1, dtype=np.float64).astype("<f4").tobytes()
