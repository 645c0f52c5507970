"""Byte-level BPE, the tokenizer of GPT-2: any text is bytes, and frequent neighbours become one token.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from heapq import heapify, heappop, heappush
from itertools import chain
from operator import add
from pathlib import Path

from course_lib.text.tokenizers.files import UnsupportedTokenizer, added_tokens, read_model, write_tokenizer
from course_lib.text.tokenizers.merging import learn_merges
from course_lib.text.tokenizers.shared import END, Tokenizer, WordCache
from course_lib.text.tokenizers.unicode_classes import WHITESPACE, letters, numbers


@cache
def byte_alphabet() -> tuple[str, ...]:
    """A visible character for each of the 256 bytes, as GPT-2's vocabulary spells them.

    Bytes that are visible in Latin-1 stand for themselves; the other 68 get the characters from U+0100 on, in order.
    So the space is "Ġ" and the line break "Ċ".
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in visible else next(others)) for byte in range(256))


@cache
def word_pattern() -> re.Pattern[str]:
    """GPT-2's rule for cutting a text into words before any merge; no merge crosses a cut.

    A word is an English contraction ('s, 'll …), or letters, or numbers, or other signs, each with at most one space
    before it; or white space, of which the last goes to the word that follows. Every character falls into one word.
    """
    space, letter, number = WHITESPACE, letters(), numbers()
    return re.compile(
        rf"'(?:[stmd]|re|ve|ll)| ?[{letter}]+| ?[{number}]+| ?[^{space}{letter}{number}]+"
        rf"|[{space}]+(?![^{space}])|[{space}]+"
    )


def split_words(text: str) -> list[str]:
    """The words of a text by GPT-2's rule; joined again, they are the text.

    >>> split_words("It's 2 o'clock.")
    ['It', "'s", ' 2', ' o', "'", 'clock', '.']
    """
    return word_pattern().findall(text)


class BPETokenizer(Tokenizer):
    """Tokens are byte strings; any text can be encoded, and `decode` gives it back exactly.

    >>> tokenizer = BPETokenizer.train(["the cat and the hat"], vocab_size=260)
    >>> [tokenizer.tokens[index] for index in tokenizer.encode("the hat")]
    ['the', 'Ġ', 'h', 'at']

    `tokens` are written in the alphabet of GPT-2, where "Ġ" is a space. Special tokens such as `<|end|>` are never
    made from text unless `encode` is asked to.
    """

    END = END

    def __init__(
        self, tokens: Sequence[str], merges: Sequence[tuple[str, str]], special_tokens: Sequence[str] = (END,)
    ):
        """`tokens` in the order of their ids, `merges` in the order in which they apply; `train` learns both.

        The first of the special tokens ends a document: it is `end_id`.
        """
        super().__init__(tokens, special_tokens)
        self.merges = [(left, right) for left, right in merges]
        self._check()
        byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}
        self._bytes = [
            token.encode() if token in self.special.ids else bytes(byte_of[character] for character in token)
            for token in self.tokens
        ]
        self._spell = {byte: self.token_to_id[character] for byte, character in enumerate(byte_alphabet())}
        self._steps = self._merge_table()
        self._ids_of_word = WordCache(self._merge_word)

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, *, min_frequency: int = 2, special_tokens: Sequence[str] = (END,)
    ) -> "BPETokenizer":
        """Learn merges from texts until there are `vocab_size` tokens, or no pair occurs `min_frequency` times.

        Ids: first the special tokens, then the 256 bytes, then one token a merge. `texts` is read once and may be an
        iterator over a corpus larger than memory. Raises ValueError for texts without a character and for a
        vocabulary with no room for all bytes.
        """
        tokens = [*special_tokens, *sorted(byte_alphabet())]
        if vocab_size < len(tokens):
            raise ValueError(
                f"A vocabulary of {vocab_size} is too small: the 256 bytes and {len(special_tokens)} special token(s) "
                f"take {len(tokens)} places. Ask for more than {len(tokens)}."
            )
        words = Counter[str]()
        for text in cls._many(texts):
            words.update(split_words(text))
        if not words:
            raise ValueError("There is nothing to learn from: the texts hold no character at all.")
        spell = {byte: tokens.index(character) for byte, character in enumerate(byte_alphabet())}
        spelled = {_as_bytes(word).translate(spell): count for word, count in words.items()}
        merges = learn_merges(spelled, tokens, vocab_size, min_frequency)
        return cls(tokens, [(tokens[merge.left], tokens[merge.right]) for merge in merges], special_tokens)

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """The ids of a text. With `allow_special`, "<|end|>" in the text becomes the special token.

        Raises ValueError for half of a surrogate pair, which no UTF-8 text can hold.
        """
        if allow_special:
            return self.special.encode(text, self.encode)
        return list(chain.from_iterable(map(self._ids_of_word.__getitem__, split_words(text))))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids. Bytes that are not UTF-8 (a cut inside a character) become "\ufffd".

        Raises ValueError for an id that there is not.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids: what `decode` reads as UTF-8. Raises ValueError for an id that there is not."""
        return b"".join([self._bytes[index] for index in self._checked(ids)])

    def merge_steps(self, word: str) -> list[list[str]]:
        """How one word is put together: its tokens before the first merge, and after each merge.

        >>> BPETokenizer.train(["low lower lowest"], 261).merge_steps("low")
        [['l', 'o', 'w'], ['lo', 'w'], ['low']]
        """
        history: list[str] = []
        self._join_pairs(word, history)
        return [[self.tokens[ord(symbol)] for symbol in spelled] for spelled in history]

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json`, which `tokenizers` and `transformers.PreTrainedTokenizerFast` load too."""
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        write_tokenizer(
            path,
            special=self.special.ids,
            pre_tokenizer=byte_level,
            decoder=byte_level,
            model={
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": self.token_to_id,
                "merges": [list(merge) for merge in self.merges],
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """A byte-level BPE tokenizer from `tokenizer.json`: one that `save` wrote, or one like GPT-2's.

        Raises ValueError for a file that is no such tokenizer, with what is different in it.
        """
        content, model = read_model(path, "BPE")
        _refuse_other_kinds(path, content, model)
        vocabulary, special = added_tokens(path, content, model["vocab"])
        merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        return cls(vocabulary, merges, special)

    def _check(self) -> None:
        """Raise ValueError unless every byte and every merge has its tokens."""
        missing = [character for character in byte_alphabet() if character not in self.token_to_id]
        if missing:
            raise ValueError(
                f"{len(missing)} of the 256 bytes have no token (the first is {missing[0]!r}), so some texts could "
                f"not be encoded: a byte-level vocabulary holds all of `byte_alphabet()`."
            )
        for left, right in self.merges:
            for token in (left, right, left + right):
                if token not in self.token_to_id:
                    raise ValueError(f"The merge of {left!r} and {right!r} needs the token {token!r}; it is missing.")

    def _merge_table(self) -> dict[str, tuple[int, str, str, int]]:
        """For each pair of symbols: its rank, the pair, the symbol it makes, and how many may be joined at a time.

        That is all of them (-1), unless the new symbol is in a pair that ranks before its own: then that pair has
        to be looked for after each single join.
        """
        symbol = {token: chr(index) for token, index in self.token_to_id.items()}
        ranks = {
            symbol[left] + symbol[right]: (rank, symbol[left + right]) for rank, (left, right) in enumerate(self.merges)
        }
        first_use: dict[str, int] = {}
        for pair, (rank, _) in ranks.items():
            for part in pair:
                first_use[part] = min(rank, first_use.get(part, rank))
        return {
            pair: (rank, pair, made, 1 if first_use.get(made, rank) < rank else -1)
            for pair, (rank, made) in ranks.items()
        }

    def _join_pairs(self, word: str, history: list[str] | None = None) -> str:
        """A word as symbols, joined as far as it goes: the character with code i is token i.

        Of the pairs that the word has, the one that ranks first is joined, until none is left that can be. A heap
        keeps them in order; a pair that another merge has destroyed is passed over when its turn comes. `history`
        collects the word before any merge and after each.
        """
        steps = self._steps
        spelled = _as_bytes(word).translate(self._spell)
        queue = [steps[pair] for pair in map(add, spelled, spelled[1:]) if pair in steps]
        heapify(queue)
        if history is not None:
            history.append(spelled)
        while queue:
            _, pair, made, limit = step = heappop(queue)
            parts = spelled.split(pair, limit)
            if len(parts) == 1:
                continue
            spelled = made.join(parts)
            if history is not None:
                history.append(spelled)
            new_pairs = [before[-1] + made for before in parts[:-1] if before]
            new_pairs += [made + after[0] for after in parts[1:] if after]
            if len(parts) > 2:
                new_pairs.append(made + made)
            for new_pair in new_pairs:
                if new_pair in steps:
                    heappush(queue, steps[new_pair])
            if limit == 1:
                heappush(queue, step)
        return spelled

    def _merge_word(self, word: str) -> tuple[int, ...]:
        return tuple(map(ord, self._join_pairs(word)))


def _as_bytes(word: str) -> str:
    """The UTF-8 bytes of a word, as a string whose characters have the codes 0 to 255."""
    try:
        return word.encode("utf-8").decode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The text holds half of a surrogate pair (U+{ord(word[error.start]):04X}), which is no character and "
            f'cannot be written in UTF-8. text.encode("utf-8", "replace").decode() puts "?" in its place.'
        ) from None


def _refuse_other_kinds(path: str | Path, content: dict, model: dict) -> None:
    """Raise for what a `tokenizer.json` may ask for and this class does not do: ids would differ silently."""
    byte_level = content.get("pre_tokenizer") or {}
    if byte_level.get("type") != "ByteLevel" or not byte_level.get("use_regex", True):
        raise UnsupportedTokenizer(path, f"its pre-tokenizer is {byte_level.get('type')}, not GPT-2's ByteLevel")
    if byte_level.get("add_prefix_space"):
        raise UnsupportedTokenizer(path, "it puts a space before each text (add_prefix_space)")
    if content.get("normalizer"):
        raise UnsupportedTokenizer(path, f"it changes the text first ({content['normalizer'].get('type')})")
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if model.get(setting):
            raise UnsupportedTokenizer(path, f"its model sets {setting}")
