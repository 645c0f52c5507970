"""Models whose weights are large enough that a slip anywhere shows in the logits."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_lib.models.gpt import GPT, GPTConfig


def randomise(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name.lower() or "ln_" in name), std=0.2)
    return model.eval()


@pytest.fixture
def make_gpt() -> Callable[..., GPT]:
    """A GPT with random weights; what is not given is small."""

    def make(**settings) -> GPT:
        sizes = {"vocab_size": 28, "context_length": 16, "d_model": 24, "n_heads": 4, "n_layers": 2}
        return randomise(GPT(GPTConfig(**{**sizes, **settings})))

    return make
