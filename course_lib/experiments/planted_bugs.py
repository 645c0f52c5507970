"""GPTs with one thing wrong each: all run, answer logits of the right shape, and can be trained. For lesson 08.

Each function takes a config and answers a GPT. `BUGS` has them by name, the right one first; `suspect` is the one that
the lesson's bug hunt is after.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn.attention import causal_mask


def right(config: GPTConfig) -> GPT:
    """The library's GPT, as it should be: the control."""
    return GPT(config)


def default_start(config: GPTConfig) -> GPT:
    """Weights as torch draws them when nobody asks for anything else: embeddings of spread 1, tied."""
    model = GPT(config)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module.reset_parameters()
    nn.init.normal_(model.token_embedding.weight)  # the read-out, a Linear, has just drawn the shared table again
    return model


def no_mask(config: GPTConfig) -> GPT:
    """Attention in both directions, as in BERT."""
    return _with_attention(config, lambda attend, x: attend(x, causal=False))


def transposed_mask(config: GPTConfig) -> GPT:
    """A causal mask whose rows and columns are swapped: each position sees itself and what comes later."""
    return _with_attention(config, lambda attend, x: attend(x, mask=causal_mask(x.shape[1]).T))


def shared_block(config: GPTConfig) -> GPT:
    """One block, entered n_layers times into the list: `[block] * n_layers` repeats the reference, not the block."""
    model = GPT(config)
    model.blocks = nn.ModuleList([model.blocks[0]] * config.n_layers)
    return model


def plain_list(config: GPTConfig) -> GPT:
    """Blocks in a Python list, which torch does not look into: the optimiser never hears of them."""
    model = GPT(config)
    blocks = list(model.blocks)
    del model.blocks
    model.blocks = blocks
    return model


def copied_table(config: GPTConfig) -> GPT:
    """A read-out that begins as a *copy* of the embedding and is then trained on its own."""
    return untie(GPT(config))


def untie(model: GPT) -> GPT:
    """Give the model a read-out of its own, with the embedding's numbers; answer the model."""
    model.unembedding.weight = nn.Parameter(model.token_embedding.weight.detach().clone())
    return model


def no_final_norm(config: GPTConfig) -> GPT:
    """The final norm is made, and never called."""
    model = GPT(config)
    model.final_norm.forward = lambda x: x
    return model


def exact_gelu(config: GPTConfig) -> GPT:
    """GELU by the error function, where GPT-2 has the tanh approximation."""
    return GPT(replace(config, activation="gelu"))


def restarting_positions(config: GPTConfig) -> GPT:
    """Positions that count from 0 in every call, also when a text is continued."""
    model = GPT(config)
    look_up = model.positions.forward
    model.positions.forward = lambda length, offset=0: look_up(length)
    return model


BUGS: dict[str, Callable[[GPTConfig], GPT]] = {
    "no bug": right,
    "torch's own start": default_start,
    "no causal mask": no_mask,
    "mask transposed": transposed_mask,
    "one block, listed n times": shared_block,
    "blocks in a Python list": plain_list,
    "read-out is a copy": copied_table,
    "final norm not called": no_final_norm,
    "exact GELU": exact_gelu,
    "positions restart": restarting_positions,
}
"""What is wrong → the GPT that has it wrong."""

suspect = shared_block


def _with_attention(config: GPTConfig, attend: Callable[[Callable, Tensor], object]) -> GPT:
    """A GPT whose blocks attend as `attend(attention, x)` says; whole texts only, no cache."""
    model = GPT(config)
    for block in model.blocks:
        original = block.attention.forward
        block.attention.forward = lambda x, _original=original, **asked: attend(_original, x)
    return model


def make_all(config: GPTConfig, seed: int = 0) -> dict[str, GPT]:
    """Each of BUGS, with the same random start as far as it goes, in evaluation mode."""
    made = {}
    for name, make in BUGS.items():
        torch.manual_seed(seed)
        made[name] = make(config).eval()
    return made
