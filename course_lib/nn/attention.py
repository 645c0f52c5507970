"""Attention, from the equation to many heads.

Masks are boolean and True means *may attend*, everywhere in this library. `torch.nn.MultiheadAttention` uses the
opposite sign for its boolean masks; `torch.nn.functional.scaled_dot_product_attention` uses ours.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.nn.kv_cache import ContextCache, KVCache
from course_lib.nn.positions import RotaryTables, apply_rotary


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch query d_head"],
    key: Float[Tensor, "*batch key d_head"],
    value: Float[Tensor, "*batch key d_value"],
    mask: Bool[Tensor, "*#batch #query #key"] | None = None,
    *,
    bias: Float[Tensor, "*#batch #query #key"] | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> tuple[Float[Tensor, "*batch query d_value"], Float[Tensor, "*batch query key"]]:
    """softmax(Q Kᵀ / √d_head + bias) V, and the weights of that average.

    A row of the weights belongs to one query and adds to 1, so each output is a weighted average of the values.
    `mask` is True where a query may look. A query that may look nowhere has weights 0 and output 0, not NaN.
    `bias` is added to the scores before the softmax (ALiBi, relative positions). `scale` multiplies the dot products
    in place of 1 / √d_head (T5 takes 1). `dropout` is the probability with which each weight is dropped; leave it at
    0 outside training.

    Raises ValueError for a mask that is not boolean or does not broadcast to (…, query, key).

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1.
    """
    # The query is smaller than the scores, so cheaper to scale.
    scaled_query = query / math.sqrt(query.shape[-1]) if scale is None else query * scale
    scores = scaled_query @ key.transpose(-2, -1)  # (…, query, key)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    if mask is not None:
        check_mask(mask, scores.shape)
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    if mask is not None:
        blind = ~mask.any(dim=-1, keepdim=True)  # the softmax of a row of -inf is NaN
        if torch.compiler.is_compiling() or blind.any():  # no pass over all the weights where no query is blind
            weights = weights.masked_fill(blind, 0.0)
    mixing = F.dropout(weights, dropout) if dropout else weights
    return mixing @ value, weights


def causal_mask(
    n_query: int, n_key: int | None = None, *, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    """True where the key is not later than the query: position t may look at 0 … t.

    With more keys than queries, the queries are the *last* positions, as in generation with a cache:
    `causal_mask(1, 5)` is one row of five True.
    """
    n_key = n_query if n_key is None else n_key
    if n_key < n_query:
        raise ValueError(
            f"A causal mask needs at least as many keys as queries, but got {n_query} queries and {n_key} keys: "
            "the first queries would have nothing to look at."
        )
    # Compiled, this is worked out anew for each score: 32-bit numbers are compared as fast as the scores are added.
    position = torch.arange(n_key, dtype=torch.int32, device=device)
    return position <= position[n_key - n_query :, None]


def padding_mask(tokens: Int[Tensor, "batch key"], pad_id: int) -> Bool[Tensor, "batch 1 1 key"]:
    """True where a token is real, False where it is padding; broadcasts over heads and queries.

    Combine it with a causal mask by `&`: a place may be seen when both allow it.
    """
    return (tokens != pad_id)[:, None, None, :]


def check_mask(mask: Tensor, scores_shape: torch.Size) -> None:
    """Raise ValueError unless `mask` is boolean and broadcasts to `scores_shape`, (…, query, key)."""
    if mask.dtype != torch.bool:
        raise ValueError(
            f"An attention mask must be boolean, True where a query may look, but this one is {mask.dtype}. "
            "For a mask of 0s and 1s, write mask.bool()."
        )
    try:
        fits = mask.ndim >= 2 and torch.broadcast_shapes(mask.shape, scores_shape) == scores_shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)}, which does not broadcast to the scores' {tuple(scores_shape)}: "
            "its last two axes are (query, key). A mask per sequence needs a heads axis: (batch, 1, query, key)."
        )


def split_heads(x: Float[Tensor, "batch time width"], n_heads: int) -> Float[Tensor, "batch {n_heads} time d_head"]:
    """Cut each token's vector into `n_heads` pieces, and put the heads before time.

    The view cuts the *last* axis only, so a token's numbers stay with that token; the transpose then moves the
    heads. A direct `view(batch, n_heads, time, d_head)` has the right shape and mixes the tokens.
    """
    batch, time, width = x.shape
    return x.view(batch, time, n_heads, width // n_heads).transpose(1, 2)


def merge_heads(x: Float[Tensor, "batch heads time d_head"]) -> Float[Tensor, "batch time heads*d_head"]:
    """Undo `split_heads`: put each token's pieces side by side again."""
    batch, n_heads, time, d_head = x.shape
    return x.transpose(1, 2).reshape(batch, time, n_heads * d_head)


class AttentionOutput(NamedTuple):
    """What attention answers: the new vectors, and the weights when they were asked for."""

    output: Float[Tensor, "batch query d_model"]
    weights: Float[Tensor, "batch heads query key"] | None


class MultiHeadAttention(nn.Module):
    """Attention in `n_heads` subspaces at once: MultiHead(Q, K, V) = Concat(head₁ … head_h) W_O.

    Self-attention when it is given `x` alone, cross-attention when `context` supplies the keys and values.
    With `n_kv_heads` < `n_heads`, neighbouring query heads share a key and value head (grouped-query attention);
    with `n_kv_heads` = 1 all of them do (multi-query attention).

    The fused kernel of torch computes the result unless the weights are asked for; both give the same numbers.

    Args:
        d_model: width of the vectors that come in and go out.
        n_heads: number of query heads; must divide `d_model` unless `d_head` is given.
        n_kv_heads: number of key and value heads; must divide `n_heads`. Default: `n_heads`.
        d_context: width of the `context` vectors. Default: `d_model`.
        d_head: width of each head; default `d_model / n_heads`. Given, the heads need not divide `d_model` (T5).
        bias: whether the four projections add a learned constant.
        qk_norm: divide each query and key by its root mean square before the dot product.
        scale: what the dot products are multiplied by; default 1 / √d_head.
        dropout: probability of dropping an attention weight during training.

    Sources: Vaswani et al. 2017, section 3.2.2; Shazeer 2019 (multi-query); Ainslie et al. 2023 (grouped-query);
    Henry et al. 2020 (normalised queries and keys).
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        *,
        d_context: int | None = None,
        d_head: int | None = None,
        bias: bool = True,
        qk_norm: bool = False,
        scale: float | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        check_head_counts(d_model if d_head is None else n_heads * d_head, n_heads, n_kv_heads)
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads
        self.d_head = d_model // n_heads if d_head is None else d_head
        self.qk_norm = qk_norm
        self.scale = scale
        self.dropout = dropout

        d_context = d_model if d_context is None else d_context
        self.query = nn.Linear(d_model, n_heads * self.d_head, bias=bias)
        self.key = nn.Linear(d_context, n_kv_heads * self.d_head, bias=bias)
        self.value = nn.Linear(d_context, n_kv_heads * self.d_head, bias=bias)
        self.output = nn.Linear(n_heads * self.d_head, d_model, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        context: Float[Tensor, "batch key d_context"] | None = None,
        *,
        mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
        bias: Float[Tensor, "..."] | None = None,
        rotary: RotaryTables | None = None,
        cache: KVCache | ContextCache | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Mix each token's vector with those it attends to.

        Args:
            x: the vectors that ask.
            context: the vectors that answer; `x` itself when left out.
            mask: True where a query may look; broadcasts to (batch, heads, query, key).
            causal: also forbid every key that is later than the query.
            bias: added to the scores; broadcasts to (batch, heads, query, key).
            rotary: rotation tables for the positions of `x`; turns queries and keys (self-attention only).
            cache: keys and values of earlier positions; this call's are appended to it. In cross-attention a
                ContextCache: the keys and values of `context`, which are computed by the first call alone.
            need_weights: also answer the attention weights (slower: the fused kernel never makes them).
        """
        source = x if context is None else context
        query = split_heads(self.query(x), self.n_heads)  # (batch, heads, query, d_head)
        if self.qk_norm:
            query = F.rms_norm(query, (self.d_head,))
        if rotary is not None:
            query = apply_rotary(query, rotary)

        if isinstance(cache, ContextCache):
            key, value = cache.get(lambda: self.keys_and_values(source, rotary))
        else:
            key, value = self.keys_and_values(source, rotary)
            if cache is not None:
                key, value = cache.append(key, value)

        causal = causal and query.shape[2] > 1  # a lone query is the last position: no key is later
        group = self.n_heads // self.n_kv_heads
        if group > 1:  # each key and value head serves `group` query heads
            key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)

        dropout = self.dropout if self.training else 0.0
        if need_weights or _explicit_is_faster(query):
            if causal and mask is None:
                earlier = _causal_bias(query, key)
                bias = earlier if bias is None else bias.to(query.dtype) + earlier
            elif causal:
                mask = _and_causal(mask, query, key)
            mixed, weights = scaled_dot_product_attention(
                query, key, value, mask, bias=bias, scale=self.scale, dropout=dropout
            )
        else:
            mixed = fused_attention(
                query, key, value, mask, causal=causal, bias=bias, scale=self.scale, dropout=dropout
            )
        return AttentionOutput(self.output(merge_heads(mixed)), weights if need_weights else None)

    def keys_and_values(
        self, source: Float[Tensor, "batch key d_context"], rotary: RotaryTables | None = None
    ) -> tuple[Float[Tensor, "batch kv_heads key d_head"], Float[Tensor, "batch kv_heads key d_head"]]:
        """The key and the value of each token that answers, head by head."""
        key = split_heads(self.key(source), self.n_kv_heads)
        if self.qk_norm:
            key = F.rms_norm(key, (self.d_head,))
        if rotary is not None:
            key = apply_rotary(key, rotary)
        return key, split_heads(self.value(source), self.n_kv_heads)


def fused_attention(
    query: Float[Tensor, "*batch query d_head"],
    key: Float[Tensor, "*batch key d_head"],
    value: Float[Tensor, "*batch key d_value"],
    mask: Bool[Tensor, "*#batch #query #key"] | None = None,
    *,
    causal: bool = False,
    bias: Float[Tensor, "*#batch #query #key"] | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "*batch query d_value"]:
    """The output of `scaled_dot_product_attention` from torch's fused kernel, which never stores the weights.

    `causal` alone lets the kernel skip the upper half of the work; together with a mask or a bias, or when the
    queries are only the last positions, it is turned into a mask first.
    """
    if mask is not None:
        check_mask(mask, torch.Size((*query.shape[:-1], key.shape[-2])))
    if causal and (mask is not None or bias is not None or query.shape[-2] != key.shape[-2]):
        mask, causal = _and_causal(mask, query, key), False

    blind = None if mask is None else ~mask.any(dim=-1, keepdim=True)  # queries that may look nowhere
    if blind is not None:
        mask = mask | blind  # let them look everywhere: what a kernel answers for a row of -inf is not defined
    if bias is not None:
        bias = bias.to(query.dtype)
        mask = bias if mask is None else torch.where(mask, bias, -math.inf)
    mixed = F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, dropout_p=dropout, scale=scale)
    return mixed if blind is None else mixed.masked_fill(blind, 0.0)


def _and_causal(mask: Tensor | None, query: Tensor, key: Tensor) -> Bool[Tensor, "*batch query key"]:
    """`mask`, with every key that is later than its query forbidden as well."""
    earlier = causal_mask(query.shape[-2], key.shape[-2], device=query.device)
    if mask is None:
        return earlier
    check_mask(mask, torch.Size((*query.shape[:-1], key.shape[-2])))
    return mask & earlier


def _causal_bias(query: Tensor, key: Tensor) -> Float[Tensor, "query key"]:
    """`causal_mask` as something to add to the scores: 0 where a query may look, -inf where the key is later.

    What is added needs no pass of its own on the way back, as what is filled in does; and every query may look at
    itself, so none is blind.
    """
    allowed = causal_mask(query.shape[-2], key.shape[-2], device=query.device)
    return torch.where(allowed, 0.0, -math.inf).to(query.dtype)


def _explicit_is_faster(query: Tensor) -> bool:
    """Whether plain matrix products beat the fused kernel: its bfloat16 backward pass is slow on CPUs."""
    return query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad


def check_head_counts(d_model: int, n_heads: int, n_kv_heads: int) -> None:
    """Raise ValueError unless the heads divide the model's width and the key-value heads divide the heads."""
    if n_heads < 1 or n_kv_heads < 1:
        raise ValueError(f"Attention needs at least one head, but got n_heads={n_heads} and n_kv_heads={n_kv_heads}.")
    if d_model % n_heads:
        divisors = [n for n in range(1, d_model + 1) if d_model % n == 0]
        near = sorted(divisors, key=lambda n: (abs(n - n_heads), n))[:2]
        raise ValueError(
            f"d_model={d_model} cannot be cut into n_heads={n_heads} equal heads: {d_model} / {n_heads} is "
            f"{d_model / n_heads:.2f}. Try n_heads={' or '.join(map(str, sorted(near)))}."
        )
    if n_heads % n_kv_heads:
        raise ValueError(
            f"n_heads={n_heads} query heads cannot share n_kv_heads={n_kv_heads} key-value heads evenly: "
            f"n_kv_heads must divide {n_heads}."
        )
