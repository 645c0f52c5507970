"""The pictures of lesson 04: clock hands, encodings, buckets, decay, turned vectors, and loss against position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.plots.charts import to_numpy
from course_lib.plots.theme import COLORS, GREY, HEATMAP

KIND_PENS = {
    "none": (GREY, "x"),
    "learned": (COLORS["red"], "s"),
    "sinusoidal": (COLORS["orange"], "^"),
    "relative": (COLORS["purple"], "D"),
    "alibi": (COLORS["blue"], "o"),
    "rotary": (COLORS["green"], "v"),
}
"""Colour and marker of each kind of positions, the same in every picture of the lesson."""


def shuffled_weights(weights: Any, shuffled: Any, tokens: Sequence[str], order: Sequence[int]) -> Figure:
    """Attention weights of a text, and of the same text shuffled: the same cells in other places.

    Args:
        weights, shuffled: (query, key), before and after.
        tokens: the tokens in their old order.
        order: which old token stands at each new place.
    """
    figure, both = plt.subplots(1, 2, figsize=(7.6, 3.5))
    names = [tokens[place] for place in order]
    for axes, matrix, labels, title in zip(
        both, (weights, shuffled), (tokens, names), ("in order", "shuffled"), strict=True
    ):
        values = to_numpy(matrix)
        axes.imshow(values, cmap=HEATMAP, vmin=0, vmax=max(to_numpy(weights).max(), 0.01))
        for (row, column), value in np.ndenumerate(values):
            light = value > 0.55 * to_numpy(weights).max()
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if light else "white")
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="key", ylabel="query", title=title)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def clock_face(axes: Axes, angle: float, color: str = COLORS["blue"], length: float = 1.0) -> None:
    """One clock: a circle and a hand whose height is the sine and whose reach to the right is the cosine."""
    turn = np.linspace(0, 2 * np.pi, 100)
    axes.plot(np.cos(turn), np.sin(turn), color="#BBBBBB", linewidth=1)
    tip = (length * np.cos(angle), length * np.sin(angle))
    axes.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2, "shrinkB": 0})
    axes.plot(0, 0, "o", color="#555555", markersize=3)
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)


def clocks(encoding: Any, positions: Sequence[int]) -> Figure:
    """The clock hands of some positions, read off an encoding of neighbouring sines and cosines.

    Args:
        encoding: (time, d_model).
        positions: which rows to draw, one line of clocks each.
    """
    table = to_numpy(encoding)
    n_pairs = table.shape[1] // 2
    figure, grid = plt.subplots(
        len(positions), n_pairs, figsize=(0.95 * n_pairs + 1.0, 1.0 * len(positions) + 0.4), squeeze=False
    )
    for row, position in enumerate(positions):
        for pair in range(n_pairs):
            axes = grid[row, pair]
            sine, cosine = table[position, 2 * pair : 2 * pair + 2]
            clock_face(axes, float(np.arctan2(sine, cosine)))
            if row == 0:
                axes.set_title(f"pair {pair}", fontsize=9, fontweight="normal")
        grid[row, 0].set_ylabel(f"position {position}", fontsize=9, rotation=0, ha="right", va="center")
    return figure


def encoding_map(encoding: Any, title: str = "") -> Figure:
    """An encoding as a picture: positions downwards, features across, blue below zero and red above."""
    figure, axes = plt.subplots(figsize=(7.0, 3.6))
    image = axes.imshow(to_numpy(encoding), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set(xlabel="feature", ylabel="position", title=title)
    figure.colorbar(image, ax=axes, label="value")
    return figure


def similarity_by_distance(curves: Mapping[str, Any], x_name: str = "distance in tokens") -> Figure:
    """Dot product of a position with others against the distance between them, one line for each name."""
    figure, axes = plt.subplots(figsize=(7.0, 3.2))
    styles = ["-", "--", ":", "-."]
    for number, (name, values) in enumerate(curves.items()):
        line = to_numpy(values)
        axes.plot(range(len(line)), line, styles[number % 4], color=list(COLORS.values())[number], label=name)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel=x_name, ylabel="dot product")
    axes.grid(True)
    axes.legend()
    return figure


def bucket_steps(buckets: Any, trained_length: int) -> Figure:
    """The bucket of each distance, and which distances a text of the trained length contains."""
    line = to_numpy(buckets)
    figure, axes = plt.subplots(figsize=(7.0, 3.0))
    axes.step(range(len(line)), line, where="mid", color=COLORS["purple"])
    axes.axvspan(-0.5, trained_length - 0.5, color=COLORS["sky"], alpha=0.18, linewidth=0)
    axes.text(trained_length / 2, line.max() + 0.4, f"distances in a text of {trained_length}", ha="center", fontsize=9)
    axes.set(xlabel="distance in tokens", ylabel="bucket", ylim=(-1, line.max() + 2.5))
    axes.grid(True)
    return figure


def decay(weights: Any, slopes: Sequence[float]) -> Figure:
    """Attention weight against distance, one line for each head's slope."""
    figure, axes = plt.subplots(figsize=(7.0, 3.2))
    pens = zip(COLORS.values(), "os^Dv<>P", strict=False)
    for line, slope, (color, marker) in zip(to_numpy(weights), slopes, pens, strict=False):
        every = max(1, len(line) // 16)
        axes.plot(range(len(line)), line, color=color, marker=marker, markevery=every, label=f"slope {slope:g}")
    axes.set(xlabel="distance in tokens", ylabel="attention weight", yscale="log")
    axes.grid(True)
    axes.legend()
    return figure


def turned_pairs(query: Any, key: Any, places: Sequence[tuple[int, int]], omega: float) -> Figure:
    """A 2-D query and key, each turned by the angle of its position; one panel for each pair of positions.

    Args:
        query, key: two numbers each.
        places: (position of the query, position of the key) of each panel.
        omega: radians per position.
    """
    figure, row = plt.subplots(1, len(places), figsize=(2.6 * len(places), 3.0), squeeze=False)
    for axes, (at_query, at_key) in zip(row[0], places, strict=True):
        ends = []
        for vector, position, color, name in (
            (query, at_query, COLORS["blue"], "query"),
            (key, at_key, COLORS["red"], "key"),
        ):
            x, y = to_numpy(vector)
            angle = np.arctan2(y, x) + omega * position
            size = np.hypot(x, y)
            clock_face(axes, float(angle), color, float(size))
            end = size * np.array([np.cos(angle), np.sin(angle)])
            axes.text(*(end * 1.0 + 0.22 * end / size), name, color=color, ha="center", va="center", fontsize=9)
            ends.append(end)
        axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))
        axes.set_title(f"query at {at_query}, key at {at_key}", fontsize=9, fontweight="normal")
        axes.set_xlabel(f"dot product {ends[0] @ ends[1]:.3f}".replace("-", "−"))
    return figure


def loss_by_position(
    excess: Mapping[str, Any],
    stretch: int,
    train_length: int,
    *,
    y_name: str = "loss above the floor (nats)",
    log_y: bool = True,
) -> Figure:
    """Loss above the floor against the position in the text: mean of the seeds, and a band from best to worst.

    Args:
        excess: kind → (seeds, stretches).
        stretch: positions in one stretch.
        train_length: the longest text seen in training, drawn as a line.
    """
    figure, axes = plt.subplots(figsize=(7.4, 4.2))
    extra = iter(["sky", "black", "yellow"])
    for kind, runs in excess.items():
        lines = np.maximum(np.atleast_2d(to_numpy(runs)), 0.002 if log_y else -np.inf)
        color, marker = KIND_PENS.get(kind) or (COLORS[next(extra)], "*")
        x = (np.arange(lines.shape[1]) + 0.5) * stretch
        axes.plot(x, lines.mean(axis=0), color=color, marker=marker, markevery=2, label=kind)
        axes.fill_between(x, lines.min(axis=0), lines.max(axis=0), color=color, alpha=0.18, linewidth=0)
    axes.axvline(train_length, color=GREY, linestyle="--", linewidth=1.2)
    axes.text(
        train_length + 4, 1.0, "never seen in training →", fontsize=9, va="bottom", transform=axes.get_xaxis_transform()
    )
    if log_y:
        axes.set_yscale("log")
    axes.set(xlabel="position in the text (tokens)", ylabel=y_name)
    axes.grid(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
