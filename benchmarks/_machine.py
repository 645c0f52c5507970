"""What a benchmark says of the machine it ran on."""

import platform
from pathlib import Path

import torch


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def threads() -> str:
    """How many threads PyTorch computes with."""
    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count != 1)}"
