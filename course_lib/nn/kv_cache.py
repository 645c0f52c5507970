"""Keys and values of positions already seen, so that generation need not compute them again."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor


class KVCache:
    """Room for the keys and values of one attention layer, reserved once and filled from the left.

    Args:
        batch: number of sequences.
        n_kv_heads: key-value heads of the layer.
        max_length: positions it can hold.
        d_head: width of a head.
        dtype, device: as the model's.
    """

    def __init__(
        self,
        batch: int,
        n_kv_heads: int,
        max_length: int,
        d_head: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        self.keys = torch.empty(batch, n_kv_heads, max_length, d_head, dtype=dtype, device=device)
        self.values = torch.empty_like(self.keys)
        self.length = 0
        self.last_input: Tensor | None = None
        """What attention was last given, where it also looks at its neighbour's input (`shift_tokens`)."""

    def append(
        self,
        key: Float[Tensor, "batch kv_heads time d_head"],
        value: Float[Tensor, "batch kv_heads time d_head"],
    ) -> tuple[Float[Tensor, "batch kv_heads past d_head"], Float[Tensor, "batch kv_heads past d_head"]]:
        """Store the newest keys and values; answer all that are stored, oldest first.

        Raises ValueError when they do not fit.
        """
        if key.shape[:2] != self.keys.shape[:2]:
            raise ValueError(
                f"The cache was made for {self.keys.shape[0]} sequences and {self.keys.shape[1]} key-value heads, but "
                f"it was given {key.shape[0]} and {key.shape[1]}. Make one cache for each batch of texts."
            )
        end = self.length + key.shape[2]
        if end > self.keys.shape[2]:
            raise ValueError(
                f"The cache holds {self.keys.shape[2]} positions; {self.length} are taken and {key.shape[2]} more "
                "do not fit. Reserve more, or drop the oldest text."
            )
        self.keys[:, :, self.length : end] = key
        self.values[:, :, self.length : end] = value
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with sequence `rows[i]` in place of sequence i."""
        self.keys, self.values = self.keys[rows], self.values[rows]
        if self.last_input is not None:
            self.last_input = self.last_input[rows]


class ContextCache:
    """The keys and values that cross-attention finds in its context: computed once, then the same for every step."""

    def __init__(self):
        self._kept: tuple[Tensor, Tensor] | None = None

    def get(self, compute: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """What is kept: at the first call, what `compute` answers."""
        if self._kept is None:
            self._kept = compute()
        return self._kept

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with sequence `rows[i]` in place of sequence i."""
        if self._kept is not None:
            keys, values = self._kept
            self._kept = keys[rows], values[rows]
