"""Optimisers and the course of the learning rate."""

import math

import torch
from torch import nn

OPTIMIZERS = ("adamw", "muon")


def make_optimizers(
    model: nn.Module, name: str, *, learning_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """The optimisers of a model's parameters, each of which is in exactly one of them.

    "adamw" decays matrices and leaves vectors (biases, norm weights) alone: shrinking those does not make a
    function simpler. "muon" gives the blocks' matrices an orthogonalised momentum step and leaves embeddings, a module
    named `unembedding` and vectors to AdamW; its steps are scaled to the size of AdamW's, so that one rate fits both.

    Sources: Loshchilov and Hutter 2019 (AdamW); Jordan et al. 2024 (Muon); Liu et al. 2025, section 2.2 (its scale).
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    vectors = [p for p in parameters if p.ndim < 2]
    matrices = [p for p in parameters if p.ndim >= 2]
    if name == "adamw":
        return [_adamw(matrices, vectors, learning_rate, weight_decay)]
    if name == "muon":
        of_tokens = [m for n, m in model.named_modules() if isinstance(m, nn.Embedding) or n == "unembedding"]
        left_out = {id(p) for m in of_tokens for p in m.parameters()}
        hidden = [p for p in matrices if id(p) not in left_out and p.ndim == 2]
        rest = [p for p in matrices if id(p) in left_out or p.ndim != 2]
        muon = torch.optim.Muon(hidden, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        return [muon, _adamw(rest, vectors, learning_rate, weight_decay)]
    raise ValueError(f"There is no optimiser {name!r}: choose one of {', '.join(OPTIMIZERS)}.")


def _adamw(
    matrices: list[nn.Parameter], vectors: list[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def learning_rate_factor(step: int, *, steps: int, warmup_steps: int, final: float = 0.0) -> float:
    """The share of the peak learning rate at `step` (counted from 0): a linear rise, then half a cosine to `final`.

    Source: Loshchilov and Hutter 2017, "SGDR"; warm-up as in Vaswani et al. 2017, section 5.3.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
