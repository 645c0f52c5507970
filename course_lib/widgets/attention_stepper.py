"""Attention step by step: scores, scale, mask, softmax, sum, with every number on the screen and open to change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from course_lib import plots
from course_lib.nn.attention import causal_mask, check_mask
from course_lib.widgets.base import CourseWidget

MOST_TOKENS = 8
MOST_FEATURES = 8
DIVISORS = ("√d_head", "1", "d_head")
AXES = ("keys", "queries")
Rows = list[list[float]]


class AttentionStepper(CourseWidget):
    """The five steps of attention on a few tokens, each as a table of numbers.

    Edit a number of query, key or value and every step follows. Click on a number of a step, or move there with the
    arrow keys, and its arithmetic is written out. In the third step a click (or the space bar) opens or closes a
    place of the mask. What is edited comes back to Python: `.query`, `.key`, `.value`, `.allowed`, `.steps()`.

    Args:
        query, key: (tokens, d_head) numbers: lists, arrays or tensors.
        value: (tokens, d_value) numbers.
        tokens: the tokens' texts.
        mask: None, "causal", or (tokens, tokens) booleans, True where a query may look.
        divide_by: "√d_head", or "1" or "d_head" to see what they do.
        softmax_over: "keys", or "queries" to see the mistake.

    Raises:
        ValueError: when shapes do not fit each other, there are more than 8 tokens or features, or an option is
            not known.
    """

    label = "Attention, step by step"
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query = traitlets.List().tag(sync=True)
    key = traitlets.List().tag(sync=True)
    value = traitlets.List().tag(sync=True)
    allowed = traitlets.List().tag(sync=True)
    divide_by = traitlets.Enum(DIVISORS, "√d_head").tag(sync=True)
    softmax_over = traitlets.Enum(AXES, "keys").tag(sync=True)

    def __init__(
        self,
        query: Any,
        key: Any,
        value: Any,
        tokens: Sequence[str],
        mask: Any = None,
        divide_by: str = "√d_head",
        softmax_over: str = "keys",
    ) -> None:
        parts = {"query": _rows(query, "query"), "key": _rows(key, "key"), "value": _rows(value, "value")}
        count = len(tokens)
        for name, rows in parts.items():
            if len(rows) != count:
                raise ValueError(f"{name} has {len(rows)} rows, but there are {count} tokens.")
            if not 1 <= len(rows[0]) <= MOST_FEATURES:
                raise ValueError(f"{name} has {len(rows[0])} features; this view shows 1 to {MOST_FEATURES}.")
        if count > MOST_TOKENS:
            raise ValueError(f"There are {count} tokens; this view shows at most {MOST_TOKENS}.")
        if len(parts["query"][0]) != len(parts["key"][0]):
            raise ValueError(
                f"A query has {len(parts['query'][0])} features and a key {len(parts['key'][0])}: their dot product "
                "needs the same number."
            )
        for name, given, known in (("divide_by", divide_by, DIVISORS), ("softmax_over", softmax_over, AXES)):
            if given not in known:
                raise ValueError(f"{name}={given!r} is not one of {', '.join(map(repr, known))}.")
        super().__init__(
            **parts,
            tokens=[str(token) for token in tokens],
            allowed=_allowed(mask, count),
            divide_by=divide_by,
            softmax_over=softmax_over,
        )

    def steps(self) -> dict[str, Tensor]:
        """The numbers of the five steps as they stand: scores, scaled, masked, weights, output."""
        query, key, value = (torch.tensor(rows, dtype=torch.float32) for rows in (self.query, self.key, self.value))
        allowed = torch.tensor(self.allowed)
        scores = query @ key.T  # (query, key)
        divisor = {"1": 1.0, "√d_head": math.sqrt(query.shape[-1]), "d_head": float(query.shape[-1])}[self.divide_by]
        scaled = scores / divisor
        masked = scaled.masked_fill(~allowed, -math.inf)
        weights = masked.softmax(dim=-1 if self.softmax_over == "keys" else -2).masked_fill(~allowed, 0.0)
        return {"scores": scores, "scaled": scaled, "masked": masked, "weights": weights, "output": weights @ value}

    def describe(self) -> str:
        """The tokens and the options."""
        closed = sum(not place for row in self.allowed for place in row)
        return (
            f"AttentionStepper({' '.join(self.tokens)!r}, d_head {len(self.query[0])}, divided by {self.divide_by}, "
            f"{closed} of {len(self.tokens) ** 2} places closed, softmax over the {self.softmax_over})"
        )

    def _in_words(self, steps: dict[str, Tensor]) -> str:
        """The arithmetic of one weight, the one with the largest open score, in four lines."""
        query, key = divmod(int(steps["masked"].argmax()), len(self.tokens))
        score, scaled, weight = (float(steps[step][query, key]) for step in ("scores", "scaled", "weights"))
        return (
            f"“{self.tokens[query]}” looks at “{self.tokens[key]}”:\nscore q·k = {score:.2f}\n"
            f"÷ {self.divide_by} = {scaled:.2f}\nafter mask and softmax: {weight:.2f}"
        ).replace("-", "−")

    def static_picture(self) -> tuple[Figure, str]:
        """Query, key and value above; the five steps below, from left to right."""
        steps, names, count = self.steps(), self.tokens, len(self.tokens)
        cell, wide = 0.46, len(self.query[0])
        top = {"query": self.query, "key": self.key, "value": self.value}
        titles = ["1 scores", f"2 ÷ {self.divide_by}", "3 mask", "4 softmax", "5 output"]
        height = 2 * (cell * count + 1.05)
        figure = Figure(figsize=(min(10.5, cell * (4 * count + len(self.value[0])) + 3.4), height))
        above, below = figure.add_gridspec(2, 1)
        ratios = [wide, wide, len(self.value[0]), max(0.1, 2.2 * count - wide)]
        panels = above.subgridspec(1, 4, width_ratios=ratios).subplots()
        for axes, (title, rows) in zip(panels, top.items(), strict=False):
            plots.heatmap(rows, names, None, row_name="", column_name="feature", title=title, diverging=True,
                          precision=1, axes=axes)  # fmt: skip
        panels[3].axis("off")
        panels[3].text(0.1, 0.5, plots.drawable(self._in_words(steps)), transform=panels[3].transAxes, va="center")
        panels = below.subgridspec(1, 5, width_ratios=[count] * 4 + [len(self.value[0])]).subplots()
        for axes, title, (step, rows) in zip(panels, titles, steps.items(), strict=True):
            output, weights = step == "output", step == "weights"
            columns = None if output else names
            plots.heatmap(rows, names, columns, row_name="query" if step == "scores" else "", title=title,
                          column_name="feature" if output else "key", diverging=not weights,
                          low=0 if weights else None, high=1 if weights else None, axes=axes)  # fmt: skip
        query, key = divmod(int(steps["weights"].argmax()), count)
        return figure, (
            f"Attention on the tokens {', '.join(names)}: tables of query, key and value, then scores, scaled scores, "
            f"masked scores, weights and output. The largest weight is {steps['weights'].max():.2f}: {names[query]} "
            f"looking at {names[key]}."
        )


def _rows(numbers: Any, name: str) -> Rows:
    """A matrix as lists of floats, or a ValueError that says what is wrong with it."""
    matrix = plots.to_numpy(numbers)
    if matrix.ndim != 2:
        raise ValueError(f"{name} needs two axes, (tokens, features), but has shape {matrix.shape}.")
    return matrix.tolist()


def _allowed(mask: Any, count: int) -> list[list[bool]]:
    """The mask as lists: everything open for None, the lower triangle for "causal"."""
    if mask is None:
        mask = torch.ones(count, count, dtype=torch.bool)
    elif isinstance(mask, str):
        if mask != "causal":
            raise ValueError(f'mask={mask!r} is not known: give None, "causal", or a table of booleans.')
        mask = causal_mask(count)
    mask = torch.as_tensor(mask)
    check_mask(mask, torch.Size((count, count)))
    return mask.expand(count, count).tolist()
