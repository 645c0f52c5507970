"""Lesson 01, from recurrence to attention: the exercises."""

import math

import torch

from course_lib.exercises import Exercise, Misconception


def _counts(draw):
    counts = draw.integers(0, 5, 5, 7)
    counts[0] = 0  # a context that was never seen
    return (counts,)


COUNTS_TO_CHANCES = Exercise(
    id="01.1",
    title="Counts into probabilities",
    inputs=_counts,
    solution=lambda counts: (counts + 1) / (counts.sum(dim=-1, keepdim=True) + counts.shape[-1]),
    also_right=[
        lambda counts: (counts.float() + 1) / (counts.float() + 1).sum(dim=1, keepdim=True),
        lambda counts: torch.stack([(row + 1) / (row.sum() + len(row)) for row in counts]),
    ],
    misconceptions=[
        Misconception(
            lambda counts: counts / counts.sum(dim=-1, keepdim=True),
            "A context that was never seen gives 0 / 0, which is NaN, and a word never seen after a context gets "
            "probability 0 for ever. Add 1 to every count first.",
        ),
        Misconception(
            lambda counts: (counts + 1) / counts.sum(dim=-1, keepdim=True),
            "The numerator got its 1 and the denominator did not: these rows add to more than 1. Adding 1 to each of "
            "the 7 words adds 7 to the total of the row.",
        ),
        Misconception(
            lambda counts: (counts + 1) / (counts.sum(dim=-1, keepdim=True) + 1),
            "You added 1 below the line. Each of the 7 words got one more count, so the row's total grew by 7.",
        ),
        Misconception(
            lambda counts: (counts + 1) / (counts + 1).sum(dim=0, keepdim=True),
            "Your columns add to 1. That answers “which context came before this word?”. A row is one context, and "
            "its next words share one budget of 1.",
        ),
        Misconception(
            lambda counts: (counts + 1) / (counts + 1).sum(),
            "The whole table adds to 1: this is how likely context *and* word are together. Given the context, each "
            "row has to add to 1.",
        ),
        Misconception(
            lambda counts: counts.float().softmax(dim=-1),
            "A softmax takes exponentials: a word seen 4 times would be e² ≈ 7.4 times as likely as one seen twice. "
            "Counts are already proportional to probabilities; divide by their sum.",
        ),
    ],
    hints=(
        "A row belongs to one context. What must the numbers in it add up to?",
        "If every word has been seen once more than it really was, what is the new total of a row of 7 words?",
        "(counts + 1) divided by the row sums of (counts + 1), with keepdim=True.",
    ),
    why="Given a context, the next word is one of the row's words, so each row is a distribution. Pretending that "
    "each word was seen once more keeps unseen words possible and makes an unseen context uniform.",
    starter="""\
def chances(counts):                    # (context, word), whole numbers
    ...                                 # → (context, word), each row adds to 1
""",
    see="Counting: the n-gram",
)

RNN_STEP = Exercise(
    id="01.2",
    title="One step of an RNN",
    inputs=lambda draw: (
        draw.normal(3, 4),
        draw.normal(3, 5),
        draw.normal(5, 4),
        draw.normal(5, 5),
        draw.normal(5),
    ),
    solution=lambda x, h, W, U, b: torch.tanh(x @ W.T + h @ U.T + b),
    also_right=[
        lambda x, h, W, U, b: torch.tanh(torch.cat([x, h], dim=-1) @ torch.cat([W, U], dim=-1).T + b),
        lambda x, h, W, U, b: torch.stack([(W @ x[i] + U @ h[i] + b).tanh() for i in range(len(x))]),
    ],
    misconceptions=[
        Misconception(
            lambda x, h, W, U, b: torch.tanh(x @ W.T + h @ U + b),
            "U is square, so `h @ U` runs without complaint, and computes with U transposed. Row i of U holds the "
            "weights *into* unit i: it is U h, which for rows of h is `h @ U.T`.",
        ),
        Misconception(
            lambda x, h, W, U, b: x @ W.T + h @ U.T + b,
            "The tanh is missing. Without it the state can grow without limit, and two steps are one linear step.",
        ),
        Misconception(
            lambda x, h, W, U, b: torch.sigmoid(x @ W.T + h @ U.T + b),
            "This is a sigmoid, between 0 and 1. The state of this RNN is a tanh, between −1 and 1; sigmoids come "
            "with the LSTM's gates.",
        ),
        Misconception(
            lambda x, h, W, U, b: torch.tanh(x @ W.T + b),
            "The old state h plays no part: this network forgets everything at each step.",
        ),
        Misconception(
            lambda x, h, W, U, b: torch.tanh(x @ W.T + h @ U.T),
            "The bias b is missing: with x and h at zero, the new state must be tanh(b).",
        ),
        Misconception(
            lambda x, h, W, U, b: h + torch.tanh(x @ W.T + h @ U.T + b),
            "You added the old state to the new one. That is a good idea, and the LSTM makes something of it, but "
            "here the new state *replaces* the old one.",
        ),
    ],
    hints=(
        "Which two things does the new state depend on?",
        "W x + U h + b, then which function keeps each number between −1 and 1?",
        "x holds one row per sequence: W x for every row at once is `x @ W.T`.",
    ),
    why="One linear map of what comes in, one of what was there, and a squashing function: that is the whole cell. "
    "The same W, U and b serve every step.",
    starter="""\
def rnn_step(x, h, W, U, b):            # (batch, d_in), (batch, d), (d, d_in), (d, d), (d,)
    ...                                 # → (batch, d)
""",
    see="A state that is carried along: the RNN",
)

THROUGH_TIME = Exercise(
    id="01.3",
    title="What is left of the first state",
    inputs=lambda draw: (draw.uniform(low=0.5, high=1.5), draw.uniform(6, low=-0.9, high=0.9)),
    solution=lambda w, states: (w * (1 - states**2)).prod(),
    also_right=[
        lambda w, states: w ** len(states) * torch.prod(1 - states * states),
        lambda w, states: torch.exp((w * (1 - states.square())).log().sum()),
    ],
    misconceptions=[
        Misconception(
            lambda w, states: torch.tensor(w ** len(states)),
            "w to the power of the number of steps: you left out the slope of tanh, 1 − h², which is smaller than 1 "
            "whenever the state is not 0.",
        ),
        Misconception(
            lambda w, states: (1 - states**2).prod(),
            "The slopes of tanh are there, but each step also multiplies by w, the weight that the old state enters "
            "with.",
        ),
        Misconception(
            lambda w, states: (w * (1 - states**2)).sum(),
            "You added the factors. The chain rule multiplies along a path; it adds only where several paths meet, "
            "and here there is just one.",
        ),
        Misconception(
            lambda w, states: (w * (1 - states)).prod(),
            "The slope of tanh at a point where its value is h is 1 − h², not 1 − h.",
        ),
        Misconception(
            lambda w, states: (w * (1 - torch.tanh(states) ** 2)).prod(),
            "The states have been through tanh already. The slope, written with the *output* h, is 1 − h².",
        ),
        Misconception(
            lambda w, states: w * (1 - states[-1] ** 2),
            "This is ∂h_T/∂h_{T−1}, the last step only. There is one such factor for each step.",
        ),
    ],
    hints=(
        "Through how many steps does a change of h_0 pass before it reaches h_T?",
        "What is the derivative of tanh(w h + x) by h, written with the result h_t?",
        "One factor w · (1 − h_t²) for each state in `states`; multiply them.",
    ),
    why="The chain rule gives one factor w(1 − h_t²) a step. A product of many factors below 1 goes to zero "
    "exponentially, of many above 1 to infinity: Hochreiter 1991, Bengio et al. 1994.",
    starter="""\
def left_of_first(w, states):           # a number, and h_1 … h_T as (time,)
    ...                                 # → ∂h_T / ∂h_0, one number
""",
    see="One factor for each step",
)

RECEPTIVE_FIELD = Exercise(
    id="01.4",
    title="How far a stack of convolutions sees",
    inputs=lambda draw: (draw.integers(3, 7), [draw.integers(2, 10) for _ in range(4)]),
    solution=lambda kernel, dilations: 1 + (kernel - 1) * sum(dilations),
    also_right=[
        lambda kernel, dilations: 1 + sum((kernel - 1) * step for step in dilations),
        lambda kernel, dilations: kernel * sum(dilations) - sum(dilations) + 1,
    ],
    misconceptions=[
        Misconception(
            lambda kernel, dilations: (kernel - 1) * sum(dilations),
            "Off by one: this is how far back the oldest token stands. The last token itself is seen too.",
        ),
        Misconception(
            lambda kernel, dilations: kernel * sum(dilations),
            "A kernel of k taps spans k − 1 gaps between taps, not k. Each layer adds (k − 1) · dilation.",
        ),
        Misconception(
            lambda kernel, dilations: 1 + kernel * sum(dilations),
            "Close: but k taps have k − 1 gaps between them, so a layer adds (k − 1) · dilation, not k · dilation.",
        ),
        Misconception(
            lambda kernel, dilations: 1 + (kernel - 1) * len(dilations),
            "This counts layers as if each had dilation 1. With dilation d the taps stand d apart.",
        ),
        Misconception(
            lambda kernel, dilations: 1 + (kernel - 1) * max(dilations),
            "You took the widest layer alone. Layers stack: what the second sees has been widened by the first.",
        ),
        Misconception(
            lambda kernel, dilations: kernel ** len(dilations),
            "k to the power of the number of layers is right only when the dilations are 1, k, k², … .",
        ),
        Misconception(
            lambda kernel, dilations: 1 + 2 * (kernel - 1) * sum(dilations),
            "You counted both directions. These convolutions are causal: they look back only.",
        ),
    ],
    hints=(
        "With one layer, kernel 3 and dilation 1: which tokens does the last position see?",
        "How far back does the oldest tap of a layer stand, in steps of that layer's dilation?",
        "Each layer adds (kernel − 1) · dilation to the reach; begin with the token itself.",
    ),
    why="A kernel of k taps reaches k − 1 gaps back, each as wide as the dilation; reaches add up over layers, and "
    "the token itself makes the 1.",
    starter="""\
def receptive_field(kernel, dilations): # a whole number, and one dilation for each layer
    ...                                 # → how many tokens the last position sees
""",
    see="A window that widens: the CNN",
)


def _alignment_inputs(draw):
    return draw.normal(3, 5), draw.normal(3, 7, 4), draw.normal(6, 5), draw.normal(6, 4), draw.normal(6)


ADDITIVE_WEIGHTS = Exercise(
    id="01.5",
    title="Where to look: additive attention",
    inputs=_alignment_inputs,
    solution=lambda s, H, W, U, v: (torch.tanh((s @ W.T)[:, None, :] + H @ U.T) @ v).softmax(dim=-1),
    also_right=[
        lambda s, H, W, U, v: torch.stack(
            [torch.softmax(torch.tanh(W @ s[i] + H[i] @ U.T) @ v, dim=0) for i in range(len(s))]
        ),
        lambda s, H, W, U, v: torch.einsum(
            "a,bta->bt", v, torch.tanh((s @ W.T).unsqueeze(1) + torch.einsum("ad,btd->bta", U, H))
        ).softmax(1),
    ],
    misconceptions=[
        Misconception(
            lambda s, H, W, U, v: torch.tanh((s @ W.T)[:, None, :] + H @ U.T) @ v,
            "These are the scores e. They still have to go through a softmax over the 7 annotations, so that they "
            "become weights that add to 1.",
        ),
        Misconception(
            lambda s, H, W, U, v: (torch.tanh((s @ W.T)[:, None, :] + H @ U.T) @ v).softmax(dim=0),
            "The softmax ran over the batch: three sentences share one budget of attention. It must run over the 7 "
            "annotations of one sentence, the last axis.",
        ),
        Misconception(
            lambda s, H, W, U, v: (((s @ W.T)[:, None, :] + H @ U.T) @ v).softmax(dim=-1),
            "The tanh is missing, and with it more than you would think: without it the part of the score that comes "
            "from the state is the same for all annotations, and the softmax cancels it. The state would not matter.",
        ),
        Misconception(
            lambda s, H, W, U, v: (torch.tanh(H @ U.T) @ v).softmax(dim=-1),
            "The state s has no say: the decoder looks at the same place for every word it writes. Either s is "
            "missing, or it went through a tanh of its own; then it adds the same number to every score of a "
            "sentence, and the softmax cancels that. One tanh, around the sum.",
        ),
        Misconception(
            lambda s, H, W, U, v: torch.tanh(((s @ W.T)[:, None, :] + H @ U.T) @ v).softmax(dim=-1),
            "The tanh came after v: it squashes the score itself to between −1 and 1, so that no weight can be more "
            "than e² ≈ 7.4 times another. It belongs inside, before v.",
        ),
    ],
    hints=(
        "One score for each annotation: which axis of the result has 7 entries?",
        "W s is one vector for each sentence, U h_j one for each annotation. How do you add them so that each "
        "annotation gets its sentence's W s?",
        "(s @ W.T)[:, None, :] + H @ U.T has the shape (batch, time, 6); then tanh, then @ v, then softmax over time.",
    ),
    why="A small network scores each annotation against the state: vᵀ tanh(W s + U h). The tanh around the *sum* is "
    "what lets the state change the order of the annotations; the softmax makes weights of the scores.",
    starter="""\
def additive_weights(s, H, W, U, v):    # (batch, d_s), (batch, time, d_h), (d_a, d_s), (d_a, d_h), (d_a,)
    ...                                 # → (batch, time), each row adds to 1
""",
    see="A small network decides where to look",
)


def _context_inputs(draw):
    return draw.normal(3, 7).softmax(dim=-1), draw.normal(3, 7, 4)


CONTEXT_VECTOR = Exercise(
    id="01.6",
    title="The context vector",
    inputs=_context_inputs,
    solution=lambda weights, H: (weights[:, None, :] @ H)[:, 0],
    also_right=[
        lambda weights, H: torch.einsum("bt,btd->bd", weights, H),
        lambda weights, H: (weights[..., None] * H).sum(dim=1),
    ],
    misconceptions=[
        Misconception(
            lambda weights, H: weights[..., None] * H,
            "Each annotation is weighted, and not yet added up: this still has 7 vectors a sentence where one is "
            "wanted.",
        ),
        Misconception(
            lambda weights, H: (weights[..., None] * H).mean(dim=1),
            "The weights add to 1 already. Taking the mean divides by 7 once more.",
        ),
        Misconception(
            lambda weights, H: H.mean(dim=1),
            "This is the plain mean of the annotations; the weights play no part.",
        ),
        Misconception(
            lambda weights, H: H[torch.arange(len(H)), weights.argmax(dim=-1)],
            "You took the annotation with the largest weight. That is *hard* attention: it throws the others away and "
            "has no gradient by which the weights could learn.",
        ),
        Misconception(
            lambda weights, H: (weights[..., None] * H).sum(dim=-1),
            "The sum ran over the 4 features and left one number for each of the 7 annotations. Sum over the "
            "annotations.",
        ),
    ],
    hints=(
        "What has to be gone from the shape: the batch, the annotations or the features?",
        "c = Σ_j α_j h_j: over which axis of H does j run?",
        "Give the weights a last axis of size 1, multiply, and sum over axis 1.",
    ),
    why="c = Σ_j α_j h_j: one vector a sentence, a weighted average of its annotations, and differentiable in the "
    "weights.",
    starter="""\
def context_vector(weights, H):         # (batch, time), (batch, time, d_h)
    ...                                 # → (batch, d_h)
""",
    see="A small network decides where to look",
)


def _layers_needed(lengths, kernel):
    needed = []
    for length in lengths:
        layers, seen = 0, 1
        while seen < length:
            layers, seen = layers + 1, seen * kernel
        needed.append(layers)
    return needed


def _by_powers(lengths, kernel):
    return [next(layers for layers in range(20) if kernel**layers >= length) for length in lengths]


LAYERS_NEEDED = Exercise(
    id="01.7",
    title="Stretch: how deep must a CNN be?",
    inputs=lambda draw: ([25, 125, 126, *(draw.integers(6, 500) for _ in range(3))], 5),
    solution=_layers_needed,
    solution_code="""
def layers_needed(lengths, kernel):
    needed = []
    for length in lengths:
        layers, seen = 0, 1
        while seen < length:
            layers, seen = layers + 1, seen * kernel
        needed.append(layers)
    return needed
""",
    also_right=[
        _by_powers,
        lambda lengths, kernel: [math.ceil(round(math.log(length) / math.log(kernel), 9)) for length in lengths],
    ],
    misconceptions=[
        Misconception(
            lambda lengths, kernel: [math.ceil(math.log(length, kernel)) for length in lengths],
            "The formula is right and floating point is not: math.log(125, 5) is 3.0000000000000004, and rounding up "
            "makes 4 of it. Multiply in whole numbers, or compare powers.",
        ),
        Misconception(
            lambda lengths, kernel: [math.floor(math.log(length) / math.log(kernel)) for length in lengths],
            "You rounded down: 3 layers of kernel 5 see 125 tokens, so the 126th needs a fourth.",
        ),
        Misconception(
            lambda lengths, kernel: [math.ceil((length - 1) / (kernel - 1)) for length in lengths],
            "This is the depth with dilation 1 everywhere, about n / (k − 1). With dilations 1, k, k², … each layer "
            "*multiplies* the reach by k.",
        ),
        Misconception(
            lambda lengths, kernel: [math.ceil(round(math.log2(length), 9)) for length in lengths],
            "This is the logarithm to base 2: right for a kernel of 2. Each layer multiplies the reach by the kernel, "
            "here 5.",
        ),
        Misconception(
            lambda lengths, kernel: [length - 1 for length in lengths],
            "This is the number of steps of an RNN. A CNN takes larger and larger strides.",
        ),
    ],
    hints=(
        "With dilations 1, k, k², …, what does your formula of 01.4 give for one, two and three layers?",
        "The sum 1 + k + k² + … + k^(L−1) is (k^L − 1)/(k − 1). What is left of the receptive field?",
        "L layers see k^L tokens. Find the smallest L with k^L ≥ n, and stay in whole numbers.",
    ),
    why="With dilations 1, k, k², … the reach is k^L, so ⌈log_k n⌉ layers are enough: the entry O(log_k n) in Table 1 "
    "of Vaswani et al. 2017.",
    starter="""\
def layers_needed(lengths, kernel):     # a list of whole numbers, and one whole number
    ...                                 # → a list: for each length the fewest layers that see so many tokens
""",
    see="What the evidence says",
)

EXERCISES = [
    COUNTS_TO_CHANCES,
    RNN_STEP,
    THROUGH_TIME,
    RECEPTIVE_FIELD,
    ADDITIVE_WEIGHTS,
    CONTEXT_VECTOR,
    LAYERS_NEEDED,
]
