"""Four ways to run one narrator: tell a story, read one, look one character ahead, list them all.

A narrator is a sequential program. What is certain it passes to `say`; every random decision it passes to
`choose` as a `Menu`, whose options each carry the text that they put into the story. Nothing random happens
out of sight, and no option's text begins another's. So a text has at most one derivation, and

    P(next character | text so far) = weight of the options that agree with the longer text
                                      -----------------------------------------------------
                                      weight of the options that agree with the text so far

is exact, whatever the world remembers.
"""

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

END = "\0"
"""Stands for the end of a story inside this package; no story holds this character."""


class Option(NamedTuple):
    """One way to go on: the text that it adds, how likely it is, and what the narrator gets back."""

    text: str
    weight: int
    value: Any = None


class Menu:
    """The options of one decision."""

    def __init__(self, options: Iterable[Option | tuple]):
        self.options = tuple([option if type(option) is Option else Option(*option) for option in options])
        self.reach = list(itertools.accumulate([option.weight for option in self.options]))
        self._without: dict[Any, Menu] = {}
        self._spelled: dict[int, list[float]] = {}

    @property
    def total(self) -> int:
        """The weights of all options, added up."""
        return self.reach[-1]

    def without(self, *values: Any) -> "Menu":
        """The same menu when some values are out of the question."""
        if values not in self._without:
            self._without[values] = Menu(option for option in self.options if option.value not in values)
        return self._without[values]

    def spell(self, index: int) -> list[float]:
        """Natural log-probability of each character of option `index`, given the characters before it."""
        if index not in self._spelled:
            alive, mass, logs = self.options, self.total, []
            for place, character in enumerate(self.options[index].text):
                alive = [option for option in alive if option.text[place] == character]
                rest = sum(option.weight for option in alive)
                logs.append(math.log(rest / mass) if rest != mass else 0.0)
                mass = rest
            self._spelled[index] = logs
        return self._spelled[index]

    def check(self) -> None:
        """Raise AssertionError unless the options are possible and none begins another."""
        texts = sorted(option.text for option in self.options)
        assert all(option.weight > 0 for option in self.options), texts
        assert texts and texts[0], f"an option without text cannot be seen in the story: {texts}"
        for first, second in itertools.pairwise(texts):
            assert not second.startswith(first), f"{first!r} begins {second!r}: a reader could not tell them apart"


@runtime_checkable
class Teller(Protocol):
    """What a narrator talks to."""

    text: str

    def say(self, text: str) -> None:
        """Go on with `text`, which is certain at this point."""

    def choose(self, menu: Menu) -> Any:
        """Go on with the text of one of the options; the value of that option."""


class Sampler:
    """Makes a story up: each decision is drawn with its weight."""

    def __init__(self, rng: random.Random):
        self.text = ""
        self._rng = rng

    def say(self, text: str) -> None:
        """Add what is certain."""
        self.text += text

    def choose(self, menu: Menu) -> Any:
        """Add an option drawn at random."""
        option = menu.options[bisect.bisect(menu.reach, self._rng.random() * menu.total)]
        self.text += option.text
        return option.value


class NotAStory(ValueError):
    """The text is none that the narrator can tell. `position` is the first character that does not fit."""

    def __init__(self, text: str, position: int, expected: str):
        found = repr(text[position]) if position < len(text) and text[position] != END else "the end of the text"
        before = text[max(0, position - 30) : position]
        super().__init__(
            f"This is not a tiny_world story: after {before!r} the world allows {expected}, but character "
            f"{position} is {found}."
        )
        self.position = position


class _PrefixEnds(Exception):
    """The text to read is used up; carries the probability of each character that may follow."""

    def __init__(self, following: dict[str, float]):
        self.following = following


class Reader:
    """Follows a given story and keeps the log-probability of each of its characters and of its end."""

    def __init__(self, story: str, whole: bool = True):
        self.text = ""
        self.log_probabilities: list[float] = []
        self._story = story + END if whole else story
        self._whole = whole

    def say(self, text: str) -> None:
        """Compare the story with what is certain to stand there."""
        position = len(self.text)
        if not self._story.startswith(text, position):
            self._stop([Option(text, 1)])
        self.text += text
        self.log_probabilities += [0.0] * len(text)

    def choose(self, menu: Menu) -> Any:
        """See in the story which option was taken."""
        position = len(self.text)
        for index, option in enumerate(menu.options):
            if self._story.startswith(option.text, position):
                self.text += option.text
                self.log_probabilities += menu.spell(index)
                return option.value
        self._stop(menu.options)

    def _stop(self, options: Iterable[Option]) -> None:
        """No option fits in full: either a prefix ends inside of one, or the text is not a story."""
        position, alive = len(self.text), list(options)
        while position < len(self._story):
            place = position - len(self.text)
            fitting = [option for option in alive if option.text[place] == self._story[position]]
            if not fitting:
                raise NotAStory(self._story, position, _in_words(_following(alive, place)))
            alive, position = fitting, position + 1
        raise _PrefixEnds(_following(alive, position - len(self.text)))


def _following(options: list[Option], place: int) -> dict[str, float]:
    total = sum(option.weight for option in options)
    following: dict[str, float] = {}
    for option in options:
        character = option.text[place]
        following[character] = following.get(character, 0.0) + option.weight / total
    return following


def _in_words(following: dict[str, float]) -> str:
    shown = ["the end of the story" if character == END else repr(character) for character in sorted(following)]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " or " + shown[-1]


def next_characters(narrate: Callable[[Teller], Any], prefix: str) -> dict[str, float]:
    """Probability of each character that may follow `prefix`, the beginning of a story (END included)."""
    try:
        narrate(Reader(prefix, whole=False))
    except _PrefixEnds as stop:
        return dict(sorted(stop.following.items()))
    raise AssertionError("a narrator ends its story with END")


class _Replay:
    """Follows a list of decisions by their number, and takes the first option where the list is used up."""

    def __init__(self, path: list[int]):
        self.text = ""
        self.path = path
        self.sizes: list[int] = []
        self.log_probability = 0.0

    def say(self, text: str) -> None:
        self.text += text

    def choose(self, menu: Menu) -> Any:
        menu.check()
        step = len(self.sizes)
        if step == len(self.path):
            self.path.append(0)
        self.sizes.append(len(menu.options))
        option = menu.options[self.path[step]]
        self.text += option.text
        self.log_probability += math.log(option.weight / menu.total)
        return option.value


def all_stories(narrate: Callable[[Teller], Any]) -> Iterator[tuple[str, float]]:
    """Every story that the narrator can tell, with its natural log-probability. For small worlds only."""
    path: list[int] = []
    while True:
        run = _Replay(path)
        narrate(run)
        yield run.text.removesuffix(END), run.log_probability
        while path and path[-1] + 1 == run.sizes[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1
