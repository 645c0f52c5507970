"""Lesson 10, sample from it: the exercises."""

import math

import torch
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception


def _probabilities(draw: Draw, n: int) -> Tensor:
    return (1.5 * draw.normal(n)).softmax(dim=-1)


def _draw_token(probabilities: Tensor, u: float) -> Tensor:
    return (probabilities.cumsum(dim=0) <= u).sum()


DRAW = Exercise(
    id="10.1",
    title="Draw a token yourself",
    inputs=lambda draw: (_probabilities(draw, 7), draw.uniform()),
    draws=8,
    solution=_draw_token,
    solution_code="""\
def draw_token(probabilities, u):
    return (probabilities.cumsum(dim=0) <= u).sum()      # how many stretches end before u
""",
    also_right=[
        lambda probabilities, u: int((probabilities.cumsum(dim=0) > u).nonzero()[0]),
        lambda probabilities, u: torch.searchsorted(probabilities.cumsum(dim=0), u, right=True),
        lambda probabilities, u: int((probabilities.cumsum(dim=0) > u).int().argmax()),
    ],
    misconceptions=[
        Misconception(
            lambda probabilities, u: probabilities.argmax(),
            "You take the likeliest token whatever u says: that is greedy. The number u has to decide.",
        ),
        Misconception(
            lambda probabilities, u: int(u * len(probabilities)),
            "All 7 tokens get a stretch of the same length, 1/7, so this draws evenly. The stretch of a token is as "
            "long as its probability.",
        ),
        Misconception(
            lambda probabilities, u: (probabilities.cumsum(dim=0) <= u).sum() - 1,
            "One token too early: you stop at the last stretch that ends before u. The one that *holds* u comes after.",
        ),
        Misconception(
            lambda probabilities, u: (probabilities > u).int().argmax(),
            "You compare u with each probability by itself. A stretch begins where the one before it ended: compare u "
            "with the running sum.",
        ),
        Misconception(
            lambda probabilities, u: (probabilities.cumsum(dim=0) - u).abs().argmin(),
            "You take the stretch whose end is nearest to u. Nearest may be the end of the stretch before: u "
            "belongs to "
            "the first one that ends after it.",
        ),
        Misconception(
            lambda probabilities, u: (probabilities.sort(descending=True).values.cumsum(dim=0) <= u).sum(),
            "You laid the stretches out from the longest to the shortest, which is fine, and then answered a place in "
            "that order. It has to be turned back into the token's id.",
        ),
    ],
    hints=(
        "Lay the probabilities end to end: together they are as long as 1. Where does each stretch end?",
        "`cumsum` gives the ends. How many of them lie at or before u?",
        "That number is the index of the stretch in which u lies.",
    ),
    why="u is equally likely to fall anywhere between 0 and 1, so it falls into a stretch as often as that stretch is "
    "long, and the length is the token's probability.",
    starter="""\
def draw_token(probabilities, u):       # (vocab_size,), a number from 0 to 1
    ...                                 # → the index of the token whose stretch holds u
""",
    see="From logits to a token",
    any_array=True,
)


TEMPERATURE = Exercise(
    id="10.2",
    title="Temperature",
    inputs=lambda draw: (2 * draw.normal(3, 7), draw.choice((0.5, 0.7, 2.0))),
    solution=lambda logits, temperature: (logits / temperature).softmax(dim=-1),
    also_right=[
        lambda logits, temperature: (logits.log_softmax(dim=-1) / temperature).softmax(dim=-1),
        lambda logits, temperature: (
            logits.softmax(dim=-1) ** (1 / temperature)
            / (logits.softmax(dim=-1) ** (1 / temperature)).sum(dim=-1, keepdim=True)
        ),
    ],
    misconceptions=[
        Misconception(
            lambda logits, temperature: (logits * temperature).softmax(dim=-1),
            "The knob turns the wrong way: multiplied by 2, the logits lie further apart and the choice is sharper. A "
            "high temperature should bring them together. (Raising probabilities to the power T does the same.)",
        ),
        Misconception(
            lambda logits, temperature: logits.softmax(dim=-1) / temperature,
            "You divided the probabilities, so they no longer add up to 1. Divide before the softmax.",
        ),
        Misconception(
            lambda logits, temperature: logits.softmax(dim=-1),
            "The temperature changes nothing here. Dividing *probabilities* by it and making them add up to 1 again "
            "cancels it; so does subtracting it from the logits. Divide the logits.",
        ),
        Misconception(
            lambda logits, temperature: (logits.softmax(dim=-1) / temperature).softmax(dim=-1),
            "Two softmaxes. The second one sees numbers between 0 and 1 and makes them nearly equal, whatever the "
            "model "
            "thought.",
        ),
        Misconception(
            lambda logits, temperature: (logits / temperature).softmax(dim=0),
            "The softmax ran over the 3 texts of the batch. Each text shares out a probability of 1 among its 7 "
            "tokens, "
            "the last axis.",
        ),
        Misconception(
            lambda logits, temperature: logits / temperature,
            "These are the new logits: right so far. Probabilities are asked for.",
        ),
    ],
    hints=(
        "A softmax listens to differences. What must happen to the differences for a flatter choice?",
        "At temperature 2 every difference should be half as large.",
        "Divide the logits by the temperature, then take the softmax over the last axis.",
    ),
    why="Dividing the logits by T divides every difference by T: as T falls towards 0 the largest takes all, as T "
    "grows all become equal.",
    starter="""\
def with_temperature(logits, temperature):      # (batch, vocab_size), a number above 0
    ...                                         # → probabilities, (batch, vocab_size)
""",
    see="Temperature",
)


def _keep(probabilities: Tensor, kept: Tensor) -> Tensor:
    """The tokens with these ids alone, adding up to 1."""
    answer = torch.zeros_like(probabilities)
    answer[kept] = probabilities[kept]
    return answer / answer.sum()


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    order = probabilities.argsort(descending=True)
    before = probabilities[order].cumsum(dim=0) - probabilities[order]
    return _keep(probabilities, order[before < top_p])


def _nucleus_without_crossing(probabilities: Tensor, top_p: float) -> Tensor:
    order = probabilities.argsort(descending=True)
    return _keep(probabilities, order[probabilities[order].cumsum(dim=0) <= top_p])


def _nucleus_unnormalised(probabilities: Tensor, top_p: float) -> Tensor:
    return torch.where(_nucleus(probabilities, top_p) > 0, probabilities, 0.0)


def _nucleus_by_id(probabilities: Tensor, top_p: float) -> Tensor:
    return _keep(probabilities, (probabilities.cumsum(dim=0) - probabilities < top_p).nonzero()[:, 0])


def _nucleus_of_the_unlikely(probabilities: Tensor, top_p: float) -> Tensor:
    order = probabilities.argsort()
    before = probabilities[order].cumsum(dim=0) - probabilities[order]
    return _keep(probabilities, order[before < top_p])


def _nucleus_in_sorted_order(probabilities: Tensor, top_p: float) -> Tensor:
    return _nucleus(probabilities, top_p).sort(descending=True).values


def _nucleus_as_min_p(probabilities: Tensor, top_p: float) -> Tensor:
    return _keep(probabilities, (probabilities >= (1 - top_p) * probabilities.max()).nonzero()[:, 0])


def _nucleus_one_more(probabilities: Tensor, top_p: float) -> Tensor:
    order = probabilities.argsort(descending=True)
    before = probabilities[order].cumsum(dim=0) - probabilities[order]
    return _keep(probabilities, order[: int((before < top_p).sum()) + 1])


NUCLEUS = Exercise(
    id="10.3",
    title="The nucleus",
    inputs=lambda draw: (_probabilities(draw, 9), draw.uniform(low=0.5, high=0.85)),
    solution=_nucleus,
    solution_code="""\
def nucleus(probabilities, top_p):
    order = probabilities.argsort(descending=True)
    before = probabilities[order].cumsum(dim=0) - probabilities[order]     # what likelier tokens add up to
    kept = order[before < top_p]
    answer = torch.zeros_like(probabilities)
    answer[kept] = probabilities[kept]
    return answer / answer.sum()
""",
    also_right=[
        lambda probabilities, top_p: _keep(
            probabilities,
            torch.tensor(
                [i for i, p in enumerate(probabilities) if probabilities[probabilities > p].sum() < top_p],
                dtype=torch.long,
            ),
        ),
    ],
    misconceptions=[
        Misconception(
            _nucleus_without_crossing,
            "You leave out the token with which the sum passes top_p. Then what is kept adds up to less than top_p, "
            "and "
            "when one token alone has more than top_p, nothing is kept at all.",
        ),
        Misconception(
            _nucleus_unnormalised,
            "The right tokens, and their probabilities add up to less than 1. Divide by what they add up to.",
        ),
        Misconception(
            _nucleus_by_id,
            "You added up in the order of the ids, so that which tokens stay depends on how the tokenizer numbered "
            "them. The likeliest must come first.",
        ),
        Misconception(
            _nucleus_of_the_unlikely,
            "You sorted upwards: the unlikely tokens come first and the likeliest are cut off.",
        ),
        Misconception(
            _nucleus_in_sorted_order,
            "The right probabilities in sorted order. Entry i must belong to token i: put each back in its place.",
        ),
        Misconception(
            _nucleus_as_min_p,
            "You compare each token with the likeliest one. That is a good rule too, it is called min-p, but top-p "
            "looks "
            "at what the tokens add up to.",
        ),
        Misconception(
            _nucleus_one_more,
            "One token too many. The token with which the sum reaches top_p is the last one to stay.",
        ),
    ],
    hints=(
        "If you walk from the likeliest token down, when may you stop?",
        "A token stays when the likelier ones together have not reached top_p yet. What is `cumsum` minus the token "
        "itself?",
        "`order = probabilities.argsort(descending=True)`; keep `order[before < top_p]`, zero the rest, divide by "
        "the sum.",
    ),
    why="The fewest tokens that together reach top_p: few where the model is sure, many where it is not.",
    starter="""\
def nucleus(probabilities, top_p):      # (vocab_size,), a share between 0 and 1
    ...                                 # → (vocab_size,), zero outside the nucleus, adding up to 1
""",
    see="Cut the tail",
)


def _penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    answer = logits.clone()
    answer[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
    return answer


def _penalise_all_alike(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    answer = logits.clone()
    answer[seen] = logits[seen] / penalty
    return answer


def _penalise_by_product(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    answer = logits.clone()
    answer[seen] = logits[seen] * penalty
    return answer


def _penalise_by_difference(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    answer = logits.clone()
    answer[seen] = logits[seen] - penalty
    return answer


def _penalise_each_time(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    answer = logits.clone()
    for token in seen.tolist():
        answer[token] = answer[token] / penalty if answer[token] > 0 else answer[token] * penalty
    return answer


def _penalise_the_unseen(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    answer = torch.where(logits > 0, logits / penalty, logits * penalty)
    answer[seen] = logits[seen]
    return answer


def _penalise_everything(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    return torch.where(logits > 0, logits / penalty, logits * penalty)


def _seen(draw: Draw) -> tuple[Tensor, Tensor, float]:
    seen = draw.tokens(4, vocab=9)
    return 2 * draw.normal(9), torch.cat([seen, seen[:2]]), draw.choice((1.2, 1.5))


PENALTY = Exercise(
    id="10.4",
    title="Said before",
    inputs=_seen,
    solution=_penalise,
    solution_code="""\
def penalise(logits, seen, penalty):
    answer = logits.clone()
    old = logits[seen]
    answer[seen] = torch.where(old > 0, old / penalty, old * penalty)
    return answer
""",
    also_right=[
        lambda logits, seen, penalty: torch.stack(
            [
                logit if i not in seen.tolist() else (logit / penalty if logit > 0 else logit * penalty)
                for i, logit in enumerate(logits)
            ]
        ),
    ],
    misconceptions=[
        Misconception(
            _penalise_all_alike,
            "Dividing a negative logit brings it *closer* to 0: −3 becomes −2, and the token gets likelier for having "
            "been said. Negative ones must be multiplied.",
        ),
        Misconception(
            _penalise_by_product,
            "Multiplying a positive logit makes it larger: you reward what was said. Positive ones must be divided.",
        ),
        Misconception(
            _penalise_by_difference,
            "You subtract. That is a sound idea (it is called a presence penalty), and another one: the rule asked for "
            "scales the logits.",
        ),
        Misconception(
            _penalise_each_time,
            "A token that was said twice is pushed down twice here. In this rule it counts whether it was said, not "
            "how often (pushing each time is like what is called a frequency penalty).",
        ),
        Misconception(
            _penalise_the_unseen,
            "You push down the tokens that were *not* said yet.",
        ),
        Misconception(
            _penalise_everything,
            "All 9 tokens are pushed down, said or not. Only those in `seen` should be.",
        ),
    ],
    hints=(
        "The logit of a token is 3 and the penalty 1.5: which way is down? And if the logit is −3?",
        "Division makes a number smaller in size. For which sign does that mean a lower number?",
        "`torch.where(old > 0, old / penalty, old * penalty)`, and only at the ids in `seen`. Work on a copy.",
    ),
    why="Down means towards minus infinity: a positive logit has to shrink and a negative one to grow in size. That "
    "the "
    "sign of a logit matters at all is odd, since a softmax cares for differences alone, and a weakness of this rule.",
    starter="""\
def penalise(logits, seen, penalty):    # (vocab_size,), ids of the tokens said so far, a number above 1
    ...                                 # → new logits, (vocab_size,); leave the old ones as they are
""",
    see="Do not say it again",
)


def _beam_step(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    totals = scores[:, None] + log_probabilities
    best = totals.flatten().topk(len(scores))
    n = log_probabilities.shape[1]
    return best.indices // n, best.indices % n, best.values


def _beam_of_each(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best = (scores[:, None] + log_probabilities).max(dim=1)
    return torch.arange(len(scores)), best.indices, best.values


def _beam_forgetful(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _beam_step(torch.zeros_like(scores), log_probabilities)


def _beam_product(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best = (scores[:, None] * log_probabilities).flatten().topk(len(scores))
    n = log_probabilities.shape[1]
    return best.indices // n, best.indices % n, best.values


def _beam_by_beams(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best = (scores[:, None] + log_probabilities).flatten().topk(len(scores))
    return best.indices // len(scores), best.indices % len(scores), best.values


def _beam_swapped(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows, tokens, values = _beam_step(scores, log_probabilities)
    return tokens, rows, values


def _beam_added_probabilities(scores: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best = (scores.exp()[:, None] + log_probabilities.exp()).flatten().topk(len(scores))
    n = log_probabilities.shape[1]
    return best.indices // n, best.indices % n, best.values


BEAM = Exercise(
    id="10.5",
    title="One step of a beam",
    inputs=lambda draw: (-2 * draw.uniform(3), (1.5 * draw.normal(3, 7)).log_softmax(dim=-1)),
    solution=_beam_step,
    solution_code="""\
def beam_step(scores, log_probabilities):
    totals = scores[:, None] + log_probabilities                # (beams, vocab_size)
    best = totals.flatten().topk(len(scores))                   # among all continuations of all beams
    vocab_size = log_probabilities.shape[1]
    return best.indices // vocab_size, best.indices % vocab_size, best.values
""",
    also_right=[
        lambda scores, log_probabilities: (
            lambda totals, n: (
                totals.argsort(descending=True)[: len(scores)] // n,
                totals.argsort(descending=True)[: len(scores)] % n,
                totals.sort(descending=True).values[: len(scores)],
            )
        )((scores[:, None] + log_probabilities).flatten(), log_probabilities.shape[1]),
    ],
    misconceptions=[
        Misconception(
            _beam_of_each,
            "Each beam is continued by its own best token, so that three greedy searches run beside each other. The "
            "beams must compete: a good one may have several successors and a bad one none.",
        ),
        Misconception(
            _beam_forgetful,
            "You rank by the last token alone. What counts is the probability of the whole text: the beam's score so "
            "far belongs to the sum.",
        ),
        Misconception(
            _beam_product,
            "Probabilities multiply, and their logarithms *add*. The product of two negative numbers is even positive.",
        ),
        Misconception(
            _beam_by_beams,
            "The flattened table has 7 entries for each beam, so entry i belongs to beam i // 7 and token i % 7. You "
            "divided by 3, the number of beams.",
        ),
        Misconception(
            _beam_swapped,
            "Beams and tokens have changed places: the quotient is the beam, the remainder the token.",
        ),
        Misconception(
            _beam_added_probabilities,
            'You went back to probabilities and added them. For "this text, *and then* this token" they multiply, '
            "which is why one keeps logarithms and adds those.",
        ),
    ],
    hints=(
        "There are 3 beams and 7 tokens: how many texts compete for the 3 places?",
        "Make the table of all 21 totals, beams × tokens. How do you find the 3 best entries of a table?",
        "`flatten()` it, `topk(3)`; the index divided by 7 gives the beam, the remainder the token.",
    ),
    why="All continuations of all beams compete for the same places, by the probability of the whole text.",
    starter="""\
def beam_step(scores, log_probabilities):   # (beams,), (beams, vocab_size)
    ...                                     # → beams that go on, tokens they go on with, new scores: each (beams,)
""",
    see="Search in place of drawing",
)


def _attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return (query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1) @ values


def _cached_step(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    keys, values = torch.cat([keys, key], dim=1), torch.cat([values, value], dim=1)
    return _attend(query, keys, values), keys, values


def _cached_blind(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    output = _attend(query, keys, values)
    return output, torch.cat([keys, key], dim=1), torch.cat([values, value], dim=1)


def _cached_not_kept(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    return _cached_step(query, key, value, keys, values)[0], keys, values


def _cached_in_front(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    keys, values = torch.cat([key, keys], dim=1), torch.cat([value, values], dim=1)
    return _attend(query, keys, values), keys, values


def _cached_unscaled(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    return _cached_step(query * math.sqrt(query.shape[-1]), key, value, keys, values)


def _cached_overwritten(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    return _cached_step(query, key, value, keys[:, :-1], values[:, :-1])


def _cached_masked(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    keys, values = torch.cat([keys, key], dim=1), torch.cat([values, value], dim=1)
    mask = torch.ones(1, keys.shape[1], dtype=torch.bool).tril()
    scores = (query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])).masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ values, keys, values


def _cached_alone(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor) -> tuple:
    output = _attend(query, key, value)
    return output, torch.cat([keys, key], dim=1), torch.cat([values, value], dim=1)


CACHE = Exercise(
    id="10.6",
    title="Attention with a memory",
    inputs=lambda draw: (
        draw.normal(2, 1, 8),
        draw.normal(2, 1, 8),
        draw.normal(2, 1, 8),
        draw.normal(2, 5, 8),
        draw.normal(2, 5, 8),
    ),
    solution=_cached_step,
    solution_code="""\
def cached_step(query, key, value, keys, values):
    keys = torch.cat([keys, key], dim=1)                        # (heads, past + 1, d_head)
    values = torch.cat([values, value], dim=1)
    scores = query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return scores.softmax(dim=-1) @ values, keys, values
""",
    also_right=[
        lambda query, key, value, keys, values: (
            torch.nn.functional.scaled_dot_product_attention(
                query, torch.cat([keys, key], 1), torch.cat([values, value], 1)
            ),
            torch.cat([keys, key], 1),
            torch.cat([values, value], 1),
        ),
    ],
    misconceptions=[
        Misconception(
            _cached_blind,
            "The new token attends before its own key and value are in the cache, so it cannot look at itself. In the "
            "full computation the diagonal of the causal mask is open: append first.",
        ),
        Misconception(
            _cached_not_kept,
            "The output is right, and the caches come back as they were: the next token will not know that this one "
            "was there. Answer the longer ones.",
        ),
        Misconception(
            _cached_in_front,
            "You put the newest key first. Attention does not mind here, but the cache is in the order of the text, "
            "and "
            "whatever works by position (a bias, a sliding window) does.",
        ),
        Misconception(
            _cached_unscaled,
            "The scores are not divided by √d_head = √8. The cache changes nothing about the formula.",
        ),
        Misconception(
            _cached_overwritten,
            "The newest key took the place of the one before it: 5 keys came in and 5 went out. The text has grown "
            "to 6.",
        ),
        Misconception(
            _cached_masked,
            "`tril` of a 1 × 6 table is open at the first place alone, so the token sees only the very first one. A "
            "lone query is the last position: everything in the cache is its past, and no mask is needed.",
        ),
        Misconception(
            _cached_alone,
            "The query met only its own key. The point of the cache is the 5 keys that came before.",
        ),
    ],
    hints=(
        "Which keys would this query see in the full computation?",
        "Those of the past are in `keys`; its own is `key`. Along which axis do they stand one after the other?",
        "Append first with `torch.cat(..., dim=1)`, then attend with no mask; answer output, keys and values.",
    ),
    why="The last row of the causal attention table sees every key up to its own. Their keys and values never change, "
    "so they need not be computed again.",
    starter="""\
def cached_step(query, key, value, keys, values):
    # query, key, value of the new token: (heads, 1, d_head); keys, values so far: (heads, past, d_head)
    ...                                 # → output (heads, 1, d_head), keys and values (heads, past + 1, d_head)
""",
    see="Compute each key once",
)

EXERCISES = [DRAW, TEMPERATURE, NUCLEUS, PENALTY, BEAM, CACHE]
