"""The clocks' page: what Python sent is what is said, sliders work by keyboard, new numbers are drawn."""

import base64

import numpy as np
import pytest

from course_lib.nn.positions import sinusoidal_encoding
from course_lib.widgets.clock_explorer import ClockExplorer
from tests.browser.front_end import in_a_front_end

pytestmark = pytest.mark.browser


def encoded(data):
    return base64.b64encode(data).decode("ascii")


@pytest.fixture(params=["light", "dark"])
def page(open_page, request):
    widget = ClockExplorer(sinusoidal_encoding, d_model=8, length=40)
    opened = in_a_front_end(open_page, widget, scheme=request.param)
    opened.wait_for_selector(".course-widget .course-note")
    return opened


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
