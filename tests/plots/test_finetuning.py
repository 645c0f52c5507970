from types import SimpleNamespace

import pytest

from course_lib.plots.finetuning import by_labels, intervals, losses, tagged


def test_each_start_has_its_line_of_means_and_its_seeds():
    runs = {"pre-trained": [[0.2, 0.4], [0.6, 0.8]], "frozen": [[0.1, 0.1], [0.3, 0.5]]}
    figure = by_labels({"texts": runs, "words": runs}, {"texts": [10, 100], "words": [5, 50]},
                       {"texts": "accuracy", "words": "F1"}, {"texts": 0.5})  # fmt: skip
    first, second = figure.axes
    assert list(first.lines[0].get_ydata()) == pytest.approx([0.3, 0.7])
    assert [list(line.get_ydata()) for line in first.lines[1:3]] == [[0.2, 0.6], [0.4, 0.8]]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["pre-trained", "frozen", "chance"]
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["pre-trained", "frozen"]
    assert list(second.lines[0].get_xdata()) == [5, 50] and second.get_ylabel() == "F1"


def test_intervals_say_their_numbers():
    (axes,) = intervals({"a": (0.5, 0.4, 0.6), "b": (0.9, 0.85, 0.95)}, x_name="score", at=0.5).axes
    assert [text.get_text() for text in axes.texts] == ["0.500 (0.400 … 0.600)", "0.900 (0.850 … 0.950)"]
    assert list(axes.lines[0].get_xdata()) == [0.4, 0.6]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_losses_have_a_curve_for_each_run():
    history = [SimpleNamespace(step=step, train_loss=1 / step) for step in (1, 2, 4)]
    (axes,) = losses({"one": history, "other": history[:2]}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1, 0.5, 0.25], [1, 0.5]]


def test_an_entity_is_a_box_that_begins_with_its_b():
    words = ["Zoe", "Max", "saw", "a", "toy", "train"]
    tags = ["B-person", "B-person", "O", "O", "B-object", "I-object"]
    (axes,) = tagged(words, {"true": tags, "found": ["O"] * 6}).axes
    boxes = [patch.get_bbox() for patch in axes.patches]
    assert len(boxes) == 4 and len({box.y0 for box in boxes}) == 1
    assert boxes[0].x1 < boxes[1].x0  # two persons, one after the other
    assert boxes[3].x0 < boxes[2].x1  # one object
    assert [text.get_text() for text in axes.texts if text.get_text() in ("true", "found")] == ["true", "found"]
    long = tagged(["word"] * 60, {"true": ["O"] * 60}).axes[0]
    assert len({text.get_position()[1] for text in long.texts}) > 2
