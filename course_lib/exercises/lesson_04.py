"""The exercises of lesson 04: the permutation test, sinusoids, the shift matrix, ALiBi, rotary, interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.exercises.draw import Draw
from course_lib.exercises.exercise import Exercise, Misconception
from course_lib.nn.attention import causal_mask, scaled_dot_product_attention
from course_lib.nn.positions import sinusoidal_encoding

# ------------------------------------------------------------------ 04.1


@dataclass(frozen=True)
class NamedLayer:
    """A layer under test, shown to the learner by its name."""

    name: str
    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's output, (time, d_model)."""
        return self.function(x)

    def __repr__(self) -> str:
        return self.name


def layers_to_test(draw: Draw) -> tuple[list[NamedLayer], Tensor]:
    """Six layers, two of them equivariant, and an input for them."""
    x, weight = draw.normal(7, 6), draw.normal(6, 6)
    places = torch.arange(x.shape[0])[:, None].float()

    def attend(x: Tensor, causal: bool = False) -> Tensor:
        mask = causal_mask(x.shape[0]) if causal else None
        return scaled_dot_product_attention(x @ weight, x, x, mask)[0]

    return [
        NamedLayer("attention", attend),
        NamedLayer("causal attention", lambda x: attend(x, causal=True)),
        NamedLayer("attention over tokens plus positions", lambda x: attend(x + places)),
        NamedLayer("a linear map of each token", lambda x: x @ weight),
        NamedLayer("average with both neighbours", lambda x: (x.roll(1, 0) + x + x.roll(-1, 0)) / 3),
        NamedLayer("mean of all tokens plus the position", lambda x: x.mean(dim=0) + places),
    ], x


def for_all_layers(is_equivariant: Callable[..., bool], draw: Draw) -> Callable[..., list[bool]]:
    """The learner's test, applied to each layer."""
    return lambda layers, x: [is_equivariant(layer, x) for layer in layers]


def is_equivariant(layer, x):
    """Whether the layer moves its outputs along when its inputs are moved."""
    order = torch.randperm(x.shape[0])
    return torch.allclose(layer(x[order]), layer(x)[order], atol=1e-4)


def _undo_properly(layer, x):
    order = torch.randperm(x.shape[0])
    return bool((layer(x[order])[order.argsort()] - layer(x)).abs().max() < 1e-4)


def _with_matrix(layer, x):
    permutation = torch.eye(x.shape[0])[torch.randperm(x.shape[0])]
    return torch.allclose(layer(permutation @ x), permutation @ layer(x), atol=1e-4)


def _invariant(layer, x):
    order = torch.randperm(x.shape[0])
    return torch.allclose(layer(x[order]), layer(x), atol=1e-4)


def _permuted_twice(layer, x):
    order = torch.tensor([*range(1, x.shape[0]), 0])
    return torch.allclose(layer(x[order])[order], layer(x), atol=1e-4)


def _features(layer, x):
    order = torch.randperm(x.shape[1])
    return torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-4)


def _only_reversed(layer, x):
    return torch.allclose(layer(x.flip(0)), layer(x).flip(0), atol=1e-4)


def _shapes(layer, x):
    return layer(x.flip(0)).shape == layer(x).shape


PERMUTATION_TEST = Exercise(
    id="04.1",
    title="A test for order blindness",
    inputs=layers_to_test,
    build=for_all_layers,
    solution=is_equivariant,
    also_right=[_undo_properly, _with_matrix],
    misconceptions=[
        Misconception(
            _invariant,
            "You compare layer(x[order]) with layer(x). That tests *invariance*: that nothing at all changes. In an "
            "equivariant layer the outputs move along with their tokens, so plain attention fails your test.",
        ),
        Misconception(
            _permuted_twice,
            "You tried to undo the shuffle by applying the same order again. That only works for a swap; the order "
            "that undoes `order` is order.argsort(). Or shuffle the other side: layer(x)[order].",
        ),
        Misconception(
            _features,
            "You shuffled the 6 features. Tokens are the rows, the first axis: x[order], with one entry per token.",
        ),
        Misconception(
            _only_reversed,
            "You only reversed the tokens, or shifted them round. The layer that averages each token with both "
            "neighbours passes that, because neighbours stay neighbours: it does know who is next to whom. Use a "
            "random order.",
        ),
        Misconception(
            _shapes,
            "You compare shapes, and those are the same for all six layers. Compare the values, with some tolerance.",
        ),
    ],
    hints=(
        "If the layer is blind to order, what should the output of shuffled tokens be, compared with the output of "
        "the tokens in their old order?",
        "`order = torch.randperm(x.shape[0])` and `x[order]` shuffle the rows. What do you do to layer(x)?",
        "Compare layer(x[order]) with layer(x)[order] by torch.allclose, with atol=1e-4: sums in another order differ "
        "in the last digits.",
    ),
    why="f(P x) = P f(x) for a random P is a test in two lines that needs no look inside the layer. One failure proves "
    "that order matters; a pass on random numbers is not a proof, but a counterexample would show almost surely.",
    starter="""\
def is_equivariant(layer, x):           # layer: (time, d_model) → (time, d_model)
    ...                                 # → True or False
""",
    see="The proof, and the test",
)

# ------------------------------------------------------------------ 04.2


def _angles(length: int, d_model: int, exponents: Tensor) -> Tensor:
    return torch.arange(length)[:, None] / 10_000**exponents


def _interleaved(angles: Tensor) -> Tensor:
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def sinusoidal(length, d_model):
    """The solution of 04.2."""
    position = torch.arange(length)[:, None]
    angles = position / 10_000 ** (torch.arange(0, d_model, 2) / d_model)
    encoding = torch.zeros(length, d_model)
    encoding[:, 0::2] = angles.sin()
    encoding[:, 1::2] = angles.cos()
    return encoding


def _pair_exponents(d_model: int) -> Tensor:
    return torch.arange(0, d_model, 2) / d_model


def _own_frequency_each(length, d_model):
    angles = _angles(length, d_model, torch.arange(d_model) / d_model)
    return torch.where(torch.arange(d_model) % 2 == 0, angles.sin(), angles.cos())


SINUSOIDAL = Exercise(
    id="04.2",
    title="The sinusoidal encoding",
    inputs=lambda draw: (draw.size(9), 2 * draw.size(4)),
    solution=sinusoidal,
    also_right=[
        lambda length, d_model: _interleaved(_angles(length, d_model, _pair_exponents(d_model))),
        lambda length, d_model: sinusoidal_encoding(length, d_model),
    ],
    misconceptions=[
        Misconception(
            lambda length, d_model: _interleaved(_angles(length, d_model, torch.zeros(d_model // 2))),
            "All your clock hands turn at the same speed: the angle depends on the position only. Pair i has to be "
            "slower by the factor 10000^(2i/d_model), or positions 0 and 44 are almost the same (44 ≈ 7 turns).",
        ),
        Misconception(
            lambda length, d_model: _interleaved(_angles(length, d_model, torch.arange(d_model // 2) / d_model)),
            "Your exponent is i/d_model with i = 0, 1, 2, … counting pairs. The formula has 2i/d_model, so all your "
            "hands but the first are too fast, the slowest by a factor that nears √10000 = 100 in a wide model.",
        ),
        Misconception(
            _own_frequency_each,
            "Each of your columns has a frequency of its own. Columns 2i and 2i+1 must share one: only then are they "
            "the two coordinates of one clock hand, which a rotation can turn forwards.",
        ),
        Misconception(
            lambda length, d_model: (
                _interleaved(_angles(length, d_model, _pair_exponents(d_model)))
                .view(length, d_model // 2, 2)
                .transpose(1, 2)
                .flatten(1)
            ),
            "All sines first, then all cosines: the same numbers in another order. Some published code does this, and "
            "a model does not mind; but here, as in the paper's formula, sine and cosine of a pair are neighbours.",
        ),
        Misconception(
            lambda length, d_model: (
                _interleaved(_angles(length, d_model, _pair_exponents(d_model)))
                .view(length, d_model // 2, 2)
                .flip(2)
                .flatten(1)
            ),
            "Sine and cosine are swapped: the even columns are the sines, so position 0 reads 0, 1, 0, 1, …",
        ),
        Misconception(
            lambda length, d_model: _interleaved(
                torch.arange(1, length + 1)[:, None] / 10_000 ** _pair_exponents(d_model)
            ),
            "Your first position is 1. Positions count from 0, where all hands point the same way: 0, 1, 0, 1, …",
        ),
        Misconception(
            lambda length, d_model: _interleaved(torch.arange(length)[:, None] * 10_000 ** _pair_exponents(d_model)),
            "You multiplied by 10000^(2i/d_model). Later pairs should be slower, so divide.",
        ),
    ],
    hints=(
        "How many different speeds are there, if two columns share one?",
        "Make the angles first: a table with one row per position and one column per pair. What divides what?",
        "angles = positions[:, None] / 10000 ** (torch.arange(0, d_model, 2) / d_model); their sines go to columns "
        "0::2, their cosines to 1::2.",
    ),
    why="Each pair is a hand of a clock with its own speed. The fast ones tell neighbours apart, the slow ones tell "
    "far from near, and because the two columns of a pair share a speed, moving on is a rotation.",
    starter="""\
def sinusoidal(length, d_model):        # two numbers; d_model is even
    ...                                 # → (length, d_model)
""",
    see="Clock hands",
)

# ------------------------------------------------------------------ 04.3


def _matrix(a: float, b: float, c: float, d: float) -> Tensor:
    return torch.tensor([[a, b], [c, d]])


def shift_matrix(omega, steps):
    """The solution of 04.3."""
    angle = torch.tensor(omega * steps)
    return torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])


SHIFT_MATRIX = Exercise(
    id="04.3",
    title="The matrix that moves on",
    inputs=lambda draw: (draw.uniform(low=0.15, high=0.6), draw.integers(2, 5)),
    solution=shift_matrix,
    also_right=[
        lambda omega, steps: torch.linalg.matrix_power(
            _matrix(math.cos(omega), math.sin(omega), -math.sin(omega), math.cos(omega)), steps
        ),
    ],
    misconceptions=[
        Misconception(
            lambda omega, steps: _matrix(
                math.cos(omega * steps), -math.sin(omega * steps), math.sin(omega * steps), math.cos(omega * steps)
            ),
            "This is the rotation for pairs written (cos, sin). Ours are (sin, cos), so yours turns the hand *back* by "
            "that many steps. Check the first row: sin(a + b) = sin a · cos b + cos a · sin b.",
        ),
        Misconception(
            lambda omega, steps: _matrix(math.cos(omega), math.sin(omega), -math.sin(omega), math.cos(omega)),
            "Your matrix moves on by one step, whatever `steps` is: the angle is omega · steps.",
        ),
        Misconception(
            lambda omega, steps: _matrix(math.cos(steps), math.sin(steps), -math.sin(steps), math.cos(steps)),
            "You turn by `steps` radians. This hand makes omega radians a step, so the angle is omega · steps.",
        ),
        Misconception(
            lambda omega, steps: _matrix(
                math.cos(omega * steps), math.sin(omega * steps), math.sin(omega * steps), math.cos(omega * steps)
            ),
            "One sign is missing: cos(a + b) = cos a · cos b − sin a · sin b. Without the minus the matrix stretches "
            "the hand, and a clock hand keeps its length.",
        ),
        Misconception(
            lambda omega, steps: _matrix(
                math.sin(omega * steps), math.cos(omega * steps), math.cos(omega * steps), -math.sin(omega * steps)
            ),
            "Your rows hold sin first. Test it with 0 steps, which must change nothing: yours swaps the two numbers.",
        ),
    ],
    hints=(
        "You want sin(a + b) and cos(a + b), where a is the old angle and b the turn. Which identity do you know?",
        "sin(a + b) = sin a · cos b + cos a · sin b. Which two numbers multiply (sin a, cos a)?",
        "With b = omega · steps the rows are (cos b, sin b) and (−sin b, cos b).",
    ),
    why='The matrix has no position in it, only the distance. So one fixed linear map answers "what does the token '
    'three places on look like?" from every place: a query can be trained to ask for it.',
    starter="""\
def shift_matrix(omega, steps):         # speed of one hand in radians a step, number of steps
    ...                                 # → (2, 2); times (sin, cos) at pos gives (sin, cos) at pos + steps
""",
    see="Moving on is a rotation",
)

# ------------------------------------------------------------------ 04.4


def _distance(length: int) -> Tensor:
    return torch.arange(length)[:, None] - torch.arange(length)[None, :]  # query minus key


def same_causal_weights(one: Tensor, other: Tensor) -> bool:
    """Whether two biases give the same softmax over the past; what stands above the diagonal does not count."""
    if one.shape != other.shape:
        return False
    if one.shape[-1] != one.shape[-2]:
        return torch.allclose(one, other)
    mask = causal_mask(one.shape[-1])
    one, other = (bias.masked_fill(~mask, -math.inf).softmax(dim=-1) for bias in (one, other))
    return torch.allclose(one, other, atol=1e-5)


ALIBI = Exercise(
    id="04.4",
    title="ALiBi",
    inputs=lambda draw: (draw.uniform(3, low=0.2, high=1.0), draw.size(6)),
    solution=lambda slopes, length: (
        -slopes[:, None, None] * (torch.arange(length)[:, None] - torch.arange(length)[None, :])
    ),
    also_right=[
        lambda slopes, length: -slopes[:, None, None] * _distance(length).abs(),
        lambda slopes, length: slopes[:, None, None] * torch.arange(length).expand(3, length, length),
        lambda slopes, length: torch.einsum("h,qk->hqk", slopes, -_distance(length).float()),
    ],
    compare=same_causal_weights,
    misconceptions=[
        Misconception(
            lambda slopes, length: slopes[:, None, None] * _distance(length),
            "Your bias grows with the distance, so the *oldest* key is favoured. Far keys lose: −slope · distance.",
        ),
        Misconception(
            lambda slopes, length: -_distance(length).abs().float().expand(3, length, length),
            "Every head has slope 1. The 3 heads need their own slopes: some look close by, others see far.",
        ),
        Misconception(
            lambda slopes, length: (-slopes[:, None, None] * _distance(length)).permute(1, 2, 0),
            "The numbers are right but the heads stand last. Scores are (heads, query, key), so give slopes the shape "
            "(3, 1, 1): slopes[:, None, None].",
        ),
        Misconception(
            lambda slopes, length: -slopes[:, None, None] * (-_distance(length)).clamp(min=0),
            "All your numbers for the past are 0. Your distance is key minus query, which is negative for the past, "
            "and the clamp cut off the half that counts.",
        ),
        Misconception(
            lambda slopes, length: -slopes[:, None, None] * _distance(length) ** 2,
            "You squared the distance. ALiBi is *linear*: each step back costs a head the same.",
        ),
        Misconception(
            lambda slopes, length: slopes[:, None, None] ** _distance(length).abs(),
            "slope ** distance shrinks towards 0, so far keys lose nothing more. The bias is −slope · distance; it is "
            "the softmax that turns this into a geometric decay of the weights.",
        ),
    ],
    hints=(
        "For query 5 and key 2, how far back is the key? And what should that cost in a head of slope 0.5?",
        "Make the table of distances (query, key) by subtracting a row from a column of torch.arange(length).",
        "-slopes[:, None, None] * distance has the shape (heads, query, key).",
    ),
    why="A penalty in the score is a factor in the weight: each step back multiplies it by e^(−slope). A constant per "
    "row cancels in the softmax, so slope · key is the same bias as −slope · (query − key); the checker accepts both.",
    starter="""\
def alibi(slopes, length):              # (heads,), a number
    ...                                 # → (heads, query, key), to be added to causal scores
""",
    see="ALiBi: distance costs",
)

# ------------------------------------------------------------------ 04.5


def rotate(x, angles):
    """The solution of 04.5."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _complex(x, angles):
    first, second = x.chunk(2, dim=-1)
    turned = torch.complex(first, second) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1)


def _half_swapped(x, angles):
    first, second = x.chunk(2, dim=-1)
    twice = torch.cat([angles, angles], dim=-1)
    return x * twice.cos() + torch.cat([-second, first], dim=-1) * twice.sin()


def _neighbours(x, angles):
    even, odd = x[:, 0::2], x[:, 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(1)


def _no_minus(x, angles):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * angles.cos() + second * angles.sin(), second * angles.cos() + first * angles.sin()], -1)


def _overwritten(x, angles):
    first, second = x.chunk(2, dim=-1)
    first = first * angles.cos() - second * angles.sin()
    second = second * angles.cos() + first * angles.sin()
    return torch.cat([first, second], dim=-1)


ROTARY = Exercise(
    id="04.5",
    title="Rotary",
    inputs=lambda draw: (draw.normal(5, 2 * (half := draw.size(4))), draw.uniform(5, half, low=0.3, high=2.5)),
    solution=rotate,
    also_right=[_complex, _half_swapped],
    misconceptions=[
        Misconception(
            _neighbours,
            "You paired neighbours, 2i with 2i+1. That is how the RoFormer paper writes it, and a model trained so "
            "is just as good; but weights from one layout are nonsense in the other. Here i goes with i + d_head/2.",
        ),
        Misconception(
            lambda x, angles: rotate(x, -angles),
            "You turn clockwise: the two signs are swapped. Scores still depend on the distance only, and a model "
            "trained so is just as good, so the mistake hides until you load weights that were trained the other way.",
        ),
        Misconception(
            _no_minus,
            "One minus is missing, so this is no rotation: lengths change. Compare x.norm(dim=-1) before and after.",
        ),
        Misconception(
            _overwritten,
            "The second line uses the `first` that you have just overwritten. Both new halves need the *old* first.",
        ),
        Misconception(
            lambda x, angles: x * torch.cat([angles.cos(), angles.sin()], dim=-1),
            "You scaled each number by itself. A rotation mixes the two numbers of a pair.",
        ),
        Misconception(
            lambda x, angles: x + torch.cat([angles.sin(), angles.cos()], dim=-1),
            "You *added* sines and cosines: the sinusoidal encoding. Rotary turns the vector and adds nothing.",
        ),
        Misconception(
            lambda x, angles: rotate(x, torch.arange(x.shape[0])[:, None] * angles),
            "You multiplied the angles by the position once more. `angles` has one row per token already.",
        ),
    ],
    hints=(
        "Where does a turn by the angle a take the point (x, y)?",
        "(x cos a − y sin a, y cos a + x sin a). Which slice of the features is x, which is y?",
        "first, second = x.chunk(2, dim=-1); put the two new halves side by side by torch.cat(…, dim=-1).",
    ),
    why="A rotation keeps every length, and the dot product of two turned vectors depends on the difference of the "
    "angles only. Angles that are proportional to positions turn that into the distance between tokens.",
    starter="""\
def rotate(x, angles):                  # (time, d_head), (time, d_head/2) in radians
    ...                                 # → (time, d_head); feature i is paired with i + d_head/2
""",
    see="Rotary: turn, don't add",
)

# ------------------------------------------------------------------ 04.6


def squeezed_angles(length, d_head, trained):
    """The solution of 04.6."""
    position = torch.arange(length) * min(1.0, trained / length)
    return position[:, None] / 10_000 ** (torch.arange(0, d_head, 2) / d_head)


def _squeezed(position: Tensor, d_head: int, base: float = 10_000.0) -> Tensor:
    return position[:, None] / base ** (torch.arange(0, d_head, 2) / d_head)


def _by_frequency(length, d_head, trained):
    speed = 10_000.0 ** -(torch.arange(0, d_head, 2) / d_head)
    return torch.outer(torch.arange(length).float(), speed) / max(1.0, length / trained)


INTERPOLATION = Exercise(
    id="04.6",
    title="Stretch: more room for rotary",
    inputs=lambda draw: ((6, 20, 36)[draw.seed % 3], 8, 12),  # a text that fits is always among the cases
    solution=squeezed_angles,
    also_right=[_by_frequency],
    misconceptions=[
        Misconception(
            lambda length, d_head, trained: _squeezed(torch.arange(length).float(), d_head),
            "These are the plain angles: the last positions of a longer text turn further than any did in training.",
        ),
        Misconception(
            lambda length, d_head, trained: _squeezed(torch.arange(length) * trained / length, d_head),
            "You also rescale a text that fits: with 6 tokens and 12 trained positions yours are stretched by 2. "
            "Only squeeze: the factor is at most 1.",
        ),
        Misconception(
            lambda length, d_head, trained: _squeezed(torch.arange(length) * max(1.0, length / trained), d_head),
            "The factor is upside down: your positions run even further out. Squeeze by trained / length.",
        ),
        Misconception(
            lambda length, d_head, trained: _squeezed(
                (torch.arange(length) * min(1.0, trained / length)).floor(), d_head
            ),
            "You rounded to whole positions, so neighbours share one and their order is lost. Positions may be "
            "fractions: a hand can stop between two marks.",
        ),
        Misconception(
            lambda length, d_head, trained: _squeezed(torch.arange(length).clamp(max=trained - 1).float(), d_head),
            "You let all positions past the last trained one share it, so the end of the text has no order at all.",
        ),
        Misconception(
            lambda length, d_head, trained: _squeezed(
                torch.arange(length).float(), d_head, 10_000.0 * max(1.0, length / trained)
            ),
            'You raised the base. That is another published idea ("NTK-aware" scaling): it slows the slow hands and '
            "leaves the fast ones alone. Position interpolation slows all hands by the same factor.",
        ),
    ],
    hints=(
        "Position 35 was never trained, 11 was. How can 36 tokens fit between 0 and 12 and stay in order?",
        "Multiply every position by the same factor. Which, and what if the text is short enough already?",
        "torch.arange(length) * min(1, trained / length), then divide by 10000 ** (2i / d_head) as before.",
    ),
    why="Between the marks that it has been trained on, a smooth function is safer than beyond them: so Chen et al. "
    "(2023) argue. The price: neighbours are now closer than ever in training, and they fine-tune briefly afterwards.",
    starter="""\
def squeezed_angles(length, d_head, trained):   # tokens now, width of a head, tokens in training
    ...                                         # → (length, d_head/2) in radians
""",
    see="When the text is too long",
)

EXERCISES = [PERMUTATION_TEST, SINUSOIDAL, SHIFT_MATRIX, ALIBI, ROTARY, INTERPOLATION]
