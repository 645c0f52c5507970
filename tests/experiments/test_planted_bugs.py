from dataclasses import replace

import pytest
import torch

from course_lib.experiments import planted_bugs
from course_lib.models.gpt import GPTConfig

CONFIG = GPTConfig(vocab_size=40, context_length=12, d_model=16, n_heads=2, n_layers=3)
TOKENS = torch.randint(40, (2, 10), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def models():
    return planted_bugs.make_all(CONFIG)


def moved_by_the_last_token(model):
    changed = TOKENS.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 40
    with torch.no_grad():
        return (model(changed).logits - model(TOKENS).logits).abs().amax(dim=(0, 2))


def in_two_pieces(model):
    cache = model.new_cache(batch=2)
    with torch.no_grad():
        return torch.cat([model(part, cache=cache).logits for part in TOKENS.split([4, 6], dim=1)], dim=1)


@pytest.mark.parametrize("name", planted_bugs.BUGS)
def test_each_runs_and_learns(name):
    model = planted_bugs.BUGS[name](CONFIG)
    output = model(TOKENS[:, :-1], TOKENS[:, 1:])
    assert output.logits.shape == (2, 9, 40)
    output.loss.backward()
    assert model.token_embedding.weight.grad.any()


def test_only_the_masks_let_the_future_through(models):
    for name, model in models.items():
        leaks = bool(moved_by_the_last_token(model)[:-1].max() > 1e-6)
        assert leaks == (name in ("no causal mask", "mask transposed")), name


def test_counts_are_wrong_where_parameters_are_shared_lost_or_doubled(models):
    right = models["no bug"].count_parameters()
    block = sum(parameter.numel() for parameter in models["no bug"].blocks[0].parameters())
    off = {name: model.count_parameters() - right for name, model in models.items()}
    assert {name: count for name, count in off.items() if count} == {
        "one block, listed n times": -2 * block,
        "blocks in a Python list": -3 * block,
        "read-out is a copy": 40 * 16,
    }


def test_positions_that_restart_show_in_the_second_piece_alone(models):
    with torch.no_grad():
        whole = models["positions restart"](TOKENS).logits
    torch.testing.assert_close(whole, models["no bug"](TOKENS).logits)
    pieces = in_two_pieces(models["positions restart"])
    torch.testing.assert_close(pieces[:, :4], whole[:, :4])
    assert (pieces[:, 4:] - whole[:, 4:]).abs().max() > 1e-3
    torch.testing.assert_close(in_two_pieces(models["no bug"]), whole)


def test_torchs_start_is_sure_of_the_token_that_stands_there():
    torch.manual_seed(0)
    model = planted_bugs.default_start(replace(CONFIG, d_model=128))
    assert model.unembedding.weight is model.token_embedding.weight
    with torch.no_grad():
        assert torch.equal(model(TOKENS).logits.argmax(dim=-1), TOKENS)


def test_the_final_norm_is_there_and_not_called(models):
    model = models["final norm not called"]
    assert dict(model.named_parameters()).keys() == dict(models["no bug"].named_parameters()).keys()
    x = torch.randn(2, 16)
    assert model.final_norm(x) is x


def test_the_suspect_is_one_of_them():
    assert planted_bugs.suspect in planted_bugs.BUGS.values() and planted_bugs.suspect is not planted_bugs.right
