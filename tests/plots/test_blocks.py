import numpy as np
import pytest

from course_lib.plots import blocks


def test_features_show_their_numbers_and_mean():
    figure = blocks.features({"token": [1.0, 2.0, 4.0, 5.0], "normed": [-1.0, -0.5, 0.5, 1.0]})
    first, second = figure.axes
    assert [text.get_text() for text in second.texts] == ["−1.00", "−0.50", "0.50", "1.00"]
    assert first.lines[0].get_ydata()[0] == 3.0


def test_depth_counts_from_the_first_block_or_from_before_it():
    curves = {"pre": [[1.0, 2.0, 3.0], [1.0, 4.0, 5.0]]}
    for first in (0, 1):
        line = blocks.depth(curves, "variance", first=first).axes[0].lines[0]
        assert list(line.get_xdata()) == [first, first + 1, first + 2]
        assert list(line.get_ydata()) == [1.0, 3.0, 4.0]


def test_the_reference_falls_like_one_over_the_root_of_depth():
    axes = blocks.last_gradients((2, 8), {"pre": [[1.0, 0.5]], "post": [[2.0, 2.0]]}).axes[0]
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), [1.0, 0.5])


def test_a_learning_curve_is_drawn_raw_and_as_a_mean_over_ten():
    losses = np.arange(30.0)
    raw, smooth, _ = blocks.learning({"pre": losses}, letters_alone=3.0).axes[0].lines
    assert len(raw.get_xdata()) == 30
    assert smooth.get_xdata()[0] == 10 and smooth.get_ydata()[0] == pytest.approx(losses[:10].mean())


def test_each_panel_of_trainings_has_its_runs_and_the_reference():
    panels = {"left": {"pre": [[3.0, 2.0]], "post": [[3.0, 3.0]]}, "right": {"2 blocks": [[2.0, 1.0]]}}
    left, right = blocks.trainings((0.1, 1.0), panels, letters_alone=3.0).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["pre", "post", "frequencies alone"]
    assert right.get_title() == "right" and len(right.lines) == 2


def test_who_moved_has_one_scale_for_all_tables():
    figure = blocks.who_moved({"a": [[0.0, 1.0]], "b": [[0.0, 4.0]]})
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0, 4.0), (0, 4.0)]


def test_activations_have_a_curve_and_a_slope_each():
    figure = blocks.activations([-1, 0, 1], {"ReLU": ([0, 0, 1], [0, 0, 1]), "GELU": ([-0.2, 0, 0.8], [0, 0.5, 1])})
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
