import warnings

import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure

from course_lib.plots import drawable, fonts, make_font, style, to_png


@pytest.mark.slow
def test_the_bundled_font_covers_all_chinese_of_the_course():
    held = set(TTFont(fonts.SUBSET).getBestCmap())
    missing = [char for char in sorted(make_font.characters()) if ord(char) not in held]
    assert not missing, f"run python -m course_lib.plots.make_font: the font lacks {''.join(missing)}"


def test_the_bundled_font_is_small_and_carries_its_licence():
    assert fonts.SUBSET.stat().st_size < 150_000
    assert "SIL OPEN FONT LICENSE Version 1.1" in (fonts.FOLDER / "OFL.txt").read_text("utf-8")
    assert "Open Font License" in TTFont(fonts.SUBSET)["name"].getDebugName(13)


def test_chinese_is_drawn_without_any_font_of_the_system():
    style()
    with mpl.rc_context({"font.family": ["DejaVu Sans", fonts.SUBSET_FAMILY]}), warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each glyph that it draws as a box
        figure = Figure()
        figure.text(0.1, 0.5, "我爱学习编程，你好！ ␣ ⏎ − √ →", fontweight="bold")
        to_png(figure)


def test_what_no_font_has_is_written_as_its_code_point():
    assert drawable("我 a\n\ue000") == "我 a\nU+E000"
    assert drawable("\U0010fffd") == "U+10FFFD"


@pytest.mark.slow
@pytest.mark.skipif(not make_font.SOURCE.exists(), reason="fonts-noto-cjk is not installed")
def test_making_the_font_twice_gives_the_same_bytes(tmp_path):
    make_font.make(tmp_path / "one.otf")
    make_font.make(tmp_path / "two.otf")
    assert (tmp_path / "one.otf").read_bytes() == (tmp_path / "two.otf").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.otf", "two.otf"]


def test_without_the_system_font_the_command_says_what_to_install(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install fonts-noto-cjk"):
        make_font.simplified_chinese(tmp_path / "no.ttc")
