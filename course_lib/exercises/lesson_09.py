"""Lesson 09, train it: the exercises."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.exercises import Draw, Exercise, Misconception

VOCAB = 11


class _Bigrams(nn.Module):
    """A model small enough to follow: one row of logits for each token."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Embedding(VOCAB, VOCAB)

    def forward(self, tokens: Tensor, targets: Tensor) -> SimpleNamespace:
        """The loss, as a GPT answers it."""
        logits = self.logits(tokens)
        return SimpleNamespace(logits=logits, loss=F.cross_entropy(logits.flatten(0, 1), targets.flatten()))


class _Descent:
    """Plain gradient descent with the two methods of an optimiser."""

    def __init__(self, parameters, rate: float):
        self.parameters, self.rate = list(parameters), rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight that has a gradient."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter -= self.rate * parameter.grad


def _three_steps(train_step, draw: Draw):
    """What a training step does to a model in three updates: what it answers, and the weights at the end."""

    def run(tokens: Tensor, targets: Tensor):
        model = draw.fill(_Bigrams())
        optimizer = _Descent(model.parameters(), 5.0)
        answers = [train_step(model, optimizer, tokens, targets) for _ in range(3)]
        losses = [float(answer) if isinstance(answer, float | Tensor) else math.nan for answer in answers]
        return losses, all(isinstance(answer, float) for answer in answers), model.logits.weight.detach()

    return run


def _loss(model, tokens, targets):
    return model(tokens, targets).loss


def _never_cleared(model, optimizer, tokens, targets):
    loss = _loss(model, tokens, targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def _cleared_before_the_step(model, optimizer, tokens, targets):
    loss = _loss(model, tokens, targets)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


def _stale(model, optimizer, tokens, targets):
    loss = _loss(model, tokens, targets)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


def _keeps_the_graph(model, optimizer, tokens, targets):
    optimizer.zero_grad()
    loss = _loss(model, tokens, targets)
    loss.backward()
    optimizer.step()
    return loss


def _after(model, optimizer, tokens, targets):
    _keeps_the_graph(model, optimizer, tokens, targets)
    return _loss(model, tokens, targets).item()


def _nothing_returned(model, optimizer, tokens, targets):
    _keeps_the_graph(model, optimizer, tokens, targets)


def _alternative_step(model, optimizer, tokens, targets):
    loss = _loss(model, tokens, targets)
    for parameter in model.parameters():
        parameter.grad = None
    loss.backward()
    optimizer.step()
    return float(loss)


def _cleared_at_the_end(model, optimizer, tokens, targets):
    loss = _loss(model, tokens, targets)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


TRAIN_STEP = Exercise(
    id="09.1",
    title="One step",
    inputs=lambda draw: (draw.tokens(3, 5, vocab=VOCAB), draw.tokens(3, 5, vocab=VOCAB)),
    build=_three_steps,
    solution=lambda model, optimizer, tokens, targets: _keeps_the_graph(model, optimizer, tokens, targets).item(),
    solution_code="""\
def train_step(model, optimizer, tokens, targets):
    optimizer.zero_grad()
    loss = model(tokens, targets).loss
    loss.backward()
    optimizer.step()
    return loss.item()
""",
    also_right=[_alternative_step, _cleared_at_the_end],
    misconceptions=[
        Misconception(
            _never_cleared,
            "Your gradients are never cleared. `backward()` *adds* to what is there, so the second step follows the "
            "sum of two batches' gradients and the third the sum of three: call `optimizer.zero_grad()` once a step.",
        ),
        Misconception(
            _cleared_before_the_step,
            "Your weights never move: when the optimiser steps, there is no gradient to follow. Either it was cleared "
            "after `backward()`, or `backward()` has not run yet. Order: clear, loss, backward, step.",
        ),
        Misconception(
            _stale,
            "Your step uses the gradient of the batch *before*: `optimizer.step()` stands before `loss.backward()`. It "
            "even learns, one step late, which makes it hard to see.",
        ),
        Misconception(
            _keeps_the_graph,
            "The training is right. But you return the loss as a tensor, which holds on to all that it was computed "
            "from; a list of a thousand of them fills the memory. Return the number: `loss.item()`.",
        ),
        Misconception(
            _after,
            "You measured the loss again after the update. That costs a second forward pass and flatters the model: it "
            "has just learned from this batch. Return the loss that you followed.",
        ),
        Misconception(
            _nothing_returned, "The training is right, but nothing is returned: end with the loss, a number."
        ),
    ],
    hints=(
        "Which four things happen to one batch, and which of them needs the result of which?",
        "`backward()` adds to `.grad`. What must happen to the old gradient, and when?",
        "optimizer.zero_grad(), then model(tokens, targets).loss, then .backward(), then optimizer.step(); return "
        ".item() of the loss.",
    ),
    why="Clear, predict, blame, move. Nothing else happens in training; all the rest of this lesson is about how far "
    "and in which direction to move.",
    starter="""\
def train_step(model, optimizer, tokens, targets):
    ...                                     # → the loss before the update, a Python number
""",
    see="One step",
)

BETA1, BETA2, EPS = 0.9, 0.95, 0.1


def _adamw(weight, gradient, mean, square, step, rate, decay, *, corrected=True, squared=torch.square, divide=None):
    """AdamW, with one thing at a time changed."""
    divide = divide or (lambda root_of: root_of.sqrt() + EPS)
    mean = BETA1 * mean + (1 - BETA1) * gradient
    square = BETA2 * square + (1 - BETA2) * squared(gradient)
    first, second = (mean / (1 - BETA1**step), square / (1 - BETA2**step)) if corrected else (mean, square)
    return weight - rate * first / divide(second) - rate * decay * weight, mean, square


def _adam_with_l2(weight, gradient, mean, square, step, rate, decay):
    return _adamw(weight, gradient + decay * weight, mean, square, step, rate, 0.0)


def _betas_swapped(weight, gradient, mean, square, step, rate, decay):
    mean = BETA2 * mean + (1 - BETA2) * gradient
    square = BETA1 * square + (1 - BETA1) * gradient.square()
    moved = rate * (mean / (1 - BETA2**step)) / ((square / (1 - BETA1**step)).sqrt() + EPS)
    return weight - moved - rate * decay * weight, mean, square


def _decay_without_rate(weight, gradient, mean, square, step, rate, decay):
    moved, mean, square = _adamw(weight, gradient, mean, square, step, rate, 0.0)
    return moved - decay * weight, mean, square


def _uphill(weight, gradient, mean, square, step, rate, decay):
    moved, mean, square = _adamw(weight, gradient, mean, square, step, -rate, 0.0)
    return moved - rate * decay * weight, mean, square


def _returns_corrected(weight, gradient, mean, square, step, rate, decay):
    moved, mean, square = _adamw(weight, gradient, mean, square, step, rate, decay)
    return moved, mean / (1 - BETA1**step), square / (1 - BETA2**step)


def _in_place(weight, gradient, mean, square, step, rate, decay):
    mean = torch.lerp(gradient, mean, BETA1)
    square = square * BETA2 + gradient * gradient * (1 - BETA2)
    shrunk = weight * (1 - rate * decay)
    move = (mean / (1 - BETA1**step)) / ((square / (1 - BETA2**step)) ** 0.5 + EPS)
    return shrunk - rate * move, mean, square


ADAMW_STEP = Exercise(
    id="09.2",
    title="AdamW by hand",
    inputs=lambda draw: (
        draw.normal(7),
        draw.normal(7),
        0.5 * draw.normal(7),
        draw.uniform(7),
        draw.choice((1, 2, 5)),
        0.1,
        0.5,
    ),
    solution=lambda weight, gradient, mean, square, step, rate, decay: _adamw(
        weight, gradient, mean, square, step, rate, decay
    ),
    solution_code="""\
def adamw_step(weight, gradient, mean, square, step, rate, decay):
    mean = BETA1 * mean + (1 - BETA1) * gradient
    square = BETA2 * square + (1 - BETA2) * gradient**2
    mean_hat = mean / (1 - BETA1**step)
    square_hat = square / (1 - BETA2**step)
    weight = weight - rate * decay * weight - rate * mean_hat / (square_hat.sqrt() + EPS)
    return weight, mean, square
""",
    also_right=[_in_place],
    misconceptions=[
        Misconception(
            lambda w, g, m, s, t, r, d: _adamw(w, g, m, s, t, r, d, corrected=False),
            "The correction for the start is missing. Both averages begin at zero, and after one step hold only 10 % "
            "of the gradient and 5 % of its square: divide by 1 − β₁ᵗ and 1 − β₂ᵗ.",
        ),
        Misconception(
            _adam_with_l2,
            "You added the decay to the *gradient*, as L2 regularisation does. Then it is divided by √square like the "
            "rest, and weights with large gradients hardly decay. The W of AdamW: shrink the weight itself, beside the "
            "step (Loshchilov and Hutter 2019).",
        ),
        Misconception(
            _decay_without_rate,
            "Your decay ignores the learning rate: each step takes half of every weight away. It is rate × decay × "
            "weight, so that the schedule turns both down together.",
        ),
        Misconception(
            lambda w, g, m, s, t, r, d: _adamw(w, g, m, s, t, r, 0.0),
            "Adam is right; the decay is missing: besides the step, take away rate × decay × weight.",
        ),
        Misconception(
            lambda w, g, m, s, t, r, d: _adamw(w, g, m, s, t, r, d, divide=lambda second: second + EPS),
            "You divided by the mean square itself. To bring a step to the size of the rate, divide by a *length*: its "
            "square root.",
        ),
        Misconception(
            lambda w, g, m, s, t, r, d: _adamw(w, g, m, s, t, r, d, divide=lambda second: (second + EPS).sqrt()),
            "Your ε stands inside the root. In Adam it stands outside, √square + ε (Kingma and Ba 2015, algorithm 1); "
            "inside, it is felt much earlier.",
        ),
        Misconception(
            lambda w, g, m, s, t, r, d: _adamw(w, g, m, s, t, r, d, squared=torch.abs),
            "Your second average is of the gradient's absolute value. It is of its *square*, of which the root is "
            "taken at the end.",
        ),
        Misconception(
            _betas_swapped,
            "The two betas are swapped. β₁ = 0.9 belongs to the mean, β₂ = 0.95 to the square: sizes are averaged over "
            "a longer time than directions.",
        ),
        Misconception(_uphill, "You walk uphill: the step is *subtracted* from the weight."),
        Misconception(
            _returns_corrected,
            "The weight is right. But you return the *corrected* averages, and the next step would correct them again. "
            "Keep the plain ones; correct only where they are used.",
        ),
    ],
    hints=(
        "Which two things does Adam remember of the gradients it has seen, and how does each forget?",
        "After the first step the averages hold a tenth of g and a twentieth of g². By what must you divide?",
        "weight − rate · decay · weight − rate · mean_hat / (√square_hat + ε), with mean_hat = mean / (1 − β₁ᵗ).",
    ),
    why="The mean says where, the square how large gradients are here; their quotient makes every weight's step about "
    "as long as the rate, whatever the size of its gradients. The decay stands beside it and touches no gradient.",
    starter="""\
def adamw_step(weight, gradient, mean, square, step, rate, decay):     # step counts from 1
    ...                                     # → the new weight, mean, square
""",
    see="AdamW by hand",
)


def _whole_schedule(learning_rate, draw: Draw):
    """The rates of all steps of a run."""
    return lambda steps, warmup, peak, final: torch.tensor(
        [float(learning_rate(step, steps, warmup, peak, final)) for step in range(steps)]
    )


def _rate(step, steps, warmup, peak, final, *, rise=None, progress=None, fall=None):
    if step < warmup:
        return peak * (rise(step, warmup) if rise else (step + 1) / warmup)
    share = progress(step, steps, warmup) if progress else (step - warmup) / (steps - warmup)
    if fall:
        return fall(share, peak, final)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share)))


def _another(**changes):
    return lambda step, steps, warmup, peak, final: _rate(step, steps, warmup, peak, final, **changes)


LEARNING_RATE = Exercise(
    id="09.3",
    title="A schedule",
    inputs=lambda draw: (draw.size(30), 6, draw.choice((0.01, 0.5)), draw.choice((0.1, 0.25))),
    build=_whole_schedule,
    solution=lambda step, steps, warmup, peak, final: _rate(step, steps, warmup, peak, final),
    solution_code="""\
def learning_rate(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (steps - warmup)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
""",
    also_right=[
        lambda step, steps, warmup, peak, final: (
            peak * min((step + 1) / warmup, 1)
            if step < warmup
            else peak * final + peak * (1 - final) * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2
        ),
    ],
    misconceptions=[
        Misconception(
            _another(rise=lambda step, warmup: step / warmup),
            "Your first step has the rate 0: steps count from 0, and step / warmup is 0 there. That batch is read for "
            "nothing. Use (step + 1) / warmup.",
        ),
        Misconception(
            _another(progress=lambda step, steps, warmup: step / steps),
            "Your cosine begins at step 0, so when the warm-up ends it has already fallen, and the rate jumps down. "
            "Count its progress from the end of the warm-up.",
        ),
        Misconception(
            _another(progress=lambda step, steps, warmup: (step - warmup) / steps),
            "Your progress never reaches 1: after the warm-up only steps − warmup steps are left. Divide by that.",
        ),
        Misconception(
            _another(fall=lambda share, peak, final: peak * 0.5 * (1 + math.cos(math.pi * share))),
            "Your schedule falls to 0. It was asked to fall to `final` of the peak: final + (1 − final) · half a "
            "cosine.",
        ),
        Misconception(
            _another(fall=lambda share, peak, final: peak * (final + 0.5 * (1 + math.cos(math.pi * share)))),
            "Your rate starts above the peak: you added `final` but did not shorten the cosine by as much. The cosine "
            "runs over what is left, 1 − final.",
        ),
        Misconception(
            _another(fall=lambda share, peak, final: peak * (final + (1 - final) * (1 + math.cos(math.pi * share)))),
            "Your rate starts at nearly twice the peak: 1 + cos runs from 2 to 0. Halve it.",
        ),
        Misconception(
            _another(fall=lambda share, peak, final: peak * (final + (1 - final) * (1 - share))),
            "That is a straight line down. It is a good schedule too, but the exercise asks for half a cosine.",
        ),
        Misconception(
            _another(fall=lambda share, peak, final: peak * (final + (1 - final) * math.cos(math.pi / 2 * share))),
            "A quarter of a cosine: it starts flat but ends steep. Half of one, 0.5 · (1 + cos(π · progress)), is flat "
            "at both ends.",
        ),
        Misconception(
            lambda step, steps, warmup, peak, final: _rate(step + warmup, steps + warmup, warmup, peak, final),
            "The warm-up is missing: for the first `warmup` steps the rate climbs in a straight line.",
        ),
    ],
    hints=(
        "Which share of the peak should the first step have, and which the last one of the warm-up?",
        "How far along is the fall at step `warmup`, and how far at step `steps`?",
        "peak · (step + 1) / warmup; after that peak · (final + (1 − final) · 0.5 · (1 + cos(π · progress))).",
    ),
    why="The rise keeps the first steps, whose averages know little, small. The fall lets the model settle: at a high "
    "rate it hovers around a minimum, at a low one it sinks into it.",
    starter="""\
def learning_rate(step, steps, warmup, peak, final):    # step counts from 0
    ...                                     # → the learning rate of this step
""",
    see="The learning rate has a course",
)


def _length(gradients) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def _gradients(draw: Draw, size: float):
    """Two tensors, together shorter or longer than the limit."""
    return [size * draw.normal(3, 4), 0.4 * size * draw.normal(6)], 1.0


def _scaled(gradients, factor):
    return [gradient * factor for gradient in gradients]


CLIP = Exercise(
    id="09.4",
    title="Clip",
    inputs=lambda draw: _gradients(draw, draw.choice((0.05, 1.0))),
    draws=12,
    solution=lambda gradients, longest: _scaled(gradients, min(1.0, longest / _length(gradients).item())),
    solution_code="""\
def clip(gradients, longest):
    length = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
    factor = min(1.0, longest / length)
    return [gradient * factor for gradient in gradients]
""",
    also_right=[
        lambda gradients, longest: (
            [g.clone() for g in gradients]
            if _length(gradients) <= longest
            else [g / _length(gradients) * longest for g in gradients]
        ),
    ],
    misconceptions=[
        Misconception(
            lambda gradients, longest: [g * min(1.0, longest / g.norm().item()) for g in gradients],
            "You clipped each tensor by its own length. That turns the step: a large gradient is cut, a small one is "
            "not. There is one length, of all gradients together, and one factor.",
        ),
        Misconception(
            lambda gradients, longest: [g.clamp(-longest, longest) for g in gradients],
            "You cut each *number*. The step then points elsewhere: its largest parts are shortened, the others are "
            "not. Shorten the whole gradient by one factor.",
        ),
        Misconception(
            lambda gradients, longest: _scaled(gradients, longest / _length(gradients)),
            "You brought *every* gradient to that length, short ones too. Near a minimum gradients are short for good "
            "reason: shorten, never lengthen, with min(1, …).",
        ),
        Misconception(
            lambda gradients, longest: _scaled(gradients, min(1.0, longest / sum(g.norm().item() for g in gradients))),
            "You added up the lengths of the tensors. Lengths of parts at right angles do not add; their squares do: "
            "√(length₁² + length₂²).",
        ),
        Misconception(
            lambda gradients, longest: _scaled(gradients, min(1.0, longest / _length(gradients).item() ** 2)),
            "You divided by the squared length; the root is missing.",
        ),
        Misconception(
            lambda gradients, longest: _scaled(gradients, min(1.0, longest / max(g.norm().item() for g in gradients))),
            "You used the length of the longest tensor. The gradient is one vector: all its numbers count.",
        ),
    ],
    hints=(
        "If all gradients were laid end to end, as one long vector, how long would it be?",
        "What happens to a gradient that is short already?",
        "length = √(sum of all squares); factor = min(1, longest / length); every tensor times factor.",
    ),
    why="One factor for all keeps the direction, which is what the gradient is good for. The direction of a freak "
    "batch may still be poor, but it cannot throw the weights far.",
    starter="""\
def clip(gradients, longest):               # a list of tensors, a number
    ...                                     # → a list of tensors
""",
    see="A leash for the gradient",
)

BATCH_LOSS = Exercise(
    id="09.5",
    title="A batch in parts",
    inputs=lambda draw: (draw.uniform(4, low=0.5, high=4.0).tolist(), [draw.integers(1, 90) for _ in range(4)]),
    solution=lambda losses, counts: sum(loss * n for loss, n in zip(losses, counts, strict=True)) / sum(counts),
    also_right=[
        lambda losses, counts: (torch.tensor(losses) @ torch.tensor(counts).float() / sum(counts)).item(),
    ],
    tolerance=1e-4,
    misconceptions=[
        Misconception(
            lambda losses, counts: sum(losses) / len(losses),
            "The mean of the means. A part with 3 targets then counts as much as one with 90, and each target in it "
            "thirty times as much. This very mistake stood in widely used training code until October 2024.",
        ),
        Misconception(
            lambda losses, counts: sum(losses),
            "The sum of the parts' losses: about four times too large with four parts, and so is its gradient. Plain "
            "gradient descent would step four times as far, and clipping would set in far too early. Weight each by "
            "its share of the targets.",
        ),
        Misconception(
            lambda losses, counts: sum(loss * n for loss, n in zip(losses, counts, strict=True)),
            "You added up the loss of all targets but forgot to divide by how many there are.",
        ),
        Misconception(
            lambda losses, counts: (
                sum(loss * n for loss, n in zip(losses, counts, strict=True)) / sum(counts) / len(counts)
            ),
            "Divided twice: the shares add up to 1 already, so there is nothing left to divide by 4.",
        ),
        Misconception(
            lambda losses, counts: sum(loss / n for loss, n in zip(losses, counts, strict=True)),
            "Each loss is a mean already. Dividing it by its count again gives the shortest part the most weight.",
        ),
    ],
    hints=(
        "What is the batch's loss: the mean over what?",
        "From a part's mean and its count, how do you get the sum of its losses?",
        "Sum of loss × count, divided by the sum of the counts.",
    ),
    why="Every target of the batch counts once, wherever the batch was cut. So parts and whole give the same gradient, "
    "and the size of a part is a matter of memory alone.",
    starter="""\
def batch_loss(losses, counts):             # of each part: its mean loss, its number of targets
    ...                                     # → the mean loss of the whole batch
""",
    see="A batch in parts",
)

LEAKS = ("none", "one ahead", "two ahead", "everything", "from place 3 on", "the last token")


def _predictor(kind: str):
    """A stand-in for a model: what is predicted at each place is a sum over the tokens that it sees there."""

    def predict(tokens: Tensor) -> Tensor:
        time = len(tokens)
        query, key = torch.arange(time)[:, None], torch.arange(time)[None, :]
        extra = {
            "none": key < 0,
            "one ahead": key == query + 1,
            "two ahead": key == query + 2,
            "everything": key > query,
            "from place 3 on": (key > query) & (query >= 3),
            "the last token": (key == time - 1) & (key > query),
        }[kind]
        sees = ((key <= query) | extra).float()
        return sees @ (F.one_hot(tokens, VOCAB).float() * (1.0 + key.T))

    return predict


def _look_for_leaks(first_leak, draw: Draw):
    return lambda tokens: [first_leak(_predictor(kind), tokens) for kind in LEAKS]


def _changed(tokens: Tensor, places) -> Tensor:
    other = tokens.clone()
    other[places] = (other[places] + 1) % VOCAB
    return other


def _first_leak(predict, tokens, *, places=lambda t: slice(t + 1, None)):
    before = predict(tokens)
    for t in range(len(tokens) - 1):
        if not torch.allclose(predict(_changed(tokens, places(t)))[t], before[t]):
            return t
    return None


def _only_the_last(predict, tokens):
    moved = (predict(tokens) - predict(_changed(tokens, slice(-1, None)))).abs().amax(dim=1) > 1e-6
    places = moved[:-1].nonzero().flatten().tolist()
    return places[0] if places else None


FIRST_LEAK = Exercise(
    id="09.6",
    title="Find the leak",
    inputs=lambda draw: (draw.tokens(7, vocab=VOCAB),),
    build=_look_for_leaks,
    solution=lambda predict, tokens: _first_leak(predict, tokens),
    solution_code="""\
def first_leak(predict, tokens):
    before = predict(tokens)
    for t in range(len(tokens) - 1):
        changed = tokens.clone()
        changed[t + 1 :] = (changed[t + 1 :] + 1) % VOCAB
        if not torch.allclose(predict(changed)[t], before[t]):
            return t
    return None
""",
    also_right=[
        lambda predict, tokens: next(
            (
                t
                for t in range(len(tokens) - 1)
                if any(
                    not torch.allclose(predict(_changed(tokens, [later]))[t], predict(tokens)[t])
                    for later in range(t + 1, len(tokens))
                )
            ),
            None,
        ),
    ],
    misconceptions=[
        Misconception(
            lambda predict, tokens: _first_leak(predict, tokens, places=lambda t: slice(t + 1, t + 2)),
            "You changed only the very next token. A model that looks *two* places ahead passes that test. Change "
            "everything after t.",
        ),
        Misconception(
            lambda predict, tokens: _first_leak(predict, tokens, places=lambda t: slice(t, None)),
            "Your function accuses place 0 of every model, honest ones too. Either you changed token t itself, on "
            "which the prediction at t may depend, or you compared places after t, whose own past did change. Change "
            "only what comes *after* t, and compare row t.",
        ),
        Misconception(
            _only_the_last,
            "You changed only the last token. With a model that looks one place ahead, that moves only the place "
            "before it, and the leak at place 0 goes unseen. Try every t.",
        ),
        Misconception(
            lambda predict, tokens: _first_leak(predict, tokens) is not None,
            "You answer *whether* there is a leak. Answer *where*: the first place, or None.",
        ),
    ],
    hints=(
        "The prediction at place t may depend on which tokens, and on which may it not?",
        "What would you change in the text so that an honest model's prediction at t cannot move?",
        "For t = 0, 1, …: change all tokens after t, predict again, compare row t with what it was.",
    ),
    why="The invariant holds for any causal model, needs no second opinion, and points at the place. A loss curve "
    "cannot: a leak makes it better.",
    starter="""\
def first_leak(predict, tokens):            # predict(tokens) → (time, VOCAB) logits; tokens: (time,)
    ...                                     # → the first place whose prediction depends on a later token, or None
""",
    see="Bug hunt: three curves that look fine",
)

EXERCISES = [TRAIN_STEP, ADAMW_STEP, LEARNING_RATE, CLIP, BATCH_LOSS, FIRST_LEAK]
