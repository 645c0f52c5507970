"""The package as a whole: what importing it loads, who may import whom, and what the wheel carries."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from course_lib.lesson_files import ROOT


def _loaded_by(statement: str) -> set[str]:
    """The top-level packages in a fresh interpreter after the statement ran."""
    script = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(answer.stdout.split())


def test_importing_the_library_loads_nothing_heavy() -> None:
    """`import course_lib` costs nothing."""
    assert not {"torch", "transformers", "numpy", "matplotlib", "datasets"} & _loaded_by("import course_lib")


def test_text_knows_no_tensors() -> None:
    """Tokenizers and corpora work without torch."""
    assert not {"torch", "transformers"} & _loaded_by("import course_lib.text, course_lib.text.tokenizers")


def test_ruff_finds_nothing() -> None:
    """No likely bugs, no unused names, and everything public has a docstring."""
    answer = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_imports_run_one_way() -> None:
    """The layers in pyproject.toml hold: no module imports one above it."""
    lint = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"
    answer = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.slow
def test_the_wheel_carries_scripts_styles_fonts_and_data(tmp_path: Path) -> None:
    """What is beside the Python files in a checkout is in the wheel too; tests and notebooks are not."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    sources = tmp_path / "sources"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):  # a copy, so that nothing is built in the checkout
        if name.startswith(("course_lib/", "data/")) or "/" not in name:
            target = sources / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([*build, str(tmp_path), str(sources)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    library = {str(path.relative_to(sources)) for path in (sources / "course_lib").rglob("*") if path.is_file()}
    data = {f"course_lib/_data/{path.relative_to(sources / 'data')}" for path in _files(sources / "data")}
    assert library <= inside, library - inside
    assert data <= inside, data - inside
    assert any(name.endswith(".js") for name in library)
    assert "course_lib/_data/manifest.json" in data
    assert all(name.startswith(("course_lib/", "from_attention")) for name in inside)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_shapes_are_checked_while_the_tests_run() -> None:
    """A tensor of the wrong shape or type fails at the call that passed it; a whole number is a fine float."""
    import jaxtyping
    import torch

    from course_lib.nn.attention import scaled_dot_product_attention
    from course_lib.nn.positions import sinusoidal_encoding

    query, key = torch.ones(2, 3, 4), torch.ones(2, 5, 4)
    scaled_dot_product_attention(query, key, key)
    with pytest.raises(jaxtyping.TypeCheckError):
        scaled_dot_product_attention(query, key, torch.ones(2, 6, 4))
    with pytest.raises(jaxtyping.TypeCheckError):
        scaled_dot_product_attention(query, key, key.long())
    sinusoidal_encoding(4, 8, base=10_000)
