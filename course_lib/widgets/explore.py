"""The attention explorer from the command line: a model in a folder, a text, and a page that anybody can open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from course_lib.hub import load_model
from course_lib.widgets.attention_explorer import AttentionExplorer

# How the classes of `transformers` end that predict something, and what loads them.
AUTO_CLASSES = {
    "ForConditionalGeneration": "AutoModelForSeq2SeqLM",
    "MTModel": "AutoModelForSeq2SeqLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForCausalLM": "AutoModelForCausalLM",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForPreTraining": "AutoModelForMaskedLM",
}


def write_explorer(text: str, model: str, path: str | Path) -> tuple[Path, AttentionExplorer]:
    """Run a model on a text and write the explorer as one HTML file; the file's path, and what it shows.

    Args:
        text: what the model reads.
        model: a folder that `save_model` or `save_pretrained` wrote, or the name of a model of the course.
        path: the file to write.

    Raises:
        ValueError: for an empty text, a damaged model or one without a tokenizer, and weights too many for a page.
        FileNotFoundError: when there is no such model, or no folder to write to.
    """
    if not text.strip():
        raise ValueError('The text is empty: give the model something to read, for example "The cat sat."')
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    explorer = AttentionExplorer.from_model(*load_any_model(model), text)
    return explorer.to_html(path), explorer


def load_any_model(name_or_folder: str) -> tuple[Any, Any]:
    """A model and its tokenizer, from a folder of ours, a folder of `transformers`, or the course's own models."""
    folder = Path(name_or_folder)
    if not _is_of_transformers(folder):
        model, tokenizer = load_model(name_or_folder)
        if tokenizer is None:
            raise ValueError(
                f"{name_or_folder} holds no tokenizer: save the model with save_model(folder, model, tokenizer)."
            )
        return model, tokenizer

    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        architecture = (config.architectures or [""])[0]
        loader = next((name for ending, name in AUTO_CLASSES.items() if architecture.endswith(ending)), "AutoModel")
        model = getattr(transformers, loader).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, attn_implementation="eager"
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"transformers cannot load the model in {folder}: {reason}") from None
    return model.eval(), tokenizer


def _is_of_transformers(folder: Path) -> bool:
    """Whether the folder holds a model that `save_pretrained` wrote: its config.json names an architecture."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and ("architectures" in config or "model_type" in config)
