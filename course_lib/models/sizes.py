"""GPTs by name: the four that were published as GPT-2, and the same sizes with today's choices."""

import dataclasses
from typing import Any

from course_lib.models.gpt import GPTConfig

GPT2_VOCABULARY = 50_257
"""Byte-level BPE: 256 bytes, 50,000 merges and the token that ends a text."""


def _gpt2(d_model: int, n_heads: int, n_layers: int) -> GPTConfig:
    return GPTConfig(GPT2_VOCABULARY, 1024, d_model, n_heads, n_layers)


def _modern(d_model: int, n_heads: int, n_kv_heads: int, n_layers: int) -> GPTConfig:
    """Rotary positions, RMSNorm, SwiGLU, normalised queries and keys, shared key-value heads, no biases, untied."""
    return GPTConfig(
        vocab_size=50_304,  # GPT-2's, rounded up to a multiple of 128: whole tiles for the hardware
        context_length=2048,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        n_layers=n_layers,
        positions="rotary",
        norm="rmsnorm",
        activation="swiglu",
        bias=False,
        qk_norm=True,
        tie_embeddings=False,
    )


SIZES: dict[str, GPTConfig] = {
    "gpt2": _gpt2(768, 12, 12),
    "gpt2-medium": _gpt2(1024, 16, 24),
    "gpt2-large": _gpt2(1280, 20, 36),
    "gpt2-xl": _gpt2(1600, 25, 48),
    "modern-small": _modern(768, 12, 4, 12),
    "modern-medium": _modern(1024, 16, 4, 24),
}
"""Named sizes. GPT-2's are those of Radford et al. 2019, table 2, with the heads of the published models."""

GPT2: dict[str, GPTConfig] = {
    "GPT-2 small": SIZES["gpt2"],
    "GPT-2 medium": SIZES["gpt2-medium"],
    "GPT-2 large": SIZES["gpt2-large"],
    "GPT-2 XL": SIZES["gpt2-xl"],
}
"""The published four, by the names that people use for them."""


def named_config(name: str, **changes: Any) -> GPTConfig:
    """The config of a named size, with some settings changed: `named_config("gpt2", vocab_size=1024)`.

    Raises ValueError for a name that there is not.
    """
    if name not in SIZES:
        raise ValueError(f"There is no size {name!r}: choose one of {', '.join(SIZES)}.")
    return dataclasses.replace(SIZES[name], **changes)
