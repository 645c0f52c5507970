"""The same random weights in our GPT and in transformers' GPT-2 and Llama: the same logits, losses and attentions."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from course_lib.models.gpt import GPT, IGNORED, GPTConfig

GPT2_SIZES = {
    "tiny": {"vocab_size": 37, "context_length": 12, "d_model": 8, "n_heads": 1, "n_layers": 1},
    "narrow and deep": {"vocab_size": 50, "context_length": 20, "d_model": 24, "n_heads": 3, "n_layers": 7},
    "wide": {"vocab_size": 101, "context_length": 64, "d_model": 192, "n_heads": 12, "n_layers": 2},
    "another d_ff": {"vocab_size": 64, "context_length": 16, "d_model": 32, "n_heads": 4, "n_layers": 3, "d_ff": 50},
    "untied": {
        "vocab_size": 64, "context_length": 16, "d_model": 32, "n_heads": 4, "n_layers": 2, "tie_embeddings": False
    },
    "another ε": {"vocab_size": 64, "context_length": 16, "d_model": 32, "n_heads": 8, "n_layers": 2, "norm_eps": 0.1},
    "exact GELU": {
        "vocab_size": 64, "context_length": 16, "d_model": 32, "n_heads": 2, "n_layers": 2, "activation": "gelu"
    },
    "ReLU": {"vocab_size": 64, "context_length": 16, "d_model": 32, "n_heads": 2, "n_layers": 2, "activation": "relu"},
}  # fmt: skip

LLAMA_SIZES = {
    "many heads": {"vocab_size": 61, "context_length": 40, "d_model": 32, "n_heads": 4, "n_layers": 2},
    "grouped": {"vocab_size": 61, "context_length": 40, "d_model": 48, "n_heads": 6, "n_kv_heads": 2, "n_layers": 3},
    "one": {"vocab_size": 61, "context_length": 40, "d_model": 32, "n_heads": 8, "n_kv_heads": 1, "n_layers": 2},
    "tied": {
        "vocab_size": 61, "context_length": 40, "d_model": 32, "n_heads": 4, "n_layers": 1, "tie_embeddings": True
    },
}  # fmt: skip


def randomise(model: nn.Module) -> nn.Module:
    """Weights large enough that a slip anywhere shows in the logits; none is left at 0 or 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name or "ln_" in name), std=0.2)
    return model.eval()


def gpt2_with_random_weights(config: GPTConfig) -> GPT2LMHeadModel:
    return randomise(
        GPT2LMHeadModel(
            GPT2Config(
                vocab_size=config.vocab_size,
                n_positions=config.context_length,
                n_embd=config.d_model,
                n_head=config.n_heads,
                n_layer=config.n_layers,
                n_inner=config.d_ff,
                layer_norm_epsilon=config.norm_eps,
                activation_function={"gelu_tanh": "gelu_new"}.get(config.activation, config.activation),
                tie_word_embeddings=config.tie_embeddings,
                attn_implementation="eager",
                bos_token_id=0,
                eos_token_id=0,
            )
        )
    )


def gpt_from_gpt2(theirs: GPT2LMHeadModel, config: GPTConfig) -> GPT:
    """GPT-2 keeps its matrices transposed (input × output), and query, key and value side by side in one."""
    old = theirs.state_dict()
    new = {
        "token_embedding.weight": old["transformer.wte.weight"],
        "positions.embedding.weight": old["transformer.wpe.weight"],
        "unembedding.weight": old["lm_head.weight"],
        "final_norm.weight": old["transformer.ln_f.weight"],
        "final_norm.bias": old["transformer.ln_f.bias"],
    }
    for layer in range(config.n_layers):
        here, there = f"blocks.{layer}", f"transformer.h.{layer}"
        for part in ("weight", "bias"):
            for name, piece in zip(
                ("query", "key", "value"), old[f"{there}.attn.c_attn.{part}"].chunk(3, dim=-1), strict=True
            ):
                new[f"{here}.attention.{name}.{part}"] = piece.t()
            for name, other in (
                ("attention.output", "attn.c_proj"),
                ("feed_forward.up", "mlp.c_fc"),
                ("feed_forward.down", "mlp.c_proj"),
            ):
                new[f"{here}.{name}.{part}"] = old[f"{there}.{other}.{part}"].t()
            new[f"{here}.attention_norm.{part}"] = old[f"{there}.ln_1.{part}"]
            new[f"{here}.feed_forward_norm.{part}"] = old[f"{there}.ln_2.{part}"]
    ours = GPT(config)
    ours.load_state_dict(new)
    return ours.eval()


@pytest.mark.parametrize("sizes", GPT2_SIZES.values(), ids=GPT2_SIZES)
class TestGPT2:
    def test_logits_and_attentions(self, sizes):
        config = GPTConfig(**sizes)
        theirs = gpt2_with_random_weights(config)
        ours = gpt_from_gpt2(theirs, config)
        for time in (1, 5, config.context_length):
            tokens = torch.randint(config.vocab_size, (3, time))
            with torch.no_grad():
                expected = theirs(tokens, output_attentions=True)
                output = ours(tokens)
                seen = ours(tokens, return_attentions=True)
            assert expected.logits.std() > 0.5
            assert_close(output.logits, expected.logits, rtol=0, atol=1e-4)
            assert_close(seen.logits, expected.logits, rtol=0, atol=1e-4)
            assert output.attentions is None
            for mine, other in zip(seen.attentions, expected.attentions, strict=True):
                assert_close(mine, other, rtol=0, atol=1e-5)

    def test_loss_and_gradients(self, sizes):
        config = GPTConfig(**sizes)
        theirs = gpt2_with_random_weights(config)
        ours = gpt_from_gpt2(theirs, config)
        tokens = torch.randint(config.vocab_size, (3, 9))
        counted = tokens.clone()
        counted[1, 4:] = IGNORED
        # transformers moves the labels itself; ours are moved by the caller.
        expected = theirs(tokens, labels=counted).loss
        loss = ours(tokens[:, :-1], counted[:, 1:]).loss
        assert_close(loss, expected)
        loss.backward()
        expected.backward()
        there = theirs.transformer
        for mine, other in (
            (ours.token_embedding.weight, there.wte.weight.grad),
            (ours.positions.embedding.weight, there.wpe.weight.grad),
            (ours.blocks[0].attention.output.weight, there.h[0].attn.c_proj.weight.grad.T),
            (ours.blocks[0].attention_norm.bias, there.h[0].ln_1.bias.grad),
            (ours.blocks[-1].feed_forward.down.weight, there.h[-1].mlp.c_proj.weight.grad.T),
        ):
            assert_close(mine.grad, other, rtol=1e-3, atol=1e-4)

    def test_number_of_parameters(self, sizes):
        config = GPTConfig(**sizes)
        assert GPT(config).count_parameters() == gpt2_with_random_weights(config).num_parameters()


@pytest.mark.parametrize("sizes", LLAMA_SIZES.values(), ids=LLAMA_SIZES)
def test_llama(sizes):
    config = GPTConfig(
        positions="rotary",
        norm="rmsnorm",
        norm_eps=1e-6,
        activation="swiglu",
        bias=False,
        d_ff=40,
        **{"tie_embeddings": False, **sizes},
    )
    theirs = randomise(
        LlamaForCausalLM(
            LlamaConfig(
                vocab_size=config.vocab_size,
                max_position_embeddings=config.context_length,
                hidden_size=config.d_model,
                intermediate_size=config.d_ff,
                num_hidden_layers=config.n_layers,
                num_attention_heads=config.n_heads,
                num_key_value_heads=config.kv_heads,
                rms_norm_eps=config.norm_eps,
                tie_word_embeddings=config.tie_embeddings,
                rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
                attn_implementation="eager",
            )
        )
    )
    names = {
        "model.embed_tokens": "token_embedding",
        "model.norm": "final_norm",
        "lm_head": "unembedding",
        "model.layers": "blocks",
        "self_attn.o_proj": "attention.output",
        "self_attn.q_proj": "attention.query",
        "self_attn.k_proj": "attention.key",
        "self_attn.v_proj": "attention.value",
        "mlp.gate_proj": "feed_forward.gate",
        "mlp.up_proj": "feed_forward.up",
        "mlp.down_proj": "feed_forward.down",
        "post_attention_layernorm": "feed_forward_norm",
        "input_layernorm": "attention_norm",
    }
    weights = {}
    for name, weight in theirs.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        weights[name] = weight
    ours = GPT(config).eval()
    ours.load_state_dict(weights)

    tokens = torch.randint(config.vocab_size, (2, config.context_length))
    with torch.no_grad():
        expected = theirs(tokens, output_attentions=True)
        output = ours(tokens, return_attentions=True)
    assert expected.logits.std() > 0.3
    assert_close(output.logits, expected.logits, rtol=0, atol=1e-4)
    assert_close(ours(tokens).logits, expected.logits, rtol=0, atol=1e-4)
    for mine, other in zip(output.attentions, expected.attentions, strict=True):
        assert_close(mine, other, rtol=0, atol=1e-5)
    assert ours.count_parameters() == theirs.num_parameters()
