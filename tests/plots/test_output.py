import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from course_lib.plots import COLORS, output, png_bundle, show, style, to_png


@pytest.fixture
def displayed(monkeypatch):
    calls = []
    monkeypatch.setattr(output, "display", lambda data, metadata=None, raw=False: calls.append((data, metadata)))
    return calls


def line():
    style()
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], label="我")
    axes.legend()
    return figure


def test_the_same_figure_gives_the_same_bytes_and_no_metadata():
    first, second = line(), line()
    assert to_png(first) == to_png(second)
    assert set(Image.open(io.BytesIO(to_png(first))).info) <= {"dpi"}
    plt.close("all")


def test_a_busy_picture_is_stored_with_a_palette_and_still_looks_the_same():
    style()
    figure, axes = plt.subplots()
    axes.imshow(np.random.default_rng(0).random((200, 200)))
    busy = to_png(figure)
    assert Image.open(io.BytesIO(busy)).mode == "P"
    shown = np.asarray(Image.open(io.BytesIO(busy)).convert("RGB"), dtype=int)
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=output.STORED_DPI, bbox_inches="tight", pad_inches=0.08)
    exact_pixels = np.asarray(Image.open(full).convert("RGB"), dtype=int)
    assert len(busy) < len(full.getvalue())
    assert np.abs(shown - exact_pixels).mean() < 4
    plt.close("all")


def test_show_puts_the_picture_with_alt_text_then_its_caption_and_closes(displayed):
    figure = line()
    show(figure, "The line *rises*.", 'A line from 1 to 3, "steep" <b>')
    (picture, metadata), (caption, _) = displayed
    assert picture["text/plain"] == metadata["image/png"]["alt"] == 'A line from 1 to 3, "steep" <b>'
    png = Image.open(io.BytesIO(base64.b64decode(picture["image/png"])))
    assert metadata["image/png"]["width"] == round(png.width / 1.5)
    assert caption["text/markdown"].startswith("*The line *rises*.*<span")
    assert 'aria-label="A line from 1 to 3, &quot;steep&quot; &lt;b&gt;"' in caption["text/markdown"]
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize(("caption", "alt", "message"), [(" ", "a", "needs a caption"), ("c", "", "needs alt text")])
def test_a_picture_without_words_is_refused(displayed, caption, alt, message):
    with pytest.raises(ValueError, match=message):
        show(line(), caption, alt)
    assert displayed == []
    plt.close("all")


def test_the_background_is_opaque_so_that_a_dark_page_does_not_shine_through():
    pixels = Image.open(io.BytesIO(png_bundle_png(line()))).convert("RGBA")
    assert pixels.getpixel((2, 2)) == (252, 252, 250, 255)
    plt.close("all")


def png_bundle_png(figure):
    return base64.b64decode(png_bundle(figure, "alt")[0]["image/png"])


def test_the_colours_are_told_apart_in_grey_and_by_eyes_without_red_or_green():
    """Distance in a simulation of deuteranopia (Viénot, Brettel & Mollon 1999), for the first four colours."""
    to_deuteranope = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    rgb = [np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for code in list(COLORS.values())[:4]]
    seen = [to_deuteranope @ color**2.2 for color in rgb]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.1
