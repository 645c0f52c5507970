"""Masked-language modelling: which tokens are hidden, what stands in their place, and batches of it.

Sources: Devlin et al. 2019, section 3.1 (80/10/10); the authors' code of 2019 (whole words); Liu et al. 2019,
section 4.1 (a new choice each time a text is seen).
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from course_lib.models.gpt import IGNORED
from course_lib.text.sentences import PretrainingRow, check_special_tokens
from course_lib.training.batches import Rows

MASKED, RANDOM = 0.8, 0.1
"""Of the chosen tokens, the share that becomes [MASK] and the share that becomes any token; the rest stays."""

AT_ONCE = 256
"""Rows that are masked together where masks are made once and for all."""


class Masked(NamedTuple):
    """What the model sees, and what really stands where it has to guess; IGNORED elsewhere."""

    tokens: Int[Tensor, "batch time"]
    targets: Int[Tensor, "batch time"]


def mask_tokens(
    tokens: Int[Tensor, "batch time"],
    candidates: Bool[Tensor, "batch time"],
    generator: torch.Generator,
    *,
    mask_id: int,
    replacements: Int[Tensor, "ordinary"],
    rate: float = 0.15,
    starts_word: Bool[Tensor, "batch time"] | None = None,
) -> Masked:
    """Choose `rate` of each row's candidates (at least one) to be guessed, and hide them.

    Of those that are chosen 80 % become `mask_id`, 10 % one of `replacements` and 10 % stay as they are, each token on
    its own: the model cannot know which of the tokens it sees are true, so it has to have an opinion on all.

    Args:
        tokens: ids, one text a row.
        candidates: True where a token may be chosen: not at special tokens, not at padding.
        generator: decides everything that is left to chance.
        replacements: the ids that may stand in as a wrong token.
        rate: the share that is chosen, rounded to whole tokens.
        starts_word: True at the first piece of each word. With it words are chosen whole; the last one may pass the
            rate by some pieces.
    """
    score = torch.rand(tokens.shape, generator=generator)
    word = None
    if starts_word is not None:  # all pieces of a word share the score of its first
        word = (starts_word.cumsum(dim=1) - 1).clamp(min=0)
        score = score.gather(1, word)
    score = score.masked_fill(~candidates, 2.0)  # after all others
    rank = score.argsort(dim=1, stable=True).argsort(dim=1)
    if word is not None:  # a word is in when its first piece is
        first = torch.full_like(rank, rank.shape[1]).scatter_reduce(1, word, rank, "amin")
        rank = first.gather(1, word)
    wanted = (candidates.sum(dim=1, keepdim=True) * rate).round().clamp(min=1)
    chosen = (rank < wanted) & candidates

    fate = torch.rand(tokens.shape, generator=generator)
    other = replacements[torch.randint(len(replacements), tokens.shape, generator=generator)]
    seen = tokens.where(~(chosen & (fate < MASKED)), mask_id)
    seen = seen.where(~(chosen & (fate >= MASKED) & (fate < MASKED + RANDOM)), other)
    return Masked(seen, tokens.where(chosen, IGNORED))


class PretrainingBatch(NamedTuple):
    """What `BERTForPretraining` is given: rows filled up with [PAD], which nobody attends to and nobody guesses.

    `next_sentence` is 0 where the second text follows the first, 1 where not, IGNORED where there is no such question.
    """

    tokens: Int[Tensor, "batch time"]
    segments: Int[Tensor, "batch time"]
    next_sentence: Int[Tensor, "batch"]
    targets: Int[Tensor, "batch time"]


class MaskedRows(Rows):
    """Rows of text with masks, for pre-training a BERT.

    Args:
        rows: as `sentence_pairs` and `packed_sentences` make them.
        tokenizer: with a mask token, as WordPieceTokenizer.
        rate: the share of each row's words that is guessed.
        whole_words: choose words, not pieces of words.
        dynamic: choose anew each time a row is seen (RoBERTa); else once and for all (BERT). For evaluation the choice
            is always the same.
        seed: decides the masks that are made once and for all.

    Raises ValueError for no rows, for a tokenizer without a mask token, and for a rate that is no share.
    """

    def __init__(
        self,
        rows: Iterable[PretrainingRow],
        tokenizer: Any,
        *,
        rate: float = 0.15,
        whole_words: bool = False,
        dynamic: bool = True,
        seed: int = 0,
    ):
        check_special_tokens(tokenizer, "mask", "pad")
        if not 0 < rate < 1:
            raise ValueError(f"rate is the share of tokens to guess, above 0 and below 1, but it is {rate}.")
        rows = list(rows)
        if not rows:
            raise ValueError("There are no rows to train on: the documents are empty.")
        self.ids = [torch.tensor(row.ids) for row in rows]
        self.segments = [torch.tensor(row.segments) for row in rows]
        self.next_sentence = torch.tensor([IGNORED if row.follows is None else int(not row.follows) for row in rows])
        self.lengths = torch.tensor([len(row.ids) for row in rows])
        self.rate, self.whole_words, self.dynamic, self.seed = rate, whole_words, dynamic, seed
        self.mask_id, self.pad_id = tokenizer.mask_id, tokenizer.pad_id

        special = set(tokenizer.special.ids.values())
        ordinary = torch.tensor([index not in special for index in range(tokenizer.vocab_size)])
        self._ordinary = ordinary
        self._replacements = ordinary.nonzero().flatten()
        self._starts_word = torch.tensor([not token.startswith("##") for token in tokenizer.tokens])

    @property
    def n_targets(self) -> int:
        """How many guesses one pass over the rows takes; with whole words it may be a few more."""
        words = torch.tensor([int(self._ordinary[ids].sum()) for ids in self.ids])
        return int((words * self.rate).round().clamp(min=1).sum())

    @property
    def largest_id(self) -> int:
        """The largest token id that may come up: the model's vocabulary must hold it."""
        return len(self._ordinary) - 1

    def in_order(self, batch_size: int) -> Iterable[PretrainingBatch]:
        """Every row once, from short to long, with masks that never change: for evaluation."""
        for group in self.lengths.argsort(stable=True).split(batch_size):
            yield self._fixed_batch(group.tolist())

    def _draw_pass(self, batch_size: int, generator: torch.Generator) -> list[Tensor]:
        """Groups of rows; where masks are made anew, the seed of its masks stands before the rows of each group."""
        groups = super()._draw_pass(batch_size, generator)
        if not self.dynamic:
            return groups
        seeds = torch.randint(2**62, (len(groups), 1), generator=generator)
        return [torch.cat([seed, group]) for seed, group in zip(seeds, groups, strict=True)]

    def _batch(self, group: list[int]) -> PretrainingBatch:
        if not self.dynamic:
            return self._fixed_batch(group)
        seed, *indices = group
        return self._padded(indices, self._mask(indices, torch.Generator().manual_seed(seed)))

    def _fixed_batch(self, indices: list[int]) -> PretrainingBatch:
        seen, targets = zip(*(self._fixed[index] for index in indices), strict=True)
        padded = Masked(
            pad_sequence(list(seen), batch_first=True, padding_value=self.pad_id),
            pad_sequence(list(targets), batch_first=True, padding_value=IGNORED),
        )
        return self._padded(indices, padded)

    def _padded(self, indices: list[int], masked: Masked) -> PretrainingBatch:
        segments = pad_sequence([self.segments[index] for index in indices], batch_first=True)
        return PretrainingBatch(masked.tokens, segments, self.next_sentence[indices], masked.targets)

    def _mask(self, indices: list[int], generator: torch.Generator) -> Masked:
        tokens = pad_sequence([self.ids[index] for index in indices], batch_first=True, padding_value=self.pad_id)
        return mask_tokens(
            tokens,
            self._ordinary[tokens],
            generator,
            mask_id=self.mask_id,
            replacements=self._replacements,
            rate=self.rate,
            starts_word=self._starts_word[tokens] if self.whole_words else None,
        )

    @cached_property
    def _fixed(self) -> list[tuple[Tensor, Tensor]]:
        """For each row what is seen and what is to be guessed, chosen once and for all."""
        generator = torch.Generator().manual_seed(self.seed)
        masks: list[tuple[Tensor, Tensor]] = [None] * len(self.ids)
        for group in self.lengths.argsort(stable=True).split(AT_ONCE):
            masked = self._mask(group.tolist(), generator)
            for index, seen, targets in zip(group.tolist(), *masked, strict=True):
                length = int(self.lengths[index])
                masks[index] = seen[:length], targets[:length]
        return masks
