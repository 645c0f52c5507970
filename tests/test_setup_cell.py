"""The set-up cell, run where it will be run: on a machine like Colab, at home, and where nothing is installed."""

import json
import os
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from course_lib import cli
from course_lib.lesson_files import ROOT
from course_lib.setup_cell import (
    colab_link,
    read_address,
    refresh,
    rewrite_all,
    setup_cell,
    with_address,
    write_address,
)

COLAB_TORCH = "2.8.0+cu126"
TORCH_IN_COLAB = f'__version__ = "{COLAB_TORCH}"\n'


def _install(site: Path, name: str, version: str) -> None:
    """Make pip believe that a package is installed: an empty one, with nothing but its metadata."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "RECORD").write_text(f"{folder.name}/METADATA,,\n{folder.name}/RECORD,,\n")
    (folder / "INSTALLER").write_text("pip\n")


@pytest.fixture
def colab(tmp_path: Path) -> Path:
    """A Python of its own that has what Colab has, among it a torch that is not on any index."""
    environment = tmp_path / "colab"
    venv.create(environment, with_pip=True, symlinks=os.name != "nt")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#") and not line.startswith("torch"):
            requirement = Requirement(line)
            _install(site, requirement.name, next(iter(requirement.specifier)).version)
    _install(site, "torch", COLAB_TORCH)
    (site / "torch.py").write_text(TORCH_IN_COLAB)
    _copy_setuptools(site)
    return python


def _copy_setuptools(site: Path) -> None:
    """What builds the course, taken from here, so that the test asks no package index."""
    mine = metadata.distribution("setuptools")
    for old in site.glob("setuptools*"):
        shutil.rmtree(old)
    for top in {Path(str(file)).parts[0] for file in mine.files or []} - {"distutils-precedence.pth"}:
        if (source := Path(str(mine.locate_file(top)))).is_dir() and not top.startswith(".."):
            shutil.copytree(source, site / top, dirs_exist_ok=True)


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """The course as a git repository with what is in the checkout now, as an address that pip understands."""
    folder = tmp_path / "repository"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if name.startswith("course_lib/") or "/" not in name or name == "data/manifest.json":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "marker.txt").write_text("data travels along")
    author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "-m", "The course"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder.as_uri()


@pytest.mark.slow
def test_on_colab_the_course_is_installed_and_torch_is_left_alone(colab: Path, repository: str, tmp_path: Path) -> None:
    """The cell really installs the course with pip; Colab's torch is the same file and version afterwards."""
    install, start = _cell(repository)
    script = f"""{install}
import json
import course_lib, torch
print(json.dumps({{
    "course": course_lib.__file__, "torch": torch.__file__, "version": importlib.metadata.version("torch"),
    "data": os.listdir(os.path.join(os.path.dirname(course_lib.__file__), "_data")),
}}))
"""
    environment = _clean_environment(COLAB_RELEASE_TAG="release-colab", PIP_NO_INDEX="1", PIP_NO_BUILD_ISOLATION="0")
    answer = subprocess.run([colab, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    site = Path(found["torch"]).parent
    assert found["version"] == COLAB_TORCH
    assert (site / "torch.py").read_text() == TORCH_IN_COLAB
    assert Path(found["course"]).parent.parent == site, "the course was not installed beside torch"
    assert "marker.txt" in found["data"]
    assert start == 'from course_lib.notebook import start\nstart("02")'


@pytest.mark.slow
def test_a_torch_that_is_too_old_stops_the_cell_instead_of_being_replaced(
    colab: Path, repository: str, tmp_path: Path
) -> None:
    """pip may not trade Colab's torch for another one, not even to satisfy the course."""
    (info,) = colab.parents[1].rglob("torch-*.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    info.rename(info.with_name("torch-1.0.dist-info"))
    environment = _clean_environment(COLAB_RELEASE_TAG="release-colab", PIP_NO_INDEX="1", PIP_NO_BUILD_ISOLATION="0")
    script = _cell(repository)[0]
    answer = subprocess.run([colab, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode != 0
    assert "torch" in answer.stderr
    assert list(colab.parents[1].rglob("torch-1.0.dist-info")), "torch was touched"


def test_elsewhere_one_sentence_says_what_to_run(tmp_path: Path) -> None:
    """Without the course and without Colab: no traceback, no pip, one sentence."""
    python = [sys.executable, "-I", "-S", "-c", setup_cell("02", "https://github.com/a/b")]
    answer = subprocess.run(python, env=_clean_environment(), cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 1
    assert len(answer.stderr.strip().splitlines()) == 1
    assert "`make lab`" in answer.stderr


@pytest.mark.slow
def test_where_the_course_is_installed_the_lesson_starts(tmp_path: Path) -> None:
    """The cell prints its one line and calls no pip, also when it runs a second time on Colab."""
    environment = _clean_environment(PYTHONPATH=str(ROOT), COLAB_RELEASE_TAG="release-colab", PIP_NO_INDEX="1")
    command = [sys.executable, "-c", setup_cell("02", "https://github.com/a/b")]
    answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Lesson 02 is ready.")
    assert len(answer.stdout.splitlines()) == 1


def test_the_cell_is_the_same_in_every_lesson_but_for_the_number() -> None:
    """Only the last line knows the lesson."""
    one, other = (setup_cell(lesson, read_address()).splitlines() for lesson in ("00", "05"))
    assert one[:-1] == other[:-1]
    assert one[-2:] == ["from course_lib.notebook import start", 'start("00")']


# The address

NEW = "https://github.com/someone/their-copy"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout: project file, README and one lesson as an author first writes it."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "README.md").write_text("git clone https://github.com/old/name\nSee https://example.com/old/name.\n")
    (tmp_path / "notebooks").mkdir()
    cells = [nbformat.v4.new_markdown_cell("# 02 · Title"), nbformat.v4.new_code_cell('start("02")')]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "02_lesson.ipynb")
    return tmp_path


def test_a_new_address_reaches_every_place(checkout: Path) -> None:
    """The project file, the links, and the set-up cell follow; a second call changes nothing."""
    changed = rewrite_all(NEW + ".git/", checkout)
    assert {path.name for path in changed} == {"02_lesson.ipynb", "README.md"}
    assert read_address(checkout) == NEW
    lesson = nbformat.read(checkout / "notebooks" / "02_lesson.ipynb", as_version=4)
    assert colab_link("02_lesson.ipynb", NEW) in lesson.cells[0].source
    assert lesson.cells[1].source == setup_cell("02", NEW)
    assert lesson.cells[1].metadata.tags == ["setup"]
    readme = (checkout / "README.md").read_text()
    assert readme == f"git clone {NEW}\nSee https://example.com/old/name.\n"
    assert rewrite_all(None, checkout) == []


def test_links_of_another_kind_stay_as_they_are() -> None:
    """Only the course's own links are rewritten."""
    text = (
        "[Colab](https://colab.research.google.com/github/old/name/blob/main/notebooks/x.ipynb) [a](https://b.org/c/d)"
    )
    assert with_address(text, NEW) == text.replace("old/name", "someone/their-copy")


def test_the_link_is_added_once() -> None:
    """Refreshing twice is refreshing once."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    refresh(notebook, "03_x.ipynb", NEW)
    once = notebook.cells[0].source
    refresh(notebook, "03_x.ipynb", NEW)
    assert notebook.cells[0].source == once
    assert once.count("colab.research.google.com") == 1


@pytest.mark.parametrize("wrong", ["github.com/a/b", "https://github.com/a", "https://evil.example/a/b", "x y"])
def test_an_address_that_is_none_is_refused(wrong: str, checkout: Path) -> None:
    """The sentence shows the form, and nothing is written."""
    before = (checkout / "pyproject.toml").read_text()
    with pytest.raises(ValueError, match=r"must look like https://github\.com/owner/name"):
        write_address(wrong, checkout)
    assert (checkout / "pyproject.toml").read_text() == before


def test_the_address_stands_in_one_place() -> None:
    """Every lesson and the README agree with pyproject.toml already."""
    address = read_address()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        before = nbformat.writes(notebook)
        refresh(notebook, path.name, address)
        assert nbformat.writes(notebook) == before, f"{path.name}: run `make address`"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_address(readme, address) == readme, "README.md: run `make address`"


def test_the_command_answers_a_wrong_address_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """`course address nonsense` ends with status 2 and no traceback."""
    assert cli.main(["address", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("course: the address must look like")


def _cell(address: str) -> tuple[str, str]:
    """The cell in two parts: up to the installation, and the two lines that start the lesson."""
    lines = setup_cell("02", address).splitlines()
    return "\n".join(lines[:-2]), "\n".join(lines[-2:])


def _clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what would point Python at this checkout, or pip at an index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "COLAB"))}
    return kept | {"PIP_CONFIG_FILE": os.devnull} | extra
