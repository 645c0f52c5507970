"""The drawings of lesson 06: what filters throw away, how alike pages are, what cleaner text and leaks do to a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import to_numpy
from course_lib.plots.theme import COLORS, GREY, PAPER


def kept_and_thrown(kept: Mapping[str, int], thrown: Mapping[str, int], wanted: Sequence[str] = ()) -> Figure:
    """One bar for each kind of page: how many a filter keeps and throws away. The wanted kinds are starred."""
    figure, axes = plt.subplots(figsize=(7.6, 0.34 * len(kept) + 1.1))
    names = [f"{kind} ★" if kind in wanted else kind for kind in kept]
    left = np.array([kept[kind] for kind in kept])
    right = np.array([thrown[kind] for kind in kept])
    for counts, start, color, label, ink in (
        (left, np.zeros_like(left), "blue", "kept", "white"),
        (right, left, "orange", "thrown away", "black"),
    ):
        drawn = axes.barh(names, counts, left=start, color=COLORS[color], label=label, height=0.7)
        axes.bar_label(
            drawn, [str(count) if count > 12 else "" for count in counts], label_type="center", fontsize=8.5, color=ink
        )
    axes.invert_yaxis()
    axes.set(xlabel="pages")
    axes.legend(loc="lower right")
    return figure


def trade_off(thresholds: Sequence[float], shares: Mapping[str, Sequence[float]], *, x_name: str) -> Figure:
    """Precision and recall, or any shares, as a threshold moves."""
    figure, axes = plt.subplots(figsize=(6.6, 3.3))
    for (name, values), (color, marker) in zip(
        shares.items(), (("blue", "o"), ("orange", "s"), ("green", "^")), strict=False
    ):
        axes.plot(thresholds, values, color=COLORS[color], marker=marker, label=name)
    axes.set(xlabel=x_name, ylabel="share", ylim=(-0.03, 1.05))
    axes.grid(True)
    axes.legend()
    return figure


def estimates(exact: Any, runs: Mapping[str, Any]) -> Figure:
    """Estimated against exact similarity, one panel for each length of signature."""
    figure, panels = plt.subplots(1, len(runs), figsize=(3.1 * len(runs), 3.1), sharey=True, squeeze=False)
    for axes, (name, values) in zip(panels[0], runs.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
        axes.plot(exact, values, "o", color=COLORS["blue"], markersize=3.5, alpha=0.6)
        axes.set(xlabel="exact similarity", title=name, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axes.grid(True)
    panels[0][0].set_ylabel("share of equal entries")
    return figure


def pairs_and_curve(alike: Any, different: Any, curve: Sequence[float], threshold: float) -> Figure:
    """Histogram of the similarity of pairs, copies and others, with the chance to meet over it."""
    figure, axes = plt.subplots(figsize=(7.4, 3.4))
    bins = np.linspace(0, 1, 41)
    for values, color, label in ((different, "orange", "pairs that are no copies"), (alike, "blue", "pairs of copies")):
        axes.hist(to_numpy(values), bins=bins, color=COLORS[color], alpha=0.8, label=label)
    axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1.2, label=f"threshold {threshold:g}")
    axes.set(xlabel="Jaccard similarity of phrases", ylabel="pairs (logarithmic)", yscale="log", xlim=(0, 1))
    chance = axes.twinx()
    chance.plot(
        np.linspace(0, 1, len(curve)), curve, color=COLORS["black"], linewidth=2, label="chance to share a band"
    )
    chance.set(ylabel="chance to share a band", ylim=(0, 1.05))
    chance.spines["right"].set_visible(True)
    handles = [part for one in (axes, chance) for part in one.get_legend_handles_labels()[0]]
    labels = [part for one in (axes, chance) for part in one.get_legend_handles_labels()[1]]
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def curves(bands_and_rows: Mapping[str, Sequence[float]]) -> Figure:
    """The chance to share a band against similarity, for several ways to cut a signature."""
    figure, axes = plt.subplots(figsize=(6.2, 3.2))
    styles = (("blue", "-"), ("orange", "--"), ("green", "-."), ("purple", ":"))
    for (name, values), (color, line) in zip(bands_and_rows.items(), styles, strict=False):
        axes.plot(np.linspace(0, 1, len(values)), values, line, color=COLORS[color], label=name)
    axes.set(xlabel="similarity", ylabel="chance to share a band", xlim=(0, 1), ylim=(-0.02, 1.05))
    axes.grid(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title="bands × rows")
    return figure


def stage_losses(runs: Mapping[str, Sequence[float]]) -> Figure:
    """One column for each stage of cleaning: a dot for each seed, a bar at their mean, lines joining a seed's dots."""
    figure, axes = plt.subplots(figsize=(7.2, 3.3))
    names = list(runs)
    table = np.array([runs[name] for name in names])  # (stages, seeds)
    control = [place for place, name in enumerate(names) if "at random" in name]
    cleaning = [place for place in range(len(names)) if place not in control]
    for seed in range(table.shape[1]):
        axes.plot(cleaning, table[cleaning, seed], color=GREY, linewidth=0.8)
    for place in range(len(names)):
        color = COLORS["orange" if place in control else "blue"]
        axes.plot([place] * table.shape[1], table[place], "o", color=color)
        axes.hlines(table[place].mean(), place - 0.22, place + 0.22, color=color, linewidth=2.5)
        mean = table[place].mean()
        axes.annotate(f"{mean:.2f}", (place + 0.25, mean), va="center", fontsize=9, color=color, bbox=PAPER)
    labels = ["control:\n" * (place in control) + name.replace(", ", "\n") for place, name in enumerate(names)]
    axes.set_xticks(range(len(names)), labels)
    axes.set(ylabel="loss on unseen pages\n(nats a byte)", xlim=(-0.5, len(names) - 0.3))
    axes.grid(True, axis="y")
    return figure


def leaks(steps: Sequence[int], runs: Mapping[str, Any]) -> Figure:
    """Loss against updates on several validation sets: the mean over seeds, and a band from lowest to highest."""
    figure, axes = plt.subplots(figsize=(7.4, 3.5))
    styles = (("blue", "-", "o"), ("orange", "--", "s"), ("red", "-.", "^"), ("black", ":", "D"))
    for (name, values), (color, line, marker) in zip(runs.items(), styles, strict=False):
        lines = np.atleast_2d(to_numpy(values))
        axes.plot(steps, lines.mean(axis=0), line, marker=marker, color=COLORS[color], label=name)
        axes.fill_between(steps, lines.min(axis=0), lines.max(axis=0), color=COLORS[color], alpha=0.18, linewidth=0)
    axes.set(xlabel="updates", ylabel="loss (nats a byte)")
    axes.grid(True)
    axes.legend()
    return figure
