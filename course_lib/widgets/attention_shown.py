"""What an attention explorer shows: one reading or two side by side, and all that is worked out from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.interpret.heads import layer_scores, repeats_of
from course_lib.interpret.reading import Reading, View
from course_lib.interpret.rollout import attention_rollout
from course_lib.widgets.attention_weights import (
    aligned,
    difference_atlas,
    problems_of,
    square_root_atlas,
    survey,
    thumbnail_step,
)

MEASURES = ("entropy", "distance", "previous", "first", "induction")


class Shown:
    """One reading, or two cut to the tokens that they share.

    Args:
        reading: what is shown, and the first side of a comparison.
        other: the second side.

    Attributes:
        views: side ("a", "b") → name → view, as shown.
        notes, problems: sentences that a reader of the picture must know.
        step: how many tokens one cell of a thumbnail stands for.

    Raises:
        ValueError: when the weights cannot be weights, or the two cannot be compared.
    """

    def __init__(self, reading: Reading, other: Reading | None = None) -> None:
        first, second, cut = (reading, None, []) if other is None else aligned(reading, other)
        views = {"a": dict(first.views), **({"b": dict(second.views)} if second else {})}
        step = thumbnail_step(list(first.views.values()))
        problems: list[str] = []
        atlases: dict[tuple[str, str], NDArray[np.uint8]] = {}
        for side, whole in (("a", reading), ("b", other)):
            for name, view in whole.views.items() if whole else ():
                found = survey(view, step)
                where = f"{name}: " if len(whole.views) > 1 else ""
                problems += [where + sentence for sentence in problems_of(view, found)]
                if view is views[side][name]:  # not cut
                    atlases[side, name] = square_root_atlas(found.blocks)
        reach = dict.fromkeys(views["a"], 1.0)
        for name, view in views.get("b", {}).items():
            atlases["difference", name], reach[name] = difference_atlas(views["a"][name], view, step)
        notes = [*reading.notes, *(other.notes if other else ()), *cut]
        self.reading, self.other, self.views, self.step = reading, other, views, step
        self.notes, self.problems = list(dict.fromkeys(notes)), list(dict.fromkeys(problems))
        # What takes a while to work out is kept until the next reading.
        self._atlases, self._reach = atlases, reach
        self._rolled: dict[tuple[str, str], list[NDArray[Any]]] = {}

    @property
    def sides(self) -> tuple[str, ...]:
        """What can be shown."""
        return ("a", "b", "difference") if self.other is not None else ("a",)

    def matrix(self, side: str, *, view: str, layer: int, head: int, combine: str, kind: str) -> NDArray[Any]:
        """(query, key) numbers of a side; of "difference" the second side's less the first's.

        Raises ValueError for scores or value norms that were not read.
        """
        choice = {"view": view, "layer": layer, "head": head, "combine": combine, "kind": kind}
        if side == "difference":
            with np.errstate(invalid="ignore"):  # two masked scores have no difference
                return self.matrix("b", **choice) - self.matrix("a", **choice)
        if combine == "rollout":
            return self.rollout(side, view)[layer]
        numbers = numbers_of(self.views[side][view], layer, kind)
        if combine == "mean":
            return numbers.mean(axis=0)
        if combine == "max":
            return numbers.max(axis=0)
        return numbers[head]

    def rollout(self, side: str, view: str) -> list[NDArray[Any]]:
        """Attention rollout up to each layer, computed once."""
        if (side, view) not in self._rolled:
            self._rolled[side, view] = attention_rollout(self.views[side][view].weights)
        return self._rolled[side, view]

    def described(self) -> list[dict[str, Any]]:
        """Each view's size, tokens and flags, as the page reads them."""
        return [self._described(name, view) for name, view in self.views["a"].items()]

    def _described(self, name: str, view: View) -> dict[str, Any]:
        _, queries, keys = view.weights[0].shape
        square = view.query_tokens == view.key_tokens
        norms = None if view.value_norms is None else float(view.value_norms.max())
        return {
            "name": name,
            "layers": view.n_layers,
            "heads": view.n_heads,
            "kv_heads": view.kv_heads,
            "queries": list(view.query_tokens),
            "keys": None if square else list(view.key_tokens),
            "query_special": list(np.flatnonzero(view.query_special).tolist()),
            "key_special": list(np.flatnonzero(view.key_special).tolist()),
            "query_words": None if len(set(view.query_words)) == queries else list(map(int, view.query_words)),
            "key_words": None if len(set(view.key_words)) == keys else list(map(int, view.key_words)),
            "causal": view.causal,
            "scores": view.scores is not None,
            "largest_norm": norms,
            "reach": self._reach[name],
            "thumbnail": [-(-queries // self.step), -(-keys // self.step)],
        }

    def atlas(self, shown: str) -> bytes:
        """The thumbnails of all views, one after the other."""
        return b"".join(self.view_atlas(shown, name).tobytes() for name in self.views["a"])

    def view_atlas(self, shown: str, view: str) -> NDArray[np.uint8]:
        """The thumbnails of one view: (layers, heads, rows, columns)."""
        if (shown, view) not in self._atlases:
            self._atlases[shown, view] = square_root_atlas(survey(self.views[shown][view], self.step).blocks)
        return self._atlases[shown, view]

    def measures(self, side: str, view: str, layer: int) -> NDArray[np.float32]:
        """(measures, heads) of one layer."""
        chosen = self.views[side][view]
        scores = layer_scores(chosen.weights[layer], repeats_of(chosen))
        return np.stack([getattr(scores, name) for name in MEASURES]).astype(np.float32)


def numbers_of(view: View, layer: int, kind: str) -> NDArray[Any]:
    """(heads, query, key) of one layer."""
    if kind == "scores":
        if view.scores is None:
            raise ValueError("This explorer has no raw scores: they come with from_model, or as scores=….")
        return view.scores[layer]
    if kind == "values":
        if view.value_norms is None:
            raise ValueError("This explorer has no value norms: they come with from_model.")
        return view.weights[layer] * view.value_norms[layer][:, None, :]
    return view.weights[layer]


def count_tokens(view: View) -> str:
    """How many tokens, or how many queries and keys, in words."""
    _, queries, keys = view.weights[0].shape
    return counted(queries, "token") if queries == keys else f"{queries} × {keys} tokens"


def counted(number: int, noun: str) -> str:
    """So many of something: "1 layer", "2 layers"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
