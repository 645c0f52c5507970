"""Sampling draws from the distribution it says it draws from, with and without a cache."""

import pytest
import torch
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from course_lib.generation import generate, next_token_probabilities, stream
from course_lib.models.gpt import GPT, GPTConfig


@pytest.fixture(scope="module")
def model() -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, context_length=12, d_model=16, n_heads=2, n_layers=2, positions="rotary"))
    for parameter in model.parameters():
        parameter.data *= 5  # far from uniform
    return model.eval()


PROMPT = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({"temperature": 0.7}, [TemperatureLogitsWarper(0.7)]),
        ({"top_k": 5}, [TopKLogitsWarper(5)]),
        ({"top_p": 0.6}, [TopPLogitsWarper(0.6)]),
        ({"min_p": 0.2}, [MinPLogitsWarper(0.2)]),
        (
            {"temperature": 1.5, "top_k": 20, "top_p": 0.8, "min_p": 0.1},
            [TemperatureLogitsWarper(1.5), TopKLogitsWarper(20), TopPLogitsWarper(0.8), MinPLogitsWarper(0.1)],
        ),
    ],
)
def test_probabilities_equal_those_of_transformers(settings, theirs):
    logits = torch.randn(200, 50, generator=torch.Generator().manual_seed(1)) * 3
    processed = logits.clone()
    for processor in theirs:
        processed = processor(torch.zeros(200, 1, dtype=torch.long), processed)
    torch.testing.assert_close(next_token_probabilities(logits, **settings), processed.softmax(-1))


def test_draws_follow_the_probabilities(model):
    prompts = PROMPT[:1].expand(20_000, -1)
    drawn = generate(model, prompts, 1, temperature=1.3, generator=torch.Generator().manual_seed(0))[:, -1]
    expected = next_token_probabilities(model(PROMPT[:1]).logits[0, -1], temperature=1.3)
    frequencies = torch.bincount(drawn, minlength=11) / len(drawn)
    # Five standard deviations of a binomial share, for each of eleven tokens.
    assert ((frequencies - expected).abs() < 5 * (expected * (1 - expected) / len(drawn)).sqrt() + 1e-4).all()


def test_temperature_zero_is_greedy(model):
    greedy = generate(model, PROMPT, 4, temperature=0.0)
    tokens = PROMPT
    for _ in range(4):
        tokens = torch.cat([tokens, model(tokens).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(greedy, tokens)


def test_the_cache_changes_nothing_even_past_the_context(model):
    runs = [
        generate(model, PROMPT, 20, use_cache=cached, generator=torch.Generator().manual_seed(3))
        for cached in (True, False)
    ]
    assert torch.equal(*runs)
    assert runs[0].shape == (2, 23)


def test_a_prompt_longer_than_the_context_is_read_from_its_end(model):
    prompt = torch.arange(15)[None] % 11
    expected = model(prompt[:, -12:]).logits[:, -1].argmax(-1)
    assert generate(model, prompt, 1, temperature=0.0)[:, -1].equal(expected)


def test_a_finished_sequence_stays_finished(model):
    run = generate(model, PROMPT.repeat(20, 1), 9, stop_id=7, generator=torch.Generator().manual_seed(0))
    for row in run[:, 3:].tolist():
        if 7 in row:
            assert set(row[row.index(7) :]) == {7}
    assert any(7 in row for row in run[:, 3:-1].tolist())


def test_generation_ends_when_all_are_finished(model):
    stop = generate(model, PROMPT[:1], 1, temperature=0.0)[0, -1].item()
    assert generate(model, PROMPT[:1], 50, temperature=0.0, stop_id=stop).shape == (1, 4)


def test_streaming_leaves_the_model_in_its_mode(model):
    model.train()
    next(iter(stream(model, PROMPT, 3)))
    assert model.training
    model.eval()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more, but it is -1.0"),
        ({"temperature": float("nan")}, "temperature must be 0 or more"),
        ({"top_k": 0}, "top_k .* at least 1, but it is 0"),
        ({"top_p": 0.0}, "top_p .* above 0 and at most 1, but it is 0.0"),
        ({"min_p": 1.5}, "min_p .* but it is 1.5"),
    ],
)
def test_bad_settings(model, settings, message):
    with pytest.raises(ValueError, match=message):
        generate(model, PROMPT, 1, **settings)


def test_an_empty_prompt(model):
    with pytest.raises(ValueError, match="prompt is empty"):
        generate(model, PROMPT[:, :0], 1)
