"""The statistics of masks, the pairs and packed rows they are laid over, and batches that the Trainer takes."""

import math

import pytest
import torch

from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.models.gpt import IGNORED
from course_lib.text import WordPieceTokenizer, load_corpus
from course_lib.text.sentences import packed_sentences, sentence_pairs, split_sentences
from course_lib.text.tokenizers import CharTokenizer
from course_lib.training import TrainConfig, Trainer
from course_lib.training.masking import MaskedRows, mask_tokens

STORIES = load_corpus("tiny_world").train[:400]
TOKENIZER = WordPieceTokenizer.train(STORIES, vocab_size=300)  # few enough that many words are in pieces
PAIRS = list(sentence_pairs(STORIES, TOKENIZER, 96))
ROWS = MaskedRows(PAIRS, TOKENIZER, rate=0.15)
SPECIAL = torch.tensor(sorted(TOKENIZER.special.ids.values()))
MASK = TOKENIZER.mask_id


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def within(count: int, total: int, share: float) -> bool:
    """Whether a share is as near as 4 standard errors allow."""
    return abs(count / total - share) < 4 * math.sqrt(share * (1 - share) / total)


class TestMasks:
    tokens = torch.randint(10, 1000, (200, 128), generator=generator(1))
    candidates = torch.rand(200, 128, generator=generator(2)) < 0.8
    seen, targets = mask_tokens(
        tokens, candidates, generator(3), mask_id=4, replacements=torch.arange(10, 1000), rate=0.15
    )
    chosen = targets != IGNORED

    def test_15_percent_of_each_rows_candidates_are_chosen(self):
        assert torch.equal(self.chosen.sum(1), (self.candidates.sum(1) * 0.15).round().long())
        assert not (self.chosen & ~self.candidates).any()

    def test_of_these_80_percent_are_masked_10_random_10_kept(self):
        total = int(self.chosen.sum())
        masked = self.seen[self.chosen] == 4
        kept = self.seen[self.chosen] == self.tokens[self.chosen]
        assert within(int(masked.sum()), total, 0.8)
        assert within(int(kept.sum()), total, 0.1 + 0.1 / 990)  # a random token may be the true one
        assert within(int((~masked & ~kept).sum()), total, 0.1 * (1 - 1 / 990))

    def test_random_tokens_come_from_all_that_may_stand_in(self):
        changed = self.seen[self.chosen & (self.seen != 4) & (self.seen != self.tokens)]
        assert changed.min() >= 10 and changed.float().mean() == pytest.approx(505, abs=60)

    def test_targets_are_the_true_tokens_and_the_rest_is_as_it_was(self):
        assert torch.equal(self.targets[self.chosen], self.tokens[self.chosen])
        assert torch.equal(self.seen[~self.chosen], self.tokens[~self.chosen])

    def test_every_place_is_chosen_equally_often(self):
        tokens = torch.full((4_000, 20), 7)
        chosen = mask_tokens(
            tokens, tokens > 0, generator(), mask_id=4, replacements=torch.tensor([7]), rate=0.15
        ).targets != IGNORED  # fmt: skip
        for place in range(20):
            assert within(int(chosen[:, place].sum()), 4_000, 0.15)

    def test_one_at_least_and_none_where_there_is_nothing(self):
        tokens = torch.tensor([[9, 8, 0, 0], [0, 0, 0, 0]])
        targets = mask_tokens(tokens, tokens > 0, generator(), mask_id=4, replacements=torch.tensor([9]), rate=0.15)[1]
        assert (targets != IGNORED).sum(1).tolist() == [1, 0]

    def test_whole_words(self):
        starts = torch.rand(self.tokens.shape, generator=generator(4)) < 0.5
        starts[:, 0] = True
        word = starts.cumsum(1)
        candidates = self.tokens > 0
        targets = mask_tokens(
            self.tokens, candidates, generator(5), mask_id=4, replacements=torch.arange(10, 1000), starts_word=starts
        ).targets  # fmt: skip
        chosen = targets != IGNORED
        for row in range(200):
            words_in, words_out = set(word[row][chosen[row]].tolist()), set(word[row][~chosen[row]].tolist())
            assert not words_in & words_out
        count = chosen.sum(1).float()
        assert (count >= round(128 * 0.15)).all() and count.mean() < 128 * 0.15 + 3


class TestRows:
    def test_special_tokens_and_padding_are_never_guessed_nor_made_up(self):
        for batch in ROWS.in_order(64):
            true = batch.tokens.where(batch.targets == IGNORED, batch.targets)
            assert not torch.isin(batch.targets, SPECIAL).any()
            made_up = (batch.tokens != true) & (batch.tokens != MASK)
            assert not torch.isin(batch.tokens[made_up], SPECIAL).any()
            padding = batch.tokens == TOKENIZER.pad_id
            assert (batch.targets[padding] == IGNORED).all() and (batch.segments[padding] == 0).all()
            assert (batch.tokens[:, 0] == TOKENIZER.cls_id).all()

    def test_dynamic_masks_change_and_static_ones_do_not(self):
        some = PAIRS[:40]
        for rows, same in ((MaskedRows(some, TOKENIZER), False), (MaskedRows(some, TOKENIZER, dynamic=False), True)):
            seen = []
            batches = rows.shuffled(1, generator())
            for _ in range(2 * len(some)):
                batch = next(batches)
                true = batch.tokens.where(batch.targets == IGNORED, batch.targets)
                if true.tolist() == [some[5].ids]:
                    seen.append((batch.targets != IGNORED).tolist())
            assert len(seen) == 2 and (seen[0] == seen[1]) == same

    def test_evaluation_is_the_same_for_every_size_of_batch(self):
        def chosen(size: int) -> int:
            return sum(int((b.targets * (b.targets != IGNORED)).sum()) for b in ROWS.in_order(size))

        assert chosen(7) == chosen(64) == chosen(7)

    def test_a_place_that_was_noted_is_found_again(self):
        batches = ROWS.shuffled(16, generator())
        for _ in range(3):
            next(batches)
        noted = batches.state_dict()
        expected = [next(batches) for _ in range(40)]
        again = ROWS.shuffled(16, generator(9))
        again.load_state_dict(noted)
        for batch in expected:
            assert all(torch.equal(x, y) for x, y in zip(batch, next(again), strict=True))

    def test_whole_words_of_a_real_vocabulary(self):
        rows = MaskedRows(PAIRS, TOKENIZER, whole_words=True)
        batch = next(iter(rows.in_order(200)))
        inside = torch.tensor([token.startswith("##") for token in TOKENIZER.tokens])
        true = batch.tokens.where(batch.targets == IGNORED, batch.targets)
        continues, chosen = inside[true], batch.targets != IGNORED
        assert continues.float().mean() > 0.1
        assert torch.equal(chosen[:, 1:][continues[:, 1:]], chosen[:, :-1][continues[:, 1:]])

    def test_bad_input_is_said(self):
        with pytest.raises(ValueError, match="CharTokenizer has no mask token, which a BERT cannot do without"):
            MaskedRows(PAIRS, CharTokenizer.train(["abc"]))
        with pytest.raises(ValueError, match="below 1, but it is 15"):
            MaskedRows(PAIRS, TOKENIZER, rate=15)
        with pytest.raises(ValueError, match="no rows"):
            MaskedRows([], TOKENIZER)


class TestPairs:
    def test_a_pair_is_cls_first_sep_second_sep(self):
        for row in PAIRS:
            assert row.ids[0] == TOKENIZER.cls_id and row.ids[-1] == TOKENIZER.sep_id
            assert row.ids.count(TOKENIZER.sep_id) == 2 and len(row.ids) <= 96
            border = row.ids.index(TOKENIZER.sep_id) + 1
            assert row.segments == [0] * border + [1] * (len(row.ids) - border)
            assert 2 < border < len(row.ids) - 1  # neither text is empty

    def test_about_half_follow_and_these_come_from_one_story(self):
        pairs = list(sentence_pairs(STORIES, TOKENIZER, 512))  # so long that nothing is cut off
        follows = sum(row.follows for row in pairs)
        assert 0.35 < follows / len(pairs) < 0.55
        told = [" ".join(split_sentences(story)) for story in STORIES]
        told = [TOKENIZER.decode(TOKENIZER.encode(story)) for story in told]
        together = 0
        for row in pairs:
            border = row.ids.index(TOKENIZER.sep_id)
            text = TOKENIZER.decode([*row.ids[1:border], *row.ids[border + 1 : -1]])
            assert not row.follows or any(text in story for story in told)
            together += any(text in story for story in told)
        assert together < follows * 1.05  # a wrong second text is from another story

    def test_all_sentences_come_up_and_a_seed_decides(self):
        rows = list(sentence_pairs(STORIES[:50], TOKENIZER, 512, seed=3))
        assert rows == list(sentence_pairs(STORIES[:50], TOKENIZER, 512, seed=3))
        assert rows != list(sentence_pairs(STORIES[:50], TOKENIZER, 512, seed=4))

    def test_packed_rows_lose_nothing(self):
        for across in (True, False):
            rows = list(packed_sentences(STORIES[:60], TOKENIZER, 64, across=across))
            assert max(len(row.ids) for row in rows) <= 64
            special = {TOKENIZER.cls_id, TOKENIZER.sep_id}
            words = [index for row in rows for index in row.ids if index not in special]
            assert words == [index for story in STORIES[:60] for index in TOKENIZER.encode(story)]
            assert all(set(row.segments) == {0} and row.follows is None for row in rows)
            if across:
                assert sum(len(row.ids) for row in rows) / len(rows) > 50
            else:
                assert all(row.ids.count(TOKENIZER.sep_id) == 1 for row in rows)

    def test_a_sentence_longer_than_a_row_is_cut(self):
        text = "word " * 100
        assert [len(row.ids) for row in packed_sentences([text], TOKENIZER, 64)][:-1] == [64] * (
            len(TOKENIZER.encode(text)) // 62
        )
        assert all(len(row.ids) <= 20 for row in sentence_pairs([text, text], TOKENIZER, 20))

    def test_bad_input_is_said(self):
        with pytest.raises(ValueError, match="there is only one with words"):
            list(sentence_pairs(["A text.", "  "], TOKENIZER, 64))
        with pytest.raises(ValueError, match="there are none with words"):
            list(sentence_pairs([], TOKENIZER, 64))
        with pytest.raises(ValueError, match="no documents with words"):
            list(packed_sentences([""], TOKENIZER, 64))
        with pytest.raises(ValueError, match="CharTokenizer has no cls token"):
            list(sentence_pairs(STORIES[:3], CharTokenizer.train(STORIES[:3]), 64))


def test_sentences():
    text = '"Hello, Nora!" he said. Was it 3.5? Yes!\nA line\n你好。他走了！'
    assert split_sentences(text) == ['"Hello, Nora!" he said.', "Was it 3.5?", "Yes!", "A line", "你好。", "他走了！"]
    assert split_sentences(" \n ") == []


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [True, False], ids=["BERT", "RoBERTa"])
def test_the_trainer_takes_them_and_the_loss_falls(pairs):
    torch.manual_seed(0)
    rows = PAIRS if pairs else list(packed_sentences(STORIES, TOKENIZER, 96))
    sizes = {"vocab_size": 300, "context_length": 96, "d_model": 32, "n_heads": 2, "n_layers": 1, "dropout": 0.0}
    switches = {} if pairs else {"n_segments": 0, "next_sentence": False}
    model = BERTForPretraining(BERTConfig(**sizes, **switches))
    on_cpu = {"device": "cpu", "precision": "float32"}
    config = TrainConfig(steps=12, batch_size=16, evaluate_every=12, warmup_steps=2, micro_batch_size=6, **on_cpu)
    trainer = Trainer(model, MaskedRows(rows[16:], TOKENIZER), MaskedRows(rows[:16], TOKENIZER), config)
    before = trainer.evaluate()
    assert before == pytest.approx(math.log(300) + pairs * math.log(2), rel=0.03)
    history = trainer.fit(progress=False)
    assert history[-1].validation_loss < before - 0.2
