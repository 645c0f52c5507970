"""The exact probability of a tiny_world text, and so the lowest loss that any model can reach.

All logarithms are natural: a loss in nats, as PyTorch's cross-entropy gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from course_lib.text.tiny_world.narrator import tell_story
from course_lib.text.tiny_world.telling import END, NotAStory, Reader, next_characters
from course_lib.text.tiny_world.world import LEXICON, Lexicon


def char_log_probabilities(story: str, lexicon: Lexicon = LEXICON) -> np.ndarray:
    """log P(character | everything before it) for each character of a story, and last for its end.

    The array has `len(story) + 1` entries; their sum is the log-probability of the story.
    Raises `NotAStory` (a `ValueError`) that says where a text stops making sense.
    """
    reader = Reader(story)
    tell_story(reader, lexicon)
    if len(reader.log_probabilities) != len(story) + 1:
        raise NotAStory(story, len(reader.log_probabilities), "nothing, because the story was over")
    return np.array(reader.log_probabilities)


def log_probability(story: str, lexicon: Lexicon = LEXICON) -> float:
    """log P(story), its end included."""
    return float(char_log_probabilities(story, lexicon).sum())


def next_character_probabilities(prefix: str, lexicon: Lexicon = LEXICON) -> dict[str, float]:
    """P(next character | prefix) for every character that can follow; "" stands for the end of the story.

    `prefix` is the beginning of a story, or "" for its first character. The values add to 1.
    """
    following = next_characters(lambda teller: tell_story(teller, lexicon), prefix)
    return {character.replace(END, ""): probability for character, probability in following.items()}


@runtime_checkable
class Tokenizer(Protocol):
    """What `Floor.per_token` asks of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without a token for its end."""

    def decode(self, ids: list[int]) -> str:
        """The text of some ids."""


@dataclass(frozen=True)
class Floor:
    """The loss of a model that knows the world exactly, on the stories of each split.

    Stories are scored from their beginning: a model sees the whole past, and predicts the first
    `context_length` symbols of each story (all of them, for None). The end of the story is the symbol after its
    last character and is scored when it falls within the context.

    This is the mean over the given stories of -log P; another model's loss *on average over the world* cannot be
    lower. On one finite set of stories luck can carry a model a little below it, by about the standard error.
    """

    stories: dict[str, Sequence[str]]
    _scored: dict[str, list[np.ndarray]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def _nats(self, split: str) -> list[np.ndarray]:
        """-log P of each symbol of each story; read once, then kept."""
        if split not in self.stories:
            raise ValueError(f"There is no split {split!r}; the splits are {', '.join(self.stories)}.")
        if split not in self._scored:
            self._scored[split] = [-char_log_probabilities(story) for story in self.stories[split]]
        return self._scored[split]

    def per_character(self, split: str = "validation", context_length: int | None = None) -> float:
        """Nats per character (the end of a story counts as one), as a `CharTokenizer` model is scored. Exact."""
        scored = [nats[:context_length] for nats in self._nats(split)]
        return float(sum(nats.sum() for nats in scored) / sum(len(nats) for nats in scored))

    def standard_error(self, split: str = "validation", context_length: int | None = None) -> float:
        """How far `per_character` of another set of as many stories would typically lie from this one."""
        scored = [nats[:context_length] for nats in self._nats(split)]
        lengths = np.array([len(nats) for nats in scored])
        mean = self.per_character(split, context_length)
        residuals = np.array([nats.sum() for nats in scored]) - mean * lengths
        return float(residuals.std(ddof=1) / np.sqrt(len(scored)) / lengths.mean())

    def per_token(self, tokenizer: Tokenizer, split: str = "validation", context_length: int | None = None) -> float:
        """Nats per token for any tokenizer that turns one text into one list of tokens; the end is one token.

        Exact for whole stories (`context_length=None`): the chain rule adds up to -log P(story) however the text
        is cut. With a `context_length` the last token that is scored may tell a little about the characters after
        it (a tokenizer that read on would have cut elsewhere), which characters' probabilities do not count: then
        the figure is a lower bound of the floor, and exact again for tokenizers that cut by character.
        """
        nats, tokens = 0.0, 0
        scored = self._nats(split)
        for story, scores in zip(self.stories[split], scored, strict=True):
            ids = tokenizer.encode(story)
            if context_length is None or context_length > len(ids):
                nats, tokens = nats + scores.sum(), tokens + len(ids) + 1
            else:
                covered = len(tokenizer.decode(ids[:context_length]))
                nats, tokens = nats + scores[:covered].sum(), tokens + context_length
        return float(nats / tokens)
