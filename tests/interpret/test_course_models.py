"""The BERT and the encoder–decoder of this course are read, ablated and patched as its GPT is."""

import copy

import numpy as np
import pytest
import torch

from course_lib.interpret import (
    HeadAt,
    Site,
    ablate,
    head_means,
    logit_difference,
    logit_lens,
    patch_each,
    reader_for,
    record_activations,
)
from course_lib.models.bert import BERT, BERTConfig, BERTForPretraining, BERTForTokenClassification
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text.tokenizers import CharTokenizer, WordPieceTokenizer

SENTENCES = ["the cat sat on the mat", "a dog saw the cat"]
SHAPE = {"context_length": 24, "d_model": 32, "n_heads": 4, "n_layers": 2}
BERTS = {
    "BERT": {},
    "RoBERTa": {"n_segments": 1, "next_sentence": False, "position_offset": 1},
    "ALBERT": {"share_layers": True, "d_embedding": 16, "n_layers": 3},
}
PAIRS = {
    "original": {"n_decoder_layers": 3},
    "T5": {
        "norm": "rmsnorm",
        "norm_position": "pre",
        "positions": "relative",
        "d_head": 12,
        "bias": False,
        "scale_scores": False,
        "scale_output": True,
        "activation": "geglu",
    },
}
MASKED = "the [MASK] sat on the [MASK]"


@pytest.fixture(scope="module")
def pieces():
    return WordPieceTokenizer.train(SENTENCES, 60)


@pytest.fixture(scope="module")
def characters():
    return CharTokenizer.train(SENTENCES)


def livelier(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
    return model.eval()


def bert(tokenizer, kind=BERTForPretraining, **settings):
    config = BERTConfig(tokenizer.vocab_size, **(SHAPE | {"pad_id": tokenizer.pad_id} | settings))
    return livelier(kind(config))


def pair_model(tokenizer, **settings):
    return livelier(EncoderDecoder(EncoderDecoderConfig(tokenizer.vocab_size, start_id=0, **(SHAPE | settings))))


# --- BERT ---


@pytest.mark.parametrize("settings", BERTS.values(), ids=BERTS)
def test_a_bert_is_read_as_it_answers_itself(settings, pieces):
    model = bert(pieces, **settings)
    reading = reader_for(model, pieces).read(MASKED)
    ids = [pieces.cls_id, *pieces.encode(MASKED, allow_special=True), pieces.sep_id]
    own = model(torch.tensor([ids]), return_attentions=True)
    view = reading.views["self"]
    assert len(view.weights) == settings.get("n_layers", 2) and not view.causal
    for ours, theirs in zip(view.weights, own.attentions, strict=True):
        np.testing.assert_allclose(ours, theirs[0].detach(), atol=1e-5)
    assert (view.query_tokens[0], view.query_tokens[-1]) == ("[CLS]", "[SEP]")
    assert (view.query_special[0], view.query_special[1], view.query_special[-1]) == (True, False, True)
    predictions = reading.predictions
    assert predictions.kind == "masked"
    assert predictions.positions == tuple(place for place, index in enumerate(ids) if index == pieces.mask_id)
    expected = own.logits[0, list(predictions.positions)].softmax(-1).detach()
    np.testing.assert_allclose(predictions.probabilities, expected, atol=1e-5)
    assert view.value_norms.shape == (len(view.weights), 4, len(ids))


def test_a_bert_looks_back_only_when_told_and_without_a_mask_predicts_nothing(pieces):
    reader = reader_for(bert(pieces), pieces)
    assert reader.causal is False and reader.title == "BERTForPretraining, 2 × 4 heads"
    assert reader.read(MASKED, causal=True).views["self"].causal
    assert not reader.read(MASKED).views["self"].causal
    assert "Write [MASK] in the text" in reader.read("the cat").notes[-1]
    long = reader.read("the cat sat on the mat " * 9)
    assert len(long.views["self"].query_tokens) == 24 and "were cut" in long.notes[0]


@pytest.mark.parametrize("kind", [BERT, BERTForTokenClassification])
def test_a_bert_that_predicts_no_tokens_says_so(kind, pieces):
    reading = reader_for(bert(pieces, kind, labels=("no", "yes")), pieces).read(MASKED)
    assert reading.predictions is None and "not probabilities of tokens" in reading.notes[-1]
    assert len(reading.views["self"].weights) == 2


def test_a_head_of_a_bert_that_is_off_is_cut_out_of_w_o(pieces):
    model = bert(pieces)
    surgery = copy.deepcopy(model)
    surgery.bert.blocks[1].attention.output.weight.data[:, 16:24] = 0
    without = reader_for(model, pieces).read(MASKED, ablated=[(1, 2)]).predictions.probabilities
    np.testing.assert_allclose(without, reader_for(surgery, pieces).read(MASKED).predictions.probabilities, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("settings", BERTS.values(), ids=BERTS)
def test_the_stream_of_a_bert_can_be_seen_read_out_and_patched(settings, pieces):
    model = bert(pieces, **settings)
    ids = torch.tensor([[pieces.cls_id, *pieces.encode("the cat sat"), pieces.sep_id]])
    with torch.no_grad(), record_activations(model) as seen:
        expected = model(ids)
        states = model.bert(ids, return_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        torch.testing.assert_close(seen[Site("stream", layer)], state)
    logits = logit_lens(model, ids)
    torch.testing.assert_close(logits[-1], expected.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits[1], model.head(states[1]))
    other = ids.clone()
    other[0, 2] = pieces.mask_id
    patching = patch_each(model, ids, other, logit_difference(ids[:, 2], ids[:, 1], position=2))
    assert patching.effect.shape == (len(states), ids.shape[1])
    assert patching.effect[0, 2] == pytest.approx(1, abs=1e-4) == patching.effect[-1, 2]


# --- encoder–decoder ---


@pytest.mark.parametrize("settings", PAIRS.values(), ids=PAIRS)
def test_an_encoder_decoder_has_three_views_that_are_its_own_answers(settings, characters):
    model = pair_model(characters, **settings)
    reading = reader_for(model, characters).read("the cat", decoder_text="a dog")
    source, target = (torch.tensor([[*characters.encode(text), 0]]) for text in ("the cat", "a dog"))
    own = model(source, target, return_attentions=True)
    assert list(reading.views) == ["encoder", "decoder", "cross"]
    for name, view in reading.views.items():
        for ours, theirs in zip(view.weights, getattr(own, f"{name}_attentions"), strict=True):
            np.testing.assert_allclose(ours, theirs[0].detach(), atol=1e-4)
        assert view.causal == (name == "decoder")
    cross = reading.views["cross"]
    assert cross.key_tokens == (*"the cat", "<|end|>") and cross.query_tokens == ("<|end|>", *"a dog")
    assert cross.n_layers == model.config.decoder_layers
    assert reading.decoder_text == "a dog"
    expected = own.logits[0, -1].softmax(-1).detach()
    np.testing.assert_allclose(reading.predictions.probabilities[0], expected, atol=1e-4)
    assert reading.predictions.kind == "next"


def test_its_decoder_reads_what_it_writes(characters):
    model = pair_model(characters)
    reader = reader_for(model, characters)
    reading = reader.read("the cat")
    encoded = model.encode(torch.tensor([[*characters.encode("the cat"), 0]]))
    written = [0]
    for _ in range(23):
        written.append(int(model.decode(torch.tensor([written]), encoded).logits[0, -1].argmax()))
        if written[-1] == 0:
            written.pop()
            break
    assert reading.decoder_text == characters.decode(written[1:])
    assert len(reading.views["decoder"].query_tokens) == len(written)
    again = reader.read("the cat", ablated=[("cross", 0, 1), ("encoder", 1, 0)])
    assert again.decoder_text == reading.decoder_text
    assert reading.predictions.kl_divergence(again.predictions)[0] > 0


def test_writing_ends_with_the_end_or_with_the_context(characters):
    model = pair_model(characters)
    with torch.no_grad():
        model.unembedding.weight.zero_()  # all tokens alike: the first, which is the end, is taken
    assert reader_for(model, characters).read("cat").decoder_text == ""
    model = pair_model(characters, tie_embeddings=False)
    with torch.no_grad():
        model.unembedding.weight[0] = -model.unembedding.weight.sum(dim=0) * 99
    assert len(reader_for(model, characters).read("cat").views["decoder"].query_tokens) <= 24


def test_its_decoders_mask_can_be_taken_off_and_its_other_attentions_stay(characters):
    reader = reader_for(pair_model(characters), characters)
    plain, open_ = (reader.read("the cat", causal=causal, decoder_text="a dog") for causal in (None, False))
    assert plain.views["decoder"].causal and not open_.views["decoder"].causal
    for one, other in zip(plain.views["encoder"].weights, open_.views["encoder"].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for view in (open_.views["cross"], reader.read("the cat", causal=True, decoder_text="a dog").views["encoder"]):
        assert np.triu(view.weights[0], 1).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("view", ["encoder", "decoder", "cross"])
def test_a_head_of_any_of_its_attentions_can_be_switched_off(view, characters):
    model = pair_model(characters, norm_position="pre")
    surgery = copy.deepcopy(model)
    block = (surgery.encoder if view == "encoder" else surgery.decoder).blocks[1]
    attention = block.cross_attention if view == "cross" else block.attention
    attention.output.weight.data[:, 8:16] = 0
    without = reader_for(model, characters).read("the cat", ablated=[(view, 1, 1)], decoder_text="a dog")
    expected = reader_for(surgery, characters).read("the cat", decoder_text="a dog")
    np.testing.assert_allclose(without.predictions.probabilities, expected.predictions.probabilities, atol=1e-4)


def test_long_texts_of_an_encoder_decoder_are_cut_and_keep_their_end(characters):
    reading = reader_for(pair_model(characters), characters).read("the cat sat " * 5, decoder_text="a dog " * 9)
    assert len(reading.views["encoder"].query_tokens) == 24 == len(reading.views["decoder"].query_tokens)
    assert reading.views["encoder"].query_tokens[-1] == "<|end|>"
    assert any("were cut" in note for note in reading.notes) and any("decoder's text" in note for note in reading.notes)


@pytest.mark.slow
def test_what_an_encoder_says_can_be_patched_into_another_run(characters):
    model = pair_model(characters, n_decoder_layers=3)
    clean, corrupted = (torch.tensor([[*characters.encode(text), 0]]) for text in ("the cat", "the mat"))
    target = torch.tensor([[*characters.encode("a dog"), 0]])
    metric = logit_difference(target[:, 1], target[:, 2])
    patching = patch_each(model, (clean, target), (corrupted, target), metric, view="encoder")
    assert patching.effect[0, 4] == pytest.approx(1, abs=1e-4)
    heads = patch_each(model, (clean, target), (corrupted, target), metric, "head", view="cross")
    assert heads.effect.shape == (3, 4)


def test_a_mean_takes_a_heads_place_in_an_encoder_decoder(characters):
    model = pair_model(characters)
    pair = tuple(torch.tensor([[*characters.encode(text), 0]]) for text in ("the cat", "a dog"))
    means = head_means(model, [pair])
    assert len(means) == 3 * 2 * 4
    with torch.no_grad(), record_activations(model, ["head"]) as seen:
        model(*pair)
    expected = seen[Site("head", 1, 2, "cross")].mean(dim=(0, 1))
    torch.testing.assert_close(means[HeadAt("cross", 1, 2)], expected)
    with torch.no_grad(), ablate(model, [("cross", 1, 2)], means):
        ablated = model(*pair)
    assert not torch.allclose(ablated.logits, model(*pair).logits)
