"""What every test shares: two threads (one where tests run side by side), and property tests that draw the same
examples each time.

Shapes and types are checked while the tests run: `addopts` in pyproject.toml gives `course_lib` to jaxtyping's
import hook, so a tensor of the wrong shape fails at the call that passed it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as course_lib.notebook.start does, and why
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "course", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("course")


@pytest.fixture
def shapes_unchecked(monkeypatch):
    """Turn the checks of shapes and types off, to see the errors that a learner gets: they work without them."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
