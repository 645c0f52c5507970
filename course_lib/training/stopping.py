"""Being asked to stop: the stop button of a notebook, Ctrl-C, a machine about to be shut down, or a file."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))
STOP_FILE = "stop"


class StopSign:
    """While it is up, an interrupt asks for an end after the current step instead of breaking the step off.

    `asked` turns True at the first interrupt (Ctrl-C, a notebook's stop button, SIGTERM), at a call of `ask`, or when a
    file named `stop` appears in `folder`. A second interrupt breaks off at once, with KeyboardInterrupt.
    """

    def __init__(self, folder: Path | None = None):
        self.file = folder / STOP_FILE if folder else None
        self._asked = False
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
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
