"""The tree of a beam search: which beginnings were kept and dropped at each step, live from a translator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from course_lib.generation import Continuation
    from course_lib.generation.text import Tokenizer
    from course_lib.models.encoder_decoder import EncoderDecoder

MOST_BEAMS = 6
LONGEST_TEXT = 400  # characters
LONGEST_ANSWER = 32  # tokens
SHOWN_STEPS = 14  # in the static picture


class BeamTree(CourseWidget):
    """A text to translate, the tree of the search for its translation, and the hypotheses that were finished.

    Each column is a step. A box is a continuation that was looked at, with its token and its log-probability so far:
    kept, finished or dropped. Width and length penalty can be changed, and another text can be typed.

    Args:
        model: an encoder–decoder.
        tokenizer: its tokenizer.
        text: what to translate.
        beams: how many beginnings go on, 1 … 6.
        length_penalty: a of the score log p / lengthᵃ, 0 … 2.

    Raises:
        ValueError: for a text without words, or longer than the model reads; and for a width or a penalty outside.
    """

    label = "A beam search, step by step"
    beams = traitlets.Int(3).tag(sync=True)
    length_penalty = traitlets.Float(1.0).tag(sync=True)
    wish = traitlets.Dict().tag(sync=True)  # {"seq", "text"}
    shown = traitlets.Dict().tag(sync=True)

    def __init__(
        self, model: EncoderDecoder, tokenizer: Tokenizer, text: str, *, beams: int = 3, length_penalty: float = 1.0
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self._note = ""
        self._take(text)
        super().__init__(beams=beams, length_penalty=length_penalty)
        self._search()

    def _take(self, text: str) -> None:
        """Take a text; ValueError where the model cannot read it."""
        ids = self.tokenizer.encode(text)
        if not ids:
            raise ValueError("The text has no words: write at least one.")
        room = self.model.config.context_length - 1
        if len(ids) > room:
            raise ValueError(f"The text has {len(ids)} tokens, and the model reads at most {room}: shorten it.")
        self.text, self._source = text, [*ids, self.tokenizer.end_id]

    @traitlets.validate("beams")
    def _check_beams(self, proposal: Any) -> int:
        if not 1 <= proposal["value"] <= MOST_BEAMS:
            raise ValueError(f"beams must be from 1 to {MOST_BEAMS}, but it is {proposal['value']}.")
        return proposal["value"]

    @traitlets.validate("length_penalty")
    def _check_penalty(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 2:
            raise ValueError(f"length_penalty must be from 0 to 2, but it is {proposal['value']}.")
        return proposal["value"]

    @traitlets.observe("wish")
    def _answer(self, change: object = None) -> None:
        """Translate what the page asks for."""
        self._note = ""
        try:
            self._take(str(self.wish.get("text", self.text))[:LONGEST_TEXT])
        except ValueError as error:
            self._note = str(error)
        self._search()

    @traitlets.observe("beams", "length_penalty")
    def _changed(self, change: object = None) -> None:
        if self.shown:  # the first values arrive before the first search
            self._search()

    def _search(self) -> None:
        """Search with the settings as they are now, and show how it went."""
        from course_lib.generation.beam import DROPPED, GOES_ON, beam_search

        steps: list[list[Continuation]] = []
        found = beam_search(
            self.model,
            [self._source],
            min(LONGEST_ANSWER, self.model.config.context_length - 1),
            beams=self.beams,
            length_penalty=self.length_penalty,
            stop_id=self.tokenizer.end_id,
            watch=steps.append,
        )[0]
        steps[-1] = [one._replace(fate=DROPPED) if one.fate == GOES_ON else one for one in steps[-1]]  # it ended here
        self.shown = {
            "seq": self.wish.get("seq", 0),
            "settings": [self.beams, self.length_penalty],
            "text": self.text,
            "steps": [[[one.parent, self._written(one.token), one.log_probability, one.fate] for one in step]
                      for step in steps],
            "found": [
                {
                    "text": self._joined(one.tokens[1:]),
                    "log_probability": one.log_probability,
                    "length": len(one.tokens) - 1,
                    "score": one.score,
                    "path": place_of(steps, one.tokens[1:]),
                }
                for one in found
            ],
            "note": self._note,
        }  # fmt: skip

    def _written(self, token: int) -> str:
        """A token as it is shown."""
        return "⟨end⟩" if token == self.tokenizer.end_id else self.tokenizer.decode([token]) or f"⟨{token}⟩"

    def _joined(self, tokens: list[int]) -> str:
        """A hypothesis as text; one that was cut off before its end says so."""
        from course_lib.generation.text import BETWEEN_CHINESE

        ended = tokens[-1] == self.tokenizer.end_id
        text = BETWEEN_CHINESE.sub("", self.tokenizer.decode(tokens[:-1] if ended else tokens))
        return text if ended else f"{text}…"

    def describe(self) -> str:
        """The text, the settings and the best translation."""
        best = self.shown["found"][0]
        return (
            f"BeamTree({self.text!r}, beams={self.beams}, length_penalty={self.length_penalty:g}: {best['text']}, "
            f"score {best['score']:.2f})"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """The first steps of the tree, the best hypothesis drawn in green."""
        steps, found = self.shown["steps"][:SHOWN_STEPS], self.shown["found"]
        best = found[0]["path"]
        rows = max(map(len, steps))
        figure = Figure(figsize=(1.0 + 0.68 * len(steps), 0.9 + 0.46 * rows), layout="constrained")
        axes = figure.subplots()
        axes.annotate("start", (0, 0), ha="center", va="center", fontsize=9)
        before: list[int] = [0]  # the rows of the beginnings that went on
        for column, step in enumerate(steps, start=1):
            for row, (parent, token, total, fate) in enumerate(step):
                on_path = column <= len(best) and best[column - 1] == row
                color = plots.COLORS["green"] if on_path else plots.COLORS["blue"] if fate == "goes on" else (
                    plots.COLORS["orange"] if fate == "finished" else plots.GREY)  # fmt: skip
                axes.plot([column - 0.72, column - 0.3], [-before[parent], -row], color=color,
                          linewidth=2 if on_path else 1, alpha=0.35 if fate == "dropped" else 1, zorder=1)  # fmt: skip
                axes.annotate(plots.drawable(token), (column, -row + 0.12), ha="center", va="center", zorder=3,
                              fontsize=9 if len(token) < 4 else 7.5, color=plots.GREY if fate == "dropped" else "black",
                              weight="bold" if on_path else "normal")  # fmt: skip
                axes.annotate(f"{total:.2f}".replace("-", "−"), (column, -row - 0.24), ha="center", va="center",
                              fontsize=7, color=color, zorder=3)  # fmt: skip
            before = [row for row, one in enumerate(step) if one[3] == "goes on"]
        more = len(self.shown["steps"]) - len(steps)
        axes.set(xlim=(-0.5, len(steps) + 0.5), ylim=(-rows + 0.4, 0.6))
        axes.set_xlabel("step: green leads to the best, blue goes on, orange finished, grey was dropped; below each "
                        "token the log-probability so far" + (f" ({more} more steps)" if more else ""))  # fmt: skip
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        said = "; ".join(f"{one['text']} with score {one['score']:.2f}" for one in found)
        return figure, f"The tree of a beam search with {self.beams} beams for {self.text!r}. Finished: {said}."


def place_of(steps: list[list[Continuation]], tokens: list[int]) -> list[int]:
    """Which row of each step a finished hypothesis went through."""
    path: list[int] = []
    parent = 0
    for step, token in zip(steps, tokens, strict=False):
        row = next(i for i, one in enumerate(step) if one.parent == parent and one.token == token)
        path.append(row)
        parent = sum(one.fate == "goes on" for one in step[:row])
    return path
