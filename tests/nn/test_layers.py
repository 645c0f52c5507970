"""Norms, feed-forward and the block against torch's and transformers' modules with the same weights."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from course_lib.nn.attention import padding_mask
from course_lib.nn.kv_cache import ContextCache, KVCache
from course_lib.nn.layers import (
    ACTIVATIONS,
    GATED,
    FeedForward,
    LayerNorm,
    RMSNorm,
    TransformerBlock,
    gelu_tanh,
    layer_norm,
    make_norm,
)

seeds = st.integers(0, 2**31)
TOLERANCE = {
    torch.float64: {"rtol": 1e-10, "atol": 1e-10},
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 3e-2, "atol": 3e-2},
    torch.float16: {"rtol": 4e-3, "atol": 4e-3},
}


def randomise(module: nn.Module) -> nn.Module:
    """Random weights everywhere: ones and zeros would hide what is not used."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
    return module


class TestNorms:
    @given(
        seeds,
        st.sampled_from([(), (3,), (2, 4), (2, 3, 4)]),
        st.integers(1, 17),
        st.sampled_from([1e-5, 1e-2, 1.0]),
        st.sampled_from([torch.float64, torch.float32]),
        st.sampled_from([0.01, 1.0, 30.0]),
    )
    def test_equal_torchs_functions_for_any_shape_and_size(self, seed, batch, d_model, eps, dtype, size):
        torch.manual_seed(seed)
        x = (size * torch.randn(*batch, d_model) + size).to(dtype)

        norm = randomise(LayerNorm(d_model, eps=eps)).to(dtype)
        output, expected = norm(x), F.layer_norm(x, (d_model,), norm.weight, norm.bias, eps)
        formula = layer_norm(x, norm.weight, norm.bias, eps=eps)
        assert output.dtype == formula.dtype == dtype
        assert torch.equal(output, expected)
        assert_close(formula, expected, rtol=1e-3, atol=1e-4)  # where all features are near one another, rounding shows

        norm = randomise(RMSNorm(d_model, eps=eps)).to(dtype)
        output, expected = norm(x), F.rms_norm(x, (d_model,), norm.weight, eps)
        assert output.dtype == dtype
        assert_close(output, expected, **TOLERANCE[dtype])

    @pytest.mark.parametrize("dtype", list(TOLERANCE))
    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.5])
    def test_layer_norm_equals_torchs_module(self, dtype, bias, eps):
        ours = randomise(LayerNorm(48, eps=eps, bias=bias)).to(dtype)
        theirs = nn.LayerNorm(48, eps=eps, bias=bias).to(dtype)
        theirs.load_state_dict(ours.state_dict())
        x = (3 * torch.randn(2, 5, 48) + 1).to(dtype)
        for output in (ours(x), layer_norm(x, ours.weight, ours.bias, eps=eps)):
            assert output.dtype == dtype
            assert_close(output, theirs(x), **TOLERANCE[dtype])

    def test_a_compiler_gets_the_formula(self, monkeypatch):
        norm, x = randomise(LayerNorm(48)), torch.randn(2, 5, 48)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert torch.equal(norm(x), layer_norm(x, norm.weight, norm.bias))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])  # Llama's has no float64
    def test_rms_norm_equals_torchs_and_llamas(self, dtype):
        ours = randomise(RMSNorm(48, eps=1e-6)).to(dtype)
        x = (3 * torch.randn(2, 5, 48) + 1).to(dtype)
        for theirs in (nn.RMSNorm(48, eps=1e-6), LlamaRMSNorm(48, eps=1e-6)):
            theirs.to(dtype).load_state_dict(ours.state_dict())
            assert_close(ours(x), theirs(x), **TOLERANCE[dtype])

    def test_by_hand(self):
        # Mean 3, variance (4 + 0 + 4)/3 = 8/3 dividing by 3, not by 2.
        x = torch.tensor([[1.0, 3.0, 5.0]])
        spread = math.sqrt(8 / 3)
        for norm in (LayerNorm(3, eps=0.0), partial(layer_norm, weight=torch.ones(3), eps=0.0)):
            assert_close(norm(x), torch.tensor([[-2 / spread, 0.0, 2 / spread]]))
        # Mean of squares (9 + 16)/2 = 12.5.
        assert_close(RMSNorm(2, eps=0.0)(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / math.sqrt(12.5))
        # ε stands inside the root: with ε = 3 and variance 1, the root is 2; outside it would be 1 + 3.
        for norm in (LayerNorm(2, eps=3.0), partial(layer_norm, weight=torch.ones(2), eps=3.0)):
            assert_close(norm(torch.tensor([[-1.0, 1.0]])), torch.tensor([[-0.5, 0.5]]))
        assert_close(RMSNorm(2, eps=3.0)(torch.tensor([[-1.0, 1.0]])), torch.tensor([[-0.5, 0.5]]))

    def test_a_constant_vector_gives_no_nan(self):
        for norm in (LayerNorm(4), RMSNorm(4)):
            x = torch.zeros(2, 4, requires_grad=True)
            norm(x).sum().backward()
            assert (norm(x) == 0).all() and x.grad.isfinite().all()

    @pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
    def test_gradients_in_float64(self, kind):
        norm = randomise(make_norm(kind, 5)).double()
        x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(norm, (x,))

    @pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
    def test_each_token_on_its_own(self, kind):
        norm, x = make_norm(kind, 8), torch.randn(2, 3, 8)
        changed = x.clone()
        changed[0, 1] += 5.0
        same = (norm(changed) == norm(x)).all(dim=-1)
        assert same.tolist() == [[True, False, True], [True, True, True]]

    def test_names(self):
        assert make_norm("layernorm", 4, bias=False).bias is None
        assert isinstance(make_norm("rmsnorm", 4, eps=0.1), RMSNorm)
        with pytest.raises(ValueError, match=r"no norm 'batchnorm': choose one of 'layernorm', 'rmsnorm'"):
            make_norm("batchnorm", 4)


class TestFeedForward:
    @staticmethod
    def activation(name: str, x: torch.Tensor) -> torch.Tensor:
        """The papers' formulas, from erf, tanh and exp."""
        match name:
            case "relu":
                return torch.where(x > 0, x, 0.0)
            case "relu2":
                return torch.where(x > 0, x * x, 0.0)
            case "gelu":
                return x * (1 + torch.erf(x / math.sqrt(2))) / 2
            case "gelu_tanh" | "geglu":
                return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            case "swiglu":
                return x / (1 + torch.exp(-x))
        raise AssertionError(f"There is no formula for {name} yet.")

    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("name", list(ACTIVATIONS))
    def test_equals_the_formula(self, name, bias):
        layer = randomise(FeedForward(6, 10, activation=name, bias=bias))
        x = torch.randn(2, 3, 6)

        def linear(part: nn.Linear, x: torch.Tensor) -> torch.Tensor:
            return x @ part.weight.T + (part.bias if bias else 0.0)

        if name in GATED:
            hidden = self.activation(name, linear(layer.gate, x)) * linear(layer.up, x)
        else:
            hidden = self.activation(name, linear(layer.up, x))
        assert_close(layer(x), linear(layer.down, hidden))

    def test_what_a_compiler_gets_is_the_same_gelu(self, monkeypatch):
        x = torch.tensor([-60.0, -5.0, -0.75, 0.0, 1e-4, 0.75, 5.0, 60.0], dtype=torch.float64, requires_grad=True)
        theirs = F.gelu(x, approximate="tanh")
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        ours = gelu_tanh(x)
        assert not torch.equal(ours, theirs)  # it is another formula
        assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        assert_close(*(torch.autograd.grad(y.sum(), x)[0] for y in (ours, theirs)), rtol=1e-12, atol=1e-12)

    def test_swiglu_equals_llamas(self):
        config = LlamaConfig(hidden_size=12, num_attention_heads=2, intermediate_size=20, hidden_act="silu")
        theirs, ours = randomise(LlamaMLP(config)), FeedForward(12, 20, activation="swiglu", bias=False)
        ours.load_state_dict({name.replace("_proj", ""): weight for name, weight in theirs.state_dict().items()})
        x = torch.randn(2, 3, 12)
        assert_close(ours(x), theirs(x))

    @pytest.mark.parametrize("name", list(ACTIVATIONS))
    def test_output_takes_both_signs(self, name):
        torch.manual_seed(0)
        output = FeedForward(8, activation=name)(torch.randn(50, 8))
        assert (output < 0).any() and (output > 0).any()

    @pytest.mark.parametrize("d_model", [6, 8, 48, 100, 128])
    def test_default_widths(self, d_model):
        plain, gated = FeedForward(d_model, bias=False), FeedForward(d_model, activation="swiglu", bias=False)
        assert plain.up.out_features == 4 * d_model
        assert gated.up.out_features % 8 == 0
        assert 8 / 3 * d_model <= gated.up.out_features < 8 / 3 * d_model + 8

    @pytest.mark.parametrize("name", list(ACTIVATIONS))
    def test_gradients_in_float64(self, name):
        layer = randomise(FeedForward(3, 5, activation=name)).double()
        x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(layer, (x,))

    @given(seeds, st.sampled_from(list(ACTIVATIONS)), st.integers(1, 5))
    def test_each_token_on_its_own(self, seed, name, time):
        torch.manual_seed(seed)
        layer, x = FeedForward(4, 6, activation=name), torch.randn(1, time, 4)
        assert_close(layer(x), torch.stack([layer(token) for token in x[0]])[None])

    def test_dropout_acts_in_training_only(self):
        layer, x = FeedForward(8, dropout=0.5), torch.ones(1, 4, 8)
        assert (layer(x) == 0).any()
        assert not (layer.eval()(x) == 0).any()

    def test_an_unknown_activation(self):
        with pytest.raises(
            ValueError,
            match=r"no activation 'tanh': choose one of 'relu', 'gelu', 'gelu_tanh', 'relu2', 'swiglu', 'geglu'",
        ):
            FeedForward(8, activation="tanh")


def copy_attention(ours, theirs: nn.MultiheadAttention) -> None:
    for name, weight, bias in zip(
        ("query", "key", "value"), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
    ):
        getattr(ours, name).weight.copy_(weight)
        getattr(ours, name).bias.copy_(bias)
    ours.output.load_state_dict(theirs.out_proj.state_dict())


@torch.no_grad()
def block_from_torch(layer, norm_position: str, activation: str, *, cross_attention: bool = False) -> TransformerBlock:
    """Our block with the weights of torch's encoder or decoder layer."""
    block = TransformerBlock(
        layer.linear1.in_features,
        layer.self_attn.num_heads,
        layer.linear1.out_features,
        norm_position=norm_position,
        norm_eps=layer.norm1.eps,
        activation=activation,
        cross_attention=cross_attention,
    )
    copy_attention(block.attention, layer.self_attn)
    norms = [block.attention_norm, block.feed_forward_norm]
    if cross_attention:
        copy_attention(block.cross_attention, layer.multihead_attn)
        norms.insert(1, block.cross_norm)
    for index, norm in enumerate(norms, start=1):
        norm.load_state_dict(getattr(layer, f"norm{index}").state_dict())
    block.feed_forward.up.load_state_dict(layer.linear1.state_dict())
    block.feed_forward.down.load_state_dict(layer.linear2.state_dict())
    return block


@pytest.mark.parametrize("norm_position", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
class TestAgainstTorchLayers:
    @staticmethod
    def layer(kind, norm_position, activation):
        layer = kind(16, 4, 40, dropout=0.0, activation=activation, norm_first=norm_position == "pre", batch_first=True)
        return randomise(layer)

    @pytest.mark.parametrize("mask", ["none", "causal", "padding"])
    def test_block_equals_encoder_layer(self, norm_position, activation, mask):
        theirs = self.layer(nn.TransformerEncoderLayer, norm_position, activation)
        ours = block_from_torch(theirs, norm_position, activation)
        x = torch.randn(2, 6, 16, requires_grad=True)
        tokens = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])

        output = ours(x, causal=mask == "causal", mask=padding_mask(tokens, 0) if mask == "padding" else None).output
        expected = theirs(
            x,
            src_mask=torch.ones(6, 6, dtype=torch.bool).triu(1) if mask == "causal" else None,
            src_key_padding_mask=tokens == 0 if mask == "padding" else None,
        )
        assert_close(output, expected, rtol=1e-4, atol=1e-4)
        target = torch.randn(2, 6, 16)
        mine, other = (torch.autograd.grad((y * target).sum(), x)[0] for y in (output, expected))
        assert_close(mine, other, rtol=1e-3, atol=1e-3)

    def test_block_with_cross_attention_equals_decoder_layer(self, norm_position, activation):
        theirs = self.layer(nn.TransformerDecoderLayer, norm_position, activation)
        ours = block_from_torch(theirs, norm_position, activation, cross_attention=True)
        x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
        source = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
        output = ours(x, context=memory, context_mask=padding_mask(source, 0), causal=True).output
        expected = theirs(
            x,
            memory,
            tgt_mask=torch.ones(5, 5, dtype=torch.bool).triu(1),
            memory_key_padding_mask=source == 0,
        )
        assert_close(output, expected, rtol=1e-4, atol=1e-4)


class TestTransformerBlock:
    @pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
    def test_no_norm_is_the_two_sums(self, norm):
        block = TransformerBlock(8, 2, norm=norm, norm_position="none")
        assert not any(isinstance(module, LayerNorm | RMSNorm) for module in block.modules())
        x = torch.randn(2, 4, 8)
        middle = x + block.attention(x).output
        assert_close(block(x).output, middle + block.feed_forward(middle))

    @pytest.mark.parametrize("norm_position", ["pre", "post"])
    def test_rms_norm_stands_where_layer_norm_stood(self, norm_position):
        block = randomise(TransformerBlock(8, 2, norm="rmsnorm", norm_position=norm_position, norm_eps=0.1))
        assert sum(isinstance(module, RMSNorm) for module in block.modules()) == 2
        x = torch.randn(2, 4, 8)

        def norm(y, layer):
            return F.rms_norm(y, (8,), layer.weight, 0.1)

        if norm_position == "pre":
            middle = x + block.attention(norm(x, block.attention_norm)).output
            expected = middle + block.feed_forward(norm(middle, block.feed_forward_norm))
        else:
            middle = norm(x + block.attention(x).output, block.attention_norm)
            expected = norm(middle + block.feed_forward(middle), block.feed_forward_norm)
        assert_close(block(x).output, expected)

    @pytest.mark.slow
    @pytest.mark.parametrize("norm_position", ["pre", "post", "none"])
    @pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
    @pytest.mark.parametrize("need_weights", [False, True])
    def test_gradients_in_float64(self, norm_position, norm, need_weights):
        block = TransformerBlock(
            4, 2, 6, n_kv_heads=1, norm=norm, norm_position=norm_position, norm_eps=0.1, cross_attention=True
        ).double()
        x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
        context = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(
            lambda x, context: block(x, context=context, causal=True, need_weights=need_weights).output, (x, context)
        )

    def test_weights_when_asked_for(self):
        block, x = TransformerBlock(8, 2), torch.randn(2, 4, 8)
        assert block(x).weights is None
        output, weights = block(x, need_weights=True, causal=True)
        assert_close(output, block(x, causal=True).output)
        assert weights.shape == (2, 2, 4, 4)
        assert_close(weights.sum(-1), torch.ones(2, 2, 4))

    def test_switches_reach_their_parts(self):
        block = TransformerBlock(
            16, 4, 24, n_kv_heads=2, bias=False, activation="swiglu", qk_norm=True, dropout=0.1, attention_dropout=0.2
        )
        assert not any("bias" in name for name, _ in block.named_parameters())
        assert (block.attention.n_kv_heads, block.attention.qk_norm, block.attention.dropout) == (2, True, 0.2)
        assert (block.dropout.p, block.feed_forward.dropout.p, block.feed_forward.gate.out_features) == (0.1, 0.1, 24)
        assert TransformerBlock(16, 4, dropout=0.1).attention.dropout == 0.1

    def test_dropout_acts_in_training_only(self):
        block, x = TransformerBlock(8, 2, dropout=0.5), torch.randn(1, 4, 8)
        assert not torch.equal(block(x).output, block(x).output)
        block.eval()
        assert torch.equal(block(x).output, block(x).output)

    def test_unknown_names(self):
        with pytest.raises(ValueError, match=r"no norm position 'middle': choose one of 'pre', 'post', 'none'"):
            TransformerBlock(8, 2, norm_position="middle")
        with pytest.raises(ValueError, match=r"no norm 'instance'"):
            TransformerBlock(8, 2, norm="instance")
        with pytest.raises(ValueError, match=r"no activation 'mish'"):
            TransformerBlock(8, 2, activation="mish")

    def test_a_block_with_cross_attention_shows_both_weights(self):
        block, x, context = TransformerBlock(8, 2, cross_attention=True), torch.randn(1, 3, 8), torch.randn(1, 5, 8)
        shown = block(x, context=context, causal=True, need_weights=True)
        assert shown.weights.shape == (1, 2, 3, 3)
        assert shown.cross_weights.shape == (1, 2, 3, 5)
        assert_close(shown.cross_weights.sum(dim=-1), torch.ones(1, 2, 3))
        hidden = block(x, context=context, causal=True)
        assert_close(hidden.output, shown.output)
        assert hidden.weights is hidden.cross_weights is None

    def test_a_block_through_both_caches(self):
        block, x, context = TransformerBlock(8, 2, cross_attention=True), torch.randn(1, 4, 8), torch.randn(1, 5, 8)
        own, of_context = KVCache(1, 2, 4, 4), ContextCache()
        parts = [
            block(part, context=context, causal=True, cache=own, context_cache=of_context).output
            for part in x.split([2, 1, 1], dim=1)
        ]
        assert_close(torch.cat(parts, dim=1), block(x, context=context, causal=True).output, rtol=1e-4, atol=1e-5)

    def test_context_and_cross_attention_belong_together(self):
        x = torch.randn(1, 3, 8)
        with pytest.raises(ValueError, match=r"has cross-attention: give it `context`"):
            TransformerBlock(8, 2, cross_attention=True)(x)
        with pytest.raises(ValueError, match=r"no cross-attention.*cross_attention=True"):
            TransformerBlock(8, 2)(x, context=x)
