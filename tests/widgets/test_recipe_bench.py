"""The recipe bench: its costs are the library's, its switches change what they say, and it trains when asked."""

import pytest

from course_lib.experiments.modern import VARIANTS, Interval, config_of
from course_lib.models.counting import cache_bytes, count_parameters, training_flops, training_memory
from course_lib.models.sizes import named_config
from course_lib.widgets import recipe_bench
from course_lib.widgets.recipe_bench import SWITCHES, RecipeBench, changes_of, plain, shaped

EFFECTS = {"RMSNorm": Interval(0.001, 0.004), "rotary": Interval(-0.05, 0.01), "2 KV heads": Interval(0.01, 0.005)}


def bench(trained=None):
    trained = [] if trained is None else trained

    def train(changes, optimizer):
        trained.append((changes, optimizer))
        return 1.5 - 0.1 * len(changes)

    return RecipeBench(EFFECTS, {"small": config_of("base"), "GPT-2": named_config("gpt2")}, train, together=-0.2)


def test_every_piece_of_the_lesson_has_a_switch():
    pieces = {name for positions in SWITCHES.values() for name, changes in positions.items() if changes}
    assert pieces == set(VARIANTS) - {"base", "all together"}


def test_switches_change_what_the_variants_change():
    base = config_of("base")
    for switch, positions in SWITCHES.items():
        for name, changes in positions.items():
            if changes and switch != "optimiser":
                chosen = plain() | {switch: name}
                assert shaped(base, changes_of(chosen)) in (config_of(name), config_of(name, n_kv_heads=4)), name


def test_costs_follow_the_switches_and_the_size():
    widget = bench()
    widget.chosen = plain() | {"key-value heads": "2 KV heads", "optimiser": "Muon"}
    widget.size = "GPT-2"
    own = shaped(named_config("gpt2"), {"shared_by": 2})
    assert own.n_kv_heads == 6
    costs = [row["own"] for row in widget.shown["costs"]]
    assert costs == [
        count_parameters(own).total,
        training_flops(own, 1024) / 1024,
        cache_bytes(own, 1, bytes_per_number=2),
        training_memory(own, optimizer="muon").optimizer,
    ]
    assert widget.shown["costs"][2]["base"] == 2 * costs[2] == 36_864
    assert widget.shown["on"] == ["2 KV heads", "Muon"] and widget.shown["sum"] == pytest.approx(0.01)


def test_it_trains_the_base_first_and_then_what_is_asked():
    trained = []
    widget = bench(trained)
    assert widget.runs == [{"name": "GPT-2's block", "distance": 1.5}]
    widget.chosen = plain() | {"positions": "rotary", "optimiser": "Muon"}
    widget.asked = 1
    assert widget.answered == 1
    assert trained[1] == ({"positions": "rotary", "optimizer": "muon"}, "muon")
    assert widget.runs[1] == {"name": "rotary, Muon", "distance": pytest.approx(1.3)}


def test_picture_and_text():
    widget = bench()
    assert widget.describe().startswith("RecipeBench(GPT-2's block; ")
    figure, alt = widget.static_picture()
    assert "rotary -0.050 ± 0.010" in alt
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(EFFECTS)
    assert recipe_bench.names_of(plain()) == []
