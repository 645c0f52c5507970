"""Training steps that can be timed, and how they are timed: one after the other, round by round."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import transformers
from torch import nn

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import Device, pick_device
from course_lib.training.optim import make_optimizers

Step = Callable[[], float]


@dataclass(frozen=True)
class Size:
    """A GPT-2 of some size, and what it reads in one step."""

    n_layers: int
    n_heads: int
    d_model: int
    context: int
    batch: int
    vocab_size: int = 65

    @property
    def name(self) -> str:
        """The size in words."""
        return f"{self.n_layers} layers × {self.d_model}, {self.context} tokens × {self.batch}"

    def tokens(self, device: str) -> torch.Tensor:
        """One batch, whose targets are the tokens themselves: how long a step takes does not depend on them."""
        shape = (self.batch, self.context)
        return torch.randint(self.vocab_size, shape, generator=torch.Generator().manual_seed(0)).to(device)

    def config(self) -> GPTConfig:
        """GPT-2's choices at this size."""
        return GPTConfig(self.vocab_size, self.context, self.d_model, self.n_heads, self.n_layers)


def course_step(size: Size, precision: str, *, compiled: bool = False, device: str = "cpu") -> Step:
    """A step of this course's GPT as the Trainer makes it: forward, backward, AdamW."""
    torch.manual_seed(0)
    processor = pick_device(device, precision)
    model = GPT(size.config()).to(device)
    lowered = processor.lower(model)
    (optimizer,) = make_optimizers(model, "adamw", learning_rate=1e-3, weight_decay=0.1)
    run = torch.compile(lowered) if compiled else lowered
    tokens = size.tokens(device)
    return _step(lambda: run(tokens, tokens).loss, model, optimizer, processor)


def transformers_step(size: Size, precision: str = "float32", *, device: str = "cpu") -> Step:
    """The same step of GPT-2 in `transformers`, with torch's fused AdamW."""
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(
        vocab_size=size.vocab_size,
        n_positions=size.context,
        n_embd=size.d_model,
        n_layer=size.n_layers,
        n_head=size.n_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = transformers.GPT2LMHeadModel(config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    tokens = size.tokens(device)
    return _step(lambda: model(input_ids=tokens, labels=tokens).loss, model, optimizer, pick_device(device, precision))


def _step(loss: Callable[[], torch.Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, device: Device) -> Step:
    scaler = torch.amp.GradScaler(device.name, enabled=device.dtype == torch.float16)

    def step() -> float:
        with device.autocast():
            value = loss()
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
        model.zero_grad(set_to_none=True)
        return value.item()  # waits for a GPU

    return step


class Timing(NamedTuple):
    """Milliseconds of one step: by the clock, and of the CPU (all threads)."""

    clock: float
    cpu: float
    first: float  # seconds of the first step, which prepares and compiles


Clocked = Callable[[], tuple[float, float]]
"""A step that answers how long it took: by the clock and of the CPU, in seconds."""


def clocked(make: Callable[[], Step]) -> Clocked:
    """The step that `make` answers, with a clock around it."""
    return partial(seconds, make())


def interleaved(steps: dict[str, Clocked], rounds: int) -> dict[str, Timing]:
    """The median times of each step. Rounds alternate, so that a busy moment of the machine falls on all of them."""
    first = {name: step()[0] for name, step in steps.items()}
    for step in steps.values():
        step()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(step())
    return {
        name: Timing(*(1e3 * statistics.median(column) for column in zip(*found, strict=True)), first[name])
        for name, found in times.items()
    }


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """How long some work takes: by the clock and of the CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu
