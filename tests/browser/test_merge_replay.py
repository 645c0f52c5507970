"""The merge replay in a real browser: slider, keyboard, typing, and text that looks like HTML."""

import pytest

from course_lib.text import load_corpus
from course_lib.text.tokenizers import BPETokenizer
from course_lib.widgets.merge_replay import MergeReplay
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
TEXT = "the other import"


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(load_corpus("python_docs").train[:20], 600)


def tokens_on(page):
    return page.locator(".replay-token").all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_arrow_keys_go_back_merge_by_merge(open_page, tokenizer, scheme):
    widget = MergeReplay(tokenizer, TEXT)
    page = in_a_front_end(open_page, widget, scheme=scheme)
    last = len(widget.frames) - 1
    assert tokens_on(page) == [token for word in widget.frames[-1]["words"] for token in word]
    page.get_by_role("slider", name="merges").press("ArrowLeft")
    assert page.evaluate("sent") == [["step", last - 1]]
    assert tokens_on(page) == [token for word in widget.frames[-2]["words"] for token in word]
    page.get_by_role("slider", name="merges").press("Home")
    assert tokens_on(page) == [character.replace(" ", "␣") for character in TEXT]
    said = page.locator(".replay-status").inner_text()
    assert said.startswith("Before any merge") and page.locator(".course-live").inner_text() == said
    assert page.locator(".replay-history li").count() == 0


def test_typing_asks_the_kernel_and_shows_its_answer(open_page, tokenizer):
    widget = MergeReplay(tokenizer, TEXT)
    page = in_a_front_end(open_page, widget)
    page.get_by_role("textbox", name="text to encode").fill("<b>爱")
    assert page.evaluate("sent") == [["text", "<b>爱"]]
    widget.text = "<b>爱"
    page.evaluate("facts => changed('facts', facts)", widget.facts)
    page.evaluate("frames => changed('frames', frames)", widget.frames)
    page.evaluate("step => changed('step', step)", widget.step)
    assert "".join(tokens_on(page)).startswith("<b>")
    assert "6 bytes" in page.locator(".replay-status").inner_text()
    assert page.locator("b").count() == 0


def test_replay_runs_to_the_end_and_stops(open_page, tokenizer):
    widget = MergeReplay(tokenizer, "the")
    page = in_a_front_end(open_page, widget)
    page.get_by_role("button", name="replay").click()
    page.get_by_role("button", name="replay").wait_for(timeout=10_000)
    steps = [value for name, value in page.evaluate("sent") if name == "step"]
    assert steps == list(range(len(widget.frames)))
