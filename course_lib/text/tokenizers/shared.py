"""What all tokenizers share: a vocabulary, special tokens that text cannot reach by itself, a memory for words."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

END = "<|end|>"  # stands between documents
CACHED_WORDS = 1 << 18  # so many words are remembered with their ids, then all are forgotten


class SpecialTokens:
    """The special tokens of a vocabulary, and the only way from text to them."""

    def __init__(self, tokens: Sequence[str], token_to_id: Mapping[str, int]):
        missing = [token for token in tokens if token not in token_to_id]
        if missing:
            raise ValueError(f"The special token {missing[0]!r} is not among the {len(token_to_id)} tokens.")
        self.ids = {token: token_to_id[token] for token in tokens}

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


class Tokenizer:
    """What every tokenizer has: tokens by their ids, ids by their tokens, and special tokens.

    The first special token ends a document; its id is `end_id` (a subclass may choose another).
    """

    def __init__(self, tokens: Iterable[str], special_tokens: Sequence[str]):
        self.tokens = list(tokens)
        self.token_to_id = {token: index for index, token in enumerate(self.tokens)}
        self.special = SpecialTokens(special_tokens, self.token_to_id)
        self.end_id = next(iter(self.special.ids.values()), None)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, the special ones included."""
        return len(self.tokens)

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """The ids of a text. With `allow_special`, a special token that is written out in it becomes that token."""
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids."""
        raise NotImplementedError

    def _checked(self, ids: Iterable[int]) -> list[int]:
        """The ids as a list of ints. Raises ValueError for one that there is not."""
        ids = [int(index) for index in ids]
        for index in ids:
            if not 0 <= index < self.vocab_size:
                raise ValueError(f"There is no token {index}: this tokenizer has ids 0 to {self.vocab_size - 1}.")
        return ids

    @classmethod
    def _many(cls, texts: Iterable[str]) -> Iterable[str]:
        """Texts to learn from. Raises ValueError for one bare string: its characters would be taken for texts."""
        if isinstance(texts, str):
            raise ValueError(f"{cls.__name__}.train takes a list of texts; for one text, write train([text]).")
        return texts


class WordCache(dict[str, tuple[int, ...]]):
    """The ids of each word met so far: `cache[word]` works out a new word once, and looks up the others."""

    def __init__(self, work_out: Callable[[str], tuple[int, ...]]):
        self.work_out = work_out

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= CACHED_WORDS:
            self.clear()
        ids = self[word] = self.work_out(word)
        return ids
