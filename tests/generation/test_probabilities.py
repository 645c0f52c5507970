"""The probabilities equal those of transformers' processors exactly, and draws follow them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_lib.generation import generate, next_token_probabilities
from tests.generation.conftest import make_gpt

THEIRS = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}  # in the order in which transformers applies them


def their_probabilities(logits, tokens, settings):
    processors = LogitsProcessorList([THEIRS[name](settings[name]) for name in THEIRS if name in settings])
    return processors(tokens, logits.clone()).softmax(-1)


def our_probabilities(logits, tokens, settings):
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, tokens, True)
    return next_token_probabilities(logits, seen=seen, **settings)


KNOBS = {
    "temperature": [0.3, 0.7, 2.0],
    "top_k": [1, 5, 50, 80],
    "top_p": [0.05, 0.6, 1.0],
    "min_p": [0.02, 0.3, 1.0],
    "repetition_penalty": [0.8, 1.3],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in KNOBS for value in KNOBS[name]])
def test_each_knob_equals_that_of_transformers(name, value):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(200, 50, generator=generator) * 3
    tokens = torch.randint(50, (200, 12), generator=generator)
    expected = their_probabilities(logits, tokens, {name: value})
    assert_close(our_probabilities(logits, tokens, {name: value}), expected)


@given(
    seed=st.integers(0, 10_000),
    settings=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0.2, 3),
            "top_k": st.integers(1, 40),
            "top_p": st.floats(0.05, 1),
            "min_p": st.floats(0.01, 1),
            "repetition_penalty": st.floats(0.5, 2),
        },
    ),
)
def test_all_knobs_together_equal_those_of_transformers(seed, settings):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 30, generator=generator) * 2
    tokens = torch.randint(30, (4, 5), generator=generator)
    expected = their_probabilities(logits, tokens, settings)
    assert_close(our_probabilities(logits, tokens, settings), expected, rtol=1e-4, atol=1e-6)


def test_temperature_0_is_the_limit_of_low_temperatures():
    logits = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    assert_close(next_token_probabilities(logits, temperature=0.0), next_token_probabilities(logits, temperature=1e-4))


def p_value(counts, probabilities) -> float:
    """Of the χ² test: how often counts from these probabilities would lie at least as far off."""
    expected = probabilities * counts.sum()
    usual = expected >= 5  # where the approximation holds; the rest is one class
    counts, expected = (torch.cat([x[usual], x[~usual].sum()[None]]).double() for x in (counts, expected))
    counts, expected = counts[expected > 1e-6], expected[expected > 1e-6]
    if len(counts) == 1:
        return 1.0
    statistic = ((counts - expected) ** 2 / expected).sum()
    return torch.special.gammaincc(torch.tensor((len(counts) - 1) / 2).double(), statistic / 2).item()


def test_the_chi_square_test_finds_a_wrong_distribution():
    counts = torch.tensor([520, 480])
    assert abs(p_value(counts, torch.tensor([0.5, 0.5])) - 0.2059) < 1e-4  # χ² = 1.6, one degree of freedom
    assert p_value(torch.tensor([580, 420]), torch.tensor([0.5, 0.5])) < 1e-5


SETTINGS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.8, "top_k": 5},
    {"top_p": 0.7},
    {"min_p": 0.1},
    {"temperature": 1.5, "top_k": 9, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.4},
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("use_cache", [True, False])
def test_what_is_drawn_follows_the_probabilities(settings, use_cache):
    """A χ² test on the second drawn token given the first, with a fixed seed: p = 0.001 is the limit."""
    model = make_gpt(vocab_size=8, context_length=8)
    prompt, draws = torch.tensor([[1, 2, 3]]), 6_000
    generator = torch.Generator().manual_seed(5)
    drawn = generate(model, prompt.expand(draws, -1), 2, generator=generator, use_cache=use_cache, **settings)[:, 3:]
    for first in range(8):
        after = drawn[drawn[:, 0] == first][:, 1]
        text = torch.cat([prompt, torch.tensor([[first]])], dim=1)
        expected = our_probabilities(model(text).logits[:, -1].detach(), text, settings)[0]
        counts = torch.bincount(after, minlength=8)
        assert (counts[expected == 0] == 0).all()
        if len(after) >= 100:
            assert p_value(counts, expected) > 0.001


def test_two_rows_are_drawn_independently():
    model = make_gpt(vocab_size=4, context_length=8)
    generator = torch.Generator().manual_seed(0)
    drawn = generate(model, torch.tensor([[1, 2]]).expand(3_000, -1), 1, generator=generator)[:, -1].view(-1, 2)
    counts = torch.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16)
    probabilities = next_token_probabilities(model(torch.tensor([[1, 2]])).logits[0, -1].detach())
    assert p_value(counts, (probabilities[:, None] * probabilities).flatten()) > 0.001


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more, but it is -1.0"),
        ({"temperature": float("nan")}, "temperature must be 0 or more"),
        ({"temperature": float("inf")}, "temperature must be 0 or more"),
        ({"top_k": 0}, "top_k .* at least 1, but it is 0"),
        ({"top_p": 0.0}, "top_p .* above 0 and at most 1, but it is 0.0"),
        ({"top_p": 1.01}, "top_p .* above 0 and at most 1, but it is 1.01"),
        ({"min_p": 1.5}, "min_p .* but it is 1.5"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0, but it is 0.0"),
    ],
)
def test_settings_outside_their_range(gpt, settings, message):
    with pytest.raises(ValueError, match=message):
        next_token_probabilities(torch.zeros(1, 5), **settings)
    with pytest.raises(ValueError, match=message):
        generate(gpt, torch.tensor([[1]]), 1, **settings)
