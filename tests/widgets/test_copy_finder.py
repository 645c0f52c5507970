import pytest

from course_lib.text.duplicates import candidate_chance, jaccard, shingles
from course_lib.widgets.copy_finder import CopyFinder, words_in_shared_phrases

ONE = "The cat sat on the mat and looked at the old dog in the garden."
OTHER = "The cat sat on the mat and slept, and the old dog in the garden barked."


def test_what_it_says_is_what_the_library_computes():
    widget = CopyFinder([(ONE, OTHER)], shingle_size=2, n_bands=10, n_rows=3)
    found = widget.answer
    sets = shingles(ONE, 2), shingles(OTHER, 2)
    assert found["similarity"] == jaccard(*sets) and found["shared"] == len(sets[0] & sets[1])
    assert found["chance"] == candidate_chance(jaccard(*sets), 10, 3)
    assert found["met"] == [all(band) for band in found["equal"]]
    assert found["estimate"] == pytest.approx(sum(map(sum, found["equal"])) / 30)


def test_words_of_shared_phrases_are_marked():
    shared = shingles("a b c d") & shingles("x")
    assert words_in_shared_phrases("a b", shared, 2) == [("a", False), ("b", False)]
    shared = shingles("a b c", 2) & shingles("z a b", 2)
    assert words_in_shared_phrases("A b, c", shared, 2) == [("A", True), ("b", True), ("c", False)]


def test_knobs_and_texts_are_followed():
    widget = CopyFinder([(ONE, OTHER), (ONE, ONE)])
    before = widget.answer
    widget.n_bands = 5
    assert len(widget.answer["met"]) == 5
    widget.pair = 1
    assert widget.answer["similarity"] == 1.0 and all(widget.answer["met"]) and before != widget.answer
    widget.second = "nothing in common here"
    assert widget.answer["shared"] == 0 and not any(widget.answer["met"])
    widget.shingle_size = 99
    widget.first = ""
    assert widget.answer["phrases"] == [1, 1]
    widget.first = widget.second = "x " * 5000
    assert len(widget.answer["words"][0]) == 600


def test_no_texts_no_widget():
    with pytest.raises(ValueError, match="no pair of texts"):
        CopyFinder([])


def test_one_output_holds_view_picture_and_text():
    data, metadata = CopyFinder([(ONE, OTHER)])._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert "S-shaped" in metadata["image/png"]["alt"] and "similarity" in data["text/plain"]
