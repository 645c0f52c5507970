import gc
import weakref

import ipywidgets
import pytest
from matplotlib.figure import Figure

from course_lib.widgets import reruns
from course_lib.widgets.base import CourseWidget


class Picture(CourseWidget):
    def static_picture(self):
        return Figure(), "x"


class Shell:
    """IPython as a widget sees it: which cell runs, and what it has put out."""

    def __init__(self):
        self.user_ns = {"Out": {}}
        self.parent = {}

    def get_parent(self):
        return self.parent

    def run(self, cell, run, number, *widgets):
        """Run a cell that shows these widgets, the last one as its result."""
        self.parent = {"metadata": {"cellId": cell} if cell else {}, "header": {"msg_id": run}}
        for widget in widgets:
            widget._repr_mimebundle_()
        self.user_ns["Out"][number] = self.user_ns[f"_{number}"] = widgets[-1]


@pytest.fixture
def shell(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(reruns, "get_ipython", lambda: shell)
    monkeypatch.setattr(reruns, "_shown", {})
    return shell


def test_a_cell_that_runs_again_lets_go_of_what_it_showed(shell):
    kept = []
    for number in range(5):
        widget = Picture()
        kept.append(weakref.ref(widget))
        shell.run("cell", f"run {number}", number, widget)
        del widget
    gc.collect()
    assert [reference() is not None for reference in kept] == [False] * 4 + [True]
    assert kept[-1]().comm is not None and list(shell.user_ns["Out"]) == [4]
    assert kept[-1]().model_id in ipywidgets.widgets.widget._instances


def test_two_widgets_of_one_run_both_stay(shell):
    first, second = Picture(), Picture()
    shell.run("cell", "run", 1, first, second)
    assert first.comm is not None and second.comm is not None


def test_a_widget_that_another_cell_shows_stays(shell):
    widget = Picture()
    shell.run("one", "run 1", 1, widget)
    shell.run("two", "run 2", 2, widget)
    shell.run("one", "run 3", 3, Picture())
    assert widget.comm is not None
    shell.run("two", "run 4", 4, Picture())
    assert widget.comm is None


def test_a_closed_widget_that_is_shown_again_opens_again(shell):
    widget = Picture()
    shell.run("one", "run 1", 1, widget)
    shell.run("one", "run 2", 2, Picture())
    assert widget.comm is None
    shell.run("two", "run 3", 3, widget)
    assert widget.comm is not None and widget.layout.comm is not None


def test_where_cells_are_not_told_apart_nothing_is_closed(shell):
    widget = Picture()
    shell.run("", "run 1", 1, widget)
    shell.run("", "run 2", 2, Picture())
    assert widget.comm is not None


def test_outside_a_notebook_nothing_happens(monkeypatch):
    monkeypatch.setattr(reruns, "get_ipython", lambda: None)
    Picture()._repr_mimebundle_()
