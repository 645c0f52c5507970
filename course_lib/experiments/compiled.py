"""What `torch.compile` makes of a chain of small operations and of a training step: lesson 11.

Compiling takes longer than a lesson has, so the times are stored, with the machine that they were taken on:

    python -m course_lib.experiments.compiled        # about two minutes; writes compiled_results.json
"""

import math
import os
import time
from typing import Any

import torch
from torch import Tensor

from course_lib.experiments.machine import seconds_of
from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig

CONFIG = GPTConfig(vocab_size=1000, context_length=256, d_model=128, n_heads=4, n_layers=4)
BATCH = 8


def gelu_in_steps(x: Tensor) -> Tensor:
    """GELU, one small operation after the other (Hendrycks and Gimpel 2016, section 2: the tanh form)."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + torch.tanh(inner))


def measure(work: Any, *arguments: Tensor, backward: bool = False) -> dict[str, float]:
    """Seconds of one call as it is and compiled, and of the first compiled call."""

    def run(function: Any) -> None:
        answer = function(*arguments)
        if backward:
            answer.loss.backward()

    compiled = torch.compile(work)
    start = time.perf_counter()
    run(compiled)
    first = time.perf_counter() - start
    return {"eager": seconds_of(lambda: run(work)), "compiled": seconds_of(lambda: run(compiled)), "first": first}


def run_all() -> dict[str, Any]:
    """Both pieces of work, and what the machine is."""
    torch.manual_seed(0)
    tokens = torch.randint(CONFIG.vocab_size, (BATCH, CONFIG.context_length))
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
        "gelu": measure(gelu_in_steps, torch.randn(2**22)),
        "step": measure(GPT(CONFIG), tokens, tokens, backward=True),
    }


def stored_times() -> dict[str, Any]:
    """What `run_all` found when it was last run."""
    return load_results("compiled")


if __name__ == "__main__":
    save_results("compiled", run_all())
