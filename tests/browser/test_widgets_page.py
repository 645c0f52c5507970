"""Widgets in a real browser without Jupyter: the explorer's own page, and a module driven by a stand-in model."""

import importlib
import re
import sys
import textwrap

import numpy as np
import pytest

from course_lib.widgets import AttentionExplorer, base
from tests.browser.front_end import in_a_front_end, pixel

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"
SHOWN = HOSTILE.replace(" ", "␣")
DARK_BLUE, YELLOW = (0, 34, 78), (254, 232, 56)  # the two ends of cividis


def known_explorer():
    """Layer 0: every token looks at itself. Layer 1: head 0 looks at the first token, head 1 at all alike."""
    itself, first = np.eye(4), np.tile(np.eye(4)[0], (4, 1))
    even = np.full((4, 4), 0.25)
    return AttentionExplorer([np.stack([itself, itself]), np.stack([first, even])], ["我", " cat", HOSTILE, "."])


@pytest.mark.parametrize("colab", [False, True], ids=["DataView", "Uint8Array"])
def test_a_known_matrix_has_the_right_pixels(open_page, colab):
    page = in_a_front_end(open_page, known_explorer(), colab=colab)
    tile, cell, names = 72, 34, 76
    assert pixel(page, 0, 22 + 5, 22 + 5) == YELLOW  # layer 0, head 0: the first cell of the diagonal
    assert pixel(page, 0, 22 + tile - 5, 22 + 5) == DARK_BLUE
    focus = 2  # the colour bar comes before it
    assert pixel(page, focus, names + 1.5 * cell, names + 1.5 * cell) == YELLOW
    assert pixel(page, focus, names + 2.5 * cell, names + 1.5 * cell) == DARK_BLUE


def test_a_page_of_its_own_shows_every_head(open_page, tmp_path):
    page = open_page(known_explorer().to_html(tmp_path / "page.html").as_uri())
    overview = page.locator("canvas").first
    overview.click(position={"x": 22 + 76 + 30, "y": 22 + 76 + 30})
    assert page.locator("strong").text_content() == "Layer 1, head 1"
    assert "weight 0.2500, rank 1 of 4" in page.locator(".explorer-said").text_content()


def test_the_keyboard_does_what_the_mouse_does_and_says_it(open_page, tmp_path):
    page = open_page(known_explorer().to_html(tmp_path / "page.html").as_uri())
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.locator("strong").text_content() == "Layer 1, head 0"
    assert page.locator(".course-live").text_content().startswith("Layer 1, head 0. “.” (3) looks at “我” (0), 3 back")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # there is nothing above the first layer
    assert page.locator("strong").text_content() == "Layer 0, head 0"
    for name in ("Tab", "Tab", "ArrowUp", "ArrowRight"):
        page.keyboard.press(name)
    assert page.locator(".explorer-said").text_content().endswith("(1), 1 back: weight 0.0000, rank 2 of 4")


def test_hovering_gives_the_number_under_the_pointer(open_page, tmp_path):
    page = open_page(known_explorer().to_html(tmp_path / "page.html").as_uri())
    page.locator("canvas").nth(2).hover(position={"x": 76 + 34 * 2.5, "y": 76 + 34 * 2.5})
    said = page.locator(".explorer-said").text_content()
    assert said.startswith(f"“{SHOWN}” (2) looks at “{SHOWN}” (2), itself: weight 1.0000, rank 1 of 4")


def test_a_hostile_token_is_text(open_page, tmp_path):
    page = open_page(known_explorer().to_html(tmp_path / "page.html").as_uri())
    assert SHOWN in page.locator(".explorer-strip").text_content()
    assert page.locator("img").count() == 0


def test_the_strongest_keys_have_lines(open_page, tmp_path):
    page = open_page(known_explorer().to_html(tmp_path / "page.html").as_uri())
    assert page.locator(".explorer-links path").count() == 1
    page.locator("canvas").first.click(position={"x": 22 + 76 + 30, "y": 22 + 76 + 30})
    assert page.locator(".explorer-links path").count() == 4
    page.locator(".explorer-token").nth(1).click()
    assert page.locator(".explorer-query").text_content() == "␣cat"


def test_the_colour_scale_says_what_it_is(open_page, tmp_path):
    page = open_page(known_explorer().to_html(tmp_path / "page.html").as_uri())
    page.locator("canvas").first.click(position={"x": 22 + 76 + 30, "y": 22 + 76 + 30})
    halfway = pixel(page, 2, 76 + 50, 76 + 10)
    page.locator("select").select_option("linear")
    assert sum(pixel(page, 2, 76 + 50, 76 + 10)) < sum(halfway)  # √0.25 is brighter than 0.25


BODIES = [
    ('data-jp-theme-light="false"', "light", "dark"),
    ('data-jp-theme-light="true"', "dark", "light"),
    ('class="vscode-dark"', "light", "dark"),
    ('class="vscode-high-contrast-light"', "dark", "light"),
    ("", "dark", "dark"),
    ("", "light", "light"),
]


@pytest.mark.parametrize(("body", "scheme", "expected"), BODIES)
def test_the_theme_of_the_front_end_is_followed(open_page, body, scheme, expected):
    page = in_a_front_end(open_page, known_explorer(), scheme=scheme, body=body)
    assert page.locator(".course-widget").get_attribute("data-theme") == expected
    back = page.evaluate("getComputedStyle(document.querySelector('.course-widget')).backgroundColor")
    assert back == {"dark": "rgb(22, 25, 29)", "light": "rgb(255, 255, 255)"}[expected]


def test_a_change_of_theme_repaints(open_page):
    page = in_a_front_end(open_page, known_explorer(), body='data-jp-theme-light="true"')
    frame = (22 - 1, 22 + 30)  # a point on the frame around the selected thumbnail
    before = pixel(page, 0, *frame)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_selector('.course-widget[data-theme="dark"]')
    assert pixel(page, 0, *frame) != before


def test_a_closed_view_stops_listening(open_page):
    page = in_a_front_end(open_page, known_explorer())
    assert sum(page.evaluate("counts()")) > 0
    page.evaluate("undo()")
    assert sum(page.evaluate("counts()")) == 0


def test_the_example_of_how_to_write_a_widget_works(open_page, tmp_path, monkeypatch):
    code = re.search(r"`coin\.py`:\n\n(.*?)\n`coin\.js`:\n\n(.*?)\nThen `Coin", base.__doc__, re.DOTALL)
    for name, text in zip(("coin.py", "coin.js"), code.groups(), strict=True):
        (tmp_path / name).write_text(textwrap.dedent(text), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    coin = importlib.import_module("coin")
    monkeypatch.delitem(sys.modules, "coin")
    page = in_a_front_end(open_page, coin.Coin())
    page.get_by_label("bias").fill("1")
    assert page.evaluate("sent") == [["bias", 1]]
    assert page.locator("output").text_content() == "1"
    page.evaluate("changed('shares', floats([0, 0.5, 0.75]))")
    assert page.locator(".course-live").text_content() == "bias 1: the share of heads ends at 0.75"


def test_a_table_of_numbers_is_coloured_labelled_and_can_be_edited(open_page):
    page = in_a_front_end(open_page, known_explorer())
    page.add_script_tag(
        type="module",
        content=known_explorer()._esm.split("\nexport default")[0]
        + """
        window.edits = [];
        document.body.append(course.matrixTable([[1, -2], [0, -Infinity]], ["我", "b"], ["c", "d"], {
          caption: "scores", diverging: true, highlight: (i, j) => i === j,
          onEdit: (...edit) => window.edits.push(edit),
        }), course.matrixTable([[0.25, NaN]], null, null));
        """,
    )
    table = page.locator(".course-matrix").first
    assert table.locator("caption").text_content() == "scores"
    colours = table.locator("td.course-cell").evaluate_all("cells => cells.map((cell) => cell.style.backgroundColor)")
    assert colours == ["rgb(213, 136, 145)", "rgb(33, 102, 172)", "rgb(247, 247, 247)", ""]
    assert table.locator(".course-highlight").count() == 2
    page.get_by_label("scores, 我, d").fill("3.5")
    page.get_by_label("scores, 我, d").press("Enter")
    assert page.evaluate("edits") == [[0, 1, 3.5]]
    assert page.locator(".course-matrix").nth(1).locator("td").all_text_contents() == ["0.25", "–"]
