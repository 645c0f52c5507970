"""The stream of a GPT, sublayer by sublayer: how large it is, what each sublayer adds, and what it would answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from torch import Tensor

    from course_lib.models.gpt import GPT
    from course_lib.text.tokenizers import CharTokenizer

NORM_POSITIONS = ("pre", "post", "none")


@dataclass(frozen=True)
class Step:
    """One sublayer at work on the stream of one text.

    Attributes:
        name: such as "block 2 attention"; the first step is "embedding".
        before, written, after: (time, d_model) the stream, the sublayer's answer, and the stream that goes on.
    """

    name: str
    before: Tensor
    written: Tensor
    after: Tensor


def read_stream(model: GPT, tokens: Tensor, norm_position: str | None = None, residual: bool = True) -> list[Step]:
    """Each step of the stream of `tokens` (time,), with the model's weights and, if asked for, another wiring.

    norm_position="pre", "post" or "none" puts the norms before each sublayer, after each addition, or nowhere;
    without `residual` a sublayer's answer replaces the stream. The weights are the same throughout. A model that was
    made with norm_position="none" has no norms that could be placed elsewhere.
    """
    import torch

    norm_position = model.config.norm_position if norm_position is None else norm_position
    if norm_position not in NORM_POSITIONS:
        raise ValueError(f"There is no norm position {norm_position!r}: choose one of {', '.join(NORM_POSITIONS)}.")
    was_training = model.training
    model.eval()
    with torch.no_grad():
        x, bias, rotary = model._embed(tokens[None], 0)
        steps = [Step("embedding", torch.zeros_like(x[0]), x[0], x[0])]
        for number, block in enumerate(model.blocks, 1):

            def attend(h: Tensor, block: object = block) -> Tensor:
                return block.attention(h, causal=True, bias=bias, rotary=rotary).output

            parts = (
                ("attention", attend, block.attention_norm),
                ("feed-forward", block.feed_forward, block.feed_forward_norm),
            )
            for name, sublayer, norm in parts:
                written, after = _one_step(x, sublayer, norm, norm_position, residual)
                steps.append(Step(f"block {number} {name}", x[0], written[0], after[0]))
                x = after
    model.train(was_training)
    return steps


def _one_step(
    x: Tensor,
    sublayer: Callable[[Tensor], Tensor],
    norm: Callable[[Tensor], Tensor],
    norm_position: str,
    residual: bool,
) -> tuple[Tensor, Tensor]:
    """What the sublayer writes, and the stream after it."""
    written = sublayer(norm(x) if norm_position == "pre" else x)
    after = x + written if residual else written
    return written, norm(after) if norm_position == "post" else after


class StreamMicroscope(CourseWidget):
    """Walk through a GPT's sublayers and see the stream at every position; wire the blocks anew and see it break.

    Sizes are root mean squares over the features. The direction is the cosine between what a sublayer writes and the
    stream it writes to: +1 makes the stream longer, −1 shorter, 0 adds something new. The guess is what the model's
    own read-out would answer if the stream were read at that step.

    Args:
        model: a GPT; it is run again, here in the kernel, when a switch is moved.
        tokenizer: turns `text` into tokens, and guesses into characters.
        text: at most 48 tokens.

    Raises:
        ValueError: when the text has fewer than 2 or more than 48 tokens, or is longer than the model's context.
    """

    label = "The residual stream of a small GPT, sublayer by sublayer"
    step = traitlets.Int(0).tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    norm_position = traitlets.Unicode("pre").tag(sync=True)
    residual = traitlets.Bool(True).tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)  # tokens, names, loss; for each step and position sizes and guesses

    def __init__(self, model: GPT, tokenizer: CharTokenizer, text: str) -> None:
        import torch

        tokens = torch.tensor([tokenizer.end_id, *tokenizer.encode(text)])
        longest = min(48, model.config.context_length)
        if not 2 <= len(tokens) <= longest:
            raise ValueError(f"The text must have 1 to {longest - 1} tokens, and it has {len(tokens) - 1}.")
        self.model, self.tokenizer, self.tokens = model, tokenizer, tokens
        super().__init__(norm_position=model.config.norm_position, position=len(tokens) - 1, step=2)
        self._read()

    @traitlets.observe("norm_position", "residual")
    def _read(self, change: object = None) -> None:
        import torch
        import torch.nn.functional as F

        steps = read_stream(self.model, self.tokens, self.norm_position, self.residual)
        with torch.no_grad():
            logits = [self.model.unembedding(self.model.final_norm(step.after)) for step in steps]
        loss = F.cross_entropy(logits[-1][:-1], self.tokens[1:]).item()
        chances = [step_logits.softmax(dim=-1).max(dim=-1) for step_logits in logits]
        self.shown = {
            "tokens": ["⊢", *(self._character(int(token)) for token in self.tokens[1:])],
            "names": [step.name for step in steps],
            "before": [_sizes(step.before) for step in steps],
            "written": [_sizes(step.written) for step in steps],
            "after": [_sizes(step.after) for step in steps],
            "cosine": [_rounded(F.cosine_similarity(step.before, step.written, dim=-1)) for step in steps],
            "guess": [[self._character(int(token)) for token in best.indices] for best in chances],
            "chance": [_rounded(best.values) for best in chances],
            "loss": round(loss, 3),
        }

    def _character(self, token: int) -> str:
        return "end" if token == self.tokenizer.end_id else self.tokenizer.decode([token]).replace(" ", "␣")

    def _wiring(self) -> str:
        names = {"pre": "norm before", "post": "norm after", "none": "no norm"}
        return f"{names[self.norm_position]}, residual path {'on' if self.residual else 'off'}"

    def describe(self) -> str:
        """The wiring, its loss, and the sizes at the chosen step and position."""
        shown, step, position = self.shown, self.step, self.position
        return (
            f"StreamMicroscope({self._wiring()}, loss {shown['loss']:.2f}; {shown['names'][step]} writes "
            f"{shown['written'][step][position]:.2f} to a stream of {shown['before'][step][position]:.2f} at "
            f"“{shown['tokens'][position]}”)"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """The size of the stream at every step and position, above the steps at the chosen position."""
        shown, position = self.shown, self.position
        names, tokens = shown["names"], shown["tokens"]
        figure = Figure(figsize=(8.8, 5.6), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=[1.25, 1])
        plots.heatmap(
            shown["after"],
            names,
            tokens,
            row_name="after",
            column_name="position",
            numbers=False,
            colorbar="size of the stream",
            axes=above,
        )
        above.set_aspect("auto")
        above.tick_params(axis="x", labelrotation=0)
        places = range(len(names))
        stream = [row[position] for row in shown["after"]]
        written = [row[position] for row in shown["written"]]
        below.plot(places, stream, marker="o", color=plots.COLORS["blue"], label="the stream after")
        below.bar(places, written, color=plots.COLORS["orange"], width=0.55, label="what this sublayer writes")
        for place, guess in enumerate(row[position] for row in shown["guess"]):
            below.annotate(f"“{guess}”", (place, stream[place]), (0, 7), textcoords="offset points", ha="center")
        labels = [
            name.replace("block ", "").replace("attention", "att.").replace("feed-forward", "FF") for name in names
        ]
        below.set_xticks(places, labels)
        below.set(xlabel="block and sublayer (in quotes: the guess, if the stream were read there)")
        below.set(ylabel=f"size at position {position}", ylim=(0, 1.25 * max(*stream, *written)))
        below.legend(loc="upper left")
        return figure, (
            f"The stream of a GPT with {self._wiring()}, loss {shown['loss']:.2f}. At “{tokens[position]}” its size "
            f"goes from {stream[0]:.2f} after the embedding to {stream[-1]:.2f} after {names[-1]}."
        )


def _sizes(vectors: Tensor) -> list[float]:
    """Root mean square of each row."""
    return _rounded(vectors.square().mean(dim=-1).sqrt())


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
