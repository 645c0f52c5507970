"""Design the course of the learning rate, train with it, and compare the losses of several designs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.training.optim import learning_rate_factor
from course_lib.widgets.base import CourseWidget

PENS = ("blue", "orange", "green", "purple", "red")
MOST_RUNS = len(PENS)


class ScheduleDesigner(CourseWidget):
    """Sliders for peak, warm-up and end of the learning rate; a button trains with the design, and its loss is drawn.

    Args:
        train: `train(rates)` makes one update with each of the learning rates, from fresh weights, and answers the
            loss of each update. It runs in the kernel when the button is pressed.
        steps: updates of a run.
        designs: (peak, warm-up steps, final share) of the runs that are there at the beginning; the sliders start at
            the last one.
        know_nothing: the loss of a model that knows nothing, drawn as a line.

    Raises:
        ValueError: for more than five designs at the beginning: the colours would repeat.
    """

    label = "Designer of learning-rate schedules"
    log_peak = traitlets.Float(-2.5).tag(sync=True)
    warmup = traitlets.Int(0).tag(sync=True)
    final = traitlets.Float(0.0).tag(sync=True)
    steps = traitlets.Int(1).tag(sync=True)
    know_nothing = traitlets.Float(0.0).tag(sync=True)
    rates = traitlets.Bytes(b"").tag(sync=True)  # float32 (steps,): the design on the sliders
    losses = traitlets.Bytes(b"").tag(sync=True)  # float32 (runs, steps): of the runs so far
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of the runs so far
    asked = traitlets.Int(0).tag(sync=True)  # the page counts up: train with the design on the sliders
    answered = traitlets.Int(0).tag(sync=True)  # the number of the request that the losses belong to

    def __init__(
        self,
        train: Callable[[list[float]], Sequence[float]],
        steps: int,
        designs: Sequence[tuple[float, int, float]] = ((0.003, 0, 1.0),),
        know_nothing: float = 0.0,
    ) -> None:
        if len(designs) > MOST_RUNS:
            raise ValueError(f"At most {MOST_RUNS} designs can be told apart, but there are {len(designs)}.")
        self.train = train
        self.runs: list[tuple[str, np.ndarray]] = []
        super().__init__(steps=steps, know_nothing=know_nothing)
        for peak, warmup, final in designs:
            self.log_peak, self.warmup, self.final = math.log10(peak), warmup, final
            self._run()

    @traitlets.observe("log_peak", "warmup", "final", "steps")
    def _design(self, change: object = None) -> None:
        self.rates = np.array(self.design(), np.float32).tobytes()

    def design(self) -> list[float]:
        """The learning rate of each step, as the sliders stand."""
        shape = {"steps": self.steps, "warmup_steps": self.warmup, "final": self.final}
        return [10**self.log_peak * learning_rate_factor(step, **shape) for step in range(self.steps)]

    @traitlets.observe("asked")
    def _run(self, change: object = None) -> None:
        """Train with the design on the sliders; the oldest run makes room for it."""
        losses = np.full(self.steps, np.nan, np.float32)
        found = np.asarray(list(self.train(self.design())), np.float32)
        losses[: len(found)] = found
        self.runs = [*self.runs, (self._name(), losses)][-MOST_RUNS:]
        with self.hold_sync():
            self.names = [name for name, _ in self.runs]
            self.losses = np.concatenate([losses for _, losses in self.runs]).astype(np.float32).tobytes()
            self.answered = self.asked

    def _name(self) -> str:
        ends = "constant" if self.final == 1 else f"to {self.final:.0%}"
        return f"peak {10**self.log_peak:.2g}, warm-up {self.warmup}, {ends}"

    def static_picture(self) -> tuple[Figure, str]:
        """The design on the left, the losses of all runs on the right."""
        figure = Figure(figsize=(8.6, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
        left.plot(range(1, self.steps + 1), np.frombuffer(self.rates, np.float32), color=plots.COLORS["blue"])
        left.set(xlabel="training step", ylabel="learning rate", xlim=(0, self.steps), ylim=(0, None))
        left.set_title("the design on the sliders", fontsize=9, fontweight="normal")
        for pen, (name, losses) in zip(PENS, self.runs, strict=False):
            right.plot(range(1, self.steps + 1), losses, color=plots.COLORS[pen], linewidth=1.3, label=name)
        if self.know_nothing:
            right.axhline(self.know_nothing, color=plots.GREY, linestyle=":", label="knowing nothing")
        right.set(xlabel="training step", ylabel="loss (nats per token)", xlim=(0, self.steps))
        right.set_ylim(*self._loss_range())
        right.legend(fontsize=7.5)
        return figure, "The learning rate of each step, and the losses of these runs: " + "; ".join(self._ends()) + "."

    def describe(self) -> str:
        """The runs so far and the loss that each ended with."""
        return f"ScheduleDesigner({'; '.join(self._ends())})"

    def _ends(self) -> list[str]:
        return [f"{name}: ends at {losses[-1]:.1f}" for name, losses in self.runs]

    def _loss_range(self) -> tuple[float, float]:
        """From below the lowest loss to a little above knowing nothing: a run that blows up leaves the picture."""
        seen = np.concatenate([losses for _, losses in self.runs])
        seen = seen[np.isfinite(seen)]
        top = 1.3 * self.know_nothing if self.know_nothing else float(seen.max())
        return 0.9 * float(seen.min()), top
