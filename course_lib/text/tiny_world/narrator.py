"""The one program that tells every tiny_world story.

It keeps the state of the world (who is where, who holds what, who feels how and why) and makes each random
decision through `Teller.choose`, so that the same code samples stories, reads them and lists them.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

from course_lib.text.tiny_world import world
from course_lib.text.tiny_world.telling import END, Menu, Option, Teller
from course_lib.text.tiny_world.world import LEXICON, NUMBERS, Feeling, Lexicon, Person, Place, Thing

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
    """Something that happened, as a plain clause with names instead of pronouns; `about` is the thing in it."""

    kind: str
    actor: str
    clause: str
    about: Thing | None = None


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
    people: tuple[Person, ...]
    things: tuple[Thing, ...]


def tell_story(teller: Teller, lexicon: Lexicon = LEXICON) -> Story:
    """Let `teller` tell one story of the world that `lexicon` describes."""
    return _Narrator(teller, lexicon).story()


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _first(body: str, words: str) -> int | None:
    """Where `words` stand first, as whole words; None where the story does not say them in this way."""
    return min(_all(body, words), default=None)


def _last(body: str, words: str) -> int | None:
    """Where `words` stand last, as whole words; None where the story does not say them in this way."""
    return max(_all(body, words), default=None)


def _all(body: str, words: str) -> list[int]:
    found, start = [], body.find(words)
    while start >= 0:
        stop = start + len(words)
        if not body[start - 1 : start].isalpha() and not body[stop : stop + 1].isalpha():
            found.append(start)
        start = body.find(words, start + 1)
    return found


_spots = cache(world.evenly)
_INTEREST = {
    "where_thing": 4, "who_has": 3, "where_person": 1, "how_many": 4, "why": 2, "who_found": 1, "where_found": 2,
    "colour": 1, "day": 3, "wanted": 4, "who_won": 6, "where_hid": 6,
}  # fmt: skip
_HOURS = world.evenly(world.HOURS)
_HOURS_OF_A_DAY = _HOURS.without("day")
_WEATHER = world.evenly(world.WEATHER)
_DAYS = world.evenly(world.DAYS)
_AFTERS = world.evenly(world.AFTERS)
_SONGS = world.evenly(world.SONGS)
_PICTURES = world.evenly(world.PICTURES)
_DISGUISES = world.evenly(world.DISGUISES)
_REMARKS = world.evenly(world.REMARKS)
_SNACKS = world.evenly(world.SNACKS)
_NUMBERS = Menu(Option(NUMBERS[number], 1, number) for number in range(2, 10))
_GIVERS = world.evenly(("a neighbour", "an aunt", "the farmer", "the teacher"))
_OPENINGS = {
    "weather": Option("One ", 5, "weather"),
    "it_was": Option("It was a ", 4, "it_was"),
    "day": Option("On ", 5, "day"),
    "after": Option("After ", 3, "after"),
    "once": Option("Once upon a time, ", 2, "once"),
}
_CONNECTIVES = tuple(Option(f" {text}", weight) for text, weight in world.CONNECTIVES)
_HAPPENINGS = tuple(Option(f" {happening}", 1) for happening in world.HAPPENINGS)
_CLOSINGS = tuple(f" {closing}\n" for closing in world.CLOSINGS)


class _Ending(NamedTuple):
    """How a sentence ends that changes nothing in the world: with one of some words, and the end of the sentence."""

    menu: Menu
    end: str = "."


@cache
def _alone(possessive: str, indoors: bool) -> tuple[Option, ...]:
    """What somebody can do alone, anywhere or in such a place."""
    pastimes = [*world.PASTIMES, *(world.INSIDE if indoors else world.OUTSIDE)]
    return (
        Option("sang a song about ", 1, _Ending(_SONGS)),
        Option("drew a picture of ", 1, _Ending(_PICTURES)),
        Option("pretended to be ", 1, _Ending(_DISGUISES)),
        Option('said, "', 2, _Ending(_REMARKS, '"')),
        *(Option(pastime.format(his=possessive) + ".", 1) for pastime in pastimes),
    )


_TOGETHER = (
    *(Option(f"played {game}.", 1) for game in world.GAMES),
    Option("shared ", 3, _Ending(_SNACKS)),
    Option("talked about ", 3, _Ending(_SONGS)),
)


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
        self.wish: tuple[Person, str, str] | None = None
        self.wished = ""
        self.winner: Person | None = None
        self.hiding: tuple[Person, str] | None = None
        self.raining = False
        self.replies: list[Option] = []
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

    def happened(self, kind: str, actor: Person, clause: str, about: Thing | None = None) -> None:
        self.events.append(Event(kind, actor.name, clause, about))

    # ---- the whole story -----------------------------------------------------------------------------------

    def story(self) -> Story:
        self.opening()
        while self.next_sentence():
            pass
        body = self.teller.text.rstrip("\n")
        questions = [question for kind in self.lexicon.questions for question in getattr(self, f"ask_{kind}")(body)]
        self.ask(questions)
        return Story(
            text=self.teller.text.removesuffix(END),
            body=body,
            sentence_starts=tuple(self.sentence_starts),
            mentions=tuple(mention for mention in self.mentions if mention.stop <= len(body)),
            events=tuple(self.events),
            feelings=tuple(self.feelings),
            questions=tuple(questions),
            people=tuple(self.people),
            things=tuple(self.things),
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
            self.happened("had", self.hero, f"{name} had {_a(self.things[0].full)}", self.things[0])
        if not self.teller.text.endswith("."):
            self.say(".")

    def open_weather(self, end: str = ", ") -> None:
        self.raining = self.teller.choose(_WEATHER) == "rainy"
        self.say(" ")
        self.teller.choose(_HOURS)
        self.say(end)

    def open_it_was(self) -> None:
        self.open_weather(end=". ")
        self.sentence_starts.append(len(self.teller.text))

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
        known = [(thing.adjective, thing.noun) for thing in self.things]
        known += [self.wish[1:]] if self.wish else []
        adjective = self.teller.choose(self.lexicon.adjectives.without(*(adjective for adjective, _ in known)))
        noun = self.teller.choose(self.lexicon.things.without(*(noun for _, noun in known)))
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
            more += self.replies
            if self.lexicon.happenings:
                more += [(text, 3 * weight, self.subject_follows) for text, weight, _ in _CONNECTIVES]
                more += [
                    *(option for option in _HAPPENINGS if option.text not in self.teller.text),
                    (f" {world.RAIN_ENDS if self.raining else world.RAIN_BEGINS}", 2, self.rain_turns),
                ]
        self.replies = []
        start = len(self.teller.text)
        go_on = self.pick(*endings, *more)
        if self.teller.text[start] == " ":
            self.sentence_starts.append(start + 1)
        if callable(go_on):
            go_on()
        else:
            self.focus = None  # somebody may still say "the kite", but "it" would be unclear by now
        return go_on is not False

    def subjects(self) -> list[Option]:
        """Whoever can do something now, by name and by pronoun."""
        subjects = []
        for person in self.people:
            if any(True for _ in self.acts_of(person)):
                again = person is self.last_actor
                run = partial(self.act, person)
                urgent = 3 if any(True for _ in self.may_comfort(person)) else 1
                subjects.append(Option(f"{person.name} ", urgent * (2 if again else 4), run))
                subjects.append(Option(f"{person.pronouns.subject} ", urgent * (6 if again else 2), run))
        if any(True for _ in self.acts_of(None)):
            subjects.append(Option("they ", 5, partial(self.act, None)))
        return subjects

    def acts_of(self, person: Person | None) -> Iterator[Option]:
        """What somebody can do now; None stands for both together."""
        if person is not None:
            for act in self.lexicon.acts:
                yield from getattr(self, f"may_{act}")(person)
        elif self.together:
            for act in self.lexicon.joint_acts:
                yield from getattr(self, f"may_{act}")()

    def rain_turns(self) -> None:
        self.raining = not self.raining
        self.focus = None

    def reply(self, speaker: Person, said: str, verb: str, named: str = "", kind: str = "person") -> None:
        """Somebody may answer to what was just told; `named` is what the answer names."""
        text = f' "{said}" {speaker.pronouns.subject} {verb}.'
        self.replies.append(Option(text, 16, partial(self.mark, kind, named) if named else None))

    def subject_follows(self) -> None:
        """After "Then" and its like: who did something, and what."""
        self.pick(*self.subjects())()

    def act(self, person: Person | None) -> None:
        if person is not None and self.teller.text.endswith(f"{person.name} "):
            self.mark("person", person.name)
        self.last_actor = person
        done = self.pick(*self.acts_of(person))
        if done is None or isinstance(done, _Ending):
            self.focus = None
        if isinstance(done, _Ending):
            self.teller.choose(done.menu)
            self.say(done.end)
        elif done is not None:
            done()

    @property
    def people(self) -> list[Person]:
        return [self.hero] if self.friend is None else [self.hero, self.friend]

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
        if len(self.things) >= self.lexicon.most_things or self.held_by(person):
            return []
        options = [
            Option(text, weight, partial(self.find, person)) for text, weight in (("found ", 12), ("discovered ", 5))
        ]
        if self.wish and self.wish[0] is person:
            options.append(Option("came across ", 40, partial(self.find, person, wished=True)))
        return options

    def may_wish(self, person: Person) -> list[Option]:
        """Only at the beginning of a story, before there is any thing."""
        early = len(self.sentence_starts) <= 2 and not self.things and self.wish is None
        return [Option("wanted ", 30, partial(self.want, person))] if early else []

    def want(self, person: Person) -> None:
        adjective = self.teller.choose(self.lexicon.adjectives)
        noun = self.teller.choose(self.lexicon.things)
        self.wish = (person, adjective, noun)
        self.wished = f"{adjective} {noun}"
        self.mark("object", self.wished)
        self.say(".")
        self.happened("wanted", person, f"{person.name} wanted {_a(self.wished)}")

    def wished_thing(self, owner: Person) -> Thing:
        """The very thing that somebody had wanted, now in somebody's hands."""
        wisher, adjective, noun = self.wish
        self.wish = None
        thing = Thing(noun, adjective, holder=owner)
        self.say(_a(thing.full))
        self.mark("object", thing.full)
        self.things.append(thing)
        self.focus = thing
        wisher.news = (f"{wisher.pronouns.subject} had wished for the {noun}", True) if wisher is owner else wisher.news
        return thing

    def find(self, person: Person, wished: bool = False) -> None:
        thing = self.wished_thing(person) if wished else self.new_thing(person)
        thing.finder = person
        thing.found_at = self.choose_spot(person.place)
        self.say(".")
        if not wished:
            person.news = (f"{person.pronouns.subject} had found the {thing.noun}", True)
        self.happened("found", person, f"{person.name} found {_a(thing.full)} {thing.found_at}", thing)

    def may_put(self, person: Person) -> list[Option]:
        if not self.held_by(person):
            return []
        return [
            Option("put ", 16, partial(self.put, person)),
            Option("hid ", 10, partial(self.put, person)),
            Option("left ", 16, partial(self.leave, person)),
            Option("dropped ", 12, partial(self.drop, person)),
        ]

    def lay(self, person: Person, lost: bool = False) -> Thing:
        thing = self.choose_thing(self.held_by(person))
        thing.lies_at(person.place, self.choose_spot(person.place), lost)
        return thing

    def put(self, person: Person) -> None:
        thing = self.lay(person)
        self.happened("put", person, f"{person.name} put the {thing.full} {thing.spot}", thing)
        self.say(".")

    def leave(self, person: Person) -> None:
        thing = self.lay(person)
        self.happened("left", person, f"{person.name} left the {thing.full} {thing.spot}", thing)
        self.say(" and went to ")
        self.arrive(person)

    def drop(self, person: Person) -> None:
        thing = self.lay(person, lost=True)
        self.happened("lost", person, f"{person.name} lost the {thing.full} {thing.spot}", thing)
        self.say(" and did not notice.")

    def may_give(self, person: Person) -> list[Option]:
        other = self.other_here(person)
        return [Option("gave ", 60, partial(self.give, person, other))] if other and self.held_by(person) else []

    def give(self, person: Person, other: Person) -> None:
        pronouns = other.pronouns
        first = self.pick((f"{other.name} ", 2, "name"), (f"{pronouns.object} ", 2, "pronoun"), ("the", 2, ""))
        if first:
            if first == "name":
                self.mark("person", other.name)
            thing = self.choose_thing(self.held_by(person), may_be_it=False)
        else:
            held = self.held_by(person)
            thing, named = self.pick(
                *((f" {named}", 1, (item, named)) for item in held for named in (item.noun, item.full))
            )
            self.mark("object", named)
            self.focus = thing
            self.say(" to ")
            self.choose_name(other)
        thing.goes_to(other)
        self.say(".")
        other.news = (f"{person.name} had given {pronouns.object} the {thing.noun}", True)
        self.reply(other, "Thank you!", "said")
        self.reply(other, f"Thank you, {person.name}!", "said", person.name)
        self.happened("gave", person, f"{person.name} gave the {thing.full} to {other.name}", thing)

    def may_show(self, person: Person) -> list[Option]:
        other = self.other_here(person)
        return [Option("showed ", 14, partial(self.show, person, other))] if other and self.held_by(person) else []

    def show(self, person: Person, other: Person) -> None:
        self.choose_name(other)
        thing = self.choose_thing(self.held_by(person), before=" ", may_be_it=False)
        self.say(".")
        self.reply(other, f"What a nice {thing.noun}!", "said", thing.noun, "object")
        self.reply(other, f"I like your {thing.noun}.", "said", thing.noun, "object")

    def may_pick_up(self, person: Person) -> list[Option]:
        here = [thing for thing in self.things if thing.place == person.place]
        return [Option("picked up ", 60, partial(self.pick_up, person, here))] if here else []

    def pick_up(self, person: Person, here: list[Thing]) -> None:
        thing = self.choose_thing(here, may_be_it=False)
        if thing.lost:
            person.news = (f"the {thing.noun} was not lost any more", True)
        thing.goes_to(person)
        self.say(".")
        self.happened("picked up", person, f"{person.name} picked up the {thing.full}", thing)

    def may_look_for(self, person: Person) -> list[Option]:
        lost = [thing for thing in self.things if thing.lost]
        return [Option("looked for ", 60, partial(self.look_for, person, lost))] if lost else []

    def look_for(self, person: Person, lost: list[Thing]) -> None:
        thing = self.choose_thing(lost)
        self.choose_spot(person.place, thing.spot)
        self.say(", but it was not there.")
        self.reply(person, "Where can it be?", "asked")
        person.news = (f"the {thing.noun} was lost", False)

    # ---- going ---------------------------------------------------------------------------------------------

    def may_go(self, person: Person) -> list[Option]:
        elsewhere = len(self.lexicon.places) > 1
        if not elsewhere:
            return []
        options = [
            Option(verb, 4, partial(self.arrive, person))
            for verb in ("went to ", "ran to ", "walked to ", "hurried to ")
        ]
        if self.held_by(person):
            options += [
                Option("took ", 16, partial(self.take, person)),
                Option("carried ", 10, partial(self.take, person)),
            ]
        return options

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
            self.reply(other, f"Hello, {person.name}!", "said", person.name)
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
        self.go_somewhere_together()
        self.say(self.pick((" together.", 1, ""), (".", 1, "")))

    def go_somewhere_together(self) -> None:
        place = self.choose_place(self.lexicon.destinations.without(self.hero.place))
        self.hero.place = self.friend.place = place
        self.happened("went", self.hero, f"{self.hero.name} and {self.friend.name} went to the {place.name}")

    def may_race(self) -> list[Option]:
        once = self.winner is None and len(self.lexicon.places) > 1
        return [Option("raced to ", 8, self.race)] if once else []

    def race(self) -> None:
        """Both run; one of them is first, and glad of it."""
        self.go_somewhere_together()
        self.say(", and ")
        self.winner = self.pick(*((person.name, 1, person) for person in (self.hero, self.friend)))
        self.mark("person", self.winner.name)
        self.say(" was faster.")
        self.winner.news = (f"{self.winner.pronouns.subject} had won the race", True)
        loser = self.other(self.winner)
        loser.news = (f"{loser.pronouns.subject} had lost the race", False)
        self.happened("won", self.winner, f"{self.winner.name} won a race against {loser.name}")

    # ---- counting ------------------------------------------------------------------------------------------

    def may_count(self, person: Person) -> list[Option]:
        if person.counted is not None:
            return []
        return [
            Option(verb, weight, partial(self.count, person))
            for verb, weight in (("had ", 5), ("bought ", 5), ("collected ", 3))
        ]

    def count(self, person: Person) -> None:
        person.number = self.teller.choose(_NUMBERS)
        self.say(" ")
        person.counted = self.teller.choose(self.lexicon.many)
        self.say(".")
        self.happened("had", person, f"{person.name} had {person.counted.counted(person.number)}")

    def may_share_out(self, person: Person) -> list[Option]:
        if person.counted is None or person.number == 0:
            return []
        options = [Option("got ", 8, partial(self.get_more, person))] if person.number <= 10 else []
        verb = "ate " if person.counted.eaten else "lost "
        options += [Option(verb, 12, partial(self.use_up, person))]
        other = self.other_here(person)
        if other and other.counted in (None, person.counted):
            options += [Option("handed ", 15, partial(self.hand, person, other))]
        return options

    def choose_number(self, person: Person) -> int:
        """A few of what somebody has, told with its noun."""
        few = range(1, min(person.number, 4) + 1)
        return self.pick(*((person.counted.counted(number), 1, number) for number in few))

    def tell_rest(self, person: Person, number: int, verb: str = "still had") -> None:
        """How many there are now; sometimes left to the reader to work out."""
        person.number = number
        if self.pick((".", 1, False), (f", so {person.pronouns.subject} ", 1, True)):
            counted = person.counted.counted(number)
            self.say(f"{verb} {counted}." if number else f"had {counted} left.")

    def get_more(self, person: Person) -> None:
        more = self.pick(*((f"{NUMBERS[number]} more ", 1, number) for number in range(1, 5)))
        self.say(person.counted.one if more == 1 else person.counted.many)
        self.say(" from ")
        self.teller.choose(_GIVERS)
        self.tell_rest(person, person.number + more, "now had")

    def use_up(self, person: Person) -> None:
        self.tell_rest(person, person.number - self.choose_number(person))

    def hand(self, person: Person, other: Person) -> None:
        self.choose_name(other)
        self.say(" ")
        number = self.choose_number(person)
        other.counted, other.number = person.counted, other.number + number
        self.happened("gave", person, f"{person.name} gave {person.counted.counted(number)} to {other.name}")
        self.tell_rest(person, person.number - number)

    # ---- feeling -------------------------------------------------------------------------------------------

    def may_feel(self, person: Person) -> list[Option]:
        """Feelings change for a reason: after the first one, only news brings another."""
        if person.times_felt >= 2 or (person.feeling is not None and person.news is None):
            return []
        feelings = self.lexicon.feelings
        if person.feeling is not None:
            feelings = [feeling for feeling in feelings if self.has_news(person, feeling)]
        return [
            Option(
                feeling.told.format(his=person.pronouns.possessive),
                16 if self.has_news(person, feeling) else 1,
                partial(self.feel, person, feeling),
            )
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
        self.happened("felt", person, f"{person.name} {feeling.told.format(his=person.pronouns.possessive)}{cause}")

    def may_comfort(self, person: Person) -> list[Option]:
        other = self.other_here(person)
        if other is None or other.feeling is None or other.feeling.good:
            return []
        words = {"him": other.pronouns.object, "his": other.pronouns.possessive}
        return [
            Option(told.format(**words), 12, partial(self.comfort, person, other, had.format(**words)))
            for told, had in world.COMFORTS
        ]

    def comfort(self, person: Person, other: Person, had: str) -> None:
        self.say(f", and soon {other.pronouns.subject} felt better.")
        self.feels(other, world.BETTER, f"{person.name} {had}")

    # ---- meeting, playing and the rest ---------------------------------------------------------------------

    def may_meet(self, person: Person) -> list[Option]:
        if self.friend is not None or not self.lexicon.friends_of(person.pronouns).options:
            return []
        return [Option("met ", 45, partial(self.meet, person))]

    def meet(self, person: Person) -> None:
        self.friend = friend = self.new_friend()
        self.reply(friend, f"Hello, {person.name}!", "said", person.name)
        options = [(".", 7, None)]
        if len(self.things) < self.lexicon.most_things and "find" in self.lexicon.acts:
            options.append((", who had ", 4, partial(self.has_thing, friend)))
            if self.wish and self.wish[0] is person:
                options.append((", who owned just such a thing: ", 20, partial(self.has_thing, friend, wished=True)))
        if "feel" in self.lexicon.acts:
            options += [
                (f", who {feeling.told.format(his=friend.pronouns.possessive)}", 1, partial(self.feel, friend, feeling))
                for feeling in self.lexicon.feelings
            ]
        done = self.pick(*options)
        if done is not None:
            done()

    def has_thing(self, person: Person, wished: bool = False) -> None:
        thing = self.wished_thing(person) if wished else self.new_thing(person)
        self.happened("had", person, f"{person.name} had {_a(thing.full)}", thing)
        self.say(".")

    def may_play_alone(self, person: Person) -> tuple[Option, ...]:
        return _alone(person.pronouns.possessive, person.place.indoors)

    def may_swap(self) -> list[Option]:
        both = self.held_by(self.hero) and self.held_by(self.friend)
        return [Option("swapped ", 25, self.swap)] if both else []

    def swap(self) -> None:
        mine, yours = self.held_by(self.hero)[0], self.held_by(self.friend)[0]
        for thing, text in ((mine, "the "), (yours, " and the ")):
            self.say(text + thing.noun)
            self.mark("object", thing.noun)
        self.say(".")
        mine.goes_to(self.friend)
        yours.goes_to(self.hero)
        self.happened(
            "swapped",
            self.hero,
            f"{self.hero.name} and {self.friend.name} swapped the {mine.noun} and the {yours.noun}",
        )

    def may_play_together(self) -> tuple[Option, ...]:
        return _TOGETHER

    def may_hide(self) -> list[Option]:
        return [Option("played hide and seek, and ", 8, self.hide)] if self.hiding is None else []

    def hide(self) -> None:
        person = self.pick(*((person.name, 1, person) for person in (self.hero, self.friend)))
        self.mark("person", person.name)
        self.say(" hid")
        self.hiding = (person, self.choose_spot(person.place))
        self.say(".")
        self.reply(self.other(person), f"I can see you, {person.name}!", "called", person.name)
        self.happened("hid", person, f"{person.name} hid {self.hiding[1]}")

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
            share = {
                kind: 12 * _INTEREST[kind] // max(1, sum(q.kind == kind for q in left))
                for kind in self.lexicon.questions
            }
            question = self.pick(*((q.text, share[q.kind], q) for q in left))
            self.say(f" {question.answer}")
            asked.append(question)

    def ask_where_thing(self, body: str) -> list[Question]:
        questions = []
        for thing in self.things:
            if thing.holder:
                answer, short = f"{thing.holder.name} has it {thing.holder.place.where}.", thing.holder.place.name
            else:
                answer, short = f"It is {thing.spot} {thing.place.where}.", thing.spot
            questions.append(Question("where_thing", f"Where is the {thing.full}?", answer, short, _last(body, short)))
        return questions

    def ask_who_has(self, body: str) -> list[Question]:
        return [
            Question("who_has", f"Who has the {thing.full}?", f"{name} has it.", name, _last(body, name))
            for thing in self.things
            if thing.holder
            for name in (thing.holder.name,)
        ]

    def ask_where_person(self, body: str) -> list[Question]:
        return [
            Question(
                "where_person",
                f"Where is {person.name}?",
                f"{_capital(person.pronouns.subject)} is {person.place.where}.",
                person.place.name,
                _last(body, person.place.name),
            )
            for person in self.people
        ]

    def ask_how_many(self, body: str) -> list[Question]:
        return [
            Question(
                "how_many",
                f"How many {person.counted.many} does {person.name} have?",
                f"{_capital(person.pronouns.subject)} has {person.counted.counted(person.number)}.",
                NUMBERS[person.number],
                None,
            )
            for person in self.people
            if person.counted
        ]

    def ask_why(self, body: str) -> list[Question]:
        """Feelings that somebody had for one reason only."""
        reasons = [
            (feeling.asked.format(name=person.name, his=person.pronouns.possessive), cause)
            for person, feeling, cause in self.reasons
        ]
        asked = [text for text, _ in reasons]
        return [
            Question("why", text, f"Because {cause}.", cause, _last(body, cause))
            for text, cause in reasons
            if asked.count(text) == 1
        ]

    def ask_who_found(self, body: str) -> list[Question]:
        return [
            Question("who_found", f"Who found the {thing.full}?", f"{name} found it.", name, _first(body, name))
            for thing in self.things
            if thing.finder
            for name in (thing.finder.name,)
        ]

    def ask_where_found(self, body: str) -> list[Question]:
        return [
            Question(
                "where_found",
                f"Where did {thing.finder.name} find the {thing.full}?",
                f"{_capital(thing.found_at)}.",
                thing.found_at,
                _first(body, thing.found_at),
            )
            for thing in self.things
            if thing.finder
        ]

    def ask_colour(self, body: str) -> list[Question]:
        return [
            Question(
                "colour",
                f"What colour is the {thing.noun}?",
                f"It is {thing.adjective}.",
                thing.adjective,
                _first(body, thing.full),
            )
            for thing in self.things
            if thing.adjective in self.lexicon.colours
        ]

    def ask_day(self, body: str) -> list[Question]:
        if self.day is None:
            return []
        return [
            Question(
                "day", "On which day did the story begin?", f"It was {self.day}.", self.day, _first(body, self.day)
            )
        ]

    def ask_wanted(self, body: str) -> list[Question]:
        if not self.wished:
            return []
        wisher = next(event.actor for event in self.events if event.kind == "wanted")
        answer = _a(self.wished)
        return [Question("wanted", f"What did {wisher} want?", f"{_capital(answer)}.", answer, _first(body, answer))]

    def ask_who_won(self, body: str) -> list[Question]:
        if self.winner is None:
            return []
        name = self.winner.name
        return [Question("who_won", "Who won the race?", f"{name} won it.", name, body.find(f"{name} was faster"))]

    def ask_where_hid(self, body: str) -> list[Question]:
        if self.hiding is None:
            return []
        person, spot = self.hiding
        start = body.find(f"hid {spot}") + len("hid ")
        return [Question("where_hid", f"Where did {person.name} hide?", f"{_capital(spot)}.", spot, start)]
