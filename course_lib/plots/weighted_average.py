"""The drawings of lesson 02: look-ups, arrows and scores, the triangle of values, saturation, masks, cost, leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.plots.charts import heatmap, line_with_spread, to_numpy
from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY, PAPER


def lookups(path: Any, hard: Any, soft: Any, ends: tuple[str, str], *, y_name: str) -> Figure:
    """What a hard and a soft look-up answer while the query travels from one word to another.

    Args:
        path: (points,) how far the query has travelled, 0 to 1.
        hard, soft: (points,) the answers.
        ends: the words at the two ends of the path.
        y_name: what is looked up, with its unit.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.0))
    axes.plot(to_numpy(path), to_numpy(hard), color=COLORS["red"], linestyle="--", label="hard: the best key's value")
    axes.plot(to_numpy(path), to_numpy(soft), color=COLORS["blue"], label="soft: all values, weighted")
    axes.set_xticks([0, 0.5, 1], [f"at “{ends[0]}”", "half-way", f"at “{ends[1]}”"])
    axes.set(xlabel="where the query is", ylabel=y_name)
    axes.grid(True)
    axes.legend()
    return figure


def arrows(query: Any, keys: Any, query_name: str, key_names: Sequence[str]) -> Figure:
    """A query and its keys as arrows in the plane; each key's score stands at its tip.

    The dashed line holds all keys with score 0: those at a right angle to the query.
    """
    query, keys = to_numpy(query), to_numpy(keys)
    reach = 1.75 * max(np.abs(keys).max(), np.abs(query).max())
    figure, axes = plt.subplots(figsize=(5.2, 4.4))
    across = np.array([-query[1], query[0]]) / np.linalg.norm(query) * 2 * reach
    axes.plot([-across[0], across[0]], [-across[1], across[1]], color=GREY, linestyle="--", linewidth=1)
    axes.annotate("score 0", 0.42 * -across, (6, 0), textcoords="offset points", color=GREY)
    _arrow(axes, query, COLORS["red"], f"query: {query_name}")
    for key, name in zip(keys, key_names, strict=True):
        _arrow(axes, key, COLORS["blue"], f"{name}: {query @ key:.1f}".replace("-", "−"))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel="first feature", ylabel="second feature")
    axes.grid(True)
    return figure


def _arrow(axes: Axes, tip: np.ndarray, color: str, text: str) -> None:
    """An arrow from the origin, with its text above the tip, or below it where the arrow points down."""
    axes.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2})
    away, side = (7, "bottom") if tip[1] > 0 else (-7, "top")
    axes.annotate(drawable(text), tip, (0, away), textcoords="offset points", color=color, fontweight="bold",
                  ha="center", va=side, bbox=PAPER | {"pad": 1})  # fmt: skip


def triangle(values: Any, outputs: Any, names: Sequence[str], axis_names: tuple[str, str]) -> Figure:
    """Three values as the corners of a triangle, and the outputs, which cannot leave it.

    Args:
        values: (3, 2) one corner for each key.
        outputs: (queries, 2) weighted averages of the corners.
        names: the tokens, for the corners and the outputs alike.
    """
    values, outputs = to_numpy(values), to_numpy(outputs)
    figure, axes = plt.subplots(figsize=(5.2, 4.0))
    axes.fill(*values.T, color=COLORS["sky"], alpha=0.18)
    axes.scatter(*values.T, s=80, color=COLORS["blue"], label="values")
    axes.scatter(*outputs.T, s=80, marker="D", color=COLORS["red"], label="outputs")
    middle = values.mean(axis=0)
    for name, corner in zip(names, values, strict=True):
        up, side = (1, "bottom") if corner[1] > middle[1] else (-1, "top")
        axes.annotate(drawable(f"value of {name}"), corner, (0, 8 * up), textcoords="offset points",
                      color=COLORS["blue"], ha="center", va=side)  # fmt: skip
    for name, output in zip(names, outputs, strict=True):
        axes.annotate(drawable(name), output, (9, 4), textcoords="offset points", color=COLORS["red"])
    axes.margins(0.2)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    axes.legend(loc="upper right")
    return figure


def score_spreads(scores: Mapping[int, Any]) -> Figure:
    """Histograms of raw and of scaled scores, one colour for each width of the head.

    Args:
        scores: d_head → (samples,) dot products.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8.0, 3.0))
    for (width, raw), color in zip(scores.items(), COLORS.values(), strict=False):
        for axes, values, reach in zip(panels, (to_numpy(raw), to_numpy(raw) / np.sqrt(width)), (40, 5), strict=True):
            heights, edges = np.histogram(values, bins=41, range=(-reach, reach), density=True)
            axes.plot((edges[1:] + edges[:-1]) / 2, heights, color=color, label=f"d_head {width}")
    panels[0].set(xlabel="score q·k", ylabel="density", title="as they come")
    panels[1].set(xlabel="score q·k / √d_head", title="divided by √d_head")
    panels[0].legend(loc="upper left")
    return figure


def saturation(spreads: Any, largest: Any, mean: Any, median: Any) -> Figure:
    """Left: the largest weight as scores spread out. Right: the size of the softmax's Jacobian, mean and median."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.1))
    left.plot(to_numpy(spreads), to_numpy(largest), marker="o", color=COLORS["blue"])
    left.set(xlabel="spread of the scores", ylabel="largest weight, on average", ylim=(0, 1.05), xscale="log")
    right.plot(to_numpy(spreads), to_numpy(mean), marker="o", color=COLORS["blue"], label="mean row")
    right.plot(to_numpy(spreads), to_numpy(median), marker="s", color=COLORS["red"], label="median row")
    right.set(xlabel="spread of the scores", ylabel="size of the Jacobian", xscale="log", yscale="log")
    right.legend(loc="lower left")
    for axes in (left, right):
        axes.grid(True)
        axes.set_xticks(to_numpy(spreads), [f"{spread:g}" for spread in to_numpy(spreads)])
        axes.minorticks_off()
    return figure


def masks(matrices: Mapping[str, Any], tokens: Sequence[str]) -> Figure:
    """Masks side by side: light where a query may look, dark where it may not."""
    cell = 0.42 * len(tokens) + 1.1
    figure, panels = plt.subplots(1, len(matrices), figsize=(min(9.5, cell * len(matrices)), cell), squeeze=False)
    for axes, (title, mask) in zip(panels[0], matrices.items(), strict=True):
        heatmap(mask, tokens, tokens, title=title, low=0, high=1, precision=0, axes=axes)
    for axes in panels[0][1:]:
        axes.set_ylabel("")
    return figure


def costs(lengths: Any, seconds: Mapping[str, Any], saved: Mapping[str, Any]) -> Figure:
    """Time and memory against length, on logarithmic axes; the grey line is "twice as long, four times as much".

    Args:
        lengths: (points,) numbers of tokens.
        seconds: name → (points,) time of one forward pass.
        saved: name → (points,) bytes kept for the backward pass.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    lengths = to_numpy(lengths)
    milliseconds = {name: 1e3 * to_numpy(values) for name, values in seconds.items()}
    megabytes = {name: to_numpy(values) / 2**20 for name, values in saved.items()}
    for axes, curves, y_name in ((left, milliseconds, "time (ms)"), (right, megabytes, "kept for backward (MiB)")):
        line_with_spread(lengths, curves, x_name="tokens", y_name=y_name, log_x=True, log_y=True, axes=axes)
        steepest = next(iter(curves.values()))
        axes.plot(lengths, steepest[-1] * (lengths / lengths[-1]) ** 2, color=GREY, linestyle=":", label="slope 2")
        axes.set_xticks(lengths, [f"{length:g}" for length in lengths])
        axes.minorticks_off()
        axes.legend()
    return figure


def leaks(changes: Any, versions: Sequence[str], changed: int) -> Figure:
    """How far each position's output moved when one token was changed; one row for each version of attention.

    Args:
        changes: (versions, positions) largest change of the output.
        changed: the position of the token that was changed.
    """
    changes = to_numpy(changes)
    figure, axes = plt.subplots(figsize=(7.0, 0.55 * len(versions) + 1.4))
    heatmap(changes, versions, None, row_name="", column_name="position", low=0, high=float(changes.max()), axes=axes)
    axes.set_aspect("auto")
    axes.axvline(changed - 0.5, color=COLORS["orange"], linewidth=3)
    return figure


def learning_by_rate(rates: Any, recall: Mapping[str, Mapping[int, Any]]) -> Figure:
    """Recall after training against the learning rate: one panel for each divisor, one line for each width.

    Args:
        rates: (points,) learning rates.
        recall: divisor → width of the head → (seeds, points).
    """
    figure, panels = plt.subplots(1, len(recall), figsize=(9.0, 3.0), sharey=True)
    for axes, (divisor, widths) in zip(panels, recall.items(), strict=True):
        curves = {f"d_head {width}": values for width, values in widths.items()}
        line_with_spread(rates, curves, x_name="learning rate", y_name="", title=divisor, log_x=True, axes=axes)
        axes.set_ylim(0, 1.05)
    panels[0].set_ylabel("weight on the right item")
    return figure
