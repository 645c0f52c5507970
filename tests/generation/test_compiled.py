"""Compiled steps: the logits of the model as it is, for every kind of model, and nothing shared between two."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from course_lib.generation import beam_search, generate
from course_lib.generation.compiled import Compiled, streamed
from course_lib.generation.decoder import CachedDecoder, CompiledDecoder, RecomputingDecoder, make_decoder
from course_lib.models.gpt import POSITIONS
from course_lib.nn.int8 import Int8Linear
from tests.generation.conftest import make_gpt
from tests.generation.test_decoder import SWITCHES, compare, random_texts

PROGRAM = Path(__file__).with_name("compiled_program.py")


@pytest.fixture
def as_written():
    """Steps are run as they are written, without a compiler."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize("positions", POSITIONS)
def test_a_step_gives_the_logits_of_the_whole_text(as_written, positions, switches):
    model = make_gpt(positions=positions, **switches)
    compare([RecomputingDecoder(model), CompiledDecoder(Compiled(model))], random_texts([5]), 14)


def test_up_to_the_last_place_of_the_context(as_written):
    model = make_gpt()
    compare([CachedDecoder(model, 24), CompiledDecoder(Compiled(model))], random_texts([1]), 23)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [5, 6, 20])
def test_the_parts_of_a_matrix_are_the_matrix(rows, bias):
    linear = torch.nn.Linear(9, rows, bias=bias)
    x = torch.randn(1, 9)
    assert_close(streamed(linear, x.dtype)(x), linear(x))
    eight_bits = Int8Linear.from_linear(linear)  # the input is not rounded, as `Int8Linear.forward` would on a CPU
    expected = torch.nn.functional.linear(x, eight_bits.dequantised(), linear.bias)
    assert_close(streamed(eight_bits, x.dtype)(x), expected)


def test_who_takes_compiled_steps():
    compiled = Compiled(make_gpt())
    one, two = random_texts([3]), random_texts([3, 3])
    assert isinstance(make_decoder(compiled, one, 9, True), CompiledDecoder)
    assert type(make_decoder(compiled, two, 9, True)) is CachedDecoder
    assert isinstance(make_decoder(compiled, one, 9, False), RecomputingDecoder)
    for settings in ({"token_shift": True}, {"positions": "relative"}):
        assert not isinstance(make_decoder(Compiled(make_gpt(**settings)), one, 9, True), CompiledDecoder)


@pytest.mark.parametrize("positions", POSITIONS)
def test_it_follows_a_model_that_is_trained_on(as_written, positions):
    model = make_gpt(positions=positions)
    compiled = Compiled(model)
    before = drawn(compiled)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    after = drawn(compiled)
    assert torch.equal(after, drawn(model))
    assert not torch.equal(after, before)


def drawn(model):
    return generate(model, random_texts([4])[0][None], 16, generator=torch.Generator().manual_seed(0))


def test_it_goes_wherever_the_model_goes(as_written):
    model = make_gpt()
    compiled = Compiled(model)
    prompt = random_texts([4])[0][None]
    with pytest.warns(UserWarning, match="fills this model's context"):
        assert torch.equal(
            generate(compiled, prompt, 24, temperature=0.0), generate(model, prompt, 24, temperature=0.0)
        )
    assert generate(compiled, prompt.repeat(3, 1), 4).shape == (3, 8)
    found = [beam_search(either, prompt, 5)[0][0].tokens for either in (compiled, model)]
    assert found[0] == found[1]
    model.train()
    generate(compiled, prompt, 2)
    assert model.training


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr("course_lib.generation.compiled._translated", lambda step: refuse)
    with pytest.raises(OSError, match="no C.. compiler here"):
        generate(Compiled(make_gpt()), random_texts([4])[0][None], 2)


def refuse(*_):
    raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")


def test_compiled_in_earnest():
    """In a process of its own: torch cannot translate functions whose arguments the tests have checked."""
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all agree"
