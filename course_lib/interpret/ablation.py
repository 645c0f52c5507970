"""Switching heads off: the test of whether a head does what its map suggests.

A head's output is replaced before W_O mixes it with the others': by zeros, or by its mean over some texts, which
takes away what the head says about *this* text and leaves the rest of the model the input that it is used to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.interpret.reading import HeadAt, HeadLike
from course_lib.interpret.running import Inputs, run_on
from course_lib.interpret.tap import AttentionCall, AttentionTap, Edit, stacks_of


@contextmanager
def ablate(
    model: nn.Module, heads: Iterable[HeadLike], means: Mapping[HeadAt, Float[Tensor, "d_head"]] | None = None
) -> Iterator[None]:
    """Within `with ablate(model, [(0, 3), (1, 2)]):` the output of these (layer, head) pairs is zero.

    With `means` (see `head_means`) it is the head's mean instead. In an encoder–decoder a head is named
    ("encoder" | "decoder" | "cross", layer, head). The model is as before at the end, also when something raises.

    Raises ValueError for a head that there is not (when its layer runs, or at the end of the `with`), and at once
    when `means` lacks a head.

    Sources: Michel et al. 2019, "Are Sixteen Heads Really Better than One?" (zero); Wang et al. 2022,
    "Interpretability in the Wild", section 2.2 (mean).
    """
    first = next(iter(stacks_of(model)))
    edits: dict[HeadAt, Edit] = {}
    for named in heads:
        head = HeadAt(*named) if len(named) == 3 else HeadAt(first, *named)
        if means is None:
            edits[head] = torch.zeros_like
        elif head in means:
            edits[head] = _constant(means[head])
        else:
            raise ValueError(f"There is no mean for {tuple(head)}: call head_means on the same model.")
    with edit_heads(model, edits):
        yield


@contextmanager
def edit_heads(model: nn.Module, edits: Mapping[HeadAt, Edit]) -> Iterator[None]:
    """Within the `with`, each head's output (batch, query, d_head) is what its edit makes of it.

    The general form of `ablate`: an edit that returns another run's output is activation patching.
    """
    with AttentionTap(model, edits=edits):
        yield


@torch.no_grad()
def head_means(model: nn.Module, batches: Iterable[Inputs]) -> dict[HeadAt, Float[Tensor, "d_head"]]:
    """The mean output of every head over all tokens of some batches: of token ids, or of all that the model takes.

    Put the model in evaluation mode first. Raises ValueError when there are no batches.
    """
    sums: dict[HeadAt, Tensor] = {}
    counts: dict[HeadAt, int] = {}

    def add(call: AttentionCall) -> None:
        for number, output in enumerate(call.output.unbind(dim=1)):  # (batch, query, d_head)
            head = HeadAt(call.view, call.layer, number)
            sums[head] = sums.get(head, 0) + output.sum(dim=(0, 1))
            counts[head] = counts.get(head, 0) + output.shape[0] * output.shape[1]

    with AttentionTap(model, on_call=add):
        for batch in batches:
            run_on(model, batch)
    if not sums:
        raise ValueError("There is nothing to take a mean of: no batch was given, or no attention could be seen.")
    return {head: total / counts[head] for head, total in sums.items()}


def _constant(vector: Tensor) -> Edit:
    """The edit that puts one vector in the place of a head's output, at every position."""
    return lambda output: vector.to(output).expand_as(output)
