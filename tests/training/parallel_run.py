"""One of several processes that train together; started by torchrun in test_parallel.py.

    torchrun --nproc-per-node 2 -m tests.training.parallel_run FOLDER copy|shard|tight|burst|trial STEPS [resume]

Trains a tiny GPT in float32 on the CPU and writes the losses and the weights that the run ends with. With "tight" the
second process has no memory for more than one row at once; with "burst" its memory runs out in the fourth update. With
"trial" a pre-flight goes before, in which the second process's clock runs ten times as fast.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import Documents, TrainConfig, Trainer, preflight
from course_lib.training.parallel import joined_processes, whole


def train(folder: Path, way: str, stop_after: int, *, resume: bool) -> None:
    """Train 10 steps, or until `stop_after`, and save what came of it in FOLDER/result.pt."""
    torch.manual_seed(3)
    model = GPT(GPTConfig(vocab_size=8, context_length=12, d_model=16, n_heads=2, n_layers=2))
    documents = Documents([[1 + (start + i) % 7 for i in range(5 + start)] for start in range(7)], 12, end_id=0)
    config = TrainConfig(
        10, batch_size=4, micro_batch_size=None if way == "tight" else 1, warmup_steps=3, evaluate_every=5,
        device="cpu", precision="float32",
    )  # fmt: skip
    run = Trainer(model, documents, documents, config, folder=folder / "run", shard=way == "shard")
    run.callbacks.append(lambda record: run.stop() if record.step == stop_after else None)
    if run.processes.rank == 1 and way in ("tight", "burst"):
        plant_an_error(run, way)
    if way == "trial":
        with fast_clock(10 if run.processes.rank == 1 else 1):
            run.preflight()
    history = run.fit(progress=False, resume=resume)
    weights = whole(run.model.state_dict())
    if run.processes.first:
        losses = [[r.train_loss, r.gradient_norm, r.validation_loss or 0.0] for r in history]
        torch.save({"losses": losses, "weights": weights, "processes": run.processes.count}, folder / "result.pt")


def plant_an_error(run: Trainer, way: str) -> None:
    """Let the model run out of memory where a small machine would."""

    def check(model: GPT, inputs: tuple[torch.Tensor, ...]) -> None:
        too_many = model.training and len(inputs[0]) > 1
        if too_many if way == "tight" else len(run.history) == 3:
            raise torch.OutOfMemoryError("out of memory, planted")

    run.model.register_forward_pre_hook(check)


@contextmanager
def fast_clock(factor: float) -> Iterator[None]:
    """Let the clock of a pre-flight run faster."""
    honest = time.perf_counter
    with patch.object(preflight.time, "perf_counter", lambda: factor * honest()):
        yield


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_processes("cpu"):
        train(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), resume="resume" in sys.argv)
