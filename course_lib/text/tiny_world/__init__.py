"""A small world that tells stories, and knows exactly how probable each of them is."""

from course_lib.text.tiny_world.narrator import Story, tell_story
from course_lib.text.tiny_world.oracle import (
    Floor,
    char_log_probabilities,
    log_probability,
    next_character_probabilities,
)
from course_lib.text.tiny_world.telling import NotAStory, Sampler, all_stories
from course_lib.text.tiny_world.world import LEXICON, Lexicon

__all__ = [
    "LEXICON",
    "Floor",
    "Lexicon",
    "NotAStory",
    "Sampler",
    "Story",
    "all_stories",
    "char_log_probabilities",
    "log_probability",
    "next_character_probabilities",
    "tell_story",
]
