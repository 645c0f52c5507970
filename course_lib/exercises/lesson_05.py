"""Lesson 05, the block: the exercises."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.nn.attention import MultiHeadAttention
from course_lib.nn.layers import FeedForward, LayerNorm

NORM_EPS = 0.1  # large, so that its place shows


def _layer_norm(
    x: Tensor, gain: Tensor, bias: Tensor, *, dim: int | tuple[int, ...] = -1, unbiased: bool = False
) -> Tensor:
    """Layer norm over another axis, or with another divisor."""
    centred = x - x.mean(dim=dim, keepdim=True)
    variance = x.var(dim=dim, keepdim=True, unbiased=unbiased)
    return centred / (variance + NORM_EPS).sqrt() * gain + bias


LAYER_NORM = Exercise(
    id="05.1",
    title="Layer norm by hand",
    inputs=lambda draw: (2 * draw.normal(3, 5, 8) + 1, draw.normal(8), draw.normal(8), NORM_EPS),
    solution_code="""\
def layer_norm(x, gain, bias, eps):
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + eps).sqrt() * gain + bias
""",
    solution=lambda x, gain, bias, eps: _layer_norm(x, gain, bias),
    also_right=[
        lambda x, gain, bias, eps: F.layer_norm(x, (8,) if x.shape[-1] == 8 else x.shape[-1:], gain, bias, eps),
        lambda x, gain, bias, eps: (
            (x - x.mean(-1, True)) * torch.rsqrt(x.var(-1, correction=0, keepdim=True) + eps) * gain + bias
        ),
    ],
    misconceptions=[
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, gain, bias, unbiased=True),
            "Your variance divides by 7, one less than the 8 features: the default of `x.var()`, meant for guessing "
            "the variance of a population from a sample. These 8 numbers are all there are. Divide by 8 "
            "(`correction=0`).",
        ),
        Misconception(
            lambda x, gain, bias, eps: (
                (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True).sqrt() + eps) * gain + bias
            ),
            "Your ε stands outside the root. Beside a spread of 2 that is a small difference, but for a token whose "
            "features are all equal the slope of the root is infinite, and the gradient becomes NaN. Inside: "
            "√(variance + ε).",
        ),
        Misconception(
            lambda x, gain, bias, eps: (
                (x - x.mean(-1, True)) / (x.var(-1, correction=1, keepdim=True).sqrt() + eps) * gain + bias
            ),
            "Two things at once: the variance divides by 7 in place of 8 (the default of `x.std()`), and ε stands "
            "outside the root. A much-read tutorial does both.",
        ),
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, gain, bias, dim=0),
            "You took mean and variance over the batch, as *batch* norm does. Now each sentence depends on the two "
            "others that happen to be beside it. A token is normalised by its own 8 features: the last axis.",
        ),
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, gain, bias, dim=1),
            "You took mean and variance over the 5 positions, so the first token depends on the last one: in a GPT "
            "the future leaks. Each token is normalised by its own 8 features, the last axis.",
        ),
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, gain, bias, dim=(1, 2)),
            "One mean for all 40 numbers of a sentence. Each of its 5 tokens has its own, over its 8 features.",
        ),
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, torch.ones_like(gain), torch.zeros_like(bias)),
            "Mean 0 and variance 1, right so far. What is missing is the last step: each feature times its gain, "
            "plus its bias.",
        ),
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, torch.ones_like(gain), bias),
            "The gain is missing: after the division each feature is stretched by its own learned factor.",
        ),
        Misconception(
            lambda x, gain, bias, eps: _layer_norm(x, gain, torch.zeros_like(bias)),
            "The bias is missing: at the end each feature is shifted by its own learned number.",
        ),
        Misconception(
            lambda x, gain, bias, eps: (
                (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True) + eps) * gain + bias
            ),
            "You divided by the variance itself. To bring the spread to 1, divide by the spread: the root of it.",
        ),
        Misconception(
            lambda x, gain, bias, eps: x / (x.var(-1, correction=0, keepdim=True) + eps).sqrt() * gain + bias,
            "You divided by the spread but left the mean in. Layer norm subtracts it first.",
        ),
    ],
    hints=(
        "Which numbers belong to one token: which axis of `x` do mean and variance run over?",
        "`x.var()` and `x.std()` divide by n − 1. What do you need for the numbers' own variance?",
        "centred = x − mean; variance = mean of centred²; centred / √(variance + ε) · gain + bias, with keepdim=True.",
    ),
    why="Each token is brought to mean 0 and variance 1 by its own features alone, so it depends on no other token and "
    "no other sentence. ε inside the root keeps value and gradient finite when all features are equal.",
    starter="""\
def layer_norm(x, gain, bias, eps):     # (batch, time, d_model), (d_model,), (d_model,), a number
    ...                                 # → (batch, time, d_model)
""",
    see="Layer norm",
)


def _rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain


RMS_NORM = Exercise(
    id="05.2",
    title="RMS norm",
    inputs=lambda draw: (2 * draw.normal(3, 5, 8) + 1, draw.normal(8), NORM_EPS),
    solution_code="""\
def rms_norm(x, gain, eps):
    mean_square = x.square().mean(dim=-1, keepdim=True)
    return x / (mean_square + eps).sqrt() * gain
""",
    solution=lambda x, gain, eps: _rms_norm(x, gain, eps),
    also_right=[
        lambda x, gain, eps: F.rms_norm(x, x.shape[-1:], gain, eps),
        lambda x, gain, eps: gain * x * torch.rsqrt((x * x).sum(-1, True) / x.shape[-1] + eps),
    ],
    misconceptions=[
        Misconception(
            lambda x, gain, eps: _rms_norm(x - x.mean(-1, True), gain, eps),
            "You subtracted the mean first. That is layer norm without its bias; RMS norm leaves the mean where it is.",
        ),
        Misconception(
            lambda x, gain, eps: x / (x.var(-1, correction=0, keepdim=True) + eps).sqrt() * gain,
            "You divided by the spread around the mean. RMS norm never looks at the mean: square the features as "
            "they are.",
        ),
        Misconception(
            lambda x, gain, eps: x / (x.square().sum(-1, keepdim=True) + eps).sqrt() * gain,
            "You divided by the length of the vector, the root of the *sum* of squares. Then each feature is about "
            "1/√8, and smaller in a wider model. With the mean of the squares the typical feature is 1 at any width.",
        ),
        Misconception(
            lambda x, gain, eps: x / (x.square().mean(-1, keepdim=True) + eps) * gain,
            "The root is missing: a mean of squares has squared units. Twice as large a token would come out half as "
            "large.",
        ),
        Misconception(
            lambda x, gain, eps: x / (x.square().mean(-1, keepdim=True).sqrt() + eps) * gain,
            "ε stands outside the root. Inside, it also keeps the gradient finite for a token of zeros.",
        ),
        Misconception(
            lambda x, gain, eps: _rms_norm(x, torch.ones_like(gain), eps),
            "The gain is missing: after the division each feature is multiplied by its own learned factor.",
        ),
        Misconception(
            lambda x, gain, eps: x / (x.square().mean(1, keepdim=True) + eps).sqrt() * gain,
            "You averaged over the 5 positions. Each token is divided by the root mean square of its own 8 features.",
        ),
        Misconception(
            lambda x, gain, eps: x / (x.abs().mean(-1, keepdim=True) + eps) * gain,
            "You divided by the mean *absolute* value. The S in RMS is for squares: mean of x², then the root.",
        ),
    ],
    hints=(
        "R, M, S: root, mean, square. Which of the three do you do first?",
        "What does layer norm do that is not in that name?",
        "x / √(mean of x² over the last axis + ε) · gain.",
    ),
    why="RMS norm sets every token to one size, which is what matters most in practice, and leaves out the mean and "
    "the bias: a little less work, and in Zhang and Sennrich's experiments results as good.",
    starter="""\
def rms_norm(x, gain, eps):             # (batch, time, d_model), (d_model,), a number
    ...                                 # → (batch, time, d_model)
""",
    see="RMS norm",
)


class MyFeedForward(nn.Module):
    """The solution of 05.4."""

    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)

    def forward(self, x):
        """Up, GELU, down."""
        return self.down(F.gelu(self.up(x)))


def _feed_forward(forward) -> type:
    """A feed-forward network with another `forward`."""
    return type("MyFeedForward", (MyFeedForward,), {"forward": forward})


class _Together(MyFeedForward):
    """Right as well: one line with functional calls."""

    def forward(self, x):
        hidden = x @ self.up.weight.T + self.up.bias
        return F.linear(0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))), self.down.weight, self.down.bias)


FEED_FORWARD = Exercise(
    id="05.4",
    title="The feed-forward network",
    inputs=lambda draw: (draw.normal(2, 5, 8),),
    build=lambda cls, draw: draw.fill(cls(8, 20)),
    solution=MyFeedForward,
    solution_code="""\
class MyFeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))
""",
    also_right=[_Together],
    misconceptions=[
        Misconception(
            _feed_forward(lambda self, x: F.gelu(self.down(self.up(x)))),
            "The activation stands around the *second* linear map. Between the two maps there is nothing, so they "
            "collapse into one 8 × 8 matrix, and what is added to the stream is never below −0.17.",
        ),
        Misconception(
            _feed_forward(lambda self, x: F.relu(self.down(F.relu(self.up(x))))),
            "A ReLU after each of the two maps. The one after `down` cuts off every negative number that the network "
            "wants to write: it could only ever add to the stream, never take away. (And this exercise asks for GELU.)",
        ),
        Misconception(
            _feed_forward(lambda self, x: F.gelu(self.down(F.gelu(self.up(x))))),
            "One activation too many: nothing follows `down`. What is written to the stream must be free to be "
            "negative.",
        ),
        Misconception(
            _feed_forward(lambda self, x: self.down(self.up(x))),
            "No activation at all. Two linear maps in a row are one linear map: 20 hidden features and nothing gained.",
        ),
        Misconception(
            _feed_forward(lambda self, x: self.down(F.relu(self.up(x)))),
            "All in the right places, but with ReLU, as in the original Transformer. This exercise asks for GELU.",
        ),
        Misconception(
            _feed_forward(lambda self, x: self.down(F.gelu(self.up(x), approximate="tanh"))),
            "This is GELU's tanh approximation, the one that GPT-2 uses: right for GPT-2's weights. It differs from "
            "`F.gelu(x)` in the fourth decimal, and the reference here is exact.",
        ),
        Misconception(
            _feed_forward(lambda self, x: x + self.down(F.gelu(self.up(x)))),
            "You added x. The residual path belongs to the block, which adds what this module returns; now x would "
            "be counted twice.",
        ),
        Misconception(
            _feed_forward(lambda self, x: self.down(self.up(F.gelu(x)))),
            "The activation stands before the first map. It belongs between the two, on the 20 hidden features.",
        ),
    ],
    hints=(
        "What are two linear maps in a row, if nothing stands between them?",
        "Where must the GELU stand so that what comes out may still be negative?",
        "`up`, then `F.gelu`, then `down`, and nothing after it.",
    ),
    why="The bend between the two maps is what makes them more than one matrix, and nothing after the second lets the "
    "network write any direction, also against what is there.",
    starter="""\
class MyFeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)

    def forward(self, x):               # (batch, time, d_model)
        ...                             # → (batch, time, d_model), with F.gelu in the right place
""",
    see="The feed-forward network",
)


class PreNormBlock(nn.Module):
    """The solution of 05.3."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(d_model), LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model)

    def forward(self, x):
        """Two residual steps."""
        x = x + self.attention(self.norm1(x)).output
        return x + self.feed_forward(self.norm2(x))


def _block(forward) -> type:
    """A block with another `forward(self, x, attend)`."""

    def call(self, x):
        return forward(self, x, lambda h: self.attention(h).output)

    return type("PreNormBlock", (PreNormBlock,), {"forward": call})


def _normed_stream(self, x, attend):
    x = self.norm1(x)
    x = self.norm2(x + attend(x))
    return x + self.feed_forward(x)


def _second_from_start(self, x, attend):
    return x + self.feed_forward(self.norm2(x + attend(self.norm1(x))))


def _post_norm(self, x, attend):
    x = self.norm1(x + attend(x))
    return self.norm2(x + self.feed_forward(x))


def _one_norm(self, x, attend):
    x = x + attend(self.norm1(x))
    return x + self.feed_forward(self.norm1(x))


def _causal(self, x, _):
    x = x + self.attention(self.norm1(x), causal=True).output
    return x + self.feed_forward(self.norm2(x))


def _no_second_norm(self, x, attend):
    x = x + attend(self.norm1(x))
    return x + self.feed_forward(x)


def _no_second_residual(self, x, attend):
    return self.feed_forward(self.norm2(x + attend(self.norm1(x))))


PRE_NORM_BLOCK = Exercise(
    id="05.3",
    title="A pre-norm block",
    inputs=lambda draw: (2 * draw.normal(2, 5, 8) + 1,),
    build=lambda cls, draw: draw.fill(cls(8, 2)),
    solution=PreNormBlock,
    solution_code="""\
class PreNormBlock(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(d_model), LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model)

    def forward(self, x):
        x = x + self.attention(self.norm1(x)).output
        return x + self.feed_forward(self.norm2(x))
""",
    also_right=[
        _block(lambda self, x, attend: (h := x + attend(self.norm1(x))) + self.feed_forward(self.norm2(h))),
    ],
    misconceptions=[
        Misconception(
            _block(_post_norm),
            "This is post-norm: the norm of the *sum*. It stands on the stream itself, as in the paper of 2017. In a "
            "pre-norm block nothing touches the stream but additions.",
        ),
        Misconception(
            _block(_normed_stream),
            "You wrote x = norm(x) and went on with that x. Then the stream itself is normalised, and what was "
            "written to it before is rescaled. Only the *copy* that a sublayer reads is normalised.",
        ),
        Misconception(
            _block(lambda self, x, attend: self.feed_forward(self.norm2(attend(self.norm1(x))))),
            "The residual path is missing: each sublayer's answer replaces the stream. Add it instead.",
        ),
        Misconception(
            _block(_no_second_residual),
            "The second addition is missing: the feed-forward's answer replaces all that was in the stream.",
        ),
        Misconception(
            _block(lambda self, x, attend: x + self.feed_forward(self.norm2(attend(self.norm1(x))))),
            "One residual path around both sublayers. Each of them has its own: what attention found must reach the "
            "stream also without passing through the feed-forward.",
        ),
        Misconception(
            _block(_second_from_start),
            "The second step adds to the x that the block began with, so attention's own answer is lost from the "
            "stream. Update x after attention, and add to that.",
        ),
        Misconception(
            _block(lambda self, x, attend: x + attend(self.norm1(x)) + self.feed_forward(self.norm2(x))),
            "Here the feed-forward does not see what attention just wrote: both read the same x. Such *parallel* "
            "blocks exist (GPT-J), but this exercise asks for one after the other.",
        ),
        Misconception(
            _block(_one_norm),
            "Both sublayers read through `norm1`. Each has its own norm, with its own gain and bias.",
        ),
        Misconception(
            _block(_no_second_norm),
            "The feed-forward reads the stream without a norm: its input grows with depth.",
        ),
        Misconception(
            _block(_causal),
            "The wiring is right, but your attention is causal: each token sees only itself and those before it, as "
            "in a GPT. This exercise asks for a block without a mask: leave `causal=True` out.",
        ),
    ],
    hints=(
        "Say it for one sublayer: the stream is copied, the copy is …, the sublayer …, and its answer is … .",
        "How often may `x =` appear with anything but an addition on its right?",
        "`x = x + attention(norm1(x)).output`, then the same with `feed_forward` and `norm2`.",
    ),
    why="Read through a norm, write by adding, twice. The stream itself runs from the embedding to the final norm with "
    "nothing on it but additions.",
    starter="""\
class PreNormBlock(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(d_model), LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads)       # attention(x).output: (batch, time, d_model)
        self.feed_forward = FeedForward(d_model)

    def forward(self, x):               # (batch, time, d_model)
        ...                             # → (batch, time, d_model)
""",
    see="Before or after?",
)

DROP = 0.3

DROPOUT = Exercise(
    id="05.6",
    title="Dropout that keeps the mean",
    inputs=lambda draw: (draw.normal(4, 6), draw.mask(4, 6, keep=1 - DROP), DROP),
    solution=lambda x, keep, p: (x * keep / (1 - p), x),
    also_right=[lambda x, keep, p: (torch.where(keep, x / (1 - p), 0.0), x.clone())],
    misconceptions=[
        Misconception(
            lambda x, keep, p: (x * keep, x),
            "The survivors are not scaled. In training 30 % of each sum is missing, in use nothing is: the next layer "
            "meets inputs about 1.43 times as large as those it learned with. Divide by 1 − p.",
        ),
        Misconception(
            lambda x, keep, p: (x * keep, x * (1 - p)),
            "This is dropout as first published: unscaled in training, times 1 − p in use. The means agree. But "
            "today's is *inverted*: all the scaling in training, so that the model in use needs no change.",
        ),
        Misconception(
            lambda x, keep, p: (x * keep * (1 - p), x),
            "You multiplied the survivors by 1 − p. They must stand in for those that were dropped: larger, not "
            "smaller. Divide by 1 − p.",
        ),
        Misconception(
            lambda x, keep, p: (x * keep / p, x),
            "You divided by p, the share that is dropped. The survivors are 1 − p of all.",
        ),
        Misconception(
            lambda x, keep, p: (x * ~keep / (1 - p), x),
            "The mask is upside down: True means that a number is kept.",
        ),
        Misconception(
            lambda x, keep, p: (x * keep / keep.float().mean(), x),
            "You divided by the share that happened to survive this time. The sum then no longer varies as dropout's "
            "should, and each number's scale depends on its neighbours' luck. Divide by 1 − p.",
        ),
        Misconception(
            lambda x, keep, p: (x * keep / (1 - p), x * keep / (1 - p)),
            "Right in training. But in use nothing may be dropped: what a model answers must not depend on luck.",
        ),
        Misconception(
            lambda x, keep, p: (x * keep / (1 - p), x / (1 - p)),
            "Right in training. In use nothing is dropped, so nothing needs to be made up for: return x as it is.",
        ),
    ],
    hints=(
        "If 30 % of the numbers become 0, what happens to the mean of all?",
        "By which factor must the survivors grow so that on average nothing changes?",
        "Training: `x * keep / (1 - p)`. Use: `x`.",
    ),
    why="E[x · keep / (1 − p)] = x: on average the next layer meets the same sizes in training and in use, and in use "
    "there is nothing to do.",
    starter="""\
def dropout(x, keep, p):                # (batch, d_model), True where a number survives, chance of dropping
    in_training = ...
    in_use = ...
    return in_training, in_use          # each (batch, d_model)
""",
    see="Dropout",
)


def _sizes(draw: Draw) -> tuple[int, int, int]:
    n_heads = draw.choice((2, 4, 8))
    return n_heads * draw.choice((4, 8, 16)), n_heads, draw.choice((48, 80, 200))


def _count(d: int, f: int, *, attention: float = 4, ff: int = 2, norms: int = 4, biases: int | None = None) -> int:
    """Matrices, their biases, and the norms' vectors of a block with `d` features, `f` of them hidden."""
    matrix_biases = 4 * d + f + d if biases is None else biases
    return int(attention * d * d + ff * d * f + matrix_biases + norms * d)


COUNT_PARAMETERS = Exercise(
    id="05.5",
    title="Count a block's parameters (stretch)",
    inputs=_sizes,
    solution_code="""\
def block_parameters(d_model, n_heads, d_ff):
    attention = 4 * (d_model * d_model + d_model)
    feed_forward = d_model * d_ff + d_ff + d_ff * d_model + d_model
    norms = 2 * 2 * d_model
    return attention + feed_forward + norms
""",
    solution=lambda d_model, n_heads, d_ff: _count(d_model, d_ff),
    also_right=[
        lambda d_model, n_heads, d_ff: 4 * d_model**2 + 2 * d_model * d_ff + 9 * d_model + d_ff,
        lambda d_model, n_heads, d_ff: (
            n_heads * 3 * (d_model + 1) * (d_model // n_heads)
            + (d_model + 1) * d_model
            + (d_model + 1) * d_ff
            + (d_ff + 1) * d_model
            + 4 * d_model
        ),
    ],
    misconceptions=[
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff, biases=0),
            "All matrices and both norms, but no biases of the linear maps: four in attention, two in the "
            "feed-forward.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff, norms=0),
            "The norms are missing: two of them, each with a gain and a bias for every feature.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff, norms=2),
            "Each of the two norms has a gain *and* a bias: 4 · d_model in all. You counted 2 · d_model.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff, biases=0, norms=0),
            "The matrices are right. Now the vectors: six biases, and a gain and a bias for each of the two norms.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff, attention=3, biases=3 * d_model + d_ff + d_model),
            "Attention has four maps, not three: query, key, value, and the output map that mixes the heads.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(
                d_model, d_ff, attention=3 * n_heads + 1, biases=(3 * n_heads + 1) * d_model + d_ff + d_model
            ),
            "You gave each head full d_model × d_model maps. The heads share them out: each is d_model / n_heads "
            "wide, so all heads together have one d_model × d_model map each for query, key and value.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, 4 * d_model),
            "You took 4 · d_model for the hidden width. That is the usual choice; here it is `d_ff`.",
        ),
        Misconception(
            lambda d_model, n_heads, d_ff: _count(d_model, d_ff, ff=1, biases=4 * d_model + d_ff),
            "The feed-forward has two matrices, up and down, each with its bias. You counted one.",
        ),
    ],
    hints=(
        "A linear map from a to b numbers has how many weights, and how many biases?",
        "Make a list: four maps in attention, two in the feed-forward, two norms. Does the number of heads matter?",
        "4(d² + d) for attention, (d·f + f) + (f·d + d) for the feed-forward, 4d for the norms.",
    ),
    why="4d² + 2·d·f + 9d + f. With f = 4d that is 12d² and a little: the rule of thumb for the size of a "
    "transformer, 12 · n_layers · d_model². The number of heads does not appear in it.",
    starter="""\
def block_parameters(d_model, n_heads, d_ff):       # three whole numbers
    ...                                             # → how many numbers a block with all its biases learns
""",
    see="Two thirds of the numbers",
)

EXERCISES = [LAYER_NORM, RMS_NORM, PRE_NORM_BLOCK, FEED_FORWARD, COUNT_PARAMETERS, DROPOUT]
