"""How peak memory grows: of a training step with the context, and of sampling with the length.

    python -m benchmarks.memory

Writes `memory.md` beside this file. Each point is a process of its own, whose highest resident memory is read when it
ends; what the process needs before the work (torch, the weights) is measured in the same way and taken off. The
exponent is the slope of a straight line through the logarithms: 1 means that twice the length takes twice the memory.
A second table compares what the Trainer's pre-flight predicts with what the process then holds.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks._machine import processor, threads
from course_lib.files import write_atomically
from course_lib.generation import generate
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import TrainConfig, Trainer, Windows, pick_device
from course_lib.training.optim import make_optimizers

REPORT = Path(__file__).with_suffix(".md")
LENGTHS = (128, 256, 512, 1024)
MODEL = {"d_model": 128, "n_heads": 4, "n_layers": 4, "positions": "rotary", "norm": "rmsnorm", "bias": False}
BATCH = 4


def train(length: int, precision: str) -> None:
    """Two steps of AdamW on a batch of that context."""
    model = GPT(GPTConfig(65, length, **MODEL))
    (optimizer,) = make_optimizers(model, "adamw", learning_rate=1e-3, weight_decay=0.1)
    tokens = torch.randint(65, (BATCH, length))
    for _ in range(2):
        with pick_device("cpu", precision).autocast():
            loss = model(tokens, tokens).loss
        loss.backward()
        optimizer.step()
        model.zero_grad(set_to_none=True)


def sample(length: int, use_cache: bool) -> None:
    """A text of that length, from one token."""
    model = GPT(GPTConfig(65, length, **MODEL)).eval()
    generate(model, torch.zeros(BATCH, 1, dtype=torch.long), length - 1, use_cache=use_cache)


WORK: dict[str, tuple[str, Callable[[int], None], tuple[int, ...]]] = {
    "train_float32": ("training, float32 (fused attention)", lambda n: train(n, "float32"), LENGTHS),
    "train_bfloat16": ("training, bfloat16 (explicit attention)", lambda n: train(n, "bfloat16"), LENGTHS),
    "sample_cached": ("sampling, keys and values kept", lambda n: sample(n, True), LENGTHS),
    "sample_recomputed": ("sampling, recomputed each time", lambda n: sample(n, False), (128, 256, 512)),
}
"""Name → what it is called, what is done, and the lengths."""


FORETOLD = {
    "1 layer × 16, 16 tokens × 1": (1, 1, 16, 16, 1),
    "4 layers × 128, 64 tokens × 12": (4, 4, 128, 64, 12),
    "6 layers × 384, 256 tokens × 8": (6, 6, 384, 256, 8),
    "4 layers × 256, 128 tokens × 32": (4, 8, 256, 128, 32),
}
"""Sizes of a GPT and its batch; the first is what the others are compared with."""


def foretell(name: str) -> tuple[float, float]:
    """MB that a process holds after three updates of AdamW in float32, and MB that the pre-flight predicts."""
    n_layers, n_heads, d_model, context, batch = FORETOLD[name]
    windows = Windows([[1] * context * batch * 4], context, end_id=0)
    config = TrainConfig(3, batch_size=batch, warmup_steps=1, device="cpu", precision="float32")
    trainer = Trainer(GPT(GPTConfig(65, context, d_model, n_heads, n_layers)), windows, windows, config)
    for _, rows in zip(range(3), windows.shuffled(batch, torch.Generator()), strict=False):
        trainer._update(rows, 0)
    return peak_so_far(), trainer.preflight().peak / 1e6


def peak_so_far() -> float:
    """The most resident memory that this process has held, in MB (10⁶ bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def megabytes_of(name: str, length: int | str, **environment: str) -> Any:
    """What a process of its own answers for a piece of work: its peak, and for `foretell` the prediction too."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", name, str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return json.loads(done.stdout.splitlines()[-1])


def predictions() -> list[str]:
    """The pre-flight's prediction beside what is measured, both above those of the smallest model."""
    lines = [
        "## What the pre-flight predicts",
        "",
        "| training in float32, AdamW | predicted, MB | process, MB | in large blocks, MB |",
        "|---|---|---|---|",
    ]
    smallest, *others = FORETOLD
    blocks = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # of glibc: every block above 64 KB is given back when it is freed
    bases = [megabytes_of("foretell", smallest, **environment) for environment in ({}, blocks)]
    for name in others:
        found = [megabytes_of("foretell", name, **environment) for environment in ({}, blocks)]
        predicted = found[0][1] - bases[0][1]
        held = [one[0] - base[0] for one, base in zip(found, bases, strict=True)]
        shown = (f"{mb:.0f} ({mb / predicted:.2f} × predicted)" for mb in held)
        lines.append(f"| {name} | {predicted:.0f} | {' | '.join(shown)} |")
    return [*lines, "", OF_PREDICTIONS, ""]


def slope(lengths: list[int], amounts: list[float]) -> float:
    """The exponent p of amount ∝ lengthᵖ, by least squares on the logarithms."""
    x, y = [math.log(n) for n in lengths], [math.log(amount) for amount in amounts]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    return sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / sum((a - x_mean) ** 2 for a in x)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("WORK", "LENGTH"), help="do one piece of work, and print its peak")
    options = parser.parse_args(arguments)
    if options.one:
        name, what = options.one
        if name == "foretell":
            print(json.dumps(foretell(what)))
        else:
            WORK[name][1](int(what))
            print(peak_so_far())
        return
    lines = heading()
    for name, (title, _, lengths) in WORK.items():
        base = megabytes_of(name, SMALLEST)
        amounts = [megabytes_of(name, length) - base for length in lengths]
        shown = ", ".join(f"{length:,}: {amount:.1f}" for length, amount in zip(lengths, amounts, strict=True))
        exponent = slope(list(lengths[1:]), amounts[1:])
        lines.append(f"| {title} | {base:.0f} | {shown} | {exponent:.2f} |")
    write_atomically(REPORT, "\n".join([*lines, "", NOTE, "", *predictions()]).encode())
    print(REPORT.read_text(encoding="utf-8"))


SMALLEST = 16
NOTE = (
    "Fused attention never stores the scores, so training grows with the context and not with its square; the "
    "explicit product, which is faster in bfloat16 on a CPU, stores them. Kept keys and values grow with the length."
)
OF_PREDICTIONS = (
    f"Both are above those of {next(iter(FORETOLD))}. The prediction is the bytes of all tensors at the worst moment. "
    "The process holds more: the allocator keeps freed blocks of middle size in its heap, in gaps that the next tensor "
    "may not fit. The last column is the same training with a setting of glibc that returns them at once (and is "
    "slower): what the tensors themselves take."
)


def heading() -> list[str]:
    return [
        "# Memory",
        "",
        f"`python -m benchmarks.memory` on {processor()}, {threads()}, torch {version('torch')}. "
        f"A GPT of {MODEL['n_layers']} layers × {MODEL['d_model']} with {MODEL['n_heads']} heads, {BATCH} texts at "
        f"once. Peak resident memory in MB above that of the same work at length {SMALLEST}; the exponent leaves out "
        "the shortest length, where what is fixed still counts.",
        "",
        f"| work | at length {SMALLEST} | length: MB more | exponent |",
        "|---|---|---|---|",
    ]


if __name__ == "__main__":
    main()
