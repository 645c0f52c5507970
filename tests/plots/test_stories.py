"""Pictures of a text: every character has its cell, its colour and its place."""

import numpy as np
import pytest

from course_lib.plots import stories


def cells(figure) -> dict[tuple[int, int], str]:
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts}


def test_every_character_stands_in_its_cell_and_a_line_break_ends_the_line():
    figure = stories.surprise_strip("ab\ncd", [0, 1, 2, 3, 0.5, 9.0])  # the last number is for the end of the story
    assert cells(figure) == {(0, 0): "a", (0, 1): "b", (0, 2): "⏎", (1, 0): "c", (1, 1): "d"}
    levels = figure.axes[0].images[0].get_array()
    assert levels[0, :3].tolist() == [0, 1, 2]
    assert levels[1, :2].tolist() == [3, 0.5]
    assert np.isnan(np.ma.filled(levels, np.nan)[1, 2])


def test_a_long_line_is_broken_at_its_width():
    figure = stories.surprise_strip("x" * (stories.WIDE + 1), np.zeros(stories.WIDE + 1))
    assert (1, 0) in cells(figure)
    assert max(column for _, column in cells(figure)) == stories.WIDE - 1


def test_too_few_numbers_for_the_text():
    with pytest.raises(ValueError):
        stories.surprise_strip("abc", [0.0, 1.0])


def test_next_characters_are_sorted_and_invisible_ones_are_named():
    figure = stories.next_characters({"a reader": {" ": 0.2, "e": 0.5, "": 0.1, "\n": 0.2}}, most=3)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["e", "⏎", "space"]
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.2, 0.2]


def test_the_ladder_has_a_bar_for_each_reader_and_a_line_for_the_floor():
    figure = stories.loss_ladder({"blind": 4.0, "author": 0.2}, floor=0.2)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [4.0, 0.2]
    assert [t.get_text() for t in figure.axes[0].texts] == ["4.00", "0.20"]
    assert figure.axes[0].lines[0].get_xdata()[0] == 0.2


def test_gaps_are_shown_with_the_share_of_their_kind():
    figure = stories.gap_by_kind({"answers": 0.5, "rest": 0.01}, {"answers": 0.1, "rest": 0.9})
    assert "0.50   (10% of the characters)" in figure.axes[0].texts[0].get_text()
