"""Looks for what should not be learned by heart: addresses, numbers and keys that belong to someone.

Patterns with checks where the format has one (Luhn, IBAN). They find what has the form of personal data: they cannot
know names, and a form can be met by accident, so a person looks at what was found.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple


class Finding(NamedTuple):
    """A stretch of text that looks like personal data: text[start:end], and the kind."""

    kind: str
    start: int
    end: int
    text: str


class _Kind(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool] = lambda found: True


def find_personal_data(text: str) -> list[Finding]:
    """E-mail addresses, keys, card, account, identity and telephone numbers, IP addresses, in the order of the text.

    >>> find_personal_data("Write to jo@example.org or call +44 20 7946 0958.")[0]
    Finding(kind='e-mail', start=9, end=23, text='jo@example.org')
    """
    findings: list[Finding] = []
    for kind in _KINDS:
        for match in kind.pattern.finditer(text):
            taken = any(match.start() < other.end and other.start < match.end() for other in findings)
            if not taken and kind.is_one(match[0]):
                findings.append(Finding(kind.name, match.start(), match.end(), match[0]))
    return sorted(findings, key=lambda finding: finding.start)


def redact(text: str) -> str:
    """The text with each finding replaced by its kind.

    >>> redact("Write to jo@example.org.")
    'Write to <e-mail>.'
    """
    for finding in reversed(find_personal_data(text)):
        text = f"{text[: finding.start]}<{finding.kind}>{text[finding.end :]}"
    return text


def _digits(text: str) -> list[int]:
    return [int(character) for character in text if character.isdigit()]


def _is_card_number(text: str) -> bool:
    """13 to 19 digits with a right check digit (Luhn's formula)."""
    digits = _digits(text)
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """An international account number whose remainder by 97 is 1 (ISO 13616)."""
    letters = text.replace(" ", "")
    return 15 <= len(letters) <= 34 and int("".join(str(int(c, 36)) for c in letters[4:] + letters[:4])) % 97 == 1


def _is_chinese_identity_number(text: str) -> bool:
    """18 places of which the last checks the others (GB 11643)."""
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _is_public_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_telephone_number(text: str) -> bool:
    """9 to 15 digits, written with a country code, brackets or gaps; not a date."""
    return 9 <= len(_digits(text)) <= 15 and not re.fullmatch(r"\d{4}[-. /]\d\d?[-. /]\d\d?.*", text)


_KINDS = (  # a stretch that one kind has taken is not looked at by those after it
    _Kind("e-mail", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    _Kind("key", re.compile(r"\b(?:AKIA[0-9A-Z]{16}|(?:ghp|gho|hf|xoxb)_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,})\b")),
    _Kind("key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)),
    _Kind("account", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b"), _is_iban),
    _Kind("card", re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]\d|\d)"), _is_card_number),
    _Kind("identity number", re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?!\d)"), _is_chinese_identity_number),
    _Kind("identity number", re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])")),
    _Kind("IP address", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]\d|\d)"), _is_public_address),
    _Kind(
        "telephone",
        re.compile(r"(?<![\d.-])(?<!\d )(?:\+|00)[1-9](?:[ /()-]{0,2}\d){7,13}(?!\.\d)(?!\d)"),
        _is_telephone_number,
    ),
    _Kind(
        "telephone",
        re.compile(r"(?<![\d.-])(?<!\d )\(?\d{2,5}\)?[ -]\d{3,4}[ -]\d{3,5}(?![ -]?\d)"),
        _is_telephone_number,
    ),
    _Kind("telephone", re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")),
)
