"""The same vectors, attention and losses in our BERT and in transformers' BERT, RoBERTa and ALBERT, both ways."""

import pytest
import torch
import transformers
from torch.testing import assert_close

from course_lib.hub import bert_from_huggingface, to_huggingface
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
