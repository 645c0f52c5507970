"""Fonts for the pictures: DejaVu Sans, and a subset of Noto Sans SC so that Chinese shows on any machine.

The subset is made from the system's Noto fonts (Debian: fonts-noto-cjk) by

    python -m course_lib.plots.make_font

It holds the Chinese characters that the bundled data and the lessons use, and Chinese punctuation.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FOLDER = Path(__file__).parent / "font_files"
SUBSET = FOLDER / "CourseSansSC.otf"
SUBSET_FAMILY = "Course Sans SC"
# Where a character is in neither of our two fonts, one of these may have it, if this machine carries it.
SYSTEM_FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Heiti SC", "Microsoft YaHei",
    "SimHei", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip


@cache
def register() -> list[str]:
    """Make the bundled font known to matplotlib; the families to draw text with, the preferred one first."""
    fonts = font_manager.fontManager
    fonts.addfont(SUBSET)
    # Bold text takes the same file: without this entry matplotlib says on stderr that there is no bold.
    fonts.ttflist.append(dataclasses.replace(fonts.ttflist[-1], weight=700))
    known = {entry.name for entry in fonts.ttflist}
    return ["DejaVu Sans", SUBSET_FAMILY, *[family for family in SYSTEM_FAMILIES if family in known]]


@cache
def covered() -> frozenset[int]:
    """The code points for which one of the registered families has a glyph."""
    files = [font_manager.findfont(family, fallback_to_default=False) for family in register()]
    return frozenset(code for file in files for code in FT2Font(file).get_charmap())


def drawable(text: str) -> str:
    """The text with every character that no font can draw written as U+XXXX, never as an empty box.

    >>> drawable("我 \\ue000")
    '我 U+E000'
    """
    return "".join(char if char in "\n" or ord(char) in covered() else f"U+{ord(char):04X}" for char in text)
