"""Finds the data that comes with the course, and checks it against its manifest."""

import hashlib
import json
from functools import cache
from pathlib import Path


@cache
def data_folder() -> Path:
    """The `data/` of a checkout, or the copy of it that travels inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "data", package / "_data"):
        if (folder / "manifest.json").is_file():
            return folder
    raise FileNotFoundError(
        "The course's data is missing: neither data/manifest.json beside course_lib nor a copy inside it is there. "
        "In a checkout, `python -m course_lib.text.tiny_world` makes it; otherwise install the course again."
    )


def bundled_file(name: str, folder: Path | None = None) -> Path:
    """The path of a data file, after its bytes were compared with the manifest's checksum.

    `name` is relative to the data folder ("tiny_world/stories/train.jsonl").
    """
    folder = folder or data_folder()
    problem = _problem(folder, name, _manifest(folder))
    if problem:
        raise problem
    return folder / name


def damaged_files(folder: Path | None = None) -> list[str]:
    """One sentence for each data file that is missing or damaged; an empty list when all is well."""
    folder = folder or data_folder()
    manifest = _manifest(folder)
    problems = [_problem(folder, name, manifest) for name in manifest]
    return [str(problem) for problem in problems if problem]


def read_jsonl(path: Path) -> list[dict]:
    """The rows of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _manifest(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]


def _problem(folder: Path, name: str, manifest: dict[str, dict]) -> Exception | None:
    if name not in manifest:
        return FileNotFoundError(f"The manifest of the course's data knows no file {name!r}.")
    expected = manifest[name]
    mend = f"`{expected['made_by']}` makes it again."
    path = folder / name
    if not path.is_file():
        return FileNotFoundError(f"The data file {name} is missing from {folder}; {mend}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found == expected["sha256"]:
        return None
    return ValueError(
        f"The data file {name} is damaged: it has {len(content)} bytes with SHA-256 {found[:12]}…, and the manifest "
        f"says {expected['bytes']} bytes with {expected['sha256'][:12]}…; {mend}"
    )
