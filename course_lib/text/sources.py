"""Where documents come from: text, JSON Lines and Parquet files, and datasets in the hub's layout."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".txt", ".jsonl", ".parquet")
WHOLE_TEXT = 16_000_000  # characters; streaming gives a longer text file in pieces
PIECE = 1_000_000  # characters in a piece, and a little more to the end of the line
_SPLIT_NAME = re.compile(r"(train|training|validation|valid|dev|test|testing|eval)([-_.]|$)")


@dataclass(frozen=True)
class Stream:
    """Documents that are read from their source each time they are looped over, one at a time.

    For a corpus larger than memory. It has no length: nobody has counted it.
    """

    open: Callable[[], Iterator[str]]

    def __iter__(self) -> Iterator[str]:
        return self.open()

    def every(self, places: Iterable[int], of: int) -> "Stream":
        """The documents whose number, modulo `of`, is among `places`."""
        chosen = frozenset(places)
        return Stream(lambda: (text for number, text in enumerate(self) if number % of in chosen))


def data_files(folder: Path) -> list[Path]:
    """The files of a folder that hold documents, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


def has_hub_layout(folder: Path) -> bool:
    """Whether a folder is laid out as a dataset of the hub: a card with settings, or files named by split."""
    card = folder / "README.md"
    if card.is_file() and re.match(r"---\s*\n(.*\n)*?configs:", card.read_text(encoding="utf-8", errors="replace")):
        return True
    names = [part.lower() for path in data_files(folder) for part in path.relative_to(folder).parts]
    return any(_SPLIT_NAME.match(name) for name in names)


def read_documents(path: Path, column: str) -> Iterator[str]:
    """The documents of a file: one for a text file, one a row for the others. Blank documents are left out.

    Raises ValueError for text that is not UTF-8, a broken row, and a column that is not there.
    """
    if path.suffix == ".jsonl":
        documents = _from_rows(path, column, _json_rows(path))
    elif path.suffix == ".parquet":
        documents = _from_rows(path, column, _parquet_rows(path, column))
    else:
        documents = iter([read_utf8(path)])
    return (document for document in documents if document.strip())


def stream_documents(path: Path, column: str) -> Iterator[str]:
    """As `read_documents`, but a text file too large to hold comes in pieces, cut at line breaks."""
    if path.suffix in (".jsonl", ".parquet") or path.stat().st_size <= WHOLE_TEXT:
        yield from read_documents(path, column)
        return
    with path.open(encoding="utf-8-sig") as file:
        try:
            while piece := file.read(PIECE):
                piece += file.readline()
                if piece.strip():
                    yield piece
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 ({error.reason}). Save it as UTF-8, or convert it.") from None


def read_utf8(path: Path) -> str:
    """The text of a file, or a ValueError that says which byte is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}. Save it as UTF-8, or convert it "
            f"with iconv."
        ) from None


def hub_splits(name: str, config: str | None, column: str, streaming: bool, built_in: str) -> dict[str, Iterable[str]]:
    """The documents of each split of a dataset: of the hub by its id, or of a folder laid out like one.

    `built_in` names the corpora to use instead when there is no network. Blank rows are left out. Code that comes
    with a dataset is never run.
    """
    import datasets

    try:
        found = datasets.load_dataset(name, config, streaming=streaming)
    except Exception as error:  # the hub's client raises many kinds; each means that there is no data
        raise ValueError(why_not_loaded(name, error, built_in)) from error
    return {
        split: _column(f"The split {split!r} of {name!r}", rows, column, streaming) for split, rows in found.items()
    }


def _column(whose: str, rows: Any, column: str, streaming: bool) -> Iterable[str]:
    names = rows.column_names
    if names is None:  # a stream may not know its columns before its first row
        names = list(next(iter(rows), {}))
    if column not in names:
        raise ValueError(f'{whose} has no column {column!r}, only {names}: say which one, as in column="{names[0]}".')
    if streaming:
        return Stream(lambda: (text for row in rows if (text := _text(whose, row[column])).strip()))
    return [text for text in (_text(whose, value) for value in rows[column]) if text.strip()]


def why_not_loaded(name: str, error: Exception, built_in: str) -> str:
    """Why a dataset could not be loaded, and what to do; `built_in` names what is on this machine instead."""
    configs = re.search(r"available configs: (\[[^\]]*\])", str(error))
    if configs:
        return f"The dataset {name!r} comes in several configurations; name one with config=…: {configs[1]}."
    return (
        f"The dataset {name!r} could not be loaded from the Hugging Face hub ({type(error).__name__}); without a "
        f"network, {built_in} are on this machine."
    )


def _from_rows(path: Path, column: str, rows: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping) or column not in row:
            found = list(row) if isinstance(row, Mapping) else type(row).__name__
            raise ValueError(f"Row {number} of {path} has no column {column!r}, only {found}: say which with column=….")
        yield _text(f"Row {number} of {path}", row[column])


def _text(whose: str, value: Any) -> str:
    """A value of a text column; null is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{whose} holds {type(value).__name__} where text is expected: choose another column.")
    return value


def _json_rows(path: Path) -> Iterator[Any]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                what = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
                raise ValueError(f"Line {number} of {path} is not {what} ({error}).") from None


def _parquet_rows(path: Path, column: str) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file, or is cut short ({error}).") from None
    with file:
        names = file.schema_arrow.names
        if column not in names:
            raise ValueError(f"{path} has no column {column!r}, only {names}: say which with column=….")
        for batch in file.iter_batches(batch_size=1000, columns=[column]):
            yield from batch.to_pylist()
