"""All that decides how a run goes on, taken from a trainer and put back into one."""

from __future__ import annotations

import platform
from dataclasses import asdict, astuple
from itertools import islice
from math import isnan, nan
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from course_lib import __version__
from course_lib.training.checkpoint import CheckpointError
from course_lib.training.config import DECIDES_THE_WEIGHTS, Record
from course_lib.training.parallel import load_model_state, load_optimizer_state, whole
from course_lib.training.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from course_lib.training.trainer import Trainer


def run_state(trainer: Trainer) -> dict[str, Any]:
    """Weights, optimisers (with the learning rate), loss scale, random numbers, data position, history, settings.

    Everything is a number, a text, a tensor on the CPU or a container of these, so that it loads without pickle.
    Where several processes train together, all of them must call this.
    """
    return {
        "versions": {"course": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
        "config": asdict(trainer.config),
        "data": [_amount(source) for source in (trainer.train, trainer.validation)],
        "model": whole(trainer.model.state_dict()),
        "optimizers": [whole(optimizer.state_dict()) for optimizer in trainer.optimizers],
        "scaler": trainer.scaler.state_dict(),
        "accumulate": trainer.accumulate,
        "random": trainer.processes.gather(random_state()),
        "batches": trainer._batches.state_dict() if hasattr(trainer._batches, "state_dict") else None,
        "history": _as_table(trainer.history),
    }


def restore_run(trainer: Trainer, state: dict[str, Any]) -> None:
    """Put a `run_state` back. Raises CheckpointError, before anything is changed, when it belongs to another run."""
    _check_same_model(state["model"], trainer.model.state_dict())
    _check_same_run(trainer, state)
    load_model_state(trainer.model, state["model"])
    for optimizer, saved in zip(trainer.optimizers, state["optimizers"], strict=True):
        load_optimizer_state(optimizer, saved)
    trainer.scaler.load_state_dict(state["scaler"])
    if state["config"]["micro_batch_size"] == trainer.config.micro_batch_size:
        trainer.accumulate = max(trainer.accumulate, state["accumulate"])
    trainer._rewind()
    trainer.history = _as_records(state["history"])
    for record in trainer.history:
        trainer._watch(record)
    if state["batches"] is not None:
        trainer._batches.load_state_dict(state["batches"])
    else:  # a source that cannot say where it was: draw again what was drawn
        next(islice(trainer._batches, len(trainer.history), len(trainer.history)), None)
    if trainer.processes.rank < len(state["random"]):
        set_random_state(state["random"][trainer.processes.rank])


def _check_same_model(saved: dict[str, Tensor], here: dict[str, Tensor]) -> None:
    for name in [*here, *saved]:
        if name not in saved or name not in here:
            where = "the checkpoint" if name in saved else "yours"
            difference = f"only {where} has {name!r}"
        elif saved[name].shape != here[name].shape:
            shapes = tuple(saved[name].shape), tuple(here[name].shape)
            difference = f"{name!r} has the shape {shapes[0]} there, and {shapes[1]} in yours"
        else:
            continue
        raise CheckpointError(
            f"The checkpoint is of another model: {difference}. Build the model as it was then, or train in another "
            "folder."
        )


def _check_same_run(trainer: Trainer, state: dict[str, Any]) -> None:
    saved, here = state["config"], asdict(trainer.config)
    changed = [
        f"{name} was {saved[name]} and is {here[name]}"
        for name in DECIDES_THE_WEIGHTS
        if saved.get(name, here[name]) != here[name]  # what an older version did not know was as it is by default
    ]
    data = [_amount(source) for source in (trainer.train, trainer.validation)]
    if data != state["data"]:
        changed.append(
            f"the data had {state['data'][0]} and {state['data'][1]} targets and have {data[0]} and {data[1]}"
        )
    if changed:
        raise CheckpointError(
            f"The checkpoint is of another run: {'; '.join(changed)}. Use the settings of then, or train in another "
            "folder."
        )
    if saved["steps"] != here["steps"] and len(state["history"]):
        trainer._say(
            f"The run was planned for {saved['steps']} steps and is now planned for {here['steps']}: from here on the "
            "learning rate follows the new plan."
        )
    if state["versions"]["torch"] != str(torch.__version__):
        trainer._say(
            f"The checkpoint was written with torch {state['versions']['torch']}, and this is {torch.__version__}: the "
            "last digits may come out differently."
        )


def _amount(source: Any) -> int | None:
    """How many targets a source has, where it knows: a run goes on with the data it began with."""
    return getattr(source, "n_targets", None)


def _as_table(history: list[Record]) -> Tensor:
    """One row a record, in double precision, which holds every number exactly; nan where there is no value."""
    rows = [[nan if value is None else float(value) for value in astuple(record)] for record in history]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(Record.__dataclass_fields__))


def _as_records(table: Tensor) -> list[Record]:
    return [
        Record(int(step), int(tokens), *before, None if isnan(validation_loss) else validation_loss, *after)
        for step, tokens, *before, validation_loss, rate, norm in table.tolist()
        for after in [(rate, norm)]
    ]
