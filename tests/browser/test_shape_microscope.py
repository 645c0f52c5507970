"""The shape microscope in a real browser: colours of the cells, the slider, the wrong view, the keyboard."""

import pytest
import torch

from course_lib.widgets.shape_microscope import ShapeMicroscope
from tests.browser.front_end import in_a_front_end, pixel

pytestmark = pytest.mark.browser

BLUE, ORANGE = (0, 114, 178), (230, 159, 0)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(open_page):
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    return in_a_front_end(open_page, ShapeMicroscope(x, 2, [[HOSTILE, "bites", "man"], ["man", "bites", "dog"]]))


def second_row_of_head_0(page):
    return pixel(page, 0, 74 + 4, 40 + 28 + 5)


def test_the_wrong_view_paints_the_second_row_in_the_first_tokens_colour(page):
    page.locator("input[type=range]").fill("2")
    assert second_row_of_head_0(page) == ORANGE
    page.get_by_label("the wrong view").check()
    assert second_row_of_head_0(page) == BLUE


def test_pointing_at_a_cell_says_where_it_came_from(page):
    page.locator("input[type=range]").fill("2")
    page.locator("canvas").first.hover(position={"x": 74 + 10, "y": 40 + 28 + 10})
    said = page.locator(".course-widget").inner_text()
    assert "Cell [0, 0, 1, 0]" in said
    assert "0·12 + 0·2 + 1·4 + 0·1 = 4" in said
    assert "sentence 0, token 1 (bites), head 0, feature 0" in said


def test_arrow_keys_walk_from_cell_to_cell(page):
    page.locator("canvas").first.focus()
    for _ in range(3):  # from the second cell of the second row to the left end, and not beyond
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    said = page.locator(".course-widget").inner_text()
    assert "Cell [0, 0, 0]" in said
    assert HOSTILE in said
