"""The next token's logits, one token at a time: with keys and values kept, or computed anew.

`CachedDecoder` reads the weights of a GPT once and keeps, for each step, only what a single token needs: no checks,
no causal mask, one row of each table of positions. Its logits are those of `GPT.forward`; a test compares them for
every kind of position, norm and activation. `RecomputingDecoder` is the definition it is held to.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.generation.conditioned import Conditioned, LanguageModel
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn.int8 import Int8Linear
from course_lib.nn.layers import LayerNorm, TransformerBlock
from course_lib.nn.positions import alibi_bias

KNOWN = frozenset(
    "vocab_size context_length d_model n_heads n_layers n_kv_heads d_ff positions norm norm_position norm_eps "
    "activation bias qk_norm tie_embeddings dropout zero_writers logit_cap".split()
)
"""The settings of a GPT that `CachedDecoder` follows; a GPT with another one set is run by its own `forward`."""

Logits = Float[Tensor, "batch vocab_size"]


class RecomputingDecoder:
    """Runs the whole text, or as much of its end as the context holds, through the model for each token."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.texts: list[Tensor] = []

    def read(self, prompts: list[Int[Tensor, "_"]]) -> Logits:
        """Start with these texts; the logits after each."""
        self.texts = list(prompts)
        return self._logits()

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        self.texts = [torch.cat([text, token[None]]) for text, token in zip(self.texts, tokens, strict=True)]
        return self._logits()

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with text `rows[i]` in place of text i."""
        self.texts = [self.texts[row] for row in rows.tolist()]

    def _logits(self) -> Logits:
        windows = [text[-self.model.config.context_length :] for text in self.texts]
        logits: list[Tensor] = [None] * len(windows)
        for rows in rows_of_equal_length(windows):
            answers = self.model(torch.stack([windows[row] for row in rows])).logits[:, -1]
            for row, answer in zip(rows, answers, strict=True):
                logits[row] = answer
        return torch.stack(logits)


class ForwardDecoder:
    """The model's own `forward` with its KV cache: for texts of one length, and models with switches of their own."""

    def __init__(self, model: LanguageModel, max_length: int):
        self.model = model
        self.max_length = max_length

    def read(self, prompts: list[Int[Tensor, "_"]]) -> Logits:
        """Start with these texts; the logits after each."""
        self.cache = self.model.new_cache(len(prompts), self.max_length)
        return self.model(torch.stack(prompts), cache=self.cache).logits[:, -1]

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        return self.model(tokens[:, None], cache=self.cache).logits[:, -1]

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with text `rows[i]` in place of text i."""
        for cache in self.cache:
            cache.reorder(rows)


class CachedDecoder:
    """A GPT's logits, one token at a time, with room for `max_length` positions reserved at the start.

    Texts may differ in length: each has its own next position, and keys beyond its own end are masked.
    """

    def __init__(self, model: GPT, max_length: int):
        self.model = model
        self.max_length = max_length
        self.positions = _Positions(model, max_length)
        dtype = model.token_embedding.weight.dtype
        self.blocks = [_BlockStep(block, dtype) for block in model.blocks]
        self.final_norm = _norm(model.final_norm)
        self.unembedding = _linear(model.unembedding, dtype)

    def read(self, prompts: list[Int[Tensor, "_"]]) -> Logits:
        """Start with these texts; the logits after each."""
        groups = rows_of_equal_length(prompts)
        self._reserve(len(prompts))
        if len(groups) == 1:
            self.length: int | Tensor = len(prompts[0])
            return self.model(torch.stack(prompts), cache=self.caches).logits[:, -1]
        self.stored.zero_()  # masked places are multiplied by 0, so they must be finite
        self.length = torch.tensor([len(prompt) for prompt in prompts], device=prompts[0].device)
        logits: list[Tensor] = [None] * len(prompts)
        for rows in groups:
            answers = self._read_into(rows, torch.stack([prompts[row] for row in rows]))
            for row, answer in zip(rows, answers, strict=True):
                logits[row] = answer
        return torch.stack(logits)

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        place = self.positions.place(self.length)
        x = self.positions.add(F.embedding(tokens, self.model.token_embedding.weight), place)  # (batch, d_model)
        for block, past in zip(self.blocks, self.stored.narrow(3, 0, place.end).unbind(), strict=True):
            x = block(x, past, place)
        self.length = self.length + 1
        logits, cap = self.unembedding(self.final_norm(x)), self.model.config.logit_cap
        return logits if cap is None else cap * (logits / cap).tanh()

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with text `rows[i]` in place of text i."""
        self._keep(self.stored[:, rows])
        if not isinstance(self.length, int):
            self.length = self.length[rows]

    def _reserve(self, batch: int) -> None:
        """Room for the keys and values of all blocks in one tensor, of which each block's cache is a view."""
        self.caches = self.model.new_cache(batch, self.max_length)
        _, kv_heads, time, d_head = self.caches[0].keys.shape
        self._keep(self.caches[0].keys.new_empty(len(self.caches), batch, 2 * kv_heads, time, d_head))

    def _keep(self, stored: Float[Tensor, "layer batch both_heads time d_head"]) -> None:
        self.stored = stored
        for cache, both in zip(self.caches, stored, strict=True):
            cache.keys, cache.values = both.chunk(2, dim=1)

    def _read_into(self, rows: list[int], tokens: Int[Tensor, "some time"]) -> Float[Tensor, "some vocab_size"]:
        """Read texts of one length into their rows of the cache."""
        own = self.model.new_cache(len(rows), tokens.shape[1])
        logits = self.model(tokens, cache=own).logits[:, -1]
        for cache, part in zip(self.caches, own, strict=True):
            cache.keys[rows, :, : tokens.shape[1]] = part.keys
            cache.values[rows, :, : tokens.shape[1]] = part.values
        return logits


Decoder = RecomputingDecoder | ForwardDecoder | CachedDecoder


def make_decoder(model: LanguageModel, prompts: Sequence[Tensor], max_length: int, use_cache: bool) -> Decoder:
    """The fastest decoder that gives the model's logits for these prompts."""
    if not use_cache:
        return RecomputingDecoder(model)
    if isinstance(model, Conditioned):
        return ForwardDecoder(model, max_length)
    if follows(model.config):
        return CachedDecoder(model, max_length)
    one_length = len({len(prompt) for prompt in prompts}) == 1
    return ForwardDecoder(model, max_length) if one_length else RecomputingDecoder(model)


def follows(config: GPTConfig) -> bool:
    """Whether `CachedDecoder` knows every switch that this config sets."""
    return all(
        field.name in KNOWN or getattr(config, field.name) == field.default for field in dataclasses.fields(config)
    )


def rows_of_equal_length(texts: Sequence[Tensor]) -> list[list[int]]:
    """The numbers of the texts, those of one length together."""
    groups: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(len(text), []).append(row)
    return list(groups.values())


def threads_for(model: nn.Module | Conditioned) -> int | None:
    """How many threads make tokens fastest: one for a small model, whose matrices are read before a second wakes up.

    None leaves the number as it is.
    """
    largest = max(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    return 1 if largest < SHARED_FROM else None


@contextmanager
def working(threads: int | None) -> Iterator[None]:
    """Without gradients and on so many threads; afterwards all is as before."""
    before = torch.get_num_threads()
    change = threads is not None and threads != before
    if change:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        if change:
            torch.set_num_threads(before)


SHARED_FROM = 400_000
"""Numbers in a model's largest matrix from which on several threads read it faster than one."""


@dataclasses.dataclass
class _Place:
    """Where the new token of each text stands, in the forms that the kinds of positions need."""

    index: int | Tensor
    end: int  # of the longest text, the new token included
    bias: Tensor | None  # added to the scores; -inf where a text has no key
    rotary: tuple[Tensor, Tensor] | None


class _Positions:
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

    def place(self, length: int | Tensor) -> _Place:
        """What the token after `length` others needs."""
        rotary = None if self.cos is None else (self._rows(self.cos, length), self._rows(self.sin, length))
        end = (length if isinstance(length, int) else int(length.max())) + 1
        return _Place(length, end, self._scores_bias(length, end), rotary)

    def add(self, x: Float[Tensor, "batch d_model"], place: _Place) -> Float[Tensor, "batch d_model"]:
        """Token vectors with absolute positions added."""
        if self.table is None:
            return x
        if self.factor != 1.0:
            x = x * self.factor
        return x + (self.table[place.index])

    def _rows(self, table: Tensor, length: int | Tensor) -> Tensor:
        return table[length] if isinstance(length, int) else table[length][:, None]  # (d_head,) or (batch, 1, d_head)

    def _scores_bias(self, length: int | Tensor, keys: int) -> Tensor | None:
        """(batch or 1, kv_heads, group, key), or None where nothing is added."""
        if isinstance(length, int):
            if self.bias is None:
                return None
            return self.bias[:, :keys].flip(-1).view(1, self.kv_heads, self.group, -1)
        distance = length[:, None] - torch.arange(keys, device=length.device)  # (batch, key); negative: no such key
        if self.bias is None:
            bias = torch.zeros(len(length), 1, 1, keys, dtype=self.dtype, device=length.device)
        else:
            bias = self.bias[:, distance.clamp(min=0)].transpose(0, 1)  # (batch, heads, key)
            bias = bias.reshape(len(length), self.kv_heads, self.group, keys)
        return bias.masked_fill((distance < 0)[:, None, None], -math.inf)


class _BlockStep:
    """A transformer block for one token of each text."""

    def __init__(self, block: TransformerBlock, dtype: torch.dtype):
        attention, feed_forward = block.attention, block.feed_forward
        self.n_heads, self.kv_heads, self.d_head = attention.n_heads, attention.n_kv_heads, attention.d_head
        self.qk_norm = attention.qk_norm
        self.project = _joined([attention.query, attention.key, attention.value], dtype)
        self.output = _linear(attention.output, dtype)
        self.up, self.down = _linear(feed_forward.up, dtype), _linear(feed_forward.down, dtype)
        self.gate = None if feed_forward.gate is None else _linear(feed_forward.gate, dtype)
        self.activation = feed_forward.activation
        self.norm_position = block.norm_position
        self.attention_norm, self.feed_forward_norm = _norm(block.attention_norm), _norm(block.feed_forward_norm)

    def __call__(
        self, x: Float[Tensor, "batch d_model"], past: Float[Tensor, "batch both_heads time d_head"], place: _Place
    ) -> Tensor:
        if self.norm_position == "post":
            x = self.attention_norm(x + self.attend(x, past, place))
            return self.feed_forward_norm(x + self.feed_forward(x))
        x = x + self.attend(self.attention_norm(x), past, place)
        return x + self.feed_forward(self.feed_forward_norm(x))

    def attend(
        self, x: Float[Tensor, "batch d_model"], past: Float[Tensor, "batch both_heads time d_head"], place: _Place
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


def _store(past: Tensor, place: _Place, key_value: Float[Tensor, "batch both_heads d_head"]) -> None:
    """Put one key and value of each text at its place."""
    if isinstance(place.index, int):
        past.select(2, place.index).copy_(key_value)
    else:
        past[torch.arange(len(past), device=past.device), :, place.index] = key_value


Function = Callable[[Tensor], Tensor]


def _linear(module: nn.Module, dtype: torch.dtype) -> Function:
    """What a linear module computes of inputs of a `dtype`, without the module's hooks."""
    if type(module) is nn.Linear:
        return partial(F.linear, weight=module.weight, bias=module.bias)
    return module.kernel(dtype) if isinstance(module, Int8Linear) else module


def _joined(modules: list[nn.Module], dtype: torch.dtype) -> Function:
    """The outputs of several linear maps of one input, side by side."""
    if all(isinstance(module, Int8Linear) for module in modules):
        return Int8Linear.side_by_side(modules).kernel(dtype)
    functions = [_linear(module, dtype) for module in modules]
    return lambda x: torch.cat([function(x) for function in functions], dim=-1)


def _norm(module: nn.Module) -> Function:
    """What a norm computes: torch's own LayerNorm in one pass where it is one."""
    if type(module) is LayerNorm:
        sizes = tuple(module.weight.shape)
        return lambda x: torch.layer_norm(x, sizes, module.weight, module.bias, module.eps, False)
    return module.forward
