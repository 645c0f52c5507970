"""What a GPT costs, from its config alone: parameters, arithmetic, memory. Tests compare each with what is measured.

A multiplication and an addition are two floating-point operations (FLOPs), so a product of an (a × b) and a (b × c)
matrix is 2abc of them. Only matrix products are counted; the rest (norms, activations, softmax) is a few per cent of a
large model's arithmetic, though not of its time.
"""

from dataclasses import astuple, dataclass

from course_lib.models.gpt import GPTConfig
from course_lib.nn.layers import GATED


@dataclass(frozen=True)
class ParameterCount:
    """How many trained numbers each part of a GPT has, all blocks together, in the order in which a text passes them.

    `up` counts every matrix that leads into the feed-forward network, a gate included. A tied unembedding has none of
    its own.
    """

    token_embedding: int
    positions: int
    query_key_value: int
    attention_output: int
    up: int
    down: int
    block_norms: int
    final_norm: int
    unembedding: int

    @property
    def attention(self) -> int:
        """The four projections of every block."""
        return self.query_key_value + self.attention_output

    @property
    def feed_forward(self) -> int:
        """The feed-forward network of every block."""
        return self.up + self.down

    @property
    def norms(self) -> int:
        """Every norm."""
        return self.block_norms + self.final_norm

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))

    @property
    def without_embeddings(self) -> int:
        """What scaling laws count: all but tables of tokens and positions."""
        return self.total - self.token_embedding - self.positions


def count_parameters(config: GPTConfig) -> ParameterCount:
    """The parameters of a GPT, by formula: a map from a to b numbers has a · b weights, and b more with biases.

    For GPT-2 (biases, tied, d_ff = 4d) that is V·d + T·d + L · (12d² + 13d) + 2d in all.
    """
    d, layers, bias = config.d_model, config.n_layers, int(config.bias)
    norm_size = 2 * d if config.norm == "layernorm" and config.bias else d
    norms_of_a_block = 0 if config.norm_position == "none" else 1 + config.feed_forward
    positions = {"learned": config.context_length * d, "relative": RELATIVE_BUCKETS * config.n_heads}
    return ParameterCount(
        token_embedding=config.vocab_size * d,
        positions=positions.get(config.positions, 0),
        query_key_value=layers * (d + bias) * (d + 2 * config.kv_heads * config.d_head),
        attention_output=layers * (d + bias) * d,
        up=config.feed_forward * layers * (d + bias) * _gates(config) * inner_width(config),
        down=config.feed_forward * layers * (inner_width(config) + bias) * d,
        block_norms=layers * norms_of_a_block * norm_size,
        final_norm=norm_size if config.norm_position == "pre" else 0,
        unembedding=0 if config.tie_embeddings else config.vocab_size * d,
    )


def forward_flops(config: GPTConfig, time: int, batch: int = 1) -> int:
    """FLOPs to predict the token after each of `time` positions, for each of `batch` texts.

    Each weight of a matrix is used once for each token: 2 FLOPs. Scores and mixing add 4 · d_model for each pair of
    positions and each layer; pairs that the causal mask forbids are counted, because they are computed.
    """
    weights = config.n_layers * (_attention_weights(config) + _feed_forward_weights(config))
    weights += config.vocab_size * config.d_model  # the unembedding, tied or not
    pairs = config.n_layers * time * time
    return batch * (2 * weights * time + 4 * config.d_model * pairs)


def training_flops(config: GPTConfig, time: int, batch: int = 1) -> int:
    """FLOPs of a training step: the backward pass makes two products for each one of the forward pass."""
    return 3 * forward_flops(config, time, batch)


def decoding_flops(config: GPTConfig, length: int, batch: int = 1) -> int:
    """FLOPs to make the token after `length` others whose keys and values are kept, the last one still to be read."""
    weights = config.n_layers * (_attention_weights(config) + _feed_forward_weights(config))
    return batch * (2 * (weights + config.vocab_size * config.d_model) + 4 * config.d_model * config.n_layers * length)


def cache_bytes(config: GPTConfig, length: int, batch: int = 1, *, bytes_per_number: int = 4) -> int:
    """Memory of the keys and values of `length` positions: one of each for every layer and key-value head."""
    return 2 * config.n_layers * config.kv_heads * config.d_head * length * batch * bytes_per_number


@dataclass(frozen=True)
class MemoryCount:
    """Bytes that training holds all the time; activations come on top, and grow with the batch."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.optimizer


def training_memory(config: GPTConfig, *, optimizer: str = "adamw", bytes_per_number: int = 4) -> MemoryCount:
    """Memory of weights, their gradients and what the optimiser remembers.

    AdamW keeps two averages for each parameter; Muon one for each weight of the blocks' matrices, and AdamW's two for
    the rest. Raises ValueError for another optimiser.
    """
    total = count_parameters(config).total
    if optimizer not in ("adamw", "muon"):
        raise ValueError(f"There is no optimiser {optimizer!r}: choose adamw or muon.")
    matrices = config.n_layers * (_attention_weights(config) + _feed_forward_weights(config))
    remembered = 2 * total - (matrices if optimizer == "muon" else 0)
    return MemoryCount(bytes_per_number * total, bytes_per_number * total, bytes_per_number * remembered)


RELATIVE_BUCKETS = 32
"""Ranges of distances that `RelativeBias` tells apart, each with a number for every head."""


def inner_width(config: GPTConfig) -> int:
    """The width inside the feed-forward network: `d_ff`, or what `FeedForward` makes of None."""
    if config.d_ff is not None:
        return config.d_ff
    return -(-8 * config.d_model // 3 // 8) * 8 if config.activation in GATED else 4 * config.d_model


def _gates(config: GPTConfig) -> int:
    """How many matrices lead into the feed-forward network."""
    return 2 if config.activation in GATED else 1


def _attention_weights(config: GPTConfig) -> int:
    """Weights of one block's projections: queries and output are square, keys and values as wide as their heads."""
    return 2 * config.d_model**2 + 2 * config.d_model * config.kv_heads * config.d_head


def _feed_forward_weights(config: GPTConfig) -> int:
    """Weights of one block's feed-forward matrices."""
    return config.feed_forward * (_gates(config) + 1) * config.d_model * inner_width(config)
