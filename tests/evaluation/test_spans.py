"""Entities as seqeval counts them, and answers as SQuAD does, on cases worked out by hand."""

import pytest

from course_lib.evaluation import answer_score, check_bio, entities_of, mended_bio, span_report

# tags, the entities in the default reading, and in the strict one
READINGS = {
    "O O": ([], []),
    "B-p": ([("p", 0, 1)], [("p", 0, 1)]),
    "B-p I-p O": ([("p", 0, 2)], [("p", 0, 2)]),
    "B-p B-p": ([("p", 0, 1), ("p", 1, 2)], [("p", 0, 1), ("p", 1, 2)]),
    "O I-p I-p": ([("p", 1, 3)], []),
    "I-p": ([("p", 0, 1)], []),
    "B-p I-q": ([("p", 0, 1), ("q", 1, 2)], [("p", 0, 1)]),
    "B-p I-q I-p": ([("p", 0, 1), ("q", 1, 2), ("p", 2, 3)], [("p", 0, 1)]),
    "I-p B-p I-p": ([("p", 0, 1), ("p", 1, 3)], [("p", 1, 3)]),
    "B-p O I-p": ([("p", 0, 1), ("p", 2, 3)], [("p", 0, 1)]),
    "B-p I-p I-q I-q B-q": ([("p", 0, 2), ("q", 2, 4), ("q", 4, 5)], [("p", 0, 2), ("q", 4, 5)]),
}


@pytest.mark.parametrize("tags", READINGS)
def test_entities(tags):
    default, strict = READINGS[tags]
    assert entities_of(tags.split()) == default
    assert entities_of(tags.split(), strict=True) == strict
    assert entities_of(mended_bio(tags.split()), strict=True) == default


def test_span_f1_of_the_example_in_seqevals_documentation():
    """MISC is found one word too long, PER is found: F1 0.5 for both together."""
    truth = ["O O O B-MISC I-MISC I-MISC O".split(), "B-PER I-PER O".split()]
    predicted = ["O O B-MISC I-MISC I-MISC I-MISC O".split(), "B-PER I-PER O".split()]
    report = span_report(truth, predicted)
    assert (report.micro.precision, report.micro.recall, report.micro.f1) == (0.5, 0.5, 0.5)
    assert report.scores["MISC"].f1 == 0 and report.scores["PER"].f1 == 1
    assert report.macro.f1 == 0.5 and report.weighted.f1 == 0.5
    assert report.micro.support == 2 and report.accuracy is None


def test_averages_by_hand():
    # p: 2 there, 3 found, 2 right. q: 1 there, 0 found. r: none there, 1 found.
    truth = [["B-p", "I-p", "O", "B-q"], ["O", "B-p"]]
    predicted = [["B-p", "I-p", "O", "O"], ["B-p", "B-p"]]
    predicted[0][2] = "B-r"
    report = span_report(truth, predicted)
    assert report.scores["p"].precision == pytest.approx(2 / 3) and report.scores["p"].recall == 1
    assert report.scores["p"].f1 == pytest.approx(0.8)
    assert report.scores["q"].f1 == 0 and report.scores["q"].support == 1
    assert report.scores["r"].f1 == 0 and report.scores["r"].support == 0
    assert report.micro.precision == pytest.approx(2 / 4) and report.micro.recall == pytest.approx(2 / 3)
    assert report.micro.f1 == pytest.approx(4 / 7)
    assert report.macro.f1 == pytest.approx(0.8 / 3)
    assert report.weighted.f1 == pytest.approx(0.8 * 2 / 3)


def test_strict_and_default_differ_where_an_entity_starts_inside():
    truth, predicted = [["B-p", "I-p", "O"]], [["I-p", "I-p", "O"]]
    assert span_report(truth, predicted).micro.f1 == 1
    assert span_report(truth, predicted, strict=True).micro.f1 == 0


def test_nothing_there_and_nothing_found():
    report = span_report([["O"]], [["O"]])
    assert report.scores == {} and report.micro.f1 == 0 and report.macro.f1 == 0


def test_an_entity_does_not_go_on_in_the_next_sentence():
    assert span_report([["B-p"], ["I-p"]], [["B-p"], ["B-p"]]).micro.f1 == 1


def test_tags_that_start_inside_are_said():
    check_bio(["B-p", "I-p", "O", "B-q"])
    with pytest.raises(ValueError, match=r"Tag 1 of sentence 3 is 'I-p' after 'O': an entity starts inside.*B-p"):
        check_bio(["O", "I-p"], "sentence 3")
    with pytest.raises(ValueError, match="Tag 1 of the sentence is 'I-q' after 'B-p'"):
        check_bio(["B-p", "I-q"])
    for tag in ("X-p", "p", "B-", "B"):
        with pytest.raises(ValueError, match=f"is '{tag}', but a tag is O, or B- or I-"):
            check_bio([tag])


def test_sentences_of_different_lengths_are_said():
    with pytest.raises(ValueError, match="1 sentences with true tags and 2"):
        span_report([["O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="Sentence 1 has 2 true tags and 1"):
        span_report([["O"], ["O", "O"]], [["O"], ["O"]])


def test_answers():
    truth = ["the red kite", "", "", "Tom", "a river bank"]
    predicted = ["Red kite!", "", "Tom", "", "the river"]
    score = answer_score(truth, predicted)
    assert score.exact == pytest.approx(2 / 5)
    assert score.f1 == pytest.approx((1 + 1 + 0 + 0 + 2 / 3) / 5)
    with pytest.raises(ValueError, match="0 true answers"):
        answer_score([], [])
