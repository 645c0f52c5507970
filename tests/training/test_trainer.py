"""The loop learns what can be learned, repeats itself exactly, and says what is wrong with its settings."""

import math

import pytest
import torch

from course_lib.models.gpt import GPT, IGNORED, GPTConfig
from course_lib.training import Documents, TrainConfig, Trainer, pick_device
from course_lib.training.optim import learning_rate_factor, make_optimizers

COUNTING = [[1 + (start + i) % 7 for i in range(12)] for start in range(7)]  # each token follows from the one before


def tiny_gpt(seed: int = 0, **changes) -> GPT:
    torch.manual_seed(seed)
    settings = {"vocab_size": 8, "context_length": 16, "d_model": 32, "n_heads": 2, "n_layers": 1} | changes
    return GPT(GPTConfig(**settings))


def trainer(model: GPT, **changes) -> Trainer:
    documents = Documents(COUNTING, 16, end_id=0)
    settings = {"steps": 40, "batch_size": 4, "warmup_steps": 5, "evaluate_every": 20, "device": "cpu"} | changes
    return Trainer(model, documents, documents, TrainConfig(**settings))


class TestDocuments:
    def test_each_target_is_the_token_that_follows(self):
        tokens, targets = next(Documents([[5, 6, 7]], 16, end_id=0).in_order(1))
        assert tokens.tolist() == [[0, 5, 6, 7]]
        assert targets.tolist() == [[5, 6, 7, 0]]

    def test_padding_is_never_a_target_and_never_outside_the_vocabulary(self):
        tokens, targets = next(Documents([[5], [1, 2, 3]], 16, end_id=0).in_order(2))
        assert targets.tolist() == [[5, 0, IGNORED, IGNORED], [1, 2, 3, 0]]
        assert tokens.min() == 0

    def test_a_long_document_is_cut_at_the_context_from_its_beginning(self):
        documents = Documents([[1, 2, 3, 4, 5]], 3, end_id=0)
        tokens, targets = next(documents.in_order(1))
        assert tokens.tolist() == [[0, 1, 2]]
        assert targets.tolist() == [[1, 2, 3]]
        assert documents.n_targets == 3

    def test_a_pass_shows_every_document_once(self):
        batches = Documents(COUNTING, 16, end_id=0).shuffled(2, torch.Generator().manual_seed(1))
        first_pass = [row[1].item() for _ in range(4) for row in next(batches).tokens]
        assert sorted(first_pass) == list(range(1, 8))

    def test_no_documents(self):
        with pytest.raises(ValueError, match="no documents"):
            Documents([], 16, end_id=0)


class TestFit:
    def test_learns_to_count(self):
        model = tiny_gpt()
        records = trainer(model, steps=150, learning_rate=1e-2).fit(progress=False)
        assert records[0].train_loss > math.log(8) * 0.8
        # Only the first token of a document (7 equally likely) cannot be predicted: ln 7 over 13 targets.
        floor = math.log(7) / 13
        assert records[-1].validation_loss == pytest.approx(floor, rel=0.1)

    @pytest.mark.parametrize("optimizer", ["adamw", "muon"])
    def test_the_same_seed_gives_the_same_weights(self, optimizer):
        models = [tiny_gpt(), tiny_gpt()]
        for model in models:
            trainer(model, optimizer=optimizer, steps=5).fit(progress=False)
        for a, b in zip(*(m.state_dict().values() for m in models), strict=True):
            assert torch.equal(a, b)

    def test_records_count_targets_and_evaluate_when_due(self):
        records = trainer(tiny_gpt(), steps=45).fit(progress=False)
        assert [r.step for r in records if r.validation_loss is not None] == [20, 40, 45]
        assert records[1].tokens == 7 * 13  # two batches are one pass
        assert records[-1].learning_rate < records[10].learning_rate

    def test_a_second_round_has_records_of_its_own(self):
        run = trainer(tiny_gpt(), steps=3)
        first, second = run.fit(progress=False), run.fit(progress=False)
        assert [r.step for r in first] == [r.step for r in second] == [1, 2, 3]
        assert second[0].tokens == first[0].tokens
        assert run.history is second

    def test_an_interrupt_keeps_what_was_learned(self, capsys):
        def stop_at_three(record):
            if record.step == 3:
                raise KeyboardInterrupt

        model = tiny_gpt()
        run = trainer(model)
        run.callbacks.append(stop_at_three)
        assert len(run.fit(progress=False)) == 3
        assert "Stopped after 3 of 40 steps" in capsys.readouterr().out
        assert not model.training
        assert all(p.grad is None for p in model.parameters())

    def test_evaluation_weighs_every_target_alike_and_switches_dropout_off(self):
        model = tiny_gpt(dropout=0.5)
        documents = Documents([[1], [1, 2, 3, 4, 5, 6, 7]], 16, end_id=0)
        run = Trainer(model, documents, documents, TrainConfig(steps=1, device="cpu", precision="float32"))
        model.train()
        together, apart = run.evaluate(batch_size=2), run.evaluate(batch_size=1)
        assert together == pytest.approx(apart, rel=1e-5)
        assert model.training

    def test_gradients_are_clipped(self):
        model = tiny_gpt()
        run = trainer(model, clip_norm=1e-3, precision="float32")
        seen = []
        for optimizer in run.optimizers:
            optimizer.register_step_pre_hook(
                lambda *_: seen.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item())
            )
        run._update(next(run.train.in_order(4)), 0)
        assert seen == [pytest.approx(1e-3, rel=1e-2)]

    def test_gradients_from_before_the_step_do_not_count(self):
        fresh, used = tiny_gpt(), tiny_gpt()
        batch = next(trainer(used).train.in_order(4))
        used(*batch).loss.backward()
        norms = [trainer(model, precision="float32")._update(batch, 0)[1] for model in (fresh, used)]
        assert norms[0] == norms[1]

    @pytest.mark.parametrize("broken", [math.inf, math.nan])
    @pytest.mark.parametrize("optimizer", ["adamw", "muon"])
    def test_an_overflow_in_float16_stops_every_optimizer(self, optimizer, broken):
        model = tiny_gpt()
        run = trainer(model, optimizer=optimizer, precision="float16")
        model.blocks[0].feed_forward.down.weight.register_hook(lambda gradient: torch.full_like(gradient, broken))
        before = [p.clone() for p in model.parameters()]
        scale = run.scaler.get_scale()
        run._update(next(run.train.in_order(4)), 0)
        assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
        assert run.scaler.get_scale() < scale


class TestOptimizers:
    @pytest.mark.parametrize("name", ["adamw", "muon"])
    def test_every_parameter_is_in_exactly_one_group(self, name):
        model = tiny_gpt(tie_embeddings=False)
        groups = [g for o in make_optimizers(model, name, learning_rate=1.0, weight_decay=1.0) for g in o.param_groups]
        ids = [id(p) for g in groups for p in g["params"]]
        assert sorted(ids) == sorted(id(p) for p in model.parameters())
        assert all(g["weight_decay"] == 0 for g in groups for p in g["params"] if p.ndim < 2)

    def test_muon_moves_the_matrices_of_the_blocks_only(self):
        model = tiny_gpt(tie_embeddings=False)
        muon, _ = make_optimizers(model, "muon", learning_rate=1.0, weight_decay=1.0)
        moved = {id(p) for g in muon.param_groups for p in g["params"]}
        assert moved == {id(p) for p in model.blocks.parameters() if p.ndim == 2}

    def test_warm_up_then_half_a_cosine(self):
        factors = [learning_rate_factor(s, steps=110, warmup_steps=10, final=0.1) for s in range(111)]
        assert factors[0] == pytest.approx(0.1)
        assert factors[9] == factors[10] == pytest.approx(1.0)
        assert factors[60] == pytest.approx(0.55)
        assert factors[110] == pytest.approx(0.1)


class TestBadSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"steps": 0}, "steps must be at least 1, but it is 0"),
            ({"steps": 1, "batch_size": -2}, "batch_size must be at least 1, but it is -2"),
            ({"steps": 1, "optimizer": "adamm"}, "no optimiser 'adamm'"),
        ],
    )
    def test_config(self, settings, message):
        with pytest.raises(ValueError, match=message):
            TrainConfig(**settings)

    def test_devices(self):
        with pytest.raises(ValueError, match="no device 'gpu'"):
            pick_device("gpu")
        with pytest.raises(ValueError, match="no precision 'half'"):
            pick_device("cpu", "half")
        if not torch.cuda.is_available():
            with pytest.raises(ValueError, match="has no 'cuda'"):
                pick_device("cuda")

    def test_the_automatic_choice_says_why(self):
        device = pick_device()
        assert device.reason
        assert str(device).startswith(device.name)
