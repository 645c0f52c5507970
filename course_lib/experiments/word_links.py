"""Which Chinese words of a tiny_world translation stand for which English ones, by the dictionary that made both.

What attention shows can so be compared with the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from course_lib.text.tiny_world.chinese import ADJECTIVES_ZH, COUNTABLES_ZH, PEOPLE_ZH, PLACES_ZH, THINGS_ZH

DICTIONARY: dict[str, str] = {
    **{english.lower(): chinese for english, chinese in PEOPLE_ZH.items()},
    **ADJECTIVES_ZH,
    **{english: noun.word for english, noun in THINGS_ZH.items() if " " not in english},
    **PLACES_ZH,
}
"""Words with one translation, whatever stands around them: people, adjectives, things, places."""

MEASURES: dict[str, str] = {
    **{english: noun.measure for english, noun in THINGS_ZH.items()},
    **{english: noun.measure for english, noun in COUNTABLES_ZH.items()},
}
"""The measure word that each thing takes after a number."""


class Link(NamedTuple):
    """A Chinese token, the English token that it stands for, and what kind of link it is: "word" or "measure"."""

    target: int
    source: int
    kind: str


def word_links(english: Sequence[str], chinese: Sequence[str]) -> list[Link]:
    """The links between the tokens of a pair, in the order of the Chinese: each of its characters is a token.

    Only words that stand once in each text are linked, and of these only the ones in DICTIONARY; and the measure word
    of "a red kite" (一只红色的风筝: 只) to its noun. Other tokens have no link.
    """
    written = "".join(token if len(token) == 1 else "\ufffc" for token in chinese)  # a place for each token
    found = []
    for source, word in enumerate(english):
        translation = DICTIONARY.get(word)
        if translation and list(english).count(word) == 1 and written.count(translation) == 1:
            start = written.index(translation)
            found += [Link(start + offset, source, "word") for offset in range(len(translation))]
            measure = MEASURES.get(word)
            if measure and written.count("一" + measure) == 1 and written.index("一" + measure) < start:
                found.append(Link(written.index("一" + measure) + 1, source, "measure"))
    return sorted(found)


SMALL_WORDS: dict[str, str] = {
    "the": "", "a": "一", "an": "一", ".": "。", "?": "？", ",": "，", "has": "有", "wants": "想要", "found": "发现了",
    "gave": "给了", "to": "到", "is": "在", "went": "去了", "ran": "跑", "walked": "走", "took": "带", "put": "放",
    "left": "留", "and": "和", "together": "一起", "she": "她", "he": "他", "in": "里", "under": "下面",
    "behind": "后面", "on": "上", "bought": "买了", "where": "哪里", "table": "桌子",
}  # fmt: skip
"""A dictionary's first entries for articles, marks, verbs and prepositions, which have no one translation."""
