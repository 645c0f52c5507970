"""The loop learns what can be learned, repeats itself exactly, and says what is wrong with its settings."""

import math
import os
import tracemalloc
from itertools import islice, pairwise

import pytest
import torch

from course_lib.models.gpt import GPT, IGNORED, GPTConfig
from course_lib.text import CharTokenizer
from course_lib.text.shards import TokenShards, write_shards
from course_lib.training import (
    Documents,
    Record,
    ShardWindows,
    TensorBoard,
    TrainConfig,
    Trainer,
    Windows,
    pick_device,
)
from course_lib.training.batches import count_targets, split_batch
from course_lib.training.optim import learning_rate_factor, make_optimizers
from course_lib.training.progress import ProgressBar

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


class TestWindows:
    def test_each_target_is_the_token_that_follows_and_each_comes_once(self):
        windows = Windows([[5, 6, 7], [8]], 2, end_id=0)
        batches = list(windows.in_order(2))
        assert [b.tokens.tolist() for b in batches] == [[[0, 5], [6, 7]], [[0, 8]]]
        assert [b.targets.tolist() for b in batches] == [[[5, 6], [7, 0]], [[8, 0]]]
        assert windows.n_targets == sum(map(count_targets, batches)) == 6

    def test_what_does_not_fill_a_window_comes_last(self):
        *_, last = Windows([[1, 2, 3, 4]], 3, end_id=0).in_order(8)
        assert (last.tokens.tolist(), last.targets.tolist()) == ([[3, 4]], [[4, 0]])

    def test_a_pass_cuts_windows_that_do_not_overlap_and_the_next_cuts_others(self):
        windows = Windows([list(range(1, 103))], 8, end_id=0)
        batches = windows.shuffled(3, torch.Generator().manual_seed(1))
        passes = [sorted(torch.cat([next(batches).tokens[:, 0] for _ in range(4)]).tolist()) for _ in range(2)]
        for starts in passes:
            assert all(after - before == 8 for before, after in pairwise(starts))
        assert passes[0][0] != passes[1][0]

    def test_a_text_of_one_window(self):
        batch = next(Windows([[1, 2, 3]], 4, end_id=0).shuffled(5, torch.Generator()))
        assert batch.tokens.tolist() == [[0, 1, 2, 3]]

    def test_too_short(self):
        with pytest.raises(ValueError, match="too short: 3 predictions in all, and the context is 4"):
            Windows([[1, 2]], 4, end_id=0)


@pytest.fixture
def shards(tmp_path) -> TokenShards:
    """About a thousand tokens in files of 100."""
    texts = ["".join("abcdefg"[(start + i) % 7] for i in range(40 + start)) for start in range(23)]
    return write_shards(texts, CharTokenizer.train(texts), tmp_path / "shards", shard_tokens=100)


class TestShardWindows:
    def test_the_same_windows_as_from_memory(self, shards):
        on_disk, in_memory = ShardWindows(shards, 16), Windows([[0] * 20], 16, end_id=0)
        in_memory.tokens = torch.from_numpy(shards[:].astype(int))
        assert on_disk.n_targets == in_memory.n_targets == len(shards) - 1
        for batches in (lambda windows: windows.in_order(5), lambda windows: windows.shuffled(5, seeded())):
            for one, other in zip(islice(batches(on_disk), 30), islice(batches(in_memory), 30), strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_only_what_is_read_is_in_memory(self, tmp_path):
        tokenizer = CharTokenizer.train(["abcdefgh"])
        shards = write_shards(("abcdefgh" * 500 for _ in range(500)), tokenizer, tmp_path, shard_tokens=50_000)
        tracemalloc.start()
        batches = ShardWindows(TokenShards(tmp_path), 64).shuffled(8, seeded())
        for _ in range(20):
            next(batches)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * len(shards) / 20  # two bytes for each of the ids would be 4 MB

    @pytest.mark.slow
    def test_interrupted_and_resumed_bit_for_bit(self, shards, tmp_path):
        def run(stop_after: int, resume: bool) -> GPT:
            model = tiny_gpt(vocab_size=shards.vocab_size, dropout=0.1)
            windows = ShardWindows(TokenShards(shards.folder), 16)
            config = TrainConfig(25, batch_size=3, warmup_steps=3, device="cpu", evaluate_every=10)
            run = Trainer(model, windows, windows, config, folder=tmp_path / str(resume or stop_after < 25))
            run.callbacks.append(lambda record: run.stop() if record.step == stop_after else None)
            run.fit(progress=False, resume=resume)
            return model

        unbroken = run(99, resume=False)
        run(23, resume=False)  # in the second pass: 71 windows are 23 batches of 3
        for one, other in zip(unbroken.parameters(), run(99, resume=True).parameters(), strict=True):
            assert torch.equal(one, other)

    def test_another_tokenizers_shards_and_too_few_tokens(self, shards):
        with pytest.raises(ValueError, match=f"hold token {shards.vocab_size - 1}, but the model knows only 0 … 4"):
            windows = ShardWindows(shards, 16)
            Trainer(tiny_gpt(vocab_size=5), windows, windows, TrainConfig(1, device="cpu"))
        with pytest.raises(ValueError, match=f"too short: {len(shards) - 1} predictions in all"):
            ShardWindows(shards, len(shards))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


class TestPlace:
    @pytest.mark.parametrize("source", [Documents, Windows, "shards"])
    @pytest.mark.parametrize("taken", [0, 1, 3, 4, 5, 11])
    def test_batches_go_on_from_a_noted_place(self, source, taken, shards):
        data = ShardWindows(shards, 128) if source == "shards" else source(COUNTING, 12, end_id=0)
        batches = data.shuffled(2, torch.Generator().manual_seed(1))
        for _ in range(taken):
            next(batches)
        place = batches.state_dict()
        expected = [next(batches) for _ in range(10)]
        elsewhere = data.shuffled(2, torch.Generator().manual_seed(99))
        next(elsewhere)
        elsewhere.load_state_dict(place)
        for batch in expected:
            assert all(torch.equal(a, b) for a, b in zip(batch, next(elsewhere), strict=True))


class TestPieces:
    @pytest.mark.parametrize("n_pieces", [1, 2, 3, 5, 9])
    def test_weighted_by_their_targets_the_losses_average_to_that_of_the_batch(self, n_pieces):
        model = tiny_gpt().double()
        batch = next(Documents([[1], [2, 3], [1, 2, 3, 4], [5], [6, 7, 1, 2, 3]], 16, end_id=0).in_order(5))
        pieces = split_batch(batch, n_pieces)
        assert len(pieces) == n_pieces
        total = sum(model(*piece).loss * n for piece, n in pieces) / count_targets(batch)
        assert total.item() == pytest.approx(model(*batch).loss.item(), rel=1e-12)


class TestFit:
    @pytest.mark.slow
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

    @pytest.mark.parametrize("micro_batch_size", [1, 2, 3])
    def test_parts_of_a_batch_add_up_to_the_batch(self, micro_batch_size):
        documents = Documents([[1 + i % 7 for i in range(n)] for n in range(1, 12)], 16, end_id=0)
        models = [tiny_gpt(), tiny_gpt()]
        for model, size in zip(models, (None, micro_batch_size), strict=True):
            config = TrainConfig(4, batch_size=4, micro_batch_size=size, device="cpu", precision="float32")
            Trainer(model, documents, documents, config).fit(progress=False)
        for a, b in zip(*(m.parameters() for m in models), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

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


def limit_memory(model: GPT, rows: int, error: type[RuntimeError] = torch.OutOfMemoryError) -> None:
    """Let the model run out of memory when it is given more rows than that at once, in training."""

    def check(module, inputs):
        if module.training and len(inputs[0]) > rows:
            raise error("CUDA out of memory. Tried to allocate 2 GiB")

    model.register_forward_pre_hook(check)


class TestOutOfMemory:
    @pytest.mark.slow
    @pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
    def test_the_micro_batch_is_halved_the_batch_stays_and_it_is_said(self, error, capsys):
        small, large = tiny_gpt(), tiny_gpt()
        trainer(large, precision="float32", steps=5).fit(progress=False)
        limit_memory(small, 1, error)
        run = trainer(small, precision="float32", steps=5)
        run.fit(progress=False)
        said = capsys.readouterr().out
        assert "Out of memory with 4 rows at once: going on with 2 at a time. The batch stays at 4" in said
        assert "Out of memory with 2 rows at once: going on with 1 at a time." in said
        assert run.accumulate == 4
        for a, b in zip(small.parameters(), large.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_when_not_even_one_row_fits(self):
        model = tiny_gpt()
        limit_memory(model, 0)
        with pytest.raises(MemoryError, match="not enough memory for 1 row"):
            trainer(model).fit(progress=False)

    def test_other_errors_pass_through(self):
        model = tiny_gpt()
        model.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trainer(model).fit(progress=False)


class TestProgress:
    def test_it_says_loss_speed_and_utilization(self):
        bar = ProgressBar(10, 0, share_per_speed=0.0005, shown=False)
        first, second = (Record(n, 1000 * n, 2.0 * n, 1.5, None, 0.1, 1.0) for n in (1, 2))
        assert bar.words(first) == "loss 1.500"
        assert bar.words(second) == "loss 1.500, 500 tokens/s, MFU 25.0%"


class TestTensorBoard:
    def test_what_it_writes(self, tmp_path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = TensorBoard(tmp_path, floor=0.2)
        run = trainer(tiny_gpt(), steps=4, evaluate_every=2)
        run.callbacks.append(board)
        history = run.fit(progress=False)
        board.close()
        events = EventAccumulator(str(tmp_path)).Reload()
        assert [e.value for e in events.Scalars("loss/training")] == pytest.approx([r.train_loss for r in history])
        assert [e.step for e in events.Scalars("loss/validation")] == [2, 4]
        assert [e.value for e in events.Scalars("loss/floor")] == pytest.approx([0.2] * 4)


class TestCompile:
    @pytest.mark.skipif("COURSE_FULL" not in os.environ, reason="compiling takes a minute; COURSE_FULL=1 does it")
    def test_a_compiled_model_learns_the_same(self):
        plain, compiled = tiny_gpt(), tiny_gpt()
        trainer(plain, steps=8, precision="float32").fit(progress=False)
        trainer(compiled, steps=8, precision="float32", compile=True).fit(progress=False)
        for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)

    def test_it_is_asked_for(self, monkeypatch):
        asked = []
        monkeypatch.setattr(torch, "compile", lambda model: asked.append(model) or model)
        model = tiny_gpt()
        trainer(model)
        assert not asked
        trainer(model, compile=True)
        assert asked == [model]


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
            ({"steps": 1, "micro_batch_size": 0}, "micro_batch_size must be at least 1, but it is 0"),
            ({"steps": 1, "patience": 0}, "patience must be at least 1"),
        ],
    )
    def test_config(self, settings, message):
        with pytest.raises(ValueError, match=message):
            TrainConfig(**settings)

    def test_another_tokenizer(self):
        with pytest.raises(
            ValueError, match=r"hold token 7, but the model knows only 0 … 6: was the text encoded with"
        ):
            trainer(tiny_gpt(vocab_size=7))

    def test_documents_longer_than_the_context(self):
        with pytest.raises(ValueError, match="13 tokens long, but this model's context is 8"):
            trainer(tiny_gpt(context_length=8)).fit(progress=False)

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
