"""WordPieceTokenizer against the `tokenizers` library and transformers' BertTokenizer."""

import json
import unicodedata
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from course_lib.text import WordPieceTokenizer, load_corpus, load_task, load_tokenizer
from course_lib.text.tokenizers.wordpiece import BERT_TOKENS, BertNormalizer, split_bert_words

# The library's tables of punctuation and accents are of an older Unicode than Python's. What was in Unicode 3.2 (2002)
# with the same category as now is the same in all of them.
OLD = unicodedata.ucd_3_2_0
SETTLED = [
    chr(code)
    for code in range(0x110000)
    if OLD.category(chr(code)) == unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co") and code != 0x166D
]
TEXT = st.text(st.sampled_from(SETTLED), max_size=30)


def mixed_texts():
    """English, code and Chinese, with accents and signs: the held-out text on which ids are compared."""
    chinese = [row["zh"] for row in load_task("translation")["validation"]]
    code = load_corpus("python_source").validation[:12]
    return [*load_corpus("python_docs").validation, *code, " ".join(chinese[:400]), "".join(chinese[400:500]), SAMPLE]


SAMPLE = (
    "Ça va, ΣΊΣΥΦΟΣ? Straße İstanbul ﬁne x²—½ 日本語テキスト 한국어"
    " don't\u200b a\xadb\x00c\ufffd \t\r\n\u3000$5+3=8 naïve🙂 ` ´"
)


def library_wordpiece(texts, vocab_size, first=(), min_frequency=2):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*BERT_TOKENS, *first],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def mixed():
    corpora = [load_corpus(name).train[:40] for name in ("tiny_world", "python_docs", "python_source")]
    return WordPieceTokenizer.train([*chain(*corpora), *mixed_texts()], 3000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_world", "python_docs", "python_source", "translation"])
def test_same_vocabulary_and_ids_as_the_library(name):
    """The library numbers the characters inside words at random, and breaks ties by their numbers.

    Given the order that we use, it learns the same pieces with the same ids.
    """
    if name == "translation":
        train, held_out = ([row["zh"] for row in load_task(name)[split]][:2000] for split in ("train", "validation"))
    else:
        corpus = load_corpus(name)
        train, held_out = corpus.train[:60], corpus.validation[:10]
    ours = WordPieceTokenizer.train(train, 1200)
    characters = [token for token in ours.tokens[len(BERT_TOKENS) :] if len(token.removeprefix("##")) == 1]
    theirs = library_wordpiece(train, 1200, characters)
    assert ours.token_to_id == theirs.get_vocab()
    merged = ours.vocab_size - len(characters) - len(BERT_TOKENS)
    assert merged > 500 or name == "translation"  # each Chinese character is a word: nothing to merge
    reloaded = _as_library(ours)
    for text in held_out:
        ids = ours.encode(text)
        assert ids == reloaded.encode(text, add_special_tokens=False).ids
        assert ours.decode(ids) == reloaded.decode(ids, skip_special_tokens=False)


@given(st.lists(st.text("ab cé爱", max_size=30), min_size=1, max_size=5).filter(lambda texts: "".join(texts).strip()))
def test_ties_fall_as_in_the_library(texts):
    ours = WordPieceTokenizer.train(texts, 40, min_frequency=1)
    characters = [token for token in ours.tokens[len(BERT_TOKENS) :] if len(token.removeprefix("##")) == 1]
    assert ours.token_to_id == library_wordpiece(texts, 40, characters, min_frequency=1).get_vocab()


@given(TEXT)
def test_normalised_and_cut_as_bert_does(text):
    library = normalizers.BertNormalizer()
    assert BertNormalizer()(text) == library.normalize_str(text)
    words = [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(library.normalize_str(text))]
    assert split_bert_words(BertNormalizer()(text)) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"lowercase": False}, {"strip_accents": False}, {"handle_chinese_chars": False}, {"clean_text": False}],
)
def test_each_step_of_the_normaliser(settings):
    every_character = " ".join(SETTLED) + SAMPLE
    assert BertNormalizer(**settings)(every_character) == normalizers.BertNormalizer(**settings).normalize_str(
        every_character
    )


@pytest.mark.slow
def test_equal_to_berttokenizer_on_a_large_mixed_text(mixed, tmp_path):
    transformers = pytest.importorskip("transformers")
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(mixed.tokens) + "\n", encoding="utf-8")
    bert = transformers.BertTokenizer(vocab=str(vocabulary))
    assert len(bert) == mixed.vocab_size
    texts = mixed_texts()
    assert sum(map(len, texts)) > 150_000
    for text in texts:
        assert bert.encode(text, add_special_tokens=False) == mixed.encode(text)
    pair = bert("one two", "three")
    assert (pair["input_ids"], pair["token_type_ids"]) == mixed.encode_pair("one two", "three")
    assert bert("one two")["input_ids"] == mixed.encode_pair("one two")[0]


@pytest.mark.slow
def test_saved_loaded_and_loaded_by_transformers(mixed, tmp_path):
    transformers = pytest.importorskip("transformers")
    path = tmp_path / "tokenizer.json"
    mixed.save(path)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert theirs(SAMPLE)["input_ids"] == mixed.encode_pair(SAMPLE)[0]
    pair = theirs("a b", "c", return_token_type_ids=True)
    assert (pair["input_ids"], pair["token_type_ids"]) == mixed.encode_pair("a b", "c")
    again = load_tokenizer(tmp_path)
    assert isinstance(again, WordPieceTokenizer)
    assert (again.tokens, again.normalizer) == (mixed.tokens, mixed.normalizer)
    cased = WordPieceTokenizer(mixed.tokens, normalizer=BertNormalizer(lowercase=False))
    cased.save(path)
    assert (
        WordPieceTokenizer.load(path).encode("Café")
        == cased.encode("Café")
        == _as_library(cased).encode("Café", add_special_tokens=False).ids
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("normalizer", {"type": "NFC"}, "normaliser is not BERT's"),
        ("pre_tokenizer", {"type": "Whitespace"}, "does not cut words as BERT does"),
        ("model", {"unk_token": "<unk>"}, "unknown token, prefix and longest word are"),
        ("model", {"type": "BPE"}, "its model is BPE"),
    ],
)
def test_other_tokenizers_are_refused(mixed, tmp_path, part, value, message):
    path = tmp_path / "tokenizer.json"
    mixed.save(path)
    content = json.loads(path.read_text())
    content[part] = content[part] | value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        WordPieceTokenizer.load(path)


def test_special_tokens_come_from_text_only_when_asked(mixed):
    assert mixed.mask_id not in mixed.encode("a [MASK] b")
    assert mixed.encode("a [MASK] b", allow_special=True) == [*mixed.encode("a"), mixed.mask_id, *mixed.encode("b")]
    ids = (mixed.pad_id, mixed.unk_id, mixed.cls_id, mixed.sep_id, mixed.mask_id, mixed.end_id)
    assert ids == (0, 1, 2, 3, 4, 3)


def test_unknown_and_endless_words():
    tokenizer = WordPieceTokenizer.train(["ab ab ba"], 100)
    assert tokenizer.encode("abc ab") == [1, tokenizer.token_to_id["ab"]]
    assert tokenizer.encode("ab" * 50) != [1] == tokenizer.encode("ab" * 50 + "a")
    assert tokenizer.decode([]) == "" == tokenizer.decode(tokenizer.encode(" \n"))


def test_errors_name_the_numbers():
    with pytest.raises(ValueError, match=r"vocabulary of 7 is too small: 5 special .* take 9 places"):
        WordPieceTokenizer.train(["ab ba"], 7)
    with pytest.raises(ValueError, match="no word at all"):
        WordPieceTokenizer.train([" \n"], 100)
    with pytest.raises(ValueError, match=r"Tokenizer\.train takes a list of texts; .* train\(\[text\]\)"):
        WordPieceTokenizer.train("ab", 100)
    with pytest.raises(ValueError, match=r"\[MASK\] is missing"):
        WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    with pytest.raises(ValueError, match="no token 9"):
        WordPieceTokenizer.train(["ab ba"], 9).decode([9])


def _as_library(tokenizer):
    """The library's tokenizer with the same vocabulary and normaliser."""
    normalizer = tokenizer.normalizer
    theirs = Tokenizer(models.WordPiece(tokenizer.token_to_id, unk_token="[UNK]"))
    theirs.normalizer = normalizers.BertNormalizer(
        normalizer.clean_text, normalizer.handle_chinese_chars, normalizer.strip_accents, normalizer.lowercase
    )
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    theirs.decoder = decoders.WordPiece()
    return theirs
