#!/usr/bin/env python3
"""Set the course up in .venv, and run a command in it.

    python3 tools/setup_environment.py             set up, and stop there
    python3 tools/setup_environment.py lab         set up, and open JupyterLab at the first lesson
    python3 tools/setup_environment.py test        set up, and run every check
    python3 tools/setup_environment.py test-fast   set up, and run what takes seconds
    python3 tools/setup_environment.py notebooks   set up, and run the lessons, writing their outputs back
    python3 tools/setup_environment.py bench       set up, and measure speed and memory

Further arguments go to the command: `test -k attention`, `notebooks 02 03`. On Windows write `py` for `python3`.

Standard library only. This file must be readable for old Pythons too, so that they get a sentence and not a syntax
error: nothing in it needs more than Python 3.6.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 11), (3, 13)
SUPPORTED = f"Python 3.{OLDEST[1]} to 3.{NEWEST[1]}"
ANOTHER_PYTHON = f"try another of {SUPPORTED} with COURSE_PYTHON=/path/to/python."
# On Linux, torch brings the libraries of CUDA: .venv takes 6 GB there, and the downloads beside it some more.
NEEDED_BYTES = (9 if sys.platform == "linux" else 3) * 2**30
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
INPUTS = (*REQUIREMENTS, "constraints.txt", "pyproject.toml", "setup.py")
FIRST_LESSON = "notebooks/00_start_here.ipynb"
PYTEST = ["-m", "pytest"]
# Files of tests side by side, one on each core; no more than four, for each takes about a gigabyte.
SIDE_BY_SIDE = ["--numprocesses", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--tb", "native"]
LAB_OPTIONS = [
    "--LabApp.extension_manager=readonly",
    "--ServerApp.contents_manager_class=course_lib.saved_pictures.SavedPictures",  # pictures where no kernel runs
]
# What each command runs in .venv, one after the other. The lessons, which have limits of time, and training in several
# processes get the machine alone.
COMMANDS = {
    "setup": [],
    "lab": [["-m", "jupyterlab", *LAB_OPTIONS, FIRST_LESSON]],
    "test": [[*PYTEST, *SIDE_BY_SIDE, "-m", "not notebooks and not alone"], [*PYTEST, "-m", "notebooks or alone"]],
    "test-fast": [[*PYTEST, *SIDE_BY_SIDE, "-m", "not notebooks and not browser and not slow and not alone"]],
    "notebooks": [["-m", "course_lib.cli", "notebooks"]],
    "bench": [["-m", "course_lib.cli", "bench"]],
    "address": [["-m", "course_lib.cli", "address"]],
    "picture": [["-m", "tools.lab_in_browser", "00", "notebooks/figures/readme.png"]],
}
ANNOUNCED = {
    "lab": "Opening JupyterLab at " + FIRST_LESSON + " (Ctrl-C twice closes it).",
    "test": "Running every check.",
    "test-fast": "Running the quick checks: no notebooks, no browser.",
    "notebooks": "Running the lessons and writing their outputs back.",
    "bench": "Measuring speed and memory.",
    "address": "Writing the address of the repository into badges and set-up cells.",
    "picture": "Taking the picture in the README.",
}
UNFINISHED = "unfinished"
LAB_SETTINGS = {  # JupyterLab asks nobody else for anything: no news, no check for updates
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
IS_WINDOWS = os.name == "nt"


class SetupError(Exception):
    """Why the set-up stopped, in one sentence that says what to do."""


def main(arguments=None):
    """Set up, run what was asked for, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s [command] [...]"
    )
    parser.add_argument("command", nargs="?", default="setup", choices=list(COMMANDS))
    options, rest = parser.parse_known_args(arguments)
    try:
        python = set_up(ROOT)
        return run(options.command, python, rest)
    except SetupError as error:
        print(f"Set-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: run the same command again, and it finishes what is missing.", file=sys.stderr)
        return 130


def run(command, python, rest):
    """Run a command with the Python of .venv, and return its exit status: of several parts, the first that failed."""
    parts = COMMANDS[command]
    if not parts:
        return 0
    print(ANNOUNCED[command], flush=True)
    if command == "lab" and hasattr(os, "geteuid") and os.geteuid() == 0:
        rest = ["--allow-root", *rest]  # in a container there often is no other user
    if command == "test" and rest:
        parts = [PYTEST]  # whoever chooses tests gets these and nothing else
    statuses = [subprocess.call([str(python), *part, *rest], cwd=str(ROOT)) for part in parts]
    return next((status for status in statuses if status != 0), 0)


def set_up(root):
    """Make .venv what the requirement files say, unless it is that already. The path of its Python."""
    environment = root / ".venv"
    stamp = environment / "course-setup"
    wanted = fingerprint(root)
    state = stamp.read_text() if stamp.is_file() else ""
    if state == wanted and works(python_of(environment)):
        print("Using the environment in .venv.", flush=True)
        return python_of(environment)

    if state == UNFINISHED or not works(python_of(environment)):
        python = find_python()
        check_disk(root)
        print(f"Setting up .venv with Python {version_of(python)}: this takes a few minutes, once.", flush=True)
        create(environment, python)
    else:
        print("Bringing .venv up to date with the requirement files.", flush=True)
    write_now(stamp, UNFINISHED)
    install(root, python_of(environment))
    write_now(environment / "share/jupyter/lab/settings/overrides.json", json.dumps(LAB_SETTINGS, indent=1))
    write_now(stamp, wanted)
    return python_of(environment)


def fingerprint(root):
    """A digest of every file that decides what is in .venv."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update(name.encode() + b"\0" + (root / name).read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def find_python():
    """The command of a Python that the course runs on; the first that is found on this machine."""
    candidates = [os.environ.get("COURSE_PYTHON"), sys.executable]
    minors = range(OLDEST[1], NEWEST[1] + 1)
    candidates += [f"python3.{minor}" for minor in minors] + ["python3", "python"]
    found = []
    for candidate in candidates:
        command = shutil.which(candidate) if candidate else None
        version = version_of(command) if command else None
        if version and OLDEST <= tuple(map(int, version.split(".")[:2])) <= NEWEST:
            return command
        if version and version not in found:
            found.append(version)
    raise SetupError(
        f"the course needs {SUPPORTED}, and this machine has {' and '.join(found) or 'none'}; install one from "
        "python.org, or name yours with COURSE_PYTHON=/path/to/python."
    )


def version_of(command):
    """The version of a Python such as "3.12.1", or None when the command does not run."""
    try:
        answer = subprocess.run(
            [str(command), "-c", "import platform; print(platform.python_version())"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = answer.stdout.decode(errors="replace").strip()
    return version if answer.returncode == 0 and re.match(r"\d+\.\d+", version) else None


def python_of(environment):
    """Where the Python of a virtual environment lies."""
    return environment / ("Scripts/python.exe" if IS_WINDOWS else "bin/python")


def works(python):
    """True when this Python runs and has pip."""
    if not python.is_file():
        return False
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.call([str(python), "-c", "import pip"], **quiet) == 0
    except OSError:
        return False


def check_disk(folder, needed=NEEDED_BYTES):
    """Stop before a long download that cannot fit."""
    free = shutil.disk_usage(str(folder)).free
    if free < needed:
        raise SetupError(
            f"the disk has {free / 1e9:.1f} GB free and the course needs about {needed / 1e9:.0f} GB; make room, and "
            "run the same command again."
        )


def create(environment, python):
    """A fresh virtual environment, in place of whatever an interrupted set-up left."""
    made = subprocess.run(
        [str(python), "-m", "venv", "--clear", str(environment)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode != 0:
        said = made.stdout.decode(errors="replace")
        if "ensurepip" in said:
            minor = ".".join((version_of(python) or "3").split(".")[:2])
            raise SetupError(
                "this Python cannot make virtual environments; on Debian and Ubuntu, install the package "
                f"python{minor}-venv."
            )
        raise SetupError(explain(said))


def install(root, python):
    """Everything in the requirement files at the versions of constraints.txt, and the course itself."""
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    wanted = [argument for name in REQUIREMENTS for argument in ("-r", name)]
    run_pip([*pip, *wanted, "-c", "constraints.txt"], root)
    run_pip([*pip, "--no-deps", "--no-build-isolation", "-e", "."], root)


def run_pip(command, root):
    """Run pip; on a terminal, keep showing on one line what it is at. A failure becomes one sentence."""
    lines = []
    process = subprocess.Popen(
        command, cwd=str(root), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
        encoding="utf-8", errors="replace",
    )
    try:
        for line in process.stdout:
            lines.append(line)
            show_progress(line.strip())
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    show_progress("")
    if process.wait() != 0:
        raise SetupError(explain("".join(lines)))


def show_progress(line):
    """Replace the line on the terminal; nothing at all when the output goes to a file."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r" + line[:width].ljust(width) + ("" if line else "\r"))
        sys.stdout.flush()


def explain(output):
    """What pip's output means, in one sentence that names the package and says what to do."""
    if re.search(r"No space left on device|Errno 28|not enough space on the disk|Disk quota exceeded", output, re.I):
        return f"the disk is full; make room (about {NEEDED_BYTES / 1e9:.0f} GB) and run the same command again."
    no_network = re.search(
        r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|Read timed out"
        r"|Connection refused|Network is unreachable|getaddrinfo failed|ProxyError",
        output,
    )
    missing = re.search(r"No matching distribution found for ([^\s(;]+)", output)
    if no_network:
        package = f" while fetching {missing.group(1)}" if missing else ""
        return f"no answer from the network{package}; check the connection and run the same command again."
    if missing:
        return f"the package {missing.group(1)} cannot be had for this Python and this machine; {ANOTHER_PYTHON}"
    broken = re.search(r"(?:Failed to build|Could not build wheels for|Failed building wheel for) '?([\w.-]+)", output)
    if broken:
        return f"the package {broken.group(1)} could not be built on this machine; {ANOTHER_PYTHON}"
    errors = [line for line in output.splitlines() if line.upper().startswith("ERROR")]
    last = errors[-1] if errors else (output.strip().splitlines() or ["no message"])[-1]
    return f"pip failed with: {last.strip()}"


def write_now(path, text):
    """Write a small file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with open(str(beside), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(beside), str(path))


if __name__ == "__main__":
    sys.exit(main())
