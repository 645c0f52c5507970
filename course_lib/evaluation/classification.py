"""How well labels are told apart: accuracy, and precision, recall and F1 of each label and on average."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

AVERAGES = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class Score:
    """How well one label is found, or several on average.

    Attributes:
        precision: of what was called so, the share that is so.
        recall: of what is so, the share that was called so.
        f1: their harmonic mean, 2 · precision · recall / (precision + recall).
        support: how many there really are.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Counts:
    """What precision and recall are made of: found rightly, found wrongly (in all), and really there."""

    right: int
    found: int
    there: int

    def score(self) -> Score:
        """The scores; a share of nothing is 0, as scikit-learn and seqeval count it."""
        total = self.found + self.there
        return Score(
            precision=self.right / self.found if self.found else 0.0,
            recall=self.right / self.there if self.there else 0.0,
            f1=2 * self.right / total if total else 0.0,
            support=self.there,
        )


@dataclass(frozen=True)
class Report:
    """The scores of each label, and their averages.

    Attributes:
        scores: for each label.
        accuracy: the share of answers that are right; None where answers are not one to one (entities).
        micro: as if all labels were one; macro: each label counts the same; weighted: each counts as often as it is.
    """

    scores: dict[Hashable, Score]
    micro: Score
    macro: Score
    weighted: Score
    accuracy: float | None = None

    def __str__(self) -> str:
        rows = [(str(label), score) for label, score in self.scores.items()]
        rows += [(f"{name} average", getattr(self, name)) for name in AVERAGES]
        width = max(len(name) for name, _ in rows)
        lines = [f"{'':{width}}  precision  recall     F1  support"]
        lines += [
            f"{name:{width}}  {s.precision:9.3f}  {s.recall:6.3f}  {s.f1:5.3f}  {s.support:7}" for name, s in rows
        ]
        if self.accuracy is not None:
            lines.append(f"{'accuracy':{width}}  {self.accuracy:9.3f}")
        return "\n".join(lines)


def classification_report(
    truth: Sequence[Hashable], predicted: Sequence[Hashable], labels: Sequence[Hashable] | None = None
) -> Report:
    """Accuracy, and precision, recall and F1 of each label and on average.

    Args:
        truth, predicted: a label for each item.
        labels: the labels to report on, in this order. Default: all that occur, sorted. Averages are over these.

    Raises ValueError for lists of different lengths, for no items, and for a label outside `labels`.
    """
    _check_lengths(truth, predicted)
    occurring = sorted(set(truth) | set(predicted), key=lambda label: (str(type(label)), label))
    labels = occurring if labels is None else list(labels)
    outside = [label for label in occurring if label not in set(labels)]
    if outside:
        raise ValueError(f"The label {outside[0]!r} occurs, but the labels are {', '.join(map(repr, labels))}.")
    right = Counter(true for true, guess in zip(truth, predicted, strict=True) if true == guess)
    found, there = Counter(predicted), Counter(truth)
    counts = {label: Counts(right[label], found[label], there[label]) for label in labels}
    return report_of(counts, accuracy=right.total() / len(truth))


def report_of(counts: Mapping[Hashable, Counts], accuracy: float | None = None) -> Report:
    """The report that the counts of each label make; averages of nothing are 0."""
    scores = {label: count.score() for label, count in counts.items()}
    total = Counts(*(sum(getattr(count, part) for count in counts.values()) for part in ("right", "found", "there")))
    return Report(
        scores=scores,
        micro=total.score(),
        macro=_average(scores, dict.fromkeys(scores, 1)),
        weighted=_average(scores, {label: score.support for label, score in scores.items()}),
        accuracy=accuracy,
    )


def confusion_matrix(
    truth: Sequence[Hashable], predicted: Sequence[Hashable], labels: Sequence[Hashable]
) -> list[list[int]]:
    """For each true label a row: how often each label was predicted for it."""
    _check_lengths(truth, predicted)
    pairs = Counter(zip(truth, predicted, strict=True))
    return [[pairs[true, guess] for guess in labels] for true in labels]


def _average(scores: Mapping[Hashable, Score], weights: Mapping[Hashable, int]) -> Score:
    total = sum(weights.values())

    def mean(part: str) -> float:
        return sum(weights[label] * getattr(score, part) for label, score in scores.items()) / total if total else 0.0

    support = sum(score.support for score in scores.values())
    return Score(mean("precision"), mean("recall"), mean("f1"), support)


def _check_lengths(truth: Sequence, predicted: Sequence) -> None:
    if len(truth) != len(predicted):
        raise ValueError(f"There are {len(truth)} true labels and {len(predicted)} predictions: give one for each.")
    if not len(truth):
        raise ValueError("There is nothing to score: the lists are empty.")
