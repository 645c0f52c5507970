"""The bench's page: the batch and its answers as Python says them, and every knob sends what it shows."""

import pytest

from course_lib.widgets.batch_bench import BatchBench
from tests.browser.front_end import in_a_front_end
from tests.widgets.test_batch_bench import PROMPTS, TOKENIZER, models

pytestmark = pytest.mark.browser
__all__ = ["models"]  # a fixture


@pytest.fixture(params=["light", "dark"])
def opened(open_page, request, models):
    widget = BatchBench(models, TOKENIZER, ["<b>", PROMPTS[1]])
    page = in_a_front_end(open_page, widget, scheme=request.param)
    page.wait_for_selector(".bench-table")
    return page, widget


def test_the_page_shows_what_python_computed(opened):
    page, widget = opened
    first = page.locator(".bench-table tr").first
    assert first.locator(".bench-token").all_text_contents()[:4] == ["<", "b", ">", "PAD"]
    assert first.locator("td.bench-pad").count() == 8
    assert page.locator("td.bench-read").count() == 2
    row = widget.shown["rows"][0]
    numbers = page.locator(".course-matrix").first.locator(".bench-number").all_text_contents()
    assert numbers[:2] == [f"{row['answers'][0][1]:.3f}", f"{row['answers'][0][2]:.3f}"]
    verdicts = page.locator(".bench-verdict").all_text_contents()
    assert f"{row['distance']:.3f}" in verdicts[0] and "the same as alone" in verdicts[1]


def test_knobs_and_prompts_are_sent(opened):
    page, _ = opened
    page.get_by_label("padding on the").select_option("left")
    assert page.evaluate("state.wish") == {"side": "left", "seq": 1}
    page.get_by_label("model", exact=True).select_option("rotary")
    assert page.evaluate("state.wish") == {"model": "rotary", "seq": 2}
    page.get_by_label("first prompt").fill("xyz")
    page.keyboard.press("Enter")
    assert page.evaluate("state.wish") == {"prompts": ["xyz", PROMPTS[1]], "seq": 3}


def test_an_answer_that_arrives_is_drawn_and_said(opened):
    page, widget = opened
    widget.wish = {"side": "left", "seq": 1}
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".bench-table tr").first.locator(".bench-token").first.text_content() == "PAD"
    assert "First prompt as alone" in page.locator(".course-live").text_content()
