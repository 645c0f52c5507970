"""Two processes on the CPU learn what one does from the same batches, copied (DDP) or split (FSDP)."""

import os
import subprocess
import sys

import pytest
import torch

from tests.training.parallel_run import train

pytestmark = pytest.mark.alone


def torchrun(folder, *arguments: str) -> subprocess.CompletedProcess:
    """Two processes, to their end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.parallel_run", str(folder), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def result_of_two(folder, *arguments: str) -> dict:
    """What two processes end with."""
    done = torchrun(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "result.pt")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("alone")
    train(folder, "copy", 99, resume=False)
    return torch.load(folder / "result.pt")


def same(result: dict, expected: dict) -> bool:
    """The same curve (losses, gradient norms, validation) and the same weights, up to the rounding of float32."""
    for here, there in zip(result["losses"], expected["losses"], strict=True):
        if here != pytest.approx(there, rel=1e-5):
            return False
    return all(torch.allclose(result["weights"][k], w, atol=2e-5) for k, w in expected["weights"].items())


@pytest.mark.skipif(sys.platform == "win32", reason="torch for Windows has no FSDP over gloo")
def test_split_among_two_processes(tmp_path, alone):
    result = result_of_two(tmp_path, "shard", "99")
    assert result["processes"] == 2
    assert same(result, alone)


def test_copied_to_two_processes_then_resumed_by_one(tmp_path, alone):
    first = result_of_two(tmp_path, "copy", "6")
    assert first["processes"] == 2
    assert len(first["losses"]) == 6
    train(tmp_path, "copy", 99, resume=True)
    assert same(torch.load(tmp_path / "result.pt"), alone)


def test_one_that_runs_out_of_memory_makes_both_go_on_in_smaller_parts(tmp_path, alone):
    done = torchrun(tmp_path, "tight", "99")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Out of memory with 2 rows at once: going on with 1 at a time. The batch stays at 4") == 1
    assert same(torch.load(tmp_path / "result.pt"), alone)


def test_a_trial_before_ends_for_both_whatever_their_clocks_say(tmp_path, alone):
    assert same(result_of_two(tmp_path, "trial", "99"), alone)


def test_memory_that_runs_out_in_the_middle_ends_with_a_sentence(tmp_path):
    done = torchrun(tmp_path, "burst", "99")
    assert done.returncode != 0
    assert "ran out of memory while the others waited for its gradients" in done.stderr


def test_other_batches_would_not_pass(alone):
    other = {"losses": [[loss * 1.0001, norm, None] for loss, norm, _ in alone["losses"]], "weights": alone["weights"]}
    assert not same(other, alone)
