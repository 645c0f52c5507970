"""One training step in several processes, started by `torchrun` as on a machine with several cards: lesson 11.

`train_together` hands a model and a batch to processes of their own. Each takes its rows of the batch, computes their
gradient alone, then with DistributedDataParallel (copies, gradients averaged), then with `fully_shard` (everything
split), and reports what it had in the end.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training.parallel import Processes, joined_processes, whole


def train_together(
    model: GPT, tokens: Int[Tensor, "batch time"], targets: Int[Tensor, "batch time"], processes: int = 2
) -> list[dict[str, Tensor]]:
    """What each process had, in the order of their ranks: gradients as one long vector, and bytes.

    * "rows": which rows of the batch it took.
    * "alone": the gradient of its own rows.
    * "copied": the gradient after DDP's averaging.
    * "split": the gradient after FSDP's, put together again (not on Windows, where torch has no FSDP over gloo).
    * "copied bytes", "split bytes": of weights, gradients and AdamW's states together, after one update.

    Raises RuntimeError with what the processes said when they fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(dataclasses.asdict(model.config)))
        torch.save({"model": model.state_dict(), "tokens": tokens, "targets": targets}, Path(folder) / "given.pt")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command += ["-m", "course_lib.experiments.two_processes", folder]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if done.returncode:
            raise RuntimeError(f"The processes did not come to an end: {done.stderr[-600:]}")
        return [torch.load(Path(folder) / f"rank{rank}.pt") for rank in range(processes)]


def own_rows(batch: int, rank: int, processes: int) -> Tensor:
    """The rows of a batch that one process takes: no row twice, none left out."""
    return torch.arange(batch).tensor_split(processes)[rank]


def work(folder: Path) -> None:
    """What each of the processes does: one step on its rows, copied and split."""
    processes = Processes()
    given = torch.load(folder / "given.pt")
    rows = own_rows(len(given["tokens"]), processes.rank, processes.count)
    batch = given["tokens"][rows], given["targets"][rows]
    found = {"rows": rows}

    model = _model(folder, given)
    wrapped = processes.wrap(model, shard=False)
    with processes.sync(wrapped, last=False):  # no averaging
        wrapped(*batch).loss.backward()
    found["alone"] = _gradient(model)
    found["copied"], found["copied bytes"] = _step(wrapped, model, batch)
    if sys.platform != "win32":
        model = _model(folder, given)
        found["split"], found["split bytes"] = _step(processes.wrap(model, shard=True), model, batch)
    torch.save(found, folder / f"rank{processes.rank}.pt")


def _model(folder: Path, given: dict[str, dict[str, Tensor]]) -> GPT:
    model = GPT(GPTConfig(**json.loads((folder / "config.json").read_text())))
    model.load_state_dict(given["model"])
    return model


def _step(wrapped: torch.nn.Module, model: GPT, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The gradient that a step follows, and the bytes that this process then holds."""
    model.zero_grad()
    optimizer = torch.optim.AdamW(model.parameters())
    wrapped(*batch).loss.backward()
    gradient = _gradient(model)
    optimizer.step()
    held = [*model.parameters(), *(p.grad for p in model.parameters())]
    held += [value for values in optimizer.state.values() for name, value in values.items() if name != "step"]
    parts = [tensor.to_local() if hasattr(tensor, "to_local") else tensor for tensor in held]
    return gradient, torch.tensor(sum(part.numel() * part.element_size() for part in parts))


def _gradient(model: GPT) -> Float[Tensor, " numbers"]:
    """All gradients, one after the other, in the order of the parameters' names."""
    gradients = whole({name: parameter.grad for name, parameter in model.named_parameters()})
    return torch.cat([gradients[name].flatten() for name in sorted(gradients)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_processes("cpu"):
        work(Path(sys.argv[1]))
