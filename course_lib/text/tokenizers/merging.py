"""The algorithm of byte-pair encoding: join the most frequent pair of neighbours, again and again.

Words are strings in which the character with code i stands for token i. So "replace this pair by that token" is
`str.replace`, and a pair of tokens is a string of two characters that sorts as the pair of its ids does.

Source: Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2;
order of ties and bookkeeping as in Hugging Face's `tokenizers`, so that the merges are the same.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple


class Merge(NamedTuple):
    """Two neighbouring tokens, and the token that takes their place (all three are ids)."""

    left: int
    right: int
    made: int


def learn_merges(
    words: Mapping[str, int], tokens: list[str], vocab_size: int, min_frequency: int = 1, prefix: str = ""
) -> list[Merge]:
    """The merges that grow `tokens` to `vocab_size`, most frequent pair first; `tokens` grows in place.

    `words` says how often each word occurs; its characters are ids of `tokens`. Among pairs that occur equally often,
    the one with the smaller ids wins. Learning stops early when no pair occurs `min_frequency` times. `prefix` marks
    tokens that continue a word ("##" in WordPiece) and vanishes inside a longer token.

    Words are counted once, and each merge touches only words that hold its pair: the counts are kept up to date
    instead of being made again, and a heap keeps the best pair on top.
    """
    ids = {token: index for index, token in enumerate(tokens)}
    spelled, counts = list(words), list(words.values())
    pair_counts, queue = _count_pairs(spelled, counts)
    merges = []
    while queue and len(tokens) < vocab_size:
        count, pair, places = heapq.heappop(queue)
        if -count != pair_counts[pair]:  # the count has changed since this entry was made: back into the queue
            heapq.heappush(queue, (-pair_counts[pair], pair, places))
            continue
        if -count < max(min_frequency, 1):
            break
        left, right = map(ord, pair)
        text = tokens[left] + tokens[right].removeprefix(prefix)
        made = ids.setdefault(text, len(tokens))  # two roads can lead to one token: "a" + "bc" and "ab" + "c"
        if made == len(tokens):
            tokens.append(text)
        merges.append(Merge(left, right, made))
        for new_pair, new_places in _join(pair, chr(made), places, spelled, counts, pair_counts).items():
            if pair_counts[new_pair] > 0:
                heapq.heappush(queue, (-pair_counts[new_pair], new_pair, new_places))
    return merges


def _count_pairs(spelled: list[str], counts: list[int]) -> tuple[dict[str, int], list[tuple[int, str, set[int]]]]:
    """How often each pair occurs, and a heap of (-count, pair, the words that hold it)."""
    pair_counts: dict[str, int] = defaultdict(int)
    where: dict[str, set[int]] = defaultdict(set)
    for place, word in enumerate(spelled):
        for left, right in pairwise(word):
            pair_counts[left + right] += counts[place]
            where[left + right].add(place)
    queue = [(-pair_counts[pair], pair, places) for pair, places in where.items()]
    heapq.heapify(queue)
    return pair_counts, queue


def _join(
    pair: str, made: str, places: set[int], spelled: list[str], counts: list[int], pair_counts: dict[str, int]
) -> dict[str, set[int]]:
    """Put `made` for `pair` in the words at `places`; the pairs that this made, and where.

    Only the neighbours of a joined pair change: x·left·right·y loses the pairs x·left and right·y and gains x·made
    and made·y. The pair itself keeps its count; it is out of the queue.
    """
    left, right = pair
    found: dict[str, set[int]] = defaultdict(set)
    for place in places:
        count = counts[place]
        parts = spelled[place].split(pair)
        last = len(parts) - 1
        for number in range(last):
            before = parts[number][-1:] or (made if number else "")
            if before:
                pair_counts[before + left] -= count
                pair_counts[before + made] += count
                found[before + made].add(place)
            after = parts[number + 1][:1] or (left if number + 1 < last else "")
            if after:
                pair_counts[right + after] -= count
                pair_counts[made + after] += count
                found[made + after].add(place)
        spelled[place] = made.join(parts)
    return found
