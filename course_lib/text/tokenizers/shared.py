"""What all tokenizers share: special tokens, which text cannot reach by itself; the words met before; checked ids."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

END = "<|end|>"  # stands between documents
CACHED_WORDS = 1 << 18  # so many words are remembered with their ids, then all are forgotten


def checked_ids(ids: Iterable[int], vocab_size: int) -> list[int]:
    """The ids as a list of ints. Raises ValueError for one that there is not."""
    ids = [int(index) for index in ids]
    for index in ids:
        if not 0 <= index < vocab_size:
            raise ValueError(f"There is no token {index}: this tokenizer has ids 0 to {vocab_size - 1}.")
    return ids


class SpecialTokens:
    """The special tokens of a vocabulary, and the only way from text to them."""

    def __init__(self, tokens: Sequence[str], token_to_id: Mapping[str, int]):
        missing = [token for token in tokens if token not in token_to_id]
        if missing:
            raise ValueError(f"The special token {missing[0]!r} is not among the {len(token_to_id)} tokens.")
        self.ids = {token: token_to_id[token] for token in tokens}
        self.end_id = next(iter(self.ids.values()), None)

    def encode(self, text: str, ordinary: Callable[[str], Sequence[int]]) -> list[int]:
        """The ids of a text in which special tokens are written out; `ordinary` encodes what lies between."""
        if not self.ids:
            return list(ordinary(text))
        longest_first = sorted(map(re.escape, self.ids), key=len, reverse=True)
        pieces = re.split(f"({'|'.join(longest_first)})", text)
        return list(
            chain.from_iterable(
                [self.ids[piece]] if piece in self.ids else ordinary(piece) for piece in pieces if piece
            )
        )


class WordCache(dict[str, tuple[int, ...]]):
    """The ids of each word met so far: `cache[word]` works out a new word once, and looks up the others."""

    def __init__(self, work_out: Callable[[str], tuple[int, ...]]):
        self.work_out = work_out

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= CACHED_WORDS:
            self.clear()
        ids = self[word] = self.work_out(word)
        return ids
