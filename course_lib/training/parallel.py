"""Several processes that train one model together, each on its share of every batch: what `torchrun` starts.

All the work is PyTorch's own: DistributedDataParallel keeps a copy of the model in each process and averages their
gradients; `fully_shard` (FSDP) also splits weights, gradients and optimiser states among them, for a model that one
device cannot hold. With one process everything here does nothing.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map


@contextmanager
def joined_processes(device: str) -> Iterator[None]:
    """Join the other processes that `torchrun` started, if there are any, and leave them at the end.

    `device` is "cuda" or "cpu", as in `Device.name`: each process takes one card, or a share of the CPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


class Processes:
    """The processes that train together, seen from one of them.

    Attributes:
        count: how many there are.
        rank: which one this is, from 0; the first one prints and saves.
    """

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.count = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that prints and saves."""
        return self.rank == 0

    def wrap(self, model: nn.Module, *, shard: bool) -> nn.Module:
        """The model as it is called in training: so that every process ends a step with the same gradients."""
        if self.count == 1:
            return model
        if not shard:
            return DistributedDataParallel(model)
        for module in list(model.modules()):
            if isinstance(module, nn.ModuleList):
                for block in module:
                    fully_shard(block)
        return fully_shard(model)

    def sync(self, wrapped: nn.Module, last: bool) -> AbstractContextManager:
        """Gradients are averaged once a step: in the backward pass of the last part of the batch."""
        if isinstance(wrapped, DistributedDataParallel) and not last:
            return wrapped.no_sync()
        return nullcontext()

    def total(self, *values: float) -> list[float]:
        """Each value, added up over all processes."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self._device())
        dist.all_reduce(sums)
        return sums.tolist()

    def any(self, here: bool) -> bool:
        """Whether it is true in any of the processes."""
        return self.total(float(here))[0] > 0

    def gather(self, here: Any) -> list[Any]:
        """What every process has, in the order of their ranks."""
        if self.count == 1:
            return [here]
        everywhere: list[Any] = [None] * self.count
        dist.all_gather_object(everywhere, here)
        return everywhere

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            dist.barrier()

    def _device(self) -> str:
        return "cuda" if dist.get_backend() == "nccl" else "cpu"


def whole(state: Any) -> Any:
    """A state with each tensor in one piece on the CPU, a copy that later training leaves alone."""
    return tree_map(_whole_tensor, state)


def _whole_tensor(value: Any) -> Any:
    if isinstance(value, DTensor):
        value = value.full_tensor()
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value


def load_model_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load whole weights into a model, which may be split among processes."""
    parts = {name: _split_like(value, state[name]) for name, value in model.state_dict().items()}
    model.load_state_dict(parts)


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a whole optimiser state; what belongs to a parameter is split as the parameter is."""
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = _split_like(parameter, value)


def _split_like(example: Tensor, value: Tensor) -> Tensor:
    if not isinstance(example, DTensor):
        return value
    return distribute_tensor(value.to(example.device), example.device_mesh, example.placements)
