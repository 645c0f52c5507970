"""A collection of pages as a crawl might bring it home, made from the bundled corpora, so that the truth is known.

Every page carries what it is (`kind`), whether a reader of English prose would want it (`wanted`), what was done to it
(`marks`), its text before that (`clean`), and which page it is a copy of (`original`). So a filter's mistakes can be
counted, and what a cleaning step destroys can be seen. Real crawls are worse, and nobody knows their truth.
"""

import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from course_lib.text import load_corpus, load_task
from course_lib.text.cleaning import tidy_whitespace

WORDS_A_PAGE = 110
MARKS_SHARE = 0.5
"""Of the wanted pages, the share that gets two of the MARKS."""


@dataclass(frozen=True)
class Page:
    """One page of the collection, and the truth about it.

    Attributes:
        number: its place in the collection.
        text: as the crawl brought it.
        kind: "docs", "story", or what kind of rubbish.
        wanted: whether it is English prose that somebody wrote.
        original: the number of the page that it is a copy of, exact or near; its own where it is none.
        clean: the text before anything was done to it.
        marks: the names of what was done to it.
    """

    number: int
    text: str
    kind: str
    wanted: bool
    original: int
    clean: str
    marks: tuple[str, ...] = ()


def docs_pages(n_words: int = WORDS_A_PAGE) -> list[str]:
    """python_docs in pages of about so many words, without indentation.

    Each paragraph is taken once, though the corpus has some of them three times.
    """
    corpus = load_corpus("python_docs")
    seen: set[str] = set()
    pages: list[str] = []
    for topic in corpus.train + corpus.validation + corpus.test:
        waiting: list[str] = []
        for paragraph in re.split(r"\n\s*\n", topic):
            key = " ".join(paragraph.split())
            if key not in seen:
                seen.add(key)
                waiting.append(tidy_whitespace(paragraph))
            if sum(len(part.split()) for part in waiting) >= n_words:
                pages.append("\n\n".join(waiting))
                waiting = []
    return pages


# ------------------------------------------------------------------------------------- what happens to good pages

FOOTER = "Home | News | About us | Contact\nThis site uses cookies to give you the best experience. Accept all cookies."


def _html(text: str, rng: random.Random) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    paragraphs = "".join(f"<p class='text'>{part}</p>\r\n" for part in escaped.split("\n\n"))
    return f"<div id='main'>\r\n<!-- block {rng.randrange(10**6)} -->{paragraphs}</div><script>track('page');</script>"


def _mojibake(text: str, rng: random.Random) -> str:
    """Typographic quotes and dashes, then read in the wrong encoding."""
    curly = re.sub(r"\"([^\"\n]*)\"", "“\\1”", text).replace("'", "’").replace(" - ", " – ")
    return "".join(
        bytes([byte]).decode("cp1252", "ignore") or chr(byte) if byte > 127 else chr(byte) for byte in curly.encode()
    )


def _invisible(text: str, rng: random.Random) -> str:
    """A byte-order mark, soft hyphens in long words, no-break spaces."""
    hyphened = re.sub(r"\b([a-z]{4})([a-z]{4,})\b", lambda word: f"{word[1]}\u00ad{word[2]}", text)
    return "\ufeff" + re.sub(r"(?<=\w) (?=\w)", lambda _: "\u00a0" if rng.random() < 0.1 else " ", hyphened)


def _ligatures(text: str, rng: random.Random) -> str:
    """As copied out of a PDF: joined letters, accents as signs of their own."""
    joined = text.replace("ffi", "ﬃ").replace("fi", "ﬁ").replace("fl", "ﬂ")
    return unicodedata.normalize("NFD", joined)


def _footer(text: str, rng: random.Random) -> str:
    return f"{text}\n\n{FOOTER}"


def _contact(text: str, rng: random.Random) -> str:
    name = rng.choice(("Alva", "Bo", "Carla", "Deniz", "Emre", "Fatou")).lower()
    number = f"+44 20 7946 0{rng.randrange(100, 1000)}"  # a range kept free for fiction
    return f"{text}\n\nWritten by {name.title()}. Questions? {name}.{rng.randrange(100)}@example.org or {number}."


MARKS: dict[str, Callable[[str, random.Random], str]] = {
    "ligatures": _ligatures,
    "mojibake": _mojibake,
    "contact": _contact,
    "footer": _footer,
    "html": _html,
    "invisible": _invisible,
}
"""What can happen to a page, in the order in which it happens."""


def spoil(text: str, marks: tuple[str, ...], rng: random.Random) -> str:
    """The text with these of the MARKS."""
    for name, change in MARKS.items():
        if name in marks:
            text = change(text, rng)
    return text


# ------------------------------------------------------------------------------------------------- unwanted pages

_GERMAN = (
    "Der Zug nach Norden fährt heute nicht von diesem Gleis|Wir haben die Fenster auf der anderen Seite geöffnet|Das "
    "Wetter ist für die Jahreszeit zu kalt|Sie hat den Brief an ihre Schwester nicht geschrieben|Auf dem Markt gibt "
    "es Äpfel und Birnen aus der Region|Er ist mit dem Rad zu seiner Großmutter gefahren|Die Kinder spielen im Garten, "
    "weil die Sonne scheint|In der Küche steht eine Kanne mit Tee"
)
_FRENCH = (
    "Le train pour le nord ne part pas de ce quai|Nous avons ouvert les fenêtres de la maison|Il fait trop froid pour "
    "la saison, dit-elle|Elle a écrit une lettre à sa sœur qui est dans le sud|Sur le marché, il y a des pommes et des "
    "poires|Il est parti avec son vélo chez sa grand-mère|Les enfants jouent dans le jardin avec le chien|Une tasse de "
    "thé est sur la table de la cuisine"
)
_PLACES = "Lisbon Oslo Tunis Quito Hanoi Perth Porto Turin Malmo Dakar Lima Kyoto Sofia Riga Cork Bergen".split()
_GOODS = "lamp kettle jacket backpack camera printer chair mirror blanket watch".split()


def _sentences(pool: str, rng: random.Random) -> str:
    return ". ".join(rng.choice(pool.split("|")) for _ in range(14)) + "."


def _chinese(rng: random.Random, pool: list[str]) -> str:
    return "".join(rng.sample(pool, 15))


def _menu(rng: random.Random) -> str:
    words = "Home News Shop Sale Login Register Basket Help Contact About Careers Press Terms Privacy Sitemap".split()
    return "\n".join(f"• {rng.choice(words)}" for _ in range(rng.randrange(20, 60)))


def _table(rng: random.Random) -> str:
    return "\n".join(" ".join(f"{rng.random() * 100:.2f}" for _ in range(6)) for _ in range(25))


def _spam(rng: random.Random) -> str:
    thing = rng.choice(_GOODS)
    return " ".join(f"Buy a cheap {thing} online now, best {thing} deals for you." for _ in range(20))


def _offer(rng: random.Random) -> str:
    """A page out of a template: fluent English, and nobody wrote it."""
    start, end, price = *rng.sample(_PLACES, 2), rng.randrange(39, 400)
    return (
        f"Flights from {start} to {end} for {price} euros. Are you looking for a flight from {start} to {end}? We "
        f"compare the prices of more than 200 airlines, so that you always find the best offer for your trip. The "
        f"cheapest day to leave for {end} is Tuesday, and it is wise to book six weeks before you travel. Hand luggage "
        f"is included in the price that we show, and you can change the date of your journey up to two days before "
        f"you leave. Read what other guests say about {end}, and book your flight with us today, because the seats at "
        f"this price are not going to be there for long."
    )


def _edited(text: str, rng: random.Random, vocabulary: list[str]) -> str:
    """A near copy: one word in fifty is another."""
    return re.sub(r"\b[a-z]{4,}\b", lambda word: rng.choice(vocabulary) if rng.random() < 0.02 else word[0], text)


def messy_web(seed: int = 0, *, scale: float = 1.0) -> list[Page]:
    """The collection, in random order; the same for the same seed.

    With `scale` 1, 260 pages of python_docs and 80 stories of tiny_world, half of them with two MARKS each; 130
    copies, edited a little and marked anew, of which 40 are of one page; and 190 pages that nobody wants.
    """
    rng = random.Random(seed)

    def times(count: int) -> range:
        return range(max(1, round(count * scale)))

    docs = docs_pages()
    docs = rng.sample(docs, min(len(docs), len(times(260))))
    stories = rng.sample(load_corpus("tiny_world").train, len(times(80)))
    vocabulary = sorted(set(re.findall(r"\b[a-z]{4,}\b", " ".join(docs))))
    chinese = load_task("translation")["train"]["zh"][:2000]

    drafts: list[tuple[str, str, bool, int]] = []  # clean text, kind, wanted, original
    for kind, texts in (("docs", docs), ("story", stories)):
        drafts += [(text, kind, True, len(drafts) + place) for place, text in enumerate(texts)]
    popular = rng.randrange(len(docs))
    for copy in times(130):
        original = popular if copy % 13 < 4 else rng.randrange(len(docs))
        drafts.append((_edited(docs[original], rng, vocabulary), "docs", True, original))
    for kind, make, count in (
        ("German", lambda: _sentences(_GERMAN, rng), 20),
        ("French", lambda: _sentences(_FRENCH, rng), 20),
        ("Chinese", lambda: _chinese(rng, chinese), 20),
        ("menu", lambda: _menu(rng), 30),
        ("table", lambda: _table(rng), 25),
        ("spam", lambda: _spam(rng), 25),
        ("offer", lambda: _offer(rng), 50),
    ):
        drafts += [(make(), kind, False, len(drafts) + place) for place in times(count)]

    order = rng.sample(range(len(drafts)), len(drafts))
    number_of = {draft: number for number, draft in enumerate(order)}
    pages = []
    for number, draft in enumerate(order):
        clean, kind, wanted, original = drafts[draft]
        marks = tuple(rng.sample(list(MARKS), 2)) if wanted and rng.random() < MARKS_SHARE else ()
        pages.append(Page(number, spoil(clean, marks, rng), kind, wanted, number_of[original], clean, marks))
    return pages
