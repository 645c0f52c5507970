"""Lesson 11, scale: the exercises."""

import math

import torch

from course_lib.exercises import Draw, Exercise, Misconception


def _flops(d_model, n_layers, vocab_size, time, *, matrices=12, unembedding=1, pairs=4, pair_layers=True, passes=2):
    """FLOPs of a forward pass, with one thing at a time changed."""
    weights = matrices * n_layers * d_model**2 + unembedding * vocab_size * d_model
    return passes * weights * time + pairs * d_model * time**2 * (n_layers if pair_layers else 1)


def _one_product_after_the_other(d_model, n_layers, vocab_size, time):
    def product(rows, inner, columns):
        return 2 * rows * inner * columns

    block = 4 * product(time, d_model, d_model)  # query, key, value, output
    block += product(time, d_model, 4 * d_model) + product(time, 4 * d_model, d_model)
    block += product(time, d_model, time) + product(time, time, d_model)
    return n_layers * block + product(time, d_model, vocab_size)


FORWARD_FLOPS = Exercise(
    id="11.1",
    title="FLOPs of a forward pass",
    inputs=lambda draw: (
        draw.choice((64, 96, 160)),
        draw.choice((2, 3, 5)),
        draw.choice((1000, 1700)),
        draw.choice((7, 33, 300)),
    ),
    draws=12,
    solution=lambda d_model, n_layers, vocab_size, time: (
        2 * time * (12 * n_layers * d_model**2 + vocab_size * d_model) + 4 * n_layers * d_model * time**2
    ),
    also_right=[_one_product_after_the_other],
    tolerance=1e-6,
    misconceptions=[
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, passes=1, pairs=2),
            "Exactly half: you counted a multiplication with its addition as one (a *MAC*, as hardware people do). In "
            "papers on language models each is a FLOP of its own, so a product of (a × b) and (b × c) has 2abc.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, unembedding=0),
            "The blocks are right. The unembedding is missing: each token's vector meets all vocab_size rows, which is "
            "2 · vocab_size · d_model more for each token. In a small model that is a large share.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, unembedding=2),
            "You counted the embedding too. It looks a row up and multiplies nothing; only the way out is a product.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, pairs=0),
            "The weights are right. But attention also multiplies numbers that are no weights: queries with keys, and "
            "attention weights with values. Each costs 2 · time² · d_model in each layer.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, pairs=2),
            "You counted the scores and forgot the mixing (or the other way round): weights times values is a second "
            "product of the same size.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, pair_layers=False),
            "Scores and mixing are counted once. Every one of the n_layers blocks makes its own.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, t, matrices=8),
            "Your blocks have 8 d² weights. The feed-forward network has two matrices of 4 d², one up and one down, "
            "and attention four of d²: 12 d².",
        ),
        Misconception(
            lambda d, n, v, t: 3 * _flops(d, n, v, t),
            "Three times too many: that is a training step, forward and backward. A forward pass alone was asked for.",
        ),
        Misconception(
            lambda d, n, v, t: _flops(d, n, v, 1) - 4 * n * d + 4 * n * d * t**2,
            "You used each weight once. It is used once for *every token*: 2 · weights · time.",
        ),
    ],
    hints=(
        "How many weights has one block, in terms of d_model? You counted them in lesson 08.",
        "How many FLOPs does one weight cost for one token? And which two products in attention involve no weights?",
        "2 · time · (12 · n_layers · d_model² + vocab_size · d_model); pairs 4 · n_layers · d_model · time².",
    ),
    why="Two FLOPs for each weight and token, plus the pairs. All that follows, 6ND included, is this line.",
    starter="""\
def flops_of_a_pass(d_model, n_layers, vocab_size, time):   # d_ff = 4 · d_model, no biases
    ...                                     # → FLOPs of all matrix products, for one text
""",
    see="Count the arithmetic",
)


def _matmul(rows, inner, columns, peak, bandwidth, *, flop=2, width=4, numbers=None, join=max):
    moved = numbers(rows, inner, columns) if numbers else rows * inner + inner * columns + rows * columns
    return join((flop * rows * inner * columns / peak, width * moved / bandwidth))


MATMUL_SECONDS = Exercise(
    id="11.2",
    title="How long must it take?",
    inputs=lambda draw: (*draw.choice(((1, 512, 700), (3, 300, 600), (500, 600, 700), (900, 400, 800))), 1e11, 1e10),
    draws=16,
    tolerance=1e-6,
    solution=lambda rows, inner, columns, peak, bandwidth: max(
        2 * rows * inner * columns / peak,
        4 * (rows * inner + inner * columns + rows * columns) / bandwidth,
    ),
    also_right=[
        lambda rows, inner, columns, peak, bandwidth: (
            2
            * rows
            * inner
            * columns
            / min(
                peak,
                bandwidth * (2 * rows * inner * columns) / (4 * (rows * inner + inner * columns + rows * columns)),
            )
        ),
    ],
    misconceptions=[
        Misconception(
            lambda *given: _matmul(*given, join=sum),
            "You added the two times. A processor reads the next numbers while it works on these, so the slower of "
            "the two decides: the maximum.",
        ),
        Misconception(
            lambda *given: _matmul(*given, join=min),
            "You took the *faster* of the two. It has to wait for the slower one: the maximum.",
        ),
        Misconception(
            lambda *given: _matmul(*given, join=lambda times: times[0]),
            "You counted the arithmetic alone. With few rows each number of the second matrix is read and used hardly "
            "more than once: then reading takes longer.",
        ),
        Misconception(
            lambda *given: _matmul(*given, join=lambda times: times[1]),
            "You counted the traffic alone. With many rows the arithmetic takes longer.",
        ),
        Misconception(
            lambda *given: _matmul(*given, flop=1),
            "The traffic is right. A multiplication and an addition are two FLOPs: 2 · rows · inner · columns.",
        ),
        Misconception(
            lambda *given: _matmul(*given, width=1),
            "You counted numbers, not bytes. A float32 number has 4 bytes.",
        ),
        Misconception(
            lambda *given: _matmul(*given, numbers=lambda rows, inner, columns: rows * inner + inner * columns),
            "Both matrices are read; the result has to be written too, rows · columns numbers.",
        ),
        Misconception(
            lambda *given: _matmul(*given, numbers=lambda rows, inner, columns: 2 * rows * inner * columns),
            "You let every FLOP fetch its number from memory. Once a number is near the processor it is used many "
            "times; at best each number moves once.",
        ),
    ],
    hints=(
        "Two things have to happen: arithmetic, and moving numbers. How long would each take alone?",
        "They happen at the same time. Which of the two times does it take?",
        "max(2 · rows · inner · columns / peak, 4 · (numbers of both matrices and of the result) / bandwidth).",
    ),
    why="This bound is the roofline. No program beats it, and knowing which of the two terms is larger tells you what "
    "to improve: the arithmetic, or the traffic.",
    starter="""\
def least_seconds(rows, inner, columns, peak, bandwidth):   # FLOPs per second, bytes per second
    ...                                     # → the least time for (rows × inner) @ (inner × columns), float32
""",
    see="The roofline of your machine",
)


def _texts(memory, parameters, n_layers, n_heads, n_kv_heads, d_head, length, *, both=2, width=2, weights=2):
    """How many caches fit, with one thing at a time changed."""
    return (memory - weights * parameters) // (both * n_layers * n_kv_heads * d_head * length * width)


TEXTS_THAT_FIT = Exercise(
    id="11.3",
    title="How many texts fit?",
    inputs=lambda draw: (
        draw.integers(400, 500) * 10**8,
        draw.integers(60, 80) * 10**8,
        draw.choice((24, 32)),
        32,
        draw.choice((4, 8)),
        draw.choice((64, 128)),
        draw.choice((1000, 1500)),
    ),
    solution=lambda memory, parameters, n_layers, n_heads, n_kv_heads, d_head, length: (
        (memory - 2 * parameters) // (2 * 2 * n_layers * n_kv_heads * d_head * length)
    ),
    also_right=[
        lambda memory, parameters, n_layers, n_heads, n_kv_heads, d_head, length: math.floor(
            (memory - 2 * parameters) / (4 * length * n_layers * n_kv_heads * d_head)
        ),
    ],
    misconceptions=[
        Misconception(
            lambda memory, parameters, layers, heads, kv_heads, d_head, length: _texts(
                memory, parameters, layers, heads, heads, d_head, length
            ),
            "You counted a key and a value for every *query* head. With grouped queries there are only n_kv_heads of "
            "them, which is what they were invented for.",
        ),
        Misconception(
            lambda *given: _texts(*given, both=1),
            "Twice too many: one factor of 2 is missing. The cache holds keys *and* values, and each number of 16 bits "
            "has 2 bytes.",
        ),
        Misconception(
            lambda *given: _texts(*given, width=4, weights=4),
            "You gave each number 4 bytes. In 16 bits it has 2, weights and cache alike.",
        ),
        Misconception(
            lambda *given: _texts(*given, weights=0),
            "You gave all the memory to the caches. The weights must stay in it too: 2 bytes for each parameter.",
        ),
        Misconception(
            lambda *given: _texts(*given, weights=1),
            "You took off one byte for each parameter. In 16 bits it is two.",
        ),
        Misconception(
            lambda *given: _texts(*given, weights=16),
            "You took off what *training* needs, 16 bytes for each parameter. Here nobody trains: the weights alone.",
        ),
        Misconception(
            lambda memory, parameters, layers, heads, kv_heads, d_head, length: _texts(
                memory, parameters, 1, heads, kv_heads, d_head, length
            ),
            "Each layer has keys and values of its own: times n_layers.",
        ),
        Misconception(
            lambda memory, parameters, layers, heads, kv_heads, d_head, length: _texts(
                memory, parameters, layers, heads, kv_heads, d_head, 1
            ),
            "That is how many *tokens* fit, over all texts. A text has `length` of them.",
        ),
    ],
    hints=(
        "What has to be in memory before the first text comes?",
        "What does one text add, for each token, each layer and each key-value head?",
        "(memory − 2 · parameters) // (2 · 2 · n_layers · n_kv_heads · d_head · length).",
    ),
    why="This number decides what a server of language models costs: as many readers share one reading of the weights "
    "as there are caches that fit.",
    starter="""\
def texts_that_fit(memory, parameters, n_layers, n_heads, n_kv_heads, d_head, length):
    ...                                     # → whole texts whose caches fit beside the weights, all in 16 bits
""",
    see="When it answers: the cache",
)


def _part(draw: Draw):
    """What one block of keys has come to: largest score, sum, mixture, for 5 queries and values 3 wide."""
    return 2 * draw.normal(5), draw.uniform(5, low=1.0, high=4.0), draw.normal(5, 3)


def _merge(left, right, *, top=torch.maximum, scale_left=True, scale_right=True, scale_mixed=True, sign=1):
    """The merger, with one thing at a time changed."""
    largest = top(left[0], right[0])
    a = (sign * (left[0] - largest)).exp() if scale_left else torch.ones_like(largest)
    b = (sign * (right[0] - largest)).exp() if scale_right else torch.ones_like(largest)
    total = a * left[1] + b * right[1]
    if not scale_mixed:
        a, b = torch.ones_like(a), torch.ones_like(b)
    return largest, total, a[:, None] * left[2] + b[:, None] * right[2]


def _merge_by_query(left, right):
    rows = []
    for m1, s1, o1, m2, s2, o2 in zip(*left, *right, strict=True):
        m = max(m1.item(), m2.item())
        a, b = math.exp(m1 - m), math.exp(m2 - m)
        rows.append((torch.tensor(m), a * s1 + b * s2, a * o1 + b * o2))
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))


def _divided(left, right):
    largest, total, mixed = _merge(left, right)
    return largest, total, mixed / total[:, None]


MERGE = Exercise(
    id="11.4",
    title="Softmax in pieces",
    inputs=lambda draw: (_part(draw), _part(draw)),
    tolerance=1e-5,
    solution=lambda left, right: _merge(left, right),
    solution_code="""\
def merge(left, right):
    largest = torch.maximum(left[0], right[0])
    a, b = (left[0] - largest).exp(), (right[0] - largest).exp()
    return largest, a * left[1] + b * right[1], a[:, None] * left[2] + b[:, None] * right[2]
""",
    also_right=[_merge_by_query],
    misconceptions=[
        Misconception(
            lambda left, right: _merge(left, right, scale_left=False, scale_right=False),
            "You added the sums as they are. Each was made with its own largest score taken off, so they are in "
            "different units: bring both to the common largest first, times exp(own largest − common largest).",
        ),
        Misconception(
            lambda left, right: _merge(left, right, scale_right=False),
            "You changed the units of the left part only. That is right when the right part has the larger score. For "
            "the queries where the left has it, the right part must be scaled.",
        ),
        Misconception(
            lambda left, right: _merge(left, right, scale_left=False),
            "You changed the units of the right part only. Where the right part has the larger score, the left must "
            "be scaled.",
        ),
        Misconception(
            lambda left, right: _merge(left, right, scale_mixed=False),
            "The sums are right. The mixtures were made with the same exponentials, so they need the same factors.",
        ),
        Misconception(
            lambda left, right: _merge(left, right, sign=-1),
            "Your factors are upside down: exp(common − own) is above 1 and can overflow. The common largest score is "
            "at least the own, so exp(own − common) is at most 1.",
        ),
        Misconception(
            lambda left, right: _merge(left, right, top=lambda left, right: right),
            "You took the right part's largest score for both. For the queries where the left had the larger one, the "
            "exponentials grow above 1, and with large scores they overflow.",
        ),
        Misconception(
            lambda left, right: _merge(left, right, top=torch.minimum),
            "You took the *smaller* of the two largest scores. Then one of the factors is above 1 and can overflow.",
        ),
        Misconception(
            _divided,
            "You divided the mixture by the sum already. Right at the very end, but a further block could no longer "
            "be merged: keep the mixture undivided.",
        ),
    ],
    hints=(
        "The left sum was made with exp(score − left largest). What would it have been with another number taken off?",
        "exp(score − common) = exp(score − own) · exp(own − common). Which number is the common one, for each query?",
        "largest = torch.maximum(left[0], right[0]); then scale sums and mixtures of each side by "
        "exp(own − largest) and add.",
    ),
    why="With this merger, attention needs only one block of scores at a time: the T × T table is never in memory. It "
    "is the heart of FlashAttention (Dao et al. 2022, section 3.1).",
    starter="""\
def merge(left, right):                     # each: largest (5,), total (5,), mixed (5, 3), one row a query
    ...                                     # → the same three for both blocks of keys together
""",
    see="The table that is never written",
)


def _bytes(parameters, devices, stage, *, weights=2, gradients=2, states=12, order=("states", "gradients", "weights")):
    """Bytes on each device, with one thing at a time changed."""
    sizes = {"weights": weights, "gradients": gradients, "states": states}
    return sum(size * parameters / (devices if part in order[:stage] else 1) for part, size in sizes.items())


BYTES_PER_DEVICE = Exercise(
    id="11.5",
    title="What each device holds",
    inputs=lambda draw: (draw.integers(1, 9) * 10**9, draw.choice((2, 8, 64)), draw.choice((0, 1, 2, 3))),
    draws=24,
    tolerance=1e-6,
    solution=lambda parameters, devices, stage: (
        2 * parameters / (devices if stage >= 3 else 1)
        + 2 * parameters / (devices if stage >= 2 else 1)
        + 12 * parameters / (devices if stage >= 1 else 1)
    ),
    also_right=[
        lambda parameters, devices, stage: parameters * ((16, 4, 2, 0)[stage] + (0, 12, 14, 16)[stage] / devices),
    ],
    misconceptions=[
        Misconception(
            lambda parameters, devices, stage: 16 * parameters / (devices if stage else 1),
            "You split everything as soon as anything is split. Stage 1 splits the optimiser's states alone; weights "
            "and gradients stay whole on every device.",
        ),
        Misconception(
            lambda parameters, devices, stage: 16 * parameters,
            "Nothing is split. From stage 1 on, some of the 16 bytes are divided by the number of devices.",
        ),
        Misconception(
            lambda parameters, devices, stage: 16 * parameters / devices,
            "You split everything at every stage. That is stage 3; at stage 0 each device has a copy of all.",
        ),
        Misconception(
            lambda parameters, devices, stage: _bytes(parameters, devices, stage, states=8),
            "Your optimiser holds 8 bytes for each parameter. Adam has two averages, 4 + 4, and with 16-bit weights it "
            "also keeps a float32 copy to add small steps to: 12.",
        ),
        Misconception(
            lambda parameters, devices, stage: _bytes(parameters, devices, stage, states=0),
            "You forgot the optimiser. It is the largest part: 12 of the 16 bytes.",
        ),
        Misconception(
            lambda parameters, devices, stage: _bytes(parameters, devices, stage, weights=4, gradients=4, states=8),
            "In all 16 bytes, but these are float32's shares (4 + 4 + 8). In mixed precision weights and gradients "
            "have 2 each, and 12 are the optimiser's, so more of it can be split at stage 1.",
        ),
        Misconception(
            lambda parameters, devices, stage: _bytes(
                parameters, devices, stage, order=("weights", "gradients", "states")
            ),
            "Your stages begin with the weights. They begin with what is largest and needed only in the update: the "
            "optimiser's states; then gradients; weights last.",
        ),
        Misconception(
            lambda parameters, devices, stage: _bytes(
                parameters, devices, stage, order=("gradients", "states", "weights")
            ),
            "Your stage 1 splits the gradients. It splits the optimiser's states; the gradients follow at stage 2.",
        ),
    ],
    hints=(
        "How many bytes for each parameter have the weights, the gradients, and the optimiser's states?",
        "Which of the three is split at stage 1, which besides at 2, which besides at 3?",
        "12 bytes are divided from stage 1 on, 2 more from stage 2 on, the last 2 at stage 3.",
    ),
    why="Copies of the same numbers on every device are waste. Stage 1 removes three quarters of it and costs no more "
    "traffic; stage 3 removes all, and has to fetch each block's weights when they are needed.",
    starter="""\
def bytes_per_device(parameters, devices, stage):   # mixed precision, AdamW; stage 0, 1, 2 or 3
    ...                                     # → bytes of weights, gradients and optimiser on each device
""",
    see="Split it: sharded training",
)


def _best(compute, a, alpha, b, beta, *, six=6.0, ratio=None, power=None):
    """The best size, with one thing at a time changed."""
    ratio = alpha * a / (beta * b) if ratio is None else ratio
    power = beta / (alpha + beta) if power is None else power
    return ratio ** (1 / (alpha + beta)) * (compute / six) ** power


def _search(compute, a, alpha, b, beta):
    def loss(log_size):
        size = math.exp(log_size)
        return a * size**-alpha + b * (compute / (6 * size)) ** -beta

    low, high = 0.0, math.log(compute / 6)
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


BEST_SIZE = Exercise(
    id="11.6",
    title="Spend it well",
    inputs=lambda draw: (
        10.0 ** draw.integers(18, 24),
        draw.uniform(low=300.0, high=500.0),
        draw.uniform(low=0.38, high=0.48),
        draw.uniform(low=600.0, high=900.0),
        draw.uniform(low=0.25, high=0.35),
    ),
    tolerance=1e-3,
    solution=lambda compute, a, alpha, b, beta: _best(compute, a, alpha, b, beta),
    solution_code="""\
def best_size(compute, a, alpha, b, beta):
    ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    return ratio * (compute / 6) ** (beta / (alpha + beta))
""",
    also_right=[_search],
    misconceptions=[
        Misconception(
            lambda c, a, alpha, b, beta: c / 6 / _best(c, a, alpha, b, beta),
            "That is the number of *tokens*. The parameters are compute / (6 · tokens).",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: _best(c, a, alpha, b, beta, six=1.0),
            "You spent compute = N · D. A parameter costs 6 FLOPs for each token it learns from.",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: _best(c, a, alpha, b, beta, six=2.0),
            "You counted the forward pass alone: 2 FLOPs. With the backward pass it is 6.",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: _best(c, a, alpha, b, beta, power=alpha / (alpha + beta)),
            "The exponents are swapped. If more data helps more (large β), compute should go into *fewer* tokens and a "
            "larger model: N grows as C to the power β / (α + β).",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: _best(c, a, alpha, b, beta, ratio=a / b),
            "You set the two terms equal. At the best size it is their *derivatives* that balance: α · a · N^−α = "
            "β · b · D^−β.",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: _best(c, a, alpha, b, beta, ratio=beta * b / (alpha * a)),
            "The ratio is upside down. A larger `a` makes size matter more, so the best model must grow with it.",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: math.sqrt(c / 6),
            "As many parameters as tokens, whatever the law says. Use a, α, b and β.",
        ),
        Misconception(
            lambda c, a, alpha, b, beta: math.sqrt(c / 120),
            "Twenty tokens for each parameter is a rule of thumb for one family of models and texts. Use the law that "
            "you were given.",
        ),
    ],
    hints=(
        "With the compute given, how many tokens are left once N is chosen?",
        "Put D = C / (6N) into the law and set the derivative with respect to N to zero.",
        "N = (α a / (β b))^(1 / (α + β)) · (C / 6)^(β / (α + β)).",
    ),
    why="At the best size, one per cent more parameters gains as much as one per cent more tokens. With α near β both "
    "grow with the square root of the compute: Hoffmann et al. 2022, section 3.3, equation 4.",
    starter="""\
def best_size(compute, a, alpha, b, beta):  # loss = floor + a · N^(−alpha) + b · D^(−beta), compute = 6 · N · D
    ...                                     # → the number of parameters N with the lowest loss
""",
    see="Larger, or longer?",
)

EXERCISES = [FORWARD_FLOPS, MATMUL_SECONDS, TEXTS_THAT_FIT, MERGE, BYTES_PER_DEVICE, BEST_SIZE]
