import pytest
import torch

from course_lib.experiments import sentences
from course_lib.hub import load_model
from course_lib.hub.huggingface import fast_tokenizer
from course_lib.models.gpt import IGNORED


@pytest.fixture(scope="module")
def tokenizer():
    return fast_tokenizer(load_model("story_gpt")[1])


def test_the_two_kinds_of_labels_differ_at_the_ends_alone(tokenizer):
    rows = sentences.gpt_rows(tokenizer, sentences.sentences("train")[:20])
    end = tokenizer.eos_token_id
    assert tokenizer.pad_token_id == end and all(row[-1] == end for row in rows)
    made = {name: sentences.collate_gpt(end, labels)(rows) for name, labels in sentences.LABELS.items()}
    without, with_end = (batch["labels"] for batch in made.values())
    differing = without != with_end
    assert differing.sum() == len(rows)
    assert bool((with_end[differing] == end).all()) and bool((without[differing] == IGNORED).all())


def test_labels_by_id_are_the_collators(tokenizer):
    from transformers import DataCollatorForLanguageModeling

    rows = sentences.gpt_rows(tokenizer, sentences.sentences("train")[:5])
    theirs = DataCollatorForLanguageModeling(tokenizer, mlm=False)([{"input_ids": row} for row in rows])
    ours = sentences.collate_gpt(tokenizer.pad_token_id, sentences.by_id)(rows)
    for name in ("input_ids", "labels"):
        assert torch.equal(ours[name], theirs[name])


@pytest.mark.slow
def test_training_learns_and_looks_when_it_should(tokenizer):
    rows = sentences.gpt_rows(tokenizer, sentences.sentences("train")[:64])
    collate = sentences.collate_gpt(tokenizer.pad_token_id, sentences.by_mask)
    model, losses, batch = sentences.new_gpt2(tokenizer, 0), [], collate(rows)
    looks = {look: lambda: losses.append(sentences.loss_at_masks(model, batch)) for look in (0, 4, 8)}
    sentences.fit(model, rows, collate, steps=8, learning_rate=3e-3, seed=0, looks=looks)
    assert len(losses) == 3 and losses[0] > losses[1] > losses[2] + 0.2
    again = sentences.fit(sentences.new_gpt2(tokenizer, 0), rows, collate, steps=8, learning_rate=3e-3, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not model.training


def test_lengths_are_counted_to_the_first_end(tokenizer, monkeypatch):
    model, end = sentences.new_gpt2(tokenizer, 0), tokenizer.eos_token_id
    made = torch.full((2, sentences.PROMPT_LENGTH + sentences.MOST_NEW), end + 1)
    made[0, sentences.PROMPT_LENGTH + 3 :] = end
    monkeypatch.setattr(model, "generate", lambda *args, **kwargs: made)
    assert sentences.written_lengths(model, tokenizer, prompts=2) == [3, sentences.MOST_NEW]


def test_the_two_starts_differ_in_their_weights_alone():
    (known, _), (new, _) = (sentences.bert_from(start, 0) for start in sentences.STARTS)
    assert known.config.to_dict() == new.config.to_dict()
    shapes = {name: tensor.shape for name, tensor in known.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in new.state_dict().items()}
    ours = load_model("story_bert")[0].state_dict()
    assert torch.equal(
        known.state_dict()["bert.embeddings.word_embeddings.weight"], ours["bert.token_embedding.weight"]
    )
    assert torch.equal(known.state_dict()["cls.predictions.transform.dense.weight"], ours["head.transform.weight"])


def test_adaptation_measures_before_the_first_step_and_after_the_last(monkeypatch):
    monkeypatch.setattr(sentences, "LOOKS", (0, 2))
    monkeypatch.setattr(sentences, "VALIDATION", 20)
    losses = sentences.adaptation(sentences.STARTS[0], 0, steps=2)
    assert len(losses) == 2 and losses[1] < losses[0] < 7


def test_what_is_stored_is_whole():
    stored = sentences.stored()
    assert set(stored["endings"]) == set(sentences.LABELS) and set(stored["adaptation"]) == set(sentences.STARTS)
    assert all(len(shares) == len(sentences.SEEDS) for shares in stored["endings"].values())
    for runs in stored["adaptation"].values():
        assert len(runs) == len(sentences.SEEDS) and all(len(losses) == len(sentences.LOOKS) for losses in runs)
