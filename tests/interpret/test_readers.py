"""A reading shows what the model really did: weights, scores and predictions equal to the model's own."""

import copy
import math
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from course_lib.hub import to_huggingface
from course_lib.interpret.readers import Vocabulary, reader_for, value_norms
from course_lib.interpret.reading import Reader

TEXT = "the cat<mask> sat"
PLAIN = "the cat sat on"
DECODERS = ("gpt2", "llama", "mistral", "gpt_oss", "bloom")
ENCODERS = ("bert", "roberta", "deberta")
TWO_STACKS = ("t5", "bart")


def own_attentions(model, tokenizer, text, decoder_ids=None):
    """The attention weights as transformers answers them."""
    inputs = {"input_ids": torch.tensor([tokenizer(text)["input_ids"]])}
    if decoder_ids is None:
        names = {"self": "attentions"}
    else:
        inputs["decoder_input_ids"] = torch.tensor([decoder_ids])
        names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    with torch.no_grad():
        output = model(**inputs, output_attentions=True)
    return {view: [layer[0].numpy() for layer in getattr(output, name)] for view, name in names.items()}


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
def test_weights_are_those_that_transformers_answers(name, transformers_model, byte_tokenizer):
    model = transformers_model(name)
    view = reader_for(model, byte_tokenizer).read(TEXT).views["self"]
    for ours, theirs in zip(view.weights, own_attentions(model, byte_tokenizer, TEXT)["self"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert view.n_layers == model.config.num_hidden_layers and view.n_heads == 4
    assert view.causal == (name in DECODERS)


@pytest.mark.parametrize("name", TWO_STACKS)
def test_an_encoder_decoder_has_three_views_of_different_depths(name, transformers_model, byte_tokenizer):
    model = transformers_model(name)
    reading = reader_for(model, byte_tokenizer).read(PLAIN, decoder_text="a dog")
    decoder_ids = [0, *byte_tokenizer("a dog")["input_ids"]]
    theirs = own_attentions(model, byte_tokenizer, PLAIN, decoder_ids)
    assert list(reading.views) == ["encoder", "decoder", "cross"]
    for view, layers in theirs.items():
        assert reading.views[view].n_layers == len(layers)
        for ours, expected in zip(reading.views[view].weights, layers, strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert {view: shown.causal for view, shown in reading.views.items()} == {
        "encoder": False,
        "decoder": True,
        "cross": False,
    }
    assert reading.views["cross"].query_tokens == reading.views["decoder"].query_tokens
    assert reading.views["cross"].key_tokens == reading.views["encoder"].key_tokens
    assert reading.decoder_text == "a dog"


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "bert", "t5", "bart"])
def test_the_fused_implementation_gives_the_same_reading(name, transformers_model, byte_tokenizer):
    extra = {"decoder_text": "a dog"} if name in TWO_STACKS else {}
    eager, fused = (
        reader_for(transformers_model(name, attention), byte_tokenizer).read(TEXT, **extra)
        for attention in ("eager", "sdpa")
    )
    for view in eager.views:
        for one, other in zip(eager.views[view].weights, fused.views[view].weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        for one, other in zip(eager.views[view].scores, fused.views[view].scores, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
        np.testing.assert_allclose(eager.views[view].value_norms, fused.views[view].value_norms, rtol=1e-4)
    np.testing.assert_allclose(eager.predictions.probabilities, fused.predictions.probabilities, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "mistral", "bert", "deberta", "bloom", "t5"])
def test_the_softmax_of_the_scores_is_the_weights(name, transformers_model, byte_tokenizer):
    for view in reader_for(transformers_model(name), byte_tokenizer).read(TEXT).views.values():
        for scores, weights in zip(view.scores, view.weights, strict=True):
            exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
            np.testing.assert_allclose(exponentials / exponentials.sum(axis=-1, keepdims=True), weights, atol=1e-5)


def test_masked_places_have_no_score(transformers_model, byte_tokenizer):
    view = reader_for(transformers_model("gpt2"), byte_tokenizer).read(PLAIN).views["self"]
    later = np.triu(np.ones(view.scores[0].shape[1:], dtype=bool), 1)
    assert (np.isneginf(view.scores[1]) == later).all()
    assert (view.masked(2, 3) == later).all()


def test_a_sliding_window_is_seen_as_masked(transformers_model, byte_tokenizer):
    view = reader_for(transformers_model("mistral"), byte_tokenizer).read("the cat sat on the mat").views["self"]
    distance = np.subtract.outer(range(len(view.query_tokens)), range(len(view.key_tokens)))
    assert (view.masked(0, 0) == ((distance < 0) | (distance >= 3))).all()


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_grouped_heads_know_their_key_value_head(name, transformers_model, byte_tokenizer):
    view = reader_for(transformers_model(name), byte_tokenizer).read(PLAIN).views["self"]
    expected = {"llama": [0, 0, 1, 1], "mistral": [0, 0, 0, 0]}[name]
    assert [view.kv_head(head) for head in range(4)] == expected


GPTS = [
    {"positions": "learned"},
    {"positions": "sinusoidal", "norm_position": "post"},
    {"positions": "rotary", "n_kv_heads": 2, "qk_norm": True, "norm": "rmsnorm", "activation": "swiglu"},
    {"positions": "alibi", "n_kv_heads": 1},
    {"positions": "relative"},
    {"positions": "none", "bias": False},
]


@pytest.mark.parametrize("settings", GPTS, ids=lambda settings: settings["positions"])
def test_a_gpt_of_this_course_is_read_as_it_answers_itself(settings, gpt, char_tokenizer):
    model = gpt(**settings)
    reading = reader_for(model, char_tokenizer).read(PLAIN)
    own = model(torch.tensor([char_tokenizer.encode(PLAIN)]), return_attentions=True)
    view = reading.views["self"]
    for ours, theirs in zip(view.weights, own.attentions, strict=True):
        np.testing.assert_allclose(ours, theirs[0].detach().numpy(), atol=1e-5)
    probabilities = own.logits[0, -1].softmax(dim=-1).detach().numpy()
    np.testing.assert_allclose(reading.predictions.probabilities[0], probabilities, atol=1e-5)
    assert view.kv_heads == settings.get("n_kv_heads", 4)
    assert "".join(view.query_tokens) == PLAIN
    assert view.causal


@pytest.mark.parametrize("settings", GPTS, ids=lambda settings: settings["positions"])
def test_value_norms_are_the_lengths_of_what_each_key_adds(settings, gpt, char_tokenizer):
    """Layer by layer by hand: each head's values through its own columns of W_O, one key at a time."""
    model = gpt(**settings)
    inputs = []
    hooks = [
        block.attention.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for block in model.blocks
    ]
    view = reader_for(model, char_tokenizer).read("cat sat").views["self"]
    for hook in hooks:
        hook.remove()
    inputs = inputs[len(model.blocks) :]  # the first pass only looked which heads there are
    for layer, block in enumerate(model.blocks):
        attention = block.attention
        values = attention.value(inputs[layer])[0]
        for head in range(4):
            shared = head // (4 // attention.n_kv_heads)
            columns = attention.output.weight[:, head * 8 : head * 8 + 8]
            for key in range(7):
                vector = columns @ values[key, shared * 8 : shared * 8 + 8]
                assert view.value_norms[layer, head, key] == pytest.approx(vector.norm().item(), rel=1e-4)


def test_value_norms_with_the_weights_add_up_to_what_the_layer_adds(gpt, char_tokenizer):
    """A query that looks at one key only gets exactly that key's vector: the first query of a causal model."""
    model = gpt(positions="none", n_heads=1)
    outputs = []
    hook = model.blocks[0].attention.output.register_forward_hook(
        lambda module, _, out: outputs.append(out - module.bias)
    )
    view = reader_for(model, char_tokenizer).read("cat").views["self"]
    hook.remove()
    assert view.value_norms[0, 0, 0] == pytest.approx(outputs[-1][0, 0].norm().item(), rel=1e-4)


# --- the causal mask, taken off and put on ---


@pytest.mark.slow
@pytest.mark.parametrize("settings", GPTS, ids=lambda settings: settings["positions"])
def test_a_gpt_without_its_mask_looks_ahead_and_softmax_is_taken_anew(settings, gpt, char_tokenizer):
    reader = reader_for(gpt(**settings), char_tokenizer)
    masked, open_ = reader.read(PLAIN), reader.read(PLAIN, causal=False)
    before, after = masked.views["self"], open_.views["self"]
    assert before.causal and not after.causal
    assert not after.masked(0, 0).any()
    # In the first layer the allowed scores are the same, and the softmax runs over all of them.
    allowed = np.isfinite(before.scores[0])
    np.testing.assert_allclose(after.scores[0][allowed], before.scores[0][allowed], atol=1e-4)
    exponentials = np.exp(after.scores[0] - after.scores[0].max(axis=-1, keepdims=True))
    np.testing.assert_allclose(exponentials / exponentials.sum(-1, keepdims=True), after.weights[0], atol=1e-5)
    assert not np.allclose(open_.predictions.probabilities, masked.predictions.probabilities)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "gpt_oss", "bert", "roberta", "t5", "bart"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_mask_of_transformers_models_can_be_changed(name, attention, transformers_model, byte_tokenizer):
    if (name, attention) == ("gpt_oss", "sdpa"):
        attention = "eager"  # it has no other
    reader = reader_for(transformers_model(name, attention), byte_tokenizer)
    extra = {"decoder_text": "a dog"} if name in TWO_STACKS else {}
    view = "decoder" if name in TWO_STACKS else "self"
    for causal in (True, False):
        weights = reader.read(PLAIN, causal=causal, **extra).views[view].weights
        ahead = [np.triu(layer, 1).max() for layer in weights]
        assert max(ahead) == 0 if causal else min(ahead) > 0
    assert reader.read(PLAIN, **extra).views[view].causal == reader.causal  # and it is back


def test_a_mask_that_cannot_be_changed_is_said(transformers_model, byte_tokenizer):
    reader = reader_for(transformers_model("bloom"), byte_tokenizer)
    with pytest.raises(ValueError, match="BloomForCausalLM makes its mask in its own way"):
        reader.read(PLAIN, causal=False)
    reader.read(PLAIN)


# --- predictions ---


def test_masked_tokens_are_predicted_at_each_mask(transformers_model, byte_tokenizer):
    model = transformers_model("bert")
    text = "the<mask> sat on<mask>"
    predictions = reader_for(model, byte_tokenizer).read(text).predictions
    ids = byte_tokenizer(text)["input_ids"]
    assert predictions.kind == "masked"
    assert predictions.positions == tuple(i for i, token in enumerate(ids) if token == byte_tokenizer.mask_token_id)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].softmax(-1)[list(predictions.positions)].numpy()
    np.testing.assert_allclose(predictions.probabilities, expected, atol=1e-5)
    (best, probability), *_ = predictions.top(3, row=0)
    assert probability == pytest.approx(expected[0].max(), abs=1e-5)
    assert best == byte_tokenizer.decode([expected[0].argmax()])


def test_a_model_of_transformers_with_a_tokenizer_of_this_course(gpt, char_tokenizer):
    ours = gpt(tie_embeddings=True)
    theirs = reader_for(to_huggingface(ours).eval(), char_tokenizer).read(PLAIN)
    own = reader_for(ours, char_tokenizer).read(PLAIN)
    np.testing.assert_allclose(theirs.predictions.probabilities, own.predictions.probabilities, atol=1e-5)
    assert theirs.views["self"].query_tokens == own.views["self"].query_tokens
    assert theirs.predictions.top(3)[0][0] == own.predictions.top(3)[0][0]


def test_ids_that_only_the_model_has_are_shown_too(byte_tokenizer):
    """Models round their vocabulary up: some of the probabilities belong to no token."""
    size = len(byte_tokenizer)
    vocabulary = Vocabulary(byte_tokenizer, size + 3)
    assert vocabulary[byte_tokenizer("cat")["input_ids"][0]] in "cat"
    assert (len(vocabulary), vocabulary[size + 1]) == (size + 3, f"⟨no token {size + 1}⟩")


def test_what_cannot_be_predicted_is_said(transformers_model, byte_tokenizer):
    no_mask = reader_for(transformers_model("bert"), byte_tokenizer).read(PLAIN)
    assert no_mask.predictions is None and "Write <mask> in the text" in no_mask.notes[-1]
    for name in ("bert_vectors", "bert_classes"):
        reading = reader_for(transformers_model(name), byte_tokenizer).read(TEXT)
        assert reading.predictions is None and "not probabilities of tokens" in reading.notes[-1]


def test_a_decoder_reads_what_the_model_writes(transformers_model, byte_tokenizer):
    model = transformers_model("bart")
    reading = reader_for(model, byte_tokenizer).read(PLAIN)
    ids = torch.tensor([byte_tokenizer(PLAIN)["input_ids"]])
    written = model.generate(ids, max_new_tokens=40, do_sample=False, num_beams=1)[0].tolist()
    written = written[:-1] if written[-1] == 1 else written
    assert reading.decoder_text == byte_tokenizer.decode(written, skip_special_tokens=True)
    assert len(reading.views["decoder"].query_tokens) == len(written)
    with torch.no_grad():
        expected = model(ids, decoder_input_ids=torch.tensor([written])).logits[0, -1].softmax(-1).numpy()
    np.testing.assert_allclose(reading.predictions.probabilities[0], expected, atol=1e-5)


def test_the_decoders_text_stays_when_heads_are_off(transformers_model, byte_tokenizer):
    reader = reader_for(transformers_model("t5"), byte_tokenizer)
    whole = reader.read(PLAIN)
    without = reader.read(PLAIN, ablated=[("encoder", 0, 0), ("decoder", 1, 2), ("cross", 0, 1)])
    assert without.decoder_text == whole.decoder_text
    assert whole.predictions.kl_divergence(without.predictions)[0] > 0


# --- heads switched off ---


@pytest.mark.parametrize("settings", GPTS, ids=lambda settings: settings["positions"])
def test_a_head_that_is_off_is_a_head_whose_columns_of_w_o_are_zero(settings, gpt, char_tokenizer):
    model = gpt(**settings)
    reading = reader_for(model, char_tokenizer).read(PLAIN, ablated=[(1, 2), (0, 3)])
    surgery = copy.deepcopy(model)
    with torch.no_grad():
        surgery.blocks[1].attention.output.weight[:, 16:24] = 0
        surgery.blocks[0].attention.output.weight[:, 24:32] = 0
        own = surgery(torch.tensor([char_tokenizer.encode(PLAIN)]), return_attentions=True)
    np.testing.assert_allclose(reading.predictions.probabilities[0], own.logits[0, -1].softmax(-1).numpy(), atol=1e-5)
    np.testing.assert_allclose(reading.views["self"].weights[2], own.attentions[2][0].numpy(), atol=1e-5)
    assert reading.ablated == (("self", 1, 2), ("self", 0, 3))


def test_the_same_holds_for_models_of_transformers(transformers_model, byte_tokenizer):
    for attention in ("eager", "sdpa"):
        model = transformers_model("llama", attention)
        reading = reader_for(model, byte_tokenizer).read(PLAIN, ablated=[(0, 1)])
        surgery = copy.deepcopy(model)
        surgery.model.layers[0].self_attn.o_proj.weight.data[:, 8:16] = 0
        with torch.no_grad():
            logits = surgery(torch.tensor([byte_tokenizer(PLAIN)["input_ids"]])).logits[0, -1]
        np.testing.assert_allclose(reading.predictions.probabilities[0], logits.softmax(-1).numpy(), atol=1e-5)


@pytest.mark.parametrize("causal", [None, False, True])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_one_token_and_grouped_heads(attention, causal, transformers_model, byte_tokenizer):
    """Under a mask, transformers hands the fused kernel the heads of a lone query in the place of queries."""
    model = transformers_model("llama", attention)
    reading = reader_for(model, byte_tokenizer).read("a", causal=causal, ablated=[(1, 3)])
    surgery = copy.deepcopy(model)
    surgery.model.layers[1].self_attn.o_proj.weight.data[:, 24:] = 0
    with torch.no_grad():
        logits = surgery(torch.tensor([byte_tokenizer("a")["input_ids"]])).logits[0, -1]
    assert [layer.shape for layer in reading.views["self"].weights] == [(4, 1, 1)] * 2
    assert reading.views["self"].causal == (causal is not False)
    np.testing.assert_allclose(reading.predictions.probabilities[0], logits.softmax(-1).numpy(), atol=1e-5)


def test_divergence_is_the_sum_it_says(gpt, char_tokenizer):
    reader = reader_for(gpt(), char_tokenizer)
    before, after = reader.read(PLAIN).predictions, reader.read(PLAIN, ablated=[(0, 0)]).predictions
    p, q = before.probabilities[0].astype(float), after.probabilities[0].astype(float)
    by_hand = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
    assert before.kl_divergence(after)[0] == pytest.approx(by_hand, rel=1e-6)
    assert before.kl_divergence(before)[0] == 0


def test_heads_that_are_not_there(gpt, char_tokenizer, transformers_model, byte_tokenizer):
    reader = reader_for(gpt(), char_tokenizer)
    for head in [(3, 0), (0, 4), (-1, 0), (0, -1)]:
        with pytest.raises(ValueError, match="layers go from 0 to 2 and heads from 0 to 3"):
            reader.read(PLAIN, ablated=[head])
    with pytest.raises(ValueError, match="no view 'cross'; this model has 'self'"):
        reader.read(PLAIN, ablated=[("cross", 0, 0)])
    with pytest.raises(ValueError, match="heads from 0 to 1"):  # BART's decoder has two, its encoder four
        reader_for(transformers_model("bart"), byte_tokenizer).read(PLAIN, ablated=[("decoder", 0, 2)])


# --- bad input ---


def test_empty_text(gpt, char_tokenizer, transformers_model, byte_tokenizer):
    for reader in (reader_for(gpt(), char_tokenizer), reader_for(transformers_model("bert"), byte_tokenizer)):
        with pytest.raises(ValueError, match="The text is empty"):
            reader.read("")


def test_a_text_past_the_context_is_cut_and_that_is_said(gpt, char_tokenizer, transformers_model, byte_tokenizer):
    reading = reader_for(gpt(), char_tokenizer).read("the cat " * 10)
    assert len(reading.views["self"].query_tokens) == 32
    assert "The text is 80 tokens long and 32 are read: the last 48 were cut." in reading.notes
    reader = reader_for(transformers_model("roberta"), byte_tokenizer)
    assert reader.context_length == 32  # 34 positions, of which the first two are reserved
    assert len(reader.read("😀" * 40).views["self"].query_tokens) == 32
    few = reader_for(gpt(), char_tokenizer, max_tokens=5).read(PLAIN)
    assert few.views["self"].query_tokens == ("t", "h", "e", " ", "c")
    two = reader_for(transformers_model("bart"), byte_tokenizer, max_tokens=6).read(
        PLAIN, decoder_text="the dog saw it"
    )
    assert len(two.views["decoder"].query_tokens) == 6
    assert any("The decoder's text is" in note for note in two.notes)


def test_half_characters_are_replaced_and_that_is_said(gpt, transformers_model, byte_tokenizer):
    reading = reader_for(transformers_model("gpt2"), byte_tokenizer).read("cat \ud83d sat")
    assert "1 half character" in reading.notes[0]
    assert "�" in "".join(reading.views["self"].query_tokens) or "�⟨1/3⟩" in reading.views["self"].query_tokens


def test_a_text_that_the_tokenizer_cannot_encode(gpt, char_tokenizer):
    with pytest.raises(ValueError, match="'Z'"):
        reader_for(gpt(), char_tokenizer).read("Zzz")


def test_decoder_text_for_a_model_without_a_decoder(gpt, char_tokenizer):
    with pytest.raises(ValueError, match="GPT has no decoder"):
        reader_for(gpt(), char_tokenizer).read(PLAIN, decoder_text="a")


def test_a_model_whose_attention_cannot_be_seen(transformers_model, byte_tokenizer):
    """Flash and flex attention compute everything in one kernel; a kernel without softmax stands for them."""
    from transformers import AttentionInterface

    def secret(module, query, key, value, attention_mask, **kwargs):
        return value.repeat_interleave(query.shape[1] // key.shape[1], dim=1).transpose(1, 2).contiguous(), None

    AttentionInterface.register("secret", secret)
    model = transformers_model("llama")
    model.set_attn_implementation("secret")
    with pytest.raises(
        ValueError, match=r"'secret' computes it in one go.*attn_implementation=\"eager\".*output_attentions"
    ):
        reader_for(model, byte_tokenizer)


# --- the model is afterwards as it was ---


class Failing(torch.nn.Module):
    """Raises when it is told to."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.armed = inner, False

    def forward(self, *args, **kwargs):
        if self.armed:
            raise RuntimeError("out of memory, say")
        return self.inner(*args, **kwargs)


def state_of(model):
    hooks = [
        (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
        for module in model.modules()
    ]
    grads = [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()]
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    return [module.training for module in model.modules()], hooks, grads, weights


def same(one, other):
    return one[:2] == other[:2] and all(
        (a is None and b is None) or torch.equal(a, b)
        for place in (2, 3)
        for a, b in zip(one[place], other[place], strict=True)
    )


def test_a_model_that_fails_midway_is_left_as_it_was(gpt, char_tokenizer):
    model = gpt(dropout=0.3)
    model.train()
    model.blocks[1].eval()  # a part that somebody froze
    model(torch.tensor([[1, 2, 3]]), targets=torch.tensor([[2, 3, 4]])).loss.backward()
    reader = reader_for(model, char_tokenizer)
    good = reader.read(PLAIN, ablated=[(0, 1)], causal=False)
    model.blocks[2].feed_forward = failing = Failing(model.blocks[2].feed_forward)
    before = state_of(model)
    failing.armed = True
    random = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="out of memory, say"):
        reader.read(PLAIN, ablated=[(0, 1)], causal=False)
    assert same(before, state_of(model))
    assert torch.equal(random, torch.random.get_rng_state())
    failing.armed = False
    again = reader.read(PLAIN, ablated=[(0, 1)], causal=False)
    np.testing.assert_array_equal(again.predictions.probabilities, good.predictions.probabilities)
    assert same(before, state_of(model))


def test_reading_a_model_of_transformers_changes_nothing(transformers_model, byte_tokenizer):
    model = transformers_model("t5").train()
    before, implementation = state_of(model), model.config._attn_implementation
    reader_for(model, byte_tokenizer).read(PLAIN, causal=False, ablated=[("cross", 0, 0)])
    assert same(before, state_of(model))
    assert model.config._attn_implementation == implementation


def test_threads_do_not_mix_their_readings(gpt, char_tokenizer):
    reader = reader_for(gpt(), char_tokenizer)
    jobs = [("the cat", True), ("a dog saw", False), ("on the mat the", None), ("the dog", False)]
    expected = {job: reader.read(*job).views["self"].weights[2] for job in jobs}
    wrong = []

    def work(job):
        for _ in range(4):
            try:
                if not np.array_equal(reader.read(*job).views["self"].weights[2], expected[job]):
                    wrong.append(job)
            except Exception as error:
                wrong.append((job, error))

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # as many changes of thread as can be
    try:
        threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert not wrong


def test_a_reader_is_a_reader(gpt, char_tokenizer):
    reader = reader_for(gpt(), char_tokenizer)
    assert isinstance(reader, Reader)
    assert reader.title == "GPT, 3 × 4 heads"
    assert (reader.context_length, reader.causal, reader.heads) == (32, True, {"self": (3, 4)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "absent"),
    [("course_lib.interpret", {"torch", "transformers"}), ("course_lib.interpret.readers", {"transformers"})],
)
def test_importing_loads_no_more_than_it_needs(module, absent):
    code = f"import sys, {module}; print(*({absent} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_norms_without_an_output_matrix(gpt, char_tokenizer):
    from course_lib.interpret.tap import AttentionTap

    calls = []
    model = gpt()
    with torch.no_grad(), AttentionTap(model, on_call=calls.append):
        model(torch.tensor([[1, 2, 3]]))
    assert value_norms(calls[0]).shape == (4, 3)
    calls[0].output_weight = None
    assert value_norms(calls[0]) is None
