"""Run lessons and write them back, so that running them again changes nothing but what really changed.

This is what `make notebooks` calls. It needs a checkout of the course and the packages of requirements-dev.txt.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.lesson_files import (
    ANSI,
    NOTEBOOKS,
    ROOT,
    find_lessons,
    normalise,
    problems_of,
    texts_of,
    write_notebook,
)
from course_lib.setup_cell import read_address, refresh

OFFLINE = ROOT / "tools" / "offline"


@dataclass
class Run:
    """What running one lesson took, and what is wrong with what it left."""

    lesson: str
    seconds: float
    peak_bytes: int
    problems: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


@contextmanager
def kernel_environment() -> Iterator[dict[str, str]]:
    """The environment of a lesson's kernel: no network, two threads, and a learner's progress that is empty."""
    with tempfile.TemporaryDirectory() as folder:
        yield os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH", "")])),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
            "COURSE_PROGRESS": str(Path(folder) / "progress.json"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }


def own_share(process: Any) -> int:
    """Bytes of memory that a `psutil.Process` holds; of those that it shares with others, its part."""
    import psutil

    try:
        return process.memory_full_info().pss
    except (AttributeError, psutil.AccessDenied):  # not told on this system, or not to us
        return process.memory_info().rss


@contextmanager
def peak_memory(of_pid: Any) -> Iterator[list[int]]:
    """Sample the resident memory of a process and its children; the largest sum seen is in the yielded list.

    Pages that the processes share, those of torch above all, count once where the system tells (Linux does).
    """
    import psutil

    peak, stop = [0], threading.Event()

    def resident() -> int:
        pid = of_pid()
        if pid is None:
            return 0
        total = 0
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        for process in family:
            try:
                total += own_share(process) if len(family) > 1 else process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def watch() -> None:
        while not stop.wait(0.1):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


def execute(notebook: Any, timeout: float = 300.0) -> tuple[float, int]:
    """Run every cell of a notebook in a fresh kernel with the network refused; seconds and peak bytes of memory."""
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        record_timing=False,
        coalesce_streams=True,
    )

    def pid() -> int | None:
        process = getattr(getattr(client.km, "provisioner", None), "process", None)
        return process.pid if process else None

    began = time.perf_counter()
    with peak_memory(pid) as peak, kernel_environment() as environment:
        client.execute(env=environment, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, peak[0]


def changed_texts(before: Any, after: Any) -> list[str]:
    """One line for each cell whose text output is not what it was before."""
    old = {cell.id: texts_of(cell) for cell in before.cells if cell.cell_type == "code"}
    return [
        f"cell {cell.id}: the text output changed: {_first_difference(old.get(cell.id, []), texts_of(cell))}"
        for cell in after.cells
        if cell.cell_type == "code" and old.get(cell.id, []) != texts_of(cell)
    ]


def _first_difference(before: list[str], after: list[str]) -> str:
    old, new = "\n".join(before).splitlines(), "\n".join(after).splitlines()
    for one, other in zip(old, new, strict=False):
        if one != other:
            return f"{one!r} → {other!r}"
    return f"{len(old)} lines → {len(new)} lines"


def keep_machine_dependent(before: Any, after: Any) -> None:
    """A cell tagged `varies` (a timing, a device) keeps its recorded outputs as long as its code is the same."""
    old = {cell.id: cell for cell in before.cells if cell.cell_type == "code"}
    for cell in after.cells:
        if "varies" in cell.metadata.get("tags", []) and cell.id in old and old[cell.id].outputs:
            cell.outputs = old[cell.id].outputs


def run_lesson(path: Path, check: bool = False, fresh: bool = False) -> Run:
    """Run one lesson; write it back, or (with `check`) leave the file alone and say which text outputs changed.

    `fresh` measures again what cells tagged `varies` recorded.
    """
    import nbformat
    from nbclient.exceptions import CellExecutionError

    lesson = path.name[:2]
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.read(path, as_version=4)
    refresh(notebook, path.name, read_address())
    normalise(before, lesson)
    failure = []
    seconds, peak = 0.0, 0
    try:
        seconds, peak = execute(notebook)
    except CellExecutionError as error:
        failure = [ANSI.sub("", str(error)).strip()[-2000:]]
    normalise(notebook, lesson)
    if not fresh:
        keep_machine_dependent(before, notebook)
    run = Run(lesson, seconds, peak, failure + problems_of(notebook), changed_texts(before, notebook))
    if not check and not failure:
        write_notebook(notebook, path)
    return run


def run_lessons(names: list[str], check: bool = False, fresh: bool = False) -> int:
    """Run lessons one after the other, print what each took, and return the exit status."""
    status = 0
    for path in find_lessons(names):
        run = run_lesson(path, check, fresh)
        print(f"{path.name:40s} {run.seconds:6.1f} s {run.peak_bytes / 2**20:7.0f} MiB", flush=True)
        for line in run.problems + (run.changes if check else []):
            print(f"    {line}", file=sys.stderr)
        if run.problems or (check and run.changes):
            status = 1
    return status
