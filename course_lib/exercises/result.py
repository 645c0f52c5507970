"""What the checker says: one short text, as plain text and as HTML."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from typing import Literal

from course_lib.exercises.values import LINE

MOST_LINES = 12

Status = Literal["right", "wrong", "not started", "error"]

_ICONS = {"right": "✓", "wrong": "✗", "not started": "○", "error": "!"}
_WORDS = {"right": "right", "wrong": "not yet", "not started": "not started", "error": "error"}
_EDGES = {"right": "#1b9e77", "wrong": "#d95f02", "not started": "#888888", "error": "#d95f02"}


@dataclass(frozen=True, repr=False)
class Result:
    """The verdict on one answer. A notebook shows it as the last expression of a cell; `print` works as well."""

    id: str
    title: str
    status: Status
    message: str = ""
    details: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status == "right"

    @property
    def heading(self) -> str:
        """Icon, id, verdict and title in one line."""
        title = f" · {self.title}" if self.title else ""
        return f"{_ICONS[self.status]} {self.id} {_WORDS[self.status]}{title}"

    def __repr__(self) -> str:
        details = [line for text in self.details for line in wrapped(text, indent="  ")]
        return "\n".join(_cut([self.heading, *wrapped(self.message), *details]))

    def _repr_html_(self) -> str:
        details = _cut([line for text in self.details for line in wrapped(text)], MOST_LINES - 4)
        message = (
            textwrap.shorten(self.message, 8 * LINE, placeholder=" …") if len(self.message) > 8 * LINE else self.message
        )
        return panel(self.heading, message, "\n".join(details), _EDGES[self.status])


@dataclass(frozen=True, repr=False)
class Panel:
    """A heading, a text and perhaps code: what `hint`, `solution` and `progress` show."""

    heading: str
    text: str = ""
    code: str = ""

    def __repr__(self) -> str:
        return "\n".join([self.heading, *wrapped(self.text), *self.code.splitlines()])

    def _repr_html_(self) -> str:
        return panel(self.heading, self.text, self.code)


def wrapped(text: str, indent: str = "") -> list[str]:
    """The text in lines of at most `LINE` characters; its own line breaks are kept."""
    lines = (textwrap.wrap(line, LINE, subsequent_indent=indent) or [""] for line in text.splitlines())
    return [piece for pieces in lines for piece in pieces]


def panel(heading: str, text: str = "", code: str = "", edge: str = "#888888") -> str:
    """An HTML box with a coloured edge that inherits the theme's own colours; everything in it is escaped."""
    parts = [f"<strong>{html.escape(heading)}</strong>"]
    if text:
        parts.append(f'<div style="margin-top:.3em;white-space:pre-line">{html.escape(text)}</div>')
    if code:
        style = "margin:.4em 0 0;background:transparent;color:inherit;white-space:pre-wrap"
        parts.append(f'<pre style="{style}">{html.escape(code)}</pre>')
    box = f"border-left:4px solid {edge};padding:.4em .8em;max-width:60em"
    return f'<div style="{box}">{"".join(parts)}</div>'


def _cut(lines: list[str], most: int = MOST_LINES) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], "…"]
