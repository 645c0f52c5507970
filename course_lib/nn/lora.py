"""Low-rank adaptation: a trained matrix stays as it is, and a thin one beside it learns the difference."""

import math
from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """W x + b + (alpha / rank) · B A x, with W and b frozen, A (rank × in) random and B (out × rank) zero at first.

    It starts as the linear map that it is put around, and has rank · (in + out) numbers to learn instead of in · out.
    Once learned, the product can be added to W (`merged`): the adapted model is as fast as the old one.

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float | None = None):
        """`alpha` scales what is learned; default `rank`, a factor of 1."""
        super().__init__()
        if not 1 <= rank <= min(linear.weight.shape):
            raise ValueError(
                f"The rank of a {tuple(linear.weight.shape)} matrix lies between 1 and {min(linear.weight.shape)}, but "
                f"rank={rank} was asked for."
            )
        self.linear = linear.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, linear.in_features).to(linear.weight))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank).to(linear.weight))
        self.scale = (rank if alpha is None else alpha) / rank
        nn.init.normal_(self.down, std=1 / math.sqrt(linear.in_features))

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """The old map's answer, and what has been learned on top."""
        return self.linear(x) + (x @ self.down.T) @ self.up.T * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain linear map that computes the same."""
        weight, bias = self.linear.weight, self.linear.bias
        merged = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None).to(weight)
        merged.weight.copy_(weight + self.scale * self.up @ self.down)
        if bias is not None:
            merged.bias.copy_(bias)
        return merged


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float | None = None,
    *,
    names: Collection[str] = ("query", "value"),
    heads: Collection[str] = ("classifier", "span"),
) -> nn.Module:
    """Freeze a model and put a LoRALinear in the place of every linear map so named, in place; answer the model.

    Args:
        names: what the maps are called in their module. The paper adapts queries and values.
        heads: parts of the model that are new, and go on learning as a whole.

    Raises ValueError when there is no such map.
    """
    places = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if name in names and isinstance(child, nn.Linear)
    ]
    if not places:
        raise ValueError(f"This {type(model).__name__} has no linear map named {' or '.join(names)}.")
    model.requires_grad_(False)
    for name, child in model.named_children():
        child.requires_grad_(name in heads)
    for module, name in places:
        setattr(module, name, LoRALinear(getattr(module, name), rank, alpha))
    return model


def merge_lora(model: nn.Module) -> nn.Module:
    """Turn every LoRALinear back into one plain linear map, in place: the same answers, to rounding."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, LoRALinear):
                setattr(module, name, child.merged())
    return model
