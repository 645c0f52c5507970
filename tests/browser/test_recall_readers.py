"""The recall widget's page: sequence, answers and weights as Python says them, slider and button by keyboard."""

import pytest

from course_lib.experiments.recall import RecallTask, make_models
from course_lib.widgets.recall_readers import RecallReaders
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser


@pytest.fixture(params=["light", "dark"])
def opened(open_page, request):
    task = RecallTask()
    widget = RecallReaders({name: make() for name, make in make_models(task).items()}, task, distance=5)
    page = in_a_front_end(open_page, widget, scheme=request.param)
    page.wait_for_selector(".readers-token")
    return page, widget


def test_the_page_shows_what_python_computed(opened):
    page, widget = opened
    texts = page.locator(".readers-token > span:first-child").all_text_contents()
    assert texts == widget.shown["tokens"]
    assert page.locator(".readers-asked > span").first.text_content() == texts[-6]
    assert (
        f"5 steps back: the right answer is {widget.shown['answer']}."
        in page.locator(".readers-question").text_content()
    )
    cells = page.locator("tbody tr").nth(1).locator("td").all_text_contents()
    row = widget.shown["rows"][1]
    assert cells[0].startswith(str(row["answer"])) and ("right" in cells[0]) == row["right"]
    assert cells[1:-1] == [f"{chance:.2f}" for chance in row["chances"]]


def test_slider_and_button_work_from_the_keyboard(opened):
    page, _ = opened
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.distance") == 6
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("state.sequence") == 1


def test_an_answer_that_arrives_is_drawn_and_said(opened):
    page, widget = opened
    widget.distance = 9
    page.evaluate("shown => { changed('distance', 9); changed('shown', shown); }", widget.shown)
    assert page.locator(".readers-token").count() == len(widget.shown["tokens"])
    assert "9 steps back" in page.locator(".course-live").text_content()
