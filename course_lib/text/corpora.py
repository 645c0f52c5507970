"""Collections of documents to train on: bundled, from this machine's Python, from your files, or from the hub."""

import difflib
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course_lib.text.bundled import bundled_file, read_jsonl
from course_lib.text.tiny_world import Floor

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Corpus:
    """Documents in three splits; no document is in two of them.

    `floor` is the lowest loss that any model can reach, where that is known (tiny_world), else None.
    """

    name: str
    description: str
    train: list[str]
    validation: list[str]
    test: list[str]
    floor: Floor | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {len(getattr(self, split)):,}" for split in SPLITS)
        return f"Corpus({self.name!r}: {sizes} documents)"


def load_corpus(name: str | Path, *, column: str = "text") -> Corpus:
    """A corpus by its name, by a path, or by its id on the Hugging Face hub.

    * "tiny_world": stories from a small simulated world, with the exact loss floor. Offline.
    * "python_docs": the Python language reference that every CPython carries. Offline.
    * "python_source": the standard library's own source. Offline.
    * a path: a UTF-8 text file, or a folder of `.txt` files (each file is one document).
    * "owner/dataset": a dataset of the hub, read from its text `column`. Needs the network, or a local copy.

    Documents are split 90 : 5 : 5 (every twentieth to validation, every twentieth to test); where there are fewer
    than 20, each is cut into 90, 5 and 5 % of its length instead. A hub dataset's own splits are kept.

    Raises ValueError for an unknown name (with the nearest one), an empty corpus, or text that is not UTF-8;
    FileNotFoundError for a path that is not there.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[str(name)]()
    path = Path(name).expanduser()
    if path.exists():
        return _from_path(path)
    if isinstance(name, Path) or path.suffix == ".txt" or str(name).startswith((".", "/", "~")):
        raise FileNotFoundError(f"There is no file or folder {str(name)!r}.")
    if str(name).count("/") == 1:
        return _from_hub(str(name), column)
    raise ValueError(_unknown(str(name)))


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name.lower(), _BUILT_IN, n=1, cutoff=0.4)
    guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return (
        f"There is no corpus {name!r}.{guess} The built-in ones are {', '.join(map(repr, _BUILT_IN))}; a path or a "
        f'Hugging Face dataset id ("owner/dataset") works too.'
    )


def _tiny_world() -> Corpus:
    stories = {
        split: [row["text"] for row in read_jsonl(bundled_file(f"tiny_world/stories/{split}.jsonl"))]
        for split in SPLITS
    }
    description = "Stories from a small simulated world whose probabilities are known exactly."
    return Corpus("tiny_world", description, **stories, floor=Floor(stories))


def _python_docs() -> Corpus:
    from pydoc_data.topics import topics

    documents = [topics[topic].strip() for topic in sorted(topics)]
    return _corpus("python_docs", "The Python language reference, by topic, as CPython carries it.", documents)


def _python_source() -> Corpus:
    root = Path(sysconfig.get_path("stdlib"))
    left_out = {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "__pycache__"}
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    paths = [path for path in paths if not left_out & set(path.split("/"))]
    documents = [text for text in (_source(root / path) for path in paths) if text.strip()]
    return _corpus("python_source", "The source of Python's standard library, without its tests.", documents)


def _source(path: Path) -> str:
    """The text of a source file; "" for the few that are not in UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


_BUILT_IN: dict[str, Callable[[], Corpus]] = {
    "tiny_world": _tiny_world,
    "python_docs": _python_docs,
    "python_source": _python_source,
}


def _from_path(path: Path) -> Corpus:
    paths = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not paths:
        raise ValueError(f"The folder {path} holds no .txt file, so there is nothing to read.")
    documents = [document for document in map(_utf8, paths) if document.strip()]
    if not documents:
        raise ValueError(f"The corpus {path} is empty: {len(paths)} file(s) and no text in them.")
    return _corpus(path.name, f"Text from {path}.", documents)


def _utf8(path: Path) -> str:
    """The text of a file, or a ValueError that says which byte is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}. Save it as UTF-8, or convert it "
            f"with iconv."
        ) from None


def _from_hub(name: str, column: str) -> Corpus:
    import datasets

    try:
        found = datasets.load_dataset(name)
    except Exception as error:  # the hub's client raises many kinds; each means that there is no data
        raise ValueError(
            f"The dataset {name!r} could not be loaded from the Hugging Face hub ({type(error).__name__}); without a "
            f"network, {', '.join(map(repr, _BUILT_IN))} are on this machine."
        ) from error
    for split, rows in found.items():
        if column not in rows.column_names:
            raise ValueError(f"The split {split!r} of {name!r} has no column {column!r}, only {rows.column_names}.")
    texts = {split: [text for text in rows[column] if text.strip()] for split, rows in found.items()}
    description = f"The dataset {name} of the Hugging Face hub."
    if "train" not in texts or not texts["train"]:
        raise ValueError(f"The dataset {name!r} has no text in a split called 'train', only {sorted(texts)}.")
    validation, test = texts.get("validation", []), texts.get("test", [])
    if not validation and not test:
        return _corpus(name, description, texts["train"])
    if not validation or not test:  # one held-out split serves as both, every other document to each
        validation, test = (validation or test)[::2], (validation or test)[1::2]
    return Corpus(name, description, texts["train"], validation, test)


def _corpus(name: str, description: str, documents: list[str]) -> Corpus:
    # A document that stands there twice (Python 3.13 carries some of its files so) would land in two splits.
    return Corpus(name, description, *_split(list(dict.fromkeys(documents))))


def _split(documents: list[str]) -> tuple[list[str], list[str], list[str]]:
    if len(documents) >= 20:
        place = {18: 1, 19: 2}
        parts: tuple[list[str], ...] = ([], [], [])
        for number, document in enumerate(documents):
            parts[place.get(number % 20, 0)].append(document)
        return parts
    pieces = [_cut(document) for document in documents]
    return tuple([piece[part] for piece in pieces if piece[part].strip()] for part in range(3))


def _cut(document: str) -> tuple[str, str, str]:
    """The first 90 %, the next 5 % and the last 5 % of a text, cut at line breaks where there are any."""
    first = _line_break(document, len(document) * 90 // 100)
    second = max(first, _line_break(document, len(document) * 95 // 100))
    return document[:first], document[first:second], document[second:]


def _line_break(document: str, position: int) -> int:
    return document.rfind("\n", position * 9 // 10, position) + 1 or position
