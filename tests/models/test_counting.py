"""Counts by formula equal what is there: numel, torch's FLOP counter, the bytes of tensors."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib.models.counting import (
    cache_bytes,
    count_parameters,
    decoding_flops,
    forward_flops,
    inner_width,
    training_flops,
    training_memory,
)
from course_lib.models.gpt import GPT, POSITIONS, GPTConfig
from course_lib.models.sizes import GPT2, SIZES, named_config
from course_lib.training.optim import make_optimizers

SMALL = {"vocab_size": 29, "context_length": 12, "d_model": 48, "n_heads": 4, "n_layers": 3}
SWITCHES = {
    **{f"{positions} positions": {"positions": positions} for positions in POSITIONS},
    "no biases": {"bias": False},
    "RMSNorm": {"norm": "rmsnorm"},
    "post-norm": {"norm_position": "post"},
    "no norm": {"norm_position": "none"},
    "SwiGLU": {"activation": "swiglu"},
    "SwiGLU without biases": {"activation": "swiglu", "bias": False},
    "another d_ff": {"d_ff": 50},
    "grouped": {"n_kv_heads": 2},
    "one key-value head, no biases": {"n_kv_heads": 1, "bias": False},
    "untied": {"tie_embeddings": False},
    "normalised queries and keys": {"qk_norm": True},
}
every_switch = pytest.mark.parametrize("settings", SWITCHES.values(), ids=SWITCHES)


@every_switch
def test_parameters(settings):
    config = GPTConfig(**SMALL, **settings)
    model, count = GPT(config), count_parameters(config)
    assert count.total == model.count_parameters() == sum(p.numel() for p in model.parameters())
    assert count.without_embeddings == model.count_parameters(embeddings=False)
    assert count.attention == sum(p.numel() for block in model.blocks for p in block.attention.parameters())
    assert count.feed_forward == sum(p.numel() for block in model.blocks for p in block.feed_forward.parameters())
    assert inner_width(config) == model.blocks[0].feed_forward.up.out_features


def measured_flops(run) -> int:
    counter = FlopCounterMode(display=False)
    with counter:
        run()
    return counter.get_total_flops()


@pytest.mark.slow
@every_switch
@pytest.mark.parametrize(("time", "batch"), [(12, 1), (7, 3)])
def test_flops(settings, time, batch):
    """Counted where attention is two explicit products: the fused kernel is one operation with a rule of its own."""
    config = GPTConfig(**SMALL, **settings)
    model, tokens = GPT(config), torch.randint(29, (batch, time))
    forward = measured_flops(lambda: model(tokens, return_attentions=True))
    assert forward == forward_flops(config, time, batch)
    both = measured_flops(lambda: model(tokens, tokens, return_attentions=True).loss.backward())
    assert both == training_flops(config, time, batch)


@every_switch
def test_flops_of_one_more_token(settings):
    config = GPTConfig(**SMALL, **settings)
    model = GPT(config).eval()
    cache = model.new_cache(2)
    model(torch.randint(29, (2, 6)), cache=cache)
    one = torch.randint(29, (2, 1))
    assert measured_flops(lambda: model(one, cache=cache, return_attentions=True)) == decoding_flops(config, 7, 2)


@every_switch
def test_the_cache(settings):
    config = GPTConfig(**SMALL, **settings)
    cache = GPT(config).new_cache(3, 10)
    assert cache_bytes(config, 10, 3) == sum(layer.keys.nbytes + layer.values.nbytes for layer in cache)


@every_switch
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_training_memory(settings, optimizer):
    config = GPTConfig(**SMALL, **settings)
    model = GPT(config)
    optimizers = make_optimizers(model, optimizer, learning_rate=0.1, weight_decay=0.0)
    tokens = torch.randint(29, (2, 12))
    model(tokens, tokens).loss.backward()
    for one in optimizers:
        one.step()
    kept = [value for one in optimizers for state in one.state.values() for value in state.values()]
    counted = training_memory(config, optimizer=optimizer)
    assert counted.weights == sum(p.nbytes for p in model.parameters())
    assert counted.gradients == sum(p.grad.nbytes for p in model.parameters())
    assert counted.optimizer == sum(v.nbytes for v in kept if torch.is_tensor(v) and v.ndim)  # not the step counts
    assert counted.total == counted.weights + counted.gradients + counted.optimizer


def test_an_optimizer_that_there_is_not():
    with pytest.raises(ValueError, match="no optimiser 'sgd'"):
        training_memory(GPTConfig(**SMALL), optimizer="sgd")


PUBLISHED = {  # parameters of the published GPT-2 models
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.parametrize("name", SIZES)
def test_named_sizes(name):
    config = named_config(name)
    with torch.device("meta"):  # shapes without numbers: a model of any size costs nothing
        model = GPT(config)
    assert count_parameters(config).total == model.count_parameters() == PUBLISHED.get(name, model.count_parameters())


def test_the_published_four_by_the_names_that_people_use():
    assert [count_parameters(config).total for config in GPT2.values()] == list(PUBLISHED.values())


@pytest.mark.slow
def test_flops_of_gpt2_in_full():
    config = named_config("gpt2")
    tokens = torch.zeros(1, 8, dtype=torch.long)
    model = GPT(config)
    assert measured_flops(lambda: model(tokens, return_attentions=True)) == forward_flops(config, 8)


def test_a_named_size_with_changes():
    assert named_config("gpt2", vocab_size=1024).vocab_size == 1024
    with pytest.raises(ValueError, match="no size 'gpt3': choose one of gpt2, gpt2-medium"):
        named_config("gpt3")
