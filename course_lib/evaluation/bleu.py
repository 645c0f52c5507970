"""BLEU: how much of a translation's wording stands in a reference too.

BLEU = brevity penalty · (p₁ · p₂ · p₃ · p₄)^¼, where pₙ is the share of the translation's n-grams that a reference
has as well. Counts are added up over the whole corpus before anything is divided.

Sources: Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation"; Post 2018, "A Call for
Clarity in Reporting BLEU Scores" (why the tokenisation is part of the score); Chen and Cherry 2014, "A Systematic
Comparison of Smoothing Techniques for Sentence-Level BLEU".
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

SMOOTHINGS = ("exp", "floor", "add-k", "none")
SMALLEST_COUNT = 0.1
"""What "floor" takes for a count of matches that is 0."""


class BLEU(float):
    """A BLEU score from 0 to 100: a number, which also knows how it came about.

    Attributes:
        score: the number itself.
        precisions: p₁ … p₄ in percent, after smoothing.
        brevity_penalty: 1, or less where the translations are shorter than the references.
        hypothesis_length, reference_length: tokens in all.
    """

    precisions: tuple[float, ...]
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int

    @property
    def score(self) -> float:
        """The score as a plain number."""
        return float(self)


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    tokenize: str | Callable[[str], Sequence[str]] = "13a",
    smoothing: str = "exp",
    lowercase: bool = False,
    max_order: int = 4,
) -> BLEU:
    """The BLEU of a corpus of translations.

    Args:
        hypotheses: the translations.
        references: for each of them one right translation, or several.
        tokenize: "13a" (words and punctuation of Western languages), "zh" (each Chinese character on its own), "none"
            (split at spaces), or a function from a text to its tokens.
        smoothing: what an order without a match counts, as its pₙ would be 0 and the score with it. "exp": half a
            match for the first such order, a quarter for the second, and so on; "floor": a tenth of a match; "add-k":
            one more match and one more n-gram for every order above 1; "none": nothing, and the score is 0.
        lowercase: compare without regard to capitals.
        max_order: the longest n-grams that are counted.

    With no match at all the score is 0. The same as sacreBLEU's `corpus_bleu`.

    Raises ValueError when there is nothing to compare with, when the counts differ, and for an unknown setting.
    """
    if smoothing not in SMOOTHINGS:
        raise ValueError(f"There is no smoothing {smoothing!r}: choose one of {', '.join(map(repr, SMOOTHINGS))}.")
    split = _tokenizer(tokenize)
    counts = Counts.none(max_order)
    for hypothesis, several in zip(hypotheses, check_references(hypotheses, references), strict=True):
        texts = [text.lower() if lowercase else text for text in (hypothesis, *several)]
        counts = counts + count_matches(split(texts[0]), [split(text) for text in texts[1:]], max_order)
    if counts.reference_length == 0:
        raise ValueError("Every reference is an empty text, so there is nothing to compare the translations with.")
    return score_of(counts, smoothing)


class Counts(NamedTuple):
    """What BLEU is made of: matches and n-grams for each order, and the lengths."""

    matches: tuple[int, ...]
    n_grams: tuple[int, ...]
    hypothesis_length: int
    reference_length: int

    @classmethod
    def none(cls, max_order: int) -> "Counts":
        """The counts of no text at all."""
        return cls((0,) * max_order, (0,) * max_order, 0, 0)

    def __add__(self, other: "Counts") -> "Counts":
        """The counts of both."""
        return Counts(
            tuple(map(sum, zip(self.matches, other.matches, strict=True))),
            tuple(map(sum, zip(self.n_grams, other.n_grams, strict=True))),
            self.hypothesis_length + other.hypothesis_length,
            self.reference_length + other.reference_length,
        )


def count_matches(hypothesis: Sequence[str], references: Sequence[Sequence[str]], max_order: int = 4) -> Counts:
    """The n-grams of one translation, and how many of them a reference has too.

    An n-gram matches at most as often as it stands in the reference that has most of it: "the the the" finds no third
    "the". The length to compare with is that of the reference nearest in length, the shorter one of two as near.
    """
    orders = range(1, max_order + 1)
    matches = []
    for n in orders:
        allowed: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            allowed |= n_grams(reference, n)
        matches.append((n_grams(hypothesis, n) & allowed).total())
    length = len(hypothesis)
    nearest = min((len(reference) for reference in references), key=lambda n: (abs(n - length), n))
    return Counts(tuple(matches), tuple(max(0, length - n + 1) for n in orders), length, nearest)


def n_grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of `n` tokens stands in a text."""
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def score_of(counts: Counts, smoothing: str) -> BLEU:
    """The score of the counts of a corpus."""
    precisions = smoothed_precisions(counts, smoothing) if any(counts.matches) else [0.0] * len(counts.matches)
    penalty = brevity_penalty(counts.hypothesis_length, counts.reference_length)
    mean = math.exp(sum(map(math.log, precisions)) / len(precisions)) if all(precisions) else 0.0
    score = BLEU(100 * penalty * mean)
    score.precisions = tuple(100 * precision for precision in precisions)
    score.brevity_penalty = penalty
    score.hypothesis_length, score.reference_length = counts.hypothesis_length, counts.reference_length
    return score


def smoothed_precisions(counts: Counts, smoothing: str) -> list[float]:
    """pₙ for each order. An order for which the translations are too short stays 0, whatever the smoothing."""
    precisions = []
    without_match = 0
    for n, (matches, total) in enumerate(zip(counts.matches, counts.n_grams, strict=True), start=1):
        credit = float(matches)
        if smoothing == "add-k" and n > 1:
            credit, total = credit + 1, total + 1
        elif matches == 0 and smoothing == "floor":
            credit = SMALLEST_COUNT
        elif matches == 0 and smoothing == "exp":
            without_match += 1
            credit = 0.5**without_match
        precisions.append(credit / total if total else 0.0)
    return precisions


def brevity_penalty(hypothesis_length: int, reference_length: int) -> float:
    """e^(1 - r/h) for translations shorter than their references, or else 1: precision alone would praise silence."""
    if hypothesis_length >= reference_length:
        return 1.0
    return math.exp(1 - reference_length / hypothesis_length) if hypothesis_length else 0.0


def check_references(hypotheses: Sequence[str], references: Sequence[str | Sequence[str]]) -> list[list[str]]:
    """The references of each text as a list; ValueError when some are missing."""
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise ValueError("Give lists of texts: for one translation and its reference, write [hypothesis], [reference].")
    if len(hypotheses) == 0:
        raise ValueError("There is nothing to score: the list of hypotheses is empty.")
    if len(references) != len(hypotheses):
        raise ValueError(
            f"There are {len(hypotheses)} hypotheses and {len(references)} references: each hypothesis needs its own, "
            "a text or a list of texts, in the same order."
        )
    several = [[reference] if isinstance(reference, str) else list(reference) for reference in references]
    for row, texts in enumerate(several):
        if not texts:
            raise ValueError(f"Hypothesis {row} has no reference: its list is empty. Leave it out, or give one.")
    return several


# Tokens

AROUND_MARKS = (
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),  # every mark but ' , - . stands alone
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # so do . and , unless both neighbours are digits
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),  # and a dash after a digit
)
ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31ef\u3200-\u4db5\u4e00-\u9fbb"
    "\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef])"
)
"""What sacreBLEU counts as Chinese: ideographs and their marks, and (by a slip that is now part of the score) all of
U+2001 … U+2A6D, which holds “, –, € and the arrows."""


def tokenize_13a(text: str) -> list[str]:
    """Words and marks of a Western language, as NIST's script mteval-v13a finds them."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, mark in ENTITIES:
        text = text.replace(entity, mark)
    return _split_marks(f" {text} ")


def tokenize_zh(text: str) -> list[str]:
    """Each Chinese character on its own, for Chinese writes no spaces; what is not Chinese, split at its marks."""
    return _split_marks(CHINESE.sub(r" \1 ", text.strip()))


def _split_marks(text: str) -> list[str]:
    for pattern, replacement in AROUND_MARKS:
        text = pattern.sub(replacement, text)
    return text.split()


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"13a": tokenize_13a, "zh": tokenize_zh, "none": str.split}


def _tokenizer(tokenize: str | Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    if callable(tokenize):
        return tokenize
    if tokenize not in TOKENIZERS:
        raise ValueError(f"There is no tokenisation {tokenize!r}: choose one of {', '.join(map(repr, TOKENIZERS))}.")
    return TOKENIZERS[tokenize]
