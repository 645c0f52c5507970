"""The forecast is near what happens, and making it changes nothing."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import Documents, TrainConfig, Trainer, Windows
from course_lib.training import preflight as module


def trainer(**changes) -> Trainer:
    torch.manual_seed(0)
    size = {"d_model": 64, "n_heads": 4, "n_layers": 2, "dropout": 0.1} | changes.pop("size", {})
    model = GPT(GPTConfig(vocab_size=50, context_length=64, **size))
    tokens = torch.randint(0, 50, (4000,)).tolist()
    train, validation = Windows([tokens[:3000]], 64, end_id=0), Windows([tokens[3000:]], 64, end_id=0)
    settings = {"steps": 30, "batch_size": 8, "evaluate_every": 15, "device": "cpu", "precision": "float32"} | changes
    return Trainer(model, train, validation, TrainConfig(**settings))


@pytest.mark.slow
def test_nothing_is_changed():
    plain, looked = trainer(optimizer="muon"), trainer(optimizer="muon")
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    looked.preflight()
    drawn = random.random(), np.random.rand(), torch.rand(1)
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1))
    assert all(not each.state for each in looked.optimizers)
    assert all(p.grad is None for p in looked.model.parameters())
    for run in (plain, looked):
        torch.manual_seed(1)
        run.fit(progress=False)
    for one, other in zip(plain.model.parameters(), looked.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_memory_by_kind():
    run = trainer()
    n_parameters = run.model.count_parameters()
    forecast = run.preflight()
    assert forecast.weights == forecast.gradients == 4 * n_parameters
    assert 8 * n_parameters <= forecast.optimizer <= 8 * n_parameters + 4 * len(list(run.model.parameters()))
    together = sum((forecast.weights, forecast.gradients, forecast.optimizer, forecast.activations))
    assert forecast.weights + forecast.optimizer + forecast.activations < forecast.peak < 1.5 * together
    # at least: for each of 8 × 64 places the logits in log-softmax, and about 20 widths in each of two blocks
    assert forecast.activations > 8 * 64 * 4 * (50 + 2 * 15 * 64)
    assert trainer(batch_size=16).preflight().activations == pytest.approx(2 * forecast.activations, rel=0.05)
    assert trainer(batch_size=16, micro_batch_size=8).preflight().activations == pytest.approx(
        forecast.activations, rel=0.01
    )
    assert trainer(optimizer="muon").preflight().optimizer < forecast.optimizer


@pytest.mark.slow
def test_the_peak_is_that_of_all_tensors():
    """Two linear maps, by hand: what is there when the gradient of the inner product is made."""

    class TwoMaps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(100, 400, bias=False), torch.nn.Linear(400, 1, bias=False)

        def forward(self, tokens, targets):
            hidden = self.first(tokens[:, :1] * torch.ones(len(tokens), 100)).relu()
            return SimpleNamespace(loss=self.second(hidden).square().mean())

    windows = Windows([[1] * 4000], 2, end_id=0)
    config = TrainConfig(2, batch_size=1000, device="cpu", precision="float32")
    run = Trainer(TwoMaps(), windows, windows, config)
    inputs, hidden, weights = 4 * 1000 * 100, 4 * 1000 * 400, 4 * 100 * 400
    # Inputs and hidden vectors are kept; the gradient of the hidden vectors goes through the ReLU into a new tensor.
    expected = 3 * weights + inputs + 3 * hidden
    assert run.preflight().peak == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
def test_flops_are_those_of_the_formula():
    run = trainer()
    matrices = sum(p.numel() for p in run.model.blocks.parameters() if p.ndim == 2) + 50 * 64
    attention = 2 * 2 * 2 * 64 * 64  # two products of 64 keys × width 64 in each of two blocks, 2 FLOPs per product
    assert run.preflight().flops_per_token == pytest.approx(6 * matrices + 3 * attention, rel=0.01)


@pytest.mark.slow
def test_the_time_is_about_right():
    run = trainer(size={"d_model": 128, "n_layers": 4}, steps=40, evaluate_every=20)
    forecast = run.preflight()
    seconds = run.fit(progress=False)[-1].seconds
    # A busy machine makes any single measurement unsure; a forecast that counts wrongly is off by more than this.
    assert forecast.seconds / 4 < seconds < forecast.seconds * 4
    assert forecast.seconds == pytest.approx(forecast.step_seconds * 40 + forecast.evaluation_seconds * 2)


@pytest.mark.slow
def test_it_says_so_in_words(monkeypatch):
    forecast = trainer().preflight()
    assert "for 30 steps" in str(forecast)
    assert "MB (weights" in str(forecast)
    assert 0 < forecast.utilization < 1.5
    assert "does not fit" not in str(forecast)
    monkeypatch.setattr(module, "free_memory", lambda _: 1000)
    small = trainer().preflight()
    assert not small.fits
    assert "That does not fit. Choose a smaller micro_batch_size" in str(small)


@pytest.mark.slow
def test_documents_of_different_lengths():
    documents = Documents([[1] * n for n in range(1, 60)], 64, end_id=0)
    run = trainer()
    run.train = run.validation = documents
    assert run.preflight().tokens_per_second > 0


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds, words):
    assert module.duration(seconds) == words
