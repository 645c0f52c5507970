"""The set-up script: finds a Python, reuses and repairs .venv, and turns every failure into one sentence."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course_lib.lesson_files import ROOT
from tools import setup_environment as setup
from tools.setup_environment import SetupError, explain


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose set-up is quick: every step that would download is replaced by a note in `steps`."""
    for name in setup.INPUTS:
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "find_python", lambda: sys.executable)
    return tmp_path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the set-up did."""
    done: list[str] = []

    def create(environment: Path, python: str) -> None:
        done.append("create")
        python_of = setup.python_of(environment)
        python_of.parent.mkdir(parents=True, exist_ok=True)
        python_of.write_text("")

    monkeypatch.setattr(setup, "create", create)
    monkeypatch.setattr(setup, "install", lambda root, python: done.append("install"))
    monkeypatch.setattr(setup, "works", lambda python: python.is_file())
    yield done


def test_set_up_once_and_then_reuse(checkout: Path, steps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The first call makes everything, the second only says so; each takes one line to say what it does."""
    setup.set_up(checkout)
    assert steps == ["create", "install"]
    first = capsys.readouterr().out
    assert first.startswith("Setting up .venv with Python 3.")
    setup.set_up(checkout)
    assert steps == ["create", "install"]
    second = capsys.readouterr().out
    assert second == "Using the environment in .venv.\n"
    assert first.count("\n") == 1


@pytest.mark.parametrize("name", setup.INPUTS)
def test_a_changed_requirement_brings_the_environment_up_to_date(checkout: Path, steps: list[str], name: str) -> None:
    """Every file that decides what is installed is looked at; nothing is made anew for it."""
    setup.set_up(checkout)
    with (checkout / name).open("a") as file:
        file.write("\n# changed\n")
    setup.set_up(checkout)
    assert steps == ["create", "install", "install"]


def test_line_ends_are_no_change(checkout: Path, steps: list[str]) -> None:
    """A checkout on Windows has the same fingerprint."""
    before = setup.fingerprint(checkout)
    file = checkout / "requirements.txt"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert setup.fingerprint(checkout) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SetupError])
def test_an_interrupted_set_up_is_repaired_by_the_next_call(
    checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Packages that were cut off in the middle are not trusted: the environment is made from the beginning."""

    def cut_off(root: Path, python: Path) -> None:
        raise error("the power went")

    with monkeypatch.context() as interrupted:
        interrupted.setattr(setup, "install", cut_off)
        with pytest.raises(error):
            setup.set_up(checkout)
    setup.set_up(checkout)
    assert steps == ["create", "create", "install"]


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Path, steps: list[str]) -> None:
    """An upgrade of the system may take the Python away that .venv points to."""
    setup.python_of(setup.set_up(checkout).parents[1]).unlink()
    setup.set_up(checkout)
    assert steps == ["create", "install", "create", "install"]


@pytest.mark.slow
def test_a_real_environment_is_made_and_found_to_work(tmp_path: Path) -> None:
    """`create` and `works`, for real; an emptied one no longer works, and making it again mends it."""
    environment = tmp_path / ".venv"
    assert not setup.works(setup.python_of(environment))
    setup.create(environment, Path(sys.executable))
    assert setup.works(setup.python_of(environment))
    shutil.rmtree(next(environment.rglob("site-packages")) / "pip")
    assert not setup.works(setup.python_of(environment))


def test_a_full_disk_stops_before_the_download(
    checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both numbers, and nothing is begun."""
    usage = shutil._ntuple_diskusage(10**10, 10**10 - 5 * 10**8, 5 * 10**8)
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: usage)
    needed = {"linux": 10, "darwin": 3, "win32": 3}[sys.platform]
    with pytest.raises(SetupError, match=rf"0\.5 GB free and the course needs about {needed} GB"):
        setup.set_up(checkout)
    assert steps == []


def _python_that_says(folder: Path, version: str) -> str:
    command = folder / f"python-{version}"
    command.write_text(f"#!/bin/sh\necho {version}\n")
    command.chmod(0o755)
    return str(command)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
class TestFindPython:
    """Which Python is taken."""

    @pytest.fixture(autouse=True)
    def nothing_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever runs the tests may have named a Python."""
        monkeypatch.delenv("COURSE_PYTHON", raising=False)

    def test_the_first_that_is_new_enough(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Older ones on the way, and ones that do not run, are passed over."""
        old, right = _python_that_says(tmp_path, "3.9.2"), _python_that_says(tmp_path, "3.12.1")
        broken = tmp_path / "broken"
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o755)
        found = {"python3.11": str(broken), "python3.12": right, "python3": old}
        monkeypatch.setattr(setup.sys, "executable", old)
        monkeypatch.setattr(setup.shutil, "which", lambda name: found.get(name, name if "/" in name else None))
        assert setup.find_python() == right

    def test_too_old_is_said_with_the_versions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is there, what is needed, what to do."""
        old = _python_that_says(tmp_path, "3.9.2")
        monkeypatch.setattr(setup.sys, "executable", old)
        monkeypatch.setattr(setup.shutil, "which", lambda name: old if name in (old, "python3") else None)
        with pytest.raises(SetupError, match=r"needs Python 3\.11 to 3\.13, and this machine has 3\.9\.2; install"):
            setup.find_python()

    def test_the_named_one_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """COURSE_PYTHON decides."""
        named = _python_that_says(tmp_path, "3.13.0")
        monkeypatch.setenv("COURSE_PYTHON", named)
        assert setup.find_python() == named


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        (
            "ERROR: Could not install packages due to an OSError: [WinError 112] There is not enough space on the disk",
            "the disk is full",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "the package torch==2.13.0 cannot be had"),
        (
            "ERROR: No matching distribution found for anywidget>=0.9.13 (from -r requirements.txt)",
            "the package anywidget>=0.9.13 cannot be had",
        ),
        (
            "NewConnectionError(...): Name or service\nERROR: No matching distribution found for tqdm",
            "no answer from the network while fetching tqdm",
        ),
        ("ReadTimeoutError: Read timed out.", "no answer from the network; check"),
        (
            "  Building wheel: finished with status 'error'\nERROR: Failed building wheel for rouge-score\n",
            "the package rouge-score could not be built",
        ),
        ("ERROR: Failed to build 'old-thing' when getting requirements", "the package old-thing could not be built"),
        ("Collecting a\nERROR: Cannot install a and b\nnote: more", "pip failed with: ERROR: Cannot install a and b"),
        ("", "pip failed with: no message"),
    ],
)
def test_what_pip_says_becomes_one_sentence(output: str, sentence: str) -> None:
    """The cause, the package where there is one, and what to do."""
    explained = explain(output)
    assert explained.startswith(sentence)
    assert "\n" not in explained


def test_a_package_that_cannot_be_had_for_real(tmp_path: Path) -> None:
    """pip's real answer to a package that does not exist is understood."""
    (tmp_path / "empty").mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", "empty", "a-package-not-there"]
    with pytest.raises(SetupError, match="the package a-package-not-there cannot be had"):
        setup.run_pip(pip, tmp_path)


def test_errors_reach_the_terminal_as_one_line(
    checkout: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 and a sentence; an interruption is 130 and says how to go on."""

    def fail(root: Path) -> None:
        raise SetupError("the disk is full; make room.")

    monkeypatch.setattr(setup, "set_up", fail)
    assert setup.main(["lab"]) == 1
    assert capsys.readouterr().err == "Set-up stopped: the disk is full; make room.\n"

    def interrupt(root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "set_up", interrupt)
    assert setup.main(["test"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_arguments_reach_the_command(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`test -k attention` is pytest's `-k attention`, and its exit status is ours."""
    called = []
    monkeypatch.setattr(setup, "set_up", lambda root: Path("python"))
    monkeypatch.setattr(setup.subprocess, "call", lambda command, cwd: called.append(command) or 5)
    assert setup.main(["test", "-k", "attention"]) == 5
    assert called == [["python", "-m", "pytest", "-k", "attention"]]


@pytest.mark.parametrize(("statuses", "status"), [([0, 0], 0), ([1, 0], 1), ([0, 2], 2), ([2, 1], 2)])
def test_every_part_of_the_checks_runs_and_each_can_fail(
    statuses: list[int], status: int, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test` runs the lessons after all else, whatever came of that; between them the parts leave out no test."""
    called = []
    answers = iter(statuses)
    monkeypatch.setattr(setup, "set_up", lambda root: Path("python"))
    monkeypatch.setattr(setup.subprocess, "call", lambda command, cwd: called.append(command) or next(answers))
    assert setup.main(["test"]) == status
    assert [command[-2:] for command in called] == [["-m", "not notebooks and not alone"], ["-m", "notebooks or alone"]]


def test_the_makefile_and_the_script_agree() -> None:
    """Every command of the script is a target of make, and the other way round."""
    makefile = (ROOT / "Makefile").read_text()
    called = {line.split("$(COURSE) ")[1].split()[0] for line in makefile.splitlines() if "@$(COURSE) " in line}
    assert called == set(setup.COMMANDS) - {"setup"}


def test_constraints_cover_the_requirements_and_name_no_host() -> None:
    """Each required package is pinned, within its range, for every machine: no index, no path, no local build."""
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text and "--" not in text and "+" not in text
    pins: dict[str, list[str]] = {}
    for line in text.splitlines():
        pin = Requirement(line)
        pins.setdefault(pin.name.lower().replace("_", "-"), []).append(next(iter(pin.specifier)).version)
    for name in setup.REQUIREMENTS:
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith("#"):
                needed = Requirement(line)
                versions = pins[needed.name.lower().replace("_", "-")]
                assert all(needed.specifier.contains(version) for version in versions), line


def test_the_script_needs_no_package_and_no_new_python() -> None:
    """It runs with nothing installed, and its syntax is that of Python 3.6."""
    source = Path(setup.__file__).read_text()
    ast.parse(source, feature_version=(3, 6))
    answer = subprocess.run([sys.executable, "-I", "-S", setup.__file__, "--help"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_conda_and_binder_get_the_same() -> None:
    """environment.yml installs the same files under the same constraints, with a supported Python."""
    lines = [line.strip(" -") for line in (ROOT / "environment.yml").read_text().splitlines()]
    assert {f"requirement {name}" for name in setup.REQUIREMENTS} <= set(lines)
    assert {"constraint constraints.txt", "editable ."} <= set(lines)
    (python,) = [line for line in lines if line.startswith("python=")]
    assert setup.OLDEST <= tuple(map(int, python.removeprefix("python=").split("."))) <= setup.NEWEST
