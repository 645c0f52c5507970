"""Which documents to keep: a guess at the language, and measures of quality with the reasons they give.

These are small heuristics that can be read, not a trained classifier. They are right about clear cases and wrong about
some others; count what they drop, and look at it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# The commonest function words of languages in Latin script: they make up a third of running text.
_FUNCTION_WORDS = {
    "en": "the of and to a in is that it was for on are as with be this by not from or have you but they which at an",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se il ce avec sont cette",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más pero sus le ha este",
    "it": "di e il la che in un a per è una non sono del con si da come dei le al nella gli più della anche questo",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das seu",
    "nl": "de en van het een in is dat op te zijn met voor niet aan er om ook als die bij door naar hij maar ze",
}
_WORDS_OF = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "THAI": "th",
}
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
LOOKED_AT = 5000  # characters of a document that decide on its language


class Language(NamedTuple):
    """A guess at a language ("en", "zh", … or "unknown"), and how sure it is, from 0 to 1."""

    code: str
    confidence: float


def guess_language(text: str) -> Language:
    """The language of a text, from its script and, in Latin script, from its function words.

    Confidence is the share of letters in the language's script, or how far the commonest function words are ahead of
    the second language's. One language stands for each script (Russian for Cyrillic), seven are told apart in Latin
    script, and a text with fewer than three function words is "unknown".

    >>> guess_language("The cat sat on the mat and it was warm.").code
    'en'
    """
    scripts = Counter(map(_script, filter(str.isalpha, text[:LOOKED_AT])))
    if not scripts:
        return Language("unknown", 0.0)
    script, letters = scripts.most_common(1)[0]
    if script == "CJK" and scripts["HIRAGANA"] + scripts["KATAKANA"] > 0.1 * scripts.total():
        script = "HIRAGANA"  # Japanese is mostly Chinese characters, with kana between
    if script in _SCRIPTS:
        return Language(_SCRIPTS[script], letters / scripts.total())
    return _latin_language(text) if script == "LATIN" else Language("unknown", 0.0)


def _script(letter: str) -> str:
    """The first word of a letter's Unicode name: LATIN, CJK, CYRILLIC, …"""
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "?").split(" ")[0]


def _latin_language(text: str) -> Language:
    words = _WORD.findall(text[:LOOKED_AT].lower())
    found = Counter({code: sum(word in known for word in words) for code, known in _WORDS_OF.items()})
    (first, hits), (_, second) = found.most_common(2)
    return Language(first, (hits - second) / hits) if hits >= 3 and hits > second else Language("unknown", 0.0)


@dataclass(frozen=True)
class Quality:
    """Measures of a document, all from 0 to 1 except the first two."""

    words: int
    mean_word_length: float
    words_with_letters: float  # share of words that have a letter
    signs: float  # "#" and "…" for each word
    bullet_lines: float  # share of lines that begin with a bullet
    cut_lines: float  # share of lines that end with "…"
    repeated_lines: float  # share of lines that stand there before
    repeated_phrases: float  # share of 5-word phrases that stand there before
    function_words: int  # different ones of the language

    @classmethod
    def of(cls, text: str) -> "Quality":
        """Measure a document."""
        words = _WORD.findall(text)
        tokens = text.split()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        phrases = list(zip(*(words[start:] for start in range(5)), strict=False))
        known = _WORDS_OF.get(guess_language(text).code, frozenset())
        return cls(
            words=len(words),
            mean_word_length=_share(sum(map(len, words)), words),
            words_with_letters=_share(sum(any(map(str.isalpha, token)) for token in tokens), tokens),
            signs=_share(text.count("#") + text.count("…") + text.count("..."), tokens),
            bullet_lines=_share(sum(line[0] in "•●▪*-–" for line in lines), lines),
            cut_lines=_share(sum(line.endswith(("…", "...")) for line in lines), lines),
            repeated_lines=_share(len(lines) - len(set(lines)), lines),
            repeated_phrases=_share(len(phrases) - len(set(phrases)), phrases),
            function_words=len(known & {word.lower() for word in words}),
        )


def quality_problems(text: str, *, at_least: int = 50, at_most: int = 100_000) -> list[str]:
    """Why a document would be dropped, one reason each; an empty list when it is kept.

    The rules and thresholds follow Rae et al. 2021 ("Gopher"), appendix A.1.1, for languages that put spaces between
    words; `at_least` and `at_most` are words. Repeated lines and phrases are judged by their number, not their length.
    """
    measured = Quality.of(text)
    tests = (
        (measured.words < at_least, f"only {measured.words} words"),
        (measured.words > at_most, f"{measured.words:,} words"),
        (not 3 <= measured.mean_word_length <= 10, f"words of {measured.mean_word_length:.1f} characters on average"),
        (measured.words_with_letters < 0.8, f"only {measured.words_with_letters:.0%} of the words have a letter"),
        (measured.signs > 0.1, f"{measured.signs:.2f} '#' and '…' for each word"),
        (measured.bullet_lines > 0.9, f"{measured.bullet_lines:.0%} of the lines are bullet points"),
        (measured.cut_lines > 0.3, f"{measured.cut_lines:.0%} of the lines are cut off"),
        (measured.repeated_lines > 0.3, f"{measured.repeated_lines:.0%} of the lines are repeated"),
        (measured.repeated_phrases > 0.3, f"{measured.repeated_phrases:.0%} of the phrases are repeated"),
        (measured.function_words < 2, f"{measured.function_words} function words of a known language"),
    )
    return [reason for failed, reason in tests if failed]


def _share(count: int, things: Iterable) -> float:
    total = len(list(things))
    return count / total if total else 0.0
