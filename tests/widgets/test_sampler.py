import pytest
import torch

from course_lib.generation import next_token_probabilities
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets.sampler import SHOWN, Sampler

TOKENIZER = CharTokenizer.train(["abcdefghijklmnopqrstuvwxyz \n"])


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = GPT(GPTConfig(TOKENIZER.vocab_size, 32, 16, 2, 1))
    for parameter in model.parameters():
        parameter.data *= 6
    return model


def ask(widget, **wish):
    widget.wish = {**wish, "seq": widget.wish.get("seq", 0) + 1}


def test_the_table_holds_what_the_model_says_and_what_the_knobs_make_of_it(model):
    widget = Sampler(model, TOKENIZER, "ab c", temperature=0.7, top_k=5, min_p=0.02)
    text = torch.tensor([[TOKENIZER.end_id, *TOKENIZER.encode("ab c")]])
    logits = model(text).logits[0, -1].detach()
    drawn = next_token_probabilities(logits, temperature=0.7, top_k=5, min_p=0.02)
    assert len(widget.shown["rows"]) == SHOWN
    for token, written, before, after in widget.shown["rows"]:
        assert before == pytest.approx(logits.softmax(-1)[token].item(), abs=1e-5)
        assert after == pytest.approx(drawn[token].item(), abs=1e-5)
        assert written not in (" ", "\n")
    assert widget.shown["kept"] == int((drawn > 0).sum())
    assert widget.shown["rows"][0][0] == int(logits.argmax())


def test_knobs_change_the_draw_and_not_the_model(model):
    widget = Sampler(model, TOKENIZER, "ab")
    before = [row[2] for row in widget.shown["rows"]]
    widget.temperature = 0.0
    assert [row[3] for row in widget.shown["rows"]][:2] == [1.0, 0.0]
    widget.top_k, widget.temperature = 1, 1.0
    assert widget.shown["kept"] == 1
    assert [row[2] for row in widget.shown["rows"]] == before
    widget.top_k, widget.repetition_penalty = 0, 3.0
    seen = {token: drawn < said for token, _, said, drawn in widget.shown["rows"] if token in widget.ids}
    assert all(seen.values())


def test_take_draw_undo_and_begin(model):
    widget = Sampler(model, TOKENIZER, "ab")
    token = widget.shown["rows"][3][0]
    ask(widget, take=token)
    assert widget.ids[-1] == token
    assert [piece[0] for piece in widget.shown["pieces"]] == [token]
    ask(widget, draw=5)
    drawn = list(widget.ids)
    assert 2 <= len(widget.shown["pieces"]) <= 6
    ask(widget, undo=True)
    assert widget.ids == drawn[:-1]
    ask(widget, text="xyz")
    assert widget.text() == "xyz"
    assert widget.shown["pieces"] == []
    ask(widget, undo=True)
    assert widget.text() == "xyz"


def test_the_same_seed_draws_the_same(model):
    texts = []
    for seed in (1, 1, 2):
        widget = Sampler(model, TOKENIZER, "ab", seed=seed, temperature=3.0)
        ask(widget, draw=12)
        texts.append(widget.text())
    assert texts[0] == texts[1] != texts[2]


def test_past_the_context_it_goes_on(model):
    widget = Sampler(model, TOKENIZER, "ab", temperature=3.0)
    for _ in range(4):
        widget.ids = [token for token in widget.ids if token != TOKENIZER.end_id] or [1]
        ask(widget, take=1)
        ask(widget, draw=40)
    assert widget.shown["rows"]


def test_what_the_page_sends_cannot_break_it(model):
    widget = Sampler(model, TOKENIZER, "ab")
    ask(widget, text="É")
    assert "É" in widget.shown["note"] and widget.text() == "ab"
    ask(widget, text="a" * 99)
    assert "at most 32" in widget.shown["note"]
    ask(widget, take=10_000)
    assert widget.text() == "ab"


def test_an_ended_text_is_said(model):
    widget = Sampler(model, TOKENIZER, "ab")
    ask(widget, take=TOKENIZER.end_id)
    assert widget.shown["pieces"][-1][1] == "⟨end⟩"
    ask(widget, draw=1)
    assert "has ended" in widget.shown["note"]


def test_what_stands_in_for_the_page(model):
    widget = Sampler(model, TOKENIZER, "ab", temperature=0.5)
    figure, alt = widget.static_picture()
    assert len(figure.axes) == 1 and "becomes" in alt
    assert "'ab'" in repr(widget) and "temperature 0.5" in repr(widget)
    assert {"image/png", "text/plain"} <= set(widget._repr_mimebundle_()[0])


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="at most 32"):
        Sampler(model, TOKENIZER, "a" * 40)
    with pytest.raises(ValueError, match="temperature must be 0 or more"):
        Sampler(model, TOKENIZER, "a", temperature=-1.0)
