"""Pairs for an encoder–decoder: what is padded how, that nothing is lost, and that the trainer takes them."""

import pytest
import torch

from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.models.gpt import IGNORED
from course_lib.training import Pairs, TrainConfig, Trainer

SOURCES = [[5, 6, 7], [8], [9, 5], [6, 6, 6, 6]]
TARGETS = [[4, 4], [7], [5, 9, 8, 4], []]
END, PAD = 1, 0


def pairs(**settings) -> Pairs:
    return Pairs(SOURCES, TARGETS, **{"context_length": 5, "end_id": END, "pad_id": PAD, **settings})


def test_both_texts_end_and_are_filled_up_in_their_own_way():
    batch = next(iter(pairs().in_order(4)))
    assert batch.source.tolist() == [[8, 1, 0, 0, 0], [5, 6, 7, 1, 0], [9, 5, 1, 0, 0], [6, 6, 6, 6, 1]]
    gap = IGNORED
    assert batch.targets.tolist() == [[7, 1, gap, gap, gap], [4, 4, 1, gap, gap], [5, 9, 8, 4, 1], [1, *[gap] * 4]]
    assert pairs().n_targets == 2 + 3 + 5 + 1
    assert pairs().largest_id == 9


def test_every_pair_once_in_each_pass_and_alike_again_from_one_place():
    source = pairs()
    batches = source.shuffled(2, torch.Generator().manual_seed(0))
    first = [next(batches) for _ in range(2)]
    firsts = sorted(row[0] for batch in first for row in batch.source.tolist())
    assert firsts == [5, 6, 8, 9]
    place = batches.state_dict()
    following = [next(batches) for _ in range(5)]
    batches.load_state_dict(place)
    for batch, again in zip(following, batches, strict=False):
        assert all(torch.equal(*both) for both in zip(batch, again, strict=True))


@pytest.mark.slow
def test_the_trainer_takes_them():
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    texts = [torch.randint(2, 12, (int(torch.randint(2, 6, (), generator=draw)),), generator=draw) for _ in range(300)]
    texts = [text.tolist() for text in texts]
    data = Pairs(texts, texts, 6, end_id=END, pad_id=PAD)
    model = EncoderDecoder(EncoderDecoderConfig(12, 6, 32, 4, 1, norm_position="pre", label_smoothing=0.1))
    config = TrainConfig(steps=60, batch_size=30, evaluate_every=60, warmup_steps=5, device="cpu", precision="float32")
    trainer = Trainer(model, data, data, config)
    before = trainer.evaluate()
    history = trainer.fit(progress=False)
    assert history[-1].validation_loss < before - 1
    assert history[-1].tokens == sum(len(text) + 1 for text in texts) * 6


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ([], [], "0 texts to read and 0 to write"),
        ([[4]], [[4], [5]], "1 texts to read and 2 to write: give pairs"),
        ([[4], [4] * 5], [[4], [4]], "Pair 1 has a text of 6 tokens with its end, and the context is 5"),
        ([[4], [4]], [[4] * 9, [4]], "Pair 0 has a text of 10 tokens"),
    ],
)
def test_what_is_no_pair(sources, targets, message):
    with pytest.raises(ValueError, match=message):
        Pairs(sources, targets, 5, end_id=END, pad_id=PAD)


def test_a_vocabulary_that_is_too_small():
    model = EncoderDecoder(EncoderDecoderConfig(9, 6, 16, 4, 1))
    with pytest.raises(ValueError, match="token 9, but the model knows only 0 … 8"):
        Trainer(model, pairs(), pairs(), TrainConfig(steps=1))
