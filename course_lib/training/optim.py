"""Optimisers and the course of the learning rate."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

OPTIMIZERS = ("adamw", "muon")


def make_optimizers(
    model: nn.Module, name: str, *, learning_rate: float, weight_decay: float, layer_decay: float = 1.0
) -> list[torch.optim.Optimizer]:
    """The optimisers of a model's parameters, each of which is in exactly one of them.

    "adamw" decays matrices and leaves vectors (biases, norm weights) alone: shrinking those does not make a
    function simpler. "muon" gives the blocks' matrices an orthogonalised momentum step and leaves embeddings, a module
    named `unembedding` and vectors to AdamW; its steps are scaled to the size of AdamW's, so that one rate fits both.

    With a `layer_decay` below 1 AdamW moves each block at that share of the rate of the block above it; what stands on
    the blocks has the full rate, and embeddings the lowest. Parameters that need no gradient are left out.

    Sources: Loshchilov and Hutter 2019 (AdamW); Jordan et al. 2024 (Muon); Liu et al. 2025, section 2.2 (its scale);
    Howard and Ruder 2018, "ULMFiT", section 3.2 (rates by layer).
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    vectors = [p for p in parameters if p.ndim < 2]
    matrices = [p for p in parameters if p.ndim >= 2]
    if layer_decay != 1 and name != "adamw":
        raise ValueError(f"Rates by layer are AdamW's, not {name}'s: choose optimizer='adamw', or layer_decay=1.")
    if name == "adamw":
        adamw = _adamw(matrices, vectors, learning_rate, weight_decay)
        return [adamw if layer_decay == 1 else _by_layer(model, adamw, learning_rate, layer_decay)]
    if name == "muon":
        of_tokens = [m for n, m in model.named_modules() if isinstance(m, nn.Embedding) or n == "unembedding"]
        left_out = {id(p) for m in of_tokens for p in m.parameters()}
        hidden = [p for p in matrices if id(p) not in left_out and p.ndim == 2]
        rest = [p for p in matrices if id(p) in left_out or p.ndim != 2]
        muon = Muon(hidden, lr=learning_rate, weight_decay=weight_decay)
        return [muon, _adamw(rest, vectors, learning_rate, weight_decay)]
    raise ValueError(f"There is no optimiser {name!r}: choose one of {', '.join(OPTIMIZERS)}.")


def _adamw(
    matrices: list[nn.Parameter], vectors: list[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def _by_layer(
    model: nn.Module, whole: torch.optim.AdamW, learning_rate: float, layer_decay: float
) -> torch.optim.AdamW:
    """The same optimiser with its groups cut by layer, each with its own rate."""
    depths = layer_depths(model)
    top = max(depths.values())
    depth_of = {id(parameter): depths[name] for name, parameter in model.named_parameters()}
    groups = []
    for group in whole.param_groups:
        for depth in sorted({depth_of[id(parameter)] for parameter in group["params"]}):
            here = [parameter for parameter in group["params"] if depth_of[id(parameter)] == depth]
            groups.append({**group, "params": here, "lr": learning_rate * layer_decay ** (top - depth)})
    return torch.optim.AdamW(groups, lr=learning_rate)


def layer_depths(model: nn.Module) -> dict[str, int]:
    """For each parameter's name how deep it stands: 0 for embeddings, 1 … n for the blocks, n + 1 for what follows."""
    blocks = {name: re.search(r"(?:^|\.)blocks\.(\d+)\.", name) for name, _ in model.named_parameters()}
    top = max((int(found[1]) for found in blocks.values() if found), default=-1) + 2
    before = {name for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    return {
        name: int(found[1]) + 1 if found else 0 if _is_input(name, before) else top for name, found in blocks.items()
    }


def _is_input(name: str, embeddings: set[str]) -> bool:
    """Whether a parameter belongs to the embeddings, or to what BERT does with them before the first block."""
    return (
        name.rpartition(".")[0] in embeddings or "embedding_norm." in name or name.startswith(("widen.", "bert.widen."))
    )


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: each matrix moves along the U Vᵀ of its averaged gradient U S Vᵀ.

    A gradient is dominated by a few directions; with all singular values set to about 1, the rare ones are learned as
    fast as the loud ones. The step is scaled to 0.2 √(larger side), the size of AdamW's, so that one rate fits both.

    Matrices of one shape are stacked and go through the iteration together: the numbers are those of
    `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, in about half its time on a CPU.

    Sources: Jordan et al. 2024, "Muon"; Liu et al. 2025, "Muon is Scalable", section 2.2 (the scale).
    """

    def __init__(
        self, params: list[nn.Parameter], lr: float = 1e-3, *, weight_decay: float = 0.1, momentum: float = 0.95
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.ndim != 2:
                raise ValueError(f"Muon moves matrices, but was given a parameter of shape {tuple(parameter.shape)}.")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            of_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    of_shape[parameter.shape].append(parameter)
            for shape, matrices in of_shape.items():
                moved = self._momentum(matrices, group["momentum"])
                directions = orthogonalised(torch.stack(moved)).unbind()
                scale = 0.2 * math.sqrt(max(shape))
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(matrices, directions, alpha=-group["lr"] * scale)

    def _momentum(self, matrices: list[nn.Parameter], momentum: float) -> Sequence[Tensor]:
        """Each gradient, averaged with those before it (Nesterov's way: the newest counts once more)."""
        gradients = [matrix.grad for matrix in matrices]
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        averages = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        return torch._foreach_lerp(gradients, averages, momentum)


def orthogonalised(
    matrices: Float[Tensor, "count rows columns"], *, steps: int = 5
) -> Float[Tensor, "count rows columns"]:
    """Near U Vᵀ for each matrix U S Vᵀ, in bfloat16, by `steps` Newton–Schulz iterations.

    X ← a X + (b A + c A²) X with A = X Xᵀ acts on the singular values alone, as the polynomial a s + b s³ + c s⁵. These
    coefficients carry small ones towards 1 as fast as they can, and leave all of them between about 0.7 and 1.2: for a
    step, that is near enough.

    Source: Jordan et al. 2024, "Muon".
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:  # A is then the smaller of the two products
        x = x.mT
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def learning_rate_factor(step: int, *, steps: int, warmup_steps: int, final: float = 0.0) -> float:
    """The share of the peak learning rate at `step` (counted from 0): a linear rise, then half a cosine to `final`.

    Source: Loshchilov and Hutter 2017, "SGDR"; warm-up as in Vaswani et al. 2017, section 5.3.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
