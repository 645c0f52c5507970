"""Attention against torch's own kernel and module, against a loop, and against what must hold for any input."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from course_lib.nn.attention import (
    MultiHeadAttention,
    causal_mask,
    check_mask,
    fused_attention,
    merge_heads,
    padding_mask,
    scaled_dot_product_attention,
    split_heads,
)
from course_lib.nn.kv_cache import ContextCache, KVCache
from course_lib.nn.positions import alibi_bias, rotary_tables

TOLERANCE = {
    torch.float64: {"rtol": 1e-10, "atol": 1e-10},
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 3e-2, "atol": 3e-2},
    torch.float16: {"rtol": 5e-3, "atol": 5e-3},
}

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 6)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed)).to(dtype)


def draw_mask(*shape: int, seed: int) -> torch.Tensor:
    """A mask in which every query may look somewhere: torch's own answer for a blind query is not ours."""
    mask = torch.rand(*shape, generator=generator(seed)) < 0.6
    mask[..., 0] |= ~mask.any(dim=-1)
    return mask


def attention_by_loops(query, key, value, mask=None):
    """The equation for one query at a time, in Python's own floating point."""
    outputs = []
    for i, q in enumerate(query.tolist()):
        seen = [j for j in range(len(key)) if mask is None or mask[i][j]]
        scores = {j: sum(a * b for a, b in zip(q, key[j].tolist(), strict=True)) / math.sqrt(len(q)) for j in seen}
        total = sum(math.exp(score) for score in scores.values())
        outputs.append([sum(math.exp(scores[j]) / total * v[j] for j in seen) for v in value.T.tolist()])
    return torch.tensor(outputs, dtype=query.dtype)


class TestScaledDotProductAttention:
    @given(seeds, lengths, lengths, lengths, lengths, dtypes, st.sampled_from([(), (2,), (2, 3)]), st.booleans())
    def test_equals_torch_for_any_shape_mask_and_dtype(
        self, seed, n_query, n_key, d_head, d_value, dtype, batch, masked
    ):
        query = draw(*batch, n_query, d_head, seed=seed, dtype=dtype)
        key = draw(*batch, n_key, d_head, seed=seed + 1, dtype=dtype)
        value = draw(*batch, n_key, d_value, seed=seed + 2, dtype=dtype)
        mask = draw_mask(*batch, n_query, n_key, seed=seed) if masked else None

        output, weights = scaled_dot_product_attention(query, key, value, mask)

        assert output.dtype == weights.dtype == dtype
        assert_close(output, F.scaled_dot_product_attention(query, key, value, mask), **TOLERANCE[dtype])
        assert_close(weights.sum(-1), torch.ones(*batch, n_query, dtype=dtype), **TOLERANCE[dtype])
        assert (weights >= 0).all()
        if masked:
            assert (weights[~mask] == 0).all()

    @given(seeds, lengths, lengths)
    def test_equals_the_equation_written_as_loops(self, seed, n_query, n_key):
        query, key, value = (draw(n, 3, seed=seed + n, dtype=torch.float64) for n in (n_query, n_key, n_key))
        mask = draw_mask(n_query, n_key, seed=seed)
        assert_close(scaled_dot_product_attention(query, key, value)[0], attention_by_loops(query, key, value))
        assert_close(
            scaled_dot_product_attention(query, key, value, mask)[0], attention_by_loops(query, key, value, mask)
        )

    def test_three_tokens_by_hand(self):
        # Scores 0 and ln 3 after the division by √4: weights 1/4 and 3/4 of the values 8 and 16.
        query = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]])
        key = torch.tensor([[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
        output, weights = scaled_dot_product_attention(query, key, torch.tensor([[8.0], [16.0]]))
        assert_close(weights, torch.tensor([[0.25, 0.75]]))
        assert_close(output, torch.tensor([[14.0]]))

    @pytest.mark.parametrize(
        "shape", [(1, 1, 1, 5), (2, 1, 1, 5), (2, 1, 4, 5), (1, 3, 4, 5), (4, 5), (4, 1), (3, 1, 5)]
    )
    def test_masks_and_biases_broadcast(self, shape):
        query, key, value = draw(2, 3, 4, 6, seed=0), draw(2, 3, 5, 6, seed=1), draw(2, 3, 5, 6, seed=2)
        mask = draw_mask(*shape, seed=3)
        whole = mask.broadcast_to(2, 3, 4, 5)
        expected = F.scaled_dot_product_attention(query, key, value, whole)
        assert_close(scaled_dot_product_attention(query, key, value, mask)[0], expected)
        assert_close(fused_attention(query, key, value, mask), expected)

        bias = draw(*shape, seed=4)
        expected = F.scaled_dot_product_attention(query, key, value, bias.broadcast_to(2, 3, 4, 5))
        assert_close(scaled_dot_product_attention(query, key, value, bias=bias)[0], expected)
        assert_close(fused_attention(query, key, value, bias=bias), expected)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_a_bias_of_another_dtype_serves_too(self, dtype):
        query, key, value = (draw(3, 4, seed=seed) for seed in range(3))
        bias, mask = draw(3, 3, seed=3, dtype=dtype), causal_mask(3)
        expected = F.scaled_dot_product_attention(query, key, value, bias.float().masked_fill(~mask, -math.inf))
        assert_close(scaled_dot_product_attention(query, key, value, mask, bias=bias)[0], expected)
        assert_close(fused_attention(query, key, value, mask, bias=bias), expected)

    def test_huge_scores_do_not_overflow(self):
        query, key, value = (1e4 * draw(3, 4, seed=seed) for seed in range(3))
        output, weights = scaled_dot_product_attention(query, key, value)
        assert output.isfinite().all() and weights.isfinite().all()

    def test_inputs_that_are_not_contiguous(self):
        query, key, value = (draw(2, 4, 3, 5, seed=seed).transpose(1, 2) for seed in range(3))
        mask = draw_mask(4, 4, seed=3).T | torch.eye(4, dtype=torch.bool)
        expected = F.scaled_dot_product_attention(query.contiguous(), key.contiguous(), value.contiguous(), mask)
        assert_close(scaled_dot_product_attention(query, key, value, mask)[0], expected)
        assert_close(fused_attention(query, key, value, mask), expected)

    def test_inputs_are_left_as_they_were(self):
        tensors = [draw(3, 4, seed=seed) for seed in range(3)] + [causal_mask(3)]
        before = [tensor.clone() for tensor in tensors]
        scaled_dot_product_attention(*tensors, bias=draw(3, 3, seed=5))
        fused_attention(*tensors, bias=draw(3, 3, seed=5))
        assert all(torch.equal(old, new) for old, new in zip(before, tensors, strict=True))

    @pytest.mark.parametrize("masked", [False, True])
    def test_gradients_in_float64(self, masked):
        inputs = [draw(2, 4, 3, seed=seed, dtype=torch.float64).requires_grad_() for seed in range(3)]
        bias = draw(2, 4, 4, seed=4, dtype=torch.float64).requires_grad_()
        mask = draw_mask(2, 4, 4, seed=5) if masked else None
        if masked:
            mask[1, 2] = False  # a query that may look nowhere has a gradient too: zero

        def attend(query, key, value, bias):
            return scaled_dot_product_attention(query, key, value, mask, bias=bias)

        assert torch.autograd.gradcheck(attend, (*inputs, bias))


@pytest.mark.parametrize("path", ["explicit", "fused"])
class TestRowsThatAreEntirelyMasked:
    @staticmethod
    def attend(path, query, key, value, mask, bias=None):
        if path == "fused":
            return fused_attention(query, key, value, mask, bias=bias)
        return scaled_dot_product_attention(query, key, value, mask, bias=bias)[0]

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("with_bias", [False, True])
    def test_give_zeros_and_no_nan_forward_and_backward(self, path, dtype, with_bias):
        query, key, value = (draw(2, 3, 4, 5, seed=seed, dtype=dtype).requires_grad_() for seed in range(3))
        bias = draw(3, 4, 4, seed=3, dtype=dtype).requires_grad_() if with_bias else None
        mask = draw_mask(2, 1, 4, 4, seed=4)
        mask[0, :, 1] = False
        mask[1] = False

        output = self.attend(path, query, key, value, mask, bias)
        assert (output[0, :, 1] == 0).all() and (output[1] == 0).all()
        assert (output[0, :, 0] != 0).any()

        output.square().sum().backward()
        gradients = [tensor.grad for tensor in (query, key, value, bias) if tensor is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert (query.grad[0, :, 1] == 0).all() and (query.grad[1] == 0).all()
        assert all((gradient[1] == 0).all() for gradient in (key.grad, value.grad))
        assert (query.grad[0, :, 0] != 0).any()

    def test_change_no_other_row(self, path):
        query, key, value = (draw(4, 5, seed=seed) for seed in range(3))
        mask = draw_mask(4, 4, seed=3)
        mask[1] = False
        seeing = torch.tensor([0, 2, 3])
        assert_close(
            self.attend(path, query, key, value, mask)[seeing],
            F.scaled_dot_product_attention(query[seeing], key, value, mask[seeing]),
        )

    def test_weights_of_the_explicit_path_are_zero(self, path):
        if path == "explicit":
            mask = torch.tensor([[True, False], [False, False]])
            weights = scaled_dot_product_attention(*(draw(2, 3, seed=seed) for seed in range(3)), mask)[1]
            assert_close(weights, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        else:
            keys = draw(3, 2, seed=0)
            assert (fused_attention(keys, keys, keys, torch.zeros(3, 1, dtype=torch.bool)) == 0).all()


@given(
    seeds,
    st.integers(1, 5),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_fused_and_explicit_paths_agree(seed, n_query, n_past, causal, masked, biased, dtype):
    n_key = n_query + n_past
    query = draw(2, 3, n_query, 4, seed=seed, dtype=dtype)
    key, value = (draw(2, 3, n_key, 4, seed=seed + i, dtype=dtype) for i in (1, 2))
    mask = (torch.rand(2, 1, n_query, n_key, generator=generator(seed)) < 0.5) if masked else None  # blind rows too
    bias = draw(3, n_query, n_key, seed=seed + 4, dtype=dtype) if biased else None

    whole = mask
    if causal:
        earlier = torch.tensor([[j <= i + n_past for j in range(n_key)] for i in range(n_query)])
        whole = earlier if mask is None else mask & earlier
    fused = fused_attention(query, key, value, mask, causal=causal, bias=bias)
    assert_close(fused, scaled_dot_product_attention(query, key, value, whole, bias=bias)[0], **TOLERANCE[dtype])


class TestMasks:
    @given(st.integers(1, 7), st.integers(0, 4))
    def test_causal_mask_is_true_up_to_the_query(self, n_query, n_past):
        mask = causal_mask(n_query, n_query + n_past)
        assert mask.dtype == torch.bool
        assert mask.tolist() == [[key <= query + n_past for key in range(n_query + n_past)] for query in range(n_query)]
        assert torch.equal(causal_mask(n_query), causal_mask(n_query, n_query))

    def test_more_queries_than_keys(self):
        with pytest.raises(ValueError, match=r"5 queries and 3 keys"):
            causal_mask(5, 3)
        wide, narrow = draw(1, 5, 4, seed=0), draw(1, 3, 4, seed=1)
        with pytest.raises(ValueError, match=r"5 queries and 3 keys"):
            fused_attention(wide, narrow, narrow, causal=True)

    def test_padding_mask_is_true_where_tokens_are_real(self):
        mask = padding_mask(torch.tensor([[5, 6, 0], [7, 0, 0]]), pad_id=0)
        assert mask.shape == (2, 1, 1, 3)
        assert mask[:, 0, 0].tolist() == [[True, True, False], [True, False, False]]
        assert (mask & causal_mask(3)).shape == (2, 1, 3, 3)

    def test_padded_keys_change_nothing(self):
        attention = MultiHeadAttention(8, 2)
        x = draw(2, 5, 8, seed=0)
        mask = padding_mask(torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]), pad_id=0)
        changed = x.clone()
        changed[0, 3:] = 100.0
        before, after = attention(x, mask=mask).output, attention(changed, mask=mask).output
        assert_close(after[0, :3], before[0, :3], rtol=0, atol=0)
        assert_close(before[0, :3], attention(x[:1, :3]).output[0])


@pytest.mark.usefixtures("shapes_unchecked")
class TestMasksThatAreWrong:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8])
    def test_dtype(self, dtype):
        x = draw(2, 4, 8, seed=0)
        mask = torch.ones(4, 4, dtype=dtype)
        message = rf"must be boolean.*{dtype}.*mask\.bool\(\)"
        with pytest.raises(ValueError, match=message):
            scaled_dot_product_attention(x, x, x, mask)
        with pytest.raises(ValueError, match=message):
            fused_attention(x, x, x, mask)
        for need_weights in (False, True):
            for causal in (False, True):
                with pytest.raises(ValueError, match=message):
                    MultiHeadAttention(8, 2)(x, mask=mask, causal=causal, need_weights=need_weights)

    @pytest.mark.parametrize("shape", [(4, 5), (5, 4), (2, 4, 4), (3, 1, 4, 4), (1, 2, 3, 4, 4), (4,), ()])
    def test_shape(self, shape):
        attention, x = MultiHeadAttention(8, 4), draw(2, 4, 8, seed=0)
        mask = torch.ones(shape, dtype=torch.bool)
        for need_weights in (False, True):
            for causal in (False, True):
                with pytest.raises(ValueError, match=r"does not broadcast to the scores' \(2, 4, 4, 4\)") as error:
                    attention(x, mask=mask, causal=causal, need_weights=need_weights)
                assert str(shape) in str(error.value)

    def test_a_mask_may_not_make_the_scores_larger(self):
        with pytest.raises(ValueError, match=r"\(7, 4, 4\).*\(1, 4, 4\)"):
            check_mask(torch.ones(7, 4, 4, dtype=torch.bool), torch.Size((1, 4, 4)))


class TestHeads:
    @given(seeds, lengths, st.integers(1, 4), st.integers(1, 4))
    def test_a_head_is_a_slice_of_each_token(self, seed, time, n_heads, d_head):
        x = draw(2, time, n_heads * d_head, seed=seed)
        heads = split_heads(x, n_heads)
        assert heads.shape == (2, n_heads, time, d_head)
        for head in range(n_heads):
            assert torch.equal(heads[:, head], x[:, :, head * d_head : (head + 1) * d_head])
        assert torch.equal(merge_heads(heads), x)

    def test_input_that_is_not_contiguous(self):
        x = draw(2, 6, 3, seed=0).transpose(1, 2)
        assert torch.equal(split_heads(x, 2), split_heads(x.contiguous(), 2))

    @pytest.mark.parametrize(
        ("d_model", "n_heads", "n_kv_heads", "message"),
        [
            (10, 4, None, r"d_model=10 .*n_heads=4.*2\.50.*n_heads=2 or 5"),
            (64, 7, None, r"d_model=64 .*n_heads=7.*9\.14.*n_heads=4 or 8"),
            (4, 8, None, r"d_model=4 .*n_heads=8"),
            (12, 6, 4, r"n_heads=6 .*n_kv_heads=4"),
            (12, 2, 4, r"n_heads=2 .*n_kv_heads=4"),
            (12, 0, None, r"at least one head.*n_heads=0"),
            (12, -3, None, r"at least one head.*n_heads=-3"),
            (12, 4, 0, r"at least one head.*n_kv_heads=0"),
        ],
    )
    def test_counts_that_do_not_fit(self, d_model, n_heads, n_kv_heads, message):
        with pytest.raises(ValueError, match=message):
            MultiHeadAttention(d_model, n_heads, n_kv_heads)


def torch_attention(ours: MultiHeadAttention, d_model: int, d_context: int) -> nn.MultiheadAttention:
    """torch's module with the weights of ours."""
    theirs = nn.MultiheadAttention(d_model, ours.n_heads, kdim=d_context, vdim=d_context, batch_first=True)
    theirs.double() if ours.query.weight.dtype == torch.float64 else theirs.float()
    with torch.no_grad():
        if d_context == d_model:
            theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        else:
            theirs.q_proj_weight.copy_(ours.query.weight)
            theirs.k_proj_weight.copy_(ours.key.weight)
            theirs.v_proj_weight.copy_(ours.value.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    return theirs


class TestAgainstTorchMultiheadAttention:
    """torch's boolean masks have the opposite sign: True there means *may not attend*."""

    @pytest.mark.parametrize("need_weights", [False, True])
    @pytest.mark.parametrize("kind", ["self", "causal", "padding", "causal and padding", "cross", "cross and padding"])
    @pytest.mark.parametrize("n_heads", [1, 3, 6])
    def test_same_weights_same_answer(self, n_heads, kind, need_weights):
        torch.manual_seed(n_heads)
        d_model, d_context = 12, 20 if "cross" in kind else 12
        ours = MultiHeadAttention(d_model, n_heads, d_context=d_context)
        theirs = torch_attention(ours, d_model, d_context)
        x = torch.randn(2, 5, d_model)
        context = torch.randn(2, 7, d_context) if "cross" in kind else None
        source = x if context is None else context
        n_key = source.shape[1]
        real = torch.arange(n_key) < torch.tensor([[n_key], [n_key - 3]]) if "padding" in kind else None

        output, weights = ours(
            x,
            context,
            mask=None if real is None else real[:, None, None, :],
            causal="causal" in kind,
            need_weights=need_weights,
        )
        expected, expected_weights = theirs(
            x,
            source,
            source,
            key_padding_mask=None if real is None else ~real,
            attn_mask=torch.ones(5, 5, dtype=torch.bool).triu(1) if "causal" in kind else None,
            average_attn_weights=False,
        )
        assert_close(output, expected)
        assert (weights is None) == (not need_weights)
        if need_weights:
            assert_close(weights, expected_weights)

    def test_same_gradients(self):
        ours = MultiHeadAttention(8, 2).double()
        theirs = torch_attention(ours, 8, 8)
        x = draw(2, 5, 8, seed=0, dtype=torch.float64)
        ours(x, causal=True).output.square().sum().backward()
        future = torch.ones(5, 5, dtype=torch.bool).triu(1)
        theirs(x, x, x, attn_mask=future)[0].square().sum().backward()
        mine = torch.cat([ours.query.weight.grad, ours.key.weight.grad, ours.value.weight.grad])
        assert_close(mine, theirs.in_proj_weight.grad)
        assert_close(ours.output.weight.grad, theirs.out_proj.weight.grad)


class TestMultiHeadAttention:
    @pytest.mark.parametrize("need_weights", [False, True])
    def test_another_scale_is_another_size_of_the_queries(self, need_weights):
        usual, unscaled = MultiHeadAttention(12, 3), MultiHeadAttention(12, 3, scale=1.0)
        unscaled.load_state_dict(usual.state_dict())
        with torch.no_grad():
            for parameter in unscaled.query.parameters():
                parameter.div_(2.0)  # the square root of d_head = 4
        x = draw(2, 5, 12, seed=0)
        mine, other = (module(x, causal=True, need_weights=need_weights).output for module in (unscaled, usual))
        assert_close(mine, other)

    def test_heads_of_a_width_of_their_own(self):
        attention = MultiHeadAttention(10, 3, d_head=8)
        assert attention.query.weight.shape == (24, 10)
        x = draw(2, 5, 10, seed=0)
        output, weights = attention(x, need_weights=True)
        assert output.shape == (2, 5, 10)
        query, key = (project(x).unflatten(-1, (3, 8)).transpose(1, 2) for project in (attention.query, attention.key))
        assert_close(weights, (query @ key.mT / 8**0.5).softmax(dim=-1))

    @pytest.mark.parametrize("need_weights", [False, True])
    def test_the_context_is_read_once(self, need_weights):
        attention, cache = MultiHeadAttention(12, 3, qk_norm=True), ContextCache()
        x, context = draw(2, 5, 12, seed=0), draw(2, 7, 12, seed=1)
        expected = attention(x, context).output
        assert_close(attention(x[:, :2], context, cache=cache, need_weights=need_weights).output, expected[:, :2])
        attention.key = attention.value = None  # nobody needs them any more
        assert_close(attention(x[:, 2:], context, cache=cache, need_weights=need_weights).output, expected[:, 2:])

    @pytest.mark.parametrize("n_kv_heads", [1, 2, 3, 6])
    @pytest.mark.parametrize("causal", [False, True])
    def test_grouped_queries_equal_torchs(self, n_kv_heads, causal):
        attention = MultiHeadAttention(12, 6, n_kv_heads)
        x = draw(2, 5, 12, seed=0)
        query = attention.query(x).unflatten(-1, (6, 2)).transpose(1, 2)
        key = attention.key(x).unflatten(-1, (n_kv_heads, 2)).transpose(1, 2)
        value = attention.value(x).unflatten(-1, (n_kv_heads, 2)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=True)
        expected = attention.output(mixed.transpose(1, 2).flatten(2))
        assert_close(attention(x, causal=causal).output, expected)
        assert_close(attention(x, causal=causal, need_weights=True).output, expected)

    @pytest.mark.parametrize("n_kv_heads", [1, 2])
    def test_grouped_queries_equal_many_heads_with_repeated_weights(self, n_kv_heads):
        few, many = MultiHeadAttention(12, 6, n_kv_heads), MultiHeadAttention(12, 6)
        with torch.no_grad():
            for name in ("key", "value"):
                for part in ("weight", "bias"):
                    heads = getattr(getattr(few, name), part).unflatten(0, (n_kv_heads, 2))
                    repeated = torch.stack([heads[head * n_kv_heads // 6] for head in range(6)])
                    getattr(getattr(many, name), part).copy_(repeated.flatten(0, 1))
            many.query.load_state_dict(few.query.state_dict())
            many.output.load_state_dict(few.output.state_dict())
        x = draw(2, 5, 12, seed=0)
        assert_close(few(x, causal=True).output, many(x, causal=True).output)
        assert sum(p.numel() for p in few.parameters()) < sum(p.numel() for p in many.parameters())

    @pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("extra", ["nothing", "alibi", "rotary", "qk_norm"])
    def test_asking_for_the_weights_changes_nothing(self, n_kv_heads, causal, masked, extra):
        attention = MultiHeadAttention(16, 4, n_kv_heads, qk_norm=extra == "qk_norm")
        x = draw(2, 5, 16, seed=0)
        options = {
            "mask": (torch.rand(2, 1, 5, 5, generator=generator(1)) < 0.5) if masked else None,
            "causal": causal,
            "bias": alibi_bias(4, 5) if extra == "alibi" else None,
            "rotary": rotary_tables(5, 4) if extra == "rotary" else None,
        }
        fused, none = attention(x, **options)
        explicit, weights = attention(x, **options, need_weights=True)
        assert none is None
        assert weights.shape == (2, 4, 5, 5)
        assert_close(fused, explicit)

        names = [name for name, _ in attention.named_parameters()]
        fused_gradients = torch.autograd.grad(fused.square().sum(), list(attention.parameters()))
        explicit_gradients = torch.autograd.grad(explicit.square().sum(), list(attention.parameters()))
        for name, fast, slow in zip(names, fused_gradients, explicit_gradients, strict=True):
            assert_close(fast, slow, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")

    @pytest.mark.parametrize("need_weights", [False, True])
    @pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1, 1), (3, 3), (2, 1, 3), (6,)])
    @pytest.mark.parametrize("with_bias", [False, True])
    def test_text_in_pieces_through_a_cache(self, need_weights, pieces, with_bias):
        attention = MultiHeadAttention(16, 4, 2)
        x = draw(2, 6, 16, seed=0)
        tables = rotary_tables(6, 4)
        whole = attention(x, causal=True, rotary=tables, bias=alibi_bias(4, 6) if with_bias else None).output

        cache, parts, start = KVCache(2, 2, 6, 4), [], 0
        with torch.no_grad():
            for length in pieces:
                end = start + length
                parts.append(
                    attention(
                        x[:, start:end],
                        causal=True,
                        cache=cache,
                        rotary=tables.slice(start, length),
                        bias=alibi_bias(4, length, end) if with_bias else None,
                        need_weights=need_weights,
                    ).output
                )
                start = end
        assert_close(torch.cat(parts, dim=1), whole)

    def test_weights_are_those_of_the_equation(self):
        attention = MultiHeadAttention(8, 2)
        x = draw(1, 4, 8, seed=0)
        weights = attention(x, causal=True, need_weights=True).weights
        for head in (0, 1):
            part = slice(4 * head, 4 * head + 4)
            scores = attention.query(x)[0, :, part] @ attention.key(x)[0, :, part].T / 2.0  # √d_head = 2
            scores = torch.where(torch.ones(4, 4).tril().bool(), scores, -1e9)
            assert_close(weights[0, head], scores.exp() / scores.exp().sum(-1, keepdim=True))

    @given(seeds, st.integers(1, 6))
    def test_without_positions_order_does_not_matter(self, seed, time):
        attention = MultiHeadAttention(8, 2)
        x = draw(1, time, 8, seed=seed)
        order = torch.randperm(time, generator=generator(seed))
        assert_close(attention(x[:, order]).output, attention(x).output[:, order])

    def test_qk_norm_makes_the_size_of_queries_irrelevant(self):
        plain, normed = MultiHeadAttention(8, 2, bias=False), MultiHeadAttention(8, 2, bias=False, qk_norm=True)
        x = draw(1, 4, 8, seed=0)
        for attention, same in ((plain, False), (normed, True)):
            before = attention(x, need_weights=True).weights
            with torch.no_grad():
                attention.query.weight.mul_(30.0)
            after = attention(x, need_weights=True).weights
            assert torch.allclose(before, after, atol=1e-4) == same

    def test_gradients_in_float64(self):
        attention = MultiHeadAttention(4, 2, 1).double()
        x = draw(2, 3, 4, seed=0, dtype=torch.float64).requires_grad_()
        context = draw(2, 5, 4, seed=1, dtype=torch.float64).requires_grad_()
        mask = draw_mask(2, 1, 3, 5, seed=2)
        mask[0, 0, 0] = False
        for need_weights in (False, True):
            assert torch.autograd.gradcheck(
                lambda x, context, w=need_weights: attention(x, context, mask=mask, need_weights=w).output, (x, context)
            )

    @pytest.mark.parametrize("need_weights", [False, True])
    def test_dropout_acts_in_training_only(self, need_weights):
        attention = MultiHeadAttention(16, 4, dropout=0.5)
        x = draw(2, 8, 16, seed=0)
        torch.manual_seed(0)
        first, second = (attention(x, need_weights=need_weights).output for _ in range(2))
        assert not torch.allclose(first, second)
        attention.eval()
        still = attention(x, need_weights=need_weights).output
        assert_close(attention(x, need_weights=need_weights).output, still, rtol=0, atol=0)
        attention.dropout = 0.0
        assert_close(attention.train()(x, need_weights=need_weights).output, still)

    def test_dropped_weights_keep_their_expected_value(self):
        torch.manual_seed(0)
        ones = torch.ones(1, 400, 1)
        query = torch.zeros(1, 400, 4)
        output, weights = scaled_dot_product_attention(query, query, ones, dropout=0.3)
        assert_close(weights, torch.full((1, 400, 400), 1 / 400))  # what is reported is what was there before the drop
        assert output.std() > 0
        assert output.mean() == pytest.approx(1.0, abs=0.01)

    @pytest.mark.parametrize("queries", [1, 2, 6])
    @pytest.mark.parametrize("bias", [None, alibi_bias(4, 2, 6)], ids=["no bias", "alibi"])
    def test_later_keys_are_masked_alike_with_and_without_another_mask(self, queries, bias):
        """Alone, the causal mask is added to the scores; beside another mask it is filled in."""
        attention = MultiHeadAttention(32, 4)
        x, past = draw(2, queries, 32, seed=0), draw(2, 6 - queries, 32, seed=1)
        bias = None if bias is None else bias[:, -1:].expand(-1, queries, -1)

        def attend(**options) -> tuple[torch.Tensor, torch.Tensor]:
            cache = KVCache(2, 4, 6, 8)
            attention(past, cache=cache)
            return attention(x, causal=True, bias=bias, cache=cache, need_weights=True, **options)

        (output, weights), (other, others_weights) = attend(), attend(mask=torch.ones(queries, 6, dtype=torch.bool))
        assert torch.equal(weights, others_weights)
        assert torch.equal(output, other)
        gradients = [torch.autograd.grad(y.square().sum(), attention.parameters()) for y in (output, other)]
        for own, another in zip(*gradients, strict=True):
            assert_close(own, another)

    @pytest.mark.parametrize("need_weights", [False, True])
    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize("positions", ["none", "alibi", "rotary"])
    def test_bfloat16_stays_near_float32(self, need_weights, training, positions):
        exact = MultiHeadAttention(32, 4, 2)
        rounded = MultiHeadAttention(32, 4, 2).bfloat16()
        rounded.load_state_dict(exact.state_dict())
        x = draw(2, 6, 32, seed=0)
        options = {
            "causal": True,
            "bias": alibi_bias(4, 6) if positions == "alibi" else None,  # in float32, as it comes
            "rotary": rotary_tables(6, 8) if positions == "rotary" else None,
            "need_weights": need_weights,
        }
        with torch.set_grad_enabled(training):
            output = rounded(x.bfloat16(), **options).output
            assert output.dtype == torch.bfloat16
            assert_close(output.float(), exact(x, **options).output, rtol=0.03, atol=0.03)
        if training:
            output.float().square().sum().backward()
            assert rounded.key.weight.grad.isfinite().all()
