"""The mask picker's page: words masked by mouse and by keyboard, answers and attention as Python says them."""

import pytest
import torch

from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.text import WordPieceTokenizer
from course_lib.widgets.mask_picker import MaskPicker
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat . the dog sat on a log <b> ."] * 3, 60)


@pytest.fixture(params=["light", "dark"])
def opened(open_page, request):
    torch.manual_seed(0)
    model = BERTForPretraining(BERTConfig(TOKENIZER.vocab_size, 16, 16, 2, 2, pooler=False, next_sentence=False))
    for parameter in model.parameters():
        parameter.data *= 5
    widget = MaskPicker(model, TOKENIZER, "the <b> cat sat", masked=[4])
    page = in_a_front_end(open_page, widget, scheme=request.param)
    page.wait_for_selector(".mask-word")
    return page, widget


def test_the_page_shows_what_python_computed(opened):
    page, widget = opened
    faces = page.locator(".mask-word").all_text_contents()
    assert faces == ["the", "<", "b", ">", "[MASK]", "sat"]
    assert page.locator(".mask-token").all_text_contents() == [token for token, _ in widget.shown["answers"]]
    assert page.locator(".mask-number").first.text_content() == f"{widget.shown['answers'][0][1]:.3f}"
    rows = widget.shown["attention"]
    mean = sum(row[0] for row in rows) / len(rows)
    assert page.locator(".mask-weight").first.text_content() == f"{mean:.2f}".removeprefix("0")
    assert "The hidden word is cat" in page.locator(".course-note").text_content()


def test_a_word_is_masked_with_a_click_and_the_keyboard(opened):
    page, _ = opened
    page.locator(".mask-word").nth(0).click()
    assert page.evaluate("state.wish") == {"toggle": 1, "seq": 1}
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("state.wish") == {"toggle": 2, "seq": 2}


def test_a_head_is_chosen_and_another_text_is_read(opened):
    page, widget = opened
    page.get_by_label("attention of the mask").select_option("layer 1, head 0")
    expected = f"{widget.shown['attention'][2][0]:.2f}".removeprefix("0")
    assert page.locator(".mask-weight").first.text_content() == expected
    page.get_by_label("Another text to read").fill("a dog")
    page.keyboard.press("Enter")
    assert page.evaluate("state.wish.text") == "a dog"
    page.get_by_role("button", name="unmask all").click()
    assert page.evaluate("state.wish.clear") is True


def test_an_answer_that_arrives_is_drawn_and_said(opened):
    page, widget = opened
    widget.wish = {"toggle": 1, "seq": 1}
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".mask-word[aria-pressed=true]").count() == 2
    assert "2 masked" in page.locator(".course-live").text_content()
