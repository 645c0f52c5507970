"""The clocks' page: what Python sent is what is said, sliders work by keyboard, new numbers are drawn."""

import base64
import json

import numpy as np
import pytest

from course_lib.nn.positions import sinusoidal_encoding
from course_lib.widgets.clock_explorer import ClockExplorer

pytestmark = pytest.mark.browser

PLAIN = ("position", "distance", "pair", "log_base", "shape", "accessible_name")
BINARY = ("hands", "speeds", "similarity", "turned")

MODEL = """
import widget from "/widget.js";
const given = await (await fetch("/state.json")).json();
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
const state = { ...given.plain };
for (const [name, text] of Object.entries(given.binary)) state[name] = bytes(text);
const listeners = {};
window.state = state;
const tell = (name) => (listeners[`change:${name}`] ?? []).forEach((listener) => listener());
window.answer = (name, text) => { state[name] = bytes(text); tell(name); };
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; tell(name); },
  save_changes() {},
  on: (name, listener) => (listeners[name] ??= []).push(listener),
  off() {},
};
widget.render({ model, el: document.body });
"""


def encoded(data):
    return base64.b64encode(data).decode("ascii")


@pytest.fixture(params=["light", "dark"])
def page(browser, request):
    widget = ClockExplorer(sinusoidal_encoding, d_model=8, length=40)
    state = {
        "plain": {name: getattr(widget, name) for name in PLAIN},
        "binary": {name: encoded(getattr(widget, name)) for name in BINARY},
    }
    html = f'<!doctype html><meta charset="utf-8"><style>{widget._css}</style><body><script type="module" src="/go.js">'
    files = {
        "/": (html + "</script>", "text/html"),
        "/go.js": (MODEL, "text/javascript"),
        "/widget.js": (widget._esm, "text/javascript"),
        "/state.json": (json.dumps(state), "application/json"),
        "/favicon.ico": ("", "image/x-icon"),
    }
    troubles = []
    opened = browser.new_page(color_scheme=request.param)
    opened.set_default_timeout(20_000)
    opened.on("pageerror", lambda error: troubles.append(str(error)))

    def answer(route):
        body, kind = files[route.request.url.removeprefix("http://widget.test")]
        route.fulfill(body=body, content_type=kind)

    opened.route("http://widget.test/**", answer)
    opened.goto("http://widget.test/")
    opened.wait_for_selector(".course-widget .course-note")
    yield opened
    opened.close()
    assert troubles == []


def said(page):
    return page.locator(".course-note").inner_text()


def test_the_sentence_holds_pythons_numbers(page):
    x = np.frombuffer(ClockExplorer(sinusoidal_encoding, d_model=8, length=40).turned, np.float32)
    assert said(page).startswith("Query at 12,") and "key at 9," in said(page)
    assert said(page).endswith(f"Dot product {x[4]:.3f}.".replace("-", "−"))


def test_sliders_move_by_keyboard_and_tell_python(page):
    page.get_by_label("position", exact=True).press("ArrowRight")
    page.get_by_label("key before query").press("ArrowLeft")
    assert page.evaluate("[state.position, state.distance]") == [13, 2]
    assert "Query at 13," in said(page) and "key at 11," in said(page)


def test_new_hands_are_drawn(page):
    clocks = page.locator("canvas").first
    before = clocks.screenshot()
    page.evaluate("text => answer('hands', text)", encoded(sinusoidal_encoding(40, 8)[30].numpy().tobytes()))
    assert clocks.screenshot() != before
