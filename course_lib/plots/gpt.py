"""The drawings of lesson 08: how a GPT starts, which places it looks at, where its numbers are, which alarm rings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import heatmap, to_numpy
from course_lib.plots.theme import COLORS, GREY


def start_losses(widths: Sequence[int], measured: Any, formula: Sequence[float], uniform: float) -> Figure:
    """The loss of untrained models against their width, one dot a seed, with the formula as a line.

    Args:
        widths: d_model of each model.
        measured: (widths, seeds) losses in nats.
        formula: what is expected at each width.
        uniform: ln V, the loss of the uniform guess.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for width, losses in zip(widths, to_numpy(measured), strict=True):
        axes.plot([width] * len(losses), losses, "o", color=COLORS["blue"], label="measured, one dot a seed")
    axes.plot(widths, formula, color=COLORS["orange"], label="ln V + ½ · d_model · 0.02²")
    axes.axhline(uniform, color=GREY, linestyle="--", linewidth=1.2, label="ln V, the uniform guess")
    axes.set(xlabel="d_model", ylabel="loss at the start (nats)", xticks=list(widths))
    axes.grid(True)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys())
    return figure


def logits_at_the_start(models: Mapping[str, tuple[Any, Any]]) -> Figure:
    """For each model, how its logits are spread: those of the token that stands there, and those of all others.

    Args:
        models: name → (logits of the token's own, logits of the others), both in any shape.
    """
    figure, panels = plt.subplots(1, len(models), figsize=(4.3 * len(models), 2.7))
    for axes, (name, (own, others)) in zip(np.atleast_1d(panels), models.items(), strict=True):
        own, others = to_numpy(own).ravel(), to_numpy(others).ravel()
        low, high = min(own.min(), others.min()), max(own.max(), others.max())
        bins = np.linspace(low, high, 60)
        for values, color, label in (
            (others, "blue", "all other tokens"),
            (own, "orange", "the token that stands there"),
        ):
            axes.hist(values, bins=bins, density=True, color=COLORS[color], alpha=0.8, label=label)
        axes.set(title=name, xlabel="logit", yticks=[])
    np.atleast_1d(panels)[0].set_ylabel("how frequent")
    handles, labels = np.atleast_1d(panels)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def who_moves(moved: Mapping[str, Any], names: Sequence[str]) -> Figure:
    """Which logits move when one token is replaced: a table (replaced token, place of the logits) for each model."""
    figure, panels = plt.subplots(1, len(moved), figsize=(4.4 * len(moved), 3.9), squeeze=False)
    for axes, (name, changes) in zip(panels[0], moved.items(), strict=True):
        heatmap(
            to_numpy(changes) > 0,
            names,
            names,
            row_name="token that is replaced",
            column_name="place where the logits are read",
            title=name,
            low=0,
            high=1,
            numbers=False,
            axes=axes,
        )
        axes.tick_params(axis="x", labelrotation=90)
    return figure


def shares(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """One bar for each model, cut into its components' shares of the parameters."""
    figure, axes = plt.subplots(figsize=(8.4, 0.62 * len(models) + 1.3))
    parts = list(next(iter(models.values())))
    left = np.zeros(len(models))
    totals = np.array([sum(model.values()) for model in models.values()], dtype=float)
    names = [
        f"{name}\n{total / 1e6:,.{1 if total < 1e7 else 0}f} M" for name, total in zip(models, totals, strict=True)
    ]
    for part, color in zip(parts, (name for name in COLORS if name not in ("yellow", "black")), strict=False):
        widths = 100 * np.array([model[part] for model in models.values()]) / totals
        drawn = axes.barh(names, widths, left=left, color=COLORS[color], label=part, height=0.68)
        written = [f"{width:.0f} %" if width >= 4 else "" for width in widths]
        axes.bar_label(drawn, written, label_type="center", fontsize=8.5, color="white" if color != "sky" else "black")
        left += widths
    axes.invert_yaxis()
    axes.set(xlabel="share of all parameters (%)", xlim=(0, 100))
    axes.legend(ncols=len(parts), loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.2)
    return figure


def alarms(rang: Mapping[str, Mapping[str, bool]]) -> Figure:
    """A table of bugs and invariants: orange where the invariant notices the bug."""
    bugs, tests = list(rang), list(next(iter(rang.values())))
    figure, axes = plt.subplots(figsize=(8.2, 0.36 * len(bugs) + 1.1))
    rings = np.array([[rang[bug][test] for test in tests] for bug in bugs], dtype=float)
    colors = plt.matplotlib.colors.ListedColormap(["#EDEDE8", COLORS["orange"]])
    axes.imshow(rings, cmap=colors, vmin=0, vmax=1, aspect="auto")
    for row in range(len(bugs)):
        for column in range(len(tests)):
            text = "rings" if rings[row, column] else "silent"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=8.5, color="black" if rings[row, column] else GREY
            )
    axes.set_xticks(range(len(tests)), tests)
    axes.set_yticks(range(len(bugs)), bugs)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(tests) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(bugs) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    return figure


def slips(differences: Mapping[str, float], tolerance: float = 1e-4) -> Figure:
    """One horizontal bar for each model: its largest difference in a logit, on a logarithmic axis."""
    figure, axes = plt.subplots(figsize=(7.6, 0.42 * len(differences) + 1.1))
    names, values = list(differences), list(differences.values())
    colors = [COLORS["blue"] if value <= tolerance else COLORS["red"] for value in values]
    smallest = 1e-8
    axes.barh(names, [max(value, 2 * smallest) for value in values], left=0, color=colors, height=0.62)
    for place, value in enumerate(values):
        axes.text(
            max(value, 2 * smallest) * 1.25,
            place,
            f"{value:.0e}".replace("e-0", "e−").replace("e-", "e−").replace("e+00", ""),
            va="center",
            fontsize=9,
        )
    axes.axvline(tolerance, color=GREY, linestyle="--", linewidth=1.2)
    axes.text(tolerance, -0.62, f"{tolerance:g}", ha="center", fontsize=9, color=GREY)
    axes.set(xscale="log", xlim=(smallest, 40 * max(values)), xlabel="largest difference of a logit")
    axes.invert_yaxis()
    return figure


def learning(losses: Mapping[str, Sequence[float]], reference: Mapping[str, float]) -> Figure:
    """The loss of every update on a logarithmic axis, with dashed lines for what to compare it with."""
    figure, axes = plt.subplots(figsize=(6.8, 3.1))
    for (name, values), color in zip(losses.items(), COLORS.values(), strict=False):
        axes.plot(range(1, len(values) + 1), values, color=color, label=name)
    for (name, height), style in zip(reference.items(), ("--", ":"), strict=False):
        axes.axhline(height, color=GREY, linestyle=style, linewidth=1.2, label=name)
    axes.set(xlabel="update", ylabel="loss (nats a token)", yscale="log", yticks=[2, 5, 10, 20, 50])
    axes.set_yticklabels(["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.grid(True)
    axes.legend()
    return figure


def design(results: Mapping[str, Any], floor: Mapping[str, float] | None = None) -> Figure:
    """The loss at the end for each variant: one dot a seed, and a bar for their mean.

    Args:
        results: name → losses, one for each seed.
        floor: name → height of a dashed reference line.
    """
    figure, axes = plt.subplots(figsize=(7.6, 0.42 * len(results) + 1.2))
    for place, losses in enumerate(results.values()):
        numbers = to_numpy(losses)
        color = COLORS["blue"] if place == 0 else COLORS["orange"]
        axes.plot(numbers, [place] * len(numbers), "o", color=color, alpha=0.8)
        axes.plot([numbers.mean()] * 2, [place - 0.3, place + 0.3], color=color, linewidth=2.4)
    first = to_numpy(next(iter(results.values())))
    axes.axvspan(first.min(), first.max(), color=COLORS["blue"], alpha=0.12, linewidth=0)
    for name, value in (floor or {}).items():
        axes.axvline(value, color=GREY, linestyle="--", linewidth=1.2, label=name)
    axes.set_yticks(range(len(results)), list(results))
    axes.set(xlabel="validation loss (nats a token)", ylim=(len(results) - 0.4, -0.6))
    axes.grid(True, axis="x")
    if floor:
        axes.legend()
    return figure
