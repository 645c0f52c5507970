"""The drawings of lesson 07: texts as tokens, bytes inside characters, and what a vocabulary's size does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.plots.charts import line_with_spread
from course_lib.plots.fonts import drawable
from course_lib.plots.theme import COLORS, GREY

LINE = 80
"""Columns in a line of tokens; a Chinese character takes two."""


def token_line(axes: Axes, tokens: Sequence[str], title: str, colors: Sequence[int] | None = None) -> None:
    """One line of tokens as coloured boxes, as many as fit, under a title.

    `colors` gives the number of each token's colour; without it, neighbours differ.
    """
    inks = [COLORS[name] for name in ("blue", "orange", "green", "purple")]
    axes.set(xlim=(0, LINE), ylim=(0, 1))
    axes.axis("off")
    axes.set_title(drawable(title), loc="left", fontsize=9, pad=2)
    place = 0.0
    for number, token in enumerate(map(drawable, tokens)):
        width = 0.85 + sum(1.6 if ord(character) > 0x2E80 else 0.78 for character in token)
        if place + width > LINE:
            axes.text(place + 0.2, 0.5, "…", va="center")
            return
        color = inks[(number if colors is None else colors[number]) % 4]
        box = {"boxstyle": "square,pad=0.28", "facecolor": color, "alpha": 0.22, "edgecolor": "none"}
        where = place + width / 2
        axes.text(where, 0.45, token, ha="center", va="center", fontsize=9, bbox=box)
        place += width


def stacked(figure: Figure) -> Figure:
    """Lines of tokens close under each other, each with room for its title."""
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - 0.22 / figure.get_figheight(), bottom=0.01, hspace=0.85)
    return figure


def token_lines(lines: Mapping[str, Sequence[str]]) -> Figure:
    """Texts as tokens, one line each: title → tokens."""
    figure, panels = plt.subplots(len(lines), 1, figsize=(8.8, 0.62 * len(lines) + 0.1), squeeze=False, layout="none")
    for axes, (title, tokens) in zip(panels[:, 0], lines.items(), strict=True):
        token_line(axes, tokens, f"{title} — {len(tokens)} tokens")
    return stacked(figure)


def characters_and_bytes(text: str) -> Figure:
    """A text in three lines: its characters, their code points, and their UTF-8 bytes, in the colours of characters."""
    figure, panels = plt.subplots(3, 1, figsize=(8.8, 1.9), layout="none")
    content = [character.encode() for character in text]
    owners = [number for number, own in enumerate(content) for _ in own]
    token_line(panels[0], list(text.replace(" ", "␣")), f"{len(text)} characters")
    token_line(panels[1], [f"U+{ord(character):04X}" for character in text], "their code points (numbers from Unicode)")
    token_line(panels[2], [f"{byte:02X}" for own in content for byte in own], f"{len(owners)} bytes of UTF-8", owners)
    return stacked(figure)


def sizes(x: Sequence[int], curves: Mapping[str, Sequence[float]], y_name: str) -> Figure:
    """A quantity against the size of the vocabulary, on a logarithmic axis with the sizes as ticks."""
    figure, axes = plt.subplots(figsize=(6.6, 3.4))
    line_with_spread(x, curves, x_name="tokens in the vocabulary", y_name=y_name, log_x=True, axes=axes)
    axes.set_xticks(list(x), [f"{size:,}" for size in x])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def two_units(x: Sequence[int], runs: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], floor: float) -> Figure:
    """Left the loss per token, right bits per byte, of the same models.

    Args:
        x: sizes of the vocabulary.
        runs: "nats_per_token" and "bits_per_byte" → name → (seeds, sizes).
        floor: the lowest bits per byte that there can be.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.3))
    line_with_spread(x, runs["nats_per_token"], x_name="tokens in the vocabulary", y_name="nats a token", axes=left)
    line_with_spread(x, runs["bits_per_byte"], x_name="tokens in the vocabulary", y_name="bits a byte", axes=right)
    right.axhline(floor, color=GREY, linestyle="--", linewidth=1.2, label="floor of the corpus")
    right.legend()
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(list(x), [f"{size:,}" for size in x])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
    return figure
