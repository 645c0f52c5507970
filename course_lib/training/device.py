"""Which processor to train on, and in which precision."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call

THROUGHOUT = "bfloat16 throughout"


@dataclass(frozen=True)
class Device:
    """A processor and the number format for its matrix products.

    Attributes:
        name: "cpu", "cuda" or "mps".
        dtype: what matrix products are computed in; the weights themselves stay float32.
        reason: one sentence that says why.
        throughout: compute everything in `dtype`, not the matrix products alone: faster, and less exact.
    """

    name: str
    dtype: torch.dtype
    reason: str
    throughout: bool = False

    def autocast(self) -> AbstractContextManager:
        """A context in which matrix products use `dtype`."""
        if self.dtype == torch.float32 or self.throughout:
            return nullcontext()
        return torch.autocast(self.name, dtype=self.dtype)

    def lower(self, model: nn.Module) -> nn.Module:
        """The model as it is to be trained: itself, or one that computes in `dtype` throughout."""
        return RoundedWeights(model, self.dtype) if self.throughout else model

    def __str__(self) -> str:
        throughout = " throughout" if self.throughout else ""
        return f"{self.name}, {str(self.dtype).removeprefix('torch.')}{throughout}: {self.reason}"


class RoundedWeights(nn.Module):
    """Another model, computing in `dtype` throughout, from weights that stay as they are.

    At each call the weights are rounded once, and the gradients come back to the unrounded ones: steps much smaller
    than a weight add up instead of being rounded away. Autocast rounds for each product alone and goes back to float32
    between them, which costs a pass over the numbers each time; here there is none.

    Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3.1 (the master copy of the weights).
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.model = model
        self.dtype = dtype

    def forward(self, *inputs: object, **named: object) -> object:
        """What the model answers with its weights rounded."""
        rounded = {name: parameter.to(self.dtype) for name, parameter in self.model.named_parameters()}
        return functional_call(self.model, rounded, inputs, named)


def pick_device(name: str = "auto", precision: str = "auto") -> Device:
    """The best processor there is, with the precision that suits it.

    Args:
        name: "cuda", "mps", "cpu", or "auto" for the first of these that is there.
        precision: "float32", "bfloat16", "float16", or "auto": bfloat16 where the hardware computes in it, float16
            on older CUDA cards, float32 otherwise. These are about matrix products; "bfloat16 throughout" computes
            all else in bfloat16 too, as fast training on a CPU wants it.

    Raises ValueError for an unknown name or a processor that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(candidate for candidate, present in there.items() if present)
    elif name not in there:
        raise ValueError(f"There is no device {name!r}: choose 'auto', {', '.join(map(repr, there))}.")
    elif not there[name]:
        present = ", ".join(repr(candidate) for candidate, is_there in there.items() if is_there)
        raise ValueError(f"This machine has no {name!r} that torch can use. What it has: {present}.")

    if precision == "auto":
        return Device(name, *_suitable_precision(name))
    dtypes = {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
        THROUGHOUT: torch.bfloat16,
    }
    if precision not in dtypes:
        raise ValueError(f"There is no precision {precision!r}: choose 'auto', {', '.join(map(repr, dtypes))}.")
    return Device(name, dtypes[precision], "as you asked", throughout=precision == THROUGHOUT)


def _suitable_precision(name: str) -> tuple[torch.dtype, str]:
    """The fastest precision that trains well on this processor, and why."""
    if name == "cuda":
        card = torch.cuda.get_device_name()
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, f"{card} computes in bfloat16"
        return torch.float16, f"{card} has no bfloat16; float16 needs loss scaling, which the trainer does"
    if name == "cpu" and _cpu_computes_bfloat16():
        return torch.bfloat16, "this processor has bfloat16 instructions"
    return torch.float32, "no faster format that is safe to train in"


def _cpu_computes_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware; emulated, it would be slower than float32."""
    capabilities = torch.backends.cpu.get_cpu_capability()
    return capabilities == "AVX512" and torch.cpu._is_avx512_bf16_supported()
