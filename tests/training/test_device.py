"""Computing in bfloat16 throughout, from weights that stay in float32."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import Documents, TrainConfig, Trainer, pick_device
from course_lib.training.device import RoundedWeights

MODERN = {"positions": "rotary", "norm": "rmsnorm", "activation": "swiglu", "bias": False, "qk_norm": True}


def tiny(**switches) -> GPT:
    torch.manual_seed(0)
    return GPT(
        GPTConfig(**{"vocab_size": 11, "context_length": 12, "d_model": 32, "n_heads": 4, "n_layers": 2} | switches)
    )


@pytest.mark.parametrize("switches", [{}, MODERN, {"positions": "sinusoidal"}, {"positions": "alibi"}])
def test_computes_in_bfloat16_and_the_gradients_are_those_of_the_weights(switches):
    model = tiny(**switches)
    tokens, targets = torch.randint(11, (2, 4, 10))
    exact = model(tokens, targets)
    exact.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)

    rounded = RoundedWeights(model, torch.bfloat16)(tokens, targets)
    rounded.loss.backward()
    assert rounded.logits.dtype == torch.bfloat16
    assert rounded.loss.dtype == torch.float32
    assert rounded.loss.item() == pytest.approx(exact.loss.item(), rel=0.01)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        # A constant added to all keys changes no weight: its gradient is 0, and rounding is all that is left of it.
        assert (parameter.grad - gradients[name]).norm() < 0.1 * gradients[name].norm() + 1e-3, name


def test_steps_smaller_than_a_bfloat16_weight_can_show_add_up():
    linear = nn.Linear(1, 1, bias=False)
    nn.init.ones_(linear.weight)
    rounded = RoundedWeights(linear, torch.bfloat16)
    optimizer = torch.optim.SGD(linear.parameters(), lr=1e-4)  # 1 - 0.0001 is 1 in bfloat16
    for _ in range(100):
        optimizer.zero_grad()
        rounded(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()
    assert linear.weight.item() == pytest.approx(0.99, abs=1e-5)


@pytest.mark.slow
def test_the_trainer_learns_in_it_and_keeps_float32_weights():
    documents = Documents([[1, 2, 3, 4, 5, 6, 7, 8]] * 8, 12, end_id=0)
    settings = TrainConfig(
        steps=30, batch_size=4, learning_rate=0.01, warmup_steps=3, device="cpu", precision="bfloat16 throughout"
    )
    trainer = Trainer(tiny(), documents, documents, settings)
    history = trainer.fit(progress=False)
    assert history[-1].validation_loss < 0.2 < history[0].train_loss
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert "bfloat16 throughout" in str(trainer.device)


@pytest.mark.slow
def test_compiles_as_one_graph():
    """In a process of its own: the checks of shapes, which learners do not have, cannot be compiled."""
    program = """
import torch
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training.device import RoundedWeights

# Neither a LayerNorm nor a GELU: of these a compiler gets the formulas, whose parts are rounded one by one here.
config = GPTConfig(13, 10, d_model=16, n_heads=4, n_layers=1, norm="rmsnorm", activation="relu")
model = RoundedWeights(GPT(config), torch.bfloat16)
tokens = torch.randint(13, (2, 6))
compiled = torch.compile(model, backend="eager", fullgraph=True)
compiled(tokens, tokens).loss.backward()
torch.testing.assert_close(compiled(tokens, tokens).loss, model(tokens, tokens).loss)
print(model.model.token_embedding.weight.grad.dtype)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["torch.float32"], done.stderr


def test_only_the_matrix_products_are_in_bfloat16_otherwise():
    device = pick_device("cpu", "bfloat16")
    model = tiny()
    assert device.lower(model) is model
    assert not device.throughout


@pytest.mark.parametrize(
    ("card", "has_bfloat16", "dtype", "reason"),
    [
        ("Tesla T4", False, torch.float16, "Tesla T4 has no bfloat16; float16 needs loss scaling"),
        ("NVIDIA L4", True, torch.bfloat16, "NVIDIA L4 computes in bfloat16"),
    ],
)
def test_a_cuda_card_comes_first_in_the_precision_that_it_computes_in(monkeypatch, card, has_bfloat16, dtype, reason):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: card)
    # A card from before bfloat16 says that it supports it when emulation counts.
    supported = lambda including_emulation=True: has_bfloat16 or including_emulation  # noqa: E731
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    device = pick_device()
    assert (device.name, device.dtype) == ("cuda", dtype)
    assert reason in str(device)


def test_a_mac_trains_on_its_gpu_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert (pick_device().name, pick_device().dtype) == ("mps", torch.float32)


@pytest.mark.parametrize("has_instructions", [True, False])
def test_a_cpu_trains_in_bfloat16_where_it_has_the_instructions(monkeypatch, has_instructions):
    monkeypatch.setattr("course_lib.training.device._cpu_computes_bfloat16", lambda: has_instructions)
    device = pick_device("cpu")
    assert device.dtype == (torch.bfloat16 if has_instructions else torch.float32)
    assert device.reason in str(device)
