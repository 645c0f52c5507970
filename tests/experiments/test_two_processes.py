"""Two processes, started by torchrun, end with the gradient of one, copied and split."""

import sys

import pytest
import torch

from course_lib.experiments.two_processes import own_rows, train_together
from course_lib.models.gpt import GPT, GPTConfig


def test_every_row_is_taken_once():
    taken = [row for rank in range(3) for row in own_rows(8, rank, 3).tolist()]
    assert taken == list(range(8))


@pytest.mark.alone
def test_together_they_have_the_gradient_of_the_whole_batch():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, context_length=8, d_model=16, n_heads=2, n_layers=2))
    tokens = torch.randint(11, (4, 9))
    model(tokens[:, :-1], tokens[:, 1:]).loss.backward()
    whole = torch.cat([p.grad.flatten() for _, p in sorted(model.named_parameters())])
    ranks = train_together(model, tokens[:, :-1], tokens[:, 1:])
    assert [had["rows"].tolist() for had in ranks] == [[0, 1], [2, 3]]
    held = 16 * model.count_parameters()
    for had in ranks:
        assert not torch.allclose(had["alone"], whole, atol=1e-3)
        torch.testing.assert_close(had["copied"], whole, atol=1e-6, rtol=1e-4)
        assert had["copied bytes"] == held
        if sys.platform != "win32":
            torch.testing.assert_close(had["split"], whole, atol=1e-6, rtol=1e-4)
            assert had["split bytes"] < 0.6 * held
