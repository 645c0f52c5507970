import math

import pytest
import torch

from course_lib.experiments import clean_text
from course_lib.experiments.clean_text import (
    LEAK_STEPS,
    SEEDS,
    leaky_splits,
    loss_on,
    stages,
    stored_runs,
    train_on,
    unseen_pages,
    watch_leaks,
    without_repeated_lines,
)
from course_lib.experiments.messy_web import messy_web
from course_lib.text.duplicates import near_duplicate_pairs
from course_lib.text.splits import contamination


@pytest.fixture(scope="module")
def pages():
    return messy_web(0, scale=0.2)


@pytest.mark.slow
def test_stages_keep_less_and_less_and_controls_are_as_small(pages):
    texts = stages(pages)
    sizes = {name: len(kept) for name, kept in texts.items()}
    assert sizes["raw"] == sizes["cleaned"] == len(pages) > sizes["filtered"] > sizes["no copies"]
    assert sizes["cleaned, at random"] == sizes["filtered, at random"] == sizes["no copies"]
    assert near_duplicate_pairs(texts["no copies"], threshold=clean_text.THRESHOLD) == []
    assert set(texts["no copies"]) <= set(texts["filtered"]) <= set(texts["cleaned"])
    assert set(texts["filtered, at random"]) <= set(texts["filtered"])
    assert not any("example.org" in text for text in texts["cleaned"])


def test_the_pages_that_judge_are_in_no_stage(pages):
    unseen = unseen_pages(pages)
    assert len(unseen) > 50
    assert contamination((page.clean for page in pages), unseen, at_least=0.3) == []


def test_lines_that_stand_on_many_pages_go():
    texts = [f"page {number}\nfooter" for number in range(5)]
    assert without_repeated_lines(texts, at_most=4) == [f"page {number}" for number in range(5)]
    assert without_repeated_lines(texts, at_most=5) == texts


def test_what_leaks_and_what_does_not():
    splits = leaky_splits(0, n_pages=6)
    shares = {
        name: [overlap.share for overlap in contamination(splits["train"], texts, phrase_length=6)]
        for name, texts in splits.items()
    }
    assert min(shares["train"]) == 1.0
    assert max(shares["other pages"], default=0) < 0.3
    assert min(shares["near copies"]) > 0.5 and len(shares["near copies"]) == 6


def test_loss_is_the_mean_over_all_bytes():
    model = clean_text.small_gpt(0)
    texts = ["abc" * 40, "d"]
    tokens = torch.tensor([256, *b"abc" * 40, 256, *b"d", 256])
    total = 0.0
    for start in range(0, len(tokens) - 1, clean_text.CONTEXT):
        window = tokens[None, start : start + clean_text.CONTEXT + 1]
        total += model(window[:, :-1], window[:, 1:]).loss.item() * (window.shape[1] - 1)
    assert loss_on(model, texts) == pytest.approx(total / (len(tokens) - 1), rel=1e-4)
    assert loss_on(model, texts) == pytest.approx(math.log(257), rel=0.1)


@pytest.mark.slow
def test_training_repeats_itself_and_learns():
    texts = ["the cat sat on the mat. " * 20]
    models = [train_on(texts, texts, steps=15) for _ in range(2)]
    losses = [loss_on(model, texts) for model in models]
    assert losses[0] == losses[1] < 4


@pytest.mark.slow
def test_watching_leaks_gives_a_curve_for_each_set():
    curves = watch_leaks(0, steps=2, every=1)
    assert curves["step"] == [1, 2]
    assert {len(curve) for curve in curves.values()} == {2}


def test_stored_runs_hold_every_stage_set_and_seed():
    stored = stored_runs()
    assert len(stored["stages"]) == len(stored["leaks"]) == len(SEEDS)
    names = ["raw", "cleaned", "filtered", "no copies", "cleaned, at random", "filtered, at random"]
    assert all(list(run) == names for run in stored["stages"])
    for run in stored["leaks"]:
        assert run["step"][-1] == LEAK_STEPS
        assert run["near copies"][-1] < run["other lines"][-1] < run["other pages"][-1]
