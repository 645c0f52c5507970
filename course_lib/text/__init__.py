"""Strings in, token ids out: corpora, the tiny world, tokenizers. Knows no models."""

from course_lib.text.corpora import Corpus, load_corpus
from course_lib.text.tasks import load_task
from course_lib.text.tokenizers import BPETokenizer, CharTokenizer, WordPieceTokenizer, load_tokenizer

__all__ = [
    "BPETokenizer",
    "CharTokenizer",
    "Corpus",
    "WordPieceTokenizer",
    "load_corpus",
    "load_task",
    "load_tokenizer",
]
