"""Running a lesson again changes nothing but what really changed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib import cli, lesson_files
from course_lib.execution import changed_texts, peak_memory, run_lesson
from course_lib.lesson_files import WIDGET, find_lessons, normalise, notebook_text, problems_of, write_notebook


def _stream(text: str, name: str = "stdout") -> Any:
    return new_output("stream", name=name, text=text)


def _noisy() -> Any:
    """A notebook with everything in it that differs from run to run."""
    outputs = [
        _stream("<object at 0x7f83a1b2c3d0>\n"),
        new_output("display_data", {WIDGET: {"model_id": "91a", "version_major": 2}, "text/plain": "Slider()"}),
    ]
    metadata = {"execution": {"started": "now"}, "tags": ["exercise"]}
    cell = new_code_cell("show()  \n", outputs=outputs, metadata=metadata)
    again = new_code_cell("show()", outputs=[], metadata={"collapsed": True})
    metadata = {"widgets": {"state": 1}, "language_info": {"name": "python", "version": "3.11.7"}, "jupytext": {}}
    return new_notebook(cells=[new_markdown_cell("# Title"), cell, again], metadata=metadata)


def test_normalising_takes_out_all_that_varies() -> None:
    """Two copies with different random ids become the same text, and a second pass changes nothing."""
    one, other = _noisy(), _noisy()
    assert [cell.id for cell in one.cells] != [cell.id for cell in other.cells]
    normalise(one, "07")
    normalise(other, "07")
    assert notebook_text(one) == notebook_text(other)
    text = notebook_text(one)
    normalise(one, "07")
    assert notebook_text(one) == text
    noise = ("0x7f83", '"91a"', "started", "collapsed", '"widgets"', "3.11.7", "jupytext")
    assert [bit for bit in noise if bit in text] == []
    assert one.cells[1].metadata == {"tags": ["exercise"]}
    assert WIDGET in one.cells[1].outputs[1].data
    assert len({cell.id for cell in one.cells}) == 3


def test_an_added_cell_does_not_rename_the_others() -> None:
    """Ids follow from what a cell says, not from where it stands."""
    short, long = _noisy(), _noisy()
    long.cells.insert(1, new_markdown_cell("One more"))
    normalise(short, "07")
    normalise(long, "07")
    assert {cell.id for cell in short.cells} < {cell.id for cell in long.cells}


def test_problems_are_named() -> None:
    """Errors, warnings and paths of this machine."""
    home = "/ho" + "me/someone/file.txt"
    error = new_output("error", ename="ValueError", evalue="no", traceback=[])
    cells = [new_code_cell("f()", outputs=[_stream(home), _stream("careful\n", "stderr"), error])]
    found = "\n".join(problems_of(new_notebook(cells=cells)))
    assert home in found
    assert "writes to stderr: careful" in found
    assert "ValueError: no" in found
    harmless = new_code_cell("a/b", outputs=[_stream("1/tmp/2 and http://x.org/usr/a")])
    assert problems_of(new_notebook(cells=[harmless])) == []


def test_a_notebook_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """Nothing is half written."""
    path = tmp_path / "01_a.ipynb"
    write_notebook(new_notebook(cells=[new_markdown_cell("good")]), path)
    before = path.read_bytes()
    broken = new_notebook(cells=[new_markdown_cell("bad")])
    broken.cells[0].source = {"not": "text"}
    with pytest.raises(nbformat.ValidationError):
        write_notebook(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_lessons_are_found_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, by file, all of them; an unknown one is told which there are."""
    for name in ("00_start.ipynb", "02_weights.ipynb", "notes.ipynb"):
        write_notebook(new_notebook(), tmp_path / name)
    monkeypatch.setattr(lesson_files, "NOTEBOOKS", tmp_path)
    assert [path.name for path in find_lessons([])] == ["00_start.ipynb", "02_weights.ipynb"]
    assert [path.name for path in find_lessons(["02"])] == ["02_weights.ipynb"]
    assert find_lessons([str(tmp_path / "notes.ipynb")]) == [tmp_path / "notes.ipynb"]
    with pytest.raises(FileNotFoundError, match=r"no lesson '05' .*: 00_start\.ipynb, 02_weights\.ipynb"):
        find_lessons(["05"])


def test_changed_texts_are_shown() -> None:
    """The cell, the line before, and the line now."""
    before = new_notebook(cells=[new_code_cell("f()", outputs=[_stream("loss 1.2\nend\n")])])
    after = new_notebook(cells=[new_code_cell("f()", outputs=[_stream("loss 1.3\nend\n")])])
    normalise(before, "01")
    normalise(after, "01")
    (line,) = changed_texts(before, after)
    assert "'loss 1.2' → 'loss 1.3'" in line
    assert changed_texts(before, before) == []


@pytest.mark.slow
def test_peak_memory_counts_children() -> None:
    """What a child process holds is counted with its parent."""
    child = "import time; held = bytearray(150 * 2**20); time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    with peak_memory(lambda: process.pid) as peak:
        process.wait()
    assert 150 * 2**20 < peak[0] < 400 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes share")
def test_memory_that_processes_share_counts_once() -> None:
    """A child that is a copy of its parent shares all that neither of them changes."""
    parent = "import os, time; held = bytearray(b'1') * 150 * 2**20; os.fork(); time.sleep(1)"
    process = subprocess.Popen([sys.executable, "-c", parent])
    with peak_memory(lambda: process.pid) as peak:
        process.wait()
    assert 150 * 2**20 < peak[0] < 220 * 2**20


CELLS = [
    new_markdown_cell("# A lesson"),
    new_code_cell("import os, random, time\nprint('hello')\nprint(os.environ['COURSE_PROGRESS'] != '')"),
    new_code_cell("print(time.time_ns())", metadata={"tags": ["varies"]}),
    new_code_cell("import ipywidgets\nipywidgets.IntSlider()"),
    new_code_cell("object()"),
]


@pytest.mark.notebooks
def test_running_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    """The file, the clock cell included, is the same after a second run; `fresh` measures anew; a change is seen."""
    path = tmp_path / "98_lesson.ipynb"
    nbformat.write(new_notebook(cells=CELLS), path)
    first = run_lesson(path)
    written = path.read_bytes()
    assert first.problems == []
    assert 0 < first.seconds < 90
    assert first.peak_bytes > 20 * 2**20
    second = run_lesson(path)
    assert path.read_bytes() == written
    assert second.changes == []
    run_lesson(path, fresh=True)
    assert path.read_bytes() != written

    edited = json.loads(path.read_text())
    edited["cells"][1]["outputs"][0]["text"] = ["Hello\n", "True\n"]
    path.write_text(json.dumps(edited))
    before = path.read_bytes()
    checked = run_lesson(path, check=True)
    assert len(checked.changes) == 1
    assert "'Hello' → 'hello'" in checked.changes[0]
    assert path.read_bytes() == before


@pytest.mark.notebooks
def test_a_lesson_that_fails_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails, shows the error, and keeps the file."""
    path = tmp_path / "98_lesson.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("print(1 / 0)")]), path)
    before = path.read_bytes()
    assert cli.main(["notebooks", str(path)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_an_unknown_lesson_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and no traceback."""
    assert cli.main(["notebooks", "no-such-lesson"]) == 2
    assert capsys.readouterr().err.startswith("course: there is no lesson 'no-such-lesson'")


def test_bench_says_when_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and it is no failure."""
    monkeypatch.setattr(lesson_files, "ROOT", tmp_path)
    assert cli.main(["bench"]) == 0
    assert capsys.readouterr().out == "There is nothing to measure yet: benchmarks/ is empty.\n"
