"""The costs of a plan: activations as autograd keeps them, published runs, and what splitting saves."""

from dataclasses import replace

import pytest
import torch

from course_lib.models.costs import (
    DEVICES,
    LLAMA_7B,
    SPLITS,
    Plan,
    activation_numbers,
    checkpointed_numbers,
    cost_of,
    memory_of,
)
from course_lib.models.counting import count_parameters
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.sizes import named_config

CONFIG = GPTConfig(vocab_size=37, context_length=32, d_model=16, n_heads=2, n_layers=3)


def kept_numbers(config, time, batch, *, fused):
    """Float32 numbers that autograd really keeps, weights not counted."""
    model, kept = GPT(config), {}
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(tensor):
        tensor = tensor.detach()  # the tensor itself would hold its own graph, for ever
        storage = tensor.untyped_storage()
        if tensor.dtype == torch.float32 and storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes() // 4, tensor)
        return tensor

    tokens = torch.randint(config.vocab_size, (batch, time))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(tokens, tokens, return_attentions=not fused)
    return sum(numbers for numbers, _ in kept.values())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("time", "batch"), [(10, 3), (32, 1)])
def test_activations_are_what_autograd_keeps(time, batch, fused):
    counted = activation_numbers(CONFIG, time, batch, fused=fused)
    assert kept_numbers(CONFIG, time, batch, fused=fused) == counted + 1  # and the number of targets, for the mean


def test_activations_of_other_choices_are_near():
    modern = replace(CONFIG, positions="rotary", norm="rmsnorm", activation="swiglu", bias=False, n_kv_heads=1)
    assert activation_numbers(modern, 10, 3) == pytest.approx(kept_numbers(modern, 10, 3, fused=True), rel=0.1)


def test_checkpointing_keeps_inputs_and_one_block():
    one_block = replace(CONFIG, n_layers=1)
    per_block = activation_numbers(replace(CONFIG, n_layers=2), 8) - activation_numbers(one_block, 8)
    ends = activation_numbers(one_block, 8) - per_block
    assert checkpointed_numbers(CONFIG, 8) == 3 * 8 * 16 + per_block + ends


def test_llama_7b_has_the_published_size_and_its_run_a_plausible_utilisation():
    assert count_parameters(LLAMA_7B).total == 6_738_415_616
    plan = Plan(LLAMA_7B, tokens=1e12, utilization=1.0)
    share = cost_of(plan).seconds / 3600 / 82_432  # A100 hours, Touvron et al. 2023, table 15
    assert 0.4 < share < 0.55


def test_sixteen_bytes_a_parameter_whatever_the_precision():
    for precision in ("mixed", "float32"):
        memory = memory_of(Plan(named_config("gpt2"), precision=precision))
        states = sum(memory[part] for part in ("weights", "gradients", "optimiser"))
        assert states == 16 * 124_439_808


def test_each_stage_splits_one_thing_more():
    plan = Plan(LLAMA_7B, n_devices=8)
    whole = memory_of(plan)
    order = ("optimiser", "gradients", "weights")
    for stage, split in enumerate(SPLITS):
        memory = memory_of(replace(plan, split=split))
        for place, part in enumerate(order):
            assert memory[part] == whole[part] / (8 if place < stage else 1), (split, part)
        assert memory["activations"] == whole["activations"]


def test_checkpointing_costs_a_third_more_time_and_no_more_of_the_models_arithmetic():
    plan = Plan(named_config("gpt2"))
    before, after = cost_of(plan), cost_of(replace(plan, checkpointing=True))
    assert after.flops == before.flops
    assert after.seconds == pytest.approx(before.seconds * 4 / 3)
    assert after.memory["activations"] < before.memory["activations"] / 2


def test_fits_compares_with_the_devices_memory():
    assert not cost_of(Plan(LLAMA_7B)).fits(DEVICES["A100"])
    shared = cost_of(Plan(LLAMA_7B, n_devices=8, split="everything", batch=1))
    assert shared.fits(DEVICES["A100"])
    assert not shared.fits(DEVICES["T4"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "float8"}, "mixed, float32"),
        ({"split": "half"}, "everything"),
        ({"n_devices": 0}, "one device"),
        ({"utilization": 1.2}, "1.2"),
    ],
)
def test_impossible_plans_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        Plan(CONFIG, **change)
