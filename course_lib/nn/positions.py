"""Where a token stands: five ways to tell a transformer, in the order of lesson 04.

Absolute positions (sinusoidal, learned) are added to the token vectors once, at the bottom of the model. Relative
ones act inside attention: a bias on the scores (relative bias, ALiBi) or a rotation of queries and keys (rotary).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def sinusoidal_encoding(length: int, d_model: int, *, base: float = 10_000.0) -> Float[Tensor, "{length} {d_model}"]:
    """The fixed encoding PE(pos, 2i) = sin(pos / base^(2i/d_model)), PE(pos, 2i+1) = cos(the same angle).

    Each pair of features is a clock hand: feature 2i and 2i+1 turn together, the first pair by one radian a step,
    the last one almost `base` times slower.

    Raises ValueError for an odd `d_model`, which leaves a sine without its cosine.

    Source: Vaswani et al. 2017, section 3.5.
    """
    angles = _angles(length, d_model, base)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(start_dim=-2).float()


class LearnedPositions(nn.Module):
    """One trainable vector for each position, as in GPT-2 and BERT; there is none past `context_length`."""

    def __init__(self, context_length: int, d_model: int):
        super().__init__()
        self.embedding = nn.Embedding(context_length, d_model)

    def forward(self, length: int, offset: int = 0) -> Float[Tensor, "{length} d_model"]:
        """The vectors of positions `offset` … `offset + length - 1`; ValueError when there is none."""
        if offset + length > self.embedding.num_embeddings:
            raise ValueError(
                f"Positions up to {offset + length} were asked for, but only {self.embedding.num_embeddings} were "
                "learned. Shorten the text, or build the model with a larger context_length."
            )
        return self.embedding.weight[offset : offset + length]


class RotaryTables(NamedTuple):
    """Cosine and sine of each position's rotation angles, for half the features of a head."""

    cos: Float[Tensor, "time half"]
    sin: Float[Tensor, "time half"]

    def slice(self, offset: int, length: int) -> "RotaryTables":
        """The tables of positions `offset` … `offset + length - 1`."""
        return RotaryTables(self.cos[offset : offset + length], self.sin[offset : offset + length])


def rotary_tables(length: int, d_head: int, *, base: float = 10_000.0) -> RotaryTables:
    """Rotation angles pos / base^(2i/d_head) for every position and pair of features, as cosine and sine.

    Source: Su et al. 2021, "RoFormer", section 3.2.2.
    """
    angles = _angles(length, d_head, base)
    return RotaryTables(angles.cos().float(), angles.sin().float())


def apply_rotary(x: Float[Tensor, "*batch time d_head"], tables: RotaryTables) -> Float[Tensor, "*batch time d_head"]:
    """Turn each pair of features by the angle of its position; lengths stay, angles shift.

    The dot product of a turned query and a turned key depends on their positions only through the difference.
    Feature i is paired with feature i + d_head/2, as in GPT-NeoX and in the Llama of `transformers`. RoFormer and
    Meta's own Llama pair neighbours, 2i and 2i+1: the same up to a fixed reordering of the features, which training
    does not notice, but weights do.

    Raises ValueError unless the tables hold just the positions of `x`, for its width.

    Source: Su et al. 2021, equation 34.
    """
    if x.shape[-2:] != (tables.cos.shape[0], 2 * tables.cos.shape[1]):
        raise ValueError(
            f"The rotary tables are for {tables.cos.shape[0]} positions and heads {2 * tables.cos.shape[1]} wide, but "
            f"the input has {x.shape[-2]} positions, {x.shape[-1]} wide. Make them with rotary_tables(length, d_head)."
        )
    first, second = x.chunk(2, dim=-1)
    cos, sin = tables.cos.to(x.dtype), tables.sin.to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def alibi_slopes(n_heads: int) -> Float[Tensor, "{n_heads}"]:
    """The slope of each head: 2^(-8/n), 2^(-16/n), … for a power of two n.

    For other counts, the slopes of the next lower power of two, then every second one of the next higher.

    Source: Press et al. 2022, "Train Short, Test Long", section 3, and its published code.
    """

    def geometric(n: int) -> list[float]:
        return [2.0 ** (-8.0 * (head + 1) / n) for head in range(n)]

    power = 2 ** math.floor(math.log2(n_heads))
    return torch.tensor(geometric(power) + geometric(2 * power)[0::2][: n_heads - power])


def alibi_bias(n_heads: int, n_query: int, n_key: int | None = None) -> Float[Tensor, "{n_heads} {n_query} key"]:
    """-slope · distance for each head: the further back a key, the more is taken off its score.

    With more keys than queries, the queries are the last positions. Distance counts in both directions, so that
    the same bias serves an encoder.

    Source: Press et al. 2022, section 3.
    """
    return -alibi_slopes(n_heads)[:, None, None] * relative_distance(n_query, n_key).abs()


def relative_distance(n_query: int, n_key: int | None = None) -> Int[Tensor, "{n_query} key"]:
    """Position of the key minus position of the query: negative for the past. Queries are the last positions."""
    n_key = n_query if n_key is None else n_key
    return torch.arange(n_key)[None, :] - torch.arange(n_key - n_query, n_key)[:, None]


class RelativeBias(nn.Module):
    """A learned number for each head and each range of distances, added to the scores.

    Near distances have a bucket each; further ones share buckets that grow logarithmically, and all beyond
    `max_distance` share the last, so that any length is covered.

    Source: Raffel et al. 2020, "T5", section 2.1.
    """

    def __init__(self, n_heads: int, *, n_buckets: int = 32, max_distance: int = 128, bidirectional: bool = False):
        super().__init__()
        one_way = n_buckets // 2 if bidirectional else n_buckets
        if one_way < 2 or max_distance <= one_way // 2:
            raise ValueError(
                f"{n_buckets} buckets up to distance {max_distance} leave no room for both near and far ones: use at "
                f"least {4 if bidirectional else 2} buckets, and a max_distance above {max(1, one_way // 2)}."
            )
        self.n_buckets = n_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.embedding = nn.Embedding(n_buckets, n_heads)

    def forward(self, n_query: int, n_key: int | None = None) -> Float[Tensor, "heads {n_query} key"]:
        """The bias of each head for every query and key; the queries are the last positions."""
        distance = relative_distance(n_query, n_key).to(self.embedding.weight.device)
        buckets = relative_buckets(
            distance,
            n_buckets=self.n_buckets,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )
        return self.embedding(buckets).permute(2, 0, 1)


def relative_buckets(
    distance: Int[Tensor, "query key"], *, n_buckets: int, max_distance: int, bidirectional: bool
) -> Int[Tensor, "query key"]:
    """The bucket of each distance (key minus query), as in T5.

    A bidirectional model spends half of the buckets on the future; a causal one puts the whole future in bucket 0.

    Source: Raffel et al. 2020, section 2.1, and its published code.
    """
    bucket = torch.zeros_like(distance)
    if bidirectional:
        n_buckets //= 2
        bucket = (distance > 0) * n_buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)

    n_exact = n_buckets // 2
    log_steps = (distance.clamp(min=1) / n_exact).log() / math.log(max_distance / n_exact) * (n_buckets - n_exact)
    far = (n_exact + log_steps.long()).clamp(max=n_buckets - 1)
    return bucket + torch.where(distance < n_exact, distance, far)


def _angles(length: int, width: int, base: float) -> Float[Tensor, "{length} half"]:
    """pos / base^(2i/width) for pos in 0 … length-1 and i in 0 … width/2-1.

    In float64: an angle of 100,000 in float32 is off by up to 0.004, and its sine with it.
    """
    if width % 2:
        raise ValueError(f"Sines and cosines come in pairs, so the width must be even, but it is {width}.")
    exponent = torch.arange(0, width, 2, dtype=torch.float64) / width
    return torch.arange(length, dtype=torch.float64)[:, None] / base**exponent
