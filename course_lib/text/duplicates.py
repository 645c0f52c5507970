"""Documents that are there twice: exactly, or nearly (MinHash with locality-sensitive hashing).

Sources: Broder 1997, "On the resemblance and containment of documents" (shingles, MinHash); Leskovec, Rajaraman and
Ullman 2020, "Mining of Massive Datasets", chapter 3 (banding); Lee et al. 2022, "Deduplicating Training Data Makes
Language Models Better" (why).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
from jaxtyping import UInt64

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")  # scripts without spaces: a character is a word


def exact_duplicate_groups(documents: Iterable[str]) -> list[int]:
    """For each document, the number of the first one with the same words; case, spaces and punctuation don't count.

    >>> exact_duplicate_groups(["A cat.", "a dog", "a  CAT"])
    [0, 1, 0]
    """
    first: dict[bytes, int] = {}
    return [
        first.setdefault(blake2b("\0".join(_words(document)).encode(), digest_size=16).digest(), number)
        for number, document in enumerate(documents)
    ]


def shingles(text: str, size: int = 5) -> frozenset[int]:
    """The phrases of `size` words that occur in a text, as 64-bit numbers; a shorter text is one phrase.

    Chinese, Japanese and Thai characters count as words.
    """
    words = _words(text)
    phrases = (" ".join(words[start : start + size]) for start in range(max(len(words) - size + 1, 1)))
    return frozenset(_hash(phrase) for phrase in phrases)


def jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    """The shared part of two sets: size of the intersection over size of the union; 1 for two empty sets."""
    union = len(first | second)
    return len(first & second) / union if union else 1.0


class MinHash:
    """Signatures that estimate Jaccard similarity: the share of equal entries is the estimate.

    Entry i is the smallest value that hash function i takes on the shingles. Two sets have the same smallest element
    under a random order with probability |A ∩ B| / |A ∪ B|, so each entry is a coin that falls so.
    """

    def __init__(self, n_hashes: int = 128, seed: int = 0):
        """`n_hashes` entries; the standard error of the estimate is at most 1 / (2 √n_hashes)."""
        random = np.random.default_rng(seed)
        self.multipliers = random.integers(0, 2**63, n_hashes, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self.offsets = random.integers(0, 2**63, n_hashes, dtype=np.uint64)

    def signature(self, items: frozenset[int]) -> UInt64[np.ndarray, " hashes"]:
        """The signature of a set of shingles. Raises ValueError for an empty set."""
        if not items:
            raise ValueError("An empty set has no smallest element, and so no signature.")
        values = np.fromiter(items, dtype=np.uint64, count=len(items))
        smallest = np.full(len(self.multipliers), np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, len(values), 4096):  # so that a long document needs little memory
            hashed = np.multiply.outer(values[start : start + 4096], self.multipliers) + self.offsets
            hashed ^= hashed >> np.uint64(32)  # the product's low bits know little of the high ones; mix, then again
            hashed *= self.multipliers
            np.minimum(smallest, hashed.min(axis=0), out=smallest)
        return smallest


def choose_bands(threshold: float, n_hashes: int) -> tuple[int, int]:
    """How many bands of how many rows make pairs at least as similar as `threshold` likely candidates.

    Two signatures agree in a whole band of r rows with probability s^r, so at least once in b bands with probability
    1 - (1 - s^r)^b. The choice: the longest bands for which this is at least 95 % at the threshold.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"A threshold of similarity lies between 0 and 1 (0 excluded), and {threshold} does not.")
    fitting = (rows for rows in range(n_hashes, 0, -1) if candidate_chance(threshold, n_hashes // rows, rows) >= 0.95)
    rows = next(fitting, 1)
    return n_hashes // rows, rows


def candidate_chance(similarity: float, n_bands: int, n_rows: int) -> float:
    """The probability that two documents of this similarity share at least one band: 1 - (1 - s^r)^b."""
    return 1 - (1 - similarity**n_rows) ** n_bands


def near_duplicate_pairs(
    documents: Sequence[str], *, threshold: float = 0.7, shingle_size: int = 5, n_hashes: int = 128, seed: int = 0
) -> list[tuple[int, int, float]]:
    """Pairs of documents whose shingles have a Jaccard similarity of at least `threshold`, with the similarity.

    Signatures are cut into bands; documents that share a band are candidates, and each candidate pair is compared
    exactly. So no pair is reported wrongly, and at most 5 % of those at the threshold are missed, fewer above it. Of
    many documents that share one band (a licence text, say) each is compared with the first only.
    """
    sets = [shingles(document, shingle_size) for document in documents]
    minhash = MinHash(n_hashes, seed)
    n_bands, n_rows = choose_bands(threshold, n_hashes)
    signatures = [minhash.signature(items) for items in sets]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for number, signature in enumerate(signatures):
        for band in range(n_bands):
            buckets[band, signature[band * n_rows : (band + 1) * n_rows].tobytes()].append(number)
    candidates = {pair for together in buckets.values() for pair in _pairs(together)}
    measured = ((first, second, jaccard(sets[first], sets[second])) for first, second in sorted(candidates))
    return [pair for pair in measured if pair[2] >= threshold]


def near_duplicate_groups(documents: Sequence[str], *, threshold: float = 0.7, **settings: int) -> list[int]:
    """For each document, the number of the first of its group: near duplicates, and near duplicates of those.

    `settings` as for `near_duplicate_pairs`.
    """
    leader = list(range(len(documents)))

    def find(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    for first, second, _ in near_duplicate_pairs(documents, threshold=threshold, **settings):
        low, high = sorted((find(first), find(second)))
        leader[high] = low
    return [find(number) for number in range(len(documents))]


def deduplicate(documents: Sequence[str], *, threshold: float | None = 0.7, **settings: int) -> list[str]:
    """The first document of each group of near duplicates; with `threshold=None`, only exact ones are dropped."""
    if threshold is None:
        groups = exact_duplicate_groups(documents)
    else:
        groups = near_duplicate_groups(documents, threshold=threshold, **settings)
    return [document for number, document in enumerate(documents) if groups[number] == number]


ALL_PAIRS = 40  # documents in a bucket up to which all their pairs are candidates


def _pairs(together: list[int]) -> Iterator[tuple[int, int]]:
    """The pairs in a bucket; in a large one, each document with the first only, so that work stays in proportion."""
    leaders = together if len(together) <= ALL_PAIRS else together[:1]
    for place, first in enumerate(leaders):
        for second in together[place + 1 :]:
            yield first, second


def _words(text: str) -> list[str]:
    return _WORD.findall(_UNSPACED.sub(r" \g<0> ", text.lower()))


def _hash(phrase: str) -> int:
    """64 bits of a phrase, the same in every process (Python's own `hash` of strings is not)."""
    return int.from_bytes(blake2b(phrase.encode("utf-8", "surrogatepass"), digest_size=8).digest())
