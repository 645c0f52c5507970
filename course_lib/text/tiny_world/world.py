"""What there is in tiny_world: people, places, things, feelings and their causes, and all the words for them."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from course_lib.text.tiny_world.telling import Menu, Option

NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip


class Pronouns(NamedTuple):
    """How a story speaks of somebody without a name."""

    subject: str
    object: str
    possessive: str


SHE = Pronouns("she", "her", "her")
HE = Pronouns("he", "him", "his")


class Place(NamedTuple):
    """Somewhere to be, with the spots where a thing can lie."""

    name: str
    preposition: str
    spots: tuple[str, ...]
    indoors: bool = False

    @property
    def where(self) -> str:
        """The place with its preposition: "in the garden"."""
        return f"{self.preposition} the {self.name}"


class Countable(NamedTuple):
    """Something to count. `eaten` says whether a child may eat it."""

    one: str
    many: str
    eaten: bool

    def counted(self, number: int) -> str:
        """So many of them, in words: "one apple", "no apples"."""
        return f"{NUMBERS[number]} {self.one if number == 1 else self.many}"


class Feeling(NamedTuple):
    """A way to show a feeling: what is told, how one asks for the reason, and whether it is a good one."""

    told: str
    asked: str
    good: bool
    causes: tuple[str, ...]


@dataclass(eq=False)
class Thing:
    """A thing that is carried by somebody, or lies at a spot of a place."""

    noun: str
    adjective: str
    holder: "Person | None" = None
    place: Place | None = None
    spot: str = ""
    lost: bool = False
    finder: "Person | None" = None
    found_at: str = ""

    @property
    def full(self) -> str:
        """The noun with its adjective: "red kite"."""
        return f"{self.adjective} {self.noun}"

    def lies_at(self, place: Place, spot: str, lost: bool = False) -> None:
        """Nobody holds it any longer: it lies at a spot, perhaps without anybody knowing."""
        self.holder, self.place, self.spot, self.lost = None, place, spot, lost

    def goes_to(self, holder: "Person") -> None:
        """Somebody holds it now."""
        self.holder, self.place, self.spot, self.lost = holder, None, "", False


@dataclass(eq=False)
class Person:
    """Somebody in the story, where they are, how they feel and why, and what they have many of."""

    name: str
    pronouns: Pronouns
    place: Place
    feeling: Feeling | None = None
    cause: str = ""
    times_felt: int = 0
    news: tuple[str, bool] | None = None
    counted: Countable | None = None
    number: int = 0


def evenly(texts: tuple[str, ...]) -> Menu:
    """A menu on which every text is equally likely and stands for itself."""
    return Menu(Option(text, 1, text) for text in texts)


GIRLS = ("Mia", "Anna", "Lily", "Zoe", "Emma", "Ruby", "Nora", "Lucy", "Ivy", "Clara", "Rosa", "Ella")
BOYS = ("Tom", "Ben", "Max", "Sam", "Leo", "Jack", "Finn", "Noah", "Oscar", "Hugo", "Adam", "Paul")

COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black", "brown", "golden", "silver")
QUALITIES = ("little", "old", "new", "big", "pretty", "tiny", "strange", "lovely")

THINGS = (
    "kite", "ball", "book", "hat", "doll", "drum", "lamp", "key", "cup", "bell", "scarf", "basket", "ring", "flute",
    "umbrella", "blanket", "map", "coin", "feather", "robot", "whistle", "lantern", "puppet", "spoon", "necklace",
    "mirror", "toy train", "paintbrush",
)  # fmt: skip

PLACES = (
    Place("garden", "in", ("under the apple tree", "behind the shed", "next to the pond", "among the roses")),
    Place("park", "at", ("under the bench", "next to the fountain", "behind the swings")),
    Place("kitchen", "in", ("under the table", "in the cupboard", "next to the stove"), True),
    Place("bedroom", "in", ("under the bed", "behind the curtain", "on the pillow"), True),
    Place("library", "in", ("under the desk", "next to the globe", "between two dictionaries"), True),
    Place("beach", "at", ("in the sand", "behind the big rock", "next to the rowing boat")),
    Place("forest", "in", ("under the oak", "by the stream", "inside a hollow log")),
    Place("market", "at", ("under the cheese stall", "behind the barrels", "next to the fishmonger")),
    Place("farm", "at", ("in the barn", "behind the tractor", "next to the hen house")),
    Place("school", "at", ("in the classroom", "behind the piano", "next to the blackboard")),
    Place("museum", "in", ("next to the dinosaur", "behind the statue", "below a painting of a queen"), True),
    Place("station", "at", ("under the clock", "on the platform", "next to the ticket office")),
    Place("attic", "in", ("in the dusty chest", "behind the rocking horse", "among the cobwebs"), True),
    Place("river", "at", ("under the bridge", "behind the willow", "in the tall grass")),
    Place("zoo", "at", ("next to the monkeys", "in front of the lion house", "behind the snack bar")),
    Place("bakery", "in", ("on the counter", "behind the flour sacks", "next to the oven"), True),
)

COUNTABLES = (
    Countable("apple", "apples", True),
    Countable("pear", "pears", True),
    Countable("plum", "plums", True),
    Countable("cookie", "cookies", True),
    Countable("strawberry", "strawberries", True),
    Countable("carrot", "carrots", True),
    Countable("nut", "nuts", True),
    Countable("button", "buttons", False),
    Countable("marble", "marbles", False),
    Countable("shell", "shells", False),
    Countable("sticker", "stickers", False),
    Countable("stone", "stones", False),
    Countable("candle", "candles", False),
    Countable("egg", "eggs", False),
)

_GLAD = (
    "it was {her} birthday",
    "the sun was shining at last",
    "there was chocolate cake for tea",
    "{her} grandmother was coming to visit",
    "the holidays had begun",
    "{she} had learned to swim",
)
_PROUD = (
    "{she} had won a race",
    "{she} had read a whole book alone",
    "{she} had baked bread for the first time",
    "{she} had climbed the highest wall",
    "the teacher had praised {her} poem",
)
_EXCITED = (
    "the circus was in town",
    "there would be fireworks that night",
    "{she} was going to sleep in a tent",
    "a letter had come from Africa",
    "{she} would get a puppy",
)
_SAD = (
    "{her} best friend had moved away",
    "{her} cat was ill",
    "{her} ice cream had fallen on the ground",
    "nobody had remembered {her} birthday",
    "the picnic had been called off",
)
_ANGRY = (
    "somebody had laughed at {her} drawing",
    "{her} brother had broken {her} tower",
    "{her} sister had eaten the last biscuit",
    "{she} had to go to bed early",
)
_SCARED = (
    "there was a strange noise outside",
    "a large dog was barking",
    "it was getting very dark",
    "a storm was coming",
    "{she} had seen a spider",
)
_WORRIED = (
    "{she} had forgotten {her} homework",
    "{she} did not know the way home",
    "{her} father was late",
    "the goldfish did not move",
)
_BORED = ("there was nothing to do", "the speech took so long", "{she} had read all {her} comics")

FEELINGS = (
    Feeling("was happy because ", "Why was {name} happy?", True, _GLAD),
    Feeling("laughed out loud because ", "Why did {name} laugh?", True, _GLAD),
    Feeling("was proud because ", "Why was {name} proud?", True, _PROUD),
    Feeling("could not stop smiling, because ", "Why did {name} smile?", True, _PROUD),
    Feeling("was excited because ", "Why was {name} excited?", True, _EXCITED),
    Feeling("jumped for joy because ", "Why did {name} jump for joy?", True, _EXCITED),
    Feeling("was sad because ", "Why was {name} sad?", False, _SAD),
    Feeling("cried because ", "Why did {name} cry?", False, _SAD),
    Feeling("was angry because ", "Why was {name} angry?", False, _ANGRY),
    Feeling("stamped {his} foot because ", "Why did {name} stamp {his} foot?", False, _ANGRY),
    Feeling("was scared because ", "Why was {name} scared?", False, _SCARED),
    Feeling("trembled because ", "Why did {name} tremble?", False, _SCARED),
    Feeling("was worried because ", "Why was {name} worried?", False, _WORRIED),
    Feeling("was bored because ", "Why was {name} bored?", False, _BORED),
)
BETTER = Feeling("felt better because ", "Why did {name} feel better?", True, ())

COMFORTS = (
    ("hugged {him}", "had hugged {him}"),
    ("told {him} a joke", "had told {him} a joke"),
    ("cheered {him} up with a song", "had sung a song for {him}"),
    ("held {his} hand", "had held {his} hand"),
    ("made {him} a cup of cocoa", "had made {him} a cup of cocoa"),
)

WEATHER = ("sunny", "rainy", "windy", "cold", "warm", "cloudy", "snowy", "foggy", "bright", "quiet")
HOURS = ("morning", "afternoon", "evening", "day")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
AFTERS = ("school", "breakfast", "lunch", "a short nap", "the concert", "the match", "the holidays")

SONGS = ("the moon", "a brave mouse", "ten green bottles", "the wide sea", "a king without a crown", "sleepy sheep")
PICTURES = ("a dragon", "an elephant", "a pirate ship", "a rainbow", "a rocket", "two giraffes", "the mountains")
DISGUISES = ("a pirate", "a lion", "a doctor", "an astronaut", "a wizard", "a penguin", "a train driver")
PASTIMES = (
    "whistled a tune", "lay down and dreamed", "danced like a bear", "listened to the wind",
    "drank a glass of lemonade", "wrote a postcard to an uncle", "tasted some bread and honey", "stood on one leg",
)  # fmt: skip
OUTSIDE = (
    "counted the clouds", "jumped over the puddles", "built a tower of pebbles", "chased a butterfly",
    "fed the ducks", "watched a snail", "climbed a ladder", "practised cartwheels", "swept up the dry leaves",
)  # fmt: skip
INSIDE = (
    "looked out of the window", "dusted a shelf", "washed {his} hands", "slept in an armchair", "lit a small fire",
)  # fmt: skip
REMARKS = (
    "What a lovely day!", "I am hungry.", "Look, a squirrel!", "I can hear music.", "Listen, an owl!",
    "Let us be quiet.", "My shoes are wet.", "I want to be a sailor.", "Spring is my favourite season.",
)  # fmt: skip
GAMES = ("chess", "cards", "football", "tag", "a guessing game", "leapfrog", "shop", "dominoes")
RELATIONS = ("{his} friend ", "{his} cousin ", "{his} neighbour ", "little ")
SNACKS = ("a sandwich", "a pancake", "some popcorn", "a bowl of soup", "a big melon", "some hot toast")
HAPPENINGS = (
    "A cool wind blew.", "A bird sang.", "A church bell rang.", "Somewhere a baby cried.", "A plane flew by.",
)  # fmt: skip
RAIN_BEGINS, RAIN_ENDS = "It began to rain.", "It stopped raining."
CLOSINGS = (
    "It had been a long day.", "It was time for dinner.", "At last everything was quiet.", "Nobody was in a hurry.",
    "What an adventure!", "It was a day to remember.",
)  # fmt: skip
CONNECTIVES = (("Then ", 5), ("Later, ", 3), ("Soon ", 3), ("After that, ", 3), ("The next day, ", 1))


@dataclass(frozen=True)
class Lexicon:
    """What a narrator draws from. A smaller lexicon is a sub-world, told by the same program."""

    girls: tuple[str, ...] = GIRLS
    boys: tuple[str, ...] = BOYS
    colours: tuple[str, ...] = COLOURS
    qualities: tuple[str, ...] = QUALITIES
    nouns: tuple[str, ...] = THINGS
    places: tuple[Place, ...] = PLACES
    countables: tuple[Countable, ...] = COUNTABLES
    feelings: tuple[Feeling, ...] = FEELINGS
    openings: tuple[str, ...] = ("weather", "it_was", "day", "after", "once", "plain")
    acts: tuple[str, ...] = (
        "play_alone", "wish", "meet", "find", "put", "give", "show", "pick_up", "look_for", "go", "count", "share_out",
        "feel", "comfort",
    )  # fmt: skip
    joint_acts: tuple[str, ...] = ("play_together", "go_together", "race", "hide", "swap")
    questions: tuple[str, ...] = (
        "where_thing", "who_has", "where_person", "how_many", "why", "who_found", "where_found", "colour", "day",
        "wanted", "who_won", "where_hid",
    )  # fmt: skip
    happenings: bool = True
    most_things: int = 2
    fewest_sentences: int = 4
    most_sentences: int = 6
    longest_body: int = 170
    """No sentence begins after this many characters."""

    @cached_property
    def people(self) -> Menu:
        """Everybody by name, with the pronouns that go with it."""
        return Menu([(name, 1, (name, SHE)) for name in self.girls] + [(name, 1, (name, HE)) for name in self.boys])

    def friends_of(self, pronouns: Pronouns) -> Menu:
        """Whom somebody with these pronouns may meet: the other pronouns, so that every pronoun is clear."""
        return self.people.without(*(value for _, _, value in self.people.options if value[1] == pronouns))

    @cached_property
    def adjectives(self) -> Menu:
        """Colours and other qualities, with the article before them."""
        words = [(word, 3) for word in self.colours] + [(word, 2) for word in self.qualities]
        return Menu((f"{'an' if word[0] in 'aeiou' else 'a'} {word} ", weight, word) for word, weight in words)

    @cached_property
    def things(self) -> Menu:
        """Things by their noun."""
        return evenly(self.nouns)

    @cached_property
    def destinations(self) -> Menu:
        """Places as one goes to them."""
        return Menu((f"the {place.name}", 1, place) for place in self.places)

    @cached_property
    def settings(self) -> Menu:
        """Places as one is there."""
        return Menu((place.where, 1, place) for place in self.places)

    @cached_property
    def many(self) -> Menu:
        """What can be counted, in the plural."""
        return Menu((kind.many, 1, kind) for kind in self.countables)


LEXICON = Lexicon()
