"""The base of every widget in the course: script and style as text, theme, a static picture in the same output.

How to write a widget
=====================

Three files beside each other, no build step: `coin.py`, `coin.js`, and `coin.css` if it needs one.
The Python side holds the numbers and computes; the page draws and asks.

`coin.py`:

    import numpy as np
    import traitlets
    from matplotlib.figure import Figure
    from course_lib import plots
    from course_lib.widgets.base import CourseWidget

    class Coin(CourseWidget):
        "Toss a coin with a chosen bias, and watch the share of heads."

        label = "Coin tosses"                                        # the name a screen reader says
        bias = traitlets.Float(0.5).tag(sync=True)                   # the page sets it
        shares = traitlets.Bytes(b"").tag(sync=True)                 # float32 numbers; large things travel as bytes

        @traitlets.observe("bias")                                   # runs in the kernel when the page moves the slider
        def _toss(self, change: object = None) -> None:
            tosses = np.random.default_rng(0).random(100) < self.bias
            self.shares = (tosses.cumsum() / np.arange(1, 101)).astype(np.float32).tobytes()

        def __init__(self, bias: float = 0.5) -> None:
            super().__init__(bias=bias)
            self._toss()

        def static_picture(self) -> tuple[Figure, str]:
            figure = Figure(figsize=(5, 2.5))
            figure.subplots().plot(np.frombuffer(self.shares, np.float32))
            return figure, f"The share of heads over 100 tosses of a coin with bias {self.bias}."

        def describe(self) -> str:
            return f"Coin(bias={self.bias})"

`coin.js`:

    export default course.widget(({ root, get, set, on, floats, live }) => {
      const { el, slider, canvas, theme } = course;
      const picture = canvas(300, 120, (ctx, width, height) => {     // CSS pixels; sharp on dense screens
        const shares = floats("shares");                             // Float32Array, in every front end
        ctx.strokeStyle = theme.color("blue");
        ctx.beginPath();
        shares.forEach((share, i) => ctx.lineTo((i / shares.length) * width, (1 - share) * height));
        ctx.stroke();
      });
      root.append(
        slider("bias", 0, 1, 0.05, get("bias"), (value) => set("bias", value)),
        picture.element,
      );
      on("shares", () => {
        picture.redraw();
        live(`bias ${get("bias")}: the share of heads ends at ${floats("shares").at(-1).toFixed(2)}`);
      });
    });

Then `Coin()` as the last line of a cell shows it. What `course` and the argument of `course.widget` offer is listed
at the top of `shared.js` and `shared_controls.js`. Text reaches the page only through `el`, `textContent` and
`fillText`, never as HTML, so a token such as `<img onerror=…>` is shown as the text that it is. Work that takes longer
than a moment in the kernel answers a request trait that carries a sequence number, so that the page can drop answers
it no longer waits for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from course_lib.plots import png_bundle, style
from course_lib.widgets.reruns import showing

HERE = Path(__file__).parent
_made = itertools.count(1)

# A browser never lets go of a module, and anywidget imports one for each widget. So what it imports is these few lines;
# the script itself travels as a trait and is imported once a page, whatever kernel it comes from: its hash is its name.
LOADER = """
const kept = (globalThis.courseModules ??= {});
async function load(script) {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } catch (error) {
    delete kept.NAME;
    throw error;
  } finally {
    URL.revokeObjectURL(url);
  }
}
export default { async render(view) { return (await (kept.NAME ??= load(view.model.get("script")))).render(view); } };
"""


class CourseWidget(anywidget.AnyWidget):
    """A widget with a static picture and a useful text in the same output as its live view.

    A subclass gives `label`, its traits, `static_picture` and `describe`; the script and the style are read from the
    `.js` and `.css` files beside its module. The class docstring says how to use it; the module's, how to write one.
    """

    label: ClassVar[str] = "Widget"
    _module: ClassVar[str] = ""  # the script of the class, as one ES module
    script = traitlets.Unicode("").tag(sync=True)
    accessible_name = traitlets.Unicode("").tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Read the subclass's script and style as text (a path would keep every instance alive)."""
        module = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or "notebook.py")
        script = module.with_suffix(".js")
        # ipywidgets makes a subclass of its own for each instance, which brings its traits with it.
        if "_esm" not in cls.__dict__ and script.exists():
            cls._module, cls._css = module_text(script), style_text(script.with_suffix(".css"))
            cls._esm = loader_of(cls._module)
        super().__init_subclass__(**kwargs)

    def __init__(self, **traits: Any) -> None:
        # The output names the widget's model. A name by order of making, not at random, keeps a notebook that is run
        # again from top to bottom the same.
        model_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{type(self).__name__} {next(_made)}").hex
        super().__init__(model_id=model_id, accessible_name=self.label, script=self._module, **traits)

    def static_picture(self) -> tuple[Figure, str]:
        """A figure of what the widget shows at first, and its alt text: what is seen where no kernel runs."""
        raise NotImplementedError(f"{type(self).__name__} needs a static_picture().")

    def picture_bundle(self) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """The static picture as a notebook output: (data, metadata)."""
        style()
        figure, alt = self.static_picture()
        bundle = png_bundle(figure, alt)
        plt.close(figure)
        return bundle

    def describe(self) -> str:
        """One line of text that says what this widget holds."""
        return f"{type(self).__name__}()"

    def __repr__(self) -> str:
        return self.describe()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live view, the static picture and the text, as one output."""
        if self.comm is None:  # closed because its cell was run again, and now shown once more
            self.layout.open()
            self.open()
        showing(self)
        view, view_metadata = super()._repr_mimebundle_(**kwargs)
        picture, metadata = self.picture_bundle()
        return {**view, **picture, "text/plain": self.describe()}, {**view_metadata, **metadata}


def loader_of(module: str) -> str:
    """The few lines that anywidget imports for each widget: they import the module itself once a page."""
    return LOADER.replace("NAME", "m" + hashlib.sha256(module.encode()).hexdigest()[:16])


def module_text(script: Path) -> str:
    """One ES module: what all widgets share, sliders and tables where the script takes one, then the script itself.

    Comments and indentation stay at home: the module is saved once for each widget shown.
    """
    own = script.read_text("utf-8")
    shared = [HERE / "shared.js"] + [HERE / "shared_controls.js"] * takes_controls(own)
    text = "\n".join(bare(text) for text in (*(path.read_text("utf-8") for path in shared), own))
    return in_ascii(text)


def in_ascii(script: str) -> str:
    """The script with other characters as escapes (they stand in texts only): a browser keeps it in half the memory."""
    return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], script)


def takes_controls(script: str) -> bool:
    """Whether a script names one of the helpers of `shared_controls.js`."""
    helpers = re.search(r"  return \{ (.*?) \};\n", (HERE / "shared_controls.js").read_text("utf-8"))[1].split(", ")
    taken = " ".join(" ".join(found) for found in re.findall(r"const \{([^}]*)\} = course;|\bcourse\.(\w+)", script))
    return not set(helpers).isdisjoint(re.findall(r"\w+", taken))


def bare(script: str) -> str:
    """The script without comments, empty lines, indentation, and the spaces around signs; no text in it changes."""
    without = re.sub(r"^ */\*.*?\*/ *\n", "", script, flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for line in without.splitlines()]
    return "\n".join(tight(line) for line in lines if line and not line.startswith("//")) + "\n"


TEXTS = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)""")


def tight(line: str) -> str:
    """A line of script without its comment and the spaces around signs, except within texts.

    A line with texts within texts, or with a quote that is no text's, stays as it is.
    """
    code = re.sub(r" +// [^\"'`]*$", "", line)
    parts = TEXTS.split(code)  # code and texts in turn
    if code.count("`") > 2 or re.search(r"[\"'`]", "".join(parts[::2])):
        return code
    parts[::2] = [re.sub(r" *([=,:;{}()<>?&|*]+) *", r"\1", part) for part in parts[::2]]
    return "".join(parts)


def style_text(sheet: Path) -> str:
    """The style all widgets share, then the widget's own, if it has one."""
    own = sheet.read_text("utf-8") if sheet.exists() else ""
    return (HERE / "shared.css").read_text("utf-8") + "\n" + own
