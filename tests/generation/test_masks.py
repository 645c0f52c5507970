"""A BERT's guesses at its masks, on a model made to guess one thing."""

import pytest
import torch

from course_lib.generation import fill_mask
from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.text import WordPieceTokenizer
from course_lib.text.tokenizers import CharTokenizer

TOKENIZER = WordPieceTokenizer.train(["the cat sat on the mat and the dog sat on the log . "] * 3, 64)


@pytest.fixture
def model():
    """Its head prefers "cat" to "dog" by one nat, wherever it is asked, and both to the rest."""
    torch.manual_seed(0)
    config = BERTConfig(TOKENIZER.vocab_size, context_length=16, d_model=8, n_heads=2, n_layers=1)
    model = BERTForPretraining(config)
    with torch.no_grad():
        model.head.norm.weight.zero_()
        for word, logit in (("cat", 3.0), ("dog", 2.0)):
            model.head.decoder.bias[TOKENIZER.token_to_id[word]] = logit
    return model


def test_guesses_at_each_mask(model):
    first, second = fill_mask(model, TOKENIZER, "The [MASK] sat on the [MASK].", top_k=2)
    total = torch.tensor([3.0, 2.0, *[0.0] * (TOKENIZER.vocab_size - 2)]).exp().sum().item()
    for guesses in (first, second):
        assert [guess.token for guess in guesses] == ["cat", "dog"]
        assert guesses[0].probability == pytest.approx(20.0855 / total, rel=1e-4)
    assert first[1].text.startswith("the dog sat on the [MASK]")
    assert second[0].text.startswith("the [MASK] sat on the cat")
    assert model.training  # as it was


def test_bad_input_is_said(model):
    with pytest.raises(ValueError, match="CharTokenizer has no mask token"):
        fill_mask(model, CharTokenizer.train(["abc"]), "a[MASK]")
    with pytest.raises(ValueError, match=r"has no \[MASK\], which is how .* <mask> is another model's"):
        fill_mask(model, TOKENIZER, "the <mask> sat")
    with pytest.raises(ValueError, match=r"has no \[MASK\], which is how this model's mask is written\.$"):
        fill_mask(model, TOKENIZER, "the cat sat")
    with pytest.raises(ValueError, match="22 tokens long, but this model has 16 positions"):
        fill_mask(model, TOKENIZER, "the [MASK] " * 10)
