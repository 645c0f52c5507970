'''Checked exercises: `check("02.3", my_function)`, `hint("02.3")`, `solution("02.3")`, `progress()`.

# Writing an exercise

The exercises of lesson 02 are the list `EXERCISES` in `lesson_02.py`, in the order of the notebook; ids are
"02.1", "02.2", … . A lesson's module is imported when one of its ids is first checked, so it may import torch.

    SCALED_SCORES = Exercise(
        id="02.3",
        title="Scores that keep their spread",
        inputs=lambda draw: (draw.normal(2, 5, 8), draw.normal(2, 7, 8)),
        solution=lambda query, key: query @ key.transpose(-2, -1) / math.sqrt(key.shape[-1]),
        also_right=[...],                       # other correct spellings: the tests run them
        misconceptions=[Misconception(lambda query, key: query @ key.transpose(-2, -1), "The division is …")],
        hints=("a question", "a narrower question", "nearly the answer"),
        why="Shown to whoever got it right, and by solution(): the reason, in a sentence or two.",
        starter="def scaled_scores(query, key):          # shapes\\n    ...",
        see="Why divide by √d_head",            # the heading to read again, word for word
    )

**inputs** gets a `Draw` and returns the arguments as a tuple: `draw.normal(2, 5, 8)`, `.uniform`, `.integers(low,
high, *shape)`, `.tokens(*shape, vocab=50)`, `.mask(*shape)`, `.permutation(n)`, `.choice`, `.text`, `.words`, `.size`.
Tensors come back; add `.numpy()` or `.tolist()` for others. Give every axis its own size (5 queries, 7 keys, 8
features), so that no two mistakes look alike; a message may then name those numbers. To show a small failing input
the checker asks again with smaller sizes; a size that is needed twice outside a shape comes from `n = draw.size(5)`.
A random function is fine: torch, NumPy and `random` are set to the same seed before every call.

**What is compared**: the return value, within the precision of its dtype; tuples, lists and dictionaries item by
item; `tolerance=`, `compare=` and `any_array=True` (list, NumPy array and tensor count as the same) loosen it.
The arguments must come back unchanged; with `mutates=True` changing them is the job and they are what is compared.

**Misconceptions** are recognised by what they compute: on every draw the same values, NaNs and errors as the
learner's function. The first that fits gives its message. Say what was done, why it is wrong here, with the numbers.

**A plain value** (a number, a word, a prediction): leave out `inputs`; `solution=42` and `Misconception(41, "…")`.
The starter is `answer = ...`; texts are compared without case and extra blanks, numbers to 0.1 %.

**A class or module**: `build=lambda cls, draw: draw.fill(cls(d_model=8, n_heads=2))` makes the thing to call out
of what is handed in. `fill` sets every parameter from its *name*, so learner and solution get the same weights; the
starter must therefore fix the names (`self.query = nn.Linear(…)`). The solution is a class of the starter's name.

**Many right answers**: `checks=[one, another]`, each called with (function, draw) and returning None or what is wrong
in a sentence, replace the comparison. `solution` stays: it must pass, and its code is what `solution()` shows.

**Solutions as code**: `solution()` and the tests need code that can stand where the starter stands. A lambda
written in place is turned into a function of the starter's name; a named function or class must have that name;
otherwise give `solution_code="""…"""`. It runs with what the lesson's own cells import.

**In the notebook**, the exercise cell is the starter, an empty line, and `check("02.3", scaled_scores)`, and carries
the tag `exercise`. Cells it needs (imports, a helper, data; the set-up cell is always taken) carry `exercise-needs`.

Then `python -m tests.exercises.write_messages 02` writes down the list of misconceptions that the tests hold you to,
and `pytest tests/exercises/test_catalogue.py -k 02` checks the exercises: the solution and each alternative pass,
each misconception gets its own message, the starter is "not started", the texts are there.
'''

from course_lib.exercises.catalogue import find
from course_lib.exercises.checker import check, examine, hint, progress, solution
from course_lib.exercises.draw import Draw
from course_lib.exercises.exercise import Exercise, Misconception
from course_lib.exercises.result import Panel, Result

__all__ = [
    "Draw",
    "Exercise",
    "Misconception",
    "Panel",
    "Result",
    "check",
    "examine",
    "find",
    "hint",
    "progress",
    "solution",
]
