"""Pictures of training: what falls, what rises, and what it means."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.theme import COLORS, GREY

PENS = ("blue", "orange", "green", "purple", "red")


def loss_curve(history: Sequence[Any], steps: int, floor: float | None = None) -> Figure:
    """The loss of each batch, the validation loss where it was measured, and the floor if it is known.

    `history` holds the trainer's records; `steps` is the right end of the axis.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots()
    training = [(record.step, record.train_loss) for record in history]
    validation = [(r.step, r.validation_loss) for r in history if r.validation_loss is not None]
    if training:
        axes.plot(*zip(*training, strict=True), color=COLORS["sky"], linewidth=1, label="training batch")
    if validation:
        axes.plot(*zip(*validation, strict=True), color=COLORS["blue"], marker="o", label="validation")
    if floor is not None:
        axes.axhline(floor, color=COLORS["red"], linestyle="--", label=f"floor {floor:.3f}")
    axes.set(xlabel="training step", ylabel="loss (nats per token)", xlim=(0, steps), ylim=(0, None))
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def learning_curves(
    losses: Mapping[str, Sequence[float] | Sequence[tuple[int, float]]],
    lines: Mapping[str, float] | None = None,
    *,
    top: float | None = None,
    bottom: float = 0.0,
) -> Figure:
    """Loss against step, one curve a run; `lines` are levels to compare with, drawn across.

    A run is a list of losses, one a step, or of (step, loss).
    """
    figure = Figure(figsize=(7.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for (name, run), pen in zip(losses.items(), PENS, strict=False):
        points = [p if isinstance(p, tuple) else (step, p) for step, p in enumerate(run, start=1)]
        marker = "o" if len(points) < 20 else None
        axes.plot(*zip(*points, strict=True), color=COLORS[pen], marker=marker, markersize=4, linewidth=1.5, label=name)
    for (name, level), dashes in zip((lines or {}).items(), (":", "--"), strict=False):
        axes.axhline(level, color=GREY, linestyle=dashes, linewidth=1.2)
        axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), xytext=(-4, 3), ha="right", fontsize=8.5,
                      textcoords="offset points", color=GREY)  # fmt: skip
    axes.set(xlabel="training step", ylabel="loss (nats per token)", ylim=(bottom, top))
    axes.legend(loc="best", fontsize=8.5)
    return figure


def valley(paths: Mapping[str, Sequence[tuple[float, float]]], steepness: float) -> Figure:
    """Paths of two weights down a long valley: the loss is (x² + steepness · y²) / 2."""
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    axes = figure.subplots()
    x, y = np.meshgrid(np.linspace(-4.4, 2.0, 160), np.linspace(-1.3, 1.3, 120))
    axes.contour(x, y, (x**2 + steepness * y**2) / 2, levels=np.geomspace(0.1, 40, 9), colors=GREY, linewidths=0.6)
    for (name, path), pen in zip(paths.items(), PENS, strict=False):
        axes.plot(*zip(*path, strict=True), color=COLORS[pen], marker="o", markersize=3, linewidth=1.3, label=name)
    axes.plot(0, 0, "+", color="black", markersize=10)
    axes.set(xlabel="first weight", ylabel="second weight", xlim=(-4.4, 2.0), ylim=(-1.3, 1.3))
    axes.legend(loc="upper right", fontsize=8.5)
    return figure


def gradient_sizes(before: Mapping[str, float], after: Mapping[str, float]) -> Figure:
    """Typical size of each tensor's gradient, and of the step that AdamW makes of it."""
    figure = Figure(figsize=(7.4, 0.5 + 0.23 * len(before)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(before))[::-1]
    axes.plot(list(before.values()), places, "o", color=COLORS["blue"], markersize=5, label="gradient")
    axes.plot(list(after.values()), places, "s", color=COLORS["orange"], markersize=5, label="AdamW's step ÷ rate")
    axes.set_yticks(places, list(before), fontsize=8)
    axes.set(xscale="log", xlabel="root mean square of its numbers")
    axes.grid(True, axis="y")
    axes.legend(fontsize=8.5)
    return figure


def number_sizes(gradients: Any, scale: float) -> Figure:
    """How many gradient numbers have which size, beside the range that float16 can hold, before and after scaling."""
    figure = Figure(figsize=(7.4, 3.0), layout="constrained")
    axes = figure.subplots()
    sizes = np.abs(np.asarray(gradients, dtype=float))
    bins = np.arange(-14, 6, 0.25)
    for factor, pen, name in ((1.0, "blue", "as they are"), (scale, "orange", f"times {scale:,.0f}")):
        logs = np.log10(factor * sizes[sizes > 0])
        axes.hist(logs, bins, color=COLORS[pen], alpha=0.55, label=name)
    smallest, largest = np.log10(2.0**-25), np.log10(65504)
    axes.axvspan(-14, smallest, color=COLORS["red"], alpha=0.15)
    axes.axvspan(largest, 6, color=COLORS["red"], alpha=0.15)
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    top = axes.get_ylim()[1]
    axes.text(smallest - 0.15, 0.93 * top, "becomes 0", ha="right", fontsize=8.5)
    axes.text(largest + 0.1, 0.93 * top, "∞", fontsize=10)
    axes.set(xlabel="size of a gradient number, as a power of ten", ylabel="how many", xlim=(-14, 6))
    axes.legend(fontsize=8.5, loc="upper center")
    return figure


def gradient_lengths(lengths: Mapping[str, Sequence[float]], longest: float) -> Figure:
    """Length of the gradient at each step, on a logarithmic scale, and the limit."""
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    axes = figure.subplots()
    for (name, values), pen in zip(lengths.items(), PENS, strict=False):
        axes.plot(range(1, len(values) + 1), values, color=COLORS[pen], linewidth=1.3, label=name)
    axes.axhline(longest, color=COLORS["red"], linestyle="--", linewidth=1, label=f"limit {longest:g}")
    axes.set(yscale="log", xlabel="training step", ylabel="length of the gradient")
    axes.legend(fontsize=8.5)
    return figure


def schedules_compared(rates: Sequence[float], losses: Mapping[str, Sequence[Sequence[float | None]]]) -> Figure:
    """Final loss against the peak rate, a line a schedule: the mean over seeds, with the range as a band."""
    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, table), pen in zip(losses.items(), PENS, strict=False):
        values = np.array([[np.nan if loss is None else loss for loss in row] for row in table])
        axes.fill_between(rates, values.min(axis=0), values.max(axis=0), color=COLORS[pen], alpha=0.2)
        axes.plot(rates, values.mean(axis=0), color=COLORS[pen], marker="o", markersize=4, label=name)
    axes.set(xscale="log", xlabel="peak learning rate", ylabel="final loss (nats per token)")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.legend(fontsize=8.5)
    return figure


def overfitting(runs: Mapping[str, Sequence[Mapping[str, Sequence[float]]]], floor: float) -> Figure:
    """One panel a remedy: loss on the stories learned from, and on new ones; a line a seed."""
    figure = Figure(figsize=(8.8, 3.1), layout="constrained")
    all_axes = figure.subplots(1, len(runs), sharey=True)
    for axes, (name, seeds) in zip(np.atleast_1d(all_axes), runs.items(), strict=True):
        for number, run in enumerate(seeds):
            for key, pen, label in (("known", "sky", "learned from"), ("new", "blue", "new")):
                axes.plot(run["step"], run[key], color=COLORS[pen], linewidth=1.3, label=None if number else label)
        axes.axhline(floor, color=COLORS["red"], linestyle="--", linewidth=1)
        axes.set_title(name, fontsize=9, fontweight="normal")
        axes.set(xlabel="training step", ylim=(0, None))
    np.atleast_1d(all_axes)[0].set_ylabel("loss (nats per token)")
    np.atleast_1d(all_axes)[0].legend(fontsize=8)
    return figure
