"""How peak memory grows: of a training step with the context, and of sampling with the length.

    python -m benchmarks.memory

Writes `memory.md` beside this file. Each point is a process of its own, whose highest resident memory is read when it
ends; what the process needs before the work (torch, the weights) is measured in the same way and taken off. The
exponent is the slope of a straight line through the logarithms: 1 means that twice the length takes twice the memory.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks._machine import processor
from course_lib.files import write_atomically
from course_lib.generation import generate
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import pick_device
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


def megabytes_of(name: str, length: int) -> float:
    """Peak resident memory of a process that does the work, in MB (10⁶ bytes)."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", name, str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


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
        name, length = options.one[0], int(options.one[1])
        WORK[name][1](length)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)
        return
    lines = heading()
    for name, (title, _, lengths) in WORK.items():
        base = megabytes_of(name, SMALLEST)
        amounts = [megabytes_of(name, length) - base for length in lengths]
        shown = ", ".join(f"{length:,}: {amount:.1f}" for length, amount in zip(lengths, amounts, strict=True))
        exponent = slope(list(lengths[1:]), amounts[1:])
        lines.append(f"| {title} | {base:.0f} | {shown} | {exponent:.2f} |")
    write_atomically(REPORT, "\n".join([*lines, "", NOTE, ""]).encode())
    print(REPORT.read_text(encoding="utf-8"))


SMALLEST = 16
NOTE = (
    "Fused attention never stores the scores, so training grows with the context and not with its square; the "
    "explicit product, which is faster in bfloat16 on a CPU, stores them. Kept keys and values grow with the length."
)


def heading() -> list[str]:
    return [
        "# Memory",
        "",
        f"`python -m benchmarks.memory` on {processor()}, {torch.get_num_threads()} threads, torch {version('torch')}. "
        f"A GPT of {MODEL['n_layers']} layers × {MODEL['d_model']} with {MODEL['n_heads']} heads, {BATCH} texts at "
        f"once. Peak resident memory in MB above that of the same work at length {SMALLEST}; the exponent leaves out "
        "the shortest length, where what is fixed still counts.",
        "",
        f"| work | at length {SMALLEST} | length: MB more | exponent |",
        "|---|---|---|---|",
    ]


if __name__ == "__main__":
    main()
