"""Stretches of text: named entities as tags and how well they are found, and answers to questions.

Tags: B- begins an entity, I- goes on, O is outside (IOB2, Tjong Kim Sang and Veenstra 1999, after Ramshaw and Marcus
1995). An entity counts as found only whole: same kind, same beginning, same end.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from course_lib.evaluation.classification import Counts, Report, report_of


class Entity(NamedTuple):
    """An entity of some kind, from the word `start` to before the word `stop`."""

    kind: str
    start: int
    stop: int


def check_bio(tags: Sequence[str], where: str = "the sentence") -> None:
    """Raise ValueError for a tag that is none, and for an I- that continues nothing; `where` names the sentence."""
    before = "O"
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if tag != "O" and (prefix not in ("B", "I") or not kind):
            raise ValueError(f"Tag {place} of {where} is {tag!r}, but a tag is O, or B- or I- and a kind: B-person.")
        if prefix == "I" and before not in (f"B-{kind}", f"I-{kind}"):
            raise ValueError(
                f"Tag {place} of {where} is {tag!r} after {before!r}: an entity starts inside. Begin it with B-{kind}, "
                "or mend all such tags with mended_bio."
            )
        before = tag


def mended_bio(tags: Sequence[str]) -> list[str]:
    """The tags, with B- for every I- that continues nothing: what older corpora and many models mean by it."""
    mended: list[str] = []
    for tag in tags:
        kind = tag.partition("-")[2]
        continues = bool(mended) and mended[-1] in (f"B-{kind}", f"I-{kind}")
        mended.append(f"B-{kind}" if tag.startswith("I-") and not continues else tag)
    return mended


def entities_of(tags: Sequence[str], *, strict: bool = False) -> list[Entity]:
    """The entities that the tags spell.

    An I- that continues nothing begins an entity, as in the CoNLL evaluation; with `strict` it is none.

    >>> entities_of(["B-person", "O", "B-object", "I-object"])
    [Entity(kind='person', start=0, stop=1), Entity(kind='object', start=2, stop=4)]
    """
    found: list[Entity] = []
    open_kind, start = None, 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and kind == open_kind:
            continue
        if open_kind is not None:
            found.append(Entity(open_kind, start, place))
        begins = prefix == "B" or (prefix == "I" and not strict)
        open_kind, start = (kind, place) if begins else (None, 0)
    return found


def span_report(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, strict: bool = False) -> Report:
    """Precision, recall and F1 of whole entities, by kind and on average, as seqeval counts them.

    Args:
        truth, predicted: for each sentence its tags, one a word.
        strict: as for `entities_of` (seqeval's mode="strict" with IOB2).

    Raises ValueError when the sentences, or the words of one, are not as many on both sides, and for no sentences.
    """
    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"There are {len(truth)} sentences with true tags and {len(predicted)} with predicted ones.")
    right, found, there = Counter(), Counter(), Counter()
    for number, (true_tags, guessed_tags) in enumerate(zip(truth, predicted, strict=True)):
        if len(true_tags) != len(guessed_tags):
            raise ValueError(
                f"Sentence {number} has {len(true_tags)} true tags and {len(guessed_tags)} predicted ones: one a word."
            )
        true = set(entities_of(true_tags, strict=strict))
        guessed = set(entities_of(guessed_tags, strict=strict))
        there.update(entity.kind for entity in true)
        found.update(entity.kind for entity in guessed)
        right.update(entity.kind for entity in true & guessed)
    kinds = sorted(there | found)
    return report_of({kind: Counts(right[kind], found[kind], there[kind]) for kind in kinds})


class AnswerScore(NamedTuple):
    """How good answers are, between 0 and 1: the share that is exact, and the mean F1 of their words."""

    exact: float
    f1: float


def answer_score(truth: Sequence[str], predicted: Sequence[str]) -> AnswerScore:
    """Exact match and F1 of words, as SQuAD counts them; "" means that there is no answer.

    Letters' case, punctuation and English articles do not count. Where one of the two is no answer, F1 is 1 if both
    are and 0 otherwise. Raises ValueError for lists of different lengths, or empty ones.

    Source: Rajpurkar et al. 2016, "SQuAD", section 6.1; 2018, section 4 (no answer).
    """
    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"There are {len(truth)} true answers and {len(predicted)} predicted ones: give one for each.")
    pairs = [(_words(true), _words(guess)) for true, guess in zip(truth, predicted, strict=True)]
    return AnswerScore(
        exact=sum(true == guess for true, guess in pairs) / len(pairs),
        f1=sum(_word_f1(true, guess) for true, guess in pairs) / len(pairs),
    )


def _word_f1(true: list[str], guess: list[str]) -> float:
    if not true or not guess:
        return float(true == guess)
    return Counts((Counter(true) & Counter(guess)).total(), len(guess), len(true)).score().f1


def _words(answer: str) -> list[str]:
    bare = answer.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()
