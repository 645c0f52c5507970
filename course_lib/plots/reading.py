"""The pictures of lesson 16: scores of heads, what patches bring back, the lens, and rankings held to the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import heatmap, to_numpy
from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY, HEATMAP


def by_token(tokens: Sequence[str], panels: Mapping[str, Any]) -> Figure:
    """Panels below each other, a bar for each token of one text in each; the first panel has the tokens' names too.

    Args:
        tokens: the texts of the tokens.
        panels: what is measured, with its unit → a value for each token.
    """
    figure, axes = plt.subplots(len(panels), 1, figsize=(7.2, 0.5 + 1.35 * len(panels)), sharex=True, squeeze=False)
    for panel, (name, values), color in zip(axes[:, 0], panels.items(), COLORS.values(), strict=False):
        drawn = panel.bar(range(len(tokens)), to_numpy(values), color=color, width=0.65)
        panel.bar_label(drawn, fmt="{:.2f}", fontsize=8, padding=2)
        panel.set_title(name, fontsize=10, fontweight="normal", loc="left")
        panel.axhline(0, color=GREY, linewidth=0.8)
        panel.margins(y=0.22)
    axes[-1, 0].set_xticks(range(len(tokens)), [drawable(token) for token in tokens])
    return figure


def head_tables(panels: Mapping[str, Any], *, high: float | None = 1.0, columns: int = 3) -> Figure:
    """One table (layer, head) of numbers for each score, all on one scale from 0; −1 to 1 where a value is negative.

    Args:
        panels: the score's name → (layers, heads).
        high: the upper end of the scale; None for the largest value.
        columns: how many tables stand beside each other.
    """
    tables = {name: to_numpy(values) for name, values in panels.items()}
    layers, heads = next(iter(tables.values())).shape
    rows = -(-len(tables) // columns)
    columns = min(columns, len(tables))
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * (0.9 + 0.5 * heads), rows * (1.0 + 0.4 * layers)), squeeze=False
    )
    for panel in axes.flat[len(tables) :]:
        panel.axis("off")
    for number, (panel, (name, table)) in enumerate(zip(axes.flat, tables.items(), strict=False)):
        row_name = "layer" if number % columns == 0 else ""
        heatmap(table, low=0, high=high, title="", row_name=row_name, column_name="head", axes=panel)
        panel.set_title(name, fontsize=10, fontweight="normal")
    return figure


def lens(texts: Sequence[Sequence[str]], probabilities: Any, columns: Sequence[str], rows: Sequence[str]) -> Figure:
    """What a model would say after each block: its likeliest token in each cell, coloured by the right token's chance.

    Args:
        texts: (rows, columns) likeliest tokens.
        probabilities: (rows, columns) probability of the token that really comes next.
        columns: the token that really comes next, at each place.
        rows: the names of the rows, the first at the bottom.
    """
    chances = to_numpy(probabilities)
    figure, axes = plt.subplots(figsize=(min(9.4, 1.2 + 0.72 * len(columns)), 1.2 + 0.36 * len(rows)))
    image = axes.imshow(chances, cmap=HEATMAP, vmin=0, vmax=1, aspect="auto", origin="lower")
    for (row, column), chance in np.ndenumerate(chances):
        axes.text(column, row, drawable(texts[row][column]), ha="center", va="center", fontsize=8, parse_math=False,
                  color="black" if chance > 0.55 else "white")  # fmt: skip
    axes.set_xticks(range(len(columns)), [drawable(text) for text in columns], rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="the token that really comes next")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="its probability")
    return figure


def rankings(rows: Mapping[str, Mapping[str, Any]], chance: float) -> Figure:
    """How much of the truth each way to read a model finds: a dot with its interval, the best on top.

    Args:
        rows: the way → its "precision" and the "interval" of that, and how often it finds the "answer" and the "match".
        chance: the precision of a random order.
    """
    names = sorted(rows, key=lambda name: rows[name]["precision"])
    figure, axes = plt.subplots(figsize=(7.6, 0.9 + 0.36 * len(names)))
    for place, name in enumerate(names):
        found = rows[name]
        color = COLORS["green"] if "letter" in name else COLORS["blue"]
        axes.plot(found["interval"], [place, place], color=color, linewidth=2.4)
        axes.plot(found["precision"], place, "o", color=color, markersize=7)
        axes.text(1.04, place, f"{found['answer']:.0%}", va="center", ha="left", fontsize=9)
        axes.text(1.19, place, f"{found['match']:.0%}", va="center", ha="left", fontsize=9)
    for x, title in ((1.04, "finds the\nanswer"), (1.19, "finds its\nmatch")):
        axes.text(x, len(names) - 0.35, title, va="bottom", ha="left", fontsize=8)
    axes.axvline(chance, color=GREY, linestyle="--", linewidth=1.2)
    axes.text(chance + 0.01, -0.62, "a random order", color=GREY, fontsize=8, va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="share of the two highest letters that is right", xlim=(0, 1.02), ylim=(-0.9, len(names) - 0.4))
    axes.grid(True, axis="x")
    return figure


def forming(steps: Sequence[int], curves: Mapping[str, Any], window: tuple[int, int]) -> Figure:
    """Scores of a model in training, on the left over all of it, on the right enlarged over the steps of `window`."""
    figure, panels = plt.subplots(1, 2, figsize=(8.8, 3.4), sharey=True, width_ratios=(1, 1.15))
    for (name, values), color, marker in zip(curves.items(), COLORS.values(), "osD^", strict=False):
        for panel in panels:
            panel.plot(steps, to_numpy(values), marker=marker, color=color, label=name, markersize=4)
    panels[0].axvspan(*window, color=GREY, alpha=0.18, linewidth=0)
    panels[0].set(xlabel="training step", ylabel="share", title="")
    panels[1].set(xlabel=f"training step, {window[0]} to {window[1]} only", xlim=window)
    panels[1].legend(loc="upper left")
    for panel in panels:
        panel.grid(True)
    return figure
