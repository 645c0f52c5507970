"""The pictures of lesson 17: what a folder holds, where a model's answers point, and who stops writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from course_lib.plots.theme import COLORS, GREY, HEATMAP

DARK_INK = (COLORS["orange"], COLORS["sky"], COLORS["purple"], COLORS["yellow"])  # colours that black is read on
SMALLEST_WRITTEN = 0.06  # the share of a bar below which its number has no room


def parts(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """A bar for each model, cut into the shares that its parts have of all its numbers.

    Args:
        models: name → part → how many numbers it holds; the parts of all are those of the first.
    """
    names = list(next(iter(models.values())))
    figure, axes = plt.subplots(figsize=(8.4, 0.9 + 0.55 * len(models)))
    for row, counts in enumerate(models.values()):
        total, begin = sum(counts.values()), 0.0
        for part, color in zip(names, COLORS.values(), strict=False):
            share = counts[part] / total
            axes.barh(row, share, left=begin, color=color, height=0.62, label=part if row == 0 else None)
            if share > SMALLEST_WRITTEN:
                axes.text(begin + share / 2, row, f"{share:.0%}", ha="center", va="center", fontsize=8.5,
                          color="black" if color in DARK_INK else "white")  # fmt: skip
            begin += share
    labels = [f"{name}\n{sum(counts.values()):,} numbers" for name, counts in models.items()]
    axes.set_yticks(range(len(models)), labels, fontsize=8.5)
    axes.invert_yaxis()
    axes.set(xlabel="share of the model's numbers", xlim=(0, 1))
    axes.legend(ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8.5, frameon=False)
    return figure


def agreement(models: Mapping[str, Mapping[int, float]]) -> Figure:
    """For each model, how often its answer at a place is the token that stands so many places further on.

    Args:
        models: name → offset (0 is the place itself, 1 the next) → share of places, 0 to 1.
    """
    figure, axes = plt.subplots(figsize=(7.2, 3.0))
    width = 0.8 / len(models)
    for index, ((name, shares), color) in enumerate(zip(models.items(), COLORS.values(), strict=False)):
        places = np.arange(len(shares)) + (index - (len(models) - 1) / 2) * width
        drawn = axes.bar(places, list(shares.values()), width * 0.92, color=color, label=name)
        axes.bar_label(drawn, fmt="{:.2f}", fontsize=8, padding=2)
    offsets = list(next(iter(models.values())))
    words = {-1: "the token before", 0: "the token itself", 1: "the next token", 2: "the one after"}
    axes.set_xticks(range(len(offsets)), [words.get(offset, f"{offset:+d}") for offset in offsets])
    axes.set(ylabel="share of places where\nthe answer is …", ylim=(0, 1.12))
    axes.legend()
    return figure


def lengths(groups: Mapping[str, Sequence[int]], *, most: int) -> Figure:
    """How many tokens were written before the end, for each group; the last bar is those that never ended.

    Args:
        groups: name → the number of tokens of each text, `most` where it did not end.
        most: the limit.
    """
    figure, rows = plt.subplots(len(groups), 1, figsize=(7.6, 1.35 * len(groups) + 0.4), sharex=True, squeeze=False)
    edges = np.arange(-0.5, most + 1.5)
    for axes, (name, values), color in zip(rows[:, 0], groups.items(), COLORS.values(), strict=False):
        ended = [value for value in values if value < most]
        axes.hist(ended, bins=edges, color=color)
        cut = len(values) - len(ended)
        axes.bar(most, cut, color=GREY, width=1.0)
        axes.set_title(f"{name}: {len(ended)} of {len(values)} end by themselves", fontsize=9.5, loc="left")
        axes.set_ylabel("texts")
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.grid(True, axis="y")
    rows[-1, 0].set_xlabel(f"tokens written before the end (grey, at {most}: cut off by the limit)")
    return figure


def distances(table: Sequence[Sequence[float]], rows: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Figure:
    """Distances from 0 to 1 as coloured cells, the columns in groups.

    Args:
        table: (rows, columns) numbers.
        rows: what each row is.
        groups: name of a group → names of its columns, in the order of the table.
    """
    values = np.asarray(table, dtype=float)
    figure, axes = plt.subplots(figsize=(8.6, 1.3 + 0.4 * len(rows)))
    axes.imshow(values, cmap=HEATMAP, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    columns = [name for names in groups.values() for name in names]
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    begin = 0
    for name, names in groups.items():
        axes.text(begin + (len(names) - 1) / 2, -0.7, name, ha="center", va="bottom", fontweight="bold")
        begin += len(names)
        if begin < len(columns):
            axes.axvline(begin - 0.5, color="white", linewidth=5)
    axes.set_xlabel("how positions are counted")
    axes.grid(False)
    return figure
