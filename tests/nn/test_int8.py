"""8-bit weights: near the numbers they stand for, in every place where a linear map may stand."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn import int8
from course_lib.nn.int8 import Int8Linear, quantize_int8


def linear(bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(96, 40, bias=bias)


def test_a_weight_is_off_by_at_most_half_a_step():
    original = linear()
    step = original.weight.abs().amax(dim=1, keepdim=True) / 127
    error = (Int8Linear.from_linear(original).dequantised() - original.weight).abs()
    assert (error <= step / 2 + 1e-7).all()
    assert error.max() > 0.4 * step.min()


def test_by_hand():
    original = nn.Linear(3, 2, bias=False)
    original.weight.data = torch.tensor([[1.27, -0.64, 0.004], [0.0, 0.0, 0.0]])
    map8 = Int8Linear.from_linear(original)
    assert map8.weight.tolist() == [[127, -64, 0], [0, 0, 0]]
    assert map8.scale[0].item() == pytest.approx(0.01)
    assert map8(torch.ones(1, 3)).tolist()[0] == pytest.approx([0.63, 0.0], abs=0.02)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "engine", [*filter(torch.backends.quantized.supported_engines.__contains__, int8.ENGINES), None]
)
def test_the_map_is_near_the_original(monkeypatch, engine, bias):
    monkeypatch.setattr(int8, "_engine", lambda: engine)
    original = linear(bias)
    map8 = Int8Linear.from_linear(original)
    before = torch.backends.quantized.engine
    for shape in ((96,), (1, 96), (7, 96), (2, 3, 96)):
        x = torch.randn(shape)
        expected, found = original(x).detach(), map8(x)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 0.03 * expected.abs().max() + 0.02
    assert torch.backends.quantized.engine == before


def test_other_precisions_and_side_by_side():
    first, second = (Int8Linear.from_linear(linear(bias)) for bias in (True, False))
    x = torch.randn(5, 96)
    assert first(x.bfloat16()).dtype == torch.bfloat16
    joined = Int8Linear.side_by_side([first, second])(x)
    assert_close(joined, torch.cat([first(x), second(x)], dim=1), rtol=0, atol=1e-6)
    assert Int8Linear.side_by_side([first, second]) is Int8Linear.side_by_side([first, second])
    assert Int8Linear.side_by_side([first, first])(x).shape == (5, 80)
    assert_close(Int8Linear.side_by_side([first, second])(x), joined)


def test_a_whole_model():
    torch.manual_seed(0)
    model = GPT(GPTConfig(29, 16, 48, 4, 2, activation="swiglu", norm="rmsnorm", positions="rotary")).train()
    before = copy.deepcopy(model.state_dict())
    quantised = quantize_int8(model)
    assert not any(isinstance(module, nn.Linear) for module in quantised.modules())
    assert model.training
    assert not quantised.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    tokens = torch.randint(29, (3, 16))
    expected, found = model.eval()(tokens).logits, quantised(tokens).logits
    assert (found - expected).std() < 0.1 * expected.std()
    assert torch.equal(copy.deepcopy(quantised)(tokens).logits, found)


def test_a_quarter_of_the_bytes():
    original = nn.Linear(1024, 1024)
    map8 = Int8Linear.from_linear(original)
    small, large = (sum(t.numel() * t.element_size() for t in m.state_dict().values()) for m in (map8, original))
    assert small < 0.26 * large
