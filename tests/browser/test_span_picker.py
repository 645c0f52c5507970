"""The span picker's page: the scores as Python says them, illegal stretches named, the threshold, and one's own."""

import pytest
import torch

from course_lib.models.bert import BERTConfig, BERTForQuestionAnswering
from course_lib.text import WordPieceTokenizer
from course_lib.widgets.span_picker import SpanPicker
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat . where is <b> ?"] * 3, 60)


@pytest.fixture(params=["light", "dark"])
def opened(open_page, request):
    torch.manual_seed(0)
    model = BERTForQuestionAnswering(BERTConfig(TOKENIZER.vocab_size, 24, 16, 2, 2, pooler=False))
    for parameter in model.parameters():
        parameter.data *= 5
    widget = SpanPicker(model, TOKENIZER, "where is the cat?", "the <b> cat sat on the mat.")
    page = in_a_front_end(open_page, widget, scheme=request.param)
    page.wait_for_selector(".span-token")
    return page, widget


def shown(value):
    return f"{value:.1f}".replace("-", "−")


def test_the_page_shows_what_python_computed(opened):
    page, widget = opened
    assert page.locator(".span-token").all_text_contents() == widget.shown["tokens"]
    assert page.locator(".span-number").first.text_content() == shown(widget.shown["start"][0])
    rows = page.locator(".span-table tbody tr")
    assert rows.count() == len(widget.shown["ranked"])
    first, last = widget.shown["ranked"][0]
    assert rows.first.locator("td").nth(2).text_content() == shown(widget.score(first, last))
    why = page.locator(".span-why").all_text_contents()
    begin, stop = widget.shown["text"]
    for (one, other), said in zip(widget.shown["ranked"], why, strict=True):
        outside = min(one, other) < begin or max(one, other) >= stop
        backwards = other < one
        assert (said in ("", "best legal")) == (not outside and not backwards)
        assert said != "ends before it begins" or backwards
    assert why.count("best legal") == 1


def test_the_threshold_makes_it_no_answer(opened):
    page, widget = opened
    slider = page.get_by_label("an answer must beat no answer by")
    slider.evaluate("node => { node.value = node.max; node.dispatchEvent(new Event('input')); }")
    assert page.evaluate("state.threshold") == 15
    expected = "No answer" if widget.margin <= 15 else "Answer: "
    assert page.locator(".span-verdict").text_content().startswith(expected)
    slider.evaluate("node => { node.value = node.min; node.dispatchEvent(new Event('input')); }")
    first, last = widget.shown["best"]
    answer = " ".join(widget.shown["tokens"][first : last + 1])
    assert widget.margin > -15
    assert page.locator(".span-verdict").text_content() == f"Answer: {answer}"


def test_a_stretch_of_ones_own_by_mouse_and_by_keyboard(opened):
    page, widget = opened
    last = len(widget.shown["tokens"]) - 2
    page.locator(".span-token").nth(last).click()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    said = page.locator(".course-note").text_content()
    assert "ends before it begins" in said and shown(widget.score(last, last - 1)) in said
    page.locator(".span-token").nth(1).click()
    page.locator(".span-token").nth(2).click()
    assert "it is not in the text" in page.locator(".course-note").text_content()


def test_another_question_is_asked_and_its_answer_drawn(opened):
    page, widget = opened
    page.get_by_label("The question").fill("where is the mat?")
    page.keyboard.press("Enter")
    wish = page.evaluate("state.wish")
    assert wish == {"question": "where is the mat?", "context": widget.context, "seq": 1}
    widget.wish = wish
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".span-token").nth(4).text_content() == "mat"
    assert "Best legal stretch" in page.locator(".course-live").text_content()
