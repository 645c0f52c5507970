"""What the set-up cell of every lesson calls."""

import os
import random


def start(lesson: str, seed: int = 0) -> None:
    """Prepare a lesson: seed every random number, choose a number of threads, set the style of the pictures.

    `lesson` is the two-digit number of the lesson ("02"). With the same seed a lesson gives the same numbers each
    time it runs on the same machine. Prints one line, the same on every machine.
    """
    if not (len(lesson) == 2 and lesson.isdigit()):
        raise ValueError(f'a lesson is named by its two digits, such as start("02"); got {lesson!r}')
    # Threads that wait for each other spin at first, and go to sleep soon: spinning on, as they would by default, makes
    # small models many times slower on a machine that is busy with other things. Read when torch is first imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    from course_lib import plots

    plots.style()
    _choose_threads()
    seed_everything(seed)  # last: what is imported for the first time may draw random numbers
    print(f"Lesson {lesson} is ready. Random numbers are seeded, so your numbers should match the text.")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices), and ask torch for the deterministic variant of each operation."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def _choose_threads(most: int = 4) -> None:
    """The models of the lessons are small: past four threads they wait for each other more than they compute."""
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), most))
