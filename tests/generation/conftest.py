"""Small models whose predictions are far from uniform, so that a slip anywhere shows."""

import pytest
import torch

from course_lib.models.gpt import GPT, GPTConfig


def make_gpt(**settings) -> GPT:
    torch.manual_seed(0)
    sizes = {"vocab_size": 13, "context_length": 24, "d_model": 32, "n_heads": 4, "n_layers": 2}
    model = GPT(GPTConfig(**{**sizes, **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name), std=0.2)
    return model.eval()


@pytest.fixture(scope="session")
def gpt() -> GPT:
    return make_gpt(positions="rotary")
