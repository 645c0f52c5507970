"""CharTokenizer: what goes in comes out, and what cannot go in is said."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.text import CharTokenizer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(TEXT, min_size=1).filter(any))
def test_round_trip(texts):
    tokenizer = CharTokenizer.train(texts)
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert len(ids) == len(text) and tokenizer.end_id not in ids
    assert tokenizer.vocab_size == len(tokenizer) == len(set("".join(texts))) + 1


def test_ids_do_not_depend_on_the_order_of_the_texts():
    assert CharTokenizer.train(["cab", "d"]).token_to_id == CharTokenizer.train(["d", "bca"]).token_to_id
    assert CharTokenizer.train(["cab"]).token_to_id == {"<|end|>": 0, "a": 1, "b": 2, "c": 3}


def test_the_end_is_never_made_from_text():
    tokenizer = CharTokenizer.train(["<|end|>"])
    assert tokenizer.end_id == 0
    assert tokenizer.encode("<|end|>") == [tokenizer.token_to_id[character] for character in "<|end|>"]
    assert 0 not in tokenizer.encode("<|end|>")
    assert tokenizer.decode([0]) == "<|end|>"


def test_saved_and_loaded(tmp_path):
    path = tmp_path / "deep" / "tokenizer.json"
    tokenizer = CharTokenizer.train(["爱 é\n\u2028\x00"])
    tokenizer.save(path)
    assert CharTokenizer.load(path).token_to_id == tokenizer.token_to_id
    assert [file.name for file in path.parent.iterdir()] == ["tokenizer.json"]
    path.write_text(json.dumps({"type": "BPETokenizer"}))
    with pytest.raises(ValueError, match='not a saved tokenizer: it has no "model"'):
        CharTokenizer.load(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="no valid JSON"):
        CharTokenizer.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    CharTokenizer.train(["abc"]).save(path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        CharTokenizer.train(["something else"]).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_errors_name_the_numbers():
    tokenizer = CharTokenizer.train(["abc"])
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 2 .* 3 characters"):
        tokenizer.encode("abéé")
    with pytest.raises(ValueError, match="no token 4.* 0 to 3"):
        tokenizer.decode([1, 4])
    with pytest.raises(ValueError, match="no token -1"):
        tokenizer.decode([-1])
    for nothing in ([], ["", ""]):
        with pytest.raises(ValueError, match="nothing to learn"):
            CharTokenizer.train(nothing)
    with pytest.raises(ValueError, match=r"train\(\[text\]\)"):
        CharTokenizer.train("abc")
    with pytest.raises(ValueError, match="'ab'"):
        CharTokenizer(["ab"])
    with pytest.raises(ValueError, match="once"):
        CharTokenizer(["a", "a"])
