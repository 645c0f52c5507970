"""Pictures of training: what falls, what rises, and what it means."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from course_lib.plots.theme import COLORS


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
