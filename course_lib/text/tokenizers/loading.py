"""Finds out which kind of tokenizer a file holds, and loads it."""

from pathlib import Path

from course_lib.text.tokenizers.byte_level import BPETokenizer
from course_lib.text.tokenizers.characters import CharTokenizer
from course_lib.text.tokenizers.files import read_tokenizer
from course_lib.text.tokenizers.wordpiece import WordPieceTokenizer


def load_tokenizer(path: str | Path) -> CharTokenizer | BPETokenizer | WordPieceTokenizer:
    """The tokenizer that a `tokenizer.json` holds, of whichever of the three kinds; a folder may be given too.

    Raises FileNotFoundError where there is no file, and ValueError for a tokenizer that is none of the three.
    """
    content = read_tokenizer(path)
    if content["model"].get("type") == "WordPiece":
        return WordPieceTokenizer.load(path)
    if (content.get("decoder") or {}).get("type") == "Fuse":
        return CharTokenizer.load(path)
    return BPETokenizer.load(path)
