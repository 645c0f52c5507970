"""Labelled tasks whose answers are known, because the world that told the stories knows them.

Each task takes its training items from the training stories, its validation items from the validation stories
and its test items from the test stories, so that pre-training on the corpus never sees a test item.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator

from course_lib.text.tiny_world.chinese import sentence_pairs
from course_lib.text.tiny_world.narrator import Event, Story
from course_lib.text.tiny_world.world import Person, Thing

WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|[^\sA-Za-z]")
"""A word of the entity task: letters (with an apostrophe inside), or one mark."""

SENTIMENTS = ("negative", "neutral", "positive")
ENTITY_TAGS = ("O", "B-person", "I-person", "B-place", "I-place", "B-object", "I-object")
SENTENCES_WITH_ENTITIES = 3


def sentiment(story: Story) -> dict[str, str]:
    """The last feeling that the text tells of, whoever has it; neutral when it tells of none."""
    label = "neutral" if not story.feelings else "positive" if story.feelings[-1].good else "negative"
    return {"text": story.body, "label": label}


def entities(story: Story) -> dict[str, list[str]]:
    """The words of the first sentences and a tag for each: B- begins a person, place or object, I- goes on."""
    stops = [start - 1 for start in story.sentence_starts[SENTENCES_WITH_ENTITIES:]] + [len(story.body)]
    words, tags = [], []
    for match in WORD.finditer(story.body, 0, stops[0]):
        mention = next((m for m in story.mentions if m.start <= match.start() < m.stop), None)
        words.append(match.group())
        tags.append("O" if mention is None else f"{'B' if match.start() == mention.start else 'I'}-{mention.kind}")
    return {"words": words, "tags": tags}


def question(story: Story, rng: random.Random) -> dict[str, str | int] | None:
    """A question whose answer stands in the story, and where it stands; None when there is no such question."""
    kinds = []
    for candidate in story.questions:
        if candidate.start is not None and candidate.kind not in kinds:
            kinds.append(candidate.kind)
    if not kinds:
        return None
    kind = kinds[int(rng.random() * len(kinds))]
    asked = next(candidate for candidate in story.questions if candidate.kind == kind)
    return {"context": story.body, "question": asked.text, "answer": asked.short, "answer_start": asked.start}


_IMPORTANCE = ("won", "wanted", "gave", "swapped", "lost", "left", "hid", "found", "put", "had", "felt", "went")


def summary(story: Story) -> dict[str, str] | None:
    """What mattered most, and how it ended; None for a story in which nothing much happens."""
    events = [event for kind in _IMPORTANCE for event in story.events if event.kind == kind]
    if not events:
        return None
    first = events[0]
    return {"story": story.body, "summary": f"{first.clause}. {_end(story, first)}"}


def _end(story: Story, told: Event) -> str:
    """The state at the end that `told` does not already say."""
    actor = next(person for person in story.people if person.name == told.actor)
    if told.kind == "had" and not told.about and actor.counted.counted(actor.number) not in told.clause:
        return f"In the end, {actor.name} had {actor.counted.counted(actor.number)}."
    feeling = next((event.clause for event in reversed(story.events) if event.kind == "felt"), None)
    if told.about and _moved_since(story, told):
        return _fate(told.about, "it")
    if told.kind == "wanted" and story.things:
        return _fate(story.things[0], f"the {story.things[0].full}")
    if feeling and told.kind != "felt":
        return f"{feeling}."
    return _whereabouts(story.people)


def _moved_since(story: Story, told: Event) -> bool:
    later = story.events[story.events.index(told) + 1 :]
    return any(event.about is told.about for event in later)


def _fate(thing: Thing, name: str) -> str:
    if thing.holder:
        return f"In the end, {thing.holder.name} had {name}."
    return f"In the end, {name} was {thing.spot} {thing.place.where}."


def _whereabouts(people: tuple[Person, ...]) -> str:
    hero, friend = people[0], people[-1]
    if friend is not hero and friend.place == hero.place:
        return f"In the end, {hero.name} and {friend.name} were {hero.place.where}."
    return f"In the end, {hero.name} was {hero.place.where}."


TASK_SIZES = {
    "sentiment": {"train": 1_200, "validation": 200, "test": 200},
    "entities": {"train": 800, "validation": 150, "test": 150},
    "questions": {"train": 1_000, "validation": 200, "test": 200},
    "summaries": {"train": 800, "validation": 150, "test": 150},
    "translation": {"train": 4_000, "validation": 300, "test": 300, "combinations": 300},
}


def story_tasks(stories: dict[str, list[Story]], seed: int) -> dict[str, dict[str, list[dict]]]:
    """The four tasks about stories: by task and split, the items."""
    rng = random.Random(seed)
    makers: dict[str, Callable[[list[Story]], Iterator[dict | None]]] = {
        "sentiment": lambda told: _balanced(map(sentiment, told)),
        "entities": lambda told: map(entities, told),
        "questions": lambda told: (question(story, rng) for story in told),
        "summaries": lambda told: map(summary, told),
    }
    return {
        task: {
            split: list(itertools.islice((item for item in make(stories[split]) if item), TASK_SIZES[task][split]))
            for split in stories
        }
        for task, make in makers.items()
    }


def _balanced(items: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The items in their order, but no label ever more than one ahead of another."""
    count = dict.fromkeys(SENTIMENTS, 0)
    for item in items:
        if count[item["label"]] == min(count.values()):
            count[item["label"]] += 1
            yield item


def translation(seed: int) -> dict[str, list[dict[str, str]]]:
    """English–Chinese pairs; some adjectives and nouns meet only in the split "combinations"."""
    room = dict(TASK_SIZES["translation"])
    pairs: dict[str, list[dict[str, str]]] = {split: [] for split in room}
    usual = itertools.cycle(_turns(room["train"], room["validation"], room["test"]))
    for pair, held_out in sentence_pairs(random.Random(seed)):
        split = "combinations" if held_out else next(usual)
        if len(pairs[split]) < room[split]:
            pairs[split].append(pair._asdict())
        if all(len(pairs[split]) == room[split] for split in room):
            return pairs
    raise AssertionError("sentence_pairs goes on for ever")


def _turns(train: int, validation: int, test: int) -> list[str]:
    """Which split the next pairs go to, so that all fill up at the same pace."""
    share = train // validation
    return ["train"] * share + ["validation"] + ["test"] * (test // validation)
