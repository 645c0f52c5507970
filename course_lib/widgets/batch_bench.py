"""Two prompts in one batch: where the padding stands, who sees it, and what each prompt is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.attention_explorer import shortened
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHOWN = 5  # answers for a prompt
LONGEST_TEXT = 600  # characters
SAME = 1e-3  # two distributions less than this far apart count as one: rounding, in a batch of another shape
PADDING = "·"

CHOICES = {
    "side": ("right", "left"),
    "mask": ("given", "forgotten"),
    "positions": ("count real tokens", "0, 1, 2, …"),
    "read": ("the last column", "the last real token"),
}
"""What can be set, and to what; the first of each is how the bench begins."""


class BatchBench(CourseWidget):
    """Each prompt's next token, alone and in a batch with the other, under every way to pad a batch.

    The bench runs the model three times: on each prompt alone, and on the batch as it is set up. A prompt is answered
    rightly when its two distributions agree.

    Args:
        models: name → a causal language model of `transformers`; all with this tokenizer.
        tokenizer: it must have a padding token.
        prompts: two texts of different lengths.
        settings: where to begin, by the names of `CHOICES`.

    Raises:
        ValueError: when there are not two prompts, for one without tokens or too long for a model, and for a setting
            that there is not.
    """

    label = "Two prompts in one batch"
    wish = traitlets.Dict().tag(sync=True)  # {"seq", "model" | "side" | "mask" | "positions" | "read" | "prompts": …}
    shown = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        models: Mapping[str, PreTrainedModel],
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[str],
        **settings: str,
    ) -> None:
        self.models = {name: model.eval() for name, model in models.items()}
        self.tokenizer = tokenizer
        self.chosen = {"model": next(iter(models))} | {name: values[0] for name, values in CHOICES.items()}
        self._note = ""
        self.chosen |= self._checked(settings)
        self._take(list(prompts))
        super().__init__()
        self._show()

    def _checked(self, settings: Mapping[str, str]) -> Mapping[str, str]:
        """The settings, when they are the bench's; ValueError for others."""
        for name, value in settings.items():
            if value not in self._options().get(name, ()):
                known = "; ".join(f"{name}: {', '.join(values)}" for name, values in self._options().items())
                raise ValueError(f"The bench has no {name}={value!r}. It has {known}.")
        return settings

    def _options(self) -> dict[str, tuple[str, ...]]:
        return {"model": tuple(self.models), **CHOICES}

    def _take(self, prompts: list[str]) -> None:
        """Read the prompts; ValueError for what the models cannot read, and then the old ones stay."""
        if len(prompts) != 2:
            raise ValueError(f"The bench takes two prompts; these are {len(prompts)}.")
        rows = [self.tokenizer(prompt)["input_ids"] for prompt in prompts]
        if not all(rows):
            raise ValueError("A prompt has no tokens: write at least one word.")
        room = min(model.config.max_position_embeddings for model in self.models.values())
        if (longest := max(map(len, rows))) > room:
            raise ValueError(f"A prompt has {longest} tokens, and the models read at most {room}: shorten it.")
        self.prompts, self.rows = prompts, rows
        self.alone = {name: [_next(model, row) for row in rows] for name, model in self.models.items()}

    @traitlets.observe("wish")
    def _answer(self, change: object = None) -> None:
        """Do what the page asked for."""
        self._note = ""
        for name, values in self._options().items():
            if self.wish.get(name) in values:
                self.chosen[name] = self.wish[name]
        if "prompts" in self.wish:
            try:
                self._take([str(text)[:LONGEST_TEXT] for text in self.wish["prompts"]])
            except ValueError as error:
                self._note = str(error)
        self._show()

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, mask (1 for a real token) and positions of the batch as it is set up, each (2, time)."""
        import torch

        time = max(map(len, self.rows))
        left = self.chosen["side"] == "left"
        ids = torch.full((2, time), self.tokenizer.pad_token_id)
        real = torch.zeros(2, time, dtype=torch.long)
        for row, tokens in enumerate(self.rows):
            place = slice(time - len(tokens), time) if left else slice(0, len(tokens))
            ids[row, place], real[row, place] = torch.tensor(tokens), 1
        counted = (real.cumsum(dim=1) - 1).clamp(min=0) * real
        plain = torch.arange(time).expand_as(ids)
        return ids, real, counted if self.chosen["positions"] == CHOICES["positions"][0] else plain

    def together(self) -> tuple[list[Float[Tensor, " vocab_size"]], list[int]]:
        """Each prompt's next-token probabilities in the batch, and the column that they were read from."""
        import torch

        ids, real, positions = self.batch()
        seen = real if self.chosen["mask"] == "given" else torch.ones_like(real)
        with torch.no_grad():
            logits = self.models[self.chosen["model"]](ids, attention_mask=seen, position_ids=positions).logits
        last = ids.shape[1] - 1
        columns = [last if self.chosen["read"] == "the last column" else int(row.nonzero()[-1]) for row in real]
        return [logits[row, column].softmax(dim=-1) for row, column in enumerate(columns)], columns

    def distances(self, **settings: str) -> list[float]:
        """How far each prompt's distribution in the batch is from its own alone: 0 for the same, 1 at most.

        Half the sum of absolute differences, which is the largest difference in the probability of any event. With
        `settings`, as if the bench were set up so; it stays as it is.
        """
        before, self.chosen = self.chosen, self.chosen | self._checked(settings)
        try:
            chances, _ = self.together()
            alone = self.alone[self.chosen["model"]]
        finally:
            self.chosen = before
        return [_distance(ours, other) for ours, other in zip(chances, alone, strict=True)]

    def _show(self) -> None:
        """Run the batch and describe it for the page."""
        ids, real, positions = self.batch()
        chances, columns = self.together()
        alone = self.alone[self.chosen["model"]]
        self.shown = {
            "seq": self.wish.get("seq", 0),
            "options": {name: list(values) for name, values in self._options().items()},
            "chosen": dict(self.chosen),
            "prompts": self.prompts,
            "rows": [
                {
                    "tokens": [
                        self._written(token, bool(is_real)) for token, is_real in zip(tokens, mask, strict=True)
                    ],
                    "real": [bool(is_real) for is_real in mask],
                    "positions": places,
                    "column": column,
                    "answers": self._answers(apart, company),
                    "distance": _distance(company, apart),
                }
                for tokens, mask, places, column, apart, company in zip(
                    ids.tolist(), real.tolist(), positions.tolist(), columns, alone, chances, strict=True
                )
            ],
            "same": SAME,
            "note": self._note,
        }

    def _answers(self, alone: Tensor, company: Tensor) -> list[list[Any]]:
        """The likeliest tokens of either distribution: [token, probability alone, probability in the batch]."""
        import torch

        best = torch.maximum(alone, company).topk(min(SHOWN, len(alone))).indices
        order = sorted(best.tolist(), key=lambda token: -float(alone[token]))
        return [[self._written(token), float(alone[token]), float(company[token])] for token in order]

    def _written(self, token: int, real: bool = True) -> str:
        return self.tokenizer.decode([token]).replace("\n", "⏎") if real else PADDING

    def describe(self) -> str:
        """How the batch is set up, and which prompts are answered as if they were alone."""
        setting = ", ".join(f"{name} {value}" for name, value in self.chosen.items())
        rows = [
            "as alone" if row["distance"] < SAME else f"{row['distance']:.2f} away from alone"
            for row in self.shown["rows"]
        ]
        return f"BatchBench({setting}): first prompt {rows[0]}, second prompt {rows[1]}"

    def static_picture(self) -> tuple[Figure, str]:
        """The two rows of the batch, and under each the answers alone and in the batch."""
        rows = self.shown["rows"]
        figure = Figure(figsize=(9.2, 4.6), layout="constrained")
        upper, lower = figure.subfigures(2, 1, height_ratios=(1, 2.1))
        _draw_batch(upper.subplots(), rows)
        for axes, row, name in zip(lower.subplots(1, 2), rows, ("first prompt", "second prompt"), strict=True):
            places = range(len(row["answers"]))
            tokens, alone, company = zip(*row["answers"], strict=True)
            axes.barh([place - 0.2 for place in places], alone, 0.38, color=plots.COLORS["sky"], label="alone")
            axes.barh(
                [place + 0.2 for place in places], company, 0.38, color=plots.COLORS["orange"], label="in the batch"
            )
            axes.set_yticks(places, [plots.drawable(repr(token)) for token in tokens])
            axes.invert_yaxis()
            verdict = "as alone" if row["distance"] < SAME else f"distance {row['distance']:.2f}"
            axes.set(
                xlim=(0, 1.12 * max(*alone, *company)),
                xlabel="probability of the next token",
                title=f"{name}: {verdict}",
            )
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
        return figure, self.describe()


def _next(model: PreTrainedModel, row: Sequence[int]) -> Tensor:
    """What a model expects after one prompt that is alone."""
    import torch

    with torch.no_grad():
        return model(torch.tensor([row])).logits[0, -1].softmax(dim=-1)


def _distance(first: Tensor, second: Tensor) -> float:
    return 0.5 * float((first - second).abs().sum())


def _draw_batch(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """The batch as two rows of cells: real tokens, padding, positions, and a frame where the answer is read."""
    for height, row in enumerate(rows):
        for column, (token, real, place) in enumerate(zip(row["tokens"], row["real"], row["positions"], strict=True)):
            read = column == row["column"]
            axes.add_patch(_cell(column, height, plots.COLORS["sky"] if real else plots.BACKGROUND, read))
            text = plots.drawable(token.strip() or repr(token)) if real else "PAD"
            text = shortened(text, 10)
            axes.text(column, height - 0.08, text, ha="center", va="center", fontsize=min(6.5, 40 / len(text)))
            axes.text(column, height + 0.3, str(place), ha="center", va="center", fontsize=5.5, color=plots.GREY)
    axes.set(xlim=(-0.6, len(rows[0]["tokens"]) - 0.4), ylim=(1.6, -0.6), yticks=[0, 1], xticks=[])
    axes.set_yticklabels(["first", "second"])
    axes.grid(False)
    axes.set_title("the batch; small: positions; framed: where the answer is read", fontsize=9)


def _cell(column: int, height: int, color: str, framed: bool) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (column - 0.48, height - 0.45), 0.96, 0.9, facecolor=color, alpha=0.9 if framed else 0.55,
        edgecolor=plots.COLORS["red"] if framed else plots.GREY, linewidth=2.2 if framed else 0.5,
    )  # fmt: skip
