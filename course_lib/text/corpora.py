"""Collections of documents to train on: bundled, from this machine's Python, from your files, or from the hub."""

import difflib
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course_lib.text.bundled import bundled_file, read_jsonl
from course_lib.text.sources import (
    SUFFIXES,
    Stream,
    data_files,
    has_hub_layout,
    hub_splits,
    read_documents,
    read_utf8,
    stream_documents,
)
from course_lib.text.tiny_world import Floor

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Corpus:
    """Documents in three splits; no document is in two of them.

    `floor` is the lowest loss that any model can reach, where that is known (tiny_world), else None.
    """

    name: str
    description: str
    train: list[str] | Stream
    validation: list[str] | Stream
    test: list[str] | Stream
    floor: Floor | None = None

    def __repr__(self) -> str:
        if isinstance(self.train, Stream):
            return f"Corpus({self.name!r}: streamed, not counted)"
        sizes = ", ".join(f"{split} {len(getattr(self, split)):,}" for split in SPLITS)
        return f"Corpus({self.name!r}: {sizes} documents)"


def load_corpus(
    name: str | Path, *, column: str = "text", config: str | None = None, streaming: bool = False
) -> Corpus:
    """A corpus by its name, by a path, or by its id on the Hugging Face hub.

    * "tiny_world": stories from a small simulated world, with the exact loss floor. Offline.
    * "python_docs": the Python language reference that every CPython carries. Offline.
    * "python_source": the standard library's own source. Offline.
    * a path: a text file (one document), a `.jsonl` or `.parquet` file (one document a row, from its text `column`),
      or a folder of these. A folder laid out as a dataset of the hub is read as one, with its own splits.
    * "owner/dataset": a dataset of the hub, such as "Salesforce/wikitext" with the `config` "wikitext-2-raw-v1",
      "roneneldan/TinyStories" or any other with a column of text. Needs the network, or a copy in the local cache.

    Documents are split 90 : 5 : 5 (of every twenty, one to validation and one to test); where there are fewer than
    20, each is cut into 90, 5 and 5 % of its length instead. A document that is there twice is taken once. A
    dataset's own splits are kept as they are.

    With `streaming`, the splits of a path or dataset are `Stream`s, read anew each time they are looped over, so the
    corpus may be larger than memory (and than the disk, from the hub). Repeated documents are not looked for then.

    Raises ValueError for an unknown name (with the nearest one), a corpus that is empty or too short to split, a
    column that is not there, or text that is not UTF-8; FileNotFoundError for a path that is not there.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[str(name)]()
    path = Path(name).expanduser()
    if path.exists():
        return _from_path(path, column, config, streaming)
    if isinstance(name, Path) or path.suffix in SUFFIXES or str(name).startswith((".", "/", "~")):
        raise FileNotFoundError(f"There is no file or folder {str(name)!r}.")
    if str(name).count("/") == 1:
        description = f"The dataset {name} of the Hugging Face hub."
        return _from_dataset(str(name), description, column, config, streaming)
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
        return read_utf8(path)
    except ValueError:
        return ""


_BUILT_IN: dict[str, Callable[[], Corpus]] = {
    "tiny_world": _tiny_world,
    "python_docs": _python_docs,
    "python_source": _python_source,
}


def _from_path(path: Path, column: str, config: str | None, streaming: bool) -> Corpus:
    if path.is_dir() and has_hub_layout(path):
        return _from_dataset(str(path), f"The dataset in {path}.", column, config, streaming)
    paths = data_files(path) if path.is_dir() else [path]
    if not paths:
        raise ValueError(f"The folder {path} holds no {', '.join(SUFFIXES)} file, so there is nothing to read.")
    description = f"Text from {path}."
    if streaming:
        source = Stream(lambda: (text for file in paths for text in stream_documents(file, column)))
        if next(iter(source), None) is None:
            raise ValueError(_empty(path, paths))
        return Corpus(path.name, description, *_split_stream(source))
    documents = [document for file in paths for document in read_documents(file, column)]
    if not documents:
        raise ValueError(_empty(path, paths))
    return _corpus(path.name, description, documents)


def _empty(path: Path, paths: list[Path]) -> str:
    return f"The corpus {path} is empty: {len(paths)} file(s) and no text in them."


def _from_dataset(name: str, description: str, column: str, config: str | None, streaming: bool) -> Corpus:
    texts = hub_splits(name, config, column, streaming, ", ".join(map(repr, _BUILT_IN)))
    train = texts.get("train")
    if train is None or next(iter(train), None) is None:
        raise ValueError(f"The dataset {name!r} has no text in a split called 'train', only {sorted(texts)}.")
    validation, test = texts.get("validation") or None, texts.get("test") or None
    if validation is None and test is None:
        return Corpus(name, description, *_split_stream(train)) if streaming else _corpus(name, description, train)
    if validation is None or test is None:  # one held-out split serves as both, every other document to each
        held_out = validation or test
        both = [held_out.every([place], of=2) if streaming else held_out[place::2] for place in (0, 1)]
        validation, test = both
    return Corpus(name, description, train, validation, test)


def _corpus(name: str, description: str, documents: list[str]) -> Corpus:
    # A document that stands there twice (Python 3.13 carries some of its files so) would land in two splits.
    splits = _split(list(dict.fromkeys(documents)))
    if not all(splits):
        raise ValueError(
            f"The corpus {name!r} is too short to hold out 5 % for validation and 5 % for the test: it has "
            f"{len(documents)} document(s) with {sum(map(len, documents))} character(s). Give it more text."
        )
    return Corpus(name, description, *splits)


def _split_stream(source: Stream) -> tuple[Stream, Stream, Stream]:
    """As `_split` splits many documents: of every twenty, the last two are held out."""
    return source.every(range(18), of=20), source.every([18], of=20), source.every([19], of=20)


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
