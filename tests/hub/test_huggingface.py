"""The same logits in our GPT and in transformers' models, in both directions, through files and pipelines."""

import json
import time

import pytest
import torch
from torch.testing import assert_close
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    pipeline,
)

from course_lib.generation import generate
from course_lib.hub import gpt_from_huggingface, to_huggingface
from course_lib.hub.huggingface import fast_tokenizer
from course_lib.text.tokenizers import BPETokenizer, CharTokenizer
from tests.hub.conftest import randomise

TOKENIZER = CharTokenizer.train(["abcdefghijklmnopqrstuvwxyz "])
TOKENS = torch.randint(28, (2, 16), generator=torch.Generator().manual_seed(0))

GPT2_SWITCHES = {
    "as GPT-2": {},
    "untied": {"tie_embeddings": False},
    "no biases": {"bias": False},
    "exact GELU": {"activation": "gelu"},
    "squared ReLU": {"activation": "relu2"},
    "another d_ff": {"d_ff": 50},
    "another ε": {"norm_eps": 0.1},
    "another start": {"zero_writers": True},
}
LLAMA_SWITCHES = {
    name: {"positions": "rotary", "norm": "rmsnorm", "activation": "swiglu", "bias": False, **settings}
    for name, settings in {
        "as Llama": {"tie_embeddings": False},
        "tied": {},
        "grouped": {"n_kv_heads": 2},
        "one key-value head": {"n_kv_heads": 1, "d_ff": 40},
        "biases": {"bias": True},
    }.items()
}
SWITCHES = {**GPT2_SWITCHES, **LLAMA_SWITCHES}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SWITCHES.values(), ids=SWITCHES)
def test_to_transformers_and_back(tmp_path, make_gpt, settings):
    ours = make_gpt(**settings)
    theirs = to_huggingface(ours, folder=tmp_path)
    expected = ours(TOKENS).logits
    assert expected.std() > 0.3
    assert type(theirs) is (GPT2LMHeadModel if settings in GPT2_SWITCHES.values() else LlamaForCausalLM)
    with torch.no_grad():
        assert_close(theirs(TOKENS).logits, expected, rtol=0, atol=1e-5)
        assert_close(AutoModelForCausalLM.from_pretrained(tmp_path)(TOKENS).logits, expected, rtol=0, atol=1e-5)
    for again in (gpt_from_huggingface(theirs), gpt_from_huggingface(tmp_path), gpt_from_huggingface(str(tmp_path))):
        assert_close(again(TOKENS).logits, expected, rtol=0, atol=1e-6)
        assert not again.training


def test_a_gpt2_of_theirs():
    config = GPT2Config(vocab_size=28, n_positions=16, n_embd=24, n_head=3, n_layer=2, bos_token_id=0, eos_token_id=0)
    theirs = randomise(GPT2LMHeadModel(config))
    ours = gpt_from_huggingface(theirs)
    with torch.no_grad():
        assert_close(ours(TOKENS).logits, theirs(TOKENS).logits, rtol=0, atol=1e-4)
    assert ours.count_parameters() == theirs.num_parameters()
    back = to_huggingface(ours)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight), name


def test_a_llama_of_theirs():
    config = LlamaConfig(
        vocab_size=28, max_position_embeddings=16, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    theirs = randomise(LlamaForCausalLM(config))
    ours = gpt_from_huggingface(theirs)
    with torch.no_grad():
        assert_close(ours(TOKENS).logits, theirs(TOKENS).logits, rtol=0, atol=1e-5)
    assert ours.config.n_kv_heads == 2


@pytest.mark.parametrize("settings", [{}, LLAMA_SWITCHES["grouped"]], ids=["GPT-2", "Llama"])
def test_the_saved_folder_works_in_a_pipeline(tmp_path, make_gpt, settings):
    ours = make_gpt(context_length=32, **settings)
    to_huggingface(ours, TOKENIZER, tmp_path)
    tokens = torch.tensor([TOKENIZER.encode("tell me")])
    continued = generate(ours, tokens, 12, temperature=0.0, stop_id=TOKENIZER.end_id)[0].tolist()
    expected = TOKENIZER.decode(continued).split("<|end|>")[0]
    answer = pipeline("text-generation", model=str(tmp_path))("tell me", max_new_tokens=12, do_sample=False)
    assert answer[0]["generated_text"] == expected


def test_the_tokenizer_in_transformers_makes_the_same_ids(tmp_path):
    tokenizer = CharTokenizer.train(["a b\n学é<|end|>😀"])
    fast_tokenizer(tokenizer, 99).save_pretrained(tmp_path)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("ab", "a b\n学", "  😀é\n\n", "<|end|>", "", "a<|end|>b"):
        assert fast(text)["input_ids"] == tokenizer.encode(text)  # a text that spells <|end|> does not end
        assert fast.decode(fast(text)["input_ids"]) == text
    assert fast.eos_token_id == tokenizer.end_id
    assert fast.model_max_length == 99


def test_a_folder_keeps_its_other_files_and_says_how_a_text_ends(tmp_path, make_gpt):
    (tmp_path / "README.md").write_text("card")
    to_huggingface(make_gpt(), TOKENIZER, tmp_path)
    assert (tmp_path / "README.md").read_text() == "card"
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == TOKENIZER.end_id
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positions": "alibi"}, "for GPT-2, positions='alibi'; for Llama, positions='alibi', norm='layernorm'"),
        ({"n_kv_heads": 2}, "for GPT-2, n_kv_heads=2"),
        ({**LLAMA_SWITCHES["tied"], "qk_norm": True}, "qk_norm=True"),
        ({"logit_cap": 15.0}, "logit_cap=15.0"),
        ({"norm_position": "post"}, "norm_position='post'"),
    ],
)
def test_switches_that_transformers_does_not_have(make_gpt, settings, message):
    with pytest.raises(ValueError, match=message):
        to_huggingface(make_gpt(**settings))


def test_architectures_and_settings_that_we_do_not_have(tmp_path):
    opt = OPTForCausalLM(
        OPTConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=8,
                  max_position_embeddings=8, word_embed_proj_dim=8)
    )  # fmt: skip
    with pytest.raises(ValueError, match="is a OPTForCausalLM; .* GPT2LMHeadModel or LlamaForCausalLM"):
        gpt_from_huggingface(opt)
    sizes = {"vocab_size": 9, "n_positions": 8, "n_embd": 8, "n_head": 2, "n_layer": 1}
    scaled = GPT2LMHeadModel(GPT2Config(**sizes, scale_attn_by_inverse_layer_idx=True))
    with pytest.raises(ValueError, match="scale_attn_by_inverse_layer_idx=True"):
        gpt_from_huggingface(scaled)
    with pytest.raises(ValueError, match="activation is 'tanh'"):
        gpt_from_huggingface(GPT2LMHeadModel(GPT2Config(**sizes, activation_function="tanh")))
    sizes = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    far = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, rope_parameters=rope))
    with pytest.raises(ValueError, match="rope_parameters"):
        gpt_from_huggingface(far)


def test_offline_the_answer_comes_at_once_and_says_what_to_do(monkeypatch):
    monkeypatch.setattr("course_lib.hub.places.hub_answers", lambda: False)
    start = time.perf_counter()
    with pytest.raises(FileNotFoundError, match=r"'someone/some-gpt2' is not on this machine.*load_model"):
        gpt_from_huggingface("someone/some-gpt2")
    assert time.perf_counter() - start < 5


def test_a_hub_that_does_not_answer_is_known_in_seconds(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    from huggingface_hub import constants

    from course_lib.hub.places import hub_answers

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert not hub_answers()


def test_folders_that_hold_no_model(tmp_path, make_gpt):
    from course_lib.hub import save_model

    with pytest.raises(FileNotFoundError, match="There is no folder"):
        gpt_from_huggingface(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        gpt_from_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(FileNotFoundError, match="pickles, which can run code"):
        gpt_from_huggingface(tmp_path)
    save_model(tmp_path / "ours", make_gpt())
    with pytest.raises(ValueError, match="use load_model"):
        gpt_from_huggingface(tmp_path / "ours")


def test_a_damaged_folder_of_theirs(tmp_path, make_gpt):
    to_huggingface(make_gpt(), folder=tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot be loaded, it may be damaged"):
        gpt_from_huggingface(tmp_path)


def test_byte_pairs_in_a_pipeline(tmp_path, make_gpt):
    tokenizer = BPETokenizer.train(["the cat and the hat, 学习 and the 😀 "] * 4, vocab_size=270)
    ours = make_gpt(vocab_size=tokenizer.vocab_size, context_length=32, **LLAMA_SWITCHES["tied"])
    to_huggingface(ours, tokenizer, tmp_path)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the hat", "  学习😀<|end|>\n", "été"):
        assert fast(text)["input_ids"] == tokenizer.encode(text)
        assert fast.decode(fast(text)["input_ids"]) == text
    tokens = torch.tensor([tokenizer.encode("the cat")])
    added = generate(ours, tokens, 8, temperature=0.0, stop_id=tokenizer.end_id)[0].tolist()
    expected = tokenizer.decode([token for token in added if token != tokenizer.end_id])
    answer = pipeline("text-generation", model=str(tmp_path))("the cat", max_new_tokens=8, do_sample=False)
    assert answer[0]["generated_text"] == expected
