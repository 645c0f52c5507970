"""Sampling at batch 1 against transformers' `generate` with its cache: float32 and int8 weights, interleaved.

    python -m benchmarks.sampling_speed [--launches 5] [--rounds 3] [--threads 1 2] [--only small]

Each precision is measured with steps as they are written and with compiled ones, and so is transformers, whose static
cache is made for compiling. Compiling is timed apart.

Writes `sampling_speed.md` beside this file, and what was measured into `sampling_speed.json`, where `--only` replaces
one part and leaves the others. Both sides have the same random weights, draw from the whole vocabulary at
temperature 1 and keep keys and values. Each is run on one thread and on as many as torch takes by itself, and the
faster of the two counts. Each contender has a process of its own, started anew for each launch, since it may find other
memory then; rounds alternate, so that whatever else the machine does falls on all.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
from torch import nn

from benchmarks._machine import processor
from benchmarks._processes import own_processes
from benchmarks._steps import seconds
from course_lib.files import write_atomically
from course_lib.generation import Compiled, generate
from course_lib.generation.decoder import SHARED_FROM
from course_lib.generation.text import document_start
from course_lib.hub import load_model, to_huggingface
from course_lib.hub.folder import shipped_models
from course_lib.models.counting import count_parameters
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.sizes import named_config
from course_lib.nn.int8 import quantize_int8
from course_lib.text import load_corpus

REPORT = Path(__file__).with_suffix(".md")
MEASURED = REPORT.with_suffix(".json")
AIMS = {"float32": 1.3, "int8": 4.0}
COMPILED = ", compiled"
CONTENDERS = [name + how for name in ("transformers", *AIMS) for how in ("", COMPILED)]
CORPUS_OF = {"story_gpt": "tiny_world", "code_gpt": "python_source"}


@dataclass
class Task:
    """A model and how many tokens it makes."""

    name: str
    config: GPTConfig
    tokens: int


TASKS = {
    "small": Task("6 layers × 384, 256 of context", GPTConfig(65, 256, 384, 6, 6), 255),
    "gpt2": Task("GPT-2 small, 12 layers × 768", named_config("gpt2"), 64),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launches", type=int, default=5, help="how often all contenders are started anew")
    parser.add_argument("--rounds", type=int, default=3, help="texts of each contender in one launch")
    parser.add_argument("--threads", type=int, nargs="*", help="numbers of threads (1, and torch's own choice)")
    parser.add_argument("--only", choices=[*TASKS, "perplexity"], help="one part; the others stay")
    options = parser.parse_args(arguments)
    measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    for part in [options.only] if options.only else [*TASKS, "perplexity"]:
        if part == "perplexity":
            measured[part] = {"lines": perplexities()}
        else:
            threads = options.threads or sorted({1, torch.get_num_threads()})
            times = measure(TASKS[part], options.launches, options.rounds, threads)
            measured[part] = {"times": times, "load": os.getloadavg()[0]}
        write_atomically(MEASURED, (json.dumps(measured) + "\n").encode())
    lines = heading()
    for part in [name for name in (*TASKS, "perplexity") if name in measured]:
        lines += measured[part]["lines"] if part == "perplexity" else table(TASKS[part], **measured[part])
    write_atomically(REPORT, "\n".join([*lines, ""]).encode())
    print(REPORT.read_text(encoding="utf-8"))


Times = dict[str, dict[str, dict[str, list[float]]]]
"""Contender → number of threads → "wall" and "cpu" → milliseconds per token of each round of each launch.

And "first" → the seconds of the first text of each launch, compiling included.
"""


def measure(task: Task, launches: int, rounds: int, numbers: list[int]) -> Times:
    """Milliseconds per token, of the clock and of the CPU, for each contender and number of threads."""
    expected = writer("transformers", task)(12, temperature=0.0)
    assert all(
        torch.equal(writer(name, task)(12, temperature=0.0), expected) for name in ("float32", "float32" + COMPILED)
    )
    makers = {name: partial(sampler, name, task) for name in CONTENDERS}
    times = {name: {str(n): {"wall": [], "cpu": [], "first": []} for n in numbers} for name in makers}
    with tempfile.TemporaryDirectory() as nothing_yet, patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=nothing_yet):
        for _ in range(launches):
            with own_processes(makers) as contenders:
                for turn in range(rounds + 1):  # the first fills caches, packs weights and compiles
                    for threads, (name, run) in product(numbers, contenders.items()):
                        wall, cpu = run(threads)
                        measured = times[name][str(threads)]
                        if not turn:
                            measured["first"].append(wall)
                            continue
                        measured["wall"].append(1e3 * wall / task.tokens)
                        measured["cpu"].append(1e3 * cpu / task.tokens)
    return times


def sampler(name: str, task: Task) -> Callable[[int], tuple[float, float]]:
    """How long a contender takes for its tokens on so many threads, in seconds: by the clock and of the CPU."""
    write = writer(name, task)

    def run(threads: int) -> tuple[float, float]:
        torch.set_num_threads(threads)
        return seconds(partial(write, task.tokens, temperature=1.0))

    return run


def writer(name: str, task: Task) -> Callable[..., torch.Tensor]:
    """What continues a text by so many tokens at a temperature: a contender with the weights of seed 0."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    model = GPT(task.config).eval()
    start = torch.zeros(1, 1, dtype=torch.long)
    compiled = name.endswith(COMPILED)
    if not name.startswith("transformers"):
        model = quantize_int8(model) if name.startswith("int8") else model
        return partial(generate, Compiled(model) if compiled else model, start)
    theirs = to_huggingface(model)

    def write(tokens: int, *, temperature: float) -> torch.Tensor:
        drawn = {"do_sample": True, "top_k": 0, "temperature": temperature} if temperature else {"do_sample": False}
        rest = {"attention_mask": torch.ones_like(start), "pad_token_id": 0, "eos_token_id": None, "use_cache": True}
        if compiled:
            rest |= {"cache_implementation": "static", "compile_config": compile_anywhere()}
        return theirs.generate(start, max_new_tokens=tokens, **drawn, **rest)

    return write


def compile_anywhere() -> transformers.CompileConfig:
    """transformers compiles on accelerators by itself, elsewhere only with this switch."""
    config = transformers.CompileConfig(mode=None, fullgraph=True)
    config._compile_all_devices = True
    return config


def table(task: Task, times: Times, load: float) -> list[str]:
    rounds = len(next(iter(times["transformers"].values()))["wall"])
    count = count_parameters(task.config).total
    lines = [
        f"## {task.name}: {count / 1e6:.1f} M parameters, {task.tokens} tokens",
        "",
        "| | threads | ms per token | of it CPU | times the speed of transformers as it is |",
        "|---|---|---|---|---|",
    ]
    best = {name: min(runs, key=lambda n: statistics.median(runs[n]["wall"])) for name, runs in times.items()}
    ratios = {
        name: [
            theirs / ours
            for theirs, ours in zip(
                times["transformers"][best["transformers"]]["wall"], runs[best[name]]["wall"], strict=True
            )
        ]
        for name, runs in times.items()
    }
    for name, runs in times.items():
        for threads, run in sorted(runs.items()):
            counted = threads == best[name]
            ratio = spread(ratios[name], "×") if counted and name != "transformers" else ""
            lines.append(
                f"| {name} | {threads} | {spread(run['wall'])} | {statistics.median(run['cpu']):.2f} | {ratio} |"
            )
    lines += ["", f"{rounds} rounds over all launches; load of the machine when they ended: {load:.1f}.", ""]
    for precision, aim in AIMS.items():
        for name in (precision, precision + COMPILED):
            reached = statistics.median(ratios[name])
            verdict = "met" if reached >= aim else "**missed**"
            lines.append(f"* {name}: {reached:.2f} × (aim: at least {aim}: {verdict}).")
    slowest = {name: max(runs[best[name]]["first"]) for name, runs in times.items() if name.endswith(COMPILED)}
    lines += [
        "",
        "The first text, with nothing compiled before: "
        + "; ".join(f"{n} {s:.0f} s" for n, s in slowest.items())
        + ".",
    ]
    return [*lines, ""]


def perplexities() -> list[str]:
    """What 8-bit weights cost: the perplexity of the course's own trained models, on validation text."""
    names = [name for name in CORPUS_OF if name in shipped_models()]
    if not names:
        return ["No trained model is in `data/models`, so the change in perplexity was not measured."]
    lines = [
        "## What int8 costs",
        "",
        "Perplexity per token of the course's trained models on validation text, the same windows for both.",
        "",
        "| model | tokens | float32 | int8 | change |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        model, tokenizer = load_model(name)
        texts = load_corpus(CORPUS_OF[name]).validation[:200]
        rows = windows([document_start(tokenizer, text) for text in texts], model.config.context_length)
        before, after = perplexity(model, rows), perplexity(quantize_int8(model), rows)
        tokens = sum(row.shape[1] - 1 for row in rows)
        lines.append(f"| {name} | {tokens:,} | {before:.4f} | {after:.4f} | {100 * (after / before - 1):+.2f} % |")
    return lines


def windows(texts: list[list[int]], length: int) -> list[torch.Tensor]:
    """The first window of each text, at most 60 of them."""
    return [torch.tensor([text[: length + 1]]) for text in texts if len(text) > 2][:60]


@torch.inference_mode()
def perplexity(model: nn.Module, rows: list[torch.Tensor]) -> float:
    """exp of the mean loss over all predictions."""
    losses = [(model(row[:, :-1], row[:, 1:]).loss.item(), row.shape[1] - 1) for row in rows]
    return torch.tensor(sum(loss * n for loss, n in losses) / sum(n for _, n in losses)).exp().item()


def heading() -> list[str]:
    return [
        "# Sampling at batch 1 against transformers",
        "",
        "    python -m benchmarks.sampling_speed",
        "",
        "The contenders in turn, each in a process of its own, which is started anew several times; median "
        "milliseconds per token, and the range of the rounds. Same random weights on both sides (the first greedy "
        "tokens are checked to agree), temperature 1, whole vocabulary, keys and values kept. Of the numbers of "
        "threads the faster counts; this library uses one, whatever is set, for a model without a matrix of "
        f"{SHARED_FROM:,} numbers. Compiled: `Compiled(model)` here, a static cache and `CompileConfig` there.",
        "",
        f"Machine: {processor()}, {os.cpu_count()} logical cores, {platform.system()}; Python "
        f"{platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}.",
        "",
    ]


def spread(values: list[float], unit: str = "") -> str:
    unit = f" {unit}" if unit else ""
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
