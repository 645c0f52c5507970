"""Lesson 14, fine-tune it: the exercises."""

import math
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_lib.evaluation import entities_of
from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.models.gpt import IGNORED

CLS, SEP = 2, 3
"""The ids of BERT's special tokens in these exercises, as WordPieceTokenizer numbers them."""
LABELS = ("glad", "sad", "calm")


def _labels(draw: Draw) -> tuple[list[str], list[str], str]:
    """True labels, guesses that are often right, and the label that is asked about: it occurs in both, and right."""
    count = draw.size(14)
    truth = ["glad", *(draw.choice(LABELS) for _ in range(count))]
    guessed = ["glad", *(draw.choice((true, true, "glad", "sad")) for true in truth[1:])]
    return truth, guessed, "glad"


def _counts(truth: Sequence, predicted: Sequence, label: str) -> tuple[int, int, int]:
    right = sum(true == guess == label for true, guess in zip(truth, predicted, strict=True))
    return right, list(predicted).count(label), list(truth).count(label)


def _scores(truth: Sequence, predicted: Sequence, label: str, f1: Callable | None = None) -> tuple:
    right, found, there = _counts(truth, predicted, label)
    precision, recall = right / found, right / there
    return precision, recall, f1(precision, recall) if f1 else 2 * precision * recall / (precision + recall)


def _accuracy(truth: Sequence, predicted: Sequence) -> float:
    return sum(true == guess for true, guess in zip(truth, predicted, strict=True)) / len(truth)


def _yes_or_no(truth: Sequence, predicted: Sequence, label: str) -> float:
    return _accuracy([true == label for true in truth], [guess == label for guess in predicted])


def _all_right(truth: Sequence, predicted: Sequence, label: str) -> tuple:
    right = sum(true == guess for true, guess in zip(truth, predicted, strict=True))
    _, found, there = _counts(truth, predicted, label)
    return right / found, right / there, 2 * right / (found + there)


def _of_everything(truth: Sequence, predicted: Sequence, label: str) -> tuple:
    share = _counts(truth, predicted, label)[0] / len(truth)
    return share, share, share


SCORES = Exercise(
    id="14.1",
    title="Precision, recall, F1",
    inputs=_labels,
    solution=_scores,
    solution_code="""\
def scores(truth, predicted, label):
    right = sum(true == guess == label for true, guess in zip(truth, predicted))
    precision = right / predicted.count(label)
    recall = right / truth.count(label)
    return precision, recall, 2 * precision * recall / (precision + recall)
""",
    also_right=[
        lambda truth, predicted, label: _scores(truth, predicted, label, lambda p, r: 2 / (1 / p + 1 / r)),
    ],
    misconceptions=[
        Misconception(
            lambda t, p, label: (*_scores(t, p, label)[1::-1], _scores(t, p, label)[2]),
            "Precision and recall are swapped. Precision divides by how often the label was *given*, recall by how "
            "often it is *true*. F1 does not notice: it treats both alike.",
        ),
        Misconception(
            lambda t, p, label: (_accuracy(t, p),) * 3,
            "That is the accuracy, three times: it counts right answers of all labels, and says nothing about this "
            "one.",
        ),
        Misconception(
            lambda t, p, label: (_yes_or_no(t, p, label),) * 3,
            "You counted it as right when neither is the label. Those are the easy ones: with a rare label, never "
            "giving it would score nearly 1.",
        ),
        Misconception(
            _all_right,
            "You counted right answers of *every* label, and divided by the counts of one. Such a share can pass 1.",
        ),
        Misconception(
            _of_everything,
            "You divided by the number of all texts. Precision is a share of the texts that were *called* so, recall a "
            "share of those that *are* so.",
        ),
        Misconception(
            lambda t, p, label: _scores(t, p, label, lambda a, b: (a + b) / 2),
            "F1 is the *harmonic* mean. With the arithmetic one, calling everything by this label (recall 1) would "
            "score at least one half.",
        ),
        Misconception(
            lambda t, p, label: _scores(t, p, label, lambda a, b: a * b / (a + b)),
            "The 2 is missing in F1: with precision and recall both 1 you would answer 0.5.",
        ),
        Misconception(
            lambda t, p, label: _scores(t, p, label, lambda a, b: math.sqrt(a * b)),
            "That is the geometric mean. F1 is the harmonic one, 2 · p · r / (p + r), which lies nearer to the smaller "
            "of the two.",
        ),
    ],
    hints=(
        "Which three counts do you need: of texts that are what at once?",
        "Of what is precision a share, and of what recall?",
        "right = both are the label; precision = right / predicted.count(label), recall = right / truth.count(label).",
    ),
    why="Precision asks of what was called so, recall of what is so. F1, their harmonic mean, is high only when both "
    "are; it equals 2 · right / (called so + is so).",
    starter="""\
def scores(truth, predicted, label):    # two lists of labels, and the label that is asked about
    ...                                 # → precision, recall, F1 (the label occurs in both lists)
""",
    see="What accuracy does not say",
)


def _two_systems(draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    items = draw.size(30)
    right_a = draw.uniform(items) < 0.8
    right_b = (right_a & (draw.uniform(items) < 0.8)) | (draw.uniform(items) < 0.2)
    return right_a, right_b, draw.integers(0, items, draw.size(90), items)


def _quantiles(values: Tensor, low: float = 0.025, high: float = 0.975) -> tuple[float, float]:
    return torch.quantile(values, low).item(), torch.quantile(values, high).item()


def _differences(a: Tensor, b: Tensor, drawn: Tensor, dim: int = 1) -> Tensor:
    return (a.float() - b.float())[drawn].mean(dim=dim)


def _spread_around(a: Tensor, b: Tensor, drawn: Tensor) -> tuple[float, float]:
    found = _differences(a, b, drawn)
    return (found.mean() - 1.96 * found.std()).item(), (found.mean() + 1.96 * found.std()).item()


def _two_intervals(a: Tensor, b: Tensor, drawn: Tensor) -> tuple[float, float]:
    (low_a, high_a), (low_b, high_b) = (_quantiles(right.float()[drawn].mean(dim=1)) for right in (a, b))
    return low_a - high_b, high_a - low_b


DIFFERENCE = Exercise(
    id="14.2",
    title="Is A better than B?",
    inputs=_two_systems,
    solution=lambda a, b, drawn: _quantiles(_differences(a, b, drawn)),
    solution_code="""\
def difference(right_a, right_b, drawn):
    differences = right_a.float() - right_b.float()
    means = differences[drawn].mean(dim=1)
    return torch.quantile(means, 0.025).item(), torch.quantile(means, 0.975).item()
""",
    also_right=[
        lambda a, b, drawn: _quantiles(a.float()[drawn].mean(dim=1) - b.float()[drawn].mean(dim=1)),
    ],
    tolerance=1e-4,
    misconceptions=[
        Misconception(
            lambda a, b, drawn: _quantiles(_differences(b, a, drawn)),
            "The sign: you took B minus A. Asked is by how much A is better.",
        ),
        Misconception(
            _two_intervals,
            "You made an interval for each and compared their ends. Both answered the *same* items: a hard one pulls "
            "both down at once. Take the difference within each sample, then its quantiles: the interval is narrower.",
        ),
        Misconception(
            lambda a, b, drawn: _quantiles(a.float()[drawn].mean(dim=1) - b.float()[drawn.roll(1, 0)].mean(dim=1)),
            "A and B were scored on different draws. The comparison is *paired*: the same items for both, sample by "
            "sample.",
        ),
        Misconception(
            lambda a, b, drawn: _quantiles(_differences(a, b, drawn, dim=0)),
            "You averaged over the samples, dim 0, and kept the items. A row of `drawn` is one sample: average along "
            "it, dim 1.",
        ),
        Misconception(
            lambda a, b, drawn: _quantiles(_differences(a, b, drawn), 0.05, 0.95),
            "5 % cut off on each side leave 90 %. For 95 %, cut off 2.5 % on each side.",
        ),
        Misconception(
            lambda a, b, drawn: _quantiles(_differences(a, b, drawn), 0.0, 1.0),
            "Those are the smallest and the largest difference. They move apart the more samples you draw; take the "
            "quantiles 0.025 and 0.975.",
        ),
        Misconception(
            _spread_around,
            "Mean ± 1.96 standard deviations supposes that the differences have a normal distribution. Often close; "
            "asked are the quantiles themselves, which suppose no shape.",
        ),
        Misconception(
            lambda a, b, drawn: ((a.float() - b.float()).mean().item(),) * 2,
            "That is the difference on the items as they are, twice. The interval comes from the samples in `drawn`.",
        ),
    ],
    hints=(
        "For one sample, a row of `drawn`: by how much is A better on those items?",
        "How do you get this for all samples at once, when an index may be a matrix?",
        "differences[drawn] has shape (samples, items): mean along dim 1, then the quantiles 0.025 and 0.975.",
    ),
    why="The same items are drawn for both, so what makes an item hard for both cancels in the difference. An interval "
    "that leaves out 0 says that other test items would hardly turn the order round. About other trainings it says "
    "nothing.",
    starter="""\
def difference(right_a, right_b, drawn):
    # (items,) twice: whether A, and B, is right; (samples, items): which items each sample draws
    ...                                 # → low, high: the middle 95 % of accuracy of A - accuracy of B
""",
    see="How sure is a score?",
)


def _pieces(draw: Draw) -> tuple[list[list[int]], list[int]]:
    """Words of one to three pieces; tags 1, 3 begin an entity, 2, 4 go on, 0 is outside."""
    words, tags = [], []
    for number in range(draw.size(6)):
        words.append([draw.integers(5, 60) for _ in range(1 + (number + draw.integers(0, 2)) % 3)])
        tags.append(draw.choice((0, 1, 3) if not tags or tags[-1] == 0 else (0, 1, 2 * ((tags[-1] + 1) // 2))))
    return words, tags


def _aligned(
    words: list[list[int]], tags: list[int], of_word: Callable[[int, list[int]], list[int]], special: int = IGNORED
) -> tuple[list[int], list[int]]:
    ids = [CLS, *(piece for word in words for piece in word), SEP]
    targets = [target for tag, word in zip(tags, words, strict=True) for target in of_word(tag, word)]
    return ids, [special, *targets, special]


def _first_piece(tag: int, word: list[int]) -> list[int]:
    return [tag] + [IGNORED] * (len(word) - 1)


def _align(words: list[list[int]], tags: list[int]) -> tuple[list[int], list[int]]:
    return _aligned(words, tags, _first_piece)


def _without(words: list[list[int]], tags: list[int], cut: slice, more: int = 0) -> tuple[list[int], list[int]]:
    ids, targets = _align(words, tags)
    return ids, targets[cut] + [IGNORED] * more


def _one_after_the_other(words: list[list[int]], tags: list[int]) -> tuple[list[int], list[int]]:
    ids, _ = _align(words, tags)
    return ids, [IGNORED, *tags] + [IGNORED] * (len(ids) - 1 - len(tags))


ALIGN = Exercise(
    id="14.3",
    title="Tags for pieces",
    inputs=_pieces,
    solution=_align,
    solution_code="""\
def align(words, tags):
    ids, targets = [2], [-100]
    for pieces, tag in zip(words, tags):
        ids += pieces
        targets += [tag] + [-100] * (len(pieces) - 1)
    return ids + [3], targets + [-100]
""",
    also_right=[
        lambda words, tags: (
            [CLS, *(piece for word in words for piece in word), SEP],
            [IGNORED]
            + [tags[i] if j == 0 else IGNORED for i, word in enumerate(words) for j in range(len(word))]
            + [IGNORED],
        ),
    ],
    misconceptions=[
        Misconception(
            lambda words, tags: _aligned(words, tags, lambda tag, word: [tag] * len(word)),
            "Every piece of a word carries its tag. Then a long name counts several times in the loss, and a B- tag on "
            "its second piece says that a new entity begins inside the word.",
        ),
        Misconception(
            lambda words, tags: _aligned(words, tags, lambda tag, word: [tag] + [tag + tag % 2] * (len(word) - 1)),
            "Later pieces got the I- tag that belongs to their word's tag. That is another custom, and it works too; "
            "here the first piece alone answers for the word, the others are −100.",
        ),
        Misconception(
            lambda words, tags: _aligned(words, tags, lambda tag, word: [tag] + [0] * (len(word) - 1)),
            "Later pieces got 0, which is the tag O. The model would be taught that a name's second half is no name: "
            "use −100, which the loss leaves out.",
        ),
        Misconception(
            lambda words, tags: _aligned(words, tags, _first_piece, special=0),
            "[CLS] and [SEP] got 0, the tag O. They are no words: −100, or the model is praised for two easy answers "
            "in each sentence.",
        ),
        Misconception(
            lambda words, tags: _aligned(words, tags, lambda tag, word: [IGNORED] * (len(word) - 1) + [tag]),
            "The *last* piece carries the tag. With two-way attention that could be learned as well, but whoever reads "
            "the answers looks at the first piece, and there nothing was taught.",
        ),
        Misconception(
            lambda words, tags: _without(words, tags, slice(1, -1)),
            "The targets are two short: [CLS] and [SEP] need one each, −100. As it is, every tag stands one place too "
            "early.",
        ),
        Misconception(
            lambda words, tags: _without(words, tags, slice(1, None), more=1),
            "Every tag stands one place too early: [CLS] has no −100, and two stand at the end. The lengths agree, so "
            "nothing complains; the model learns to tag the word *before*.",
        ),
        Misconception(
            _one_after_the_other,
            "Tags were put down one after the other, whatever the words' lengths. From the first word of two pieces on "
            "they stand at the wrong places.",
        ),
    ],
    hints=(
        "How many targets does a word of three pieces need, and how many of them are real?",
        "What stands in the targets at [CLS] and at [SEP]?",
        "For each word: targets += [tag] + [-100] * (len(pieces) - 1); in front and behind one −100.",
    ),
    why="Ids and targets must have one length and one order. The loss leaves out −100, so each word is asked for once, "
    "at its first piece, and there the answer will be read.",
    starter="""\
def align(words, tags):                 # for each word: a list with the ids of its pieces, and a tag's number
    ...                                 # → ids, targets: lists of one length; [CLS] is 2, [SEP] is 3
""",
    see="One word, several pieces",
)

KINDS = ("person", "place", "object")


def _spelt(pieces: Sequence[tuple[str, int]]) -> list[str]:
    """Tags of stretches, each with a kind ("O" for none) and a length."""
    return [
        "O" if kind == "O" else f"{'I' if place else 'B'}-{kind}" for kind, length in pieces for place in range(length)
    ]


def _changed(draw: Draw, kind: str, length: int) -> list[tuple[str, int]]:
    """A stretch as somebody might tag it: mostly right; another kind, nothing, or without its last or first word."""
    how = draw.choice(("right", "right", "right", "kind", "nothing", "cut", "late"))
    if how == "right" or (kind == "O" and how != "kind"):
        return [(kind, length)]
    if how in ("cut", "late") and length > 1:
        return [(kind, length - 1), ("O", 1)] if how == "cut" else [("O", 1), (kind, length - 1)]
    return [(draw.choice(KINDS) if how == "kind" else "O", length)]


def _tagged(draw: Draw) -> tuple[list[list[str]], list[list[str]]]:
    truth, predicted = [], []
    for _ in range(draw.size(4)):
        stretches = [(draw.choice((*KINDS, "O")), draw.choice((1, 2, 3))) for _ in range(5)]
        truth.append(_spelt(stretches))
        predicted.append(_spelt([part for stretch in stretches for part in _changed(draw, *stretch)]))
    truth.append(["B-person", "O", "B-object", "I-object", "B-place", "I-place"])
    predicted.append(["B-person", "O", "B-object", "O", "O", "B-place"])
    return truth, predicted


def _f1(right: float, found: float, there: float) -> float:
    return 2 * right / (found + there)


def _span_counts(truth: list, predicted: list, key: Callable = lambda entity: entity) -> tuple[int, int, int]:
    right = found = there = 0
    for true, guess in zip(truth, predicted, strict=True):
        one, other = ({key(entity) for entity in entities_of(tags)} for tags in (true, guess))
        right, found, there = right + len(one & other), found + len(other), there + len(one)
    return right, found, there


def _words_f1(truth: list, predicted: list) -> float:
    pairs = [pair for true, guess in zip(truth, predicted, strict=True) for pair in zip(true, guess, strict=True)]
    right = sum(true == guess != "O" for true, guess in pairs)
    return _f1(right, sum(guess != "O" for _, guess in pairs), sum(true != "O" for true, _ in pairs))


def _words_accuracy(truth: list, predicted: list) -> float:
    return _accuracy([tag for tags in truth for tag in tags], [tag for tags in predicted for tag in tags])


def _mean_of_sentences(truth: list, predicted: list) -> float:
    counts = [_span_counts([true], [guess]) for true, guess in zip(truth, predicted, strict=True)]
    scores = [_f1(*count) for count in counts if count[1] + count[2]]
    return sum(scores) / len(scores)


def _thrown_together(truth: list, predicted: list) -> float:
    there, found = ({entity for tags in side for entity in entities_of(tags)} for side in (truth, predicted))
    return _f1(len(there & found), len(found), len(there))


def _overlapping(truth: list, predicted: list) -> float:
    right = found = there = 0
    for true, guess in zip(truth, predicted, strict=True):
        one, other = entities_of(true), entities_of(guess)
        right += sum(any(a.kind == b.kind and a.start < b.stop and b.start < a.stop for b in one) for a in other)
        found, there = found + len(other), there + len(one)
    return _f1(right, found, there)


SPAN_F1 = Exercise(
    id="14.4",
    title="Whole entities or none",
    inputs=_tagged,
    solution=lambda truth, predicted: _f1(*_span_counts(truth, predicted)),
    solution_code="""\
def span_f1(truth, predicted):
    right = found = there = 0
    for true, guess in zip(truth, predicted):
        true, guess = set(entities_of(true)), set(entities_of(guess))
        right += len(true & guess)
        found += len(guess)
        there += len(true)
    return 2 * right / (found + there)
""",
    also_right=[
        lambda truth, predicted: _f1(
            *(
                len(part)
                for part in (
                    {(n, e) for n, tags in enumerate(truth) for e in entities_of(tags)}
                    & {(n, e) for n, tags in enumerate(predicted) for e in entities_of(tags)},
                    {(n, e) for n, tags in enumerate(predicted) for e in entities_of(tags)},
                    {(n, e) for n, tags in enumerate(truth) for e in entities_of(tags)},
                )
            )
        )
    ],
    misconceptions=[
        Misconception(
            _words_accuracy,
            "That is the share of words with the right tag. Most words are O, so a model that finds nothing scores "
            "well. Count entities.",
        ),
        Misconception(
            _words_f1,
            "You scored tag by tag. Then half a name is half right. An entity counts whole: same kind, same beginning, "
            "same end.",
        ),
        Misconception(
            lambda truth, predicted: _f1(*_span_counts(truth, predicted, lambda entity: entity[1:])),
            "You compared where entities stand and not their kind: a place taken for a person would count as right.",
        ),
        Misconception(
            lambda truth, predicted: _f1(*_span_counts(truth, predicted, lambda entity: entity[:2])),
            "You compared kind and beginning. The end has to agree too: *toy* is not *toy train*.",
        ),
        Misconception(
            _overlapping,
            "You took an entity as found when it overlaps a true one. In this score it must be the same, end to end.",
        ),
        Misconception(
            _thrown_together,
            "The entities of all sentences went into one set, so that (person, 0, 1) of the first sentence and of the "
            "second are one. Count sentence by sentence and add up.",
        ),
        Misconception(
            _mean_of_sentences,
            "You averaged an F1 for each sentence. Then a sentence with one entity weighs as much as one with five. "
            "Add the counts first, divide once.",
        ),
        Misconception(
            lambda truth, predicted: (lambda r, f, t: r / f)(*_span_counts(truth, predicted)),
            "That is the precision: of the entities found, the share that is right. F1 = 2 · right / (found + there).",
        ),
        Misconception(
            lambda truth, predicted: (lambda r, f, t: r / t)(*_span_counts(truth, predicted)),
            "That is the recall: of the entities there, the share that was found. F1 = 2 · right / (found + there).",
        ),
    ],
    hints=(
        "When is an entity found? What has to agree?",
        "Which three counts add up over the sentences?",
        "With sets of `entities_of(tags)` for each sentence: right = both, found = predicted, there = true.",
    ),
    why="Someone who uses the tags wants the whole name. Counts are added over all sentences before anything is "
    "divided (the micro average), as seqeval and the CoNLL script do.",
    starter="""\
def span_f1(truth, predicted):          # for each sentence the tags of its words; entities_of(tags) lists
    ...                                 # its entities as (kind, start, stop) → F1 of whole entities
""",
    see="Whole entities",
)


def _span_scores(draw: Draw) -> tuple[Tensor, Tensor, int, float]:
    """Scores whose best end stands before the best start, and whose level says nothing."""
    time, first = draw.size(11), draw.size(4)
    start, end = 1.5 * draw.normal(time), 1.5 * draw.normal(time)
    start[1] += 2.0  # a token of the question
    start[0] += draw.choice((0.0, 5.0))
    end[0] += draw.choice((0.0, 5.0))
    early, late = (first + torch.arange(time - first).float().quantile(q).long() for q in (0.3, 0.8))
    end[early] += 3.0
    start[late] += 3.0
    end[late] += draw.choice((0.0, 3.0))
    return start + draw.choice((-12.0, 12.0)), end, first, draw.choice((-1.5, 0.5, 2.0))


def _span(
    start: Tensor,
    end: Tensor,
    first: int,
    threshold: float,
    *,
    inside: int | None = None,
    shortest: int = 0,
    nothing: float | None = None,
    sure: float | None = None,
    combine: Callable = torch.add,
) -> tuple[int, int]:
    inside = first if inside is None else inside
    best, where = -math.inf, (0, 0)
    for i in range(inside, len(start)):
        for j in range(i + shortest, len(start)):
            if combine(start[i], end[j]).item() > best:
                best, where = combine(start[i], end[j]).item(), (i, j)
    nothing = combine(start[0], end[0]).item() if nothing is None else nothing
    return where if best - nothing > (threshold if sure is None else sure) else (0, 0)


def _two_peaks(start: Tensor, end: Tensor, first: int, threshold: float, tidy: Callable) -> tuple[int, int]:
    i, j = first + int(start[first:].argmax()), first + int(end[first:].argmax())
    i, j = tidy(i, j)
    return (i, j) if (start[i] + end[j] - start[0] - end[0]).item() > threshold else (0, 0)


def _end_after_start(start: Tensor, end: Tensor, first: int, threshold: float) -> tuple[int, int]:
    i = first + int(start[first:].argmax())
    j = i + int(end[i:].argmax())
    return (i, j) if (start[i] + end[j] - start[0] - end[0]).item() > threshold else (0, 0)


def _within_text(start: Tensor, end: Tensor, first: int, threshold: float) -> tuple[int, int]:
    i, j = _span(start, end, first, threshold)
    return (i - first, j - first) if j else (0, 0)


def _best_of_matrix(start: Tensor, end: Tensor, first: int, threshold: float) -> tuple[int, int]:
    time = len(start)
    legal = torch.ones(time, time, dtype=torch.bool).triu()
    legal[:first] = False
    scores = (start[:, None] + end).masked_fill(~legal, -torch.inf)
    i, j = divmod(int(scores.argmax()), time)
    return (i, j) if (scores[i, j] - start[0] - end[0]).item() > threshold else (0, 0)


BEST_SPAN = Exercise(
    id="14.5",
    title="The best legal stretch, or none",
    inputs=_span_scores,
    draws=16,
    solution=_best_of_matrix,
    solution_code="""\
def best_span(start, end, first, threshold):
    time = len(start)
    scores = start[:, None] + end
    legal = torch.ones(time, time, dtype=torch.bool).triu()
    legal[:first] = False
    scores = scores.masked_fill(~legal, float("-inf"))
    i, j = divmod(int(scores.argmax()), time)
    if scores[i, j] - (start[0] + end[0]) > threshold:
        return i, j
    return 0, 0
""",
    also_right=[_span],
    misconceptions=[
        Misconception(
            lambda s, e, first, t: _two_peaks(s, e, first, t, lambda i, j: (i, j)),
            "The best start and the best end, each for itself. Nothing keeps the end from standing before the start: "
            "search over *pairs* with i ≤ j.",
        ),
        Misconception(
            lambda s, e, first, t: _two_peaks(s, e, first, t, lambda i, j: (min(i, j), max(i, j))),
            "Where the best end stands before the best start you swapped the two. The scores then belong to other "
            "roles: a good start need not be a good end. Search over pairs with i ≤ j.",
        ),
        Misconception(
            _end_after_start,
            "You fixed the best start and then took the best end after it. A start that is a little worse may have a "
            "much better end: compare the sums of all pairs.",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, inside=1),
            "Your stretch may lie in the question. Only tokens from `first` on belong to the text.",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, nothing=-math.inf),
            "You always answer. Compare the best stretch with no answer, start[0] + end[0].",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, sure=-t),
            "The sign of the threshold: an answer has to beat no answer *by more than* it. A higher threshold gives "
            "fewer answers.",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, nothing=0.0),
            "You compared the score itself with the threshold. Scores have no zero of their own: subtract that of no "
            "answer, start[0] + end[0].",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, nothing=s[0].item()),
            "No answer has two scores as well, a start and an end at [CLS]: start[0] + end[0].",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, shortest=1),
            "Answers of a single token are missing: i = j is legal.",
        ),
        Misconception(
            _within_text,
            "You count places from the beginning of the text. Asked are places in the row, where [CLS] is 0.",
        ),
        Misconception(
            lambda s, e, first, t: _span(s, e, first, t, combine=torch.mul),
            "You multiplied the scores. They are log-probabilities up to a constant, so they add; the product of two "
            "negative scores would be positive.",
        ),
    ],
    hints=(
        "Which pairs (i, j) are legal? Two conditions.",
        "How do you score all pairs at once, and what do you put where a pair is illegal?",
        "start[:, None] + end, −∞ below the diagonal and in rows before `first`; then compare with start[0] + end[0].",
    ),
    why="Two heads that know nothing of each other give two scores; legality is put in by the search. No answer is a "
    "stretch too, [CLS] to [CLS], and the threshold says how much better than it an answer has to be.",
    starter="""\
def best_span(start, end, first, threshold):
    # (time,) twice: scores; the text runs from place `first` to the end of the row, [CLS] is place 0
    ...                                 # → i, j: first and last place of the answer, or 0, 0 for no answer
""",
    see="The best legal stretch",
)

PARAMETERS = (
    "bert.token_embedding.weight",
    "bert.embedding_norm.gain",
    "bert.blocks.0.attention.query.weight",
    "bert.blocks.1.feed_forward.up.bias",
    "bert.blocks.10.attention.value.weight",
    "bert.blocks.11.feed_forward.down.weight",
    "bert.pooler.weight",
    "classifier.weight",
)


def _names_and_rates(draw: Draw) -> tuple[list[str], int, float, float]:
    order = draw.permutation(len(PARAMETERS)).tolist()
    return [PARAMETERS[i] for i in order], 12, draw.choice((1e-3, 5e-5)), draw.choice((0.5, 0.8, 0.9))


def _block_of(name: str) -> int | None:
    found = re.search(r"blocks\.(\d+)\.", name)
    return int(found[1]) if found else None


def _by_depth(
    block: Callable[[int, int], int], embedding: Callable[[int], int], rest: Callable[[int], int] = lambda n: 0
) -> Callable:
    """Rates peak · decay^steps, where the three functions say how many steps a parameter is below the head."""

    def rates(names: list[str], n_layers: int, peak: float, decay: float) -> list[float]:
        found = []
        for name in names:
            number = _block_of(name)
            steps = (
                block(number, n_layers)
                if number is not None
                else embedding(n_layers)
                if "embed" in name
                else rest(n_layers)
            )
            found.append(peak * decay**steps)
        return found

    return rates


def _first_digit(names: list[str], n_layers: int, peak: float, decay: float) -> list[float]:
    return _RATES([re.sub(r"blocks\.(\d)\d*", r"blocks.\1", name) for name in names], n_layers, peak, decay)


def _pooler_below(names: list[str], n_layers: int, peak: float, decay: float) -> list[float]:
    return _RATES([name.replace("pooler", "embedding") for name in names], n_layers, peak, decay)


def _times(names: list[str], n_layers: int, peak: float, decay: float) -> list[float]:
    steps = [round(math.log(rate / peak) / math.log(decay)) for rate in _RATES(names, n_layers, peak, decay)]
    return [peak * decay * step if step else peak for step in steps]


_RATES = _by_depth(lambda b, n: n - b, lambda n: n + 1)

RATES = Exercise(
    id="14.6",
    title="A rate for each layer",
    inputs=_names_and_rates,
    solution=_RATES,
    solution_code="""\
def rates(names, n_layers, peak, decay):
    found = []
    for name in names:
        block = re.search(r"blocks\\.(\\d+)\\.", name)
        if block:
            steps = n_layers - int(block[1])
        else:
            steps = n_layers + 1 if "embedding" in name else 0
        found.append(peak * decay**steps)
    return found
""",
    also_right=[
        lambda names, n, peak, decay: [
            peak
            * decay
            ** (
                n - int(name.split("blocks.")[1].split(".")[0])
                if "blocks." in name
                else (n + 1) * name.startswith(("bert.token_", "bert.embedding_", "bert.pos", "bert.seg"))
            )
            for name in names
        ],
    ],
    misconceptions=[
        Misconception(
            _by_depth(lambda b, n: n - 1 - b, lambda n: n),
            "The top block has the head's full rate. Each step down costs one factor, and the first step is from the "
            "head to block 11: peak · decay.",
        ),
        Misconception(
            _by_depth(lambda b, n: b + 1, lambda n: 0, lambda n: n + 1),
            "Upside down: the embeddings have the highest rate and the head the lowest. The head is new and has all to "
            "learn; the lowest layers know most that carries over.",
        ),
        Misconception(
            _by_depth(lambda b, n: n - b, lambda n: n),
            "The embeddings have the rate of block 0. They lie one step further down: decay to the power n_layers + 1.",
        ),
        Misconception(
            _by_depth(lambda b, n: n - b, lambda n: 0),
            "The embeddings move at the full rate. They are the lowest layer of all.",
        ),
        Misconception(
            _pooler_below,
            "The pooler got the lowest rate. Its name begins with `bert.`, but it stands on the blocks, and what "
            "stands there has the full rate.",
        ),
        Misconception(
            _by_depth(lambda b, n: 1, lambda n: 1),
            "The whole encoder has one rate, peak · decay. That is two rates; asked is one more factor for each layer "
            "down.",
        ),
        Misconception(
            _first_digit,
            "You read one digit of the block's number, so that blocks 10 and 11 are taken for block 1.",
        ),
        Misconception(
            _times,
            "You multiplied by decay · steps. Each step down multiplies once more: decay ** steps.",
        ),
    ],
    hints=(
        "How many steps below the head is block 11 of 12? And block 0? And the embeddings?",
        "How do you read the number of the block out of a name, when it may have two digits?",
        'Blocks: peak · decay ** (n_layers − number); names with "embedding": n_layers + 1 steps; the rest: none.',
    ),
    why="Howard and Ruder's discriminative fine-tuning: low layers hold what is general and should hardly move, the "
    "head is new and has to. With decay 0.8 and twelve blocks the embeddings move at a twentieth of the peak.",
    starter="""\
def rates(names, n_layers, peak, decay):        # names of parameters, as model.named_parameters() has them
    ...                                         # → a list of rates, one for each name
""",
    see="Rates by layer",
)


class MyLoRA(nn.Module):
    """The solution of 14.7."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        """W x + b + scale · B A x."""
        return self.linear(x) + self.scale * (x @ self.down.T @ self.up.T)


def _lora(forward: Callable | None = None, after: Callable | None = None) -> type:
    """MyLoRA with another `forward`, or with something done after it is made."""
    members: dict = {"forward": forward} if forward else {}
    if after is not None:

        def __init__(self, linear, rank, alpha):
            MyLoRA.__init__(self, linear, rank, alpha)
            after(self, rank, alpha)

        members["__init__"] = __init__
    return type("MyLoRA", (MyLoRA,), members)


def _set_scale(scale: Callable[[float, float], float]) -> type:
    return _lora(after=lambda self, rank, alpha: setattr(self, "scale", scale(rank, alpha)))


class _Merged(MyLoRA):
    """Right as well: one weight matrix made of both."""

    def forward(self, x):
        weight = self.linear.weight + self.scale * self.up @ self.down
        return nn.functional.linear(x, weight, self.linear.bias)


def _try_lora(cls: type, draw: Draw) -> Callable:
    """What is looked at: the start, whether anything can learn, how many numbers, and the answer once learned."""
    linear = draw.fill(nn.Linear(7, 5))
    module = cls(linear, 2, 6.0)

    def tried(x: Tensor) -> tuple[bool, bool, int, Tensor]:
        answer = module(x)
        same = bool(torch.allclose(answer, linear(x), atol=1e-6))
        answer.square().sum().backward()
        added = [parameter for name, parameter in module.named_parameters() if not name.startswith("linear.")]
        learns = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in added)
        count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
        return same, learns, count, draw.fill(module)(x)

    return tried


LORA = Exercise(
    id="14.7",
    title="A LoRA layer (stretch)",
    inputs=lambda draw: (draw.normal(3, 7),),
    build=_try_lora,
    solution=MyLoRA,
    solution_code="""\
class MyLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.down.T @ self.up.T)
""",
    also_right=[_Merged],
    misconceptions=[
        Misconception(
            _lora(after=lambda self, rank, alpha: self.linear.requires_grad_(True)),
            "The old matrix still learns: 64 numbers for 24. Freeze it with `linear.requires_grad_(False)`; that is "
            "where the saving comes from.",
        ),
        Misconception(
            _lora(after=lambda self, rank, alpha: nn.init.normal_(self.up)),
            "Before any learning your layer answers something else than the old one: both factors are random. One of "
            "them, `up`, begins at zero, so that the pre-trained model is where you start from.",
        ),
        Misconception(
            _lora(after=lambda self, rank, alpha: nn.init.zeros_(self.down)),
            "Both factors begin at zero. The gradient of each is a multiple of the other, so both stay zero for ever. "
            "`down` begins random, `up` at zero.",
        ),
        Misconception(
            _set_scale(lambda rank, alpha: 1.0),
            "alpha is not used: what is added has to be multiplied by alpha / rank.",
        ),
        Misconception(
            _set_scale(lambda rank, alpha: alpha),
            "You multiplied by alpha. It is alpha / rank: then another rank hardly needs another learning rate.",
        ),
        Misconception(
            _set_scale(lambda rank, alpha: rank / alpha),
            "The scale is upside down: alpha / rank, here 6 / 2 = 3.",
        ),
        Misconception(
            _set_scale(lambda rank, alpha: alpha / rank**0.5),
            "You divided by √rank. There is a later paper that does (Kalajdzievski 2023); LoRA itself divides by the "
            "rank.",
        ),
        Misconception(
            _lora(lambda self, x: self.linear(x) + self.scale * (torch.relu(x @ self.down.T) @ self.up.T)),
            "There is a non-linearity between the two factors. Then B A is no matrix any more, and cannot be added to "
            "W when learning is done.",
        ),
        Misconception(
            _lora(lambda self, x: self.scale * (self.linear(x) + x @ self.down.T @ self.up.T)),
            "You scaled the old answer too. Only what is added is multiplied by alpha / rank.",
        ),
        Misconception(
            _lora(lambda self, x: x @ self.linear.weight.T + self.scale * (x @ self.down.T @ self.up.T)),
            "The old map's bias is lost: call `self.linear(x)`.",
        ),
    ],
    hints=(
        "What must the layer answer before it has learned anything?",
        "Which of the two factors may be zero at first, and why not both?",
        "linear(x) + alpha / rank · (x @ down.T @ up.T), with `linear` frozen, `down` random and `up` zero.",
    ),
    why="rank · (in + out) numbers learn in place of in · out. Since the layer is linear, B A can be added to W "
    "afterwards, and the adapted model is as fast as the old one.",
    starter="""\
class MyLoRA(nn.Module):
    def __init__(self, linear, rank, alpha):    # linear: an nn.Linear; keep it as self.linear
        super().__init__()
        ...                                     # self.down: (rank, in), self.up: (out, rank), both nn.Parameter

    def forward(self, x):                       # (batch, in)
        ...                                     # → (batch, out)
""",
    see="LoRA: learn a thin difference",
)

EXERCISES = [SCORES, DIFFERENCE, ALIGN, SPAN_F1, BEST_SPAN, RATES, LORA]
