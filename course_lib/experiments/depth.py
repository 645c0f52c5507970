"""What depth does to a stack of blocks, before training and during it: the experiments of lesson 05.

Before training: how large the stream is after each block, how large the gradient of each block's weights is, and how
much of the tokens' difference is left, for each order of norm and sublayer, with the residual path and without it.

During training: a deep, narrow GPT on the characters of tiny_world, with the norm before or after, with and without
warm-up, over learning rates and seeds. That takes a while, so what it found is stored:

    python -m course_lib.experiments.depth        # about ten minutes on two cores; writes depth_results.json
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn.layers import TransformerBlock
from course_lib.text import load_corpus
from course_lib.text.tokenizers import CharTokenizer

D_MODEL, N_HEADS, N_CLASSES = 64, 4, 50


class BlockWithoutStream(TransformerBlock):
    """The block with its residual path cut: each sublayer's answer *replaces* the vectors it was computed from."""

    def _add(self, x: Tensor, sublayer: Any, norm: nn.Module) -> Tensor:
        return norm(sublayer(x)) if self.norm_position == "post" else sublayer(norm(x))


def make_stack(
    norm_position: str, n_layers: int, *, residual: bool = True, scaled: bool = False, seed: int = 0
) -> nn.ModuleList:
    """Blocks with fresh weights of spread 1/√d_in and biases 0, so that a linear map keeps the size of what it gets.

    With `scaled`, the two matrices of a block that write to the stream are divided by √(2 · n_layers), as in GPT-2.
    """
    torch.manual_seed(seed)
    kind = TransformerBlock if residual else BlockWithoutStream
    blocks = nn.ModuleList(kind(D_MODEL, N_HEADS, norm_position=norm_position) for _ in range(n_layers))
    keep_size(blocks)
    if scaled:
        shrink_writers(blocks)
    return blocks


@torch.no_grad()
def keep_size(module: nn.Module) -> None:
    """Give every linear map normal weights of spread 1/√d_in, and biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


@torch.no_grad()
def shrink_writers(blocks: nn.ModuleList) -> None:
    """Divide what writes to the stream by √(2 · n_layers): two additions for each block."""
    for block in blocks:
        for writer in (block.attention.output, block.feed_forward.down):
            writer.weight.div_(math.sqrt(2 * len(blocks)))


@dataclass(frozen=True)
class Depth:
    """What one pass through a stack, and back, shows.

    Attributes:
        variance: mean square of the stream's numbers, before the first block and after each.
        difference: the part of the stream, in norm, in which the tokens of a text differ: |x - mean token| / |x|.
        gradient: norm of the loss's gradient with respect to the second feed-forward matrix of each block.
    """

    variance: list[float]
    difference: list[float]
    gradient: list[float]


def look_at_depth(blocks: nn.ModuleList, seed: int = 0) -> Depth:
    """Send four texts of sixteen random tokens through the blocks, ask for random classes, and go back."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 16, D_MODEL, generator=generator)  # (batch, time, d_model)
    targets = torch.randint(0, N_CLASSES, (4 * 16,), generator=generator)
    readout = torch.randn(D_MODEL, N_CLASSES, generator=generator) / math.sqrt(D_MODEL)
    variance, difference = [_variance(x)], [_difference(x)]
    for block in blocks:
        x = block(x, causal=True).output
        variance.append(_variance(x))
        difference.append(_difference(x))
    # All stacks are read through a norm, as a GPT is, so that they differ in their blocks alone.
    # Its ε, 1e-5, alone decides how large the gradients of the stack with neither norm nor path come out: that stream
    # fades far below ε, so the read-out multiplies it by 1/√ε. With no ε they would be as large as the others'.
    logits = F.layer_norm(x, (D_MODEL,)) @ readout
    F.cross_entropy(logits.flatten(0, 1), targets).backward()
    return Depth(variance, difference, [block.feed_forward.down.weight.grad.norm().item() for block in blocks])


def _variance(x: Tensor) -> float:
    return x.detach().square().mean().item()


def _difference(x: Tensor) -> float:
    x = x.detach().double()
    return ((x - x.mean(dim=1, keepdim=True)).norm() / x.norm()).item()


# ------------------------------------------------------------------------------------------- training

N_LAYERS, WIDTH, CONTEXT, BATCH = 12, 32, 32, 8
STEPS, WARM_UP = 150, 75
SEEDS = (0, 1, 2)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
VARIANTS = {
    "pre": ("pre", N_LAYERS, 0, False),
    "post": ("post", N_LAYERS, 0, False),
    "pre, warm-up": ("pre", N_LAYERS, WARM_UP, False),
    "post, warm-up": ("post", N_LAYERS, WARM_UP, False),
    "pre, 2 blocks": ("pre", 2, 0, False),
    "post, 2 blocks": ("post", 2, 0, False),
    "post, 6 blocks": ("post", 6, 0, False),
    "post, scaled start": ("post", N_LAYERS, 0, True),
}
"""Name → where the norm stands, number of blocks, updates of warm-up, and whether the writers start smaller."""

LAST = 20
"""A run's result is the mean loss of its last so many updates."""


def load_characters() -> tuple[Int[Tensor, " characters"], CharTokenizer]:
    """A million characters of tiny_world's stories as one row of tokens."""
    texts = load_corpus("tiny_world").train[:4000]
    tokenizer = CharTokenizer.train(texts)
    ids = [token for text in texts for token in (tokenizer.end_id, *tokenizer.encode(text))]
    return torch.tensor(ids), tokenizer


def deep_gpt(norm_position: str, vocab_size: int, seed: int, *, n_layers: int = N_LAYERS, scaled: bool = False) -> GPT:
    """Narrow blocks, twelve unless told otherwise; every linear map keeps sizes, so each sublayer writes in full.

    With `scaled`, what writes to the stream starts smaller by √(2 · n_layers).
    """
    torch.manual_seed(seed)
    config = GPTConfig(vocab_size, CONTEXT, WIDTH, N_HEADS, n_layers, norm_position=norm_position, tie_embeddings=False)
    model = GPT(config)
    keep_size(model)
    for table in (model.token_embedding, model.positions.embedding):
        nn.init.normal_(table.weight, std=math.sqrt(0.5))
    if scaled:
        shrink_writers(model.blocks)
    return model


def train(
    model: GPT, tokens: Int[Tensor, " characters"], rate: float, *, warm_up: int = 0, steps: int = STEPS, seed: int = 0
) -> list[float]:
    """Train in place with Adam at a constant rate, after `warm_up` updates in which it rises from 0; all losses."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / max(1, warm_up))
        starts = torch.randint(len(tokens) - CONTEXT - 1, (BATCH, 1), generator=generator)
        window = tokens[starts + torch.arange(CONTEXT + 1)]  # (batch, time + 1)
        loss = model(window[:, :-1], window[:, 1:]).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def run_all() -> dict[str, Any]:
    """Train each of VARIANTS; the mean loss of the last updates, and the loss of always giving characters' shares."""
    tokens, tokenizer = load_characters()
    found: dict[str, list[list[float]]] = {}
    for name, (norm_position, n_layers, warm_up, scaled) in VARIANTS.items():
        found[name] = []
        for seed in SEEDS:
            finals = []
            for rate in RATES:
                model = deep_gpt(norm_position, tokenizer.vocab_size, seed, n_layers=n_layers, scaled=scaled)
                losses = train(model, tokens, rate, warm_up=warm_up, seed=seed)
                finals.append(round(sum(losses[-LAST:]) / LAST, 3))
            found[name].append(finals)
            print(name, seed, finals, flush=True)
    return {"rates": list(RATES), "steps": STEPS, "losses": found, "letters_alone": round(letters_alone(tokens), 3)}


def letters_alone(tokens: Int[Tensor, " characters"]) -> float:
    """The loss of always answering with how frequent each character is: the entropy of the frequencies, in nats."""
    shares = tokens.bincount().double() / len(tokens)
    shares = shares[shares > 0]
    return -(shares * shares.log()).sum().item()


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("depth")


if __name__ == "__main__":
    save_results("depth", run_all())
