"""Cleaning one document: what the web, editors and converters leave in a text that nobody wrote.

Each step is a function of its own, so that a lesson can show what it does and what it costs. None is right for every
text: `clean_text` says which it takes, and `code=True` leaves alone what means something in a program.
"""

import html
import re
import unicodedata

_TAGS = (
    "a abbr article aside b blockquote body br button center code dd div dl dt em figcaption figure font footer form "
    "h1 h2 h3 h4 h5 h6 head header hr html i iframe img input label li link main meta nav ol option p path pre "
    "section select small span strong sub sup svg table tbody td tfoot th thead title tr u ul video"
).split()
_BLOCKS = "address article blockquote br dd div dl dt figure h1 h2 h3 h4 h5 h6 hr li ol p section table tr ul".split()
_INVISIBLE = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(rf"</?(?:{'|'.join(_BLOCKS)})\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{'|'.join(_TAGS)})(?:\s[^<>]*)?/?>|<!doctype[^<>]*>", re.IGNORECASE)
# Runs of what UTF-8 bytes look like when they are read as Windows-1252: "Ã©" for "é", "â€™" for "’".
_MOJIBAKE = re.compile(
    "[\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]{2,}"
)
# Format characters that carry meaning stay: they join letters in Persian and Indian scripts, and emoji.
_JOINERS = "\u200c\u200d"


def clean_text(text: str, *, form: str = "NFC", code: bool = False) -> str:
    """A document with encoding accidents, HTML, control characters and stray white space put right.

    The steps, in order: `repair_mojibake`, `strip_html`, Unicode normalisation (`form`; "NFKC" also turns "ﬁ" into
    "fi" and "²" into "2"), `drop_control_characters`, `tidy_whitespace`. With `code`, only the last two, and without
    touching indentation or the space inside lines: in a program "<b>" and "&amp;" may be meant.

    >>> clean_text("<p>The  cafÃ© &amp; bar</p>\\r\\n\\r\\n\\r\\n\\r\\n<br>open\\u00adly ")
    'The café & bar\\n\\nopenly'
    """
    if not code:
        text = unicodedata.normalize(form, strip_html(repair_mojibake(text)))
    return tidy_whitespace(drop_control_characters(text), code=code)


def repair_mojibake(text: str) -> str:
    """UTF-8 that was once read as Windows-1252, read right: "cafÃ©" becomes "café". Other text is left alone.

    A run of accented characters is repaired only if its bytes are valid UTF-8, which is rare by accident.

    >>> repair_mojibake("Itâ€™s a naÃ¯ve cafÃ©, señor")
    'It’s a naïve café, señor'
    """
    return _MOJIBAKE.sub(lambda run: _reread(run[0]), text)


def _reread(run: str) -> str:
    try:
        # Windows-1252 leaves five bytes without a character; software reads those as the control characters.
        return b"".join(_cp1252(character) for character in run).decode("utf-8")
    except ValueError:
        return run


def _cp1252(character: str) -> bytes:
    return character.encode("latin-1") if "\x80" <= character <= "\x9f" else character.encode("cp1252")


def strip_html(text: str) -> str:
    """Tags, comments and scripts out, entities such as "&eacute;" as characters; block tags become line breaks.

    Only known tag names count as tags: "a < b and c > d" and "List<String>" stay.

    >>> strip_html("<div class='x'>1 &lt; 2</div><script>f()</script> if a < b")
    '\\n1 < 2\\n if a < b'
    """
    text = _TAG.sub("", _BLOCK.sub("\n", _INVISIBLE.sub("", text)))
    return html.unescape(text)


def drop_control_characters(text: str) -> str:
    """Without control and invisible format characters, byte-order marks and halves of surrogate pairs.

    Tabs and line breaks stay, and so do the joiners that scripts and emoji need. "\\r\\n" and the Unicode line
    separators become "\\n".
    """
    text = re.sub("\r\n?|[\u0085\u2028\u2029]", "\n", text)
    if text.isprintable():
        return text
    return "".join(
        character
        for character in text
        if character in "\t\n"
        or character in _JOINERS
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co")
    )


def tidy_whitespace(text: str, *, code: bool = False) -> str:
    """No space at line ends, at most one empty line in a row, nothing around the text; one space between words.

    With `code` the spaces within lines stay, and so does the first line's indentation.
    """
    if code:
        text = re.sub(r"[^\S\n]+$", "", text, flags=re.MULTILINE)
        return re.sub(r"\n{4,}", "\n\n\n", text).strip("\n")
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(" ?\n ?", "\n", text)).strip()
