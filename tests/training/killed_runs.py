"""Trains in child processes and kills them; run as a program by test_resume.py, and prints what became of each.

    python -m tests.training.killed_runs FOLDER N_RANDOM

Each case is one folder: a child trains in it and is killed with SIGKILL, either at a random moment or inside a save
(half-way through the file, before the flush, before the rename, after it); it is resumed, killed once more at random,
and resumed to the end. A line of the output is JSON: how it was killed, at which checkpoint it began again, and the
digest of everything that the finished run's last checkpoint holds, its times left out.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.notebook import seed_everything
from course_lib.training import Documents, TrainConfig, Trainer
from course_lib.training.checkpoint import Checkpoints

STEPS = 14
PLACES = ("half the file", "before the flush", "before the rename", "after the rename", "in the best one")


def trainer(folder: Path | None) -> Trainer:
    """A tiny run in which everything random is used: dropout, data order, two optimisers, several passes."""
    seed_everything(3)
    model = GPT(GPTConfig(8, 12, d_model=16, n_heads=2, n_layers=1, dropout=0.2))
    documents = Documents([[1 + (start + i) % 7 for i in range(5 + start)] for start in range(7)], 12, end_id=0)
    config = TrainConfig(
        STEPS, batch_size=3, micro_batch_size=2, optimizer="muon", warmup_steps=3, evaluate_every=4, save_every=1,
        device="cpu", precision="float32", keep=2,
    )  # fmt: skip
    return Trainer(model, documents, documents, config, folder=folder)


def digest(value: object) -> str:
    """One number for all that a state holds, each tensor to the last bit."""

    def spell(part: object) -> str:
        if isinstance(part, torch.Tensor):
            return f"{part.dtype}{tuple(part.shape)}{part.contiguous().numpy().tobytes().hex()}"
        if isinstance(part, dict):
            return "{" + ",".join(f"{key}:{spell(part[key])}" for key in part) + "}"
        if isinstance(part, list | tuple):
            return "[" + ",".join(map(spell, part)) + "]"
        return repr(part)

    return hashlib.sha256(spell(value).encode()).hexdigest()


def outcome(run: Trainer) -> str:
    """The digest of a finished run: weights, optimisers, random numbers, data position, all losses."""
    state = run.state_dict()
    state["history"][:, 2] = 0  # seconds
    return digest(state)


def in_child(work: Callable[[], None], kill_at: Callable[[], None] | None = None) -> int:
    """Run `work` in a child, killed when `kill_at` returns; its exit status, or minus the signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                work()
            status = 0
        finally:
            os._exit(status)
    if kill_at is not None:
        kill_at()
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moment(folder: Path, step: int, seconds: float) -> Callable[[], None]:
    """A while after the checkpoint of a step, or of a later one, has appeared."""

    def wait() -> None:
        deadline = time.perf_counter() + 10
        while max(Checkpoints(folder).steps(), default=-1) < step and time.perf_counter() < deadline:
            time.sleep(0.0005)
        time.sleep(seconds)

    return wait


def die() -> None:
    """What a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die_inside_a_save(folder: Path, place: str, at_save: int) -> None:
    """Train until the `at_save`-th file is written, and die at that place in it."""
    saves, fsync, replace = 0, os.fsync, os.replace

    def counting_fsync(handle: int) -> None:
        nonlocal saves
        saves += 1
        if saves == at_save and place == "half the file":
            os.truncate(handle, os.fstat(handle).st_size // 2)
            die()
        if saves == at_save and place == "before the flush":
            die()
        fsync(handle)

    def counting_replace(beside: str, path: Path) -> None:
        best = Path(path).name == "best.pt"
        if saves >= at_save and place == "before the rename":
            die()
        replace(beside, path)
        if saves >= at_save and (place == "after the rename" or (place == "in the best one" and best)):
            die()

    os.fsync, os.replace = counting_fsync, counting_replace
    trainer(folder).fit(progress=False)


def finish(folder: Path) -> None:
    """Resume and write the outcome beside the checkpoints."""
    run = trainer(folder)
    run.fit(progress=False, resume=True)
    (folder / "outcome").write_text(outcome(run))


def main(folder: Path, n_random: int) -> None:
    """All the cases, from the one without a kill on."""
    torch.set_num_threads(1)
    with redirect_stdout(sys.stderr):
        trainer(None).fit(progress=False)  # loads what torch loads late, once for all children
    started = time.perf_counter()
    assert in_child(lambda: finish(folder / "whole")) == 0
    seconds = time.perf_counter() - started
    print(json.dumps({"kill": "none", "outcome": (folder / "whole" / "outcome").read_text()}))

    moments = random.Random(0)
    cases = [("at random", number * (STEPS - 3) // n_random) for number in range(n_random)]
    cases += [(place, at_save) for place in PLACES for at_save in (1, 9)]
    for number, (kind, when) in enumerate(cases):
        case = folder / f"case {number}"
        if kind == "at random":
            kill_at = moment(case, when, moments.random() * seconds / STEPS)
            status = in_child(lambda case=case: trainer(case).fit(progress=False), kill_at)
        else:
            status = in_child(lambda case=case, kind=kind, when=when: train_and_die_inside_a_save(case, kind, when))
        left = sorted(path.name for path in case.glob("*")) if case.exists() else []
        again = moment(case, min(STEPS, when + moments.randint(1, 3)), moments.random() * seconds / STEPS)
        second = in_child(lambda case=case: finish(case), again)
        third = in_child(lambda case=case: finish(case))
        print(
            json.dumps(
                {
                    "kill": f"{kind}, {when}",
                    "statuses": [status, second, third],
                    "left": left,
                    "hidden left at the end": [path.name for path in case.glob(".*")],
                    "outcome": (case / "outcome").read_text() if third == 0 else None,
                }
            )
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
