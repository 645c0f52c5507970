"""The learner's progress: one small JSON file that survives damage and never stands in the way of a check."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

STATUSES = ("tried", "right")


def location() -> Path:
    """The file: what COURSE_PROGRESS says, or progress.json in the user's data folder.

    COURSE_PROGRESS set to the null device (`os.devnull`) means that nothing is recorded.
    """
    if named := os.environ.get("COURSE_PROGRESS"):
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", "~"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", "~/.local/share"))
    return base.expanduser() / "from-attention-to-gpt-and-bert" / "progress.json"


def load() -> tuple[dict[str, dict[str, Any]], str]:
    """What is recorded per exercise id, and a sentence if the file was damaged and has been set aside."""
    try:
        path = location()
        if path.exists() and not path.is_file():
            return {}, ""
        text = path.read_bytes()
    except (OSError, RuntimeError):  # no file yet, unreadable, or no home folder
        return {}, ""
    try:
        entries = json.loads(text)["exercises"]
        return {str(key): _entry(value) for key, value in entries.items()}, ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, _set_aside(path)


def update(id: str, **changes: Any) -> str:
    """Record something about one exercise; returns a sentence if that did not go smoothly, else ""."""
    entries, note = load()
    entry = entries.setdefault(id, _entry({}))
    if "hints" in changes:
        changes["hints"] = max(changes["hints"], entry["hints"])
    if "status" in changes:
        changes["attempts"] = entry["attempts"] + 1
        if entry["status"] == "right":
            changes["status"] = "right"
    entries[id] = entry | changes
    try:
        _write(location(), {"version": 1, "exercises": dict(sorted(entries.items()))})
    except (OSError, RuntimeError):
        return note or "Your progress could not be saved; everything else works."
    return note


def _entry(found: dict[str, Any]) -> dict[str, Any]:
    """One exercise's record with every field present and of the right type."""
    status = found.get("status")
    return {
        "status": status if status in STATUSES else None,
        "attempts": int(found.get("attempts", 0)),
        "hints": int(found.get("hints", 0)),
        "solution_seen": bool(found.get("solution_seen", False)),
    }


def _set_aside(path: Path) -> str:
    aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
    try:
        os.replace(path, aside)
    except OSError:
        return f"The progress file {path.name} is damaged; progress starts afresh."
    return f"The progress file was damaged. It is now called {aside.name}, and progress starts afresh."


def _write(path: Path, content: dict[str, Any]) -> None:
    if path.exists() and not path.is_file():
        return
    write_atomically(path, json.dumps(content, indent=1).encode())
