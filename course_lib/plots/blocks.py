"""The drawings of lesson 05: norms by hand, activations, depth, and what training made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import heatmap, line_with_spread, to_numpy
from course_lib.plots.theme import COLORS, GREY, PAPER


def features(vectors: Mapping[str, Any]) -> Figure:
    """One panel for each vector: its features as bars with their numbers, and its mean as a dashed line."""
    figure, panels = plt.subplots(1, len(vectors), figsize=(2.3 * len(vectors), 2.5), sharey=True)
    for axes, (name, vector), color in zip(panels, vectors.items(), COLORS.values(), strict=False):
        numbers = to_numpy(vector)
        drawn = axes.bar(range(1, len(numbers) + 1), numbers, color=color, width=0.7)
        axes.bar_label(
            drawn, [f"{number:.2f}".replace("-", "−") for number in numbers], fontsize=8.5, padding=2, bbox=PAPER
        )
        axes.axhline(numbers.mean(), color=GREY, linestyle="--", linewidth=1.2, zorder=0)
        axes.set(title=name, xlabel="feature", xticks=range(1, len(numbers) + 1))
        axes.margins(y=0.15)
    panels[0].set_ylabel("value (dashed: mean)")
    return figure


def activations(x: Any, curves: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Left the activations, right their slopes.

    Args:
        x: (points,) inputs.
        curves: name → ((points,) values, (points,) slopes).
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.0))
    styles = ("-", "--", "-.", ":")
    for (name, (value, slope)), color, line in zip(curves.items(), COLORS.values(), styles, strict=False):
        left.plot(to_numpy(x), to_numpy(value), color=color, linestyle=line, label=name)
        right.plot(to_numpy(x), to_numpy(slope), color=color, linestyle=line, label=name)
    left.set(xlabel="input", ylabel="output", title="the function")
    right.set(xlabel="input", ylabel="slope", title="its slope")
    left.legend()
    for axes in (left, right):
        axes.grid(True)
    return figure


def depth(curves: Mapping[str, Any], y_name: str, *, first: int = 0, log_y: bool = True) -> Figure:
    """A quantity after each block, one line for each kind of stack: the mean over seeds, in a band from least to most.

    Args:
        curves: name → (seeds, blocks).
        first: the number of the first point; 0 when it stands before the first block.
    """
    points = np.atleast_2d(to_numpy(next(iter(curves.values())))).shape[1]
    figure, axes = plt.subplots(figsize=(7.0, 3.4))
    blocks = range(first, first + points)
    line_with_spread(blocks, curves, x_name="block", y_name=y_name, log_y=log_y, axes=axes)
    for line in axes.lines:
        line.set_markersize(3.5)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def last_gradients(depths: Sequence[int], gradients: Mapping[str, Any]) -> Figure:
    """The gradient of the last block's weights against the number of blocks, and the slope of 1/√depth."""
    figure, axes = plt.subplots(figsize=(6.0, 3.3))
    line_with_spread(depths, gradients, x_name="number of blocks", y_name="gradient norm, last block", axes=axes)
    anchor = np.atleast_2d(to_numpy(next(iter(gradients.values())))).mean(axis=0)[0]
    expected = anchor * np.sqrt(depths[0] / np.asarray(depths, dtype=float))
    axes.plot(depths, expected, color=GREY, linestyle=":", label="∝ 1/√(number of blocks)")
    axes.set(xscale="log", yscale="log", xticks=list(depths), xticklabels=[str(n) for n in depths])
    axes.minorticks_off()
    ticks = [0.2, 0.5, 1.0, 2.0]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.legend()
    return figure


def trainings(rates: Sequence[float], panels: Mapping[str, Mapping[str, Any]], letters_alone: float) -> Figure:
    """The loss after training against the learning rate, in panels beside each other.

    Args:
        rates: learning rates.
        panels: title → name → (seeds, rates) losses.
        letters_alone: the loss of a model that knows how frequent each character is, and nothing else.
    """
    figure, both = plt.subplots(1, len(panels), figsize=(4.3 * len(panels), 3.9), sharey=True)
    reference = {"frequencies alone": letters_alone}
    for axes, (title, curves) in zip(both, panels.items(), strict=True):
        line_with_spread(
            rates, curves, x_name="learning rate", y_name="", title=title, log_x=True, reference=reference, axes=axes
        )
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    both[0].set_ylabel("loss at the end (nats a character)")
    return figure


def learning(losses: Mapping[str, Any], letters_alone: float) -> Figure:
    """The loss of each update, faint, and its mean over ten updates, strong."""
    figure, axes = plt.subplots(figsize=(6.6, 3.1))
    for (name, values), color in zip(losses.items(), COLORS.values(), strict=False):
        numbers = to_numpy(values)
        axes.plot(range(1, len(numbers) + 1), numbers, color=color, alpha=0.3, linewidth=1)
        smooth = np.convolve(numbers, np.ones(10) / 10, mode="valid")
        axes.plot(np.arange(len(smooth)) + 10, smooth, color=color, label=name)
    axes.axhline(letters_alone, color=GREY, linestyle="--", linewidth=1.2, label="frequencies alone")
    axes.set(xlabel="update", ylabel="loss (nats a character)")
    axes.grid(True)
    axes.legend()
    return figure


def who_moved(moves: Mapping[str, Any]) -> Figure:
    """How far each output moved when one token was changed: one table (sentence, position) for each layer."""
    figure, panels = plt.subplots(1, len(moves), figsize=(4.2 * len(moves), 2.6))
    high = max(float(to_numpy(moved).max()) for moved in moves.values())
    for axes, (name, moved) in zip(panels, moves.items(), strict=True):
        heatmap(moved, row_name="sentence", column_name="position", title=name, low=0, high=high, axes=axes)
        axes.set_aspect("auto")
    return figure
