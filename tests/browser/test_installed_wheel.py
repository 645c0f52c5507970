"""The explorer from an installed wheel: script and style are inside, and its page works with no checkout near."""

import os
import subprocess
import sys

import pytest

from course_lib.lesson_files import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PROGRAM = """
import sys
from pathlib import Path

import numpy as np

import course_lib
from course_lib.widgets import AttentionExplorer

target, page = map(Path, sys.argv[1:])
assert Path(course_lib.__file__).is_relative_to(target), course_lib.__file__
assert "course.widget(" in AttentionExplorer._module and ".explorer" in AttentionExplorer._css
weights = np.eye(3, dtype=np.float32)[None]
explorer = AttentionExplorer([weights, weights], ["a", "b", "c"])
assert explorer._repr_mimebundle_()[0]["image/png"]
explorer.to_html(page)
"""


def test_the_explorer_of_an_installed_wheel_works(tmp_path, open_page):
    sources, target, page = (tmp_path / name for name in ("sources", "installed", "page.html"))
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):  # a copy, so that nothing is built in the checkout
        if (name.startswith("course_lib/") or "/" not in name or name == "data/manifest.json") and (
            ROOT / name
        ).exists():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            (sources / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target]
    subprocess.run([*pip, sources], check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}
    run = [sys.executable, "-c", PROGRAM, target, page]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    shown = open_page(page.as_uri())
    assert shown.locator('[data-role="focus-title"]').text_content() == "Layer 0, head 0"
    assert "weight 1.0000" in shown.locator('[data-role="cell"]').text_content()
