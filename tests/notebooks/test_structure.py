"""Each lesson is written as LESSONS.md says, and each check of that would notice a lesson that is not."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib.lesson_files import ROOT, WIDGET, find_lessons, normalise, write_notebook
from course_lib.setup_cell import read_address, refresh
from tests.notebooks import structure
from tests.notebooks.structure import CHECKS, Lesson

LESSONS = find_lessons([])
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson(path: Path, check: Callable[[Lesson], Any]) -> None:
    """The lesson passes the check."""
    problems = list(check(Lesson.read(path)))
    assert not problems, "\n".join(problems)


def test_code_of_the_lessons_is_clean() -> None:
    """Ruff finds nothing in the cells, and nothing is imported that neither the lesson nor the learner uses."""
    assert _ruff("notebooks") == ""
    learners = ("course_lib.exercises.",)  # check, hint, solution and progress are there for the learner to call
    unused = _ruff("notebooks", "--isolated", "--select", "F401").splitlines()
    assert [line for line in unused if "F401" in line and not any(name in line for name in learners)] == []


def _ruff(*arguments: str) -> str:
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


# A made-up lesson that passes every check, and the ways to spoil it.

OPENING = """# 98 · A lesson

What does a lesson look like? You will be able to write one. You need [lesson 98](98_lesson.ipynb).
20 minutes to work through, 3 seconds to run."""
PROSE = "Predict what the next cell prints. " + "A sentence of prose says why before it says how. " * 4
CLOSING = """## Bug hunt

## Recap

- one
- two

## Common mistakes

## Where to read on

## Next lesson"""


def make_lesson(folder: Path) -> Lesson:
    """A lesson that is as it should be, written to a folder."""
    cells = [new_markdown_cell(OPENING), new_code_cell('start("98")', outputs=[_stream("ready")])]
    for number in range(1, 36):
        cells.append(new_markdown_cell(f"{PROSE} {number}"))
        cells.append(_code(number))
        cells += [new_markdown_cell(f"And then. {PROSE} {number}")] if number % 3 == 0 else []
    cells.append(new_markdown_cell(CLOSING))
    notebook = new_notebook(cells=cells)
    path = folder / "98_lesson.ipynb"
    refresh(notebook, path.name, read_address())
    for count, cell in enumerate([cell for cell in notebook.cells if cell.cell_type == "code"], 1):
        cell.execution_count = count
    normalise(notebook, "98")
    write_notebook(notebook, path)
    return Lesson.read(path)


def _code(number: int) -> Any:
    if number <= 5:
        return new_code_cell(f'check("98.{number}", answer)', metadata={"tags": ["exercise"]})
    if number <= 12:
        data = {"image/png": PIXEL, "text/plain": "a pixel"} | ({WIDGET: {"model_id": "1"}} if number == 12 else {})
        picture = new_output("display_data", data, metadata={"image/png": {"alt": "one pixel"}})
        return new_code_cell(f"draw({number})", outputs=[picture])
    tags = {"tags": ["nbval-check-output"]} if number % 2 else {}
    return new_code_cell(f"print({number})", metadata=tags, outputs=[_stream(str(number))])


def _stream(text: str) -> Any:
    return new_output("stream", name="stdout", text=text + "\n")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_good_lesson_passes(check: Callable[[Lesson], Any], tmp_path: Path) -> None:
    """No check complains without a reason."""
    assert list(check(make_lesson(tmp_path))) == []


def _first(lesson: Lesson, text: str) -> Any:
    return next(cell for cell in lesson.notebook.cells if text in cell.source)


def _replace(old: str, new: str) -> Callable[[Lesson], None]:
    def spoil(lesson: Lesson) -> None:
        cell = _first(lesson, old)
        cell.source = cell.source.replace(old, new)

    return spoil


def _tags(text: str, *tags: str) -> Callable[[Lesson], None]:
    return lambda lesson: _first(lesson, text).metadata.update(tags=list(tags))


def _drop_cells(lesson: Lesson) -> None:
    del lesson.notebook.cells[20:60]


def _drop_pictures(lesson: Lesson) -> None:
    for cell in lesson.code:
        cell.outputs = [output for output in cell.outputs if "data" not in output]


def _drop_output_tags(lesson: Lesson) -> None:
    for cell in lesson.code[1:]:
        cell.metadata.pop("tags", None)


def _lose_alt_text(lesson: Lesson) -> None:
    _first(lesson, "draw(7)").outputs[0].metadata = {}


def _lose_static_picture(lesson: Lesson) -> None:
    del _first(lesson, "draw(12)").outputs[0].data["image/png"]


def _fail(lesson: Lesson) -> None:
    _first(lesson, "print(20)").outputs = [new_output("error", ename="ValueError", evalue="no", traceback=[])]


def _write_to_stderr(lesson: Lesson) -> None:
    _first(lesson, "print(20)").outputs = [new_output("stream", name="stderr", text="a warning\n")]


def _skip_execution(lesson: Lesson) -> None:
    _first(lesson, "print(20)").execution_count = None


def _name_a_path(lesson: Lesson) -> None:
    _first(lesson, "print(20)").outputs = [_stream("saved to /ho" + "me/someone/model.bin")]


def _random_id(lesson: Lesson) -> None:
    lesson.notebook.cells[5].id = "f3a9"
    nbformat.write(lesson.notebook, lesson.path)


def _widget_state(lesson: Lesson) -> None:
    lesson.notebook.metadata["widgets"] = {}


SPOILT = [
    (structure.ranges, _drop_cells, "cells: "),
    (structure.ranges, _drop_cells, "words of prose: "),
    (structure.ranges, _drop_pictures, "pictures: 0"),
    (structure.ranges, _drop_pictures, "widgets: 0"),
    (structure.ranges, _replace("print(20)", "print(20)\n" * 26), "longest code cell: 26"),
    (structure.ranges, _replace('check("98.1"', 'check("98.2"'), None),
    (structure.opening, _replace("# 98", "98"), "title"),
    (structure.opening, _replace("look like?", "look like."), "question"),
    (structure.opening, _replace(", 3 seconds to run", ""), "time to run"),
    (structure.opening, _replace("](98_lesson", "](lesson"), "needed first"),
    (structure.opening, _replace("Open this lesson in Colab", "Colab"), None),
    (structure.opening, _replace("colab.research.google.com/github/", "colab.example/"), "Colab link"),
    (structure.set_up, _replace('start("98")', 'start("97")'), "set-up cell differs"),
    (structure.set_up, _tags("print(20)", "setup"), "2 cells do"),
    (structure.parts, _replace("## Recap", "## End"), "missing: recap"),
    (structure.parts, _replace("## Common mistakes", ""), "missing: common mistakes"),
    (structure.parts, _replace("## Where to read on", ""), "missing: where to read on"),
    (structure.parts, _replace("## Next lesson", ""), "missing: the next lesson"),
    (structure.parts, _replace("## Bug hunt", ""), "missing: a bug hunt"),
    (structure.parts, _replace("You will be able to write one.", ""), "missing: what you will be able to do"),
    (structure.parts, _replace("- two", "- two\n- three\n- four\n- five\n- six"), "more than five"),
    (structure.wording, _replace("says why", "simply says why"), "'simply'"),
    (structure.exercises, _tags("98.1"), "carries the tag `exercise`"),
    (structure.exercises, _tags("print(20)", "exercise"), "carries the tag `exercise`"),
    (structure.exercises, _replace("98.1", "97.1"), "another lesson"),
    (structure.exercises, _replace('check("98.1", answer)', 'check("98.1", a)\ncheck("98.2", b)'), "more than one"),
    (structure.alternative_texts, _lose_alt_text, "without alt text"),
    (structure.alternative_texts, _replace("And then.", "![](figures/a.svg)"), "without alt text"),
    (structure.alternative_texts, _replace("And then.", "![a](https://example.com/a.svg)"), "another host"),
    (structure.alternative_texts, _replace("And then.", '<img src="a.svg">'), "<img>"),
    (structure.widget_pictures, _lose_static_picture, "without a static picture"),
    (structure.checked_outputs, _drop_output_tags, "a third is the least"),
    (structure.checked_outputs, _tags("print(20)", "nbval-skip"), "keep CI from seeing"),
    (structure.executed, _fail, "ValueError: no"),
    (structure.executed, _write_to_stderr, "writes to stderr: a warning"),
    (structure.executed, _skip_execution, "not executed in order"),
    (structure.executed, _replace("print(20)", ""), "is empty"),
    (structure.executed, _name_a_path, "an absolute path"),
    (structure.layout_of_the_file, _random_id, "not as `make notebooks` writes it"),
    (structure.layout_of_the_file, _widget_state, "widget state"),
    (structure.links, _replace("And then.", "[here](97_no.ipynb)"), "leads nowhere"),
    (structure.links, _replace("And then.", "![a](figures/no.svg)"), "leads nowhere"),
    (structure.links, _replace("And then.", "[here](98_lesson.ipynb#Not-there)"), "no heading"),
    (structure.links, _replace("And then.", "[here](98_lesson.ipynb#Common-mistakes)"), None),
]


@pytest.mark.parametrize(("check", "spoil", "complaint"), SPOILT)
def test_a_spoilt_lesson_is_noticed(
    check: Callable[[Lesson], Any], spoil: Callable[[Lesson], None], complaint: str | None, tmp_path: Path
) -> None:
    """Each way to spoil the lesson is named in what the check says; with no complaint expected, it stays silent."""
    lesson = make_lesson(tmp_path)
    before = copy.deepcopy(lesson.notebook)
    spoil(lesson)
    assert lesson.notebook != before, "nothing was spoilt"
    problems = list(check(lesson))
    if complaint is None:
        assert problems == []
    else:
        assert any(complaint in problem for problem in problems), problems


def test_predictions_are_counted(tmp_path: Path) -> None:
    """A lesson that never asks the learner to commit to an answer is noticed."""
    lesson = make_lesson(tmp_path)
    for cell in lesson.notebook.cells:
        cell.source = cell.source.replace("Predict", "See")
    assert any("predict 0 time(s)" in problem for problem in structure.parts(lesson))
