"""A tap on every attention of a model: what comes out of each head can be seen, and changed, while the model runs.

The tap sits between the model and torch, so it needs nothing from the model but that it computes attention with
torch's own functions: either `scaled_dot_product_attention`, or a softmax followed by a product with the values.
That holds for the models of this course and for those of transformers with the "eager" and "sdpa" implementations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_lib.interpret.reading import HeadAt

Edit = Callable[[Tensor], Tensor]
"""From a head's output (batch, query, d_head) to what shall stand in its place, same shape."""

SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax)
PRODUCT = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm)


@dataclass
class AttentionCall:
    """One attention of one forward pass, before any edit.

    Attributes:
        view: "self", or "encoder", "decoder" or "cross".
        layer: which one of that view's, from 0.
        scores: what the softmax was taken of; masked places are −∞ or as low as the model's mask made them.
        weights: each query's weights over the keys.
        value: each head's values (heads that share one show it each).
        output: each head's mix of the values.
        output_weight: W_O as (heads × d_value, d_model), when the next thing the model did was to multiply by it.
    """

    view: str
    layer: int
    scores: Float[Tensor, "batch heads query key"]
    weights: Float[Tensor, "batch heads query key"]
    value: Float[Tensor, "batch heads key d_value"]
    output: Float[Tensor, "batch heads query d_value"]
    output_weight: Float[Tensor, "width d_model"] | None = None


class AttentionTap(TorchFunctionMode):
    """Within `with AttentionTap(model, on_call=look):`, `look` gets every attention of `model`; `edits` are made.

    Args:
        model: a model of this course, or of transformers.
        on_call: gets an AttentionCall as each attention is done; its `output_weight` is filled in a little later.
        edits: for each head what becomes of its output, before W_O mixes it with the other heads'.

    The model itself is not changed, but for a hook that tells where a forward pass begins; it is gone at the end of
    the `with`, also when something raises. It holds for the thread that entered the `with`.

    Raises ValueError for an edit of a head that there is not: of a head when its layer runs, of a layer at the end
    of the `with`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        on_call: Callable[[AttentionCall], None] | None = None,
        edits: Mapping[HeadAt, Edit] | None = None,
    ):
        super().__init__()
        self.stacks = stacks_of(model)
        self.n_heads = getattr(getattr(model, "config", None), "num_attention_heads", None)
        self.on_call = on_call
        self.edits: dict[tuple[str, int], dict[int, Edit]] = {}
        for head, edit in (edits or {}).items():
            self.edits.setdefault((head.view, head.layer), {})[head.head] = edit
        self._stack = ""  # the stack that is running, and how many attentions it has done
        self._count = 0
        self._reached: set[tuple[str, int]] = set()
        self._pending: tuple[Tensor, Tensor] | None = None  # scores and weights of a softmax that may be an attention
        self._awaits_output_weight: AttentionCall | None = None

    def __enter__(self) -> AttentionTap:
        self._hooks = [
            stack.register_forward_pre_hook(lambda *_, name=name: self._begin(name))
            for name, stack in self.stacks.items()
        ]
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        missed = sorted(self.edits.keys() - self._reached)
        if error[0] is None and self._reached and missed:
            view, layer = missed[0]
            there = sorted(number for name, number in self._reached if name == view)
            raise ValueError(
                f"There is no layer {layer} in {view!r}: "
                + (f"its layers go from 0 to {there[-1]}." if there else f"this model has {sorted(self.stacks)}.")
            )

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Let torch do what it was asked to, and look when it is part of an attention."""
        kwargs = kwargs or {}
        if not self._stack:
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return self._spelled_out(*args, **kwargs)
        answer = func(*args, **kwargs)
        if func in SOFTMAX and answer.ndim == 4:
            self._pending = (args[0] if args else kwargs["input"], answer)
        elif self._pending is not None and func in PRODUCT and _mixes(args, self._pending[1]):
            (scores, softmax), self._pending = self._pending, None
            # Some models lay the heads of all texts side by side, (batch × heads, …), before they multiply.
            weights, value, output = (
                tensor.reshape(*softmax.shape[:2], *tensor.shape[-2:]) for tensor in (*args, answer)
            )
            return self._attention(scores[..., : weights.shape[-1]], weights, value, output).reshape(answer.shape)
        elif self._awaits_output_weight is not None and func in (F.linear, torch.addmm):
            self._take_output_weight(func, args, kwargs)
        return answer

    def _begin(self, stack: str) -> None:
        self._stack, self._count, self._pending, self._awaits_output_weight = stack, 0, None, None

    def _place(self) -> tuple[str, int]:
        """View and layer of the attention that is running: in a decoder, self- and cross-attention take turns."""
        if self._stack != "decoder":
            return self._stack, self._count
        return ("cross" if self._count % 2 else "decoder"), self._count // 2

    def _attention(self, scores: Tensor, weights: Tensor, value: Tensor, output: Tensor) -> Tensor:
        """Show the attention to who asked, and make the edits: the output that the model goes on with."""
        view, layer = self._place()
        self._count += 1
        self._reached.add((view, layer))
        if self.on_call is not None:
            self._awaits_output_weight = AttentionCall(view, layer, scores, weights, value, output)
            self.on_call(self._awaits_output_weight)
        edits = self.edits.get((view, layer))
        if not edits:
            return output
        output = output.clone()
        for head, edit in edits.items():
            if not 0 <= head < output.shape[1]:
                raise ValueError(
                    f"There is no head {head} in layer {layer} of {view!r}: heads go from 0 to {output.shape[1] - 1}."
                )
            output[:, head] = edit(output[:, head])
        return output

    def _spelled_out(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """What torch's fused kernel computes, step by step; the parameters are the kernel's."""
        given = query.shape
        packed = self.n_heads is not None and self.n_heads == given[1] * given[2] and given[1] == key.shape[1]
        if packed and given[2] > 1:  # transformers hands over a lone query's heads in the place of more queries
            query = query.reshape(given[0], self.n_heads, 1, given[3])
            attn_mask = (
                attn_mask
                if attn_mask is None or attn_mask.shape[1] == 1
                else attn_mask.view(*attn_mask.shape[:1], self.n_heads, 1, -1)
            )
        group = query.shape[1] // key.shape[1]
        if group > 1:
            key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        if attn_mask is not None:
            blocked = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if blocked else scores + attn_mask
        weights = scores.softmax(dim=-1)
        if attn_mask is not None:  # the softmax of a row of −∞ is NaN; the kernel answers 0 for it
            weights = weights.masked_fill(torch.isneginf(scores).all(dim=-1, keepdim=True), 0.0)
        output = F.dropout(weights, dropout_p) @ value if dropout_p else weights @ value
        return self._attention(scores, weights, value, output).reshape(*given[:3], value.shape[-1])

    def _take_output_weight(self, func: Callable, args: tuple, kwargs: dict) -> None:
        """W_O, if this is the first matrix product after an attention and fits it."""
        call, self._awaits_output_weight = self._awaits_output_weight, None
        # Linear computes x Wᵀ + b. GPT-2 of transformers keeps its matrices the other way round: b + x W.
        weight = (args[1] if len(args) > 1 else kwargs["weight"]).T if func is F.linear else args[2]
        if weight.shape[0] == call.value.shape[1] * call.value.shape[3]:
            call.output_weight = weight


def stacks_of(model: nn.Module) -> dict[str, nn.Module]:
    """The stacks of layers that a model runs: {"self": model}, or an "encoder" and a "decoder".

    Raises ValueError for an encoder–decoder whose parts cannot be found.
    """
    config = getattr(model, "config", None)
    two = getattr(config, "is_encoder_decoder", None)
    if two is None:  # a model of this course says it by its parts
        two = isinstance(getattr(model, "encoder", None), nn.Module) and hasattr(model, "decoder")
    if not two:
        return {"self": model}
    parts = {}
    for name in ("encoder", "decoder"):
        part = getattr(model, name, None)
        getter = getattr(model, f"get_{name}", None)
        part = part if part is not None else getter() if getter is not None else None
        if part is None:
            raise ValueError(
                f"{type(model).__name__} is an encoder–decoder, but it has no .{name} and no get_{name}()."
            )
        parts[name] = part
    return parts


def _mixes(operands: tuple, weights: Tensor) -> bool:
    """Whether a product is that of attention weights with values: (…, query, key) with (…, key, d_value)."""
    if len(operands) != 2:
        return False
    left, right = operands
    # A model that lets a query look at nothing (a "sink" among the scores) drops the last column first.
    return (
        left.ndim >= 3
        and right.ndim >= 3
        and left.shape[:-2].numel() == right.shape[:-2].numel() == weights.shape[:2].numel()
        and left.shape[-2] == weights.shape[-2]
        and left.shape[-1] == right.shape[-2] <= weights.shape[-1]
    )
