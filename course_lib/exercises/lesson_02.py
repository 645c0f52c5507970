"""Lesson 02, attention is a weighted average: the exercises."""

import math

import torch

from course_lib.exercises import Exercise, Misconception

SOFTMAX_AXIS = Exercise(
    id="02.1",
    title="Scores into weights",
    inputs=lambda draw: (draw.normal(3, 4, 6),),
    solution=lambda scores: scores.softmax(dim=-1),
    also_right=[
        lambda scores: scores.exp() / scores.exp().sum(dim=2, keepdim=True),
        lambda scores: torch.stack([torch.softmax(one, dim=1) for one in scores]),
    ],
    misconceptions=[
        Misconception(
            lambda scores: scores.softmax(dim=-2),
            "Your columns add up to 1 and your rows do not: the softmax ran over the queries. Each query shares out "
            "its attention among the keys, so the sum must run over the 6 keys, the last axis.",
        ),
        Misconception(
            lambda scores: scores.softmax(dim=0),
            "The softmax ran over the batch: three sentences that have nothing to do with each other now share one "
            "budget of attention. The axis to sum over is the last one, the keys.",
        ),
        Misconception(
            lambda scores: scores.flatten(1).softmax(dim=-1).view_as(scores),
            "All 24 weights of a sentence together add up to 1. Each of its 4 queries has a budget of 1 to itself.",
        ),
        Misconception(
            lambda scores: scores / scores.sum(dim=-1, keepdim=True),
            "You divided by the sum without taking the exponential first. Scores can be negative, so these "
            '"weights" can be too, and a sum near zero blows them up.',
        ),
        Misconception(
            lambda scores: scores.exp(),
            "These are exponentials, all positive, which is half of the way: each row must still be divided by its "
            "sum.",
        ),
    ],
    hints=(
        "Who shares out a budget of 1 here: a query, a key, or the whole sentence?",
        "If `weights[b, i]` belongs to query i, which axis of `scores` do you have to walk along to meet all its keys?",
        "`softmax` takes `dim=`: the axis along which the result adds up to 1. Keys are the last axis.",
    ),
    why="A row of the weights belongs to one query and says how it mixes the values, so it is each row that must add "
    "up to 1, and the keys, the last axis, are what a row runs over.",
    starter="""\
def attention_weights(scores):          # (batch, query, key)
    ...                                 # → (batch, query, key)
""",
    see="From scores to weights",
)

SCALED_SCORES = Exercise(
    id="02.3",
    title="Scores that keep their spread",
    inputs=lambda draw: (draw.normal(2, 5, 8), draw.normal(2, 7, 8)),
    solution=lambda query, key: query @ key.transpose(-2, -1) / math.sqrt(key.shape[-1]),
    also_right=[
        lambda query, key: torch.einsum("bqd,bkd->bqk", query / 8**0.5, key),
        lambda query, key: (query.unsqueeze(2) * key.unsqueeze(1)).sum(dim=-1) * 8**-0.5,
    ],
    misconceptions=[
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1),
            "You return the bare dot products. Each adds up 8 products, so their spread is √8 ≈ 2.8 where 1 is "
            "wanted: the division is still to come.",
        ),
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1) / key.shape[-1],
            "You divided by 8, the size of the head. That is the variance of the score; the spread is its square "
            "root, so your scores are now too small by √8.",
        ),
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1) / math.sqrt(key.shape[-2]),
            "You divided by √7, and 7 is the number of keys. The dot product adds up features, of which there are 8.",
        ),
        Misconception(
            lambda query, key: query @ key.transpose(-2, -1) * math.sqrt(key.shape[-1]),
            "You multiplied by √8. The scores were too spread out already; divide.",
        ),
    ],
    hints=(
        "How many products does one dot product add up?",
        "Each product has variance 1 and they are independent. What is the variance of their sum, and its spread?",
        "Divide by the square root of the last size of `key`.",
    ),
    why="A sum of d_head independent products has variance d_head. Divided by √d_head it has spread 1 however wide "
    "the head is, and the softmax stays where it can still learn.",
    starter="""\
def scaled_scores(query, key):          # (batch, query, d_head), (batch, key, d_head)
    ...                                 # → (batch, query, key)
""",
    see="Why divide by √d_head",
)

EXERCISES = [SOFTMAX_AXIS, SCALED_SCORES]
