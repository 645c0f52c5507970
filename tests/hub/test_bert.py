"""The same vectors, attention and losses in our BERT and in transformers' BERT, RoBERTa and ALBERT, both ways."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from course_lib.hub import bert_from_huggingface, load_model, save_model, to_huggingface
from course_lib.models.bert import (
    BERT,
    BERTConfig,
    BERTForPretraining,
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
)
from course_lib.text import WordPieceTokenizer
from tests.hub.conftest import randomise

V, LENGTH = 40, 20
SIZES = {
    "vocab_size": V, "max_position_embeddings": LENGTH, "hidden_size": 24, "num_hidden_layers": 3,
    "num_attention_heads": 4, "intermediate_size": 40, "attn_implementation": "eager",
}  # fmt: skip
BERT_CONFIGS = {
    "small": {},
    "one layer, one head": {"num_hidden_layers": 1, "num_attention_heads": 1},
    "wide": {"hidden_size": 96, "num_attention_heads": 12, "intermediate_size": 384},
    "deep": {"num_hidden_layers": 8},
    "another activation and ε": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-2},
    "ReLU, four segments": {"hidden_act": "relu", "type_vocab_size": 4},
    "another padding": {"pad_token_id": 7},
}
ROBERTA_CONFIGS = {
    "small": {"max_position_embeddings": LENGTH + 2, "type_vocab_size": 1},
    "two segments": {"max_position_embeddings": LENGTH + 2, "type_vocab_size": 2},
    "another padding": {"max_position_embeddings": LENGTH + 5, "pad_token_id": 4, "type_vocab_size": 1},
    "deep": {"max_position_embeddings": LENGTH + 2, "num_hidden_layers": 7, "type_vocab_size": 1},
}
ALBERT_CONFIGS = {
    "small": {"embedding_size": 10},
    "as wide as the model": {"embedding_size": 24},
    "deep": {"embedding_size": 10, "num_hidden_layers": 9},
    "own layers": {"embedding_size": 10, "num_hidden_groups": 3},
    "GELU": {"embedding_size": 16, "hidden_act": "gelu"},
}
CASES = {
    f"{family}: {name}": (family, SIZES | settings)
    for family, configs in (("Bert", BERT_CONFIGS), ("Roberta", ROBERTA_CONFIGS), ("Albert", ALBERT_CONFIGS))
    for name, settings in configs.items()
}
FINE_TUNED = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
HEADS = {
    "Bert": ("ForPreTraining", "ForMaskedLM", *FINE_TUNED),
    "Roberta": ("ForMaskedLM", *FINE_TUNED),
    "Albert": ("ForPreTraining", "ForMaskedLM", *FINE_TUNED),
}
LABELS = {"id2label": {0: "no", 1: "maybe", 2: "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}


def make(family: str, kind: str, **settings) -> transformers.PreTrainedModel:
    model_class = getattr(transformers, family + kind)
    return randomise(model_class(model_class.config_class(**settings)))


def padded(pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three texts of 20, 13 and 1 tokens, and which of their tokens are real."""
    tokens = torch.randint(V, (3, LENGTH), generator=torch.Generator().manual_seed(0))
    tokens[tokens == pad_id] = (pad_id + 1) % V
    real = torch.arange(LENGTH) < torch.tensor([20, 13, 1])[:, None]
    return tokens.masked_fill(~real, pad_id), real


@pytest.mark.parametrize(("family", "settings"), CASES.values(), ids=CASES)
def test_hidden_states_and_attention(family, settings):
    theirs = make(family, "Model", **settings)
    ours = bert_from_huggingface(theirs)
    tokens, real = padded(theirs.config.pad_token_id)
    segments = torch.randint(theirs.config.type_vocab_size, tokens.shape)
    with torch.no_grad():
        expected = theirs(
            tokens, attention_mask=real.long(), token_type_ids=segments, output_hidden_states=True,
            output_attentions=True,
        )  # fmt: skip
        found = ours(tokens, segments, return_attentions=True, return_hidden_states=True)
        fused = ours(tokens, segments, real)
    assert expected.last_hidden_state.std() > 0.3
    for mine, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert_close(mine, other, rtol=0, atol=2e-5)
    for mine, other in zip(found.attentions, expected.attentions, strict=True):
        assert_close(mine, other, rtol=0, atol=1e-5)
    assert_close(found.hidden, expected.last_hidden_state, rtol=0, atol=2e-5)
    assert_close(found.pooled, expected.pooler_output, rtol=0, atol=2e-5)
    assert_close(fused.hidden, expected.last_hidden_state, rtol=0, atol=2e-5)
    assert fused.attentions is None and fused.hidden_states is None
    assert ours.count_parameters() == theirs.num_parameters()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "kind"), [(f, kind) for f, kinds in HEADS.items() for kind in kinds])
def test_every_head_both_ways(tmp_path, family, kind):
    settings = CASES[f"{family}: small"][1] | (LABELS if "Classification" in kind else {})
    theirs = make(family, kind, **settings)
    theirs.save_pretrained(tmp_path)
    tokens, real = padded(theirs.config.pad_token_id)
    with torch.no_grad():
        expected = outputs(theirs(tokens, attention_mask=real.long()))
        for source in (theirs, tmp_path, str(tmp_path)):
            ours = bert_from_huggingface(source)
            for mine, other in zip(outputs(ours(tokens)), expected, strict=True):
                assert_close(mine, other, rtol=0, atol=2e-5)
        back = to_huggingface(ours)
    assert type(back) is type(theirs)
    assert not ours.training and not back.training
    for weight, tensor in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[weight], tensor), weight
    if "Classification" in kind:
        assert ours.config.labels == ("no", "maybe", "yes")
        assert back.config.id2label == LABELS["id2label"]


def outputs(answer) -> list[torch.Tensor]:
    """The tensors that a model answers, in one order for both sides."""
    names = (
        ("start_logits", "end_logits"),
        ("prediction_logits", "seq_relationship_logits"),
        ("prediction_logits", "sop_logits"),
        ("logits", "next_sentence_logits"),
        ("logits",),
    )
    chosen = next(group for group in names if all(getattr(answer, name, None) is not None for name in group))
    return [getattr(answer, name) for name in chosen]


# Files


WORDS = WordPieceTokenizer.train(["the cat sat on the mat and the dog sat on the log ."], 64)
TOKENS, _ = padded(0)


def pretrained(**settings) -> BERTForPretraining:
    sizes = {"vocab_size": WORDS.vocab_size, "context_length": 16, "d_model": 24, "n_heads": 4, "n_layers": 2}
    return randomise(BERTForPretraining(BERTConfig(**{**sizes, **settings})))


SWITCHES = {
    "BERT": {},
    "no pairs": {"next_sentence": False},
    "RoBERTa": {"n_segments": 0, "next_sentence": False, "position_offset": 1},
    "no segments, BERT's positions": {"n_segments": 0},
    "ALBERT": {"d_embedding": 8, "share_layers": True},
    "narrow embeddings only": {"d_embedding": 8},
    "shared layers only": {"share_layers": True},
}


@pytest.mark.parametrize("settings", SWITCHES.values(), ids=SWITCHES)
def test_fill_mask_runs_on_the_saved_folder(tmp_path, settings):
    """Ours saved, theirs read: the pipeline names the tokens that our head likes best, with our probabilities."""
    ours = pretrained(**settings)
    to_huggingface(ours, WORDS, tmp_path)
    text = "the [MASK] sat on the [MASK] ."
    ids = torch.tensor([[WORDS.cls_id, *WORDS.encode(text, allow_special=True), WORDS.sep_id]])
    with torch.no_grad():
        chances = ours(ids).logits.softmax(-1)[0]
    answers = transformers.pipeline("fill-mask", model=str(tmp_path))(text)
    for place, guesses in zip((ids[0] == WORDS.mask_id).nonzero().flatten(), answers, strict=True):
        best = chances[place].topk(5)
        assert [guess["token"] for guess in guesses] == best.indices.tolist()
        assert [guess["score"] for guess in guesses] == pytest.approx(best.values.tolist(), rel=1e-4)
    again = bert_from_huggingface(tmp_path)
    with torch.no_grad():
        assert_close(again(ids).logits, ours(ids).logits, rtol=0, atol=1e-5)


MODELS = {
    "BERT": BERT,
    "pre-training": BERTForPretraining,
    "texts": BERTForSequenceClassification,
    "words": BERTForTokenClassification,
    "answers": BERTForQuestionAnswering,
}


@pytest.mark.parametrize("kind", MODELS)
def test_our_folders(tmp_path, kind):
    settings = {"vocab_size": WORDS.vocab_size, "labels": ("no", "yes"), "d_embedding": 8, "share_layers": True}
    model = randomise(MODELS[kind](BERTConfig(context_length=LENGTH, d_model=24, n_heads=4, n_layers=2, **settings)))
    save_model(tmp_path, model, WORDS)
    again, tokenizer = load_model(tmp_path)
    tokens = TOKENS % WORDS.vocab_size
    with torch.no_grad():
        for mine, other in zip(vars(model(tokens)).values(), vars(again(tokens)).values(), strict=True):
            assert mine is None or torch.equal(mine, other)
    assert type(again) is type(model) and again.config == model.config
    assert again.count_parameters() == model.count_parameters()
    assert tokenizer.tokens == WORDS.tokens


def test_weights_as_the_first_checkpoints_named_them(tmp_path):
    """gamma and beta for the norms, a table of position ids, the tied matrix written out a second time."""
    theirs = make("Bert", "ForPreTraining", **CASES["Bert: small"][1])
    theirs.save_pretrained(tmp_path)
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in load_file(tmp_path / "model.safetensors").items()
    }
    weights["bert.embeddings.position_ids"] = torch.arange(LENGTH)[None]
    weights["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors")
    with torch.no_grad():
        found = bert_from_huggingface(tmp_path)(TOKENS)
        assert_close(found.logits, theirs(TOKENS, attention_mask=TOKENS != 0).prediction_logits, rtol=0, atol=2e-5)
    weights["cls.predictions.decoder.weight"] += 1
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="our BERT ties the two"):
        bert_from_huggingface(tmp_path)


def test_missing_and_unexpected_weights_are_listed(tmp_path):
    theirs = make("Bert", "ForMaskedLM", **CASES["Bert: small"][1])
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = {name: weight for name, weight in weights.items() if "layer.2." not in name}
    save_file(lost | {"bert.wings.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    five = r"lacks 16 weights \(bert\.encoder\.layer\.2\S+, (\S+, ){3}\S+ and 11 more"
    with pytest.raises(ValueError, match=five) as error:
        bert_from_huggingface(tmp_path)
    assert "holds 1 weight (bert.wings.weight), which a BERTForPretraining by its" in str(error.value)
    save_file(weights | {"cls.predictions.bias": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"cls.predictions.bias has shape \(3,\), and by config.json .* \(40,\)"):
        bert_from_huggingface(tmp_path)


def test_a_checkpoint_of_another_family_is_named(tmp_path):
    sizes = {"vocab_size": 9, "n_positions": 8, "n_embd": 8, "n_head": 2, "n_layer": 1}
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    gpt2.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="of the family 'gpt2', not a BERT: gpt_from_huggingface loads it"):
        bert_from_huggingface(tmp_path)
    with pytest.raises(ValueError, match="the model is of the family 'gpt2'"):
        bert_from_huggingface(gpt2)
    with pytest.raises(ValueError, match="Hugging Face's format .gpt2.: load it with gpt_from_huggingface or bert_"):
        load_model(tmp_path)
    save_model(tmp_path / "ours", pretrained())
    with pytest.raises(ValueError, match="use load_model"):
        bert_from_huggingface(tmp_path / "ours")


def test_settings_that_ours_does_not_have():
    small = CASES["Bert: small"][1]
    with pytest.raises(ValueError, match="is_decoder=True"):
        bert_from_huggingface(make("Bert", "Model", **small, is_decoder=True))
    with pytest.raises(ValueError, match="hidden_act='tanh'"):
        bert_from_huggingface(make("Bert", "Model", **{**small, "hidden_act": "tanh"}))
    grouped = {**small, "embedding_size": 8, "num_hidden_layers": 4, "num_hidden_groups": 2}
    with pytest.raises(ValueError, match="num_hidden_groups=2 for 4 layers"):
        bert_from_huggingface(make("Albert", "Model", **grouped))


def test_settings_that_transformers_does_not_have():
    with pytest.raises(ValueError, match="no Roberta with next_sentence=True"):
        to_huggingface(pretrained(position_offset=1))
    with pytest.raises(ValueError, match="position_offset=3 where pad_id=0 asks for the next number"):
        to_huggingface(pretrained(position_offset=3, next_sentence=False))


def test_a_tokenizer_of_another_model(tmp_path):
    with pytest.raises(ValueError, match="fills short rows with token 0, and the model takes 3"):
        save_model(tmp_path, pretrained(pad_id=3), WORDS)


def test_offline_the_answer_says_what_to_do(monkeypatch):
    monkeypatch.setattr("course_lib.hub.places.hub_answers", lambda: False)
    with pytest.raises(FileNotFoundError, match=r"'someone/some-bert' is not on this machine.*load_model"):
        bert_from_huggingface("someone/some-bert")
    with pytest.raises(FileNotFoundError, match="There is no folder ./nowhere"):
        bert_from_huggingface("./nowhere")


def test_a_name_that_is_in_this_machines_cache(tmp_path, monkeypatch):
    """Laid out as the hub's client keeps it: a model that was fetched once needs no network."""
    theirs = make("Bert", "ForMaskedLM", **CASES["Bert: small"][1])
    kept = tmp_path / "models--someone--some-bert"
    theirs.save_pretrained(kept / "snapshots" / "abc123")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("course_lib.hub.places.hub_answers", lambda: pytest.fail("asked the network"))
    with torch.no_grad():
        found = bert_from_huggingface("someone/some-bert")(TOKENS).logits
        assert_close(found, theirs(TOKENS, attention_mask=TOKENS != 0).logits, rtol=0, atol=2e-5)


def test_weights_in_several_files(tmp_path):
    theirs = make("Bert", "Model", **CASES["Bert: small"][1])
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    with torch.no_grad():
        expected = theirs(TOKENS, attention_mask=TOKENS != 0).last_hidden_state
        assert_close(bert_from_huggingface(tmp_path)(TOKENS).hidden, expected, rtol=0, atol=2e-5)
