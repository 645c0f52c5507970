"""One more token through the blocks of a GPT, with the keys and values of those before it at hand.

What `GPT.forward` computes for a single position, without what only longer texts need: no checks, no causal mask, one
row of each table of positions.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.models.gpt import GPT
from course_lib.nn.int8 import Int8Linear
from course_lib.nn.layers import LayerNorm, TransformerBlock
from course_lib.nn.positions import alibi_bias

Logits = Float[Tensor, "batch vocab_size"]
Function = Callable[[Tensor], Tensor]
LinearOf = Callable[[nn.Module, torch.dtype], Function]
"""How a linear module is to be computed for inputs of a dtype."""


def linear_function(module: nn.Module, dtype: torch.dtype) -> Function:
    """What a linear module computes of inputs of a `dtype`, without the module's hooks."""
    if type(module) is nn.Linear:
        return partial(F.linear, weight=module.weight, bias=module.bias)
    return module.kernel(dtype) if isinstance(module, Int8Linear) else module


class TokenStep:
    """The logits after one more token of each text.

    Args:
        model: the GPT whose weights are read.
        max_length: the most positions that texts will have.
        linear: how its linear maps are computed.
    """

    def __init__(self, model: GPT, max_length: int, linear: LinearOf = linear_function):
        dtype = model.token_embedding.weight.dtype
        self.model = model
        self.positions = Positions(model, max_length)
        self.blocks = [_BlockStep(block, dtype, linear) for block in model.blocks]
        self.final_norm = _norm(model.final_norm)
        self.unembedding = linear(model.unembedding, dtype)

    def __call__(self, tokens: Int[Tensor, "batch"], pasts: Sequence[Tensor], place: "Place") -> Logits:
        """The logits after these tokens, which stand at a place; their keys and values are stored in `pasts`.

        `pasts` are each block's keys and values: (batch, both_heads, place.end, d_head).
        """
        x = self.positions.add(F.embedding(tokens, self.model.token_embedding.weight), place)  # (batch, d_model)
        for block, past in zip(self.blocks, pasts, strict=True):
            x = block(x, past, place)
        logits, cap = self.unembedding(self.final_norm(x)), self.model.config.logit_cap
        return logits if cap is None else cap * (logits / cap).tanh()


@dataclasses.dataclass
class Place:
    """Where the new token of each text stands, in the forms that the kinds of positions need."""

    index: int | Tensor
    end: int  # of the longest text, the new token included
    bias: Tensor | None  # added to the scores; -inf where a text has no key
    rotary: tuple[Tensor, Tensor] | None


class Positions:
    """One row of a GPT's positions at a time."""

    def __init__(self, model: GPT, max_length: int):
        config = model.config
        self.kv_heads, self.group = config.kv_heads, config.n_heads // config.kv_heads
        self.dtype = model.token_embedding.weight.dtype
        self.table: Tensor | None = None  # added to the token vectors
        self.factor = 1.0
        self.bias: Tensor | None = None  # (heads, distance): added to the scores of keys this far back
        self.cos = self.sin = None
        match config.positions:
            case "learned":
                self.table = model.positions.embedding.weight
            case "sinusoidal":
                self.table, self.factor = model.sinusoids.to(self.dtype), math.sqrt(config.d_model)
            case "rotary":
                # With the sign in the table and the halves exchanged by `roll`, a rotation is two products and a sum.
                self.cos = torch.cat([model.rotary_cos, model.rotary_cos], dim=-1).to(self.dtype)
                self.sin = torch.cat([-model.rotary_sin, model.rotary_sin], dim=-1).to(self.dtype)
            case "alibi":
                row = alibi_bias(config.n_heads, 1, max_length)[:, 0]
                self.bias = row.flip(-1).to(model.token_embedding.weight)
            case "relative":
                self.bias = model.positions(1, max_length)[:, 0].flip(-1)

    def place(self, length: int | Tensor) -> Place:
        """What the token after `length` others needs."""
        end = (length if isinstance(length, int) else int(length.max())) + 1
        return Place(length, end, self._scores_bias(length, end), self._rotary(length))

    def place_of_one(self, position: Int[Tensor, "1"], end: int) -> Place:
        """`place` for a single text, its position in a tensor: what is compiled is then the same for every position."""
        return Place(position, end, self._recent_bias(end), self._rotary(position))

    def add(self, x: Float[Tensor, "batch d_model"], place: Place) -> Float[Tensor, "batch d_model"]:
        """Token vectors with absolute positions added."""
        if self.table is None:
            return x
        if self.factor != 1.0:
            x = x * self.factor
        return x + (self.table[place.index])

    def _rotary(self, length: int | Tensor) -> tuple[Tensor, Tensor] | None:
        """The cosines and sines of a token's angles."""
        return None if self.cos is None else (self._rows(self.cos, length), self._rows(self.sin, length))

    def _rows(self, table: Tensor, length: int | Tensor) -> Tensor:
        return table[length] if isinstance(length, int) else table[length][:, None]  # (d_head,) or (batch, 1, d_head)

    def _recent_bias(self, keys: int) -> Tensor | None:
        """(1, kv_heads, group, key) for the last of so many positions, or None where nothing is added."""
        return None if self.bias is None else self.bias[:, :keys].flip(-1).view(1, self.kv_heads, self.group, -1)

    def _scores_bias(self, length: int | Tensor, keys: int) -> Tensor | None:
        """(batch or 1, kv_heads, group, key), or None where nothing is added."""
        if isinstance(length, int):
            return self._recent_bias(keys)
        distance = length[:, None] - torch.arange(keys, device=length.device)  # (batch, key); negative: no such key
        if self.bias is None:
            bias = torch.zeros(len(length), 1, 1, keys, dtype=self.dtype, device=length.device)
        else:
            bias = self.bias[:, distance.clamp(min=0)].transpose(0, 1)  # (batch, heads, key)
            bias = bias.reshape(len(length), self.kv_heads, self.group, keys)
        return bias.masked_fill((distance < 0)[:, None, None], -math.inf)


class _BlockStep:
    """A transformer block for one token of each text."""

    def __init__(self, block: TransformerBlock, dtype: torch.dtype, linear: LinearOf):
        attention, feed_forward = block.attention, block.feed_forward
        self.n_heads, self.kv_heads, self.d_head = attention.n_heads, attention.n_kv_heads, attention.d_head
        self.qk_norm = attention.qk_norm
        self.project = _joined([attention.query, attention.key, attention.value], dtype, linear)
        self.output = linear(attention.output, dtype)
        self.up, self.down = linear(feed_forward.up, dtype), linear(feed_forward.down, dtype)
        self.gate = None if feed_forward.gate is None else linear(feed_forward.gate, dtype)
        self.activation = feed_forward.activation
        self.norm_position = block.norm_position
        self.attention_norm, self.feed_forward_norm = _norm(block.attention_norm), _norm(block.feed_forward_norm)

    def __call__(
        self, x: Float[Tensor, "batch d_model"], past: Float[Tensor, "batch both_heads time d_head"], place: Place
    ) -> Tensor:
        if self.norm_position == "post":
            x = self.attention_norm(x + self.attend(x, past, place))
            return self.feed_forward_norm(x + self.feed_forward(x))
        x = x + self.attend(self.attention_norm(x), past, place)
        return x + self.feed_forward(self.feed_forward_norm(x))

    def attend(
        self, x: Float[Tensor, "batch d_model"], past: Float[Tensor, "batch both_heads time d_head"], place: Place
    ) -> Tensor:
        """Store this token's key and value in `past`, where the keys of all heads stand before the values of all.

        Then mix the values of its text.
        """
        batch, turned = x.shape[0], self.n_heads + self.kv_heads
        heads = self.project(x).view(batch, -1, self.d_head)  # queries, keys and values: (batch, heads, d_head)
        if self.qk_norm or place.rotary is not None:
            query_key = heads[:, :turned]
            if self.qk_norm:
                query_key = F.rms_norm(query_key, (self.d_head,))
            if place.rotary is not None:
                cos, sin = place.rotary
                query_key = torch.addcmul(query_key * cos, query_key.roll(self.d_head // 2, -1), sin)
            heads = torch.cat([query_key, heads[:, turned:]], dim=1)
        query, key_value = heads.split_with_sizes((self.n_heads, 2 * self.kv_heads), 1)
        _store(past, place, key_value)
        keys, values = past.split_with_sizes((self.kv_heads, self.kv_heads), 1)
        # The queries that share a key head stand where a longer text has its positions, so no key is copied.
        query = query.reshape(batch, self.kv_heads, -1, self.d_head)
        mixed = F.scaled_dot_product_attention(query, keys, values, place.bias)  # (batch, kv_heads, group, d_head)
        return self.output(mixed.reshape(batch, -1))

    def feed_forward(self, x: Float[Tensor, "batch d_model"]) -> Tensor:
        """FeedForward.forward without its dropout."""
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        return self.down(self.activation(self.gate(x)) * self.up(x))


def _store(past: Tensor, place: Place, key_value: Float[Tensor, "batch both_heads d_head"]) -> None:
    """Put one key and value of each text at its place."""
    if isinstance(place.index, int):
        past.select(2, place.index).copy_(key_value)
    elif len(past) == 1:
        past.index_copy_(2, place.index, key_value[:, :, None])  # which a compiler does in place
    else:
        past[torch.arange(len(past), device=past.device), :, place.index] = key_value


def _joined(modules: list[nn.Module], dtype: torch.dtype, linear: LinearOf) -> Function:
    """The outputs of several linear maps of one input, side by side."""
    if all(isinstance(module, Int8Linear) for module in modules):
        return linear(Int8Linear.side_by_side(modules), dtype)
    functions = [linear(module, dtype) for module in modules]
    return lambda x: torch.cat([function(x) for function in functions], dim=-1)


def _norm(module: nn.Module) -> Function:
    """What a norm computes: torch's own LayerNorm in one pass where it is one."""
    if type(module) is LayerNorm:
        sizes = tuple(module.weight.shape)
        return lambda x: torch.layer_norm(x, sizes, module.weight, module.bias, module.eps, False)
    return module.forward
