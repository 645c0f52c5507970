"""The doctor finds what is wrong, and says what mends it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course_lib import cli, doctor
from course_lib.doctor import Finding
from course_lib.lesson_files import ROOT


def _only(findings: object) -> Finding:
    (finding,) = findings  # type: ignore[misc]
    return finding


@pytest.mark.parametrize(("version", "state"), [((3, 10, 9), "missing"), ((3, 11, 0), "ok"), ((3, 13, 5), "ok")])
def test_python(version: tuple[int, ...], state: str) -> None:
    """Too old is missing, with both numbers; the supported ones are fine."""
    finding = doctor.check_python(version)
    assert finding.state == state
    assert ".".join(map(str, version)) in finding.detail
    assert ("3.11 to 3.13" in finding.detail and "python.org" in finding.mend) == (state == "missing")


def test_a_python_that_is_too_new_is_said_so() -> None:
    """A version that does not exist yet is not promised to work."""
    assert doctor.check_python((3, 14, 0)).state == "missing"


def test_a_package_that_is_not_there() -> None:
    """Its name, the range, and the command."""
    finding = _only(doctor.check_packages([Requirement("no-such-package>=2")], {}))
    assert finding.state == "missing"
    assert '-m pip install "no-such-package>=2"' in finding.mend


def test_a_package_that_is_too_old() -> None:
    """Both versions, and the command."""
    have = doctor.metadata.version("packaging")
    finding = _only(doctor.check_packages([Requirement("packaging>=9999")], {}))
    assert finding.state == "missing"
    assert have in finding.detail
    assert 'install "packaging>=9999"' in finding.mend


def test_a_package_that_is_not_the_pinned_version() -> None:
    """It works, and is worth knowing."""
    finding = _only(doctor.check_packages([Requirement("packaging>=1")], {"packaging": "1.2.3"}))
    assert finding.state == "note"
    assert "1.2.3" in finding.detail


def test_the_build_for_a_device_is_the_pinned_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU or CUDA build of the pinned torch is the pinned torch."""
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "2.13.0+cu130")
    assert _only(doctor.check_packages([Requirement("torch>=2.6")], {"torch": "2.13.0"})).state == "ok"


def test_pins_are_read_for_this_machine(tmp_path: Path) -> None:
    """Lines for other systems do not count, and names are compared as pip compares them."""
    lines = ["Import_Linter==2.1", "pywinpty==3.1 ; os_name == 'never'", "rich==15.0 ; python_version >= '3.11'"]
    (tmp_path / "constraints.txt").write_text("\n".join(lines) + "\n")
    assert doctor.pins(tmp_path) == {"import-linter": "2.1", "rich": "15.0"}
    assert doctor.pins(tmp_path / "elsewhere") == {}


def test_memory_and_disk() -> None:
    """Too little is said with both numbers."""
    assert doctor.check_memory(8 * 2**30).state == "ok"
    assert doctor.check_memory(None).state == "note"
    tight = doctor.check_memory(2**30)
    assert (tight.state, tight.detail) == ("missing", "1.0 GiB free, and a lesson needs up to 2 GiB")
    assert doctor.check_disk(2**40).state == "ok"
    full = doctor.check_disk(2**28)
    assert full.state == "missing"
    assert "0.2 GiB free" in full.detail


def test_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine here; said when a package or JupyterLab's half of it is missing; Colab needs no JupyterLab."""
    assert _only(doctor.check_widgets()).state == "ok"
    find_spec = doctor.importlib.util.find_spec

    def without_package(absent: str) -> Callable[[str], object]:
        return lambda name: None if name == absent else find_spec(name)

    with monkeypatch.context() as without:
        without.setattr(doctor, "_lab_extension", lambda name: name != "anywidget")
        finding = _only(doctor.check_widgets())
        assert finding.state == "missing"
        assert finding.detail.endswith("the extension anywidget")
    with monkeypatch.context() as without:
        without.setattr(doctor.importlib.util, "find_spec", without_package("jupyterlab"))
        assert _only(doctor.check_widgets()).state == "note"
        without.setenv("COLAB_RELEASE_TAG", "release-colab")
        assert _only(doctor.check_widgets()).state == "ok"
    with monkeypatch.context() as without:
        without.setattr(doctor.importlib.util, "find_spec", without_package("anywidget"))
        assert "anywidget not installed" in _only(doctor.check_widgets()).detail


def test_device() -> None:
    """A processor, its number format, and why."""
    finding = doctor.check_device()
    assert finding.state == "ok"
    assert any(kind in finding.detail for kind in ("float32", "bfloat16", "float16"))


def test_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor itself does not need what it looks for."""
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor.check_device().state == "missing"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two files, as the course's own is built."""
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    sums = {
        "a.txt": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "b.txt": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
    }
    files = {name: {"sha256": digest, "bytes": 3, "made_by": "python make.py"} for name, digest in sums.items()}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    return tmp_path


def test_data(data: Path) -> None:
    """Whole, damaged and missing files, each by name, with the line that brings them back."""
    assert _only(doctor.check_data(data)).state == "ok"
    (data / "a.txt").write_text("One")
    (data / "b.txt").unlink()
    findings = list(doctor.check_data(data))
    assert [finding.state for finding in findings] == ["missing", "missing"]
    assert "a.txt is damaged" in findings[0].detail
    assert "b.txt is missing" in findings[1].detail
    assert "git checkout -- data" in findings[0].mend


def test_the_report_names_each_thing_to_mend() -> None:
    """Packages that are right share a line; what is missing stands with its remedy."""
    good = [Finding("package numpy", "ok", "2.4"), Finding("package torch", "ok", "2.13")]
    text = doctor.report([*good, Finding("disk", "missing", "0.1 GiB free", "make room")])
    assert "2 of the packages" in text
    assert "MISSING  disk: 0.1 GiB free" in text
    assert "mend it with: make room" in text
    assert text.endswith("1 thing(s) to mend, see above.")
    assert doctor.report(good).endswith("Everything is there.")


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("note", 0), ("missing", 1)])
def test_exit_status(state: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`course doctor` fails when, and only when, something is missing."""
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("disk", state, "…")])
    assert cli.main(["doctor"]) == status


def test_everything_is_looked_at() -> None:
    """The whole examination names every subject, and this machine has every package."""
    findings = doctor.examine()
    subjects = {finding.subject for finding in findings}
    assert {"Python", "device", "memory", "disk", "widgets", "data"} <= subjects
    assert not [finding for finding in findings if finding.subject.startswith("package") and finding.state == "missing"]


def test_requirements_of_an_installed_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from a checkout the course's own metadata says what it needs."""
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    from_file = {str(requirement) for requirement in doctor.requirements(tmp_path)}
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: [*from_file, "extra-thing; extra == 'dev'"])
    assert {str(requirement) for requirement in doctor.requirements(tmp_path / "elsewhere")} == from_file
