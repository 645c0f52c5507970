"""Five models answer the recall task of lesson 01 live, at whatever distance the slider says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from torch import Tensor

    from course_lib.experiments.recall import RecallTask

OTHERS = 200  # further sequences at the same distance, for the share answered rightly


class RecallReaders(CourseWidget):
    """The same sequence put to several models: what each answers, how sure it is, and where attention looked.

    Move the slider and a new sequence of that distance is drawn and read by every model, here in the kernel.

    Args:
        models: name → a function from tokens (batch, time) to logits (batch, value). One that has a method `look`
            (from embedded tokens to logits and weights) also shows where it looked.
        task: what draws the sequences and writes the tokens.
        distance: where the slider stands first.
        longest: its right end.

    Raises:
        ValueError: when there are no models, or the distance is not between 1 and `longest`.
    """

    label = "Five models answer a question about something said long ago"
    distance = traitlets.Int(8).tag(sync=True)
    longest = traitlets.Int(64).tag(sync=True)
    sequence = traitlets.Int(0).tag(sync=True)  # which sequence of that distance; the button adds 1
    shown = traitlets.Dict().tag(sync=True)  # tokens, asked, answer, weights, and a row for each model

    def __init__(
        self,
        models: Mapping[str, Callable[[Tensor], Tensor]],
        task: RecallTask,
        distance: int = 8,
        longest: int = 64,
    ) -> None:
        if not models:
            raise ValueError("Give at least one model to answer, such as {'LSTM': lstm}.")
        if not 1 <= distance <= longest:
            raise ValueError(f"The distance must lie between 1 and {longest}, and {distance} does not.")
        self.models, self.task = dict(models), task
        super().__init__(distance=distance, longest=longest)
        self._read()

    @traitlets.observe("distance", "sequence")
    def _read(self, change: object = None) -> None:
        import torch

        if not 1 <= self.distance <= self.longest:
            return  # no slider sends this
        generator = torch.Generator().manual_seed(10_000 * self.sequence + self.distance)
        tokens, answers = self.task.batch(1 + OTHERS, self.distance, generator)
        rows = []
        weights: list[float] = []
        with torch.no_grad():
            for name, model in self.models.items():
                chances = model(tokens).softmax(dim=-1)
                right = chances.argmax(dim=-1) == answers
                rows.append(
                    {
                        "model": name,
                        "chances": [round(chance, 4) for chance in chances[0].tolist()],
                        "answer": int(chances[0].argmax()),
                        "right": bool(right[0]),
                        "share": round(right[1:].float().mean().item(), 4),
                    }
                )
                if hasattr(model, "look"):
                    weights = [round(weight, 4) for weight in model.look(model.embedding(tokens[:1]))[1][0].tolist()]
        self.shown = {
            "tokens": self.task.texts(tokens[0]),
            "asked": tokens.shape[1] - 1 - self.distance,
            "answer": int(answers[0]),
            "weights": weights,
            "rows": rows,
        }

    def describe(self) -> str:
        """The distance, and each model's answer."""
        said = ", ".join(f"{row['model']} {row['answer']} ({max(row['chances']):.2f})" for row in self.shown["rows"])
        return f"RecallReaders(distance {self.distance}, right answer {self.shown['answer']}: {said})"

    def static_picture(self) -> tuple[Figure, str]:
        """The sequence with attention's weights above each model's probabilities for each value."""
        shown: dict[str, Any] = self.shown
        tokens, rows = shown["tokens"], shown["rows"]
        figure = Figure(figsize=(8.6, 4.6), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=[1, 1.5])
        colors = [plots.COLORS["orange" if place == shown["asked"] else "blue"] for place in range(len(tokens))]
        above.bar(range(len(tokens)), shown["weights"] or [0.0] * len(tokens), color=colors)
        above.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=8 if len(tokens) <= 45 else 5)
        above.get_xticklabels()[shown["asked"]].set_fontweight("bold")
        above.set(ylim=(0, 1.05), ylabel="attention weight", title=f"{tokens[-1]}  asked {self.distance} steps later")
        names = [f"{row['model']}: {row['answer']}, {'right' if row['right'] else 'wrong'}" for row in rows]
        plots.heatmap(
            [row["chances"] for row in rows],
            names,
            [str(value) for value in range(self.task.n_values)],
            row_name="",
            column_name=f"probability of each value; right is {shown['answer']}",
            low=0.0,
            high=1.0,
            axes=below,
        )
        below.set_aspect("auto")
        beside = below.twinx()
        beside.set_ylim(below.get_ylim())
        beside.set_yticks(range(len(rows)), [f"{row['share']:.0%} right of {OTHERS} others" for row in rows])
        beside.tick_params(length=0)
        beside.spines[:].set_visible(False)
        said = "; ".join(f"{row['model']} {'right' if row['right'] else 'wrong'}, {row['share']:.0%}" for row in rows)
        return figure, f"{len(rows)} models answer {tokens[-1]} at distance {self.distance}: {said} of other sequences."
