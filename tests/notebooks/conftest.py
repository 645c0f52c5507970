"""The table at the end of the run: what each lesson took."""

import pytest

SECONDS, MEBIBYTES = 90, 2048  # the limits of one lesson
AVERAGE_SECONDS = 45
TAKEN = pytest.StashKey[dict[str, tuple[float, float]]]()


@pytest.fixture(scope="session")
def taken(request: pytest.FixtureRequest) -> dict[str, tuple[float, float]]:
    """Seconds and mebibytes of each lesson that ran, by file name."""
    return request.config.stash.setdefault(TAKEN, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash.get(TAKEN, {})
    if not rows:
        return
    terminalreporter.section("lessons")
    terminalreporter.write_line(f"{'lesson':44s} {'seconds':>8s} of {SECONDS} {'MiB':>8s} of {MEBIBYTES}")
    for name, (seconds, mebibytes) in sorted(rows.items()):
        terminalreporter.write_line(f"{name:44s} {seconds:8.1f} {mebibytes:14.0f}")
    average = sum(seconds for seconds, _ in rows.values()) / len(rows)
    terminalreporter.write_line(f"{'average':44s} {average:8.1f}")
