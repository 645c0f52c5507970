"""A widget is closed when its cell runs again."""

import gc
import weakref

import numpy as np
import pytest

from course_lib.widgets import AttentionExplorer, lifetime


class Shell:
    """As much of a notebook's shell as counts here."""

    def __init__(self):
        self.user_ns = {"_oh": {}}
        self.runs = 0
        self.request = {}

    def get_parent(self):
        return self.request

    def run(self, cell, make, kind="execute_request"):
        self.runs += 1
        header = {"msg_type": kind, "msg_id": f"run {self.runs}"}
        self.request = {"header": header, "metadata": {"cellId": cell}, "content": {"code": "explorer()"}}
        made = make()
        self.user_ns["_oh"][self.runs] = self.user_ns[f"_{self.runs}"] = made
        return made


@pytest.fixture
def shell(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(lifetime, "get_ipython", lambda: shell)
    monkeypatch.setattr(lifetime, "_alive", {})
    return shell


def explorer():
    return AttentionExplorer([np.eye(2, dtype=np.float32)[None]], ["a", "b"])


def closed(widget):
    return widget.comm is None


def test_running_a_cell_again_leaves_nothing_of_the_run_before(shell):
    made = [weakref.ref(shell.run("one", explorer)) for _ in range(5)]
    gc.collect()
    assert [reference() is None for reference in made] == [True] * 4 + [False]
    assert list(shell.user_ns["_oh"]) == [5] and "_4" not in shell.user_ns


def test_what_other_cells_made_stays(shell):
    first, second = shell.run("one", explorer), shell.run("two", explorer)
    shell.run("two", explorer)
    assert not closed(first) and closed(second)


def test_two_widgets_of_one_run_stay_together(shell):
    first, second = shell.run("one", lambda: (explorer(), explorer()))
    assert not closed(first) and not closed(second)


def test_a_cell_without_an_id_is_known_by_its_code(shell):
    first = shell.run(None, explorer)
    shell.run(None, explorer)
    assert closed(first)


def test_what_a_button_makes_is_left_alone(shell):
    first = shell.run("one", explorer)
    second = shell.run("one", explorer, kind="comm_msg")
    assert not closed(first) and not closed(second)
