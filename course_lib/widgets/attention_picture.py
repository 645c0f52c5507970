"""The explorer's static picture: all heads on the left, one on the right, drawn without matplotlib.

A figure by matplotlib takes half a second, and the picture is made whenever an explorer is shown, before the page can
paint anything. Pillow draws the same in a few hundredths.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from course_lib import plots
from course_lib.plots.fonts import SUBSET, drawable
from course_lib.plots.theme import BACKGROUND, COLORS, GREY, SHOWN_DPI, STORED_DPI

SCALE = STORED_DPI / SHOWN_DPI  # stored pixels for each pixel as shown
SIZE = (880, 430)  # as shown
INK = COLORS["black"]
NO_NUMBER = (128, 128, 128)


@dataclass(frozen=True)
class Tiles:
    """The overview: uint8 thumbnails, and the one with the frame.

    Attributes:
        atlas: (layers, heads, rows, columns), where 255 is NaN.
        layer, head: the head that the focus shows.
    """

    atlas: NDArray[np.uint8]
    layer: int
    head: int


@dataclass(frozen=True)
class Focus:
    """One head at full size.

    Attributes:
        levels: (query, key) in 0…1 on the colour map; NaN is grey.
        queries, keys: tokens for the axes.
        title: what it is.
        ticks: (place on the colour bar in 0…1, its text).
        scale: what the colour bar measures.
        signed: whether 0.5 means zero, on a map from blue to red.
    """

    levels: NDArray[np.floating[Any]]
    queries: Sequence[str]
    keys: Sequence[str]
    title: str
    ticks: Sequence[tuple[float, str]]
    scale: str
    signed: bool = False


def draw(tiles: Tiles, focus: Focus) -> Image.Image:
    """The whole picture."""
    canvas = Canvas()
    draw_overview(canvas, tiles, focus.signed)
    draw_focus(canvas, focus)
    return canvas.image


def bundle(image: Image.Image, alt: str) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The picture as a notebook output: (data, metadata), like `plots.png_bundle`."""
    buffer = io.BytesIO()
    reduced = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    reduced.save(buffer, format="png", compress_level=4)  # a third of the usual level's time, for 3 % more bytes
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode("ascii"), "text/plain": alt}
    size = dict(zip(("width", "height"), SIZE, strict=True))
    return data, {"image/png": {"alt": alt, **size}}


class Canvas:
    """A picture in shown pixels: what is drawn on it is scaled to the stored ones."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", tuple(round(side * SCALE) for side in SIZE), BACKGROUND)
        self.pen = ImageDraw.Draw(self.image)

    def paste(self, pixels: NDArray[np.uint8], box: tuple[float, float, float, float]) -> None:
        """Colours (rows, columns, 3) stretched to (left, top, width, height); every cell stays a rectangle."""
        left, top, width, height = (round(side * SCALE) for side in box)
        picture = Image.fromarray(pixels)
        larger = pixels.shape[0] > height or pixels.shape[1] > width
        self.image.paste(picture.resize((width, height), Image.Resampling.BOX if larger else Image.Resampling.NEAREST),
                         (left, top))  # fmt: skip

    def frame(self, left: float, top: float, width: float, height: float, color: str) -> None:
        """A rectangle around a place."""
        corners = [left * SCALE, top * SCALE, (left + width) * SCALE, (top + height) * SCALE]
        self.pen.rectangle(corners, outline=color, width=round(2 * SCALE))

    def text(self, x: float, y: float, text: str, *, size: float = 12, color: str = GREY, anchor: str = "mm") -> None:
        """A line of text; `anchor` is Pillow's: l, m or r across, and m for the middle of the line."""
        runs = runs_of(drawable(text), size)
        width = sum(font.getlength(part) for part, font in runs)
        at = x * SCALE - {"l": 0, "m": width / 2, "r": width}[anchor[0]]
        for part, font in runs:
            self.pen.text((at, y * SCALE), part, fill=color, font=font, anchor="l" + anchor[1])
            at += font.getlength(part)

    def upright(self, x: float, bottom: float, text: str, *, size: float, color: str = GREY) -> None:
        """A line of text that reads upwards from (x, bottom)."""
        runs = runs_of(drawable(text), size)
        width, height = int(sum(font.getlength(part) for part, font in runs)) + 2, round(size * SCALE * 1.4)
        if width <= 2:
            return
        strip = Image.new("RGB", (width, height), BACKGROUND)
        pen, at = ImageDraw.Draw(strip), 0.0
        for part, font in runs:
            pen.text((at, height / 2), part, fill=color, font=font, anchor="lm")
            at += font.getlength(part)
        turned = strip.rotate(90, expand=True)
        self.image.paste(turned, (round(x * SCALE - height / 2), round(bottom * SCALE - width)))


@cache
def font_file(chinese: bool) -> str:
    """The file of the pictures' two fonts."""
    return str(SUBSET if chinese else Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def font(chinese: bool, size: float) -> ImageFont.FreeTypeFont:
    """One of the two fonts at a size in shown pixels."""
    return ImageFont.truetype(font_file(chinese), round(size * SCALE), layout_engine=ImageFont.Layout.BASIC)


@cache
def glyphs(chinese: bool) -> frozenset[int]:
    """The code points that the font can draw."""
    return frozenset(FT2Font(font_file(chinese)).get_charmap())


def runs_of(text: str, size: float) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """The text in pieces, each with a font that has its characters."""
    pieces: list[tuple[str, bool]] = []
    for char in text:
        chinese = ord(char) not in glyphs(False) and ord(char) in glyphs(True)
        if pieces and pieces[-1][1] == chinese:
            pieces[-1] = (pieces[-1][0] + char, chinese)
        else:
            pieces.append((char, chinese))
    return [(piece, font(chinese, size)) for piece, chinese in pieces]


def colored(levels: NDArray[Any], signed: bool) -> NDArray[np.uint8]:
    """Levels 0…1 as colours (…, 3): cividis, or blue – white – red; what is not a number is grey."""
    table = signed_colors() if signed else cividis_colors()
    fine = np.isfinite(levels)
    pixels = table[np.round(255 * np.clip(np.where(fine, levels, 0), 0, 1)).astype(np.uint8)]
    pixels[~fine] = NO_NUMBER
    return pixels


@cache
def cividis_colors() -> NDArray[np.uint8]:
    """The 256 colours of the map."""
    return np.round(255 * matplotlib.colormaps[plots.HEATMAP](np.arange(256))[:, :3]).astype(np.uint8)


@cache
def signed_colors() -> NDArray[np.uint8]:
    """256 colours from blue through white to red."""
    return np.round(255 * matplotlib.colormaps["RdBu_r"](np.arange(256))[:, :3]).astype(np.uint8)


def draw_overview(canvas: Canvas, tiles: Tiles, signed: bool) -> None:
    """Layers downwards, heads across, the focused one in a frame."""
    layers, heads = tiles.atlas.shape[:2]
    left, top, room = 40.0, 48.0, (350.0, 350.0)
    pitch = min(room[0] / heads, room[1] / layers, 120.0)
    gap = max(1.0, pitch / 12)
    pixels = colored(np.where(tiles.atlas == 255, np.nan, tiles.atlas / 254), signed)
    for layer in range(layers):
        canvas.text(left - 10, top + (layer + 0.45) * pitch, str(layer), size=min(12.0, max(7.0, pitch)), anchor="rm")
        for head in range(heads):
            box = (left + head * pitch, top + layer * pitch, pitch - gap, pitch - gap)
            canvas.paste(pixels[layer, head], box)
    for head in range(heads):
        canvas.text(left + (head + 0.45) * pitch, top - 10, str(head), size=min(12.0, max(7.0, pitch * 0.7)))
    size = f"{layers} layer{'s' * (layers != 1)} ↓  ×  {heads} head{'s' * (heads != 1)} →"
    canvas.text(left, top - 30, size, size=13, color=INK, anchor="lm")
    canvas.frame(left + tiles.head * pitch - 1.5, top + tiles.layer * pitch - 1.5, pitch - gap + 3, pitch - gap + 3,
                 COLORS["red"])  # fmt: skip


def draw_focus(canvas: Canvas, focus: Focus) -> None:
    """The head with its tokens, and the colour bar with what it measures."""
    queries, keys = focus.levels.shape
    labelled = max(queries, keys) <= 48
    left, top, side = 505.0, 92.0, 300.0
    cell = min(side / queries, side / keys)
    width, height = keys * cell, queries * cell
    canvas.text(430, 18, focus.title, size=13, color=INK, anchor="lm")
    canvas.paste(colored(focus.levels, focus.signed), (left, top, width, height))
    if labelled:
        size = min(12.0, max(6.0, cell - 1))
        for row, token in enumerate(focus.queries):
            canvas.text(left - 5, top + (row + 0.5) * cell, token, size=size, anchor="rm")
        for column, token in enumerate(focus.keys):
            canvas.upright(left + (column + 0.5) * cell, top - 4, token, size=size)
    else:
        canvas.text(left - 5, top + 6, "0", anchor="rm")
        canvas.text(left - 5, top + height - 6, str(queries - 1), anchor="rm")
        canvas.text(left, top - 10, "0", anchor="lm")
        canvas.text(left + width, top - 10, str(keys - 1), anchor="rm")
        canvas.text(left + width / 2, top - 10, "key →", size=11)
        canvas.text(left - 5, top + height / 2, "query ↓", size=11, anchor="rm")
    bar = colored(np.linspace(1, 0, 256)[:, None], focus.signed)
    canvas.paste(bar, (818, top, 12, side))
    for place, text in focus.ticks:
        canvas.text(835, top + (1 - place) * side, text, size=11, anchor="lm")
    canvas.text(870, top + side + 16, focus.scale, size=11, anchor="rm")
