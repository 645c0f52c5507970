"""Lesson 15, translate: the exercises."""

import math
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.models.gpt import IGNORED

Tensors = tuple[Tensor, ...]

# 15.1 Cross-attention


def _two_streams(draw: Draw) -> Tensors:
    real = draw.mask(2, 6, keep=0.7)
    real[0] = True
    real[:, -1] = torch.tensor([True, False])
    real[1, 0] = True
    maps = [draw.normal(8, 5) / 2 for _ in range(3)]
    return draw.normal(2, 4, 8), draw.normal(2, 6, 8), *maps, real


def _mix(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None = None) -> Tensor:
    scores = query @ key.transpose(1, 2) / (math.sqrt(key.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ value


def _cross(x: Tensor, memory: Tensor, w_query: Tensor, w_key: Tensor, w_value: Tensor, real: Tensor) -> Tensor:
    return _mix(x @ w_query, memory @ w_key, memory @ w_value, real[:, None, :])


def _mask_afterwards(x: Tensor, memory: Tensor, wq: Tensor, wk: Tensor, wv: Tensor, real: Tensor) -> Tensor:
    scores = (x @ wq) @ (memory @ wk).transpose(1, 2) / math.sqrt(wk.shape[1])
    return (scores.softmax(dim=-1) * real[:, None, :]) @ (memory @ wv)


def _over_queries(x: Tensor, memory: Tensor, wq: Tensor, wk: Tensor, wv: Tensor, real: Tensor) -> Tensor:
    scores = (x @ wq) @ (memory @ wk).transpose(1, 2) / math.sqrt(wk.shape[1])
    return scores.masked_fill(~real[:, None, :], -math.inf).softmax(dim=1).nan_to_num() @ (memory @ wv)


def _over_queries_raw(x: Tensor, memory: Tensor, wq: Tensor, wk: Tensor, wv: Tensor, real: Tensor) -> Tensor:
    scores = (x @ wq) @ (memory @ wk).transpose(1, 2) / math.sqrt(wk.shape[1])
    return scores.masked_fill(~real[:, None, :], -math.inf).softmax(dim=1) @ (memory @ wv)


CROSS = Exercise(
    id="15.1",
    title="Cross-attention",
    inputs=_two_streams,
    solution=_cross,
    solution_code="""\
def cross_attention(x, memory, w_query, w_key, w_value, real):
    query = x @ w_query
    key, value = memory @ w_key, memory @ w_value
    scores = query @ key.transpose(1, 2) / math.sqrt(key.shape[-1])
    scores = scores.masked_fill(~real[:, None, :], -math.inf)
    return scores.softmax(dim=-1) @ value
""",
    also_right=[
        lambda x, memory, wq, wk, wv, real: F.scaled_dot_product_attention(
            x @ wq, memory @ wk, memory @ wv, attn_mask=real[:, None, :].expand(-1, x.shape[1], -1)
        )
    ],
    misconceptions=[
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(x @ wq, x @ wk, x @ wv, None),
            "Keys and values came from x: that is the decoder's *self*-attention once more, and the source is never "
            "looked at. They are made from `memory`.",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(memory @ wq, memory @ wk, memory @ wv, real[:, None, :]),
            "All three came from `memory`, so you have one output for each of the 6 *source* words. It is the text "
            "being written that asks: queries come from x, and there are 4 outputs.",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(memory @ wq, x @ wk, x @ wv, None),
            "The roles are exchanged: here the source asks the target. Queries come from x, keys and values from "
            "`memory`.",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(x @ wq, memory @ wk, memory @ wv, None),
            "The mask is missing: the second source ends in padding, and the decoder reads it as words.",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(x @ wq, memory @ wk, memory @ wv, ~real[:, None, :]),
            "The mask is the wrong way round: in `real`, True is a word. You kept the padding and hid the words (the "
            "first source has no padding at all, so nothing was left there: NaN).",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(
                x @ wq,
                memory @ wk,
                memory @ wv,
                real[:, None, :] & torch.ones(x.shape[1], memory.shape[1], dtype=torch.bool).tril(),
            ),
            "There is a causal mask over the source. The whole source is known before the first word is written: only "
            "padding is hidden.",
        ),
        Misconception(
            _mask_afterwards,
            "The mask came after the softmax: padding took its share first, and the weights of a row with padding "
            "no longer add to 1. Put −∞ into the scores.",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(x @ wq, memory @ wk, memory @ wv, real[:, None, :], 1.0),
            "The scores are not divided by √d_head (lesson 02): here by √5.",
        ),
        Misconception(
            lambda x, memory, wq, wk, wv, real: _mix(
                x @ wq, memory @ wk, memory @ wv, real[:, None, :], math.sqrt(x.shape[-1])
            ),
            "You divided by √8, the width of the streams. The dot products are of queries and keys, which have 5 "
            "features.",
        ),
        Misconception(
            _over_queries_raw,
            "The softmax ran over the 4 target positions, so each source word hands out one share. Each *query* hands "
            "out one share over the 6 source words: dim=-1.",
        ),
        Misconception(
            _over_queries,
            "The softmax ran over the 4 target positions, so each source word hands out one share (and padded columns "
            "had to be mended). Each *query* hands out one share over the 6 source words: dim=-1.",
        ),
    ],
    hints=(
        "Who asks, and who is asked? The text that is being written, or the text that was read?",
        "How many rows must the weights have, and how many columns? Which of the two does `real` speak of?",
        "`query = x @ w_query`, `key, value = memory @ w_key, memory @ w_value`; then as in lesson 02, with −∞ where "
        "`real[:, None, :]` is False.",
    ),
    why="The only difference from self-attention is where keys and values come from. So the table of weights is "
    "target × source, and the mask belongs to the source.",
    starter="""\
def cross_attention(x, memory, w_query, w_key, w_value, real):
    # x: (batch, target, d_model), what is written; memory: (batch, source, d_model), what was read
    # the three maps: (d_model, d_head); real: (batch, source), False at padding
    ...                                 # → (batch, target, d_head)
""",
    see="Cross-attention: the query is here, the keys are there",
)

# 15.2 Shift right

START, PAD = 1, 0


def _targets(draw: Draw) -> tuple[Tensor, int, int]:
    targets = draw.integers(3, 30, 3, 7)
    targets[1, 5:] = IGNORED
    targets[2, 3:] = IGNORED
    return targets, START, PAD


def _shift(targets: Tensor, start_id: int, pad_id: int) -> Tensor:
    start = torch.full_like(targets[:, :1], start_id)
    return torch.cat([start, targets[:, :-1].masked_fill(targets[:, :-1] == IGNORED, pad_id)], dim=1)


def _padded(targets: Tensor, pad_id: int) -> Tensor:
    return targets.masked_fill(targets == IGNORED, pad_id)


def _in_place(targets: Tensor, start_id: int, pad_id: int) -> Tensor:
    out = torch.full_like(targets, pad_id)
    out[:, 0] = start_id
    out[:, 1:] = _padded(targets[:, :-1], pad_id)
    return out


def _overwritten(targets: Tensor, start_id: int, pad_id: int) -> Tensor:
    out = _padded(targets, pad_id).clone()
    out[:, 0] = start_id
    return out


SHIFT = Exercise(
    id="15.2",
    title="Shift right",
    inputs=_targets,
    solution=_shift,
    solution_code="""\
def shift_right(targets, start_id, pad_id):
    start = torch.full_like(targets[:, :1], start_id)
    shifted = torch.cat([start, targets[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, pad_id)
""",
    also_right=[_in_place],
    misconceptions=[
        Misconception(
            lambda targets, start_id, pad_id: _padded(targets, pad_id),
            "Nothing is shifted: at each position the decoder is given the very token that it has to predict there.",
        ),
        Misconception(
            lambda targets, start_id, pad_id: torch.cat(
                [_padded(targets, pad_id)[:, 1:], torch.full_like(targets[:, :1], pad_id)], dim=1
            ),
            "You shifted to the left: position t sees target t + 1, and position t - 1 has seen its answer already. "
            "The inputs are what came *before*.",
        ),
        Misconception(
            lambda targets, start_id, pad_id: torch.cat(
                [torch.full_like(targets[:, :1], start_id), _padded(targets, pad_id)], dim=1
            ),
            "One column too many: 8 inputs for 7 targets. The last target is never an input, for nothing is predicted "
            "from it.",
        ),
        Misconception(
            lambda targets, start_id, pad_id: _padded(targets.roll(1, dims=1), pad_id),
            "`roll` carries the last target to the front, where the start token belongs: the decoder would know how "
            "the text ends before it begins.",
        ),
        Misconception(
            _overwritten,
            "The start token took the place of the first target, and the rest stayed where it was. Everything moves "
            "one place to the right, the first target too.",
        ),
        Misconception(
            lambda targets, start_id, pad_id: torch.cat(
                [torch.full_like(targets[:, :1], start_id), targets[:, :-1]], dim=1
            ),
            "There are −100s among the inputs. That is no token: an embedding table has no such row. Replace them by "
            "`pad_id`; nothing that counts is predicted from there.",
        ),
        Misconception(
            lambda targets, start_id, pad_id: torch.cat(
                [torch.full_like(targets[:, :1], pad_id), _padded(targets[:, :-1], pad_id)], dim=1
            ),
            "The first input is `pad_id`. In T5 the two are one token; here the start token is `start_id`.",
        ),
    ],
    hints=(
        "What has the decoder written when it predicts the first target? And the second?",
        "How many inputs are there for 7 targets, and which target is never an input?",
        "A column of `start_id`, then `targets[:, :-1]`; where that is −100, `pad_id`.",
    ),
    why="Input t is target t − 1, so that every prediction is made from what came before. With the causal mask all of "
    "them can be trained in one run.",
    starter="""\
def shift_right(targets, start_id, pad_id):     # targets: (batch, target), filled up with -100
    ...                                         # → what the decoder is given: (batch, target)
""",
    see="Teacher forcing: all steps at once",
)

# 15.3 Label smoothing


def _logits_and_targets(draw: Draw) -> tuple[Tensor, Tensor, float]:
    targets = draw.integers(0, 6, 2, 5)
    targets[0, 4] = targets[1, 3] = targets[1, 4] = IGNORED
    return 2 * draw.normal(2, 5, 6), targets, 0.2


def _smoothed(
    logits: Tensor,
    targets: Tensor,
    epsilon: float,
    *,
    others: str = "all",
    count: str = "real",
    total: bool = False,
) -> Tensor:
    """The loss, with what people get wrong as switches."""
    vocab = logits.shape[-1]
    log_p = logits.log_softmax(dim=-1)
    real = targets != IGNORED
    truth = F.one_hot(targets.clamp(min=0), vocab).to(log_p.dtype)
    if others == "all":
        wanted = (1 - epsilon) * truth + epsilon / vocab
    elif others == "each other":
        wanted = (1 - epsilon) * truth + epsilon / (vocab - 1) * (1 - truth)
    elif others == "each epsilon":
        wanted = (1 - epsilon) * truth + epsilon * (1 - truth)
    else:
        wanted = (1 - epsilon) * truth
    losses = -(wanted * log_p).sum(dim=-1)
    if count == "padding too":
        return losses.mean()
    losses = losses * real
    if total:
        return losses.sum()
    return losses.sum() / (targets.numel() if count == "all in the divisor" else real.sum())


SMOOTH = Exercise(
    id="15.3",
    title="Label smoothing",
    inputs=_logits_and_targets,
    solution=_smoothed,
    solution_code="""\
def smoothed_loss(logits, targets, epsilon):
    log_p = logits.log_softmax(dim=-1)
    real = targets != -100
    of_truth = log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    losses = -((1 - epsilon) * of_truth + epsilon * log_p.mean(dim=-1))
    return losses[real].mean()
""",
    also_right=[
        lambda logits, targets, epsilon: F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=epsilon
        )
    ],
    misconceptions=[
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, 0.0),
            "That is the plain cross-entropy: ε is not used.",
        ),
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, epsilon, others="each other"),
            "You gave ε / 5 to each of the 5 *other* tokens, as some code does. Asked is ε spread over all 6, the "
            "right one included, as PyTorch does it: it then has 1 − ε + ε / 6.",
        ),
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, epsilon, others="each epsilon"),
            "Each of the other tokens got ε. All tokens together share it: the wanted probabilities must add to 1.",
        ),
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, epsilon, others="none"),
            "You took ε from the truth and gave it to nobody: the same minimum as before, and a smaller loss. It has "
            "to be spread over all tokens.",
        ),
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, epsilon, count="padding too"),
            "Padding was counted: where the target is −100 there is nothing to predict. (`clamp` or an index of −100 "
            "hides it.)",
        ),
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, epsilon, count="all in the divisor"),
            "You left padding out of the sum and in the divisor: divided by 10, and there are 7 targets.",
        ),
        Misconception(
            lambda logits, targets, epsilon: _smoothed(logits, targets, epsilon, total=True),
            "That is the sum over the 7 targets. Asked is the mean.",
        ),
        Misconception(
            lambda logits, targets, epsilon: -_smoothed(logits, targets, epsilon),
            "The sign: a loss is the *negative* mean of the log-probabilities.",
        ),
    ],
    hints=(
        "What are the wanted probabilities of the 6 tokens, and what do they add up to?",
        "The cross-entropy with wanted probabilities q is −Σ q log p. What does the part with ε / 6 for every token "
        "come to?",
        "−[(1 − ε) log p(truth) + ε · mean over all tokens of log p], averaged over the targets that are not −100.",
    ),
    why="The wanted distribution is a mix: 1 − ε for the truth and ε spread over all tokens. Certainty is no longer "
    "what is wanted, so the logits need not grow for ever, and the smallest possible loss is above 0.",
    starter="""\
def smoothed_loss(logits, targets, epsilon):
    # (batch, time, vocab_size); (batch, time), -100 where nothing is to be predicted
    ...                                 # → the mean loss: ε of each target's probability spread over all tokens
""",
    see="Label smoothing",
)

# 15.4 One step of a beam

Going = list[tuple[int, int, float]]


def _beams(draw: Draw) -> tuple[Tensor, Tensor, int, int, float]:
    totals = -draw.uniform(3, low=1.0, high=3.0).sort().values
    scores = draw.normal(3, 7)
    ends = draw.permutation(3)
    scores[ends[0], 2] = scores.max() + 1.5  # the end is the likeliest continuation of one beginning
    scores[ends[1], 2] = scores[ends[1]].max() + 0.3
    return totals, scores.log_softmax(dim=-1), 2, draw.integers(4, 9), draw.choice((0.6, 1.4))


def _step(
    totals: Tensor,
    log_p: Tensor,
    end_id: int,
    length: int,
    a: float,
    *,
    scored: str = "divided",
    ends_stay: bool = False,
    fewer: bool = False,
    any_rank: bool = False,
    old: bool = True,
) -> tuple[list[tuple[int, float]], Going]:
    """A step of the search, with what people get wrong as switches."""
    beams, vocab = log_p.shape
    sums = totals[:, None] + log_p if old else log_p
    best = sums.flatten().sort(descending=True)
    ranked = [
        (index // vocab, index % vocab, total)
        for total, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ][: 2 * beams]
    score = {
        "divided": lambda total: total / length**a,
        "total": lambda total: total,
        "before": lambda total: total / (length - 1) ** a,
        "multiplied": lambda total: total * length**a,
        "linear": lambda total: total / (length * a),
    }[scored]
    ends = [
        (beam, score(total))
        for rank, (beam, token, total) in enumerate(ranked)
        if token == end_id and (rank < beams or any_rank)
    ]
    if ends_stay:
        return ends, ranked[:beams]
    if fewer:
        return ends, [one for one in ranked[:beams] if one[1] != end_id]
    return ends, [one for one in ranked if one[1] != end_id][:beams]


BEAM = Exercise(
    id="15.4",
    title="One step of a beam, with an end",
    inputs=_beams,
    solution=_step,
    solution_code="""\
def beam_step(totals, log_p, end_id, length, a):
    beams, vocab_size = log_p.shape
    best = (totals[:, None] + log_p).flatten().topk(2 * beams)
    finished, going_on = [], []
    for rank, (total, index) in enumerate(zip(best.values.tolist(), best.indices.tolist())):
        beam, token = index // vocab_size, index % vocab_size
        if token != end_id:
            going_on.append((beam, token, total))
        elif rank < beams:
            finished.append((beam, total / length**a))
    return finished, going_on[:beams]
""",
    misconceptions=[
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, ends_stay=True),
            "A finished text goes on too: it would be continued after its end, and it takes the place of one that is "
            "alive. What is finished leaves the beam.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, fewer=True),
            "Fewer than 3 go on: where one of the best three had ended, nobody took its place. That is why six are "
            "looked at.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, scored="total"),
            "The finished ones have their plain log-probability as score. It falls with every token, so short texts "
            "tend to win: divide by lengthᵃ.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, scored="multiplied"),
            "You multiplied by lengthᵃ. The score is negative: that punishes length even more. Divide.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, scored="before"),
            "You divided by (length − 1)ᵃ: `length` counts the end token already.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, scored="linear"),
            "You divided by length · a. a is an exponent: lengthᵃ.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, any_rank=True),
            "An ending that is not among the three likeliest continuations was finished. It has already lost to three "
            "others; the six are looked at so that enough can go on.",
        ),
        Misconception(
            lambda totals, log_p, end_id, length, a: _step(totals, log_p, end_id, length, a, old=False),
            "The beginnings' own log-probabilities are missing: a likely word after an unlikely beginning is not a "
            "likely text. Add `totals[:, None]`.",
        ),
    ],
    hints=(
        "How many continuations are there in all, and what is each one's log-probability?",
        "Of the six likeliest: which end here, which go on, and what if an end is among the first three?",
        "`best = (totals[:, None] + log_p).flatten().topk(2 * beams)`; index // vocab_size is the beam, index % "
        "vocab_size the token.",
    ),
    why="Running texts are compared by their log-probability, for they are equally long. Finished ones are not, and so "
    "their score is divided by lengthᵃ. What has ended leaves the beam, and another takes its place.",
    starter="""\
def beam_step(totals, log_p, end_id, length, a):
    # (beams,): log-probabilities so far; (beams, vocab_size): of the next token; length: tokens with the next one
    # look at the 2 * beams likeliest; of the first `beams` of them those with end_id finish
    ...     # → finished: list of (beam, score), going on: list of (beam, token, total), at most `beams`, best first
""",
    see="Texts of unequal length",
)

# 15.5 Clipped matches

WORDS = ("the", "cat", "sat", "on", "a", "mat")


def _texts(draw: Draw) -> tuple[list[str], list[str], int]:
    n = draw.choice((1, 2))
    pair = draw.words(2)
    repeated = pair * 3
    return [*repeated, *draw.words(4)], [*draw.words(5), *pair, *draw.words(2)], n


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]


def _clipped(hypothesis: Sequence[str], reference: Sequence[str], n: int) -> tuple[int, int]:
    found, wanted = Counter(_grams(hypothesis, n)), Counter(_grams(reference, n))
    return (found & wanted).total(), found.total()


def _by_hand(hypothesis: Sequence[str], reference: Sequence[str], n: int) -> tuple[int, int]:
    left = _grams(reference, n)
    matches = 0
    for gram in _grams(hypothesis, n):
        if gram in left:
            left.remove(gram)
            matches += 1
    return matches, len(_grams(hypothesis, n))


CLIPPED = Exercise(
    id="15.5",
    title="Clipped matches",
    inputs=_texts,
    draws=12,
    solution=_clipped,
    solution_code="""\
def matches(hypothesis, reference, n):
    def grams(tokens):
        return Counter(tuple(tokens[start:start + n]) for start in range(len(tokens) - n + 1))
    found, wanted = grams(hypothesis), grams(reference)
    return sum(min(count, wanted[gram]) for gram, count in found.items()), sum(found.values())
""",
    also_right=[_by_hand],
    misconceptions=[
        Misconception(
            lambda h, r, n: (sum(gram in _grams(r, n) for gram in _grams(h, n)), len(_grams(h, n))),
            "Nothing is clipped: an n-gram that the translation repeats is counted each time. It matches at most as "
            "often as it stands in the reference.",
        ),
        Misconception(
            lambda h, r, n: (len(set(_grams(h, n)) & set(_grams(r, n))), len(_grams(h, n))),
            "You compared sets: each kind of n-gram counts once, even if both texts have it twice.",
        ),
        Misconception(
            lambda h, r, n: (len(set(_grams(h, n)) & set(_grams(r, n))), len(set(_grams(h, n)))),
            "Kinds of n-grams were counted, above and below. Both are counts of occurrences.",
        ),
        Misconception(
            lambda h, r, n: (_clipped(h, r, n)[0], len(_grams(r, n))),
            "The second number counts the *reference's* n-grams: with it you get recall (ROUGE's idea). Precision "
            "divides by those of the translation.",
        ),
        Misconception(
            lambda h, r, n: (_clipped(h, r, n)[0], len(h)),
            "A text of 10 tokens has 10 − n + 1 n-grams, not 10. (For n = 1 it is the same.)",
        ),
        Misconception(
            lambda h, r, n: _clipped(h, r, 1),
            "n is not used: single tokens were counted, whatever was asked for.",
        ),
        Misconception(
            lambda h, r, n: (
                sum(a == b for a, b in zip(_grams(h, n), _grams(r, n), strict=False)),
                len(_grams(h, n)),
            ),
            "You compared place by place. An n-gram matches wherever it stands: a word more at the beginning must not "
            "spoil all the rest.",
        ),
    ],
    hints=(
        "Which runs of n tokens does each text have, and how often each?",
        "If the translation has a run three times and the reference once, how many of the three match?",
        "Two `Counter`s of tuples: for each n-gram the smaller of its two counts, added up; and how many n-grams the "
        "translation has.",
    ),
    why="Clipping keeps a translation from scoring by repetition: “the the the” finds only as many matches as the "
    "reference has “the”s.",
    starter="""\
def matches(hypothesis, reference, n):  # two lists of tokens; the length of the runs
    ...                                 # → how many runs match (clipped), how many runs the hypothesis has
""",
    see="BLEU by hand",
)

# 15.6 BLEU of a corpus


def _counts(draw: Draw) -> tuple[list[list[int]], list[list[int]], list[int], list[int]]:
    lengths = draw.integers(7, 14, 3).tolist()
    changes = draw.choice(((2, 3, -1), (-3, 1, -2), (1, 2, 4)))
    totals = [[length - n for n in range(4)] for length in lengths]
    matches = []
    for row in totals:
        found, seen = [], row[0]
        for total in row:
            seen = max(1, min(seen, total) - draw.integers(1, 3))
            found.append(int(seen))
        matches.append(found)
    return matches, totals, lengths, [length + change for length, change in zip(lengths, changes, strict=True)]


def _penalty(h: float, r: float) -> float:
    return 1.0 if h >= r else math.exp(1 - r / h)


def _corpus_bleu(
    matches: list[list[int]], totals: list[list[int]], hypothesis_lengths: list[int], reference_lengths: list[int]
) -> float:
    shares = [sum(m) / sum(t) for m, t in zip(zip(*matches, strict=True), zip(*totals, strict=True), strict=True)]
    geometric = math.exp(sum(map(math.log, shares)) / 4)
    return 100 * _penalty(sum(hypothesis_lengths), sum(reference_lengths)) * geometric


def _shares(matches: list[list[int]], totals: list[list[int]]) -> list[float]:
    return [sum(m) / sum(t) for m, t in zip(zip(*matches, strict=True), zip(*totals, strict=True), strict=True)]


def _mean_of_sentences(m: list[list[int]], t: list[list[int]], h: list[int], r: list[int]) -> float:
    one = [_corpus_bleu([a], [b], [c], [d]) for a, b, c, d in zip(m, t, h, r, strict=True)]
    return sum(one) / len(one)


def _mean_shares(m: list[list[int]], t: list[list[int]], h: list[int], r: list[int]) -> float:
    shares = [sum(a[n] / b[n] for a, b in zip(m, t, strict=True)) / len(m) for n in range(4)]
    return 100 * _penalty(sum(h), sum(r)) * math.prod(shares) ** 0.25


BLEU = Exercise(
    id="15.6",
    title="The BLEU of a corpus",
    inputs=_counts,
    draws=10,
    solution=_corpus_bleu,
    solution_code="""\
def corpus_bleu(matches, totals, hypothesis_lengths, reference_lengths):
    mean_log = 0.0
    for n in range(4):
        share = sum(row[n] for row in matches) / sum(row[n] for row in totals)
        mean_log += math.log(share) / 4
    h, r = sum(hypothesis_lengths), sum(reference_lengths)
    penalty = 1.0 if h >= r else math.exp(1 - r / h)
    return 100 * penalty * math.exp(mean_log)
""",
    also_right=[lambda m, t, h, r: 100 * min(1.0, math.exp(1 - sum(r) / sum(h))) * math.prod(_shares(m, t)) ** 0.25],
    misconceptions=[
        Misconception(
            _mean_of_sentences,
            "You averaged the BLEUs of the sentences. BLEU adds up the *counts* of all sentences first, and divides "
            "once: a long sentence weighs more, and one without a match does not make a 0.",
        ),
        Misconception(
            _mean_shares,
            "You averaged each pₙ over the sentences. Add up matches and totals of all sentences, then divide once.",
        ),
        Misconception(
            lambda m, t, h, r: 100 * math.prod(_shares(m, t)) ** 0.25,
            "The brevity penalty is missing: precision alone praises who says little.",
        ),
        Misconception(
            lambda m, t, h, r: 100 * _penalty(sum(h), sum(r)) * sum(_shares(m, t)) / 4,
            "That is the arithmetic mean of p₁ … p₄. BLEU takes the geometric one, the fourth root of their product: "
            "one bad order pulls it down.",
        ),
        Misconception(
            lambda m, t, h, r: 100 * _penalty(sum(h), sum(r)) * math.prod(_shares(m, t)),
            "The product without its fourth root.",
        ),
        Misconception(
            lambda m, t, h, r: 100 * math.exp(1 - sum(r) / sum(h)) * math.prod(_shares(m, t)) ** 0.25,
            "Long translations were rewarded: the penalty is 1 where the translations are as long as the references, "
            "or longer. (Too many words are punished by precision already.)",
        ),
        Misconception(
            lambda m, t, h, r: 100 * _penalty(sum(r), sum(h)) * math.prod(_shares(m, t)) ** 0.25,
            "h and r are exchanged: you punished translations that are *longer* than their references.",
        ),
        Misconception(
            lambda m, t, h, r: 100 * min(1.0, sum(h) / sum(r)) * math.prod(_shares(m, t)) ** 0.25,
            "The penalty is e^(1 − r/h), which is harder than h / r.",
        ),
        Misconception(
            lambda m, t, h, r: _corpus_bleu(m, t, h, r) / 100,
            "That is BLEU from 0 to 1. By custom it is told times 100.",
        ),
    ],
    hints=(
        "What is added up over the sentences, and what is divided only then?",
        "How does one average four shares so that a 0 among them gives 0? And when is a translation too short?",
        "100 · BP · exp(¼ Σ log pₙ), with pₙ = Σ matches / Σ totals, and BP = 1 if h ≥ r, else e^(1 − r/h).",
    ),
    why="Counts of the whole corpus, one geometric mean of p₁ … p₄, and a penalty for silence. So the BLEU of a corpus "
    "is not the mean of its sentences' BLEUs.",
    starter="""\
def corpus_bleu(matches, totals, hypothesis_lengths, reference_lengths):
    # matches, totals: for each sentence a list of four counts, n = 1 … 4; lengths: one for each sentence
    ...                                 # → BLEU, from 0 to 100
""",
    see="BLEU by hand",
)

# 15.7 Alignment


def _weights(draw: Draw) -> tuple[Tensor]:
    weights = (2 * draw.normal(3, 6, 7)).softmax(dim=-1)
    weights[:, :, -1] += 0.35  # the end token takes much
    return (weights / weights.sum(dim=-1, keepdim=True),)


ALIGN = Exercise(
    id="15.7",
    title="Read off an alignment (stretch)",
    inputs=_weights,
    solution=lambda weights: weights.mean(dim=0)[:-1, :-1].argmax(dim=1),
    solution_code="""\
def align(weights):
    mean = weights.mean(dim=0)              # (target, source)
    return mean[:-1, :-1].argmax(dim=1)
""",
    also_right=[lambda weights: weights[:, :-1, :-1].sum(dim=0).argmax(dim=-1)],
    misconceptions=[
        Misconception(
            lambda weights: weights.mean(dim=0)[1:, :-1].argmax(dim=1),
            "You took the rows whose *input* is the word: there it stands already, and the row looks for the next one. "
            "A word is written by the row before, so row 0 writes the first.",
        ),
        Misconception(
            lambda weights: weights.mean(dim=0)[:-1].argmax(dim=1),
            "The source's end token was allowed to win. It is no word, and attention with nothing to do often rests on "
            "it: leave out the last column.",
        ),
        Misconception(
            lambda weights: weights.mean(dim=0)[:, :-1].argmax(dim=1),
            "6 answers for 5 words: the last row writes the end token.",
        ),
        Misconception(
            lambda weights: weights.mean(dim=0)[:-1, :-1].argmax(dim=0),
            "For each *source* word the target row that looks at it most. Asked is the other way round: one source "
            "word for each word that was written.",
        ),
        Misconception(
            lambda weights: weights[0, :-1, :-1].argmax(dim=1),
            "That is the first head alone. Asked is the mean of all three.",
        ),
        Misconception(
            lambda weights: weights.amax(dim=0)[:-1, :-1].argmax(dim=1),
            "You took the strongest head at each place. Asked is the mean of the heads.",
        ),
        Misconception(
            lambda weights: weights.mean(dim=0)[:-1, 1:].argmax(dim=1),
            "You cut off the first source word in place of the last token, so that every index is one too small.",
        ),
    ],
    hints=(
        "The decoder's inputs are: start, word 1, … , word 5. Which row has just made word 1?",
        "Which row and which column belong to no word?",
        "`weights.mean(dim=0)[:-1, :-1].argmax(dim=1)`.",
    ),
    why="Row t has read the words up to t and writes the next: it is the query that asks what to write. The last row "
    "writes the end, and the last column is the source's end.",
    starter="""\
def align(weights):
    # (heads, target, source): rows are the decoder's inputs start, word 1 … word 5; the last source token is the end
    ...                                 # → (5,): for each word that was written, the source token its heads, averaged,
                                        #   looked at most when it was written; the end token does not count
""",
    see="The alignment that attention shows",
)

EXERCISES = [CROSS, SHIFT, SMOOTH, BEAM, CLIPPED, BLEU, ALIGN]
