"""One training step against transformers' GPT-2, interleaved: in float32, and with the course's own choice of settings.

    python -m benchmarks.training_step [--launches 5] [--rounds 9] [--sizes 1 2 3] [--no-compile]

Writes `training_step.md` beside this file. A step is forward, backward and AdamW on one batch. The course's own choice
on a CPU that computes in bfloat16: bfloat16 throughout from float32 weights, and `torch.compile`. Rounds of one launch
agree well; from launch to launch contenders find other memory and differ more, so each is launched several times. Where
there is a CUDA GPU, a model of GPT-2's size follows: step time, utilisation, float16, compilation, the largest batch.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch

from benchmarks._machine import processor, threads
from benchmarks._processes import own_processes
from benchmarks._steps import Size, Timing, clocked, course_step, interleaved, transformers_step
from course_lib.files import write_atomically
from course_lib.models.gpt import GPT
from course_lib.training import Documents, TrainConfig, Trainer, pick_device
from course_lib.training.device import THROUGHOUT
from course_lib.training.memory import is_out_of_memory, release_memory
from course_lib.training.preflight import matmul_speed

REPORT = Path(__file__).with_suffix(".md")
SIZES = (Size(4, 4, 128, 64, 12), Size(6, 6, 384, 256, 8), Size(4, 8, 256, 128, 32))
PEER, PLAIN = "transformers, float32", "course, float32"
PLAIN_COMPILED, EAGER = "course, float32, compiled", "course, bfloat16 throughout"
OWN = "course, its own choice: that, compiled"
AIMS = {PLAIN: (1.25, 1.25, 1.25), OWN: (3.0, 3.5, 3.5)}
GPT2_SMALL = Size(12, 12, 768, 1024, 8, vocab_size=50_257)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launches", type=int, default=5, help="how often all contenders are started anew")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each contender in one launch")
    parser.add_argument("--sizes", type=int, nargs="+", choices=(1, 2, 3), default=[1, 2, 3])
    parser.add_argument("--no-compile", action="store_true", help="leave out what torch.compile would have to prepare")
    options = parser.parse_args(arguments)
    launches: dict[int, list[dict[str, Timing]]] = {number: [] for number in options.sizes}
    for _ in range(options.launches):
        for number, found in launches.items():
            found.append(measure(SIZES[number - 1], options.rounds, compiled=not options.no_compile))
    lines = heading(options.launches, options.rounds, sys.argv[1:] if arguments is None else arguments)
    for number, found in launches.items():
        lines += table(number, found)
    lines += cuda_section(options.rounds) if torch.cuda.is_available() else [WITHOUT_A_GPU, ""]
    write_atomically(REPORT, "\n".join(lines).encode())
    print(REPORT.read_text(encoding="utf-8"))


def measure(size: Size, rounds: int, *, compiled: bool) -> dict[str, Timing]:
    """The contenders at one size, each in a process of its own."""
    fast = THROUGHOUT if pick_device("cpu").dtype == torch.bfloat16 else "float32"
    makers = {
        PEER: partial(transformers_step, size),
        PLAIN: partial(course_step, size, "float32"),
        EAGER: partial(course_step, size, fast),
    }
    if compiled:
        makers[PLAIN_COMPILED] = partial(course_step, size, "float32", compiled=True)
        makers[OWN] = partial(course_step, size, fast, compiled=True)
    timed = {name: partial(clocked, make) for name, make in makers.items()}
    with own_processes(timed, keep_memory=lambda name: name != PEER) as steps:
        return interleaved(steps, rounds)


def heading(launches: int, rounds: int, arguments: list[str]) -> list[str]:
    chosen = pick_device("cpu")
    return [
        "# A training step",
        "",
        f"`{' '.join(['python -m benchmarks.training_step', *arguments])}` on {processor()}, "
        f"{threads()}; torch {version('torch')}, transformers {version('transformers')}. Each contender in a process "
        f"of its own, started {launches} times; {rounds} rounds a launch, interleaved; medians of the launches' "
        "medians, and behind a ratio its range over the launches. The clock is what a user waits for; the time of the "
        "CPU, added over the threads, hardly depends on what else the machine does, and stands beside it. Precision "
        f"that the course chooses on this CPU: {chosen}.",
        "",
    ]


def table(number: int, launches: list[dict[str, Timing]]) -> list[str]:
    """A row for each contender: its times, and how they compare with the peer's of the same launch."""
    lines = [
        f"## {SIZES[number - 1].name}",
        "",
        "| contender | ms a step | CPU ms a step | times the peer's throughput | in CPU time | aim | first step |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in launches[0]:
        clock, cpu, first = (median(column) for column in zip(*(launch[name] for launch in launches), strict=True))
        ratios = [launch[PEER].clock / launch[name].clock for launch in launches]
        in_cpu = median(launch[PEER].cpu / launch[name].cpu for launch in launches)
        aim = AIMS[name][number - 1] if name in AIMS else None
        verdict = "" if aim is None else f"{aim} {'reached' if median(ratios) >= aim else 'missed'}"
        ratio = f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        lines.append(f"| {name} | {clock:.1f} | {cpu:.1f} | {ratio} | {in_cpu:.2f} | {verdict} | {first:.1f} s |")
    return [*lines, ""]


WITHOUT_A_GPU = (
    "There was no CUDA GPU on this machine. With one, the same command adds a model of GPT-2's size: step time against "
    "transformers, utilisation, float16 with loss scaling, compilation, and the largest batch against the prediction."
)


def cuda_section(rounds: int) -> list[str]:
    """A GPT of 124 M parameters on the GPU."""
    size = GPT2_SMALL
    contenders = {
        "transformers": lambda precision: transformers_step(size, precision, device="cuda"),
        "course": lambda precision: course_step(size, precision, device="cuda"),
        "course, compiled": lambda precision: course_step(size, precision, compiled=True, device="cuda"),
    }
    lines = [
        f"## {size.name}, vocabulary {size.vocab_size:,}, on {torch.cuda.get_device_name()}",
        "",
        "| precision | contender | ms a step | tokens/s | utilisation | first step |",
        "|---|---|---|---|---|---|",
    ]
    for precision in ("bfloat16", "float16"):
        steps = {name: clocked(partial(make, precision)) for name, make in contenders.items()}
        timings = interleaved(steps, rounds)
        speed = matmul_speed(pick_device("cuda", precision))
        for name, timing in timings.items():
            per_second = size.batch * size.context / (timing.clock / 1e3)
            share = per_second * flops_per_token(size) / speed
            figures = f"{timing.clock:.1f} | {per_second:,.0f} | {share:.0%} | {timing.first:.1f} s"
            lines.append(f"| {precision} | {name} | {figures} |")
        release_memory()
    predicted, found = largest_batch(size)
    return [*lines, "", f"Largest batch that fits: {found} rows; predicted before: {predicted}.", ""]


def flops_per_token(size: Size) -> float:
    """Forward and backward: 6 for each weight of a matrix, 12 · d_model for each layer and each token looked at."""
    matrices = 12 * size.n_layers * size.d_model**2 + size.vocab_size * size.d_model
    return 6 * matrices + 6 * size.n_layers * size.d_model * size.context


def largest_batch(size: Size) -> tuple[int, int]:
    """How many rows the pre-flight predicts to fit on the GPU, and how many do."""

    def trainer(rows: int) -> Trainer:
        documents = Documents([[1] * (size.context - 1)] * rows, size.context, end_id=0)
        config = TrainConfig(steps=2, batch_size=rows, warmup_steps=1, device="cuda")
        return Trainer(GPT(size.config()), documents, documents, config)

    small, large = trainer(2).preflight(), trainer(4).preflight()
    a_row = (large.peak - small.peak) / 2
    predicted = int(4 + (large.available - large.peak) / a_row)

    def fits(rows: int) -> bool:
        try:
            course_step(replace(size, batch=rows), "bfloat16", device="cuda")()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            release_memory()
        return True

    low, high = 4, 2 * predicted
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return predicted, low


if __name__ == "__main__":
    main()
