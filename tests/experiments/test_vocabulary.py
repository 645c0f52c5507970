import math

import pytest

from course_lib.experiments import vocabulary
from course_lib.experiments.vocabulary import bits_per_byte, floor_in_bits, stored_runs, stored_table, train_one
from course_lib.text import load_corpus
from course_lib.text.tokenizers import BPETokenizer


def test_the_unit_does_not_depend_on_the_cut():
    assert bits_per_byte(math.log(2), 8, 8) == pytest.approx(1.0)
    assert bits_per_byte(3.0, 4, 10) == pytest.approx(bits_per_byte(1.5, 8, 10))


@pytest.mark.slow
def test_the_floor_in_bits_is_the_corpus_floor_in_nats():
    floor, stories = vocabulary._corpus().floor, vocabulary._corpus().validation
    tokenizer = BPETokenizer.train(stories[:9], 257)
    n_tokens = sum(len(tokenizer.encode(story)) + 1 for story in stories)
    nats = floor.per_token(tokenizer, "validation")
    n_bytes = sum(len(story.encode()) for story in stories)
    assert floor_in_bits() == pytest.approx(bits_per_byte(nats, n_tokens, n_bytes))


@pytest.mark.slow
@pytest.mark.parametrize("fair", ["same tokens", "same text"])
def test_a_short_run_learns_and_repeats_itself(fair, monkeypatch):
    monkeypatch.setattr(vocabulary, "TRAIN_STORIES", 200)
    tokenizer = BPETokenizer.train(load_corpus("tiny_world").train[:200], 400)
    first, again = (train_one(tokenizer, fair, 0, steps=5) for _ in range(2))
    assert first == again
    assert first["nats_per_token"] < math.log(400)
    assert first["bits_per_byte"] < first["nats_per_token"] / math.log(2)


def test_an_unknown_fairness_is_refused():
    with pytest.raises(ValueError, match="not 'same steps'"):
        train_one(BPETokenizer.train(["a story"], 257), "same steps", 0)


@pytest.mark.slow
def test_the_stored_runs_are_those_of_the_recipe():
    stored = stored_runs()
    table = stored_table("bits_per_byte")["same text"]
    assert table[2][3] == stored["runs"]["same text"]["1024"][2]["bits_per_byte"]
    assert (stored["sizes"], stored["steps"]) == (list(vocabulary.SIZES), vocabulary.STEPS)
    assert stored["floor"] == pytest.approx(floor_in_bits())
    for by_size in stored["runs"].values():
        assert list(by_size) == [str(size) for size in vocabulary.SIZES]
        assert all(len(runs) == len(vocabulary.SEEDS) for runs in by_size.values())
        assert all(run["bits_per_byte"] > stored["floor"] for runs in by_size.values() for run in runs)
