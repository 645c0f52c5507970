"""Keys and values kept or computed anew: the same logits, for every kind of model and for texts of unequal length."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from course_lib.generation import decoder as decoding
from course_lib.generation.decoder import (
    CachedDecoder,
    ForwardDecoder,
    RecomputingDecoder,
    follows,
    make_decoder,
    threads_for,
    working,
)
from course_lib.models.gpt import POSITIONS, GPTConfig
from course_lib.nn.int8 import quantize_int8
from course_lib.nn.layers import ACTIVATIONS
from tests.generation.conftest import make_gpt

SWITCHES = {
    "as GPT-2": {},
    "as Llama": {"norm": "rmsnorm", "activation": "swiglu", "bias": False, "n_kv_heads": 2, "qk_norm": True},
    "multi-query, post-norm": {"norm_position": "post", "n_kv_heads": 1},
    "capped logits": {"logit_cap": 1.5, "zero_writers": True},
    "no norm, untied": {"norm_position": "none", "tie_embeddings": False, "activation": "relu2"},
}
LENGTHS = {"one length": [5, 5, 5], "unequal": [3, 9, 5, 3]}


def random_texts(lengths: list[int], vocab_size: int = 13) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(vocab_size, (length,), generator=generator) for length in lengths]


def compare(decoders, texts, steps, *, tolerance=1e-4):
    """Each step of each decoder answers the same logits; half-way the texts change places."""
    with torch.inference_mode():
        logits = [decoder.read(texts) for decoder in decoders]
        for step in range(steps):
            assert logits[0].std() > 0.2
            for other in logits[1:]:
                assert_close(other, logits[0], rtol=tolerance, atol=tolerance * logits[0].std().item())
            tokens = logits[0].argmax(-1)
            if step == steps // 2:
                rows = torch.tensor([1, 0, 0, 0][: len(texts)]) if len(texts) > 1 else torch.tensor([0])
                tokens = tokens[rows]
                for decoder in decoders:
                    decoder.reorder(rows)
            logits = [decoder.step(tokens) for decoder in decoders]


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize("positions", POSITIONS)
def test_the_cache_gives_the_logits_of_the_whole_text(positions, switches, lengths):
    model = make_gpt(positions=positions, **switches)
    decoders = [RecomputingDecoder(model), CachedDecoder(model, 24)]
    if lengths == LENGTHS["one length"]:
        decoders.append(ForwardDecoder(model, 24))
    compare(decoders, random_texts(lengths), 14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation):
    model = make_gpt(activation=activation)
    compare([RecomputingDecoder(model), CachedDecoder(model, 12)], random_texts([2]), 8)


def test_up_to_the_last_place_of_the_context():
    model = make_gpt()
    compare([RecomputingDecoder(model), CachedDecoder(model, 24)], random_texts([20]), 4)
    compare([RecomputingDecoder(model), CachedDecoder(model, 24)], random_texts([20, 4]), 4)


def test_it_knows_every_switch_that_there_is_or_leaves_it_to_the_model():
    """A new setting of GPTConfig is followed only when it is named in KNOWN, with a case above."""
    names = {field.name for field in dataclasses.fields(GPTConfig)}
    assert names >= decoding.KNOWN


def test_a_model_with_a_switch_of_its_own_is_run_by_its_own_forward():
    @dataclasses.dataclass(frozen=True)
    class OddConfig(GPTConfig):
        twist: bool = False

    sizes = {"vocab_size": 13, "context_length": 24, "d_model": 8, "n_heads": 2, "n_layers": 1}
    assert follows(OddConfig(**sizes))
    assert not follows(OddConfig(**sizes, twist=True))
    model = make_gpt()
    model.config = OddConfig(**sizes, twist=True)
    assert isinstance(make_decoder(model, random_texts([3, 3]), 9, True), ForwardDecoder)
    assert isinstance(make_decoder(model, random_texts([3, 4]), 9, True), RecomputingDecoder)
    assert isinstance(make_decoder(model, random_texts([3, 3]), 9, False), RecomputingDecoder)


def test_grouped_heads_reserve_a_smaller_cache():
    model = make_gpt(n_kv_heads=1)
    decoder = CachedDecoder(model, 10)
    with torch.inference_mode():
        decoder.read(random_texts([3, 3]))
    assert [cache.keys.shape for cache in decoder.caches] == [(2, 1, 10, 8)] * 2


def test_int8_weights_give_the_logits_of_their_own_forward():
    model = quantize_int8(make_gpt(positions="rotary", n_kv_heads=2))
    # The kernel rounds its input to 8 bits with one scale for the whole call, so a longer call rounds a little coarser.
    compare([RecomputingDecoder(model), CachedDecoder(model, 24)], random_texts([5]), 8, tolerance=0.1)


def test_threads_and_gradients_are_as_before():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with working(1):
            assert torch.get_num_threads() == 1
            assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 2
        with working(None):
            assert torch.get_num_threads() == 2
        assert not torch.is_inference_mode_enabled()
    finally:
        torch.set_num_threads(before)
    assert threads_for(make_gpt()) == 1
    assert threads_for(torch.nn.Linear(2000, 1000)) is None
