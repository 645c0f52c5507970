"""`make lab`'s JupyterLab runs the first lesson with Run All: no error, and no request to another host."""

from collections.abc import Callable

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from course_lib.lesson_files import ROOT
from course_lib.setup_cell import read_address, setup_cell
from tools.lab_in_browser import LabPage, errors_of
from tools.setup_environment import FIRST_LESSON

pytestmark = pytest.mark.browser


def test_the_first_lesson_runs(lab: Callable[..., LabPage]) -> None:
    """What a new learner does first: open lesson 00, Run All."""
    if not (ROOT / FIRST_LESSON).exists():
        pytest.skip(f"{FIRST_LESSON} is not written yet")
    opened = lab(FIRST_LESSON.removeprefix("notebooks/"))
    notebook = opened.run_all()
    assert [error for cell in notebook.cells for error in errors_of(cell)] == []
    assert opened.page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
    assert opened.troubles == []


def test_a_set_up_cell_and_a_widget_run(lab: Callable[..., LabPage]) -> None:
    """The set-up cell prints its line, and a widget comes alive in the page."""
    cells = [
        new_markdown_cell("# A notebook"),
        new_code_cell(setup_cell("00", read_address())),
        new_code_cell("import ipywidgets\nipywidgets.IntSlider(description='seven', value=7)"),
    ]
    opened = lab("98_scratch.ipynb", cells)
    notebook = opened.run_all()
    assert [error for cell in notebook.cells for error in errors_of(cell)] == []
    assert notebook.cells[1].outputs[0].text.startswith("Lesson 00 is ready.")
    opened.page.get_by_text("seven", exact=True).wait_for()
    assert opened.troubles == []


def test_what_goes_wrong_is_noticed(lab: Callable[..., LabPage]) -> None:
    """An error in a cell, a request to another host, and a broken script each leave a trace."""
    script = "from IPython.display import Javascript\nJavascript('%s')"
    cells = [
        new_code_cell(script % 'fetch("https://example.com/x").catch(() => 0)'),
        new_code_cell(script % 'setTimeout(() => { throw new Error("broken script") }, 0)'),
        new_code_cell("import urllib.request\nurllib.request.urlopen('https://example.com')"),
    ]
    opened = lab("97_scratch.ipynb", cells)
    notebook = opened.run_all()
    assert "switched off here" in errors_of(notebook.cells[2])[0]
    troubles = " ".join(opened.troubles)
    assert "request to https://example.com/x" in troubles
    assert "script error: broken script" in troubles


def test_the_arrow_keys_move_a_slider_and_not_the_notebook(lab: Callable[..., LabPage]) -> None:
    """JupyterLab, in command mode, takes arrows for a step to the next cell."""
    cells = [
        new_code_cell(
            "from course_lib.nn.positions import sinusoidal_encoding\n"
            "from course_lib.widgets.clock_explorer import ClockExplorer\n"
            "ClockExplorer(sinusoidal_encoding, d_model=8, length=40)"
        ),
        new_code_cell("1 + 1"),
    ]
    opened = lab("97_scratch.ipynb", cells)
    opened.run_all()
    slider = opened.page.get_by_label("position", exact=True)
    slider.focus()
    before = int(slider.input_value())
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "ArrowDown"):
        opened.page.keyboard.press(key)
        opened.page.wait_for_timeout(100)
    assert int(slider.input_value()) == before + 2
    assert slider.evaluate("slider => slider === document.activeElement")
    assert opened.troubles == []
