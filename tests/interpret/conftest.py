"""Small models of every make with one small tokenizer, each built once."""

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer

SENTENCES = ["the cat sat on the mat", "a dog saw the cat", "你好 the cat 😀"]
WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
ENDS = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
SIDES = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "encoder_attention_heads": 4}

ARCHITECTURES = {
    # name: (model class, config class, settings)
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 32}),
    "llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {**WIDTH, "num_key_value_heads": 2, "max_position_embeddings": 64},
    ),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**WIDTH, "num_key_value_heads": 1, "sliding_window": 3}),
    "gpt_oss": (
        "GptOssForCausalLM",
        "GptOssConfig",
        {**WIDTH, "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 4},
    ),
    "bloom": ("BloomForCausalLM", "BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "bert": ("BertForMaskedLM", "BertConfig", WIDTH),
    "bert_vectors": ("BertModel", "BertConfig", WIDTH),
    "bert_classes": ("BertForTokenClassification", "BertConfig", WIDTH),
    "roberta": (
        "RobertaForMaskedLM",
        "RobertaConfig",
        {**WIDTH, "max_position_embeddings": 34, "pad_token_id": 1},
    ),
    "deberta": ("DebertaV2ForMaskedLM", "DebertaV2Config", WIDTH),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4, **ENDS},
    ),
    "bart": (
        "BartForConditionalGeneration",
        "BartConfig",
        {**SIDES, "encoder_layers": 2, "decoder_layers": 3, "decoder_attention_heads": 2, **ENDS},
    ),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with a mask, as GPT-2 (and RoBERTa) has it."""
    return wrapped(
        models.BPE(),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<pad>", "</s>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )


def wrapped(model, pre_tokenizer, decoder, trainer, **names) -> PreTrainedTokenizerFast:
    """A tokenizer trained on SENTENCES, as transformers wraps it."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"} | names
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="session")
def transformers_model(byte_tokenizer):
    """Makes a named architecture with random weights, large enough that heads differ."""

    def make(name: str, attention: str = "eager"):
        class_name, config_name, settings = ARCHITECTURES[name]
        config = getattr(transformers, config_name)(vocab_size=len(byte_tokenizer), **settings)
        torch.manual_seed(1)
        model = getattr(transformers, class_name)._from_config(config, attn_implementation=attention)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(4)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def char_tokenizer() -> CharTokenizer:
    return CharTokenizer.train(SENTENCES)


@pytest.fixture
def gpt(char_tokenizer):
    """Makes a GPT of this course."""

    def make(**settings) -> GPT:
        torch.manual_seed(2)
        shape = {"context_length": 32, "d_model": 32, "n_heads": 4, "n_layers": 3}
        model = GPT(GPTConfig(vocab_size=char_tokenizer.vocab_size, **(shape | settings)))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(8)
        return model.eval()

    return make
