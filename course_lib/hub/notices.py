"""What `transformers` has to say, on the lesson's page: its warnings as plain text, and no progress bars."""

import logging
import re
import textwrap

ANSI = re.compile(r"\x1b\[[0-9;]*m")
WIDTH = 110  # characters; what a notebook's output shows without a scroll bar


def notices_on_the_page() -> None:
    """From now on, print the warnings of `transformers` in the cell that causes them; switch progress bars off.

    By default they go to the error stream, in colours and among progress bars, where nobody reads them.
    """
    import datasets
    from transformers.utils import logging as theirs

    theirs.disable_progress_bar()
    datasets.disable_progress_bars()
    theirs.disable_default_handler()
    logger = theirs.get_logger("transformers")
    for handler in [handler for handler in logger.handlers if isinstance(handler, OnThePage)]:
        logger.removeHandler(handler)
    logger.addHandler(OnThePage())


class OnThePage(logging.Handler):
    """Prints what is logged, without colours, in lines that fit."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        print(plain(record.getMessage()))


def plain(message: str) -> str:
    """A message without colours and trailing blanks: long lines wrapped, the rows of a table in order.

    (A report on weights lists them as they come out of a set, so that no two runs agree.)
    """
    lines = [line.rstrip() for line in ANSI.sub("", message).expandtabs(4).splitlines()]
    begin = next((number + 1 for number, line in enumerate(lines) if line.startswith("---")), 0)
    end = next((number for number in range(begin, len(lines)) if " | " not in lines[number]), len(lines))
    lines[begin:end] = sorted(lines[begin:end]) if begin else lines[begin:end]
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False) if len(line) > WIDTH else line
        for line in lines
    )
