"""The parameter explorer in a real browser: presets, sliders, counts that differ, and what a screen reader hears."""

import pytest
from torch import nn

from course_lib.exercises.lesson_08 import MyGPT
from course_lib.models.gpt import GPTConfig
from course_lib.widgets.parameter_explorer import ParameterExplorer
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser
CONFIG = GPTConfig(vocab_size=50, context_length=16, d_model=24, n_heads=3, n_layers=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_preset_moves_the_sliders_and_asks_the_kernel(open_page, scheme):
    widget = ParameterExplorer(MyGPT, CONFIG)
    page = in_a_front_end(open_page, widget, scheme=scheme)
    assert f"{widget.shown['total']:,} parameters" in page.locator(".parameters-summary").inner_text()
    page.get_by_role("combobox", name="model").select_option("GPT-2 XL")
    name, asked = page.evaluate("sent.at(-1)")
    assert name == "asked" and asked["d_model"] == 1600 and asked["tie_embeddings"] is True
    slider = page.get_by_role("slider", name="d, d_model")
    assert slider.locator("xpath=following-sibling::output").inner_text() == "1,600"
    assert page.locator(".parameters-summary").inner_text() == "counting…"
    widget.asked = asked
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    assert "1,557,611,200 parameters" in page.locator(".parameters-summary").inner_text()
    assert page.locator(".course-live").inner_text() == page.locator(".parameters-summary").inner_text()
    assert page.locator(".parameters tbody tr").count() == 9
    assert page.locator(".parameters-wrong").count() == 0


def test_arrow_keys_change_a_size_and_the_box_unties(open_page):
    page = in_a_front_end(open_page, ParameterExplorer(MyGPT, CONFIG))
    page.get_by_role("slider", name="L, n_layers").press("ArrowRight")
    assert page.evaluate("sent.at(-1)[1].n_layers") == 3
    assert page.get_by_role("combobox", name="model").input_value() == "other sizes"
    page.get_by_role("checkbox", name="read-out tied").uncheck()
    assert page.evaluate("sent.at(-1)[1]")["tie_embeddings"] is False
    assert page.evaluate("sent.at(-1)[1].n_layers") == 3


def test_what_differs_and_what_cannot_be_is_said(open_page):
    class OneBlock(MyGPT):
        def __init__(self, config):
            super().__init__(config)
            self.blocks = nn.ModuleList([self.blocks[0]] * config.n_layers)

    widget = ParameterExplorer(OneBlock, CONFIG)
    page = in_a_front_end(open_page, widget)
    assert page.locator(".parameters-wrong").count() == 5
    assert f"has {widget.shown['built']:,}" in page.locator(".parameters-summary").inner_text()
    page.evaluate("changed('shown', { problem: 'these heads do not divide' })")
    assert page.locator(".course-live").inner_text() == "these heads do not divide"
    assert page.locator(".parameters").count() == 0
