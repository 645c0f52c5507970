"""Direct logit attribution: how much of a logit each part of the model wrote itself.

What leaves the last block is a sum: the embedding, and what every head and feed-forward network added. The final norm
divides that sum by one number for each position; with this number as it was in the run, the rest is linear, and the
logit falls apart into one share for each part.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.interpret.activations import ActivationTap, Site
from course_lib.interpret.tap import AttentionCall, AttentionTap

# Where models keep their last norm, as paths; the first that is there counts.
FINAL_NORMS = ("final_norm", "transformer.ln_f", "model.norm", "gpt_neox.final_layer_norm", "transformer.norm_f")


@dataclass(frozen=True)
class Attribution:
    """A direction of the logits, share by share, at every position; all of it adds up to `total`.

    Attributes:
        heads: what each head wrote.
        mlps: what each feed-forward network wrote; None in a model that has none.
        embedding: the embedding's own share.
        constant: what does not depend on the text: the additive constants of the attentions' outputs and of the norm.
        total: the logits in this direction.
    """

    heads: Float[Tensor, "layers heads batch time"]
    mlps: Float[Tensor, "layers batch time"] | None
    embedding: Float[Tensor, "batch time"]
    constant: Float[Tensor, "batch time"]
    total: Float[Tensor, "batch time"]


@torch.no_grad()
def attribute_logits(
    model: nn.Module,
    tokens: Int[Tensor, "batch time"],
    right: Int[Tensor, "batch time"],
    wrong: Int[Tensor, "batch time"] | None = None,
) -> Attribution:
    """The logit of `right` at each position (minus that of `wrong`), as a sum of what each part wrote.

    For a decoder whose sublayers are added to the stream as they are, with one norm before the logits (pre-norm:
    GPT-2, Llama and this course's GPT). Raises ValueError for another, and for one with capped logits.
    """
    norm, unembedding = _last_step(model)
    seen: dict[Site, Tensor] = {}
    calls: list[AttentionCall] = []
    with (
        ActivationTap(model, on_activation=seen.__setitem__, parts=("stream", "attention", "mlp")),
        AttentionTap(model, on_call=calls.append),
    ):
        logits = model(tokens).logits
    n_layers = len(calls)
    stream = seen[Site("stream", n_layers)]
    direction = unembedding.weight[right] - (
        0 if wrong is None else unembedding.weight[wrong]
    )  # (batch, time, d_model)
    gain, offset, centred = _probe_norm(norm, stream)
    reader = direction * gain
    if centred:  # taking the mean off what is read is the same as taking it off the reader
        reader = reader - reader.mean(dim=-1, keepdim=True)
    divided = _scale(norm(stream) - offset, stream, gain, centred)

    def share(vectors: Tensor) -> Tensor:
        return (vectors * reader).sum(dim=-1) * divided

    heads = torch.stack([torch.stack([share(written) for written in _written(call)]) for call in calls])
    mlps = [share(seen[site]) for layer in range(n_layers) if (site := Site("mlp", layer)) in seen]
    embedding = share(seen[Site("stream", 0)])
    total = logits.gather(-1, right[..., None])[..., 0]
    if wrong is not None:
        total = total - logits.gather(-1, wrong[..., None])[..., 0]
    constants = [share(seen[Site("attention", call.layer)] - sum(_written(call))) for call in calls]
    constant = sum(constants) + (direction * offset).sum(dim=-1)
    found = Attribution(heads, torch.stack(mlps) if mlps else None, embedding, constant, total)
    _check_sum(model, found)
    return found


def _last_step(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The final norm and the unembedding."""
    norm = None
    for path in FINAL_NORMS:
        found: nn.Module | None = model
        for name in path.split("."):
            found = getattr(found, "_modules", {}).get(name)
        norm = norm if norm is not None else found
    given = getattr(model, "get_output_embeddings", lambda: None)()
    unembedding = given if given is not None else getattr(model, "unembedding", None)
    if norm is None or unembedding is None:
        raise ValueError(f"{type(model).__name__} has no norm followed by one unembedding that could be found.")
    return norm, unembedding


def _probe_norm(norm: nn.Module, like: Tensor) -> tuple[Tensor, Tensor, bool]:
    """A norm's gain and constant, and whether it takes off the mean: read from what it does, not from its names."""
    width = like.shape[-1]
    signs = torch.ones(width, dtype=like.dtype, device=like.device)
    signs[width // 2 :] = -1  # mean 0 and root mean square 1 (an odd width misses by little, and is refused below)
    large = 1e4 * signs  # next to which ε is nothing
    above, below = norm(large), norm(-large)
    offset = (above + below) / 2
    gain = (above - below) / 2 * signs
    shifted = norm(large + 1e4)
    return gain, offset, bool(torch.allclose(shifted, above, atol=1e-3, rtol=1e-3))


def _scale(normed: Tensor, stream: Tensor, gain: Tensor, centred: bool) -> Float[Tensor, "batch time"]:
    """The number that the norm multiplied each position's vector by."""
    before = (stream - stream.mean(dim=-1, keepdim=True) if centred else stream) * gain
    return (normed * before).sum(dim=-1) / before.square().sum(dim=-1)


def _written(call: AttentionCall) -> list[Float[Tensor, "batch time d_model"]]:
    """What each head adds to the stream: its output times its own rows of W_O."""
    if call.output_weight is None:
        raise ValueError(f"The output matrix of the attention in layer {call.layer} could not be seen.")
    width = call.output.shape[-1]
    return [
        output @ call.output_weight[head * width : (head + 1) * width]
        for head, output in enumerate(call.output.unbind(dim=1))
    ]


def _check_sum(model: nn.Module, found: Attribution) -> None:
    """Raise ValueError unless the shares add up: then the model is not the sum that they suppose."""
    parts = found.heads.sum(dim=(0, 1)) + found.embedding + found.constant
    if found.mlps is not None:
        parts = parts + found.mlps.sum(dim=0)
    if not torch.allclose(parts, found.total, atol=1e-2, rtol=1e-2):
        worst = (parts - found.total).abs().max().item()
        raise ValueError(
            f"The shares of {type(model).__name__} miss its logits by up to {worst:.2g}: its parts are not simply "
            "added up before one norm, or its logits are capped, so there is no direct attribution."
        )
