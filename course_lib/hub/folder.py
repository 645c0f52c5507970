"""A model as a folder: `config.json`, `model.safetensors`, `tokenizer.json`.

The config names the kind of model, every choice of its dataclass, and the checksum of the other files, so that a
file that was damaged, or that belongs to another model, is told from a sound one. Weights are safetensors only: a
format that holds numbers and cannot run code, which pickles can.
"""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from course_lib.models.bert import (
    BERT,
    BERTConfig,
    BERTForPretraining,
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
)
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.bundled import data_folder
from course_lib.text.tokenizers import load_tokenizer

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"

KINDS: dict[str, tuple[type[nn.Module], type]] = {
    "gpt": (GPT, GPTConfig),
    "bert": (BERT, BERTConfig),
    "bert_for_pretraining": (BERTForPretraining, BERTConfig),
    "bert_for_sequence_classification": (BERTForSequenceClassification, BERTConfig),
    "bert_for_token_classification": (BERTForTokenClassification, BERTConfig),
    "bert_for_question_answering": (BERTForQuestionAnswering, BERTConfig),
    "encoder_decoder": (EncoderDecoder, EncoderDecoderConfig),
}
"""The models that a folder can hold: what `config.json` calls them, their class, and the class of their config."""

VERSION = 1
SHOWN = 5
"""How many names a message lists before it only counts."""
PADDED_TO = 128
"""A model's vocabulary may be its tokenizer's, rounded up to a multiple of at most this."""


def save_model(
    folder: str | Path, model: nn.Module, tokenizer: Any = None, *, dtype: torch.dtype | None = None
) -> Path:
    """Save a model, and the tokenizer that made its ids, into `folder`; answer the folder.

    All files are written beside the old ones first and then renamed, so a full disk leaves what was there. Files of
    the folder that are not part of the model (a model card) stay.

    Args:
        folder: made if it does not exist.
        model: one of this course's models (`KINDS`).
        tokenizer: one of this course's tokenizers; None saves the model alone.
        dtype: how to store the weights; default as they are. float16 halves the file, and loading gives float32.

    Raises ValueError for a model of no known kind, or a tokenizer whose vocabulary is not the model's.
    """
    kind = next((name for name, (model_class, _) in KINDS.items() if type(model) is model_class), None)
    if kind is None:
        raise ValueError(f"save_model saves {', '.join(KINDS)} models of this course, not a {type(model).__name__}.")
    if tokenizer is not None:
        check_vocabularies(model, tokenizer)
    with replacing(Path(folder)) as beside:
        weights = {name: tensor.detach().cpu().to(dtype or tensor.dtype) for name, tensor in own_tensors(model)}
        save_file(weights, beside / WEIGHTS, metadata={"format": "pt"})
        if tokenizer is not None:
            tokenizer.save(beside / TOKENIZER)
        config = {
            "model": kind,
            "version": VERSION,
            "config": dataclasses.asdict(model.config),
            "sha256": {file.name: _checksum(file) for file in sorted(beside.iterdir())},
        }
        (beside / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return Path(folder)


def load_model(name_or_folder: str | Path) -> tuple[nn.Module, Any]:
    """The model and the tokenizer that `save_model` put into a folder, or that come with the course.

    A plain name ("story_gpt") that is no folder is looked up among the course's own models, `data/models/`. The model
    is on the CPU, in float32 and in evaluation mode; the tokenizer is None if none was saved.

    Raises FileNotFoundError when there is no such model or a file of it is missing; ValueError for a damaged or
    foreign one.
    """
    folder = _find(name_or_folder)
    content = _read_config(folder)
    model_class, config_class = KINDS[content["model"]]
    for file, expected in content["sha256"].items():
        _check_file(folder / file, expected)

    try:
        model = model_class(config_class(**content["config"]))
    except TypeError as error:
        raise ValueError(
            f"{folder / CONFIG} has settings that this version of the course does not know ({error}): "
            "update the course, or save the model again."
        ) from None
    _fill(model, folder / WEIGHTS)
    tokenizer = load_tokenizer(folder / TOKENIZER) if (folder / TOKENIZER).exists() else None
    if tokenizer is not None:
        check_vocabularies(model, tokenizer)
    return model.eval(), tokenizer


def shipped_models() -> list[str]:
    """The names of the models that come with the course."""
    return sorted(file.parent.name for file in (data_folder() / "models").glob(f"*/{CONFIG}"))


def own_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A model's saved tensors by name; of names that share one tensor (tied embeddings), the first only."""
    seen = set()
    for name, tensor in model.state_dict().items():
        if (place := (tensor.data_ptr(), tensor.shape)) not in seen:
            seen.add(place)
            yield name, tensor.contiguous()


def check_vocabularies(model: nn.Module, tokenizer: Any) -> None:
    """Raise ValueError unless the tokenizer's ids are the model's."""
    rows, tokens = model.config.vocab_size, tokenizer.vocab_size
    if not tokens <= rows < tokens + PADDED_TO:
        raise ValueError(
            f"The tokenizer has {tokens} tokens and the model a vocabulary of {rows}, so they do not belong "
            "together: use the tokenizer that the model was trained with."
        )
    fills, filler = getattr(model.config, "pad_id", None), getattr(tokenizer, "pad_id", None)
    if None not in (fills, filler) and fills != filler:
        raise ValueError(
            f"The tokenizer fills short rows with token {filler}, and the model takes {fills} for padding: build the "
            f"model with pad_id={filler}."
        )


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write files into; when all are written, they replace those of `folder`, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as name:
        beside = Path(name)
        yield beside
        files = sorted(beside.iterdir())
        for file in files:
            with file.open("rb") as written:
                os.fsync(written.fileno())
            file.chmod(0o644)
        for file in files:
            file.replace(folder / file.name)


def _find(name_or_folder: str | Path) -> Path:
    """The folder that is meant: a path first, then a model of the course."""
    folder = Path(name_or_folder)
    if (folder / CONFIG).is_file():
        return folder
    if folder.is_dir():
        raise FileNotFoundError(f"The folder {folder} holds no {CONFIG}: it was not written by save_model.")
    shipped = data_folder() / "models" / folder.name
    if len(folder.parts) == 1 and (shipped / CONFIG).is_file():
        return shipped
    raise FileNotFoundError(
        f"There is no model {str(name_or_folder)!r}: give a folder that save_model wrote, or one of the course's own "
        f"models ({', '.join(shipped_models()) or 'none in this copy'})."
    )


def _read_config(folder: Path) -> dict:
    """What `config.json` says, when it is one of ours."""
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it holds no valid JSON ({error}).") from None
    if isinstance(content, dict) and "architectures" in content:
        raise ValueError(
            f"{folder} holds a model of Hugging Face's format ({content.get('model_type', 'of no named kind')}): load "
            "it with gpt_from_huggingface or bert_from_huggingface."
        )
    if not isinstance(content, dict) or not {"model", "version", "config", "sha256"} <= content.keys():
        raise ValueError(f"{path} does not describe a model of this course: save it with save_model.")
    if content["model"] not in KINDS:
        raise ValueError(f"{path} describes a {content['model']!r}, and this course knows {', '.join(KINDS)}.")
    if content["version"] != VERSION:
        raise ValueError(
            f"{folder} is in version {content['version']} of the format, and this course reads version {VERSION}: "
            "update the course, or save the model again."
        )
    return content


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: copy the whole folder, or save the model again.")
    if (found := _checksum(path)) != expected:
        raise ValueError(
            f"{path} is damaged, or of another model: its SHA-256 is {found[:12]}…, and {CONFIG} says "
            f"{expected[:12]}…. Copy the folder again, or save the model again."
        )


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(model: nn.Module, path: Path) -> None:
    """Copy a file's tensors into the model's; ValueError when names or shapes differ."""
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no valid safetensors file ({error}): save the model again.") from None
    own = dict(own_tensors(model))
    problems = []
    if missing := [name for name in own if name not in weights]:
        problems.append(f"it lacks {listed(missing)}")
    if left_over := [name for name in weights if name not in own]:
        problems.append(f"it holds {listed(left_over)}, which the model has not")
    if problems:
        raise ValueError(f"{path} does not fit its {CONFIG}: {', and '.join(problems)}.")
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise ValueError(
                f"{path} does not fit its {CONFIG}: {name} has shape {tuple(weights[name].shape)} there, and "
                f"{tuple(tensor.shape)} by the config."
            )
    model.load_state_dict(weights, strict=False)


def listed(names: list[str]) -> str:
    """How many weights there are, and the first five by name."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} weight{'s' * (len(names) != 1)} ({', '.join(names[:SHOWN])}{more})"
