"""Before training starts: how long will it take, and will it fit? Two trial steps say."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from course_lib.training.device import Device
from course_lib.training.parallel import Processes

if TYPE_CHECKING:
    from course_lib.training.trainer import Trainer

LOOKED_AT = 16  # batches whose sizes are averaged
TIMED_FOR = 0.3  # seconds: shorter steps are repeated until this has passed


@dataclass(frozen=True)
class Forecast:
    """What a training run will take. Times in seconds, memory in bytes.

    Attributes:
        steps: updates that the run makes.
        step_seconds: one update.
        evaluation_seconds: one look at the validation loss.
        first_seconds: the first update, which also prepares (and compiles, if asked).
        seconds: the whole run.
        tokens_per_second: predictions learned from.
        weights, gradients, optimizer, activations: memory of each kind; activations are what the backward pass needs
            of one micro-batch.
        peak: memory of all tensors at the worst moment of a step: it is less than the sum of the four where they are
            not there at the same time, and more where intermediate results are large. On a CPU the process holds more
            than its tensors: Python and torch themselves, and gaps in the heap, which made 1.3 to 1.5 times as much of
            it where it was measured (`benchmarks/memory.md`).
        available: memory that is free; None where that cannot be told.
        flops_per_token: arithmetic of one prediction, forward and backward: three times the forward pass.
        matmul_speed: FLOPs per second that one large matrix product reaches here.
        micro_batch_size: rows that go through the model at once, after any halving in the trial.
    """

    steps: int
    step_seconds: float
    evaluation_seconds: float
    first_seconds: float
    seconds: float
    tokens_per_second: float
    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int
    available: int | None
    flops_per_token: float
    matmul_speed: float
    micro_batch_size: int

    @property
    def utilization(self) -> float:
        """Model FLOPs utilisation: the model's arithmetic as a share of the matrix-product speed."""
        return self.flops_per_token * self.tokens_per_second / self.matmul_speed

    @property
    def fits(self) -> bool:
        """Whether the memory that is free is enough, as far as can be told."""
        return self.available is None or self.peak <= self.available

    def __str__(self) -> str:
        lines = [
            f"Time: about {duration(self.seconds)} for {self.steps:,} steps ({self.step_seconds * 1000:,.0f} ms each, "
            f"{self.tokens_per_second:,.0f} tokens/s, {self.utilization:.1%} of the speed of a large matrix product).",
            f"Memory at the worst moment: about {megabytes(self.peak)} (weights {megabytes(self.weights)}, gradients "
            f"{megabytes(self.gradients)}, optimiser {megabytes(self.optimizer)}, activations "
            f"{megabytes(self.activations)}).",
        ]
        if self.available is not None:
            lines[1] += f" Free: {megabytes(self.available)}."
        if not self.fits:
            lines.append("That does not fit. Choose a smaller micro_batch_size, context or model.")
        return "\n".join(lines)


def predict(trainer: Trainer) -> Forecast:
    """Make two trial steps, and undo them: weights, optimiser, random numbers and data order stay as they were."""
    before = trainer.state_dict()
    try:
        return _measure(trainer)
    finally:
        trainer.load_state_dict(before)
        trainer.model.zero_grad(set_to_none=True)


def _measure(trainer: Trainer) -> Forecast:
    config, device = trainer.config, trainer.device
    generator = torch.Generator().manual_seed(config.seed)
    batches = sorted(islice(trainer.train.shuffled(config.batch_size, generator), LOOKED_AT), key=_size)
    largest, typical = batches[-1], batches[len(batches) // 2]
    mean_size = sum(map(_size, batches)) / len(batches)

    trainer.model.train()
    first_seconds = _seconds(lambda: trainer._update(largest, 0), device, at_least=0)
    per_place = _seconds(lambda: trainer._update(typical, 1), device, together=trainer.processes) / _size(typical)

    rows = -(-len(largest[0]) // (trainer.accumulate * trainer.processes.count))
    flops, activations = _one_forward(trainer, largest, rows)
    weights = sum(map(_bytes, {id(p): p for p in trainer.model.parameters()}.values()))
    gradients = sum(_bytes(p) for p in trainer.model.parameters() if p.requires_grad)
    optimizer = sum(
        _bytes(value)
        for each in trainer.optimizers
        for values in each.state.values()
        for value in values.values()
        if isinstance(value, Tensor)
    )

    peak = _peak(trainer, largest, weights + optimizer)

    trainer.model.eval()
    with torch.no_grad():
        forward = _seconds(lambda: trainer._loss(typical, trainer.model), device) / _size(typical)  # as it evaluates
    evaluation_size = sum(map(_size, trainer.validation.in_order(config.batch_size)))
    n_evaluations = -(-config.steps // config.evaluate_every)
    step_seconds = per_place * mean_size
    evaluation_seconds = forward * evaluation_size / trainer.processes.count
    n_targets = sum(int((batch[-1] >= 0).sum()) for batch in batches) / len(batches)
    return Forecast(
        steps=config.steps,
        step_seconds=step_seconds,
        evaluation_seconds=evaluation_seconds,
        first_seconds=first_seconds,
        seconds=step_seconds * config.steps + evaluation_seconds * n_evaluations,
        tokens_per_second=n_targets / step_seconds,
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        peak=peak or weights + gradients + optimizer + activations,
        available=free_memory(device),
        flops_per_token=3 * flops * mean_size / n_targets,
        matmul_speed=matmul_speed(device) * trainer.processes.count,
        micro_batch_size=rows,
    )


def _peak(trainer: Trainer, batch: tuple[Tensor, ...], lasting: int) -> int | None:
    """The most bytes that tensors hold during an update; None where the model is split among processes.

    `lasting` are the bytes that are there before it. A CUDA card counts by itself. Elsewhere the update runs as it is
    without `torch.compile`, whose kernels make tensors that only they know of, and fewer.
    """
    trainer.model.zero_grad(set_to_none=True)
    if trainer.device.name == "cuda":
        torch.cuda.reset_peak_memory_stats()
        trainer._update(batch, 1)
        return torch.cuda.max_memory_allocated()
    if trainer.shard:
        return None
    wrapped = trainer.wrapped
    trainer.wrapped = getattr(wrapped, "_orig_mod", wrapped)
    try:
        with _LiveBytes() as live:
            trainer._update(batch, 1)
    finally:
        trainer.wrapped = wrapped
    return lasting + live.most


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made inside and still there; `most` at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None) -> Any:
        """Run an operation. What it is given was there before or is counted already; what it makes is counted."""
        kwargs = kwargs or {}
        self._note((args, kwargs), new=False)
        made = operation(*args, **kwargs)
        self._note(made, new=True)
        return made

    def _note(self, tensors: Any, *, new: bool) -> None:
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor) and id(storage := tensor.untyped_storage()) not in self._known:
                n_bytes = storage.nbytes() if new else 0
                self.now += n_bytes
                self.most = max(self.most, self.now)
                self._known[id(storage)] = weakref.ref(storage, partial(self._forget, id(storage), n_bytes))

    def _forget(self, number: int, n_bytes: int, _: weakref.ref) -> None:
        del self._known[number]
        self.now -= n_bytes


def _one_forward(trainer: Trainer, batch: tuple[Tensor, ...], rows: int) -> tuple[float, int]:
    """FLOPs of the forward pass per place of the batch, and bytes that it keeps for the backward pass of `rows` rows.

    Some of what is kept (weights in a smaller format) does not grow with the rows, so two sizes are measured.
    """
    kept = []
    for n in (1, 2):
        part = tuple(tensor[:n] for tensor in batch)
        counter, saved = FlopCounterMode(display=False), _SavedBytes(trainer.model)
        with counter, saved:
            trainer._loss(part, trainer.device.lower(trainer.model))
        kept.append(saved.total)
    flops = counter.get_total_flops() / _size(part)
    return flops, kept[0] + (rows - 1) * (kept[1] - kept[0])


class _SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes of all tensors that a forward pass keeps for the backward pass; the weights do not count."""

    def __init__(self, model: nn.Module):
        self._seen = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.total = 0
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor.detach()  # a node that keeps its own output would never be freed


def matmul_speed(device: Device) -> float:
    """FLOPs per second of one large square matrix product, in the device's precision: the best of several."""
    size = 1024 if device.name == "cpu" else 4096
    a, b = (torch.randn(size, size, device=device.name, dtype=device.dtype, generator=_fixed(device)) for _ in range(2))
    a @ b
    return 2 * size**3 / min(_seconds(lambda: a @ b, device, at_least=0) for _ in range(10))


def free_memory(device: Device) -> int | None:
    """Bytes that are free on the device, or None where that cannot be told."""
    if device.name == "cuda":
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    meminfo = Path("/proc/meminfo")
    if device.name != "cpu" or not meminfo.exists():
        return None
    fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def duration(seconds: float) -> str:
    """A time in words that a person plans with."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def megabytes(n_bytes: float) -> str:
    """A number of bytes in MB or GB (powers of ten)."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:,.1f} GB"
    return f"{n_bytes / 1e6:,.0f} MB" if n_bytes >= 1e7 else f"{n_bytes / 1e6:.1f} MB"


def _seconds(
    work: Callable[[], Any], device: Device, at_least: float = TIMED_FOR, together: Processes | None = None
) -> float:
    """Time of one call, on average over as many as `at_least` seconds hold.

    Where the processes have to make each call `together`, all of them make as many: no two clocks agree on the end,
    and one that stopped earlier would leave the others waiting for ever.
    """
    calls, going_on, started = 0, True, time.perf_counter()
    while going_on:
        work()
        calls += 1
        if device.name != "cpu":
            getattr(torch, device.name).synchronize()
        going_on = time.perf_counter() - started < at_least
        if together is not None:
            going_on = together.any(going_on)
    return (time.perf_counter() - started) / calls


def _fixed(device: Device) -> torch.Generator:
    return torch.Generator(device.name).manual_seed(0)


def _size(batch: tuple[Tensor, ...]) -> int:
    return batch[-1].numel()


def _bytes(tensor: Tensor) -> int:
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor  # of a split tensor, this process's part
    return local.numel() * local.element_size()
