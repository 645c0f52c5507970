"""The copy finder in a real browser: typing, sliders by keyboard, and text that looks like HTML."""

import pytest

from course_lib.widgets.copy_finder import CopyFinder
from tests.browser.front_end import in_a_front_end, pixel

pytestmark = pytest.mark.browser
PAIR = ("one two three four five <b>six</b>", "one two three four seven <img src=x>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shared_words_are_marked_and_numbers_said(open_page, scheme):
    widget = CopyFinder([PAIR], shingle_size=2)
    page = in_a_front_end(open_page, widget, scheme=scheme)
    assert page.locator(".copy-shared").all_inner_texts() == ["one", "two", "three", "four"] * 2
    assert "3 shared of" in page.locator(".copy-status").inner_text()
    assert page.locator("b").count() == page.locator("img").count() == 0
    band = widget.answer["equal"].index(next(band for band in widget.answer["equal"] if any(band)))
    row = widget.answer["equal"][band].index(1)
    red, _, blue = pixel(page, 0, (band + 0.5) * 430 / 16, (row + 0.5) * 40 + 3)
    assert blue > red + 60


def test_typing_and_sliders_ask_the_kernel(open_page):
    widget = CopyFinder([PAIR, PAIR[::-1]])
    page = in_a_front_end(open_page, widget)
    page.get_by_role("textbox", name="first text").fill("one")
    page.get_by_role("slider", name="bands").first.press("ArrowRight")
    page.get_by_role("slider", name="pair").press("End")
    assert page.evaluate("sent") == [["first", "one"], ["n_bands", 17], ["pair", 1]]
    widget.second = "one"
    widget.first = "one"
    page.evaluate("answer => changed('answer', answer)", widget.answer)
    assert "similarity 1.00" in page.locator(".course-live").inner_text()
