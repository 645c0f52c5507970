"""Pictures of scale show what they are given: lengths of bars, places of points, names."""

import numpy as np
import pytest

from course_lib.plots import scale


def test_shares_add_up_to_a_hundred_and_are_written():
    axes = scale.shares({"a": {"x": 1, "y": 3}, "b": {"x": 2, "y": 2}}, of="the FLOPs").axes[0]
    widths = np.array([bar.get_width() for bar in axes.patches]).reshape(2, 2)
    np.testing.assert_allclose(widths, [[25, 50], [75, 50]])
    assert {text.get_text() for text in axes.texts} == {"25", "50", "75"}


def test_the_roof_is_the_lower_of_slope_and_peak():
    axes = scale.roofline(100e9, 10e9, {"one": (1.0, 5e9), "two": (50.0, 90e9)}).axes[0]
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(y, np.minimum(100, 10 * np.asarray(x)))
    points = [line.get_xydata()[0].tolist() for line in axes.lines[2:]]
    assert points == [[1.0, 5.0], [50.0, 90.0]]
    assert "10.0" in axes.texts[0].get_text()


def test_growth_has_a_panel_for_each_quantity():
    figure = scale.growth((1, 2, 4), {"MB": {"a": [1, 2, 3]}, "ms": {"a": [1, 4, 16], "b": [1, 1, 1]}})
    assert [axes.get_ylabel() for axes in figure.axes] == ["MB", "ms"]
    assert [len(axes.lines) for axes in figure.axes] == [1, 2]


def test_activations_stand_on_what_is_fixed():
    axes = scale.memory_against((1, 2), {"weights": 3e6, "gradients": 2e6}, {"kept": [1e6, 2e6]}).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [6, 7])


def test_noise_is_drawn_in_units_of_one_process():
    axes = scale.gradient_noise((1, 4), {"right": [2.0, 1.0], "wrong": [3.0, 3.0]}).axes[0]
    heights = [list(line.get_ydata()) for line in axes.lines]
    assert heights == [[1.0, 0.5], [1.0, 1.0], [1.0, 0.5]]


def test_losses_are_drawn_above_the_floor():
    figure = scale.loss_and_compute({"10": [(1e9, 2.0), (2e9, 1.5)], "20": [(2e9, 1.9), (4e9, 1.1)]}, floor=1.0)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [1.0, 0.5])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["10", "20"]


@pytest.mark.parametrize("tested", [None, {100.0: [0.1, 0.12]}])
def test_a_power_law_with_and_without_its_test(tested):
    line, band = [(10, 1.0), (100, 0.1)], [(10, 0.9, 1.1), (100, 0.05, 0.2)]
    axes = scale.power_law({10.0: [1.0, 1.1, 0.9]}, line, band, tested).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert ("the seventh" in names) == (tested is not None)
    dots = next(one for one in axes.lines if one.get_label().startswith("six sizes"))
    assert len(dots.get_xdata()) == 3


def test_shards_are_stacked_beside_what_a_device_has():
    parts = {"weights": 1e9, "optimiser": 4e9}
    axes = scale.shards({"copies": parts, "split": {"weights": 1e9, "optimiser": 1e9}}, 3e9, "A100").axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches[2:]]
    assert ends == [5.0, 2.0]
    assert axes.lines[0].get_xdata()[0] == 3.0
