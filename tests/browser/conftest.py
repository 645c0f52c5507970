"""What the browser tests share: one Chromium and one JupyterLab for each file of tests.

`lab` opens a copy of a notebook the way `make lab` does and gives a `LabPage`: run all cells, then look at the page,
at the notebook as JupyterLab saved it, and at `troubles`, which is empty when nothing went wrong. `open_page` opens
a widget's page without Jupyter; `front_end.py` has what drives it.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.lab_in_browser import BROWSERS, LabPage, chromium, lab_server, open_notebook


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is a browser test, which `make test-fast` leaves out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; a test that needs it is skipped only where there is none."""
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(BROWSERS)})")
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of JupyterLab, with %s for the notebook, and the folder that holds the notebooks."""
    with lab_server(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture
def lab(browser: Any, running_lab: tuple[str, Path]) -> Iterator[Callable[..., LabPage]]:
    """A function that opens a notebook: the name of a lesson's file, or a new name and cells to make it from."""
    address, folder = running_lab
    opened = []

    def open_one(name: str, cells: list[Any] | None = None, **options: Any) -> LabPage:
        opened.append(open_notebook(browser, address, folder / name, cells, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.page.context.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that opens an address and returns the page; every error and foreign request fails the test."""
    troubles: list[str] = []
    pages: list[Any] = []

    def opened(url: str, *, scheme: str = "light", serve: dict[str, tuple[str, str]] | None = None) -> Any:
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1100, "height": 700})
        page.set_default_timeout(20_000)
        pages.append(page)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))

        def answer(route: Any) -> None:
            path = route.request.url.removeprefix("http://widget.test")
            if serve and path in serve:
                body, kind = serve[path]
                return route.fulfill(body=body, content_type=kind)
            if route.request.url != url:
                troubles.append(f"request: {route.request.url}")
                return route.abort()
            return route.continue_()

        page.route(lambda address: not address.startswith("data:"), answer)
        page.goto(url)
        page.wait_for_selector(".course-widget")
        page.evaluate("() => new Promise(requestAnimationFrame)")
        return page

    yield opened
    for page in pages:
        page.close()
    assert not troubles
