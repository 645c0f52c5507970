"""Run lessons and write them back, so that running them again changes nothing but what really changed.

This is what `make notebooks` calls. It needs a checkout of the course and the packages of requirements-dev.txt.
"""

import hashlib
import json
import os
import re
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

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
OFFLINE = ROOT / "tools" / "offline"

WIDGET = "application/vnd.jupyter.widget-view+json"
KEPT_CELL_METADATA = ("tags", "jupyter", "editable", "deletable", "slideshow")
ABSOLUTE_PATH = re.compile(r"(?<![\w/.:])/(?:home|root|work|tmp|Users|mnt|usr|opt|content|var)/[\w./-]+|[A-Z]:\\Users\\")
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Run:
    """What running one lesson took, and what is wrong with what it left."""

    lesson: str
    seconds: float
    peak_bytes: int
    problems: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


def find_lessons(names: list[str]) -> list[Path]:
    """The notebooks whose names start with the given numbers ("02"), or that are the given files; all for none."""
    every = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not names:
        return every
    found = []
    for name in names:
        matches = [Path(name)] if Path(name).is_file() else [p for p in every if p.name.startswith(name)]
        if not matches:
            have = ", ".join(p.name for p in every) or "none"
            raise FileNotFoundError(f"there is no lesson {name!r} in notebooks/; the lessons there are: {have}")
        found += matches
    return found


def kernel_environment() -> dict[str, str]:
    """The environment of a lesson's kernel: no network, two threads, no progress file of a real learner touched."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH", "")])),
        "OMP_NUM_THREADS": "2",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def peak_memory(of_pid: Any) -> Iterator[list[int]]:
    """Sample the resident memory of a process and its children; the largest sum seen is in the yielded list."""
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
                total += process.memory_info().rss
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
    with peak_memory(pid) as peak:
        client.execute(env=kernel_environment(), stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, peak[0]


def normalise(notebook: Any, lesson: str) -> None:
    """Remove from an executed notebook all that differs between two runs of the same lesson."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        cell.source = cell.source.rstrip()
        cell.id = _cell_id(cell, lesson, seen)
        for position, output in enumerate(cell.get("outputs", [])):
            _normalise_output(output, f"{cell.id}-{position}")


def _cell_id(cell: Any, lesson: str, seen: dict[str, int]) -> str:
    """An id that follows from the cell's text, so that adding a cell does not rename the ones after it."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
    seen[digest] = seen.get(digest, 0) + 1
    return f"{lesson}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")


def _normalise_output(output: Any, name: str) -> None:
    if output.output_type == "stream":
        output.text = ADDRESS.sub("", output.text)
    data = output.get("data", {})
    if WIDGET in data:
        data[WIDGET] = {
            "model_id": hashlib.sha256(name.encode()).hexdigest()[:32],
            "version_major": 2,
            "version_minor": 0,
        }
    for kind in ("text/plain", "text/html", "text/markdown"):
        if kind in data:
            data[kind] = ADDRESS.sub("", data[kind])


def problems_of(notebook: Any) -> list[str]:
    """What must not stand in a committed lesson: errors, warnings, paths of one machine."""
    found = []
    for cell in notebook.cells:
        for text in [cell.source, *texts_of(cell)]:
            if path := ABSOLUTE_PATH.search(text):
                found.append(f"cell {cell.id}: an absolute path, {path[0]}")
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"cell {cell.id}: {output.ename}: {ANSI.sub('', output.evalue)}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {cell.id}: writes to stderr: {output.text.strip().splitlines()[-1][:100]}")
    return found


def texts_of(cell: Any) -> list[str]:
    """The text outputs of a cell, in order: what it printed and the text form of what it showed."""
    texts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            texts.append(output.text)
        elif "text/plain" in output.get("data", {}):
            texts.append(output.data["text/plain"])
    return texts


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


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all, always in the same layout."""
    import nbformat

    nbformat.validate(notebook)
    plain = json.loads(nbformat.writes(notebook))
    text = json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def run_lesson(path: Path, check: bool = False, fresh: bool = False) -> Run:
    """Run one lesson; write it back, or (with `check`) leave the file alone and say which text outputs changed.

    `fresh` measures again what cells tagged `varies` recorded.
    """
    import nbformat
    from nbclient.exceptions import CellExecutionError

    lesson = path.name[:2]
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.read(path, as_version=4)
    normalise(before, lesson)
    failure = []
    seconds = peak = 0
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
