"""A stand-in for a front end: a widget's module in a real browser, driven by a model that a test can look into."""

import base64
import json

# A model as a front end gives it to a widget. What a test has on the page: `state`, the traits as they are now; `sent`,
# what the widget set; `changed(name, value)` and `answer(name, base64)`, a new value from Python; `floats(numbers)`,
# such a value; `counts()`, how many listen to each trait; `undo()`, which closes the view. Binary
# traits arrive as DataView in Jupyter, as Uint8Array in Colab.
STAND_IN = """
import widget from "/widget.js";
const decode = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const given = await (await fetch("/state.json")).json();
const trait = (text) => {
  const bytes = decode(text);
  // Not at a multiple of four, as it may happen on the wire.
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  return given.colab ? shifted.subarray(1) : new DataView(shifted.buffer, 1);
};
const state = { ...given.values };
for (const [name, text] of Object.entries(given.binary)) state[name] = trait(text);
const listeners = {};
window.state = state;
window.sent = [];
window.changed = (name, value) => { state[name] = value; (listeners[`change:${name}`] ?? []).forEach((f) => f()); };
window.answer = (name, text) => window.changed(name, trait(text));
window.floats = (numbers) => new DataView(Float32Array.from(numbers).buffer);
const model = {
  get: (name) => state[name],
  set: (name, value) => { window.sent.push([name, value]); window.changed(name, value); },
  save_changes() {},
  on: (name, listener) => (listeners[name] ??= []).push(listener),
  off: (name, listener) => { listeners[name] = listeners[name].filter((other) => other !== listener); },
};
window.counts = () => Object.values(listeners).map((list) => list.length);
window.undo = await widget.render({ model, el: document.body.appendChild(document.createElement("div")) });
"""


def in_a_front_end(open_page, widget, *, colab=False, scheme="light", body=""):
    """The widget's module as Jupyter would load it, with a stand-in for the model."""
    values, binary = {}, {}
    for name, value in widget.get_state().items():
        if isinstance(value, (bytes, memoryview)):
            binary[name] = base64.b64encode(bytes(value)).decode()
        elif not name.startswith("_") and name not in ("layout", "tabbable", "tooltip"):
            values[name] = value
    start = '<script type="module" src="/go.js"></script>'
    html = f'<!doctype html><meta charset="utf-8"><style>{widget._css}</style><body {body}>{start}'
    script = "text/javascript"
    serve = {
        "/": (html, "text/html"),
        "/go.js": (STAND_IN, script),
        "/widget.js": (widget._esm, script),
        "/state.json": (json.dumps({"values": values, "binary": binary, "colab": colab}), "application/json"),
        "/favicon.ico": ("", "image/x-icon"),
    }
    return open_page("http://widget.test/", scheme=scheme, serve=serve)


def pixel(page, canvas, x, y):
    """The colour at a point of the n-th canvas, in CSS pixels."""
    return tuple(
        page.evaluate(
            """([n, x, y]) => {
                const canvas = document.querySelectorAll(".course-widget canvas")[n];
                const scale = canvas.width / canvas.clientWidth;
                return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data].slice(0, 3);
            }""",
            [canvas, x, y],
        )
    )
