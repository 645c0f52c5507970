"""What a notebook is given to JupyterLab as, with and without a kernel."""

import asyncio

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from traitlets.config import Configurable

from course_lib.lesson_files import WIDGET
from course_lib.saved_pictures import SavedPictures

PICTURE = {"image/png": "iVBORw0KGgo=", WIDGET: {"model_id": "a"}}


class Sessions:
    """One notebook runs."""

    async def list_sessions(self):
        return [{"path": "/running.ipynb"}]


class Server(Configurable):
    """What a manager of files knows its server by."""

    session_manager = Sessions()


@pytest.mark.parametrize(("name", "kept"), [("running.ipynb", True), ("at_rest.ipynb", False)])
def test_views_come_only_with_a_kernel(name, kept, tmp_path):
    cell = new_code_cell("x", outputs=[new_output("display_data", PICTURE), new_output("stream", text="y")])
    cell.outputs.append(new_output("display_data", {WIDGET: {"model_id": "b"}}))  # no picture: the view is all there is
    nbformat.write(new_notebook(cells=[cell]), tmp_path / name)
    before = (tmp_path / name).read_bytes()
    manager = SavedPictures(root_dir=str(tmp_path), parent=Server())
    outputs = asyncio.run(manager.get(name))["content"]["cells"][0]["outputs"]
    assert [set(output.get("data", {})) for output in outputs] == [
        {"image/png", WIDGET} if kept else {"image/png"}, set(), {WIDGET},
    ]  # fmt: skip
    assert (tmp_path / name).read_bytes() == before


def test_other_files_are_as_they_are(tmp_path):
    (tmp_path / "text.txt").write_text("plain")
    manager = SavedPictures(root_dir=str(tmp_path))
    assert asyncio.run(manager.get("text.txt"))["content"] == "plain"
    assert asyncio.run(manager.get("", content=False))["type"] == "directory"
