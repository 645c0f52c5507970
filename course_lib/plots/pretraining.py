"""The pictures of lesson 13: what each choice in pre-training a BERT does, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.theme import COLORS


def by_setting(panels: Mapping[str, Mapping[str, Sequence[float]]], *, low: float = 0.0, high: float = 1.0) -> Figure:
    """A panel for each measure, a row for each setting: a dot a seed, a diamond for their mean, the mean in numbers.

    Args:
        panels: measure → setting → its value for each seed; the settings of all panels are those of the first.
        low, high: the ends of the axis, the same in all panels.
    """
    settings = list(next(iter(panels.values())))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(max(5.0, 1.4 + 2.5 * len(panels)), 0.9 + 0.42 * len(settings)), sharey=True,
        squeeze=False,
    )  # fmt: skip
    for panel, (measure, values), color in zip(axes[0], panels.items(), COLORS.values(), strict=False):
        for row, setting in enumerate(settings):
            runs = np.asarray(values[setting], dtype=float)
            panel.plot(runs, [row] * len(runs), "o", color=color, markersize=4, alpha=0.5)
            panel.plot(runs.mean(), row, "D", color=color, markersize=7)
            right = runs.mean() < (low + high) / 2  # the number stands on the side with more room
            panel.annotate(f"{runs.mean():.2f}", (runs.max() if right else runs.min(), row),
                           xytext=(9 if right else -9, 0), textcoords="offset points", va="center",
                           ha="left" if right else "right", fontsize=9)  # fmt: skip
        panel.set(xlabel=measure, xlim=(low - 0.04 * (high - low), high + 0.04 * (high - low)))
        panel.grid(True, axis="y")
    axes[0, 0].set_yticks(range(len(settings)), settings)
    axes[0, 0].set_ylim(len(settings) - 0.5, -0.5)
    return figure
