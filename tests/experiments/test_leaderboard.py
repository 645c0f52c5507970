"""The leader board: its score is the exact one, its guards find what they are for, its file survives damage."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib.experiments import leaderboard
from course_lib.experiments.leaderboard import Board, Entry, Recipe, enter, problems, refuse_known, score, story_nats
from course_lib.models.gpt import GPT, GPTConfig, GPTOutput
from course_lib.text import load_corpus
from course_lib.text.tokenizers import CharTokenizer

SMALL = Recipe(
    "small",
    {"d_model": 16, "n_heads": 2, "n_layers": 1, "context_length": 64},
    {"device": "cpu", "precision": "float32", "learning_rate": 0.03},
    vocab_size=None,
    stories=400,  # of fewer it learns that some characters never come
)


SECONDS = 1.5


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("tiny_world")


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return CharTokenizer.train(corpus.train[:200])


def model_of(tokenizer, context=384):
    torch.manual_seed(0)
    return GPT(GPTConfig(tokenizer.vocab_size, context, 16, 2, 1)).eval()


class Author(nn.Module):
    """Knows every validation story by heart, and nothing else."""

    def __init__(self, config, rows):
        super().__init__()
        self.config = config
        self.after = {tuple(row[: place + 1]): row[place + 1] for row in rows for place in range(len(row) - 1)}

    def forward(self, tokens):
        logits = torch.zeros(*tokens.shape, self.config.vocab_size)
        for text, row in enumerate(tokens.tolist()):
            for place in range(len(row)):
                if (token := self.after.get(tuple(row[: place + 1]))) is not None:
                    logits[text, place, token] = 5.0
        return GPTOutput(logits)


class Peeking(nn.Module):
    """Sees the token that it is to predict."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, tokens):
        ahead = tokens.roll(-1, dims=1)
        return GPTOutput(9.0 * nn.functional.one_hot(ahead, self.config.vocab_size).float())


class TestScore:
    def test_a_story_costs_the_sum_over_its_characters_and_its_end(self, corpus, tokenizer):
        model, story = model_of(tokenizer), corpus.validation[0]
        row = torch.tensor([tokenizer.end_id, *tokenizer.encode(story), tokenizer.end_id])
        with torch.no_grad():
            expected = model(row[None, :-1], row[None, 1:]).loss.item() * (len(row) - 1)
        alone, together = (story_nats(model, tokenizer, texts)[0] for texts in ([story], corpus.validation[:5]))
        assert alone == pytest.approx(expected, rel=1e-5)
        assert together == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("context", [7, 16, 50])
    def test_a_short_context_scores_every_token_once(self, corpus, tokenizer, context):
        uniform = model_of(tokenizer, context)
        with torch.no_grad():
            for weight in uniform.parameters():
                weight.zero_()
        story = corpus.validation[0]
        expected = (len(story) + 1) * math.log(tokenizer.vocab_size)
        assert story_nats(uniform, tokenizer, [story])[0] == pytest.approx(expected)

    def test_a_model_that_knows_nothing_is_ln_v_minus_the_floor_away(self, corpus, tokenizer):
        model = model_of(tokenizer)
        with torch.no_grad():
            for weight in model.parameters():
                weight.zero_()
        stories = corpus.validation[:30]
        floor = type(corpus.floor)({"validation": stories}).per_character("validation")
        distance, error = score(model, tokenizer, stories)
        assert distance == pytest.approx(math.log(tokenizer.vocab_size) - floor, rel=1e-6)
        assert 0 < error < 0.02


class TestGuards:
    def test_an_honest_model_has_no_problem(self, corpus, tokenizer):
        model = model_of(tokenizer)
        distance, error = score(model, tokenizer, corpus.validation[:30])
        assert problems(model, tokenizer, distance, error, fresh_seed=0) == []

    def test_a_model_that_peeks(self, tokenizer):
        found = problems(Peeking(GPTConfig(tokenizer.vocab_size, 384, 16, 2, 1)), tokenizer, 3.0, 0.01, fresh_seed=0)
        assert "sees what it is to predict" in found[0]

    def test_a_loss_below_the_floor(self, tokenizer):
        found = problems(model_of(tokenizer), tokenizer, -0.1, 0.01, fresh_seed=0)
        assert "0.100 nats per character below the floor" in found[0]

    def test_stories_known_by_heart(self, corpus, tokenizer):
        rows = [[tokenizer.end_id, *tokenizer.encode(text), tokenizer.end_id] for text in corpus.validation[:30]]
        author = Author(GPTConfig(tokenizer.vocab_size, 384, 16, 2, 1), rows)
        distance, error = score(author, tokenizer, corpus.validation[:30])
        found = problems(author, tokenizer, distance, error, fresh_seed=0)
        assert any("by heart" in problem for problem in found)

    def test_validation_stories_among_the_texts(self, corpus):
        held_out = corpus.validation[:50]
        refuse_known(corpus.train, held_out)
        body = held_out[7].partition("\n")[0]
        for hidden in (held_out[7], f"Once. {body.upper()}  And so on.", corpus.train[0] + " " + held_out[7]):
            with pytest.raises(ValueError, match="1 of the 50 validation stories"):
                refuse_known([*corpus.train[:100], hidden], held_out)

    def test_enter_refuses_them(self, corpus):
        with pytest.raises(ValueError, match="20 of the 200 validation stories"):
            enter(SMALL, 1.0, stories=corpus.train[:50] + corpus.validation[:20])

    @pytest.mark.parametrize("seconds, clock", [(0, "wall"), (-1.0, "wall"), (1.0, "sun")])
    def test_a_time_that_is_none(self, seconds, clock):
        with pytest.raises(ValueError, match="seconds above 0"):
            enter(SMALL, seconds, clock=clock)


@pytest.fixture(scope="module")
def entry():
    leaderboard.FRESH, kept = 10, leaderboard.FRESH
    leaderboard.SCORED, scored = 20, leaderboard.SCORED
    yield enter(SMALL, SECONDS, clock="processor")
    leaderboard.FRESH, leaderboard.SCORED = kept, scored


class TestEntry:
    @pytest.mark.slow
    def test_it_takes_its_time_and_counts_everything(self, entry):
        assert SECONDS <= entry.seconds < SECONDS + 1.5
        assert entry.steps > 0 and entry.tokens == 8 * 64 * entry.steps
        assert entry.parameters == GPT(GPTConfig(**_config(entry))).count_parameters()
        assert entry.problems == [] and entry.compile_seconds == 0 and "float32" in entry.machine

    @pytest.mark.slow
    def test_it_reads_stories_with_characters_that_its_own_lack(self, monkeypatch, corpus):
        monkeypatch.setattr(leaderboard, "SCORED", 20)
        monkeypatch.setattr(leaderboard, "FRESH", 10)
        told = next(text for text in corpus.validation if ":" in text)
        monkeypatch.setattr(leaderboard, "tell_fresh", lambda count, corpus, seed: [told] * count)
        few = [text for text in corpus.train if ":" not in text][:40]
        assert math.isfinite(enter(SMALL, 0.5, stories=few, clock="processor").distance)

    @pytest.mark.slow
    def test_it_learns(self, entry):
        assert entry.distance < 3.5  # knowing nothing: 3.8


def _config(entry):
    tokenizer = CharTokenizer.train(load_corpus("tiny_world").train)
    return {"vocab_size": tokenizer.vocab_size, **entry.settings["model"]}


class TestBoard:
    @pytest.mark.slow
    def test_it_keeps_entries_and_sorts_them_among_the_courses(self, tmp_path, entry):
        board = Board(tmp_path / "board.json")
        board.add(entry)
        board.add(replace(entry, name="best", distance=0.001))
        again = Board(tmp_path / "board.json")
        assert again.own == board.own
        assert again.entries()[0].name == "best" and len(again.entries()) == 2 + len(leaderboard.course_entries())
        assert "best\n" in again.table() and "(course)" in again.table()
        assert [one.name for one in again.entries(budget=SECONDS)] == ["best", "small"]

    def test_an_entry_with_a_problem_stays_off(self, tmp_path, entry):
        board = Board(tmp_path / "board.json")
        with pytest.raises(ValueError, match="cannot stand on the board. It peeked."):
            board.add(replace(entry, problems=["It peeked."]))
        assert not board.path.exists() and board.own == []

    @pytest.mark.parametrize("content", ["{", "[]", '{"entries": [{}]}', '{"entries": 3}', "\xff"])
    def test_a_damaged_file_is_set_aside(self, tmp_path, entry, content):
        path = tmp_path / "board.json"
        path.write_bytes(content.encode("latin-1"))
        board = Board(path)
        assert board.own == [] and "set aside" in board.note
        assert (tmp_path / "board.damaged.json").read_bytes() == content.encode("latin-1")
        board.add(entry)
        assert Board(path).own == [entry]

    def test_it_lies_beside_the_progress(self, tmp_path, monkeypatch):
        monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
        assert leaderboard.board_path() == tmp_path / "leaderboard.json"

    def test_the_courses_entries_are_sound(self):
        entries = leaderboard.course_entries()
        assert {(one.budget, one.name) for one in entries} == {(t, recipe.name) for t, recipe in leaderboard.PLANNED}
        for one in entries:
            assert one.problems == [] and one.distance > 0 and one.machine
            assert one.budget <= one.seconds < 1.1 * one.budget + 2
            assert isinstance(one, Entry)
