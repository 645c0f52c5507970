"""Lesson 02, attention is a weighted average: the exercises."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception

SOFTMAX_AXIS = Exercise(
    id="02.1",
    title="Scores into weights",
    inputs=lambda draw: (draw.normal(3, 4, 6),),
    solution=lambda scores: scores.softmax(dim=-1),
    also_right=[
        lambda scores: scores.exp() / scores.exp().sum(dim=2, keepdim=True),
        lambda scores: torch.stack([torch.softmax(one, dim=1) for one in scores]),
    ],
    misconceptions=[
        Misconception(
            lambda scores: scores.softmax(dim=-2),
            "Your columns add up to 1 and your rows do not: the softmax ran over the queries. Each query shares out "
            "its attention among the keys, so the sum must run over the 6 keys, the last axis.",
        ),
        Misconception(
            lambda scores: scores.softmax(dim=0),
            "The softmax ran over the batch: three sentences that have nothing to do with each other now share one "
            "budget of attention. The axis to sum over is the last one, the keys.",
        ),
        Misconception(
            lambda scores: scores.flatten(1).softmax(dim=-1).view_as(scores),
            "All 24 weights of a sentence together add up to 1. Each of its 4 queries has a budget of 1 to itself.",
        ),
        Misconception(
            lambda scores: scores / scores.sum(dim=-1, keepdim=True),
            "You divided by the sum without taking the exponential first. Scores can be negative, so these "
            '"weights" can be too, and a sum near zero blows them up.',
        ),
        Misconception(
            lambda scores: scores.exp(),
            "These are exponentials, all positive, which is half of the way: each row must still be divided by its "
            "sum.",
        ),
    ],
    hints=(
        "Who shares out a budget of 1 here: a query, a key, or the whole sentence?",
        "If `weights[b, i]` belongs to query i, which axis of `scores` do you have to walk along to meet all its keys?",
        "`softmax` takes `dim=`: the axis along which the result adds up to 1. Keys are the last axis.",
    ),
    why="A row of the weights belongs to one query and says how it mixes the values, so it is each row that must add "
    "up to 1, and the keys, the last axis, are what a row runs over.",
    starter="""\
def attention_weights(scores):          # (batch, query, key)
    ...                                 # → (batch, query, key)
""",
    see="From scores to weights",
)

SCALED_SCORES = Exercise(
    id="02.3",
    title="Scores that keep their spread",
    inputs=lambda draw: (draw.normal(2, 5, 8), draw.normal(2, 7, 8)),
    solution=lambda query, key: query @ key.transpose(-2, -1) / math.sqrt(key.shape[-1]),
    also_right=[
        lambda query, key: torch.einsum("bqd,bkd->bqk", query / 8**0.5, key),
        lambda query, key: (query.unsqueeze(2) * key.unsqueeze(1)).sum(dim=-1) * 8**-0.5,
    ],
    misconceptions=[
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1),
            "You return the bare dot products. Each adds up 8 products, so their spread is √8 ≈ 2.8 where 1 is "
            "wanted: the division is still to come.",
        ),
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1) / key.shape[-1],
            "You divided by 8, the size of the head. That is the variance of the score; the spread is its square "
            "root, so your scores are now too small by √8.",
        ),
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1) / math.sqrt(key.shape[-2]),
            "You divided by √7, and 7 is the number of keys. The dot product adds up features, of which there are 8.",
        ),
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1) * math.sqrt(key.shape[-1]),
            "You multiplied by √8. The scores were too spread out already; divide.",
        ),
    ],
    hints=(
        "How many products does one dot product add up?",
        "Each product has variance 1 and they are independent. What is the variance of their sum, and its spread?",
        "Divide by the square root of the last size of `key`.",
    ),
    why="A sum of d_head independent products has variance d_head. Divided by √d_head it has spread 1 however wide "
    "the head is, and a fresh head looks at about the same number of keys.",
    starter="""\
def scaled_scores(query, key):          # (batch, query, d_head), (batch, key, d_head)
    ...                                 # → (batch, query, key)
""",
    see="Why divide by √d_head",
)


def _scores_far_from_zero(draw: Draw) -> tuple[Tensor]:
    """Rows near +500, near −500, near 0, and one with two winners 300 above the rest."""
    scores = draw.normal(4, 6)
    scores += torch.tensor([500.0, -500.0, 0.0, 0.0])[: len(scores), None]
    scores[3:, :2] += 300
    return (scores,)


STABLE_SOFTMAX = Exercise(
    id="02.2",
    title="A softmax that survives",
    inputs=_scores_far_from_zero,
    solution_code="""\
def stable_softmax(scores):
    powers = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)
""",
    solution=lambda scores: scores.softmax(dim=-1),
    also_right=[
        lambda scores: (scores - scores.logsumexp(dim=-1, keepdim=True)).exp(),
        lambda scores: torch.stack([(row - row.max()).exp() / (row - row.max()).exp().sum() for row in scores]),
    ],
    misconceptions=[
        Misconception(
            lambda scores: scores.exp() / scores.exp().sum(dim=-1, keepdim=True),
            "That is the formula as it stands in the books, and it gives NaN here: e⁵⁰⁰ is infinite in float32 and "
            "e⁻⁵⁰⁰ is 0, so you divide ∞ by ∞ and 0 by 0. Move each row first; the weights do not notice.",
        ),
        Misconception(
            lambda scores: (scores - scores.max()).exp() / (scores - scores.max()).exp().sum(dim=-1, keepdim=True),
            "You subtract the largest score of the whole matrix. A row that lies far below it turns into zeros, and "
            "0/0 is NaN. Each row needs its own largest score.",
        ),
        Misconception(
            lambda scores: (
                (scores - scores.mean(dim=-1, keepdim=True)).exp()
                / (scores - scores.mean(dim=-1, keepdim=True)).exp().sum(dim=-1, keepdim=True)
            ),
            "You subtract the mean of the row. A score can lie far above the mean (the last row has two that lie "
            "200 above it), and then its exponential still overflows. Nothing lies above the maximum.",
        ),
        Misconception(
            lambda scores: scores.clamp(-80, 80).exp() / scores.clamp(-80, 80).exp().sum(dim=-1, keepdim=True),
            "You cut the scores off at ±80. No overflow, but different scores have become equal, and the row near "
            "500 gets equal weights. Subtracting a constant keeps the differences; clamping does not.",
        ),
        Misconception(
            lambda scores: scores.exp() / (scores.exp().sum(dim=-1, keepdim=True) + 1e-9),
            "A small constant in the denominator turns the row near −500 into zeros, which do not add to 1, and it "
            "cannot help the row near +500, which is still ∞/∞. The cure is in the numerator.",
        ),
        Misconception(
            lambda scores: (scores / scores.amax(dim=-1, keepdim=True)).softmax(dim=-1),
            "You divided by the largest score. A softmax listens to differences between scores, and dividing changes "
            "them; subtracting leaves them alone.",
        ),
    ],
    hints=(
        "What happens to the weights when you add 100 to every score of a row?",
        "Which constant could you subtract from a row so that no exponential can be larger than 1?",
        "Subtract `scores.amax(dim=-1, keepdim=True)` first, then exponentials, then divide by their sum.",
    ),
    why="e^(s−m) / Σ e^(s−m) is the same number for every m, because e^(−m) cancels. With m = the row's maximum the "
    "largest exponential is e⁰ = 1: nothing overflows, and the sum is at least 1, so nothing is divided by 0.",
    starter="""\
def stable_softmax(scores):             # (query, key); do not call torch's softmax
    ...                                 # → (query, key)
""",
    see="From scores to weights",
)

SOFTMAX_GRADIENT = Exercise(
    id="02.4",
    title="The gradient through a softmax",
    inputs=lambda draw: (draw.normal(3, 6).mul(1.5).softmax(dim=-1), draw.normal(3, 6)),
    solution=lambda weights, upstream: weights * (upstream - (weights * upstream).sum(dim=-1, keepdim=True)),
    also_right=[
        lambda weights, upstream: torch.einsum(
            "qk,qkj->qj", upstream, torch.diag_embed(weights) - weights.unsqueeze(-1) * weights.unsqueeze(-2)
        ),
        lambda weights, upstream: weights * upstream - weights * (weights * upstream).sum(dim=1)[:, None],
    ],
    misconceptions=[
        Misconception(
            lambda weights, upstream: weights * (1 - weights) * upstream,
            "That is the diagonal of the Jacobian alone: each score acting on its own weight. The weights share a "
            "budget, so raising one score also lowers the other 5 weights; those terms, −w_i·w_j, are missing.",
        ),
        Misconception(
            lambda weights, upstream: weights * upstream,
            "You have the first half, w·g. The second half takes off the part that all keys share: the average of "
            "the incoming gradient under the weights.",
        ),
        Misconception(
            lambda weights, upstream: weights * (upstream - upstream.mean(dim=-1, keepdim=True)),
            "You subtract the plain mean of the incoming gradient. It is the mean *under the weights* that cancels: "
            "Σ w·g, in which a key of weight 0 does not count.",
        ),
        Misconception(
            lambda weights, upstream: weights * (upstream - (weights * upstream).sum(dim=0, keepdim=True)),
            "The weighted mean ran over the 3 queries. Each query has a softmax of its own; sum over its 6 keys.",
        ),
        Misconception(
            lambda weights, upstream: weights * ((weights * upstream).sum(dim=-1, keepdim=True) - upstream),
            "Right up to the sign: the weight of key j rises with its own score, so it is g minus the mean, not the "
            "mean minus g.",
        ),
    ],
    hints=(
        "The Jacobian of a row is diag(w) − w wᵀ. What do you get if you multiply it with a vector g?",
        "diag(w) g is `weights * upstream`. And wᵀ g is one number for each row: which?",
        "`weights * (upstream - (weights * upstream).sum(dim=-1, keepdim=True))`",
    ),
    why="J g = w ∘ g − w (wᵀ g): every key gets its weight times how much better than the weighted average it does. "
    "No n × n matrix is ever made, which is how torch's backward pass and the fused kernels do it.",
    starter="""\
def softmax_gradient(weights, upstream):     # both (query, key); upstream = d loss / d weights
    ...                                      # → (query, key): d loss / d scores
""",
    see="What a saturated softmax does to learning",
)


def _scores_and_mask(draw: Draw) -> tuple[Tensor, Tensor]:
    """Random scores and a random mask in which one query of each sentence may look nowhere."""
    scores, mask = draw.normal(2, 5, 7), draw.mask(2, 5, 7)
    mask[:, 0] = False
    return scores, mask


MASKED_WEIGHTS = Exercise(
    id="02.5",
    title="Weights under a mask",
    inputs=_scores_and_mask,
    solution=lambda scores, mask: scores.masked_fill(~mask, -math.inf).softmax(dim=-1).masked_fill(~mask, 0.0),
    also_right=[
        lambda scores, mask: torch.where(mask, scores, -math.inf).softmax(dim=-1).nan_to_num(0.0),
        lambda scores, mask: scores.exp() * mask / (scores.exp() * mask).sum(dim=-1, keepdim=True).clamp(min=1e-30),
    ],
    misconceptions=[
        Misconception(
            lambda scores, mask: scores.masked_fill(~mask, -math.inf).softmax(dim=-1),
            "All right but for the first query, which may look nowhere: its row is 0/0, NaN, and one NaN spreads to "
            "every parameter at the next training step. Give such a row zeros.",
        ),
        Misconception(
            lambda scores, mask: scores.masked_fill(mask, -math.inf).softmax(dim=-1),
            "Your mask is upside down: you closed the places where it is True. In this course, as in "
            "`F.scaled_dot_product_attention`, True means *may attend*.",
        ),
        Misconception(
            lambda scores, mask: scores.masked_fill(mask, -math.inf).softmax(dim=-1).nan_to_num(0.0),
            "The NaNs are gone, but the mask is upside down: True means *may attend*, and you gave weight to the "
            "places where it is False.",
        ),
        Misconception(
            lambda scores, mask: scores.softmax(dim=-1) * mask,
            "You masked after the softmax. The forbidden keys are at 0, but they took their share of the budget "
            "first: your rows add up to less than 1, and what is missing depends on keys that should not be seen.",
        ),
        Misconception(
            lambda scores, mask: (scores * mask).softmax(dim=-1),
            "You set the forbidden scores to 0. A score of 0 is not nothing: e⁰ = 1, more than any negative score "
            "gets. The number whose exponential is 0 is −∞.",
        ),
        Misconception(
            lambda scores, mask: scores.masked_fill(~mask, -1e9).softmax(dim=-1),
            "With −10⁹ in place of −∞ a query that may look nowhere looks everywhere: all its scores are equal, so "
            "each of the 7 forbidden keys gets 1/7. Its row should be zeros.",
        ),
        Misconception(
            lambda scores, mask: scores.masked_fill(~mask, -math.inf).softmax(dim=-2).nan_to_num(0.0),
            "Masked well, then the softmax ran over the queries: your columns add up to 1. The sum runs over the "
            "keys, `dim=-1`.",
        ),
    ],
    hints=(
        "Which score gets a weight of exactly 0 from a softmax?",
        "Where should the mask act, before the softmax or after it, if the allowed weights are to add up to 1?",
        "`scores.masked_fill(~mask, -math.inf)`, softmax, and zeros where the mask is False (for NaN rows).",
    ),
    why="A score of −∞ has exponential 0, so the key is out of the numerator and out of the sum, and what is left "
    "shares a budget of 1. A row with nothing left has no weights at all, and zeros say so without a NaN.",
    starter="""\
def masked_weights(scores, mask):       # (batch, query, key) each; mask is True where a query may look
    ...                                 # → (batch, query, key)
""",
    see="Masks",
)


def _weights(query: Tensor, key: Tensor, mask: Tensor, divide_by: float | None = None) -> Tensor:
    """The weights of the reference, or with another divisor."""
    divide_by = math.sqrt(key.shape[-1]) if divide_by is None else divide_by
    return (query @ key.transpose(-2, -1) / divide_by).masked_fill(~mask, -math.inf).softmax(dim=-1)


WHOLE_ATTENTION = Exercise(
    id="02.6",
    title="The whole of it",
    inputs=lambda draw: (draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 3), draw.mask(2, 5, 7)),
    solution_code="""\
def attention(query, key, value, mask):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return weights @ value
""",
    solution=lambda query, key, value, mask: _weights(query, key, mask) @ value,
    also_right=[
        lambda query, key, value, mask: F.scaled_dot_product_attention(query, key, value, attn_mask=mask),
        lambda query, key, value, mask: torch.einsum(
            "bqk,bkv->bqv", ((query / 8**0.5) @ key.mT + torch.where(mask, 0.0, -math.inf)).softmax(-1), value
        ),
    ],
    misconceptions=[
        Misconception(
            lambda query, key, value, mask: _weights(query, key, mask, divide_by=1.0) @ value,
            "The division by √8 is missing: the scores are 2.8 times too spread out, and the largest key of each row "
            "takes too much.",
        ),
        Misconception(
            lambda query, key, value, mask: _weights(query, key, mask, divide_by=key.shape[-1]) @ value,
            "You divided by 8, not by √8: the weights are flatter than they should be.",
        ),
        Misconception(
            lambda query, key, value, mask: _weights(query, key, mask, divide_by=math.sqrt(value.shape[-1])) @ value,
            "You divided by √3, and 3 is the width of the *values*. The dot product runs over the 8 features of "
            "queries and keys; the values play no part in the scores.",
        ),
        Misconception(
            lambda query, key, value, mask: _weights(query, key, torch.ones_like(mask)) @ value,
            "The mask has no effect: your queries look at keys that they may not see.",
        ),
        Misconception(
            lambda query, key, value, mask: _weights(query, key, ~mask) @ value,
            "The mask is upside down: True means *may attend*.",
        ),
        Misconception(
            lambda query, key, value, mask: (_weights(query, key, torch.ones_like(mask)) * mask) @ value,
            "You masked after the softmax, so the rows add up to less than 1 and your outputs are too small.",
        ),
        Misconception(
            lambda query, key, value, mask: (
                (query @ key.mT / math.sqrt(key.shape[-1])).masked_fill(~mask, -math.inf).softmax(dim=-2).nan_to_num(0)
                @ value
            ),
            "The softmax ran over the queries (`dim=-2`). Each query shares out its own budget among the keys.",
        ),
        Misconception(
            lambda query, key, value, mask: _weights(query, key, mask),
            "These are the weights, (2, 5, 7), and they are right. One step is left: let them mix the values.",
        ),
        Misconception(
            lambda query, key, value, mask: _weights(query, key, mask, divide_by=1.0) / math.sqrt(8) @ value,
            "You divided the *weights* by √8. The division belongs to the scores, before the softmax; after it the "
            "rows no longer add up to 1.",
        ),
    ],
    hints=(
        "Five steps, each of them one you have written already in this lesson. Which, and in what order?",
        "Scores, scale, mask, softmax, sum. Which two axes of `key` have to change places for the first?",
        "`query @ key.transpose(-2, -1) / √8`, `masked_fill(~mask, -math.inf)`, `softmax(dim=-1)`, `@ value`.",
    ),
    why="softmax(Q Kᵀ / √d_head) V, with −∞ at the forbidden places: the equation of the paper, and the whole of "
    "attention. All that is still to come is about running it many times at once.",
    starter="""\
def attention(query, key, value, mask):
    # (batch, query, 8), (batch, key, 8), (batch, key, 3), (batch, query, key)
    ...                                      # → (batch, query, 3)
""",
    see="From loops to the fused kernel",
)


def _in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    block: int,
    *,
    shrink_total: bool = True,
    shrink_mixed: bool = True,
    inverted: bool = False,
) -> Tensor:
    """Attention of one query in one pass, never more than `block` scores at a time; or with a mistake built in."""
    largest, total, mixed = torch.tensor(-math.inf), torch.tensor(0.0), torch.zeros(value.shape[-1])
    for start in range(0, len(key), block):
        scores = key[start : start + block] @ query / math.sqrt(len(query))
        new_largest = torch.maximum(largest, scores.max())
        shrink = (largest - new_largest).exp() if not (inverted and start) else (new_largest - largest).exp()
        powers = (scores - new_largest).exp()
        total = total * (shrink if shrink_total else 1.0) + powers.sum()
        mixed = mixed * (shrink if shrink_mixed else 1.0) + powers @ value[start : start + block]
        largest = new_largest
    return mixed / total


def _one_query_and_keys(draw: Draw) -> tuple[Tensor, Tensor, Tensor, int]:
    """Eleven keys whose scores climb and lie far above zero, in blocks of four: three blocks, the last one short."""
    query, key, value = draw.normal(8), draw.normal(11, 8), draw.normal(11, 3)
    climb = 120 + torch.arange(len(key)) / 3
    key = key + climb[:, None] * query * math.sqrt(len(query)) / query.square().sum()
    return query, key, value, 4


def _plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (key @ query / math.sqrt(len(query))).softmax(dim=0) @ value


ONLINE_SOFTMAX = Exercise(
    id="02.7",
    title="Attention in one pass (stretch)",
    inputs=_one_query_and_keys,
    solution_code="""\
def attend_in_blocks(query, key, value, block):
    largest, total, mixed = -math.inf, 0.0, 0.0
    for first in range(0, len(key), block):
        scores = key[first : first + block] @ query / math.sqrt(len(query))
        new_largest = max(largest, scores.max().item())
        shrink = math.exp(largest - new_largest)
        powers = (scores - new_largest).exp()
        total = total * shrink + powers.sum()
        mixed = mixed * shrink + powers @ value[first : first + block]
        largest = new_largest
    return mixed / total
""",
    solution=_in_blocks,
    also_right=[
        lambda query, key, value, block: _plain(query, key, value),
        lambda query, key, value, block: F.scaled_dot_product_attention(query[None], key, value)[0],
    ],
    misconceptions=[
        Misconception(
            lambda query, key, value, block: _in_blocks(
                query, key, value, block, shrink_total=False, shrink_mixed=False
            ),
            "When a later block brings a larger score, the sum and the mixture that you carry were made with the "
            "old maximum. They must be multiplied by e^(old − new) before the block is added.",
        ),
        Misconception(
            lambda query, key, value, block: _in_blocks(query, key, value, block, shrink_mixed=False),
            "You shrink the running sum when the maximum rises, but not the running mixture of values. Both were "
            "made with the old maximum; both need the factor.",
        ),
        Misconception(
            lambda query, key, value, block: _in_blocks(query, key, value, block, shrink_total=False),
            "You shrink the running mixture when the maximum rises, but not the running sum. Both need the factor.",
        ),
        Misconception(
            lambda query, key, value, block: _in_blocks(query, key, value, block, inverted=True),
            "Your factor is e^(new − old), which grows. What you carry was divided by e^old and should now be "
            "divided by e^new: multiply by e^(old − new), at most 1.",
        ),
        Misconception(
            lambda query, key, value, block: torch.stack(
                [
                    _plain(query, key[start : start + block], value[start : start + block])
                    for start in range(0, len(key), block)
                ]
            ).mean(dim=0),
            "You average the blocks' own attentions as if each block deserved the same share. A block with larger "
            "scores deserves more: carry the sums of exponentials, and divide once, at the end.",
        ),
        Misconception(
            lambda query, key, value, block: (
                (key @ query / math.sqrt(len(query))).exp() @ value / (key @ query / math.sqrt(len(query))).exp().sum()
            ),
            "The scores here lie above 100, and e¹⁰⁰ is more than float32 can hold: NaN. Carry the largest score so "
            "far, and take exponentials of differences.",
        ),
        Misconception(
            lambda query, key, value, block: _plain(
                query, key[: len(key) // block * block], value[: len(key) // block * block]
            ),
            "The last block is short (11 keys in blocks of 4 leave 3), and you left it out.",
        ),
        Misconception(
            lambda query, key, value, block: (key @ query).softmax(dim=0) @ value,
            "The scores are not divided by √8.",
        ),
    ],
    hints=(
        "Suppose you know the sum of e^(s−m) over the keys so far, for the largest score m so far. A larger score M "
        "arrives. What must you multiply the sum with to have it for M?",
        "Carry three things from block to block: the largest score, the sum of exponentials, and the exponentials' "
        "mixture of the values. Which of them change when the largest score changes?",
        "For each block: new = max(old, block's max); shrink = e^(old − new); total = total·shrink + Σ e^(s − new); "
        "mixed = mixed·shrink + e^(s − new) @ value. At the end mixed / total.",
    ),
    why="Sums can be corrected after the fact: Σ e^(s−M) = e^(m−M) Σ e^(s−m). So a softmax can be taken in one pass "
    "with a few numbers in hand. This is the trick that lets FlashAttention keep the scores out of memory.",
    starter="""\
def attend_in_blocks(query, key, value, block):     # (8,), (key, 8), (key, 3), a whole number
    largest, total, mixed = -math.inf, 0.0, 0.0     # what you carry from block to block
    ...                                             # → (3,), never holding more than `block` scores
""",
    see="What it costs",
)

EXERCISES = [
    SOFTMAX_AXIS,
    STABLE_SOFTMAX,
    SCALED_SCORES,
    SOFTMAX_GRADIENT,
    MASKED_WEIGHTS,
    WHOLE_ATTENTION,
    ONLINE_SOFTMAX,
]
