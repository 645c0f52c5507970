"""How long a widget lives: as long as the output of the cell that made it.

ipywidgets keeps every widget that was ever made, and IPython every value that a cell ever showed, so that running a
cell fifty times would keep fifty models' attention in memory. A widget of this course is closed when its cell runs
again, because that is when its output goes from the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython import get_ipython

if TYPE_CHECKING:
    from course_lib.widgets.base import CourseWidget

_alive: dict[str, tuple[str, list[CourseWidget]]] = {}  # cell → the request that ran it last, and what it made


def belongs_to_its_cell(widget: CourseWidget) -> None:
    """Note which run of which cell made the widget, and close what an earlier run of that cell has made."""
    shell = get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    if request.get("header", {}).get("msg_type") != "execute_request":
        return  # no notebook, or made by a button
    cell = request["metadata"].get("cellId") or request["content"].get("code", "")
    run = request["header"]["msg_id"]
    last_run, made = _alive.get(cell, (run, []))
    if last_run != run:
        for old in made:
            _close(old, shell.user_ns)
        made = []
    _alive[cell] = (run, [*made, widget])


def _close(widget: CourseWidget, names: dict[str, object]) -> None:
    """Close the widget and its layout, and let IPython's history of outputs forget it."""
    shown = names.get("_oh", {})
    for number in [number for number, value in shown.items() if value is widget]:
        del shown[number]
        names.pop(f"_{number}", None)
    if widget.layout is not None:
        widget.layout.close()
    widget.close()
