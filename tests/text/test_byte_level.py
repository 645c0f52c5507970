"""BPETokenizer against the `tokenizers` library: the same merges, the same ids, and files that both read."""

import json
import os
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from course_lib.text import BPETokenizer, CharTokenizer, load_corpus, load_tokenizer
from course_lib.text.tokenizers import shared
from course_lib.text.tokenizers.byte_level import byte_alphabet, split_words

# Characters that this Python's Unicode knows: newer ones are signs here and may be letters in the library.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=40)
FEW_LETTERS = st.text("ab cé", max_size=40)
SAMPLE = "It's 2 o'clock:\n\n\tthe cat's hat — 爱学习, naïve café 👩‍🔬 x²½Ⅷ  \x1c\x85 _end_"


def library_bpe(texts, vocab_size, min_frequency=2, special=("<|end|>",)):
    """What `tokenizers` learns with the settings that BPETokenizer has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def library_merges(tokenizer):
    return [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


@pytest.fixture(scope="module")
def docs():
    return BPETokenizer.train(load_corpus("python_docs").train, 1024)


@pytest.mark.slow
@given(
    st.lists(FEW_LETTERS, min_size=1, max_size=6).filter(any),
    FEW_LETTERS,
    st.integers(257, 300),
    st.integers(0, 3),
)
@settings(max_examples=200)
def test_same_merges_and_ids_where_ties_abound(texts, other, vocab_size, min_frequency):
    """Two or three letters make ties, overlaps ("aaaa") and tokens that two merges make: all as the library does."""
    ours, theirs = (
        BPETokenizer.train(texts, vocab_size, min_frequency=min_frequency),
        library_bpe(texts, vocab_size, min_frequency),
    )
    assert ours.merges == library_merges(theirs)
    assert ours.token_to_id == theirs.get_vocab()
    for text in [other, *texts]:
        assert ours.encode(text) == theirs.encode(text).ids


@given(st.lists(TEXT, min_size=1, max_size=6).filter(any), TEXT)
def test_same_merges_and_ids_on_random_unicode(texts, other):
    ours, theirs = BPETokenizer.train(texts, 300, min_frequency=1), library_bpe(texts, 300, 1)
    assert ours.merges == library_merges(theirs)
    for text in [other, *texts]:
        assert ours.encode(text) == theirs.encode(text).ids
        assert ours.decode(ours.encode(text)) == text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_world", "python_docs", "python_source"])
def test_same_merges_and_ids_on_the_built_in_corpora(name):
    corpus = load_corpus(name)
    full = os.environ.get("COURSE_FULL") == "1"
    train, held_out = (corpus.train, corpus.validation) if full else (corpus.train[:100], corpus.validation[:10])
    ours, theirs = BPETokenizer.train(train, 1500), library_bpe(train, 1500)
    assert ours.merges == library_merges(theirs) and len(ours.merges) > 500
    assert ours.token_to_id == theirs.get_vocab()
    assert [ours.encode(text) for text in held_out] == [theirs.encode(text).ids for text in held_out]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip_of_any_text(docs, text):
    """Characters that no table knows are in it too."""
    ids = docs.encode(text)
    assert docs.decode(ids) == text
    assert docs.end_id not in ids


@given(st.lists(st.integers(0, 1023), max_size=20))
def test_bytes_that_are_no_text_are_decoded_as_the_library_does(docs, ids):
    theirs = _reloaded(docs)
    assert docs.decode(ids) == theirs.decode(ids, skip_special_tokens=False)


@pytest.mark.slow
def test_words_are_cut_as_gpt2_cuts_them():
    """Every character that Python's tables know, after a letter, before a digit, and among signs and spaces."""
    known = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")]
    library = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for start in range(0, len(known), 5000):
        text = "\n".join(f"a{sign}1 {sign}! {sign}{sign}  {sign}'s" for sign in known[start : start + 5000])
        words = split_words(text)
        assert "".join(words) == text
        assert words == [text[first:last] for _, (first, last) in library.pre_tokenize_str(text)]


def test_the_alphabet_is_gpt2s():
    assert sorted(byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert byte_alphabet()[ord(" ")] == "Ġ" and byte_alphabet()[ord("\n")] == "Ċ" and byte_alphabet()[ord("a")] == "a"


def test_long_words_take_moderate_time_and_come_out_the_same(docs):
    letters = "".join(filter(str.isalpha, "".join(load_corpus("python_docs").train)))[:20_000]
    assert docs.encode(letters) == _reloaded(docs).encode(letters).ids
    assert docs.encode("a" * 9_999) == _reloaded(docs).encode("a" * 9_999).ids


def test_special_tokens_come_from_text_only_when_asked(docs):
    text = "one<|end|>two"
    assert docs.end_id == docs.token_to_id["<|end|>"] == 0
    assert 0 not in docs.encode(text)
    assert docs.encode(text, allow_special=True) == [*docs.encode("one"), 0, *docs.encode("two")]
    assert docs.decode(docs.encode(text, allow_special=True)) == docs.decode(docs.encode(text)) == text
    nested = BPETokenizer([*docs.tokens, "<|end|>x"], docs.merges, ["<|end|>", "<|end|>x"])
    assert nested.encode("<|end|>x", allow_special=True) == [1024]  # the longest one


def test_merges_of_one_word_one_by_one(docs):
    steps = docs.merge_steps(" import")
    assert steps[0] == ["Ġ", "i", "m", "p", "o", "r", "t"]
    assert [docs.token_to_id[token] for token in steps[-1]] == docs.encode(" import")
    assert all(len(after) < len(before) for before, after in pairwise(steps))
    assert {"".join(step) for step in steps} == {"Ġimport"}


def test_transformers_loads_what_save_wrote(docs, tmp_path):
    transformers = pytest.importorskip("transformers")
    path = tmp_path / "tokenizer.json"
    docs.save(path)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert theirs(SAMPLE)["input_ids"] == docs.encode(SAMPLE)
    assert theirs.decode(docs.encode(SAMPLE)) == SAMPLE
    assert theirs("a<|end|>")["input_ids"] == docs.encode("a<|end|>", allow_special=True)
    again = BPETokenizer.load(path)
    assert (again.tokens, again.merges, again.end_id) == (docs.tokens, docs.merges, 0)
    assert load_tokenizer(tmp_path).encode(SAMPLE) == docs.encode(SAMPLE)


@pytest.mark.parametrize("spaced", [False, True])
def test_files_like_gpt2s_are_loaded(tmp_path, spaced):
    """Its end stands last in the vocabulary, and older files write a merge as "a b"."""
    theirs = library_bpe(load_corpus("python_docs").train[:20], 600, special=())
    theirs.add_special_tokens(["<|endoftext|>"])
    theirs.post_processor = None
    content = json.loads(theirs.to_str())
    if spaced:
        content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
        del content["model"]["type"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ours = load_tokenizer(tmp_path)
    assert isinstance(ours, BPETokenizer)
    assert ours.end_id == 600 and ours.tokens[600] == "<|endoftext|>"
    assert ours.encode(SAMPLE) == theirs.encode(SAMPLE).ids
    assert ours.encode("a<|endoftext|>b", allow_special=True) == theirs.encode("a<|endoftext|>b").ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "its pre-tokenizer is Whitespace"),
        ({"pre_tokenizer": {"type": "ByteLevel", "use_regex": True, "add_prefix_space": True}}, "add_prefix_space"),
        ({"normalizer": {"type": "NFC"}}, r"changes the text first \(NFC\)"),
        ({"added_tokens": [{"id": 1024, "content": "  ", "special": False}]}, "added tokens that are not special"),
        ({"model": {"type": "Unigram", "vocab": []}}, "its model is Unigram"),
    ],
)
def test_other_tokenizers_are_refused_not_imitated(docs, tmp_path, change, message):
    path = tmp_path / "tokenizer.json"
    docs.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        load_tokenizer(path)


def test_damaged_files_are_refused(docs, tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(FileNotFoundError, match=r"no tokenizer file .*tokenizer\.json"):
        load_tokenizer(tmp_path)
    docs.save(path)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="no valid JSON"):
        load_tokenizer(path)
    for damage, message in (
        (lambda model: model["vocab"].pop("q"), "do not have the ids 0 to 1022"),
        (lambda model: model.update(vocab=[]), "no vocabulary"),
        (lambda model: model["merges"].append(["zz", "zz"]), "needs the token 'zz'"),
    ):
        content = json.loads(whole)
        damage(content["model"])
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            load_tokenizer(path)


def test_errors_name_the_numbers(docs):
    with pytest.raises(ValueError, match=r"vocabulary of 200 is too small: .* take 257 places"):
        BPETokenizer.train(["abc"], 200)
    with pytest.raises(ValueError, match="nothing to learn"):
        BPETokenizer.train([""], 300)
    with pytest.raises(ValueError, match=r"Tokenizer\.train takes a list of texts; .* train\(\[text\]\)"):
        BPETokenizer.train("abc", 300)
    with pytest.raises(ValueError, match=r"half of a surrogate pair \(U\+D83D\)"):
        docs.encode("a\ud83d")
    with pytest.raises(ValueError, match="no token 1024.* 0 to 1023"):
        docs.decode([1024])
    with pytest.raises(ValueError, match="special token '<|pad|>' is not among"):
        BPETokenizer(docs.tokens, docs.merges, ["<|pad|>"])
    with pytest.raises(ValueError, match="256 of the 256 bytes have no token"):
        BPETokenizer(["<|end|>"], [])


def test_learning_stops_when_there_is_nothing_left_to_merge():
    assert BPETokenizer.train(["a"], 5000).vocab_size == 257
    assert BPETokenizer.train(["ab ab"], 5000).vocab_size == 258
    assert BPETokenizer.train(["ab ab"], 5000, min_frequency=1).vocab_size == 259


def test_a_full_word_cache_starts_again(monkeypatch):
    monkeypatch.setattr(shared, "CACHED_WORDS", 3)
    tokenizer = BPETokenizer.train(["one two three four five six"], 300)
    for _ in range(2):
        assert tokenizer.decode(tokenizer.encode("one two three four five six")) == "one two three four five six"
    assert len(tokenizer._ids_of_word) <= 3


def test_training_reads_an_iterator_once():
    texts = ["the cat", "the hat"]
    assert BPETokenizer.train(iter(texts), 270).tokens == BPETokenizer.train(texts, 270).tokens


def test_load_tokenizer_tells_the_kinds_apart(docs, tmp_path):
    CharTokenizer.train(["abc"]).save(tmp_path / "characters.json")
    docs.save(tmp_path / "bytes.json")
    assert load_tokenizer(tmp_path / "characters.json").tokens == ["<|end|>", "a", "b", "c"]
    assert isinstance(load_tokenizer(tmp_path / "bytes.json"), BPETokenizer)
    with pytest.raises(ValueError, match="not a saved CharTokenizer"):
        CharTokenizer.load(tmp_path / "bytes.json")


def _reloaded(tokenizer):
    """The library's tokenizer with the same vocabulary."""
    theirs = Tokenizer(models.BPE(tokenizer.token_to_id, tokenizer.merges))
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.add_special_tokens(list(tokenizer.special.ids))
    return theirs
