"""How a small GPT learns from other starts, tied and untied, and with its blocks shared: lesson 08's experiment.

Four blocks of 64 features read tiny_world in 512 byte-pair tokens, with AdamW, over learning rates and seeds:

    python -m course_lib.experiments.design        # about ten minutes on two cores; writes design_results.json
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from course_lib.experiments.planted_bugs import copied_table, default_start, right, shared_block, untie
from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.tokenizers import BPETokenizer

VOCAB_SIZE, CONTEXT, BATCH = 512, 64, 16
STEPS, WARM_UP = 300, 20
SEEDS = (0, 1, 2)
RATES = (3e-3, 1e-2, 3e-2)
CONFIG = GPTConfig(VOCAB_SIZE, CONTEXT, d_model=64, n_heads=4, n_layers=4)


def larger_start(config: GPTConfig) -> GPT:
    """All weights five times as large at the start: a spread of 0.1 in place of 0.02, writers scaled as always."""
    model = GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5.0)
    return model


def larger_start_untied(config: GPTConfig) -> GPT:
    """The larger start, and a read-out of its own, which begins as a copy of the embedding."""
    return untie(larger_start(config))


VARIANTS: dict[str, Callable[[GPTConfig], GPT]] = {
    "as GPT-2": right,
    "read-out not tied": copied_table,
    "spread 0.1 for 0.02": larger_start,
    "spread 0.1, not tied": larger_start_untied,
    "torch's own start": default_start,
    "one block, four times": shared_block,
}
"""What is different → a GPT that has it different."""


def load_tokens() -> tuple[Int[Tensor, " train"], Int[Tensor, " validation"]]:
    """tiny_world's stories in 512 byte-pair tokens: 4,000 to train on, 200 others to test on, one row each."""
    corpus = load_corpus("tiny_world")
    tokenizer = BPETokenizer.train(corpus.train[:4000], VOCAB_SIZE)
    splits = (corpus.train[:4000], corpus.validation[:200])
    rows = ([token for text in texts for token in (tokenizer.end_id, *tokenizer.encode(text))] for texts in splits)
    train, validation = map(torch.tensor, rows)
    return train, validation


def make(name: str, seed: int) -> GPT:
    """One of VARIANTS, with its random start."""
    torch.manual_seed(seed)
    return VARIANTS[name](CONFIG)


def train(
    model: nn.Module, tokens: Int[Tensor, " train"], rate: float, *, steps: int = STEPS, seed: int = 0
) -> list[float]:
    """Train in place with AdamW: the rate rises for WARM_UP updates, then falls to 0 in a line. All losses."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min((step + 1) / WARM_UP, (steps - step) / max(1, steps - WARM_UP))
        starts = torch.randint(len(tokens) - CONTEXT - 1, (BATCH, 1), generator=generator)
        window = tokens[starts + torch.arange(CONTEXT + 1)]  # (batch, time + 1)
        loss = model(window[:, :-1], window[:, 1:]).loss
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def evaluate(model: nn.Module, tokens: Int[Tensor, " validation"]) -> float:
    """Mean loss over all whole windows of `tokens`, one after the other."""
    n_windows = (len(tokens) - 1) // CONTEXT
    inputs = tokens[: n_windows * CONTEXT].view(n_windows, CONTEXT)
    targets = tokens[1 : n_windows * CONTEXT + 1].view(n_windows, CONTEXT)
    return model(inputs, targets).loss.item()


def tokens_alone(tokens: Int[Tensor, " train"], others: Int[Tensor, " validation"]) -> float:
    """The loss on `others` of always answering with how frequent each token is in `tokens`, each counted once more."""
    counts = torch.bincount(tokens, minlength=VOCAB_SIZE).double() + 1
    return -(counts / counts.sum()).log()[others].mean().item()


def run_all() -> dict[str, Any]:
    """Train each of VARIANTS with every rate and seed; losses at the start (seeds) and at the end (seeds, rates)."""
    tokens, others = load_tokens()
    start: dict[str, list[float]] = {}
    end: dict[str, list[list[float]]] = {}
    for name in VARIANTS:
        start[name] = [round(evaluate(make(name, seed), others), 3) for seed in SEEDS]
        end[name] = []
        for seed in SEEDS:
            finals = []
            for rate in RATES:
                model = make(name, seed)
                train(model, tokens, rate, seed=seed)
                finals.append(round(evaluate(model, others), 4))
            end[name].append(finals)
            print(name, start[name][seed], finals, flush=True)
    return {
        "rates": list(RATES),
        "steps": STEPS,
        "start": start,
        "end": end,
        "tokens_alone": round(tokens_alone(tokens, others), 3),
    }


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("design")


if __name__ == "__main__":
    save_results("design", run_all())
