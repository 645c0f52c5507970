"""Lesson 08, build a GPT: the exercises."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.models.gpt import IGNORED, GPTConfig
from course_lib.nn.layers import LayerNorm, TransformerBlock
from course_lib.nn.positions import LearnedPositions

INPUTS_AND_TARGETS = Exercise(
    id="08.1",
    title="Inputs and targets",
    inputs=lambda draw: (draw.tokens(3, 7),),
    solution=lambda rows: (rows[:, :-1], rows[:, 1:]),
    also_right=[lambda rows: (rows[:, : rows.shape[1] - 1], torch.stack([row[1:] for row in rows]))],
    misconceptions=[
        Misconception(
            lambda rows: (rows, rows),
            "Inputs and targets are the same. Position t sees token t, so it only has to repeat what it sees: the "
            "loss would fall to 0 and the model could do nothing. Its target is token t + 1.",
        ),
        Misconception(
            lambda rows: (rows[:, :-1], rows[:, :-1]),
            "The last column is gone from both, and they are still the same tokens: the target of a position is the "
            "token it stands on. Take the targets from column 1 on.",
        ),
        Misconception(
            lambda rows: (rows[:, 1:], rows[:, :-1]),
            "Swapped: here each position must name the token *before* it, which it has already seen. A model of this "
            "kind learns to look back one place, and nothing else.",
        ),
        Misconception(
            lambda rows: (rows, rows.roll(-1, dims=1)),
            "`roll` brings the first token round to the end: the last position is asked to predict how its own text "
            "*began*. A row of 7 tokens makes 6 predictions, not 7.",
        ),
        Misconception(
            lambda rows: (rows, rows[:, 1:]),
            "7 inputs and 6 targets: the last input has nothing to predict. Cut it off.",
        ),
        Misconception(
            lambda rows: (rows[:-1], rows[1:]),
            "You moved along the wrong axis: the target of a text is now the next *text* of the batch. Time is the "
            "second axis.",
        ),
        Misconception(
            lambda rows: (rows[:, :-1], rows[:, -1]),
            "One target for each text, its last token. That works, and wastes 5 of the 6 predictions that the causal "
            "mask makes safe. Every position has a target.",
        ),
    ],
    hints=(
        "Which token does position 0 see, and which one should it guess?",
        "A row of 7 tokens: which of them is never an input, and which is never a target?",
        "All columns but the last; all columns but the first.",
    ),
    why="Position t sees tokens 0 … t and is asked for token t + 1. So inputs and targets are one row, read twice, a "
    "step apart, and a row of n + 1 tokens gives n predictions.",
    starter="""\
def inputs_and_targets(rows):           # (batch, time + 1)
    ...                                 # → inputs, targets: each (batch, time)
""",
    see="What goes in, and what should come out",
)


def _some_tokens(draw: Draw) -> tuple[Tensor, Tensor, Tensor, int]:
    return draw.tokens(2, 5, vocab=11), draw.normal(11, 6), draw.normal(13, 6), draw.integers(1, 7)


def _places(tokens: Tensor, first: int = 0) -> Tensor:
    return torch.arange(first, first + tokens.shape[1])


EMBED = Exercise(
    id="08.2",
    title="A vector for each token, at its place",
    inputs=_some_tokens,
    solution_code="""\
def embed(tokens, token_table, position_table, past):
    time = tokens.shape[1]
    return token_table[tokens] + position_table[past:past + time]
""",
    solution=lambda tokens, token_table, position_table, past: (
        token_table[tokens] + position_table[past : past + tokens.shape[1]]
    ),
    also_right=[
        lambda tokens, token_table, position_table, past: (
            F.embedding(tokens, token_table) + F.embedding(_places(tokens, past), position_table)[None]
        ),
        lambda tokens, token_table, position_table, past: (
            F.one_hot(tokens, len(token_table)).float() @ token_table + position_table[_places(tokens) + past]
        ),
    ],
    misconceptions=[
        Misconception(
            lambda tokens, token_table, position_table, past: token_table[tokens] + position_table[_places(tokens)],
            "Your positions begin at 0 in every call. The first `past` tokens of this text were read before, so these "
            "stand at past, past + 1, …. A GPT that forgets this writes the first word well and then raves.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: token_table[tokens] + position_table[past],
            "All tokens got the vector of position `past`, the first one's. The second stands one place further on.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: token_table[tokens] + position_table[tokens],
            "You looked up positions by token id. The position table is asked for places, past … past + time − 1, "
            "whatever the tokens are.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: token_table[tokens],
            "Token vectors alone: where a token stands is not said anywhere. Add its row of `position_table`.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: (
                token_table[tokens] + position_table[_places(tokens, past + 1)]
            ),
            "One place too far. If `past` tokens were read, they stand at 0 … past − 1, and the next at `past` itself.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: (
                token_table[tokens] + position_table[past : past + len(tokens)][:, None]
            ),
            "You counted along the batch: each *text* got one position. Time is the second axis of `tokens`.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: torch.cat(
                [
                    token_table[tokens],
                    position_table[past : past + tokens.shape[1]].expand(len(tokens), -1, -1),
                ],
                dim=-1,
            ),
            "Side by side would be clear too, and twice as wide (12 features for 6). GPT adds the two vectors; the "
            "model learns to keep them apart.",
        ),
        Misconception(
            lambda tokens, token_table, position_table, past: (
                token_table[tokens] * math.sqrt(token_table.shape[1]) + position_table[past : past + tokens.shape[1]]
            ),
            "The factor √d_model belongs to the original Transformer (section 3.4), where the positions are sines and "
            "cosines, up to 1 in size. GPT-2 learns its positions, starts both tables small (a spread of 0.02 for "
            "tokens, 0.01 or 0.02 for places), and has no factor.",
        ),
    ],
    hints=(
        "What does `table[ids]` give when `ids` has shape (batch, time)?",
        "If 3 tokens were read before, at which places do these 5 stand?",
        "`token_table[tokens] + position_table[past:past + time]`, with time = tokens.shape[1].",
    ),
    why="An embedding is a look-up in a table, one for tokens and one for places. The places go on where the text "
    "left off, so a text read in pieces gets the vectors that it gets when read at once.",
    starter="""\
def embed(tokens, token_table, position_table, past):
    # (batch, time), (vocab_size, d_model), (context_length, d_model), number of tokens read before these
    ...                                 # → (batch, time, d_model)
""",
    see="A vector for each token, and for each place",
)


def _after_one_update(
    tie: Callable[[nn.Embedding, nn.Linear], object], draw: Draw
) -> Callable[[Tensor, Tensor], tuple]:
    """Tie two tables, train them for one step: how many numbers were trained, and what both tables hold then."""

    def train(tokens: Tensor, targets: Tensor) -> tuple[int, Tensor, Tensor]:
        pair = nn.ModuleDict({"embedding": nn.Embedding(7, 4), "unembedding": nn.Linear(4, 7, bias=False)})
        draw.fill(pair)
        embedding, unembedding = pair["embedding"], pair["unembedding"]
        tie(embedding, unembedding)
        if unembedding.weight is embedding.weight:  # one table, whichever of the two stayed
            draw.fill(pair)
        F.cross_entropy(unembedding(embedding(tokens)), targets).backward()
        with torch.no_grad():  # by hand: torch's optimisers load its compiler first, which takes seconds
            for parameter in pair.parameters():
                parameter -= parameter.grad
        return sum(p.numel() for p in pair.parameters()), embedding.weight.detach(), unembedding.weight.detach()

    return train


def _tie(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    unembedding.weight = embedding.weight


def _tie_the_other_way(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    embedding.weight = unembedding.weight


def _copy(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    with torch.no_grad():
        unembedding.weight.copy_(embedding.weight)


def _share_memory(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    unembedding.weight.data = embedding.weight.data


def _transpose(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    unembedding.weight = nn.Parameter(embedding.weight.T)


def _rename(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    unembedding = embedding.weight  # noqa: F841  the mistake: only the local name changes


def _to_buffer(embedding: nn.Embedding, unembedding: nn.Linear) -> None:
    del unembedding.weight
    unembedding.weight = embedding.weight.detach()


TIE = Exercise(
    id="08.3",
    title="Tie the two tables",
    inputs=lambda draw: (draw.tokens(9, vocab=7), draw.tokens(9, vocab=7)),
    build=_after_one_update,
    solution=_tie,
    solution_code="""\
def tie(embedding, unembedding):
    unembedding.weight = embedding.weight
""",
    also_right=[_tie_the_other_way],
    misconceptions=[
        Misconception(
            _rename,
            "Nothing was tied: `unembedding = …` inside a function gives the local name a new meaning and leaves the "
            "module as it was. Assign to its *attribute*, `unembedding.weight`.",
        ),
        Misconception(
            _copy,
            "You copied the numbers. They agree until the first update and then go their own ways: there are still "
            "two tables, 56 numbers for 28. Make both modules hold the *same* parameter.",
        ),
        Misconception(
            _share_memory,
            "Through `.data`, or a new nn.Parameter around the old one, the two share memory, but the optimiser sees "
            "two parameters, 56 numbers, and moves the one memory twice. Assign the parameter itself.",
        ),
        Misconception(
            _transpose,
            "No transposing: nn.Linear(d_model, vocab_size) stores its weight as (vocab_size, d_model), the shape of "
            "the embedding's, and transposes when it multiplies.",
        ),
        Misconception(
            _to_buffer,
            "The read-out uses the table's numbers but passes no gradient to them (that is what `detach` does): the "
            "table would learn from its work as an embedding alone.",
        ),
    ],
    hints=(
        "What are the shapes of `embedding.weight` and of `unembedding.weight`?",
        "After one update, what must hold for the two tables? Would a copy do?",
        "Let one module's `.weight` be the other's: one assignment, no copy.",
    ),
    why="One parameter under two names: it is counted once, gets the gradients of both of its uses, added up, and "
    "cannot drift apart from itself.",
    starter="""\
def tie(embedding, unembedding):
    # nn.Embedding(vocab_size, d_model), nn.Linear(d_model, vocab_size, bias=False)
    ...                                 # changes the modules; returns nothing
""",
    see="One table, used twice",
)


class MyGPT(nn.Module):
    """The solution of 08.4."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.context_length, config.d_model)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.d_model, config.n_heads, activation="gelu_tanh") for _ in range(config.n_layers)
        )
        self.final_norm = LayerNorm(config.d_model)
        self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.unembedding.weight = self.token_embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at each place."""
        x = self.token_embedding(tokens) + self.positions(tokens.shape[1])
        for block in self.blocks:
            x = block(x, causal=True).output
        return self.unembedding(self.final_norm(x))


def _gpt(forward: Callable[[MyGPT, Tensor, Tensor], Tensor]) -> type:
    """A GPT with another `forward(self, tokens, x)`, where x is the embedded text."""

    def call(self: MyGPT, tokens: Tensor) -> Tensor:
        return forward(self, tokens, self.token_embedding(tokens) + self.positions(tokens.shape[1]))

    return type("MyGPT", (MyGPT,), {"forward": call})


def _stack(model: MyGPT, x: Tensor, *, causal: bool = True) -> Tensor:
    for block in model.blocks:
        x = block(x, causal=causal).output
    return x


def _read(model: MyGPT, x: Tensor) -> Tensor:
    return model.unembedding(model.final_norm(x))


def _each_from_the_start(self: MyGPT, tokens: Tensor, x: Tensor) -> Tensor:
    for block in self.blocks:
        out = block(x, causal=True).output
    return _read(self, out)


def _added_again(self: MyGPT, tokens: Tensor, x: Tensor) -> Tensor:
    for block in self.blocks:
        x = x + block(x, causal=True).output
    return _read(self, x)


def _norm_in_the_loop(self: MyGPT, tokens: Tensor, x: Tensor) -> Tensor:
    for block in self.blocks:
        x = self.final_norm(block(x, causal=True).output)
    return self.unembedding(x)


def _both_answers(self: MyGPT, tokens: Tensor, x: Tensor) -> Tensor:
    for block in self.blocks:
        x = block(x, causal=True)
    return _read(self, x)


def _last_place(self: MyGPT, tokens: Tensor, x: Tensor) -> Tensor:
    return _read(self, _stack(self, x))[:, -1]


MY_GPT = Exercise(
    id="08.4",
    title="Your GPT",
    inputs=lambda draw: (draw.tokens(2, 5, vocab=11),),
    build=lambda cls, draw: draw.fill(cls(GPTConfig(11, 9, d_model=8, n_heads=2, n_layers=2))),
    solution=MyGPT,
    solution_code="""\
class MyGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.context_length, config.d_model)
        self.blocks = nn.ModuleList(TransformerBlock(config.d_model, config.n_heads, activation="gelu_tanh")
                                    for _ in range(config.n_layers))
        self.final_norm = LayerNorm(config.d_model)
        self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.unembedding.weight = self.token_embedding.weight

    def forward(self, tokens):
        x = self.token_embedding(tokens) + self.positions(tokens.shape[1])
        for block in self.blocks:
            x = block(x, causal=True).output
        return self.unembedding(self.final_norm(x))
""",
    also_right=[
        _gpt(lambda self, tokens, x: self.final_norm(_stack(self, x)) @ self.token_embedding.weight.T),
    ],
    misconceptions=[
        Misconception(
            _gpt(lambda self, tokens, x: _read(self, _stack(self, x, causal=False))),
            "Attention runs both ways: each position can see the token that it is asked to predict. Call the blocks "
            "with `causal=True`.",
        ),
        Misconception(
            _gpt(lambda self, tokens, x: _read(self, _stack(self, self.token_embedding(tokens)))),
            "The positions are missing: add `self.positions(time)` to the token vectors.",
        ),
        Misconception(
            _gpt(lambda self, tokens, x: self.unembedding(_stack(self, x))),
            "The final norm is missing. The stream leaves the last block at whatever size it has grown to, and that "
            "size would decide how sure the model is.",
        ),
        Misconception(
            _gpt(_each_from_the_start),
            "Every block reads the embedding, and only the last one's answer is kept. The stream goes *through* them: "
            "x = block(x).",
        ),
        Misconception(
            _gpt(_added_again),
            "You added x to the block's answer. The block has done that inside, twice: what it gives back is already "
            "the stream.",
        ),
        Misconception(
            _gpt(_norm_in_the_loop),
            "The final norm stands in the loop, after every block. It comes once, at the end: between the blocks "
            "nothing touches the stream.",
        ),
        Misconception(
            _gpt(lambda self, tokens, x: _read(self, _stack(self, x)).softmax(dim=-1)),
            "These are probabilities. A model answers with logits: the loss takes their softmax itself, and a second "
            "one would flatten it.",
        ),
        Misconception(
            _gpt(_last_place),
            "Only the last position's logits. In use that is enough; in training every position has a target. "
            "Return all of them, (batch, time, vocab_size).",
        ),
        Misconception(
            _gpt(lambda self, tokens, x: self.final_norm(_stack(self, x))),
            "This is the stream after the final norm, 8 features a token. One step is left: `self.unembedding` turns "
            "them into a score for each of the 11 tokens.",
        ),
        Misconception(
            _gpt(_both_answers),
            "A block answers with two things, the stream and the attention weights. You passed both on; take "
            "`.output`.",
        ),
    ],
    hints=(
        "Which four things happen to the tokens, in which order? The picture at the beginning shows them.",
        "What does each block read, and where does its answer go?",
        "x = token vectors + positions; for each block, x = block(x, causal=True).output; then norm and unembedding.",
    ),
    why="Look up, add places, let the stream pass through the blocks, norm, compare with every token. That is a GPT.",
    starter="""\
class MyGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = LearnedPositions(config.context_length, config.d_model)
        self.blocks = nn.ModuleList(TransformerBlock(config.d_model, config.n_heads, activation="gelu_tanh")
                                    for _ in range(config.n_layers))
        self.final_norm = LayerNorm(config.d_model)
        self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.unembedding.weight = self.token_embedding.weight

    def forward(self, tokens):          # (batch, time)
        ...                             # → logits: (batch, time, vocab_size)
""",
    see="All of it in one class",
)


def _logits_and_targets(draw: Draw) -> tuple[Tensor, Tensor]:
    counts = draw.mask(3, 5)
    return 2 * draw.normal(3, 5, 7), torch.where(counts, draw.tokens(3, 5, vocab=7), IGNORED)


def _surprises(logits: Tensor, targets: Tensor) -> Tensor:
    """Surprise in nats of each target that counts."""
    counted = targets != IGNORED
    chances = logits.log_softmax(dim=-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -chances[counted]


def _with_perplexity(loss: Tensor) -> tuple[Tensor, Tensor]:
    return loss, loss.exp()


def _mean_of_means(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    rows = [_surprises(row[None], target[None]).mean() for row, target in zip(logits, targets, strict=True)]
    return _with_perplexity(torch.stack(rows).mean())


LOSS = Exercise(
    id="08.5",
    title="Loss and perplexity",
    inputs=_logits_and_targets,
    solution_code="""\
def loss_and_perplexity(logits, targets):
    log_probabilities = logits.log_softmax(dim=-1)
    counted = targets != -100
    chosen = log_probabilities.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    loss = -chosen[counted].mean()
    return loss, loss.exp()
""",
    solution=lambda logits, targets: _with_perplexity(_surprises(logits, targets).mean()),
    also_right=[
        lambda logits, targets: _with_perplexity(F.cross_entropy(logits.flatten(0, 1), targets.flatten())),
        lambda logits, targets: _with_perplexity(F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100)),
    ],
    misconceptions=[
        Misconception(
            lambda logits, targets: _with_perplexity(_surprises(logits, targets).sum()),
            "This is the sum over all predictions: it grows with the length of the text. The loss is their mean.",
        ),
        Misconception(
            lambda logits, targets: _with_perplexity(_surprises(logits, targets).sum() / targets.numel()),
            "You divided by all 15 places. Those with target −100 make no prediction that counts: divide by the "
            "number of the others.",
        ),
        Misconception(
            lambda logits, targets: _with_perplexity(
                F.cross_entropy(logits.flatten(0, 1), targets.clamp(min=0).flatten())
            ),
            "Padding counts in your loss: at each −100 you scored token 0. A model trained so learns to predict "
            "padding. Leave those places out.",
        ),
        Misconception(
            _mean_of_means,
            "You averaged each text, and then the texts. A short text's tokens then weigh more than a long one's. "
            "All counted tokens together, one mean.",
        ),
        Misconception(
            lambda logits, targets: _with_perplexity(-_surprises(logits, targets).neg().exp().mean().log()),
            "You averaged the probabilities and took the logarithm last. The loss is the mean of the logarithms: a "
            "single impossible token must be able to ruin it.",
        ),
        Misconception(
            lambda logits, targets: (_surprises(logits, targets).mean(), _surprises(logits, targets).exp().mean()),
            "The loss is right. Perplexity is exp of the *mean* loss (a geometric mean of 1/p); you took the mean of "
            "exp, which one very unlikely token can blow up.",
        ),
        Misconception(
            lambda logits, targets: (
                _surprises(logits, targets).mean() / math.log(2),
                _surprises(logits, targets).mean().exp(),
            ),
            "Your loss is in bits (logarithm to base 2). The perplexity is right, since it does not depend on the "
            "base, but losses are given in nats here: the natural logarithm.",
        ),
        Misconception(
            lambda logits, targets: (
                _surprises(logits, targets).mean(),
                2 ** _surprises(logits, targets).mean(),
            ),
            "2 to the power of the loss goes with a loss in bits. Yours is in nats: use exp.",
        ),
        Misconception(
            lambda logits, targets: _with_perplexity(_surprises(logits.softmax(dim=-1), targets).mean()),
            "The softmax is taken twice: `cross_entropy` and `log_softmax` expect logits, not probabilities. The "
            "second one flattens everything, so the loss can never come near 0.",
        ),
        Misconception(
            lambda logits, targets: _with_perplexity(_surprises(logits[:, :-1], targets[:, 1:]).mean()),
            "You moved the targets by one. They were moved already (exercise 08.1), so now each place is asked for "
            "the token after next. Hugging Face's models move the labels themselves; ours do not.",
        ),
    ],
    hints=(
        "For one place: which single number of its row of probabilities does the loss look at?",
        "Which places count, and what do you divide by?",
        "`log_softmax` over the last axis, `gather` the targets' entries where targets ≠ −100, mean, minus; then exp.",
    ),
    why="The loss is the mean surprise, −log p of what really came. Its exponential, the perplexity, is the number of "
    "equally likely tokens that would surprise as much.",
    starter="""\
def loss_and_perplexity(logits, targets):
    # (batch, time, vocab_size), (batch, time) with -100 where nothing counts
    ...                                 # → loss in nats, perplexity
""",
    see="How wrong is it?",
)


def _sizes(draw: Draw) -> tuple[int, int, int, int]:
    return draw.choice((97, 512, 50257)), draw.choice((64, 256, 1024)), draw.choice((32, 128, 768)), draw.choice((2, 5))


def _count(v: int, t: int, d: int, n: int, *, block: Callable[[int], int] = lambda d: 12 * d * d + 13 * d) -> int:
    return n * block(d) + 2 * d + v * d + t * d


COUNT = Exercise(
    id="08.6",
    title="Count a GPT's parameters",
    inputs=_sizes,
    solution_code="""\
def gpt_parameters(vocab_size, context_length, d_model, n_layers):
    block = 12 * d_model**2 + 13 * d_model
    final_norm = 2 * d_model
    return (vocab_size + context_length) * d_model + n_layers * block + final_norm
""",
    solution=_count,
    also_right=[lambda v, t, d, n: d * (v + t + 2 + n * (12 * d + 13))],
    misconceptions=[
        Misconception(
            lambda v, t, d, n: _count(v, t, d, n) + v * d,
            "You counted the read-out as a table of its own, vocab_size · d_model more. It is tied: the same numbers "
            "as the embedding, counted once.",
        ),
        Misconception(
            lambda v, t, d, n: _count(v, t, d, n) - t * d,
            "The learned positions are missing: a vector for each of the context_length places.",
        ),
        Misconception(
            lambda v, t, d, n: _count(v, t, d, n) - 2 * d,
            "The final norm is missing: a gain and a bias for each feature, 2 · d_model.",
        ),
        Misconception(
            lambda v, t, d, n: _count(v, t, d, 1),
            "You counted one block. There are n_layers, each with weights of its own.",
        ),
        Misconception(
            lambda v, t, d, n: _count(v, t, d, n, block=lambda d: 12 * d * d),
            "The blocks' vectors are missing: biases and norms, 13 · d_model in each block (9 · d_model of biases, "
            "4 · d_model of norms).",
        ),
        Misconception(
            lambda v, t, d, n: _count(v, t, d, n, block=lambda d: 12 * d * d + 9 * d),
            "The blocks' two norms are missing: 4 · d_model in each block.",
        ),
        Misconception(
            lambda v, t, d, n: 12 * n * d * d,
            "12 · n_layers · d_model² is the rule of thumb for the blocks' matrices. Asked is all of it: tables, "
            "biases, norms.",
        ),
        Misconception(
            lambda v, t, d, n: _count(v, t, d, n) + n * t * t,
            "You counted the causal masks, context_length² in each block. A mask is made, not learned: no parameter.",
        ),
    ],
    hints=(
        "Which tables are there, and which of them is used twice?",
        "What does one block hold (exercise 05.5, with d_ff = 4 · d_model), and what comes after the last?",
        "(V + T) · d for the tables, L · (12d² + 13d) for the blocks, 2d for the final norm.",
    ),
    why="(V + T) · d + L · (12d² + 13d) + 2d. The number of heads does not appear in it, and the vocabulary counts "
    "once: a count that is off by V · d tells you that the tying is broken.",
    starter="""\
def gpt_parameters(vocab_size, context_length, d_model, n_layers):
    # four whole numbers; d_ff is 4 * d_model
    ...                                 # → how many numbers a tied GPT learns
""",
    see="How many numbers?",
)

SPLIT = Exercise(
    id="08.7",
    title="Unpack GPT-2's attention (stretch)",
    inputs=lambda draw: (draw.normal(6, 18),),
    solution=lambda weight: tuple(part.T for part in weight.chunk(3, dim=1)),
    also_right=[
        lambda weight: weight.T.chunk(3),
        lambda weight: tuple(weight.T.reshape(3, len(weight), len(weight))),
    ],
    misconceptions=[
        Misconception(
            lambda weight: weight.chunk(3, dim=1),
            "Cut rightly, but not transposed. GPT-2 stores (in, out), nn.Linear (out, in). Both are 6 × 6 here, so "
            "nothing complains; only the logits are wrong.",
        ),
        Misconception(
            lambda weight: weight.chunk(3, dim=0),
            "You cut the rows, the 6 *input* features. Query, key and value stand side by side in the columns: they "
            "all read the same input.",
        ),
        Misconception(
            lambda weight: tuple(weight.reshape(3, 6, 6)),
            "`view` or `reshape` fills the new shape row by row, so numbers of query, key and value end up in one "
            "matrix. Right shape, scrambled contents: cut along the columns.",
        ),
        Misconception(
            lambda weight: tuple(weight.T[first::3] for first in range(3)),
            "You took every third column. The columns come in three runs of 6: all of the query's, then all of the "
            "key's, then all of the value's.",
        ),
        Misconception(
            lambda weight: tuple(weight.chunk(3, dim=1)[i].T for i in (1, 0, 2)),
            "Key first, then query. The order is query, key, value, as the name of the layer's parts in OpenAI's "
            "code says: `q, k, v`.",
        ),
        Misconception(
            lambda weight: tuple(weight.chunk(3, dim=1)[i].T for i in (2, 1, 0)),
            "Backwards: value, key, query. The order is query, key, value.",
        ),
    ],
    hints=(
        "The layer computes x @ weight, with x of 6 features. Which axis of `weight` is the output?",
        "nn.Linear computes x @ weight.T. What shape must each of the three have, and how do you get there?",
        "Cut the columns into three (`chunk(3, dim=1)`), and transpose each piece.",
    ),
    why="One wide matrix product is quicker than three, so GPT-2 keeps query, key and value side by side, stored "
    "(in, out). Unpacked, each is the transpose of a third of the columns.",
    starter="""\
def split_qkv(weight):                  # (d_model, 3 * d_model), as GPT-2 keeps it: x @ weight
    ...                                 # → query, key, value: each (d_model, d_model), for nn.Linear
""",
    see="Their names and ours",
)

EXERCISES = [INPUTS_AND_TARGETS, EMBED, TIE, MY_GPT, LOSS, COUNT, SPLIT]
