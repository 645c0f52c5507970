"""The same logits, attention and generated texts in our encoder–decoder and in transformers' T5, both ways."""

from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from course_lib.generation import beam_search, generate, translate
from course_lib.hub import bert_from_huggingface, load_model, save_model, t5_from_huggingface, to_huggingface
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.models.gpt import IGNORED
from course_lib.text.tokenizers import BPETokenizer, WordPieceTokenizer
from tests.hub.conftest import randomise

SIZES = {
    "vocab_size": 40, "d_model": 24, "d_kv": 6, "num_heads": 4, "num_layers": 2, "d_ff": 36,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12, "decoder_start_token_id": 0,
    "dropout_rate": 0.0, "attn_implementation": "eager",
}  # fmt: skip
V1_0 = {"feed_forward_proj": "relu"}
V1_1 = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
CONFIGS = {
    "1.0": V1_0,
    "1.1": V1_1,
    "1.1 with heads of their own width": V1_1 | {"d_kv": 5, "num_heads": 3},
    "1.0 with a deeper decoder": V1_0 | {"num_decoder_layers": 4},
    "1.0, one head, usual buckets": V1_0
    | {"num_heads": 1, "d_kv": 24, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128},
    "gated SiLU and another ε": {"feed_forward_proj": "gated-silu", "layer_norm_epsilon": 1e-2},
    "another padding and start": V1_0 | {"pad_token_id": 7, "decoder_start_token_id": 3},
}


def make(**settings) -> transformers.T5ForConditionalGeneration:
    return randomise(transformers.T5ForConditionalGeneration(transformers.T5Config(**SIZES | settings)))


def texts(pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sources of 20, 9 and 2 tokens, which of their places are real, and targets of 11, 15 and 1."""
    draw = torch.Generator().manual_seed(0)
    source, targets = torch.randint(8, 40, (3, 20), generator=draw), torch.randint(8, 40, (3, 15), generator=draw)
    real = torch.arange(20) < torch.tensor([20, 9, 2])[:, None]
    counts = torch.arange(15) < torch.tensor([11, 15, 1])[:, None]
    return source.masked_fill(~real, pad_id), real, targets.masked_fill(~counts, IGNORED)


@pytest.mark.parametrize("settings", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_logits_loss_and_attention(settings):
    theirs = make(**settings)
    ours = t5_from_huggingface(theirs)
    source, real, targets = texts(theirs.config.pad_token_id)
    expected = theirs(source, attention_mask=real.long(), labels=targets, output_attentions=True)
    found, fused = ours(source, targets, return_attentions=True), ours(source, targets)
    assert expected.logits.std() > 0.1
    size = expected.logits.std().item()
    counts = targets != IGNORED
    for output in (found, fused):
        assert_close(output.logits[counts], expected.logits[counts], rtol=1e-4, atol=2e-5 * max(1, size))
        assert_close(output.loss, expected.loss, rtol=1e-4, atol=1e-4)
    for name, rows in (("encoder", real), ("decoder", counts), ("cross", counts)):
        mine, other = getattr(found, f"{name}_attentions"), getattr(expected, f"{name}_attentions")
        for ours_, theirs_ in zip(mine, other, strict=True):
            assert_close(ours_.transpose(1, 2)[rows], theirs_.transpose(1, 2)[rows], rtol=1e-4, atol=1e-5)


def test_the_biases_of_positions_are_one_table_for_all_blocks_of_a_side():
    theirs = make(num_layers=3)
    ours = t5_from_huggingface(theirs)
    source, _, targets = texts(0)
    tables = [name for name, _ in ours.named_parameters() if "positions" in name]
    assert tables == ["encoder.positions.embedding.weight", "decoder.positions.embedding.weight"]
    before = ours(source, targets, return_attentions=True)
    with torch.no_grad():
        ours.decoder.positions.embedding.weight[0] += 1.0
    after = ours(source, targets, return_attentions=True)
    for one, other in zip(before.decoder_attentions, after.decoder_attentions, strict=True):
        assert (one - other).abs().max() > 1e-2
    assert_close(before.encoder_attentions, after.encoder_attentions)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [V1_0, V1_1], ids=["1.0", "1.1"])
@pytest.mark.parametrize("changes", [{}, {"scale_scores": True}], ids=["T5", "with a scale"])
@torch.no_grad()
def test_there_and_back_through_folders(settings, changes, tmp_path):
    first = t5_from_huggingface(make(**settings))
    ours = EncoderDecoder(replace(first.config, start_id=3, **changes)).eval()
    ours.load_state_dict(first.state_dict())
    source, real, targets = texts(0)
    expected = ours(source, targets).logits
    theirs = to_huggingface(ours, folder=tmp_path / "theirs")
    loaded = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "theirs")
    for model in (theirs, loaded):
        found = model(source, attention_mask=real.long(), labels=targets).logits
        assert_close(found[targets != IGNORED], expected[targets != IGNORED], rtol=1e-3, atol=1e-4)
    back = t5_from_huggingface(tmp_path / "theirs")
    assert_close(back(source, targets).logits, expected, rtol=1e-3, atol=1e-4)
    assert back.config == replace(ours.config, scale_scores=False, context_length=512)
    save_model(tmp_path / "ours", back)
    again, tokenizer = load_model(tmp_path / "ours")
    assert tokenizer is None
    assert again.config == back.config
    assert_close(again(source, targets).logits, back(source, targets).logits, rtol=0, atol=0)


def their_beams(theirs, source, max_new_tokens, beams, length_penalty, early_stopping, stop_id):
    run = theirs.generate(
        source[None], attention_mask=torch.ones_like(source[None]), max_new_tokens=max_new_tokens, num_beams=beams,
        num_return_sequences=beams, length_penalty=length_penalty, early_stopping=early_stopping, eos_token_id=stop_id,
        pad_token_id=0 if stop_id is None else stop_id, do_sample=False, return_dict_in_generate=True,
        output_scores=True,
    )  # fmt: skip
    rows = []
    for row in run.sequences.tolist():
        length = row[1:].index(stop_id) + 1 if stop_id in row[1:] else len(row) - 1
        rows.append(row[: 1 + length])
    return rows, run.sequences_scores.tolist()


SOURCES = torch.randint(4, 13, (2, 6), generator=torch.Generator().manual_seed(2))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [V1_0, V1_1], ids=["1.0", "1.1"])
@pytest.mark.parametrize("stop_id", [None, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("beams", [2, 5])
def test_the_beams_of_transformers(settings, beams, length_penalty, early_stopping, stop_id):
    theirs = make(**settings, vocab_size=13)
    ours = t5_from_huggingface(theirs)
    found = beam_search(
        ours, SOURCES, 9, beams=beams, length_penalty=length_penalty, early_stopping=early_stopping, stop_id=stop_id
    )
    for source, hypotheses in zip(SOURCES, found, strict=True):
        tokens, scores = their_beams(theirs, source, 9, beams, length_penalty, early_stopping, stop_id)
        assert [hypothesis.tokens for hypothesis in hypotheses] == tokens
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx(scores, abs=1e-4)


def test_the_greedy_text_of_transformers():
    theirs = make(vocab_size=13)
    ours = t5_from_huggingface(theirs)
    expected = theirs.generate(
        SOURCES, attention_mask=torch.ones_like(SOURCES), max_new_tokens=9, do_sample=False, eos_token_id=None
    )
    assert generate(ours, SOURCES, 9, temperature=0.0).tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["WordPiece", "BPE"])
def test_the_lines_that_a_user_types(kind, tmp_path):
    texts = ["Mia has two eggs.", "米娅有两个鸡蛋。", "where is Tom?"]
    if kind == "WordPiece":
        tokenizer = WordPieceTokenizer.train(texts, 80)
        pad_id = tokenizer.pad_id
    else:
        tokenizer = BPETokenizer.train(texts, 270, special_tokens=("<|end|>", "<|pad|>"))
        pad_id = 1
    config = t5_from_huggingface(make()).config
    ours = randomise(EncoderDecoder(replace(config, vocab_size=tokenizer.vocab_size, pad_id=pad_id, start_id=pad_id)))
    to_huggingface(ours, tokenizer, tmp_path)

    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    batch = their_tokenizer(texts, return_tensors="pt", padding=True)
    assert [[i for i in row if i != pad_id] for row in batch.input_ids.tolist()] == [
        [*tokenizer.encode(text), tokenizer.end_id] for text in texts
    ]
    written = theirs.generate(**batch, max_new_tokens=12, do_sample=False)
    special = (tokenizer.end_id, pad_id)
    found = [tokenizer.decode([i for i in row if i not in special]) for row in written.tolist()]
    expected = translate(ours, tokenizer, texts, max_new_tokens=12)
    assert [text.replace(" ", "") for text in found] == [text.replace(" ", "") for text in expected]


class TestRefusals:
    def test_a_model_of_another_family(self, tmp_path):
        gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9))
        gpt2.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="is of the family 'gpt2', not a T5: gpt_from_huggingface loads it"):
            t5_from_huggingface(tmp_path)
        with pytest.raises(ValueError, match="of the family 't5', not a BERT: t5_from_huggingface loads it"):
            bert_from_huggingface(make())

    def test_weights_that_are_missing_or_left_over(self, tmp_path):
        make(num_layers=1).save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["encoder.final_layer_norm.weight"]
        weights |= {f"extra.{number}": torch.zeros(1) for number in range(7)}
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            ValueError,
            match=r"lacks 1 weight \(encoder.final_layer_norm.weight\).*"
            r"7 weights \(extra.0, extra.1, extra.2, extra.3, extra.4 and 2 more\)",
        ):
            t5_from_huggingface(tmp_path)

    def test_what_published_checkpoints_carry_besides(self, tmp_path):
        theirs = make(num_layers=1)
        theirs.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        weights["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.zeros(8, 4)
        weights["encoder.embed_tokens.weight"] = weights["shared.weight"].clone()
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        source, _, targets = texts(0)
        expected = t5_from_huggingface(theirs)(source, targets).logits
        assert_close(t5_from_huggingface(tmp_path)(source, targets).logits, expected, rtol=0, atol=0)

    def test_an_activation_that_ours_has_not(self):
        with pytest.raises(ValueError, match="feed_forward_proj='gated-relu', and ours knows relu, gelu"):
            t5_from_huggingface(make(feed_forward_proj="gated-relu"))

    def test_a_model_that_is_no_t5(self):
        with pytest.raises(ValueError, match="no T5 with positions='sinusoidal', norm='layernorm', norm_position="):
            to_huggingface(EncoderDecoder(EncoderDecoderConfig(9, 8, 8, 2, 1)))

    def test_no_such_name_and_no_network(self, monkeypatch):
        monkeypatch.setattr("course_lib.hub.places.hub_answers", lambda: False)
        with pytest.raises(FileNotFoundError, match="the Hugging Face hub cannot be reached"):
            t5_from_huggingface("t5-that-is-not-here")
