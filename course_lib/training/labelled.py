"""Labelled texts as batches: one label for each text, a tag for each word, or an answer in each text.

Rows may be lists of dictionaries or a `datasets.Dataset`, with the columns of tiny_world's tasks or others.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from course_lib.evaluation.spans import check_bio
from course_lib.models.gpt import IGNORED
from course_lib.text.sentences import check_special_tokens
from course_lib.training.batches import Rows

FIRST = 0
"""The place of [CLS], where an answer that is nowhere begins and ends."""


class LabelledBatch(NamedTuple):
    """What a fine-tuned BERT is given; short rows are filled up with [PAD]."""

    tokens: Int[Tensor, "batch time"]
    segments: Int[Tensor, "batch time"]
    targets: Int[Tensor, "batch *places"]


class Encoded(NamedTuple):
    """One row: ids, the text that each belongs to, and what is to be answered."""

    ids: list[int]
    segments: list[int]
    target: int | list[int]


class LabelledRows(Rows):
    """Encoded rows, batched by length. Made by `labelled_texts`, `labelled_words` and `questions`."""

    def __init__(self, rows: Sequence[Encoded], pad_id: int):
        if not rows:
            raise ValueError("There are no rows to train on: the list is empty.")
        self.rows, self.pad_id = rows, pad_id
        self.lengths = torch.tensor([len(row.ids) for row in rows])
        self.n_cut = 0

    @property
    def n_targets(self) -> int:
        """How many answers one pass over the rows asks for."""
        targets = [[row.target] if isinstance(row.target, int) else row.target for row in self.rows]
        return sum(target != IGNORED for row in targets for target in row)

    @property
    def largest_id(self) -> int:
        """The largest token id in any row: the model's vocabulary must hold it."""
        return max(max(row.ids) for row in self.rows)

    def _batch(self, group: list[int]) -> LabelledBatch:
        rows = [self.rows[index] for index in group]
        targets = [torch.tensor(row.target) for row in rows]
        return LabelledBatch(
            pad_sequence([torch.tensor(row.ids) for row in rows], batch_first=True, padding_value=self.pad_id),
            pad_sequence([torch.tensor(row.segments) for row in rows], batch_first=True),
            pad_sequence(targets, batch_first=True, padding_value=IGNORED) if targets[0].ndim else torch.stack(targets),
        )


def label_names(rows: Any, column: str) -> tuple[str, ...]:
    """The labels of a column, sorted; in the order of their numbers where a dataset gives them numbers and names."""
    if names := _names_of_numbers(rows, column):
        return names
    values: set[str] = set()
    for row in rows:
        value = row[column]
        values.update([value] if isinstance(value, str | int) else value)
    return tuple(sorted(map(str, values)))


def labelled_texts(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    context_length: int,
    labels: Sequence[str],
    *,
    text: str = "text",
    pair: str | None = None,
    label: str = "label",
    cut: bool = False,
) -> LabelledRows:
    """Texts, or pairs of texts, with a label for each: what `BERTForSequenceClassification` learns from.

    Args:
        labels: the names of the labels, in the order of the model's (`label_names`).
        text, pair, label: the columns; `pair` where a row has two texts.
        cut: shorten a text that is longer than the encoder's positions; the answer's `.n_cut` counts these.

    Raises ValueError for a label outside the set, a column that is not there, and (unless `cut`) a text that is longer
    than the encoder's positions.
    """
    check_special_tokens(tokenizer, "cls", "sep", "pad")
    numbers, names = _numbers(labels), _names_of_numbers(rows, label)
    encoded = []
    for index, row in enumerate(rows):
        _check_columns(row, index, *filter(None, (text, pair, label)))
        ids, segments = tokenizer.encode_pair(row[text], row[pair] if pair else None)
        target = _number(_name(row[label], names), numbers, f"row {index}")
        encoded.append(Encoded(ids, segments, target))
    return _checked(encoded, tokenizer, context_length, cut)


def labelled_words(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    context_length: int,
    labels: Sequence[str],
    *,
    words: str = "words",
    tags: str = "tags",
    cut: bool = False,
) -> LabelledRows:
    """Sentences with a tag for each word: what `BERTForTokenClassification` learns from.

    A word may become several tokens; the first of them carries the tag, and the others are not asked for.

    Args:
        labels: the names of the tags, in the order of the model's (`label_names`).
        words, tags: the columns.
        cut: shorten a sentence that is longer than the encoder's positions; the answer's `.n_cut` counts these.

    Raises ValueError for a tag outside the set, an entity that starts inside (`check_bio`), as many tags as there are
    not words, and (unless `cut`) a sentence that is longer than the encoder's positions.
    """
    check_special_tokens(tokenizer, "cls", "sep", "pad")
    numbers, names = _numbers(labels), _names_of_numbers(rows, tags)
    encoded = []
    for index, row in enumerate(rows):
        _check_columns(row, index, words, tags)
        found = [_name(tag, names) for tag in row[tags]]
        if len(found) != len(row[words]):
            raise ValueError(f"Row {index} has {len(row[words])} words and {len(found)} tags: give one for each word.")
        check_bio(found, f"row {index}")
        ids, first = encode_words(row[words], tokenizer)
        target = [IGNORED] * len(ids)
        for place, tag in zip(first, found, strict=True):
            target[place] = _number(tag, numbers, f"row {index}")
        encoded.append(Encoded(ids, [0] * len(ids), target))
    return _checked(encoded, tokenizer, context_length, cut)


def encode_words(words: Sequence[str], tokenizer: Any) -> tuple[list[int], list[int]]:
    """[CLS] words [SEP] as ids, and the place of each word's first token. A word of no known character is [UNK]."""
    ids, first = [tokenizer.cls_id], []
    for word in words:
        first.append(len(ids))
        ids += tokenizer.encode(word) or [tokenizer.unk_id]
    return [*ids, tokenizer.sep_id], first


class Passage(NamedTuple):
    """A question with a piece of its context, short enough for the encoder.

    Attributes:
        ids, segments: [CLS] question [SEP] piece [SEP].
        places: for each id of the piece the characters of the context that it stands for.
        start: the place of the piece's first id.
    """

    ids: list[int]
    segments: list[int]
    places: list[tuple[int, int]]
    start: int


def passages(
    question: str, context: str, tokenizer: Any, context_length: int, *, stride: int | None = None
) -> list[Passage]:
    """The question with its context, in one piece or, with a `stride`, in several that overlap.

    Args:
        stride: how many tokens further each next piece begins.

    Raises ValueError for a context that is too long without a stride, and for a question that leaves it no room.
    """
    check_special_tokens(tokenizer, "cls", "sep", "pad")
    asked = [tokenizer.cls_id, *tokenizer.encode(question), tokenizer.sep_id]
    ids, places = tokenizer.encode_with_places(context)
    room = context_length - len(asked) - 1
    if room < 1:
        raise ValueError(
            f"The question takes {len(asked)} of the encoder's {context_length} positions, which leaves no room for "
            "its context: shorten it."
        )
    if len(ids) > room and stride is None:
        raise ValueError(
            f"Question and context are {len(asked) + len(ids) + 1} tokens long, and the encoder has {context_length} "
            f"positions: give a stride, such as {max(1, room // 2)}, to read the context in pieces that overlap."
        )
    if stride is not None and stride < 1:
        raise ValueError(f"stride is a number of tokens, at least 1, but it is {stride}.")
    pieces = []
    step = stride or room
    for begin in range(0, max(0, len(ids) - room) + step, step):
        piece = ids[begin : begin + room]
        whole = [*asked, *piece, tokenizer.sep_id]
        segments = [0] * len(asked) + [1] * (len(piece) + 1)
        pieces.append(Passage(whole, segments, places[begin : begin + room], len(asked)))
    return pieces


def questions(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: Any,
    context_length: int,
    *,
    stride: int | None = None,
    cut: bool = False,
) -> LabelledRows:
    """Questions whose answer is a stretch of the context: what `BERTForQuestionAnswering` learns from.

    The columns are tiny_world's (`question`, `context`, `answer`, `answer_start`) or SQuAD's (`answers` with lists of
    `text` and `answer_start`, of which the first counts). A question without an answer has "" or an empty list: its
    answer begins and ends at [CLS]. So it does in a piece of context that does not hold the whole answer.

    Args:
        stride: read long contexts in pieces that overlap (`passages`).
        cut: read an answer that no piece holds whole as "no answer"; the result's `.n_cut` counts these.

    Raises ValueError for a context that is too long without a stride, an answer that does not stand where it should,
    and (unless `cut`) one that is cut in every piece.
    """
    encoded, n_cut = [], 0
    for index, row in enumerate(rows):
        _check_columns(row, index, "question", "context")
        answer, start = _answer(row, index)
        pieces = passages(row["question"], row["context"], tokenizer, context_length, stride=stride)
        spans = [_span(piece, start, start + len(answer)) if answer else None for piece in pieces]
        if answer and not any(spans):
            n_cut += 1
            if not cut:
                raise ValueError(
                    f"The answer of row {index}, {answer!r}, lies whole in none of the {len(pieces)} pieces of its "
                    f"context: it is cut off. Choose a smaller stride than {stride}, or cut=True to read such answers "
                    "as none and have them counted."
                )
        encoded += [
            Encoded(piece.ids, piece.segments, list(span or (FIRST, FIRST)))
            for piece, span in zip(pieces, spans, strict=True)
        ]
    found = LabelledRows(encoded, tokenizer.pad_id)
    found.n_cut = n_cut
    return found


def _span(piece: Passage, start: int, stop: int) -> tuple[int, int] | None:
    """The first and the last token that the characters `start` … `stop` touch; None if they are not all there."""
    inside = [place for place, (begin, end) in enumerate(piece.places) if begin < stop and end > start]
    if not inside or piece.places[inside[0]][0] > start or piece.places[inside[-1]][1] < stop:
        return None
    return piece.start + inside[0], piece.start + inside[-1]


def _answer(row: Mapping[str, Any], index: int) -> tuple[str, int]:
    """The text of an answer, "" for none, and where it begins."""
    if "answers" in row:
        texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
        answer, start = (texts[0], starts[0]) if len(texts) else ("", 0)
    else:
        _check_columns(row, index, "answer")
        answer, start = row["answer"] or "", row.get("answer_start") or 0
    if row["context"][start : start + len(answer)] != answer:
        raise ValueError(
            f"The answer of row {index}, {answer!r}, does not stand at character {start} of its context, where "
            f"{row['context'][start : start + len(answer)]!r} stands."
        )
    return answer, start


def _checked(encoded: list[Encoded], tokenizer: Any, context_length: int, cut: bool) -> LabelledRows:
    """The rows as batches; too long ones cut and counted, or refused."""
    lengths = [len(row.ids) for row in encoded]
    too_long = [index for index, length in enumerate(lengths) if length > context_length]
    if too_long and not cut:
        longest = max(too_long, key=lengths.__getitem__)
        raise ValueError(
            f"{len(too_long)} of {len(encoded)} texts are longer than the encoder's {context_length} positions; row "
            f"{longest} is the longest, with {lengths[longest]} tokens. Shorten them, or say cut=True to have their "
            "ends cut off and counted."
        )
    for index in too_long:
        ids, segments, target = encoded[index]
        kept = [*ids[: context_length - 1], tokenizer.sep_id]
        if not isinstance(target, int):
            target = [*target[: context_length - 1], IGNORED]
        encoded[index] = Encoded(kept, segments[:context_length], target)
    rows = LabelledRows(encoded, tokenizer.pad_id)
    rows.n_cut = len(too_long)
    return rows


def _numbers(labels: Sequence[str]) -> dict[str, int]:
    return {label: number for number, label in enumerate(labels)}


def _number(label: str, numbers: Mapping[str, int], where: str) -> int:
    if label not in numbers:
        raise ValueError(f"The label {label!r} of {where} is outside the set: the labels are {', '.join(numbers)}.")
    return numbers[label]


def _name(label: Any, names: Sequence[str] | None) -> str:
    """A label's name; `names` are those of a dataset that keeps labels as numbers."""
    return names[label] if names and isinstance(label, int) and 0 <= label < len(names) else str(label)


def _names_of_numbers(rows: Any, column: str) -> tuple[str, ...] | None:
    """The names that a dataset of `datasets` gives to the numbers in a column of labels, or of lists of labels."""
    feature = (getattr(rows, "features", None) or {}).get(column)
    feature = getattr(feature, "feature", feature)
    names = getattr(feature, "names", None)
    return tuple(names) if names else None


def _check_columns(row: Mapping[str, Any], index: int, *columns: str) -> None:
    for column in columns:
        if column not in row:
            raise ValueError(f"Row {index} has no column {column!r}, only {', '.join(map(repr, row))}: say which.")
