"""Attention views in a notebook: this course's explorer beside BertViz and Inspectus, in one run, in one browser.

    python -m benchmarks.attention_views            writes benchmarks/attention_views.md
    python -m benchmarks.attention_views --rounds 1 --print

Each round measures every tool on the same random weights before the next round begins, so that a busy moment of the
machine meets all of them. A time goes from the arrays in Python to the end of the frame that shows them; it holds the
tool's own work in Python, the message over a local socket, and the work of the page. The head switch of the explorer
is measured in JupyterLab, with a real kernel behind it.
"""

import argparse
import json
import os
import platform
import statistics
import struct
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from nbformat.v4 import new_code_cell

from benchmarks import _peers
from benchmarks._machine import processor
from course_lib.files import write_atomically
from course_lib.widgets import AttentionExplorer
from tools.lab_in_browser import chromium, lab_server, open_notebook

REPORT = Path(__file__).with_suffix(".md")
MEASURING = Path(__file__).with_suffix(".js").read_text("utf-8")
MOVES, SWITCHES = 100, 12
SETTLED = 500  # milliseconds after which an empty page has nothing more to do, as a notebook that is open
PATIENCE = 20.0  # seconds for all moves, and for all switches, of one tool in one round


@dataclass(frozen=True)
class Case:
    """Weights of one size. `targets` are limits for the explorer: seconds, MB, MB of heap, nodes."""

    layers: int
    heads: int
    tokens: int
    targets: dict[str, float]

    @property
    def name(self) -> str:
        """The size in words."""
        return f"{self.layers} × {self.heads} × {self.tokens}²"

    def weights(self) -> list[np.ndarray]:
        """A softmax of random scores, (heads, query, key) in float32; the layers are shifts of one another."""
        shape = (self.heads, self.tokens, self.tokens)
        weights = np.exp(2 * np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
        weights /= weights.sum(axis=-1, keepdims=True)
        return [np.roll(weights, shift, axis=-1) for shift in range(self.layers)]


TINY = Case(2, 2, 2, {})
SMALL = Case(12, 12, 64, {"data to paint, s": 0.15})
LARGE = Case(
    12, 12, 512, {"data to paint, s": 0.3, "first message, MB": 1.2, "heap, MB": 80, "nodes": 600, "hover p95, ms": 16}
)
IN_LAB = "12 × 12 × 512² in JupyterLab"
HUGE = Case(24, 16, 1024, {"data to paint, s": 1.5})


class Tool:
    """Something that shows attention: how it is opened, and how it is used."""

    name = ""
    hover = ""  # what to move over
    opener = "openHtml"

    def __init__(self) -> None:
        self.scripts: dict[str, bytes] = {}  # served in place of a network

    def message(self, weights: list[np.ndarray], tokens: list[str]) -> bytes:
        """All that the page gets."""
        raise NotImplementedError

    def switch(self, page: Any, number: int) -> None:
        """Show another head (in BertViz's head view, another layer)."""


class Explorer(Tool):
    """The explorer of this course: output, picture and traits as Jupyter sends them."""

    name, opener, hover = "ours", "openWidget", '[data-role="focus"]'

    def message(self, weights: list[np.ndarray], tokens: list[str]) -> bytes:
        """The length of the state, the state as JSON, and its binary traits."""
        explorer = AttentionExplorer(weights, tokens)
        explorer._repr_mimebundle_()
        state, binary = {}, {}
        for name, value in explorer.get_state().items():
            is_binary = isinstance(value, bytes | memoryview)
            (binary if is_binary else state)[name] = bytes(value) if is_binary else value
        sizes = {name: len(value) for name, value in binary.items()}
        head = json.dumps({"state": state, "sizes": sizes}).encode()
        return struct.pack("<I", len(head)) + head + b"".join(binary.values())


class BertVizModelView(Tool):
    """BertViz with all heads at once."""

    name, view = "BertViz model view", "model_view"

    def __init__(self) -> None:
        super().__init__()
        self.scripts = _peers.bertviz_scripts()

    def message(self, weights: list[np.ndarray], tokens: list[str]) -> bytes:
        """HTML with the weights in it."""
        import bertviz
        import torch

        attentions = [torch.from_numpy(layer)[None] for layer in weights]
        return getattr(bertviz, self.view)(attentions, tokens, html_action="return").data.encode()


class BertVizHeadView(BertVizModelView):
    """BertViz with one layer at a time: the view that answers to the mouse."""

    name, view, hover = "BertViz head view", "head_view", "#vis g text"

    def switch(self, page: Any, number: int) -> None:
        """Choose another layer."""
        page.evaluate(
            """(number) => {
                dispatchEvent(new Event("switched"));
                $("#layer").val(number).trigger("change");
            }""",
            number,
        )


class Inspectus(Tool):
    """Inspectus' attention chart, with all its parts."""

    name, hover = "Inspectus", ".src-tokens .token"

    def __init__(self) -> None:
        super().__init__()
        self.package = _peers.inspectus()

    def message(self, weights: list[np.ndarray], tokens: list[str]) -> bytes:
        """HTML with the weights and the whole script in it."""
        stacked = np.stack(weights)
        return _peers.what_a_call_displays(lambda: self.package.attention(stacked, tokens)).encode()

    def switch(self, page: Any, number: int) -> None:
        """Take one head more into the average, or out of it."""
        page.evaluate(
            """(number) => {
                dispatchEvent(new Event("switched"));
                [...document.querySelectorAll(".dimension-values")].at(-1).querySelectorAll(".value")[number].click();
            }""",
            number,
        )


@dataclass
class Results:
    """Numbers by case, tool and what was measured; and why something was not."""

    numbers: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    missing: list[str] = field(default_factory=list)

    def add(self, case: str, tool: str, measured: dict[str, float]) -> None:
        """Put the numbers of one round to those of the others."""
        for what, number in measured.items():
            self.numbers[case, tool, what].append(number)


@contextmanager
def local_server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """An empty page and whatever is put into the dictionary, on this machine."""
    files = {"/": b"<!doctype html><meta charset='utf-8'><title>measured</title><body>"}

    class Answer(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # as Jupyter's sockets: or a message's last packet waits for a receipt

        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html" if self.path == "/" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", files
    finally:
        server.shutdown()
        server.server_close()


def measure(browser: Any, tool: Tool, case: Case, weights: list[np.ndarray]) -> dict[str, float]:
    """Open one tool on one case in a fresh page, use it, and close it again."""
    tokens = [f"word{number}" for number in range(case.tokens)]
    with local_server() as (address, files):
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(180_000)
        page.add_init_script(MEASURING)
        page.route("https://**/*", lambda route: serve(route, tool.scripts))
        page.goto(address + "/")
        if "require.min.js" in tool.scripts:  # a notebook page has it already
            page.add_script_tag(content=tool.scripts["require.min.js"].decode())
        page.wait_for_timeout(SETTLED)
        start = time.perf_counter()
        files["/message"] = tool.message(weights, tokens)
        in_python = time.perf_counter() - start
        drawn = f"bench.drawn.{tool.name.split()[0].lower()}"
        in_page = page.evaluate(f"bench.{tool.opener}('/message', {drawn})") / 1000
        measured = {
            "data to paint, s": in_python + in_page,
            "in Python, s": in_python,
            "first message, MB": len(files["/message"]) / 1e6,
        }
        files.pop("/message")
        measured["nodes"] = page.evaluate("document.body.querySelectorAll('*').length")
        measured["heap, MB"] = heap(page)
        if tool.hover:
            measured |= spread("hover", move_over(page, tool.hover))
        if type(tool).switch is not Tool.switch:
            measured |= spread("head switch", switch_heads(page, tool, case))
        page.close()
    return measured


def serve(route: Any, scripts: dict[str, bytes]) -> None:
    """Answer from the scripts at hand; nothing goes out."""
    body = scripts.get(route.request.url.rsplit("/", 1)[-1])
    if body is None:
        return route.abort()
    return route.fulfill(body=body, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})


def heap(page: Any) -> float:
    """MB that the page's scripts hold after a collection, buffers outside the heap counted too."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    return (usage["usedSize"] + usage.get("backingStorageSize", 0)) / 1e6


def move_over(page: Any, selector: str) -> list[float]:
    """Milliseconds from each of many moves of the mouse over an element to the end of its frame."""
    spots = page.locator(selector)
    spots.first.scroll_into_view_if_needed()
    boxes = [spots.nth(i).bounding_box() for i in range(min(spots.count(), 12))]
    page.mouse.move(1, 1)
    page.evaluate("bench.times.length = 0, bench.watch('pointermove')")
    end = time.monotonic() + PATIENCE
    for number in range(MOVES):
        if time.monotonic() > end:
            break
        box = boxes[number % len(boxes)]
        along = (number * 37 % 101 + 0.5) / 102
        page.mouse.move(box["x"] + along * box["width"], box["y"] + (1 - along) * box["height"])
        page.evaluate("bench.afterPaint()")
    return page.evaluate("bench.times.splice(0)")


def switch_heads(page: Any, tool: Tool, case: Case) -> list[float]:
    """Milliseconds from each of a few changes of head to the end of the frame that shows it."""
    page.evaluate("bench.times.length = 0, bench.watch('switched')")
    end = time.monotonic() + PATIENCE
    for number in range(1, min(SWITCHES, case.heads, case.layers)):
        if time.monotonic() > end:
            break
        tool.switch(page, number)
        page.evaluate("bench.afterPaint().then(bench.afterPaint)")
    return page.evaluate("bench.times.splice(0)")


def spread(name: str, times: list[float]) -> dict[str, float]:
    """Median and 95th percentile of times in milliseconds."""
    return {f"{name}, ms": statistics.median(times), f"{name} p95, ms": float(np.percentile(times, 95))}


LAB_CELLS = (
    """
import time
import numpy as np
from course_lib.widgets import AttentionExplorer

half, n = 256, 512  # heads with even numbers look at the first half of the text, the others at the second
heads = np.zeros((12, n, n), dtype=np.float32)
heads[0::2, :, :half] = 1 / half
heads[1::2, :, half:] = 1 / half
layers, tokens = [heads.copy() for _ in range(12)], [f"word{i}" for i in range(n)]
_ = AttentionExplorer([layer[:, :4, :4] * n / 8 for layer in layers], tokens[:4])._repr_mimebundle_()  # imports
""",
    """
start = time.time()
explorer = AttentionExplorer(layers, tokens)
explorer
""",
    "print(start)",
)
FAR_APART = [(0, 1), (3, 4), (6, 7), (9, 10), (1, 3), (4, 6), (7, 9), (10, 0), (2, 5), (5, 8), (8, 11), (11, 2)]


def measure_in_lab(browser: Any) -> dict[str, float]:
    """In JupyterLab with a kernel: from the start of the cell to the picture, and from a click to another head."""
    with tempfile.TemporaryDirectory() as folder, lab_server(Path(folder)) as (address, notebooks):
        cells = [new_code_cell(source) for source in LAB_CELLS]
        opened = open_notebook(browser, address, notebooks / "97_measured.ipynb", cells)
        page = opened.page
        page.evaluate(MEASURING)
        page.evaluate("bench.opened = bench.painted(bench.drawn.ours).then(() => Date.now()); undefined")
        notebook = opened.run_all()
        started = float(notebook.cells[2].outputs[0].text)
        measured = {"cell to paint, s": page.evaluate("bench.opened") / 1000 - started}
        page.evaluate("bench.watch('click', bench.anotherHead)")
        measured |= spread("from the kernel", [click_head(page, *head) for head in FAR_APART])
        measured |= spread("head switch", [click_head(page, *FAR_APART[number % 2]) for number in range(16)][2:])
        page.context.close()
    return measured


def click_head(page: Any, layer: int, head: int) -> float:
    """Milliseconds from the click on a thumbnail to the frame with that head; then a pause, as between two looks."""
    atlas = page.locator('[data-role="atlas"]')
    place = json.loads(atlas.get_attribute("data-geometry"))
    x = place["left"] + head * place["pitch"] + place["tile"] / 2
    y = place["top"] + layer * place["step"] + place["tile"] / 2
    page.evaluate("bench.times.length = 0")
    atlas.click(position={"x": x, "y": y})
    page.wait_for_function("bench.times.length > 0")
    page.wait_for_timeout(700)
    return page.evaluate("bench.times[0]")


def measure_all(rounds: int) -> Results:
    """Every tool on every case, round after round."""
    results = Results()
    tools = [Explorer()]
    for make in (BertVizModelView, BertVizHeadView, Inspectus):
        try:
            tools.append(make())
        except _peers.MissingPeerError as error:
            results.missing.append(f"{make.__name__}: {error}.")
    explorer, inspectus = tools[0], [tool for tool in tools if isinstance(tool, Inspectus)]
    plan = [(SMALL, tools), (LARGE, [explorer, *inspectus]), (HUGE, [explorer])]
    for tool in tools:  # what is imported and worked out once is no part of a round
        tool.message(TINY.weights(), ["a", "b"])
    with chromium() as browser:
        for number in range(rounds):
            for case, some in plan:
                weights = case.weights()
                for tool in some:
                    print(f"round {number + 1} of {rounds}: {case.name}, {tool.name}", flush=True)
                    results.add(case.name, tool.name, measure(browser, tool, case, weights))
            print(f"round {number + 1} of {rounds}: JupyterLab", flush=True)
            results.add(IN_LAB, explorer.name, measure_in_lab(browser))
    return results


def table(results: Results) -> str:
    """What was measured, as Markdown: median and range over the rounds, and whether a target was met."""
    tools = list(dict.fromkeys(tool for _, tool, _ in results.numbers))
    lines = ["| | " + " | ".join(tools) + " | target for ours | |", "|---|" + "---|" * (len(tools) + 2)]
    targets = {(case.name, what): limit for case in (SMALL, LARGE, HUGE) for what, limit in case.targets.items()}
    targets |= {(IN_LAB, "head switch, ms"): 16, (IN_LAB, "from the kernel, ms"): 80}
    for case, what in dict.fromkeys((case, what) for case, _, what in results.numbers):
        cells = [written(results.numbers.get((case, tool, what))) for tool in tools]
        limit = targets.get((case, what))
        ours = results.numbers.get((case, "ours", what))
        met = "" if limit is None else "met" if statistics.median(ours) <= limit else "**missed**"
        lines.append(f"| {case}: {what} | {' | '.join(cells)} | {'' if limit is None else f'≤ {limit:g}'} | {met} |")
    return "\n".join(lines)


def written(numbers: list[float] | None) -> str:
    """Median and range, with three digits."""
    if not numbers:
        return "–"
    middle, low, high = (
        f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
        for number in (statistics.median(numbers), min(numbers), max(numbers))
    )
    return middle if low == high else f"{middle} ({low}–{high})"


def load() -> str:
    """How busy the machine is."""
    return ", ".join(f"{number:.1f}" for number in os.getloadavg())


def report(results: Results, rounds: int, browser: str, before: str) -> str:
    """The page benchmarks/attention_views.md."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("bertviz", "anywidget", "jupyterlab", "numpy"))
    missing = "".join(f"\n* Not measured: {sentence}" for sentence in results.missing)
    libraries = ", ".join(package for package, _ in _peers.SCRIPTS.values())
    return f"""# Attention views in a notebook

Made by `python -m benchmarks.attention_views --rounds {rounds}` (or `make bench`). The median of {rounds} round(s) is
given, the smallest and the largest in brackets; in each round every tool is measured on the same random weights, one
after the other.

{table(results)}

* {processor()}, {os.cpu_count()} cores; processes that wanted one (averages over 1, 5 and 15 minutes): {before} at the
  start, {load()} at the end. More than {os.cpu_count()} means that times are longer than they need be, for every tool.
* Python {platform.python_version()}, {packages}, {_peers.INSPECTUS.replace("==", " ")}; Chromium {browser}, headless.
* *Data to paint*: from the arrays in Python to the end of the frame that shows them: the tool's work in Python (ours
  makes the static picture too), the message over a local socket, and the page's work. The empty page has rested for
  {SETTLED / 1000:g} s before, as a notebook that is open has. BertViz's libraries are served
  from the same machine ({libraries}); its page was written for jQuery 2.0.0.
* *Heap*: what the page's scripts hold after a garbage collection, buffers included. *Nodes*: elements in the page.
* *Hover*: from a move of the mouse to the end of the frame that answers it, over {MOVES} moves (fewer where they took
  longer than {PATIENCE:.0f} s together).
* *Head switch*: from the click to the end of the frame that shows the other head (in BertViz's head view, another
  layer). Ours is measured in JupyterLab with a real kernel: "from the kernel" is a head that the page has not seen
  before, "head switch" one that it holds.
* Not tried: BertViz at 12 × 12 × 512² (37.7 million lines) and at 24 × 16 × 1024² (403 million), and Inspectus at
  24 × 16 × 1024² (its message would be 2.1 GB).{missing}
"""


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the report beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--print", action="store_true", help="print the report and write nothing")
    options = parser.parse_args(arguments)
    with chromium() as browser:
        used = browser.version
    before = load()
    text = report(measure_all(options.rounds), options.rounds, used, before)
    if options.print:
        print(text)
    else:
        write_atomically(REPORT, text.encode())
        print(f"Wrote {REPORT}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
