"""The beam tree's page: boxes and hypotheses as Python says them, knobs, and another text."""

import pytest
import torch

from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text import WordPieceTokenizer
from course_lib.widgets.beam_tree import BeamTree
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat . 猫 坐 在 垫 子 上 。 <b>"] * 3, 60)


@pytest.fixture(params=["light", "dark"])
def opened(open_page, request):
    torch.manual_seed(1)
    model = EncoderDecoder(EncoderDecoderConfig(TOKENIZER.vocab_size, 16, 16, 2, 1))
    for name, parameter in model.named_parameters():
        parameter.data *= 1 if "norm" in name else 2
    widget = BeamTree(model, TOKENIZER, "the <b> cat", beams=2)
    page = in_a_front_end(open_page, widget, scheme=request.param)
    page.wait_for_selector(".beam-box")
    return page, widget


def test_the_page_shows_what_python_found(opened):
    page, widget = opened
    boxes = [one for step in widget.shown["steps"] for one in step]
    assert page.locator(".beam-token").all_text_contents() == [one[1] for one in boxes]
    assert page.locator(".beam-sum").first.text_content() == f"{boxes[0][2]:.2f}".replace("-", "−")
    assert page.locator(".beam-box.beam-dropped").count() == sum(one[3] == "dropped" for one in boxes)
    assert page.locator(".beam-box.beam-marked").count() == len(widget.shown["found"][0]["path"])
    assert page.locator(".beam-line.beam-marked").count() == len(widget.shown["found"][0]["path"])
    assert page.locator(".beam-found").all_text_contents() == [one["text"] for one in widget.shown["found"]]


def test_another_hypothesis_is_marked_by_keyboard(opened):
    page, widget = opened
    page.locator(".beam-found").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.locator(".beam-found[aria-pressed=true]").text_content() == widget.shown["found"][1]["text"]
    assert page.locator(".beam-box.beam-marked").count() == len(widget.shown["found"][1]["path"])


def test_knobs_and_a_new_text(opened):
    page, _ = opened
    page.evaluate("document.addEventListener('keydown', (event) => { window.heard = event.key; })")
    page.get_by_label("beams").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.beams") == 3
    page.get_by_label("length penalty a").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("state.length_penalty") == pytest.approx(0.9)
    page.get_by_label("A text to translate").fill("on the mat")
    page.keyboard.press("Enter")
    assert page.evaluate("state.wish") == {"text": "on the mat", "seq": 1}
    assert page.evaluate("window.heard") is None  # JupyterLab, which listens there, would act on them


def test_an_answer_that_arrives_is_drawn_and_said(opened):
    page, widget = opened
    widget.wish = {"text": "the mat", "seq": 1}
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".beam-found").first.text_content() == widget.shown["found"][0]["text"]
    assert "finished. Best:" in page.locator(".course-live").text_content()


def test_a_search_is_announced_until_its_answer_comes(opened):
    page, widget = opened
    before = widget.shown
    page.get_by_label("length penalty a").fill("1.1")
    assert page.locator(".beam-note").text_content() == "searching…"
    widget.length_penalty = 1.1
    assert widget.shown != before, "or the page would never hear of it"
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert page.locator(".beam-note").text_content() == widget.shown["note"] != "searching…"
