"""The recipe bench in a browser: switches reach Python, costs and runs are shown, the keyboard is enough."""

import pytest

from course_lib.experiments.modern import Interval, config_of
from course_lib.widgets.recipe_bench import RecipeBench
from tests.browser.front_end import in_a_front_end


@pytest.mark.browser
def test_switches_costs_and_runs(open_page):
    effects = {"rotary": Interval(-0.05, 0.01), "Muon": Interval(0.01, 0.02)}
    bench = RecipeBench(effects, {"small": config_of("base")}, lambda changes, optimizer: 1.25)
    page = in_a_front_end(open_page, bench)
    assert page.locator(".bench-runs li").all_inner_texts() == ["1.250 GPT-2's block"]
    assert page.locator(".bench tbody tr").count() == 4
    assert page.locator(".bench td").nth(2).inner_text() == "1.00"
    page.get_by_label("positions").select_option("rotary")
    assert page.evaluate("sent.at(-1)[1].positions") == "rotary"
    page.get_by_role("button", name="all modern").click()
    assert page.get_by_label("feed-forward").input_value() == "SwiGLU"
    assert page.evaluate("sent.at(-1)[1].optimiser") == "Muon"
    page.get_by_role("button", name="train this here").press("Enter")
    assert page.evaluate("sent.at(-1)") == ["asked", 1]
    assert "training…" in page.locator("[role=status]").all_inner_texts()
    page.evaluate("state.runs = [{name: 'base', distance: 1.25}, {name: '<b>mine</b>', distance: 1.0}]")
    page.evaluate("changed('answered', 1)")
    assert page.locator(".bench-runs li").nth(1).inner_text() == "1.000 <b>mine</b> (−0.250 against the first)"
