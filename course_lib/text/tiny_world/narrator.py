"""The one program that tells every tiny_world story.

It keeps the state of the world (who is where, who holds what, who feels how and why) and makes each random
decision through `Teller.choose`, so that the same code samples stories, reads them and lists them.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from course_lib.text.tiny_world import world
from course_lib.text.tiny_world.telling import END, Menu, Option, Teller
from course_lib.text.tiny_world.world import HE, LEXICON, NUMBERS, SHE, Feeling, Lexicon, Person, Place, Thing

Act = Callable[[], None]


class Mention(NamedTuple):
    """A stretch of the story that names a person, a place or an object."""

    start: int
    stop: int
    kind: str


class Question(NamedTuple):
    """Something that the state of the world answers.

    `short` is the answer in the story's own words, `start` where those words stand (None: nowhere, it must be
    worked out).
    """

    kind: str
    text: str
    answer: str
    short: str
    start: int | None


class Event(NamedTuple):
    """Something that happened, as a plain clause with names instead of pronouns."""

    kind: str
    actor: str
    clause: str


class Feels(NamedTuple):
    """From character `position` of the story on, `name` has this feeling."""

    position: int
    name: str
    good: bool


class Story(NamedTuple):
    """A told story and what is true in it."""

    text: str
    body: str
    sentence_starts: tuple[int, ...]
    mentions: tuple[Mention, ...]
    events: tuple[Event, ...]
    feelings: tuple[Feels, ...]
    questions: tuple[Question, ...]


def tell_story(teller: Teller, lexicon: Lexicon = LEXICON) -> Story:
    """Let `teller` tell one story of the world that `lexicon` describes."""
    return _Narrator(teller, lexicon).story()


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _spots(spots: tuple[str, ...]) -> Menu:
    return _SPOTS.setdefault(spots, world.evenly(spots))


_SPOTS: dict[tuple[str, ...], Menu] = {}
_HOURS = world.evenly(world.HOURS)
_HOURS_OF_A_DAY = _HOURS.without("day")
_WEATHER = world.evenly(world.WEATHER)
_DAYS = world.evenly(world.DAYS)
_AFTERS = world.evenly(world.AFTERS)
_SONGS = world.evenly(world.SONGS)
_PICTURES = world.evenly(world.PICTURES)
_DISGUISES = world.evenly(world.DISGUISES)
_REMARKS = world.evenly(world.REMARKS)
_GAMES = world.evenly(world.GAMES)
_SNACKS = world.evenly(world.SNACKS)
_NUMBERS = Menu(Option(NUMBERS[number], 1, number) for number in range(2, 10))
_GIVERS = world.evenly(("a neighbour", "an aunt", "the farmer", "the teacher"))
_OPENINGS = {
    "weather": Option("One ", 6, "weather"),
    "day": Option("On ", 5, "day"),
    "after": Option("After ", 3, "after"),
    "once": Option("Once upon a time, ", 2, "once"),
}
_CONNECTIVES = tuple(
    Option(text, weight)
    for text, weight in ((" Then ", 5), (" Later, ", 3), (" Soon ", 3), (" After that, ", 3), (" The next day, ", 1))
)
_PASTIMES = tuple(Option(f"{pastime}.", 1) for pastime in world.PASTIMES)
_HAPPENINGS = tuple(Option(f" {happening}", 1) for happening in world.HAPPENINGS)
_CLOSINGS = tuple(f" {closing}\n" for closing in world.CLOSINGS)


class _Narrator:
    def __init__(self, teller: Teller, lexicon: Lexicon):
        self.teller = teller
        self.lexicon = lexicon
        self.hero: Person
        self.friend: Person | None = None
        self.things: list[Thing] = []
        self.focus: Thing | None = None
        self.last_actor: Person | None = None
        self.day: str | None = None
        self.used_causes: set[str] = set()
        self.sentence_starts: list[int] = [0]
        self.mentions: list[Mention] = []
        self.events: list[Event] = []
        self.feelings: list[Feels] = []
        self.reasons: list[tuple[Person, Feeling, str]] = []

    # ---- talking -------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        self.teller.say(text)

    def pick(self, *options: Option | tuple) -> object:
        return self.teller.choose(Menu(options))

    def mark(self, kind: str, phrase: str) -> None:
        """Note that the words just told name something."""
        start = self.teller.text.rfind(phrase)
        self.mentions.append(Mention(start, start + len(phrase), kind))

    def say_name(self, person: Person) -> None:
        self.say(person.name)
        self.mark("person", person.name)

    def happened(self, kind: str, actor: Person, clause: str) -> None:
        self.events.append(Event(kind, actor.name, clause))

    # ---- the whole story -----------------------------------------------------------------------------------

    def story(self) -> Story:
        self.opening()
        while self.next_sentence():
            pass
        body = self.teller.text.rstrip("\n")
        questions = self.answerable(body)
        self.ask(questions)
        return Story(
            text=self.teller.text.removesuffix(END),
            body=body,
            sentence_starts=tuple(self.sentence_starts),
            mentions=tuple(mention for mention in self.mentions if mention.stop <= len(body)),
            events=tuple(self.events),
            feelings=tuple(self.feelings),
            questions=tuple(questions),
        )

    def opening(self) -> None:
        """When it was, who there is, and where."""
        times = [_OPENINGS[kind] for kind in self.lexicon.openings if kind != "plain"]
        people = self.lexicon.people.options if "plain" in self.lexicon.openings else ()
        opened = self.pick(*times, *people)
        if opened in _OPENINGS:
            getattr(self, f"open_{opened}")()
            opened = self.teller.choose(self.lexicon.people)
        name, pronouns = opened
        self.mark("person", name)
        nowhere = Place("", "", ())
        self.hero = Person(name, pronouns, nowhere)
        friends = self.lexicon.friends_of(pronouns)
        self.pick(
            (" was ", 5, self.hero_was),
            (" went to ", 4, self.hero_went),
            *([(" and ", 3, self.two_were)] if friends.options and "meet" in self.lexicon.acts else []),
        )()
        alone_with_things = self.friend is None and "find" in self.lexicon.acts
        if alone_with_things and not self.pick((".", 7, True), (" with ", 3, False)):
            self.new_thing(self.hero)
            self.happened("had", self.hero, f"{name} had {_a(self.things[0].full)}")
        if not self.teller.text.endswith("."):
            self.say(".")

    def open_weather(self) -> None:
        self.teller.choose(_WEATHER)
        self.say(" ")
        self.teller.choose(_HOURS)
        self.say(", ")

    def open_day(self) -> None:
        self.day = self.teller.choose(_DAYS)
        self.say(" ")
        self.teller.choose(_HOURS_OF_A_DAY)
        self.say(", ")

    def open_after(self) -> None:
        self.teller.choose(_AFTERS)
        self.say(", ")

    def open_once(self) -> None:
        """Nothing more to tell: a fairy tale has no date."""

    def hero_was(self) -> None:
        self.hero.place = self.choose_place(self.lexicon.settings)

    def hero_went(self) -> None:
        self.hero.place = self.choose_place(self.lexicon.destinations)

    def two_were(self) -> None:
        self.friend = self.new_friend()
        self.say(" were ")
        self.hero.place = self.friend.place = self.choose_place(self.lexicon.settings)

    def choose_place(self, menu: Menu) -> Place:
        place = self.teller.choose(menu)
        self.mark("place", place.name)
        return place

    def new_friend(self) -> Person:
        name, pronouns = self.teller.choose(self.lexicon.friends_of(self.hero.pronouns))
        self.mark("person", name)
        return Person(name, pronouns, self.hero.place)

    def new_thing(self, owner: Person) -> Thing:
        """Tell of a thing that was not in the story before, in somebody's hands."""
        adjective = self.teller.choose(self.lexicon.adjectives.without(*(thing.adjective for thing in self.things)))
        noun = self.teller.choose(self.lexicon.things.without(*(thing.noun for thing in self.things)))
        thing = Thing(noun, adjective, holder=owner)
        self.mark("object", thing.full)
        self.things.append(thing)
        self.focus = thing
        return thing

    # ---- one sentence --------------------------------------------------------------------------------------

    def next_sentence(self) -> bool:
        """Tell one more sentence; False when the story has come to its questions."""
        told = len(self.sentence_starts)
        subjects = self.subjects()
        must_end = told >= self.lexicon.most_sentences or len(self.teller.text) > self.lexicon.longest_body
        endings, more = [], []
        if must_end or not subjects or told >= self.lexicon.fewest_sentences:
            weight = 2 ** max(0, told - self.lexicon.fewest_sentences)
            endings = [("\n", 12 * weight, False)]
            if self.lexicon.happenings:
                endings += [(closing, weight, False) for closing in _CLOSINGS]
        if subjects and not must_end:
            more = [(f" {_capital(text)}", 4 * weight, act) for text, weight, act in subjects]
            if self.lexicon.happenings:
                more += [(text, 3 * weight, self.subject_follows) for text, weight, _ in _CONNECTIVES]
                more += [(text, 1, None) for text, _, _ in _HAPPENINGS]
        start = len(self.teller.text)
        go_on = self.pick(*endings, *more)
        if self.teller.text[start] == " ":
            self.sentence_starts.append(start + 1)
        if callable(go_on):
            go_on()
        return go_on is not False

    def subjects(self) -> list[Option]:
        """Whoever can do something now, by name and by pronoun, with the acts that are open to them."""
        subjects = []
        people = [self.hero] if self.friend is None else [self.hero, self.friend]
        for person in people:
            acts = [option for act in self.lexicon.acts for option in getattr(self, f"may_{act}")(person)]
            if not acts:
                continue
            again = person is self.last_actor
            run = partial(self.act, person, acts)
            subjects.append(Option(f"{person.name} ", 2 if again else 4, run))
            subjects.append(Option(f"{person.pronouns.subject} ", 6 if again else 2, run))
        if self.together:
            acts = [option for act in self.lexicon.joint_acts for option in getattr(self, f"may_{act}")()]
            if acts:
                subjects.append(Option("they ", 3, partial(self.act, None, acts)))
        return subjects

    def subject_follows(self) -> None:
        """After "Then" and its like: who did something, and what."""
        self.pick(*self.subjects())()

    def act(self, person: Person | None, acts: list[Option]) -> None:
        if person is not None and self.teller.text.endswith(f"{person.name} "):
            self.mark("person", person.name)
        self.last_actor = person
        done = self.pick(*acts)
        if done is not None:
            done()

    @property
    def together(self) -> bool:
        return self.friend is not None and self.friend.place == self.hero.place

    def other(self, person: Person) -> Person | None:
        return self.friend if person is self.hero else self.hero

    def other_here(self, person: Person) -> Person | None:
        return self.other(person) if self.together else None

    def held_by(self, person: Person) -> list[Thing]:
        return [thing for thing in self.things if thing.holder is person]

    # ---- naming --------------------------------------------------------------------------------------------

    def choose_thing(self, things: list[Thing], before: str = "", may_be_it: bool = True) -> Thing:
        """Name one of the things: "the kite", "the red kite", or "it" for the one last spoken of."""
        options = []
        for thing in things:
            options += [(f"{before}the {thing.noun}", 3, (thing, thing.noun))]
            options += [(f"{before}the {thing.full}", 3, (thing, thing.full))]
            if may_be_it and thing is self.focus:
                options += [(f"{before}it", 5, (thing, ""))]
        thing, named = self.pick(*options)
        if named:
            self.mark("object", named)
        self.focus = thing
        return thing

    def choose_name(self, person: Person) -> None:
        """Somebody who is not the subject: by name, or "him" or "her"."""
        if self.pick((person.name, 1, True), (person.pronouns.object, 1, False)):
            self.mark("person", person.name)

    def choose_spot(self, place: Place, *but: str) -> str:
        self.say(" ")
        return self.teller.choose(_spots(place.spots).without(*but))

    # ---- things --------------------------------------------------------------------------------------------

    def may_find(self, person: Person) -> list[Option]:
        if len(self.things) >= 2 or self.held_by(person):
            return []
        return [Option(text, weight, partial(self.find, person)) for text, weight in (("found ", 6), ("discovered ", 3))]

    def find(self, person: Person) -> None:
        thing = self.new_thing(person)
        thing.finder = person
        thing.found_at = self.choose_spot(person.place)
        self.say(".")
        person.news = (f"{person.pronouns.subject} had found {_a(thing.full)}", True)
        self.happened("found", person, f"{person.name} found {_a(thing.full)} {thing.found_at}")

    def may_put(self, person: Person) -> list[Option]:
        if not self.held_by(person):
            return []
        return [
            Option("put ", 3, partial(self.put, person)),
            Option("hid ", 2, partial(self.put, person)),
            Option("left ", 2, partial(self.leave, person)),
            Option("dropped ", 1, partial(self.drop, person)),
        ]

    def lay(self, person: Person, lost: bool = False) -> Thing:
        thing = self.choose_thing(self.held_by(person))
        thing.lies_at(person.place, self.choose_spot(person.place), lost)
        return thing

    def put(self, person: Person) -> None:
        thing = self.lay(person)
        self.happened("put", person, f"{person.name} put the {thing.full} {thing.spot}")
        self.say(".")

    def leave(self, person: Person) -> None:
        thing = self.lay(person)
        self.happened("left", person, f"{person.name} left the {thing.full} {thing.spot}")
        self.say(" and went to ")
        self.arrive(person)

    def drop(self, person: Person) -> None:
        thing = self.lay(person, lost=True)
        self.happened("lost", person, f"{person.name} lost the {thing.full} {thing.spot}")
        self.say(" and did not notice.")

    def may_give(self, person: Person) -> list[Option]:
        other = self.other_here(person)
        return [Option("gave ", 6, partial(self.give, person, other))] if other and self.held_by(person) else []

    def give(self, person: Person, other: Person) -> None:
        pronouns = other.pronouns
        first = self.pick((f"{other.name} ", 2, "name"), (f"{pronouns.object} ", 2, "pronoun"), ("the", 2, ""))
        if first:
            if first == "name":
                self.mark("person", other.name)
            thing = self.choose_thing(self.held_by(person), may_be_it=False)
        else:
            held = self.held_by(person)
            thing, named = self.pick(*((f" {named}", 1, (item, named)) for item in held for named in (item.noun, item.full)))
            self.mark("object", named)
            self.focus = thing
            self.say(" to ")
            self.choose_name(other)
        thing.goes_to(other)
        self.say(".")
        other.news = (f"{person.name} had given {pronouns.object} the {thing.noun}", True)
        self.happened("gave", person, f"{person.name} gave the {thing.full} to {other.name}")

    def may_show(self, person: Person) -> list[Option]:
        other = self.other_here(person)
        return [Option("showed ", 2, partial(self.show, person, other))] if other and self.held_by(person) else []

    def show(self, person: Person, other: Person) -> None:
        self.choose_name(other)
        self.choose_thing(self.held_by(person), before=" ", may_be_it=False)
        self.say(".")

    def may_pick_up(self, person: Person) -> list[Option]:
        here = [thing for thing in self.things if thing.place == person.place]
        return [Option("picked up ", 6, partial(self.pick_up, person, here))] if here else []

    def pick_up(self, person: Person, here: list[Thing]) -> None:
        thing = self.choose_thing(here, may_be_it=False)
        if thing.lost:
            person.news = (f"the {thing.noun} was not lost any more", True)
        thing.goes_to(person)
        self.say(".")
        self.happened("picked up", person, f"{person.name} picked up the {thing.full}")

    def may_look_for(self, person: Person) -> list[Option]:
        lost = [thing for thing in self.things if thing.lost]
        return [Option("looked for ", 8, partial(self.look_for, person, lost))] if lost else []

    def look_for(self, person: Person, lost: list[Thing]) -> None:
        thing = self.choose_thing(lost)
        self.choose_spot(person.place, thing.spot)
        self.say(", but it was not there.")
        person.news = (f"the {thing.noun} was lost", False)

    # ---- going ---------------------------------------------------------------------------------------------

    def may_go(self, person: Person) -> list[Option]:
        elsewhere = len(self.lexicon.places) > 1
        if not elsewhere:
            return []
        options = [Option(verb, 2, partial(self.go, person)) for verb in ("went to ", "ran to ", "walked to ")]
        if self.held_by(person):
            options += [Option("took ", 5, partial(self.take, person)), Option("carried ", 3, partial(self.take, person))]
        return options

    def go(self, person: Person) -> None:
        self.arrive(person)

    def take(self, person: Person) -> None:
        self.choose_thing(self.held_by(person))
        self.say(" to ")
        self.arrive(person)

    def arrive(self, person: Person) -> None:
        """Where somebody goes, and whom or what they find there."""
        person.place = self.choose_place(self.lexicon.destinations.without(person.place))
        self.happened("went", person, f"{person.name} went to the {person.place.name}")
        other = self.other(person)
        lying = [thing for thing in self.things if thing.place == person.place]
        if other is not None and other.place == person.place:
            self.say(" and met ")
            self.say_name(other)
            self.say(" there")
        elif lying and self.pick((".", 1, False), (" and saw ", 3, True)):
            thing = self.choose_thing(lying[:1], may_be_it=False)
            self.say(f" {thing.spot}")
        if not self.teller.text.endswith("."):
            self.say(".")

    def may_go_together(self) -> list[Option]:
        if len(self.lexicon.places) < 2:
            return []
        return [Option(verb, 3, self.go_together) for verb in ("went to ", "ran to ", "walked to ")]

    def go_together(self) -> None:
        place = self.choose_place(self.lexicon.destinations.without(self.hero.place))
        self.hero.place = self.friend.place = place
        self.say(self.pick((" together.", 1, ""), (".", 1, "")))

    # ---- counting ------------------------------------------------------------------------------------------

    def may_count(self, person: Person) -> list[Option]:
        if person.counted is not None:
            return []
        return [Option(verb, weight, partial(self.count, person)) for verb, weight in (("had ", 3), ("bought ", 2))]

    def count(self, person: Person) -> None:
        person.number = self.teller.choose(_NUMBERS)
        self.say(" ")
        person.counted = self.teller.choose(self.lexicon.many)
        self.say(".")
        self.happened("had", person, f"{person.name} had {person.counted.counted(person.number)}")

    def may_share_out(self, person: Person) -> list[Option]:
        if person.counted is None or person.number == 0:
            return []
        options = [Option("got ", 2, partial(self.get_more, person))] if person.number <= 10 else []
        verb = "ate " if person.counted.eaten else "lost "
        options += [Option(verb, 4, partial(self.use_up, person))]
        other = self.other_here(person)
        if other and other.counted in (None, person.counted):
            options += [Option("handed ", 5, partial(self.hand, person, other))]
        return options

    def choose_number(self, person: Person) -> int:
        """A few of what somebody has, told with its noun."""
        few = range(1, min(person.number, 4) + 1)
        return self.pick(*((person.counted.counted(number), 1, number) for number in few))

    def tell_rest(self, person: Person, number: int, words: str) -> None:
        """What is left or has been reached; sometimes left to the reader to work out."""
        person.number = number
        if self.pick((".", 1, False), (f", so {person.pronouns.subject} {words} ", 1, True)):
            self.say(f"{person.counted.counted(number)}.")

    def get_more(self, person: Person) -> None:
        more = self.pick(*((f"{NUMBERS[number]} more ", 1, number) for number in range(1, 5)))
        self.say(person.counted.one if more == 1 else person.counted.many)
        self.say(" from ")
        self.teller.choose(_GIVERS)
        self.tell_rest(person, person.number + more, "now had")

    def use_up(self, person: Person) -> None:
        self.tell_rest(person, person.number - self.choose_number(person), "still had")

    def hand(self, person: Person, other: Person) -> None:
        self.choose_name(other)
        self.say(" ")
        number = self.choose_number(person)
        other.counted, other.number = person.counted, other.number + number
        self.happened("gave", person, f"{person.name} gave {person.counted.counted(number)} to {other.name}")
        self.tell_rest(person, person.number - number, "still had")

    # ---- feeling -------------------------------------------------------------------------------------------

    def may_feel(self, person: Person) -> list[Option]:
        """Feelings change for a reason: whoever is sad stays so until there is good news or comfort."""
        if person.times_felt >= 2:
            return []
        feelings = self.lexicon.feelings
        if person.feeling is not None:
            if person.news is None:
                return []
            feelings = tuple(feeling for feeling in feelings if feeling.told.startswith(("was happy", "was sad")))
            feelings = tuple(feeling for feeling in feelings if feeling.good == person.news[1])
        weight = 4 if person.news else 1
        return [
            Option(feeling.told, weight if self.has_news(person, feeling) else 1, partial(self.feel, person, feeling))
            for feeling in feelings
        ]

    def has_news(self, person: Person, feeling: Feeling) -> bool:
        if person.news is None or not feeling.told.startswith(("was happy", "was sad")):
            return False
        return feeling.good == person.news[1]

    def feel(self, person: Person, feeling: Feeling) -> None:
        pronouns = person.pronouns
        causes = [text.format(she=pronouns.subject, her=pronouns.possessive) for text in feeling.causes]
        options = [(cause, 1, cause) for cause in causes if cause not in self.used_causes]
        if self.has_news(person, feeling):
            options = [(person.news[0], 12, person.news[0]), *(options if person.feeling is None else [])]
        cause = self.pick(*options)
        self.say(".")
        self.feels(person, feeling, cause)

    def feels(self, person: Person, feeling: Feeling, cause: str) -> None:
        person.feeling, person.cause, person.news = feeling, cause, None
        person.times_felt += 1
        self.used_causes.add(cause)
        self.reasons.append((person, feeling, cause))
        self.feelings.append(Feels(len(self.teller.text), person.name, feeling.good))
        self.happened("felt", person, f"{person.name} {feeling.told}{cause}")

    def may_comfort(self, person: Person) -> list[Option]:
        other = self.other_here(person)
        if other is None or other.feeling is None or other.feeling.good:
            return []
        words = {"him": other.pronouns.object, "his": other.pronouns.possessive}
        return [
            Option(told.format(**words), 3, partial(self.comfort, person, other, had.format(**words)))
            for told, had in world.COMFORTS
        ]

    def comfort(self, person: Person, other: Person, had: str) -> None:
        self.say(f", and soon {other.pronouns.subject} felt better.")
        self.feels(other, world.BETTER, f"{person.name} {had}")

    # ---- meeting, playing and the rest ---------------------------------------------------------------------

    def may_meet(self, person: Person) -> list[Option]:
        if self.friend is not None or not self.lexicon.friends_of(person.pronouns).options:
            return []
        return [Option("met ", 14, self.meet)]

    def meet(self) -> None:
        self.friend = friend = self.new_friend()
        options = [(".", 6, None)]
        if len(self.things) < 2 and "find" in self.lexicon.acts:
            options.append((", who had ", 4, partial(self.has_thing, friend)))
        if "feel" in self.lexicon.acts:
            options += [
                (f", who {feeling.told}", 1, partial(self.feel, friend, feeling)) for feeling in self.lexicon.feelings
            ]
        done = self.pick(*options)
        if done is not None:
            done()

    def has_thing(self, person: Person) -> None:
        thing = self.new_thing(person)
        self.happened("had", person, f"{person.name} had {_a(thing.full)}")
        self.say(".")

    def may_play_alone(self, person: Person) -> list[Option]:
        return [
            Option("sang a song about ", 1, partial(self.end_with, _SONGS, ".")),
            Option("drew a picture of ", 1, partial(self.end_with, _PICTURES, ".")),
            Option("pretended to be ", 1, partial(self.end_with, _DISGUISES, ".")),
            Option('said, "', 2, partial(self.end_with, _REMARKS, '"')),
            *_PASTIMES,
        ]

    def end_with(self, menu: Menu, end: str) -> None:
        self.teller.choose(menu)
        self.say(end)

    def may_swap(self) -> list[Option]:
        both = self.held_by(self.hero) and self.held_by(self.friend)
        return [Option("swapped ", 6, self.swap)] if both else []

    def swap(self) -> None:
        mine, yours = self.held_by(self.hero)[0], self.held_by(self.friend)[0]
        for thing, text in ((mine, "the "), (yours, " and the ")):
            self.say(text + thing.noun)
            self.mark("object", thing.noun)
        self.say(".")
        mine.goes_to(self.friend)
        yours.goes_to(self.hero)
        self.happened("swapped", self.hero, f"{self.hero.name} and {self.friend.name} swapped the {mine.noun} and the {yours.noun}")

    def may_play_together(self) -> list[Option]:
        return [
            Option("played ", 3, partial(self.end_with, _GAMES, ".")),
            Option("shared ", 2, partial(self.end_with, _SNACKS, ".")),
            Option("talked about ", 2, partial(self.end_with, _SONGS, ".")),
        ]

    # ---- questions -----------------------------------------------------------------------------------------

    def ask(self, questions: list[Question]) -> None:
        """One question about the story, or two, each with its answer."""
        asked: list[Question] = []
        while True:
            left = [question for question in questions if question not in asked]
            if not left or len(asked) == 2:
                self.say(END)
                return
            if asked and self.pick((END, 3, True), ("\n", 1, False)):
                return
            share = {kind: 12 // max(1, sum(q.kind == kind for q in left)) for kind in self.lexicon.questions}
            question = self.pick(*((q.text, share[q.kind], q) for q in left))
            self.say(f" {question.answer}")
            asked.append(question)

    def answerable(self, body: str) -> list[Question]:
        """Every question that the story answers."""
        people = [self.hero] if self.friend is None else [self.hero, self.friend]
        questions = []
        for kind in self.lexicon.questions:
            questions += getattr(self, f"ask_{kind}")(body, people)
        return questions

    def ask_where_thing(self, body: str, people: list[Person]) -> list[Question]:
        questions = []
        for thing in self.things:
            if thing.holder:
                answer, short = f"{thing.holder.name} has it {thing.holder.place.where}.", thing.holder.place.name
            else:
                answer, short = f"It is {thing.spot} {thing.place.where}.", thing.spot
            questions.append(Question("where_thing", f"Where is the {thing.full}?", answer, short, body.rfind(short)))
        return questions

    def ask_who_has(self, body: str, people: list[Person]) -> list[Question]:
        return [
            Question("who_has", f"Who has the {thing.full}?", f"{name} has it.", name, body.rfind(name))
            for thing in self.things
            if thing.holder
            for name in (thing.holder.name,)
        ]

    def ask_where_person(self, body: str, people: list[Person]) -> list[Question]:
        return [
            Question(
                "where_person",
                f"Where is {person.name}?",
                f"{_capital(person.pronouns.subject)} is {person.place.where}.",
                person.place.name,
                body.rfind(person.place.name),
            )
            for person in people
        ]

    def ask_how_many(self, body: str, people: list[Person]) -> list[Question]:
        return [
            Question(
                "how_many",
                f"How many {person.counted.many} does {person.name} have?",
                f"{_capital(person.pronouns.subject)} has {person.counted.counted(person.number)}.",
                NUMBERS[person.number],
                None,
            )
            for person in people
            if person.counted
        ]

    def ask_why(self, body: str, people: list[Person]) -> list[Question]:
        """Feelings that somebody had for one reason only."""
        reasons = [(feeling.asked.format(name=person.name), cause) for person, feeling, cause in self.reasons]
        asked = [text for text, _ in reasons]
        return [
            Question("why", text, f"Because {cause}.", cause, body.rfind(cause))
            for text, cause in reasons
            if asked.count(text) == 1
        ]

    def ask_who_found(self, body: str, people: list[Person]) -> list[Question]:
        return [
            Question("who_found", f"Who found the {thing.full}?", f"{name} found it.", name, body.find(name))
            for thing in self.things
            if thing.finder
            for name in (thing.finder.name,)
        ]

    def ask_where_found(self, body: str, people: list[Person]) -> list[Question]:
        return [
            Question(
                "where_found",
                f"Where did {thing.finder.name} find the {thing.full}?",
                f"{_capital(thing.found_at)}.",
                thing.found_at,
                body.find(thing.found_at),
            )
            for thing in self.things
            if thing.finder
        ]

    def ask_colour(self, body: str, people: list[Person]) -> list[Question]:
        return [
            Question("colour", f"What colour is the {thing.noun}?", f"It is {thing.adjective}.", thing.adjective, body.find(thing.adjective))
            for thing in self.things
            if thing.adjective in self.lexicon.colours
        ]

    def ask_day(self, body: str, people: list[Person]) -> list[Question]:
        if self.day is None:
            return []
        return [Question("day", "On which day did the story begin?", f"It was {self.day}.", self.day, body.find(self.day))]
