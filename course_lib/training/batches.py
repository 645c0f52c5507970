"""Batches for language models: what goes in, and the token that comes next at each place."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.models.gpt import IGNORED


class Batch(NamedTuple):
    """Tokens, and the token that follows each of them; IGNORED where nothing is predicted."""

    tokens: Int[Tensor, "batch time"]
    targets: Int[Tensor, "batch time"]


class Documents:
    """Whole documents, each read from its beginning, so that no window hides the past.

    A row is `end_id`, then the document, then `end_id` again, cut off after `context_length` predictions. Documents
    of similar length share a batch, which leaves little padding; padding is never a target.

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

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Batches without end: every document once, in a new order, then again."""
        while True:
            # Sorting by a length with noise keeps batches even, and makes them differ from one pass to the next.
            noise = torch.rand(len(self.rows), generator=generator) * 0.2 + 0.9
            groups = (self.lengths * noise).argsort().split(batch_size)
            for index in torch.randperm(len(groups), generator=generator).tolist():
                yield self._batch(groups[index].tolist())

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Every document once, from short to long: for evaluation."""
        for group in self.lengths.argsort(stable=True).split(batch_size):
            yield self._batch(group.tolist())

    def _batch(self, indices: list[int]) -> Batch:
        rows = [self.rows[index] for index in indices]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)
        tokens, targets = padded[:, :-1], padded[:, 1:]
        return Batch(tokens.masked_fill(tokens == IGNORED, self.end_id), targets)
