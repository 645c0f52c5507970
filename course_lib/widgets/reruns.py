"""A cell that is run again closes the widgets that its last run showed.

Jupyter keeps every widget that was ever made: the kernel in a table and in `Out`, the page in its memory. Someone who
runs a cell fifty times would hold fifty explorers. The outputs they stood in are gone, so they are closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from IPython import get_ipython

_shown: dict[str, tuple[str, list[Any]]] = {}  # cell → (the run, the widgets that it showed)


def showing(widget: Any) -> None:
    """Note that the running cell shows this widget, and close what its last run showed and nothing else shows.

    Where the front end does not tell cells apart, nothing is closed.
    """
    shell = get_ipython()
    cell, run = running_cell(shell)
    if not cell:
        return
    before, widgets = _shown.get(cell, ("", []))
    if before != run:
        gone = [old for old in widgets if old is not widget]
        _shown[cell] = (run, [])
        for old in gone:
            if not any(old is other for _, others in _shown.values() for other in others):
                old.layout.close()
                old.close()
                old.__dict__.pop("_repr_mimebundle_", None)  # ipywidgets blocks it; who shows it again opens it again
                forget(shell, old)
    if not any(widget is other for other in _shown[cell][1]):
        _shown[cell][1].append(widget)


def running_cell(shell: Any) -> tuple[str, str]:
    """The running cell's id, and the id of the message that runs it; empty where they are not known."""
    parent = getattr(shell, "get_parent", dict)() or {}
    return parent.get("metadata", {}).get("cellId", ""), parent.get("header", {}).get("msg_id", "")


def forget(shell: Any, widget: Any) -> None:
    """Take the widget out of IPython's history of outputs: `Out[7]` and `_7`, which it keeps twice."""
    for names in (shell.user_ns, getattr(shell, "user_ns_hidden", {}), shell.user_ns.get("Out", {})):
        for name in numbered(names, widget):
            del names[name]


def numbered(names: dict[Any, Any], widget: Any) -> Iterable[Any]:
    """The names of numbered outputs that are this widget."""
    return [name for name, value in names.items() if value is widget and re.fullmatch(r"_?\d+", str(name))]
