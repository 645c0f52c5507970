"""A checkpoint is read exactly as it was written, or not at all."""

import io
import os
import pickle
import random
import tempfile
from pathlib import Path

import pytest
import torch

from course_lib.training import CheckpointError
from course_lib.training.checkpoint import FORMAT, MAGIC, Checkpoints, DamagedCheckpoint, _checksum, pack, read

WAYS = (
    "cut short", "a bit flipped", "a block of zeros", "a block left out", "a block twice", "two blocks swapped",
    "bytes appended", "the beginning gone", "another file's beginning", "another file's end", "empty", "text",
    "a plain torch file", "a program in a pickle", "the checksum of something else", "another format",
)  # fmt: skip


def state(step: int) -> dict:
    generator = torch.Generator().manual_seed(step)
    return {"model": {"weight": torch.randn(40, 50, generator=generator)}, "step": step, "note": "π"}


def spoil(content: bytes, other: bytes, way: str, draw: random.Random) -> bytes:
    """A damaged version of a checkpoint file; `other` is a sound one of another step."""
    n = len(content)
    at, length = draw.randrange(n), draw.randint(1, 600)
    match way:
        case "cut short":
            return content[:at]
        case "a bit flipped":
            return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        case "a block of zeros":
            at = draw.randrange(1000, n - 700)
            return content[:at] + bytes(600) + content[at + 600 :]
        case "a block left out":
            return content[:at] + content[at + length :]
        case "a block twice":
            return content[: at + length] + content[at:]
        case "two blocks swapped":
            at = draw.randrange(700, n - 700)
            return content[: at - 600] + content[at : at + 600] + content[at - 600 : at] + content[at + 600 :]
        case "bytes appended":
            return content + draw.randbytes(length)
        case "the beginning gone":
            return content[length:]
        case "another file's beginning":
            return other[:at] + content[at:] if other[:at] != content[:at] else content[:-1]
        case "another file's end":
            header = content.index(b"\n") + 1
            return content[:header] + other[other.index(b"\n") + 1 :]
        case "empty":
            return b""
        case "text":
            return draw.randbytes(length).hex().encode()
        case "a plain torch file":
            buffer = io.BytesIO()
            torch.save(state(draw.randrange(100)), buffer)
            return buffer.getvalue()
        case "a program in a pickle":
            return pickle.dumps(Program(Path("never")))
        case "the checksum of something else":
            header, _, payload = content.partition(b"\n")
            return header[:-64] + draw.randbytes(32).hex().encode() + b"\n" + payload
        case "another format":
            return content.replace(b"%s %d " % (MAGIC, FORMAT), b"%s %d " % (MAGIC, FORMAT + draw.randint(1, 99)), 1)


class Program:
    """Unpickled without care, it makes a file: a stand-in for anything that a program can do."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def two(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1), 1)
    checkpoints.save(state(2), 2)
    return checkpoints


class TestDamage:
    @pytest.mark.parametrize("number", range(208))
    def test_none_loads_and_the_one_before_it_is_used(self, two, number, capsys):
        way = WAYS[number % len(WAYS)]
        content, other = two.path(2).read_bytes(), two.path(1).read_bytes()
        damaged = spoil(content, other, way, random.Random(number))
        assert damaged != content
        two.path(2).write_bytes(damaged)
        with pytest.raises(DamagedCheckpoint, match="damaged"):
            read(two.path(2))
        assert torch.equal(two.newest()["model"]["weight"], state(1)["model"]["weight"])
        said = capsys.readouterr().out
        assert two.path(2).name in said
        assert "Trying the one before it" in said
        assert not Path("never").exists()

    def test_all_damaged(self, two):
        for step in (1, 2):
            two.path(step).write_bytes(b"")
        assert two.newest() is None

    def test_the_best_one(self, two, capsys):
        assert two.best() is None
        two.save(state(3), 3, best=True)
        assert two.best()["step"] == 3
        two.best_path.write_bytes(two.best_path.read_bytes()[:-1])
        assert two.best() is None
        assert "damaged" in capsys.readouterr().out

    def test_one_that_cannot_be_opened(self, two):
        two.path(3).mkdir()
        assert two.newest()["step"] == 2


class TestRefusal:
    def test_a_program_with_the_right_checksum_does_not_run(self, two, tmp_path):
        buffer = io.BytesIO()
        torch.save({"model": Program(tmp_path / "ran")}, buffer)
        two.path(3).write_bytes(_sealed(FORMAT, buffer.getvalue()))
        with pytest.raises(CheckpointError, match="refused: it holds something other than numbers and text"):
            two.newest()
        assert not (tmp_path / "ran").exists()

    def test_a_bare_pickle_with_the_right_checksum_does_not_run(self, two, tmp_path):
        two.path(3).write_bytes(_sealed(FORMAT, pickle.dumps(Program(tmp_path / "ran"))))
        with pytest.raises(CheckpointError, match="refused"):
            two.newest()
        assert not (tmp_path / "ran").exists()

    def test_another_version(self, two):
        two.path(3).write_bytes(_sealed(FORMAT + 1, pack(state(3)).partition(b"\n")[2]))
        with pytest.raises(CheckpointError, match=f"has format {FORMAT + 1}, and .* reads format {FORMAT}"):
            two.newest()


def _sealed(format_: int, payload: bytes) -> bytes:
    return b"%s %d %s\n" % (MAGIC, format_, _checksum(format_, payload).encode()) + payload


class TestKeeping:
    def test_a_state_comes_back_as_it_was(self, two):
        assert two.newest()["note"] == "π"
        assert torch.equal(two.newest()["model"]["weight"], state(2)["model"]["weight"])

    def test_the_newest_and_the_best_stay(self, tmp_path):
        checkpoints = Checkpoints(tmp_path, keep=2)
        for step in range(0, 50, 10):
            checkpoints.save(state(step), step, best=step == 10)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "step_00000030.pt", "step_00000040.pt"]
        assert checkpoints.best()["step"] == 10

    def test_what_a_killed_writer_left_is_swept_up(self, two, tmp_path):
        leftover = tmp_path / ".step_00000009.pt.x1y2z3"
        leftover.write_bytes(b"half")
        assert two.newest()["step"] == 2
        two.save(state(3), 3)
        assert not leftover.exists()

    def test_the_steps_of_other_files_do_not_count(self, two, tmp_path):
        (tmp_path / "step_last.pt").touch()
        assert two.steps() == [1, 2]
        assert Checkpoints(tmp_path / "nowhere").newest() is None

    def test_a_full_disk_leaves_what_was_there(self, two, monkeypatch):
        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match="Step 3 could not be saved in .*no space left on device.*step 2 is"):
            two.save(state(3), 3)
        assert two.newest()["step"] == 2
        assert sorted(path.name for path in two.folder.iterdir()) == ["step_00000001.pt", "step_00000002.pt"]

    def test_a_read_only_folder(self, two, monkeypatch):
        def refuse(**_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(tempfile, "mkstemp", refuse)
        with pytest.raises(CheckpointError, match="permission denied. The checkpoint of step 2 is still there"):
            two.save(state(3), 3)
        assert two.newest()["step"] == 2
