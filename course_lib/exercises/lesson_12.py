"""Lesson 12, a modern GPT: the exercises."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.nn.attention import split_heads
from course_lib.nn.positions import RotaryTables, apply_rotary, rotary_tables


def _width(draw: Draw) -> tuple[int, int]:
    return draw.choice((40, 56, 80, 104, 136, 200)), draw.choice((8, 16, 32))


MATCHED_WIDTH = Exercise(
    id="12.1",
    title="A width that costs the same",
    inputs=_width,
    solution=lambda d_model, multiple: math.ceil(8 * d_model / (3 * multiple)) * multiple,
    also_right=[
        lambda d_model, multiple: -(-8 * d_model // 3 // multiple) * multiple,
        lambda d_model, multiple: next(
            n for n in range(multiple, 9 * d_model, multiple) if 3 * d_model * n >= 8 * d_model**2
        ),
    ],
    misconceptions=[
        Misconception(
            lambda d_model, multiple: 4 * d_model,
            "4 · d_model is the width of the network with *two* matrices. With three of that size SwiGLU would cost "
            "half as much again, and would win or lose for that reason.",
        ),
        Misconception(
            lambda d_model, multiple: 8 * d_model // 3,
            "That is 8/3 · d_model cut to a whole number. The matrices must be as wide as a multiple of `multiple`, "
            "which the hardware works in: round up to the next one.",
        ),
        Misconception(
            lambda d_model, multiple: 8 * d_model // (3 * multiple) * multiple,
            "Rounded down: the gated network now costs a little less than the plain one. The course, like Llama's "
            "code, rounds up.",
        ),
        Misconception(
            lambda d_model, multiple: round(8 * d_model / (3 * multiple)) * multiple,
            "Rounded to the nearest multiple: sometimes up, sometimes down. Up is asked for, always.",
        ),
        Misconception(
            lambda d_model, multiple: math.ceil(2 * d_model / multiple) * multiple,
            "2 · d_model is half of 4 · d_model, but you have three matrices in place of two, not four: the width "
            "shrinks by 2/3.",
        ),
        Misconception(
            lambda d_model, multiple: math.ceil(2 * d_model / (3 * multiple)) * multiple,
            "2/3 of d_model: the factor is right, but it is to be taken of 4 · d_model, the plain network's width.",
        ),
        Misconception(
            lambda d_model, multiple: math.ceil(6 * d_model / multiple) * multiple,
            "3/2 of 4 · d_model: the wrong way round. More matrices for the same cost means *narrower* ones.",
        ),
    ],
    hints=(
        "How many weights have two matrices of d_model × 4 d_model?",
        "Three matrices of d_model × n are to have as many: what is n?",
        "n = 8 d_model / 3; divide by `multiple`, round up, multiply again.",
    ),
    why="A comparison at the same compute needs a width at which three matrices cost what two did: 2/3 of 4 · d_model. "
    "Rounding up to a multiple keeps the matrices in the sizes that hardware likes, and costs a few per cent.",
    starter="""\
def matched_width(d_model, multiple):       # two whole numbers
    ...                                     # → d_ff of a gated network, a multiple of `multiple`, rounded up
""",
    see="The same compute",
)


def _runs(draw: Draw) -> tuple[Tensor, Tensor, float]:
    base = draw.normal(5)
    return base + 0.3 * draw.normal(5) - 0.2, base, 2.776


def _half(spread: Tensor | float, count: int, t: float) -> float:
    return float(t * spread / math.sqrt(count))


PAIRED_INTERVAL = Exercise(
    id="12.2",
    title="An interval from pairs",
    inputs=_runs,
    solution_code="""\
def paired_interval(changed, base, t):
    differences = changed - base
    return differences.mean().item(), (t * differences.std() / math.sqrt(len(base))).item()
""",
    solution=lambda changed, base, t: (
        (changed - base).mean().item(),
        _half((changed - base).std(), len(base), t),
    ),
    also_right=[
        lambda changed, base, t: (
            (changed.mean() - base.mean()).item(),
            t * ((changed - base).var() / len(base)).sqrt().item(),
        ),
    ],
    misconceptions=[
        Misconception(
            lambda changed, base, t: (
                (changed - base).mean().item(),
                _half((changed.var() + base.var()).sqrt(), len(base), t),
            ),
            "This is the interval of two groups that have nothing to do with each other: it adds up the variances of "
            "both. Runs of one seed are pairs, and what they share cancels in the difference. Take the spread of the "
            "*differences*.",
        ),
        Misconception(
            lambda changed, base, t: (
                (base - changed).mean().item(),
                _half((changed - base).std(), len(base), t),
            ),
            "The sign is turned round. Here it is changed minus base, so that a change that lowers the loss comes out "
            "below 0.",
        ),
        Misconception(
            lambda changed, base, t: (
                (changed - base).mean().item(),
                _half((changed - base).std(correction=0), len(base), t),
            ),
            "The standard deviation was divided by n. Five differences are a sample of all the seeds there are, so "
            "divide by n − 1 (`.std()` does): with five runs the difference is 12 %.",
        ),
        Misconception(
            lambda changed, base, t: ((changed - base).mean().item(), float(t * (changed - base).std())),
            "That says how far *one* difference strays. The mean of five strays less, by √5: divide by √n.",
        ),
        Misconception(
            lambda changed, base, t: ((changed - base).mean().item(), float(t * (changed - base).std() / len(base))),
            "Divided by n. Variances of independent runs add, so the spread of their mean shrinks like 1/√n, not 1/n.",
        ),
        Misconception(
            lambda changed, base, t: ((changed - base).mean().item(), _half((changed - base).std(), len(base), 1.0)),
            "That is the standard error. It covers the true mean in about two of three cases; the factor t, here "
            "2.776, makes it nineteen of twenty.",
        ),
        Misconception(
            lambda changed, base, t: (
                (changed - base).mean().item(),
                float(((changed - base).max() - (changed - base).min()) / 2),
            ),
            "Half the range. It grows with the number of runs, though more runs should make you surer, not less.",
        ),
    ],
    hints=(
        "Which number of each seed do you want to know about: two losses, or one difference?",
        "How far does the mean of n differences stray, if one of them strays by s?",
        "d = changed − base; the mean of d, and t · d.std() / √n.",
    ),
    why="What a seed does to both runs (the order of the stories, the shared first weights) cancels in the difference. "
    "What is left decides the interval, and often that is much less.",
    starter="""\
def paired_interval(changed, base, t):      # (seeds,), (seeds,), a number: losses of each seed, Student's factor
    ...                                     # → mean of changed − base, half the length of its interval: two numbers
""",
    see="Pairs",
)


def _gated(draw: Draw) -> tuple[Tensor, ...]:
    return draw.normal(2, 3, 5), draw.normal(7, 5), draw.normal(7, 5), draw.normal(5, 7)


SWIGLU = Exercise(
    id="12.3",
    title="SwiGLU",
    inputs=_gated,
    solution=lambda x, gate, up, down: (F.silu(x @ gate.T) * (x @ up.T)) @ down.T,
    also_right=[
        lambda x, gate, up, down: F.linear(F.linear(x, gate) * F.linear(x, gate).sigmoid() * F.linear(x, up), down),
        lambda x, gate, up, down: torch.einsum(
            "btf,btf,df->btd", F.silu(torch.einsum("btd,fd->btf", x, gate)), torch.einsum("btd,fd->btf", x, up), down
        ),
    ],
    misconceptions=[
        Misconception(
            lambda x, gate, up, down: ((x @ gate.T) * F.silu(x @ up.T)) @ down.T,
            "The bend is on the wrong branch: `up` went through SiLU and `gate` did not. From scratch it would train "
            "as well, for the two are alike until they are named; with somebody's trained weights it gives nonsense.",
        ),
        Misconception(
            lambda x, gate, up, down: (F.silu(x @ gate.T) + x @ up.T) @ down.T,
            "Added. A gate *multiplies*: where it is 0, nothing of the other reading may pass.",
        ),
        Misconception(
            lambda x, gate, up, down: ((x @ gate.T).sigmoid() * (x @ up.T)) @ down.T,
            "With a sigmoid it is the gated linear unit of Dauphin et al. (2017): GLU. The Swi of SwiGLU is SiLU, "
            "z · sigmoid(z), also called Swish.",
        ),
        Misconception(
            lambda x, gate, up, down: F.silu((x @ gate.T) * (x @ up.T)) @ down.T,
            "The bend came after the product. It belongs to one of the two readings, before they meet.",
        ),
        Misconception(
            lambda x, gate, up, down: (F.silu(x @ gate.T) * F.silu(x @ up.T)) @ down.T,
            "Both readings went through SiLU. One stays as it is: that is what lets the product be large and of either "
            "sign.",
        ),
        Misconception(
            lambda x, gate, up, down: ((x @ gate.T) * (x @ up.T)) @ down.T,
            "No bend at all. That is Shazeer's “bilinear” variant: a product of two linear readings. SwiGLU bends the "
            "gate.",
        ),
        Misconception(
            lambda x, gate, up, down: (F.gelu(x @ gate.T) * (x @ up.T)) @ down.T,
            "With GELU it is GEGLU, its sibling in the same paper. SwiGLU takes SiLU, z · sigmoid(z).",
        ),
        Misconception(
            lambda x, gate, up, down: F.silu(x @ up.T) @ down.T,
            "The gate was never asked: this is a plain feed-forward network with SiLU in it.",
        ),
    ],
    hints=(
        "Two readings of one token: which of them is bent?",
        "What must happen to a hidden number whose gate is 0?",
        "`F.silu(x @ gate.T) * (x @ up.T)`, and then down.",
    ),
    why="One reading says what to write, the other how much of it. Their product lets a hidden number depend on two "
    "patterns at once, which a single bend cannot.",
    starter="""\
def swiglu(x, gate, up, down):              # (batch, time, d_model), (d_ff, d_model) twice, (d_model, d_ff)
    ...                                     # → (batch, time, d_model)
""",
    see="A gate: SwiGLU",
)


def _to_prepare(draw: Draw) -> tuple[Tensor, Tensor, Tensor, int, RotaryTables]:
    tables = rotary_tables(5, 4)
    return draw.normal(2, 5, 12), draw.normal(12, 12), draw.normal(4), 3, tables


EPS = 0.1


def _rms(x: Tensor, dim: int = -1) -> Tensor:
    return x / (x.square().mean(dim=dim, keepdim=True) + EPS).sqrt()


def _prepare(norm: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Queries with another norm(heads, gain) in the right place."""

    def prepared_queries(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
        return apply_rotary(norm(split_heads(x @ weight.T, n_heads), gain), tables)

    return prepared_queries


def _all_features_at_once(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
    return apply_rotary(split_heads(_rms(x @ weight.T), n_heads) * gain, tables)


def _after_rotary(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
    return _rms(apply_rotary(split_heads(x @ weight.T, n_heads), tables)) * gain


def _never_turned(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
    return _rms(split_heads(x @ weight.T, n_heads)) * gain


def _not_transposed(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
    return apply_rotary(_rms(split_heads(x @ weight, n_heads)) * gain, tables)


def _norm_of_the_input(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
    return apply_rotary(split_heads(_rms(x) @ weight.T, n_heads) * gain, tables)


def _gain_before(x: Tensor, weight: Tensor, gain: Tensor, n_heads: int, tables: RotaryTables) -> Tensor:
    return apply_rotary(_rms(split_heads(x @ weight.T, n_heads) * gain), tables)


QK_NORM = Exercise(
    id="12.4",
    title="Queries of one length",
    inputs=_to_prepare,
    solution_code="""\
def prepared_queries(x, weight, gain, n_heads, tables):
    queries = split_heads(x @ weight.T, n_heads)
    queries = gain * queries / (queries.square().mean(dim=-1, keepdim=True) + EPS).sqrt()
    return apply_rotary(queries, tables)
""",
    solution=_prepare(lambda q, gain: _rms(q) * gain),
    also_right=[
        _prepare(lambda q, gain: F.rms_norm(q, (q.shape[-1],), gain, EPS)),
        _prepare(lambda q, gain: q * gain * torch.rsqrt((q * q).sum(-1, keepdim=True) / q.shape[-1] + EPS)),
    ],
    misconceptions=[
        Misconception(
            _all_features_at_once,
            "You divided by one number for all 12 features of a token, before the heads were split. Then a head with "
            "large queries makes every other head's small: each head must be normed on its own 4 features.",
        ),
        Misconception(
            _after_rotary,
            "The norm came after the rotation. Without a gain that would be the same, for a rotation keeps lengths. "
            "But the gain belongs to features, and the rotation has mixed each with its partner, differently at each "
            "place.",
        ),
        Misconception(
            _prepare(lambda q, gain: _rms(q, 2) * gain),
            "The mean runs over *time*. Then a query depends on tokens that come later, and the model sees the future.",
        ),
        Misconception(
            _prepare(lambda q, gain: _rms(q, 1) * gain),
            "The mean runs over the heads: each feature is compared with the same feature of the other heads. The "
            "length to set is that of one head's vector, over its last axis.",
        ),
        Misconception(
            _prepare(lambda q, gain: q / (q.square().mean(-1, keepdim=True).sqrt() + EPS) * gain),
            "ε stands outside the root. Inside it, a query of zeros has a gradient; outside, its gradient is NaN "
            "(lesson 05).",
        ),
        Misconception(
            _prepare(lambda q, gain: _rms(q - q.mean(-1, keepdim=True)) * gain),
            "You subtracted the mean first: that is a layer norm. (Dehghani et al. do just that; here the root mean "
            "square alone is asked for.)",
        ),
        Misconception(
            _prepare(lambda q, gain: q / (q.square().sum(-1, keepdim=True) + EPS).sqrt() * gain),
            "You set the length to 1: with a *sum* of squares in place of their mean. Here the root mean square "
            "becomes 1, so the length is √4 = 2.",
        ),
        Misconception(
            _prepare(lambda q, gain: _rms(q)),
            "The gain is missing: 4 learned numbers, one for each feature of a head, after the division.",
        ),
        Misconception(
            _gain_before,
            "The gain came before the norm, which then divides most of it away again. First set the length, then "
            "stretch.",
        ),
        Misconception(
            _never_turned,
            "The queries were not turned: `apply_rotary(…, tables)` comes last, and tells each where it stands.",
        ),
        Misconception(
            _not_transposed,
            "The weight is applied the wrong way round. PyTorch keeps weights as (outputs, inputs), so it is "
            "`x @ weight.T`; here both are 12, and nothing complains.",
        ),
        Misconception(
            _norm_of_the_input,
            "You normed the input. That is the block's own norm; here it is the *queries* whose length is to be set, "
            "after the weights, or the weights can still make them as long as they like.",
        ),
    ],
    hints=(
        "Which numbers make one query of one head: how many are they?",
        "If one head's weights are multiplied by 10, may any score change?",
        "Split, divide by the root of (mean square over the last axis + EPS), times gain, then rotate.",
    ),
    why="The score is a dot product of one head's query and key. With both of root mean square 1, it cannot exceed "
    "√d_head times the gains, whatever the weights have grown to.",
    starter="""\
def prepared_queries(x, weight, gain, n_heads, tables):
    # (batch, time, d_model), (d_model, d_model), (d_head,), a number, rotary tables; use EPS
    ...                                     # → (batch, heads, time, d_head): split, normed, turned
""",
    see="QK-norm",
)

A, B, C = 3.4445, -4.7750, 2.0315


def _flow(
    matrix: Tensor,
    steps: int,
    *,
    start: Callable[[Tensor], Tensor] = lambda g: g / g.norm(),
    step: Callable[[Tensor], Tensor],
) -> Tensor:
    x = start(matrix)
    for _ in range(steps):
        x = step(x)
    return x


def _quintic(x: Tensor) -> Tensor:
    gram = x @ x.T
    return A * x + (B * gram + C * gram @ gram) @ x


ORTHOGONALISE = Exercise(
    id="12.5",
    title="Make a gradient orthogonal",
    inputs=lambda draw: (draw.normal(4, 6), draw.choice((2, 3, 5))),
    solution_code="""\
def orthogonalise(gradient, steps):
    x = gradient / gradient.norm()
    for _ in range(steps):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x
""",
    solution=lambda gradient, steps: _flow(gradient, steps, step=_quintic),
    also_right=[
        lambda gradient, steps: _flow(gradient.T, steps, step=_quintic).T,
        lambda gradient, steps: _flow(
            gradient, steps, step=lambda x: A * x + x @ (B * x.T @ x + C * x.T @ x @ x.T @ x)
        ),
    ],
    misconceptions=[
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, start=lambda g: g, step=_quintic),
            "The gradient was not scaled first. The iteration carries singular values between 0 and about 1 towards 1; "
            "larger ones it throws to infinity. Divide by the norm of all entries, which no singular value exceeds.",
        ),
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, start=lambda g: g / g.abs().max(), step=_quintic),
            "You divided by the largest *entry*. A singular value can be larger than that. The root of the sum of all "
            "squares, `gradient.norm()`, is never below the largest singular value.",
        ),
        Misconception(
            lambda gradient, steps: _flow(
                gradient, steps, start=lambda g: g / torch.linalg.matrix_norm(g, 2), step=_quintic
            ),
            "Divided by the largest singular value: a good start, even a better one, but that number has to be found "
            "first, by a decomposition or an iteration of its own. Muon takes `gradient.norm()`.",
        ),
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, step=lambda x: A * x + B * x**3 + C * x**5),
            "Powers of each *entry*. The polynomial must act on singular values, and matrix products do that: X Xᵀ X "
            "has their third powers.",
        ),
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, step=lambda x: A * x + B * x @ x.T @ x),
            "The fifth power is missing: (B · G + C · G²) X with G = X Xᵀ. With the first two terms alone these "
            "coefficients overshoot, and the values run away.",
        ),
        Misconception(
            lambda gradient, steps: _flow(
                gradient, steps, step=lambda x: A * x + (B * x @ x.T + C * (x @ x.T) ** 2) @ x
            ),
            "`G ** 2` squares each entry. G² is the matrix product `G @ G`.",
        ),
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, step=lambda x: A * x + (B * x.T @ x + C * x.T @ x) @ x),
            "Xᵀ X is 6 × 6 and cannot stand in front of X, which is 4 × 6. In front goes X Xᵀ; Xᵀ X would have to come "
            "after X.",
        ),
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, step=lambda x: _quintic(x / x.norm())),
            "You divided by the norm in every step. Once is enough: a second time undoes what the first step gained, "
            "and the values never arrive at 1.",
        ),
        Misconception(
            lambda gradient, steps: _flow(gradient, steps, step=_quintic) * gradient.norm(),
            "The norm was multiplied back at the end. That is what Muon wants to forget: how loud the gradient was. "
            "Its step has one size.",
        ),
        Misconception(
            lambda gradient, steps: gradient.sign(),
            "The sign of each entry: that is about what Adam's first step does. It makes the *entries* equal; "
            "orthogonal means that the singular values are.",
        ),
        Misconception(
            lambda gradient, steps: (
                _flow(gradient, steps, step=lambda x: A * x + (B * x @ x.T + C * x @ x.T @ x @ x.T) @ x).T
            ),
            "Right numbers, but transposed: 6 × 4 for a gradient of 4 × 6. If you turned a matrix, turn it back.",
        ),
    ],
    hints=(
        "What does X Xᵀ X do to X = U S Vᵀ? Write it out.",
        "Which scaling makes sure that no singular value is above 1, at the cost of one pass?",
        "x = g / g.norm(); then `steps` times: G = x @ x.T; x = A x + (B G + C G @ G) x.",
    ),
    why="Matrix products alone make the singular values all about 1 and leave the directions: no decomposition, only "
    "what processors do best.",
    starter="""\
def orthogonalise(gradient, steps):         # (rows, columns), a number; use A, B, C
    ...                                     # → (rows, columns): same directions, singular values near 1
""",
    see="Muon",
)


def _scored(draw: Draw) -> tuple[Tensor, Tensor, Tensor, float]:
    return draw.uniform(4, 7, low=0.2, high=3.0), draw.mask(4, 7), draw.integers(8, 30, 4), 0.19


SCORE = Exercise(
    id="12.6",
    title="The score",
    inputs=_scored,
    solution=lambda costs, counts, characters, floor: ((costs * counts).sum() / (characters + 1).sum()).item() - floor,
    also_right=[
        lambda costs, counts, characters, floor: (
            costs[counts].sum().item() / sum(int(n) + 1 for n in characters) - floor
        ),
    ],
    misconceptions=[
        Misconception(
            lambda costs, counts, characters, floor: costs[counts].mean().item() - floor,
            "That is nats per *token*. With a larger vocabulary there are fewer tokens and each is harder, so entries "
            "with different tokenizers could not be compared. Divide by characters.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: ((costs * counts).sum() / characters.sum()).item() - floor,
            "The ends are missing in the count: the model predicts the end of each story too, and the floor counts it "
            "as one character. A story of n characters has n + 1.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: (costs.sum() / (characters + 1).sum()).item() - floor,
            "The padding was scored as well. Only where `counts` is True is there a token.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: (
                ((costs * counts).sum(dim=1) / (characters + 1)).mean().item() - floor
            ),
            "A mean over the stories of each story's mean: short stories count as much as long ones. The floor is the "
            "sum over all stories divided by all characters; so must the score be.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: ((costs * counts).sum() / (characters + 1).sum()).item(),
            "This is the loss; the score is its distance from the floor.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: (
                ((costs * counts).sum() / (characters + 1).sum()).item() / floor - 1
            ),
            "You answered the share by which it is above the floor. The board subtracts: nats per character.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: (
                ((costs * counts).sum() / (characters + 1).sum()).item() / math.log(2) - floor
            ),
            "The division by ln 2 turned the loss into bits, but the floor is in nats.",
        ),
        Misconception(
            lambda costs, counts, characters, floor: (
                math.exp(((costs * counts).sum() / (characters + 1).sum()).item()) - floor
            ),
            "That is a perplexity minus a loss: apples minus pears. Both stay in nats.",
        ),
    ],
    hints=(
        "Which unit is the same for all tokenizers?",
        "How many symbols does the author of a story of n characters write, its end included?",
        "Sum of the costs that count, over the sum of (characters + 1), minus the floor.",
    ),
    why="Nats add up over a story however it was cut, so nats per character are fair to every tokenizer; and "
    "subtracting the floor leaves what the model has still to learn.",
    starter="""\
def score(costs, counts, characters, floor):
    # (stories, tokens) nats of each token; (stories, tokens) True where there is one; (stories,) characters of
    # each story, its end not counted; the floor in nats per character
    ...                                     # → nats per character above the floor, a number
""",
    see="The rules",
)

EXERCISES = [MATCHED_WIDTH, PAIRED_INTERVAL, SWIGLU, QK_NORM, ORTHOGONALISE, SCORE]
