"""Tokens and titles that mean harm, on every way in which the explorer shows them: nothing runs, all is text.

`open_page` fails a test when a script error, a dialog or a request to another place happens; the BertViz wrapper has
its own tests with the same corpus.
"""

import re

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_lib import plots
from course_lib.interpret.reading import Reading, View
from course_lib.widgets import AttentionExplorer
from tests.browser.front_end import in_a_front_end
from tests.hostile import ELSEWHERE, HOSTILE, PROOF, letters

pytestmark = pytest.mark.browser

TOKENS = list(HOSTILE.values())
SEEN = 30  # of a long token the sentence about a cell shows this much at least


def explorer(tokens=TOKENS, text=""):
    """Each token looks at itself, and a little at the others."""
    count = len(tokens)
    weights = np.full((2, count, count), 0.5 / count, dtype=np.float32) + 0.5 * np.eye(count, dtype=np.float32)
    return AttentionExplorer(Reading({"self": View((weights, weights), tuple(tokens), tuple(tokens))}, text=text))


def is_shown(token, text):
    """Whether a text holds what can be seen of the beginning of the token."""
    return letters(token[:SEEN]) in letters(text)


def assert_nothing_ran(page):
    assert page.evaluate("window.stolen === undefined")
    assert page.locator("img, iframe, object, embed, link[rel=stylesheet], base, meta[http-equiv=refresh]").count() == 0


# For each query in turn, what the page says about the cell in focus.
EVERY_QUERY = """async (count) => {
  const strip = document.querySelector('[data-role="strip"]');
  const press = (key) => strip.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const said = [];
  for (let i = 0; i < count; i += 1) { press("ArrowLeft"); await 0; }
  for (let i = 0; i < count; i += 1) {
    await new Promise(requestAnimationFrame);
    said.push(document.querySelector('[data-role="cell"]').textContent
      + document.querySelector('[data-role="table"]').textContent);
    press("ArrowRight");
  }
  return said;
}"""


@pytest.mark.parametrize("colab", [False, True], ids=["DataView", "Uint8Array"])
def test_hostile_tokens_in_the_widget_are_text(open_page, colab):
    page = in_a_front_end(open_page, explorer(), colab=colab)
    said = page.evaluate(EVERY_QUERY, len(TOKENS))
    assert [name for (name, token), text in zip(HOSTILE.items(), said, strict=True) if not is_shown(token, text)] == []
    assert_nothing_ran(page)


def test_hostile_tokens_in_a_page_of_its_own_are_text(open_page, tmp_path):
    page = open_page(explorer().to_html(tmp_path / "page.html").as_uri())
    said = page.evaluate(EVERY_QUERY, len(TOKENS))
    assert [name for (name, token), text in zip(HOSTILE.items(), said, strict=True) if not is_shown(token, text)] == []
    assert_nothing_ran(page)


def test_hostile_names_notes_and_predictions_are_text(open_page):
    page = in_a_front_end(open_page, explorer(["a", "b"]))
    shown = page.evaluate(
        """async (texts) => {
            const seen = [];
            for (const text of texts) {
              const row = { kind: "next", position: 0, tokens: [text], before: [1], after: [1], kl: 0 };
              changed("contents", { ...state.contents, names: [text, text], notes: [text], problems: [text],
                title: text, needs: text, predictions: [row] });
              await new Promise(requestAnimationFrame);
              const role = (name) => document.querySelector(`[data-role="${name}"]`).textContent;
              seen.push([role("notes"), role("predictions"), role("shown"), role("needs")]);
            }
            return seen;
        }""",
        TOKENS,
    )
    for (name, text), places in zip(HOSTILE.items(), shown, strict=True):
        assert all(letters(text)[:20] in letters(place) for place in places), name
    assert_nothing_ran(page)


@pytest.mark.parametrize(
    "name", ["script end", "title end", "noscript end", "double quote", "high surrogate alone", "NUL"]
)
def test_a_hostile_title_is_text(open_page, tmp_path, name):
    page = open_page(explorer(["a", HOSTILE[name]], text=HOSTILE[name]).to_html(tmp_path / "page.html").as_uri())
    assert letters(repr(HOSTILE[name][:15])[:-1]) in letters(page.title())
    assert_nothing_ran(page)


def test_hostile_alt_texts_and_pictures_stay_in_their_place(browser):
    """A notebook in which each text stands in a picture, its alt text and its plain text, as nbconvert writes it."""
    cells = []
    for token in TOKENS:
        data, metadata = explorer([token])._repr_mimebundle_()
        data.pop("application/vnd.jupyter.widget-view+json")
        picture, described = plots.png_bundle(*one_letter(token))
        outputs = [
            new_output("display_data", data=data, metadata=metadata),
            new_output("display_data", data=picture, metadata=described),
        ]
        cells.append(new_code_cell("", outputs=outputs))
    notebook = nbformat.from_dict(new_notebook(cells=cells))
    body = HTMLExporter(template_name="basic").from_notebook_node(notebook)[0]

    page = browser.new_page()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    page.set_content(f"<!doctype html><meta charset=utf-8>{sendable(body)}")
    page.wait_for_timeout(300)
    assert page.evaluate("window.stolen === undefined")
    assert asked == []
    alts = page.locator("img").evaluate_all("images => images.map((image) => image.alt)")
    assert len(alts) == 2 * len(TOKENS)
    for (name, token), alt in zip(HOSTILE.items(), alts[1::2], strict=True):
        assert letters(token)[:20] in letters(alt), name
    page.close()


def sendable(text):
    """The text as a file can hold it."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def one_letter(token):
    """A small figure, and the token as its alt text."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.3, 0.3))
    figure.text(0, 0, plots.drawable(token[:50]), parse_math=False)
    return figure, f"picture of {token}"


def test_the_corpus_is_dangerous_where_nobody_takes_care(browser):
    """Put into a page as HTML, these texts do run: the tests above would notice."""
    page = browser.new_page()
    asked = []
    page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    ran = 0
    for token in TOKENS:
        if "refresh" in token:  # takes the page away
            continue
        page.set_content(f"<!doctype html><p>{sendable(token)}</p>")
        ran += page.evaluate("() => { const ran = window.stolen; delete window.stolen; return ran ? 1 : 0; }")
    page.close()
    assert ran > 15, PROOF
    assert sum(url.startswith(ELSEWHERE) for url in asked) > 3
