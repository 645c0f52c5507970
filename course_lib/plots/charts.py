"""The three charts that lessons need all over: a heatmap, lines with their spread, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY, HEATMAP

MOST_NUMBERED_CELLS = 150


def to_numpy(values: Any) -> NDArray[np.float64]:
    """Numbers as a float64 array: from lists, numpy arrays, or torch tensors of any device and dtype."""
    if hasattr(values, "detach"):  # a torch tensor; torch itself need not be imported to say so
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def heatmap(
    weights: Any,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    row_name: str = "query",
    column_name: str = "key",
    title: str = "",
    low: float | None = None,
    high: float | None = None,
    numbers: bool | None = None,
    precision: int = 2,
    diverging: bool = False,
    colorbar: str | None = None,
    axes: Axes | None = None,
) -> Figure:
    """A matrix as coloured cells, with its numbers written in them when there is room.

    Args:
        weights: (rows, columns) numbers; NaN and -inf are drawn in grey (a masked cell).
        rows, columns: labels, one for each row and each column; numbers from 0 when left out.
        row_name, column_name: what the axes mean.
        low, high: the values at the two ends of the colour map; the data's own when left out.
        numbers: whether to write the numbers; None does so up to 150 cells.
        diverging: colours around zero (blue below, red above) in place of cividis.
        colorbar: its label; None draws no colour bar.
        axes: where to draw; a new figure when left out.

    Returns:
        The figure, for `show`.
    """
    matrix = to_numpy(weights)
    if matrix.ndim != 2:
        raise ValueError(f"A heatmap needs a matrix; these weights have {matrix.ndim} axes: {matrix.shape}.")
    row_labels = _labels(rows, matrix.shape[0], "row")
    column_labels = _labels(columns, matrix.shape[1], "column")
    cell = 0.5 if max(matrix.shape) <= 16 else 0.22
    if axes is None:
        size = (min(9.0, 2.0 + cell * matrix.shape[1]), min(7.0, 1.4 + cell * matrix.shape[0]))
        _, axes = plt.subplots(figsize=size)
    shown = np.where(np.isfinite(matrix), matrix, np.nan)
    finite = shown[np.isfinite(shown)]
    reach = float(np.abs(finite).max(initial=0.0)) or 1.0
    low = low if low is not None else (-reach if diverging else float(finite.min(initial=0.0)))
    high = high if high is not None else (reach if diverging else float(finite.max(initial=0.0)))
    color_map = plt.get_cmap("RdBu_r" if diverging else HEATMAP).with_extremes(bad="#C8C8C8")
    image = axes.imshow(shown, cmap=color_map, vmin=low, vmax=high, aspect="equal" if cell == 0.5 else "auto")
    short = max(map(len, column_labels)) <= 3
    axes.set_xticks(range(matrix.shape[1]), column_labels, rotation=0 if short else 45)
    axes.set_yticks(range(matrix.shape[0]), row_labels)
    axes.set(xlabel=column_name, ylabel=row_name, title=title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if numbers if numbers is not None else matrix.size <= MOST_NUMBERED_CELLS:
        _write_numbers(axes, matrix, color_map(image.norm(shown)), precision)
    if colorbar is not None:
        axes.figure.colorbar(image, ax=axes, label=colorbar, shrink=0.85)
    return axes.figure


def _labels(labels: Sequence[str] | None, count: int, name: str) -> list[str]:
    if labels is None:
        return [str(position) for position in range(count)]
    if len(labels) != count:
        raise ValueError(f"The matrix has {count} {name}s, but {len(labels)} {name} labels were given.")
    return [drawable(str(label)).replace("$", r"\$") for label in labels]  # a dollar sign begins no formula


def _write_numbers(axes: Axes, matrix: NDArray[np.float64], colors: NDArray[np.float64], precision: int) -> None:
    """Each value in the middle of its cell, dark on light cells and light on dark ones."""
    luminance = colors[..., :3] @ np.array([0.299, 0.587, 0.114])
    for (row, column), value in np.ndenumerate(matrix):
        text = f"{value:.{precision}f}" if np.isfinite(value) else ("−∞" if value < 0 else "–")
        ink = "black" if luminance[row, column] > 0.5 else "white"
        axes.text(column, row, text.replace("-", "−"), ha="center", va="center", fontsize=8.5, color=ink)


def line_with_spread(
    x: Any,
    runs: Mapping[str, Any],
    *,
    x_name: str,
    y_name: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    reference: Mapping[str, float] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """One line for each name: the mean of its runs, and a band from the smallest to the largest.

    Args:
        x: (points,) numbers.
        runs: name → (runs, points), or (points,) for a single run without a band.
        x_name, y_name: what the axes mean, with units.
        reference: name → height of a dashed horizontal line, such as chance or a loss floor.
    """
    points = to_numpy(x)
    if axes is None:
        _, axes = plt.subplots()
    for (name, values), (color, marker) in zip(runs.items(), _pens(len(runs)), strict=True):
        lines = np.atleast_2d(to_numpy(values))
        if lines.shape[1] != len(points):
            raise ValueError(f"{name!r} has {lines.shape[1]} points for {len(points)} values of x.")
        axes.plot(points, lines.mean(axis=0), marker=marker, color=color, label=drawable(name))
        if len(lines) > 1:
            low, high = lines.min(axis=0), lines.max(axis=0)
            axes.fill_between(points, low, high, color=color, alpha=0.18, linewidth=0)
    for name, height in (reference or {}).items():
        axes.axhline(height, color=GREY, linestyle="--", linewidth=1.2, label=name)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    axes.set(xlabel=x_name, ylabel=y_name, title=title)
    axes.grid(True)
    axes.legend()
    return axes.figure


def _pens(count: int) -> list[tuple[str, str]]:
    """Colour and marker for each of `count` lines: two signs for one difference, for print and for all eyes."""
    colors = [color for name, color in COLORS.items() if name != "yellow"]  # yellow lines vanish on white
    markers = "os^Dv<>P"
    return [(colors[i % len(colors)], markers[i % len(markers)]) for i in range(count)]


def bars(
    values: Mapping[str, float],
    *,
    y_name: str,
    title: str = "",
    spread: Mapping[str, float] | None = None,
    reference: Mapping[str, float] | None = None,
    precision: int = 2,
    axes: Axes | None = None,
) -> Figure:
    """One bar for each name, with its value written on it.

    Args:
        values: name → height.
        y_name: what the height means, with units.
        spread: name → half the length of its error bar.
        reference: name → height of a dashed horizontal line.
    """
    if axes is None:
        _, axes = plt.subplots(figsize=(min(9.0, 2.0 + 0.9 * len(values)), 3.2))
    names = [drawable(name) for name in values]
    errors = [spread.get(name, 0.0) for name in values] if spread else None
    drawn = axes.bar(names, list(values.values()), yerr=errors, color=COLORS["blue"], width=0.65, capsize=3)
    axes.bar_label(drawn, fmt=f"{{:.{precision}f}}", fontsize=9, padding=2)
    for name, height in (reference or {}).items():
        axes.axhline(height, color=GREY, linestyle="--", linewidth=1.2, label=name)
    if reference:
        axes.legend()
    axes.set(ylabel=y_name, title=title)
    axes.margins(y=0.12)
    return axes.figure
