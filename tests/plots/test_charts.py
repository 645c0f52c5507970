import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib.plots import bars, charts, heatmap, line_with_spread, to_numpy


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def texts_in_cells(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_heatmap_writes_its_numbers_with_a_readable_ink():
    figure = heatmap([[0.0, 1.0], [0.25, -0.5]], ["我", "b"], ["c", "d"])
    assert texts_in_cells(figure) == ["0.00", "1.00", "0.25", "−0.50"]
    inks = [text.get_color() for text in figure.axes[0].texts]
    assert inks[1] == "black" and inks[3] == "white"  # the top of cividis is bright, its foot dark


def test_a_masked_cell_is_marked_and_does_not_move_the_colours():
    figure = heatmap(torch.tensor([[0.0, -torch.inf], [2.0, 1.0]]))
    assert texts_in_cells(figure)[1] == "−∞"
    assert figure.axes[0].images[0].get_clim() == (0.0, 2.0)


def test_a_large_heatmap_keeps_its_numbers_to_itself():
    assert texts_in_cells(heatmap(np.zeros((20, 20)))) == []


def test_a_diverging_heatmap_has_zero_in_its_middle():
    assert heatmap([[-3.0, 1.0]], diverging=True).axes[0].images[0].get_clim() == (-3.0, 3.0)


def test_tensors_of_any_kind_become_numpy():
    weights = torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert to_numpy(weights).dtype == np.float64
    np.testing.assert_array_equal(to_numpy(weights), np.ones((2, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0],), r"needs a matrix; these weights have 1 axes: \(2,\)"),
        (([[1.0, 2.0]], ["a", "b"]), "1 rows, but 2 row labels"),
        (([[1.0, 2.0]], ["a"], ["b"]), "2 columns, but 1 column labels"),
    ],
)
def test_what_does_not_fit_is_said_with_the_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        heatmap(*arguments)


def test_the_band_reaches_from_the_smallest_run_to_the_largest():
    runs = np.array([[1.0, 2.0], [3.0, 8.0]])
    lines = {"model": runs, "one run": [1, 1]}
    figure = line_with_spread([10, 20], lines, x_name="x", y_name="y", reference={"floor": 0.5})
    axes = figure.axes[0]
    assert axes.lines[0].get_ydata().tolist() == [2.0, 5.0]
    assert len(axes.collections) == 1  # no band around a single run
    corners = axes.collections[0].get_paths()[0].get_extents()
    assert (corners.y0, corners.y1) == (1.0, 8.0)
    assert axes.lines[-1].get_ydata() == [0.5, 0.5]


def test_lines_differ_in_more_than_colour():
    pens = charts._pens(7)
    assert len(set(pens)) == 7
    assert len({marker for _, marker in pens}) == 7


def test_a_line_of_another_length_is_refused():
    with pytest.raises(ValueError, match="'a' has 3 points for 2 values of x"):
        line_with_spread([1, 2], {"a": [1, 2, 3]}, x_name="x", y_name="y")


def test_bars_carry_their_values_and_errors():
    axes = bars({"a": 1.0, "b": 2.5}, y_name="loss / nats", spread={"a": 0.5}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [1.0, 2.5]
    assert [text.get_text() for text in axes.texts] == ["1.00", "2.50"]
    ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert ends == [[0.5, 1.5], [2.5, 2.5]]


def test_labels_are_never_read_as_formulas():
    names = [r"$\frac{1}{", "$_^{}$$$", "$x$", "a$"]
    figure = charts.heatmap(np.eye(4), names, names)
    figure.canvas.draw()
    assert [label.get_text().replace("\\$", "$") for label in figure.axes[0].get_xticklabels()] == names
