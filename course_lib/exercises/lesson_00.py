"""Lesson 00, start here: the exercises."""

import itertools
import math

from course_lib.exercises import Draw, Exercise, Misconception


def _sentence(draw: Draw) -> tuple[list[int]]:
    """Nine different ids, so that a shift by one, by two and none at all give different lists."""
    return (draw.permutation(draw.size(9)).tolist(),)


INPUTS_AND_TARGETS = Exercise(
    id="00.1",
    title="What to read, what to predict",
    inputs=_sentence,
    solution=lambda ids: (ids[:-1], ids[1:]),
    also_right=[
        lambda ids: ([ids[i] for i in range(len(ids) - 1)], [ids[i + 1] for i in range(len(ids) - 1)]),
        lambda ids: tuple(list(column) for column in zip(*itertools.pairwise(ids), strict=True)),
    ],
    misconceptions=[
        Misconception(
            lambda ids: (ids, ids),
            "Both lists are the same: the model would be asked to repeat the character it is looking at. It learns "
            "that in seconds, with a splendid loss, and has learned nothing about stories.",
        ),
        Misconception(
            lambda ids: (ids[:-1], ids[:-1]),
            "The lengths are right, but the target of each position is the character that stands there already. "
            "Move the targets one place to the left: they begin with the second id.",
        ),
        Misconception(
            lambda ids: (ids[1:], ids[:-1]),
            "You have it the wrong way round: this model reads a character and is asked for the one *before* it.",
        ),
        Misconception(
            lambda ids: (ids, ids[1:] + ids[:1]),
            "At the last position you ask for the first id again, as if the text were a ring. Nothing follows the "
            "last id, so it is read by nobody: leave it out of the inputs.",
        ),
        Misconception(
            lambda ids: (ids[:-2], ids[2:]),
            "Your targets are two places ahead. The model would have to skip a character it is never asked about.",
        ),
        Misconception(
            lambda ids: (ids[:-1], [ids[-1]]),
            "You ask one question a text, about its last id. Every position has a next character, so a text of 9 "
            "ids asks 8 questions at once; that is what makes training a GPT cheap.",
        ),
    ],
    hints=(
        "Write five ids in a row on paper. Which id follows the first one? Which follows the fourth? And the fifth?",
        "Two lists of the same length: one lacks the last id, the other lacks … which one?",
        "Python's `ids[:-1]` is everything but the last, `ids[1:]` everything but the first.",
    ),
    why="Position t of the targets holds what follows position t of the inputs. One text of n ids gives n − 1 "
    "predictions, and the model makes them all in one pass.",
    starter="""\
def inputs_and_targets(ids):            # list of n ids
    ...                                 # → (list of n - 1 ids to read, list of n - 1 ids to predict)
""",
    see="Every position asks a question",
)

MEAN_SURPRISE = Exercise(
    id="00.2",
    title="The loss, from probabilities",
    inputs=lambda draw: (draw.uniform(7, low=0.02, high=0.98).double().tolist(),),
    solution=lambda probabilities: sum(-math.log(p) for p in probabilities) / len(probabilities),
    also_right=[
        lambda probabilities: -math.log(math.prod(probabilities)) / len(probabilities),
        lambda probabilities: math.fsum(math.log(1 / p) for p in probabilities) / len(probabilities),
    ],
    misconceptions=[
        Misconception(
            lambda probabilities: sum(math.log(p) for p in probabilities) / len(probabilities),
            "Your loss is negative. The logarithm of a probability is never above 0; the minus sign turns it into a "
            "surprise, which is 0 for what was certain and grows for what was not.",
        ),
        Misconception(
            lambda probabilities: sum(-math.log2(p) for p in probabilities) / len(probabilities),
            "This is the surprise in bits (logarithm to base 2). It is a good unit, and 1.44 times as many as nats: "
            "PyTorch's loss, and so this course, uses the natural logarithm.",
        ),
        Misconception(
            lambda probabilities: sum(-math.log10(p) for p in probabilities) / len(probabilities),
            "This is the logarithm to base 10. Python's `math.log(p)` with no base is the natural one.",
        ),
        Misconception(
            lambda probabilities: sum(-math.log(p) for p in probabilities),
            "You added the 7 surprises and did not divide by 7. A long text would then look worse than a short one.",
        ),
        Misconception(
            lambda probabilities: -math.log(sum(probabilities) / len(probabilities)),
            "You averaged the probabilities first and took the logarithm after. One character that was thought "
            "nearly impossible then costs almost nothing; average the surprises instead.",
        ),
        Misconception(
            lambda probabilities: sum(1 - p for p in probabilities) / len(probabilities),
            "1 − p is how much probability went elsewhere. It can never exceed 1, so being sure and wrong costs "
            "hardly more than being unsure; the surprise −ln p has no upper end.",
        ),
    ],
    hints=(
        "What is the surprise of one character that was given probability p?",
        "You have one surprise for each character. How do you make one number of them that does not grow with the "
        "length of the text?",
        "`-math.log(p)` for each p, added up, divided by how many there are.",
    ),
    why="The mean of −ln p is the cross-entropy: the loss that every language model of this course is trained to make "
    "small.",
    starter="""\
def mean_surprise(probabilities):       # list: the probability that each character of a text was given
    ...                                 # → nats per character, one number
""",
    see="One number for how wrong",
)

LOSS_OF_GUESSING = Exercise(
    id="00.3",
    title="The loss of knowing nothing",
    inputs=lambda draw: (int(draw.integers(5, 4000)),),
    solution=lambda vocab_size: math.log(vocab_size),
    also_right=[lambda vocab_size: -math.log(1 / vocab_size)],
    misconceptions=[
        Misconception(
            lambda vocab_size: 1 / vocab_size,
            "That is the probability each character gets. The loss is its surprise: minus its logarithm.",
        ),
        Misconception(
            lambda vocab_size: math.log2(vocab_size),
            "Right in bits. In nats, the unit of all losses here, it is the natural logarithm, `math.log`.",
        ),
        Misconception(
            lambda vocab_size: -math.log(vocab_size),
            "The sign is turned: ln of a number above 1 is positive, and so is a loss. "
            "−ln(1/V) and ln V are the same thing.",
        ),
        Misconception(
            lambda vocab_size: 1 - 1 / vocab_size,
            "That is how often a blind guess is wrong. The loss is a surprise, not an error rate: −ln of the "
            "probability that the right character got.",
        ),
        Misconception(
            lambda vocab_size: vocab_size * math.log(vocab_size),
            "You added one surprise for each possible character. Only one of them is the right one.",
        ),
    ],
    hints=(
        "If all V characters are equally likely, which probability does the right one get?",
        "What is the surprise of something that had probability 1/V?",
        "−ln(1/V) = ln V.",
    ),
    why="A model that has learned nothing spreads its probability evenly, so training should start near ln V. A first "
    "loss far above it means the model starts out confidently wrong.",
    starter="""\
def loss_of_guessing(vocab_size):       # number of different characters
    ...                                 # → nats per character
""",
    see="One number for how wrong",
)


def _wheel(draw: Draw) -> tuple[list[float], float]:
    """Probabilities of a few characters, in no order, and where the pointer stopped."""
    shares = draw.uniform(draw.size(6), low=0.05, high=1.0).double()
    return (shares / shares.sum()).tolist(), draw.uniform(low=0.0, high=0.999)


def _first_above(probabilities: list[float], pointer: float) -> int:
    total = 0.0
    for index, probability in enumerate(probabilities):
        total += probability
        if pointer < total:
            return index
    return len(probabilities) - 1


def _from_likeliest(probabilities: list[float], pointer: float) -> int:
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    return order[_first_above([probabilities[index] for index in order], pointer)]


SPIN = Exercise(
    id="00.4",
    title="Draw the next character",
    inputs=_wheel,
    draws=24,
    solution=_first_above,
    also_right=[
        lambda probabilities, pointer: sum(
            pointer >= sum(probabilities[: index + 1]) for index in range(len(probabilities) - 1)
        ),
    ],
    misconceptions=[
        Misconception(
            lambda probabilities, pointer: max(range(len(probabilities)), key=lambda i: probabilities[i]),
            "You always take the likeliest character and never look at the pointer. Every story would be the same.",
        ),
        Misconception(
            lambda probabilities, pointer: int(pointer * len(probabilities)),
            "You give each of the characters an equal slice. A character with probability 0.3 must own three tenths "
            "of the wheel.",
        ),
        Misconception(
            lambda probabilities, pointer: next(
                (index for index, p in enumerate(probabilities) if pointer < p), len(probabilities) - 1
            ),
            "You compare the pointer with each probability on its own. The second slice begins where the first one "
            "ends: add the probabilities up as you go.",
        ),
        Misconception(
            lambda probabilities, pointer: max(0, _first_above(probabilities, pointer) - 1),
            "You are one slice early: the slice that the pointer stands in is the first whose *end* lies beyond it.",
        ),
        Misconception(
            _from_likeliest,
            "You sorted the probabilities and then gave the slices to the likeliest first. The chances come out "
            "right, but the pointer of this exercise runs over the characters in the order in which they are given.",
        ),
    ],
    hints=(
        "Lay the probabilities end to end on a line from 0 to 1. Where does the second one begin, where does it end?",
        "Walk along that line and add up. How do you notice that you have walked past the pointer?",
        "Keep a running total; return the first index at which `pointer < total`.",
    ),
    why="A slice as wide as its probability is hit that often: this is how a distribution becomes a choice. Lesson 10 "
    "is about bending the distribution first.",
    solution_code="""\
def draw(probabilities, pointer):
    total = 0.0
    for index, probability in enumerate(probabilities):
        total += probability
        if pointer < total:
            return index
    return len(probabilities) - 1       # rounding can leave the total a hair below 1
""",
    starter="""\
def draw(probabilities, pointer):       # list adding to 1; a random number in [0, 1)
    ...                                 # → index of the slice that the pointer stands in
""",
    see="From a distribution to a character",
)


def _batch_row(draw: Draw) -> tuple[list[int], list[int]]:
    """Inputs and targets of one text, with one wrong target in two cases of three (never the last)."""
    n = draw.size(10)
    ids = draw.permutation(n + 1).tolist()
    inputs, targets = ids[:-1], ids[1:]
    if n > 2 and int(draw.integers(0, 3)) > 0:
        targets[int(draw.integers(1, n - 1))] += 100
    return inputs, targets


def _first_wrong(inputs: list[int], targets: list[int]) -> int | None:
    for position in range(len(inputs) - 1):
        if targets[position] != inputs[position + 1]:
            return position
    return None


FIRST_WRONG_TARGET = Exercise(
    id="00.5",
    title="A test for every batch",
    inputs=_batch_row,
    draws=24,
    solution=_first_wrong,
    also_right=[
        lambda inputs, targets: next(
            (t for t, (asked, comes) in enumerate(zip(targets, inputs[1:], strict=False)) if asked != comes), None
        ),
    ],
    misconceptions=[
        Misconception(
            lambda inputs, targets: next((t for t in range(len(inputs)) if targets[t] != inputs[t]), None),
            "You compare each target with the input at the *same* position, and those should differ. The target of "
            "position t must equal the input at t + 1.",
        ),
        Misconception(
            lambda inputs, targets: next((t for t in range(1, len(inputs)) if targets[t] != inputs[t - 1]), None),
            "You compare with the input *before*. A target is what comes next.",
        ),
        Misconception(
            lambda inputs, targets: next(
                (inputs[t] for t in range(len(inputs) - 1) if targets[t] != inputs[t + 1]), None
            ),
            "You found the place and returned the id that stands there. Return the position, so that it can be "
            "looked up.",
        ),
        Misconception(
            lambda inputs, targets: next((t + 1 for t in range(len(inputs) - 1) if targets[t] != inputs[t + 1]), None),
            "One too far: you return the position of the input that should have been predicted, not of the target "
            "that is wrong.",
        ),
        Misconception(
            lambda inputs, targets: sum(targets[t] != inputs[t + 1] for t in range(len(inputs) - 1)) or None,
            "You counted the wrong targets. The position of the first one tells where to look.",
        ),
        Misconception(
            lambda inputs, targets: next((t for t in range(len(inputs) - 1) if targets[t] != inputs[t + 1]), 0),
            "For a sound batch you return 0, which says that the first target is wrong. Return None: there is "
            "nothing to report.",
        ),
    ],
    hints=(
        "Which input does a sound target at position 3 have to agree with?",
        "How many targets can you test this way, if the last one has no input after it?",
        "Loop over positions up to `len(inputs) - 1`; compare `targets[t]` with `inputs[t + 1]`; return `t` or, at "
        "the end, `None`.",
    ),
    why="One line of arithmetic that every data loader can be held to. A loss curve shows that something was learned, "
    "and this shows that the right thing was asked for.",
    solution_code="""\
def first_wrong_target(inputs, targets):
    for t in range(len(inputs) - 1):
        if targets[t] != inputs[t + 1]:
            return t
    return None
""",
    starter="""\
def first_wrong_target(inputs, targets):    # two lists of ids, equally long
    ...                                     # → position of the first target that is not the next input, or None
""",
    see="Bug hunt: a loss that is too good",
)

EXERCISES = [INPUTS_AND_TARGETS, MEAN_SURPRISE, LOSS_OF_GUESSING, SPIN, FIRST_WRONG_TARGET]
