"""A cell that is run fifty times: nothing of the earlier runs stays, in the kernel or in the page."""

import json

import pytest
from nbformat.v4 import new_code_cell

from tools.lab_in_browser import errors_of

pytestmark = pytest.mark.browser

RUNS = 50
CELLS = [
    """
import gc, json, weakref
from pathlib import Path
import numpy as np
from course_lib.widgets import AttentionExplorer

made = weakref.WeakSet()
weights = [np.random.default_rng(0).dirichlet(np.ones(64), (4, 64)).astype(np.float32) for _ in range(4)]
tokens = [f"word{i}" for i in range(64)]
""",
    """
explorer = AttentionExplorer(weights, tokens)
made.add(explorer)
gc.collect()
Path("alive.json").write_text(json.dumps(len(made)))
explorer
""",
]
MOST = 1.2  # times what the page held after ten runs; JupyterLab itself keeps a closed widget's model


def held(page):
    """Bytes of the page's scripts and buffers, and elements in memory, in the page or not."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    session.detach()
    return usage["usedSize"] + usage.get("backingStorageSize", 0), nodes


def test_fifty_runs_leave_one_explorer(lab):
    opened = lab("95_reruns.ipynb", [new_code_cell(source.strip()) for source in CELLS])
    notebook = opened.run_all()
    assert [error for cell in notebook.cells for error in errors_of(cell)] == []
    page = opened.page
    page.locator(".jp-CodeCell .cm-content").nth(1).click()
    held_after = {}
    for run in range(2, RUNS + 2):
        page.keyboard.press("Control+Enter")
        page.wait_for_function(
            """(run) =>
                document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")[1].textContent.includes(`[${run + 1}]`) &&
                document.querySelectorAll(".explorer [data-role=cell]").length === 1""",
            arg=run,
        )
        if run in (10, RUNS + 1):
            page.wait_for_timeout(500)
            held_after[run] = held(page)
    alive = json.loads((opened.path.parent / "alive.json").read_text())
    assert alive <= 5, f"{alive} explorers are alive after {RUNS} runs"  # Python's _, __ and ___ may hold three
    (heap, nodes), (heap_at_the_end, nodes_at_the_end) = held_after.values()
    assert nodes_at_the_end <= nodes + 2 * RUNS, "elements of closed explorers are still there"
    assert heap_at_the_end <= MOST * heap, f"{heap:,} bytes grew to {heap_at_the_end:,}"
    assert opened.troubles == []
