"""The command line of the course: `course doctor`, and the commands that keep the lessons in order."""

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="course", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    notebooks = commands.add_parser("notebooks", help="run lessons and write them back with their outputs")
    notebooks.add_argument("lessons", nargs="*", help='numbers such as "02" (all without one), or files')
    notebooks.add_argument("--check", action="store_true", help="write nothing; fail when a text output changed")
    notebooks.add_argument("--fresh", action="store_true", help="measure again what cells tagged `varies` recorded")

    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"course: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.command == "notebooks":
        from course_lib.execution import run_lessons

        return run_lessons(options.lessons, check=options.check, fresh=options.fresh)
    raise ValueError(f"unknown command {options.command!r}")


if __name__ == "__main__":
    sys.exit(main())
