"""Lesson 07, tokens: the exercises, and the small functions that the lesson goes on with."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from course_lib.exercises import Draw, Exercise, Misconception

Word = tuple[str, ...]
Pair = tuple[str, str]


def count_pairs(words):
    """How often each two tokens stand side by side; `words` says how often each word occurs."""
    counts = {}
    for word, often in words.items():
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + often
    return counts


def join_pair(word, pair):
    """The word with each occurrence of the pair joined to one token, from the left."""
    joined, place = [], 0
    while place < len(word):
        if word[place : place + 2] == pair:
            joined.append(pair[0] + pair[1])
            place += 2
        else:
            joined.append(word[place])
            place += 1
    return tuple(joined)


def learn_merges(words: dict[Word, int], n_merges: int) -> list[Pair]:
    """The pairs that byte-pair encoding joins, in order; among equals the first in alphabetical order."""
    words, merges = dict(words), []
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = {join_pair(word, best): often for word, often in words.items()}
    return merges


def encode_word(word: str, ranks: dict[Pair, int]) -> list[str]:
    """The tokens of a new word: of the pairs it has, join the one that was learned first, until there is none."""
    tokens = tuple(word)
    while known := [pair for pair in pairwise(tokens) if pair in ranks]:
        tokens = join_pair(tokens, min(known, key=ranks.get))
    return list(tokens)


# ---------------------------------------------------------------- 07.1


def _some_words(draw: Draw) -> dict[Word, int]:
    """Words of a few letters that repeat themselves, with how often they occur."""
    words: dict[Word, int] = {("b", "a", "n", "a", "n", "a"): draw.integers(2, 9)}
    for _ in range(draw.size(5)):
        words[tuple(draw.text(4, "abn"))] = draw.integers(2, 9)
    return words


def _count(
    words: dict[Word, int], pairs_of: Callable[[Word], Iterable[Pair]], weighted: bool = True
) -> dict[Pair, int]:
    counts: Counter[Pair] = Counter()
    for word, often in words.items():
        for pair in pairs_of(word):
            counts[pair] += often if weighted else 1
    return dict(counts)


def _across_words(words: dict[Word, int]) -> dict[Pair, int]:
    return dict(Counter(pairwise([token for word, often in words.items() for token in word * often])))


COUNT_PAIRS = Exercise(
    id="07.1",
    title="Count the pairs",
    inputs=lambda draw: (_some_words(draw),),
    solution=count_pairs,
    also_right=[
        lambda words: _count(words, pairwise),
        lambda words: Counter(pair for word, often in words.items() for pair in list(pairwise(word)) * often),
    ],
    misconceptions=[
        Misconception(
            lambda words: _count(words, pairwise, weighted=False),
            "You counted each word once. A word that occurs 7 times brings its pairs 7 times: add `often`, not 1.",
        ),
        Misconception(
            lambda words: _count(words, lambda word: set(pairwise(word))),
            "You counted a pair once a word, however often it stands in it. “banana” holds a·n twice, and both will be "
            "joined.",
        ),
        Misconception(
            lambda words: _count(words, lambda word: [tuple(sorted(pair)) for pair in pairwise(word)]),
            "You took a·b and b·a for one pair. Joined they are “ab” and “ba”: two different tokens.",
        ),
        Misconception(
            _across_words,
            "Your pairs reach from the end of one word into the next. The words of the dictionary do not stand side by "
            "side in the text; count inside each word only.",
        ),
        Misconception(
            lambda words: _count(words, lambda word: list(pairwise(word))[::2]),
            "You stepped by two, so every second pair is missing. In b·a·n the a belongs to two pairs: b·a and a·n.",
        ),
        Misconception(
            lambda words: _count(words, lambda word: list(pairwise(word))[:-1]),
            "The last pair of each word is missing: a word of n tokens has n − 1 pairs.",
        ),
    ],
    hints=(
        "How many pairs has a word of 6 tokens? Which are they in “banana”?",
        "If “banana” occurs 3 times in the text, by how much does it raise the count of a·n?",
        "for word, often in words.items(): for pair in zip(word, word[1:]): add `often` to counts[pair].",
    ),
    why="Words are counted once and their pairs weighted, because a text repeats its words: two hundred thousand words "
    "of running text have only some thousands of different ones.",
    starter="""\
def count_pairs(words):             # {("t", "e", "a"): 4, …}: each word's tokens, and how often it occurs
    ...                             # → {("t", "e"): 4, …}
""",
    see="By hand",
)

# ---------------------------------------------------------------- 07.2


def _word_and_pair(draw: Draw) -> tuple[Word, Pair]:
    """A word of short and longer tokens in which the pair stands, sometimes twice and sometimes overlapping."""
    tokens = ("a", "b", "ab", "xa", "ba")
    pair = draw.choice((("a", "a"), ("a", "b")))
    before, after = (tuple(draw.choice(tokens) for _ in range(draw.size(2))) for _ in range(2))
    return (*before, "xa", "b", "xa", "a", *pair, *pair, *pair[1:], *after, *pair[::-1], *pair), pair


def _by_text(word: Word, pair: Pair) -> Word:
    return tuple(" ".join(word).replace(" ".join(pair), "".join(pair)).split(" "))


def _first_only(word: Word, pair: Pair) -> Word:
    for place in range(len(word) - 1):
        if word[place : place + 2] == pair:
            return (*word[:place], "".join(pair), *word[place + 2 :])
    return word


def _from_the_right(word: Word, pair: Pair) -> Word:
    turned = join_pair(tuple(token[::-1] for token in reversed(word)), (pair[1][::-1], pair[0][::-1]))
    return tuple(token[::-1] for token in reversed(turned))


def _keeps_the_second(word: Word, pair: Pair) -> Word:
    return tuple("".join(pair) if word[place : place + 2] == pair else word[place] for place in range(len(word)))


def _either_order(word: Word, pair: Pair) -> Word:
    joined, place = [], 0
    while place < len(word):
        two = word[place : place + 2]
        together = two in (pair, pair[::-1])
        joined.append("".join(two) if together else word[place])
        place += 1 + together
    return tuple(joined)


JOIN_PAIR = Exercise(
    id="07.2",
    title="Join a pair",
    inputs=_word_and_pair,
    draws=14,
    solution=join_pair,
    also_right=[
        lambda word, pair: tuple(
            token.replace("+", "")
            for token in (" " + " ".join(word) + " ")
            .replace(" ", "  ")
            .replace(f" {pair[0]}  {pair[1]} ", f" {pair[0]}+{pair[1]} ")
            .split()
        ),
    ],
    misconceptions=[
        Misconception(
            _by_text,
            "You replaced in a string. With tokens xa·b, the text “xa b” contains “a b”, and you joined half a token. "
            "Compare whole tokens. (The listing in Sennrich's paper guards against this in its regular expression.)",
        ),
        Misconception(
            _first_only,
            "You joined the first occurrence only. A merge is a rule for the whole word: go on after it.",
        ),
        Misconception(
            _from_the_right,
            "You joined from the right. In a·a·a that gives a·aa; everyone else goes from the left and gets aa·a, and "
            "your ids would differ from theirs.",
        ),
        Misconception(
            _keeps_the_second,
            "After joining, you did not skip the second token, so it stands there once more and the text has grown. "
            "Step by 2 after a join.",
        ),
        Misconception(
            _either_order,
            "You also joined the pair in the other order. The rule says left, then right.",
        ),
        Misconception(
            lambda word, pair: tuple("".join(word).replace("".join(pair), f" {''.join(pair)} ").split()),
            "You glued the whole word together first, so the cuts that earlier merges made are lost.",
        ),
    ],
    hints=(
        "At each place there are two cases. What do you append in each, and how far do you step?",
        "After a join, which token do you look at next?",
        "while place < len(word): if word[place:place+2] == pair, append the joined token and step 2, else append "
        "word[place] and step 1. Return a tuple.",
    ),
    why="From the left and without overlap, so that everyone gets the same cut of the same word. The word comes back "
    "as a tuple because it will be a key of a dictionary.",
    starter="""\
def join_pair(word, pair):          # ("s", "ea", "t"), ("ea", "t")
    ...                             # → ("s", "eat")
""",
    see="By hand",
)

# ---------------------------------------------------------------- 07.3


def _corpus(draw: Draw) -> tuple[dict[Word, int], int]:
    """Words with ties, and how many merges to learn."""
    words = {tuple(draw.text(5, "aest")): draw.integers(1, 5) for _ in range(draw.size(6))}
    return words, draw.choice((3, 4, 5))


def _learn(
    words: dict[Word, int],
    n_merges: int,
    *,
    choose: Callable[[dict[Pair, int]], Pair],
    update: bool = True,
    counts_of: Callable[[dict[Word, int]], dict[Pair, int]] = count_pairs,
) -> list[Pair]:
    merges: list[Pair] = []
    while len(merges) < n_merges and (counts := counts_of(words)):
        best = choose(counts)
        merges.append(best)
        if update:
            words = {join_pair(word, best): often for word, often in words.items()}
    return merges


def _most_frequent(counts: dict[Pair, int]) -> Pair:
    """Of several that are equally frequent, the first in alphabetical order."""
    return min(counts, key=lambda pair: (-counts[pair], pair))


def _top_pairs(words: dict[Word, int], n_merges: int) -> list[Pair]:
    counts = count_pairs(words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:n_merges]


LEARN_MERGES = Exercise(
    id="07.3",
    title="Learn the merges",
    inputs=_corpus,
    solution=learn_merges,
    solution_code="""\
def learn_merges(words, n_merges):
    words, merges = dict(words), []
    while len(merges) < n_merges and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = {join_pair(word, best): often for word, often in words.items()}
    return merges
""",
    also_right=[lambda words, n_merges: _learn(words, n_merges, choose=_most_frequent)],
    misconceptions=[
        Misconception(
            _top_pairs,
            "You counted once and took the top pairs. After the first merge the counts are different: pairs with the "
            "new token appear, and the pairs that lost a token to it shrink. Count again after each merge.",
        ),
        Misconception(
            lambda words, n_merges: _learn(words, n_merges, choose=_most_frequent, update=False),
            "The same pair again and again: the words were not changed after a merge. Put join_pair(word, best) for "
            "each word.",
        ),
        Misconception(
            lambda words, n_merges: _learn(words, n_merges, choose=lambda counts: max(counts, key=counts.get)),
            "Among pairs that occur equally often you took the one that was met first, so the result depends on the "
            "order of the texts. The rule here: the first in alphabetical order.",
        ),
        Misconception(
            lambda words, n_merges: _learn(
                words, n_merges, choose=lambda counts: max(counts, key=lambda pair: (counts[pair], pair))
            ),
            "Among pairs that occur equally often you took the last in alphabetical order (max of (count, pair) does "
            "that). The rule here is the first.",
        ),
        Misconception(
            lambda words, n_merges: _learn(
                words,
                n_merges,
                choose=_most_frequent,
                counts_of=lambda words: count_pairs(dict.fromkeys(words, 1)),
            ),
            "Each word counted once. Weigh its pairs by how often it occurs.",
        ),
        Misconception(
            lambda words, n_merges: learn_merges(words, n_merges + 1),
            "One merge too many: stop when there are n_merges.",
        ),
        Misconception(
            lambda words, n_merges: ["".join(pair) for pair in learn_merges(words, n_merges)],
            "These are the new tokens. To encode, one must know what to join: return the pairs, (left, right).",
        ),
    ],
    hints=(
        "You have both halves: which function says what to join, and which one joins it?",
        "min(counts, key=…) can order by two things: which number comes first, so that the largest count wins?",
        "Loop: counts = count_pairs(words); best = min(counts, key=lambda pair: (-counts[pair], pair)); append; then "
        "words = {join_pair(word, best): often for …}.",
    ),
    why="That is all of byte-pair encoding. The order of the list matters as much as its content: it is the order in "
    "which a new word will be put together.",
    starter="""\
def learn_merges(words, n_merges):  # {("t", "e", "a"): 4, …}, a whole number
    ...                             # → [("e", "a"), …], the pairs in the order of their merges
""",
    see="By hand",
)

# ---------------------------------------------------------------- 07.4

RANKS = {("e", "a"): 0, ("t", "ea"): 1, ("ea", "t"): 2, ("s", "eat"): 3, ("tea", "m"): 4, ("m", "e"): 5, ("a", "t"): 6}


def _a_word(draw: Draw) -> tuple[str, dict[Pair, int]]:
    word = "".join(draw.choice(("tea", "m", "eat", "s", "meat", "at", "e", "team")) for _ in range(draw.size(4)))
    return word + draw.choice(("teat", "steam", "meats")), dict(RANKS)


def _longest_first(word: str, ranks: dict[Pair, int]) -> list[str]:
    known = {left + right for left, right in ranks} | set(word)
    tokens = []
    while word:
        size = next(size for size in range(len(word), 0, -1) if word[:size] in known)
        tokens.append(word[:size])
        word = word[size:]
    return tokens


def _encode(word: str, ranks: dict[Pair, int], choose: Callable, rounds: int | None = None) -> list[str]:
    tokens = tuple(word)
    while rounds != 0 and (known := [pair for pair in pairwise(tokens) if pair in ranks]):
        tokens = join_pair(tokens, choose(known))
        rounds = None if rounds is None else rounds - 1
    return list(tokens)


def _one_occurrence_of_each(word: str, ranks: dict[Pair, int]) -> list[str]:
    tokens = tuple(word)
    for pair in sorted(ranks, key=ranks.get):
        tokens = _first_only(tokens, pair)
    return list(tokens)


def _in_order(word: str, ranks: dict[Pair, int]) -> list[str]:
    tokens = tuple(word)
    for pair in sorted(ranks, key=ranks.get):
        tokens = join_pair(tokens, pair)
    return list(tokens)


ENCODE_WORD = Exercise(
    id="07.4",
    title="Encode a new word",
    inputs=_a_word,
    solution=encode_word,
    solution_code="""\
def encode_word(word, ranks):
    tokens = tuple(word)
    while known := [pair for pair in pairwise(tokens) if pair in ranks]:
        tokens = join_pair(tokens, min(known, key=ranks.get))
    return list(tokens)
""",
    also_right=[_in_order],
    misconceptions=[
        Misconception(
            _longest_first,
            "You took the longest known token from the left. That is WordPiece's rule. BPE replays its merges in the "
            "order in which they were learned, and the model was trained on *those* cuts.",
        ),
        Misconception(
            lambda word, ranks: _encode(word, ranks, lambda known: known[0]),
            "You joined the leftmost pair that is known. Which of the word's pairs was learned *first*: the one with "
            "the smallest rank.",
        ),
        Misconception(
            lambda word, ranks: _encode(word, ranks, lambda known: max(known, key=ranks.get)),
            "You took the pair with the largest rank: the one learned last. Rank 0 is the first and goes first.",
        ),
        Misconception(
            lambda word, ranks: _encode(word, ranks, lambda known: min(known, key=ranks.get), rounds=1),
            "You stopped after one merge. Each merge can make a new pair possible: t·ea needs ea.",
        ),
        Misconception(
            _one_occurrence_of_each,
            "You joined each pair in one place only. A merge applies everywhere in the word.",
        ),
        Misconception(
            lambda word, ranks: tuple(word),
            "These are the characters before any merge.",
        ),
    ],
    hints=(
        "Which pairs of the word are in `ranks`, and which of them was learned first?",
        "When do you stop?",
        "While any pair of neighbours is in ranks: tokens = join_pair(tokens, min(those pairs, key=ranks.get)).",
    ),
    why="Encoding replays training on one word. Any other order gives tokens that spell the same text and that the "
    "model has hardly ever seen side by side.",
    starter="""\
def encode_word(word, ranks):       # "steam", {("e", "a"): 0, ("t", "ea"): 1, …}
    ...                             # → ["s", "tea", "m"], a list of tokens
""",
    see="A word that was not there",
)

# ---------------------------------------------------------------- 07.5


def _loss_and_text(draw: Draw) -> tuple[float, int, str]:
    text = "".join(draw.choice(("tea ", "é", "爱", "学习", "cat ", "🙂")) for _ in range(draw.size(8)))
    return draw.uniform(low=1.0, high=4.0), draw.integers(5, 12), "爱 té" + text


BITS_PER_BYTE = Exercise(
    id="07.5",
    title="Bits per byte",
    inputs=_loss_and_text,
    solution=lambda loss, n_tokens, text: loss * n_tokens / len(text.encode("utf-8")) / math.log(2),
    also_right=[
        lambda loss, n_tokens, text: math.log2(math.exp(loss)) * n_tokens / len(bytes(text, "utf-8")),
    ],
    misconceptions=[
        Misconception(
            lambda loss, n_tokens, text: loss * n_tokens / len(text) / math.log(2),
            "You divided by the number of characters. 爱 is one character and three bytes; a fair unit must not depend "
            "on the script. len(text.encode()).",
        ),
        Misconception(
            lambda loss, n_tokens, text: loss * n_tokens / len(text.encode()),
            "These are nats a byte. A bit is ln 2 = 0.693 nats: divide once more.",
        ),
        Misconception(
            lambda loss, n_tokens, text: loss * n_tokens / len(text.encode()) * math.log(2),
            "You multiplied by ln 2. A bit is the smaller unit, so there must be more of them: divide.",
        ),
        Misconception(
            lambda loss, n_tokens, text: loss / math.log(2),
            "These are bits a *token*. How long the tokens are is just what must not matter: turn to the whole text "
            "(times n_tokens), then to one byte.",
        ),
        Misconception(
            lambda loss, n_tokens, text: loss * len(text.encode()) / n_tokens / math.log(2),
            "The two counts are the wrong way round. Loss times tokens is the price of the whole text; then share it "
            "among the bytes.",
        ),
        Misconception(
            lambda loss, n_tokens, text: loss / len(text.encode()) / math.log(2),
            "The loss is the mean over tokens. The whole text costs n_tokens times as much.",
        ),
    ],
    hints=(
        "What does the model pay for the whole text, in nats?",
        "How many bytes share that price, and how many nats has a bit?",
        "loss · n_tokens / len(text.encode()) / ln 2.",
    ),
    why="The product loss · n_tokens is the model's price for the text, −ln P(text), however the text was cut. Bytes "
    "are a property of the text alone, so the quotient compares any two models.",
    starter="""\
def bits_per_byte(loss, n_tokens, text):    # nats a token (mean), number of tokens, the text itself
    ...                                     # → one number
""",
    see="A fair measure",
)

# ---------------------------------------------------------------- 07.6

PIECES = (
    *("un", "token", "tok", "t", "u", "en", "able", "a", "ized", "s"),
    *("##able", "##ab", "##token", "##tok", "##en", "##ized", "##iz"),
    *("##" + letter for letter in "abdeiklnost"),
)


def wordpiece(word: str, vocabulary: set[str]) -> list[str]:
    """The longest known piece from the left, again and again; a word that cannot be cut whole is unknown."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = [end for end in range(len(word), start, -1) if prefix + word[start:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        pieces.append(prefix + word[start : ends[0]])
        start = ends[0]
    return pieces


def _wordpiece(
    word: str, vocabulary: set[str], *, longest: bool = True, marked: bool = True, unknown: str = "word"
) -> list[str]:
    """The same with one thing done otherwise."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = [end for end in range(start + 1, len(word) + 1) if prefix + word[start:end] in vocabulary]
        if not ends and unknown == "word":
            return ["[UNK]"]
        if not ends and unknown == "rest":
            return [*pieces, "[UNK]"]
        if not ends:
            pieces.append("[UNK]")
            start += 1
            continue
        end = max(ends) if longest else min(ends)
        pieces.append((prefix if marked else "") + word[start:end])
        start = end
    return pieces


def _without_marks(word: str, vocabulary: set[str]) -> list[str]:
    pieces, start = [], 0
    while start < len(word):
        end = next((end for end in range(len(word), start, -1) if word[start:end] in vocabulary), None)
        if end is None:
            return ["[UNK]"]
        pieces.append(word[start:end])
        start = end
    return pieces


WORD_PIECE = Exercise(
    id="07.6",
    title="WordPiece's longest match",
    draws=14,
    inputs=lambda draw: (
        draw.choice(("un", "t", "tok", "token", "u"))
        + "".join(draw.choice(("en", "able", "a", "ized", "s", "i", "zed", "token")) for _ in range(draw.size(3))),
        set(PIECES),
    ),
    solution=wordpiece,
    also_right=[lambda word, vocabulary: _wordpiece(word, vocabulary)],
    misconceptions=[
        Misconception(
            lambda word, vocabulary: _wordpiece(word, vocabulary, longest=False),
            "You took the *shortest* piece that fits. Begin with the whole rest of the word and shorten it.",
        ),
        Misconception(
            lambda word, vocabulary: _wordpiece(word, vocabulary, marked=False),
            "The pieces inside a word are written with “##” in the vocabulary, and that is what they are called in the "
            "answer too.",
        ),
        Misconception(
            _without_marks,
            "You looked for the pieces inside the word without “##”. “token” begins a word; inside one, only pieces "
            "with the mark may stand.",
        ),
        Misconception(
            lambda word, vocabulary: _wordpiece(word, vocabulary, unknown="rest"),
            "You kept the pieces found so far and put [UNK] for the rest. In BERT the *whole word* becomes one [UNK].",
        ),
        Misconception(
            lambda word, vocabulary: _wordpiece(word, vocabulary, unknown="character"),
            "You put [UNK] for one character and went on. In BERT the whole word becomes one [UNK].",
        ),
    ],
    hints=(
        "From the place where you stand: which end do you try first?",
        "What is different about a piece that does not begin the word?",
        'prefix = "##" if start else ""; try end from len(word) down to start + 1; if nothing fits, return ["[UNK]"].',
    ),
    why="Greedy and fast: no list of merges is needed, the vocabulary is enough. The price is that a word with a "
    "single unknown character is lost whole.",
    starter="""\
def wordpiece(word, vocabulary):    # "tokenized", {"token", "##ized", …}
    ...                             # → ["token", "##ized"], or ["[UNK]"]
""",
    see="WordPiece: the longest piece",
)

# ---------------------------------------------------------------- 07.7


def _word_and_chances(draw: Draw) -> tuple[str, dict[str, float]]:
    """A word of different letters (so that no two cuts cost the same), and log-probabilities of its pieces."""
    word = "".join("abcdefgh"[place] for place in draw.permutation(8).tolist())
    pieces = {word[start:end] for start, end in ((0, 3), (0, 2), (2, 8), (1, 4), (3, 6), (6, 8), (4, 6), (5, 8))}
    chances = {
        token: draw.uniform(low=-4.5, high=-2.0) if len(token) == 1 else draw.uniform(low=-9.0, high=-3.0)
        for token in sorted({*word, *pieces} - {""})
    }
    return word, chances


def best_cut(word: str, log_chance: dict[str, float]) -> list[str]:
    """Of all ways to cut a word into known tokens, the one whose log-probabilities add up to most."""
    best: list[tuple[float, list[str]]] = [(0.0, [])]
    for end in range(1, len(word) + 1):
        ways = [
            (best[start][0] + log_chance[word[start:end]], [*best[start][1], word[start:end]])
            for start in range(end)
            if word[start:end] in log_chance
        ]
        best.append(max(ways, default=(-math.inf, [])))
    return best[-1][1]


def _all_cuts(word: str, known: dict[str, float]) -> list[list[str]]:
    if not word:
        return [[]]
    return [
        [word[:size], *rest]
        for size in range(1, len(word) + 1)
        if word[:size] in known
        for rest in _all_cuts(word[size:], known)
    ]


def _best_by(score: Callable[[list[float]], float]) -> Callable:
    """The cut with the highest score of its tokens' log-probabilities."""

    def cut(word: str, log_chance: dict[str, float]) -> list[str]:
        return max(_all_cuts(word, log_chance), key=lambda cut: score([log_chance[token] for token in cut]))

    return cut


def _greedy(word: str, log_chance: dict[str, float], key: Callable[[str], float]) -> list[str]:
    tokens: list[str] = []
    while word:
        starts = [word[:size] for size in range(1, len(word) + 1) if word[:size] in log_chance]
        tokens.append(max(starts, key=key))
        word = word[len(tokens[-1]) :]
    return tokens


BEST_CUT = Exercise(
    id="07.7",
    title="Unigram's best cut (stretch)",
    inputs=_word_and_chances,
    draws=14,
    solution=best_cut,
    also_right=[_best_by(sum)],
    misconceptions=[
        Misconception(
            lambda word, log_chance: _greedy(word, log_chance, len),
            "You took the longest token from the left. A long token can cost more than its parts, and it can spoil "
            "what comes after it. Compare whole cuts.",
        ),
        Misconception(
            lambda word, log_chance: _greedy(word, log_chance, log_chance.get),
            "You took the most probable token from the left, which is mostly a short one. What counts is the sum over "
            "the whole word.",
        ),
        Misconception(
            _best_by(lambda scores: -len(scores)),
            "The cut with the fewest tokens. Fewer tokens often cost less, but not always: add up the "
            "log-probabilities.",
        ),
        Misconception(
            _best_by(lambda scores: sum(scores) / len(scores)),
            "You compared the mean log-probability, which likes cuts into many short tokens. The probability of a cut "
            "is the product over its tokens, so its logarithm is the sum.",
        ),
        Misconception(
            _best_by(lambda scores: -sum(scores)),
            "This is the *least* probable cut. Log-probabilities are negative; the best sum is the one nearest to 0.",
        ),
        Misconception(
            _best_by(lambda scores: sum(map(math.exp, scores))),
            "You added probabilities. That one token *and* the next one come is a product; add the logarithms.",
        ),
    ],
    hints=(
        "Suppose you know the best cut of every beginning of the word. How do you get the best cut of the whole?",
        "The last token starts somewhere. What is left of it is a shorter word that you have already solved.",
        "best = [(0.0, [])]; for each end: of all starts with word[start:end] known, the largest best[start] + its "
        "log-probability.",
    ),
    why="A word of n letters has up to 2^(n−1) cuts, but only n(n+1)/2 pieces: each beginning is solved once. The "
    "method is Viterbi's, and T5 cuts its texts this way.",
    starter="""\
def best_cut(word, log_chance):     # "abcab", {"a": -3.0, "ab": -3.9, …}: ln P of each token
    ...                             # → ["abc", "ab"], the cut whose log-probabilities add up to most
""",
    see="Unigram: the likeliest cut",
)

EXERCISES: Sequence[Exercise] = [
    COUNT_PAIRS,
    JOIN_PAIR,
    LEARN_MERGES,
    ENCODE_WORD,
    BITS_PER_BYTE,
    WORD_PIECE,
    BEST_CUT,
]
