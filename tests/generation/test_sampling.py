"""The loop of generation: cached or not, streamed or not, for one text or many of unequal length."""

import itertools
import warnings

import pytest
import torch

from course_lib.generation import generate, stream
from course_lib.generation.sampling import RACE_UP_TO, Endings, draw
from course_lib.text.tokenizers import BPETokenizer, CharTokenizer
from tests.generation.conftest import make_gpt

PROMPT = torch.tensor([[1, 2, 3], [4, 5, 6]])
UNEQUAL = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [2]]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_temperature_zero_is_greedy(gpt):
    greedy = generate(gpt, PROMPT, 4, temperature=0.0)
    tokens = PROMPT
    for _ in range(4):
        tokens = torch.cat([tokens, gpt(tokens).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(greedy, tokens)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The text fills")
@pytest.mark.parametrize("positions", ["learned", "rotary", "alibi", "relative", "none"])
def test_the_cache_changes_nothing_even_past_the_context(positions):
    model = make_gpt(context_length=12, positions=positions)
    runs = [generate(model, PROMPT, 20, use_cache=cached, generator=seeded(3)) for cached in (True, False)]
    assert torch.equal(*runs)
    assert runs[0].shape == (2, 23)
    lists = [generate(model, UNEQUAL, 20, use_cache=cached, generator=seeded(3)) for cached in (True, False)]
    assert lists[0] == lists[1]
    assert [len(row) for row in lists[0]] == [23, 21, 25, 21]


@pytest.mark.parametrize("cached", [True, False])
def test_past_the_context_the_window_slides_and_says_so_once(cached):
    model = make_gpt(context_length=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = generate(model, PROMPT[:1], 10, temperature=0.0, use_cache=cached)  # the tenth needs 12 tokens
    with pytest.warns(UserWarning, match="fills this model's context of 12 tokens") as said:
        run = generate(model, PROMPT[:1], 14, temperature=0.0, use_cache=cached)
    assert len(said) == 1
    assert torch.equal(run[:, :13], whole)
    for end in range(13, 17):
        expected = model(run[:, end - 12 : end]).logits[0, -1].argmax()
        assert run[0, end] == expected


def test_a_token_is_drawn_as_multinomial_draws_it():
    probabilities = torch.rand(500, 40).softmax(-1)
    probabilities[:, ::3] = 0
    drawn, expected = (torch.Generator().manual_seed(5) for _ in range(2))
    for _ in range(3):
        found = torch.multinomial(probabilities, 1, generator=expected)[:, 0]
        assert torch.equal(draw(probabilities, drawn), found)
    assert (found % 3 != 0).all()


@pytest.mark.slow
def test_tokens_of_a_large_vocabulary_are_drawn_with_their_probabilities():
    vocab_size, draws = 2 * RACE_UP_TO, 40_000
    probabilities = torch.zeros(vocab_size)
    probabilities[[0, 5, 4000, vocab_size - 1]] = torch.tensor([0.1, 0.2, 0.3, 0.4]) * 3  # need not add up to 1
    rows = probabilities.expand(draws // 100, -1)
    drawn = torch.cat([draw(rows, torch.Generator().manual_seed(seed)) for seed in range(100)])
    counts = torch.bincount(drawn, minlength=vocab_size)
    expected = probabilities / probabilities.sum() * draws
    assert (counts[expected == 0] == 0).all()
    possible = expected > 0
    chi_square = ((counts - expected)[possible].square() / expected[possible]).sum()
    assert chi_square < 16.3  # exceeded once in a thousand with 3 degrees of freedom


def test_texts_of_unequal_length_are_continued_as_if_alone(gpt):
    together = generate(gpt, UNEQUAL, 10, temperature=0.0)
    alone = [generate(gpt, [text], 10, temperature=0.0)[0] for text in UNEQUAL]
    assert together == alone
    tensors = generate(gpt, [torch.tensor(text) for text in UNEQUAL], 10, temperature=0.0)
    assert tensors == alone


def test_a_list_of_equal_lengths_is_the_tensor_of_them(gpt):
    rows = generate(gpt, PROMPT.tolist(), 6, generator=seeded())
    assert rows == generate(gpt, PROMPT, 6, generator=seeded()).tolist()


def test_the_same_seed_gives_the_same_text(gpt):
    first, again, other = (generate(gpt, PROMPT, 12, 1.5, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_stream_yields_what_generate_answers(gpt):
    streamed = torch.stack(list(stream(gpt, PROMPT, 9, temperature=1.2, generator=seeded())), dim=1)
    assert torch.equal(streamed, generate(gpt, PROMPT, 9, temperature=1.2, generator=seeded())[:, 3:])


def test_a_stream_computes_a_token_only_when_it_is_asked_for(gpt):
    generator = seeded()
    steps = stream(gpt, PROMPT, 20, generator=generator)
    before = generator.get_state()
    next(steps)
    one = generator.get_state()
    assert not torch.equal(before, one)
    assert list(itertools.islice(steps, 0)) == []
    assert torch.equal(generator.get_state(), one)


def test_streaming_leaves_the_model_in_its_mode(gpt):
    gpt.train()
    next(iter(stream(gpt, PROMPT, 3)))
    assert gpt.training
    gpt.eval()
    list(stream(gpt, PROMPT, 3))
    assert not gpt.training


def test_what_is_generated_may_enter_training(gpt):
    """Tensors made in inference mode may not; these are ordinary ones."""
    tokens = generate(gpt, PROMPT, 3)
    gpt(tokens[:, :-1], tokens[:, 1:]).loss.backward()
    token = next(stream(gpt, PROMPT, 1))
    gpt(token[None], token[None]).loss.backward()
    gpt.zero_grad()


def test_a_finished_sequence_stays_finished(gpt):
    run = generate(gpt, PROMPT.repeat(20, 1), 9, stop_id=7, generator=seeded())
    for row in run[:, 3:].tolist():
        if 7 in row:
            assert set(row[row.index(7) :]) == {7}
    assert any(7 in row for row in run[:, 3:-1].tolist())
    rows = generate(gpt, PROMPT.repeat(20, 1).tolist(), 9, stop_id=7, generator=seeded())
    for row, whole in zip(rows, run.tolist(), strict=True):
        assert row == whole[: len(row)]
        assert 7 not in row[3:-1]
        assert len(row) == 12 or row[-1] == 7


def test_generation_ends_when_all_are_finished(gpt):
    stop = generate(gpt, PROMPT[:1], 1, temperature=0.0)[0, -1].item()
    assert generate(gpt, PROMPT[:1], 50, temperature=0.0, stop_id=stop).shape == (1, 4)


def test_no_new_token(gpt):
    assert torch.equal(generate(gpt, PROMPT, 0), PROMPT)
    assert generate(gpt, UNEQUAL, 0) == UNEQUAL


def test_a_penalty_keeps_a_text_from_repeating_itself(gpt):
    repeated = [
        len(set(generate(gpt, PROMPT[:1], 12, temperature=0.0, repetition_penalty=penalty)[0].tolist()))
        for penalty in (1.0, 5.0)
    ]
    assert repeated[1] > repeated[0]
    cached, anew = (
        generate(gpt, UNEQUAL, 12, repetition_penalty=1.5, use_cache=use_cache, generator=seeded())
        for use_cache in (True, False)
    )
    assert cached == anew


class TestStopStrings:
    tokenizer = CharTokenizer.train(["abcdefghijkl"])

    def test_a_text_ends_with_the_token_that_completes_one(self, gpt):
        free = generate(gpt, [[1]], 12, generator=seeded(), temperature=3.0)[0]
        text = self.tokenizer.decode(free[1:])
        stop = text[4:6]
        stopped = generate(
            gpt, [[1]], 12, generator=seeded(), temperature=3.0, stop_strings=stop, tokenizer=self.tokenizer
        )[0]
        assert stopped == free[: 1 + text.index(stop) + 2]

    def test_the_prompt_does_not_count(self):
        ends = Endings(1, None, ["ab"], self.tokenizer)
        ends.take(torch.tensor([2]))  # "b", after a prompt that ends in "a"
        assert not ends.all_finished

    def test_one_text_of_several(self, gpt):
        stop = ["ab", "c"]
        rows = generate(
            gpt, PROMPT.repeat(8, 1).tolist(), 12, temperature=3.0, generator=seeded(), stop_strings=stop,
            tokenizer=self.tokenizer,
        )  # fmt: skip
        assert len({len(row) for row in rows}) > 1
        for row in rows:
            assert not any(s in self.tokenizer.decode(row[3:-1]) for s in stop)
            assert len(row) == 15 or any(self.tokenizer.decode(row).endswith(s) for s in stop)

    def test_a_character_of_several_tokens(self):
        tokenizer = BPETokenizer.train(["abc"], vocab_size=257)
        ends = Endings(1, None, ["学!"], tokenizer)
        for index in tokenizer.encode("ab学"):
            ends.take(torch.tensor([index]))
            assert not ends.all_finished
        ends.take(torch.tensor(tokenizer.encode("!")))
        assert ends.all_finished

    @pytest.mark.parametrize(
        ("stop", "tokenizer", "message"),
        [("a", None, "give the tokenizer"), (["a", ""], tokenizer, "A stop string is empty")],
    )
    def test_bad_ones(self, gpt, stop, tokenizer, message):
        with pytest.raises(ValueError, match=message):
            generate(gpt, PROMPT, 1, stop_strings=stop, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (torch.zeros(1, 0, dtype=torch.long), "The prompt is empty"),
        ([[1], []], "Prompt 1 of 2 is empty"),
        ([], "There is no prompt"),
        (torch.zeros(1, 25, dtype=torch.long), r"25 tokens long, but this model's context is 24.*tokens\[:, -24:\]"),
        ([[1], [1] * 30], "Prompt 1 of 2 is 30 tokens long"),
        (torch.tensor([[1, 13]]), "Token 13 is outside the vocabulary"),
    ],
)
@pytest.mark.parametrize("cached", [True, False])
def test_bad_prompts(gpt, prompt, message, cached):
    with pytest.raises(ValueError, match=message):
        generate(gpt, prompt, 1, use_cache=cached)


def test_prompts_of_the_wrong_form(gpt, shapes_unchecked):
    with pytest.raises(ValueError, match=r"write tokens\[None\]"):
        generate(gpt, torch.tensor([1, 2]), 1)
    with pytest.raises(ValueError, match=r"write \[ids\]"):
        generate(gpt, [1, 2], 1)
    with pytest.raises(ValueError, match="max_new_tokens must be 0 or more, but it is -1"):
        generate(gpt, PROMPT, -1)
