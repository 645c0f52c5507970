"""The exercise cells of the notebooks: they hold the starter code, and with the solution filled in the check passes.

An exercise cell carries the tag `exercise`. It is run after the set-up cell and after the cells before it that carry
the tag `exercise-needs` (among them exercise cells, filled in likewise), and after no others.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from course_lib.exercises import find
from course_lib.exercises.catalogue import exercises_of, lessons
from course_lib.exercises.result import Result
from course_lib.exercises.source import answer_name, solution_source

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHECK = re.compile(r'check\("(\d\d\.\d+)", (\w+)\)\s*$')


def tags(cell):
    return cell.metadata.get("tags", [])


def code_cells(lesson):
    paths = sorted(NOTEBOOKS.glob(f"{lesson}_*.ipynb"))
    assert len(paths) == 1, f"lesson {lesson} has exercises, and {len(paths)} notebooks"
    return [cell for cell in nbformat.read(paths[0], as_version=4).cells if cell.cell_type == "code"]


def id_in(cell):
    found = CHECK.search(cell.source)
    assert found, f'an exercise cell ends with check("id", name):\n{cell.source}'
    return found[1]


def filled(cell):
    """The cell's code with the solution where the starter stands."""
    exercise = find(id_in(cell))
    return cell.source.replace(exercise.starter.strip(), solution_source(exercise))


LESSONS = [lesson for lesson in lessons() if list(NOTEBOOKS.glob(f"{lesson}_*.ipynb"))]
CELLS = [
    pytest.param(lesson, index, id=id_in(cell))
    for lesson in LESSONS
    for index, cell in enumerate(code_cells(lesson))
    if "exercise" in tags(cell)
]


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_exercise_has_its_cell(lesson):
    in_notebook = [id_in(cell) for cell in code_cells(lesson) if "exercise" in tags(cell)]
    assert in_notebook == [exercise.id for exercise in exercises_of(lesson)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_section_to_read_again_exists(lesson):
    path = next(NOTEBOOKS.glob(f"{lesson}_*.ipynb"))
    prose = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    headings = {found.strip() for text in prose for found in re.findall(r"^#+\s+(.+)$", text, re.MULTILINE)}
    missing = [exercise.see for exercise in exercises_of(lesson) if exercise.see not in headings]
    assert not missing, f"not among the headings: {missing}"


@pytest.mark.parametrize(("lesson", "index"), CELLS)
def test_cell_holds_the_starter(lesson, index):
    cell = code_cells(lesson)[index]
    exercise = find(id_in(cell))
    expected = f'{exercise.starter.strip()}\n\ncheck("{exercise.id}", {answer_name(exercise)})'
    assert cell.source.strip() == expected


@pytest.mark.parametrize(("lesson", "index"), CELLS)
def test_cell_with_the_solution_filled_in_passes(lesson, index):
    cells = code_cells(lesson)
    names = {"__name__": "__main__"}
    for cell in cells[:index]:
        if {"setup", "exercise-needs"} & set(tags(cell)):
            exec(compile(filled(cell) if "exercise" in tags(cell) else cell.source, "<cell>", "exec"), names)
    *body, last = ast.parse(filled(cells[index])).body
    exec(compile(ast.Module(body, []), "<exercise>", "exec"), names)
    result = eval(compile(ast.Expression(last.value), "<exercise>", "eval"), names)
    assert isinstance(result, Result) and result.passed, result
