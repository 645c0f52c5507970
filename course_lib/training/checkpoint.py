"""Checkpoints: a training run on the disk, whole or not at all, and never trusted blindly.

A checkpoint is one file: a line with its format and the SHA-256 of all that follows, then the state as `torch.save`
writes it. It is written beside its name, flushed and renamed, so that a reader finds the old file or the new one. It is
read only if the checksum is right, and then with `weights_only=True`: numbers, text and containers, never code.
"""

import hashlib
import io
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from course_lib.files import write_atomically

FORMAT = 1
MAGIC = b"course-checkpoint"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


class DamagedCheckpoint(CheckpointError):
    """A file that is not what was written: cut short, changed, or no checkpoint at all."""


class Checkpoints:
    """The checkpoints of one run, in one folder: the newest few, and the best.

    Args:
        folder: where they are; made when first needed.
        keep: how many of the newest stay.
        say: how to tell that a damaged one was passed over.
    """

    def __init__(self, folder: str | Path, keep: int = 3, say: Callable[[str], None] = print):
        self.folder = Path(folder)
        self.keep = keep
        self.say = say

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, the newest last. A damaged one counts until it is opened."""
        found = (path.stem.removeprefix("step_") for path in self.folder.glob("step_*.pt"))
        return sorted(int(digits) for digits in found if digits.isdecimal())

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is, or would be."""
        return self.folder / f"step_{step:08d}.pt"

    @property
    def best_path(self) -> Path:
        """Where the checkpoint with the lowest validation loss is, or would be."""
        return self.folder / "best.pt"

    def save(self, state: dict[str, Any], step: int, *, best: bool = False) -> None:
        """Write the checkpoint of a step, then delete the oldest ones beyond `keep`.

        Raises CheckpointError when the disk is full or the folder is read-only: what was there before is still there.
        """
        content = pack(state)
        try:
            if best:  # first: a run that is killed between the two goes on from before this step, and finds it again
                write_atomically(self.best_path, content)
            write_atomically(self.path(step), content)
            self._tidy()
        except OSError as error:
            sound = self.steps()
            kept = f"The checkpoint of step {sound[-1]} is still there" if sound else "There is no earlier one"
            raise CheckpointError(
                f"Step {step} could not be saved in {self.folder}: {(error.strerror or str(error)).lower()}. {kept}. "
                "Free some space, or choose a folder that can be written to."
            ) from error

    def newest(self) -> dict[str, Any] | None:
        """The newest sound checkpoint, or None; says which damaged ones it passed over.

        Raises CheckpointError for a sound one that this version of the course cannot read.
        """
        for step in reversed(self.steps()):
            try:
                return read(self.path(step))
            except DamagedCheckpoint as error:
                self.say(f"{error} Trying the one before it.")
        return None

    def best(self) -> dict[str, Any] | None:
        """The checkpoint with the lowest validation loss, or None when there is none that is sound."""
        if not self.best_path.exists():
            return None
        try:
            return read(self.best_path)
        except DamagedCheckpoint as error:
            self.say(str(error))
            return None

    def _tidy(self) -> None:
        """Delete what is no longer needed, and what a process that was killed while writing left behind."""
        for step in self.steps()[: -self.keep]:
            self.path(step).unlink(missing_ok=True)
        for pattern in (".step_*.pt.*", ".best.pt.*"):
            for leftover in self.folder.glob(pattern):
                leftover.unlink(missing_ok=True)


def pack(state: dict[str, Any]) -> bytes:
    """A state as the content of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    return b"%s %d %s\n" % (MAGIC, FORMAT, _checksum(FORMAT, payload).encode()) + payload


def read(path: str | Path) -> dict[str, Any]:
    """The state in a checkpoint file, on the CPU.

    Raises DamagedCheckpoint for a file that is not exactly what was written, CheckpointError for one of another format
    or with anything in it that is not a number, a text or a container of these.
    """
    path = Path(path)
    try:
        header, _, payload = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise DamagedCheckpoint(f"The checkpoint {path} cannot be read: {(error.strerror or '').lower()}.") from None
    match header.split(b" "):
        case [magic, version, checksum] if magic == MAGIC and version.isdigit() and len(version) < 10:
            format_ = int(version)
        case _:
            raise DamagedCheckpoint(f"{path} is not a checkpoint of this course, or its beginning is damaged.")
    if _checksum(format_, payload).encode() != checksum:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: its checksum is not that of its content.")
    if format_ != FORMAT:
        raise CheckpointError(
            f"The checkpoint {path} has format {format_}, and this version of the course reads format {FORMAT}. Use "
            "the version that wrote it, or start again in another folder."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of foreign files leads no further than what is said below
            return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(
            f"The checkpoint {path} was refused: it holds something other than numbers and text, and to load that "
            "could run a program. Use only checkpoints that this course wrote."
        ) from error


def _checksum(format_: int, payload: bytes) -> str:
    digest = hashlib.sha256(b"%d\n" % format_)
    digest.update(payload)
    return digest.hexdigest()
