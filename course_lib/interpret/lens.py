"""The logit lens: what a model would say if it stopped after each block.

Every block adds to one stream of vectors, and the last step turns that stream into logits. The lens takes that last
step early. It needs no knowledge of what the last step is: a run of the model itself makes it, with the stream that
leaves the last block replaced by an earlier one.

Sources: nostalgebraist 2020, "interpreting GPT: the logit lens"; Belrose et al. 2023, "Eliciting Latent Predictions
from Transformers with the Tuned Lens".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.interpret.activations import Site, block_stacks, edit_activations, record_activations

KINDS = ("bias", "affine")


class TunedLens(nn.Module):
    """A small correction for each layer's stream, so that the model's last step can read it: h + b, or h + A h + b.

    Early streams are not written for the last step: their mean lies elsewhere, and features may stand in other
    directions. Starts as no correction at all; `tune_lens` learns it.

    Args:
        n_layers: blocks of the model; the stream entering each gets a correction, the one leaving the last needs none.
        d_model: width of the stream.
        kind: "bias" (b alone) or "affine" (A too).
    """

    def __init__(self, n_layers: int, d_model: int, kind: str = "affine"):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"There is no tuned lens {kind!r}: choose from {', '.join(map(repr, KINDS))}.")
        self.bias = nn.Parameter(torch.zeros(n_layers, d_model))
        self.matrix = nn.Parameter(torch.zeros(n_layers, d_model, d_model)) if kind == "affine" else None

    def forward(self, stream: Float[Tensor, "batch time d_model"], layer: int) -> Tensor:
        """The stream that enters block `layer`, as the model's last step would like to read it."""
        added = self.bias[layer]
        return stream + added if self.matrix is None else stream + added + stream @ self.matrix[layer].T


@torch.no_grad()
def logit_lens(
    model: nn.Module, tokens: Int[Tensor, "batch time"], lens: TunedLens | None = None
) -> Float[Tensor, "layers batch time vocab_size"]:
    """The logits that the model would give from the stream that enters each block, and that leaves the last.

    Row l has seen l blocks: row 0 knows the token alone, and the last row is what the model says. The final norm is
    part of the last step, so it is applied. With `lens`, each stream is corrected before.

    For a model of one stack: raises ValueError for an encoder–decoder.
    """
    streams = streams_of(model, tokens)
    n_layers = len(streams) - 1
    if lens is not None:
        streams = [lens(stream, layer) if layer < n_layers else stream for layer, stream in enumerate(streams)]
    return torch.stack([read_out(model, tokens, stream) for stream in streams])


@torch.no_grad()
def streams_of(model: nn.Module, tokens: Int[Tensor, "batch time"]) -> list[Float[Tensor, "batch time d_model"]]:
    """The stream that enters each block, and the one that leaves the last."""
    _check_one_stack(model)
    with record_activations(model, ["stream"]) as seen:
        model(tokens)
    return [seen[site] for site in sorted(seen, key=lambda site: site.layer)]


def read_out(
    model: nn.Module, tokens: Int[Tensor, "batch time"], stream: Float[Tensor, "batch time d_model"]
) -> Float[Tensor, "batch time vocab_size"]:
    """What the model makes of a stream after its last block; `tokens` only tell it how long the text is."""
    last = Site("stream", block_stacks(model)["self"].n_layers)
    with edit_activations(model, {last: lambda _: stream}):
        return model(tokens).logits


def tune_lens(
    model: nn.Module,
    batches: Iterable[Int[Tensor, "_batch _time"]],
    kind: str = "affine",
    *,
    learning_rate: float = 0.01,
) -> TunedLens:
    """Learn a lens: one step of Adam for each batch, towards what the model says at its end.

    The loss is KL(what the model says ‖ what it would say from the corrected stream), the mean over positions and
    layers. Only the lens is trained; the model is as before. Raises ValueError when there are no batches.
    """
    lens: TunedLens | None = None
    frozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        for tokens in batches:
            *streams, last = streams_of(model, tokens)
            if lens is None:
                lens = TunedLens(len(streams), last.shape[-1], kind).to(last)
                optimizer = torch.optim.Adam(lens.parameters(), lr=learning_rate)
            target = read_out(model, tokens, last).log_softmax(dim=-1)
            loss = torch.stack(lens_losses(model, tokens, lens, streams, target)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
    if lens is None:
        raise ValueError("There is nothing to learn from: no batch was given.")
    return lens.eval()


def lens_losses(
    model: nn.Module,
    tokens: Int[Tensor, "batch time"],
    lens: TunedLens,
    streams: Sequence[Float[Tensor, "batch time d_model"]],
    target: Float[Tensor, "batch time vocab_size"],
) -> list[Float[Tensor, ""]]:
    """For each layer KL(target ‖ lens) in nats, the mean over positions; `target` holds log-probabilities."""
    losses = []
    for layer, stream in enumerate(streams):
        said = read_out(model, tokens, lens(stream, layer)).log_softmax(dim=-1)
        losses.append(F.kl_div(said.flatten(0, 1), target.flatten(0, 1), log_target=True, reduction="batchmean"))
    return losses


def _check_one_stack(model: nn.Module) -> None:
    if "self" not in (stacks := block_stacks(model)):
        raise ValueError(
            f"The logit lens reads a model of one stack, and {type(model).__name__} has {' and '.join(stacks)}."
        )
