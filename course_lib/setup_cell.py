"""The set-up cell that every lesson begins with, and the repository's address, which stands in one place only.

The address is `[project.urls] Repository` in pyproject.toml. From it `course address` writes the set-up cell and the
Colab link of each lesson, and the links of the README.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from course_lib.lesson_files import NOTEBOOKS, ROOT, normalise, write_notebook

TAG = "setup"
COLAB = "https://colab.research.google.com/github/"
BINDER = "https://mybinder.org/v2/gh/"

TEMPLATE = '''\
# Set-up. At home the course is there already; on Colab this installs it and leaves Colab's own PyTorch alone.
import importlib.metadata, importlib.util, os, subprocess, sys

if importlib.util.find_spec("course_lib") is None:
    if "COLAB_RELEASE_TAG" not in os.environ:
        raise SystemExit("The course is not installed here: run `make lab` in its folder, "
                         "or choose the Python of its .venv as this notebook's kernel.")
    course = "git+{address}"
    torch_stays = "torch==" + importlib.metadata.version("torch")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", course, torch_stays], check=True)

from course_lib.notebook import start
start("{lesson}")'''


def read_address(root: Path = ROOT) -> str:
    """The repository's address, such as https://github.com/owner/name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"]


def write_address(address: str, root: Path = ROOT) -> None:
    """Make `address` the repository's address: in pyproject.toml, and nowhere else."""
    address = address.strip().removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(f"the address must look like https://github.com/owner/name, and {address!r} does not")
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'(?m)^Repository = ".*"$', f'Repository = "{address}"', text), encoding="utf-8")


def setup_cell(lesson: str, address: str) -> str:
    """The code of the set-up cell of one lesson ("02"): the same in all of them but for the number."""
    return TEMPLATE.format(lesson=lesson, address=address)


def colab_link(name: str, address: str) -> str:
    """Where Colab opens the notebook file of this name."""
    return f"{COLAB}{_owner_and_name(address)}/blob/main/notebooks/{name}"


def refresh(notebook: Any, name: str, address: str) -> None:
    """Write the set-up cell and the Colab link into a lesson; both are added when they are not there yet.

    The set-up cell is the cell tagged `setup` or, failing that, the first code cell that calls `start(...)`.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if TAG in cell.metadata.get("tags", [])]
    starting = [cell for cell in code if re.search(r"^start\(", cell.source, re.MULTILINE)]
    for cell in [*tagged, *starting][:1]:
        cell.source = setup_cell(name[:2], address)
        cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), TAG})
    first = notebook.cells[0]
    if first.cell_type == "markdown":
        if COLAB not in first.source:
            first.source = f"{first.source.rstrip()}\n\n[Open this lesson in Colab]({colab_link(name, address)})"
        first.source = with_address(first.source, address)


def with_address(text: str, address: str) -> str:
    """The text with each Colab link, Binder link and `git clone` line pointing at `address`."""
    place = _owner_and_name(address)
    text = re.sub(re.escape(COLAB) + r"[^/\s]+/[^/\s]+", COLAB + place, text)
    text = re.sub(re.escape(BINDER) + r"[^/\s]+/[^/\s]+", BINDER + place, text)
    return re.sub(r"git clone https://\S+", f"git clone {address}", text)


def rewrite_all(address: str | None = None, root: Path = ROOT) -> list[Path]:
    """Bring every lesson and the README in line with the address (a new one, when given); the files that changed."""
    import nbformat

    if address is not None:
        write_address(address, root)
    address = read_address(root)
    changed = []
    for path in sorted((root / NOTEBOOKS.name).glob("[0-9][0-9]_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        before = nbformat.writes(notebook)
        refresh(notebook, path.name, address)
        normalise(notebook, path.name[:2])
        if nbformat.writes(notebook) != before:
            write_notebook(notebook, path)
            changed.append(path)
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    if with_address(text, address) != text:
        readme.write_text(with_address(text, address), encoding="utf-8")
        changed.append(readme)
    return changed


def _owner_and_name(address: str) -> str:
    return address.removeprefix("https://github.com/")
