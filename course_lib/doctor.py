"""What is there and what is missing on this machine, each with the line that mends it: `course doctor`."""

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from course_lib.lesson_files import ROOT

DISTRIBUTION = "from-attention-to-gpt-and-bert"
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_MEMORY = 2 * 2**30
NEEDED_DISK = 2**30
SET_UP_AGAIN = "make lab   (on Windows: py tools/setup_environment.py lab)"
SYMBOLS = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at.
        state: "ok", "note" (works, but worth knowing) or "missing".
        detail: what was found.
        mend: the command or the step that mends it; empty when there is nothing to mend.
    """

    subject: str
    state: str
    detail: str
    mend: str = ""


def examine(root: Path = ROOT) -> list[Finding]:
    """Look at everything the course needs, in the order in which a learner would mend it."""
    return [
        check_python(sys.version_info[:3]),
        *check_packages(requirements(root), pins(root)),
        check_device(),
        check_memory(available_memory()),
        check_disk(shutil.disk_usage(root).free),
        *check_widgets(),
        *check_data(),
    ]


def report(findings: list[Finding]) -> str:
    """The findings as lines for a terminal; packages that are all right share one line."""
    packages = [f for f in findings if f.subject.startswith("package ") and f.state == "ok"]
    lines = []
    if packages:
        summary = Finding("packages", "ok", f"{len(packages)} of the packages the course needs, at versions that work")
        lines.append(_line(summary))
    lines += [_line(finding) for finding in findings if finding not in packages]
    missing = sum(finding.state == "missing" for finding in findings)
    lines.append("Everything is there." if not missing else f"{missing} thing(s) to mend, see above.")
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    mend = f"\n          mend it with: {finding.mend}" if finding.mend else ""
    return f"{SYMBOLS[finding.state]}  {finding.subject}: {finding.detail}{mend}"


def check_python(version: tuple[int, ...]) -> Finding:
    """Whether the course runs on this version of Python."""
    written = ".".join(map(str, version))
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return Finding("Python", "ok", f"{written} on {platform.system()} {platform.machine()}")
    return Finding(
        "Python",
        "missing",
        f"{written}, and the course needs 3.{OLDEST[1]} to 3.{NEWEST[1]}",
        "install one from python.org, remove the folder .venv, then: " + SET_UP_AGAIN,
    )


def requirements(root: Path) -> list[Requirement]:
    """What the course needs: from requirements.txt in a checkout, else from the installed course's metadata."""
    file = root / "requirements.txt"
    if file.is_file():
        lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
        return [Requirement(line) for line in lines if line]
    needed = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    return [requirement for requirement in needed if not requirement.marker or requirement.marker.evaluate()]


def pins(root: Path) -> dict[str, str]:
    """The versions that the course's own tests ran with: {package: version}; empty outside a checkout."""
    file = root / "constraints.txt"
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line) if line.strip() and not line.startswith("#") else None
        if requirement and (requirement.marker is None or requirement.marker.evaluate()):
            found[_plain(requirement.name)] = next(iter(requirement.specifier)).version
    return found


def check_packages(needed: list[Requirement], pinned: dict[str, str]) -> Iterator[Finding]:
    """Each package that the course needs: missing when it is absent or too old, a note when it is not the pin."""
    for requirement in needed:
        subject = f"package {requirement.name}"
        asked = f"{requirement.name}{requirement.specifier}"
        mend = f'{Path(sys.executable).name} -m pip install "{asked}"'
        try:
            have = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding(subject, "missing", f"not installed; the course needs {asked}", mend)
            continue
        pin = pinned.get(_plain(requirement.name))
        if not requirement.specifier.contains(have, prereleases=True):
            yield Finding(subject, "missing", f"version {have}, and the course needs {asked}", mend)
        elif pin is not None and have.split("+")[0] != pin:
            yield Finding(subject, "note", f"version {have} works, but the course is tested with {pin}")
        else:
            yield Finding(subject, "ok", have)


def check_device() -> Finding:
    """Which processor trains the models, in which precision, and why."""
    if importlib.util.find_spec("torch") is None:
        return Finding("device", "missing", "torch is not installed, so nothing can be trained", SET_UP_AGAIN)
    from course_lib.training.device import pick_device

    return Finding("device", "ok", str(pick_device()))


def available_memory() -> int | None:
    """The bytes of memory that a program could get now; None when the machine does not say."""
    try:
        import psutil
    except ImportError:
        names = getattr(os, "sysconf_names", {})
        if "SC_AVPHYS_PAGES" not in names:
            return None
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return psutil.virtual_memory().available


def check_memory(available: int | None) -> Finding:
    """Whether a lesson fits: none needs more than 2 GiB."""
    if available is None:
        return Finding("memory", "note", "this machine does not say how much is free; a lesson needs up to 2 GiB")
    if available < NEEDED_MEMORY:
        return Finding(
            "memory",
            "missing",
            f"{available / 2**30:.1f} GiB free, and a lesson needs up to {NEEDED_MEMORY / 2**30:.0f} GiB",
            "close other programs, and shut down notebooks that you are done with",
        )
    return Finding("memory", "ok", f"{available / 2**30:.1f} GiB free")


def check_disk(free: int) -> Finding:
    """Whether checkpoints and downloads still fit."""
    if free < NEEDED_DISK:
        return Finding(
            "disk",
            "missing",
            f"{free / 2**30:.1f} GiB free, and the lessons need up to {NEEDED_DISK / 2**30:.0f} GiB",
            "make room; `runs/` holds what your trainings saved",
        )
    return Finding("disk", "ok", f"{free / 2**30:.1f} GiB free")


def check_widgets() -> Iterator[Finding]:
    """Whether Jupyter can show the interactive figures: the Python side, and JupyterLab's side of it."""
    absent = [name for name in ("ipywidgets", "anywidget") if importlib.util.find_spec(name) is None]
    if absent:
        yield Finding("widgets", "missing", f"{' and '.join(absent)} not installed", SET_UP_AGAIN)
        return
    if "COLAB_RELEASE_TAG" in os.environ:
        yield Finding("widgets", "ok", "ipywidgets and anywidget, shown by Colab")
        return
    if importlib.util.find_spec("jupyterlab") is None:
        yield Finding("widgets", "note", "ipywidgets and anywidget are there; JupyterLab is not, another editor may do")
        return
    missing = [name for name in ("@jupyter-widgets/jupyterlab-manager", "anywidget") if not _lab_extension(name)]
    if missing:
        yield Finding(
            "widgets",
            "missing",
            f"JupyterLab lacks the extension {' and '.join(missing)}",
            f"{Path(sys.executable).name} -m pip install --force-reinstall --no-deps jupyterlab_widgets anywidget",
        )
    else:
        yield Finding("widgets", "ok", f"JupyterLab {metadata.version('jupyterlab')} shows them")


def _lab_extension(name: str) -> bool:
    from jupyter_core.paths import jupyter_path

    return any((Path(folder) / name / "package.json").is_file() for folder in jupyter_path("labextensions"))


def check_data(folder: Path | None = None) -> Iterator[Finding]:
    """Whether every bundled file is there and is byte for byte what the manifest says."""
    from course_lib.text import bundled

    try:
        damaged = bundled.damaged_files(folder)
    except FileNotFoundError as error:
        damaged = [str(error)]
    for problem in damaged:
        yield Finding("data", "missing", problem, "git checkout -- data   (or install the course again)")
    if not damaged:
        yield Finding("data", "ok", "every file is there, and its checksum is right")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
