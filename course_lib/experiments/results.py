"""Where the longer experiments keep what they measured: one JSON file each, beside their modules."""

import json
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

FOLDER = Path(__file__).parent


def load_results(name: str) -> dict[str, Any]:
    """What the experiment `name` measured when it was last run.

    Raises FileNotFoundError when nothing is stored; the message has the command that measures it.
    """
    path = FOLDER / f"{name}_results.json"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing: `python -m course_lib.experiments.{name}` makes it again.")
    return json.loads(path.read_text(encoding="utf-8"))


def save_results(name: str, results: dict[str, Any]) -> None:
    """Store what the experiment `name` measured: the whole file, or none of it."""
    content = json.dumps(results, separators=(",", ":")) + "\n"
    write_atomically(FOLDER / f"{name}_results.json", content.encode())
