"""From a matplotlib figure to a picture in a notebook: PNG bytes that never change, alt text, a caption."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from course_lib.plots.theme import SHOWN_DPI, STORED_DPI

LARGEST_EXACT_PNG = 60_000  # bytes; a larger picture is stored with a palette of 256 colours


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes: the same figure gives the same bytes, with no date and no program name.

    A picture of more than 60 KB is reduced to its 256 best colours, which the eye does not notice in a plot.
    """
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=STORED_DPI,
        bbox_inches="tight",
        pad_inches=0.08,
        metadata={"Software": None},
    )
    if buffer.tell() <= LARGEST_EXACT_PNG:
        return buffer.getvalue()
    reduced = io.BytesIO()
    picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(reduced, format="png", optimize=True)
    return reduced.getvalue()


def png_bundle(figure: Figure, alt: str) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The figure as a notebook output: (data, metadata), with alt text and the size at which to show it."""
    if not alt.strip():
        raise ValueError("A picture needs alt text: say in one sentence what it shows to a reader who cannot see it.")
    png = to_png(figure)
    width, height = Image.open(io.BytesIO(png)).size
    shown = SHOWN_DPI / STORED_DPI
    data = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
    return data, {"image/png": {"alt": alt, "width": round(width * shown), "height": round(height * shown)}}


def show(figure: Figure, caption: str, alt: str) -> None:
    """Put the figure into the cell's output with its caption under it, and close it.

    Args:
        figure: what to show.
        caption: what to see in the picture, in a sentence or two; Markdown.
        alt: the picture in words, for a reader who cannot see it.

    Raises:
        ValueError: when the caption or the alt text is empty.
    """
    if not caption.strip():
        raise ValueError("A picture needs a caption: say in one sentence what to see in it.")
    data, metadata = png_bundle(figure, alt)
    plt.close(figure)
    display(data, metadata=metadata, raw=True)
    # JupyterLab shows a PNG without its alt text; an empty element that carries it tells a screen reader there too.
    spoken = html.escape(" ".join(alt.split()))
    described = f'*{caption}*<span role="img" aria-label="{spoken}"></span>'
    display({"text/markdown": described, "text/plain": caption}, raw=True)
