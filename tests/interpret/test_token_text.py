"""Tokens become the text they stand for, whatever their vocabulary writes, and words come out as a reader sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from course_lib.interpret.maps import merge_texts
from course_lib.interpret.token_text import token_texts, words_of
from course_lib.text.tokenizers import BPETokenizer, CharTokenizer, WordPieceTokenizer

from .conftest import SENTENCES, wrapped

FACE = "😀"


@pytest.fixture(scope="module")
def wordpiece() -> PreTrainedTokenizerFast:
    return wrapped(
        models.WordPiece(unk_token="[UNK]"),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
        trainers.WordPieceTrainer(vocab_size=40, special_tokens=["[PAD]", "[UNK]", "[SEP]", "[MASK]"]),
        pad_token="[PAD]",
        eos_token="[SEP]",
        mask_token="[MASK]",
        unk_token="[UNK]",
    )


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    """As Llama's: "▁" for a space, and bytes for characters that the vocabulary lacks."""
    pieces = ["<pad>", "</s>", "<mask>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁thecasonmdgw"]
    model = models.BPE({piece: index for index, piece in enumerate(pieces)}, [], byte_fallback=True, unk_token="<unk>")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", mask_token="<mask>", unk_token="<unk>"
    )


def shown(tokenizer, text):
    ids = tokenizer(text)["input_ids"] if callable(tokenizer) else tokenizer.encode(text)
    return token_texts(tokenizer, ids)


def test_byte_level_tokens_are_decoded(byte_tokenizer):
    texts = shown(byte_tokenizer, "the cat\nsat").texts
    assert "".join(texts) == "the cat\nsat"
    assert " cat" in texts and not any("Ġ" in text or "Ċ" in text for text in texts)


def test_a_character_in_several_tokens_is_shown_with_its_part(byte_tokenizer):
    cut = byte_tokenizer("é")["input_ids"]
    assert len(cut) == 2
    assert token_texts(byte_tokenizer, cut).texts == ("é⟨1/2⟩", "é⟨2/2⟩")
    assert token_texts(byte_tokenizer, cut).words == (0, 0)
    assert token_texts(byte_tokenizer, cut[:1]).texts == ("⟨C3⟩",)  # the rest was cut off
    assert token_texts(byte_tokenizer, cut[1:] + byte_tokenizer("a")["input_ids"]).texts == ("⟨A9⟩", "a")


def test_a_vocabulary_with_byte_fallback(sentencepiece):
    texts, special, words = shown(sentencepiece, "the 你 cat")
    assert texts == (" ", "t", "h", "e", " ", "你⟨1/3⟩", "你⟨2/3⟩", "你⟨3/3⟩", " ", "c", "a", "t")
    assert words == (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)
    assert not any(special)


def test_pieces_of_words_keep_their_mark(wordpiece):
    texts, _, words = shown(wordpiece, "the caton, dog")
    assert "##" in "".join(texts)
    joined = merge_texts(texts, words)
    assert joined == ("the", "caton", "[UNK]", "dog")  # the trainer has seen no comma


def test_this_courses_tokenizers_are_shown_like_those_of_transformers(tmp_path, wordpiece):
    ours = WordPieceTokenizer.train(SENTENCES, vocab_size=60, min_frequency=1)
    ours.save(tmp_path / "tokenizer.json")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="[PAD]")
    ids = ours.encode("the caton dog")
    assert token_texts(ours, ids).texts == token_texts(theirs, ids).texts
    bpe = BPETokenizer.train(SENTENCES, vocab_size=280, min_frequency=1)
    bpe.save(tmp_path / "tokenizer.json")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    ids = bpe.encode(f"a cat, 你好 {FACE}\n")
    assert token_texts(bpe, ids)[::2] == token_texts(theirs, ids)[::2]


def test_special_tokens_and_masks(wordpiece, byte_tokenizer):
    _, special, words = token_texts(wordpiece, wordpiece("the[MASK]zzz[SEP][PAD]")["input_ids"])
    texts = wordpiece.convert_ids_to_tokens(wordpiece("the[MASK]zzz[SEP][PAD]")["input_ids"])
    assert texts == ["the", "[MASK]", "[UNK]", "[SEP]", "[PAD]"]
    assert special == (False, False, False, True, True)  # a mask and an unknown word stand for text
    assert len(set(words)) == 5
    ours = CharTokenizer.train(["ab"])
    assert token_texts(ours, [1, ours.end_id, 2]) == (("a", "<|end|>", "b"), (False, True, False), (0, 1, 2))


def test_gpt_2_calls_its_end_of_text_unknown_and_it_is_special_all_the_same():
    tokenizer = wrapped(
        models.BPE(),
        pre_tokenizers.ByteLevel(),
        decoders.ByteLevel(),
        trainers.BpeTrainer(vocab_size=270, special_tokens=["<|endoftext|>"], show_progress=False),
        **dict.fromkeys(("pad_token", "eos_token", "bos_token", "unk_token"), "<|endoftext|>"),
    )
    assert token_texts(tokenizer, [0]).special == (True,)


WORDS = [
    ("don't stop", ["don't", " stop"]),
    ("rock 'n' roll", ["rock", " '", "n", "'", " roll"]),
    ("wait... what?!", ["wait", "...", " what", "?", "!"]),
    ("a  b\n\nc", ["a", "  b", "\n", "\n", "c"]),
    ("我爱北京", ["我", "爱", "北", "京"]),
    ("GPT模型 good", ["GPT", "模", "型", " good"]),
    ("हिन्दी भाषा", ["हिन्दी", " भाषा"]),
    ("한국어 문장", ["한국어", " 문장"]),
    ("👩\u200d🚀👍🏽 ok", ["👩\u200d🚀", "👍🏽", " ok"]),
    ("🇨🇳🇬🇧", ["🇨🇳", "🇬🇧"]),
    ("❤️❤️", ["❤️", "❤️"]),
    ("snake_case x1", ["snake_case", " x1"]),
    ("naïve cafe\u0301", ["naïve", " cafe\u0301"]),
    ("end ", ["end", " "]),
]


@pytest.mark.parametrize(("text", "expected"), WORDS, ids=[text for text, _ in WORDS])
def test_words_are_those_that_a_reader_sees(text, expected, byte_tokenizer):
    for tokens in (list(text), token_texts(byte_tokenizer, byte_tokenizer(text)["input_ids"]).texts):
        words = words_of(tokens) if tokens == list(text) else shown(byte_tokenizer, text).words
        assert list(merge_texts(tokens, words)) == expected


def test_a_token_that_reaches_into_two_words_joins_them():
    assert words_of(["你好", "吗"]) == (0, 1)
    assert words_of([" New York", "ers", "."]) == (0, 0, 1)


def test_words_of_a_text_without_pieces_and_spaces_stay_apart():
    """WordPiece cuts "the sea sleeps" into whole words and keeps no space."""
    assert words_of(["[CLS]", "the", "sea", "sleeps"], [True, False, False, False]) == (0, 1, 2, 3)


def test_special_tokens_are_words_of_their_own():
    assert words_of(["<s>", "a", "b", "</s>", "</s>"], [True, False, False, True, True]) == (0, 1, 1, 2, 3)
    assert words_of(["[CLS]", "##ing", "##s", "[SEP]"], [True, False, False, True]) == (0, 1, 1, 2)
    assert words_of(["##", "a", "##b"]) == (0, 1, 1)  # a "##" of the text itself


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_every_text_survives(text):
    """Any character at all: NUL, half characters, marks that turn the writing round, private use, unassigned."""
    characters = CharTokenizer.train([text + "x"])
    texts, special, words = token_texts(characters, characters.encode(text + "x"))
    assert "".join(texts) == text + "x"
    assert not any(special)
    assert "".join(merge_texts(texts, words)) == text + "x"
    assert words[0] == 0 and all(step in (0, 1) for step in map(int.__sub__, words[1:], words[:-1]))


BYTES = BPETokenizer.train(SENTENCES, vocab_size=262, min_frequency=1)


@given(st.text(max_size=20), st.data())
def test_bytes_of_any_text_cut_anywhere_are_shown(text, data):
    ids = BYTES.encode(text)
    start = data.draw(st.integers(0, len(ids)))
    texts, _, words = token_texts(BYTES, ids[start:])
    assert len(texts) == len(words) == len(ids) - start
    assert all(texts)
    if start == 0 and "⟨" not in text:
        assert "".join(merge_texts(texts, [0] * len(texts)) if texts else ()) == text


@given(st.lists(st.integers(0, 255), max_size=12))
def test_any_bytes_at_all_are_shown(values):
    ids = [BYTES.token_to_id[BYTES.tokens[1 + value]] for value in values]
    assert all(token_texts(BYTES, ids).texts)


HOSTILE = ["</script><img src=x onerror=a()>", "\x00", "\u202egnp.exe", "\ud800", "{{7*7}}", "&lt;b&gt;", "a" * 900]


@pytest.mark.parametrize("token", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_tokens_are_text(token):
    tokenizer = CharTokenizer.train(["".join(sorted(set(token)))])
    assert "".join(token_texts(tokenizer, tokenizer.encode(token)).texts) == token
    assert len(words_of([token, token])) == 2
