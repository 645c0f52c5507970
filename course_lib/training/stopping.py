"""Being asked to stop: the stop button of a notebook, Ctrl-C, a machine about to be shut down, or a file."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

STOP_FILE = "stop"


class StopSign:
    """While it is up, an interrupt asks for an end after the current step instead of breaking the step off.

    `asked` turns True at the first interrupt (Ctrl-C, a notebook's stop button), at a call of `ask`, or when a file
    named `stop` appears in `folder`. A second interrupt breaks off at once, with KeyboardInterrupt. Where there is a
    folder, SIGTERM (a machine about to be shut down) asks too, and `leave_if_terminated` ends the program after that.
    """

    def __init__(self, folder: Path | None = None):
        self.file = folder / STOP_FILE if folder else None
        self._asked = False
        self._terminated = False
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether someone wants training to end."""
        return self._asked or (self.file is not None and self.file.exists())

    def ask(self) -> None:
        """Ask for an end after the current step."""
        self._asked = True

    def __enter__(self) -> "StopSign":
        if self.file is not None:
            self.file.unlink(missing_ok=True)  # it asked an earlier run
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            numbers = (signal.SIGINT, signal.SIGTERM) if self.file is not None else (signal.SIGINT,)
            self._before = {number: signal.signal(number, self._on_signal) for number in numbers}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def leave_if_terminated(self) -> None:
        """End the program, as SIGTERM asked, now that everything is saved."""
        if self._terminated:
            sys.exit(128 + signal.SIGTERM)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._terminated = self._terminated or number == signal.SIGTERM
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
