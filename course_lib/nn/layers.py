"""What surrounds attention: norms, the feed-forward network, and the block that joins them."""

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from course_lib.nn.attention import AttentionOutput, MultiHeadAttention
from course_lib.nn.kv_cache import ContextCache, KVCache
from course_lib.nn.positions import RotaryTables


def layer_norm(
    x: Float[Tensor, "*batch d_model"],
    weight: Float[Tensor, "d_model"],
    bias: Float[Tensor, "d_model"] | None = None,
    *,
    eps: float = 1e-5,
) -> Float[Tensor, "*batch d_model"]:
    """(x - mean) / √(variance + ε) · weight + bias, over the features of each token on its own.

    The variance divides by d_model (not d_model - 1), and ε stands inside the root.

    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", section 3.
    """
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    scaled = centred * torch.rsqrt(variance + eps) * weight
    return scaled if bias is None else scaled + bias


class LayerNorm(nn.Module):
    """`layer_norm` with a trained weight and bias.

    The fused kernel of torch computes it, in one pass where the formula takes seven. A compiler gets the formula, and
    joins it with what stands before and after. Both give the same numbers.
    """

    def __init__(self, d_model: int, *, eps: float = 1e-5, bias: bool = True):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Each token's vector, with mean 0 and variance 1, then stretched and shifted."""
        if torch.compiler.is_compiling():
            return layer_norm(x, self.weight, self.bias, eps=self.eps)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """x / √(mean(x²) + ε) · weight: the length is set, the mean is left alone.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", section 4.
    """

    def __init__(self, d_model: int, *, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Each token's vector, with root mean square 1, then stretched."""
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps) * self.weight


NORMS = ("layernorm", "rmsnorm")
NORM_POSITIONS = ("pre", "post", "none")


def check_choice(what: str, choice: str, choices: Collection[str]) -> None:
    """Raise ValueError unless `choice` is one of `choices`; `what` names the setting in the message."""
    if choice not in choices:
        raise ValueError(f"There is no {what} {choice!r}: choose one of {', '.join(map(repr, choices))}.")


def make_norm(kind: str, d_model: int, *, eps: float = 1e-5, bias: bool = True) -> nn.Module:
    """The norm named `kind`: "layernorm" or "rmsnorm" (which has no bias); ValueError for another name."""
    check_choice("norm", kind, NORMS)
    return LayerNorm(d_model, eps=eps, bias=bias) if kind == "layernorm" else RMSNorm(d_model, eps=eps)


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """GPT-2's GELU: x / 2 · (1 + tanh(z)) with z = √(2/π) · (x + 0.044715 x³).

    (1 + tanh(z)) / 2 is σ(2z). Left to a compiler, σ takes one exponential, and is several times as fast on a CPU.

    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
    """
    if torch.compiler.is_compiling():
        return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return F.gelu(x, approximate="tanh")


ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "relu2": lambda x: F.relu(x).square(),
    "swiglu": F.silu,
    "geglu": gelu_tanh,
}
GATED = ("swiglu", "geglu")
"""Activations of a second linear map, which decide how much of each number of the first passes."""


class FeedForward(nn.Module):
    """Two linear maps with a non-linearity between them, applied to each token on its own.

    FFN(x) = W₂ · activation(W₁ x). Each row of W₁ is a pattern to look for and the matching column of W₂ is what
    to write when it is found (Geva et al. 2021). "swiglu" lets a second linear map decide how much of each number
    passes, the gate: W₂ · (silu(W₃ x) ⊙ W₁ x); "geglu" does so with a GELU. Nothing follows W₂: a ReLU there could
    only ever add positive numbers to the stream.

    Args:
        d_model: width in and out.
        d_ff: width inside. Default: 4 · d_model, or 8/3 · d_model rounded up to a multiple of 8 for the gated
            ones, which have three matrices, so that both have about the same number of parameters.
        activation: "relu", "gelu", "gelu_tanh" (the approximation GPT-2 uses), "relu2", "swiglu" or "geglu"
            (with that approximation, as in T5 1.1).

    Sources: Vaswani et al. 2017, section 3.3; Hendrycks and Gimpel 2016 (GELU); Shazeer 2020 (SwiGLU, GEGLU);
    So et al. 2021 (squared ReLU).
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int | None = None,
        *,
        activation: str = "gelu",
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_choice("activation", activation, ACTIVATIONS)
        if d_ff is None:
            d_ff = -(-8 * d_model // 3 // 8) * 8 if activation in GATED else 4 * d_model
        self.activation = ACTIVATIONS[activation]
        self.up = nn.Linear(d_model, d_ff, bias=bias)
        self.gate = nn.Linear(d_model, d_ff, bias=bias) if activation in GATED else None
        self.down = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Each token's vector, looked up in the patterns and answered."""
        hidden = self.up(x)  # (…, d_ff)
        hidden = self.activation(hidden) if self.gate is None else self.activation(self.gate(x)) * hidden
        return self.dropout(self.down(hidden))


def shift_tokens(
    x: Float[Tensor, "batch time d_model"], cache: KVCache | None = None
) -> Float[Tensor, "batch time d_model"]:
    """Each token's vector, with the second half of its features taken from the token before (zeros for the first).

    A head can then look for "what follows a q" with one product: without it, that takes two blocks, of which the first
    does nothing but carry each token to its neighbour. `cache` keeps the last vector for the next call.

    Source: Peng et al. 2023, "RWKV", section 3.1 (token shift).
    """
    half = x.shape[-1] // 2
    own, passed_on = x[..., :half], x[..., half:]
    first = torch.zeros_like(passed_on[:, :1]) if cache is None or cache.last_input is None else cache.last_input
    if cache is not None:
        cache.last_input = passed_on[:, -1:]
    return torch.cat([own, torch.cat([first, passed_on[:, :-1]], dim=1)], dim=-1)


class DecoderBlockOutput(NamedTuple):
    """What a block with cross-attention answers: the stream, and the weights of both attentions when asked for."""

    output: Float[Tensor, "batch time d_model"]
    weights: Float[Tensor, "batch heads time past"] | None
    cross_weights: Float[Tensor, "batch heads time context_time"] | None


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each added to a stream of vectors that runs past them.

    norm_position="pre":   x + sublayer(norm(x))     GPT-2 and later: the stream itself is never normalised
    norm_position="post":  norm(x + sublayer(x))     the original Transformer, and BERT
    norm_position="none":  x + sublayer(x)           for the experiments of lesson 05

    With `cross_attention` a second attention stands between the two and looks at `context` (the decoder of an
    encoder–decoder). With `token_shift` the self-attention is given half of each token's features from the token
    before it (`shift_tokens`). Without `feed_forward` the block is attention alone.

    Sources: Vaswani et al. 2017, section 3.1; Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture", figure 1.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int | None = None,
        *,
        n_kv_heads: int | None = None,
        d_head: int | None = None,
        norm: str = "layernorm",
        norm_position: str = "pre",
        norm_eps: float = 1e-5,
        activation: str = "gelu",
        bias: bool = True,
        qk_norm: bool = False,
        scale: float | None = None,
        dropout: float = 0.0,
        attention_dropout: float | None = None,
        cross_attention: bool = False,
        token_shift: bool = False,
        feed_forward: bool = True,
    ):
        super().__init__()
        check_choice("norm position", norm_position, NORM_POSITIONS)
        self.norm_position = norm_position
        self.token_shift = token_shift

        def new_norm() -> nn.Module:
            if norm_position == "none":
                return nn.Identity()
            return make_norm(norm, d_model, eps=norm_eps, bias=bias)

        def new_attention(n_kv_heads: int | None) -> MultiHeadAttention:
            drop = dropout if attention_dropout is None else attention_dropout
            return MultiHeadAttention(
                d_model, n_heads, n_kv_heads, d_head=d_head, bias=bias, qk_norm=qk_norm, scale=scale, dropout=drop
            )

        self.attention_norm = new_norm()
        self.attention = new_attention(n_kv_heads)
        self.cross_norm = new_norm() if cross_attention else None
        self.cross_attention = new_attention(n_kv_heads) if cross_attention else None
        self.feed_forward_norm = new_norm() if feed_forward else None
        self.feed_forward = (
            FeedForward(d_model, d_ff, activation=activation, bias=bias, dropout=dropout) if feed_forward else None
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        *,
        context: Float[Tensor, "batch context_time d_model"] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
        context_mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        bias: Float[Tensor, "..."] | None = None,
        rotary: RotaryTables | None = None,
        cache: KVCache | None = None,
        context_cache: ContextCache | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput | DecoderBlockOutput:
        """The stream after this block, and the attention weights when they were asked for.

        The arguments are those of `MultiHeadAttention.forward`; `context`, `context_mask` and `context_cache` go to
        the cross-attention. A block that has one answers a `DecoderBlockOutput`.
        """
        if (context is None) != (self.cross_attention is None):
            raise ValueError(
                "This block has no cross-attention, so it cannot use `context`: build it with cross_attention=True."
                if self.cross_attention is None
                else "This block has cross-attention: give it `context`, the encoder's output."
            )
        weights = cross_weights = None

        def attend(x: Tensor) -> Tensor:
            nonlocal weights
            if self.token_shift:
                x = shift_tokens(x, cache)
            mixed, weights = self.attention(
                x, mask=mask, causal=causal, bias=bias, rotary=rotary, cache=cache, need_weights=need_weights
            )
            return self.dropout(mixed)

        def attend_to_context(x: Tensor) -> Tensor:
            nonlocal cross_weights
            mixed, cross_weights = self.cross_attention(
                x, context, mask=context_mask, cache=context_cache, need_weights=need_weights
            )
            return self.dropout(mixed)

        x = self._add(x, attend, self.attention_norm)
        if self.cross_attention is not None:
            x = self._add(x, attend_to_context, self.cross_norm)
        if self.feed_forward is not None:
            x = self._add(x, self.feed_forward, self.feed_forward_norm)
        if self.cross_attention is not None:
            return DecoderBlockOutput(x, weights, cross_weights)
        return AttentionOutput(x, weights)

    def _add(self, x: Tensor, sublayer: Callable[[Tensor], Tensor], norm: nn.Module) -> Tensor:
        """One residual step: the sublayer's answer is added to the stream, the norm before or after."""
        if self.norm_position == "post":
            return norm(x + sublayer(x))
        return x + sublayer(norm(x))
