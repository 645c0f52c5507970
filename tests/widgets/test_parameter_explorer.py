from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib.exercises.lesson_08 import MyGPT
from course_lib.models.counting import count_parameters
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.sizes import GPT2
from course_lib.widgets.parameter_explorer import PARTS, ParameterExplorer, count_by_part

CONFIG = GPTConfig(vocab_size=50, context_length=16, d_model=24, n_heads=3, n_layers=2)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("sizes", [(50, 16, 24, 3, 2), (7, 9, 10, 1, 1), (101, 33, 64, 8, 5)])
def test_every_formula_is_what_a_built_model_has(sizes, tied):
    config = GPTConfig(*sizes, tie_embeddings=tied)
    model, counts = GPT(config), [part.count(config) for part in PARTS]
    assert counts == count_by_part(model)[:-1]
    assert sum(counts) == count_parameters(config).total == model.count_parameters()


def test_each_formula_with_numbers_gives_its_count():
    widget = ParameterExplorer(GPT, replace(CONFIG, tie_embeddings=False))
    for row in widget.shown["rows"]:
        code = row["numbers"].replace(",", "").replace("·", "*").replace("²", "**2")
        code = code.replace(")", ") ").replace("*(", "*(")
        assert eval(code) == row["count"], row  # our own text, made of digits and signs
    assert sum(row["share"] for row in widget.shown["rows"]) == pytest.approx(1)


def test_asking_for_other_sizes_builds_the_learners_class_to_them():
    built = []

    def build(config):
        built.append(config)
        return MyGPT(config)

    widget = ParameterExplorer(build, CONFIG)
    widget.asked = {**widget.asked, **widget.presets["GPT-2 XL"]}
    assert built[-1] == GPT2["GPT-2 XL"]
    assert widget.shown["built"] == widget.shown["total"] == 1_557_611_200
    assert "1,557,611,200 built" in repr(widget)


def test_a_class_that_shares_its_block_is_found_out():
    class OneBlock(MyGPT):
        def __init__(self, config):
            super().__init__(config)
            self.blocks = nn.ModuleList([self.blocks[0]] * config.n_layers)

    shown = ParameterExplorer(OneBlock, CONFIG).shown
    wrong = [row["name"] for row in shown["rows"] if row["built"] != row["count"]]
    assert len(wrong) == 5 and all("attention" in name or "feed" in name or "norms" in name for name in wrong)
    assert shown["built"] < shown["total"]


def test_parameters_of_no_known_part_are_told():
    class Extra(MyGPT):
        def __init__(self, config):
            super().__init__(config)
            self.temperature = nn.Parameter(torch.ones(5))

    assert ParameterExplorer(Extra, CONFIG).shown["other"] == 5


def test_heads_that_do_not_divide_are_explained_and_left_again():
    widget = ParameterExplorer(GPT, CONFIG)
    before = widget.shown
    widget.asked = {**widget.asked, "n_heads": 5}
    assert "24" in widget.shown["problem"] and "5" in repr(widget)
    widget.asked = {**widget.asked, "n_heads": 3}
    assert widget.shown == before


def test_the_sliders_can_stand_at_every_preset():
    widget = ParameterExplorer(GPT, CONFIG)
    for sizes in widget.presets.values():
        assert all(value in widget.ranges[name] for name, value in sizes.items())


def test_one_output_holds_view_picture_and_text():
    data, metadata = ParameterExplorer(GPT, CONFIG)._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert "124,439,808" in metadata["image/png"]["alt"]


@pytest.mark.parametrize("change", [{"positions": "rotary"}, {"bias": False}, {"d_ff": 50}])
def test_a_gpt_of_another_kind_is_refused(change):
    with pytest.raises(ValueError, match="learned positions, biases"):
        ParameterExplorer(GPT, replace(CONFIG, **change))
