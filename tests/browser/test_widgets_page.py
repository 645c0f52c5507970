"""What every widget does in a real browser without Jupyter: theme, closing, tables, the example in the docstring."""

import importlib
import re
import sys
import textwrap

import numpy as np
import pytest

from course_lib.widgets import AttentionExplorer, base
from course_lib.widgets.attention_stepper import AttentionStepper
from tests.browser.front_end import in_a_front_end, pixel

pytestmark = pytest.mark.browser


def known_explorer():
    """Two layers of two heads over four tokens."""
    return AttentionExplorer([np.full((2, 4, 4), 0.25)] * 2, ["我", " cat", "sat", "."])


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
    frame = (24 - 1, 22 + 30)  # a point on the frame around the selected thumbnail
    before = pixel(page, 0, *frame)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_selector('.course-widget[data-theme="dark"]')
    assert pixel(page, 0, *frame) != before


def test_a_closed_view_stops_listening(open_page):
    page = in_a_front_end(open_page, known_explorer())
    assert sum(page.evaluate("counts()")) > 0
    page.evaluate("undo()")
    assert sum(page.evaluate("counts()")) == 0


def test_a_script_is_imported_once_a_page_whatever_imports_its_loader_again(open_page):
    """anywidget imports the loader for each widget, and a browser keeps every module that it ever imported."""
    page = in_a_front_end(open_page, known_explorer())
    page.evaluate(
        """async () => {
            const loader = await (await fetch("/widget.js")).text();
            const url = URL.createObjectURL(new Blob([loader], { type: "text/javascript" }));
            const model = { get: (name) => state[name], set() {}, save_changes() {}, on() {}, off() {} };
            const known = Object.values(courseModules);
            await (await import(url)).default.render({ model, el: document.body });
            if (Object.values(courseModules).some((one, i) => one !== known[i])) throw new Error("imported again");
        }"""
    )
    assert page.locator(".course-widget").count() == 2
    assert page.evaluate("Object.keys(courseModules).length") == 1


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
        content=AttentionStepper._module.split("\nexport default")[0]
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
