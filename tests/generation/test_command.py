"""`course sample`: a saved model continues a text on the command line."""

import pytest
import torch

from course_lib.cli import main
from course_lib.generation import complete
from course_lib.hub import load_model, save_model
from course_lib.text.tokenizers import CharTokenizer
from tests.generation.conftest import make_gpt


@pytest.fixture
def folder(tmp_path, gpt):
    return str(save_model(tmp_path / "model", gpt, CharTokenizer.train(["abcdefghijkl"])))


def test_it_prints_the_prompt_and_what_follows(folder, capsys):
    assert main(["sample", folder, "abc", "--temperature", "0", "--tokens", "8"]) == 0
    assert capsys.readouterr().out == "abc" + complete(*load_model(folder), "abc", 8, temperature=0.0) + "\n"


def test_a_seed_repeats_it(folder, capsys):
    runs = []
    for seed in ("1", "1", "2"):
        main(["sample", folder, "--seed", seed, "--temperature", "2", "--tokens", "20", "--top-p", "0.9"])
        runs.append(capsys.readouterr().out)
    assert runs[0] == runs[1] != runs[2]


def test_compiled_steps_print_the_same(folder, capsys):
    arguments = ["sample", folder, "abc", "--temperature", "0", "--tokens", "8"]
    with torch.compiler.set_stance("force_eager"):  # tests/generation/compiled_program.py compiles in earnest
        assert main([*arguments, "--compile"]) == 0
    compiled = capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out == compiled


@pytest.mark.slow
def test_int8_and_stop(folder, capsys):
    assert main(["sample", folder, "a", "--int8", "--seed", "0", "--stop", "b", "--stop", "c"]) == 0
    out = capsys.readouterr().out.removeprefix("a")
    assert "b" not in out
    assert "c" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no model 'nowhere'"),
        (["FOLDER", "--temperature", "-1"], "temperature must be 0 or more"),
        (["FOLDER", "--top-p", "0"], "top_p is a share"),
        (["FOLDER", "xyz"], "'x'"),
        (["FOLDER", "a" * 40], "41 tokens long, but this model's context is 24"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder, capsys, arguments, message):
    assert main(["sample", *[folder if argument == "FOLDER" else argument for argument in arguments]]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_model_without_its_tokenizer(tmp_path, capsys):
    save_model(tmp_path, make_gpt())
    assert main(["sample", str(tmp_path)]) == 2
    assert "holds no tokenizer.json" in capsys.readouterr().err
