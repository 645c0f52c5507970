"""The stepper's page: the same numbers as Python, edited by mouse and keyboard, with no kernel behind it."""

import pytest
import torch

from course_lib.widgets.attention_stepper import AttentionStepper
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser

TOKENS = ["Mia", "<img src=x onerror=alert(1)>", "it"]
QUERY, KEY = [[1, 0], [0, 1], [-1, 2]], [[2, 1], [0, 1], [1, 1]]
VALUE = [[0, 10], [10, 0], [0, 0]]


@pytest.fixture
def shown(open_page):
    """A function that shows a stepper and returns the page."""

    def show(stepper):
        page = in_a_front_end(open_page, stepper)
        page.wait_for_selector(".stepper-said")
        return page

    return show


def numbers(page, step):
    """A step's table as the page shows it, without the column of sums."""
    rows = page.locator(f"table[data-step={step}] tbody tr")
    texts = [rows.nth(i).locator("td:not(.stepper-sum)").all_text_contents() for i in range(rows.count())]
    return [[float(text.replace("−", "-").replace("∞", "inf")) for text in row] for row in texts]


@pytest.mark.parametrize("softmax_over", ["keys", "queries"])
@pytest.mark.parametrize("divide_by", ["√d_head", "1", "d_head"])
def test_the_page_and_python_agree(shown, divide_by, softmax_over):
    mask = torch.tensor([[False, False, False], [True, True, False], [True, True, True]])
    stepper = AttentionStepper(QUERY, KEY, VALUE, TOKENS, mask, divide_by, softmax_over)
    page = shown(stepper)
    for step, expected in stepper.steps().items():
        torch.testing.assert_close(torch.tensor(numbers(page, step)), expected, atol=0.006, rtol=0)


def test_an_edited_number_changes_every_step_and_reaches_python(shown):
    page = shown(AttentionStepper(QUERY, KEY, VALUE, TOKENS))
    field = page.get_by_label("query, it, 0")
    field.fill("5")
    field.press("Enter")
    assert page.evaluate("state.query[2]") == [5, 2]
    assert numbers(page, "scores")[2] == [12, 2, 7]
    page.get_by_text("start again").click()
    assert page.evaluate("state.query[2]") == [-1, 2]
    assert field.input_value() == "-1"


def test_the_arithmetic_is_written_out(shown):
    page = shown(AttentionStepper(QUERY, KEY, VALUE, ["Mia", "kite", "it"], divide_by="1"))
    said = page.locator(".stepper-said")
    assert said.text_content() == "Weight it → kite: e^2 / (e^0 + e^2 + e^1) = 7.39 / 11.11 = 0.67"
    page.locator("table[data-step=scores] tbody td").nth(7).click()
    assert said.text_content() == "Score it → kite: q·k = (−1)·0 + 2·1 = 2.00"
    page.locator("table[data-step=output] tbody td").nth(4).click()
    assert said.text_content() == "Output of it, feature 0: 0.09·0 + 0.67·10 + 0.24·0 = 6.65"


def test_the_keyboard_walks_through_the_steps_and_turns_the_mask(shown):
    page = shown(AttentionStepper(QUERY, KEY, VALUE, TOKENS))
    page.locator("table[data-step=weights] tbody td").nth(0).focus()
    page.keyboard.press("ArrowLeft")  # into the mask, at its right edge
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    assert page.evaluate("state.allowed[1]") == [True, True, False]
    assert numbers(page, "weights")[1][2] == 0
    assert page.evaluate("document.activeElement.closest('table').dataset.step") == "masked"
    assert page.locator(".course-live").text_content().startswith("Mask ")


def test_a_click_turns_the_mask_and_turns_it_back(shown):
    page = shown(AttentionStepper(QUERY, KEY, VALUE, TOKENS))
    cell = page.locator("table[data-step=masked] tbody td").nth(2)
    for allowed in (False, True):
        cell.click()
        assert page.evaluate("state.allowed[0]") == [True, True, allowed]
    assert page.locator("select").nth(1).input_value() == "none"


def test_rows_that_do_not_add_to_one_are_called_out(shown):
    page = shown(AttentionStepper(QUERY, KEY, VALUE, ["Mia", "kite", "it"]))
    assert page.locator(".stepper-warning").is_hidden()
    page.locator("select").nth(2).select_option("queries")
    assert "do not add to 1" in page.locator(".stepper-warning").text_content()
    assert page.locator(".stepper-wrong").count() >= 2


def test_a_hostile_token_is_text(shown):
    page = shown(AttentionStepper(QUERY, KEY, VALUE, TOKENS))
    assert page.locator("img").count() == 0
    assert page.locator("table[data-step=weights] th").nth(1).text_content().startswith("<img")
