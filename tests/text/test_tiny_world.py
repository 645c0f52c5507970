"""tiny_world's probabilities are exact: they add to 1, survive re-reading, and agree with counting by brute force."""

import collections
import functools
import math
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.text import CharTokenizer, load_corpus
from course_lib.text.tiny_world import (
    LEXICON,
    Floor,
    NotAStory,
    Sampler,
    all_stories,
    char_log_probabilities,
    log_probability,
    next_character_probabilities,
    tell_story,
)
from course_lib.text.tiny_world.telling import Menu
from course_lib.text.tiny_world.world import PLACES, Feeling, Place

SMALL = replace(
    LEXICON,
    girls=("Mia",),
    boys=("Tom",),
    openings=("plain",),
    happenings=False,
    fewest_sentences=2,
    most_sentences=3,
)
SUB_WORLDS = {
    "things": replace(
        SMALL,
        colours=("red",),
        qualities=(),
        nouns=("kite",),
        places=(
            Place("garden", "in", ("under the tree",)),
            Place("park", "at", ("under the bench",)),
        ),
        acts=("meet", "find"),
        joint_acts=("race",),
        questions=("where_thing", "who_won"),
        most_things=1,
    ),
    "feelings": replace(
        SMALL,
        places=PLACES[:1],
        feelings=(
            Feeling("was happy because ", "Why was {name} happy?", True, ("it was {her} birthday", "the sun shone")),
            Feeling("cried because ", "Why did {name} cry?", False, ("{she} was lost",)),
        ),
        acts=("meet", "feel", "comfort"),
        joint_acts=(),
        questions=("why",),
    ),
}


@pytest.fixture(scope="module", params=sorted(SUB_WORLDS))
def sub_world(request):
    """A small world, and the log-probability of each of its stories."""
    lexicon = SUB_WORLDS[request.param]
    listed = list(all_stories(lambda teller: tell_story(teller, lexicon)))
    stories = dict(listed)
    assert len(listed) == len(stories) > 500, "two derivations of one text, or too small a world to prove anything"
    return lexicon, stories


@pytest.mark.slow
def test_probabilities_of_a_sub_world_add_to_one(sub_world):
    _, stories = sub_world
    assert math.fsum(math.exp(log) for log in stories.values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.slow
def test_reading_agrees_with_listing(sub_world):
    lexicon, stories = sub_world
    for story, log in list(stories.items())[:: max(1, len(stories) // 100)]:
        assert log_probability(story, lexicon) == pytest.approx(log, abs=1e-9)


@pytest.mark.slow
def test_character_probabilities_agree_with_brute_force(sub_world):
    """P(next | prefix) from the reader equals the share of all stories that go on so."""
    lexicon, stories = sub_world
    told = sorted(stories)
    rng = random.Random(1)
    for _ in range(12):
        story = told[int(rng.random() * len(told))]
        prefix = story[: int(rng.random() * (len(story) + 1))]
        mass = collections.Counter()
        for other, log in stories.items():
            if other.startswith(prefix):
                mass[other[len(prefix) : len(prefix) + 1]] += math.exp(log)
        total = math.fsum(mass.values())
        found = next_character_probabilities(prefix, lexicon)
        assert found == pytest.approx({character: share / total for character, share in mass.items()}, abs=1e-9)


@functools.cache
def sub_sample(lexicon):
    """How often each story came up among a thousand."""
    rng = random.Random(3)
    return collections.Counter(tell_story(Sampler(rng), lexicon).text for _ in range(1_000))


@pytest.mark.slow
def test_sampling_agrees_with_listing(sub_world):
    """A chi-squared check that the sampler draws stories with their stated probabilities."""
    lexicon, stories = sub_world
    drawn = sub_sample(lexicon)
    size = drawn.total()
    assert set(drawn) <= set(stories)
    common = [story for story, log in stories.items() if size * math.exp(log) >= 5]
    rest = 1 - math.fsum(math.exp(stories[story]) for story in common)
    counts = [(drawn[story], size * math.exp(stories[story])) for story in common]
    counts.append((size - sum(drawn[story] for story in common), size * rest))
    squared = sum((seen - expected) ** 2 / expected for seen, expected in counts)
    freedom = len(counts) - 1
    assert freedom >= 8
    assert abs(squared - freedom) < 4 * math.sqrt(2 * freedom)


@given(st.integers(0, 10**9))
@settings(max_examples=60)
def test_rereading_a_story_gives_its_probability(seed):
    """The sum over decisions, kept while sampling, is what the reader finds in the text alone."""

    class Accountant(Sampler):
        log = 0.0

        def choose(self, menu: Menu):
            menu.check()
            before = len(self.text)
            value = super().choose(menu)
            weight = next(option.weight for option in menu.options if option.text == self.text[before:])
            self.log += math.log(weight / menu.total)
            return value

    teller = Accountant(random.Random(seed))
    story = tell_story(teller).text
    logs = char_log_probabilities(story)
    assert logs.shape == (len(story) + 1,)
    assert logs.max() <= 0
    assert logs.sum() == pytest.approx(teller.log, abs=1e-9)


@given(st.integers(0, 10**9), st.floats(0, 1))
@settings(max_examples=60)
def test_next_characters_add_to_one(seed, share):
    story = tell_story(Sampler(random.Random(seed))).text
    cut = int(share * len(story))
    following = next_character_probabilities(story[:cut])
    assert math.fsum(following.values()) == pytest.approx(1.0, abs=1e-12)
    log = char_log_probabilities(story)[cut]
    assert math.log(following[story[cut : cut + 1]]) == pytest.approx(log, abs=1e-12)


def test_what_the_state_decides_is_certain():
    """Only a model that follows the world reaches the floor: the answer has probability 1."""
    stories = [tell_story(Sampler(random.Random(seed))).text for seed in range(60)]
    checked = 0
    for story in stories:
        mark = story.find("?", story.index("\n"))
        end = story.find("\n", mark) if "\n" in story[mark:] else len(story)
        assert not char_log_probabilities(story)[mark + 2 : end].any(), story[mark:end]
        checked += end - mark
    assert checked > 1000


@pytest.mark.parametrize("change", ["answer", "typo", "cut", "longer", "empty", "end"])
def test_a_text_that_is_no_story_is_refused_where_it_goes_wrong(change):
    story = next(
        text
        for text in (tell_story(Sampler(random.Random(seed))).text for seed in range(1000))
        if text.count("Where is") == 1 and re.search(r"\nWhere is (\w+)\? (He|She) is in the garden\.$", text)
    )
    broken = {
        "answer": story.replace("is in the garden.", "is in the bakery."),
        "typo": story[:20] + "#" + story[21:],
        "cut": story[:-1],
        "longer": story + " And then?",
        "empty": "",
        "end": story[:30] + "\0" + story[30:],
    }[change]
    position = next(
        (place for place, (right, wrong) in enumerate(zip(story, broken, strict=False)) if right != wrong),
        min(len(story), len(broken)),
    )
    with pytest.raises(ValueError, match="not a tiny_world story") as error:
        char_log_probabilities(broken)
    assert isinstance(error.value, NotAStory)
    assert error.value.position >= position - 3 if change == "longer" else error.value.position == position
    assert len(str(error.value)) < 400


def test_a_menu_that_cannot_be_read_back_is_refused():
    for options in ([("a", 1), ("ab", 1)], [("a", 1), ("a", 2)], [("", 1), ("b", 1)], [("a", 0), ("b", 1)]):
        with pytest.raises(AssertionError):
            Menu(options).check()


# ---- the corpus and its floor ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("tiny_world")


def test_stories_are_many_and_distinct(corpus):
    assert len(set(corpus.train)) == len(corpus.train) >= 20_000
    assert len(corpus.validation) == len(corpus.test) == 1_000
    bodies = [{story.partition("\n")[0] for story in split} for split in (corpus.train, corpus.validation, corpus.test)]
    assert not bodies[0] & bodies[1] and not bodies[0] & bodies[2] and not bodies[1] & bodies[2]
    words = {word.lower() for story in corpus.train for word in re.findall(r"[A-Za-z']+", story)}
    assert len(words) >= 500
    assert 200 < np.mean([len(story) for story in corpus.train]) < 300
    assert max(len(story) for story in corpus.train) <= 500


def test_no_template_can_be_guessed(corpus):
    """With names and words of the lexicon blanked out, most stories still have a shape of their own."""
    blanks = [*LEXICON.girls, *LEXICON.boys, *LEXICON.nouns, *LEXICON.colours, *LEXICON.qualities]
    blanks += [place.name for place in LEXICON.places]
    pattern = re.compile(rf"\b({'|'.join(blanks)})\b")
    shapes = {pattern.sub("_", story) for story in corpus.train[:2000]}
    assert len(shapes) > 1_900


def test_the_language_is_plain(corpus):
    """No wrong article, doubled word, doubled space or lower-case beginning."""
    for story in corpus.train:
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  | \n|\b(\w+) \1\b|[.!?] [a-z]|\bone \w+s\b", story), story
        assert re.fullmatch(r"[A-Z][^\n]*[.!?\"]\n(?:[A-Z][^\n?]+\? [A-Z][^\n]*\.\n?){1,2}", story), story


def test_oracle_reaches_the_floor(corpus):
    """A "model" that gives the world's own next-character probabilities is scored like any model: by its own loss."""
    stories, context = corpus.validation[:4], 90
    losses = [
        -math.log(next_character_probabilities(story[:place])[story[place : place + 1]])
        for story in stories
        for place in range(min(context, len(story) + 1))
    ]
    floor = Floor({"validation": stories})
    assert floor.per_character(context_length=context) == pytest.approx(np.mean(losses), abs=1e-12)


def test_floor_is_of_what_a_model_is_scored_on(corpus):
    stories = corpus.validation[:40]
    floor = Floor({"validation": stories})
    logs = [char_log_probabilities(story) for story in stories]
    whole = -sum(log.sum() for log in logs) / sum(len(story) + 1 for story in stories)
    assert floor.per_character() == pytest.approx(whole)
    assert floor.per_character(context_length=10_000) == pytest.approx(whole)
    assert floor.per_character(context_length=64) == pytest.approx(-sum(log[:64].sum() for log in logs) / (40 * 64))
    assert floor.per_character(context_length=64) > 1.2 * whole
    assert 0 < floor.standard_error() < 0.1 * whole
    with pytest.raises(ValueError, match="'dev'.*validation"):
        floor.per_character("dev")


def test_floor_per_token(corpus):
    """By characters it is the floor per character; by longer tokens the same nats over fewer tokens."""

    class Pairs:
        def encode(self, text):
            return [ord(a) * 1000 + (ord(b) if b else 0) for a, b in zip(text[::2], [*text[1::2], ""], strict=False)]

        def decode(self, ids):
            return "".join(chr(index // 1000) + (chr(index % 1000) if index % 1000 else "") for index in ids)

    stories = corpus.validation[:20]
    floor = Floor({"validation": stories})
    characters = CharTokenizer.train(stories)
    assert floor.per_token(characters) == pytest.approx(floor.per_character())
    assert floor.per_token(characters, context_length=77) == pytest.approx(floor.per_character(context_length=77))
    nats = floor.per_character() * sum(len(story) + 1 for story in stories)
    tokens = sum(len(Pairs().encode(story)) + 1 for story in stories)
    assert floor.per_token(Pairs()) == pytest.approx(nats / tokens)
    assert floor.per_token(Pairs(), context_length=30) == pytest.approx(2 * floor.per_character(context_length=60))


@pytest.mark.slow
def test_entropy_of_the_sub_world_is_the_expected_floor(sub_world):
    """The mean of -log P over many samples comes to the entropy, which listing gives exactly."""
    lexicon, stories = sub_world
    entropy = -math.fsum(math.exp(log) * log for log in stories.values())
    sample = np.array([-stories[story] for story in sub_sample(lexicon).elements()])
    assert abs(sample.mean() - entropy) < 4 * sample.std() / math.sqrt(len(sample))
