"""Where an answer begins and ends: the scores of a reader, the best legal stretch, and "no answer" against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from course_lib.models.bert import BERTForQuestionAnswering
    from course_lib.text import WordPieceTokenizer

RANKED = 8  # stretches in the table
LONGEST_TEXT = 2_000  # characters
LONGEST_ANSWER = 30  # tokens, as `answer_questions` looks for


class SpanPicker(CourseWidget):
    """A question and a text with the reader's two scores at each token, and the stretches that they rank highest.

    Illegal stretches stand in the table with what is wrong with them. Move the threshold to see when the reader
    rather gives no answer; press two tokens to score a stretch of your own; ask another question.

    Args:
        model: a BERT with its head for questions.
        tokenizer: its tokenizer.
        question, context: what is asked, and the text that may hold the answer.
        threshold: by how many nats an answer has to beat "no answer".

    Raises:
        ValueError: for a question or text without words, or both together too long for the model.
    """

    label = "Scores of starts and ends, and the answer they make"
    wish = traitlets.Dict().tag(sync=True)  # {"seq", "question": text, "context": text}
    threshold = traitlets.Float(0.0).tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        model: BERTForQuestionAnswering,
        tokenizer: WordPieceTokenizer,
        question: str,
        context: str,
        *,
        threshold: float = 0.0,
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.question, self.context, self._note = question, context, ""
        shown = self._read(question, context)
        super().__init__(threshold=threshold)
        self.shown = shown

    @traitlets.observe("wish")
    def _answer(self, change: object = None) -> None:
        """Read what the page asked for; where that cannot be read, say so and keep what was."""
        question = str(self.wish.get("question", self.question))[:LONGEST_TEXT]
        context = str(self.wish.get("context", self.context))[:LONGEST_TEXT]
        try:
            self.shown = self._read(question, context) | {"seq": self.wish.get("seq", 0)}
            self.question, self.context = question, context
        except ValueError as error:
            self.shown = {**self.shown, "note": str(error), "seq": self.wish.get("seq", 0)}

    def _read(self, question: str, context: str) -> dict:
        """Run the model once: tokens, both scores at each of them, and the stretches that score highest."""
        import torch

        ids, segments = self.tokenizer.encode_pair(question, context)
        begin, stop = segments.index(1), len(ids) - 1  # the context's first token, and the [SEP] after its last
        if begin == 2 or begin == stop:
            raise ValueError("The question and the text need at least one word each.")
        room = self.model.config.context_length
        if len(ids) > room:
            raise ValueError(f"Question and text have {len(ids)} tokens, and the model reads at most {room}: shorten.")
        device = next(self.model.parameters()).device
        with torch.no_grad():
            output = self.model(torch.tensor([ids], device=device), torch.tensor([segments], device=device))
        start, end = output.start_logits[0].cpu(), output.end_logits[0].cpu()
        scores = start[:, None] + end  # (start, end)
        places = torch.arange(len(ids))
        inside = (places >= begin) & (places < stop)
        length = places - places[:, None]
        legal = inside[:, None] & inside & (length >= 0) & (length < LONGEST_ANSWER)
        best = divmod(int(scores.where(legal, -torch.inf).argmax()), len(ids))
        pairs = scores[1:, 1:]  # [CLS] is "no answer"
        ranked = [divmod(int(i), len(ids) - 1) for i in pairs.flatten().topk(min(RANKED, pairs.numel())).indices]
        ranked = [(first + 1, last + 1) for first, last in ranked]
        if best not in ranked:
            ranked.append(best)
        return {
            "seq": 0,
            "tokens": [self.tokenizer.tokens[token] for token in ids],
            "start": [round(float(value), 3) for value in start],
            "end": [round(float(value), 3) for value in end],
            "text": [begin, stop],
            "longest": LONGEST_ANSWER,
            "best": list(best),
            "ranked": [list(pair) for pair in ranked],
            "question": question,
            "context": context,
            "note": "",
        }

    def score(self, first: int, last: int) -> float:
        """Start score + end score of a stretch."""
        return self.shown["start"][first] + self.shown["end"][last]

    @property
    def margin(self) -> float:
        """By how many nats the best legal stretch beats "no answer"."""
        return self.score(*self.shown["best"]) - self.score(0, 0)

    def verdict(self) -> str:
        """The tokens of the answer, or "no answer"."""
        first, last = self.shown["best"]
        return " ".join(self.shown["tokens"][first : last + 1]) if self.margin > self.threshold else "no answer"

    def describe(self) -> str:
        """The question, the answer, and how far it beats no answer."""
        return (
            f"SpanPicker({self.question!r}: {self.verdict()}; margin {self.margin:.1f}, threshold {self.threshold:g})"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """Both scores at each token, the best stretch marked, and the verdict."""
        tokens, (first, last) = self.shown["tokens"], self.shown["best"]
        figure = Figure(figsize=(8.8, 4.4), layout="constrained")
        figure.suptitle(plots.drawable(f"{self.question}   →   {self.verdict()}"), fontsize=10.5)
        for axes, name, color in zip(figure.subplots(2, 1, sharex=True), ("start", "end"), ("blue", "orange"),
                                     strict=True):  # fmt: skip
            _bars(axes, self.shown[name], plots.COLORS[color])
            axes.axvspan(first - 0.5, last + 0.5, color=plots.COLORS["green"], alpha=0.2)
            axes.axvline(self.shown["text"][0] - 0.5, color=plots.GREY, linewidth=1, linestyle="--")
            axes.set(ylabel=f"{name} score (nats)", xlim=(-0.7, len(tokens) - 0.3))
        axes.set_xticks(range(len(tokens)), [plots.drawable(token) for token in tokens], rotation=70, ha="right",
                        rotation_mode="anchor", fontsize=7)  # fmt: skip
        return figure, (
            f"Start and end scores at each token for {self.question!r}. The best legal stretch is "
            f"{' '.join(tokens[first : last + 1])!r}, {self.score(first, last):.1f}; no answer has "
            f"{self.score(0, 0):.1f}; threshold {self.threshold:g}: {self.verdict()}."
        )


def _bars(axes, values: Sequence[float], color: str) -> None:
    axes.bar(range(len(values)), values, color=color, width=0.75)
    axes.axhline(0, color=plots.GREY, linewidth=0.8)
