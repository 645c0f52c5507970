import pytest

from course_lib.models.costs import DEVICES, LLAMA_7B, SPLITS, Device, Plan, cost_of
from course_lib.models.counting import count_parameters
from course_lib.models.sizes import SIZES
from course_lib.widgets.cost_calculator import PRESETS, RANGES, CostCalculator, config_for


def config_of(preset):
    return config_for(*(PRESETS[preset][name] for name in ("kind", "n_layers", "d_model", "context_length")))


def test_presets_are_the_published_shapes():
    assert config_of("7 B") == LLAMA_7B
    for preset, name in (("GPT-2 small", "gpt2"), ("GPT-2 medium", "gpt2-medium"), ("GPT-2 XL", "gpt2-xl")):
        assert config_of(preset) == SIZES[name]


def test_every_stop_of_the_sliders_is_a_model():
    for kind in ("GPT-2", "LLaMA"):
        for width in RANGES["d_model"]:
            assert count_parameters(config_for(kind, 2, width, 64)).total > 0


def test_what_is_shown_is_what_the_plan_costs():
    widget = CostCalculator(preset="7 B", n_devices=8, split="everything", batch=2, price=2.5)
    plan = Plan(LLAMA_7B, tokens=1e12, batch=2, n_devices=8, split="everything")
    cost = cost_of(plan)
    shown = widget.shown
    assert widget.plan() == plan
    assert shown["parameters"] == 6_738_415_616
    assert shown["flops"] == cost.flops and shown["seconds"] == cost.seconds
    assert shown["splits"][SPLITS.index("everything")]["memory"] == cost.memory
    assert shown["device_hours"] == pytest.approx(8 * cost.seconds / 3600)
    assert shown["money"] == pytest.approx(2.5 * shown["device_hours"])


def test_asking_counts_again():
    widget = CostCalculator()
    before = widget.shown
    widget.asked = {**widget.asked, "n_layers": 24}
    assert widget.shown["parameters"] > 1.5 * before["parameters"]
    widget.asked = {**widget.asked, "price": None}
    assert widget.shown["money"] == 0


def test_the_largest_batch_is_the_last_that_fits():
    widget = CostCalculator(preset="GPT-2 XL")
    most = widget.shown["largest_batch"]
    assert most >= 1
    for batch, fits in ((most, True), (most + 1, False)):
        widget.asked = {**widget.asked, "batch": batch}
        assert widget.shown["fits"] is fits
    assert CostCalculator(preset="7 B", batch=1).shown["largest_batch"] == 0


def test_a_machine_of_ones_own():
    mine = Device("this machine", 100e9, 100e9, 16e9, 10e9)
    widget = CostCalculator({**DEVICES, "this machine": mine}, device="this machine", tokens=1e9)
    assert widget.plan().device is mine
    assert "this machine" in repr(widget)


def test_one_output_holds_view_picture_and_text():
    data, metadata = CostCalculator(preset="7 B", n_devices=8)._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert "6.74 billion" in metadata["image/png"]["alt"]
    assert "does not fit" in data["text/plain"]


@pytest.mark.parametrize("wrong", [{"preset": "GPT-5"}, {"cards": 3}])
def test_what_it_does_not_know_is_refused(wrong):
    with pytest.raises(ValueError, match="GPT-2 small"):
        CostCalculator(**wrong)
