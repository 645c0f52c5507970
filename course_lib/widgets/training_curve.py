"""The loss while a model trains: drawn live, with the floor that no model can go below."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import traitlets
from IPython.display import display
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from course_lib.training import Record

BETWEEN_DRAWINGS = 0.5  # seconds; drawing more often takes time from the training that it shows


class TrainingCurve(CourseWidget):
    """The training and validation loss against the step, and what the model writes as it learns.

    Use it around the training, and hand it to the trainer as a callback:

        with TrainingCurve(steps=config.steps, floor=0.2) as curve:
            Trainer(model, train, validation, config, callbacks=[curve]).fit()

    The picture appears at the first line and grows; at the end the still picture in the output is drawn anew.

    Args:
        steps: updates planned, the right end of the axis.
        floor: the lowest loss that is possible, in nats, where it is known.
        writer: called after each evaluation; the text it answers is shown and kept in `samples`.
    """

    label = "Loss while the model trains"
    steps = traitlets.Int(1).tag(sync=True)
    floor = traitlets.Float(None, allow_none=True).tag(sync=True)
    training = traitlets.Bytes(b"").tag(sync=True)  # float32 pairs: step, training loss
    validation = traitlets.Bytes(b"").tag(sync=True)  # float32 pairs: step, validation loss
    status = traitlets.Unicode("").tag(sync=True)
    sample = traitlets.Unicode("").tag(sync=True)

    def __init__(self, steps: int, floor: float | None = None, writer: Callable[[], str] | None = None) -> None:
        self.writer = writer
        self.samples: dict[int, str] = {}
        self._training: list[tuple[float, float]] = []
        self._validation: list[tuple[float, float]] = []
        self._last: Record | None = None
        self._drawn = -math.inf
        super().__init__(steps=steps, floor=floor, status="waiting for the first step")

    def __enter__(self) -> TrainingCurve:
        self._place = display(self, display_id=f"training-curve-{self.model_id}")
        return self

    def __exit__(self, *error: object) -> None:
        self._draw(ended=True)
        self._place.update(self)  # the still picture, now with the whole curve

    def __call__(self, record: Record) -> None:
        """Take in one record of the trainer; draw when enough time has passed."""
        self._last = record
        self._training.append((record.step, record.train_loss))
        if record.validation_loss is not None:
            self._validation.append((record.step, record.validation_loss))
            if self.writer is not None:
                self.samples[record.step] = self.sample = self.writer()
        if time.monotonic() - self._drawn > BETWEEN_DRAWINGS or record.step == self.steps:
            self._draw()

    def _draw(self, *, ended: bool = False) -> None:
        self._drawn = time.monotonic()
        self.training = np.array(self._training, np.float32).tobytes()
        self.validation = np.array(self._validation, np.float32).tobytes()
        if self._last is not None:
            speed = self._last.tokens / max(self._last.seconds, 1e-9)
            left = self._last.seconds / self._last.step * (self.steps - self._last.step)
            until = "" if ended else f", {left:.0f} s left"
            self.status = f"step {self._last.step} of {self.steps}, {speed:,.0f} tokens a second{until}"

    def describe(self) -> str:
        """How far the training is and what the last evaluation said."""
        if not self._validation:
            return f"TrainingCurve(step {len(self._training)} of {self.steps})"
        step, loss = self._validation[-1]
        floor = "" if self.floor is None else f", floor {self.floor:.3f}"
        return f"TrainingCurve(step {step} of {self.steps}: validation loss {loss:.3f} nats per token{floor})"

    def static_picture(self) -> tuple[Figure, str]:
        """Both losses against the step, and the floor."""
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for points, options in (
            (self._training, {"color": plots.COLORS["sky"], "linewidth": 1, "label": "training batch"}),
            (self._validation, {"color": plots.COLORS["blue"], "marker": "o", "label": "validation stories"}),
        ):
            if points:
                axes.plot(*zip(*points, strict=True), clip_on=False, **options)  # the last point stands on the edge
        if self.floor is not None:
            axes.axhline(self.floor, color=plots.COLORS["red"], linestyle="--", label=f"floor {self.floor:.3f}")
        axes.set(xlabel="training step", ylabel="loss (nats per token)", xlim=(0, self.steps), ylim=(0, None))
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        return figure, self._in_words()

    def _in_words(self) -> str:
        """The curve for a reader who cannot see it."""
        if not self._training:
            return "Axes for the loss against the training step, still empty."
        first = self._training[0][1]
        step, last = (self._validation or self._training)[-1]
        move = "falls" if last < first else "does not fall: it goes"
        floor = "" if self.floor is None else f" The floor is drawn at {self.floor:.3f}."
        return (
            f"The loss {move} from {first:.2f} nats at the first training step to {last:.3f} at step {step:.0f}.{floor}"
        )
