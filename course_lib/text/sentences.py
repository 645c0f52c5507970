"""Sentences, and the rows that a BERT is pre-trained on: pairs of texts, or texts packed one after the other.

Sources: Devlin et al. 2019, section 3.1 and appendix A.2 (pairs); Liu et al. 2019, section 4.2 (packed sentences).
"""

import random
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

SHORT_SHARE = 0.1
"""How many of the pairs aim at a shorter length, so that short texts are no surprise later."""

_END = re.compile(r"""(?:(?<=[.?!])|(?<=[.?!]["'”’)]))\s+(?=["'“‘(]?[^\W\d_a-z])|(?<=[。！？])\s*|\n+""")


class PretrainingRow(NamedTuple):
    """[CLS] first [SEP], or [CLS] first [SEP] second [SEP], as ids.

    `segments` says for each id which of the two texts it belongs to; `follows` whether the second really comes after
    the first, None where there is no such question.
    """

    ids: list[int]
    segments: list[int]
    follows: bool | None = None


def split_sentences(text: str) -> list[str]:
    """The sentences of a text: cut after . ? or ! (and a closing quote) before a capital, after 。！？, and at lines.

    A simple rule, which takes "Dr. Smith" for two sentences.

    >>> split_sentences('"Hello, Nora!" he said. Somewhere a baby cried.')
    ['"Hello, Nora!" he said.', 'Somewhere a baby cried.']
    """
    return [sentence for piece in _END.split(text) if (sentence := piece.strip())]


def sentence_pairs(documents: Sequence[str], tokenizer: Any, length: int, *, seed: int = 0) -> Iterator[PretrainingRow]:
    """Pairs of texts for next-sentence prediction: in about half of them the second really follows the first.

    Sentences of a document are gathered until they fill a row, and cut in two at a random place. In every second row
    the second text is exchanged for one from another document; what was cut off is used in the next row. A pair that is
    too long loses tokens from the longer text, at either end.

    Args:
        documents: the texts.
        tokenizer: with `cls_id` and `sep_id`, as WordPieceTokenizer.
        length: the most tokens of a row.

    Raises ValueError for fewer than two documents with words, and for a tokenizer without these tokens.
    """
    check_special_tokens(tokenizer, "cls", "sep")
    rng = random.Random(f"sentence pairs {seed}")
    encoded = _encoded(documents, tokenizer)
    if len(encoded) < 2:
        raise ValueError(
            f"Sentence pairs take wrong second texts from other documents, and there {_are(len(encoded))} with words: "
            "give at least two, or use packed_sentences."
        )
    for place in range(len(encoded)):
        for first, second, follows in _pairs_of(place, encoded, length - 3, rng):
            ids = [tokenizer.cls_id, *first, tokenizer.sep_id]
            more = [*second, tokenizer.sep_id]
            yield PretrainingRow(ids + more, [0] * len(ids) + [1] * len(more), follows)


def packed_sentences(
    documents: Sequence[str], tokenizer: Any, length: int, *, across: bool = True
) -> Iterator[PretrainingRow]:
    """Rows full of whole sentences, one after the other: RoBERTa's, without pairs.

    With `across` a row goes on into the next document, with a [SEP] between the two; without, each document begins a
    new row. A sentence that is longer than a row is cut into pieces.

    Raises ValueError when there is no document with words, and for a tokenizer without [CLS] and [SEP].
    """
    check_special_tokens(tokenizer, "cls", "sep")
    encoded = _encoded(documents, tokenizer)
    if not encoded:
        raise ValueError("There are no documents with words in them, so there is nothing to train on.")
    row: list[int] = []
    for sentences in encoded:
        for piece in chain.from_iterable(_pieces(sentence, length - 2) for sentence in sentences):
            if len(row) + len(piece) > length - 2:
                yield _single(row, tokenizer)
                row = []
            row += piece
        if not across and row:
            yield _single(row, tokenizer)
            row = []
        elif row and len(row) < length - 2:
            row.append(tokenizer.sep_id)
    while row and row[-1] == tokenizer.sep_id:
        row.pop()
    if row:
        yield _single(row, tokenizer)


def check_special_tokens(tokenizer: Any, *roles: str) -> None:
    """Raise ValueError for a tokenizer that has no token for one of the roles ("cls", "sep", "mask", "pad")."""
    for role in roles:
        if getattr(tokenizer, f"{role}_id", None) is None:
            raise ValueError(
                f"This {type(tokenizer).__name__} has no {role} token, which a BERT cannot do without: train a "
                "WordPieceTokenizer, which has [CLS], [SEP], [MASK] and [PAD]."
            )


def _encoded(documents: Sequence[str], tokenizer: Any) -> list[list[list[int]]]:
    """The ids of each sentence of each document; documents without a word are left out."""
    encoded = ([tokenizer.encode(sentence) for sentence in split_sentences(text)] for text in documents)
    kept = ([ids for ids in sentences if ids] for sentences in encoded)
    return [sentences for sentences in kept if sentences]


def _are(count: int) -> str:
    return "is only one" if count == 1 else "are none"


def _pairs_of(
    place: int, encoded: list[list[list[int]]], room: int, rng: random.Random
) -> Iterator[tuple[list[int], list[int], bool]]:
    """The pairs of one document: first text, second text, and whether the second follows."""
    sentences, next_one = encoded[place], 0
    while next_one < len(sentences):
        target = rng.randint(2, room) if rng.random() < SHORT_SHARE else room
        gathered: list[list[int]] = []
        while next_one < len(sentences) and sum(map(len, gathered)) < target:
            gathered.append(sentences[next_one])
            next_one += 1
        cut = rng.randint(1, len(gathered) - 1) if len(gathered) > 1 else 1
        first = list(chain.from_iterable(gathered[:cut]))
        follows = len(gathered) > 1 and rng.random() < 0.5
        if follows:
            second = list(chain.from_iterable(gathered[cut:]))
        else:
            next_one -= len(gathered) - cut
            second = _from_another(place, encoded, target - len(first), rng)
        yield *_shortened(first, second, room, rng), follows


def _from_another(place: int, encoded: list[list[list[int]]], room: int, rng: random.Random) -> list[int]:
    """Sentences from the middle of another document, until they fill `room`; at least one."""
    other = rng.randrange(len(encoded) - 1)
    sentences = encoded[other + (other >= place)]
    text: list[int] = []
    for sentence in sentences[rng.randrange(len(sentences)) :]:
        text += sentence
        if len(text) >= room:
            break
    return text


def _shortened(first: list[int], second: list[int], room: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """The two texts, cut at the ends of the longer one until both fit."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        longer = first if len(first) > len(second) else second
        longer.pop(0 if rng.random() < 0.5 else -1)
    return first, second


def _pieces(ids: list[int], size: int) -> Iterator[list[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _single(ids: list[int], tokenizer: Any) -> PretrainingRow:
    whole = [tokenizer.cls_id, *ids, tokenizer.sep_id]
    return PretrainingRow(whole, [0] * len(whole))
