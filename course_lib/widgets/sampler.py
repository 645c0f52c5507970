"""The distribution of the next token with every knob of sampling; take a token and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from torch import Tensor

    from course_lib.generation.text import Tokenizer
    from course_lib.models.gpt import GPT

SHOWN = 12  # tokens in the table
LONGEST_PROMPT = 2_000  # characters


class Sampler(CourseWidget):
    """A text, the model's probabilities for what comes next, and what the knobs make of them.

    The table shows the likeliest tokens with two bars each: what the model thinks, and what a token would be drawn
    with. Press a token to take it, or let the dice decide.

    Args:
        model: a GPT.
        tokenizer: its tokenizer.
        prompt: the text to begin with; a new document when empty.
        settings: temperature, top_k, top_p, min_p, repetition_penalty, as in `generate`; where the knobs stand first.
        seed: of the dice.

    Raises:
        ValueError: for a prompt that does not fit the model, or a setting outside its range.
    """

    label = "The next token, with every knob of sampling"
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int(0).tag(sync=True)  # 0: off
    top_p = traitlets.Float(1.0).tag(sync=True)
    min_p = traitlets.Float(0.0).tag(sync=True)  # 0: off
    repetition_penalty = traitlets.Float(1.0).tag(sync=True)
    wish = traitlets.Dict().tag(sync=True)  # {"seq", "take": id | "draw": how many | "undo": true | "text": prompt}
    shown = traitlets.Dict().tag(sync=True)

    def __init__(
        self, model: GPT, tokenizer: Tokenizer, prompt: str = "", *, seed: int = 0, **settings: float | None
    ) -> None:
        import torch

        from course_lib.generation import next_token_probabilities

        next_token_probabilities(torch.zeros(1, 2), **{**settings, "repetition_penalty": 1.0})
        self.model, self.tokenizer = model.eval(), tokenizer
        self._generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
        self._note = ""
        self._begin(prompt)
        off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
        chosen = {name: off[name] if value is None and name in off else value for name, value in settings.items()}
        super().__init__(**chosen)
        self._compute()
        self._show()

    def _begin(self, prompt: str) -> None:
        """Take a text as the beginning; ValueError where the model cannot read it."""
        ids = [self.tokenizer.end_id, *self.tokenizer.encode(prompt)]
        context = self.model.config.context_length
        if len(ids) > context:
            raise ValueError(f"The prompt has {len(ids)} tokens, and the model reads at most {context}: shorten it.")
        self.ids, self._prompt_length = ids, len(ids)

    def _compute(self) -> None:
        """Run the model on the text as it is now."""
        import torch

        window = self.ids[-self.model.config.context_length :]
        with torch.no_grad():
            device = next(self.model.parameters()).device
            self._logits = self.model(torch.tensor([window], device=device)).logits[0, -1].float()

    def probabilities(self) -> tuple[Tensor, Tensor]:
        """Of every token: what the model says, and what it would be drawn with."""
        import torch

        from course_lib.generation import next_token_probabilities

        seen = torch.zeros_like(self._logits, dtype=torch.bool)
        seen[self.ids] = True
        drawn = next_token_probabilities(
            self._logits,
            temperature=self.temperature,
            top_k=self.top_k or None,
            top_p=self.top_p,
            min_p=self.min_p or None,
            repetition_penalty=self.repetition_penalty,
            seen=seen,
        )
        return self._logits.softmax(dim=-1), drawn

    @traitlets.observe("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    def _show(self, change: object = None) -> None:
        if not hasattr(self, "_logits"):
            return  # the first values arrive before the model has run
        model, drawn = self.probabilities()
        order = model.argsort(descending=True, stable=True)[:SHOWN].tolist()
        likeliest = drawn[drawn > 0]
        self.shown = {
            "seq": self.wish.get("seq", 0),
            "prompt": self.tokenizer.decode(self.ids[1 : self._prompt_length]),
            "pieces": [[token, self._written(token)] for token in self.ids[self._prompt_length :]],
            "rows": [[token, self._written(token), float(model[token]), float(drawn[token])] for token in order],
            "kept": int((drawn > 0).sum()),
            "of": len(drawn),
            "rest": float(1 - drawn[order].sum()),
            "model_entropy": _entropy(model),
            "entropy": _entropy(likeliest),
            "note": self._note,
        }

    @traitlets.observe("wish")
    def _answer(self, change: object = None) -> None:
        """Do what the page asked for."""
        import torch

        self._note = ""
        wish = self.wish
        if "take" in wish:
            self._add(int(wish["take"]))
        for _ in range(min(int(wish.get("draw", 0)), 50)):
            if self.ids[-1] == self.tokenizer.end_id and len(self.ids) > self._prompt_length:
                self._note = "The model has ended this text. Undo, or begin another."
                break
            drawn = self.probabilities()[1]
            self._add(int(torch.multinomial(drawn, 1, generator=self._generator)))
            self._compute()
        if wish.get("undo") and len(self.ids) > self._prompt_length:
            self.ids.pop()
        if "text" in wish:
            try:
                self._begin(str(wish["text"])[:LONGEST_PROMPT])
            except ValueError as error:
                self._note = str(error)
        self._compute()
        self._show()

    def _add(self, token: int) -> None:
        if 0 <= token < len(self._logits):
            self.ids.append(token)

    def _written(self, token: int) -> str:
        """A token as it is shown: its text, with spaces and line breaks made visible."""
        if token == self.tokenizer.end_id:
            return "⟨end⟩"
        text = self.tokenizer.decode([token])
        return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")

    def text(self) -> str:
        """The prompt and what was added."""
        return self.tokenizer.decode([token for token in self.ids if token != self.tokenizer.end_id])

    def describe(self) -> str:
        """The text, the settings, and the likeliest token."""
        _, piece, model, drawn = self.shown["rows"][0]
        return (
            f"Sampler({self.text()!r}, temperature {self.temperature:g}: {self.shown['kept']} of {self.shown['of']} "
            f"tokens can come next; likeliest {piece}, {model:.2f}, drawn with {drawn:.2f})"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """The likeliest tokens with two bars each."""
        rows = self.shown["rows"]
        figure = Figure(figsize=(7.6, 4.2), layout="constrained")
        axes = figure.subplots()
        places = range(len(rows))
        axes.barh([p - 0.2 for p in places], [row[2] for row in rows], 0.38, color=plots.GREY, label="the model's")
        axes.barh(
            [p + 0.2 for p in places], [row[3] for row in rows], 0.38, color=plots.COLORS["blue"], label="drawn with"
        )
        for place, (_, _, model, drawn) in enumerate(rows):
            axes.annotate(f"{model:.3f} → {drawn:.3f}", (max(model, drawn), place), xytext=(4, 0),
                          textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        axes.set_yticks(places, [plots.drawable(row[1]) for row in rows])
        axes.invert_yaxis()
        axes.set(xlabel="probability of the next token", xlim=(0, 1.2 * max(max(row[2:]) for row in rows)))
        text = self.text()
        axes.set_title(plots.drawable(f"… {text[-60:]}" if len(text) > 60 else text or "(a new text)"), fontsize=10)
        axes.legend(loc="lower right")
        said = ", ".join(f"{row[1]} {row[2]:.2f} becomes {row[3]:.2f}" for row in rows[:4])
        return figure, f"Probabilities of the next token after {text[-40:]!r}, before and after the knobs: {said}."


def _entropy(probabilities: Tensor) -> float:
    """In nats."""
    kept = probabilities[probabilities > 0]
    return float(-(kept * kept.log()).sum())
