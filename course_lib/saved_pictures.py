"""A saved notebook shows its pictures: for `make lab`'s JupyterLab.

A widget's output carries a live view and a picture. JupyterLab takes the view where there is one, and when the kernel
that held the widget is gone, all it shows is "Error displaying widget: model not found". So when a notebook is opened
that no kernel runs, the views are left out, and JupyterLab shows the pictures. The file itself is not touched.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from course_lib.lesson_files import WIDGET


class SavedPictures(AsyncLargeFileManager):
    """JupyterLab's own way to files, except that a notebook without a kernel comes with pictures for its widgets."""

    async def get(self, path: str, content: bool = True, *more: Any, **options: Any) -> dict[str, Any]:
        """The file, as JupyterLab asks for it."""
        model = await super().get(path, content, *more, **options)
        if content and model["type"] == "notebook" and not await self._runs(path):
            show_pictures(model["content"])
        return model

    async def _runs(self, path: str) -> bool:
        """Whether a kernel runs the notebook: then its widgets are still there."""
        sessions = getattr(self.parent, "session_manager", None)
        running = await sessions.list_sessions() if sessions else []
        return any(session["path"].strip("/") == path.strip("/") for session in running)


def show_pictures(notebook: dict[str, Any]) -> None:
    """Leave out the views of all widgets that have a picture."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output["data"].pop(WIDGET, None)
