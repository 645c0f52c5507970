"""GPT: a stack of causal blocks between an embedding and a prediction of the next token."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.nn.attention import check_head_counts
from course_lib.nn.kv_cache import KVCache
from course_lib.nn.layers import (
    ACTIVATIONS,
    NORM_POSITIONS,
    NORMS,
    TransformerBlock,
    check_choice,
    make_norm,
)
from course_lib.nn.positions import (
    LearnedPositions,
    RelativeBias,
    RotaryTables,
    alibi_bias,
    rotary_tables,
    sinusoidal_encoding,
)

IGNORED = -100
"""A target that is not predicted: padding, or a prompt that does not count."""

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi", "relative", "none")


@dataclass(frozen=True)
class GPTConfig:
    """Everything that decides a GPT's shape. The defaults are GPT-2's choices.

    Attributes:
        vocab_size: number of different tokens, V.
        context_length: the most tokens it ever sees at once.
        d_model, n_heads, n_layers: width of the stream, heads of each block, number of blocks.
        n_kv_heads: key-value heads of each block; default `n_heads`.
        d_ff: inner width of the feed-forward network; default by `FeedForward`.
        positions: "learned", "sinusoidal", "rotary", "alibi", "relative" or "none".
        norm: "layernorm" or "rmsnorm"; norm_position: "pre", "post" or "none"; norm_eps: ε inside its root.
        activation: "gelu_tanh", "gelu", "relu", "relu2" or "swiglu".
        bias: whether linear maps and norms have an additive constant.
        qk_norm: normalise queries and keys before their dot product.
        tie_embeddings: use the embedding matrix for the logits too.
        dropout: probability of dropping, in training, an attention weight, a sublayer's output or an embedding.
        zero_writers: start what writes to the stream at zero, so that every block begins by passing it on unchanged
            (Fixup, Zhang et al. 2019; μP, Yang et al. 2022).
        token_shift: give each attention half of a token's features from the token before (`shift_tokens`).
        feed_forward: whether blocks have a feed-forward network; without, they are attention alone (Elhage et al. 2021,
            "A Mathematical Framework for Transformer Circuits").
        logit_cap: keep the logits within ± this, softly: cap · tanh(logits / cap) (Gemma 2, 2024). None: no bound.
    """

    vocab_size: int
    context_length: int
    d_model: int
    n_heads: int
    n_layers: int
    n_kv_heads: int | None = None
    d_ff: int | None = None
    positions: str = "learned"
    norm: str = "layernorm"
    norm_position: str = "pre"
    norm_eps: float = 1e-5
    activation: str = "gelu_tanh"
    bias: bool = True
    qk_norm: bool = False
    tie_embeddings: bool = True
    dropout: float = 0.0
    zero_writers: bool = False
    token_shift: bool = False
    feed_forward: bool = True
    logit_cap: float | None = None

    def __post_init__(self):
        for name in ("vocab_size", "context_length", "d_model", "n_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but it is {getattr(self, name)}.")
        check_choice("kind of positions", self.positions, POSITIONS)
        check_choice("norm", self.norm, NORMS)
        check_choice("norm position", self.norm_position, NORM_POSITIONS)
        check_choice("activation", self.activation, ACTIVATIONS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability below 1, but it is {self.dropout}.")
        if self.logit_cap is not None and not self.logit_cap > 0:
            raise ValueError(f"logit_cap must be above 0, or None for no bound, but it is {self.logit_cap}.")
        check_head_counts(self.d_model, self.n_heads, self.kv_heads)
        if self.positions == "rotary" and self.d_head % 2:
            raise ValueError(
                f"Rotary positions turn pairs of features, so the head width d_model / n_heads must be even, but "
                f"{self.d_model} / {self.n_heads} = {self.d_head}."
            )

    @property
    def d_head(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Key-value heads of each block."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads


@dataclass
class GPTOutput:
    """What a GPT answers.

    Attributes:
        logits: unnormalised log-probabilities of the next token at each position.
        loss: mean cross-entropy in nats over the targets that count; None without targets.
        attentions: the weights of each block; None unless asked for.
    """

    logits: Float[Tensor, "batch time vocab_size"]
    loss: Float[Tensor, ""] | None = None
    attentions: list[Float[Tensor, "batch heads query key"]] | None = None


class GPT(nn.Module):
    """A decoder-only transformer: p(token t | tokens before t) for every t at once.

    Sources: Radford et al. 2018 and 2019 (GPT, GPT-2); Vaswani et al. 2017.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self._make_positions()
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                config.d_model,
                config.n_heads,
                config.d_ff,
                n_kv_heads=config.n_kv_heads,
                norm=config.norm,
                norm_position=config.norm_position,
                norm_eps=config.norm_eps,
                activation=config.activation,
                bias=config.bias,
                qk_norm=config.qk_norm,
                dropout=config.dropout,
                token_shift=config.token_shift,
                feed_forward=config.feed_forward,
            )
            for _ in range(config.n_layers)
        )
        # Pre-norm leaves the stream unnormalised, so one norm stands before the logits; post-norm ends in one.
        self.final_norm = (
            make_norm(config.norm, config.d_model, eps=config.norm_eps, bias=config.bias)
            if config.norm_position == "pre"
            else nn.Identity()
        )
        self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.unembedding.weight = self.token_embedding.weight
        self._initialise()

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        targets: Int[Tensor, "batch time"] | None = None,
        *,
        return_attentions: bool = False,
        cache: list[KVCache] | None = None,
    ) -> GPTOutput:
        """Predict the token after each of `tokens`.

        Args:
            tokens: ids, in [0, vocab_size).
            targets: the token that follows each position (`tokens` moved left by one), IGNORED where none counts.
            return_attentions: also answer every block's attention weights.
            cache: one KVCache per block (see `new_cache`); `tokens` continue the text that they hold.

        Raises ValueError for a text past the context, or a token or target outside the vocabulary.
        """
        past = cache[0].length if cache else 0
        self._check_length(past + tokens.shape[1])
        self._check_vocabulary(tokens)

        x, bias, rotary = self._embed(tokens, past)  # (batch, time, d_model)
        attentions = []
        for layer, block in enumerate(self.blocks):
            x, weights = block(
                x,
                causal=True,
                bias=bias,
                rotary=rotary,
                cache=cache[layer] if cache else None,
                need_weights=return_attentions,
            )
            attentions.append(weights)
        logits = self.unembedding(self.final_norm(x))  # (batch, time, vocab_size)
        if self.config.logit_cap is not None:
            logits = self.config.logit_cap * (logits / self.config.logit_cap).tanh()

        loss = None
        if targets is not None:
            loss = self._loss(logits, targets)
        return GPTOutput(logits, loss, attentions if return_attentions else None)

    def new_cache(self, batch: int, max_length: int | None = None) -> list[KVCache]:
        """An empty KVCache for each block, with room for `max_length` positions (default: the context)."""
        weight = self.token_embedding.weight
        return [
            KVCache(
                batch,
                self.config.kv_heads,
                max_length or self.config.context_length,
                self.config.d_head,
                dtype=weight.dtype,
                device=weight.device,
            )
            for _ in self.blocks
        ]

    def count_parameters(self, *, embeddings: bool = True) -> int:
        """Number of trained numbers; a tied matrix counts once. `embeddings=False` leaves out tokens and positions."""
        total = sum(p.numel() for p in self.parameters())
        if embeddings:
            return total
        return total - sum(p.numel() for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters())

    def _make_positions(self) -> None:
        """Create whatever the chosen kind of positions needs; tables are not saved with the weights."""
        config = self.config
        self.positions: nn.Module | None = None
        match config.positions:
            case "learned":
                self.positions = LearnedPositions(config.context_length, config.d_model)
            case "relative":
                self.positions = RelativeBias(config.n_heads)
            case "sinusoidal":
                table = sinusoidal_encoding(config.context_length, config.d_model)
                self.register_buffer("sinusoids", table, persistent=False)
            case "rotary":
                tables = rotary_tables(config.context_length, config.d_head)
                self.register_buffer("rotary_cos", tables.cos, persistent=False)
                self.register_buffer("rotary_sin", tables.sin, persistent=False)

    def _embed(self, tokens: Tensor, past: int) -> tuple[Tensor, Tensor | None, RotaryTables | None]:
        """Token vectors with absolute positions added, and what attention needs of relative ones."""
        time = tokens.shape[1]
        x, bias, rotary = self.token_embedding(tokens), None, None
        match self.config.positions:
            case "learned":
                x = x + self.positions(time, past)
            case "sinusoidal":
                # Sines have size 1, token vectors start at 0.02: the factor of Vaswani et al. 2017, section 3.4.
                x = x * math.sqrt(self.config.d_model) + self.sinusoids[past : past + time].to(x.dtype)
            case "rotary":
                rotary = RotaryTables(self.rotary_cos, self.rotary_sin).slice(past, time)
            case "alibi":
                bias = alibi_bias(self.config.n_heads, time, past + time).to(x)
            case "relative":
                bias = self.positions(time, past + time)
        return self.dropout(x), bias, rotary

    def _initialise(self) -> None:
        """Normal weights of spread 0.02; what writes to the stream is scaled by 1/√(2 · n_layers) as in GPT-2.

        Each block adds two random vectors to the stream. Their variances add up, so the smaller spread keeps the
        stream's size at the output about the same for every depth. With `zero_writers` they add nothing at first.

        Source: Radford et al. 2019, section 2.3.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        writer_std = 0.0 if self.config.zero_writers else 0.02 / math.sqrt(2 * self.config.n_layers)
        for block in self.blocks:
            nn.init.normal_(block.attention.output.weight, std=writer_std)
            if block.feed_forward is not None:
                nn.init.normal_(block.feed_forward.down.weight, std=writer_std)

    def _loss(
        self, logits: Float[Tensor, "batch time vocab_size"], targets: Int[Tensor, "batch time"]
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats over the targets that are not IGNORED, at least in float32."""
        self._check_vocabulary(targets.masked_fill(targets == IGNORED, 0))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), ignore_index=IGNORED)

    def _check_length(self, length: int) -> None:
        """Raise ValueError when the text does not fit the context."""
        if length > self.config.context_length:
            raise ValueError(
                f"The text is {length} tokens long, but this model's context is {self.config.context_length}. "
                "Shorten the text, or build the model with a larger context_length."
            )

    def _check_vocabulary(self, tokens: Tensor) -> None:
        """Raise ValueError when a token is none of the vocabulary's."""
        # Reading the tokens' range would stall a GPU at every step; there the embedding itself reports an error.
        if tokens.device.type == "cpu" and tokens.numel() and not torch.compiler.is_compiling():
            low, high = int(tokens.min()), int(tokens.max())
            if low < 0 or high >= self.config.vocab_size:
                outside = high if high >= self.config.vocab_size else low
                raise ValueError(
                    f"Token {outside} is outside the vocabulary 0 … {self.config.vocab_size - 1}: was the text encoded "
                    "with another tokenizer?"
                )
