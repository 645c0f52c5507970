"""One token per character: nothing to learn but the list of characters."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from course_lib.text.tokenizers.files import UnsupportedTokenizer, added_tokens, read_model, write_tokenizer
from course_lib.text.tokenizers.shared import END, Tokenizer


class CharTokenizer(Tokenizer):
    """One token per character, plus `<|end|>`, which stands between documents.

    >>> tokenizer = CharTokenizer.train(["a cab"])
    >>> tokenizer.encode("abc")
    [2, 3, 4]
    >>> tokenizer.decode([4, 2, 3])
    'cab'

    `<|end|>` has id 0 and is never made from text unless `encode` is asked to: otherwise a text that spells "<|end|>"
    is seven ordinary characters.
    """

    END: ClassVar[str] = END

    def __init__(self, characters: Iterable[str]):
        """`characters` in the order of their ids, from id 1 on; see `train` to learn them from texts."""
        super().__init__([self.END, *characters], [self.END])
        for character in self.tokens[1:]:
            if len(character) != 1:
                raise ValueError(f"A CharTokenizer holds single characters, and {character!r} is {len(character)}.")
        if len(self.token_to_id) != len(self.tokens):
            raise ValueError("A CharTokenizer holds each character once; some of those given are the same.")

    @classmethod
    def train(cls, texts: Iterable[str]) -> "CharTokenizer":
        """A tokenizer for every character that occurs in `texts`, in the order of their code points."""
        characters: set[str] = set()
        for text in cls._many(texts):
            characters.update(text)
        if not characters:
            raise ValueError("There is nothing to learn from: the texts hold no character at all.")
        return cls(sorted(characters))

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """The id of each character. With `allow_special`, "<|end|>" in the text becomes the special token.

        Raises ValueError for a character that the tokenizer never saw.
        """
        if allow_special:
            return self.special.encode(text, self.encode)
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
        return "".join(self.tokens[index] for index in self._checked(ids))

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json`, which `transformers.PreTrainedTokenizerFast` loads too: a BPE without merges."""
        model = {"type": "BPE", "vocab": self.token_to_id, "merges": []}
        write_tokenizer(path, special=self.special.ids, decoder={"type": "Fuse"}, model=model)

    @classmethod
    def load(cls, path: str | Path) -> "CharTokenizer":
        """The tokenizer that `save` wrote to a file. Raises ValueError for a file that holds no such tokenizer."""
        content, model = read_model(path, "BPE")
        tokens, special = added_tokens(path, content, model["vocab"])
        if model["merges"] or tokens[:1] != [cls.END] or special != [cls.END] or content.get("pre_tokenizer"):
            raise UnsupportedTokenizer(path, "it is not a saved CharTokenizer (characters only, <|end|> first)")
        return cls(tokens[1:])
