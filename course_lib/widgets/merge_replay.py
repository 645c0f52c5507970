"""Type a text and watch byte-pair encoding put it together, merge by merge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import traitlets
from matplotlib.figure import Figure

from course_lib.plots.tokens import stacked, token_line
from course_lib.text.tokenizers import BPETokenizer
from course_lib.text.tokenizers.byte_level import byte_alphabet, split_words
from course_lib.widgets.base import CourseWidget

LONGEST_TEXT = 200


@dataclass(frozen=True)
class Frame:
    """A text at one moment of its encoding.

    Attributes:
        words: the tokens of each word, as the tokenizer spells them.
        rank: the number of the merge that led here, from 0; None before the first.
        pair: the two tokens that it joined; None before the first.
        joined: in how many places.
    """

    words: list[list[str]]
    rank: int | None = None
    pair: tuple[str, str] | None = None
    joined: int = 0

    @property
    def n_tokens(self) -> int:
        """How many tokens the text has at this moment."""
        return sum(map(len, self.words))


def replay(tokenizer: BPETokenizer, text: str) -> list[Frame]:
    """The text before any merge, and after each merge that changes it, in the order in which they were learned.

    The last frame holds the tokens that `tokenizer.encode` gives.
    """
    alphabet = byte_alphabet()
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    words = [[alphabet[byte] for byte in word.encode("utf-8", "replace")] for word in split_words(text)]
    frames = [Frame(words)]
    while True:
        there = {pair for word in words for pair in pairwise(word) if pair in ranks}
        if not there:
            return frames
        pair = min(there, key=ranks.__getitem__)
        joined = [_join(word, pair) for word in words]
        fewer = sum(map(len, words)) - sum(map(len, joined))
        words = joined
        frames.append(Frame(words, ranks[pair], pair, fewer))


def _join(word: list[str], pair: tuple[str, str]) -> list[str]:
    """A word with each occurrence of the pair joined, from the left."""
    out: list[str] = []
    place = 0
    while place < len(word):
        together = tuple(word[place : place + 2]) == pair
        out.append("".join(pair) if together else word[place])
        place += 1 + together
    return out


def readable(token: str) -> str:
    """A token for the eye: a space is "␣", a line break "⏎"; bytes that are no whole character are in hexadecimal.

    >>> readable("Ġcat"), readable("çĪ")
    ('␣cat', 'E788')
    """
    alphabet = byte_alphabet()
    content = bytes(alphabet.index(character) for character in token)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content.hex().upper()
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")


class MergeReplay(CourseWidget):
    """Type a text; a slider replays its encoding, from single bytes to the tokens that the model gets.

    Args:
        tokenizer: a byte-level BPE tokenizer.
        text: at most 200 characters; what is typed beyond that is left out.
    """

    label = "The merges of byte-pair encoding, replayed on a text"
    text = traitlets.Unicode("").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    frames = traitlets.List().tag(sync=True)  # for each: words of readable tokens, rank, pair, made, joined
    facts = traitlets.Dict().tag(sync=True)  # characters, bytes, merges in all

    def __init__(self, tokenizer: BPETokenizer, text: str) -> None:
        self.tokenizer = tokenizer
        super().__init__(text=text[:LONGEST_TEXT])
        self._replay()

    @traitlets.observe("text")
    def _replay(self, change: object = None) -> None:
        text = self.text[:LONGEST_TEXT]
        frames = replay(self.tokenizer, text)
        with self.hold_sync():
            self.frames = [
                {
                    "words": [[readable(token) for token in word] for word in frame.words],
                    "rank": frame.rank,
                    "pair": None if frame.pair is None else [readable(token) for token in frame.pair],
                    "made": None if frame.pair is None else readable("".join(frame.pair)),
                    "joined": frame.joined,
                }
                for frame in frames
            ]
            self.facts = {
                "characters": len(text),
                "bytes": len(text.encode("utf-8", "replace")),
                "merges": len(self.tokenizer.merges),
                "ids": self.tokenizer.encode(text.encode("utf-8", "replace").decode()),
            }
            self.step = len(frames) - 1

    def _title(self, moment: int) -> str:
        frame = self.frames[moment]
        count = f"{sum(map(len, frame['words']))} tokens"
        if frame["pair"] is None:
            return f"before any merge: {count}"
        return f"after merge {frame['rank'] + 1}, {' + '.join(frame['pair'])}: {count}"

    def describe(self) -> str:
        """The text, and how many bytes and tokens it has."""
        return (
            f"MergeReplay({self.text!r}: {self.facts['characters']} characters, {self.facts['bytes']} bytes, "
            f"{len(self.facts['ids'])} tokens after {len(self.frames) - 1} merges)"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """The text as bytes, at three moments on the way, and as tokens."""
        last = len(self.frames) - 1
        moments = sorted({round(last * share) for share in (0, 0.2, 0.45, 0.7, 1)})
        figure = Figure(figsize=(8.8, 0.62 * len(moments) + 0.1), layout="none")
        for row, moment in enumerate(moments, 1):
            axes = figure.add_subplot(len(moments), 1, row)
            token_line(axes, [token for word in self.frames[moment]["words"] for token in word], self._title(moment))
        final = self.frames[-1]["words"]
        tokens = " | ".join(token for word in final for token in word)
        return stacked(figure), (
            f"Byte-pair encoding of {self.text!r} at {len(moments)} moments: {self.facts['bytes']} bytes at first, "
            f"and after {last} merges the {sum(map(len, final))} tokens {tokens}."
        )
