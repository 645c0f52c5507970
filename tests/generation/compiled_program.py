"""Compiles the steps of four models and holds each token's logits to the plain model's, weights moved in between."""

import torch
from torch.testing import assert_close

from course_lib.generation.compiled import OPTIONS, Compiled
from course_lib.generation.decoder import CachedDecoder, CompiledDecoder
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn.int8 import quantize_int8

SIZES = {"vocab_size": 13, "context_length": 24, "d_model": 16, "n_heads": 4, "n_layers": 1}
LLAMA = {"norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "n_kv_heads": 2, "bias": False}


def compare(compiled: Compiled, tolerance: float = 1e-4) -> None:
    """From one token to the last place of the context, after a prompt of another length as well."""
    for length in (1, 7):
        decoders = CachedDecoder(compiled.model, 24), CompiledDecoder(compiled)
        with torch.inference_mode():
            plain, ours = (decoder.read([torch.arange(length)]) for decoder in decoders)
            for _ in range(24 - length):
                token = plain.argmax(-1)
                plain, ours = (decoder.step(token) for decoder in decoders)
                assert plain.std() > 0.01
                assert_close(ours, plain, rtol=tolerance, atol=tolerance * plain.std().item())


def move(model: GPT) -> None:
    """Change all weights where they are, as training does."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


if __name__ == "__main__":
    torch.manual_seed(0)
    options = dict(OPTIONS)
    first, second = (Compiled(GPT(GPTConfig(**SIZES))) for _ in range(2))
    move(first.model)
    compare(first)
    compare(second)  # of the same code, but another model
    move(second.model)
    compare(second)
    torch.compiler.reset()
    compare(first)  # translated anew, in the middle of its life
    compare(Compiled(quantize_int8(first.model)), tolerance=0.2)
    llama = Compiled(GPT(GPTConfig(**SIZES | LLAMA)))
    move(llama.model)
    compare(llama)
    assert options == OPTIONS
    print("all agree")
