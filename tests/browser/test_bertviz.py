"""BertViz behind its wrapper, in a browser: with its network there, without it, and with tokens that mean harm."""

import numpy as np
import pytest

from course_lib.widgets.bertviz import head_view, model_view
from tests.hostile import HOSTILE, letters

pytestmark = pytest.mark.browser

# Stands in for RequireJS, jQuery and d3: every call answers with itself, and `.text(…)` writes what d3 would write.
LIBRARIES = """
window.require = { config() {} };
let given = [];
const everything = new Proxy(function () {}, {
  apply: (_, __, [first]) => (typeof first === "string" && first.includes("#vis") ? (drawn(), everything) : everything),
  get(_, name) {
    if (name === Symbol.toPrimitive || name === "length") return () => 0;
    if (name === "data") return (values) => { given = typeof values === "function" ? [] : values; return everything; };
    if (name === "text") return (text) => { write(text); return everything; };
    return everything;
  },
});
function drawn() {
  const place = document.querySelector("#vis");
  if (!place.querySelector("svg")) place.append(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
}
function write(text) {
  for (const value of typeof text === "function" ? given : [0]) {
    const line = document.createElement("p");
    line.className = "written";
    line.textContent = typeof text === "function" ? text(value) : text;
    document.body.append(line);
  }
}
window.requirejs = (names, start) => start(everything, everything);
"""
ADDRESS = "http://notebook.test/"


def weights(count, layers=1):
    return list(np.random.default_rng(0).dirichlet(np.ones(count), (layers, 2, count)).astype(np.float32))


@pytest.fixture
def show(browser):
    """A function that puts a view into a page, as a notebook does, and gives the frame and all that was asked for."""
    pages = []

    def shown(view, network=True):
        page = browser.new_page()
        pages.append(page)
        asked = []
        body = "<!doctype html><meta charset='utf-8'>" + view._repr_mimebundle_()[0]["text/html"]

        def answer(route):
            asked.append(route.request.url)
            if route.request.url == ADDRESS:
                return route.fulfill(body=body, content_type="text/html")
            if network and route.request.url.startswith("https://cdnjs.cloudflare.com/"):
                return route.fulfill(body=LIBRARIES, content_type="text/javascript")
            return route.abort()

        page.route("**/*", answer)
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
        page.goto(ADDRESS)
        return page.frames[1], asked

    yield shown
    for page in pages:
        page.close()


@pytest.mark.parametrize("make", [head_view, model_view])
def test_hostile_tokens_are_text_and_nothing_else(show, make):
    tokens = list(HOSTILE.values())
    frame, asked = show(make(weights(len(tokens)), tokens))
    frame.wait_for_selector("#vis svg", state="attached")
    frame.page.wait_for_timeout(300)
    assert all(frame.evaluate("window.stolen === undefined") for frame in frame.page.frames)
    assert set(asked) == {ADDRESS, "https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js"}
    if make is head_view:
        written = [letters(text) for text in frame.locator(".written").all_text_contents()]
        assert all(letters(token) in written for token in tokens)


def test_the_picture_goes_when_bertviz_has_drawn(show):
    frame, _ = show(head_view(weights(3), ["a", "b", "c"]))
    frame.wait_for_selector("#vis svg", state="attached")
    assert frame.locator("#note").count() == 0


def test_a_missing_network_is_said_and_a_picture_stays(show):
    frame, _ = show(model_view(weights(3), ["a", "b", "c"]), network=False)
    frame.get_by_text("BertViz cannot draw here").wait_for()
    assert "AttentionExplorer shows the same heads" in frame.locator("#said").text_content()
    assert frame.locator("img").evaluate("(img) => img.naturalWidth") > 100


@pytest.mark.parametrize("make", [head_view, model_view])
def test_without_a_network_the_whole_picture_is_seen(show, make):
    frame, _ = show(make(weights(3), ["a", "b", "c"]), network=False)
    frame.get_by_text("BertViz cannot draw here").wait_for()
    frame.locator("img").evaluate("(img) => img.decode()")
    bottom = frame.locator("img").evaluate("(img) => img.getBoundingClientRect().bottom")
    assert 400 < bottom <= frame.evaluate("innerHeight")


def test_the_frame_cannot_reach_the_notebook(show):
    frame, _ = show(head_view(weights(3), ["a", "b", "c"]))
    frame.wait_for_selector("#vis svg", state="attached")
    reach = "() => { try { return String(parent.document.title); } catch (error) { return error.name; } }"
    assert frame.evaluate(reach) == "SecurityError"
    with pytest.raises(Exception, match="Failed to fetch"):
        frame.evaluate("() => fetch('http://notebook.test/api/contents')")
