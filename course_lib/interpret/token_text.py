"""Token ids as texts to look at, and which tokens make up a word.

Vocabularies write tokens in codes of their own: GPT-2 has a letter for each byte ("Ġ" is a space, and an emoji is
four strange letters, often cut in two), SentencePiece writes "▁" for a space, WordPiece "##" before a piece inside a
word. Here each token becomes the text that it stands for. Only "##" stays: it is what marks such a piece.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

PIECE = "##"  # WordPiece's mark of a piece inside a word
ZERO_WIDTH_JOINER = "\u200d"
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")  # a byte that a SentencePiece vocabulary has no character for


class TokenTexts(NamedTuple):
    """Tokens for display.

    Attributes:
        texts: what each token stands for.
        special: True for a token that stands for no text: separators, padding, the end of a text.
        words: the number of the word that each token belongs to, from 0.
    """

    texts: tuple[str, ...]
    special: tuple[bool, ...]
    words: tuple[int, ...]


def token_texts(tokenizer: Any, ids: Sequence[int]) -> TokenTexts:
    """The tokens with these ids, for display; `tokenizer` is one of this course's or of transformers'.

    A character that several tokens share is shown in each, with its part: "😀⟨1/2⟩", "😀⟨2/2⟩". Bytes that are part
    of no character are shown as "⟨F0⟩".
    """
    special_ids = special_ids_of(tokenizer)
    special = tuple(index in special_ids for index in ids)
    pieces = pieces_of(tokenizer, ids)
    if isinstance(pieces[0] if pieces else "", str):
        return TokenTexts(tuple(pieces), special, words_of(pieces, special))
    characters = _characters(pieces)
    texts = _texts(characters, len(pieces))
    return TokenTexts(texts, special, _words(characters, special))


def words_of(tokens: Sequence[str], special: Sequence[bool] | None = None) -> tuple[int, ...]:
    """For each token the number of its word, from 0, judged by the tokens' texts alone.

    Where a token begins with "##", or tokens of several letters have no space between them (WordPiece leaves spaces
    out), only "##" continues a word. Otherwise the texts are put together and cut where a
    reader would cut: at spaces (which go with the word after them) and line ends, around punctuation, and around
    each Chinese character; an emoji with its joiners and colours is one word. A token that reaches into two words
    makes one of them. A special token is always a word of its own.
    """
    special = tuple(special) if special is not None else (False,) * len(tokens)
    pieces = any(token.startswith(PIECE) and len(token) > len(PIECE) for token in tokens)
    whole = any(
        len(token) > 1 and token.isalpha() for token, is_special in zip(tokens, special, strict=True) if not is_special
    )
    if pieces or (whole and not any(map(str.isspace, "".join(tokens)))):
        continues = [
            index > 0
            and token.startswith(PIECE)
            and len(token) > len(PIECE)
            and not (special[index] or special[index - 1])
            for index, token in enumerate(tokens)
        ]
        return _numbered(continues)
    characters = [(character, [index]) for index, token in enumerate(tokens) for character in token]
    return _words(characters, special)


def special_ids_of(tokenizer: Any) -> frozenset[int]:
    """Ids that stand for no text. A mask, and the token for what is unknown, stand for some and are not among them."""
    if hasattr(tokenizer, "all_special_ids"):  # transformers
        ids, text = tokenizer.all_special_ids, (tokenizer.mask_token_id, tokenizer.unk_token_id)
        # GPT-2 has one token for everything, and calls it unknown too.
        ends = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
        return frozenset(ids) - (frozenset(text) - ends)
    named = getattr(getattr(tokenizer, "special", None), "ids", None)
    if named is not None:
        text = (getattr(tokenizer, "mask_id", None), getattr(tokenizer, "unk_id", None))
        return frozenset(named.values()) - frozenset(text)
    end = getattr(tokenizer, "end_id", None)
    return frozenset() if end is None else frozenset({end})


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> list[bytes] | list[str]:
    """What each id stands for: its bytes, or its text where the vocabulary marks pieces of words with "##"."""
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        return _transformers_pieces(tokenizer, ids)
    if hasattr(tokenizer, "decode_bytes"):
        return [tokenizer.decode_bytes([index]) for index in ids]
    if hasattr(tokenizer, "cls_id"):
        return [tokenizer.tokens[index] for index in ids]
    return [_utf8(tokenizer.decode([index])) for index in ids]


def _transformers_pieces(tokenizer: Any, ids: Sequence[int]) -> list[bytes] | list[str]:
    """As `pieces_of`, for a tokenizer of transformers: its kind is told by its decoder."""
    written = [str(token) for token in tokenizer.convert_ids_to_tokens(list(ids))]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = str(backend.decoder) if backend is not None else ""
    if "WordPiece" in decoder or (not decoder and any(token.startswith(PIECE) for token in written)):
        return written
    if "ByteLevel" in decoder or hasattr(tokenizer, "byte_decoder"):
        added = tokenizer.get_added_vocab()  # written as they are, not in the alphabet of bytes
        return [_utf8(token) if token in added else _bytes_of_letters(token) for token in written]
    return [_bytes_of_sentencepiece(token) for token in written]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


@cache
def _letter_bytes() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, and the other bytes for U+0100 and on.

    Source: Radford et al. 2019, the released encoder.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def _bytes_of_letters(token: str) -> bytes:
    letters = _letter_bytes()
    if all(letter in letters for letter in token):
        return bytes(letters[letter] for letter in token)
    return _utf8(token)


def _bytes_of_sentencepiece(token: str) -> bytes:
    byte = BYTE_PIECE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else _utf8(token.replace("▁", " "))


Character = tuple[str, list[int]]
"""A character of the text, and the tokens that hold its bytes, in order."""


def _characters(pieces: Sequence[bytes]) -> list[Character]:
    """The text that some pieces make up, character by character; a byte outside every character is "⟨F0⟩"."""
    stream = b"".join(pieces)
    owner = [index for index, piece in enumerate(pieces) for _ in piece]
    characters = []
    at = 0
    while at < len(stream):
        length = _utf8_length(stream, at)
        character = (
            stream[at : at + length].decode("utf-8", errors="surrogatepass") if length else f"⟨{stream[at]:02X}⟩"
        )
        length = length or 1
        characters.append((character, list(dict.fromkeys(owner[at : at + length]))))
        at += length
    return characters


def _utf8_length(stream: bytes, at: int) -> int:
    """How many bytes the UTF-8 character at this place has; 0 where there is none."""
    lead = stream[at]
    length = 1 if lead < 0x80 else 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if lead < 0xF5 else 0
    try:
        return length if len(stream[at : at + length].decode("utf-8", errors="surrogatepass")) == 1 else 0
    except UnicodeDecodeError:
        return 0


def _texts(characters: Iterable[Character], n_tokens: int) -> tuple[str, ...]:
    texts = [""] * n_tokens
    for character, owners in characters:
        for part, token in enumerate(owners, start=1):
            texts[token] += character if len(owners) == 1 else f"{character}⟨{part}/{len(owners)}⟩"
    return tuple(texts)


def _words(characters: Sequence[Character], special: Sequence[bool]) -> tuple[int, ...]:
    """The tokens' words: tokens that hold parts of one word are joined."""
    continues = [False] * len(special)
    text = [character for character, _ in characters]
    for index, (_, owners) in enumerate(characters):
        tokens = set(owners)
        if index and _same_word(text, index):
            tokens.add(characters[index - 1][1][-1])
        first, last = min(tokens), max(tokens)
        for token in range(first + 1, last + 1):
            continues[token] = continues[token] or not (special[token] or special[token - 1])
    return _numbered(continues)


def _numbered(continues: Sequence[bool]) -> tuple[int, ...]:
    """0 for the first token, and one more at each token that does not continue its predecessor's word."""
    steps = [0 if index == 0 or joined else 1 for index, joined in enumerate(continues)]
    return tuple(accumulate(steps))


def _same_word(text: Sequence[str], index: int) -> bool:
    """Whether the character at `index` belongs to the word of the one before it."""
    before, here = text[index - 1], text[index]
    if before == "\n" or here == "\n":
        return False
    if before.isspace():
        return True  # spaces go with what follows them
    if here.isspace():
        return False
    if _extends(here) or before == ZERO_WIDTH_JOINER:
        return True
    if _is_letter(before) and _is_letter(here):
        return True
    if here in "'’" and _is_letter(before):
        return index + 1 < len(text) and _is_letter(text[index + 1])
    if before in "'’" and _is_letter(here):
        return index > 1 and _is_letter(text[index - 2])
    if _is_flag_half(before) and _is_flag_half(here):
        return _flag_halves_before(text, index) % 2 == 1
    return before == here and not here.isalnum()  # "..." and "!!"


@lru_cache(maxsize=4096)  # a text asks for each of its characters twice, and most of them come again
def _is_letter(character: str) -> bool:
    """Whether it builds words with its neighbours: letters, digits, marks, "_"; not Chinese, where each is a word."""
    if _is_chinese(character):
        return False
    return character == "_" or (len(character) == 1 and unicodedata.category(character)[0] in "LNM")


def _is_chinese(character: str) -> bool:
    return len(character) == 1 and unicodedata.name(character, "").startswith("CJK ")


def _extends(character: str) -> bool:
    """Whether it only changes the character before it: accents, variation selectors, joiners, colours of skin."""
    if len(character) != 1:
        return False
    is_skin = "\U0001f3fb" <= character <= "\U0001f3ff"
    return is_skin or character == ZERO_WIDTH_JOINER or unicodedata.category(character)[0] == "M"


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_halves_before(text: Sequence[str], index: int) -> int:
    count = 0
    while count < index and _is_flag_half(text[index - 1 - count]):
        count += 1
    return count
