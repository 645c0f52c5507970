"""From text to token ids and back: characters, byte-level BPE, WordPiece.

Read in this order: `characters` (one token a character), `merging` (the algorithm that learns merges), `byte_level`
(GPT-2's tokenizer), `wordpiece` (BERT's tokenizer), `files` (how they are kept).
"""

from course_lib.text.tokenizers.byte_level import BPETokenizer
from course_lib.text.tokenizers.characters import CharTokenizer
from course_lib.text.tokenizers.loading import load_tokenizer
from course_lib.text.tokenizers.wordpiece import WordPieceTokenizer

__all__ = ["BPETokenizer", "CharTokenizer", "WordPieceTokenizer", "load_tokenizer"]
