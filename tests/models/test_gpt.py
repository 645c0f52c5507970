"""A GPT under every switch: the past never sees the future, the cache changes nothing, and errors say what to do."""

import copy
import itertools
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from course_lib.models.gpt import GPT, IGNORED, POSITIONS, GPTConfig
from course_lib.nn.layers import ACTIVATIONS

NORMS = ("layernorm", "rmsnorm")
NORM_POSITIONS = ("pre", "post", "none")
VOCAB = 13


def small(**switches) -> GPT:
    """A GPT of 2 blocks of 4 heads with weights large enough to have an effect, ready for use."""
    model = GPT(
        GPTConfig(**{"vocab_size": VOCAB, "context_length": 10, "d_model": 16, "n_heads": 4, "n_layers": 2, **switches})
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def draw_tokens(batch: int, time: int) -> torch.Tensor:
    return torch.randint(VOCAB, (batch, time))


class TestCausalInvariant:
    @pytest.mark.parametrize(
        ("positions", "norm", "norm_position", "n_kv_heads"),
        list(itertools.product(POSITIONS, NORMS, NORM_POSITIONS, (4, 2, 1))),
    )
    @torch.no_grad()
    def test_changing_a_token_changes_no_output_before_it(self, positions, norm, norm_position, n_kv_heads):
        model = small(positions=positions, norm=norm, norm_position=norm_position, n_kv_heads=n_kv_heads)
        tokens = draw_tokens(1, 8)
        variants = tokens.repeat(9, 1)
        for changed in range(8):  # row `changed` differs at that place, and row 8 nowhere
            variants[changed, changed] = (variants[changed, changed] + 1 + changed) % VOCAB
        for return_attentions in (False, True):
            logits = model(variants, return_attentions=return_attentions).logits
            moved = (logits - logits[8]).abs().amax(dim=-1)  # (variant, time)
            for changed in range(8):
                assert (moved[changed, :changed] <= 1e-6).all()
                assert (moved[changed, changed:] > 1e-4).all()

    @pytest.mark.parametrize("activation", list(ACTIVATIONS))
    @pytest.mark.parametrize("qk_norm", [False, True])
    @pytest.mark.parametrize("positions", POSITIONS)
    def test_no_gradient_flows_from_the_past_to_the_future(self, positions, qk_norm, activation):
        model = small(positions=positions, qk_norm=qk_norm, activation=activation)
        vectors = []
        model.token_embedding.register_forward_hook(lambda *call: vectors.append(call[2].requires_grad_()))
        logits = model(draw_tokens(2, 7)).logits
        gradient = torch.autograd.grad(logits[:, 3].square().sum(), vectors[0])[0]
        assert (gradient[:, 4:] == 0).all()
        assert (gradient[:, :4].abs().amax(dim=-1) > 0).all()


class TestCache:
    @pytest.mark.parametrize("positions", POSITIONS)
    @pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
    @pytest.mark.parametrize("pieces", [(1,) * 6, (3, 1, 2)])
    @torch.no_grad()
    def test_equals_recomputation(self, positions, n_kv_heads, pieces):
        model = small(positions=positions, n_kv_heads=n_kv_heads)
        tokens = draw_tokens(3, 6)
        cache = model.new_cache(3)
        logits = torch.cat([model(piece, cache=cache).logits for piece in tokens.split(pieces, dim=1)], dim=1)
        assert_close(logits, model(tokens).logits, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    @settings(max_examples=25)
    @given(st.sampled_from(POSITIONS), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 1000))
    @torch.no_grad()
    def test_equals_recomputation_for_any_pieces(self, positions, pieces, seed):
        torch.manual_seed(seed)
        model = small(positions=positions, n_kv_heads=2, context_length=16, qk_norm=bool(seed % 2))
        tokens = draw_tokens(2, sum(pieces))
        cache = model.new_cache(2, sum(pieces))
        outputs = [model(piece, cache=cache, return_attentions=True) for piece in tokens.split(pieces, dim=1)]
        whole = model(tokens, return_attentions=True)
        assert_close(torch.cat([output.logits for output in outputs], dim=1), whole.logits, rtol=1e-4, atol=1e-5)
        last = outputs[-1].attentions[-1]
        assert_close(last, whole.attentions[-1][:, :, -pieces[-1] :], rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_holds_only_the_key_value_heads(self):
        model = small(n_kv_heads=2)
        cache = model.new_cache(3, 5)
        assert len(cache) == 2
        assert all(layer.keys.shape == layer.values.shape == (3, 2, 5, 4) for layer in cache)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
    @torch.no_grad()
    def test_dtype_of_the_model(self, dtype):
        model = small(positions="alibi").to(dtype)
        cache, tokens = model.new_cache(1), draw_tokens(1, 6)
        assert cache[0].keys.dtype == dtype
        model(tokens[:, :4], cache=cache)
        last = model(tokens[:, 4:], cache=cache).logits
        tolerance = {"rtol": 0.05, "atol": 0.1} if dtype == torch.bfloat16 else {"rtol": 1e-9, "atol": 1e-9}
        assert_close(last, model(tokens).logits[:, 4:], **tolerance)


class TestLoss:
    def test_is_the_mean_of_minus_log_p_over_the_targets_that_count(self):
        model, tokens, targets = small(), draw_tokens(2, 6), draw_tokens(2, 6)
        targets[0, 2] = targets[1, 4:] = IGNORED
        output = model(tokens, targets)
        terms = [
            -output.logits[i, t].double().log_softmax(-1)[targets[i, t]].item()
            for i in range(2)
            for t in range(6)
            if targets[i, t] != IGNORED
        ]
        assert len(terms) == 9
        assert output.loss.item() == pytest.approx(sum(terms) / 9, rel=1e-5)
        assert model(tokens).loss is None

    def test_ignored_targets_give_no_gradient(self):
        model, tokens, targets = small(), draw_tokens(1, 6), draw_tokens(1, 6)
        targets[0, 3:] = IGNORED
        loss, short = model(tokens, targets).loss, model(tokens[:, :3], targets[:, :3]).loss
        assert_close(loss, short)
        ours, expected = (torch.autograd.grad(x, model.blocks[0].attention.value.weight)[0] for x in (loss, short))
        assert_close(ours, expected)

    @pytest.mark.parametrize("positions", POSITIONS)
    @pytest.mark.parametrize("norm_position", NORM_POSITIONS)
    @pytest.mark.parametrize("tie_embeddings", [False, True])
    def test_starts_at_the_log_of_the_vocabulary(self, positions, norm_position, tie_embeddings):
        switches = {"positions": positions, "norm_position": norm_position, "tie_embeddings": tie_embeddings}
        model = GPT(GPTConfig(97, 32, d_model=32, n_heads=4, n_layers=3, **switches))
        tokens = torch.randint(97, (8, 33))
        loss = model(tokens[:, :-1], tokens[:, 1:]).loss
        assert loss.item() == pytest.approx(math.log(97), abs=0.1)

    @pytest.mark.slow
    def test_in_float64_has_exact_gradients(self):
        model = GPT(GPTConfig(5, 4, d_model=4, n_heads=2, n_layers=1, n_kv_heads=1, d_ff=4, norm_eps=0.1)).double()
        tokens, targets = torch.tensor([[1, 4, 0]]), torch.tensor([[4, IGNORED, 2]])
        names = [name for name, _ in model.named_parameters()]

        def loss(*weights):
            output = torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (tokens, targets))
            assert output.loss.dtype == torch.float64
            return output.loss

        weights = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
        assert torch.autograd.gradcheck(loss, weights)

    @pytest.mark.parametrize("positions", POSITIONS)
    def test_bfloat16_stays_near_float32(self, positions):
        exact = small(positions=positions, d_model=32, n_kv_heads=2)
        rounded = copy.deepcopy(exact).bfloat16()
        tokens, targets = draw_tokens(2, 8), draw_tokens(2, 8)
        output, expected = rounded(tokens, targets), exact(tokens, targets)
        assert output.logits.dtype == torch.bfloat16 and output.loss.dtype == torch.float32
        assert output.loss.item() == pytest.approx(expected.loss.item(), rel=0.03)
        output.loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in rounded.parameters())

    @pytest.mark.parametrize("positions", POSITIONS)
    def test_autocast_stays_near_float32(self, positions):
        model = small(positions=positions, d_model=32, n_kv_heads=2)
        tokens, targets = draw_tokens(2, 8), draw_tokens(2, 8)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(tokens, targets).loss
        assert loss.item() == pytest.approx(model(tokens, targets).loss.item(), rel=0.03)
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())

    def test_integers_of_32_bits_serve_too(self):
        model, tokens = small(), draw_tokens(2, 6)
        assert_close(model(tokens.int(), tokens.int()).loss, model(tokens, tokens).loss, rtol=0, atol=0)


class TestPositions:
    @torch.no_grad()
    def test_a_model_without_any_sees_a_bag_of_words_before_the_last(self):
        model, tokens = small(positions="none", n_layers=1), draw_tokens(1, 8)
        shuffled = tokens.clone()
        shuffled[0, :7] = tokens[0, torch.randperm(7)]
        assert_close(model(shuffled).logits[:, -1], model(tokens).logits[:, -1], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("positions", [kind for kind in POSITIONS if kind != "none"])
    @torch.no_grad()
    def test_the_others_see_the_order(self, positions):
        model, tokens = small(positions=positions, n_layers=1), torch.arange(8)[None]
        swapped = tokens[:, [1, 0, 2, 3, 4, 5, 6, 7]]
        assert (model(swapped).logits[:, -1] - model(tokens).logits[:, -1]).abs().max() > 1e-4

    @pytest.mark.parametrize("positions", [kind for kind in POSITIONS if kind != "none"])
    @torch.no_grad()
    def test_relative_kinds_do_not_see_where_a_text_begins(self, positions):
        model, tokens = small(positions=positions, n_layers=1), draw_tokens(1, 10)
        alone = model(tokens[:, 4:], return_attentions=True).attentions[0]
        # Attention is shared with the four tokens in front; among the six, the shares must be the same.
        among = model(tokens, return_attentions=True).attentions[0][:, :, 4:, 4:]
        among = among / among.sum(dim=-1, keepdim=True)
        assert torch.allclose(among, alone, atol=1e-5) == (positions in ("rotary", "alibi", "relative"))

    @torch.no_grad()
    def test_sines_do_not_drown_the_tokens(self):
        model, tokens = (
            GPT(GPTConfig(VOCAB, 10, d_model=16, n_heads=4, n_layers=1, positions="sinusoidal")),
            draw_tokens(1, 6),
        )
        streams = []
        model.blocks[0].register_forward_pre_hook(lambda block, inputs: streams.append(inputs[0]))
        model(tokens)
        table = torch.tensor(
            [[(math.cos if i % 2 else math.sin)(t / 10_000 ** (i // 2 * 2 / 16)) for i in range(16)] for t in range(6)]
        )
        assert_close(streams[0][0], 4 * model.token_embedding.weight[tokens[0]] + table)

    @pytest.mark.parametrize("positions", POSITIONS)
    def test_tables_are_not_saved(self, positions):
        model = small(positions=positions)
        assert set(model.state_dict()) - {"unembedding.weight"} == {name for name, _ in model.named_parameters()}
        other = small(positions=positions)
        other.load_state_dict(model.state_dict())
        tokens = draw_tokens(2, 6)
        assert torch.equal(other(tokens).logits, model(tokens).logits)


class TestParameters:
    @pytest.mark.slow
    @given(
        st.integers(1, 50),
        st.integers(1, 12),
        st.sampled_from([(4, 4, 8), (4, 2, 16), (6, 1, 12), (1, 1, 6)]),
        st.integers(1, 3),
        st.sampled_from(POSITIONS),
        st.sampled_from(NORMS),
        st.sampled_from(NORM_POSITIONS),
        st.sampled_from(list(ACTIVATIONS)),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, 10]),
    )
    def test_number_by_formula(
        self, vocab, context, heads, layers, positions, norm, norm_position, activation, bias, tied, d_ff
    ):
        n_heads, n_kv_heads, d_model = heads
        model = GPT(
            GPTConfig(
                vocab, context, d_model, n_heads, layers, n_kv_heads, d_ff, positions, norm, norm_position,
                activation=activation, bias=bias, tie_embeddings=tied,
            )
        )  # fmt: skip
        d, kv, b = d_model, d_model // n_heads * n_kv_heads, int(bias)
        attention = d * d + d * kv + d * kv + d * d + b * (d + kv + kv + d)
        if activation in ("swiglu", "geglu"):
            inner = d_ff or 8 * math.ceil(d / 3)
            feed_forward = 3 * d * inner + b * (2 * inner + d)
        else:
            inner = d_ff or 4 * d
            feed_forward = 2 * d * inner + b * (inner + d)
        norm_size = d * (2 if norm == "layernorm" and bias else 1)
        n_norms = {"pre": 2 * layers + 1, "post": 2 * layers, "none": 0}[norm_position]
        embeddings = vocab * d + {"learned": context * d, "relative": 32 * n_heads}.get(positions, 0)
        rest = layers * (attention + feed_forward) + n_norms * norm_size + (0 if tied else vocab * d)

        assert model.count_parameters() == embeddings + rest
        assert model.count_parameters(embeddings=False) == rest

    def test_gpt2_small(self):
        with torch.device("meta"):
            model = GPT(GPTConfig(50257, 1024, d_model=768, n_heads=12, n_layers=12))
        assert model.count_parameters() == 124_439_808

    @pytest.mark.parametrize("tied", [False, True])
    def test_tying(self, tied):
        model = small(tie_embeddings=tied)
        assert (model.unembedding.weight is model.token_embedding.weight) == tied
        copied = copy.deepcopy(model)
        assert (copied.unembedding.weight is copied.token_embedding.weight) == tied

    @pytest.mark.parametrize("n_layers", [1, 8])
    def test_initial_spread(self, n_layers):
        model = GPT(GPTConfig(1000, 64, d_model=128, n_heads=4, n_layers=n_layers))
        last = model.blocks[-1]
        for weight in (model.token_embedding.weight, last.attention.query.weight, last.feed_forward.up.weight):
            assert weight.std().item() == pytest.approx(0.02, rel=0.05)
        for weight in (last.attention.output.weight, last.feed_forward.down.weight):
            assert weight.std().item() == pytest.approx(0.02 / math.sqrt(2 * n_layers), rel=0.05)
        assert (last.attention.query.bias == 0).all()

    def test_no_bias_anywhere(self):
        assert not any("bias" in name for name, _ in small(bias=False).named_parameters())

    @pytest.mark.parametrize("positions", POSITIONS)
    def test_every_parameter_is_trained(self, positions):
        model = small(positions=positions, tie_embeddings=False, activation="swiglu")
        model(draw_tokens(4, 10), draw_tokens(4, 10)).loss.backward()
        for name, parameter in model.named_parameters():
            if name.endswith("attention.key.bias") and positions != "rotary":
                continue  # the same number on every score of a row: the softmax does not see it
            assert parameter.grad is not None and (parameter.grad != 0).any(), name

    def test_dropout_acts_in_training_only(self):
        plain = small()
        model = small(dropout=0.3)
        model.load_state_dict(plain.state_dict())
        tokens = draw_tokens(2, 8)
        assert torch.equal(model(tokens).logits, plain(tokens).logits)
        model.train()
        assert not torch.allclose(model(tokens).logits, model(tokens).logits)


@pytest.mark.slow
def test_compiles_as_one_graph():
    """In a process of its own: the checks of shapes, which learners do not have, cannot be compiled."""
    program = f"""
import torch
from course_lib.models.gpt import GPT, GPTConfig

for positions in {POSITIONS}:
    model = GPT(GPTConfig(13, 10, d_model=16, n_heads=4, n_layers=1, n_kv_heads=2, positions=positions))
    tokens = torch.randint(13, (2, 6))
    output = torch.compile(model, backend="eager", fullgraph=True)(tokens, tokens)
    torch.testing.assert_close(output.logits, model(tokens).logits)
    print(positions)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == list(POSITIONS), done.stderr


class TestFastRecipe:
    """The switches with which small models learn fast."""

    def test_zero_writers_make_every_block_pass_the_stream_on(self):
        config = {"vocab_size": VOCAB, "context_length": 10, "d_model": 16, "n_heads": 4, "positions": "none"}
        tokens = draw_tokens(2, 6)
        torch.manual_seed(1)
        deep = GPT(GPTConfig(**config, n_layers=3, zero_writers=True))
        x = deep.token_embedding(tokens)
        assert_close(deep(tokens).logits, deep.unembedding(deep.final_norm(x)))
        deep(tokens, tokens).loss.backward()
        assert all(block.feed_forward.down.weight.grad.any() for block in deep.blocks)  # and they learn

    def test_capped_logits_keep_their_order_and_their_bound(self):
        plain, capped = small(), small(logit_cap=2.0)
        capped.load_state_dict(plain.state_dict())
        tokens = draw_tokens(2, 6)
        free, bound = plain(tokens).logits * 3, capped(tokens).logits
        assert_close(bound, 2 * (plain(tokens).logits / 2).tanh())
        assert bound.abs().max() < 2 < free.abs().max()
        assert torch.equal(bound.argsort(-1)[..., -1], free.argsort(-1)[..., -1])

    @pytest.mark.parametrize("pieces", [(1,) * 6, (3, 1, 2)])
    @pytest.mark.parametrize("positions", ["rotary", "learned"])
    @torch.no_grad()
    def test_token_shift_with_a_cache_equals_recomputation(self, positions, pieces):
        model = small(positions=positions, token_shift=True)
        tokens = draw_tokens(3, 6)
        cache = model.new_cache(3)
        logits = torch.cat([model(piece, cache=cache).logits for piece in tokens.split(pieces, dim=1)], dim=1)
        assert_close(logits, model(tokens).logits, rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_a_cache_in_another_order_goes_on_with_the_other_texts(self):
        model = small(token_shift=True)
        tokens, rows = draw_tokens(3, 6), torch.tensor([2, 0, 0])
        cache = model.new_cache(3)
        model(tokens[:, :4], cache=cache)
        for layer in cache:
            layer.reorder(rows)
        expected = model(torch.cat([tokens[rows, :4], tokens[:, 4:]], dim=1)).logits[:, 4:]
        assert_close(model(tokens[:, 4:], cache=cache).logits, expected, rtol=1e-4, atol=1e-5)

    def test_token_shift_lets_one_block_see_what_followed(self):
        """In one block and without positions, a key can hold its neighbour only by the shift."""
        tokens = torch.tensor([[1, 2, 3, 4, 5], [2, 1, 3, 4, 5]])
        for shifted in (False, True):
            model = small(token_shift=shifted, positions="none", n_layers=1)
            last = model(tokens).logits[:, -1]
            assert torch.allclose(last[0], last[1], atol=1e-5) is not shifted

    @torch.no_grad()
    def test_token_shift_does_not_see_the_future(self):
        model, tokens = small(token_shift=True), draw_tokens(1, 8)
        changed = tokens.clone()
        changed[0, 5] = (changed[0, 5] + 1) % VOCAB
        moved = (model(tokens).logits - model(changed).logits).abs().amax(dim=-1)[0]
        assert (moved[:5] <= 1e-6).all()
        assert (moved[5:] > 1e-4).all()


class TestBadInput:
    @pytest.mark.parametrize("time", [11, 25])
    def test_past_the_context(self, time):
        with pytest.raises(ValueError, match=rf"{time} tokens long.*context is 10"):
            small()(draw_tokens(1, time))

    @pytest.mark.parametrize("positions", POSITIONS)
    def test_past_the_context_with_a_cache(self, positions):
        model, tokens = small(positions=positions), draw_tokens(1, 8)
        cache = model.new_cache(1)
        with torch.no_grad():
            model(tokens, cache=cache)
            with pytest.raises(ValueError, match=r"11 tokens long.*context is 10"):
                model(tokens[:, :3], cache=cache)
            assert [layer.length for layer in cache] == [8, 8]

    def test_past_the_cache(self):
        model = small()
        with pytest.raises(ValueError, match=r"holds 4 positions; 0 are taken and 6 more"):
            model(draw_tokens(1, 6), cache=model.new_cache(1, 4))

    @pytest.mark.usefixtures("shapes_unchecked")
    def test_a_cache_for_another_batch(self):
        model = small()
        with pytest.raises(ValueError, match=r"3 sequences .*given 1 "):
            model(draw_tokens(1, 6), cache=model.new_cache(3))

    @pytest.mark.parametrize("outside", [VOCAB, VOCAB + 100, -1, -VOCAB, IGNORED])
    def test_tokens_outside_the_vocabulary(self, outside):
        tokens = draw_tokens(2, 6)
        tokens[1, 3] = outside
        with pytest.raises(ValueError, match=rf"Token {outside} is outside the vocabulary 0 … 12"):
            small()(tokens)

    @pytest.mark.parametrize("outside", [VOCAB, VOCAB + 100, -1, -VOCAB])
    def test_targets_outside_the_vocabulary(self, outside):
        targets = draw_tokens(2, 6)
        targets[1, 3] = outside
        with pytest.raises(ValueError, match=rf"Token {outside} is outside the vocabulary 0 … 12"):
            small()(draw_tokens(2, 6), targets)

    @pytest.mark.parametrize(
        ("switches", "message"),
        [
            ({"n_heads": 3}, r"d_model=16 .*n_heads=3.*5\.33.*n_heads=2 or 4"),
            ({"n_heads": 0}, r"n_heads=0"),
            ({"n_kv_heads": 3}, r"n_heads=4 .*n_kv_heads=3"),
            ({"n_kv_heads": 8}, r"n_heads=4 .*n_kv_heads=8"),
            ({"n_heads": 16, "positions": "rotary"}, r"must be even.*16 / 16 = 1"),
            ({"d_model": 15, "n_heads": 3, "positions": "sinusoidal"}, r"must be even, but it is 15"),
            ({"positions": "rotory"}, r"'rotory': choose one of 'learned', 'sinusoidal', 'rotary'"),
            ({"norm": "batchnorm"}, r"no norm 'batchnorm'"),
            ({"norm_position": "both"}, r"no norm position 'both'"),
            ({"activation": "tanh"}, r"no activation 'tanh'"),
            ({"vocab_size": 0}, r"vocab_size must be at least 1, but it is 0"),
            ({"context_length": -1}, r"context_length must be at least 1, but it is -1"),
            ({"d_model": 0}, r"d_model must be at least 1"),
            ({"n_layers": 0}, r"n_layers must be at least 1"),
            ({"dropout": 1.0}, r"dropout .*below 1, but it is 1\.0"),
            ({"dropout": -0.1}, r"dropout .*-0\.1"),
            ({"logit_cap": 0.0}, r"logit_cap must be above 0.*but it is 0\.0"),
        ],
    )
    def test_configurations(self, switches, message):
        with pytest.raises(ValueError, match=message):
            small(**switches)
