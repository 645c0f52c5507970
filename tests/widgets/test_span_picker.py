import pytest
import torch

from course_lib.models.bert import BERTConfig, BERTForQuestionAnswering
from course_lib.text import WordPieceTokenizer
from course_lib.training.finetuning import answer_questions
from course_lib.widgets.span_picker import RANKED, SpanPicker

TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat . the dog sat on a log . where is ?"] * 3, 60)
QUESTION, TEXT = "where is the cat?", "the cat sat on the mat."


def reader(seed: int = 0) -> BERTForQuestionAnswering:
    torch.manual_seed(seed)
    model = BERTForQuestionAnswering(BERTConfig(TOKENIZER.vocab_size, 24, 16, 2, 2, pooler=False))
    for parameter in model.parameters():
        parameter.data *= 5
    return model


@pytest.mark.parametrize("seed", range(6))
def test_the_best_stretch_is_the_librarys(seed):
    model = reader(seed)
    widget = SpanPicker(model, TOKENIZER, QUESTION, TEXT, threshold=-1e9)
    (answer,) = answer_questions(model, TOKENIZER, [QUESTION], [TEXT], threshold=-1e9)
    assert widget.margin == pytest.approx(answer.margin, abs=0.01)
    assert TEXT[answer.start : answer.start + len(answer.text)] == answer.text
    assert widget.verdict().replace(" ", "") == answer.text.replace(" ", "")


def test_scores_are_the_models_own_and_stretches_are_in_their_order():
    model = reader()
    widget = SpanPicker(model, TOKENIZER, QUESTION, TEXT)
    ids, segments = TOKENIZER.encode_pair(QUESTION, TEXT)
    with torch.no_grad():
        output = model(torch.tensor([ids]), torch.tensor([segments]))
    assert widget.shown["start"] == pytest.approx(output.start_logits[0].tolist(), abs=1e-3)
    assert widget.shown["end"] == pytest.approx(output.end_logits[0].tolist(), abs=1e-3)
    scores = [widget.score(*pair) for pair in widget.shown["ranked"][:RANKED]]
    assert scores == sorted(scores, reverse=True) and len(scores) == RANKED
    assert widget.shown["best"] in widget.shown["ranked"]
    assert all(0 not in pair for pair in widget.shown["ranked"])


def test_the_threshold_decides():
    widget = SpanPicker(reader(), TOKENIZER, QUESTION, TEXT)
    widget.threshold = widget.margin - 0.1
    assert widget.verdict() != "no answer"
    widget.threshold = widget.margin + 0.1
    assert widget.verdict() == "no answer" and "no answer" in repr(widget)


def test_another_question_and_what_cannot_be_read():
    widget = SpanPicker(reader(), TOKENIZER, QUESTION, TEXT)
    widget.wish = {"question": "where is the dog?", "context": "the dog sat on a log.", "seq": 1}
    assert "dog" in widget.shown["tokens"] and widget.shown["seq"] == 1 and widget.shown["note"] == ""
    before = widget.shown["tokens"]
    for wish, message in (
        ({"question": " "}, "at least one word each"),
        ({"context": ""}, "at least one word each"),
        ({"context": "the cat " * 30}, "the model reads at most 24"),
    ):
        widget.wish = {**wish, "seq": widget.wish["seq"] + 1}
        assert message in widget.shown["note"] and widget.shown["tokens"] == before
    assert widget.question == "where is the dog?"
    with pytest.raises(ValueError, match="at least one word each"):
        SpanPicker(reader(), TOKENIZER, "", TEXT)


def test_what_stands_in_for_the_page():
    widget = SpanPicker(reader(), TOKENIZER, QUESTION, TEXT)
    figure, alt = widget.static_picture()
    assert len(figure.axes) == 2 and QUESTION in alt and "threshold 0" in alt
    assert {"image/png", "text/plain"} <= set(widget._repr_mimebundle_()[0])
