"""The pictures of lesson 10: distributions and what the knobs make of them, beams, and the work that a cache saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.charts import to_numpy
from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY


def surprise(texts: Mapping[str, Sequence[float]]) -> Figure:
    """How surprising each token of some texts is to the model, in nats: one panel for each text."""
    figure, panels = plt.subplots(len(texts), 1, figsize=(7.6, 1.7 * len(texts)), sharex=True, sharey=True)
    for axes, (name, values), color in zip(np.atleast_1d(panels), texts.items(), COLORS.values(), strict=False):
        axes.bar(range(len(values)), values, width=0.85, color=color)
        axes.axhline(np.mean(values), color=GREY, linestyle="--", linewidth=1)
        axes.annotate(f"mean {np.mean(values):.2f}", (1.0, np.mean(values)), xycoords=("axes fraction", "data"),
                      xytext=(3, 0), textcoords="offset points", va="center", fontsize=9, color=GREY)  # fmt: skip
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_ylabel("nats")
    axes.set_xlabel("token of the text")
    return figure


def tempered(probabilities: Mapping[float, Any], names: Sequence[str]) -> Figure:
    """Bars of one distribution at several temperatures, beside each other for each token."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2))
    width = 0.8 / len(probabilities)
    for place, ((temperature, values), color) in enumerate(
        zip(probabilities.items(), ("blue", "black", "orange", "red"), strict=False)
    ):
        values = to_numpy(values)
        x = np.arange(len(values)) + (place - (len(probabilities) - 1) / 2) * width
        axes.bar(x, values, width, color=COLORS[color], label=f"T = {temperature:g}")
        for left, value in zip(x, values, strict=True):
            axes.annotate(f"{value:.2f}", (left, value), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(names)), [drawable(name) for name in names])
    axes.set(ylabel="probability", ylim=(0, 1), xlabel="token")
    axes.legend(loc="upper right")
    return figure


def cuts(distributions: Mapping[str, Any], kept: Mapping[str, Mapping[str, int]], most: int = 30) -> Figure:
    """Sorted probabilities of several next tokens, and where each rule cuts each of them.

    Args:
        distributions: title → probabilities of all tokens.
        kept: rule → title → how many tokens stay.
        most: how many of the likeliest tokens are drawn.
    """
    figure, panels = plt.subplots(1, len(distributions), figsize=(8.4, 3.4), sharey=True)
    for axes, (title, values) in zip(panels, distributions.items(), strict=True):
        axes.bar(range(1, most + 1), np.sort(to_numpy(values))[::-1][:most], color=COLORS["sky"], width=0.9)
        for height, (rule, color) in enumerate(zip(kept, ("orange", "blue", "red"), strict=True)):
            n = kept[rule][title]
            level = 0.92 - 0.17 * height
            axes.plot([0.5, min(n, most) + 0.5], [level, level], color=COLORS[color], linewidth=3)
            axes.annotate(f"{rule} keeps {n}", (min(n, most) + 0.8 if n < 12 else 1, level), fontsize=9,
                          xytext=(2, 0 if n < 12 else 7), textcoords="offset points", va="center")  # fmt: skip
        axes.set(title=title, xlabel="token, by rank", ylim=(0, 1.02), xlim=(0, most + 1))
    panels[0].set_ylabel("probability")
    return figure


def sound_and_varied(results: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """A row for each setting: soundness on the left, variety on the right; small points are seeds, diamonds means.

    Args:
        results: setting → (share of different triples of tokens, share of sound stories) for each seed.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 0.5 + 0.36 * len(results)), sharey=True)
    names = list(results)
    for axes, column, title in (
        (panels[0], 1, "stories without a mistake"),
        (panels[1], 0, "different triples of tokens"),
    ):
        for row, (name, points) in enumerate(results.items()):
            values = np.array(points)[:, column]
            color = COLORS["black" if "real" in name else "blue"]
            axes.plot(values, [row] * len(values), "o", color=color, markersize=4, alpha=0.5)
            axes.plot(values.mean(), row, "D", color=color, markersize=7)
        real = np.mean([point[column] for name, points in results.items() if "real" in name for point in points])
        axes.axvline(real, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=f"share of {title}")
        axes.grid(True, axis="y")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    panels[0].set_xlim(-0.04, 1.04)
    return figure


def beam_tree() -> Figure:
    """Two steps, two tokens each: the likeliest first token does not begin the likeliest pair."""
    figure, axes = plt.subplots(figsize=(6.4, 3.0))
    places = {"": (0, 0), "A": (1, 1), "B": (1, -1), "AA": (2, 1.5), "AB": (2, 0.5), "BA": (2, -0.5), "BB": (2, -1.5)}
    chances = {"A": 0.6, "B": 0.4, "AA": 0.55, "AB": 0.45, "BA": 0.9, "BB": 0.1}
    for name, chance in chances.items():
        (x0, y0), (x1, y1) = places[name[:-1]], places[name]
        color = COLORS["red"] if name in ("A", "AA") else COLORS["green"] if name in ("B", "BA") else GREY
        axes.plot([x0, x1], [y0, y1], color=color, linewidth=2.5 if color != GREY else 1.2, zorder=1)
        axes.annotate(f"{chance:g}", ((x0 + x1) / 2, (y0 + y1) / 2), xytext=(0, 6), textcoords="offset points",
                      ha="center", fontsize=9)  # fmt: skip
    for name, (x, y) in places.items():
        axes.annotate(name[-1:] or "start", (x, y), ha="center", va="center", zorder=2,
                      bbox={"boxstyle": "circle", "fc": "white", "ec": "#555555"})  # fmt: skip
    for name in ("AA", "AB", "BA", "BB"):
        x, y = places[name]
        axes.annotate(f"{name}: {chances[name[0]] * chances[name]:.2f}", (x + 0.14, y), va="center", fontsize=10)
    axes.set(xlim=(-0.25, 2.75), ylim=(-1.9, 1.9))
    axes.axis("off")
    return figure


def cache_rows(n: int = 6) -> Figure:
    """The causal attention table, without a cache (all rows, at every step) and with one (the last row alone)."""
    figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.2))
    allowed = np.tril(np.ones((n, n)))
    for axes, title, rows in zip(
        panels, ("without a cache: everything again", "with a cache: the last row"), (range(n), [n - 1]), strict=True
    ):
        colors = np.ones((n, n, 3)) * 0.97
        colors[allowed == 1] = (0.87, 0.87, 0.87)
        for row in rows:
            colors[row, : row + 1] = (0.9, 0.62, 0.0)
        axes.imshow(colors)
        axes.set_xticks(np.arange(-0.5, n), [], minor=False)
        axes.set_yticks(np.arange(-0.5, n), [])
        axes.grid(True, color="white", linewidth=2)
        axes.set(title=title, xlabel="key", ylabel="query")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def work(lengths: Sequence[int], without: Sequence[float], with_cache: Sequence[float]) -> Figure:
    """Total arithmetic to make a text of each length, with and without a cache, on logarithmic axes."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    for values, name, color in ((without, "without a cache", "red"), (with_cache, "with a cache", "blue")):
        axes.loglog(lengths, np.array(values) / 1e9, "o-", color=COLORS[color])
        axes.annotate(name, (lengths[-1], values[-1] / 1e9), xytext=(6, 0), textcoords="offset points", va="center",
                      color=COLORS[color])  # fmt: skip
    axes.set(xlabel="tokens made", ylabel="billions of FLOPs in all", xlim=(lengths[0] * 0.9, lengths[-1] * 3))
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.minorticks_off()
    axes.grid(True)
    return figure


def apart(steps: Sequence[float], other: Sequence[float], names: tuple[str, str]) -> Figure:
    """The largest difference between two ways to compute the logits, at each step, for two models."""
    figure, axes = plt.subplots(figsize=(6.8, 3.0))
    for values, name, color in ((steps, names[0], "blue"), (other, names[1], "red")):
        axes.semilogy(range(len(values)), np.maximum(values, 1e-8), "o-", markersize=3, color=COLORS[color], label=name)
    axes.set(xlabel="tokens made", ylabel="largest difference of a logit")
    axes.legend(loc="center right")
    axes.grid(True)
    return figure
