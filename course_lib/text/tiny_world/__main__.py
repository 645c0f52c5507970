"""`python -m course_lib.text.tiny_world` makes the committed files again, byte for byte."""

import argparse
from pathlib import Path

from course_lib.text.tiny_world.making import write_files


def main() -> None:
    """Write the files and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.text.tiny_world", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data"), help="the data folder (default: data)")
    folder = parser.parse_args().out
    for name, content in write_files(folder).items():
        print(f"{folder / name}: {content.count(10):,} rows, {len(content):,} bytes")


if __name__ == "__main__":
    main()
