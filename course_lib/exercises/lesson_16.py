"""Lesson 16, read attention: the exercises."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception

# ------------------------------------------------------------------------------------------- 16.1


def _map_of_a_text(draw: Draw) -> tuple[Tensor, Tensor]:
    """A causal map, and a text in which letters come again, but never twice in a row."""
    time = draw.size(12)
    letters = [0, 1, 2, 0]  # one that has been there at least, however short the text
    while len(letters) < time:
        letters.append(draw.choice([letter for letter in range(5) if letter != letters[-1]]))
    scores = draw.normal(time, time).masked_fill(~torch.ones(time, time, dtype=torch.bool).tril(), -torch.inf)
    return scores.softmax(dim=-1), torch.tensor(letters[:time])


def _copies(tokens: Tensor) -> Tensor:
    """(query, key): True where the key is an earlier token like the query."""
    return (tokens[:, None] == tokens[None, :]).tril(-1)


def _after(copies: Tensor) -> Tensor:
    """The keys right behind these."""
    return torch.cat([torch.zeros_like(copies[:, :1]), copies[:, :-1]], dim=1)


def _on(weights: Tensor, places: Tensor, queries: Tensor) -> Tensor:
    """The weight on some places, mean over some queries."""
    return (weights * places).sum(dim=1)[queries].mean()


def _induction(weights: Tensor, tokens: Tensor) -> Tensor:
    copies = _copies(tokens)
    return _on(weights, _after(copies), copies.any(dim=1))


def _induction_in_a_loop(weights: Tensor, tokens: Tensor) -> Tensor:
    found = []
    for query in range(len(tokens)):
        answers = [key for key in range(1, query) if tokens[key - 1] == tokens[query]]
        if answers:
            found.append(weights[query, answers].sum())
    return torch.stack(found).mean()


def _one_copy(weights: Tensor, tokens: Tensor, which: int) -> Tensor:
    """The weight behind one of the earlier copies: the first (0) or the latest (−1)."""
    found = []
    for query in range(len(tokens)):
        earlier = [key for key in range(query) if tokens[key] == tokens[query]]
        if earlier:
            found.append(weights[query, earlier[which] + 1])
    return torch.stack(found).mean()


def _like_the_next(weights: Tensor, tokens: Tensor) -> Tensor:
    """The weight on earlier letters that are like the one that really comes next."""
    places = torch.zeros_like(_copies(tokens))
    places[:-1] = (tokens[1:, None] == tokens[None, :]) & torch.ones_like(places).tril(-1)[:-1]
    return _on(weights, places, places.any(dim=1))


INDUCTION = Exercise(
    id="16.1",
    title="Score a head for induction",
    inputs=_map_of_a_text,
    solution=_induction,
    solution_code="""\
def induction_score(weights, tokens):
    copies = (tokens[:, None] == tokens[None, :]).tril(-1)
    places = torch.zeros_like(copies)
    places[:, 1:] = copies[:, :-1]
    queries = copies.any(dim=1)
    return (weights * places).sum(dim=1)[queries].mean()
""",
    also_right=[_induction_in_a_loop],
    misconceptions=[
        Misconception(
            lambda weights, tokens: _on(weights, _copies(tokens), _copies(tokens).any(dim=1)),
            "That is the weight on the earlier copies themselves, the *duplicate* score. An induction head looks one "
            "further: at what came right after the copy.",
        ),
        Misconception(
            lambda weights, tokens: _on(weights, _copies(tokens).roll(-1, dims=1), _copies(tokens).any(dim=1)),
            "One step the wrong way: you scored the letter *before* each earlier copy. What is to be said next stands "
            "after it.",
        ),
        Misconception(
            lambda weights, tokens: weights.diagonal(-1).mean(),
            "That is the previous-token score. It asks where the head looks, whatever the text; induction asks for "
            "places that depend on the letters.",
        ),
        Misconception(
            lambda weights, tokens: (weights * _after(_copies(tokens))).sum(dim=1).mean(),
            "You took the mean over all queries. A letter that was never there before has no place to look at, so it "
            "can only drag the score down: count queries with an earlier copy.",
        ),
        Misconception(
            lambda weights, tokens: weights[_after(_copies(tokens))].mean(),
            "You took the mean over *places*. A letter with two earlier copies has two right places, and its weight on "
            "them adds up: sum over the places of a query, then mean over queries.",
        ),
        Misconception(
            lambda weights, tokens: _one_copy(weights, tokens, -1),
            "You looked behind the latest copy only. Every earlier copy has a letter behind it; add their weights.",
        ),
        Misconception(
            lambda weights, tokens: _one_copy(weights, tokens, 0),
            "You looked behind the first copy only. Every earlier copy has a letter behind it; add their weights.",
        ),
        Misconception(
            lambda weights, tokens: _induction(weights.T, tokens),
            "You read the map the other way round, `weights[key, query]`. Queries are rows; in a causal map the other "
            "triangle is all zeros, which is what you added up.",
        ),
        Misconception(
            _like_the_next,
            "You asked where the letter that really comes *next* stood before. The head does not know it yet. It knows "
            "the present letter: find that one's copies, and take what followed them.",
        ),
    ],
    hints=(
        "For the query at position i: at which earlier positions does its letter stand?",
        "If it stands at j, which key holds what came after it? Which queries have no such j, and what about them?",
        "`copies = (tokens[:, None] == tokens[None, :]).tril(-1)`; move it one column to the right; sum the weights "
        "there row by row; mean over the rows in which `copies` has a True.",
    ),
    why="The score is the weight on the letters that followed earlier copies, for queries that have any. It is a "
    "property of the map alone; whether the model uses what is found there is another question.",
    starter="""\
def induction_score(weights, tokens):   # (query, key), causal; (time,) ids, no letter twice in a row
    ...                                 # → mean weight on what followed earlier copies of the query
""",
    see="Habits as numbers",
)

# ------------------------------------------------------------------------------------------- 16.2


def _with_a_run(function: Callable, draw: Draw) -> Callable[[Tensor, Tensor, int], Any]:
    """Hand a small model of one layer to the function: its answer depends on all heads at all positions, bent."""
    heads, time, width = 3, 6, 4
    table, mix, read = draw.normal(9, heads * width), draw.normal(heads, time, time), draw.normal(heads, time, width)
    bent = draw.normal(heads, time, width)

    def run(tokens: Tensor, edit: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        values = table[tokens].view(time, heads, width).transpose(0, 1)  # (heads, time, d_head)
        outputs = mix.softmax(dim=-1) @ values
        used = outputs if edit is None else edit(outputs)
        return outputs, (used * read).sum() + torch.tanh((used * bent).sum())

    return lambda clean, corrupted, head: function(run, clean, corrupted, head)


def _two_texts(draw: Draw) -> tuple[Tensor, Tensor, int]:
    clean = draw.tokens(6, vocab=9)
    corrupted = clean.clone()
    corrupted[2] = (clean[2] + draw.integers(1, 9)) % 9
    return clean, corrupted, draw.integers(0, 3)


def _put_in(run: Callable, base: Tensor, other: Tensor, place: Callable[[Tensor, Tensor], None]) -> Tensor:
    """The answer on `base` when `place(outputs, those on other)` has changed a copy of the outputs."""
    kept, _ = run(other)

    def edit(outputs: Tensor) -> Tensor:
        patched = outputs.clone()
        place(patched, kept)
        return patched

    return run(base, edit)[1]


def _one_head(head: int) -> Callable[[Tensor, Tensor], None]:
    def place(patched: Tensor, kept: Tensor) -> None:
        patched[head] = kept[head]

    return place


def _effect(run: Callable, clean: Tensor, corrupted: Tensor, head: int) -> Tensor:
    high, low = run(clean)[1], run(corrupted)[1]
    return (_put_in(run, corrupted, clean, _one_head(head)) - low) / (high - low)


def _placed(place: Callable[[int], Callable[[Tensor, Tensor], None]]) -> Callable[..., Tensor]:
    """The right runs and the right share, but something else is put in."""

    def effect(run: Callable, clean: Tensor, corrupted: Tensor, head: int) -> Tensor:
        high, low = run(clean)[1], run(corrupted)[1]
        return (_put_in(run, corrupted, clean, place(head)) - low) / (high - low)

    return effect


def _scored(share: Callable[[Tensor, Tensor, Tensor], Tensor], *, swapped: bool = False) -> Callable[..., Tensor]:
    """The right head, with another formula of (patched, clean, corrupted), or with the two runs exchanged."""

    def effect(run: Callable, clean: Tensor, corrupted: Tensor, head: int) -> Tensor:
        base, other = (clean, corrupted) if swapped else (corrupted, clean)
        return share(_put_in(run, base, other, _one_head(head)), run(clean)[1], run(corrupted)[1])

    return effect


def _last_only(head: int) -> Callable[[Tensor, Tensor], None]:
    def place(patched: Tensor, kept: Tensor) -> None:
        patched[head, -1] = kept[head, -1]

    return place


def _everything(head: int) -> Callable[[Tensor, Tensor], None]:
    def place(patched: Tensor, kept: Tensor) -> None:
        patched[:] = kept

    return place


def _a_position(head: int) -> Callable[[Tensor, Tensor], None]:
    def place(patched: Tensor, kept: Tensor) -> None:
        patched[:, head] = kept[:, head]

    return place


def _zero(head: int) -> Callable[[Tensor, Tensor], None]:
    def place(patched: Tensor, kept: Tensor) -> None:
        patched[head] = 0

    return place


PATCH = Exercise(
    id="16.2",
    title="Patch one head",
    inputs=_two_texts,
    build=_with_a_run,
    solution=_effect,
    solution_code="""\
def patched_effect(run, clean, corrupted, head):
    kept, clean_answer = run(clean)
    _, corrupted_answer = run(corrupted)

    def edit(outputs):
        patched = outputs.clone()
        patched[head] = kept[head]
        return patched

    _, answer = run(corrupted, edit)
    return (answer - corrupted_answer) / (clean_answer - corrupted_answer)
""",
    also_right=[
        lambda run, clean, corrupted, head: (
            (
                run(
                    corrupted,
                    lambda outputs: torch.where((torch.arange(3) == head)[:, None, None], run(clean)[0], outputs),
                )[1]
                - run(corrupted)[1]
            )
            / (run(clean)[1] - run(corrupted)[1])
        )
    ],
    misconceptions=[
        Misconception(
            _scored(lambda patched, high, low: (patched - low) / (high - low), swapped=True),
            "The runs are exchanged: you ran the *clean* text and put the corrupted head into it. That measures what "
            "breaks without the head. Asked is what comes back: run the corrupted text, put the clean head in.",
        ),
        Misconception(
            _scored(lambda patched, high, low: (high - patched) / (high - low), swapped=True),
            "You put the corrupted head into the clean run and measured the damage (noising, people call it). It "
            "answers whether the head is *needed*; asked is whether it is *enough*: the clean head in the corrupted "
            "run.",
        ),
        Misconception(
            _placed(_everything),
            "You put the whole layer's clean outputs in, all heads. That brings back everything here and tells nothing "
            "about this head: replace `outputs[head]` alone.",
        ),
        Misconception(
            _placed(_last_only),
            "You patched the head at the last position only. This head may have done its work earlier in the text: all "
            "its positions, `patched[head] = kept[head]`.",
        ),
        Misconception(
            _placed(_a_position),
            "You used `head` on the axis of positions: `patched[:, head]` is every head at one position. The heads are "
            "the first axis.",
        ),
        Misconception(
            _placed(_zero),
            "You put zeros in the head's place. That is ablation; patching puts in what it said in the clean run.",
        ),
        Misconception(
            _scored(lambda patched, high, low: patched - low),
            "That is how far the answer moved, in its own units. Divide by how far it *could* move, clean − corrupted, "
            "so that 1 means all of it.",
        ),
        Misconception(
            _scored(lambda patched, high, low: patched / high),
            "A share of the clean answer begins at corrupted / clean, not at 0, for a head that does nothing. Take the "
            "corrupted answer off above and below.",
        ),
        Misconception(
            _scored(lambda patched, high, low: (high - patched) / (high - low)),
            "That is the share that is still *missing*: 1 for a head that brings nothing back.",
        ),
    ],
    hints=(
        "Three runs: which texts, and which of the runs is changed?",
        "What must `edit` give back, and which part of it comes from the clean run?",
        "Keep `run(clean)[0]`; run the corrupted text with an edit that clones and sets `patched[head] = kept[head]`; "
        "then (answer − corrupted) / (clean − corrupted).",
    ),
    why="0: this head carries nothing of the difference; 1: all of it. Below 0 and above 1 happen too: parts work "
    "against each other, and effects of several heads need not add up to 1.",
    starter="""\
def patched_effect(run, clean, corrupted, head):
    # run(tokens, edit=None) → outputs (heads, time, d_head), answer; the model goes on with edit(outputs)
    ...                                 # → the share of the clean answer that the head's clean output brings back
""",
    see="Patching: what brings the answer back",
)

# ------------------------------------------------------------------------------------------- 16.3


def _parts_of_a_stream(draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    return draw.normal(5, 7), draw.uniform(7, low=0.5, high=1.5), draw.normal(7)


def _rms(x: Tensor) -> Tensor:
    return x.square().mean(dim=-1, keepdim=True).sqrt()


def _shares(written: Tensor, gain: Tensor, direction: Tensor) -> Tensor:
    return written @ (gain * direction) / _rms(written.sum(dim=0))


def _by_steps(written: Tensor, gain: Tensor, direction: Tensor) -> Tensor:
    """What the lens gains with each part: the logit of the sum so far, less the one before."""
    so_far = written.cumsum(dim=0)
    logits = (so_far / _rms(so_far) * gain) @ direction
    return torch.cat([logits[:1], logits[1:] - logits[:-1]])


SHARES = Exercise(
    id="16.3",
    title="Who wrote the logit?",
    inputs=_parts_of_a_stream,
    solution=_shares,
    solution_code="""\
def shares(written, gain, direction):
    total = written.sum(dim=0)
    scale = total.square().mean().sqrt()
    return (written / scale * gain) @ direction
""",
    also_right=[
        lambda written, gain, direction: (
            torch.stack([(part * gain) @ direction for part in written]) * written.sum(dim=0).square().mean().rsqrt()
        ),
    ],
    misconceptions=[
        Misconception(
            lambda written, gain, direction: (written / _rms(written) * gain) @ direction,
            "You normalised each part by its own size, so a whisper counts as much as a shout, and the shares do not "
            "add up to the logit. The norm divides the *sum*: one number, the same for all parts.",
        ),
        Misconception(
            lambda written, gain, direction: written @ (gain * direction),
            "The norm is missing: the shares add up to the direction times the raw sum. Divide each by the sum's root "
            "mean square.",
        ),
        Misconception(
            lambda written, gain, direction: written @ direction / _rms(written.sum(dim=0)),
            "The norm's `gain` is missing: it stretches each feature before the direction reads it.",
        ),
        Misconception(
            lambda written, gain, direction: written @ (gain * direction) / written.sum(dim=0).norm(),
            "You divided by the length of the sum. RMSNorm divides by the root of the *mean* square: √7 smaller here.",
        ),
        Misconception(
            _by_steps,
            "You took the logit of the sum so far and its change with each part. Then a part's share depends on which "
            "others come before it, for the norm changes on the way. Use one norm: that of the whole sum.",
        ),
        Misconception(
            lambda written, gain, direction: (
                (written - written.mean(dim=-1, keepdim=True))
                @ (gain * direction)
                / written.sum(dim=0).std(correction=0)
            ),
            "You took the mean off, as LayerNorm does. This is RMSNorm: it divides and leaves the mean alone.",
        ),
        Misconception(
            lambda written, gain, direction: (
                _shares(written, gain, direction) / _shares(written, gain, direction).sum()
            ),
            "You made the shares add up to 1. They should add up to the logit itself: a share may be negative, and "
            "the sum may be near zero.",
        ),
        Misconception(
            lambda written, gain, direction: _shares(written, gain, direction).softmax(dim=-1),
            "A softmax over the parts? Shares are parts of a sum, not rivals for a probability.",
        ),
        Misconception(
            lambda written, gain, direction: _shares(written, gain, direction).sum(),
            "That is the whole logit. Asked is one number for each of the 5 parts.",
        ),
    ],
    hints=(
        "The logit is direction · (gain × stream / rms(stream)). Which of these is a sum over parts?",
        "If the number rms(stream) is taken as it is, what is left is linear. What does one part contribute?",
        "`scale = written.sum(dim=0).square().mean().sqrt()`, then `(written / scale * gain) @ direction`.",
    ),
    why="With the norm's one number held as it was in the run, the logit is linear in the stream, and the stream is a "
    "sum. So the shares add up exactly. It says who wrote the logit, not who made the writers write it.",
    starter="""\
def shares(written, gain, direction):
    # (parts, d_model): what embedding, heads, … added at one position; RMSNorm's gain and a token's row of the
    # unembedding, (d_model,) each
    ...                                 # → (parts,): shares that add up to direction · RMSNorm(sum of the parts)
""",
    see="Who wrote the logit?",
)

# ------------------------------------------------------------------------------------------- 16.4


def _layers(draw: Draw) -> tuple[list[Tensor]]:
    heads, time = 3, draw.size(5)
    mask = torch.ones(time, time, dtype=torch.bool).tril()
    return ([draw.normal(heads, time, time).masked_fill(~mask, -torch.inf).softmax(dim=-1) for _ in range(3)],)


def _rolled(layers: list[Tensor], mix: Callable[[Tensor], Tensor], *, reverse: bool = False, start: int = 0) -> Tensor:
    """The product of the layers' mixing matrices, the last layer leftmost unless reversed."""
    total = torch.eye(layers[0].shape[-1])
    for weights in layers[start:]:
        total = total @ mix(weights) if reverse else mix(weights) @ total
    return total


def _with_residual(weights: Tensor) -> Tensor:
    return (weights.mean(dim=0) + torch.eye(weights.shape[-1])) / 2


def _normal_rows(matrix: Tensor) -> Tensor:
    return matrix / matrix.sum(dim=-1, keepdim=True)


ROLLOUT = Exercise(
    id="16.4",
    title="Roll the maps out",
    inputs=_layers,
    solution=lambda layers: _rolled(layers, _with_residual),
    solution_code="""\
def rollout(layers):
    total = torch.eye(layers[0].shape[-1])
    for weights in layers:
        mixed = (weights.mean(dim=0) + torch.eye(len(total))) / 2
        total = mixed @ total
    return total
""",
    also_right=[
        lambda layers: torch.linalg.multi_dot([_with_residual(weights) for weights in reversed(layers)]),
        lambda layers: _rolled(layers, lambda weights: _normal_rows(weights.mean(dim=0) + torch.eye(len(weights[0])))),
    ],
    misconceptions=[
        Misconception(
            lambda layers: _rolled(layers, lambda weights: weights.mean(dim=0)),
            "The residual connection is missing: half of what a position has comes straight from itself. Without it "
            "every token is stirred into every other, and after a few layers all rows look alike.",
        ),
        Misconception(
            lambda layers: _rolled(layers, _with_residual, reverse=True),
            "The product is the wrong way round. A query of the *last* layer asks first, so the last layer's matrix "
            "stands on the left: `mixed @ total`.",
        ),
        Misconception(
            lambda layers: _rolled(layers, lambda weights: weights.mean(dim=0) + torch.eye(weights.shape[-1])),
            "You added the identity and did not halve: each row now adds to 2 in a layer, and to 8 after three.",
        ),
        Misconception(
            lambda layers: _rolled(layers, lambda maps: _normal_rows(maps.sum(dim=0) + torch.eye(len(maps[0])))),
            "You added up the 3 heads before adding the identity once. Then attention has three shares and the "
            "residual one. Take the heads' mean: half and half.",
        ),
        Misconception(
            lambda layers: _rolled(
                layers, lambda weights: _normal_rows(weights.max(dim=0).values + torch.eye(len(weights[0])))
            ),
            "You took the largest of the heads. That is used for pictures of image models; here it is the heads' mean.",
        ),
        Misconception(
            lambda layers: _with_residual(layers[-1]),
            "That is the last layer alone. Its keys are positions, not input tokens: the layers below have mixed them. "
            "Multiply through all layers.",
        ),
        Misconception(
            lambda layers: (_rolled(layers, lambda weights: weights.mean(dim=0)) + torch.eye(layers[0].shape[-1])) / 2,
            "You added the residual once, to the whole product. Each layer has its own connection: add it before you "
            "multiply.",
        ),
        Misconception(
            lambda layers: torch.stack([_with_residual(weights) for weights in layers]).mean(dim=0),
            "You took the mean over the layers. Layers work one after the other: their matrices are multiplied.",
        ),
        Misconception(
            lambda layers: _rolled(layers, _with_residual, start=1),
            "The first layer is missing from your product.",
        ),
    ],
    hints=(
        "What does one layer pass on, if its heads count equally and half goes straight down the residual path?",
        "The last layer reads from what the layers below have mixed. Which matrix product is that, in which order?",
        "For each layer `mixed = (weights.mean(dim=0) + eye) / 2`; begin with the identity and set "
        "`total = mixed @ total`.",
    ),
    why="Each row still adds to 1: a guess at how much of each input token is in each position, if attention were all "
    "that mixed them and every head counted the same.",
    starter="""\
def rollout(layers):                    # a list: (heads, time, time) weights for each layer, the first one first
    ...                                 # → (time, time): how much of each input token is in each position
""",
    see="Rollout and flow: through all layers",
)

# ------------------------------------------------------------------------------------------- 16.5


def _values(draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    return draw.normal(3, 5, 6).softmax(dim=-1), draw.normal(3, 6, 4), draw.normal(12, 7)


def _brought(values: Tensor, output: Tensor) -> Tensor:
    """What each key would add to the stream at weight 1, (heads, key, d_model)."""
    heads, _, width = values.shape
    return values @ output.view(heads, width, -1)


WEIGHED = Exercise(
    id="16.5",
    title="Weight times length",
    inputs=_values,
    solution=lambda weights, values, output: weights * _brought(values, output).norm(dim=-1)[:, None, :],
    solution_code="""\
def value_weighted(weights, values, output):
    heads, _, d_head = values.shape
    brought = values @ output.view(heads, d_head, -1)
    return weights * brought.norm(dim=-1)[:, None, :]
""",
    also_right=[
        lambda weights, values, output: torch.stack(
            [
                (weights[head, :, :, None] * (values[head] @ output[4 * head : 4 * head + 4])).norm(dim=-1)
                for head in range(3)
            ]
        )
    ],
    misconceptions=[
        Misconception(
            lambda weights, values, output: weights * values.norm(dim=-1)[:, None, :],
            "That is ‖v‖, the length before the output matrix. W_O may stretch one value and flatten another: what "
            "reaches the stream is v W_O.",
        ),
        Misconception(
            lambda weights, values, output: _brought(values, output).norm(dim=-1)[:, None, :].expand(weights.shape),
            "Those are the lengths alone; the weights are missing.",
        ),
        Misconception(
            lambda weights, values, output: weights * _brought(values, output).square().sum(dim=-1)[:, None, :],
            "You squared the length: `.norm`, or the root of the sum of squares.",
        ),
        Misconception(
            lambda weights, values, output: _normal_rows(weights * _brought(values, output).norm(dim=-1)[:, None, :]),
            "You made each row add to 1 again. The sizes are what we are after: a row that brings little should have "
            "small numbers.",
        ),
        Misconception(
            lambda weights, values, output: (
                weights * (values @ output.view(4, 3, -1).transpose(0, 1)).norm(dim=-1)[:, None, :]
            ),
            "The rows of W_O went to the wrong heads. Head 0 has rows 0 to 3, head 1 rows 4 to 7: "
            "`output.view(heads, d_head, d_model)`.",
        ),
        Misconception(
            lambda weights, values, output: weights * _brought(values, output).abs().sum(dim=-1)[:, None, :],
            "You added absolute values. The length of a vector is the root of the sum of its squares.",
        ),
        Misconception(
            lambda weights, values, output: (weights @ _brought(values, output)).norm(dim=-1),
            "You mixed first and measured what came out: one number a query. Asked is what each key brings, before "
            "the vectors of several keys are added and partly cancel.",
        ),
        Misconception(
            lambda weights, values, output: torch.einsum("hqk,hkd->qkd", weights, _brought(values, output)).norm(
                dim=-1
            ),
            "You added the heads' vectors and measured the sum, (query, key). That is a sound question too (Kobayashi "
            "et al. ask it); here keep one map for each head.",
        ),
    ],
    hints=(
        "What vector does head h add to the stream for one key, if the weight on it is 1?",
        "Which rows of W_O belong to head h, when the heads are laid side by side?",
        "`brought = values @ output.view(heads, d_head, d_model)`, its `.norm(dim=-1)` is (heads, key); times the "
        "weights, broadcast over queries.",
    ),
    why="‖w · v W_O‖ = w · ‖v W_O‖, for w is not negative. A large weight on a vector that is almost nothing brings "
    "almost nothing.",
    starter="""\
def value_weighted(weights, values, output):
    # (heads, query, key), (heads, key, d_head), and W_O: (heads * d_head, d_model)
    ...                                 # → (heads, query, key): the length of what each key adds to the stream
""",
    see="A look is not a word: value-weighted norms",
)

# ------------------------------------------------------------------------------------------- 16.6


def _nearest_mean(features: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """A small probe that learns in one step: the class whose mean is nearest."""
    classes = labels.unique()
    means = torch.stack([features[labels == label].mean(dim=0) for label in classes])
    return lambda asked: classes[torch.cdist(asked, means).argmin(dim=-1)]


def _probe_task(draw: Draw) -> tuple[Any, ...]:
    items, n_types = 60, 9
    types = draw.integers(0, n_types, items)
    labels = (types + draw.integers(0, 2, items)) % 3  # the type tells it in part
    features = draw.normal(n_types, 5)[types] + 0.8 * draw.normal(3, 5)[labels] + 0.5 * draw.normal(items, 5)
    order = draw.permutation(items)
    random_label = torch.cat([torch.tensor([0, 1, 2]), draw.integers(0, 3, n_types - 3)])
    return _nearest_mean, features, labels, types, random_label, order[:36], order[36:]


def _accuracy(fit: Callable, features: Tensor, task: Tensor, train: Tensor, test: Tensor) -> Tensor:
    return (fit(features[train], task[train])(features[test]) == task[test]).float().mean()


def _selectivity(
    fit: Callable,
    features: Tensor,
    labels: Tensor,
    types: Tensor,
    random_label: Tensor,
    train: Tensor,
    test: Tensor,
) -> Tensor:
    return _accuracy(fit, features, labels, train, test) - _accuracy(fit, features, random_label[types], train, test)


def _against(other: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The real task's accuracy on held-out items, minus something else."""
    return lambda fit, features, labels, types, random_label, train, test: (
        _accuracy(fit, features, labels, train, test) - other(fit, features, labels, types, random_label, train, test)
    )


SELECTIVITY = Exercise(
    id="16.6",
    title="What the probe did not learn by heart (stretch)",
    inputs=_probe_task,
    solution=_selectivity,
    solution_code="""\
def selectivity(fit, features, labels, types, random_label, train, test):
    def accuracy(task):
        predict = fit(features[train], task[train])
        return (predict(features[test]) == task[test]).float().mean()

    return accuracy(labels) - accuracy(random_label[types])
""",
    also_right=[
        _against(
            lambda fit, features, labels, types, random_label, train, test: (
                (fit(features[train], random_label[types[train]])(features[test]) == random_label[types[test]])
                .float()
                .mean()
            )
        )
    ],
    misconceptions=[
        Misconception(
            lambda fit, features, labels, types, random_label, train, test: _accuracy(
                fit, features, labels, train, test
            ),
            "That is the accuracy on the real task. The control is missing: what would the same probe score if the "
            "labels meant nothing?",
        ),
        Misconception(
            lambda fit, features, labels, types, random_label, train, test: _selectivity(
                fit, features, labels, types, random_label, train, train
            ),
            "You scored both probes on the items they were fitted to. Fit on `train`, score on `test`.",
        ),
        Misconception(
            _against(
                lambda fit, features, labels, types, random_label, train, test: (
                    (fit(features[train], labels[train])(features[test]) == random_label[types[test]]).float().mean()
                )
            ),
            "You scored the probe of the *real* task on the control labels. It never had a chance to learn them: the "
            "control task gets a probe of its own, fitted to the control labels.",
        ),
        Misconception(
            _against(
                lambda fit, features, labels, types, random_label, train, test: _accuracy(
                    fit, features, random_label[torch.arange(len(labels)) % len(random_label)], train, test
                )
            ),
            "Your control labels are random item by item, so nothing can be learned of them and the control is "
            "chance. A label for each *type* can be learned by heart, and how well it is, is the question: "
            "`random_label[types]`.",
        ),
        Misconception(
            _against(
                lambda fit, features, labels, types, random_label, train, test: (
                    (labels[test] == labels[train].bincount().argmax()).float().mean()
                )
            ),
            "You took off the accuracy of the most frequent label. That is a fair floor for guessing, but it says "
            "nothing of what the probe could learn by heart.",
        ),
        Misconception(
            lambda *task: -_selectivity(*task),
            "The sign: selectivity is the real task's accuracy minus the control's.",
        ),
        Misconception(
            lambda fit, features, labels, types, random_label, train, test: (
                _accuracy(fit, features, labels, train, test)
                / _accuracy(fit, features, random_label[types], train, test)
            ),
            "You divided. Selectivity is a difference of two accuracies.",
        ),
        Misconception(
            lambda fit, features, labels, types, random_label, train, test: _accuracy(
                fit, features, random_label[types], train, test
            ),
            "That is the control alone: take it off the accuracy on the real task.",
        ),
    ],
    hints=(
        "How many probes are fitted, and on which items?",
        "What is the control label of an item, if all items of one type share a random label?",
        "`accuracy(task)`: fit on task[train], score on task[test]. Then accuracy(labels) − "
        "accuracy(random_label[types]).",
    ),
    why="The control tells how much the probe learns by heart, type by type. What it scores beyond that is not learned "
    "by heart: it may come from the context, or from types that are alike and share a label.",
    starter="""\
def selectivity(fit, features, labels, types, random_label, train, test):
    # fit(features, labels) → a function from features to predicted labels; features (items, width)
    # labels, types (items,); random_label (n_types,): one for each type; train, test: indices of items
    ...                                 # → accuracy on the real task minus that on the control task
""",
    see="Probes, with a control",
)

EXERCISES = [INDUCTION, PATCH, SHARES, ROLLOUT, WEIGHED, SELECTIVITY]
