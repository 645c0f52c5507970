"""The live loss curve: what it records, what it says, and what it leaves in the notebook."""

import numpy as np
import pytest
from IPython.display import DisplayHandle

from course_lib.training import Record
from course_lib.widgets import training_curve
from course_lib.widgets.training_curve import TrainingCurve


def record(step: int, loss: float, validation: float | None = None) -> Record:
    return Record(step, 100 * step, 0.5 * step, loss, validation, 0.01, 1.0)


@pytest.fixture
def shown(monkeypatch) -> list[object]:
    """What was displayed, first and again, in place of a notebook."""
    outputs = []

    class Handle(DisplayHandle):
        def update(self, what, **_):
            outputs.append(("again", what))

    def display(what, display_id):
        outputs.append(("first", what))
        return Handle(display_id)

    monkeypatch.setattr(training_curve, "display", display)
    return outputs


def test_the_page_gets_every_point_as_float32_pairs():
    curve = TrainingCurve(steps=3, floor=0.2)
    for step, loss in enumerate((3.0, 2.0, 1.0), start=1):
        curve(record(step, loss, validation=loss + 0.5 if step == 3 else None))
    assert np.frombuffer(curve.training, np.float32).tolist() == [1, 3, 2, 2, 3, 1]
    assert np.frombuffer(curve.validation, np.float32).tolist() == [3, 1.5]
    assert curve.status.startswith("step 3 of 3, 200 tokens a second, 0 s left")


def test_drawing_is_rationed_while_steps_are_fast(monkeypatch):
    curve = TrainingCurve(steps=100)
    sent = []
    curve.observe(lambda change: sent.append(len(change["new"]) // 8), "training")
    monkeypatch.setattr(training_curve.time, "monotonic", lambda: 5.0)
    for step in range(1, 101):
        curve(record(step, 1.0))
    assert sent == [1, 100]  # the first, and the last in any case


def test_the_writer_is_asked_after_each_evaluation_only():
    texts = iter(["Th", "The cat"])
    curve = TrainingCurve(steps=4, writer=lambda: next(texts))
    for step in range(1, 5):
        curve(record(step, 1.0, validation=1.0 if step % 2 == 0 else None))
    assert curve.samples == {2: "Th", 4: "The cat"}
    assert curve.sample == "The cat"


def test_the_output_is_drawn_again_at_the_end(shown):
    with TrainingCurve(steps=1) as curve:
        curve(record(1, 1.0, validation=0.9))
    assert shown == [("first", curve), ("again", curve)]


def test_an_interrupt_in_the_middle_still_draws_the_end(shown):
    with pytest.raises(KeyboardInterrupt), TrainingCurve(steps=10) as curve:
        curve(record(1, 1.0))
        curve(record(2, 1.0))  # too soon after the first to be drawn
        assert curve.status == "step 1 of 10, 200 tokens a second, 4 s left"
        raise KeyboardInterrupt
    assert shown[-1][0] == "again"
    assert curve.status == "step 2 of 10, 200 tokens a second"


def test_one_output_has_the_live_view_the_picture_and_the_words():
    curve = TrainingCurve(steps=2, floor=0.25)
    empty = curve._repr_mimebundle_()
    curve(record(1, 3.9))
    curve(record(2, 3.0, validation=2.5))
    data, metadata = curve._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert data["image/png"] != empty[0]["image/png"]
    assert "3.90 nats" in metadata["image/png"]["alt"]
    assert "2.500 at step 2" in metadata["image/png"]["alt"]
    assert repr(curve) == "TrainingCurve(step 2 of 2: validation loss 2.500 nats per token, floor 0.250)"
