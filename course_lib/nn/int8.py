"""Linear maps with 8-bit weights: a quarter of the bytes to fetch for each token.

At batch 1 a linear map does two operations for every weight it reads, so the time to make a token is the time to
read the weights. Stored in one byte instead of four they are read about four times as fast.
"""

import copy
import warnings
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn

ENGINES = ("fbgemm", "qnnpack")
"""torch's kernels for 8-bit products on x86 and on ARM, in the order of preference."""

LARGEST = 127


class Int8Linear(nn.Module):
    """x Wᵀ + b with W kept as `scale · integer`, one scale for each output and integers in -127 … 127.

    A weight is off by at most half a step, scale / 2 = (largest weight of its row) / 254. On a CPU torch's kernel
    also rounds the input to 8 bits, with one scale for the whole call; elsewhere the weights are widened on the way.

    Source: Dettmers et al. 2022, "LLM.int8()", section 2 (absmax quantisation, row-wise).
    """

    weight: Int8[Tensor, "out in"]
    scale: Float[Tensor, "out"]

    def __init__(self, weight: Int8[Tensor, "out in"], scale: Float[Tensor, "out"], bias: Float[Tensor, "out"] | None):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self._packed = None  # what torch's kernel reads; made when first needed
        self._joined: tuple[list[Int8Linear], Int8Linear] | None = None

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> "Int8Linear":
        """The nearest 8-bit version of a linear map."""
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
        integers = (weight / scale[:, None]).round().to(torch.int8)
        return cls(integers, scale, None if linear.bias is None else linear.bias.detach().float().clone())

    @classmethod
    def side_by_side(cls, maps: list["Int8Linear"]) -> "Int8Linear":
        """One map whose output is the outputs of `maps` one after the other: the same numbers in one pass.

        It is kept for the next time: packing it takes as long as using it a hundred times.
        """
        known = maps[0]._joined
        if known and list(map(id, known[0])) == list(map(id, maps)) and known[1].scale.device == maps[0].scale.device:
            return known[1]
        biases = [m.bias if m.bias is not None else torch.zeros_like(m.scale) for m in maps]
        joined = cls(torch.cat([m.weight for m in maps]), torch.cat([m.scale for m in maps]), torch.cat(biases))
        maps[0]._joined = list(maps), joined
        return joined

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """The map of each vector."""
        if x.device.type != "cpu" or x.dtype != torch.float32 or not _engine():
            return F.linear(x, self.dequantised().to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))
        if x.ndim == 1:
            return self(x[None])[0]
        return self.kernel(x.dtype)(x)

    def kernel(self, dtype: torch.dtype) -> Callable[[Float[Tensor, "batch in"]], Float[Tensor, "batch out"]]:
        """`forward` for inputs of one `dtype`: where it is float32 on a CPU, torch's kernel alone, without checks."""
        if self.scale.device.type != "cpu" or dtype != torch.float32 or not _engine():
            return self.forward
        if self._packed is None:
            self._packed = self._pack()
        operation = torch.ops.quantized.linear_dynamic.default
        run = getattr(operation, "_op", operation)  # without a search of the arguments for what only tracing passes
        packed, seven_bits = self._packed, not _has_vnni()
        return lambda x: run(x, packed, seven_bits)

    def dequantised(self) -> Float[Tensor, "out in"]:
        """The weights as ordinary numbers."""
        return self.weight * self.scale[:, None]

    def _pack(self) -> torch.ScriptObject:
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = _engine()
        try:
            with warnings.catch_warnings():  # torch has announced that quantised tensors will move to another package
                warnings.simplefilter("ignore")
                zeros = torch.zeros(len(self.scale), dtype=torch.long)
                quantised = torch._make_per_channel_quantized_tensor(self.weight, self.scale.double(), zeros, 0)
                return torch.ops.quantized.linear_prepack(quantised, self.bias)
        finally:
            torch.backends.quantized.engine = before

    def __deepcopy__(self, memo: dict) -> "Int8Linear":
        bias = None if self.bias is None else self.bias.clone()
        return Int8Linear(self.weight.clone(), self.scale.clone(), bias)

    def extra_repr(self) -> str:
        """Sizes, as in nn.Linear."""
        return f"in_features={self.weight.shape[1]}, out_features={self.weight.shape[0]}, bias={self.bias is not None}"


def quantize_int8(model: nn.Module) -> nn.Module:
    """A copy of a model in which every linear map has 8-bit weights; for sampling, not for training.

    Embeddings, norms and positions stay as they are. An unembedding that was tied to the embedding gets 8 bits too.
    """
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear.from_linear(child))
    return model.requires_grad_(False)


@cache
def _engine() -> str | None:
    """The kernels to use on this CPU; None where torch has none."""
    if not hasattr(torch, "_make_per_channel_quantized_tensor"):
        return None
    return next((engine for engine in ENGINES if engine in torch.backends.quantized.supported_engines), None)


@cache
def _has_vnni() -> bool:
    """Whether the CPU adds 8-bit products in 32 bits; otherwise inputs get 7 bits, so that 16 are enough."""
    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())
