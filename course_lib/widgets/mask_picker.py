"""Press words to mask them: what a BERT expects in their place, and what each mask reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from course_lib.models.bert import BERTForPretraining
    from course_lib.text import WordPieceTokenizer

SHOWN = 8  # answers for a mask
LONGEST_TEXT = 2_000  # characters


class MaskPicker(CourseWidget):
    """A text whose words are buttons, the model's answers for each masked one, and the attention of that mask.

    Press a word to hide it, press it again to bring it back. One mask at a time is looked at: its likeliest tokens
    stand in the table, and the bars under the text are the attention that it pays.

    Args:
        model: a BERT with its head for masked tokens.
        tokenizer: its tokenizer.
        text: what is read.
        masked: which tokens of the text are hidden at first, counted from 0, [CLS] not counted.

    Raises:
        ValueError: for a text without words, one that does not fit the model, and a place that there is not.
    """

    label = "Mask words, and see what the model expects"
    wish = traitlets.Dict().tag(sync=True)  # {"seq", "toggle": place | "look": place | "clear": true | "text": text}
    shown = traitlets.Dict().tag(sync=True)

    def __init__(
        self, model: BERTForPretraining, tokenizer: WordPieceTokenizer, text: str, masked: Sequence[int] = ()
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self._note = ""
        self._begin(text)
        for place in masked:
            if not 0 <= place < len(self.ids) - 2:
                raise ValueError(f"There is no token {place}: the text has {len(self.ids) - 2}, counted from 0.")
            self.masked.append(place + 1)
        self.looked_at = self.masked[0] if self.masked else None
        super().__init__()
        self._show()

    def _begin(self, text: str) -> None:
        """Take a text, with nothing masked but what is written [MASK]; ValueError where the model cannot read it."""
        found = self.tokenizer.encode(text, allow_special=True)
        if not found:
            raise ValueError("The text has no words: write at least one.")
        room = self.model.config.context_length - 2
        if len(found) > room:
            raise ValueError(f"The text has {len(found)} tokens, and the model reads at most {room}: shorten it.")
        self.ids = [self.tokenizer.cls_id, *found, self.tokenizer.sep_id]
        self.masked = [place for place, token in enumerate(self.ids) if token == self.tokenizer.mask_id]
        self.looked_at = self.masked[0] if self.masked else None

    def hidden_ids(self) -> list[int]:
        """What the model reads: the text with [MASK] at the masked places."""
        return [self.tokenizer.mask_id if place in self.masked else token for place, token in enumerate(self.ids)]

    @traitlets.observe("wish")
    def _answer(self, change: object = None) -> None:
        """Do what the page asked for."""
        self._note = ""
        wish = self.wish
        if "toggle" in wish:
            self._toggle(int(wish["toggle"]))
        if wish.get("look") in self.masked:
            self.looked_at = wish["look"]
        if wish.get("clear"):
            self.masked, self.looked_at = [], None
        if "text" in wish:
            try:
                self._begin(str(wish["text"])[:LONGEST_TEXT])
            except ValueError as error:
                self._note = str(error)
        self._show()

    def _toggle(self, place: int) -> None:
        if not 0 < place < len(self.ids) - 1:
            return  # [CLS] and [SEP] are never hidden
        if place in self.masked:
            self.masked.remove(place)
            if self.looked_at == place:
                self.looked_at = self.masked[-1] if self.masked else None
        else:
            self.masked.append(place)
            self.looked_at = place

    def _show(self) -> None:
        """Run the model on the text as it is now."""
        import torch

        device = next(self.model.parameters()).device
        with torch.no_grad():
            output = self.model(torch.tensor([self.hidden_ids()], device=device), return_attentions=True)
        chances = output.logits[0].softmax(dim=-1).cpu()
        attention, answers, truth = [], [], None
        if self.looked_at is not None:
            row = chances[self.looked_at]
            answers = [[self._written(i), float(row[i])] for i in row.topk(min(SHOWN, len(row))).indices.tolist()]
            true_id = self.ids[self.looked_at]
            if true_id != self.tokenizer.mask_id:
                truth = [self._written(true_id), float(row[true_id]), int((row > row[true_id]).sum()) + 1]
            attention = [
                [round(float(weight), 4) for weight in weights[0, head, self.looked_at]]
                for weights in output.attentions
                for head in range(weights.shape[1])
            ]
        best = {place: int(chances[place].argmax()) for place in self.masked}
        self.shown = {
            "seq": self.wish.get("seq", 0),
            "tokens": [self._written(token) for token in self.ids],
            "masked": sorted(self.masked),
            "guesses": {str(place): self._written(token) for place, token in best.items()},
            "right": sum(self.ids[place] == token for place, token in best.items()),
            "look": self.looked_at,
            "answers": answers,
            "truth": truth,
            "attention": attention,
            "heads": [self.model.config.n_layers, self.model.config.n_heads],
            "note": self._note,
        }

    def _written(self, token: int) -> str:
        return self.tokenizer.tokens[token]

    def describe(self) -> str:
        """The text with its masks, and the likeliest token for the mask that is looked at."""
        text = " ".join(self._written(token) for token in self.hidden_ids()[1:-1])
        if self.looked_at is None:
            return f"MaskPicker({text!r}, nothing masked)"
        token, chance = self.shown["answers"][0]
        return f"MaskPicker({text!r}: likeliest for token {self.looked_at - 1} is {token}, {chance:.2f})"

    def static_picture(self) -> tuple[Figure, str]:
        """Answers for the mask that is looked at, and the mean attention that it pays to each token."""
        shown = self.shown
        figure = Figure(figsize=(8.4, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1)
        answers = shown["answers"]
        upper.barh(range(len(answers)), [chance for _, chance in answers], color=plots.COLORS["blue"])
        for place, (_, chance) in enumerate(answers):
            upper.annotate(f"{chance:.3f}", (chance, place), xytext=(4, 0), textcoords="offset points", va="center",
                           fontsize=8)  # fmt: skip
        upper.set_yticks(range(len(answers)), [plots.drawable(token) for token, _ in answers])
        upper.invert_yaxis()
        upper.set(xlabel="probability at the mask that is looked at", xlim=(0, 1.1))

        tokens = [
            ("[MASK]" if place in self.masked else token) + ("*" if place == self.looked_at else "")
            for place, token in enumerate(shown["tokens"])
        ]
        rows = shown["attention"]
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)] if rows else [0.0] * len(tokens)
        lower.bar(range(len(tokens)), mean, color=[plots.COLORS["orange" if i in self.masked else "sky"]
                                                   for i in range(len(tokens))])  # fmt: skip
        lower.set_xticks(range(len(tokens)), [plots.drawable(token) for token in tokens], rotation=60, ha="right",
                         fontsize=8)  # fmt: skip
        lower.set(ylabel="attention of the mask*,\nmean of all heads")
        said = ", ".join(f"{token} {chance:.2f}" for token, chance in answers[:3]) or "nothing is masked"
        return figure, f"What the model expects at a mask in {' '.join(tokens)!r}: {said}; and the attention it pays."
