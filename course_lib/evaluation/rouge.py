"""ROUGE: how much of a reference's wording a summary has, and how much of the summary's the reference.

Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries": section 2 (n-grams), 3.1 and 3.2 (longest
common subsequence, of sentences and of summaries).
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from course_lib.evaluation.bleu import check_references, n_grams

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")

Tokens = Sequence[str]
Tokenize = Callable[[str], Tokens]


class Rouge(NamedTuple):
    """One kind of ROUGE, each number from 0 to 1.

    precision: the share of the summary that the reference has too; recall: the share of the reference that the summary
    has; f: their harmonic mean, 2 · precision · recall / (precision + recall).
    """

    precision: float
    recall: float
    f: float

    @classmethod
    def of(cls, hits: float, in_hypothesis: int, in_reference: int) -> "Rouge":
        """The three numbers for so many hits."""
        precision, recall = hits / max(in_hypothesis, 1), hits / max(in_reference, 1)
        both = precision + recall
        return cls(precision, recall, 2 * precision * recall / both if both else 0.0)


def words(text: str) -> list[str]:
    """Runs of the letters a … z and digits, in lower case: what ROUGE counts. It finds nothing in Chinese text."""
    return re.findall("[a-z0-9]+", text.lower())


def rouge(
    hypotheses: str | Sequence[str],
    references: str | Sequence[str | Sequence[str]],
    *,
    kinds: Sequence[str] = KINDS,
    tokenize: Tokenize = words,
) -> dict[str, Rouge]:
    """ROUGE of a summary, or the mean over several: "rouge1", "rouge2", "rougeL" and "rougeLsum".

    * "rouge1", "rouge2" … "rouge9" count n-grams that both have.
    * "rougeL" counts the longest common subsequence: words in the same order, with gaps allowed.
    * "rougeLsum" does so for each sentence of the reference, against all sentences of the summary together. Sentences
      are lines: put a newline between them.

    Args:
        hypotheses: a summary, or several.
        references: for each one right summary, or several, of which the one with the highest F counts.
        kinds: which to compute.
        tokenize: from a text to its tokens. Default `words`; for Chinese, `tokenize_zh` of course_lib.evaluation.

    The same as the package rouge-score without its stemmer. Raises ValueError for an unknown kind, and as `bleu` does
    where references are missing.
    """
    if isinstance(hypotheses, str) and isinstance(references, str):
        hypotheses, references = [hypotheses], [references]
    for kind in kinds:
        if not re.fullmatch("rouge([1-9]|L|Lsum)", kind):
            raise ValueError(f"There is no {kind!r}: choose among {', '.join(map(repr, KINDS))}.")
    pairs = list(zip(hypotheses, check_references(hypotheses, references), strict=True))
    return {
        kind: _mean([_best(kind, hypothesis, several, tokenize) for hypothesis, several in pairs]) for kind in kinds
    }


def _mean(scores: list[Rouge]) -> Rouge:
    return Rouge(*(sum(column) / len(scores) for column in zip(*scores, strict=True)))


def _best(kind: str, hypothesis: str, references: list[str], tokenize: Tokenize) -> Rouge:
    """The score with the reference that gives the highest F."""
    return max((_score(kind, hypothesis, reference, tokenize) for reference in references), key=lambda score: score.f)


def _score(kind: str, hypothesis: str, reference: str, tokenize: Tokenize) -> Rouge:
    if kind == "rougeLsum":
        return _of_summaries(_lines(hypothesis, tokenize), _lines(reference, tokenize))
    found, wanted = tokenize(hypothesis), tokenize(reference)
    if kind == "rougeL":
        return Rouge.of(len(common_subsequence(wanted, found)), len(found), len(wanted))
    n = int(kind.removeprefix("rouge"))
    both = n_grams(found, n) & n_grams(wanted, n)
    return Rouge.of(both.total(), max(0, len(found) - n + 1), max(0, len(wanted) - n + 1))


def _lines(text: str, tokenize: Tokenize) -> list[Tokens]:
    return [tokenize(line) for line in text.split("\n") if line]


def _of_summaries(found: list[Tokens], wanted: list[Tokens]) -> Rouge:
    """For each sentence of the reference, the words that it shares, in order, with any sentence of the summary.

    A word that stands once in the summary is counted once, even if two sentences of the reference have it.
    """
    left = Counter(itertools.chain.from_iterable(found)) & Counter(itertools.chain.from_iterable(wanted))
    hits = 0
    for sentence in wanted:
        shared = sorted({place for other in found for place in common_subsequence(sentence, other)})
        for place in shared:
            if left[sentence[place]] > 0:
                left[sentence[place]] -= 1
                hits += 1
    return Rouge.of(hits, sum(map(len, found)), sum(map(len, wanted)))


def common_subsequence(first: Tokens, second: Tokens) -> list[int]:
    """Where in `first` the tokens of a longest common subsequence of both stand.

    length[i][j], for the first i tokens of one text and j of the other, is one more than length[i-1][j-1] where the two
    last tokens are the same, and else the larger of length[i-1][j] and length[i][j-1]. The way back from the end reads
    off the subsequence; of two as long, the one that drops the last token of `first`.
    """
    length = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, token in enumerate(first, start=1):
        for j, other in enumerate(second, start=1):
            length[i][j] = length[i - 1][j - 1] + 1 if token == other else max(length[i - 1][j], length[i][j - 1])
    places = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif length[i][j - 1] > length[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places[::-1]
