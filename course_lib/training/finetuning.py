"""A pre-trained encoder at work: freezing, and the answers of fine-tuned models."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from course_lib.models.bert import (
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
)
from course_lib.models.inputs import check_length
from course_lib.training.labelled import Passage, encode_words, passages

AT_ONCE = 32
"""Rows that go through the model together."""

LONGEST_ANSWER = 30
"""Tokens of the longest answer that is looked for."""


def freeze(model: nn.Module, *names: str) -> int:
    """Stop the parts of a model whose parameters' names begin so from learning; answer how many numbers that is.

    `freeze(model, "bert")` leaves the head to learn, `freeze(model, "bert.token_embedding", "bert.blocks.0")` most of
    the model. The Trainer leaves frozen parameters out of its optimisers, so freeze before you make it.

    Raises ValueError for a name that no parameter begins with.
    """
    count = 0
    for name in names:
        found = [p for own, p in model.named_parameters() if own == name or own.startswith(f"{name}.")]
        if not found:
            parts = ", ".join(part for part, _ in model.named_children())
            raise ValueError(f"No parameter's name begins with {name!r}. The model's parts are {parts}.")
        for parameter in found:
            count += parameter.numel() * parameter.requires_grad
            parameter.requires_grad_(False)
    return count


def classify(
    model: BERTForSequenceClassification, tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None = None
) -> list[tuple[str, float]]:
    """The likeliest label of each text (or pair of texts), and its probability.

    Raises ValueError for a text longer than the encoder's positions.
    """
    seconds = [None] * len(texts) if pairs is None else pairs
    rows = [tokenizer.encode_pair(text, second) for text, second in zip(texts, seconds, strict=True)]
    answers = []
    for logits in _run(model, rows, tokenizer):
        probability, label = logits.softmax(dim=-1).max(dim=-1)
        answers.append((model.config.labels[int(label)], float(probability)))
    return answers


def tag_words(model: BERTForTokenClassification, tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The likeliest tag of each word, read from its first token.

    Raises ValueError for a sentence longer than the encoder's positions.
    """
    encoded = [encode_words(words, tokenizer) for words in sentences]
    rows = [(ids, [0] * len(ids)) for ids, _ in encoded]
    labels = model.config.labels
    return [
        [labels[number] for number in logits[first].argmax(dim=-1).tolist()]
        for (_, first), logits in zip(encoded, _run(model, rows, tokenizer), strict=True)
    ]


class Answer(NamedTuple):
    """A stretch of the context: its text ("" for no answer), where it begins, and how far it beats no answer (nats)."""

    text: str
    start: int
    margin: float


def answer_questions(
    model: BERTForQuestionAnswering,
    tokenizer: Any,
    questions: Sequence[str],
    contexts: Sequence[str],
    *,
    stride: int | None = None,
    longest: int = LONGEST_ANSWER,
    threshold: float = 0.0,
) -> list[Answer]:
    """The best stretch of each context, or no answer where none beats [CLS] by `threshold` nats.

    A stretch scores start + end; it lies inside the context, does not end before it begins, and has at most `longest`
    tokens. A long context is read in pieces that overlap (`stride`); the best of all pieces counts.

    Source: Devlin et al. 2019, section 4.3.
    """
    length = model.config.context_length
    cut = [
        passages(question, context, tokenizer, length, stride=stride)
        for question, context in zip(questions, contexts, strict=True)
    ]
    found = _run(model, [(piece.ids, piece.segments) for pieces in cut for piece in pieces], tokenizer)
    return [
        _best_answer(context, pieces, [next(found) for _ in pieces], longest, threshold)
        for context, pieces in zip(contexts, cut, strict=True)
    ]


def _best_answer(
    context: str, pieces: list[Passage], logits: list[Float[Tensor, "time 2"]], longest: int, threshold: float
) -> Answer:
    """The stretch with the highest score of all pieces; "no answer" has the lowest that any piece gives it."""
    nothing = min(float(each[0].sum()) for each in logits)
    best, score = None, -torch.inf
    for piece, each in zip(pieces, logits, strict=True):
        inside = each[piece.start : piece.start + len(piece.places)]
        if not len(inside):
            continue
        places = torch.arange(len(inside))
        length = places - places[:, None]  # (start, end): 0 for a single token
        scores = inside[:, :1] + inside[:, 1]
        scores = scores.masked_fill((length < 0) | (length >= longest), -torch.inf)
        if float(scores.max()) > score:
            score = float(scores.max())
            first, last = divmod(int(scores.argmax()), len(inside))
            best = piece.places[first][0], piece.places[last][1]
    margin = score - nothing
    if best is None or margin <= threshold:
        return Answer("", 0, margin)
    return Answer(context[slice(*best)], best[0], margin)


def _run(model: nn.Module, rows: Sequence[tuple[list[int], list[int]]], tokenizer: Any) -> Iterator[Tensor]:
    """The model's logits for each row, padding left out; of a reader, start and end side by side."""
    device = next(model.parameters()).device
    for ids, _ in rows:
        check_length(len(ids), model.config.context_length)
    for begin in range(0, len(rows), AT_ONCE):
        some = rows[begin : begin + AT_ONCE]
        tokens = pad_sequence([torch.tensor(ids) for ids, _ in some], batch_first=True, padding_value=tokenizer.pad_id)
        segments = pad_sequence([torch.tensor(segments) for _, segments in some], batch_first=True)
        with _answering(model):
            output = model(tokens.to(device), segments.to(device))
        logits = getattr(output, "logits", None)
        if logits is None:
            logits = torch.stack([output.start_logits, output.end_logits], dim=-1)
        for (ids, _), row in zip(some, logits.float().cpu(), strict=True):
            yield row[: len(ids)] if row.ndim == 2 else row


@contextmanager
def _answering(model: nn.Module) -> Iterator[None]:
    """No dropout and no gradients; afterwards the model is in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
