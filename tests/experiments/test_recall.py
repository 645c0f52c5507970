import pytest
import torch

from course_lib.experiments import recall
from course_lib.experiments.recall import Budget, RecallTask, accuracy, gradient_at_distance, make_models
from course_lib.experiments.recall_models import CNN, LSTM, RNN, Attention, NGram, parameters
from course_lib.experiments.results import load_results

TASK = RecallTask()


def draw(task=TASK, size=200, distance=9, seed=0):
    return task.batch(size, distance, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("distance", [1, 2, 3, 7, 40])
def test_the_pair_that_is_asked_about_stands_exactly_that_far_back(distance):
    tokens, answers = draw(distance=distance)
    for row, answer in zip(tokens, answers.tolist(), strict=True):
        texts = TASK.texts(row)
        key = texts[-1].removesuffix("?")
        assert [place for place, text in enumerate(texts) if text.startswith(f"{key}=")] == [len(texts) - 1 - distance]
        assert texts[-1 - distance] == f"{key}={answer}"
        assert sum("=" in text for text in texts) == TASK.n_pairs
        assert sum("?" in text for text in texts) == 1


def test_place_among_the_pairs_and_answer_are_drawn_evenly():
    tokens, answers = draw(size=3000, distance=12)
    is_pair = tokens < TASK.n_keys * TASK.n_values
    rank = is_pair[:, : tokens.shape[1] - 13].sum(dim=1)
    for counts in (rank.bincount(), answers.bincount()):
        assert (counts / counts.sum() - 1 / len(counts)).abs().max() < 0.05


def test_rewriting_shows_the_key_twice_and_the_later_value_counts():
    task = RecallTask(rewrite=True)
    tokens, answers = draw(task)
    for row, answer in zip(tokens, answers.tolist(), strict=True):
        texts = task.texts(row)
        said = [text for text in texts if text.startswith(texts[-1][0] + "=")]
        assert len(said) == 2 and said[0] != said[1] and said[1].endswith(str(answer))


def test_a_distance_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1 step"):
        draw(distance=0)


def test_each_model_sees_the_same_batches():
    one, other = (list(recall.training_batches(TASK, Budget(steps=5), seed=3)) for _ in range(2))
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(one, other, strict=True))


def test_the_networks_are_of_about_one_size():
    sizes = [parameters(make()) for make in make_models(TASK).values()]
    assert max(sizes) < 1.2 * min(sizes)


def test_ngram_counts_with_add_one():
    model = NGram(3, n_values=4)
    model.fit(torch.tensor([[9, 1, 2], [8, 1, 2], [7, 1, 2]]), torch.tensor([0, 0, 3]))
    chances = model(torch.tensor([[5, 1, 2], [5, 2, 1]])).exp()
    torch.testing.assert_close(chances, torch.tensor([[3 / 7, 1 / 7, 1 / 7, 2 / 7], [0.25] * 4]))
    with pytest.raises(ValueError, match="at least 2"):
        NGram(1, 4)


def test_cnn_sees_its_receptive_field_and_no_more():
    model = CNN(TASK.vocab_size, 4, dilations=(1, 2, 4, 8))
    assert model.receptive_field == 31
    gradients = gradient_at_distance(model, TASK, [30, 31])
    assert gradients[0] > 0 and gradients[1] == 0


def test_attention_cannot_tell_the_order_and_lstm_can():
    tokens, _ = draw(size=1)
    shuffled = torch.cat([tokens[:, torch.randperm(tokens.shape[1] - 1)], tokens[:, -1:]], dim=1)
    attention, lstm = Attention(TASK.vocab_size, 4), LSTM(TASK.vocab_size, 4)
    torch.testing.assert_close(attention(tokens), attention(shuffled))
    assert not torch.allclose(lstm(tokens), lstm(shuffled))
    weights = attention.look(attention.embedding(tokens))[1]
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1))


def test_lstm_starts_with_open_forget_gates_and_rnn_with_an_orthogonal_matrix():
    lstm = LSTM(38, 4).lstm
    torch.testing.assert_close((lstm.bias_ih_l0 + lstm.bias_hh_l0)[32:64], torch.ones(32))
    u = RNN(38, 4).rnn.weight_hh_l0
    torch.testing.assert_close(u @ u.T, torch.eye(72), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_a_short_training_of_attention_beats_guessing():
    torch.manual_seed(0)
    model = Attention(TASK.vocab_size, 4)
    losses = recall.train(model, TASK, Budget(steps=150), seed=1, learning_rate=1e-2)
    assert losses[-1] < 0.5 < losses[0]
    assert accuracy(model, TASK, [4])[0] > 0.8


@pytest.mark.slow
def test_learned_is_the_same_for_the_same_seed_and_learns():
    make = make_models(TASK)["attention"]
    one, other = (recall.learned(make, TASK, Budget(steps=60), 1e-2, seed=1, distance=2) for _ in range(2))
    assert one == other > 0.4


def test_more_steps_and_a_wider_state_at_tiny_size(monkeypatch):
    asked = []
    monkeypatch.setattr(
        recall, "learned", lambda make, task, budget, rate, seed: asked.append((make(), task, budget)) or rate + seed
    )
    found = recall.measure_more(0.5, lambda line: None, Budget(steps=2, batch_size=4), seeds=(1, 2))
    assert found == {"pairs": 16, "accuracy": {"steps x 4": [1.5, 2.5], "state x 4": [1.5, 2.5]}}
    assert [(model.lstm.hidden_size, budget.steps) for model, _, budget in asked] == [(32, 8)] * 2 + [(128, 2)] * 2
    assert {task.n_pairs for _, task, _ in asked} == {recall.MORE_PAIRS}


def test_far_only_trains_on_no_short_distance():
    batches = list(recall.training_batches(TASK, Budget(steps=30, batch_size=2, shortest=24), seed=0))
    reach = {tokens.shape[1] - 1 - TASK.n_pairs for tokens, _ in batches}  # distance and up to 3 of filler
    assert min(reach) >= 24 and max(reach) <= 32 + 3
    rates = {"LSTM": 1e-2, "attention": 1e-2}
    shares = recall.measure_far_only(rates, lambda line: None, Budget(steps=1, batch_size=4, shortest=24), seeds=(1, 2))
    assert set(shares) == set(rates) and all(0 <= share <= 1 for runs in shares.values() for share in runs)
    assert [len(runs) for runs in shares.values()] == [2, 2]
    assert (recall.FAR_ONLY.shortest, recall.FAR_ONLY.steps) == (24, recall.LONG.steps)


def test_results_are_there_complete_and_name_their_command():
    stored = load_results("recall")
    assert stored["command"] == "python -m course_lib.experiments.recall"
    assert stored["distances"] == list(recall.DISTANCES) and stored["pairs"] == list(recall.PAIRS)
    assert set(stored["recall"]["accuracy"]) == {"3-gram", *make_models(TASK)}
    for runs in stored["recall"]["accuracy"].values():
        assert len(runs) == len(recall.SEEDS) and all(len(run) == len(recall.DISTANCES) for run in runs)
    assert [len(runs) for runs in stored["more"]["accuracy"].values()] == [3, 3]
    assert stored["more"]["pairs"] == recall.MORE_PAIRS and recall.MORE_PAIRS in recall.PAIRS
    assert [len(runs) for runs in stored["far_only"].values()] == [len(recall.SEEDS)] * 2
    assert stored["parameters"] == {name: parameters(make()) for name, make in make_models(TASK).items()}
