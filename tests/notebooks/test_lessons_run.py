"""Every lesson runs top to bottom with nbval, with the network refused, within its limits of time and memory."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from course_lib.execution import kernel_environment, peak_memory
from course_lib.lesson_files import ROOT, find_lessons
from tests.notebooks.conftest import AVERAGE_SECONDS, MEBIBYTES, SECONDS

LESSONS = find_lessons([])


@pytest.mark.notebooks
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs(lesson: Path, taken: dict[str, tuple[float, float]]) -> None:
    """nbval runs each cell, and compares the text outputs of those tagged `nbval-check-output`."""
    status, output, seconds, mebibytes = run_nbval(lesson)
    taken[lesson.name] = seconds, mebibytes
    assert status == 0, f"nbval on {lesson.name}:\n{output[-6000:]}"
    assert seconds <= SECONDS, f"{lesson.name} took {seconds:.0f} s; the limit is {SECONDS} s"
    assert mebibytes <= MEBIBYTES, f"{lesson.name} took {mebibytes:.0f} MiB; the limit is {MEBIBYTES} MiB"


@pytest.mark.notebooks
def test_average_run_time(taken: dict[str, tuple[float, float]]) -> None:
    """The lessons take 45 s on average."""
    if len(taken) < len(LESSONS) or not taken:
        pytest.skip("not every lesson ran")
    average = sum(seconds for seconds, _ in taken.values()) / len(taken)
    assert average <= AVERAGE_SECONDS, f"{average:.0f} s on average; the limit is {AVERAGE_SECONDS} s"


@pytest.mark.notebooks
def test_a_lesson_that_goes_wrong_is_noticed(tmp_path: Path) -> None:
    """A changed output, an error and a connection to another host: each of them fails, and nothing else does."""
    tagged = {"tags": ["nbval-check-output"]}
    recorded = [nbformat.v4.new_output("stream", name="stdout", text="41\n")]
    cells = [
        nbformat.v4.new_code_cell("print(6 * 7)", metadata=tagged, outputs=recorded, execution_count=1),
        nbformat.v4.new_code_cell("print(6 * 7)", outputs=recorded, execution_count=2),  # untagged: may differ
        nbformat.v4.new_code_cell("import socket; socket.getaddrinfo('example.com', 443)", execution_count=3),
        nbformat.v4.new_code_cell("1 / 0", execution_count=4),
    ]
    path = tmp_path / "99_wrong.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    status, output, *_ = run_nbval(path)
    assert status == 1
    assert "3 failed, 1 passed" in output, output
    assert "the network is switched off here" in output
    assert "ZeroDivisionError" in output


REACH_OUT = {
    "connect": "socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "name": "socket.getaddrinfo('example.com', 443)",
    "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
    "urllib": "urllib.request.urlopen('http://192.0.2.1/', timeout=1)",
    "subprocess": "subprocess.run([sys.executable, '-c', 'import socket; socket.getaddrinfo(\"example.com\", 1)'], "
    "check=True, stderr=subprocess.DEVNULL)",
}


@pytest.mark.parametrize("way", REACH_OUT)
def test_kernels_reach_no_other_host(way: str) -> None:
    """In a lesson's environment each way out ends in the refusal, also from a process that a cell starts."""
    script = (
        "import socket, subprocess, sys, urllib.error, urllib.request\n"
        f"try:\n    {REACH_OUT[way]}\n"
        "except subprocess.CalledProcessError: print('refused')\n"
        "except OSError as error: print('refused' if 'switched off here' in str(error) else repr(error))\n"
        "else: print('reached')\n"
    )
    assert _answer_in_kernel_environment(script) == "refused"


def test_kernels_reach_this_machine() -> None:
    """The kernel's own channels, and a local server, still answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('localhost', {port})).close(); print('reached')"
        assert _answer_in_kernel_environment(script) == "reached"


def run_nbval(notebook: Path) -> tuple[int, str, float, float]:
    """nbval's exit status and report on a notebook, the seconds it took, and the peak mebibytes of all processes."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", str(notebook)]
    command += ["--nbval-cell-timeout", str(SECONDS), "-q", "--no-header", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(notebook.parent)]  # without the options of the course's own tests
    began = time.perf_counter()
    with kernel_environment() as environment:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        with peak_memory(lambda: process.pid) as peak:
            try:
                output, _ = process.communicate(timeout=2 * SECONDS)
            except subprocess.TimeoutExpired:
                for member in [*psutil.Process(process.pid).children(recursive=True), process]:
                    member.kill()
                pytest.fail(f"{notebook.name} was stopped after {2 * SECONDS} s; the limit is {SECONDS} s")
    return process.returncode, output, time.perf_counter() - began, peak[0] / 2**20


def _answer_in_kernel_environment(script: str) -> str:
    with kernel_environment() as environment:
        answer = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60
        )
    return answer.stdout.strip() or answer.stderr
