"""Pictures of scale: where arithmetic and memory go, what limits a machine, and how loss falls with size."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from course_lib.plots.theme import COLORS, GREY

PENS = ("blue", "orange", "green", "purple", "red", "sky", "black")
MARKS = "os^Dv<>"


def shares(parts: Mapping[str, Mapping[str, float]], *, of: str) -> Figure:
    """One bar a model, cut into parts that add up to 100 %; each share of at least 6 % is written in it."""
    figure = Figure(figsize=(8.4, 0.9 + 0.42 * len(parts)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(parts))
    names = list(next(iter(parts.values())))
    for part, pen in zip(names, PENS, strict=False):
        sizes = np.array([100 * row[part] / sum(row.values()) for row in parts.values()])
        axes.barh(list(parts), sizes, left=left, color=COLORS[pen], label=part)
        for place, (start, size) in enumerate(zip(left, sizes, strict=True)):
            if size >= 6:
                ink = "black" if pen in ("orange", "sky", "purple") else "white"
                axes.text(start + size / 2, place, f"{size:.0f}", ha="center", va="center", color=ink, fontsize=9)
        left += sizes
    axes.invert_yaxis()
    axes.set(xlabel=f"share of {of} (%)", xlim=(0, 100))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(names), fontsize=8.5)
    return figure


def roofline(
    peak: float,
    bandwidth: float,
    points: Mapping[str, tuple[float, float]],
    machine: str = "this machine",
) -> Figure:
    """What a machine can reach at each intensity, and what pieces of work did reach: name → (FLOPs per byte, FLOPs/s).

    The roof is the smaller of `peak` (FLOPs per second) and intensity × `bandwidth` (bytes per second).
    """
    figure = Figure(figsize=(7.8, 4.0), layout="constrained")
    axes = figure.subplots()
    low = min(intensity for intensity, _ in points.values()) / 2
    high = max(*(intensity for intensity, _ in points.values()), peak / bandwidth) * 3
    x = np.geomspace(low, high, 200)
    axes.plot(
        x, np.minimum(peak, x * bandwidth) / 1e9, color=COLORS["black"], linewidth=1.6, label=f"roof of {machine}"
    )
    ridge = peak / bandwidth
    axes.axvline(ridge, color=GREY, linestyle=":", linewidth=1.1)
    axes.annotate(f"ridge: {ridge:.1f}\nFLOPs per byte", (ridge, 0.02), xycoords=("data", "axes fraction"),
                  xytext=(5, 4), textcoords="offset points", fontsize=8.5, color=GREY)  # fmt: skip
    for (name, (intensity, speed)), pen, mark in zip(points.items(), PENS * 2, MARKS * 2, strict=False):
        axes.plot(intensity, speed / 1e9, mark, color=COLORS[pen], markersize=7, label=name)
    axes.set(xscale="log", yscale="log", xlabel="arithmetic intensity (FLOPs per byte moved)")
    axes.set_ylabel("speed (billion FLOPs per second)")
    axes.grid(True, which="major")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8.5)
    return figure


def growth(lengths: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """A panel for each quantity, against length on logarithmic axes, a line for each way of computing."""
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    for axes, (quantity, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for (name, values), pen, mark in zip(lines.items(), PENS, MARKS, strict=False):
            axes.plot(lengths, values, marker=mark, color=COLORS[pen], label=name)
        axes.set(xscale="log", yscale="log", xlabel="length T (tokens)", ylabel=quantity)
        axes.set_xticks(lengths, [str(length) for length in lengths])
        axes.minorticks_off()
        axes.grid(True)
        axes.legend(fontsize=8.5)
    return figure


def memory_against(
    batches: Sequence[int], fixed: Mapping[str, float], growing: Mapping[str, Sequence[float]]
) -> Figure:
    """Bytes against the batch: fixed parts as a stack, then activations on top of it, a line for each way."""
    figure = Figure(figsize=(7.4, 3.5), layout="constrained")
    axes = figure.subplots()
    bottom = 0.0
    for (name, size), pen in zip(fixed.items(), ("blue", "orange", "green"), strict=False):
        axes.fill_between(batches, bottom / 1e6, (bottom + size) / 1e6, color=COLORS[pen], alpha=0.45, label=name,
                          linewidth=0)  # fmt: skip
        bottom += size
    for (name, sizes), pen, mark in zip(growing.items(), ("purple", "black", "red"), MARKS, strict=False):
        total = [(bottom + size) / 1e6 for size in sizes]
        axes.plot(batches, total, marker=mark, color=COLORS[pen], label=name, clip_on=False)
    axes.set(xlabel="texts in a batch", ylabel="memory (MB)", xlim=(min(batches), max(batches)), ylim=(0, None))
    axes.set_xticks(batches)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8.5)
    return figure


def gradient_noise(counts: Sequence[int], noises: Mapping[str, Sequence[float]]) -> Figure:
    """How far averaged gradients scatter, each line in units of its first, beside the law of 1/√n."""
    figure = Figure(figsize=(6.8, 3.3), layout="constrained")
    axes = figure.subplots()
    for (name, values), pen, mark in zip(noises.items(), PENS, MARKS, strict=False):
        axes.plot(counts, np.array(values) / values[0], marker=mark, color=COLORS[pen], label=name)
    law = 1 / np.sqrt(np.array(counts) / counts[0])
    axes.plot(counts, law, color=GREY, linestyle="--", label="1/√processes")
    axes.set(xscale="log", yscale="log", xlabel="processes", ylabel="scatter of the gradient (one process: 1)")
    axes.minorticks_off()
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_yticks(law, [f"{height:.2f}" for height in law])
    axes.grid(True)
    axes.legend(fontsize=8.5)
    return figure


def loss_and_compute(curves: Mapping[str, Sequence[tuple[float, float]]], floor: float) -> Figure:
    """Excess over the floor against FLOPs spent, a line a size; both axes logarithmic."""
    figure = Figure(figsize=(7.6, 3.9), layout="constrained")
    axes = figure.subplots()
    viridis = plt.get_cmap("viridis")
    shades = np.linspace(0.02, 0.82, len(curves))
    for (name, points), shade in zip(curves.items(), shades, strict=True):
        flops, losses = np.array(points).T
        axes.plot(flops, losses - floor, color=viridis(shade), marker=".", markersize=4, linewidth=1.4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="FLOPs spent", ylabel="loss above the floor (nats per character)")
    _plain_numbers(axes.yaxis)
    axes.grid(True, which="both")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", title="parameters", fontsize=8.5)
    return figure


def _plain_numbers(axis: Axis) -> None:
    """0.2 in place of 2 × 10⁻¹ on a logarithmic axis, at 1, 2 and 5 times the powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def power_law(
    fitted: Mapping[float, Sequence[float]],
    line: Sequence[tuple[float, float]],
    band: Sequence[tuple[float, float, float]] = (),
    tested: Mapping[float, Sequence[float]] | None = None,
) -> Figure:
    """Excess loss against size: a dot a seed, the fitted line, its band of prediction, and what was held back.

    `line` holds (size, excess), `band` (size, low, high).
    """
    figure = Figure(figsize=(7.4, 3.9), layout="constrained")
    axes = figure.subplots()
    if band:
        sizes, low, high = np.array(band).T
        axes.fill_between(sizes, low, high, color=COLORS["sky"], alpha=0.35, linewidth=0, label="95 % interval")
    axes.plot(*np.array(line).T, color=COLORS["blue"], label="fitted on six sizes")
    for points, pen, mark, name in (
        (fitted, "black", "o", "six sizes, a dot a seed"),
        (tested or {}, "red", "D", "the seventh"),
    ):
        x = [size for size, losses in points.items() for _ in losses]
        y = [loss for losses in points.values() for loss in losses]
        if points:
            axes.plot(x, y, mark, color=COLORS[pen], markersize=5, label=name)
    axes.set(xscale="log", yscale="log", xlabel="parameters N, without the embedding")
    _plain_numbers(axes.yaxis)
    axes.set_ylabel("loss above the floor (nats per character)")
    axes.grid(True, which="both")
    axes.legend(fontsize=8.5)
    return figure


def shards(stages: Mapping[str, Mapping[str, float]], capacity: float, device: str) -> Figure:
    """Bytes on each device for each way of splitting, as stacked bars, beside what the device has."""
    figure = Figure(figsize=(8.0, 2.9), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(stages))
    names = list(next(iter(stages.values())))
    for part, pen in zip(names, PENS, strict=False):
        sizes = np.array([row[part] / 1e9 for row in stages.values()])
        axes.barh(list(stages), sizes, left=left, color=COLORS[pen], label=part)
        left += sizes
    for place, total in enumerate(left):
        axes.text(total, place, f" {total:.1f}", va="center", fontsize=9)
    axes.axvline(capacity / 1e9, color=COLORS["red"], linestyle="--", label=f"one {device} has")
    axes.invert_yaxis()
    axes.set(xlabel="memory on each device (GB)", xlim=(0, 1.12 * max(*left, capacity / 1e9)))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8.5)
    return figure
