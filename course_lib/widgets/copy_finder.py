"""Two texts, their phrases, their signatures, and the bands that would make them meet: MinHash, live."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.text.duplicates import MinHash, candidate_chance, jaccard, shingles
from course_lib.widgets.base import CourseWidget

LONGEST_TEXT = 1200
MOST_BANDS, MOST_ROWS = 24, 8
_WORD = re.compile(r"\w+")


def words_in_shared_phrases(text: str, shared: frozenset[int], size: int) -> list[tuple[str, bool]]:
    """The words of a text, each with whether it stands in a phrase that both texts have."""
    words = _WORD.findall(text)
    held = [False] * len(words)
    for start in range(max(len(words) - size + 1, 1)):
        phrase = words[start : start + size]
        if phrase and shingles(" ".join(phrase), size) <= shared:
            held[start : start + size] = [True] * len(phrase)
    return list(zip(words, held, strict=True))


class CopyFinder(CourseWidget):
    """Edit two texts and turn the three knobs of near-duplicate search.

    Args:
        pairs: texts to begin with, two by two: a slider goes through them.
        shingle_size: words in a phrase.
        n_bands, n_rows: how the signature of n_bands · n_rows entries is cut.
    """

    label = "MinHash and bands on two texts"
    first = traitlets.Unicode("").tag(sync=True)
    second = traitlets.Unicode("").tag(sync=True)
    pair = traitlets.Int(0).tag(sync=True)
    n_pairs = traitlets.Int(1).tag(sync=True)
    shingle_size = traitlets.Int(3).tag(sync=True)
    n_bands = traitlets.Int(16).tag(sync=True)
    n_rows = traitlets.Int(4).tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)

    def __init__(
        self, pairs: Sequence[tuple[str, str]], *, shingle_size: int = 3, n_bands: int = 16, n_rows: int = 4
    ) -> None:
        if not pairs:
            raise ValueError("There is no pair of texts to begin with: give at least one.")
        self.pairs = [(first[:LONGEST_TEXT], second[:LONGEST_TEXT]) for first, second in pairs]
        first, second = self.pairs[0]
        knobs = {"shingle_size": shingle_size, "n_bands": n_bands, "n_rows": n_rows}
        super().__init__(first=first, second=second, n_pairs=len(self.pairs), **knobs)
        self._answer()

    @traitlets.observe("pair")
    def _next_pair(self, change: object) -> None:
        with self.hold_trait_notifications():
            self.first, self.second = self.pairs[self.pair % len(self.pairs)]

    @traitlets.observe("first", "second", "shingle_size", "n_bands", "n_rows")
    def _answer(self, change: object = None) -> None:
        size = min(max(self.shingle_size, 1), 10)
        bands, rows = min(max(self.n_bands, 1), MOST_BANDS), min(max(self.n_rows, 1), MOST_ROWS)
        texts = [text[:LONGEST_TEXT] for text in (self.first, self.second)]
        sets = [shingles(text, size) for text in texts]
        shared = sets[0] & sets[1]
        minhash = MinHash(bands * rows)
        one, other = (minhash.signature(items) for items in sets)
        equal = (one == other).reshape(bands, rows)
        similarity = jaccard(*sets)
        self.answer = {
            "words": [words_in_shared_phrases(text, shared, size) for text in texts],
            "phrases": [len(items) for items in sets],
            "shared": len(shared),
            "union": len(sets[0] | sets[1]),
            "similarity": similarity,
            "estimate": float(equal.mean()),
            "equal": equal.astype(int).tolist(),
            "met": equal.all(axis=1).tolist(),
            "chance": candidate_chance(similarity, bands, rows),
            "curve": [candidate_chance(step / 50, bands, rows) for step in range(51)],
        }

    def describe(self) -> str:
        """What was found, in a line."""
        found = self.answer
        met = sum(found["met"])
        return (
            f"CopyFinder({found['shared']} of {found['union']} phrases shared: similarity {found['similarity']:.2f}, "
            f"estimate {found['estimate']:.2f}; {met} of {len(found['met'])} bands equal, chance to meet "
            f"{found['chance']:.2f})"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """The two signatures compared, band by band, and the S-curve with this pair on it."""
        found = self.answer
        figure = Figure(figsize=(8.6, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        equal = np.array(found["equal"]).T  # (rows, bands)
        colors = np.array([[0.91, 0.91, 0.89], [0.0, 0.447, 0.698]])
        left.imshow(colors[equal], aspect="auto")
        for band, met in enumerate(found["met"]):
            if met:
                left.axvspan(band - 0.5, band + 0.5, facecolor="none", edgecolor=plots.COLORS["red"], linewidth=2.5)
        left.set(xlabel="band", ylabel="row", xticks=range(0, equal.shape[1], 4), yticks=range(equal.shape[0]))
        left.set_title(f"{equal.sum()} of {equal.size} entries equal, {sum(found['met'])} bands")
        left.spines[:].set_visible(False)
        right.plot(np.arange(51) / 50, found["curve"], color=plots.COLORS["blue"])
        right.plot(found["similarity"], found["chance"], "o", color=plots.COLORS["red"], markersize=8)
        right.set(xlabel="similarity of two texts", ylabel="chance to share a band", xlim=(0, 1), ylim=(-0.02, 1.05))
        right.set_title(f"these two: {found['similarity']:.2f}")
        right.grid(True)
        alt = (
            f"Left, the signatures of two texts in {len(found['met'])} bands of {equal.shape[0]} rows: equal entries "
            f"are blue, and {sum(found['met'])} bands, framed in red, are equal throughout. Right, the chance to share "
            f"a band against similarity, an S-shaped curve; these texts have similarity {found['similarity']:.2f}."
        )
        return figure, alt
