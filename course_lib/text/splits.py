"""Training, validation and test documents that share nothing, and the check that they don't."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from course_lib.text.duplicates import shingles

SHARES = (0.9, 0.05, 0.05)


def split_documents(
    documents: Sequence[str],
    *,
    shares: Sequence[float] = SHARES,
    groups: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[list[str], ...]:
    """The documents dealt into as many splits as there are `shares`, in an order that depends on `seed` only.

    With `groups` (one label a document, as `near_duplicate_groups` gives), all documents of a group go into the same
    split: so no near copy of a training document is in the test. The first split takes what the others leave, and
    the others never take more than their share. Raises ValueError when a split would be empty.
    """
    if abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise ValueError(f"Shares are not negative and add to 1, and {tuple(shares)} add to {sum(shares):g}.")
    if groups is not None and len(groups) != len(documents):
        raise ValueError(
            f"There are {len(documents)} documents and {len(groups)} group labels: one for each is needed."
        )
    members: dict[int, list[int]] = defaultdict(list)
    for number in range(len(documents)):
        members[number if groups is None else groups[number]].append(number)
    order = sorted(members.values(), key=lambda numbers: _rank(documents[numbers[0]], seed))
    places = [0] * len(documents)
    room = [share * len(documents) for share in shares]
    for numbers in order:
        place = next((place for place in range(1, len(shares)) if room[place] >= len(numbers)), 0)
        room[place] -= len(numbers)
        for number in numbers:
            places[number] = place
    splits = tuple(
        [document for document, where in zip(documents, places, strict=True) if where == place]
        for place in range(len(shares))
    )
    if not all(split for split, share in zip(splits, shares, strict=True) if share):
        raise ValueError(
            f"{len(documents)} documents in {len(order)} groups are too few for the shares {tuple(shares)}: a split "
            f"would be empty. Give more documents, or larger shares to the small splits."
        )
    return splits


class Overlap(NamedTuple):
    """A held-out document, and the part of its phrases that the training documents hold too (0 to 1)."""

    number: int
    share: float


def contamination(
    train: Iterable[str], held_out: Sequence[str], *, phrase_length: int = 8, at_least: float = 0.0
) -> list[Overlap]:
    """How much of each held-out document the training documents give away; the worst first.

    The measure is the share of its phrases of `phrase_length` words that occur anywhere in `train` (GPT-3's check
    used 13 words, and counted one as enough: Brown et al. 2020, appendix C). A document shorter than a phrase counts
    as one phrase, and matches only a training document that is as short. Documents with a share of `at_least` or
    less are left out.
    """
    phrases = [shingles(document, phrase_length) for document in held_out]
    wanted = frozenset().union(*phrases)
    seen: set[int] = set()
    for document in train:  # only phrases that matter are kept, so the training text may be larger than memory
        seen |= shingles(document, phrase_length) & wanted
    overlaps = [Overlap(number, len(own & seen) / len(own)) for number, own in enumerate(phrases)]
    return sorted((overlap for overlap in overlaps if overlap.share > at_least), key=lambda overlap: -overlap.share)


def _rank(document: str, seed: int) -> bytes:
    return blake2b(f"{seed}\0{document}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
