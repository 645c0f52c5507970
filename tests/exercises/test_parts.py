"""The parts of the checker by themselves: random inputs, comparison, how values are shown, solutions as code."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.exercises import Draw, Exercise
from course_lib.exercises.source import answer_name, solution_source
from course_lib.exercises.values import LINE, same, same_value, show

# ------------------------------------------------------------ Draw


def everything(draw):
    return [
        draw.normal(2, 3),
        draw.uniform(4, low=-1.0, high=1.0),
        draw.integers(0, 9, 5),
        draw.tokens(2, 6, vocab=7),
        draw.mask(3, 5),
        draw.permutation(6),
        draw.choice("abc"),
        draw.text(9),
        draw.words(4),
        draw.size(3, 8),
        draw.normal(),
        draw.uniform(),
        draw.integers(1, 100),
    ]


def test_same_seed_same_values_and_other_seed_others():
    one, again, other = everything(Draw(5)), everything(Draw(5)), everything(Draw(6))
    assert same(one, again) and not same(one, other)


def test_dtypes_and_ranges():
    draw = Draw(0)
    assert draw.normal(3).dtype == torch.float32 and draw.mask(3, 4).dtype == torch.bool
    tokens = draw.tokens(200, vocab=7)
    assert tokens.dtype == torch.int64 and tokens.min() == 0 and tokens.max() == 6
    assert draw.uniform(100, low=-1.0, high=0.0).min() >= -1 and draw.uniform(100, low=-1.0, high=0.0).max() <= 0
    assert draw.mask(500, 3, keep=0.01).any(dim=-1).all()
    assert isinstance(draw.integers(0, 5), int) and isinstance(draw.normal(), float)
    assert sorted(draw.permutation(6).tolist()) == list(range(6))


def test_sizes_are_replaced_wherever_they_occur():
    draw = Draw(0, sizes={8: 2, 5: 1})
    n = draw.size(5)
    assert draw.normal(2, 5, 8).shape == (2, 1, 2) and len(draw.text(8)) == 2
    assert n == 1 and draw.normal(n, 8).shape == (1, 2)
    assert Draw(0, sizes={2: 1, 5: 2}).normal(Draw(0, sizes={5: 2}).size(5)).shape == (2,), "not a second time"
    assert draw.sizes_used == {2, 5, 8}


def test_plain_numbers_are_rounded():
    values = Draw(3, plain=True).normal(50)
    assert torch.equal(values, (values * 10).round() / 10)


def test_fill_goes_by_name():
    small, large = nn.Linear(3, 4), nn.Sequential(nn.Linear(3, 4))
    Draw(1).fill(small)
    weight = small.weight.clone()
    assert torch.equal(Draw(1).fill(nn.Linear(3, 4)).weight, weight)
    assert not torch.equal(Draw(2).fill(nn.Linear(3, 4)).weight, weight)
    assert not torch.equal(Draw(1).fill(large)[0].weight, weight)
    assert not small.training


# ------------------------------------------------------------ comparison

EQUAL = [
    (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-5])),
    (torch.tensor([1.0], dtype=torch.float64), torch.tensor([1.0])),
    (torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([1.01])),
    (torch.tensor([1e-9]), torch.tensor([0.0])),
    (torch.tensor([math.nan, math.inf]), torch.tensor([math.nan, math.inf])),
    (torch.tensor(2.0), 2.0),
    (np.float32(0.1), 0.1),
    ((1, [2.0]), [1, (2.0,)]),
    ({"a": torch.ones(2)}, {"a": torch.ones(2)}),
    ("text", "text"),
    (np.int32(3), 3),
    (torch.tensor([3], dtype=torch.int32), torch.tensor([3])),
]
DIFFERENT = [
    (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.01])),
    (torch.tensor([1.0], dtype=torch.float64), torch.tensor([1.0 + 1e-5], dtype=torch.float64)),
    (torch.tensor([1]), torch.tensor([1.0])),
    (torch.tensor([1]), torch.tensor([True])),
    (torch.ones(2), torch.ones(2, 1)),
    (torch.ones(1), 1.0),
    (torch.ones(2), np.ones(2, dtype=np.float32)),
    (torch.tensor([math.nan]), torch.tensor([0.0])),
    (torch.tensor([math.inf]), torch.tensor([-math.inf])),
    (1, True),
    ("text", "Text"),
    ([1, 2], [1]),
    ({"a": 1}, {"b": 1}),
    (10**9, 10**9 + 1),
    (None, 0),
    ("1", 1),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_same(one, other):
    assert same(one, other) and same(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_same(one, other):
    assert not same(one, other) and not same(other, one)


def test_a_typed_answer():
    assert same_value("  The   Cat", "the cat") and same_value(0.3334, 1 / 3)
    assert same_value([1, 2], torch.tensor([1, 2])) and same_value({"a"}, {"a"})
    assert not same_value("cat", "the cat") and not same_value(0.34, 1 / 3) and not same_value("42", 42)


# ------------------------------------------------------------ showing values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor([[0.5, -1.25]]), "[[0.5, -1.25]]"),
        (torch.tensor([True, False]), "[True, False]"),
        (torch.tensor(1 / 3), "0.3333"),
        (np.array([math.nan, math.inf]), "[nan, inf]"),
        ([1, 0.123456, "a"], "[1, 0.1235, 'a']"),
        ((torch.ones(2), 3), "([1, 1], 3)"),
        ("two\nlines", "'two\\nlines'"),
        (None, "None"),
    ],
)
def test_show(value, text):
    assert show(value) == text


@pytest.mark.parametrize("value", [torch.randn(50, 60), "x" * 9999, list(range(9999)), {n: n for n in range(999)}])
def test_show_stays_short(value):
    assert len(show(value)) <= 2 * LINE and "\n" not in show(value)


def test_show_says_the_shape_of_what_it_cuts():
    assert show(torch.zeros(50, 60)).startswith("shape (50, 60), beginning with [0, 0")


# ------------------------------------------------------------ solutions as code


def named(x):
    return x + 1


def exercise(**fields):
    return Exercise(id="98.1", title="", inputs=lambda draw: (draw.normal(3),), **fields)


def test_a_named_function_is_its_source():
    assert solution_source(exercise(solution=named, starter="def named(x): ...")) == "def named(x):\n    return x + 1"


def test_a_lambda_becomes_a_function_of_the_starters_name():
    starter = "def f(x, y=2): ..."
    written = Exercise(id="98.2", title="", inputs=lambda draw: (1,), solution=lambda x, y=2: x * y, starter=starter)
    assert solution_source(written) == "def f(x, y=2):\n    return x * y"


def test_given_code_comes_first():
    given = exercise(solution=named, solution_code="\n    def g(x):\n        return x\n", starter="def g(x): ...")
    assert solution_source(given) == "def g(x):\n    return x"


def test_no_code_to_be_found_is_said():
    with pytest.raises(ValueError, match=r"Exercise 98\.1: give the solution the starter's name, h,"):
        solution_source(exercise(solution=named, starter="def h(x): ..."))
    with pytest.raises(ValueError, match=r"defines no function, class or variable"):
        answer_name(exercise(solution=named, starter="1 + 1"))
