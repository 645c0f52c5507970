import pytest
import torch

from course_lib.experiments.recall import RecallTask, make_models
from course_lib.widgets.recall_readers import OTHERS, RecallReaders

TASK = RecallTask()


def oracle(tokens):
    """Finds the pair with the key of the question."""
    key = tokens[:, -1:] - TASK.n_keys * TASK.n_values - 8
    value = torch.where(tokens // TASK.n_values == key, tokens % TASK.n_values, 0).sum(dim=1)
    return 10.0 * torch.nn.functional.one_hot(value, TASK.n_values)


def readers(**options):
    torch.manual_seed(0)
    models = {name: make() for name, make in make_models(TASK).items()}
    return RecallReaders({"oracle": oracle, **models}, TASK, **options)


def test_each_model_answers_the_sequence_that_is_shown():
    widget = readers(distance=6)
    shown = widget.shown
    assert shown["tokens"][shown["asked"]] == f"{shown['tokens'][-1][0]}={shown['answer']}"
    assert len(shown["tokens"]) - 1 - shown["asked"] == 6
    for row in shown["rows"]:
        assert sum(row["chances"]) == pytest.approx(1, abs=1e-3)
        assert row["right"] == (row["answer"] == shown["answer"])
    assert shown["rows"][0]["right"] and shown["rows"][0]["share"] == 1
    assert len(shown["weights"]) == len(shown["tokens"]) and sum(shown["weights"]) == pytest.approx(1, abs=5e-3)


def test_slider_and_button_draw_another_sequence():
    widget = readers()
    first = widget.shown["tokens"]
    widget.distance = 30
    assert len(widget.shown["tokens"]) - 1 - widget.shown["asked"] == 30
    widget.distance = 8
    assert widget.shown["tokens"] == first
    widget.sequence += 1
    assert widget.shown["tokens"] != first
    widget.distance = 99
    assert len(widget.shown["tokens"]) < 99


def test_what_stands_in_for_the_page():
    widget = readers(distance=12)
    figure, alt = widget.static_picture()
    assert "distance 12" in alt and "oracle right, 100%" in alt and len(figure.axes) == 3
    assert f"right answer {widget.shown['answer']}" in repr(widget)
    assert {"image/png", "text/plain"} <= set(widget._repr_mimebundle_()[0])


def test_without_attention_there_are_no_weights():
    widget = RecallReaders({"oracle": oracle}, TASK)
    assert widget.shown["weights"] == [] and widget.static_picture()
    assert OTHERS == 200


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one model"):
        RecallReaders({}, TASK)
    with pytest.raises(ValueError, match="between 1 and 64"):
        RecallReaders({"oracle": oracle}, TASK, distance=65)
