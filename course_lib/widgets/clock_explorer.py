"""Clock hands, how alike two positions are, and a query and a key that turn together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.plots.positions import clock_face
from course_lib.widgets.base import CourseWidget

Encode = Callable[..., Any]
MOST_PAIRS = 12


class ClockExplorer(CourseWidget):
    """Turn the clocks of an encoding by hand, and turn a query and a key together.

    Above: one clock for each pair of features, and the dot product of the chosen position with every other.
    Below: a query at the chosen position and a key some places before it, turned as rotary does with the chosen
    pair's speed. Moving the position turns both; their dot product stays.

    Args:
        encode: `encode(length, d_model, base=…)` or `encode(length, d_model)` → (length, d_model), with the sine and
            cosine of a pair beside each other. Without a `base` argument the base slider does nothing to the clocks.
        d_model: features of the encoding; even, at most 24.
        length: number of positions.
        query, key: two numbers each, before turning.

    Raises:
        ValueError: when `d_model` is odd or too wide to draw, or the encoding has another shape.
    """

    label = "Clock hands and rotary pairs"
    position = traitlets.Int(12).tag(sync=True)
    distance = traitlets.Int(3).tag(sync=True)  # the key stands this many places before the query
    pair = traitlets.Int(1).tag(sync=True)  # whose speed turns the query and the key
    log_base = traitlets.Float(4.0).tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # positions, pairs
    hands = traitlets.Bytes().tag(sync=True)  # float32 (pairs, 2): sine and cosine at the position
    speeds = traitlets.Bytes().tag(sync=True)  # float32 (pairs,): radians a step
    similarity = traitlets.Bytes().tag(sync=True)  # float32 (positions,): dot product with the position
    turned = traitlets.Bytes().tag(sync=True)  # float32: query x y, key x y, dot product

    def __init__(
        self,
        encode: Encode,
        d_model: int = 16,
        length: int = 64,
        query: Sequence[float] = (1.0, 0.3),
        key: Sequence[float] = (0.7, 0.7),
    ) -> None:
        if d_model % 2 or not 2 <= d_model <= 2 * MOST_PAIRS:
            raise ValueError(f"d_model must be even and at most {2 * MOST_PAIRS} to be drawn, but it is {d_model}.")
        self.encode = encode
        self.query, self.key = np.asarray(query, float), np.asarray(key, float)
        super().__init__(shape=[length, d_model // 2], position=min(12, length - 1))
        self._update()

    @traitlets.observe("position", "distance", "pair", "log_base")
    def _update(self, change: object = None) -> None:
        length, pairs = self.shape
        position = min(max(self.position, 0), length - 1)
        base = 10.0**self.log_base
        table = plots.to_numpy(self._encoded(length, 2 * pairs, base))
        if table.shape != (length, 2 * pairs):
            raise ValueError(f"The encoding must have the shape {(length, 2 * pairs)}, but it has {table.shape}.")
        speeds = base ** (-np.arange(pairs) / pairs)
        omega = speeds[min(max(self.pair, 0), pairs - 1)]
        query = turn(self.query, omega * position)
        key = turn(self.key, omega * (position - self.distance))
        with self.hold_sync():
            self.hands = table[position].astype(np.float32).tobytes()
            self.speeds = speeds.astype(np.float32).tobytes()
            self.similarity = (table @ table[position]).astype(np.float32).tobytes()
            self.turned = np.array([*query, *key, query @ key], np.float32).tobytes()

    def _encoded(self, length: int, d_model: int, base: float) -> Any:
        try:
            return self.encode(length, d_model, base=base)
        except TypeError:  # a learner's function without a base
            return self.encode(length, d_model)

    def static_picture(self) -> tuple[Figure, str]:
        """The clocks above, the dot products and the turned pair below."""
        length, pairs = self.shape
        hands = np.frombuffer(self.hands, np.float32).reshape(pairs, 2)
        turned = np.frombuffer(self.turned, np.float32)
        figure = Figure(figsize=(8.4, 4.4), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1, 2.1])
        for number, axes in enumerate(np.atleast_1d(above.subplots(1, pairs))):
            sine, cosine = hands[number]
            color = plots.COLORS["green" if number == self.pair else "blue"]
            clock_face(axes, float(np.arctan2(sine, cosine)), color)
            axes.set_title(f"pair {number}", fontsize=8, fontweight="normal")
            axes.set_xlabel(f"sin {sine:.2f}\ncos {cosine:.2f}".replace("-", "−"), fontsize=7.5)
        curve, pair = below.subplots(1, 2, width_ratios=[2.2, 1])
        curve.plot(np.frombuffer(self.similarity, np.float32), color=plots.COLORS["blue"])
        curve.axvline(self.position, color=plots.COLORS["orange"], linestyle="--", linewidth=1.2)
        curve.set(xlabel="other position", ylabel=f"dot product with position {self.position}")
        curve.grid(True)
        for (x, y), color, name in (
            (turned[:2], plots.COLORS["blue"], "query"),
            (turned[2:4], plots.COLORS["red"], "key"),
        ):
            clock_face(pair, float(np.arctan2(y, x)), color, float(np.hypot(x, y)))
            pair.text(1.25 * x, 1.25 * y, name, color=color, ha="center", va="center", fontsize=9)
        pair.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))
        pair.set_xlabel(f"dot product {turned[4]:.3f}".replace("-", "−"))
        pair.set_title(f"pair {self.pair}, key {self.distance} before query", fontsize=8.5, fontweight="normal")
        return figure, (
            f"{pairs} clocks at position {self.position}; the dot product of that position with all {length} others, "
            f"largest at {self.position} itself; and a query and a key {self.distance} places apart, turned together, "
            f"with dot product {turned[4]:.3f}."
        )

    def describe(self) -> str:
        """Position, base, and the dot product of the turned pair."""
        turned = np.frombuffer(self.turned, np.float32)
        return (
            f"ClockExplorer(position {self.position} of {self.shape[0]}, {self.shape[1]} clocks, base "
            f"{10**self.log_base:.0f}; query and key {self.distance} apart: dot product {turned[4]:.3f})"
        )


def turn(vector: np.ndarray, angle: float) -> np.ndarray:
    """A 2-D vector turned counter-clockwise by `angle` radians."""
    x, y = vector
    return np.array([x * np.cos(angle) - y * np.sin(angle), y * np.cos(angle) + x * np.sin(angle)])
