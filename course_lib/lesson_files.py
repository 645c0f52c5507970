"""The lessons as files: find them, strip what differs from run to run, write them whole or not at all."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"

WIDGET = "application/vnd.jupyter.widget-view+json"
KEPT_CELL_METADATA = ("tags", "jupyter", "editable", "deletable", "slideshow")
ABSOLUTE_PATH = re.compile(
    r"(?<![\w/.:])/(?:home|root|work|tmp|Users|mnt|usr|opt|content|var)/[\w./-]+|[A-Z]:\\Users\\"
)
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


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


def notebook_text(notebook: Any) -> str:
    """A notebook as text, always in the same layout."""
    import nbformat

    plain = json.loads(nbformat.writes(notebook))
    return json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all."""
    import nbformat

    nbformat.validate(notebook)
    write_atomically(path, notebook_text(notebook).encode())
