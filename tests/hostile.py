"""Texts that try to be more than text: what a token or a title may hold, and nothing on a page may act on.

Each text that could run calls `PROOF` or asks for something from `ELSEWHERE`; a page that shows it is safe when
`stolen` stays undefined, no dialog opens, and nothing asks for another address. Used by tests/widgets and
tests/browser on every way in which the course shows a reader's text.
"""

import re
import unicodedata

ELSEWHERE = "https://elsewhere.test"
PROOF = "window.stolen=1"
RUN = f"<script>{PROOF}</script>"

# Text that leaves its place in the page's source: out of a script, an attribute, a comment, a template, a string.
MARKUP = {
    "script": RUN,
    "script end": f"</script>{RUN}",
    "script end in capitals": f"</SCRIPT ><SCRIPT>{PROOF}</SCRIPT>",
    "script end with a line break": f"</script\n>{RUN}",
    "script end that is not finished": "</script",
    "script from elsewhere": f"<script src={ELSEWHERE}/x.js></script>",
    "module from elsewhere": f"<script type=module>import '{ELSEWHERE}/x.js'</script>",
    "comment that opens": "<!--<script>",
    "comment that ends": f"-->{RUN}<!--",
    "comment that ends with !": f"--!>{RUN}",
    "style end": f"</style>{RUN}",
    "title end": f"</title>{RUN}",
    "textarea end": f"</textarea>{RUN}",
    "noscript end": f'</noscript><img src=x onerror="{PROOF}">',
    "noscript in an attribute": f'<noscript><p title="</noscript><img src=x onerror={PROOF}>">',
    "xmp, iframe and noembed ends": f"</xmp></iframe></noembed></noframes>{RUN}",
    "CDATA": f"<![CDATA[{RUN}]]>",
    "CDATA end": f"]]>{RUN}",
    "processing instruction": f"<?xml-stylesheet href='{ELSEWHERE}/x'?>{RUN}",
    "doctype": f"<!DOCTYPE html [<!ENTITY x SYSTEM '{ELSEWHERE}/x'>]>&x;",
    "image that fails": f'<img src=x onerror="{PROOF}">',
    "image that fails, no quotes or spaces": f"<img/src/onerror={PROOF}>",
    "image from elsewhere": f"<img src={ELSEWHERE}/pixel.png>",
    "image set from elsewhere": f"<img srcset='{ELSEWHERE}/pixel.png 1x'>",
    "double quote": f'" onmouseover="{PROOF}" autofocus onfocus="{PROOF}',
    "single quote": f"' onmouseover='{PROOF}' autofocus onfocus='{PROOF}",
    "back quote": f"`onmouseover={PROOF}//",
    "quote and tag end": f'"><svg onload="{PROOF}">',
    "SVG": f"<svg><script>{PROOF}</script></svg>",
    "SVG that loads": f"<svg/onload={PROOF}>",
    "SVG animation": f"<svg><animate onbegin={PROOF} attributeName=x dur=1s>",
    "SVG use from elsewhere": f"<svg><use href='{ELSEWHERE}/x.svg#x'/></svg>",
    "SVG foreign object": f"<svg><foreignObject><body onload={PROOF}></foreignObject></svg>",
    "SVG end": f"</text></svg><img src=x onerror={PROOF}>",
    "MathML": f"<math><mtext><table><mglyph><style><img src=x onerror={PROOF}>",
    "MathML link": f"<math href='javascript:{PROOF}'>x</math>",
    "link that runs": f"<a href='javascript:{PROOF}'>x</a>",
    "javascript:": f"javascript:{PROOF}//",
    "data: page": f"data:text/html,{RUN}",
    "iframe": f"<iframe srcdoc='{RUN}'></iframe>",
    "iframe that runs": f"<iframe src=javascript:parent.{PROOF}>",
    "object": f"<object data='data:text/html,{RUN}'></object>",
    "base address": f"<base href={ELSEWHERE}/>",
    "refresh": f"<meta http-equiv=refresh content='0;url={ELSEWHERE}/'>",
    "style sheet from elsewhere": f"<link rel=stylesheet href={ELSEWHERE}/x.css>",
    "style import": f"<style>@import '{ELSEWHERE}/x.css';</style>",
    "style attribute": f"x;background:url({ELSEWHERE}/x.png)",
    "form": f"<form action={ELSEWHERE}><input autofocus onfocus={PROOF}>",
    "details": f"<details open ontoggle={PROOF}>",
    "video": f"<video><source onerror={PROOF}></video>",
    "custom element": f"<x-x onfocus={PROOF} tabindex=0 autofocus>",
    "tag with a NUL": f"<scr\0ipt>{PROOF}</scr\0ipt>",
    "tag in wide letters": f"＜script＞{PROOF}＜/script＞",
    "entities": f"&lt;script&gt;{PROOF}&lt;/script&gt;",
    "entities without an end": "&lt&gt&amp&#60&#x3c",
    "entity that is no character": "&#0;&#xD800;&#x110000;&notin;",
    "JSON end": f'"]}};{PROOF};//',
    "JavaScript string end": f"';{PROOF};'",
    "JavaScript escapes": f"\\u003cscript\\u003e{PROOF}\\x3c/script\\x3e",
    "backslash at the end": "\\",
    "backslash and quote": f'\\";{PROOF}//',
    "template braces": "{{constructor.constructor('window.stolen=1')()}}",
    "template literal": f"${{{PROOF}}}`${{{PROOF}}}",
    "template percent": f"<% {PROOF} %><?php {PROOF} ?>",
    "Python format": "{}{0.__class__.__mro__}{self}%s%(x)s%n",
    "prototype": "__proto__",
    "property that every object has": "constructor",
    "Markdown": f"[x](javascript:{PROOF}) ![x]({ELSEWHERE}/x.png) `x` **x** | x |",
    "Markdown autolink": f"<{ELSEWHERE}>",
    "TeX": r"$\href{javascript:window.stolen=1}{x}$ \(x\) $$\frac{$$",
    "matplotlib's mathtext": r"$\frac{1}{",
    "matplotlib's mathtext, unbalanced": "$_^{}$$$",
    "name that BertViz puts in": "PYTHON_PARAMS",
    "terminal colours": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
}

# Text that breaks what draws, counts, orders or stores characters.
CHARACTERS = {
    "NUL": "a\0b",
    "every control character": "".join(map(chr, [*range(1, 32), *range(127, 160)])),
    "high surrogate alone": "a\ud800b",
    "low surrogate alone": "\udc00",
    "surrogates in the wrong order": "\udc00\ud800",
    "not a character": "\uffff\ufffe\U0010ffff",
    "replacement character": "\ufffd",
    "line and paragraph separators": "a\u2028b\u2029c",
    "carriage returns and other breaks": "a\r\nb\rc\x0bd\x0ce\x85f",
    "right-to-left override": "\u202egnp.exe\u202c",
    "overrides that never end": "\u202e\u202d\u2066\u2067\u2068abc",
    "isolates that end what is around them": "abc\u2069\u202c\u202c",
    "right to left": "שלום עולם مرحبا",
    "zero width": "a\u200bb\u200cc\u200dd\ufeffe\u2060f",
    "only zero width": "\u200b\u200d",
    "combining marks without end": "e" + "\u0301\u0336\u20dd" * 60,
    "tag characters": "x" + "".join(chr(0xE0000 + ord(letter)) for letter in "hidden"),
    "variation selectors": "x\ufe0f\U000e0100",
    "family emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇨🇳",
    "private use": "\ue000\uf8ff",
    "very long": "long " * 4_000,
    "very long without a space": "W" * 20_000,
    "one enormous character": "﷽" * 300,
    "empty": "",
    "only spaces": "   ",
    "tabs and line ends": "\t\n\n\t",
    "no-break and ideographic spaces": "a\u00a0b\u3000c\u202fd",
    "surrogate pair cut by UTF-16": "😀"[0] + "\ud83d",
    "mixed directions with markup": f"שלום <img src=x onerror={PROOF}> \u202e",
}

HOSTILE = MARKUP | CHARACTERS
INVISIBLE = re.compile(r"[\s\u2420-\u2426␣⏎⇥·…\ufffd]+")


def letters(text: str) -> str:
    """What must be seen of a text however it is shown: no spaces, no marks for them, nothing without a shape."""
    kept = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"))
    return INVISIBLE.sub("", kept)
