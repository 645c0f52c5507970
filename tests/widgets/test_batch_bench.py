"""The bench's numbers are the models' own, and the settings do to them what they say."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from course_lib.hub.huggingface import fast_tokenizer
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets.batch_bench import CHOICES, SAME, BatchBench
from tests.hub.conftest import randomise

TOKENIZER = fast_tokenizer(CharTokenizer.train(["abcdefghijklmnopqrstuvwxyz <>"]))
VOCAB = len(TOKENIZER)
PROMPTS = ["abc", "hello bench"]


@pytest.fixture(scope="module")
def models():
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=32, n_embd=24, n_layer=2, n_head=3))
    llama = LlamaForCausalLM(
        LlamaConfig(vocab_size=VOCAB, max_position_embeddings=24, hidden_size=24, intermediate_size=40,
                    num_hidden_layers=2, num_attention_heads=4)
    )  # fmt: skip
    return {"learned": randomise(gpt2), "rotary": randomise(llama)}


@pytest.fixture
def bench(models):
    return BatchBench(models, TOKENIZER, PROMPTS)


def ask(widget, **wish):
    widget.wish = {**wish, "seq": widget.wish.get("seq", 0) + 1}


def test_the_row_of_cells_is_what_the_model_reads(bench):
    short, long = bench.shown["rows"]
    assert short["tokens"] == [*"abc", *"·" * 8] and long["tokens"] == [*"hello bench"]
    assert short["real"] == [True] * 3 + [False] * 8
    ask(bench, side="left")
    assert bench.shown["rows"][0]["positions"] == [0] * 8 + [0, 1, 2]
    ask(bench, positions="0, 1, 2, …")
    assert bench.shown["rows"][0]["positions"] == list(range(11))


def test_answers_are_the_models_own(bench, models):
    ask(bench, side="left")
    ids = TOKENIZER("abc")["input_ids"]
    with torch.no_grad():
        alone = models["learned"](torch.tensor([ids])).logits[0, -1].softmax(-1)
    token, apart, company = bench.shown["rows"][0]["answers"][0]
    assert token == TOKENIZER.decode([int(alone.argmax())])
    assert apart == pytest.approx(alone.max().item(), abs=1e-5)
    assert company == pytest.approx(apart, abs=1e-4)


# Settings → is the short prompt answered as if it were alone, by a model with (learned, rotary) positions?
COUNT, PLAIN = CHOICES["positions"]
LAST, REAL = CHOICES["read"]
EXPECTED = {
    ("left", "given", COUNT, LAST): (True, True),
    ("left", "given", PLAIN, LAST): (False, True),  # a rotation knows distances only
    ("left", "forgotten", COUNT, LAST): (False, False),
    ("left", "forgotten", PLAIN, LAST): (False, False),
    ("right", "given", COUNT, LAST): (False, False),  # the last column is padding
    ("right", "given", COUNT, REAL): (True, True),
    ("right", "forgotten", COUNT, REAL): (True, True),  # what stands to the right is never seen
    ("right", "forgotten", PLAIN, REAL): (True, True),
}


@pytest.mark.parametrize("settings", EXPECTED)
@pytest.mark.parametrize("number", [0, 1], ids=["learned", "rotary"])
def test_what_each_setting_does(models, settings, number):
    side, mask, positions, read = settings
    bench = BatchBench(
        models, TOKENIZER, PROMPTS, model=["learned", "rotary"][number], side=side, mask=mask, positions=positions,
        read=read,
    )  # fmt: skip
    short, long = bench.distances()
    assert (short < SAME) == EXPECTED[settings][number]
    assert short < SAME or short > 0.02
    assert long < SAME  # the longest has no padding
    assert [row["distance"] for row in bench.shown["rows"]] == pytest.approx([short, long])


def test_distances_of_other_settings_leave_the_bench_as_it_is(bench):
    before = dict(bench.chosen)
    assert bench.distances(side="left")[0] < SAME < bench.distances()[0]
    assert bench.chosen == before
    with pytest.raises(ValueError, match="no mask='none'"):
        bench.distances(mask="none")


def test_a_distance_is_the_total_variation(models):
    bench = BatchBench(models, TOKENIZER, PROMPTS)
    company, _ = bench.together()
    expected = (company[0] - bench.alone["learned"][0]).clamp(min=0).sum().item()
    assert bench.distances()[0] == pytest.approx(expected, abs=1e-5)


def test_other_prompts_are_read_and_bad_ones_leave_the_old(bench):
    ask(bench, prompts=["a long prompt", "b"])
    assert [len(row["tokens"]) for row in bench.shown["rows"]] == [13, 13] and bench.shown["note"] == ""
    for prompts, message in ((["", "b"], "no tokens"), (["b" * 25, "b"], "at most 24")):
        ask(bench, prompts=prompts)
        assert message in bench.shown["note"] and bench.prompts == ["a long prompt", "b"]


def test_what_the_page_sends_cannot_break_it(bench):
    before = dict(bench.chosen)
    for wish in ({"side": "up"}, {"model": "none"}, {"mask": 3}, {"unknown": "left"}):
        ask(bench, **wish)
        assert bench.chosen == before
    ask(bench, prompts=["<b>", "x"])
    assert bench.shown["rows"][0]["tokens"] == ["<", "b", ">"]


def test_what_stands_in_for_the_page(bench):
    figure, alt = bench.static_picture()
    assert len(figure.axes) == 3 and "first prompt" in alt and alt == repr(bench)
    assert {"image/png", "text/plain"} <= set(bench._repr_mimebundle_()[0])


def test_bad_input_is_refused(models):
    with pytest.raises(ValueError, match="takes two prompts; these are 1"):
        BatchBench(models, TOKENIZER, ["a"])
    with pytest.raises(ValueError, match="no side='up'"):
        BatchBench(models, TOKENIZER, PROMPTS, side="up")
    with pytest.raises(ValueError, match="no tokens"):
        BatchBench(models, TOKENIZER, ["", "a"])
