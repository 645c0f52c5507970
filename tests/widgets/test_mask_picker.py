import pytest
import torch

from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.text import WordPieceTokenizer
from course_lib.widgets.mask_picker import SHOWN, MaskPicker

TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat . the dog sat on a log ."] * 3, 60)
TEXT = "the cat sat on the mat."


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = BERTForPretraining(BERTConfig(TOKENIZER.vocab_size, 16, 16, 2, 2, pooler=False, next_sentence=False))
    for parameter in model.parameters():
        parameter.data *= 5
    return model


def ask(widget, **wish):
    widget.wish = {**wish, "seq": widget.wish.get("seq", 0) + 1}


def test_the_table_and_the_bars_are_the_models_own(model):
    widget = MaskPicker(model, TOKENIZER, TEXT, masked=[1])
    ids = [TOKENIZER.cls_id, *TOKENIZER.encode(TEXT), TOKENIZER.sep_id]
    hidden = torch.tensor([[TOKENIZER.mask_id if place == 2 else token for place, token in enumerate(ids)]])
    with torch.no_grad():
        output = model.eval()(hidden, return_attentions=True)
    chances = output.logits[0, 2].softmax(-1)
    assert len(widget.shown["answers"]) == SHOWN
    token, chance = widget.shown["answers"][0]
    assert token == TOKENIZER.tokens[int(chances.argmax())] and chance == pytest.approx(chances.max().item(), abs=1e-5)
    written, true_chance, rank = widget.shown["truth"]
    assert written == "cat" and true_chance == pytest.approx(chances[ids[2]].item(), abs=1e-5)
    assert rank == 1 + int((chances > chances[ids[2]]).sum())
    assert len(widget.shown["attention"]) == 4
    expected = output.attentions[1][0, 1, 2].tolist()
    assert widget.shown["attention"][3] == pytest.approx(expected, abs=1e-4)


def test_a_word_is_masked_unmasked_and_looked_at(model):
    widget = MaskPicker(model, TOKENIZER, TEXT)
    assert widget.shown["answers"] == [] and widget.shown["look"] is None
    ask(widget, toggle=2)
    ask(widget, toggle=6)
    assert widget.shown["masked"] == [2, 6] and widget.shown["look"] == 6
    assert widget.hidden_ids().count(TOKENIZER.mask_id) == 2
    ask(widget, look=2)
    assert widget.shown["look"] == 2 and widget.shown["truth"][0] == "cat"
    ask(widget, toggle=2)
    assert widget.shown["masked"] == [6] and widget.shown["look"] == 6
    ask(widget, clear=True)
    assert widget.shown["masked"] == [] and widget.shown["attention"] == []


def test_a_written_mask_is_a_mask_without_a_truth(model):
    widget = MaskPicker(model, TOKENIZER, "the [MASK] sat on the mat.")
    assert widget.shown["masked"] == [2] and widget.shown["truth"] is None


def test_what_the_page_sends_cannot_break_it(model):
    widget = MaskPicker(model, TOKENIZER, TEXT)
    last = len(widget.ids) - 1
    for wish in ({"toggle": 0}, {"toggle": last}, {"toggle": 99}, {"toggle": -1}, {"look": 3}):
        ask(widget, **wish)
        assert widget.shown["masked"] == []
    ask(widget, text="  ")
    assert "no words" in widget.shown["note"] and widget.shown["tokens"][1] == "the"
    ask(widget, text="the cat " * 20)
    assert "at most 14" in widget.shown["note"]
    ask(widget, text="a dog")
    assert widget.shown["tokens"] == ["[CLS]", "a", "dog", "[SEP]"] and widget.shown["note"] == ""


def test_what_stands_in_for_the_page(model):
    widget = MaskPicker(model, TOKENIZER, TEXT, masked=[1, 5])
    figure, alt = widget.static_picture()
    assert len(figure.axes) == 2 and "[MASK]" in alt
    assert "likeliest for token 1" in repr(widget)
    assert {"image/png", "text/plain"} <= set(widget._repr_mimebundle_()[0])
    assert "nothing masked" in repr(MaskPicker(model, TOKENIZER, TEXT))


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="no words"):
        MaskPicker(model, TOKENIZER, "")
    with pytest.raises(ValueError, match="There is no token 7"):
        MaskPicker(model, TOKENIZER, TEXT, masked=[7])
