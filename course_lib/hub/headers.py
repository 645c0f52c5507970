"""What a model's file of weights holds, read from its header: names, shapes and types, and not one weight.

A safetensors file begins with 8 bytes, the length of its header (little-endian); then the header, JSON: for each tensor
its type, its shape, and from which byte to which it lies; then the numbers.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000  # bytes; what the format's own library accepts

PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("norms", ("norm", "ln_", "LayerNorm")),
    ("tables", ("embed", "wte.", "wpe.", "shared.", "relative_attention_bias", "lm_head")),
    ("attention", ("attn", "ttention")),
    ("feed-forward", ("mlp", "feed_forward", "intermediate.", "output.dense", "DenseReluDense")),
)
"""The parts of a model, and the pieces of a weight's name that tell them; the first that fits counts."""

OTHER = "heads"
SHOWN = ("tables", "attention", "feed-forward", OTHER, "norms")
"""In which order counts name the parts."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as a header describes it: type ("F32", "F16", …), shape, and how many bytes it takes."""

    dtype: str
    shape: tuple[int, ...]
    n_bytes: int

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(file: str | Path) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file by name, in the order of the header; only the header is read.

    Raises FileNotFoundError for a file that is not there, and ValueError for one that is no safetensors file.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with path.open("rb") as opened:
        length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
        if length > min(LONGEST_HEADER, path.stat().st_size):
            raise ValueError(f"{path} is no safetensors file: its first 8 bytes name a header of {length:,} bytes.")
        text = opened.read(length)
    try:
        return dict(_entries(json.loads(text)))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} is no safetensors file: its header is no description of tensors.") from None


def _entries(header: Mapping) -> Iterator[tuple[str, TensorEntry]]:
    for name, entry in header.items():
        if name == "__metadata__":  # free text, and no tensor
            continue
        begin, end = entry["data_offsets"]
        yield name, TensorEntry(entry["dtype"], tuple(entry["shape"]), end - begin)


def part_of(name: str) -> str:
    """Which part of a model a weight belongs to, told from its name: one of PARTS, or "heads" for all else."""
    return next((part for part, pieces in PARTS if any(piece in name for piece in pieces)), OTHER)


def by_part(numbers: Mapping[str, int]) -> dict[str, int]:
    """How many numbers each part of a model holds, given how many each of its weights holds."""
    counts = dict.fromkeys(SHOWN, 0)
    for name, count in numbers.items():
        counts[part_of(name)] += count
    return counts


def numbers_by_part(file: str | Path) -> dict[str, int]:
    """The same for the model whose weights are in a file, by its header."""
    return by_part({name: entry.numbers for name, entry in read_header(file).items()})
