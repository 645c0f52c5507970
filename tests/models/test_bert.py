"""What holds of every BERT: it looks both ways, padding changes nothing, and wrong input is said in a sentence."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.models.bert import (
    BERT,
    BERTConfig,
    BERTForPretraining,
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
)
from course_lib.models.gpt import IGNORED

SIZES = {"vocab_size": 50, "context_length": 12, "d_model": 16, "n_heads": 2, "n_layers": 2, "dropout": 0.0}
SWITCHES = {
    "BERT": {},
    "RoBERTa": {"n_segments": 0, "next_sentence": False, "pad_id": 1, "position_offset": 2},
    "ALBERT": {"d_embedding": 6, "share_layers": True, "activation": "gelu_tanh"},
}
TOKENS = torch.randint(2, 50, (3, 10), generator=torch.Generator().manual_seed(0))


def make(kind=BERT, **settings):
    torch.manual_seed(0)
    model = kind(BERTConfig(**{**SIZES, **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name and "weight" in name), std=0.2)
    return model.eval()


@pytest.mark.parametrize("settings", SWITCHES.values(), ids=SWITCHES)
class TestEncoder:
    def test_every_token_depends_on_every_other(self, settings):
        model = make(**settings)
        vectors = model.token_embedding(TOKENS[:1]).detach().requires_grad_()
        model.token_embedding.forward = lambda tokens: vectors
        for place in (0, 4, 9):
            (gradient,) = torch.autograd.grad(model(TOKENS[:1]).hidden[0, place].sum(), vectors)
            assert (gradient[0].abs().sum(-1) > 0).all()

    def test_padding_changes_nothing(self, settings):
        model = make(**settings)
        pad = model.config.pad_id
        longer = torch.cat([TOKENS, torch.full((3, 2), pad)], dim=1)
        with torch.no_grad():
            alone, padded = model(TOKENS, return_attentions=True), model(longer, return_attentions=True)
        assert_close(padded.hidden[:, :10], alone.hidden)
        assert_close(padded.pooled, alone.pooled)
        for before, after in zip(alone.attentions, padded.attentions, strict=True):
            assert (after[..., 10:] == 0).all()
            assert_close(after[:, :, :10, :10], before)
            assert_close(after.sum(-1), torch.ones(3, 2, 12))
        assert torch.equal(model(longer, None, longer != pad).hidden, model(longer).hidden)

    def test_the_order_of_tokens_counts(self, settings):
        model = make(**settings)
        other = TOKENS.flip(1)
        assert (model(TOKENS).hidden.flip(1) - model(other).hidden).abs().max() > 0.01

    def test_wrong_input_is_said(self, settings):
        model = make(**settings)
        with pytest.raises(ValueError, match="13 tokens long, but this model has 12 positions"):
            model(torch.full((1, 13), 5))
        for token in (50, -1):
            with pytest.raises(ValueError, match=f"Token {token} is outside 0 … 49: was the text encoded"):
                model(torch.tensor([[3, token]]))


def test_segments():
    model = make()
    segments = torch.tensor([[0] * 4 + [1] * 6] * 3)
    assert (model(TOKENS, segments).hidden - model(TOKENS).hidden).abs().max() > 0.01
    assert torch.equal(model(TOKENS, torch.zeros_like(TOKENS)).hidden, model(TOKENS).hidden)
    with pytest.raises(ValueError, match="Segment 2 is outside 0 … 1: number the two texts"):
        model(TOKENS, segments + 1)
    without = make(n_segments=0)
    assert torch.equal(without(TOKENS, segments).hidden, without(TOKENS).hidden)


def test_shared_layers_and_narrow_embeddings_save_parameters():
    """ALBERT's two savings, by formula: one block instead of n, and V·E + E·d instead of V·d."""
    sizes = {"n_layers": 6, "d_model": 32, "d_ff": 64, "vocab_size": 500}
    count = {
        name: make(**{**sizes, **settings}).count_parameters()
        for name, settings in {
            "BERT": {}, "shared": {"share_layers": True}, "narrow": {"d_embedding": 8},
        }.items()
    }  # fmt: skip
    block = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 4 * 32
    assert count["BERT"] - count["shared"] == 5 * block
    rows = 500 + 12 + 2 + 2  # tokens, positions, segments, and the norm's two vectors
    assert count["BERT"] - count["narrow"] == rows * (32 - 8) - (8 * 32 + 32)
    model = make(share_layers=True, n_layers=6)
    assert len(model.blocks) == 6 and all(block is model.blocks[0] for block in model.blocks)


class TestPretraining:
    def test_the_loss_at_the_start_is_that_of_guessing(self):
        torch.manual_seed(0)
        model = BERTForPretraining(BERTConfig(**SIZES))
        targets = TOKENS.where(torch.rand(TOKENS.shape) < 0.3, IGNORED)
        output = model(TOKENS, None, torch.tensor([0, 1, 1]), targets)
        assert output.masked_loss.item() == pytest.approx(math.log(50), rel=0.03)
        assert output.next_sentence_loss.item() == pytest.approx(math.log(2), rel=0.03)
        assert output.loss.item() == pytest.approx((output.masked_loss + output.next_sentence_loss).item())

    @pytest.mark.parametrize("settings", SWITCHES.values(), ids=SWITCHES)
    def test_training_scores_only_masked_places_with_the_same_loss(self, settings):
        model = make(BERTForPretraining, **settings)
        targets = TOKENS.where(torch.rand(TOKENS.shape) < 0.3, IGNORED)
        pairs = torch.tensor([0, 1, IGNORED])
        whole = model(TOKENS, None, pairs, targets)
        model.train()
        quick = model(TOKENS, None, pairs, targets)
        assert quick.logits is None and whole.logits.shape == (3, 10, 50)
        assert_close(quick.loss, whole.loss)
        by_hand = nn.functional.cross_entropy(whole.logits.transpose(1, 2), targets, ignore_index=IGNORED)
        assert_close(whole.masked_loss, by_hand)

    def test_nothing_masked_and_no_pair_with_a_label(self):
        model = make(BERTForPretraining)
        nothing = torch.full_like(TOKENS, IGNORED)
        output = model(TOKENS, None, torch.full((3,), IGNORED), nothing)
        assert output.loss.item() == 0 and output.loss.isfinite()
        assert model(TOKENS).loss is None

    def test_the_decoder_is_the_embedding(self):
        model = make(BERTForPretraining, d_embedding=6)
        assert model.head.decoder.weight is model.bert.token_embedding.weight
        assert model.head.transform.out_features == 6

    def test_wrong_input_is_said(self):
        model = make(BERTForPretraining)
        with pytest.raises(ValueError, match="Target 50 is outside 0 … 49"):
            model(TOKENS, None, None, torch.full_like(TOKENS, 50))
        with pytest.raises(ValueError, match="Next-sentence label 2 is outside 0 … 1: 0 says that it follows"):
            model(TOKENS, None, torch.tensor([0, 1, 2]), TOKENS)
        with pytest.raises(ValueError, match="with next_sentence, set pooler=True"):
            BERTForPretraining(BERTConfig(**SIZES, pooler=False))


class TestHeads:
    def test_shapes_and_losses(self):
        labels = ("a", "b", "c")
        texts = make(BERTForSequenceClassification, labels=labels)(TOKENS, None, torch.tensor([0, 2, 1]))
        words = make(BERTForTokenClassification, labels=labels, pooler=False)(TOKENS, None, TOKENS % 3)
        spans = make(BERTForQuestionAnswering, pooler=False)(TOKENS, None, torch.tensor([[1, 2], [0, 0], [9, 9]]))
        assert texts.logits.shape == (3, 3) and words.logits.shape == (3, 10, 3)
        cross_entropy = nn.functional.cross_entropy
        assert_close(texts.loss, cross_entropy(texts.logits, torch.tensor([0, 2, 1])))
        assert_close(words.loss, cross_entropy(words.logits.transpose(1, 2), TOKENS % 3))
        start = cross_entropy(spans.start_logits, torch.tensor([1, 0, 9]))
        end = cross_entropy(spans.end_logits, torch.tensor([2, 0, 9]))
        assert_close(spans.loss, (start + end) / 2)

    def test_wrong_input_is_said(self):
        with pytest.raises(ValueError, match=r"at least two labels, but config.labels is \['a'\]"):
            BERTForSequenceClassification(BERTConfig(**SIZES, labels=("a",)))
        with pytest.raises(ValueError, match="whole text needs the vector of the whole text: set pooler=True"):
            BERTForSequenceClassification(BERTConfig(**SIZES, labels=("a", "b"), pooler=False))
        with pytest.raises(ValueError, match="Place 10 is outside 0 … 9: an answer lies inside its text"):
            make(BERTForQuestionAnswering)(TOKENS, None, torch.tensor([[1, 10]] * 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_heads": 3}, "d_model=16 cannot be cut into n_heads=3"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"dropout": 1.0}, "probability below 1"),
        ({"pad_id": 50}, "pad_id is 50, but tokens go from 0 to 49"),
        ({"activation": "swiglu"}, "no activation of BERT 'swiglu'"),
        ({"labels": ("a", "a")}, "Each label may stand in the list once"),
    ],
)
def test_configs_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        BERTConfig(**{**SIZES, **settings})
