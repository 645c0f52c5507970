"""Pictures of lesson 12: tuned and untuned races, paired seeds, effects with intervals, and the leader board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.plots.theme import COLORS, GREY

PENS = ("blue", "orange", "green", "red", "purple", "sky", "black")


def rates(table: Mapping[str, Mapping[float, float]]) -> Figure:
    """Distance from the floor against the learning rate, a line a recipe, with a ring at its best.

    Args:
        table: name → rate → distance.
    """
    figure, axes = plt.subplots(figsize=(7.2, 3.6))
    for (name, row), pen, marker in zip(table.items(), PENS, "os^DvPX", strict=False):
        axes.plot(list(row), list(row.values()), color=COLORS[pen], marker=marker, markersize=4, label=name)
        best = min(row, key=row.get)
        axes.plot(best, row[best], "o", color=COLORS[pen], markersize=11, fillstyle="none")
    at = sorted({rate for row in table.values() for rate in row})
    axes.set(xscale="log", xlabel="peak learning rate", ylabel="above the floor (nats a character)")
    axes.set_xticks(at, [f"{rate:g}" for rate in at])
    axes.minorticks_off()
    axes.grid(True)
    axes.legend(fontsize=8.5)
    return figure


def pairs(base: Sequence[float], changed: Mapping[str, Sequence[float]]) -> Figure:
    """A panel for each change: a line a seed from the base's distance to the change's."""
    figure, panels = plt.subplots(1, len(changed), figsize=(1.2 + 1.9 * len(changed), 3.1), sharey=True)
    for axes, (name, values) in zip(np.atleast_1d(panels), changed.items(), strict=True):
        for one, other in zip(base, values, strict=True):
            axes.plot([0, 1], [one, other], marker="o", markersize=4, color=COLORS["blue"], linewidth=1)
        axes.set_xticks([0, 1], ["base", name])
        axes.set_xlim(-0.35, 1.35)
    np.atleast_1d(panels)[0].set_ylabel("above the floor (nats a character)")
    return figure


def effects(
    intervals: Mapping[str, Any],
    *,
    noise: Any = None,
    unpaired: Mapping[str, Any] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Each change's mean effect as a dot with its interval; filled where the interval leaves out zero.

    Args:
        intervals: name → something with `mean` and `half`.
        noise: the base against itself, drawn as a grey band.
        unpaired: name → the interval that ignores the pairs, drawn thin behind.
        axes: where to draw; a new figure when left out.
    """
    if axes is None:
        _, axes = plt.subplots(figsize=(7.2, 0.9 + 0.32 * len(intervals)))
    if noise is not None:
        label = "the base against itself, other seeds"
        axes.axvspan(noise.mean - noise.half, noise.mean + noise.half, color=GREY, alpha=0.18, label=label)
    axes.axvline(0, color=GREY, linewidth=1)
    for place, (name, effect) in enumerate(intervals.items()):
        if unpaired is not None:
            wide = unpaired[name]
            axes.plot([wide.mean - wide.half, wide.mean + wide.half], [place, place], color=COLORS["sky"], linewidth=5,
                      alpha=0.55, label=None if place else "if the pairs are ignored")  # fmt: skip
        sure = abs(effect.mean) > effect.half
        pen = COLORS["black"] if not sure else COLORS["blue"] if effect.mean < 0 else COLORS["red"]
        axes.errorbar(effect.mean, place, xerr=effect.half, fmt="o", color=pen, markersize=6, capsize=3,
                      markerfacecolor=pen if sure else "white")  # fmt: skip
    axes.set_yticks(range(len(intervals)), list(intervals))
    axes.invert_yaxis()
    axes.set_xlabel("change in the distance from the floor (nats a character); left is better")
    axes.grid(True, axis="x")
    if noise is not None or unpaired is not None:
        axes.legend(fontsize=8.5)
    return axes.figure


def readings(gate: Any, up: Any) -> Figure:
    """What three feed-forward networks make of two readings: GELU of one, ReLU² of one, SwiGLU of both, as maps."""
    figure, panels = plt.subplots(1, 3, figsize=(9.2, 3.0), sharey=True)
    grid_gate, grid_up = np.meshgrid(gate, up)
    silu = grid_gate / (1 + np.exp(-grid_gate))
    gelu = 0.5 * grid_gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (grid_gate + 0.044715 * grid_gate**3)))
    maps = {"GELU": gelu, "ReLU²": np.maximum(grid_gate, 0) ** 2, "SwiGLU": silu * grid_up}
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        image = axes.contourf(grid_gate, grid_up, values, levels=np.linspace(-9, 9, 19), cmap="RdBu_r", extend="both")
        axes.contour(grid_gate, grid_up, values, levels=np.linspace(-9, 9, 19), colors=GREY, linewidths=0.4)
        axes.set(title=name, xlabel="first reading")
    panels[0].set_ylabel("second reading")
    figure.colorbar(image, ax=panels, label="hidden number", shrink=0.9)
    return figure


def score_growth(runs: Mapping[str, Sequence[Sequence[float]]], every: int, bound: float | None = None) -> Figure:
    """The largest attention score as training goes on, a line a seed."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    for (name, seeds), pen in zip(runs.items(), ("red", "blue", "green"), strict=False):
        for number, sizes in enumerate(seeds):
            steps = every * np.arange(1, len(sizes) + 1)
            axes.plot(steps, sizes, color=COLORS[pen], linewidth=1.3, label=None if number else name)
    if bound is not None:
        axes.axhline(bound, color=GREY, linestyle="--", linewidth=1.2, label=f"√d_head = {bound:g}")
    axes.set(yscale="log", xlabel="training step", ylabel="largest score, in size")
    axes.grid(True)
    axes.legend(fontsize=8.5)
    return figure


def singular_values(sets: Mapping[str, Sequence[float]]) -> Figure:
    """Singular values of several matrices, from the largest, a line a set; below a hundredth they leave the picture."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    for (name, values), (pen, marker) in zip(sets.items(), zip(PENS, "os^Dv", strict=False), strict=False):
        axes.plot(range(1, len(values) + 1), values, color=COLORS[pen], marker=marker, markersize=3.5, label=name)
    axes.set(yscale="log", xlabel="singular value, from the largest", ylabel="its size", ylim=(1e-2, None))
    axes.grid(True)
    axes.legend(fontsize=8.5)
    return figure


def cache_against_loss(bytes_per_token: Sequence[float], distances: Mapping[str, Sequence[float]]) -> Figure:
    """Distance from the floor against the cache's bytes for a token: a dot a seed, the mean as a line."""
    figure, axes = plt.subplots(figsize=(6.0, 3.1))
    means = [float(np.mean(values)) for values in distances.values()]
    axes.plot(bytes_per_token, means, color=COLORS["blue"])
    for place, mean, (name, values) in zip(bytes_per_token, means, distances.items(), strict=True):
        axes.plot([place] * len(values), values, "o", color=COLORS["blue"], markersize=4, alpha=0.6)
        axes.annotate(name, (place, mean), xytext=(7, 7), textcoords="offset points", fontsize=9)
    axes.set(xlabel="bytes of cache for a token", ylabel="above the floor (nats a character)", xlim=(0, None))
    axes.margins(x=0.18)
    axes.grid(True)
    return figure


def worth(budgets: Sequence[float], runs: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Recipes at several budgets of compute: a line through the mean of their seeds, a dot a seed.

    Args:
        budgets: shares of the compute.
        runs: name → for each budget the distances of its seeds.
    """
    figure, axes = plt.subplots(figsize=(7.2, 3.6))
    for (name, table), pen, marker in zip(runs.items(), PENS, "os^D", strict=False):
        axes.plot(budgets, [float(np.mean(row)) for row in table], color=COLORS[pen], marker=marker, label=name)
        for budget, row in zip(budgets, table, strict=True):
            axes.plot([budget] * len(row), row, ".", color=COLORS[pen], markersize=4, alpha=0.6)
    axes.set(xscale="log", xlabel="compute, in units of the race's", ylabel="above the floor (nats a character)")
    axes.set_xticks(budgets, [f"× {budget:g}" for budget in budgets])
    axes.minorticks_off()
    axes.grid(True)
    axes.legend(fontsize=8.5)
    return figure


def board(entries: Sequence[Any], own: Sequence[Any] = ()) -> Figure:
    """The leader board: a dot an entry with two standard errors, the best on top, filled where it is your own."""
    figure, axes = plt.subplots(figsize=(7.6, 1.0 + 0.36 * len(entries)))
    budgets = sorted({entry.budget for entry in entries})
    pens = dict(zip(budgets, PENS, strict=False))
    seen = set()
    for place, entry in enumerate(entries):
        label = None if entry.budget in seen else f"{entry.budget:.0f} s"
        seen.add(entry.budget)
        color = COLORS[pens[entry.budget]]
        axes.errorbar(entry.distance, place, xerr=2 * entry.error, fmt="o", color=color, markersize=7, capsize=3,
                      markerfacecolor=color if entry in own else "white", label=label)  # fmt: skip
    axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
    axes.invert_yaxis()
    axes.set(xlabel="above the floor (nats a character)", xlim=(0, None))
    axes.grid(True, axis="x")
    axes.legend(title="given", fontsize=8.5)
    return figure
