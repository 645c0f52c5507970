"""What a machine can check of how a lesson is written: each check answers with the problems it found.

A check is a function of a `Lesson`; `CHECKS` lists them all.
"""

import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat

from course_lib.lesson_files import WIDGET, normalise, notebook_text, problems_of
from course_lib.setup_cell import COLAB, TAG, colab_link, read_address, setup_cell

LARGEST_FILE = 4 * 2**20
PICTURES = {"image/png", "image/svg+xml", "image/jpeg"}
PARTS = {
    "what you will be able to do": r"you will be able to|you will learn to|after this lesson you can",
    "what is needed first": r"(?:what )?you need(?: first)?|before you start|prerequisites?",
    "recap": r"^#+ .*\brecap",
    "common mistakes": r"^#+ .*\bcommon mistakes",
    "where to read on": r"^#+ .*\bread(?:ing)? on|^#+ .*\bfurther reading",
    "the next lesson": r"^#+ .*\bnext\b|^\W*next\b|\bnext lesson\b",
    "a bug hunt": r"\bhunt\b|\bin the wild\b",
}
BANNED_WORDS = re.compile(r"\b(?:simply|obviously|trivially|needless to say|as we all know)\b", re.IGNORECASE)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)[^)]*\)")
CHECK_CALL = re.compile(r"\bcheck\(\s*[\"']([\d.]+)[\"']")


@dataclass
class Lesson:
    """A lesson's file and its parsed notebook."""

    path: Path
    notebook: Any

    @classmethod
    def read(cls, path: Path) -> "Lesson":
        """Parse the notebook of a lesson."""
        return cls(path, nbformat.read(path, as_version=4))

    @property
    def number(self) -> str:
        """The two digits of the lesson."""
        return self.path.name[:2]

    @property
    def markdown(self) -> list[str]:
        """The prose cells, in order."""
        return [cell.source for cell in self.notebook.cells if cell.cell_type == "markdown"]

    @property
    def code(self) -> list[Any]:
        """The code cells, in order."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def prose(self) -> str:
        """All the prose."""
        return "\n\n".join(self.markdown)

    def outputs(self) -> Iterator[tuple[Any, Any]]:
        """Each output, with its cell."""
        for cell in self.code:
            for output in cell.outputs:
                yield cell, output


def ranges(lesson: Lesson) -> Iterator[str]:
    """The numbers to stay within."""
    words = [len(text.split()) for text in lesson.markdown] or [0]
    lines = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in lesson.code] or [0]
    pictures = sum(bool(PICTURES & set(output.get("data", {}))) for _, output in lesson.outputs())
    pictures += sum(len(IMAGE.findall(text)) for text in lesson.markdown)
    widgets = sum(WIDGET in output.get("data", {}) for _, output in lesson.outputs())
    exercises = {name for cell in lesson.code for name in CHECK_CALL.findall(cell.source)}
    for name, value, low, high in (
        ("cells", len(lesson.notebook.cells), 60, 140),
        ("words of prose", sum(words), 2000, 4500),
        ("markdown cells per code cell", len(words) / max(1, len(lesson.code)), 1.2, 2),
        ("median words per markdown cell", statistics.median(words), 25, 70),
        ("lines in the longest code cell", max(lines), 1, 25),
        ("median lines per code cell", statistics.median(lines), 1, 6),
        ("pictures", pictures, 5, 99),
        ("widgets", widgets, 1, 99),
        ("exercises", len(exercises), 4, 7),
    ):
        if not low <= round(value, 2) <= high:
            yield f"{name}: {value:g}, and the range is {low} to {high}"


def opening(lesson: Lesson) -> Iterator[str]:
    """Title, promise, what is needed, times, and the Colab link, before the set-up cell."""
    first_code = next((i for i, cell in enumerate(lesson.notebook.cells) if cell.cell_type == "code"), 0)
    before = lesson.notebook.cells[:first_code]
    if not before or not re.match(r"# \S", before[0].source):
        yield "the first cell must be a title, `# …`"
        return
    text = "\n".join(cell.source for cell in before)
    if "?" not in text:
        yield "the opening must say the question that the lesson answers"
    if len(re.findall(r"\b(?:minutes?|min|seconds?|s)\b", text)) < 2:
        yield "the opening must give the time to work through and the time to run"
    if lesson.number != "00" and not re.search(r"\]\(\d\d_\w+\.ipynb", text):
        yield "the opening must link to the lessons that are needed first"
    if colab_link(lesson.path.name, read_address()) not in before[0].source or text.count(COLAB) != 1:
        yield "the first cell must hold one Colab link, to this lesson (`make address` writes it)"


def set_up(lesson: Lesson) -> Iterator[str]:
    """The first code cell is the set-up cell, the same in every lesson but for the number."""
    tagged = [cell for cell in lesson.code if TAG in cell.metadata.get("tags", [])]
    if tagged != lesson.code[:1]:
        yield f"exactly the first code cell must carry the tag `{TAG}`; {len(tagged)} cells do"
    elif tagged[0].source != setup_cell(lesson.number, read_address()):
        yield "the set-up cell differs from the one that `make address` writes"


def parts(lesson: Lesson) -> Iterator[str]:
    """The parts that every lesson has."""
    for name, pattern in PARTS.items():
        if not re.search(pattern, lesson.prose, re.IGNORECASE | re.MULTILINE):
            yield f"missing: {name}"
    predictions = len(re.findall(r"\bpredict\b|\bguess\b|\bbefore you run\b", lesson.prose, re.IGNORECASE))
    if predictions < 2:
        yield f"asks the learner to predict {predictions} time(s), and the least is 2"
    recap = re.search(r"(?ims)^#+ [^\n]*\brecap[^\n]*\n(.*?)(?=^#|\Z)", lesson.prose)
    if recap and len(re.findall(r"^\s*(?:[-*]|\d+\.) ", recap[1], re.MULTILINE)) > 5:
        yield "the recap has more than five points"


def wording(lesson: Lesson) -> Iterator[str]:
    """Words that a lesson does without."""
    for text in lesson.markdown:
        for word in BANNED_WORDS.findall(text):
            yield f"says {word!r}: {text[:60]!r}"


def exercises(lesson: Lesson) -> Iterator[str]:
    """Exercise cells are tagged, belong to this lesson, and call check once."""
    for cell in lesson.code:
        called = CHECK_CALL.findall(cell.source)
        tagged = "exercise" in cell.metadata.get("tags", [])
        if bool(called) != tagged:
            yield f"cell {cell.id}: a cell that calls check carries the tag `exercise`, and no other does"
        for name in called:
            if not name.startswith(lesson.number + "."):
                yield f"cell {cell.id}: check({name!r}) belongs to another lesson"
        if len(called) > 1:
            yield f"cell {cell.id}: more than one check in a cell"


def alternative_texts(lesson: Lesson) -> Iterator[str]:
    """Every picture can be read by someone who does not see it, and lies in the repository."""
    for text in lesson.markdown:
        for alternative, target in IMAGE.findall(text):
            if not alternative.strip():
                yield f"image without alt text: {target}"
            if "://" in target:
                yield f"image from another host: {target}"
        if "<img" in text:
            yield "an <img> tag: write ![alt text](figures/…) instead"
    for cell, output in lesson.outputs():
        for kind in PICTURES & set(output.get("data", {})):
            if not output.get("metadata", {}).get(kind, {}).get("alt", "").strip():
                yield f"cell {cell.id}: a picture in the output without alt text; plots.show sets it"


def widget_pictures(lesson: Lesson) -> Iterator[str]:
    """A widget's output also carries a static picture."""
    for cell, output in lesson.outputs():
        data = set(output.get("data", {}))
        if WIDGET in data and not data & {"image/png", "image/svg+xml", "text/html"}:
            yield f"cell {cell.id}: a widget without a static picture in the same output"


def checked_outputs(lesson: Lesson) -> Iterator[str]:
    """Of the cells that print, at least a third are compared in CI."""
    printing = [cell for cell in lesson.code if any(_is_text(output) for output in cell.outputs)]
    checked = [cell for cell in printing if "nbval-check-output" in cell.metadata.get("tags", [])]
    if 3 * len(checked) < len(printing):
        yield f"{len(checked)} of {len(printing)} printing cells carry `nbval-check-output`, and a third is the least"
    for cell in lesson.code:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("nbval") and tag != "nbval-check-output":
                yield f"cell {cell.id}: the tag {tag!r} would keep CI from seeing an error"


def _is_text(output: Any) -> bool:
    return output.output_type == "stream" or set(output.get("data", {})) == {"text/plain"}


def executed(lesson: Lesson) -> Iterator[str]:
    """Every code cell ran, once, in order, with nothing wrong in what it left."""
    for cell in lesson.notebook.cells:
        if not cell.source.strip():
            yield f"cell {cell.id} is empty"
    counts = [cell.execution_count for cell in lesson.code]
    if counts != list(range(1, len(counts) + 1)):
        yield "the cells were not executed in order from top to bottom: run `make notebooks`"
    yield from problems_of(lesson.notebook)


def layout_of_the_file(lesson: Lesson) -> Iterator[str]:
    """The file is as `make notebooks` writes it: no widget state, no random ids, no timestamps."""
    if "widgets" in lesson.notebook.metadata:
        yield "widget state in the metadata"
    written = lesson.path.read_text(encoding="utf-8")
    if len(written.encode()) > LARGEST_FILE:
        yield f"{len(written.encode()) / 1e6:.1f} MB, and the limit is {LARGEST_FILE / 1e6:.1f} MB"
    tidy = Lesson.read(lesson.path).notebook
    normalise(tidy, lesson.number)
    if notebook_text(tidy) != written:
        yield "the file is not as `make notebooks` writes it"


def links(lesson: Lesson) -> Iterator[str]:
    """Links to files and headings of the course lead somewhere."""
    targets = {target for text in lesson.markdown for target in LINK.findall(text)}
    targets |= {target for text in lesson.markdown for _, target in IMAGE.findall(text)}
    for target in sorted(targets):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = lesson.path.parent / name if name else lesson.path
        if not file.exists():
            yield f"a link leads nowhere: {target}"
        elif anchor and file.suffix == ".ipynb" and _plain(anchor) not in _anchors(file):
            yield f"no heading of {file.name} has the anchor of {target}"


def _anchors(path: Path) -> set[str]:
    prose = Lesson.read(path).prose
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {_plain(text) for text in headings + re.findall(r"<a id=\"([^\"]+)\"", prose)}


def _plain(heading: str) -> str:
    return re.sub(r"[\W_]+", "-", heading).strip("-").lower()


CHECKS: tuple[Callable[[Lesson], Iterator[str]], ...] = (
    ranges,
    opening,
    set_up,
    parts,
    wording,
    exercises,
    alternative_texts,
    widget_pictures,
    checked_outputs,
    executed,
    layout_of_the_file,
    links,
)
