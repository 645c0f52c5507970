"""Classes of characters for `re`, which has no \\p{L}: built from Python's own Unicode tables."""

import unicodedata
from functools import cache

# The characters with Unicode's White_Space property. `re`'s own \s holds U+001C to U+001F too, which are not in it.
WHITESPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# No letter, number or punctuation mark lies above this plane; what does lie there is marks and private use.
_LAST = 0x3FFFF


@cache
def letters() -> str:
    """Every letter (\\p{L}), as the inside of a `re` class."""
    return _ranges("L")


@cache
def numbers() -> str:
    """Every number (\\p{N}: ½ and Ⅷ too, not only digits), as the inside of a `re` class."""
    return _ranges("N")


@cache
def punctuation() -> str:
    """Every punctuation mark (\\p{P}), as the inside of a `re` class."""
    return _ranges("P")


def _ranges(category: str) -> str:
    """The characters whose category begins with `category`, as ranges such as "\\U00000041-\\U0000005a"."""
    inside = [code for code in range(_LAST + 1) if unicodedata.category(chr(code))[0] == category]
    starts = [code for before, code in zip([-2, *inside], inside, strict=False) if code != before + 1]
    ends = [code for code, after in zip(inside, [*inside[1:], -2], strict=True) if after != code + 1]
    return "".join(f"\\U{start:08x}-\\U{end:08x}" for start, end in zip(starts, ends, strict=True))
