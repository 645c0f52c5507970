"""The schedule designer in a browser: it asks for a run, and shows the runs that it is given."""

import pytest

from course_lib.widgets.schedule_designer import ScheduleDesigner
from tests.browser.front_end import in_a_front_end


@pytest.mark.browser
def test_the_page_asks_and_shows_the_answer(open_page):
    designer = ScheduleDesigner(lambda rates: [2.9, 2.8, 2.7, 2.6], 4, [(0.1, 0, 1.0)], know_nothing=4.0)
    page = in_a_front_end(open_page, designer)
    assert page.locator(".schedule-legend li").all_inner_texts() == ["peak 0.1, warm-up 0, constant: ends at 2.60"]
    page.get_by_role("button", name="train with this").click()
    assert page.evaluate("sent") == [["asked", 1]]
    assert page.locator("[role=status]").first.inner_text() == "training…"
    page.evaluate("state.names = ['one', 'two']; state.losses = floats([3, 2, 1, 1, 3, 3, NaN, NaN])")
    page.evaluate("changed('answered', 1)")
    assert page.locator(".schedule-legend li").all_inner_texts() == ["one: ends at 1.00", "two: blew up"]
    page.get_by_label("warm-up").fill("3")
    assert ["warmup", 3] in page.evaluate("sent")
