"""Batches for language models: what goes in, and the token that comes next at each place."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.models.gpt import IGNORED
from course_lib.text.shards import TokenShards


class Batch(NamedTuple):
    """Tokens, and the token that follows each of them; IGNORED where nothing is predicted."""

    tokens: Int[Tensor, "batch time"]
    targets: Int[Tensor, "batch time"]


class PairBatch(NamedTuple):
    """Texts to read, filled up with padding, and the texts to write, filled up with IGNORED."""

    source: Int[Tensor, "batch source"]
    targets: Int[Tensor, "batch target"]


@runtime_checkable
class Source(Protocol):
    """Where the trainer gets its batches. A batch is a tuple of tensors, one row per example, the targets last."""

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Batches without end, in an order that `generator` decides."""

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
        """Everything once, always the same: for evaluation."""


@runtime_checkable
class Drawn(Protocol):
    """A source whose passes are lists of groups, drawn by a generator; each group becomes a batch."""

    def _draw_pass(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """The groups of one pass."""

    def _batch(self, group: list[int]) -> tuple[Tensor, ...]:
        """The batch of a group."""


class Shuffled:
    """Batches without end from a place that can be noted, and found again: what an interrupted run needs.

    A pass is a list of groups of rows, drawn anew each time: every row once. The place is the state that the generator
    had before the pass was drawn, and the number of groups taken from it.
    """

    def __init__(self, source: Drawn, batch_size: int, generator: torch.Generator):
        self.source = source
        self.batch_size = batch_size
        self.generator = generator
        self._before_pass = generator.get_state()
        self._groups: Sequence[Tensor] = []
        self._taken = 0

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self

    def __next__(self) -> tuple[Tensor, ...]:
        if self._taken == len(self._groups):
            self._draw_pass()
        group = self._groups[self._taken]
        self._taken += 1
        return self.source._batch(group.tolist())

    def state_dict(self) -> dict[str, Any]:
        """The place, as numbers."""
        return {"before_pass": self._before_pass, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place that `state_dict` noted."""
        self.generator.set_state(state["before_pass"])
        self._draw_pass()
        self._taken = state["taken"]

    def _draw_pass(self) -> None:
        self._before_pass = self.generator.get_state()
        self._groups = self.source._draw_pass(self.batch_size, self.generator)
        self._taken = 0


class Rows:
    """Rows of different lengths. Those of similar length share a batch, which leaves little padding.

    A subclass says what the batch of a group is (`_batch`). `lengths` holds a number for each row: its size.
    """

    lengths: Int[Tensor, "rows"]

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Shuffled:
        """Batches without end: every row once, in a new order, then again."""
        return Shuffled(self, batch_size, generator)

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
        """Every row once, from short to long: for evaluation."""
        for group in self.lengths.argsort(stable=True).split(batch_size):
            yield self._batch(group.tolist())

    def _draw_pass(self, batch_size: int, generator: torch.Generator) -> list[Tensor]:
        # Sorting by a length with noise keeps batches even, and makes them differ from one pass to the next.
        noise = torch.rand(len(self.lengths), generator=generator) * 0.2 + 0.9
        groups = (self.lengths * noise).argsort().split(batch_size)
        return [groups[index] for index in torch.randperm(len(groups), generator=generator).tolist()]

    def _batch(self, group: list[int]) -> tuple[Tensor, ...]:
        raise NotImplementedError


class Documents(Rows):
    """Whole documents, each read from its beginning, so that no window hides the past.

    A row is `end_id`, then the document, then `end_id` again, cut off after `context_length` predictions. Padding is
    never a target.

    Args:
        documents: the token ids of each document.
        context_length: the most tokens a row feeds to the model.
        end_id: the id that stands between documents: the model starts from it and predicts it at the end.

    Raises ValueError when there are no documents.
    """

    def __init__(self, documents: Sequence[Sequence[int]], context_length: int, *, end_id: int):
        if not documents:
            raise ValueError("There are no documents to train on: the list is empty.")
        self.end_id = end_id
        self.rows = [torch.tensor([end_id, *document, end_id])[: context_length + 1] for document in documents]
        self.lengths = torch.tensor([len(row) - 1 for row in self.rows])  # predictions in each row

    @property
    def n_targets(self) -> int:
        """How many predictions one pass over the documents makes."""
        return int(self.lengths.sum())

    @property
    def largest_id(self) -> int:
        """The largest token id in any document: the model's vocabulary must hold it."""
        return max(int(row.max()) for row in self.rows)

    def _batch(self, indices: list[int]) -> Batch:
        rows = [self.rows[index] for index in indices]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)
        tokens, targets = padded[:, :-1], padded[:, 1:]
        return Batch(tokens.masked_fill(tokens == IGNORED, self.end_id), targets)


class Windows:
    """Windows of one length, cut from all documents laid end to end: for documents longer than the context.

    Nothing is padded and nothing is left out. The first tokens of a window have little before them to go by, so a loss
    measured on windows is a little higher than one in which each token sees a full context.

    Args:
        documents: the token ids of each document.
        context_length: the tokens in a window.
        end_id: the id that stands before each document and at the very end.

    Raises ValueError when all documents together are too short for a single window.
    """

    def __init__(self, documents: Sequence[Sequence[int]], context_length: int, *, end_id: int):
        pieces = [torch.tensor([end_id, *document]) for document in documents]
        self.tokens = torch.cat([*pieces, torch.tensor([end_id])])
        self.context_length = context_length
        self._check_length()

    @property
    def n_targets(self) -> int:
        """How many predictions there are."""
        return len(self.tokens) - 1

    @property
    def largest_id(self) -> int:
        """The largest token id in the text: the model's vocabulary must hold it."""
        return int(self.tokens.max())

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Shuffled:
        """Batches without end: windows that do not overlap, in a new order, then again from another beginning."""
        return Shuffled(self, batch_size, generator)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Every token once, from the beginning on; what does not fill a window comes last, alone."""
        starts = torch.arange(0, self.n_targets, self.context_length)
        whole = starts[starts + self.context_length <= self.n_targets]
        for first in range(0, len(whole), batch_size):
            yield self._batch(whole[first : first + batch_size].tolist())
        if len(whole) < len(starts):
            rest = self._row(int(starts[-1]), self.n_targets + 1)
            yield Batch(rest[None, :-1], rest[None, 1:])

    def _draw_pass(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        n_starts = self.n_targets - self.context_length + 1
        shift = int(torch.randint(min(self.context_length, n_starts), (), generator=generator))
        n_windows = len(range(shift, n_starts, self.context_length))
        order = torch.randperm(n_windows, generator=generator)
        return _Groups(order, batch_size, shift, self.context_length)

    def _batch(self, starts: list[int]) -> Batch:
        rows = torch.stack([self._row(start, start + self.context_length + 1) for start in starts])
        return Batch(rows[:, :-1], rows[:, 1:])

    def _row(self, start: int, stop: int) -> Int[Tensor, "_"]:
        return self.tokens[start:stop]

    def _check_length(self) -> None:
        if self.n_targets < self.context_length:
            raise ValueError(
                f"The text is too short: {self.n_targets} predictions in all, and the context is "
                f"{self.context_length}. Choose a shorter context, or bring more text."
            )


class ShardWindows(Windows):
    """Windows from token shards on the disk: for a corpus larger than memory, of which only what is read is in it.

    The order of a pass is drawn as for `Windows`, and takes 8 bytes of memory for each window. The ids stand as they
    were written: each document with its end token after it.

    Args:
        shards: what `course_lib.text.shards.write_shards` made.
        context_length: the tokens in a window.

    Raises ValueError when there are too few tokens for a single window.
    """

    def __init__(self, shards: TokenShards, context_length: int):
        self.tokens = shards
        self.context_length = context_length
        self._check_length()

    @property
    def largest_id(self) -> int:
        """The largest id that the tokenizer of the shards has: to look for the largest written would read them all."""
        return self.tokens.vocab_size - 1

    def _row(self, start: int, stop: int) -> Int[Tensor, "_"]:
        return torch.from_numpy(self.tokens[start:stop].astype(np.int64))


class _Groups(Sequence):
    """The windows of a pass, `batch_size` at a time; a last group that is smaller is left out.

    Batches then have one shape, and other windows are cut in the next pass. Where there are fewer windows than a batch
    has rows, they are one group.
    """

    def __init__(self, order: Int[Tensor, "_"], batch_size: int, shift: int, stride: int):
        self.order, self.batch_size, self.shift, self.stride = order, batch_size, shift, stride

    def __len__(self) -> int:
        return max(1, len(self.order) // self.batch_size)

    def __getitem__(self, number: int) -> Int[Tensor, "_"]:
        """The places where the windows of a group begin."""
        first = range(len(self))[number] * self.batch_size
        return self.shift + self.stride * self.order[first : first + self.batch_size]


class Pairs(Rows):
    """Pairs of texts for an encoder–decoder: one to read, and one to write.

    Both end in `end_id`, which tells the reader that no more follows, and is what the writer has to predict last.
    Padding is never a target.

    Args:
        sources, targets: the token ids of the texts to read, and of the texts to write.
        context_length: the most tokens that either may have, `end_id` included.
        end_id, pad_id: the ids that end a text, and that fill up a short source.

    Raises ValueError when there are no pairs, when the counts differ, and for a text that is too long: a translation of
    half a sentence would teach a lie.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        context_length: int,
        *,
        end_id: int,
        pad_id: int,
    ):
        if not sources or len(sources) != len(targets):
            raise ValueError(
                f"There are {len(sources)} texts to read and {len(targets)} to write: give pairs, at least one."
            )
        self.pad_id = pad_id
        self.sources, self.targets = ([torch.tensor([*text, end_id]) for text in texts] for texts in (sources, targets))
        self.lengths = torch.tensor([max(map(len, pair)) for pair in zip(self.sources, self.targets, strict=True)])
        longest = int(self.lengths.argmax())
        if self.lengths[longest] > context_length:
            raise ValueError(
                f"Pair {longest} has a text of {int(self.lengths[longest])} tokens with its end, and the context is "
                f"{context_length}. Leave such pairs out, or choose a longer context."
            )

    @property
    def n_targets(self) -> int:
        """How many predictions one pass over the pairs makes."""
        return sum(map(len, self.targets))

    @property
    def largest_id(self) -> int:
        """The largest token id in any text: the model's vocabulary must hold it."""
        return max(self.pad_id, *(int(text.max()) for text in (*self.sources, *self.targets)))

    def _batch(self, indices: list[int]) -> PairBatch:
        def stacked(texts: list[Tensor], filler: int) -> Tensor:
            rows = [texts[index] for index in indices]
            return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=filler)

        return PairBatch(stacked(self.sources, self.pad_id), stacked(self.targets, IGNORED))


class Piece(NamedTuple):
    """A part of a batch, small enough for one processor at a time, and how many of its targets count."""

    batch: tuple[Tensor, ...]
    n_targets: int


def split_batch(batch: tuple[Tensor, ...], n_pieces: int) -> list[Piece]:
    """Cut a batch into exactly `n_pieces` by its rows. Weighted by `n_targets`, their losses average to the batch's.

    A piece in which nothing is predicted (there may be fewer rows than pieces) is replaced by a row in which something
    is, with `n_targets` 0: its mean loss is a number, and counts for nothing.
    """
    if n_pieces == 1:
        return [Piece(batch, count_targets(batch))]
    parts = zip(*(torch.tensor_split(tensor, n_pieces) for tensor in batch), strict=True)
    fullest = int((batch[-1] != IGNORED).reshape(len(batch[-1]), -1).sum(1).argmax())
    stand_in = Piece(tuple(tensor[fullest : fullest + 1] for tensor in batch), 0)
    return [Piece(part, n_targets) if (n_targets := count_targets(part)) else stand_in for part in parts]


def count_targets(batch: tuple[Tensor, ...]) -> int:
    """How many targets of a batch count."""
    return int((batch[-1] != IGNORED).sum())
