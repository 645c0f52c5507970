"""Pictures of a text and of how surprising each of its characters is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import to_numpy
from course_lib.plots.theme import COLORS, GREY, HEATMAP

WIDE = 64  # characters in a line of the strip


def surprise_strip(text: str, nats: Any, *, high: float = 3.0, name: str = "surprise (nats)") -> Figure:
    """The text, each character on a cell whose colour says how surprising it is.

    Args:
        text: what to show, line by line.
        nats: one number for each character; further numbers (the end of the story) are left out.
        high: the value at the bright end of the colours; larger ones look the same.
        name: what the numbers are, for the colour bar.
    """
    values = to_numpy(nats)[: len(text)]
    cells = _lay_out(text)
    n_rows = cells[-1][0] + 1
    levels = np.full((n_rows, WIDE), np.nan)
    for (row, column), value in zip(cells, values, strict=True):
        levels[row, column] = value

    figure, axes = plt.subplots(figsize=(8.8, 0.55 + 0.27 * n_rows))
    color_map = plt.get_cmap(HEATMAP).with_extremes(bad=(0, 0, 0, 0))
    image = axes.imshow(levels, cmap=color_map, vmin=0, vmax=high, aspect="auto")
    for (row, column), character, value in zip(cells, text, values, strict=True):
        ink = "black" if value > high / 2 else "white"
        shown = "⏎" if character == "\n" else character
        axes.text(column, row, shown, ha="center", va="center", family="DejaVu Sans Mono", fontsize=8.5, color=ink)
    axes.set_axis_off()
    figure.colorbar(image, ax=axes, label=name, extend="max", pad=0.01, aspect=8 if n_rows < 5 else 14)
    return figure


def next_characters(distributions: Mapping[str, Mapping[str, float]], *, most: int = 8) -> Figure:
    """What may come next according to each reader: one bar chart beside the other, likeliest first.

    Args:
        distributions: name of a reader → character → its probability.
        most: how many characters to show.
    """
    figure, all_axes = plt.subplots(
        1, len(distributions), figsize=(2.9 * len(distributions), 2.7), sharey=True, squeeze=False
    )
    for axes, (name, chances) in zip(all_axes[0], distributions.items(), strict=True):
        likeliest = sorted(chances.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
        labels = [_visible(character) for character, _ in likeliest]
        axes.bar(range(len(labels)), [chance for _, chance in likeliest], color=COLORS["blue"])
        axes.set_xticks(range(len(labels)), labels, family="DejaVu Sans Mono")
        axes.set(title=name, xlabel="next character", ylim=(0, 1.08), xlim=(-0.7, most - 0.3))
        for place, (_, chance) in enumerate(likeliest):
            axes.text(place, chance + 0.02, f"{chance:.2f}", ha="center", fontsize=7.5)
    all_axes[0][0].set_ylabel("probability")
    return figure


def loss_ladder(losses: Mapping[str, float], *, floor: float) -> Figure:
    """Losses of several readers as bars, each with its number, and the floor as a line across them."""
    figure, axes = plt.subplots(figsize=(7.2, 0.7 + 0.42 * len(losses)))
    places = range(len(losses))[::-1]
    axes.barh(places, list(losses.values()), color=COLORS["blue"], height=0.62)
    for place, value in zip(places, losses.values(), strict=True):
        axes.text(value + 0.04, place, f"{value:.2f}", va="center", fontsize=9)
    axes.set_yticks(places, list(losses))
    axes.axvline(floor, color=COLORS["red"], linestyle="--", label=f"floor {floor:.2f}")
    axes.set(xlabel="loss (nats per character)", xlim=(0, max(losses.values()) * 1.12))
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right")
    return figure


def gap_by_kind(gaps: Mapping[str, float], shares: Mapping[str, float]) -> Figure:
    """Where a model loses what it loses: nats above the floor by kind of character, with each kind's share."""
    figure, axes = plt.subplots(figsize=(7.2, 0.7 + 0.42 * len(gaps)))
    places = range(len(gaps))[::-1]
    axes.barh(places, list(gaps.values()), color=COLORS["orange"], height=0.62)
    for place, (kind, value) in zip(places, gaps.items(), strict=True):
        note = f" {value:.2f}   ({shares[kind]:.0%} of the characters)"
        axes.text(max(value, 0.0), place, note, va="center", fontsize=9, color="#333333")
    axes.set_yticks(places, list(gaps))
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set(xlabel="loss above the floor (nats per character)", xlim=(None, max(gaps.values()) * 1.6))
    axes.tick_params(axis="y", length=0)
    return figure


def _visible(character: str) -> str:
    """A character that can be seen on an axis: space, line break and the end of the story by name."""
    return {" ": "space", "\n": "⏎", "": "end"}.get(character, character)


def _lay_out(text: str) -> list[tuple[int, int]]:
    """Row and column of each character, in lines of WIDE; a line break ends its line."""
    cells, row, column = [], 0, 0
    for character in text:
        cells.append((row, column))
        column += 1
        if character == "\n" or column == WIDE:
            row, column = row + 1, 0
    return cells
