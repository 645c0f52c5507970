import math

import pytest
import torch

from course_lib.experiments import design


def test_variants_differ_from_gpt2_in_one_thing():
    base = design.make("as GPT-2", seed=1)
    wide = design.make("spread 0.1 for 0.02", seed=1)
    torch.testing.assert_close(wide.token_embedding.weight, 5 * base.token_embedding.weight)
    torch.testing.assert_close(wide.final_norm.weight, base.final_norm.weight)
    own = design.make("spread 0.1, not tied", seed=1)
    assert torch.equal(own.unembedding.weight, wide.token_embedding.weight)
    assert own.unembedding.weight is not own.token_embedding.weight


@pytest.mark.slow
def test_training_lowers_the_loss_and_repeats_itself():
    tokens = torch.arange(400) % 7
    runs = [design.train(design.make("as GPT-2", seed=0), tokens, rate=0.01, steps=25) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0][-1] < 0.7 * runs[0][0]


def test_the_rate_rises_and_ends_at_zero():
    tokens = torch.arange(400) % 7
    model = design.make("as GPT-2", seed=0)
    design.train(model, tokens, rate=0.01, steps=1)
    moved = (model.token_embedding.weight - design.make("as GPT-2", seed=0).token_embedding.weight).abs().max().item()
    assert moved == pytest.approx(0.01 / design.WARM_UP, rel=0.05)  # Adam's first step has the rate's length


def test_evaluation_is_the_mean_over_whole_windows():
    tokens = torch.randint(design.VOCAB_SIZE, (3 * design.CONTEXT + 5,))
    model = design.make("as GPT-2", seed=0)
    with torch.no_grad():
        each = [model(tokens[None, i : i + 64], tokens[None, i + 1 : i + 65]).loss.item() for i in (0, 64, 128)]
    assert design.evaluate(model, tokens) == pytest.approx(sum(each) / 3, abs=1e-4)


def test_frequencies_alone_on_tokens_that_are_all_alike():
    even = torch.arange(design.VOCAB_SIZE)
    assert design.tokens_alone(even, even) == pytest.approx(math.log(design.VOCAB_SIZE))


def test_stored_runs_hold_every_variant_rate_and_seed():
    stored = design.stored_runs()
    assert list(stored["end"]) == list(stored["start"]) == list(design.VARIANTS)
    assert stored["rates"] == list(design.RATES) and stored["steps"] == design.STEPS
    for name, table in stored["end"].items():
        assert torch.tensor(table).shape == (len(design.SEEDS), len(design.RATES)), name
        assert len(stored["start"][name]) == len(design.SEEDS)


@pytest.mark.slow
def test_stored_starts_are_those_of_today():
    others = design.load_tokens()[1]
    for name in ("as GPT-2", "torch's own start"):
        found = design.evaluate(design.make(name, seed=0), others)
        assert found == pytest.approx(design.stored_runs()["start"][name][0], rel=0.01)
