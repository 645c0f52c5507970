from itertools import pairwise

import pytest

from course_lib.text import load_corpus
from course_lib.text.tokenizers import BPETokenizer
from course_lib.widgets.merge_replay import MergeReplay, readable, replay


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(load_corpus("python_docs").train[:20], 600)


@pytest.mark.parametrize("text", ["the import statement, and the other", "naïve 爱 🙂\n\n  x", "aaaa", "", "<|end|>"])
def test_the_last_frame_is_what_encode_gives(tokenizer, text):
    frames = replay(tokenizer, text)
    ids = [tokenizer.token_to_id[token] for word in frames[-1].words for token in word]
    assert ids == tokenizer.encode(text)
    assert frames[0].n_tokens == len(text.encode())
    counts = [frame.n_tokens for frame in frames]
    assert counts == sorted(set(counts), reverse=True)
    assert [before - after for before, after in pairwise(counts)] == [frame.joined for frame in frames[1:]]
    ranks = [frame.rank for frame in frames[1:]]
    assert ranks == sorted(ranks)
    assert all(tokenizer.merges[frame.rank] == frame.pair for frame in frames[1:])


def test_tokens_for_the_eye():
    assert [readable(token) for token in ("Ġthe", "Ċ", "ĉ", "é", "Ã©")] == ["␣the", "⏎", "⇥", "E9", "é"]


def test_a_new_text_is_replayed_and_shown_whole(tokenizer):
    widget = MergeReplay(tokenizer, "the import")
    assert widget.step == len(widget.frames) - 1
    widget.text = "爱"
    assert widget.facts["bytes"] == 3 and widget.facts["characters"] == 1
    assert widget.frames[0]["words"] == [["E7", "88", "B1"]]
    assert widget.step == len(widget.frames) - 1
    assert "3 bytes" in repr(widget)


def test_long_texts_and_halves_of_characters_do_no_harm(tokenizer):
    widget = MergeReplay(tokenizer, "x" * 500)
    assert widget.facts["characters"] == 200
    widget.text = "a\ud83d"
    assert widget.facts["ids"] == tokenizer.encode("a?")


def test_one_output_holds_view_picture_and_text(tokenizer):
    data, metadata = MergeReplay(tokenizer, "the other import")._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert "16 bytes at first" in metadata["image/png"]["alt"]
