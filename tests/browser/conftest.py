"""A real Chromium on a real JupyterLab with a real kernel, all on this machine.

`lab` opens a copy of a notebook the way `make lab` does and gives a `LabPage`: run all cells, then look at the page,
at the notebook as JupyterLab saved it, and at `troubles`, which is empty when nothing went wrong.
"""

import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_lib.execution import kernel_environment
from course_lib.lesson_files import NOTEBOOKS
from tools.setup_environment import COMMANDS, FIRST_LESSON

QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LOCAL = re.compile(r"(?:https?|wss?)://(?:127\.0\.0\.1|localhost)[:/]|data:|blob:|about:")


@dataclass
class LabPage:
    """A notebook that is open in JupyterLab.

    Attributes:
        page: Playwright's page.
        path: the copy of the notebook that JupyterLab has open and saves.
        troubles: script errors, console errors, and requests to another host, as they happened.
    """

    page: Any
    path: Path
    troubles: list[str] = field(default_factory=list)

    def run_all(self, timeout: float = 180.0) -> Any:
        """Choose Run › Run All Cells in the menu, wait for the last cell, and return the notebook as it was saved."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            time.sleep(0.5)
            notebook = self.saved()
            counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source]
            failed = [cell for cell in notebook.cells if errors_of(cell)]
            idle = self.page.locator("#jp-main-statusbar").get_by_text("| Idle").count() == 1
            if failed or (None not in counts and idle):
                return self.saved()
        raise TimeoutError(f"{self.path.name} was not done after {timeout:.0f} s; the cells ran so far: {counts}")

    def saved(self) -> Any:
        """Save with the keyboard, and read the file."""
        self.page.keyboard.press("Control+s")
        time.sleep(0.5)
        return nbformat.read(self.path, as_version=4)


def errors_of(cell: Any) -> list[str]:
    """The errors in a cell's outputs."""
    outputs = cell.get("outputs", [])
    return [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; a test that needs it is skipped only where there is none."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(names)})")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="module")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """JupyterLab as `make lab` starts it, with settings of its own, on a copy of the lessons without outputs.

    Gives the address, with %s for the notebook, and the folder that holds the notebooks.
    """
    folder = tmp_path_factory.mktemp("lab")
    notebooks = folder / "notebooks"
    shutil.copytree(NOTEBOOKS, notebooks, ignore=shutil.ignore_patterns(".*"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    options = [option for option in COMMANDS["lab"] if option != FIRST_LESSON]
    options += ["--no-browser", f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"]
    options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.allow_root=True"]
    options += [f"--IdentityProvider.token={token}"]
    with kernel_environment() as environment:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            environment[name] = str(folder / name.lower())
        for name in ("SETTINGS", "WORKSPACES"):
            environment[f"JUPYTERLAB_{name}_DIR"] = str(folder / name.lower())
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen([sys.executable, *options], cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api", server, folder / "server.log")
            yield f"http://127.0.0.1:{port}/lab/tree/notebooks/%s?reset&token={token}", notebooks
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.25)
    raise TimeoutError(f"JupyterLab did not answer:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def lab(browser: Any, lab_server: tuple[str, Path]) -> Iterator[Callable[..., LabPage]]:
    """A function that opens a notebook: the name of a lesson's file, or cells to make a notebook from."""
    address, folder = lab_server
    contexts = []

    def open_notebook(name: str, cells: list[Any] | None = None, **options: Any) -> LabPage:
        path = folder / name
        notebook = nbformat.v4.new_notebook(cells=cells) if cells is not None else nbformat.read(path, as_version=4)
        notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)

        context = browser.new_context(viewport={"width": 1366, "height": 768}, **options)
        contexts.append(context)
        opened = LabPage(context.new_page(), path)
        _watch(opened)
        opened.page.goto(address % name)
        opened.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
        opened.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=90_000)
        return opened

    yield open_notebook
    for context in contexts:
        context.close()


def _watch(opened: LabPage) -> None:
    """Note every script error, console error, and request that leaves the machine."""
    page, troubles = opened.page, opened.troubles
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("console", lambda message: message.type == "error" and troubles.append(f"console: {message.text}"))
    page.on("websocket", lambda socket: LOCAL.match(socket.url) or troubles.append(f"socket to {socket.url}"))
    page.context.on("request", lambda request: LOCAL.match(request.url) or troubles.append(f"request to {request.url}"))
