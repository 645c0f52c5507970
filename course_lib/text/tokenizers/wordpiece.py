"""WordPiece, the tokenizer of BERT: words are normalised, then cut greedily into the longest known pieces.

Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3; Schuster and Nakajima
2012, "Japanese and Korean Voice Search". How Google's vocabulary was learned was not published: the merges here
are chosen by frequency, as Hugging Face's `tokenizers` chooses them.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate, chain, pairwise
from pathlib import Path

from course_lib.text.tokenizers.files import UnsupportedTokenizer, added_tokens, read_model, write_tokenizer
from course_lib.text.tokenizers.merging import learn_merges
from course_lib.text.tokenizers.shared import Tokenizer, WordCache
from course_lib.text.tokenizers.unicode_classes import WHITESPACE, punctuation

BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"  # marks a piece that continues a word
LONGEST_WORD = 100  # characters; a longer word is [UNK], as in BERT
# The blocks of Chinese characters that BERT sets apart. The gap U+2B820 to U+2B91F is a slip of the original's ports
# that every stored vocabulary lives with.
CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b81f"
CHINESE += "\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f"


@dataclass(frozen=True)
class BertNormalizer:
    """What BERT does to a text before it cuts it into words; `strip_accents=None` means "as `lowercase`".

    >>> BertNormalizer()("Résumé　\\u200bOK爱")
    'resume ok 爱 '
    """

    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool | None = None
    lowercase: bool = True

    def __call__(self, text: str) -> str:
        """Control characters out, Chinese characters set apart, accents off, lower case."""
        if self.clean_text:
            text = text.translate(_CLEANED)
        if self.handle_chinese_chars and not text.isascii():
            text = _CHINESE_CHARACTER.sub(r" \g<0> ", text)
        if (self.lowercase if self.strip_accents is None else self.strip_accents) and not text.isascii():
            text = unicodedata.normalize("NFD", text).translate(_WITHOUT_ACCENTS)
        if self.lowercase:  # letter by letter: str.lower turns a Σ at the end of a word into ς, BERT does not
            text = text.lower() if "Σ" not in text else "σ".join(part.lower() for part in text.split("Σ"))
        return text


class _Cleaned(dict):
    """For `str.translate`: drops control characters and U+FFFD, and makes all white space a plain space."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        if category in ("Zs", "Zl", "Zp") or chr(code) in "\t\n\r":
            kept = " "
        elif category in ("Cc", "Cf", "Co") or code == 0xFFFD:
            kept = None
        else:
            kept = chr(code)
        self[code] = kept
        return kept


class _WithoutAccents(dict):
    """For `str.translate`: drops the marks (accents, dots, …) that NFD has split from their letters."""

    def __missing__(self, code: int) -> str | None:
        kept = self[code] = None if unicodedata.category(chr(code)) == "Mn" else chr(code)
        return kept


_CLEANED, _WITHOUT_ACCENTS = _Cleaned(), _WithoutAccents()
_CHINESE_CHARACTER = re.compile(f"[{CHINESE}]")


@cache
def _word_pattern() -> re.Pattern[str]:
    mark = punctuation() + re.escape(string.punctuation)  # "$" and "+" are symbols in Unicode, punctuation in BERT
    return re.compile(f"[{mark}]|[^{WHITESPACE}{mark}]+")


@cache
def _raw_word_pattern() -> re.Pattern[str]:
    """The words of a text that is not normalised yet: a Chinese character is one, whatever stands beside it."""
    mark = punctuation() + re.escape(string.punctuation)
    return re.compile(f"[{mark}{CHINESE}]|[^{WHITESPACE}{mark}{CHINESE}]+")


def split_bert_words(text: str) -> list[str]:
    """The words of a normalised text: cut at white space, each punctuation mark by itself.

    >>> split_bert_words("it's $2.50")
    ['it', "'", 's', '$', '2', '.', '50']
    """
    return _word_pattern().findall(text)


class WordPieceTokenizer(Tokenizer):
    """Tokens are words and pieces of words; a piece inside a word is written with "##" before it.

    >>> tokenizer = WordPieceTokenizer.train(["low lower lowest"], vocab_size=20)
    >>> [tokenizer.tokens[index] for index in tokenizer.encode("Lower, lowest")]
    ['low', '##e', '##r', '[UNK]', 'low', '##e', '##s', '##t']

    What the normaliser drops (case, accents, white space) is lost, and a word with an unknown character is [UNK]:
    `decode` gives back a readable text, not the same text.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        special_tokens: Sequence[str] = BERT_TOKENS,
        normalizer: BertNormalizer | None = None,
    ):
        """`tokens` in the order of their ids; `train` learns them. [PAD], [UNK], [CLS], [SEP], [MASK] are needed."""
        super().__init__(tokens, special_tokens)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = map(self._special_id, BERT_TOKENS)
        self.end_id = self.sep_id
        self.normalizer = normalizer or BertNormalizer()
        self._ids_of_word = WordCache(self._cut_word)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        min_frequency: int = 2,
        special_tokens: Sequence[str] = BERT_TOKENS,
        normalizer: BertNormalizer | None = None,
    ) -> "WordPieceTokenizer":
        """Learn pieces from texts until there are `vocab_size` tokens, or no pair occurs `min_frequency` times.

        Ids: the special tokens, the characters, the characters inside words ("##a"), then one piece a merge.
        Raises ValueError for texts without a word and for a vocabulary with no room for all characters.
        """
        normalizer = normalizer or BertNormalizer()
        words = Counter[str]()
        for text in cls._many(texts):
            words.update(split_bert_words(normalizer(text)))
        if not words:
            raise ValueError("There is nothing to learn from: the texts hold no word at all.")
        characters = sorted(set().union(*words))
        inside = sorted(set().union(*(word[1:] for word in words)))
        tokens = [*special_tokens, *characters, *(PREFIX + character for character in inside)]
        if vocab_size < len(tokens):
            raise ValueError(
                f"A vocabulary of {vocab_size} is too small: {len(special_tokens)} special tokens and the characters "
                f"of the texts, at the start of words and inside, take {len(tokens)} places."
            )
        ids = {token: chr(index) for index, token in enumerate(tokens)}
        spelled = {
            ids[word[0]] + "".join([ids[PREFIX + character] for character in word[1:]]): count
            for word, count in words.items()
        }
        learn_merges(spelled, tokens, vocab_size, min_frequency, PREFIX)
        return cls(tokens, special_tokens, normalizer)

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """The ids of a text, without [CLS] and [SEP]. With `allow_special`, "[MASK]" in it becomes that token."""
        if allow_special:
            return self.special.encode(text, self.encode)
        words = split_bert_words(self.normalizer(text))
        return list(chain.from_iterable(map(self._ids_of_word.__getitem__, words)))

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text, and for each the characters of `text` that it stands for: from, to before.

        Where normalising changes the length of a word, its pieces all stand for the whole word.

        >>> tokenizer = WordPieceTokenizer.train(["low lower lowest"], vocab_size=20)
        >>> tokenizer.encode_with_places("a Lowe")[1]
        [(0, 1), (2, 5), (5, 6)]
        """
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        for match in _raw_word_pattern().finditer(text):
            pieces = self.encode(match.group())
            ids += pieces
            places += self._places_of(pieces, match.group(), match.start())
        return ids, places

    def _places_of(self, pieces: list[int], word: str, start: int) -> list[tuple[int, int]]:
        """The characters that each piece of a word stands for; the word begins at `start`."""
        sizes = [len(self.tokens[piece].removeprefix(PREFIX)) for piece in pieces]
        if self.unk_id in pieces or sum(sizes) != len(word):
            return [(start, start + len(word))] * len(pieces)
        ends = list(accumulate(sizes, initial=start))
        return list(pairwise(ends))

    def encode_pair(self, first: str, second: str | None = None) -> tuple[list[int], list[int]]:
        """[CLS] first [SEP] second [SEP] as ids, and for each id the segment, 0 or 1, that it belongs to."""
        ids = [self.cls_id, *self.encode(first), self.sep_id]
        if second is None:
            return ids, [0] * len(ids)
        more = [*self.encode(second), self.sep_id]
        return ids + more, [0] * len(ids) + [1] * len(more)

    def decode(self, ids: Iterable[int]) -> str:
        """A readable text: pieces joined, no space before . ? ! and ,. Raises ValueError for an id there is not."""
        tokens = [self.tokens[index] for index in self._checked(ids)]
        text = "".join(
            token.removeprefix(PREFIX) if token.startswith(PREFIX) else token if token in ".?!," else " " + token
            for token in tokens[1:]
        )
        return (tokens[0] if tokens else "") + text

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json`, which `tokenizers` and `transformers.PreTrainedTokenizerFast` load too."""
        write_tokenizer(
            path,
            special=self.special.ids,
            normalizer={"type": "BertNormalizer", **asdict(self.normalizer)},
            pre_tokenizer={"type": "BertPreTokenizer"},
            post_processor=self._template(),
            decoder={"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
            model={
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": PREFIX,
                "max_input_chars_per_word": LONGEST_WORD,
                "vocab": self.token_to_id,
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> "WordPieceTokenizer":
        """A WordPiece tokenizer from `tokenizer.json`: one that `save` wrote, or one like BERT's.

        Raises ValueError for a file that is no such tokenizer, with what is different in it.
        """
        content, model = read_model(path, "WordPiece")
        normalizer = dict(content.get("normalizer") or {})
        if normalizer.pop("type", None) != "BertNormalizer":
            raise UnsupportedTokenizer(path, "its normaliser is not BERT's")
        if (content.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
            raise UnsupportedTokenizer(path, "it does not cut words as BERT does")
        settings = (
            model.get("unk_token"),
            model.get("continuing_subword_prefix"),
            model.get("max_input_chars_per_word"),
        )
        if settings != ("[UNK]", PREFIX, LONGEST_WORD):
            raise UnsupportedTokenizer(path, f"its unknown token, prefix and longest word are {settings}")
        tokens, special = added_tokens(path, content, model["vocab"])
        return cls(tokens, special, BertNormalizer(**normalizer))

    def _special_id(self, token: str) -> int:
        if token not in self.special.ids:
            raise ValueError(
                f"A WordPieceTokenizer needs the special tokens {', '.join(BERT_TOKENS)}; {token} is missing."
            )
        return self.special.ids[token]

    def _cut_word(self, word: str) -> tuple[int, ...]:
        """The longest piece that the word begins with, then the longest that the rest begins with, and so on."""
        if len(word) > LONGEST_WORD:
            return (self.unk_id,)
        ids, start = [], 0
        while start < len(word):
            prefix = PREFIX if start else ""
            for end in range(len(word), start, -1):
                index = self.token_to_id.get(prefix + word[start:end])
                if index is not None:
                    break
            else:
                return (self.unk_id,)
            ids.append(index)
            start = end
        return tuple(ids)

    def _template(self) -> dict:
        """How `tokenizers` is to add [CLS] and [SEP], as `encode_pair` does."""

        def special(token: str, segment: int) -> dict:
            return {"SpecialToken": {"id": token, "type_id": segment}}

        def text(name: str, segment: int) -> dict:
            return {"Sequence": {"id": name, "type_id": segment}}

        single = [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)]
        ids = {
            token: {"id": token, "ids": [self.special.ids[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")
        }
        pair = [*single, text("B", 1), special("[SEP]", 1)]
        return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids}
