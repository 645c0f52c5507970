"""Lesson 06, a corpus: the exercises."""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from course_lib.exercises import Draw, Exercise, Misconception


def _untidy_text(draw: Draw) -> tuple[str]:
    words = [["Cafe\u0301", "Na\u00efve", "X²", "No", "Where", "东京"][place] for place in draw.permutation(6).tolist()]
    return ("  " + "".join(word + draw.choice((" ", "  ", "\n", "\u00a0 ")) for word in words),)


def _key(text: str, form: str = "NFC", between: str = " ") -> str:
    return between.join(unicodedata.normalize(form, text).lower().split())


def _without_accents(text: str) -> str:
    return "".join(sign for sign in _key(text, "NFD") if not unicodedata.combining(sign))


KEY = Exercise(
    id="06.1",
    title="A key for equal texts",
    inputs=_untidy_text,
    solution_code="""\
def text_key(text):
    return " ".join(unicodedata.normalize("NFC", text).lower().split())
""",
    solution=_key,
    also_right=[
        lambda text: " ".join(unicodedata.normalize("NFC", text.casefold()).split()),
        lambda text: unicodedata.normalize("NFC", " ".join(text.split())).lower(),
    ],
    misconceptions=[
        Misconception(
            lambda text: " ".join(text.lower().split()),
            "Case and spaces are right; the accents are not. “é” can be one sign or “e” and a mark: two texts that "
            "look the same would get two keys. Normalise first.",
        ),
        Misconception(
            lambda text: unicodedata.normalize("NFC", text).lower().strip(),
            "`strip` mends the ends only. Two spaces or a line break between words still make another key.",
        ),
        Misconception(
            lambda text: " ".join(unicodedata.normalize("NFC", text).split()),
            "Capitals still count: “No where” and “no where” get two keys.",
        ),
        Misconception(
            lambda text: _key(text, between=""),
            "You took out all white space. “no where” and “nowhere” are now the same text. Leave one space.",
        ),
        Misconception(
            lambda text: _key(text, "NFKC"),
            "NFKC also replaces signs that look different: “X²” became “x2”. For a search engine that may be fine; "
            "here the square is meant. NFC only joins what belongs together.",
        ),
        Misconception(
            lambda text: _key(text, "NFD"),
            "NFD takes “é” apart everywhere. As a key that would do, but asked is the composed form, NFC, which is "
            "what most text on the web has.",
        ),
        Misconception(
            _without_accents,
            "You dropped the accents. “résumé” and “resume” are now the same, and so are many words elsewhere.",
        ),
        Misconception(
            lambda text: " ".join(_key(text, "NFKD").encode("ascii", "ignore").decode().split()),
            "You kept ASCII only. 东京 has vanished: all Chinese texts would get the same empty key, and you would "
            "keep one of them.",
        ),
    ],
    hints=(
        "In which three ways can two texts look the same to a reader and be different strings?",
        "Which Unicode form joins “e” and its accent, and which method of strings cuts at *any* white space?",
        'normalize with "NFC", then `.lower()`, then `" ".join(… .split())`.',
    ),
    why="Equal for a reader means equal after composing accents, lowering case, and one kind of space. Anything more "
    "makes different texts equal, and de-duplication would delete one of them.",
    starter="""\
def text_key(text):
    # composed accents (NFC), lower case, one space between words, none at the ends
    ...                                 # → a string
""",
    see="Two texts that look the same",
)


def _filtered(draw: Draw) -> tuple[list[bool], list[bool]]:
    return draw.mask(11).tolist(), draw.mask(11, keep=0.4).tolist()


def _shares(thrown: Sequence[bool], unwanted: Sequence[bool]) -> tuple[float, float]:
    hits = sum(a and b for a, b in zip(thrown, unwanted, strict=True))
    return hits / sum(thrown), hits / sum(unwanted)


def _of_the_kept(thrown: Sequence[bool], unwanted: Sequence[bool]) -> tuple[float, float]:
    kept, wanted = [not a for a in thrown], [not b for b in unwanted]
    hits = sum(a and b for a, b in zip(kept, wanted, strict=True))
    return hits / max(1, sum(kept)), hits / max(1, sum(wanted))


def _accuracy(thrown: Sequence[bool], unwanted: Sequence[bool]) -> tuple[float, float]:
    right = sum(a == b for a, b in zip(thrown, unwanted, strict=True)) / len(thrown)
    return right, right


PRECISION = Exercise(
    id="06.2",
    title="What a filter throws away",
    inputs=_filtered,
    solution_code="""\
def precision_and_recall(thrown, unwanted):
    hits = sum(a and b for a, b in zip(thrown, unwanted))
    return hits / sum(thrown), hits / sum(unwanted)
""",
    solution=_shares,
    also_right=[
        lambda thrown, unwanted: (
            np.array(unwanted)[np.array(thrown)].mean(),
            np.array(thrown)[np.array(unwanted)].mean(),
        )
    ],
    misconceptions=[
        Misconception(
            lambda thrown, unwanted: _shares(thrown, unwanted)[::-1],
            "Swapped. Precision looks at what was *thrown*: how much of it was rubbish? Recall looks at the *rubbish*: "
            "how much of it was thrown?",
        ),
        Misconception(
            _accuracy,
            "This is accuracy, the share of right decisions. A filter that throws nothing away scores well on it when "
            "rubbish is rare.",
        ),
        Misconception(
            lambda thrown, unwanted: (sum(map(min, thrown, unwanted)) / len(thrown),) * 2,
            "You divided the hits by all 11 pages. Divide by the thrown ones for precision, by the unwanted ones for "
            "recall.",
        ),
        Misconception(
            _of_the_kept,
            "These are precision and recall of the pages you *keep*. Asked is about those you throw away.",
        ),
        Misconception(
            lambda thrown, unwanted: (_shares(thrown, unwanted)[0], sum(thrown) / sum(unwanted)),
            "Precision is right. For recall you divided all thrown pages by the unwanted ones; only thrown pages that "
            "*are* unwanted count.",
        ),
        Misconception(
            lambda thrown, unwanted: (1 - _shares(thrown, unwanted)[0], _shares(thrown, unwanted)[1]),
            "Recall is right. The first number is the share of thrown pages that you wanted: precision is the rest.",
        ),
    ],
    hints=(
        "How many pages were thrown away *and* unwanted?",
        "“Of those I threw, how many were rubbish?” and “of the rubbish, how many did I throw?”: what divides each?",
        "hits / sum(thrown), hits / sum(unwanted)",
    ),
    why="Precision is what a filter costs you in good pages, recall what it lets through. One number cannot say both: "
    "throw all away, and recall is 1.",
    starter="""\
def precision_and_recall(thrown, unwanted):
    # two lists of True and False, one entry a page
    ...                                 # → precision, recall
""",
    see="What does a filter throw away?",
)

_WORDS = ("the", "cat", "sat", "on", "a", "mat")


def _two_texts(draw: Draw) -> tuple[list[str], list[str], int]:
    first = [draw.choice(_WORDS) for _ in range(12)]
    second = first[:7] + [draw.choice(_WORDS) for _ in range(3)]
    return first, second, 2


def _phrases(words: Sequence[str], size: int, last: int = 1, step: int = 1) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(0, len(words) - size + last, step)]


def _jaccard(first: set, second: set) -> float:
    return len(first & second) / len(first | second)


def _counted(first: list[str], second: list[str], size: int) -> float:
    one, other = Counter(_phrases(first, size)), Counter(_phrases(second, size))
    return (one & other).total() / (one | other).total()


def _of_sets(measure: Callable[[set, set], float], **how: int) -> Callable[[Sequence[str], Sequence[str], int], float]:
    return lambda first, second, size: measure(set(_phrases(first, size, **how)), set(_phrases(second, size, **how)))


SIMILARITY = Exercise(
    id="06.3",
    title="How alike are two texts?",
    inputs=_two_texts,
    solution_code="""\
def similarity(first, second, size):
    def phrases(words):
        return {tuple(words[start:start + size]) for start in range(len(words) - size + 1)}
    one, other = phrases(first), phrases(second)
    return len(one & other) / len(one | other)
""",
    solution=_of_sets(_jaccard),
    also_right=[
        lambda first, second, size: _jaccard(
            {" ".join(p) for p in _phrases(first, size)}, {" ".join(p) for p in _phrases(second, size)}
        )
    ],
    misconceptions=[
        Misconception(
            lambda first, second, size: _jaccard(set(first), set(second)),
            "Single words: `size` is not used. A text and the same words shuffled would be one hundred per cent alike.",
        ),
        Misconception(
            _of_sets(_jaccard, last=0),
            "The last phrase of each text is missing. 12 words have 11 phrases of 2: `range` must end at "
            "len(words) − size + 1.",
        ),
        Misconception(
            lambda first, second, size: _of_sets(_jaccard, step=size)(first, second, size),
            "You cut the text into pieces that do not overlap. One word put in front shifts all of them, and nothing "
            "matches any more. Begin a phrase at *every* word.",
        ),
        Misconception(
            _counted,
            "You counted how often each phrase stands there. Jaccard similarity compares *sets*: a phrase is there or "
            "it is not.",
        ),
        Misconception(
            _of_sets(lambda one, other: 2 * len(one & other) / (len(one) + len(other))),
            "This is the Dice coefficient, twice the shared part over the sum of both sizes. Jaccard divides by the "
            "union.",
        ),
        Misconception(
            _of_sets(lambda one, other: len(one & other) / (len(one) + len(other))),
            "You divided by both sizes added, so shared phrases count twice below: two equal texts would get 0.5. "
            "Divide by the union.",
        ),
        Misconception(
            _of_sets(lambda one, other: len(one & other) / min(len(one), len(other))),
            "This is containment: how much of the shorter text lies in the longer. Useful (a quoted page gets 1), but "
            "not Jaccard, and MinHash does not estimate it.",
        ),
    ],
    hints=(
        "Which phrases of two words has the text “a cat sat on”? How many, for n words?",
        "What is shared, and what is there in at least one of the two?",
        "Two sets of tuples; the size of `&` over the size of `|`.",
    ),
    why="Overlapping phrases remember the order of words, and a set forgets where they stood. So a sentence that moved "
    "costs a few phrases at its ends, not the whole text.",
    starter="""\
def similarity(first, second, size):
    # two lists of words; how many words a phrase has
    ...                                 # → Jaccard similarity of their sets of phrases
""",
    see="Nearly the same",
)

PRIME = 2_147_483_647


def _numbers_and_functions(draw: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, multipliers, offsets = (draw.integers(1, PRIME, count).numpy() for count in (7, 5, 5))
    return values, multipliers, offsets


def _hashed(values: np.ndarray, multipliers: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return (multipliers[:, None] * values + offsets[:, None]) % PRIME


SIGNATURE = Exercise(
    id="06.4",
    title="A signature",
    inputs=_numbers_and_functions,
    solution_code="""\
def signature(values, multipliers, offsets):
    hashed = (multipliers[:, None] * values + offsets[:, None]) % PRIME     # (hashes, values)
    return hashed.min(axis=1)
""",
    solution=lambda values, multipliers, offsets: _hashed(values, multipliers, offsets).min(axis=1),
    also_right=[
        lambda values, multipliers, offsets: [
            min((int(a) * int(value) + int(b)) % PRIME for value in values)
            for a, b in zip(multipliers, offsets, strict=True)
        ]
    ],
    any_array=True,
    misconceptions=[
        Misconception(
            lambda values, multipliers, offsets: _hashed(values, multipliers, offsets).min(axis=0),
            "The smallest along the wrong axis: 7 numbers, one for each phrase. A signature has one for each hash "
            "function, 5, whatever the length of the text.",
        ),
        Misconception(
            lambda values, multipliers, offsets: _hashed(values, multipliers, offsets).argmin(axis=1),
            "`argmin` says *where* the smallest stands. Places differ from text to text; keep the value itself.",
        ),
        Misconception(
            lambda values, multipliers, offsets: (multipliers[:, None] * values + offsets[:, None]).min(axis=1),
            "The remainder by PRIME is missing. Without it every function is increasing, all put the same phrase "
            "first, and your 5 entries are one entry.",
        ),
        Misconception(
            lambda values, multipliers, offsets: (multipliers * values.min() + offsets) % PRIME,
            "You took the smallest phrase number and hashed that. Hash all of them, each time anew, and then take the "
            "smallest: each function must choose its own winner.",
        ),
        Misconception(
            lambda values, multipliers, offsets: _hashed(values, multipliers, offsets).min(),
            "One number for all functions together. One coin decides badly; take the smallest of each.",
        ),
        Misconception(
            lambda values, multipliers, offsets: np.sort(_hashed(values, multipliers, offsets)[0])[: len(offsets)],
            "The 5 smallest of *one* function (a “bottom-k sketch”). It works too, but its entries cannot be compared "
            "one by one. Asked is the smallest of each of 5 functions.",
        ),
        Misconception(
            lambda values, multipliers, offsets: _hashed(values, multipliers, offsets).max(axis=1),
            "The largest would do as well as the smallest, if everybody took it. Everybody takes the smallest.",
        ),
    ],
    hints=(
        "How many numbers has the table “each function, applied to each phrase”?",
        "Along which axis of that table do you take the smallest?",
        "(multipliers[:, None] * values + offsets[:, None]) % PRIME, then `.min(axis=1)`.",
    ),
    why="Each function shuffles all phrases in its own way, and the one that comes first is remembered. Two texts "
    "agree in an entry exactly when the first of their union is in both.",
    starter="""\
def signature(values, multipliers, offsets):
    # (values,) the text's phrases as numbers; (hashes,), (hashes,): function i is (a_i x + b_i) % PRIME
    ...                                 # → (hashes,)
""",
    see="A signature that estimates",
)


def _curve(draw: Draw) -> tuple[float, int, int]:
    return draw.uniform(low=0.3, high=0.9), draw.choice((8, 16, 20)), draw.choice((3, 5, 6))


CHANCE = Exercise(
    id="06.5",
    title="The S-curve",
    inputs=_curve,
    solution=lambda similarity, bands, rows: 1 - (1 - similarity**rows) ** bands,
    also_right=[lambda similarity, bands, rows: 1.0 - np.prod([1 - similarity**rows] * bands)],
    tolerance=1e-6,
    misconceptions=[
        Misconception(
            lambda similarity, bands, rows: 1 - (1 - similarity**bands) ** rows,
            "Bands and rows are swapped. Within a band all *rows* must agree (a power of the similarity); over the "
            "bands one is enough.",
        ),
        Misconception(
            lambda similarity, bands, rows: similarity ** (bands * rows),
            "This is the chance that *every* entry agrees. One band that agrees throughout is enough.",
        ),
        Misconception(
            lambda similarity, bands, rows: 1 - (1 - similarity) ** (bands * rows),
            "This is the chance that at least one *entry* agrees: almost certain for any two texts. A whole band must.",
        ),
        Misconception(
            lambda similarity, bands, rows: bands * similarity**rows,
            "You added the bands' chances. That is the expected *number* of equal bands, and it can exceed 1. The "
            "chance that none is equal is a product.",
        ),
        Misconception(
            lambda similarity, bands, rows: (1 - similarity**rows) ** bands,
            "This is the chance that the pair is missed: no band agrees. Take it from 1.",
        ),
        Misconception(
            lambda similarity, bands, rows: similarity**rows,
            "One band's chance. There are several, and each is another try.",
        ),
        Misconception(
            lambda similarity, bands, rows: (1 - (1 - similarity) ** rows) ** bands,
            "The wrong way round: *one* entry of a band, and that in *every* band. It should be every entry of one "
            "band.",
        ),
    ],
    hints=(
        "One entry agrees with probability s. What is the chance that all r entries of a band do?",
        "What is the chance that a band does *not* agree, and that none of b bands does?",
        "1 − (1 − s^r)^b",
    ),
    why="“And” within a band pushes the curve to the right, “or” over the bands pushes it up. Together they make a "
    "threshold out of coins.",
    starter="""\
def chance(similarity, bands, rows):
    # the share of equal entries to expect, from 0 to 1; how many bands; how many entries in each
    ...                                 # → the probability that at least one band agrees throughout
""",
    see="Bands: how not to compare everything",
)


def bucket(label: object) -> int:
    """A number from 0 to 99 that depends on the label alone: the same today, tomorrow, on any machine."""
    return zlib.crc32(str(label).encode()) % 100


def _documents_and_groups(draw: Draw) -> tuple[list[str], list[int]]:
    labels = draw.integers(0, 1000, 6).tolist()
    groups = labels + [draw.choice(labels) for _ in range(8)]
    return [draw.text(5, "abcdefghij") for _ in groups], groups


def _deal(documents: Sequence[str], held: Sequence[bool]) -> tuple[list[str], list[str]]:
    pairs = list(zip(documents, held, strict=True))
    return [text for text, out in pairs if not out], [text for text, out in pairs if out]


def _is_first(groups: Sequence[int]) -> list[bool]:
    return [groups.index(group) == place for place, group in enumerate(groups)]


def _without_copies(documents: Sequence[str], groups: Sequence[int]) -> tuple[list[str], list[str]]:
    first = [pair for pair, is_first in zip(zip(documents, groups, strict=True), _is_first(groups), strict=True)
             if is_first]  # fmt: skip
    return _deal([text for text, _ in first], [bucket(group) < 20 for _, group in first])


SPLIT = Exercise(
    id="06.6",
    title="A split that does not leak (stretch)",
    inputs=_documents_and_groups,
    solution_code="""\
def split(documents, groups):
    train, held_out = [], []
    for document, group in zip(documents, groups):
        (held_out if bucket(group) < 20 else train).append(document)
    return train, held_out
""",
    solution=lambda documents, groups: _deal(documents, [bucket(group) < 20 for group in groups]),
    also_right=[
        lambda documents, groups: (
            [documents[place] for place, group in enumerate(groups) if bucket(group) >= 20],
            [documents[place] for place, group in enumerate(groups) if bucket(group) <= 19],
        )
    ],
    misconceptions=[
        Misconception(
            lambda documents, groups: _deal(documents, [bucket(group) >= 20 for group in groups]),
            "Swapped: a fifth of the groups went into training and the rest was held out.",
        ),
        Misconception(
            lambda documents, groups: _deal(documents, [bucket(document) < 20 for document in documents]),
            "You threw the dice for each document by its text. A near copy has another text, so another bucket: it can "
            "land on the other side. Decide by the *group*.",
        ),
        Misconception(
            lambda documents, groups: _deal(documents, [bucket(place) < 20 for place in range(len(documents))]),
            "You decided by the place in the list. Copies stand at different places; and a document added at the front "
            "would reshuffle all splits. Decide by the group.",
        ),
        Misconception(
            lambda documents, groups: _deal(
                documents, [place >= len(documents) * 8 // 10 for place in range(len(documents))]
            ),
            "The last fifth of the list. Groups are cut apart, and if the list has an order (time, source), training "
            "and validation come from different worlds.",
        ),
        Misconception(
            lambda documents, groups: _deal(documents, [place % 5 == 0 for place in range(len(documents))]),
            "Every fifth document, whatever its group: copies of it stay in training.",
        ),
        Misconception(
            lambda documents, groups: _deal(
                documents,
                [first and bucket(group) < 20 for first, group in zip(_is_first(groups), groups, strict=True)],
            ),
            "Only the first of each group is held out; its copies went to training. That is the leak itself. The whole "
            "group goes one way.",
        ),
        Misconception(
            _without_copies,
            "The split is right, and documents are missing: you dropped all copies as well. Whether to keep them is "
            "another decision; here every document goes somewhere.",
        ),
    ],
    hints=(
        "Two near copies: what do they share, and what do they not share?",
        "If `bucket` is asked about the group's label, what is the same for all its members?",
        "A document is held out when bucket(group) < 20. Keep the order.",
    ),
    why="A group is the smallest thing that may be split off. A hash of its label decides the same way each time, "
    "whatever is added to the corpus later: yesterday's test page never turns up in tomorrow's training.",
    starter="""\
def split(documents, groups):
    # texts, and for each the label of its group of near copies
    ...                                 # → train, held_out: a document is held out when bucket(its group) < 20
""",
    see="Groups go together",
)

EXERCISES = [KEY, PRECISION, SIMILARITY, SIGNATURE, CHANCE, SPLIT]
