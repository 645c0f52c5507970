"""The stream microscope in a real browser: sliders, keyboard, switches, and what a screen reader hears."""

import pytest
import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets.stream_microscope import StreamMicroscope
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
TEXT = "a <b> cat"


@pytest.fixture
def widget():
    torch.manual_seed(0)
    tokenizer = CharTokenizer.train([TEXT])
    model = GPT(GPTConfig(tokenizer.vocab_size, 16, d_model=16, n_heads=2, n_layers=2))
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(5)  # sizes that show with two decimals
    return StreamMicroscope(model, tokenizer, TEXT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_arrow_keys_walk_through_the_sublayers(open_page, widget, scheme):
    page = in_a_front_end(open_page, widget, scheme=scheme)
    page.get_by_role("slider", name="sublayer").press("ArrowRight")
    assert page.evaluate("sent") == [["step", 3]]
    said = page.locator(".stream-status").inner_text()
    assert said.startswith("block 2 attention, at “t” (position 9)")
    assert f"{widget.shown['written'][3][9]:.2f}" in said
    assert page.locator(".course-live").inner_text() == said
    assert page.locator("tr.stream-chosen th").inner_text() == "block 2 attention"


def test_a_click_on_a_row_and_on_a_bar_choose_step_and_position(open_page, widget):
    page = in_a_front_end(open_page, widget)
    page.get_by_role("row", name="embedding").click()
    page.locator("canvas").click(position={"x": 60, "y": 100})
    assert page.evaluate("sent") == [["step", 0], ["position", 0]]
    assert "“⊢”" in page.locator("caption").inner_text()


def test_the_switches_ask_the_kernel_and_new_numbers_are_shown(open_page, widget):
    page = in_a_front_end(open_page, widget)
    page.get_by_role("combobox", name="norm").select_option("after each addition")
    page.get_by_role("checkbox", name="residual path").uncheck()
    assert page.evaluate("sent") == [["norm_position", "post"], ["residual", False]]
    widget.residual = False
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert f"{widget.shown['loss']:.2f} nats" in page.locator(".stream-status").inner_text()
