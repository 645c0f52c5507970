"""The recall widget's page: sequence, answers and weights as Python says them, slider and button by keyboard."""

import json
import shutil

import pytest

from course_lib.experiments.recall import RecallTask, make_models
from course_lib.widgets.recall_readers import RecallReaders

pytestmark = pytest.mark.browser

MODEL = """
import widget from "/widget.js";
const state = await (await fetch("/state.json")).json();
const listeners = {};
window.state = state;
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; (listeners[`change:${name}`] ?? []).forEach((listener) => listener()); },
  save_changes() {},
  on: (name, listener) => (listeners[name] ??= []).push(listener),
  off() {},
};
window.model = model;
widget.render({ model, el: document.body });
"""


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=["light", "dark"])
def opened(chromium, request):
    task = RecallTask()
    widget = RecallReaders({name: make() for name, make in make_models(task).items()}, task, distance=5)
    state = {name: getattr(widget, name) for name in ("distance", "longest", "sequence", "shown", "accessible_name")}
    html = f'<!doctype html><meta charset="utf-8"><style>{widget._css}</style><body><script type="module" src="/go.js">'
    files = {
        "/": (html + "</script>", "text/html"),
        "/go.js": (MODEL, "text/javascript"),
        "/widget.js": (widget._esm, "text/javascript"),
        "/state.json": (json.dumps(state), "application/json"),
        "/favicon.ico": ("", "image/x-icon"),
    }
    troubles = []

    def answer(route):
        path = route.request.url.removeprefix("http://widget.test")
        if path not in files:
            troubles.append(path)
            return route.abort()
        return route.fulfill(body=files[path][0], content_type=files[path][1])

    page = chromium.new_page(color_scheme=request.param, viewport={"width": 900, "height": 600})
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.route("**/*", answer)
    page.goto("http://widget.test/")
    page.wait_for_selector(".readers-token")
    yield page, widget
    page.close()
    assert not troubles


def test_the_page_shows_what_python_computed(opened):
    page, widget = opened
    texts = page.locator(".readers-token > span:first-child").all_text_contents()
    assert texts == widget.shown["tokens"]
    assert page.locator(".readers-asked > span").first.text_content() == texts[-6]
    assert (
        f"5 steps back: the right answer is {widget.shown['answer']}."
        in page.locator(".readers-question").text_content()
    )
    cells = page.locator("tbody tr").nth(1).locator("td").all_text_contents()
    row = widget.shown["rows"][1]
    assert cells[0].startswith(str(row["answer"])) and ("right" in cells[0]) == row["right"]
    assert cells[1:-1] == [f"{chance:.2f}" for chance in row["chances"]]


def test_slider_and_button_work_from_the_keyboard(opened):
    page, _ = opened
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.distance") == 6
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("state.sequence") == 1


def test_an_answer_that_arrives_is_drawn_and_said(opened):
    page, widget = opened
    widget.distance = 9
    page.evaluate("shown => { model.set('distance', 9); model.set('shown', shown); }", widget.shown)
    assert page.locator(".readers-token").count() == len(widget.shown["tokens"])
    assert "9 steps back" in page.locator(".course-live").text_content()
