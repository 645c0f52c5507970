"""Labels on texts, words and answers: what the model is given, what it is refused, and what it learns from them."""

from itertools import chain

import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from course_lib.evaluation import answer_score, span_report
from course_lib.models.bert import (
    BERT,
    BERTConfig,
    BERTForPretraining,
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
)
from course_lib.models.gpt import IGNORED
from course_lib.text import WordPieceTokenizer, load_corpus, load_task
from course_lib.text.tokenizers import CharTokenizer
from course_lib.training import TrainConfig, Trainer
from course_lib.training.finetuning import answer_questions, classify, freeze, tag_words
from course_lib.training.labelled import label_names, labelled_texts, labelled_words, passages, questions
from course_lib.training.optim import layer_depths, make_optimizers

TOKENIZER = WordPieceTokenizer.train(load_corpus("tiny_world").train[:400], 400)
SENTIMENT, ENTITIES, QUESTIONS = (load_task(name)["train"] for name in ("sentiment", "entities", "questions"))
SIZES = {"vocab_size": 400, "context_length": 128, "d_model": 32, "n_heads": 2, "n_layers": 1, "dropout": 0.0}


def encoder(seed: int = 0, **settings) -> BERTForPretraining:
    torch.manual_seed(seed)
    return BERTForPretraining(BERTConfig(**{**SIZES, **settings}))


def fit(model, rows, steps=60, **settings):
    on_cpu = {"device": "cpu", "precision": "float32"}
    config = TrainConfig(steps=steps, batch_size=16, evaluate_every=steps, warmup_steps=5, **on_cpu, **settings)
    return Trainer(model, rows, rows, config).fit(progress=False)


class TestTexts:
    labels = label_names(SENTIMENT, "label")

    def test_rows(self):
        rows = labelled_texts(SENTIMENT, TOKENIZER, 128, self.labels)
        assert self.labels == ("negative", "neutral", "positive")
        batch = rows._batch([0, 1])
        assert batch.targets.tolist() == [self.labels.index(SENTIMENT[i]["label"]) for i in (0, 1)]
        assert batch.tokens[0][batch.tokens[0] != 0].tolist() == TOKENIZER.encode_pair(SENTIMENT[0]["text"])[0]
        assert rows.n_targets == 1200 and rows.n_cut == 0 and rows.largest_id < 400

    @pytest.mark.slow
    def test_a_few_texts_are_learned_by_heart(self):
        ends = {"positive": "was happy", "negative": "was sad", "neutral": "went to the zoo"}
        few = [{"text": f"{who} {end}.", "label": x} for who in ("Tom", "Zoe", "Ben", "Mia") for x, end in ends.items()]
        model = BERTForSequenceClassification.on(encoder(2), self.labels)
        rows = labelled_texts(few, TOKENIZER, 128, self.labels)
        history = fit(model, rows, steps=40, learning_rate=5e-3, micro_batch_size=5)
        assert history[0].train_loss == pytest.approx(1.0986, abs=0.05)
        answers = classify(model, TOKENIZER, [row["text"] for row in few])
        assert [label for label, _ in answers] == [row["label"] for row in few]
        assert all(0.5 < probability <= 1 for _, probability in answers)

    def test_pairs_and_labels_that_a_dataset_keeps_as_numbers(self):
        features = Features({"a": Value("string"), "b": Value("string"), "y": ClassLabel(names=["no", "yes"])})
        rows = Dataset.from_list([{"a": "Tom ran.", "b": "He ran.", "y": 1}], features=features)
        assert label_names(rows, "y") == ("no", "yes")
        batch = labelled_texts(rows, TOKENIZER, 128, ("no", "yes"), text="a", pair="b", label="y")._batch([0])
        assert (batch.tokens[0].tolist(), batch.segments[0].tolist()) == TOKENIZER.encode_pair("Tom ran.", "He ran.")
        assert batch.targets.tolist() == [1]

    def test_bad_input_is_said(self):
        with pytest.raises(ValueError, match="label 'glad' of row 1 is outside the set: the labels are sad, bad"):
            labelled_texts(
                [{"text": "a", "label": "sad"}, {"text": "a", "label": "glad"}], TOKENIZER, 9, ("sad", "bad")
            )
        with pytest.raises(ValueError, match="Row 0 has no column 'label', only 'text', 'y'"):
            labelled_texts([{"text": "a", "y": "sad"}], TOKENIZER, 9, ("sad", "bad"))
        with pytest.raises(ValueError, match="no rows"):
            labelled_texts([], TOKENIZER, 9, ("sad", "bad"))
        with pytest.raises(ValueError, match="CharTokenizer has no cls token"):
            labelled_texts([], CharTokenizer.train(["a"]), 9, ("sad", "bad"))
        model = BERTForSequenceClassification(BERTConfig(**SIZES, labels=("sad", "bad")))
        with pytest.raises(ValueError, match="Label 2 is outside 0 … 1: the 2 labels are sad, bad"):
            model(torch.tensor([[2, 3]]), None, torch.tensor([2]))

    def test_a_text_longer_than_the_positions(self):
        rows = [{"text": "Tom ran. " * 40, "label": "sad"}, {"text": "Tom.", "label": "bad"}]
        with pytest.raises(ValueError, match="1 of 2 texts are longer than the encoder's 20 positions; row 0"):
            labelled_texts(rows, TOKENIZER, 20, ("sad", "bad"))
        cut = labelled_texts(rows, TOKENIZER, 20, ("sad", "bad"), cut=True)
        assert cut.n_cut == 1 and len(cut.rows[0].ids) == 20 and cut.rows[0].ids[-1] == TOKENIZER.sep_id
        model = BERTForSequenceClassification(BERTConfig(**SIZES | {"context_length": 20}, labels=("sad", "bad")))
        with pytest.raises(ValueError, match="tokens long, but this model has 20 positions"):
            classify(model, TOKENIZER, [rows[0]["text"]])


class TestWords:
    labels = label_names(ENTITIES, "tags")

    def test_the_first_token_of_a_word_carries_its_tag(self):
        sentence = {"words": ["Zoe", "unbelievable", "\u200b", "kite", "."], "tags": ["B-p", "O", "O", "B-o", "O"]}
        row = labelled_words([sentence], TOKENIZER, 128, ("O", "B-p", "B-o")).rows[0]
        pieces = [TOKENIZER.encode(word) or [TOKENIZER.unk_id] for word in sentence["words"]]
        assert row.ids == [TOKENIZER.cls_id, *chain.from_iterable(pieces), TOKENIZER.sep_id]
        assert len(pieces[1]) > 2
        expected = [IGNORED]
        for piece, number in zip(pieces, (1, 0, 0, 2, 0), strict=True):
            expected += [number] + [IGNORED] * (len(piece) - 1)
        assert row.target == [*expected, IGNORED]

    @pytest.mark.slow
    def test_a_few_sentences_are_learned_by_heart(self):
        few = [{name: row[name][:12] for name in ("words", "tags")} for row in ENTITIES.select(range(8))]
        model = BERTForTokenClassification.on(encoder(), self.labels)
        fit(model, labelled_words(few, TOKENIZER, 128, self.labels), learning_rate=5e-3)
        truth = [row["tags"] for row in few]
        found = tag_words(model, TOKENIZER, [row["words"] for row in few])
        assert [len(tags) for tags in found] == [len(tags) for tags in truth]
        assert span_report(truth, found).micro.f1 > 0.9

    def test_tags_that_a_dataset_keeps_as_numbers(self):
        names = ["O", "B-PER", "I-PER"]
        features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
        rows = Dataset.from_list([{"tokens": ["Tom", "Ray", "ran"], "ner_tags": [1, 2, 0]}], features=features)
        assert label_names(rows, "ner_tags") == tuple(names)
        row = labelled_words(rows, TOKENIZER, 128, names, words="tokens", tags="ner_tags").rows[0]
        assert [number for number in row.target if number != IGNORED] == [1, 2, 0]

    def test_bad_input_is_said(self):
        def refused(message, words, tags, length=128, labels=("O", "B-p", "I-p")):
            with pytest.raises(ValueError, match=message):
                labelled_words([{"words": words, "tags": tags}], TOKENIZER, length, labels)

        refused("Tag 1 of row 0 is 'I-p' after 'O': an entity starts inside", ["a", "b"], ["O", "I-p"])
        refused("Row 0 has 2 words and 1 tags", ["a", "b"], ["O"])
        refused("label 'B-q' of row 0 is outside the set: the labels are O, B-p, I-p", ["a"], ["B-q"])
        refused("1 of 1 texts are longer than the encoder's 8 positions", ["Tom"] * 40, ["O"] * 40, length=8)


class TestQuestions:
    def test_the_target_is_the_answer(self):
        some = QUESTIONS.select(range(100))
        rows = questions(some, TOKENIZER, 128)
        for row, encoded in zip(some, rows.rows, strict=True):
            first, last = encoded.target
            assert TOKENIZER.decode(encoded.ids[first : last + 1]) == row["answer"].lower()
            assert set(encoded.segments[first : last + 1]) == {1}

    def test_squads_columns_and_no_answer(self):
        rows = [
            {"question": "Who?", "context": "Tom ran home.", "answers": {"text": ["Tom"], "answer_start": [0]}},
            {"question": "Who?", "context": "Tom ran home.", "answers": {"text": [], "answer_start": []}},
            {"question": "Who?", "context": "Tom ran home.", "answer": ""},
        ]
        found = questions(rows, TOKENIZER, 64)
        assert found.rows[1].target == found.rows[2].target == [0, 0] != found.rows[0].target

    @pytest.mark.slow
    def test_a_few_answers_are_learned_by_heart_and_no_answer_too(self):
        told = [
            ("Tom saw a kite.", "Tom", "kite"),
            ("Zoe had a drum.", "Zoe", "drum"),
            ("Ben lost a map.", "Ben", "map"),
        ]
        few = [
            {"question": question, "context": context, "answer": answer, "answer_start": context.index(answer)}
            for context, who, what in told
            for question, answer in (("Who?", who), ("What?", what), ("When?", ""))
        ]
        model = BERTForQuestionAnswering.on(encoder())
        fit(model, questions(few, TOKENIZER, 128), steps=60, learning_rate=5e-3)
        asked = [row["question"] for row in few], [row["context"] for row in few]
        found = answer_questions(model, TOKENIZER, *asked)
        assert answer_score([row["answer"] for row in few], [answer.text for answer in found]).exact > 0.8
        for answer, row in zip(found, few, strict=True):
            assert row["context"][answer.start : answer.start + len(answer.text)] == answer.text
            assert (answer.margin > 0) == bool(answer.text)
        none = answer_questions(model, TOKENIZER, *asked, threshold=1e9)
        assert all(answer.text == "" for answer in none)
        forced = answer_questions(model, TOKENIZER, *asked, threshold=-1e9, longest=1)
        assert all(answer.text and " " not in answer.text for answer in forced)

    def test_a_long_context_in_pieces(self):
        context = " ".join(row["context"] for row in QUESTIONS.select(range(5)))
        ids = TOKENIZER.encode(context)
        pieces = passages("Who is it?", context, TOKENIZER, 40, stride=10)
        covered = set()
        for number, piece in enumerate(pieces):
            assert len(piece.ids) <= 40
            inside = piece.ids[piece.start : -1]
            assert inside == ids[number * 10 : number * 10 + len(inside)] and len(piece.places) == len(inside)
            covered |= set(range(number * 10, number * 10 + len(inside)))
        assert covered == set(range(len(ids)))
        assert len(passages("Who?", "Tom.", TOKENIZER, 40, stride=10)) == 1

        row = {"question": "Who is it?", "context": context, "answer": "river", "answer_start": context.index("river")}
        found = questions([row], TOKENIZER, 40, stride=10)
        with_answer = [each for each in found.rows if each.target != [0, 0]]
        assert 1 < len(with_answer) < len(found.rows) == len(pieces)
        for each in with_answer:
            assert TOKENIZER.decode(each.ids[each.target[0] : each.target[1] + 1]) == "river"

    def test_an_answer_that_is_cut_is_refused_or_counted(self):
        context = "Tom saw the little red kite under the old bridge behind the big school and the market."
        answer = "little red kite under the old bridge behind the big school"
        row = {"question": "What?", "context": context, "answer": answer, "answer_start": context.index(answer)}
        with pytest.raises(ValueError, match="answer of row 0, 'little red .* lies whole in none of the .* cut off"):
            questions([row], TOKENIZER, 16, stride=5)
        cut = questions([row], TOKENIZER, 16, stride=5, cut=True)
        assert cut.n_cut == 1 and all(each.target == [0, 0] for each in cut.rows)

    def test_bad_input_is_said(self):
        row = {"question": "Who?", "context": "Tom ran. " * 40, "answer": "Tom", "answer_start": 0}
        with pytest.raises(ValueError, match="the encoder has 20 positions: give a stride, such as"):
            questions([row], TOKENIZER, 20)
        with pytest.raises(ValueError, match="leaves no room for its context"):
            questions([{**row, "question": "Who? " * 9}], TOKENIZER, 20, stride=5)
        with pytest.raises(ValueError, match="'Tom', does not stand at character 3 of its context, where ' ra' stands"):
            questions([{**row, "answer_start": 3}], TOKENIZER, 20, stride=5)
        with pytest.raises(ValueError, match="at least 1, but it is 0"):
            questions([row], TOKENIZER, 20, stride=0)


class TestAdapting:
    def test_a_head_on_a_copy_of_the_encoder(self):
        pretrained = encoder()
        before = {name: weight.clone() for name, weight in pretrained.state_dict().items()}
        for head, arguments in (
            (BERTForSequenceClassification, (("no", "yes"),)),
            (BERTForTokenClassification, (("no", "yes"),)),
            (BERTForQuestionAnswering, ()),
        ):
            for source in (pretrained, pretrained.bert):
                model = head.on(source, *arguments)
                for name, weight in model.bert.state_dict().items():
                    assert torch.equal(weight, before[f"bert.{name}"])
            model.bert.token_embedding.weight.data.add_(1.0)
            assert torch.equal(pretrained.bert.token_embedding.weight, before["bert.token_embedding.weight"])
        assert BERTForSequenceClassification.on(BERT(BERTConfig(**SIZES, pooler=False)), ("a", "b")).bert.pooler
        assert BERTForTokenClassification.on(pretrained, ("a", "b"), dropout=0.3).config.dropout == 0.3

    def test_what_is_frozen_stays(self):
        model = BERTForSequenceClassification.on(encoder(), TestTexts.labels)
        assert freeze(model, "bert") == model.bert.count_parameters()
        assert freeze(model, "bert.blocks") == 0
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        fit(model, labelled_texts(SENTIMENT.select(range(32)), TOKENIZER, 128, TestTexts.labels), steps=3)
        changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
        assert changed == {"classifier.weight", "classifier.bias"}
        with pytest.raises(ValueError, match="begins with 'encoder'. The model's parts are bert, dropout, classifier"):
            freeze(model, "encoder")

    def test_rates_by_layer(self):
        model = BERTForSequenceClassification.on(encoder(n_layers=3, d_embedding=8), TestTexts.labels)
        depths = layer_depths(model)
        assert depths["bert.token_embedding.weight"] == depths["bert.widen.bias"] == 0
        assert depths["bert.embedding_norm.bias"] == depths["bert.positions.embedding.weight"] == 0
        assert [depths[f"bert.blocks.{n}.attention.query.weight"] for n in range(3)] == [1, 2, 3]
        assert depths["bert.pooler.weight"] == depths["classifier.bias"] == 4
        (adamw,) = make_optimizers(model, "adamw", learning_rate=1.0, weight_decay=0.1, layer_decay=0.5)
        rate = {id(p): group["lr"] for group in adamw.param_groups for p in group["params"]}
        decay = {id(p): group["weight_decay"] for group in adamw.param_groups for p in group["params"]}
        for name, parameter in model.named_parameters():
            assert rate[id(parameter)] == 0.5 ** (4 - depths[name])
            assert decay[id(parameter)] == (0.1 if parameter.ndim >= 2 else 0.0)
        with pytest.raises(ValueError, match="AdamW's, not muon's"):
            make_optimizers(model, "muon", learning_rate=1.0, weight_decay=0.1, layer_decay=0.5)
        with pytest.raises(ValueError, match="at most 1, but it is 1.5"):
            TrainConfig(steps=1, layer_decay=1.5)

    def test_the_trainer_moves_low_layers_less(self):
        model = BERTForSequenceClassification.on(encoder(n_layers=2), TestTexts.labels)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        rows = labelled_texts(SENTIMENT.select(range(32)), TOKENIZER, 128, TestTexts.labels)
        fit(model, rows, steps=2, layer_decay=0.01, learning_rate=1e-3, weight_decay=0.0)
        moved = {name: float((p.detach() - before[name]).abs().max()) for name, p in model.named_parameters()}
        low, high = (moved[f"bert.blocks.{n}.feed_forward.up.weight"] for n in range(2))
        assert 0 < low < high / 50 < moved["classifier.weight"] / 2_500


class TestAnyDataset:
    rows = ({"text": "Tom was glad.", "label": "good"}, {"text": "Tom cried.", "label": "bad"})

    def test_folders(self, tmp_path):
        split = Dataset.from_list(list(self.rows))
        DatasetDict({"train": split}).save_to_disk(tmp_path / "saved")
        (tmp_path / "files").mkdir()
        split.to_json(tmp_path / "files" / "train.jsonl")
        for folder in ("saved", "files"):
            loaded = load_task(tmp_path / folder)
            rows = labelled_texts(loaded["train"], TOKENIZER, 32, label_names(loaded["train"], "label"))
            assert [row.target for row in rows.rows] == [1, 0]

    def test_bad_names_are_said(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no folder"):
            load_task(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="no task 'sentimant'. Did you mean 'sentiment'"):
            load_task("sentimant")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match=r"could not be loaded .* the tasks sentiment, entities"):
            load_task(tmp_path / "empty")
