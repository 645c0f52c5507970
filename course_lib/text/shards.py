"""A corpus as token ids on the disk: written once from a stream, read through memory maps, larger than memory."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Integer

from course_lib.files import write_atomically
from course_lib.text.tokenizers.shared import Tokenizer

SHARD_TOKENS = 1 << 24
_INDEX = "index.json"


def write_shards(
    documents: Iterable[str], tokenizer: Tokenizer, folder: str | Path, *, shard_tokens: int = SHARD_TOKENS
) -> "TokenShards":
    """Encode documents, one after the other, each followed by the end token, into files of `shard_tokens` ids.

    At any time one shard is in memory. Ids take two bytes where the vocabulary allows it, else four. The index is
    written last: a folder without it was not finished. Raises ValueError when there is no document, or the folder
    holds shards already.
    """
    folder = Path(folder)
    if (folder / _INDEX).exists():
        raise ValueError(f"{folder} holds token shards already: delete them first, or choose another folder.")
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    lengths: list[int] = []
    n_documents = 0
    waiting: list[int] = []
    for document in documents:
        n_documents += 1
        waiting += tokenizer.encode(document)
        waiting.append(tokenizer.end_id)
        while len(waiting) >= shard_tokens:
            _write_shard(folder, len(lengths), waiting[:shard_tokens], dtype)
            lengths.append(shard_tokens)
            del waiting[:shard_tokens]
    if waiting:
        _write_shard(folder, len(lengths), waiting, dtype)
        lengths.append(len(waiting))
    if not lengths:
        raise ValueError("There is no document to write: the corpus is empty.")
    index = {
        "lengths": lengths,
        "dtype": dtype.name,
        "documents": n_documents,
        "vocab_size": tokenizer.vocab_size,
        "end_id": tokenizer.end_id,
    }
    write_atomically(folder / _INDEX, json.dumps(index).encode())
    return TokenShards(folder)


class TokenShards:
    """The token ids of a corpus as one long sequence, of which only what is looked at is read from the disk.

    >>> shards[1000:1005]                                             # doctest: +SKIP
    array([  5, 118,  77,   0,  12], dtype=uint16)
    """

    def __init__(self, folder: str | Path):
        """Open a folder that `write_shards` made. Raises ValueError if a shard is missing or cut short."""
        self.folder = Path(folder)
        try:
            index = json.loads((self.folder / _INDEX).read_text())
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.folder} holds no finished token shards: `write_shards` makes them, and writes {_INDEX} last."
            ) from None
        self.vocab_size, self.end_id, self.n_documents = index["vocab_size"], index["end_id"], index["documents"]
        self.dtype = np.dtype(index["dtype"])
        self._arrays = [self._open(number, length) for number, length in enumerate(index["lengths"])]
        self._starts = [0, *accumulate(index["lengths"])]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, place: int | slice) -> "int | Integer[np.ndarray, ' tokens']":
        """One id, or the ids of a slice as a copy in memory."""
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            if step != 1:
                raise ValueError(f"Token shards are read forward, one after the other; step {step} is not possible.")
            return self._read(start, max(start, stop))
        place = range(len(self))[place]
        return int(self._read(place, place + 1)[0])

    def windows(
        self, length: int, batch_size: int, generator: np.random.Generator
    ) -> Iterator[tuple[Int64[np.ndarray, "batch time"], Int64[np.ndarray, "batch time"]]]:
        """Endless batches of random stretches: the ids, and for each the id that follows.

        Raises ValueError when there are not more than `length` tokens.
        """
        if len(self) <= length:
            raise ValueError(f"The corpus has {len(self)} tokens; windows of {length} need at least {length + 1}.")
        while True:
            starts = generator.integers(0, len(self) - length, batch_size)
            rows = np.stack([self._read(start, start + length + 1) for start in starts.tolist()]).astype(np.int64)
            yield rows[:, :-1], rows[:, 1:]

    def _read(self, start: int, stop: int) -> Integer[np.ndarray, " tokens"]:
        pieces = []
        number = bisect_right(self._starts, start) - 1
        while start < stop:
            begin = self._starts[number]
            pieces.append(self._arrays[number][start - begin : stop - begin])
            start = self._starts[number + 1]
            number += 1
        return np.concatenate(pieces) if pieces else np.empty(0, self.dtype)

    def _open(self, number: int, length: int) -> Integer[np.ndarray, " tokens"]:
        path = self.folder / _shard_name(number)
        found = path.stat().st_size if path.is_file() else 0
        if found != length * self.dtype.itemsize:
            raise ValueError(
                f"The shard {path} is missing or cut short: {found} bytes where {length * self.dtype.itemsize} belong. "
                f"Write the shards again."
            )
        return np.memmap(path, dtype=self.dtype, mode="r", shape=(length,))


def _shard_name(number: int) -> str:
    return f"tokens-{number:05d}.bin"


def _write_shard(folder: Path, number: int, ids: list[int], dtype: np.dtype) -> None:
    write_atomically(folder / _shard_name(number), np.array(ids, dtype=dtype).tobytes())
