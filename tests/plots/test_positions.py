import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_lib import plots
from course_lib.nn.positions import sinusoidal_encoding
from course_lib.plots import positions as pictures


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plt.close("all")


def texts_of(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_clock_hands_point_where_the_encoding_says():
    figure = pictures.clocks(sinusoidal_encoding(30, 6), positions=(0, 7))
    assert len(figure.axes) == 6
    tips = [axes.texts[0].xy for axes in figure.axes]
    row = sinusoidal_encoding(30, 6)[7].numpy()
    np.testing.assert_allclose(tips[:3], [(1, 0)] * 3, atol=1e-6)
    np.testing.assert_allclose(tips[3:], np.stack([row[1::2], row[0::2]], axis=1), atol=1e-6)


def test_shuffled_weights_writes_every_number_and_labels_both_orders():
    weights = np.array([[0.25, 0.75], [0.5, 0.5]])
    figure = pictures.shuffled_weights(weights, weights[::-1, ::-1], ["dog", "bit"], [1, 0])
    assert texts_of(figure) == ["0.25", "0.75", "0.50", "0.50", "0.50", "0.50", "0.75", "0.25"]
    labels = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in figure.axes]
    assert labels == [["dog", "bit"], ["bit", "dog"]]


def test_turned_pairs_show_the_same_dot_product_at_the_same_distance():
    figure = pictures.turned_pairs((1.0, 0.3), (0.7, 0.7), places=[(5, 2), (12, 9), (5, 4)], omega=0.4)
    said = [axes.get_xlabel() for axes in figure.axes]
    assert said[0] == said[1] != said[2]


def test_loss_by_position_draws_mean_and_band_of_the_seeds():
    runs = {"rotary": [[0.1, 0.4], [0.3, 0.8]], "a control": [[1.0, 1.0]]}
    figure = pictures.loss_by_position(runs, stretch=16, train_length=16, log_y=False)
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [8, 24])
    np.testing.assert_allclose(line.get_ydata(), [0.2, 0.6])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["rotary", "a control"]


def test_a_loss_at_the_floor_stays_on_a_logarithmic_axis():
    figure = pictures.loss_by_position({"alibi": [[-0.01, 0.5]]}, stretch=16, train_length=16)
    assert (figure.axes[0].lines[0].get_ydata() > 0).all()
