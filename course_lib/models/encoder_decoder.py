"""The Transformer of 2017: an encoder that reads one text, and a decoder that writes another while it looks at it."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.models.gpt import IGNORED
from course_lib.models.inputs import check_range, mean_cross_entropy
from course_lib.nn.attention import check_head_counts, padding_mask
from course_lib.nn.kv_cache import ContextCache, KVCache
from course_lib.nn.layers import ACTIVATIONS, NORMS, TransformerBlock, check_choice, make_norm
from course_lib.nn.positions import LearnedPositions, RelativeBias, sinusoidal_encoding

POSITIONS = ("sinusoidal", "learned", "relative", "none")
NORM_POSITIONS = ("pre", "post")
OTHER_TOKENIZER = "was the text encoded with another tokenizer?"


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """Everything that decides an encoder–decoder's shape. The defaults are the original's choices; T5's in brackets.

    Attributes:
        vocab_size: number of different tokens, of both texts together.
        context_length: the most tokens of a source, and the most of a target.
        d_model, n_heads, n_layers: width of the streams, heads of each attention, blocks of the encoder.
        n_decoder_layers: blocks of the decoder; default `n_layers`.
        d_head: width of a head; default d_model / n_heads.
        d_ff: inner width of the feed-forward networks; default by `FeedForward`.
        pad_id: the token that fills up short texts: nobody looks at it.
        start_id: the token that the decoder begins with; default `pad_id`, as in T5.
        positions: "sinusoidal", "learned", "relative" [T5: one table of biases for each side, used by all its blocks]
            or "none".
        n_buckets, max_distance: of relative positions, as in `RelativeBias`.
        norm: "layernorm" or "rmsnorm" [T5]; norm_eps: ε inside its root; norm_position: "post" or "pre" [T5].
        final_norm: whether a norm follows the last block of each side; default: only with "pre", whose stream no norm
            has touched. torch.nn.Transformer has one always.
        activation: "relu" [T5 1.0], "geglu" [T5 1.1] or another of `FeedForward`.
        bias: whether linear maps and norms have an additive constant [T5: not].
        scale_scores: divide the scores by √d_head [T5: not; its queries begin smaller instead].
        tie_embeddings: use the embedding matrix for the logits too.
        scale_output: divide what the logits are made from by √d_model [T5 1.0].
        label_smoothing: the share of each target's probability that training spreads over all tokens.
        dropout: probability of dropping, in training, an attention weight, a sublayer's output or an embedding.
    """

    vocab_size: int
    context_length: int
    d_model: int
    n_heads: int
    n_layers: int
    n_decoder_layers: int | None = None
    d_head: int | None = None
    d_ff: int | None = None
    pad_id: int = 0
    start_id: int | None = None
    positions: str = "sinusoidal"
    n_buckets: int = 32
    max_distance: int = 128
    norm: str = "layernorm"
    norm_position: str = "post"
    norm_eps: float = 1e-5
    final_norm: bool | None = None
    activation: str = "relu"
    bias: bool = True
    scale_scores: bool = True
    tie_embeddings: bool = True
    scale_output: bool = False
    label_smoothing: float = 0.0
    dropout: float = 0.0

    def __post_init__(self):
        for name in ("vocab_size", "context_length", "d_model", "n_layers", "decoder_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but it is {getattr(self, name)}.")
        check_choice("kind of positions", self.positions, POSITIONS)
        check_choice("norm", self.norm, NORMS)
        check_choice("norm position", self.norm_position, NORM_POSITIONS)
        check_choice("activation", self.activation, ACTIVATIONS)
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is a share below 1, but it is {getattr(self, name)}.")
        if self.d_head is None:
            check_head_counts(self.d_model, self.n_heads, self.n_heads)
        for name in ("pad_id", "first_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise ValueError(
                    f"{name.replace('first', 'start')}={getattr(self, name)} is no token of the vocabulary, which is "
                    f"0 … {self.vocab_size - 1}."
                )

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    @property
    def decoder_layers(self) -> int:
        """Blocks of the decoder."""
        return self.n_layers if self.n_decoder_layers is None else self.n_decoder_layers

    @property
    def first_id(self) -> int:
        """The token that the decoder begins with."""
        return self.pad_id if self.start_id is None else self.start_id


class Encoded(NamedTuple):
    """A source, as the decoder looks at it.

    states: the encoder's last vectors; mask: False at padding; attentions: the weights of each of its blocks, or None.
    """

    states: Float[Tensor, "batch source d_model"]
    mask: Bool[Tensor, "batch 1 1 source"]
    attentions: list[Float[Tensor, "batch heads source source"]] | None


class DecoderCache:
    """What a block of the decoder keeps: the keys and values of its own text, and those of the source."""

    def __init__(self, own: KVCache):
        self.own = own
        self.context = ContextCache()

    @property
    def length(self) -> int:
        """Tokens of its own text so far."""
        return self.own.length

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with sequence `rows[i]` in place of sequence i."""
        self.own.reorder(rows)
        self.context.reorder(rows)


class Decoded(NamedTuple):
    """Logits of the next token at each position, and the weights of the decoder's two attentions, or None."""

    logits: Float[Tensor, "batch target vocab_size"]
    attentions: list[Float[Tensor, "batch heads target past"]] | None
    cross_attentions: list[Float[Tensor, "batch heads target source"]] | None


@dataclass
class EncoderDecoderOutput:
    """What an encoder–decoder answers.

    Attributes:
        logits: unnormalised log-probabilities of the target's token at each position, given those before it.
        loss: mean cross-entropy in nats over the targets that count; in training with label smoothing.
        encoder_attentions, decoder_attentions, cross_attentions: the weights of each block; None unless asked for.
    """

    logits: Float[Tensor, "batch target vocab_size"]
    loss: Float[Tensor, ""]
    encoder_attentions: list[Float[Tensor, "batch heads source source"]] | None = None
    decoder_attentions: list[Float[Tensor, "batch heads target target"]] | None = None
    cross_attentions: list[Float[Tensor, "batch heads target source"]] | None = None


class EncoderDecoder(nn.Module):
    """p(target token t | source, target tokens before t), for every t at once.

    Sources: Vaswani et al. 2017, "Attention Is All You Need"; Raffel et al. 2020, "T5", section 2.1.
    """

    def __init__(self, config: EncoderDecoderConfig):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = _Side(config, config.n_layers, writes=False)
        self.decoder = _Side(config, config.decoder_layers, writes=True)
        self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.unembedding.weight = self.token_embedding.weight
        self._initialise()

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        targets: Int[Tensor, "batch target"],
        *,
        return_attentions: bool = False,
    ) -> EncoderDecoderOutput:
        """Predict each target from the source and the *right* targets before it: teacher forcing.

        Args:
            source: ids of the text to read, filled up with `pad_id`.
            targets: ids of the text to write, its end token included, filled up with IGNORED.
            return_attentions: also answer the attention weights of every block.

        Raises ValueError for a text past the context, or a token outside the vocabulary.
        """
        encoded = self.encode(source, return_attentions=return_attentions)
        tokens = shift_right(targets, self.config.first_id, self.config.pad_id)
        decoded = self.decode(tokens, encoded, return_attentions=return_attentions)
        loss = self._loss(decoded.logits, targets)
        return EncoderDecoderOutput(
            decoded.logits, loss, encoded.attentions, decoded.attentions, decoded.cross_attentions
        )

    def encode(self, source: Int[Tensor, "batch source"], *, return_attentions: bool = False) -> Encoded:
        """Read a source: every token looks at every other, padding excepted."""
        self._check("source", source)
        mask = padding_mask(source, self.config.pad_id)
        x, weights, _ = self.encoder(self._embed(source), 0, mask=mask, need_weights=return_attentions)
        return Encoded(x, mask, weights)

    def decode(
        self,
        tokens: Int[Tensor, "batch target"],
        encoded: Encoded,
        *,
        return_attentions: bool = False,
        cache: list[DecoderCache] | None = None,
    ) -> Decoded:
        """The logits after each of `tokens`, of which the first is the start token, while looking at a source.

        With a cache (see `new_cache`), `tokens` continue the text that it holds, and the keys and values of the source
        are those that the first call computed.
        """
        past = cache[0].length if cache else 0
        self._check("target", tokens, past)
        x, weights, cross_weights = self.decoder(
            self._embed(tokens), past, encoded=encoded, cache=cache, need_weights=return_attentions
        )
        if self.config.scale_output:
            x = x * self.config.d_model**-0.5
        return Decoded(self.unembedding(x), weights, cross_weights)

    def new_cache(self, batch: int, max_length: int | None = None) -> list[DecoderCache]:
        """An empty cache for each block of the decoder, with room for `max_length` tokens (default: the context)."""
        weight = self.token_embedding.weight
        length = max_length or self.config.context_length
        return [
            DecoderCache(
                KVCache(
                    batch,
                    self.config.n_heads,
                    length,
                    self.config.head_width,
                    dtype=weight.dtype,
                    device=weight.device,
                )
            )
            for _ in self.decoder.blocks
        ]

    def count_parameters(self) -> int:
        """Number of trained numbers; a tied matrix counts once."""
        return sum(p.numel() for p in self.parameters())

    def _embed(self, tokens: Tensor) -> Tensor:
        """Token vectors; those that sines are added to are made as large as these (Vaswani et al. 2017, 3.4)."""
        x = self.token_embedding(tokens)
        return x * math.sqrt(self.config.d_model) if self.config.positions == "sinusoidal" else x

    def _initialise(self) -> None:
        """Matrices keep the size of what passes through; what writes to a stream is smaller the deeper the stream is.

        Without a scale for the scores the queries carry it (T5's code). The embedding is such that the first logits
        have about size 1.
        """
        for side in (self.encoder, self.decoder):
            for module in side.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=module.in_features**-0.5)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
                elif isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, std=0.02)
            for block in side.blocks:
                attentions = [block.attention, block.cross_attention] if side.writes else [block.attention]
                writers = [*(attention.output for attention in attentions), block.feed_forward.down]
                with torch.no_grad():
                    for writer in writers:
                        writer.weight.div_(math.sqrt(len(writers) * len(side.blocks)))
                    for attention in attentions:
                        if not self.config.scale_scores:
                            attention.query.weight.div_(math.sqrt(self.config.head_width))
        size = 1.0 if self.config.scale_output else self.config.d_model**-0.5
        nn.init.normal_(self.token_embedding.weight, std=size)
        if not self.config.tie_embeddings:
            nn.init.normal_(self.unembedding.weight, std=self.config.d_model**-0.5)

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats; labels are smoothed in training alone, so that what is measured is the truth's.

        Source: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4.
        """
        smoothing = self.config.label_smoothing if self.training else 0.0
        return mean_cross_entropy(logits, targets, "Target", OTHER_TOKENIZER, label_smoothing=smoothing)

    def _check(self, what: str, tokens: Tensor, past: int = 0) -> None:
        """Raise ValueError for a text past the context, or a token that is none of the vocabulary's."""
        length = past + tokens.shape[1]
        if length > self.config.context_length:
            raise ValueError(
                f"The {what} is {length} tokens long, but this model's positions end after "
                f"{self.config.context_length}. Shorten the text, or build the model with a larger context_length."
            )
        check_range("Token", tokens, self.config.vocab_size, OTHER_TOKENIZER)


class _Side(nn.Module):
    """Positions, blocks and the last norm of the encoder, or of the decoder, which writes."""

    def __init__(self, config: EncoderDecoderConfig, n_layers: int, *, writes: bool):
        super().__init__()
        self.writes = writes
        self.positions: nn.Module | None = None
        match config.positions:
            case "learned":
                self.positions = LearnedPositions(config.context_length, config.d_model)
            case "relative":
                self.positions = RelativeBias(
                    config.n_heads,
                    n_buckets=config.n_buckets,
                    max_distance=config.max_distance,
                    bidirectional=not writes,
                )
        sines = sinusoidal_encoding(config.context_length, config.d_model) if config.positions == "sinusoidal" else None
        self.register_buffer("sinusoids", sines, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                config.d_model,
                config.n_heads,
                config.d_ff,
                d_head=config.d_head,
                norm=config.norm,
                norm_position=config.norm_position,
                norm_eps=config.norm_eps,
                activation=config.activation,
                bias=config.bias,
                scale=None if config.scale_scores else 1.0,
                dropout=config.dropout,
                cross_attention=writes,
            )
            for _ in range(n_layers)
        )
        has_norm = config.norm_position == "pre" if config.final_norm is None else config.final_norm
        self.final_norm = (
            make_norm(config.norm, config.d_model, eps=config.norm_eps, bias=config.bias) if has_norm else nn.Identity()
        )

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        past: int,
        *,
        mask: Bool[Tensor, "batch 1 1 time"] | None = None,
        encoded: Encoded | None = None,
        cache: list[DecoderCache] | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, list[Tensor] | None, list[Tensor] | None]:
        """The last vectors, and each block's weights: of the attention within the text, and of that to the source."""
        time = x.shape[1]
        bias = None
        if isinstance(self.positions, LearnedPositions):
            x = x + self.positions(time, past)
        elif isinstance(self.positions, RelativeBias):
            bias = self.positions(time, past + time)  # computed once, for every block
        elif self.sinusoids is not None:
            x = x + self.sinusoids[past : past + time].to(x.dtype)
        x = self.dropout(x)

        own, cross = [], []
        for layer, block in enumerate(self.blocks):
            if encoded is None:
                x, weights = block(x, mask=mask, bias=bias, need_weights=need_weights)
            else:
                kept = cache[layer] if cache else None
                x, weights, cross_weights = block(
                    x,
                    context=encoded.states,
                    context_mask=encoded.mask,
                    causal=True,
                    bias=bias,
                    cache=kept and kept.own,
                    context_cache=kept and kept.context,
                    need_weights=need_weights,
                )
                cross.append(cross_weights)
            own.append(weights)
        x = self.final_norm(x)
        return x, own if need_weights else None, cross if need_weights and cross else None


def shift_right(targets: Int[Tensor, "batch target"], start_id: int, pad_id: int) -> Int[Tensor, "batch target"]:
    """What the decoder is given, so that it predicts `targets`: the start token, then each target but the last.

    IGNORED becomes padding. Nothing that counts is predicted from it, for it comes last.
    """
    start = torch.full_like(targets[:, :1], start_id)
    return torch.cat([start, targets[:, :-1].masked_fill(targets[:, :-1] == IGNORED, pad_id)], dim=1)
