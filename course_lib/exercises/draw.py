"""Random inputs for an exercise, made from a seed, so that an input that fails can be made again (and smaller)."""

from __future__ import annotations

import string
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")


class _Settled(int):
    """A size that `Draw.size` has already chosen and that must not be made smaller a second time."""


class Draw:
    """A source of random inputs: the same seed and the same calls give the same values.

    The checker makes a failing input smaller by asking again with `sizes`, which replaces a size by a smaller
    one wherever it occurs, and with `plain=True`, which rounds numbers so that they are easy to read.
    Tensors are float32, int64 or bool. Without a shape, a plain Python number comes back.
    """

    def __init__(self, seed: int, sizes: Mapping[int, int] | None = None, plain: bool = False) -> None:
        self.seed = seed
        self.sizes_used: set[int] = set()
        self._sizes = dict(sizes or {})
        self._plain = plain
        self._random = np.random.default_rng(seed)

    def size(self, low: int, high: int | None = None) -> int:
        """A size between `low` and `high` (both included), or `low` itself: for sizes that occur more than once."""
        chosen = low if high is None else int(self._random.integers(low, high + 1))
        return _Settled(self._shrunk(chosen))

    def normal(self, *shape: int) -> Any:
        """Standard normal numbers: a tensor of that shape, or a float."""
        return self._tensor(self._rounded(self._random.standard_normal(self._shape(shape))), "float32")

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers between `low` and `high`: a tensor of that shape, or a float."""
        return self._tensor(self._rounded(self._random.uniform(low, high, self._shape(shape))), "float32")

    def integers(self, low: int, high: int, *shape: int) -> Any:
        """Whole numbers from `low` up to but not including `high`: a tensor of that shape, or an int."""
        return self._tensor(self._random.integers(low, high, self._shape(shape)), "int64")

    def tokens(self, *shape: int, vocab: int = 50) -> Any:
        """Token ids below `vocab`."""
        return self.integers(0, vocab, *shape)

    def mask(self, *shape: int, keep: float = 0.6) -> Any:
        """A boolean tensor, True with probability `keep`, and at least one True in each row."""
        shape = self._shape(shape)
        allowed = self._random.random(shape) < keep
        one = self._random.integers(0, shape[-1], shape[:-1])
        np.put_along_axis(allowed, np.asarray(one)[..., None], True, axis=-1)
        return self._tensor(allowed, "bool")

    def permutation(self, n: int) -> Tensor:
        """The numbers 0 … n−1 in random order, as an int64 tensor."""
        return self._tensor(self._random.permutation(self._shape((n,))[0]), "int64")

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._random.integers(len(options)))]

    def text(self, length: int, alphabet: str = string.ascii_lowercase + " ") -> str:
        """A string of random letters."""
        return "".join(self.choice(alphabet) for _ in range(self._shape((length,))[0]))

    def words(self, count: int, vocabulary: Sequence[str] = ("the", "cat", "sat", "on", "a", "mat")) -> list[str]:
        """A list of random words."""
        return [self.choice(vocabulary) for _ in range(self._shape((count,))[0])]

    def fill(self, module: nn.Module, scale: float = 0.5) -> nn.Module:
        """Give each parameter values that depend on its name and the seed alone, and switch to evaluation mode.

        Two modules whose parameters have the same names and shapes get the same weights, in whatever order
        they were made: so a learner's module can be compared with the reference.
        """
        import torch

        with torch.no_grad():
            for name, parameter in module.named_parameters():
                random = np.random.default_rng((self.seed, zlib.crc32(name.encode())))
                values = torch.from_numpy(random.standard_normal(tuple(parameter.shape)) * scale)
                parameter.copy_(values)
        return module.eval()

    def _shrunk(self, size: int) -> int:
        if isinstance(size, _Settled):
            return size
        self.sizes_used.add(size)
        return self._sizes.get(size, size)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(self._shrunk(size)) for size in shape)

    def _rounded(self, values: Any) -> Any:
        return np.round(values, 1) if self._plain else values

    def _tensor(self, values: Any, dtype: str) -> Any:
        if np.ndim(values) == 0:
            return np.asarray(values, dtype="float64" if dtype == "float32" else dtype).item()
        import torch

        return torch.from_numpy(np.ascontiguousarray(values)).to(getattr(torch, dtype))
