"""The cost calculator in a real browser: presets, sliders, a price, and what a screen reader hears."""

import pytest

from course_lib.widgets.cost_calculator import CostCalculator
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_preset_moves_the_sliders_and_asks_the_kernel(open_page, scheme):
    widget = CostCalculator()
    page = in_a_front_end(open_page, widget, scheme=scheme)
    page.get_by_role("combobox", name="model").select_option("7 B")
    name, asked = page.evaluate("sent.at(-1)")
    assert name == "asked" and asked["d_model"] == 4096 and asked["kind"] == "LLaMA"
    assert page.get_by_role("slider", name="width").locator("xpath=following-sibling::output").inner_text() == "4,096"
    widget.asked = asked
    page.evaluate("shown => changed('shown', shown)", widget.shown)
    heard = page.locator(".course-live").inner_text()
    assert "6.74 billion" in heard and "does not fit into 80 GB" in heard
    assert page.locator(".cost-row").count() == 4
    assert page.locator(".cost-chosen .cost-name").inner_text() == "nothing"
    assert page.locator(".cost-chosen .cost-total").inner_text().endswith("too large")


def test_keys_choices_and_a_typed_price_are_asked_for(open_page):
    page = in_a_front_end(open_page, CostCalculator())
    page.get_by_role("slider", name="devices", exact=True).press("ArrowRight")
    assert page.evaluate("sent.at(-1)[1].n_devices") == 2
    page.get_by_role("combobox", name="split among devices").select_option("everything")
    page.get_by_role("checkbox", name="compute activations again").check()
    page.get_by_label("price of one device for an hour").fill("3.5")
    page.get_by_label("price of one device for an hour").press("Enter")
    asked = page.evaluate("sent.at(-1)[1]")
    assert (asked["split"], asked["checkpointing"], asked["price"]) == ("everything", True, 3.5)
    page.get_by_role("slider", name="layers").press("ArrowRight")
    assert page.get_by_role("combobox", name="model").input_value() == "other sizes"


def test_the_bars_are_as_long_as_the_memory(open_page):
    widget = CostCalculator(preset="GPT-2 XL", n_devices=8)
    page = in_a_front_end(open_page, widget)
    row = page.locator(".cost-row").first
    parts = row.locator(".cost-part")
    widths = [parts.nth(i).bounding_box()["width"] for i in range(4)]
    memory = widget.shown["splits"][0]["memory"]
    assert widths[2] / widths[0] == pytest.approx(memory["optimiser"] / memory["weights"], rel=0.02)
    limit = row.locator(".cost-limit").bounding_box()["x"] - row.locator(".cost-track").bounding_box()["x"]
    assert limit / widths[2] == pytest.approx(80e9 / memory["optimiser"], rel=0.03)
