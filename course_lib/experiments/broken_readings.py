"""Tools of interpretation with one thing wrong each: all run, and what they answer looks fine. For lesson 16.

Each function does what its name says but for one slip that is common in notebooks; the lesson finds each by an
invariant that its output, or the model after it, must obey.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.interpret.probes import fit_probe
from course_lib.models.gpt import GPT


@contextmanager
def head_off(model: GPT, layer: int, head: int) -> Iterator[None]:
    """Within the `with`, one head says nothing. (The slip: its hook stays when something raises in there.)"""
    width = model.config.d_model // model.config.n_heads

    def silence(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        mixed = args[0].clone()  # (batch, time, heads × d_head)
        mixed[..., head * width : (head + 1) * width] = 0
        return (mixed, *args[1:])

    hook = model.blocks[layer].attention.output.register_forward_pre_hook(silence)
    yield
    hook.remove()


def weights_of(scores: Float[Tensor, "query key"]) -> Float[Tensor, "query key"]:
    """The attention weights that a head's scores give. (The slip: the softmax runs over the queries.)"""
    return scores.softmax(dim=0)


def probe_accuracy(features: Float[Tensor, "items width"], labels: Int[Tensor, "_items"], seed: int = 0) -> float:
    """How well a probe reads labels off held-out vectors. (The slip: other items are held out, but no other words.)"""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    test, train = order[: len(order) // 3], order[len(order) // 3 :]
    return fit_probe(features[train], labels[train]).accuracy(features[test], labels[test])
