"""Makes the committed files of tiny_world: stories and labelled tasks, with the manifest of their checksums."""

import hashlib
import json
import random
from collections.abc import Iterable
from pathlib import Path

from course_lib.files import write_atomically
from course_lib.text.tiny_world.narrator import Story, tell_story
from course_lib.text.tiny_world.tasks import story_tasks, translation
from course_lib.text.tiny_world.telling import Sampler

SIZES = {"train": 20_000, "validation": 1_000, "test": 1_000}
SEED = 2017
COMMAND = "python -m course_lib.text.tiny_world"


def make_stories() -> dict[str, list[Story]]:
    """The stories of each split. No two stories of the whole corpus are the same."""
    told: set[str] = set()
    return {
        split: list(_new_stories(random.Random(SEED + number), size, told))
        for number, (split, size) in enumerate(SIZES.items())
    }


def _new_stories(rng: random.Random, size: int, told: set[str]) -> Iterable[Story]:
    while size:
        story = tell_story(Sampler(rng))
        if story.body not in told:
            told.add(story.body)
            size -= 1
            yield story


def make_files() -> dict[str, bytes]:
    """Every file of `data/tiny_world`, by its name below `data`."""
    stories = make_stories()
    tables = {
        "stories": {split: [{"text": story.text} for story in told] for split, told in stories.items()},
        **story_tasks(stories, SEED + 10),
        "translation": translation(SEED + 11),
    }
    return {
        f"tiny_world/{table}/{split}.jsonl": _jsonl(rows)
        for table, splits in tables.items()
        for split, rows in splits.items()
    }


def write_files(folder: Path) -> dict[str, bytes]:
    """Write the files and the manifest below `folder`; other entries of the manifest stay."""
    files = make_files()
    for name, content in files.items():
        write_atomically(folder / name, content)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"files": {}}
    kept = {name: entry for name, entry in manifest["files"].items() if not name.startswith("tiny_world/")}
    made = {name: _entry(content) for name, content in files.items()}
    content = {"files": dict(sorted({**kept, **made}.items()))}
    write_atomically(path, (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode())
    return files


def _entry(content: bytes) -> dict[str, str | int]:
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "rows": content.count(b"\n"),
        "made_by": COMMAND,
    }


def _jsonl(rows: Iterable[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
