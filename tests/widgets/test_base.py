import base64
import importlib
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import traitlets
from matplotlib.figure import Figure

import course_lib.widgets as widgets
from course_lib.widgets import base
from course_lib.widgets.base import CourseWidget

FOLDER = Path(widgets.__file__).parent
FORBIDDEN = (
    r"\binnerHTML\b|\bouterHTML\b|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    r"|https?://(?!www\.w3\.org/2000/svg)"
)


@pytest.fixture
def coin(tmp_path, monkeypatch):
    """The widget of the docstring's example, written out as its two files."""
    code = re.search(r"`coin\.py`:\n\n(.*?)\n`coin\.js`:\n\n(.*?)\nThen `Coin", base.__doc__, re.DOTALL)
    for name, text in zip(("coin.py", "coin.js"), code.groups(), strict=True):
        (tmp_path / name).write_text(textwrap.dedent(text), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("coin")
    del sys.modules["coin"]


def test_the_example_in_the_docstring_works(coin):
    widget = coin.Coin(bias=0.5)
    before = np.frombuffer(widget.shares, np.float32)
    widget.bias = 1.0
    after = np.frombuffer(widget.shares, np.float32)
    assert before[-1] < 1 and after.tolist() == [1.0] * 100
    assert widget.script.startswith("const course")
    assert "slider" in widget.script  # the coin has one, so the module brings the controls
    assert widget.script.rstrip().endswith("});") and "export default course.widget" in widget.script


def test_one_output_carries_the_view_the_picture_and_the_text(coin):
    data, metadata = coin.Coin(bias=0.25)._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert data["text/plain"] == "Coin(bias=0.25)"
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "bias 0.25" in metadata["image/png"]["alt"]


def test_a_second_run_names_its_models_as_the_first_did(coin, monkeypatch):
    def models_of_a_run():
        monkeypatch.setattr(base, "_made", base.itertools.count(1))
        return [coin.Coin().model_id, coin.Coin().model_id]

    first, second = models_of_a_run(), models_of_a_run()
    assert first == second
    assert len(set(first)) == 2


def test_scripts_are_sent_as_text_and_not_as_paths(coin):
    """A path would make anywidget watch the file and keep every instance alive."""
    assert type(coin.Coin._esm) is str and type(coin.Coin._module) is str


def test_what_anywidget_imports_for_each_widget_is_short_and_named_by_the_script(coin):
    """A browser keeps every module for ever, so the script itself is imported once a page."""
    assert len(coin.Coin._esm) < 1000
    assert base.loader_of("a") != base.loader_of("b") and base.loader_of("a") == base.loader_of("a")


def test_a_widget_without_a_picture_says_so():
    class Bare(CourseWidget):
        number = traitlets.Int(1)

    with pytest.raises(NotImplementedError, match="Bare needs a static_picture"):
        Bare()._repr_mimebundle_()


def test_a_class_made_in_a_notebook_works(monkeypatch):
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    made = type("Cell", (CourseWidget,), {"__module__": "__main__", "static_picture": lambda self: (Figure(), "x")})
    assert made().describe() == "Cell()"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_no_script_writes_html_runs_text_or_names_another_host(script):
    found = re.findall(FORBIDDEN, script.read_text("utf-8"))
    assert not found, f"{script.name} uses {found}"


@pytest.mark.parametrize("sheet", sorted(FOLDER.glob("*.css")), ids=lambda path: path.name)
def test_no_style_fetches_anything(sheet):
    assert not re.search(r"@import|url\(", sheet.read_text("utf-8"))


@pytest.mark.parametrize("sheet", sorted(FOLDER.glob("*.css")), ids=lambda path: path.name)
def test_a_style_touches_nothing_but_widgets(sheet):
    """Every selector begins with a class, so that a widget cannot restyle the notebook around it."""
    rules = re.sub(r"/\*.*?\*/", "", sheet.read_text("utf-8"), flags=re.DOTALL)
    selectors = re.findall(r"(?:^|[}])\s*([^{}@]+)\{", rules)
    assert all(part.strip().startswith(".") for selector in selectors for part in selector.split(","))


def test_what_is_sent_keeps_every_text_and_loses_only_what_no_browser_reads():
    script = """/* About
   this. */
  const a = [1, 2];  // two numbers
  // a line of its own
  const b = "x = 1; // not a comment"; // it's one with a quote
  const c = (a, b) => ({ d: a ? b : 1 });
  const regular = a - -1 + +b;
  const d = a === "x = y" ? 'p , q' : `r = ${a} , t`; // a note
  return `a ${b ? `c = d` : 0} e`;
  f(/'/, "a");
"""
    lines = base.bare(script).splitlines()
    assert lines[0] == "const a=[1,2];"
    assert lines[1].startswith('const b = "x = 1; // not a comment";')
    assert lines[2] == "const c=(a,b)=>({d:a?b:1});"
    assert lines[3] == "const regular=a - -1 + +b;"
    assert lines[4] == """const d=a==="x = y"?'p , q':`r = ${a} , t`;"""
    assert lines[5] == "return `a ${b ? `c = d` : 0} e`;"  # a text in a text
    assert lines[6] == """f(/'/, "a");"""  # a quote that is no text's
    assert len(lines) == 7


def test_controls_come_only_where_a_script_takes_one():
    assert base.takes_controls("const { el, slider } = course;") and base.takes_controls("course.svg(1)")
    assert not base.takes_controls("const { el } = course; const slider = 1;")


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_a_module_with_the_shared_part_stays_small(script):
    """The script is saved once for each widget that is shown."""
    assert len(base.module_text(script)) < 57_000
