import math

import pytest
import torch

from course_lib.experiments import depth
from course_lib.experiments.depth import look_at_depth, make_stack


def test_weights_are_drawn_so_that_linear_maps_keep_sizes():
    block = make_stack("pre", 1)[0]
    assert block.feed_forward.down.weight.std().item() == pytest.approx(256**-0.5, rel=0.05)
    assert not block.feed_forward.down.bias.any()


def test_scaled_writers_are_smaller_by_the_root_of_two_per_block_and_nothing_else_changes():
    plain, scaled = make_stack("pre", 3), make_stack("pre", 3, scaled=True)
    torch.testing.assert_close(scaled[1].feed_forward.down.weight * math.sqrt(6), plain[1].feed_forward.down.weight)
    torch.testing.assert_close(scaled[1].attention.output.weight * math.sqrt(6), plain[1].attention.output.weight)
    torch.testing.assert_close(scaled[1].feed_forward.up.weight, plain[1].feed_forward.up.weight)


@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_without_the_path_the_input_is_replaced_and_not_added_to(norm_position):
    block = make_stack(norm_position, 1, residual=False)[0]
    with torch.no_grad():
        block.feed_forward.down.weight.zero_()
    x = torch.randn(1, 4, depth.D_MODEL)
    assert not block(x).output.any()


def test_variances_of_prenorm_add_and_postnorm_is_set_to_one():
    pre, post = look_at_depth(make_stack("pre", 6)), look_at_depth(make_stack("post", 6))
    assert len(pre.variance) == 7 and len(pre.gradient) == 6
    assert pre.variance == sorted(pre.variance) and 4 < pre.variance[-1] < 12
    assert post.variance[1:] == pytest.approx([1.0] * 6, abs=1e-3)


def test_without_the_path_tokens_grow_alike_sooner():
    kept, lost = (look_at_depth(make_stack("pre", 8, residual=residual)) for residual in (True, False))
    assert lost.difference[-1] < 0.2 * kept.difference[-1]


@pytest.mark.slow
def test_training_lowers_the_loss_and_repeats_itself():
    tokens = torch.arange(200) % 7
    runs = []
    for _ in range(2):
        model = depth.deep_gpt("pre", vocab_size=7, seed=0, n_layers=2)
        runs.append(depth.train(model, tokens, rate=0.01, steps=20))
    assert runs[0] == runs[1]
    assert runs[0][-1] < 0.7 * runs[0][0]


def test_warm_up_begins_with_small_steps():
    tokens = torch.arange(200) % 7
    models = [depth.deep_gpt("pre", vocab_size=7, seed=0, n_layers=1) for _ in range(3)]
    depth.train(models[1], tokens, rate=0.01, steps=1)
    depth.train(models[2], tokens, rate=0.01, steps=1, warm_up=10)
    start, full, warm = (model.unembedding.weight for model in models)
    torch.testing.assert_close((warm - start) * 10, full - start, rtol=1e-3, atol=1e-6)


def test_letters_alone_is_the_entropy_of_the_frequencies():
    assert depth.letters_alone(torch.tensor([1, 1, 3, 3])) == pytest.approx(math.log(2))


def test_stored_runs_hold_every_variant_rate_and_seed():
    stored = depth.stored_runs()
    assert list(stored["losses"]) == list(depth.VARIANTS)
    assert stored["rates"] == list(depth.RATES)
    for name, table in stored["losses"].items():
        assert torch.tensor(table).shape == (len(depth.SEEDS), len(depth.RATES)), name
