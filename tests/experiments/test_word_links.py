import pytest

from course_lib.experiments.word_links import DICTIONARY, Link, word_links


def test_words_and_the_measure_word_before_them():
    english = ["zoe", "has", "a", "red", "kite", "."]
    assert word_links(english, list("佐伊有一只红色的风筝。")) == [
        Link(0, 0, "word"), Link(1, 0, "word"), Link(4, 4, "measure"),
        *[Link(place, 3, "word") for place in (5, 6, 7)], Link(8, 4, "word"), Link(9, 4, "word"),
    ]  # fmt: skip


def test_what_stands_twice_has_no_link():
    assert word_links(["red", "red"], list("红色的")) == []
    assert word_links(["kite"], list("风筝风筝")) == []
    assert word_links(["toy", "train"], list("玩具火车")) == []


def test_special_tokens_keep_their_places():
    assert word_links(["kite", "[SEP]"], ["风", "筝", "[SEP]"]) == [Link(0, 0, "word"), Link(1, 0, "word")]
    assert word_links(["kite"], ["[PAD]", "风", "筝"]) == [Link(1, 0, "word"), Link(2, 0, "word")]


@pytest.mark.parametrize("english", DICTIONARY)
def test_entries_are_single_words(english):
    assert " " not in english and english == english.lower()
