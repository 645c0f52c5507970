"""Lesson 13, build and pre-train a BERT: the exercises."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.models.gpt import IGNORED

CLS, SEP, MASK = 2, 3, 4
"""The ids of BERT's special tokens in these exercises, as WordPieceTokenizer numbers them."""


def _two_texts(draw: Draw) -> tuple[list[int], list[int]]:
    return draw.integers(5, 40, 4).tolist(), draw.integers(5, 40, 6).tolist()


def _pair(first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
    return [CLS, *first, SEP, *second, SEP], [0] * (len(first) + 2) + [1] * (len(second) + 1)


PAIR = Exercise(
    id="13.1",
    title="Two texts in one row",
    inputs=_two_texts,
    solution=_pair,
    solution_code="""\
def pair(first, second):
    tokens = [2, *first, 3, *second, 3]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return tokens, segments
""",
    also_right=[
        lambda first, second: (
            [CLS, *first, SEP, *second, SEP],
            [int(place > len(first) + 1) for place in range(len(first) + len(second) + 3)],
        )
    ],
    misconceptions=[
        Misconception(
            lambda first, second: (
                [CLS, *first, SEP, *second, SEP],
                [0] * (len(first) + 1) + [1] * (len(second) + 2),
            ),
            "The middle [SEP] got segment 1. It ends the *first* text and belongs to it: the first segment has "
            "len(first) + 2 tokens.",
        ),
        Misconception(
            lambda first, second: ([CLS, *first, SEP, *second], [0] * (len(first) + 2) + [1] * len(second)),
            "The second text has no end: each of the two is closed by a [SEP] of its own.",
        ),
        Misconception(
            lambda first, second: (
                [CLS, *first, SEP, CLS, *second, SEP],
                [0] * (len(first) + 2) + [1] * (len(second) + 2),
            ),
            "There is one [CLS] in a row, at its beginning: its vector stands for the pair as a whole. The second text "
            "follows right after the [SEP].",
        ),
        Misconception(
            lambda first, second: (
                [CLS, *first, SEP, *second, SEP],
                [1] * (len(first) + 2) + [2] * (len(second) + 1),
            ),
            "Segments are rows of a table with two rows, numbered 0 and 1. You began with 1.",
        ),
        Misconception(
            lambda first, second: ([CLS, *first, SEP, *second, SEP], [0] * (len(first) + len(second) + 3)),
            "All tokens are in segment 0: that is a row with one text. Tokens of the second text are in segment 1.",
        ),
        Misconception(
            lambda first, second: (
                [CLS, *second, SEP, *first, SEP],
                [0] * (len(second) + 2) + [1] * (len(first) + 1),
            ),
            "The order is reversed: the first text comes first. BERT is to judge whether the *second* follows it.",
        ),
        Misconception(
            lambda first, second: ([*first, SEP, *second, SEP], [0] * (len(first) + 1) + [1] * (len(second) + 1)),
            "[CLS] is missing. The head that judges pairs reads its vector, so without it there is nothing to read.",
        ),
    ],
    hints=(
        "Which three special tokens does a pair need, and where do they stand?",
        "To which text does each [SEP] belong: the one before it, or the one after?",
        "[CLS] first [SEP] second [SEP]; zeros up to the first [SEP], that one included, then ones.",
    ),
    why="[CLS] first [SEP] second [SEP]. The segment numbers tell each token which text it is in; attention itself "
    "runs across both.",
    starter="""\
def pair(first, second):                # two lists of token ids; [CLS] is 2, [SEP] is 3
    ...                                 # → tokens, segments: two lists of the same length
""",
    see="Two texts in one row",
)


def _tables(draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    segments = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]])
    return draw.tokens(2, 5, vocab=11), segments, draw.normal(11, 6), draw.normal(13, 6), draw.normal(2, 6)


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _restarted(segments: Tensor) -> Tensor:
    """Places that begin again at 0 in the second text."""
    ones = torch.ones_like(segments)
    return torch.where(segments == 0, ones.cumsum(1), segments.cumsum(1)) - 1


EMBED = Exercise(
    id="13.2",
    title="Three look-ups and a norm",
    inputs=_tables,
    solution=lambda tokens, segments, token_table, position_table, segment_table: _norm(
        token_table[tokens] + position_table[: tokens.shape[1]] + segment_table[segments]
    ),
    solution_code="""\
def embed(tokens, segments, token_table, position_table, segment_table):
    x = token_table[tokens] + position_table[:tokens.shape[1]] + segment_table[segments]
    return F.layer_norm(x, x.shape[-1:])
""",
    also_right=[
        lambda tokens, segments, token_table, position_table, segment_table: _norm(
            F.embedding(tokens, token_table)
            + F.embedding(torch.arange(tokens.shape[1]), position_table)[None]
            + F.one_hot(segments, 2).float() @ segment_table
        ),
    ],
    misconceptions=[
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: (
                token_table[tokens] + position_table[: tokens.shape[1]] + segment_table[segments]
            ),
            "The sum is right; the norm is missing. BERT, being post-norm, normalises what it adds up, here too.",
        ),
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: _norm(
                token_table[tokens] + position_table[: tokens.shape[1]]
            ),
            "No segments: the second text's tokens look as if they belonged to the first. Add "
            "`segment_table[segments]`. (RoBERTa would agree with you.)",
        ),
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: _norm(
                token_table[tokens] + segment_table[segments]
            ),
            "No positions: two-way attention without them cannot tell one order of the words from another (lesson 04).",
        ),
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: _norm(
                token_table[tokens] + position_table[_restarted(segments)] + segment_table[segments]
            ),
            "Your positions begin again at 0 in the second text. They count through the whole row, 0 … 4; which text "
            "a token is in is the segment's task.",
        ),
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: (
                _norm(token_table[tokens]) + _norm(position_table[: tokens.shape[1]]) + _norm(segment_table[segments])
            ),
            "You normalised each of the three and then added. It is the sum that is normalised, once: otherwise a "
            "small position vector would be blown up to the size of the word's.",
        ),
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: _norm(
                token_table[tokens] * math.sqrt(6) + position_table[: tokens.shape[1]] + segment_table[segments]
            ),
            "The factor √d_model belongs to the Transformer of 2017 (its section 3.4). BERT has none.",
        ),
        Misconception(
            lambda tokens, segments, token_table, position_table, segment_table: _norm(
                torch.cat(
                    [
                        token_table[tokens],
                        position_table[: tokens.shape[1]].expand(len(tokens), -1, -1),
                        segment_table[segments],
                    ],
                    dim=-1,
                )
            ),
            "Side by side, 18 features for 6. BERT adds the three vectors.",
        ),
    ],
    hints=(
        "What does `table[ids]` give for ids of shape (batch, time)?",
        "Three vectors for each token: for what it is, where it stands, which text it is in. What is done with them?",
        "Add `token_table[tokens]`, `position_table[:time]` and `segment_table[segments]`; then `F.layer_norm`.",
    ),
    why="What, where and whose, added up and normalised. Each is one row of a table, so BERT can give up the segments "
    "(RoBERTa) and stay the same machine.",
    starter="""\
def embed(tokens, segments, token_table, position_table, segment_table):
    # (batch, time) twice, (vocab_size, d_model), (context_length, d_model), (2, d_model)
    ...                                 # → (batch, time, d_model); the norm is F.layer_norm(x, x.shape[-1:])
""",
    see="What goes in: three vectors for each token",
)


def _fates(draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = (3, 40)
    tokens, other = draw.integers(5, 60, *shape), draw.integers(5, 60, *shape)
    chosen = draw.mask(*shape, keep=0.5)
    return tokens, chosen, draw.uniform(*shape), other


def _corrupt(tokens: Tensor, chosen: Tensor, fate: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    seen = torch.where(chosen & (fate < 0.8), MASK, tokens)
    seen = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, seen)
    return seen, torch.where(chosen, tokens, IGNORED)


def _with_targets(targets: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Callable:
    """What is seen is right, the targets are others."""
    return lambda tokens, chosen, fate, other: (
        _corrupt(tokens, chosen, fate, other)[0],
        targets(tokens, chosen, fate, other),
    )


def _with_seen(seen: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Callable:
    """The targets are right, what is seen is other."""
    return lambda tokens, chosen, fate, other: (
        seen(tokens, chosen, fate, other),
        torch.where(chosen, tokens, IGNORED),
    )


def _in_place(tokens: Tensor, chosen: Tensor, fate: Tensor, other: Tensor) -> Tensor:
    seen = _corrupt(tokens, chosen, fate, other)[0]
    return torch.where(chosen, seen, IGNORED)


CORRUPT = Exercise(
    id="13.3",
    title="80, 10, 10",
    inputs=_fates,
    solution=_corrupt,
    solution_code="""\
def corrupt(tokens, chosen, fate, other):
    seen = torch.where(chosen & (fate < 0.8), 4, tokens)
    seen = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, seen)
    return seen, torch.where(chosen, tokens, -100)
""",
    also_right=[
        lambda tokens, chosen, fate, other: (
            tokens.masked_fill(chosen & (fate < 0.8), MASK).where(~(chosen & (fate >= 0.8) & (fate < 0.9)), other),
            tokens.masked_fill(~chosen, IGNORED),
        )
    ],
    misconceptions=[
        Misconception(
            _with_seen(lambda tokens, chosen, fate, other: tokens.masked_fill(chosen, MASK)),
            "Every chosen token became [MASK]. One in ten becomes another word and one in ten stays: `fate` decides.",
        ),
        Misconception(
            _with_targets(lambda tokens, chosen, fate, other: tokens),
            "All tokens are targets. Six in seven were never hidden, so the model would be paid for copying what it "
            "sees. −100 wherever `chosen` is False.",
        ),
        Misconception(
            _with_targets(lambda tokens, chosen, fate, other: tokens.masked_fill(chosen, IGNORED)),
            "Inside out: −100 stands at the chosen tokens, so exactly those are not scored.",
        ),
        Misconception(
            _with_targets(lambda tokens, chosen, fate, other: torch.where(chosen & (fate < 0.8), tokens, IGNORED)),
            "Only the [MASK]s are targets. The random tokens and those that stayed were chosen as well: being asked "
            "there is what they are for.",
        ),
        Misconception(
            _with_targets(_in_place),
            "Your targets are what is *seen*: the model is asked to answer [MASK] at a [MASK]. The target is the "
            "token that really stands there. (Did you change `tokens` before you made the targets?)",
        ),
        Misconception(
            _with_targets(lambda tokens, chosen, fate, other: torch.where(chosen, tokens, 0)),
            "0 is a token, [PAD]: the model would be taught to answer [PAD] at every place that was not chosen. "
            "The number that the loss leaves out is −100.",
        ),
        Misconception(
            _with_seen(
                lambda tokens, chosen, fate, other: torch.where(
                    (fate >= 0.8) & (fate < 0.9), other, tokens.masked_fill(chosen & (fate < 0.8), MASK)
                )
            ),
            "Tokens that were never chosen became random ones: the second step needs `chosen &` too.",
        ),
        Misconception(
            _with_seen(
                lambda tokens, chosen, fate, other: torch.where(
                    chosen & (fate >= 0.8), other, tokens.masked_fill(chosen & (fate < 0.8), MASK)
                )
            ),
            "One in five became a random word, and none stayed. From 0.9 on a chosen token is left as it is.",
        ),
        Misconception(
            _with_seen(
                lambda tokens, chosen, fate, other: torch.where(
                    chosen & (fate >= 0.9), other, tokens.masked_fill(chosen & (fate < 0.8), MASK)
                )
            ),
            "Right shares, other stretches: you left 0.8 … 0.9 alone and exchanged from 0.9 on. For training that is "
            "as good; the task says: below 0.8 [MASK], up to 0.9 another token, the rest stays.",
        ),
    ],
    hints=(
        "Which places may change at all, and which of them become [MASK]?",
        "What does the model have to answer at a chosen place, whatever it is shown there?",
        "Two `torch.where`, with `chosen & (fate < 0.8)` and `chosen & (fate >= 0.8) & (fate < 0.9)`; targets are "
        "`torch.where(chosen, tokens, -100)`.",
    ),
    why="What is shown and what is asked are two things. Asked is the true token at every chosen place; shown is "
    "[MASK] at most of them, a wrong word at some, the right word at others.",
    starter="""\
def corrupt(tokens, chosen, fate, other):
    # all (batch, time): ids, True where to guess, numbers from 0 to 1, ids of random words; [MASK] is 4
    # fate below 0.8: [MASK]; from there to 0.9: the id from other; else: as it is
    ...                                 # → seen, targets: each (batch, time), -100 where nothing is asked
""",
    see="80, 10, 10",
)


def _pieces(draw: Draw) -> tuple[Tensor, Tensor]:
    starts = draw.mask(4, 12, keep=0.45)
    starts[:, 0] = True
    return draw.mask(4, 12, keep=0.2), starts


def _whole(chosen: Tensor, starts: Tensor) -> Tensor:
    word = starts.cumsum(dim=1)  # the number of the word that each piece belongs to
    same = word[:, :, None] == word[:, None, :]  # (batch, time, time)
    return (same & chosen[:, None, :]).any(dim=-1)


def _spread(chosen: Tensor, starts: Tensor, *, forward: bool, backward: bool) -> Tensor:
    """Choices handed on piece by piece within words, in one direction or both."""
    out = chosen.clone()
    time = out.shape[1]
    if forward:
        for t in range(1, time):
            out[:, t] |= out[:, t - 1] & ~starts[:, t]
    if backward:
        for t in range(time - 2, -1, -1):
            out[:, t] |= out[:, t + 1] & ~starts[:, t + 1]
    return out


def _one_step(chosen: Tensor, starts: Tensor) -> Tensor:
    out = chosen.clone()
    out[:, 1:] |= chosen[:, :-1] & ~starts[:, 1:]
    out[:, :-1] |= chosen[:, 1:] & ~starts[:, 1:]
    return out


def _neighbours(chosen: Tensor, starts: Tensor) -> Tensor:
    out = chosen.clone()
    out[:, 1:] |= chosen[:, :-1]
    out[:, :-1] |= chosen[:, 1:]
    return out


def _across_texts(chosen: Tensor, starts: Tensor) -> Tensor:
    word = starts.cumsum(dim=1)
    picked = word[chosen].unique()
    return torch.isin(word, picked)


WHOLE = Exercise(
    id="13.4",
    title="Whole words",
    inputs=_pieces,
    solution=_whole,
    solution_code="""\
def whole_words(chosen, starts):
    word = starts.cumsum(dim=1)
    same = word[:, :, None] == word[:, None, :]
    return (same & chosen[:, None, :]).any(dim=-1)
""",
    also_right=[lambda chosen, starts: _spread(chosen, starts, forward=True, backward=True)],
    misconceptions=[
        Misconception(
            lambda chosen, starts: chosen,
            "That is the choice as it was. Where one piece of a word is chosen, all its pieces shall be.",
        ),
        Misconception(
            lambda chosen, starts: _spread(chosen, starts, forward=True, backward=False),
            "You hand the choice on to the pieces *after* a chosen one. If a later piece was chosen, the word's "
            "beginning still stands there and gives it away.",
        ),
        Misconception(
            lambda chosen, starts: _spread(chosen, starts, forward=False, backward=True),
            "You hand the choice back to the pieces *before* a chosen one, and not on to those after it.",
        ),
        Misconception(
            _one_step,
            "One step in each direction. A word may have three pieces or more (some here do): all of them.",
        ),
        Misconception(
            _neighbours,
            "You took the neighbours of each chosen piece, whether or not they belong to its word. A word ends where "
            "`starts` is True again.",
        ),
        Misconception(
            lambda chosen, starts: chosen & starts,
            "You kept a choice only where it fell on the first piece of a word. The words' other pieces are to be "
            "*added*.",
        ),
        Misconception(
            _across_texts,
            "You compared the numbers of words across the batch: word 3 of one text was chosen, so word 3 of all of "
            "them was. Each row counts its own words.",
        ),
    ],
    hints=(
        "How could you give each piece the number of its word? (`starts` is True at a word's first piece.)",
        "`starts.cumsum(dim=1)` numbers the words. When are two pieces of one text in the same word?",
        "`same = word[:, :, None] == word[:, None, :]`: piece i is in if any j has `same[i, j]` and `chosen[j]`.",
    ),
    why="If only the last piece of a word is hidden, its beginning tells nearly all. Hiding whole words asks for what "
    "the context says, not for how the word is spelt.",
    starter="""\
def whole_words(chosen, starts):        # both (batch, time): chosen pieces; first pieces of words
    ...                                 # → (batch, time): True at every piece of a word with a chosen piece
""",
    see="Whole words",
)


def _albert_sizes(draw: Draw) -> tuple[int, int, int, int, int]:
    return (
        draw.choice((512, 2000, 30_000)),
        draw.choice((64, 512)),
        draw.choice((128, 768, 1024)),
        draw.choice((16, 48, 96)),
        draw.choice((4, 12, 24)),
    )


def _albert(
    v: int,
    t: int,
    d: int,
    e: int,
    n: int,
    *,
    table: int | None = None,
    widen: int | None = None,
    norm: int | None = None,
    blocks: int = 1,
) -> int:
    return (
        (v + t + 2) * (e if table is None else table)
        + (2 * e if norm is None else norm)
        + (e * d + d if widen is None else widen)
        + blocks * (12 * d * d + 13 * d)
    )


COUNT = Exercise(
    id="13.5",
    title="Count an ALBERT",
    inputs=_albert_sizes,
    solution=_albert,
    solution_code="""\
def albert_parameters(vocab_size, context_length, d_model, d_embedding, n_layers):
    tables = (vocab_size + context_length + 2) * d_embedding
    norm = 2 * d_embedding
    widen = d_embedding * d_model + d_model
    block = 12 * d_model**2 + 13 * d_model
    return tables + norm + widen + block
""",
    also_right=[lambda v, t, d, e, n: e * (v + t + 4 + d) + d * (14 + 12 * d)],
    misconceptions=[
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n, blocks=n),
            "You counted n_layers blocks. They are one and the same block, run n_layers times: its weights count once.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n, table=d, norm=2 * d, widen=0),
            "Your tables are d_model wide: the layers are shared, the embedding is not factorised. Tables have "
            "d_embedding columns, and a linear map widens.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n, widen=0),
            "The map from d_embedding to d_model is missing: d_embedding · d_model weights and d_model biases.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n, widen=e * d),
            "The widening map's bias is missing: d_model numbers.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n, norm=2 * d),
            "The norm of the embeddings works before they are widened: a gain and a bias for d_embedding features, "
            "not for d_model.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n) - 2 * e,
            "2 · d_embedding too few: the norm of the embeddings (a gain and a bias), or the two rows of the segment "
            "table.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n) - (t + 2) * e,
            "Only the token table was counted. Positions and segments have tables of their own, of the same width.",
        ),
        Misconception(
            lambda v, t, d, e, n: _albert(v, t, d, e, n) + d * d + d,
            "You counted the pooler, d_model² + d_model. Asked is the encoder up to its last block.",
        ),
    ],
    hints=(
        "How wide is each of the three tables, and how many rows do they have together?",
        "What brings d_embedding features to d_model, and how many blocks have weights of their own?",
        "(V + T + 2) · E + 2E for tables and norm, E · d + d to widen, and 12d² + 13d once.",
    ),
    why="(V + T + 2) E + 2E + Ed + d + 12d² + 13d. The depth does not appear in it; the work still grows with it: a "
    "shared block runs as often as n blocks would.",
    starter="""\
def albert_parameters(vocab_size, context_length, d_model, d_embedding, n_layers):
    # whole numbers; two segments, d_ff = 4 * d_model, all layers shared, no pooler, no heads for pre-training
    ...                                 # → how many numbers the encoder learns
""",
    see="ALBERT: fewer numbers, the same work",
)


def _with_a_model(function: Callable, draw: Draw) -> Callable[[Tensor], Tensor]:
    """Hand a small two-way model to the function: every token's logits depend on all tokens and on its own."""
    vocab, width = 9, 5
    table, mix, read = draw.normal(vocab, width), draw.normal(16, 16), draw.normal(width, vocab)

    def model(tokens: Tensor) -> Tensor:
        x = table[tokens]  # (batch, time, width)
        time = tokens.shape[1]
        return (torch.tanh(mix[:time, :time] @ x) + x) @ read

    return lambda tokens: function(model, tokens)


def _logs(model: Callable, rows: Tensor) -> Tensor:
    return model(rows).log_softmax(dim=-1)


def _pseudo(model: Callable, tokens: Tensor) -> Tensor:
    total = torch.zeros(())
    for t in range(1, len(tokens) - 1):
        row = tokens.clone()
        row[t] = MASK
        total = total + _logs(model, row[None])[0, t, tokens[t]]
    return total


def _at_once(model: Callable, tokens: Tensor) -> Tensor:
    places = torch.arange(1, len(tokens) - 1)
    rows = tokens.repeat(len(places), 1)
    rows[torch.arange(len(places)), places] = MASK
    return _logs(model, rows)[torch.arange(len(places)), places, tokens[places]].sum()


def _unmasked(model: Callable, tokens: Tensor) -> Tensor:
    return _logs(model, tokens[None])[0, 1:-1].gather(1, tokens[1:-1, None]).sum()


def _all_masked(model: Callable, tokens: Tensor) -> Tensor:
    row = tokens.clone()
    row[1:-1] = MASK
    return _logs(model, row[None])[0, 1:-1].gather(1, tokens[1:-1, None]).sum()


def _with_specials(model: Callable, tokens: Tensor) -> Tensor:
    total = torch.zeros(())
    for t in range(len(tokens)):
        row = tokens.clone()
        row[t] = MASK
        total = total + _logs(model, row[None])[0, t, tokens[t]]
    return total


def _left_masked(model: Callable, tokens: Tensor) -> Tensor:
    row, total = tokens.clone(), torch.zeros(())
    for t in range(1, len(tokens) - 1):
        row[t] = MASK
        total = total + _logs(model, row[None])[0, t, tokens[t]]
    return total


def _right_masked(model: Callable, tokens: Tensor) -> Tensor:
    total = torch.zeros(())
    for t in range(1, len(tokens) - 1):
        row = tokens.clone()
        row[t:-1] = MASK
        total = total + _logs(model, row[None])[0, t, tokens[t]]
    return total


def _probabilities(model: Callable, tokens: Tensor) -> Tensor:
    total = torch.zeros(())
    for t in range(1, len(tokens) - 1):
        row = tokens.clone()
        row[t] = MASK
        total = total + _logs(model, row[None])[0, t, tokens[t]].exp()
    return total


PSEUDO = Exercise(
    id="13.6",
    title="A score for a whole text (stretch)",
    inputs=lambda draw: (torch.tensor([CLS, *draw.integers(5, 9, 6).tolist(), SEP]),),
    build=_with_a_model,
    solution=_pseudo,
    solution_code="""\
def pseudo_log_likelihood(model, tokens):
    total = 0.0
    for t in range(1, len(tokens) - 1):
        row = tokens.clone()
        row[t] = 4
        log_chances = model(row[None])[0, t].log_softmax(dim=-1)
        total = total + log_chances[tokens[t]]
    return total
""",
    also_right=[_at_once],
    misconceptions=[
        Misconception(
            _unmasked,
            "Nothing is masked, so the model sees each token that it is to guess. Whatever that measures, it is not "
            "how well the token fits its context.",
        ),
        Misconception(
            _all_masked,
            "All words are masked at once: each guess sees only [MASK]s. Hide one, ask, and put it back.",
        ),
        Misconception(
            _with_specials,
            "[CLS] and [SEP] were masked and scored too. They stand there always and say nothing about the text: "
            "leave out the first place and the last.",
        ),
        Misconception(
            _left_masked,
            "Your masks stay: at the third word the first two are still hidden. Begin each time with a fresh copy "
            "(`tokens.clone()`).",
        ),
        Misconception(
            _right_masked,
            "You hid the word and everything after it: that imitates a GPT's left-to-right reading, which this model "
            "was never trained for. Hide one word only.",
        ),
        Misconception(
            _probabilities,
            "You added probabilities. Add their logarithms.",
        ),
        Misconception(
            lambda model, tokens: _pseudo(model, tokens) / (len(tokens) - 2),
            "That is the mean over the 6 words. Asked is the sum.",
        ),
        Misconception(
            lambda model, tokens: -_pseudo(model, tokens),
            "The sign: this is the surprise. Asked is the sum of the logarithms themselves, a negative number.",
        ),
    ],
    hints=(
        "For one word: what should the model see, and which entry of its answer counts?",
        "Which places of the row are words, and what must stand at the others while one is hidden?",
        "For t from 1 to len(tokens) − 2: clone, put 4 at t, run, log_softmax, take the entry of tokens[t]; add up.",
    ),
    why="One run for each word, with that word hidden. The sum ranks texts well (Salazar et al. 2020), but it is not "
    "the logarithm of a probability: no rule makes it add up to 1 over all texts.",
    starter="""\
def pseudo_log_likelihood(model, tokens):
    # model: ids (batch, time) → logits (batch, time, vocab_size); tokens: (time,), [CLS] … [SEP]; [MASK] is 4
    ...                                 # → the sum over words of log p(word | all other words)
""",
    see="How probable is a text? A masked model cannot say",
)

EXERCISES = [PAIR, EMBED, CORRUPT, WHOLE, COUNT, PSEUDO]
