"""The explorer opens on every model that the course builds."""

import pytest

from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text.tokenizers import CharTokenizer, WordPieceTokenizer
from course_lib.widgets import AttentionExplorer

SENTENCES = ["the cat sat on the mat", "a dog saw the cat"]
SHAPE = {"context_length": 24, "d_model": 32, "n_heads": 4, "n_layers": 2}


def test_a_bert_opens_on_one_view_and_predicts_at_the_mask():
    tokenizer = WordPieceTokenizer.train(SENTENCES, 60)
    model = BERTForPretraining(BERTConfig(tokenizer.vocab_size, **SHAPE, pad_id=tokenizer.pad_id))
    explorer = AttentionExplorer.from_model(model, tokenizer, "the [MASK] sat")
    assert explorer.tokens[0] == "[CLS]" and "[MASK]" in explorer.tokens
    assert explorer.contents["predictions"]
    explorer.ablated = [[1, 2]]
    assert explorer.reading.ablated == (("self", 1, 2),)
    explorer.text = "a [MASK] saw"
    assert "saw" in "".join(explorer.tokens).replace("##", "")


def test_an_encoder_decoder_opens_on_three_views():
    tokenizer = CharTokenizer.train(SENTENCES)
    config = EncoderDecoderConfig(tokenizer.vocab_size, **SHAPE, n_decoder_layers=3, start_id=tokenizer.end_id)
    explorer = AttentionExplorer.from_model(EncoderDecoder(config), tokenizer, "the cat")
    assert list(explorer.reading.views) == ["encoder", "decoder", "cross"]
    explorer.view = "cross"
    assert explorer.matrix().shape == (len(explorer.tokens), len("the cat") + 1)
    assert explorer.matrix().sum(axis=1) == pytest.approx(1, abs=1e-5)
    explorer.ablated = [["cross", 2, 1]]
    assert explorer.reading.ablated == (("cross", 2, 1),)
    explorer.causal = False
    assert not explorer.reading.views["decoder"].causal
