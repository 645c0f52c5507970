"""One HTML file that holds a widget: no kernel, no outside reference, and nothing in it runs but the widget itself."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically
from course_lib.widgets.base import HERE, CourseWidget, bare

PAGE_STYLE = """
body { margin: 12px; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div id="widget"></div>
<noscript><img alt="{alt}" src="data:image/png;base64,{picture}"></noscript>
<script type="application/json" id="state">{state}</script>
{binary}
<script type="module">{script}</script>
</body>
</html>
"""

BINARY = '<script type="application/octet-stream" data-trait="{name}">{data}</script>'


def write_page(
    path: Path, widget: CourseWidget, state: Mapping[str, Any], binary: Mapping[str, bytes], extra: str = ""
) -> Path:
    """Write the widget's page: its state as JSON, its binary traits in base64, its script named by a hash.

    `extra` is script that only a page of its own needs, where no kernel answers.

    The content-security policy forbids every connection, every picture that is not in the file itself, and every
    script whose hash is not the widget's own.
    """
    script = page_script(widget.script, extra)
    sheet = widget._css + PAGE_STYLE
    data, metadata = widget.picture_bundle()
    page = PAGE.format(
        policy=f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(sheet)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        title=html.escape(widget.describe()),
        style=sheet,
        alt=html.escape(metadata["image/png"]["alt"]),
        picture=data["image/png"],
        state=json_for_html(dict(state)),
        binary="\n".join(
            BINARY.format(name=name, data=base64.b64encode(data).decode()) for name, data in binary.items()
        ),
        script=script,
    )
    write_atomically(path, page.encode(errors="replace"))  # half of a surrogate pair in the title becomes "?"
    return path


def page_script(module: str, extra: str = "") -> str:
    """The widget's module with a small stand-in for the kernel after it, as one inline script."""
    start = "\nexport default "
    if module.count(start) != 1:
        raise ValueError(f"A widget's script exports exactly one default; this one has {module.count(start)}.")
    stand_in = (HERE / "page.js").read_text("utf-8")
    return "\n".join([module.replace(start, "\nconst page = "), bare(extra), bare(stand_in)])


def json_for_html(value: Any) -> str:
    """JSON that may stand inside a script element, as JSON or as JavaScript: no text in it can leave its string.

    What a file cannot hold (half of a surrogate pair) is written as an escape too.
    Raises ValueError for NaN and infinity, which JSON cannot say.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return re.sub("[<>&\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def hash_of(text: str) -> str:
    """The text's hash, as a content-security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
