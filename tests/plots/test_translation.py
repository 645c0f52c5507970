import numpy as np
import pytest

from course_lib.plots import translation as draw


def texts_of(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_links_join_the_words_that_they_name():
    figure = draw.links(["a", "kite"], ["一", "只", "风"], [(0, 0), (1, 1)], marked=[(1, 1)])
    assert texts_of(figure) == ["a", "kite", "一", "只", "风"]
    first, second = figure.axes[0].lines
    assert list(first.get_xdata()) == [0, 0] and list(second.get_xdata()) == [2, 1]
    assert first.get_color() != second.get_color()


def test_masks_keep_their_own_shapes():
    one, two = (np.eye(2), ["a", "b"], ["a", "b"]), (np.ones((1, 3)), ["x"], ["a", "b", "c"])
    figure = draw.three_masks({"one": one, "two": two})
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert len(figure.axes[1].texts) == 3


def test_confidence_counts_each_step():
    figure = draw.confidence([0.11, 0.91, 0.91], 0.9)
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 3


def test_the_longer_text_wins_when_length_counts():
    figure = draw.score_by_penalty({"short": (-1.2, 2), "long": (-2.0, 5)})
    short, long = (line.get_ydata() for line in figure.axes[0].lines)
    assert short[0] > long[0] and short[10] < long[10]
    assert long[0] == -2.0 and long[10] == pytest.approx(-0.4)


def test_pairs_held_out_are_crossed():
    figure = draw.met_together([[3, 0], [1, 2]], ["red", "old"], ["kite", "hat"], [[False, True], [False, False]])
    crosses = figure.axes[0].lines[0]
    assert list(crosses.get_xdata()) == [1] and list(crosses.get_ydata()) == [0]


def test_lengths_and_suspects():
    figure = draw.by_group({"all": [[1.0, 0.5], [1.0, 0.7]]}, ["short", "long"], x_name="words", y_name="exact")
    assert list(figure.axes[0].lines[0].get_ydata()) == pytest.approx([1.0, 0.6])
    figure = draw.suspects({"Ada": {"future": False, "company": True}})
    assert texts_of(figure) == ["BROKEN", "holds"]
