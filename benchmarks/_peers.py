"""Other people's attention views, fetched for a measurement into a folder outside the repository.

BertViz is among the course's requirements, but its page loads three libraries from a network; they come from npm here
and are served from this machine. Inspectus is installed by pip into a folder of its own.
"""

import importlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

CACHE = Path(tempfile.gettempdir()) / "course-benchmarks"
INSPECTUS = "inspectus==0.2.0"
# What BertViz asks for → the npm package that carries it, and the file in it. npm has no jQuery 2.0.0.
SCRIPTS = {
    "require.min.js": ("requirejs@2.3.6", "package/require.js"),
    "jquery.min.js": ("jquery@2.1.4", "package/dist/jquery.min.js"),
    "d3.min.js": ("d3@5.7.0", "package/dist/d3.min.js"),
}


class MissingPeerError(Exception):
    """Why a peer cannot be measured here, in one sentence."""


def bertviz_scripts() -> dict[str, bytes]:
    """The three scripts that BertViz loads, by file name. Raises MissingPeerError."""
    CACHE.mkdir(exist_ok=True)
    npm = shutil.which("npm")
    scripts = {}
    for name, (package, inside) in SCRIPTS.items():
        archive = CACHE / (package.replace("@", "-") + ".tgz")
        if not archive.exists():
            if npm is None:
                raise MissingPeerError(f"{package} is not there, and there is no npm to fetch it")
            _run([npm, "pack", "--silent", package], f"npm could not fetch {package}")
        with tarfile.open(archive) as files:
            scripts[name] = files.extractfile(inside).read()
    return scripts


def inspectus() -> ModuleType:
    """The package, from a folder of its own. Raises MissingPeerError."""
    folder = CACHE / INSPECTUS.replace("==", "-")
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), INSPECTUS]
        _run(pip, f"pip could not install {INSPECTUS}")
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("inspectus")
    finally:
        sys.path.remove(str(folder))


def what_a_call_displays(call: Callable[[], object]) -> str:
    """The HTML that a function puts into a cell's output, one piece after the other."""
    import IPython.display

    pieces: list[str] = []
    original = IPython.display.display
    IPython.display.display = lambda *shown, **_: pieces.extend(one.data for one in shown)
    try:
        call()
    finally:
        IPython.display.display = original
    return "".join(pieces)


def _run(command: list[str], failure: str) -> None:
    CACHE.mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MissingPeerError(f"{failure} ({reason[:120]})")
