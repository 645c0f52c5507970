"""Positions against the papers' formulas in plain Python, the properties that define them, and transformers' code."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers import LlamaConfig, T5Config
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.t5.modeling_t5 import T5Attention

from course_lib.nn.positions import (
    LearnedPositions,
    RelativeBias,
    RotaryTables,
    alibi_bias,
    alibi_slopes,
    apply_rotary,
    relative_buckets,
    relative_distance,
    rotary_tables,
    sinusoidal_encoding,
)

even_widths = st.integers(1, 8).map(lambda half: 2 * half)
bases = st.sampled_from([100.0, 10_000.0, 500_000.0])


class TestSinusoidal:
    @given(st.integers(1, 40), even_widths, bases)
    def test_equals_the_papers_formula(self, length, d_model, base):
        expected = [
            [
                math.sin(pos / base ** (j / d_model)) if j % 2 == 0 else math.cos(pos / base ** ((j - 1) / d_model))
                for j in range(d_model)
            ]
            for pos in range(length)
        ]
        assert_close(sinusoidal_encoding(length, d_model, base=base), torch.tensor(expected))

    def test_known_values(self):
        table = sinusoidal_encoding(3, 4)
        assert_close(table[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
        assert_close(table[1], torch.tensor([0.84147, 0.54030, 0.0099998, 0.99995]), rtol=1e-4, atol=1e-5)
        assert_close(table[2], torch.tensor([0.90930, -0.41615, 0.0199987, 0.99980]), rtol=1e-4, atol=1e-5)

    @given(st.integers(0, 30), even_widths)
    def test_one_linear_map_shifts_every_position(self, shift, d_model):
        table = sinusoidal_encoding(60, d_model).double()
        step = torch.zeros(d_model, d_model, dtype=torch.float64)
        for i in range(0, d_model, 2):  # each clock hand turns by its own angle
            angle = shift / 10_000 ** (i / d_model)
            step[i, i : i + 2] = torch.tensor([math.cos(angle), math.sin(angle)])
            step[i + 1, i : i + 2] = torch.tensor([-math.sin(angle), math.cos(angle)])
        assert_close(table[: 60 - shift] @ step.T, table[shift:], rtol=0, atol=1e-6)

    def test_dot_products_depend_on_distance_only(self):
        table = sinusoidal_encoding(50, 16).double()
        products = table @ table.T
        for distance in range(1, 50):
            diagonal = products.diagonal(distance)
            assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)
        assert_close(products.diagonal(), torch.full((50,), 8.0, dtype=torch.float64), rtol=0, atol=1e-5)

    def test_far_positions_keep_their_precision(self):
        table = sinusoidal_encoding(100_001, 8)
        assert table[100_000, 0].item() == pytest.approx(math.sin(100_000), abs=1e-6)
        assert table[100_000, 2].item() == pytest.approx(math.sin(10_000), abs=1e-6)
        assert rotary_tables(100_001, 8).cos[100_000, 0].item() == pytest.approx(math.cos(100_000), abs=1e-6)

    def test_an_odd_width(self):
        with pytest.raises(ValueError, match=r"must be even, but it is 7"):
            sinusoidal_encoding(4, 7)


class TestLearned:
    def test_rows_of_the_embedding(self):
        positions = LearnedPositions(6, 4)
        assert torch.equal(positions(3), positions.embedding(torch.tensor([0, 1, 2])))
        assert torch.equal(positions(2, offset=4), positions.embedding(torch.tensor([4, 5])))

    def test_only_the_positions_used_are_trained(self):
        positions = LearnedPositions(6, 4)
        positions(2, offset=1).sum().backward()
        assert positions.embedding.weight.grad.any(dim=1).tolist() == [False, True, True, False, False, False]

    @pytest.mark.parametrize(("length", "offset"), [(7, 0), (1, 6), (4, 3)])
    def test_past_the_context(self, length, offset):
        with pytest.raises(ValueError, match=rf"up to {length + offset} .*only 6"):
            LearnedPositions(6, 4)(length, offset)


class TestRotary:
    @given(st.integers(0, 2**31), st.integers(1, 20), even_widths)
    def test_norms_are_preserved_and_position_0_is_left_alone(self, seed, length, d_head):
        x = torch.randn(2, 3, length, d_head, generator=torch.Generator().manual_seed(seed))
        turned = apply_rotary(x, rotary_tables(length, d_head))
        assert_close(turned.norm(dim=-1), x.norm(dim=-1))
        assert_close(turned[:, :, 0], x[:, :, 0], rtol=0, atol=0)

    @given(st.integers(0, 2**31), even_widths, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
    def test_scores_depend_on_distance_only(self, seed, d_head, query_position, key_position, shift):
        query, key = torch.randn(2, d_head, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        tables = rotary_tables(41, d_head)

        def score(query_position, key_position):
            turned = [
                apply_rotary(x[None], tables.slice(position, 1))[0]
                for x, position in ((query, query_position), (key, key_position))
            ]
            return turned[0] @ turned[1]

        near, far = score(query_position, key_position), score(query_position + shift, key_position + shift)
        assert_close(near, far, rtol=0, atol=1e-5)

    def test_scores_do_depend_on_distance(self):
        x = torch.randn(1, 8).expand(10, 8)
        turned = apply_rotary(x, rotary_tables(10, 8))
        scores = turned[0] @ turned.T
        assert scores[0] == pytest.approx((x[0] @ x[0]).item(), rel=1e-5)
        assert (scores[1:] < scores[0] - 1e-3).all()

    @pytest.mark.parametrize("d_head", [2, 8, 64])
    @pytest.mark.parametrize("base", [10_000.0, 500_000.0])
    def test_equals_transformers_llama(self, d_head, base):
        config = LlamaConfig(
            hidden_size=4 * d_head,
            num_attention_heads=4,
            max_position_embeddings=128,
            rope_parameters={"rope_type": "default", "rope_theta": base},
        )
        query, key = torch.randn(2, 2, 4, 50, d_head)
        cos, sin = LlamaRotaryEmbedding(config)(query, torch.arange(50)[None])
        expected_query, expected_key = apply_rotary_pos_emb(query, key, cos, sin)
        tables = rotary_tables(50, d_head, base=base)
        assert_close(apply_rotary(query, tables), expected_query, rtol=1e-4, atol=1e-4)
        assert_close(apply_rotary(key, tables), expected_key, rtol=1e-4, atol=1e-4)

    def test_equals_multiplying_complex_numbers(self):
        x = torch.randn(7, 6, dtype=torch.float64)
        frequency = torch.tensor([10_000 ** (-i / 3) for i in range(3)], dtype=torch.float64)
        turn = torch.polar(torch.ones(7, 3, dtype=torch.float64), torch.arange(7)[:, None] * frequency)
        expected = torch.complex(x[:, :3].contiguous(), x[:, 3:].contiguous()) * turn
        turned = apply_rotary(x, rotary_tables(7, 6))
        assert_close(turned, torch.cat([expected.real, expected.imag], dim=-1), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_dtype_of_the_input_is_kept(self, dtype):
        x = torch.randn(3, 5, 8).to(dtype)
        turned = apply_rotary(x, rotary_tables(5, 8))
        assert turned.dtype == dtype
        assert_close(turned.float(), apply_rotary(x.float(), rotary_tables(5, 8)), rtol=0.02, atol=0.02)

    def test_slices_are_the_tables_of_those_positions(self):
        tables = rotary_tables(10, 4).slice(3, 2)
        assert isinstance(tables, RotaryTables)
        assert torch.equal(tables.cos, rotary_tables(10, 4).cos[3:5])
        assert torch.equal(tables.sin, rotary_tables(10, 4).sin[3:5])

    def test_gradients_in_float64(self):
        x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: apply_rotary(x, rotary_tables(5, 4)), (x,))

    def test_an_odd_width(self):
        with pytest.raises(ValueError, match=r"must be even, but it is 5"):
            rotary_tables(4, 5)

    @pytest.mark.parametrize(
        ("time", "width", "tables"), [(5, 8, (4, 8)), (3, 8, (4, 8)), (5, 8, (1, 8)), (4, 8, (4, 2))]
    )
    def test_tables_for_another_length_or_width(self, time, width, tables):
        with pytest.raises(
            ValueError, match=rf"{tables[0]} positions .*{tables[1]} wide.*{time} positions, {width} wide"
        ):
            apply_rotary(torch.randn(2, time, width), rotary_tables(*tables))

    def test_past_the_end_of_the_tables(self):
        with pytest.raises(ValueError, match=r"1 positions .*the input has 3 positions"):
            apply_rotary(torch.randn(3, 4), rotary_tables(5, 4).slice(4, 3))


class TestAlibi:
    @pytest.mark.parametrize("n_heads", range(1, 20))
    def test_slopes_equal_transformers_bloom(self, n_heads):
        n_key = 6
        mask = torch.ones(1, n_key)
        expected = build_alibi_tensor(mask, n_heads, torch.float32)[:, 0]  # slope · position of the key
        assert_close(alibi_slopes(n_heads)[:, None] * torch.arange(n_key), expected)
        # The two differ by the same number in the whole row, which the softmax does not see.
        last_row = alibi_bias(n_heads, 1, n_key)[:, 0]
        assert_close(last_row.softmax(-1), expected.softmax(-1))

    def test_slopes_of_the_paper(self):
        assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
        assert_close(alibi_slopes(16), torch.tensor([2 ** (-i / 2) for i in range(1, 17)]))
        assert_close(alibi_slopes(3), torch.tensor([2.0**-4, 2.0**-8, 2.0**-2]))

    @given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 5))
    def test_bias_is_the_slope_times_the_distance(self, n_heads, n_query, n_past):
        bias = alibi_bias(n_heads, n_query, n_query + n_past)
        slopes = alibi_slopes(n_heads).tolist()
        expected = [
            [[-slope * abs(n_past + i - j) for j in range(n_query + n_past)] for i in range(n_query)]
            for slope in slopes
        ]
        assert_close(bias, torch.tensor(expected))

    @given(st.integers(1, 12), st.integers(1, 20))
    def test_properties(self, n_heads, length):
        bias = alibi_bias(n_heads, length)
        assert (bias.diagonal(dim1=1, dim2=2) == 0).all()  # a token pays nothing to look at itself
        for distance in range(length):  # the bias depends on distance only
            diagonal = bias.diagonal(-distance, dim1=1, dim2=2)
            assert torch.equal(diagonal, diagonal[:, :1].expand_as(diagonal))
        assert (bias[:, -1].diff(dim=-1) > 0).all()  # nearer is better
        assert len(set(alibi_slopes(n_heads).tolist())) == n_heads
        assert torch.equal(alibi_bias(n_heads, 1, length), bias[:, -1:])


class TestRelativeBias:
    @pytest.mark.parametrize("bidirectional", [False, True])
    @pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 20), (16, 1000), (6, 7), (33, 100)])
    def test_buckets_equal_transformers_t5(self, bidirectional, n_buckets, max_distance):
        distance = torch.arange(-1500, 1501)[None]
        ours = relative_buckets(distance, n_buckets=n_buckets, max_distance=max_distance, bidirectional=bidirectional)
        theirs = T5Attention._relative_position_bucket(distance, bidirectional, n_buckets, max_distance)
        assert torch.equal(ours, theirs)

    def test_known_buckets(self):
        options = {"n_buckets": 32, "max_distance": 128}
        past = relative_buckets(-torch.tensor([[0, 1, 15, 16, 127, 128, 9999]]), bidirectional=False, **options)
        assert past.tolist() == [[0, 1, 15, 16, 31, 31, 31]]
        future = relative_buckets(torch.tensor([[1, 5, 500]]), bidirectional=False, **options)
        assert future.tolist() == [[0, 0, 0]]
        both = relative_buckets(torch.tensor([[-3, 3]]), bidirectional=True, **options)
        assert both.tolist() == [[3, 19]]

    @given(st.integers(1, 8), st.integers(0, 5))
    def test_distances(self, n_query, n_past):
        distance = relative_distance(n_query, n_query + n_past)
        assert distance.tolist() == [[j - i - n_past for j in range(n_query + n_past)] for i in range(n_query)]

    @pytest.mark.parametrize("bidirectional", [False, True])
    def test_bias_equals_transformers_t5(self, bidirectional):
        config = T5Config(num_heads=3, d_model=12, d_kv=4, is_decoder=not bidirectional)
        theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
        ours = RelativeBias(3, bidirectional=bidirectional)
        with torch.no_grad():
            ours.embedding.weight.copy_(torch.randn(32, 3))
            theirs.relative_attention_bias.weight.copy_(ours.embedding.weight)
        assert_close(ours(200), theirs.compute_bias(200, 200)[0])
        assert_close(ours(3, 200), ours(200)[:, -3:])

    def test_is_trained(self):
        bias = RelativeBias(2, n_buckets=4, max_distance=8)
        bias(5).sum().backward()
        assert bias.embedding.weight.grad.sum().item() == 2 * 5 * 5

    @pytest.mark.parametrize(
        ("n_buckets", "max_distance", "bidirectional", "message"),
        [
            (1, 8, False, r"1 buckets .*at least 2 "),
            (3, 8, True, r"3 buckets .*at least 4 "),
            (32, 16, False, r"distance 16 .*above 16"),
            (32, 8, True, r"distance 8 .*above 8"),
        ],
    )
    def test_too_few_buckets(self, n_buckets, max_distance, bidirectional, message):
        with pytest.raises(ValueError, match=message):
            RelativeBias(2, n_buckets=n_buckets, max_distance=max_distance, bidirectional=bidirectional)
