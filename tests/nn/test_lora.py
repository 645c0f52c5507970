"""Low-rank adaptation: it starts as nothing, only the thin matrices learn, and merging changes no answer."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.models.bert import BERTConfig, BERTForSequenceClassification
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn.lora import LoRALinear, add_lora, merge_lora

TOKENS = torch.randint(1, 30, (3, 7), generator=torch.Generator().manual_seed(0))


def bert(**settings) -> BERTForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "context_length": 8, "d_model": 16, "n_heads": 2, "n_layers": 2, "dropout": 0.0}
    return BERTForSequenceClassification(BERTConfig(**sizes, labels=("a", "b", "c"), **settings))


@pytest.mark.parametrize("bias", [True, False])
def test_the_formula(bias):
    torch.manual_seed(0)
    linear = nn.Linear(6, 4, bias=bias)
    lora = LoRALinear(linear, rank=2, alpha=8)
    x = torch.randn(5, 6)
    assert torch.equal(lora(x), linear(x))  # B is zero
    nn.init.normal_(lora.up)
    expected = x @ (linear.weight + 4 * lora.up @ lora.down).T + (linear.bias if bias else 0)
    assert_close(lora(x), expected)
    assert_close(lora.merged()(x), expected)
    assert (lora.merged().bias is not None) == bias


@pytest.mark.parametrize("settings", [{}, {"share_layers": True, "d_embedding": 8}], ids=["BERT", "ALBERT"])
def test_training_moves_the_thin_matrices_and_the_head_and_nothing_else(settings):
    model = bert(**settings)
    before = model(TOKENS).logits
    add_lora(model, rank=2)
    assert torch.equal(model(TOKENS).logits, before)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    blocks = 1 if settings else 2
    assert len(learns) == blocks * 4 + 2
    assert all(".down" in name or ".up" in name or name.startswith("classifier") for name in learns)

    frozen = {name: p.clone() for name, p in model.named_parameters() if name not in learns}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    first = None
    for _ in range(20):
        loss = model(TOKENS, None, torch.tensor([0, 1, 2])).loss
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in frozen.items())

    adapted = model(TOKENS).logits
    assert (adapted - before).abs().max() > 0.1
    merge_lora(model)
    assert not any(isinstance(module, LoRALinear) for module in model.modules())
    assert_close(model(TOKENS).logits, adapted, rtol=0, atol=1e-5)
    bert(**settings).load_state_dict(model.state_dict())  # a plain model again


def test_any_model_and_any_maps():
    torch.manual_seed(0)
    gpt = GPT(GPTConfig(vocab_size=30, context_length=8, d_model=16, n_heads=2, n_layers=3))
    before = gpt(TOKENS).logits
    add_lora(gpt, rank=4, names=("up", "down"))
    assert sum(isinstance(module, LoRALinear) for module in gpt.modules()) == 6
    assert sum(p.numel() for p in gpt.parameters() if p.requires_grad) == 6 * 4 * (16 + 64)
    assert torch.equal(gpt(TOKENS).logits, before)


def test_bad_input_is_said():
    with pytest.raises(ValueError, match="BERTForSequenceClassification has no linear map named queries"):
        add_lora(bert(), rank=2, names=("queries",))
    with pytest.raises(ValueError, match=r"rank of a \(4, 6\) matrix lies between 1 and 4, but rank=5"):
        LoRALinear(nn.Linear(6, 4), rank=5)
