"""The drawings of lesson 03: heads side by side, coloured tokens, shared keys, ablated heads, who moves whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.plots.charts import heatmap, to_numpy
from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY

TOKEN_COLORS = [COLORS[name] for name in ("blue", "orange", "green", "purple", "sky", "red", "yellow", "black")]
LIGHT = {COLORS[name] for name in ("orange", "purple", "sky", "yellow")}  # these want dark text


def heads(
    weights: Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    titles: Sequence[str] | None = None,
    numbers: bool | None = None,
) -> Figure:
    """One heatmap of attention weights for each head, all on the scale 0 to 1.

    Args:
        weights: (heads, query, key) weights.
        rows, columns: the tokens of the queries and of the keys; the same when only one is given.
        titles: one for each head; "head 0", "head 1", … when left out.
        numbers: whether to write the numbers into the cells; None decides by their count.
    """
    matrices = to_numpy(weights)
    columns = rows if columns is None else columns
    titles = [f"head {number}" for number in range(len(matrices))] if titles is None else titles
    width = min(9.2, len(matrices) * (1.0 + 0.5 * len(columns)))
    figure, panels = plt.subplots(1, len(matrices), figsize=(width, 1.5 + 0.42 * len(rows)), squeeze=False)
    for number, axes in enumerate(panels[0]):
        labels = rows if number == 0 else [""] * len(rows)
        heatmap(
            matrices[number],
            labels,
            columns,
            low=0,
            high=1,
            title=titles[number],
            row_name="query" if number == 0 else "",
            numbers=numbers,
            axes=axes,
        )
    return figure


def uses(tables: Mapping[str, tuple[Any, Sequence[str], Sequence[str]]]) -> Figure:
    """Attention weights of several uses beside each other: title → (weights, rows, columns)."""
    widths = [1.6 + len(columns) for _, _, columns in tables.values()]
    figure, panels = plt.subplots(1, len(tables), figsize=(9.2, 3.2), width_ratios=widths)
    for axes, (title, (weights, rows, columns)) in zip(panels, tables.items(), strict=True):
        heatmap(weights, rows, columns, low=0, high=1, title=title, axes=axes)
    return figure


def vectors(rows: Mapping[str, Any], parts: Sequence[str], *, cut: int | None = None) -> Figure:
    """Named vectors as rows of coloured numbers, on the scale 0 to 1.

    Args:
        rows: name → (features,) numbers.
        parts: what each feature means.
        cut: draw a line before this feature, where one head ends and the next begins.
    """
    matrix = np.stack([to_numpy(values) for values in rows.values()])
    figure, axes = plt.subplots(figsize=(2.6 + 0.8 * matrix.shape[1], 1.1 + 0.42 * len(matrix)))
    heatmap(matrix, list(rows), parts, low=0, high=1, row_name="", column_name="", axes=axes)
    axes.set_aspect("auto")
    axes.xaxis.tick_top()
    plt.setp(axes.get_xticklabels(), rotation=0, ha="center")
    if cut is not None:
        axes.axvline(cut - 0.5, color="white", linewidth=6)
    return figure


def coloured_tokens(tokens: Sequence[str], n_heads: int, d_head: int) -> Figure:
    """One sentence whose tokens have colours, cut into heads by the right view and by the wrong one.

    Each cell shows where it lies in memory. A row of a head should have one colour: that of its token.
    """
    time, width = len(tokens), n_heads * d_head
    memory = np.arange(time * width)
    right = memory.reshape(time, n_heads, d_head).swapaxes(0, 1)
    wrong = memory.reshape(n_heads, time, d_head)
    figure, panels = plt.subplots(1, 3, figsize=(9.0, 3.5), width_ratios=[width + 1.4, d_head + 2.2, d_head + 2.2])
    names = [drawable(token) for token in tokens]
    _cells(panels[0], memory.reshape(1, time, width), names, width, "x: (time, d_model)", [""])
    blocks = [f"head {head}" for head in range(n_heads)]
    _cells(panels[1], right, names, width, "view(time, heads, d_head)\n.transpose(0, 1)", blocks)
    _cells(panels[2], wrong, names, width, "view(heads, time, d_head)\nthe wrong one", blocks)
    return figure


def _cells(axes: Axes, blocks: np.ndarray, names: list[str], width: int, title: str, labels: list[str]) -> None:
    """Blocks of cells below each other: (blocks, rows, columns) places in memory, coloured by token."""
    for number, block in enumerate(blocks):
        top = number * (block.shape[0] + 0.8)
        axes.text(block.shape[1] / 2, top - 0.12, labels[number], ha="center", va="bottom", fontsize=9, color=GREY)
        for (row, column), place in np.ndenumerate(block):
            color = TOKEN_COLORS[place // width]
            axes.add_patch(Rectangle((column, top + row), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
            ink = "black" if color in LIGHT else "white"
            axes.text(column + 0.5, top + row + 0.5, str(place), ha="center", va="center", fontsize=9, color=ink)
        for row, name in enumerate(names):
            axes.text(-0.15, top + row + 0.5, name, ha="right", va="center", fontsize=9)
    bottom = len(blocks) * (blocks.shape[1] + 0.8) - 0.8
    axes.set(xlim=(-1.6, blocks.shape[2] + 0.2), ylim=(bottom + 0.1, -0.7), aspect="equal")
    axes.set_title(title, fontsize=9.5)
    axes.axis("off")


def sharing(n_heads: int, choices: Mapping[str, int]) -> Figure:
    """Which key-value head each query head reads, for several numbers of key-value heads.

    Args:
        n_heads: query heads.
        choices: name → number of key-value heads.
    """
    figure, panels = plt.subplots(1, len(choices), figsize=(9.0, 2.2))
    for axes, (name, n_kv_heads) in zip(panels, choices.items(), strict=True):
        group = n_heads // n_kv_heads
        for head in range(n_heads):
            shared = head // group
            color = TOKEN_COLORS[shared % len(TOKEN_COLORS)]
            place = (shared + 0.5) * group - 0.5
            axes.plot([head, place], [1, 0], color=color, linewidth=1.5, zorder=1)
            axes.scatter(head, 1, s=150, color=color, zorder=2)
            ink = "black" if color in LIGHT else "white"
            axes.text(head, 1, f"{head}", ha="center", va="center", fontsize=8, color=ink, zorder=3)
            if head % group == 0:
                axes.scatter(place, 0, s=230, marker="s", color=color, zorder=2)
                axes.text(place, 0, f"{shared}", ha="center", va="center", fontsize=8, color=ink, zorder=3)
        axes.set(xlim=(-0.8, n_heads - 0.2), ylim=(-0.45, 1.4), title=name)
        axes.axis("off")
        if axes is panels[0]:
            axes.text(-0.9, 1, "queries", ha="right", va="center", fontsize=9)
            axes.text(-0.9, 0, "keys and\nvalues", ha="right", va="center", fontsize=9)
    return figure


def cache_growth(lengths: Sequence[int], sizes: Mapping[str, Sequence[float]]) -> Figure:
    """Gibibytes of cache against the length of the text, one line for each name."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for (name, values), color, marker in zip(sizes.items(), TOKEN_COLORS, "osD^", strict=False):
        axes.plot(lengths, values, marker=marker, color=color, label=name)
        axes.annotate(f"{values[-1]:.3g} GiB", (lengths[-1], values[-1]), xytext=(6, 0), va="center",
                      textcoords="offset points", fontsize=9, color=color)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=10)
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.set(xlabel="tokens in the text", ylabel="cache in GiB", xlim=(lengths[0] * 0.9, lengths[-1] * 2.4))
    axes.grid(True)
    axes.legend()
    return figure


def errors(results: Mapping[str, Sequence[float]], *, floor: float, floor_name: str, y_name: str) -> Figure:
    """One dot for each seed, one column for each model, and the floor that theory gives for one of them."""
    figure, axes = plt.subplots(figsize=(min(9.0, 1.6 + 1.1 * len(results)), 3.3))
    for column, values in enumerate(results.values()):
        spread = np.linspace(-0.16, 0.16, len(values))
        axes.scatter(column + spread, values, color=COLORS["blue"], s=34, zorder=3)
        axes.annotate(f"{np.mean(values):.2f}", (column, max(values)), xytext=(0, 9), ha="center",
                      textcoords="offset points", fontsize=9)  # fmt: skip
    axes.axhline(floor, color=GREY, linestyle="--", linewidth=1.2, label=floor_name)
    axes.set_xticks(range(len(results)), [drawable(name).replace(", ", ",\n") for name in results])
    axes.set(ylabel=y_name, ylim=(-0.03, max(max(values) for values in results.values()) * 1.3 + 0.05))
    axes.grid(True, axis="y")
    axes.legend(loc="upper right")
    return figure


def influence(maps: Mapping[str, Any], *, time: int) -> Figure:
    """Which output token moves when an input token changes, for several modules, two sentences each.

    Args:
        maps: name → (output token, input token) sizes of the change; tokens of all sentences in a row.
        time: tokens in a sentence.
    """
    figure, panels = plt.subplots(1, len(maps), figsize=(9.2, 2.9), sharey=True)
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        moved = to_numpy(values) > 1e-6
        allowed = np.kron(np.eye(len(moved) // time), np.tril(np.ones((time, time)))).astype(bool)
        picture = np.ones((*moved.shape, 3))
        for where, color in ((moved & allowed, COLORS["blue"]), (moved & ~allowed, COLORS["red"])):
            picture[where] = plt.matplotlib.colors.to_rgb(color)
        picture[~moved & allowed] = 0.8
        axes.imshow(picture)
        for border in range(time, len(moved), time):
            axes.axhline(border - 0.5, color="black", linewidth=0.8)
            axes.axvline(border - 0.5, color="black", linewidth=0.8)
        middles = [start + time / 2 - 0.5 for start in range(0, len(moved), time)]
        axes.set_xticks(middles, [str(number) for number in range(len(middles))])
        axes.set_yticks(middles, [str(number) for number in range(len(middles))])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(True)
        axes.set_title(name, fontsize=9.5)
        axes.set_xlabel("sentence that changes")
    panels[0].set_ylabel("sentence that moves")
    return figure
