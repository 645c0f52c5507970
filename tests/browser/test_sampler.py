"""The sampler's page: text, knobs and table as Python says them, tokens taken by mouse and by keyboard."""

import pytest
import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets.sampler import Sampler
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
TOKENIZER = CharTokenizer.train(["abcdefghijklm <>"])


@pytest.fixture(params=["light", "dark"])
def opened(open_page, request):
    torch.manual_seed(0)
    model = GPT(GPTConfig(TOKENIZER.vocab_size, 32, 16, 2, 1))
    for parameter in model.parameters():
        parameter.data *= 6
    widget = Sampler(model, TOKENIZER, "<b> a", top_k=4)
    page = in_a_front_end(open_page, widget, scheme=request.param)
    page.wait_for_selector(".sampler-take")
    return page, widget


def test_the_page_shows_what_python_computed(opened):
    page, widget = opened
    rows = widget.shown["rows"]
    assert page.locator(".sampler-take").all_text_contents() == [row[1] for row in rows]
    numbers = page.locator(".sampler-number").all_text_contents()
    assert numbers[0] == f"{rows[0][2]:.3f}" and numbers[1] == f"{rows[0][3]:.3f}"
    assert page.locator(".sampler-cut").count() == sum(row[3] == 0 for row in rows)
    assert page.locator(".sampler-given").text_content() == "<b> a"
    assert "4 of 17 tokens" in page.locator(".course-note").first.text_content()


def test_a_token_is_taken_with_a_click_and_the_keyboard(opened):
    page, widget = opened
    page.locator(".sampler-take").nth(2).click()
    assert page.evaluate("state.wish") == {"take": widget.shown["rows"][2][0], "seq": 1}
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("state.wish") == {"take": widget.shown["rows"][3][0], "seq": 2}


def test_buttons_knobs_and_a_new_text(opened):
    page, _ = opened
    page.get_by_role("button", name="draw ten").click()
    assert page.evaluate("state.wish.draw") == 10
    page.get_by_label("temperature").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.temperature") == pytest.approx(1.05)
    page.locator(".sampler-prompt").fill("mad")
    page.keyboard.press("Enter")
    assert page.evaluate("state.wish.text") == "mad"


def test_an_answer_that_arrives_is_drawn_and_said(opened):
    page, widget = opened
    widget.wish = {"take": widget.shown["rows"][0][0], "seq": 1}
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".sampler-piece").count() == 1
    assert "1 tokens added" in page.locator(".course-live").text_content()


def test_what_may_take_long_is_announced(opened):
    page, widget = opened
    page.get_by_role("button", name="draw ten").click()
    assert page.locator(".sampler-note").text_content() == "drawing…"
    widget.wish = page.evaluate("state.wish")
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".sampler-note").text_content() == widget.shown["note"] != "drawing…"
