"""The pictures of lesson 14: scores against the number of labels, intervals, and tagged sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY

KIND_COLORS = {"person": "#BFDDF0", "place": "#F6DFA8", "object": "#BFE5D8"}
PENS = (("blue", "o"), ("green", "s"), ("red", "^"))
LINE = 96  # characters in a line of a tagged sentence


def by_labels(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    sizes: Mapping[str, Sequence[int]],
    y_names: Mapping[str, str],
    chance: Mapping[str, float],
) -> Figure:
    """A panel for each task, a line for each start: the mean over the seeds, each seed as a small dot.

    Args:
        panels: task → start → for each size the scores of the seeds.
        sizes: task → how many labels; the axis is logarithmic.
        y_names: task → what the score is.
        chance: task → height of a dashed line, for a task that has one.
    """
    figure, all_axes = plt.subplots(1, len(panels), figsize=(3.15 * len(panels), 3.5))
    for axes, (task, starts) in zip(np.atleast_1d(all_axes), panels.items(), strict=True):
        x = list(sizes[task])
        for (start, values), (color, marker) in zip(starts.items(), PENS, strict=False):
            runs = np.asarray(values, dtype=float)  # (sizes, seeds)
            axes.plot(x, runs.mean(axis=1), marker=marker, color=COLORS[color], label=start)
            for column in runs.T:
                axes.plot(x, column, ".", color=COLORS[color], markersize=4, alpha=0.55)
        if task in chance:
            axes.axhline(chance[task], color=GREY, linestyle="--", linewidth=1.2, label="chance")
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{size:,}" for size in x])
        axes.minorticks_off()
        axes.set(xlabel="labelled " + task, ylabel=y_names[task], ylim=(-0.03, 1.03))
        axes.grid(True)
        axes.legend(loc="lower right", fontsize=8)
        axes.tick_params(labelsize=8)
    return figure


def losses(histories: Mapping[str, Sequence[Any]]) -> Figure:
    """The loss of each step's batch, one curve for each of the Trainer's histories."""
    figure, axes = plt.subplots(figsize=(7.2, 2.9))
    for (name, history), (color, _) in zip(histories.items(), PENS, strict=False):
        axes.plot([record.step for record in history], [record.train_loss for record in history], color=COLORS[color],
                  linewidth=1.4, label=name)  # fmt: skip
    axes.set(xlabel="training step", ylabel="loss (nats per label)", ylim=(0, None))
    axes.grid(True)
    axes.legend()
    return figure


def intervals(rows: Mapping[str, tuple[float, float, float]], *, x_name: str, at: float | None = None) -> Figure:
    """A row for each name: a score as a dot, its interval as a line, all three in numbers; `at` draws an upright line.

    Args:
        rows: name → score, low, high.
    """
    figure, axes = plt.subplots(figsize=(7.4, 0.9 + 0.4 * len(rows)))
    for row, (score, low, high) in enumerate(rows.values()):
        axes.plot([low, high], [row, row], color=COLORS["blue"], linewidth=2.5, solid_capstyle="butt")
        axes.plot(score, row, "o", color=COLORS["blue"], markersize=7)
        axes.annotate(f"{score:.3f} ({low:.3f} … {high:.3f})", (high, row), xytext=(8, 0), textcoords="offset points",
                      va="center", fontsize=9)  # fmt: skip
    if at is not None:
        axes.axvline(at, color=GREY, linestyle="--", linewidth=1.2)
    left, right = axes.get_xlim()
    axes.set(xlabel=x_name, xlim=(left, right + 0.45 * (right - left)), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xticks([tick for tick in axes.get_xticks() if left <= tick <= right])  # none under the numbers
    axes.set_yticks(range(len(rows)), [drawable(name) for name in rows])
    return figure


def tagged(words: Sequence[str], taggings: Mapping[str, Sequence[str]]) -> Figure:
    """A sentence once for each tagging, entities on coloured ground with their kind; a new B- begins a new box.

    Args:
        words: the sentence.
        taggings: a name for each tagging → a tag for each word.
    """
    lines = _lines(words)
    figure, axes = plt.subplots(figsize=(9.0, 0.25 + 0.36 * len(lines) * len(taggings)))
    room, top = 112, 0  # a unit is as wide as a letter
    for name, tags in taggings.items():
        axes.text(0, top, name, fontsize=9, va="center", color=GREY)
        for line in lines:
            column = 1.0 + max(map(len, taggings))
            for place in line:
                kind = tags[place].partition("-")[2]
                if kind:
                    _box(axes, column, top, len(words[place]), kind, begins=tags[place].startswith("B"))
                axes.text(column, top, drawable(words[place]), family="DejaVu Sans Mono", fontsize=9, va="center")
                column += len(words[place]) + 1.2
            top += 1
    axes.set(xlim=(0, room), ylim=(top - 0.4, -0.7))
    axes.set_axis_off()
    for kind, color in KIND_COLORS.items():
        axes.plot([], [], "s", color=color, markersize=9, label=kind)
    axes.legend(loc="lower right", ncols=3, fontsize=8, bbox_to_anchor=(1.0, 1.0))
    return figure


def _lines(words: Sequence[str]) -> list[list[int]]:
    """The words' places, broken into lines."""
    lines: list[list[int]] = [[]]
    used = 0.0
    for place, word in enumerate(words):
        if used + len(word) > LINE:
            lines.append([])
            used = 0.0
        lines[-1].append(place)
        used += len(word) + 1.2
    return lines


def _box(axes, column: float, row: float, length: int, kind: str, *, begins: bool) -> None:
    left = column - (0.3 if begins else 1.1)
    axes.add_patch(plt.Rectangle((left, row - 0.42), column + length + 0.2 - left, 0.84,
                                 color=KIND_COLORS.get(kind, "#DDDDDD"), linewidth=0))  # fmt: skip
