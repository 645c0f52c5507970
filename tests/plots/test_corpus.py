import numpy as np

from course_lib.plots import corpus as draw


def test_kept_and_thrown_counts_are_the_bars_widths():
    figure = draw.kept_and_thrown({"docs": 30, "menu": 0}, {"docs": 5, "menu": 20}, ("docs",))
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [30, 0, 5, 20]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["docs ★", "menu"]


def test_controls_of_the_stages_are_named_and_stand_apart():
    figure = draw.stage_losses({"raw": [2.5, 2.6], "no copies": [2.3, 2.4], "raw, at random": [2.5, 2.55]})
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["raw", "no copies", "control:\nraw\nat random"]
    joined = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in joined] == [[0, 1], [0, 1]]
    assert {text.get_text() for text in axes.texts} == {"2.55", "2.35", "2.52"}


def test_leaks_show_the_mean_over_seeds():
    axes = draw.leaks([1, 2], {"one": [[3, 1], [5, 3]], "other": [[3, 3], [3, 3]]}).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [4, 2])


def test_every_length_and_cut_gets_its_own_panel_or_line():
    figure = draw.estimates([0, 0.5], {"4": [0, 0.5], "8": [0, 0.5], "16": [0.1, 0.5]})
    assert [axes.get_title() for axes in figure.axes] == ["4", "8", "16"]
    assert len(draw.curves({"a": [0, 1], "b": [0, 0.5, 1]}).axes[0].lines) == 2
    assert len(draw.trade_off([1, 2], {"precision": [1, 0], "recall": [0, 1]}, x_name="words").axes[0].lines) == 2
    pairs = draw.pairs_and_curve([0.9], [0.1, 0.1], [0, 0.5, 1], 0.5)
    np.testing.assert_allclose(pairs.axes[1].lines[0].get_xdata(), [0, 0.5, 1])
