import pytest
import torch

from course_lib.generation import beam_search
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text import WordPieceTokenizer
from course_lib.widgets.beam_tree import BeamTree

TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat . 猫 坐 在 垫 子 上 。"] * 3, 60)


@pytest.fixture
def model():
    torch.manual_seed(1)
    model = EncoderDecoder(EncoderDecoderConfig(TOKENIZER.vocab_size, 16, 16, 2, 1))
    for name, parameter in model.named_parameters():
        parameter.data *= 1 if "norm" in name else 2
    return model


def ids_of(text):
    return [*TOKENIZER.encode(text), TOKENIZER.end_id]


def test_the_tree_is_the_search_s_own(model):
    widget = BeamTree(model, TOKENIZER, "the cat sat", beams=2, length_penalty=0.5)
    found = beam_search(model, [ids_of("the cat sat")], 15, beams=2, length_penalty=0.5, stop_id=TOKENIZER.end_id)[0]
    assert [one["score"] for one in widget.shown["found"]] == [one.score for one in found]
    for shown, hypothesis in zip(widget.shown["found"], found, strict=True):
        steps = widget.shown["steps"]
        last = steps[len(shown["path"]) - 1][shown["path"][-1]]
        assert last[2] == hypothesis.log_probability and last[3] == "finished"
        tokens = [steps[column][row][1] for column, row in enumerate(shown["path"])]
        assert tokens == [widget._written(token) for token in hypothesis.tokens[1:]]
        assert shown["length"] == len(tokens)


def test_width_penalty_and_text_search_again(model):
    widget = BeamTree(model, TOKENIZER, "the cat")
    widget.beams = 1
    assert all(sum(one[3] == "goes on" for one in step) <= 1 for step in widget.shown["steps"])
    widget.length_penalty = 0.0
    assert widget.shown["found"][0]["score"] == widget.shown["found"][0]["log_probability"]
    widget.wish = {"text": "on the mat", "seq": 1}
    assert widget.shown["text"] == "on the mat" and widget.shown["seq"] == 1 and widget.shown["note"] == ""


def test_what_the_page_sends_cannot_break_it(model):
    widget = BeamTree(model, TOKENIZER, "the cat")
    before = widget.shown["found"]
    widget.wish = {"text": "  ", "seq": 1}
    assert "no words" in widget.shown["note"] and widget.shown["found"] == before
    widget.wish = {"text": "the cat " * 20, "seq": 2}
    assert "at most 15" in widget.shown["note"] and widget.shown["text"] == "the cat"
    for name, value in (("beams", 0), ("beams", 7), ("length_penalty", -1.0), ("length_penalty", 3.0)):
        with pytest.raises(ValueError, match=name):
            setattr(widget, name, value)


def test_what_stands_in_for_the_page(model):
    widget = BeamTree(model, TOKENIZER, "the cat", beams=2)
    figure, alt = widget.static_picture()
    assert len(figure.axes) == 1 and "2 beams" in alt
    assert "BeamTree('the cat', beams=2" in repr(widget)
    assert {"image/png", "text/plain"} <= set(widget._repr_mimebundle_()[0])


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="no words"):
        BeamTree(model, TOKENIZER, "")
    with pytest.raises(ValueError, match="at most 15"):
        BeamTree(model, TOKENIZER, "the cat " * 10)
    with pytest.raises(ValueError, match="beams must be from 1 to 6"):
        BeamTree(model, TOKENIZER, "the cat", beams=9)
