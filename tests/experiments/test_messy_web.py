import random
from collections import Counter

import pytest

from course_lib.experiments.messy_web import FOOTER, MARKS, docs_pages, messy_web, spoil
from course_lib.text.cleaning import clean_text, repair_mojibake


@pytest.fixture(scope="module")
def pages():
    return messy_web(1, scale=0.3)


def test_the_same_seed_gives_the_same_collection_and_another_seed_another():
    small = messy_web(3, scale=0.05)
    assert small == messy_web(3, scale=0.05) != messy_web(4, scale=0.05)


def test_the_truth_about_each_page_is_true(pages):
    assert [page.number for page in pages] == list(range(len(pages)))
    for page in pages:
        original = pages[page.original]
        assert original.original == original.number and original.kind == page.kind
        assert page.wanted == (page.kind in ("docs", "story"))
        assert page.wanted or not page.marks
        assert page.marks or page.text == page.clean
        if page.original != page.number:
            one, other = page.clean.split(), original.clean.split()
            assert len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) < 0.1 * len(one)
    copies = Counter(page.original for page in pages if page.original != page.number)
    assert sum(copies.values()) == 39 and copies.most_common(1)[0][1] >= 12


def test_no_paragraph_of_the_manual_stands_on_two_pages():
    paragraphs = [paragraph for page in docs_pages() for paragraph in page.split("\n\n")]
    assert len(paragraphs) == len({" ".join(paragraph.split()) for paragraph in paragraphs}) > 1000


def test_each_mark_changes_a_page_and_cleaning_undoes_what_it_can():
    text = 'It says "find the first office in the cafe" and that isn\'t so.\n\nBut a < b and c > d, if you understand.'
    for mark in MARKS:
        assert spoil(text, (mark,), random.Random(0)) != text
    for mark in ("html", "invisible", "ligatures"):
        assert clean_text(spoil(text, (mark,), random.Random(0)), form="NFKC") == text
    broken = spoil(text, ("mojibake",), random.Random(0))
    assert "â€" in broken and repair_mojibake(broken) == text.replace("'", "’").replace('"find', "“find").replace(
        'cafe"', "cafe”"
    )
    assert spoil(text, ("footer",), random.Random(0)).endswith(FOOTER)
