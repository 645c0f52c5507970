import numpy as np
import pytest

from course_lib.nn.positions import sinusoidal_encoding
from course_lib.widgets.clock_explorer import ClockExplorer


def numbers(data):
    return np.frombuffer(data, np.float32)


def test_hands_are_the_row_of_the_encoding():
    widget = ClockExplorer(sinusoidal_encoding, d_model=8, length=30)
    widget.position = 11
    np.testing.assert_allclose(numbers(widget.hands), sinusoidal_encoding(30, 8)[11].numpy(), atol=1e-6)


def test_similarity_is_largest_at_the_position_itself():
    widget = ClockExplorer(sinusoidal_encoding, d_model=16, length=50)
    widget.position = 33
    assert numbers(widget.similarity).argmax() == 33
    assert numbers(widget.similarity)[33] == pytest.approx(8)  # one for each of the eight hands


def test_moving_both_keeps_their_dot_product_and_moving_one_does_not():
    widget = ClockExplorer(sinusoidal_encoding)
    before = numbers(widget.turned)
    widget.position = 41
    after = numbers(widget.turned)
    assert after[4] == pytest.approx(before[4], abs=1e-5)
    assert not np.allclose(after[:4], before[:4], atol=0.1)
    widget.distance += 2
    assert numbers(widget.turned)[4] != pytest.approx(before[4], abs=1e-2)


def test_the_base_changes_the_clocks_but_not_a_learners_function_without_one():
    widget = ClockExplorer(sinusoidal_encoding)
    fixed = ClockExplorer(lambda length, d_model: sinusoidal_encoding(length, d_model))
    before = widget.hands, fixed.hands
    widget.log_base = fixed.log_base = 2.0
    assert widget.hands != before[0]
    assert fixed.hands == before[1]


def test_one_output_holds_view_picture_and_text():
    widget = ClockExplorer(sinusoidal_encoding, d_model=4, length=10)
    data, metadata = widget._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert metadata["image/png"]["alt"]
    assert "position 9 of 10" in data["text/plain"]


@pytest.mark.parametrize(("d_model", "said"), [(7, "even"), (64, "at most 24")])
def test_a_width_that_cannot_be_drawn_is_refused(d_model, said):
    with pytest.raises(ValueError, match=said):
        ClockExplorer(sinusoidal_encoding, d_model=d_model)


def test_an_encoding_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(64, 16\).*\(16, 64\)"):
        ClockExplorer(lambda length, d_model: sinusoidal_encoding(length, d_model).T)
