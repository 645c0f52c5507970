"""The command line of the course: what is there on this machine, and the commands that keep the lessons in order."""

import argparse
import subprocess
import sys

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
