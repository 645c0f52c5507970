"""The pictures of lesson 15: what stands for what, masks, how sure a model is, words that never met, suspects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import heatmap, line_with_spread, to_numpy
from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY


def links(
    source: Sequence[str],
    target: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    *,
    marked: Sequence[tuple[int, int]] = (),
    title: str = "",
) -> Figure:
    """Two texts one above the other, and a line from each target token to the source token that it stands for.

    Args:
        pairs: (target, source), places of tokens; marked: those drawn in orange.
    """
    width = max(len(source), len(target))
    figure, axes = plt.subplots(figsize=(min(9.2, 1.0 + 0.62 * width), 2.1))
    xs, xt = (np.linspace(0, width - 1, len(texts)) for texts in (source, target))
    for t, s in pairs:
        color = COLORS["orange"] if (t, s) in marked else COLORS["blue"]
        axes.plot([xs[s], xt[t]], [0.82, 0.18], color=color, linewidth=2.4 if (t, s) in marked else 1.5)
    for texts, places, height in ((source, xs, 0.92), (target, xt, 0.08)):
        for text, place in zip(texts, places, strict=True):
            axes.annotate(drawable(text), (place, height), ha="center", va="center", fontsize=11)
    axes.set(xlim=(-0.7, width - 0.3), ylim=(-0.05, 1.05), title=title)
    axes.axis("off")
    return figure


def three_masks(matrices: Mapping[str, tuple[Any, Sequence[str], Sequence[str]]]) -> Figure:
    """Masks of different shapes side by side: light where a query may look. name → (mask, query names, key names)."""
    figure, panels = plt.subplots(1, len(matrices), figsize=(9.4, 3.3))
    for axes, (title, (mask, queries, keys)) in zip(panels, matrices.items(), strict=True):
        heatmap(to_numpy(mask), queries, keys, title=title, low=0, high=1, precision=0, axes=axes)
        axes.tick_params(axis="x", rotation=60)
    for axes in panels[1:]:
        axes.set_ylabel("")
    return figure


def confidence(probabilities: Any, ceiling: float) -> Figure:
    """How often the likeliest token has which probability; a dashed line where the smoothed targets have it."""
    figure, axes = plt.subplots(figsize=(6.8, 2.9))
    axes.hist(to_numpy(probabilities), bins=np.linspace(0, 1, 51), color=COLORS["blue"])
    axes.axvline(ceiling, color=COLORS["red"], linestyle="--", label=f"smoothed targets ask for {ceiling:.3f}")
    axes.set(xlabel="probability of the likeliest token", ylabel="steps", xlim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def score_by_penalty(hypotheses: Mapping[str, tuple[float, int]]) -> Figure:
    """The score log p / lengthᵃ of finished hypotheses, name → (log p, length), against a."""
    a = np.linspace(0, 1.5, 16)
    _, axes = plt.subplots(figsize=(6.4, 3.0))
    lines = {name: [total / length**power for power in a] for name, (total, length) in hypotheses.items()}
    return line_with_spread(a, lines, x_name="a", y_name="score: log p / length^a", axes=axes)


def met_together(counts: Any, rows: Sequence[str], columns: Sequence[str], held_out: Any) -> Figure:
    """How often each pair of words occurs in training; a cross where a pair was held out."""
    numbers = to_numpy(counts)
    figure, axes = plt.subplots(figsize=(8.6, 5.2))
    heatmap(numbers, rows, columns, row_name="adjective", column_name="thing", numbers=False,
            colorbar="training pairs with both", axes=axes)  # fmt: skip
    places = np.argwhere(np.asarray(held_out))
    axes.plot(places[:, 1], places[:, 0], "x", color=COLORS["orange"], markersize=5, markeredgewidth=1.6)
    axes.tick_params(axis="x", rotation=90)
    return figure


def by_group(
    shares: Mapping[str, Sequence[Sequence[float]]], names: Sequence[str], *, x_name: str, y_name: str
) -> Figure:
    """One line for each setting: its mean over seeds for each group, and a band from the smallest to the largest."""
    places = list(range(len(names)))
    figure = line_with_spread(places, shares, x_name=x_name, y_name=y_name)
    axes = figure.axes[0]
    axes.set_xticks(places, names)
    axes.set_ylim(-0.03, 1.05)
    return figure


def suspects(answers: Mapping[str, Mapping[str, bool]]) -> Figure:
    """A table of who passes which test: suspect → test → whether it holds."""
    tests = list(next(iter(answers.values())))
    figure, axes = plt.subplots(figsize=(7.6, 0.8 + 0.45 * len(answers)))
    passed = np.array([[answers[name][test] for test in tests] for name in answers], dtype=float)
    for (row, column), value in np.ndenumerate(passed):
        color = COLORS["green"] if value else COLORS["red"]
        axes.annotate("holds" if value else "BROKEN", (column, row), ha="center", va="center", color=color,
                      weight="normal" if value else "bold")  # fmt: skip
    axes.set_xticks(range(len(tests)), tests)
    axes.set_yticks(range(len(answers)), list(answers))
    axes.set(xlim=(-0.5, len(tests) - 0.5), ylim=(len(answers) - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_color(GREY)
    return figure
