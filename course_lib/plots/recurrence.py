"""Pictures of lesson 01: accuracy and gradient against distance, alignments, and what a convolution can reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import heatmap, to_numpy
from course_lib.plots.theme import COLORS, GREY

# One colour and marker for each kind of model, the same in all pictures of the lesson and in its widget.
PENS: dict[str, tuple[str, str]] = {
    "3-gram": (COLORS["black"], "P"),
    "RNN": (COLORS["orange"], "s"),
    "LSTM": (COLORS["green"], "^"),
    "CNN": (COLORS["purple"], "D"),
    "attention": (COLORS["blue"], "o"),
    "one fixed vector": (COLORS["green"], "^"),
    "looks back": (COLORS["blue"], "o"),
}


def against_distance(
    distances: Sequence[int],
    runs: Mapping[str, Any],
    *,
    y_name: str,
    title: str = "",
    trained_to: int | None = None,
    chance: float | None = None,
    log_y: bool = False,
) -> Figure:
    """One line for each model: the mean of its runs over the distance (log scale), with a band from worst to best.

    Args:
        runs: model → (runs, distances) or (distances,).
        trained_to: the longest distance seen in training, drawn as a vertical line.
        chance: the height of guessing, drawn as a dashed line.
    """
    figure, axes = plt.subplots(figsize=(7.2, 3.7))
    for name, values in runs.items():
        color, marker = PENS[name]
        lines = np.atleast_2d(to_numpy(values))
        axes.plot(distances, lines.mean(axis=0), color=color, marker=marker, label=name)
        axes.fill_between(distances, lines.min(axis=0), lines.max(axis=0), color=color, alpha=0.18, linewidth=0)
    if trained_to is not None:
        axes.axvline(trained_to, color=GREY, linewidth=1, linestyle=":", label=f"longest in training: {trained_to}")
    if chance is not None:
        axes.axhline(chance, color=GREY, linewidth=1.2, linestyle="--", label=f"guessing: {chance:g}")
    axes.set_xscale("log", base=2)
    axes.set_xticks([d for d in distances if d & (d - 1) == 0])
    axes.get_xaxis().set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    if log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(-0.02, 1.05)
    axes.set(xlabel="distance from the pair to the question (tokens)", ylabel=y_name, title=title)
    axes.grid(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def against_steps(distances: Sequence[int], runs: Mapping[str, Any], steps: Mapping[str, Sequence[int]]) -> Figure:
    """Each model at each distance as a point: sequential steps from the pair to the answer, and accuracy."""
    figure, axes = plt.subplots(figsize=(7.2, 3.5))
    for name, values in runs.items():
        color, marker = PENS[name]
        mean = np.atleast_2d(to_numpy(values)).mean(axis=0)
        axes.plot(steps[name], mean, color=color, marker=marker, linewidth=1, alpha=0.85, label=name)
    axes.set_xscale("log", base=2)
    axes.get_xaxis().set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(-0.02, 1.05)
    axes.set(xlabel="steps that must follow one another, from the pair to the answer", ylabel="share answered rightly")
    axes.grid(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def against_count(
    counts: Sequence[int], runs: Mapping[str, Any], *, x_name: str, y_name: str, trained_to: int | None = None
) -> Figure:
    """One line for each model over a number of things, with a band from its worst to its best run.

    Args:
        runs: model → (runs, counts).
        trained_to: the largest number seen in training, drawn as a vertical line.
    """
    figure, axes = plt.subplots(figsize=(7.2, 3.4))
    for name, values in runs.items():
        color, marker = PENS[name]
        lines = np.atleast_2d(to_numpy(values))
        axes.plot(counts, lines.mean(axis=0), color=color, marker=marker, label=name)
        axes.fill_between(counts, lines.min(axis=0), lines.max(axis=0), color=color, alpha=0.18, linewidth=0)
    if trained_to is not None:
        axes.axvline(trained_to, color=GREY, linewidth=1, linestyle=":", label=f"longest in training: {trained_to}")
    axes.set_xticks(counts)
    axes.set_ylim(-0.02, 1.05)
    axes.set(xlabel=x_name, ylabel=y_name)
    axes.grid(True)
    axes.legend(loc="lower left")
    return figure


def gradient_panels(distances: Sequence[int], start: Mapping[str, Any], after: Mapping[str, Any]) -> Figure:
    """How strongly the answer depends on a pair at each distance, before and after training."""
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
    for axes, runs, title in zip(panels, (start, after), ("before training", "after training"), strict=True):
        for name, values in runs.items():
            color, marker = PENS[name]
            lines = np.maximum(np.atleast_2d(to_numpy(values)), 1e-9)
            axes.plot(distances, np.exp(np.log(lines).mean(axis=0)), color=color, marker=marker, label=name)
            axes.fill_between(distances, lines.min(axis=0), lines.max(axis=0), color=color, alpha=0.18, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks([d for d in distances if d & (d - 1) == 0])
        axes.get_xaxis().set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.set_yscale("log")
        axes.set(xlabel="distance to the question (tokens)", title=title)
        axes.grid(True)
    panels[0].set_ylabel("length of ∂ answer / ∂ pair")
    panels[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def receptive_field(kernel: int, dilations: Sequence[int], tokens: int = 20) -> Figure:
    """Which tokens the last position of a stack of causal convolutions can see, layer by layer."""
    figure, axes = plt.subplots(figsize=(8.2, 2.6))
    levels = len(dilations)
    seen = {tokens - 1}
    for level in range(levels, 0, -1):
        step = dilations[level - 1]
        below = {place - tap * step for place in seen for tap in range(kernel) if place - tap * step >= 0}
        for place in seen:
            for tap in range(kernel):
                if place - tap * step >= 0:
                    axes.plot([place, place - tap * step], [level, level - 1], color=COLORS["purple"], linewidth=0.9)
        _dots(axes, tokens, level, seen)
        seen = below
    _dots(axes, tokens, 0, seen)
    names = ["tokens", *[f"layer {number}, dilation {step}" for number, step in enumerate(dilations, start=1)]]
    axes.set_yticks(range(levels + 1), names)
    axes.set_xticks(range(tokens), [str(place - tokens + 1).replace("-", "−") for place in range(tokens)])
    axes.set(xlabel="position, counted back from the question")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def _dots(axes: Any, tokens: int, level: int, seen: set[int]) -> None:
    colors = [COLORS["purple"] if place in seen else "#DDDDDD" for place in range(tokens)]
    axes.scatter(range(tokens), [level] * tokens, c=colors, s=42, zorder=3)


def alignment(weights: Any, source: Sequence[str], translation: Sequence[str], title: str = "") -> Figure:
    """Where the decoder looked for each word that it wrote: a row for each word written, adding to 1."""
    figure = heatmap(
        weights, translation, source, row_name="word written", column_name="word read", title=title, low=0.0, high=1.0
    )
    figure.axes[0].set_xticks(range(len(source)), source, rotation=0)
    return figure


def alignments(
    weights: Sequence[Any], source: Sequence[str], translations: Sequence[Sequence[str]], titles: Sequence[str]
) -> Figure:
    """Several alignments of one sentence side by side."""
    figure, panels = plt.subplots(1, len(weights), figsize=(4.3 * len(weights), 3.9))
    for axes, matrix, translation, title in zip(panels, weights, translations, titles, strict=True):
        heatmap(
            matrix,
            translation,
            source,
            row_name="word written",
            column_name="word read",
            title=title,
            low=0.0,
            high=1.0,
            axes=axes,
        )
        axes.set_xticks(range(len(source)), source, rotation=0)
    return figure


def state_over_time(products: Mapping[str, Any]) -> Figure:
    """What is left of a signal after t steps for several factors a step, on a log scale."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    for (name, values), color in zip(products.items(), COLORS.values(), strict=False):
        axes.plot(to_numpy(values), color=color, label=name)
        axes.text(len(values) - 0.5, float(values[-1]), name, color=color, va="center", fontsize=9)
    axes.set_yscale("log")
    axes.set_xlim(0, 1.16 * len(values))
    axes.set(xlabel="steps t", ylabel="∂h$_t$ / ∂h$_0$", title="One factor for each step")
    axes.grid(True)
    return figure
