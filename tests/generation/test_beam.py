"""Beam search finds what transformers' finds on the same weights, and what an exhaustive search finds."""

import itertools

import pytest
import torch

from course_lib.generation import beam_search, generate
from course_lib.hub import to_huggingface
from tests.generation.conftest import make_gpt

PROMPTS = torch.randint(13, (6, 4), generator=torch.Generator().manual_seed(2))


def their_beams(theirs, prompt, max_new_tokens, beams, length_penalty, early_stopping, stop_id):
    run = theirs.generate(
        prompt[None], attention_mask=torch.ones_like(prompt[None]), max_new_tokens=max_new_tokens, num_beams=beams,
        num_return_sequences=beams, length_penalty=length_penalty, early_stopping=early_stopping, eos_token_id=stop_id,
        pad_token_id=0 if stop_id is None else stop_id, do_sample=False, return_dict_in_generate=True,
        output_scores=True,
    )  # fmt: skip
    rows = []
    for row in run.sequences.tolist():
        added = row[len(prompt) :]
        length = added.index(stop_id) + 1 if stop_id in added else len(added)
        rows.append(row[: len(prompt) + length])
    return rows, run.sequences_scores.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("stop_id", [None, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("beams", [2, 5])
def test_the_beams_of_transformers(beams, length_penalty, early_stopping, stop_id):
    ours = make_gpt()
    theirs = to_huggingface(ours)
    found = beam_search(
        ours, PROMPTS, 9, beams=beams, length_penalty=length_penalty, early_stopping=early_stopping, stop_id=stop_id
    )
    for prompt, hypotheses in zip(PROMPTS, found, strict=True):
        tokens, scores = their_beams(theirs, prompt, 9, beams, length_penalty, early_stopping, stop_id)
        assert [hypothesis.tokens for hypothesis in hypotheses] == tokens
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx(scores, abs=1e-4)


def test_wide_enough_it_is_an_exhaustive_search():
    model = make_gpt(vocab_size=4)
    prompt = torch.tensor([[1, 2]])
    best = max(
        (
            model(torch.tensor([[1, 2, *added]])).logits.log_softmax(-1)[0, [1, 2, 3], list(added)].sum().item(),
            [1, 2, *added],
        )
        for added in itertools.product(range(4), repeat=3)
    )
    found = beam_search(model, prompt, 3, beams=16)[0][0]
    assert found.tokens == best[1]
    assert found.log_probability == pytest.approx(best[0], abs=1e-4)
    assert found.score == pytest.approx(best[0] / 3, abs=1e-4)


def test_one_beam_is_greedy(gpt):
    greedy = generate(gpt, PROMPTS, 8, temperature=0.0).tolist()
    assert [hypotheses[0].tokens for hypotheses in beam_search(gpt, PROMPTS, 8, beams=1)] == greedy


def test_more_beams_find_texts_at_least_as_likely_here(gpt):
    narrow, wide = (beam_search(gpt, PROMPTS, 8, beams=beams) for beams in (1, 8))
    gains = [w[0].log_probability - n[0].log_probability for n, w in zip(narrow, wide, strict=True)]
    assert min(gains) > -1e-5
    assert max(gains) > 0.01


def test_with_and_without_the_cache_for_prompts_of_unequal_length(gpt):
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8]]
    cached, anew = (beam_search(gpt, prompts, 7, stop_id=3, use_cache=use_cache) for use_cache in (True, False))
    assert [[h.tokens for h in row] for row in cached] == [[h.tokens for h in row] for row in anew]


def test_fewer_words_than_beams():
    model = make_gpt(vocab_size=2)
    found = beam_search(model, torch.tensor([[1]]), 1, beams=5)[0]
    assert sorted(hypothesis.tokens for hypothesis in found) == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beams": 0}, "beams must be at least 1, but it is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 21}, "4 tokens of prompt and 21 new ones .* context of 24: ask for at most 20"),
        ({"tokens": [[]]}, "The prompt is empty"),
    ],
)
def test_what_cannot_be_searched(gpt, settings, message):
    with pytest.raises(ValueError, match=message):
        beam_search(**{"model": gpt, "tokens": PROMPTS, "max_new_tokens": 3, **settings})


@pytest.mark.parametrize("beams", [1, 3])
def test_who_watches_sees_how_the_best_came_about(gpt, beams):
    steps = []
    settings = {"beams": beams, "length_penalty": 0.0, "stop_id": 3}
    found = beam_search(gpt, PROMPTS[:1], 8, watch=steps.append, **settings)[0]
    assert found == beam_search(gpt, PROMPTS[:1], 8, **settings)[0]  # looking changes nothing

    running, finished = [([], 0.0)], []
    for step in steps:
        assert len(step) <= 2 * beams
        assert [one.log_probability for one in step] == sorted((one.log_probability for one in step), reverse=True)
        longer = [([*running[one.parent][0], one.token], one) for one in step]
        assert all(one.log_probability < running[one.parent][1] for one in step)
        finished += [(tokens, one.log_probability) for tokens, one in longer if one.fate == "finished"]
        running = [(tokens, one.log_probability) for tokens, one in longer if one.fate == "goes on"]
        assert all(tokens[-1] != 3 for tokens, _ in running)
        assert len(running) == beams or step is steps[-1]
    finished.sort(key=lambda pair: -pair[1])
    assert [[*PROMPTS[0].tolist(), *tokens] for tokens, _ in finished[:beams]] == [one.tokens for one in found]
    assert [total for _, total in finished[:beams]] == [one.log_probability for one in found]
