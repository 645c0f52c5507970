import torch

from course_lib.experiments import backwards
from course_lib.experiments.backwards import ADJECTIVES, NOUNS, AdditiveAttention, Translator, draw_pairs, spell
from course_lib.experiments.recall_models import parameters
from course_lib.experiments.results import load_results


def test_each_adjective_stands_behind_its_noun_and_nothing_else_moves():
    source, target = draw_pairs(300, 7, torch.Generator().manual_seed(0))
    for sentence, translation in zip(source, target, strict=True):
        words, expected = spell(sentence), []
        while words:
            phrase = [words.pop(0)]
            if phrase[0] in ADJECTIVES:
                phrase.insert(0, words.pop(0))
            assert phrase[0] in NOUNS
            expected += [word[::-1] for word in phrase]
        assert spell(translation, backwards=True) == expected


def test_additive_attention_is_the_formula():
    attention = AdditiveAttention(5, 4, 6)
    state, annotations = torch.randn(2, 5), torch.randn(2, 3, 4)
    context, weights = attention(state, annotations)
    w, u, v = attention.from_state.weight, attention.from_annotation.weight, attention.score.weight[0]
    for b in range(2):
        scores = torch.stack([v @ torch.tanh(w @ state[b] + u @ h) for h in annotations[b]])
        torch.testing.assert_close(weights[b], scores.softmax(dim=0))
        torch.testing.assert_close(context[b], sum(a * h for a, h in zip(weights[b], annotations[b], strict=True)))


def test_the_two_translators_are_of_about_one_size_and_only_one_looks_back():
    fixed, looking = Translator(looks_back=False), Translator(looks_back=True)
    assert abs(parameters(fixed) / parameters(looking) - 1) < 0.05
    source, target = draw_pairs(3, 5, torch.Generator().manual_seed(0))
    logits, alignment = fixed(source, target)
    assert logits.shape == (3, 5, len(backwards.WORDS)) and alignment is None
    alignment = looking(source)[1]
    torch.testing.assert_close(alignment.sum(dim=-1), torch.ones(3, 5))
    assert (alignment[:, 1:] - alignment[:, :1]).abs().max() > 1e-6


def test_teacher_forcing_does_not_show_the_word_that_is_asked_for():
    model = Translator(looks_back=True)
    source, target = draw_pairs(2, 6, torch.Generator().manual_seed(1))
    changed = target.clone()
    changed[:, 3] = (changed[:, 3] + 1) % len(backwards.WORDS)
    before, after = model(source, target)[0], model(source, changed)[0]
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    losses = backwards.train_translator(Translator(looks_back=True), seed=1, steps=30, longest=3)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_results_are_there():
    stored = load_results("backwards")
    assert stored["command"] == "python -m course_lib.experiments.backwards"
    assert stored["steps"] == backwards.STEPS and stored["lengths"] == list(backwards.LENGTHS)
    for runs in stored["accuracy"].values():
        assert len(runs) == len(backwards.SEEDS)
