"""The command line of the course: what is there on this machine, and the commands that keep the lessons in order."""

import argparse
import subprocess
import sys
import warnings

from course_lib.train_command import add_options as add_train_options
from course_lib.train_command import train_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError, MemoryError) as error:
        print(f"course: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="course", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    doctor = commands.add_parser("doctor", help="say what is there and what is missing, and what mends it")
    doctor.set_defaults(run=_doctor)

    notebooks = commands.add_parser("notebooks", help="run lessons and write them back with their outputs")
    notebooks.add_argument("lessons", nargs="*", help='numbers such as "02" (all without one), or files')
    notebooks.add_argument("--check", action="store_true", help="write nothing; fail when a text output changed")
    notebooks.add_argument("--fresh", action="store_true", help="measure again what cells tagged `varies` recorded")
    notebooks.set_defaults(run=_notebooks)

    address = commands.add_parser("address", help="write the repository's address into links and set-up cells")
    address.add_argument("url", nargs="?", help="a new address, https://github.com/owner/name")
    address.set_defaults(run=_address)

    bench = commands.add_parser("bench", help="measure speed and memory")
    bench.add_argument("programs", nargs="*", help="names of files in benchmarks/ (all without one)")
    bench.set_defaults(run=_bench)

    sample = commands.add_parser("sample", help="let a model continue a text")
    sample.add_argument("model", help="a folder with a model, or the name of one of the course's own")
    sample.add_argument("prompt", nargs="?", default="", help="the text to continue (a new document without one)")
    sample.add_argument("--tokens", type=int, default=200, help="how many tokens to add at most (200)")
    sample.add_argument("--temperature", type=float, default=0.8, help="0 always takes the likeliest token (0.8)")
    sample.add_argument("--top-k", type=int, help="draw from the k likeliest tokens")
    sample.add_argument("--top-p", type=float, help="draw from the fewest tokens that add up to this probability")
    sample.add_argument("--min-p", type=float, help="draw from tokens at least this share of the likeliest one's")
    sample.add_argument("--repetition-penalty", type=float, default=1.0, help="above 1 avoids what was said (1)")
    sample.add_argument("--stop", action="append", default=[], help="a text that ends it; may be given several times")
    sample.add_argument("--seed", type=int, help="the same seed gives the same text")
    sample.add_argument("--int8", action="store_true", help="8-bit weights: faster, nearly the same text")
    sample.add_argument("--compile", action="store_true", help="compile the step: a slow start, faster on long texts")
    sample.set_defaults(run=_sample)

    explore = commands.add_parser("explore", help="write a page that shows what a model attends to in a text")
    explore.add_argument("text", help="what the model reads")
    explore.add_argument("--model", required=True, help="a folder with a model, or the name of one of the course's own")
    explore.add_argument("-o", "--output", default="attention.html", help="the page to write (attention.html)")
    explore.set_defaults(run=_explore)

    train = commands.add_parser("train", help="train a GPT on a corpus; stop and resume as you like")
    add_train_options(train)
    train.set_defaults(run=train_command)
    return parser


def _doctor(_: argparse.Namespace) -> int:
    from course_lib.doctor import examine, report

    findings = examine()
    print(report(findings))
    return int(any(finding.state == "missing" for finding in findings))


def _notebooks(options: argparse.Namespace) -> int:
    from course_lib.execution import run_lessons

    return run_lessons(options.lessons, check=options.check, fresh=options.fresh)


def _address(options: argparse.Namespace) -> int:
    from course_lib.setup_cell import read_address, rewrite_all

    changed = rewrite_all(options.url)
    print(f"The address is {read_address()}; files that changed: {len(changed)}.")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from course_lib.lesson_files import ROOT

    programs = {program.stem: program for program in sorted((ROOT / "benchmarks").glob("[a-z]*.py"))}
    if not programs:
        print("There is nothing to measure yet: benchmarks/ is empty.")
    unknown = set(options.programs) - set(programs)
    if unknown:
        raise ValueError(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(programs)}.")
    chosen = [programs[name] for name in options.programs] or programs.values()
    return max(
        (subprocess.call([sys.executable, "-m", f"benchmarks.{one.stem}"], cwd=ROOT) for one in chosen), default=0
    )


def _sample(options: argparse.Namespace) -> int:
    import torch

    from course_lib.generation import Compiled, stream_text
    from course_lib.hub import load_model
    from course_lib.nn.int8 import quantize_int8

    model, tokenizer = load_model(options.model)
    if tokenizer is None:
        raise ValueError(f"{options.model} holds no tokenizer.json, so there is no text: save it with its tokenizer.")
    if options.int8:
        model = quantize_int8(model)
    if options.compile:
        model = Compiled(model)
    generator = torch.Generator()
    generator.manual_seed(options.seed) if options.seed is not None else generator.seed()
    pieces = stream_text(
        model,
        tokenizer,
        options.prompt,
        options.tokens,
        stop=options.stop,
        generator=generator,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
    )
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"\n[{message}]", file=sys.stderr)
        print(options.prompt, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
    print()
    return 0


def _explore(options: argparse.Namespace) -> int:
    from course_lib.widgets.explore import write_explorer

    path, explorer = write_explorer(options.text, options.model, options.output)
    print(explorer.describe())
    for note in explorer.reading.notes:
        print(note)
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
