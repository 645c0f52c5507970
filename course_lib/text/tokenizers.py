"""From text to token ids and back."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from course_lib.files import write_atomically


class CharTokenizer:
    """One token per character, plus `<|end|>`, which stands between documents.

    >>> tokenizer = CharTokenizer.train(["a cab"])
    >>> tokenizer.encode("abc")
    [2, 3, 4]
    >>> tokenizer.decode([4, 2, 3])
    'cab'

    `<|end|>` has id 0 and is never made from text: a text that spells "<|end|>" is seven ordinary characters.
    """

    END: ClassVar[str] = "<|end|>"
    end_id: ClassVar[int] = 0

    def __init__(self, characters: Iterable[str]):
        """`characters` in the order of their ids, from id 1 on; see `train` to learn them from texts."""
        self.tokens = [self.END, *characters]
        for character in self.tokens[1:]:
            if len(character) != 1:
                raise ValueError(f"A CharTokenizer holds single characters, and {character!r} is {len(character)}.")
        self.token_to_id = {token: index for index, token in enumerate(self.tokens)}
        if len(self.token_to_id) != len(self.tokens):
            raise ValueError("A CharTokenizer holds each character once; some of those given are the same.")

    @classmethod
    def train(cls, texts: Iterable[str]) -> "CharTokenizer":
        """A tokenizer for every character that occurs in `texts`, in the order of their code points."""
        if isinstance(texts, str):
            raise ValueError("CharTokenizer.train takes a list of texts; for one text, write train([text]).")
        characters: set[str] = set()
        for text in texts:
            characters.update(text)
        if not characters:
            raise ValueError("There is nothing to learn from: the texts hold no character at all.")
        return cls(sorted(characters))

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, `<|end|>` included."""
        return len(self.tokens)

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str) -> list[int]:
        """The id of each character. Raises ValueError for a character that the tokenizer never saw."""
        try:
            return [self.token_to_id[character] for character in text]
        except KeyError as error:
            character = error.args[0]
            raise ValueError(
                f"The character {character!r} (U+{ord(character):04X}) at position {text.index(character)} is not "
                f"among the {self.vocab_size - 1} characters that this tokenizer knows: train it on texts that hold "
                f"it, or take it out of the text."
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; `<|end|>` is written out. Raises ValueError for an id that there is not."""
        ids = [int(index) for index in ids]
        for index in ids:
            if not 0 <= index < self.vocab_size:
                raise ValueError(f"There is no token {index}: this tokenizer has ids 0 to {self.vocab_size - 1}.")
        return "".join(self.tokens[index] for index in ids)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file."""
        content = {"type": "CharTokenizer", "end": self.END, "characters": self.tokens[1:]}
        write_atomically(Path(path), (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "CharTokenizer":
        """The tokenizer that `save` wrote to a file."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not a saved tokenizer: it holds no valid JSON ({error}).") from None
        if not isinstance(content, dict) or content.get("type") != "CharTokenizer":
            raise ValueError(f'{path} is not a saved CharTokenizer: its "type" is not "CharTokenizer".')
        return cls(content["characters"])
