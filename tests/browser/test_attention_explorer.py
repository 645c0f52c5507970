"""The attention explorer in a real browser, without Jupyter: its own page, and driven by a stand-in kernel."""

import base64
import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from course_lib.interpret.reading import Predictions, Reading, View
from course_lib.widgets import AttentionExplorer
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"
DARK_BLUE, YELLOW = [0, 34, 78], [254, 232, 56]  # the two ends of cividis
TOKENS = ["我", " cat", HOSTILE, "."]


def known_weights():
    """Layer 0: every token looks at itself. Layer 1: head 0 looks at the first token, head 1 at all alike."""
    itself, first = np.eye(4), np.tile(np.eye(4)[0], (4, 1))
    even = np.full((4, 4), 0.25)
    return [np.stack([itself, itself]), np.stack([first, even])]


def known_explorer(**more):
    return AttentionExplorer(known_weights(), TOKENS, **more)


def long_explorer(count, layers=2, heads=2):
    scores = np.random.default_rng(0).normal(size=(layers, heads, count, count)) * 2
    weights = np.exp(scores) * np.tril(np.ones((count, count)))
    return AttentionExplorer(list(weights / weights.sum(-1, keepdims=True)), [f" w{i}" for i in range(count)])


class Kernel:
    """Answers a page as the kernel would: tells the widget what the page sets, and the page what the widget sends."""

    SENT = (
        "contents", "atlas", "focus", "focus_of", "status", "text", "other_text", "decoder_text", "causal", "ablated",
        "view", "layer", "head", "query", "key", "shown",
    )  # fmt: skip

    def __init__(self, page, widget):
        self.page, self.widget, self.done = page, widget, 0
        self.silent = False
        widget.observe(self._answer, "answer")

    def _answer(self, change):
        text = base64.b64encode(self.widget.answer_bytes).decode()
        self.page.evaluate("text => { state.answer_bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0)) }", text)
        self.page.evaluate("answer => changed('answer', answer)", change["new"])

    def work(self):
        """Do what the page asked for since last time, and send back every trait that changed."""
        sent = self.page.evaluate("sent")
        fresh, self.done = sent[self.done :], len(sent)
        before = {name: getattr(self.widget, name) for name in self.SENT}
        for name, value in fresh:
            setattr(self.widget, name, value)
        after = {name: getattr(self.widget, name) for name in self.SENT}
        news = {name: value for name, value in after.items() if value != before[name]}
        for name in ("atlas", "focus"):
            if name in news:
                text = base64.b64encode(news.pop(name)).decode()
                self.page.evaluate(
                    "([n, t]) => { state[n] = Uint8Array.from(atob(t), c => c.charCodeAt(0)) }", [name, text]
                )
        order = sorted(news, key=lambda name: name != "focus_of")
        self.page.evaluate(
            "news => { for (const [n, v] of news) changed(n, v); }", [[name, news[name]] for name in order]
        )
        self.page.evaluate("() => new Promise(requestAnimationFrame)")
        return [name for name, _ in fresh]


def role(page, name):
    return page.locator(f'[data-role="{name}"]')


def own_page(open_page, widget, tmp_path):
    return open_page(widget.to_html(tmp_path / "page.html").as_uri())


def settled(page):
    """Wait until the head that was chosen is drawn: a page of its own unpacks it first."""
    page.wait_for_selector('.explorer-stage[data-waiting="false"]')
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def cell_colour(page, row, column):
    """The colour in the middle of a cell of the focused head."""
    settled(page)
    return page.evaluate(
        """([row, column]) => {
            const canvas = document.querySelector('[data-role="focus"]');
            const box = JSON.parse(canvas.dataset.geometry);
            const x = box.left + (column - box.column + 0.5) * box.cell[1];
            const y = box.top + (row - box.row + 0.5) * box.cell[0];
            const scale = canvas.width / canvas.clientWidth;
            return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data].slice(0, 3);
        }""",
        [row, column],
    )


def tile_colour(page, layer, head, across, down):
    """The colour at a share of a thumbnail."""
    return page.evaluate(
        """([layer, head, across, down]) => {
            const canvas = document.querySelector('[data-role="atlas"]');
            const { left, top, pitch, step, tile } = JSON.parse(canvas.dataset.geometry);
            const scale = canvas.width / canvas.clientWidth;
            const [x, y] = [left + head * pitch + across * tile, top + layer * step + down * tile];
            return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data].slice(0, 3);
        }""",
        [layer, head, across, down],
    )


def click_head(page, layer, head, **more):
    geometry = json.loads(role(page, "atlas").get_attribute("data-geometry"))
    x = geometry["left"] + head * geometry["pitch"] + geometry["tile"] / 2
    y = geometry["top"] + layer * geometry["step"] + geometry["tile"] / 2
    role(page, "atlas").click(position={"x": x, "y": y}, **more)


def at_cell(page, row, column):
    box = json.loads(role(page, "focus").get_attribute("data-geometry"))
    return {
        "x": box["left"] + (column - box["column"] + 0.5) * box["cell"][1],
        "y": box["top"] + (row - box["row"] + 0.5) * box["cell"][0],
    }


def said(page):
    settled(page)
    return role(page, "cell").text_content()


def beginning(text):
    return re.compile("^" + re.escape(text))


# -------------------------------------------------------------------- pictures and numbers
@pytest.mark.parametrize("colab", [False, True], ids=["DataView", "Uint8Array"])
def test_a_known_matrix_has_the_right_pixels(open_page, colab):
    page = in_a_front_end(open_page, known_explorer(), colab=colab)
    assert tile_colour(page, 0, 0, 0.125, 0.125) == YELLOW  # the first cell of the diagonal
    assert tile_colour(page, 0, 0, 0.875, 0.125) != YELLOW
    assert tile_colour(page, 1, 0, 0.125, 0.875) == YELLOW  # the first column
    assert cell_colour(page, 1, 1) == YELLOW
    assert cell_colour(page, 2, 1) == DARK_BLUE


def test_a_page_of_its_own_shows_every_head(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    click_head(page, 1, 1)
    expect(role(page, "focus-title")).to_have_text("Layer 1, head 1")
    assert "weight 0.2500, rank 1 of 4" in said(page)
    assert cell_colour(page, 0, 3) == cell_colour(page, 3, 0)


def test_hovering_gives_the_number_under_the_pointer_and_leaving_the_chosen_cell(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    before = said(page)
    role(page, "overlay").hover(position=at_cell(page, 2, 2))
    shown = HOSTILE.replace(" ", "␣")
    assert said(page) == f"“{shown}” (2) looks at “{shown}” (2), itself: weight 1.0000, rank 1 of 4"
    page.mouse.move(1, 1)
    assert said(page) == before


def test_a_masked_cell_is_called_masked(open_page, tmp_path):
    page = own_page(open_page, long_explorer(6), tmp_path)
    role(page, "overlay").hover(position=at_cell(page, 0, 3))
    assert said(page).endswith("3 ahead: masked, it may not look there")
    assert cell_colour(page, 0, 3) not in (YELLOW, DARK_BLUE)
    expect(role(page, "bar-text")).to_contain_text("blank: masked")


def test_raw_scores_are_given_and_minus_infinity_is_a_mask(open_page, tmp_path):
    scores = [np.where(layer > 0, np.log(np.maximum(layer, 1e-9)) + 3, -np.inf) for layer in known_weights()]
    page = own_page(open_page, known_explorer(scores=scores), tmp_path)
    click_head(page, 1, 1)
    settled(page)
    page.wait_for_timeout(500)  # raw scores are unpacked after the weights
    role(page, "overlay").hover(position=at_cell(page, 1, 2))
    assert said(page).endswith("weight 0.2500, rank 1 of 4, score 1.6133")
    click_head(page, 1, 0)
    settled(page)
    page.wait_for_timeout(500)
    role(page, "overlay").hover(position=at_cell(page, 1, 2))
    assert said(page).endswith("masked, it may not look there")


def test_the_strongest_of_raw_scores_are_the_highest_not_the_farthest_from_zero(open_page, tmp_path):
    scores = np.tile(np.array([-5.0, 2, -1, 0.5], dtype=np.float32), (1, 4, 1))
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    page = own_page(open_page, AttentionExplorer([weights], list("abcd"), scores=[scores]), tmp_path)
    role(page, "kind").select_option("scores")
    settled(page)
    rows = role(page, "table").locator("tbody tr")
    keys = [rows.nth(n).locator("td").all_text_contents()[2] for n in range(rows.count())]
    assert keys == ["b (1)", "d (3)", "c (2)", "a (0)"]
    role(page, "overlay").hover(position=at_cell(page, 3, 0))
    assert "score −5.0000, rank 4 of 4" in said(page)


def test_the_strongest_links_stand_in_a_table(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    rows = role(page, "table").locator("tbody tr")
    expect(rows).to_have_count(1)
    click_head(page, 1, 1)
    expect(rows).to_have_count(4)
    role(page, "top-k").fill("2")
    expect(rows).to_have_count(2)
    assert rows.first.locator("td").all_text_contents()[2:] == ["我 (0)", "0.2500", "3 back"]
    role(page, "links").select_option("head")
    click_head(page, 0, 0)
    expect(role(page, "table").locator("caption")).to_have_text("Strongest links of layer 0, head 0")
    rows.first.click()
    assert said(page).startswith("“我” (0) looks at “我” (0), itself")


def test_a_hostile_token_is_text(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    role(page, "overlay").hover(position=at_cell(page, 2, 2))
    said(page)
    expect(role(page, "table")).to_contain_text(HOSTILE.replace(" ", "␣")[:20])
    assert page.locator("img").count() == 0


# -------------------------------------------------------------------- colours
def test_the_colour_bar_says_what_the_colours_mean(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    click_head(page, 1, 1)
    root = cell_colour(page, 1, 0)
    expect(role(page, "bar-text")).to_have_text(beginning("weight, √ scale, the same for all heads"))
    role(page, "scale").select_option("linear")
    assert sum(cell_colour(page, 1, 0)) < sum(root)  # √0.25 is brighter than 0.25
    role(page, "scale").select_option("log")
    assert sum(cell_colour(page, 1, 0)) > sum(root)
    expect(role(page, "bar-text")).to_contain_text("log scale over four decades")
    role(page, "range").select_option("row")
    assert cell_colour(page, 1, 0) == YELLOW  # the largest of its row
    expect(role(page, "bar-text")).to_contain_text("of each row’s largest")


def test_what_is_no_number_and_what_does_not_add_up_is_marked(open_page, tmp_path):
    weights = known_weights()
    weights[0][0, 1] = [np.nan, 0.5, 0, 0]
    weights[0][0, 2] = [0.7, 0, 0.7, 0]
    page = own_page(open_page, AttentionExplorer(weights, TOKENS), tmp_path)
    assert cell_colour(page, 1, 0) == [128, 128, 128]
    assert cell_colour(page, 1, 1) not in ([128, 128, 128], DARK_BLUE)
    notes = role(page, "notes").text_content()
    assert "1 weight is not a number" in notes and "1 row does not add to 1" in notes
    expect(role(page, "bar-text")).to_contain_text("grey: not a number; ◀ rows that do not add to 1: 2")
    role(page, "overlay").hover(position=at_cell(page, 2, 0))
    assert said(page).endswith("this row adds to 1.4004, not 1")


# -------------------------------------------------------------------- which tokens, which heads
def test_words_are_merged_and_special_tokens_hidden_in_words(open_page, tmp_path):
    weights = np.array(
        [[[1, 0, 0, 0], [0.5, 0.125, 0.375, 0], [0.5, 0.25, 0.25, 0], [0.25, 0.25, 0.25, 0.25]]], dtype=np.float32
    )
    tokens = ("⊢", " un", "able", " .")
    view = View((weights,), tokens, tokens, query_special=(True,) + (False,) * 3, key_special=(True,) + (False,) * 3,
                query_words=(0, 1, 1, 2), key_words=(0, 1, 1, 2), causal=True)  # fmt: skip
    page = own_page(open_page, AttentionExplorer(Reading({"self": view}, "unable .")), tmp_path)
    role(page, "words").check()
    role(page, "overlay").hover(position=at_cell(page, 1, 1))
    assert said(page) == "“␣unable” (1–2) looks at “␣unable” (1–2), itself: weight 0.5000, rank 1 of 2"
    role(page, "special").check()
    role(page, "overlay").hover(position=at_cell(page, 1, 0))
    assert "weight 0.6667, rank 1 of 2" in said(page)  # (0.25 + 0.25) of 0.75
    text = role(page, "bar-text").text_content()
    assert "without 1 special token; rows renormalised; words: summed over keys, averaged over queries" in text


def test_sinks_are_hidden_and_named(open_page, tmp_path):
    weights = np.tile([0.8, 0.1, 0.1], (1, 3, 1))
    page = own_page(open_page, AttentionExplorer([weights], ["⊢", "a", "b"]), tmp_path)
    role(page, "sinks").check()
    expect(role(page, "bar-text")).to_contain_text("without “⊢” (0), which got 80 %; rows renormalised")
    assert "weight 0.5000, rank 1 of 2" in said(page)


def test_heads_taken_together_are_worked_out_in_the_page(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    click_head(page, 1, 1)
    role(page, "combine").select_option("mean")
    role(page, "overlay").hover(position=at_cell(page, 2, 0))
    assert "weight 0.6250" in said(page)
    expect(role(page, "focus-title")).to_have_text("Layer 1, mean over heads")
    role(page, "combine").select_option("max")
    role(page, "overlay").hover(position=at_cell(page, 2, 0))
    assert "weight 1.0000" in said(page)
    role(page, "combine").select_option("rollout")
    role(page, "overlay").hover(position=at_cell(page, 2, 0))
    assert "weight 0.3125" in said(page)  # half of the mean; the layer below only looks at itself


def test_weights_times_value_norms_are_coloured_and_said(open_page, tmp_path):
    norms = np.ones((2, 2, 4), dtype=np.float32)
    norms[0, 0] = [1, 2, 4, 0]
    weights = tuple(layer.astype(np.float32) for layer in known_weights())
    view = View(weights, tuple(TOKENS), tuple(TOKENS), value_norms=norms)
    page = own_page(open_page, AttentionExplorer(Reading({"self": view}, "t")), tmp_path)
    role(page, "kind").select_option("values")
    assert cell_colour(page, 2, 2) == YELLOW  # the longest vector of all
    assert cell_colour(page, 3, 3) == DARK_BLUE  # all the weight, on a vector of length 0
    assert DARK_BLUE < cell_colour(page, 0, 0) < cell_colour(page, 1, 1) < YELLOW
    role(page, "overlay").hover(position=at_cell(page, 1, 1))
    assert "weight · ‖v‖ 2.0000, rank 1 of 4" in said(page)


def test_heads_are_ordered_by_a_measure(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    role(page, "atlas-order").select_option("entropy")
    click_head(page, 0, 0)  # the first in the new order
    expect(role(page, "focus-title")).to_have_text("Layer 1, head 1")
    expect(role(page, "atlas-said")).to_have_text("Layer 1, head 1 · entropy 1.39 nats")


def test_a_difference_has_two_colours_and_can_be_taken_apart(open_page, tmp_path):
    other = known_weights()
    other[0][0, 3] = [0.5, 0, 0, 0.5]
    first, second = known_explorer(), AttentionExplorer(other, TOKENS)
    page = own_page(open_page, AttentionExplorer.compare(first, second, names=("old", "new")), tmp_path)
    expect(role(page, "focus-title")).to_have_text("Layer 0, head 0: new − old")
    red, blue = cell_colour(page, 3, 0), cell_colour(page, 3, 3)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50
    role(page, "overlay").hover(position=at_cell(page, 3, 3))
    assert "difference −0.5000" in said(page)
    role(page, "shown").select_option("b")
    assert "weight 0.5000" in said(page)
    role(page, "shown").select_option("difference")
    role(page, "atlas-order").select_option("change")
    expect(role(page, "atlas-said")).to_have_text("Layer 0, head 0 · largest change 0.50")


def test_three_views_of_different_depth_and_grouped_heads(open_page, tmp_path):
    square, cross = np.full((4, 2, 2), 0.5), np.full((4, 3, 2), 0.5)
    source, target = ("a", "b"), ("x", "y", "z")
    views = {
        "encoder": View((square,) * 3, source, source, kv_heads=2),
        "cross": View((cross,) * 1, target, source),
    }
    page = own_page(open_page, AttentionExplorer(Reading(views, "ab")), tmp_path)
    click_head(page, 2, 3)
    expect(role(page, "focus-title")).to_have_text("Encoder, layer 2, head 3, KV group 1")
    role(page, "view").select_option("cross")
    expect(role(page, "focus-title")).to_have_text("Cross, layer 0, head 3")
    assert said(page).startswith("“y” (1) looks at “a” (0): weight 0.5000")


# -------------------------------------------------------------------- keyboard
def test_the_keyboard_does_what_the_mouse_does_and_says_it(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    live = page.locator(".course-live")
    role(page, "atlas").focus()
    page.keyboard.press("ArrowDown")
    expect(role(page, "focus-title")).to_have_text("Layer 1, head 0")
    expect(live).to_have_text(beginning("Layer 1, head 0. “.” (3) looks at"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # there is nothing above the first layer
    expect(role(page, "focus-title")).to_have_text("Layer 0, head 0")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(live).to_have_text(beginning(f"“{HOSTILE.replace(' ', '␣')}” (2) looks at “我” (0), 2 back"))
    page.keyboard.press("m")
    expect(live).to_contain_text("itself: weight 1.0000")
    page.keyboard.press("l")
    page.keyboard.press("h")
    expect(role(page, "focus-title")).to_have_text("Layer 1, head 1")
    page.keyboard.press("p")
    expect(role(page, "pin")).to_have_count(1)
    page.keyboard.press("p")
    expect(role(page, "pin")).to_have_count(0)


def test_each_picture_is_one_stop_of_the_tab_key(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    stops = page.evaluate(
        "[...document.querySelectorAll('.explorer [tabindex=\"0\"]')].map((node) => node.dataset.role)"
    )
    assert stops == ["atlas", "overlay", "strip"]


def test_pins_bring_back_their_cell(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    click_head(page, 1, 1)
    role(page, "overlay").click(position=at_cell(page, 2, 1))
    role(page, "pin-button").click()
    click_head(page, 0, 0)
    role(page, "overlay").click(position=at_cell(page, 0, 0))
    role(page, "pin").locator("button").first.click()
    expect(role(page, "focus-title")).to_have_text("Layer 1, head 1")
    assert "(2) looks at “␣cat” (1)" in said(page)
    role(page, "pin").locator("button").last.click()
    expect(role(page, "pin")).to_have_count(0)


# -------------------------------------------------------------------- a long text
def test_a_long_text_stays_light_and_every_cell_can_be_reached(open_page):
    page = in_a_front_end(open_page, long_explorer(512))
    assert page.evaluate("document.querySelectorAll('.course-widget *').length") <= 600
    expect(role(page, "bar-text")).to_contain_text("each dot shows the largest of")
    for _ in range(5):
        role(page, "zoom-in").click()
    box = json.loads(role(page, "focus").get_attribute("data-geometry"))
    assert box["rows"] == 16 and box["row"] <= 511 < box["row"] + 16
    role(page, "overlay").focus()
    page.keyboard.press("PageUp")
    assert "“␣w501” (501) looks at" in said(page)


def test_hovering_moves_no_element_and_takes_less_than_a_frame(open_page):
    """The processor's time is measured, not the clock's: other tests may run beside this one."""
    page = in_a_front_end(open_page, long_explorer(512))
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    before = busy()
    page.evaluate(
        """async () => {
            const overlay = document.querySelector('[data-role="overlay"]');
            const { left, top } = overlay.getBoundingClientRect();
            const height = document.querySelector(".course-widget").offsetHeight;
            for (let i = 0; i < 60; i += 1) {
                const at = { clientX: left + 80 + i, clientY: top + 120 + 2 * i, bubbles: true };
                overlay.dispatchEvent(new PointerEvent("pointermove", at));
                await new Promise(requestAnimationFrame);
                if (document.querySelector(".course-widget").offsetHeight !== height) throw new Error("it moved");
            }
        }"""
    )
    assert (busy() - before) / 60 <= 0.016


# -------------------------------------------------------------------- with a kernel
def test_a_head_comes_from_the_kernel_and_then_from_the_cache(open_page):
    page = in_a_front_end(open_page, long_explorer(64))
    kernel = Kernel(page, long_explorer(64))
    click_head(page, 1, 1)
    assert page.locator(".explorer-stage").get_attribute("data-waiting") == "true"
    expect(role(page, "status")).to_contain_text("Fetching this head")
    assert {"layer", "head", "wanted"} <= set(kernel.work())
    assert page.locator(".explorer-stage").get_attribute("data-waiting") == "false"
    weight = float(kernel.widget.matrix(layer=1, head=1)[63].max())
    role(page, "overlay").focus()
    page.keyboard.press("m")
    assert f"weight {weight:.3f}" in said(page)
    page.wait_for_timeout(250)
    kernel.work()  # its neighbours
    click_head(page, 0, 1)
    assert page.locator(".explorer-stage").get_attribute("data-waiting") == "false"


def test_only_the_newest_head_is_asked_for_next(open_page):
    page = in_a_front_end(open_page, long_explorer(64, layers=4, heads=4))
    kernel = Kernel(page, long_explorer(64, layers=4, heads=4))
    page.wait_for_timeout(250)
    kernel.work()  # what the page asks for when it rests
    for layer, head in ((1, 1), (2, 2), (3, 3)):
        click_head(page, layer, head)

    def wanted():
        return [value["names"][-1][3:5] for name, value in page.evaluate("sent")[rested:] if name == "wanted"]

    rested = kernel.done
    assert wanted() == [[1, 1]]  # the first is under way, the others wait
    kernel.work()
    assert wanted() == [[1, 1], [3, 3]]


def test_a_request_that_the_front_end_swallowed_is_made_again_with_the_next(open_page):
    page = in_a_front_end(open_page, long_explorer(64, layers=4, heads=4))
    click_head(page, 1, 1)
    page.wait_for_timeout(250)
    click_head(page, 2, 2)
    wanted = [value for name, value in page.evaluate("sent") if name == "wanted"][-1]
    assert [1, "a", "self", 1, 1, "", "weights"] in wanted["names"]
    assert sorted(wanted["numbers"]) == wanted["numbers"] and len(wanted["names"]) == len(wanted["numbers"])


def test_python_moves_the_page(open_page):
    page = in_a_front_end(open_page, known_explorer())
    page.evaluate("changed('query', 1); changed('key', 1)")
    assert said(page).startswith("“␣cat” (1) looks at “␣cat” (1)")
    page.evaluate("changed('pins', [[0, 0, 1, 1]])")
    expect(role(page, "pin")).to_have_count(1)


def test_a_large_page_has_rounded_numbers_and_says_so(open_page, tmp_path, monkeypatch):
    scores = 2 * np.random.default_rng(0).normal(size=(2, 2, 64, 64)).astype(np.float32)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    tokens = [f"w{i}" for i in range(64)]
    explorer = AttentionExplorer(list(weights), tokens, scores=list(scores))
    monkeypatch.setattr("course_lib.widgets.attention_explorer.LARGEST_PAGE", 30_000)
    path = explorer.to_html(tmp_path / "page.html")
    page = open_page(path.as_uri())
    expect(role(page, "notes")).to_contain_text("right to about 0.004")
    assert "raw scores" not in role(page, "kind").text_content()
    click_head(page, 1, 1)
    role(page, "overlay").focus()
    page.keyboard.press("m")
    shown = float(said(page).split("weight ")[1].split(",")[0])
    assert abs(shown - weights[1, 1, 63].max()) <= 0.004
    assert "rows that do not add to 1" not in role(page, "bar-text").text_content()


class Slow:
    """A reader over letters; the number of its readings is counted."""

    title, context_length, causal = "letters", 64, True

    def __init__(self):
        self.texts = []

    def read(self, text, causal=None, ablated=(), *, decoder_text=None):
        self.texts.append(text)
        if "!" in text:
            raise RuntimeError("the model broke")
        count = len(text)
        weights = np.tril(np.ones((2, count, count)))
        weights = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
        view = View((weights,) * 2, tuple(text), tuple(text), causal=causal is not False)
        p = np.array([[0.7, 0.2, 0.1]]) if not ablated else np.array([[0.2, 0.7, 0.1]])
        return Reading(
            {"self": view}, text, None, Predictions("next", (count - 1,), p, ["x", "y", "z"]), tuple(ablated)
        )


def live_page(open_page):
    reader = Slow()
    widget = AttentionExplorer.from_reader(reader, "abc")
    page = in_a_front_end(open_page, widget)
    return page, Kernel(page, widget), reader


def test_a_text_that_is_typed_is_read_once_it_rests_and_the_newest_wins(open_page):
    page, kernel, reader = live_page(open_page)
    role(page, "text").fill("abcd")
    assert "asked" not in kernel.work()  # still typing
    page.wait_for_timeout(450)
    assert role(page, "status").get_attribute("data-busy") == "true"
    expect(role(page, "status")).to_contain_text("reading")
    for text in ("abcde", "abcdef"):
        role(page, "text").fill(text)
        page.wait_for_timeout(450)
    kernel.work()
    kernel.work()
    assert reader.texts == ["abc", "abcd", "abcdef"]
    assert role(page, "status").get_attribute("data-busy") == "false"
    assert page.evaluate("state.contents.views[0].queries") == list("abcdef")


def test_an_error_of_the_model_stands_in_place_and_the_page_goes_on(open_page):
    page, kernel, _ = live_page(open_page)
    role(page, "text").fill("ab!")
    page.wait_for_timeout(450)
    kernel.work()
    expect(role(page, "trouble")).to_contain_text("the model broke")
    assert page.evaluate("state.contents.views[0].queries") == list("abc")
    role(page, "text").fill("ab")
    page.wait_for_timeout(450)
    kernel.work()
    assert role(page, "trouble").is_hidden()


class Translating(Slow):
    """An encoder–decoder over letters, which writes "uv" for every text where nobody says what its decoder reads."""

    causal = False

    def read(self, text, causal=None, ablated=(), *, decoder_text=None):
        self.texts.append((text, decoder_text))
        source, target = tuple(text), tuple(decoder_text or "uv")

        def even(queries, keys):
            return View((np.full((2, len(queries), len(keys)), 1 / len(keys), np.float32),), queries, keys)

        views = {"encoder": even(source, source), "decoder": even(target, target), "cross": even(target, source)}
        return Reading(views, text, "".join(target))


def test_what_the_decoder_reads_has_a_box_of_its_own(open_page):
    reader = Translating()
    widget = AttentionExplorer.from_reader(reader, "abc")
    page = in_a_front_end(open_page, widget)
    kernel = Kernel(page, widget)
    role(page, "view").select_option("cross")
    kernel.work()
    assert role(page, "decoder-text").is_visible()
    role(page, "decoder-text").fill("xyz")
    page.wait_for_timeout(450)
    kernel.work()
    assert reader.texts == [("abc", None), ("abc", "xyz")]
    views = {view["name"]: view for view in page.evaluate("state.contents.views")}
    assert views["cross"]["queries"] == views["decoder"]["queries"] == list("xyz")
    assert views["cross"]["keys"] == views["encoder"]["queries"] == list("abc")


def test_a_model_without_a_decoder_has_no_box_for_it(open_page):
    page, _, _ = live_page(open_page)
    assert role(page, "text").is_visible() and role(page, "decoder-text").is_hidden()


def test_nothing_turns_for_who_asked_for_less_motion(open_page):
    page, kernel, _ = live_page(open_page)
    role(page, "text").fill("abcd")
    page.wait_for_timeout(450)
    spinner = page.locator(".explorer-status[data-busy=true] .explorer-spinner")
    turning = "node => getComputedStyle(node).animationName"
    assert spinner.evaluate(turning) == "explorer-turn"
    page.emulate_media(reduced_motion="reduce")
    assert spinner.evaluate(turning) == "none" and spinner.is_visible()
    kernel.work()


def test_a_head_is_switched_off_and_what_the_model_predicts_changes(open_page):
    page, kernel, _ = live_page(open_page)
    assert role(page, "predictions").locator("tbody th").all_text_contents() == ["x", "y", "z"]
    role(page, "ablate").click()
    kernel.work()
    expect(role(page, "ablate")).to_have_text("Switch head 0·0 on")
    text = role(page, "predictions").text_content()
    assert "KL(before ‖ after) = 0.6264 nats" in text and "70.0 %" in text and "20.0 %" in text
    click_head(page, 1, 1, modifiers=["Shift"])
    kernel.work()
    assert kernel.widget.ablated == [[0, 0], [1, 1]]
    role(page, "restore").click()
    kernel.work()
    assert kernel.widget.ablated == []


def test_a_head_switched_twice_before_the_model_answers_is_as_it_was(open_page):
    page, kernel, _ = live_page(open_page)
    for _ in range(2):
        click_head(page, 1, 1, modifiers=["Shift"])
    kernel.work()
    assert kernel.widget.ablated == [[1, 1]]
    kernel.work()
    assert kernel.widget.ablated == []


def test_the_causal_mask_is_taken_off_and_put_back(open_page):
    page, kernel, _ = live_page(open_page)
    assert role(page, "causal").is_checked()
    role(page, "causal").uncheck()
    kernel.work()
    assert kernel.widget.causal is False and not kernel.widget.contents["views"][0]["causal"]
    role(page, "causal").check()
    kernel.work()
    assert kernel.widget.causal is None


def test_a_page_without_a_model_says_what_needs_one(open_page, tmp_path):
    page = own_page(open_page, known_explorer(), tmp_path)
    expect(role(page, "needs")).to_contain_text("need a model")
    assert role(page, "text").is_hidden()


def test_a_kernel_that_is_gone_is_said(open_page):
    page = in_a_front_end(open_page, known_explorer())
    page.evaluate("() => { const real = setTimeout; window.setTimeout = (act, wait) => real(act, wait / 50); }")
    click_head(page, 1, 1)
    page.wait_for_timeout(300)  # five seconds' worth, and a little
    expect(role(page, "trouble")).to_contain_text("The kernel does not answer")


def test_it_takes_the_width_of_its_cell(open_page):
    page = in_a_front_end(open_page, known_explorer())
    assert page.locator(".explorer").get_attribute("data-layout") == "wide"
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_selector('.explorer[data-layout="narrow"]')
    assert page.evaluate(
        "document.querySelector('.course-widget').scrollWidth <= document.querySelector('.course-widget').clientWidth"
    )
