"""A GPT from Hugging Face's weights, and Hugging Face's model from ours: the same logits in both directions."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from course_lib.hub.bert import BERTModel, bert_to_transformers
from course_lib.hub.folder import TOKENIZER, check_vocabularies, replacing
from course_lib.hub.formats import FORMATS, Format, explicit_config, to_our_weights, to_their_weights
from course_lib.hub.places import model_folder, quiet
from course_lib.hub.t5 import ends_sources, t5_to_transformers
from course_lib.models.encoder_decoder import EncoderDecoder
from course_lib.models.gpt import GPT, GPTConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def gpt_from_huggingface(source: "str | Path | PreTrainedModel") -> GPT:
    """Our GPT with the weights of a GPT-2 or Llama of `transformers`: it answers the same logits.

    Args:
        source: a model that is loaded already, a folder that `save_pretrained` wrote, or a name on the hub ("gpt2"),
            which needs the network once. Only safetensors are read, and no code that comes with a model is run.

    The model is on the CPU, in float32 and in evaluation mode.

    Raises FileNotFoundError when a name is not on this machine and the hub cannot be reached; ValueError for an
    architecture or a setting that our GPT does not have.
    """
    theirs = _load(str(source)) if isinstance(source, str | Path) else source
    form = next((form for form in FORMATS if type(theirs).__name__ == form.architecture), None)
    if form is None:
        raise ValueError(
            f"The model is a {type(theirs).__name__}; a GPT of this course can be made from "
            f"{' or '.join(form.architecture for form in FORMATS)}."
        )
    if unlike := form.unlike(theirs.config):
        raise ValueError(f"This {form.name} is set up as our GPT cannot be: {', '.join(unlike)}.")

    ours = GPT(GPTConfig(**form.to_gpt(theirs.config)))
    weights = {name: tensor.detach().cpu() for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(to_our_weights(weights, form))
    return ours.eval()


def to_huggingface(
    model: GPT | BERTModel | EncoderDecoder, tokenizer: Any = None, folder: str | Path | None = None
) -> "PreTrainedModel":
    """The same model as one of `transformers`; with a folder, saved so that `from_pretrained` and `pipeline` load it.

    A GPT with GPT-2's switches becomes a GPT2LMHeadModel (without biases: one whose biases are 0); one with
    Llama's a LlamaForCausalLM. A BERT becomes theirs of the same kind (BertForMaskedLM, AlbertModel, …),
    and an encoder–decoder with T5's switches a T5ForConditionalGeneration.

    Args:
        model: the model to convert; it is left alone.
        tokenizer: one of this course's tokenizers; saved too, as a PreTrainedTokenizerFast.
        folder: where to save; files of it that are not part of the model stay.

    Raises ValueError for a model that is none of these, with the settings that stand in the way.
    """
    if isinstance(model, EncoderDecoder):
        theirs = t5_to_transformers(model, None if tokenizer is None else tokenizer.end_id)
    else:
        convert = _gpt_to_transformers if isinstance(model, GPT) else bert_to_transformers
        theirs = convert(model, _special_ids(tokenizer))
    if tokenizer is not None:
        check_vocabularies(model, tokenizer)
    if folder is not None:
        with replacing(Path(folder)) as beside, quiet():
            theirs.save_pretrained(beside)
            if tokenizer is not None:
                fast = fast_tokenizer(tokenizer, model.config.context_length)
                if isinstance(model, EncoderDecoder):
                    ends_sources(fast, tokenizer, model.config.pad_id)
                fast.save_pretrained(beside)
    return theirs


def fast_tokenizer(tokenizer: Any, context_length: int | None = None) -> "PreTrainedTokenizerFast":
    """One of this course's tokenizers as `transformers` uses it: the same ids.

    As in ours, special tokens are never made from text, even from a text that spells them; a tokenizer with a mask
    token is the exception, for "[MASK]" written out is how a pipeline is asked to fill it in.
    """
    from transformers import PreTrainedTokenizerFast

    masks = hasattr(tokenizer, "mask_id")
    roles = BERT_ROLES if masks else GPT_ROLES
    return PreTrainedTokenizerFast(
        tokenizer_object=_tokenizers_object(tokenizer),
        **{f"{role}_token": tokenizer.tokens[getattr(tokenizer, attribute)] for role, attribute in roles.items()},
        **({"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]} if masks else {}),
        split_special_tokens=not masks,
        clean_up_tokenization_spaces=False,
        **({} if context_length is None else {"model_max_length": context_length}),
    )


GPT_ROLES = {"bos": "end_id", "eos": "end_id", "pad": "end_id"}
BERT_ROLES = {"pad": "pad_id", "unk": "unk_id", "cls": "cls_id", "sep": "sep_id", "mask": "mask_id"}
"""What `transformers` calls a special token, and the attribute of ours that has its id."""


def _gpt_to_transformers(model: GPT, special_ids: dict[str, int | None]) -> "PreTrainedModel":
    """Our GPT as a GPT-2 or a Llama."""
    import transformers

    config = explicit_config(model)
    form = _format_for(config)
    their_class = getattr(transformers, form.architecture)
    settings = {name: setting(config) for name, setting in form.settings.items()}
    theirs = their_class(their_class.config_class(**settings, **special_ids))
    theirs.to(dtype=model.token_embedding.weight.dtype)

    weights = to_their_weights(model.state_dict(), form)
    for name, tensor in theirs.state_dict().items():
        if name.endswith(".bias"):  # ours may do without
            weights.setdefault(name, torch.zeros_like(tensor))
    theirs.load_state_dict(weights)
    return theirs.eval()


def _format_for(config: GPTConfig) -> Format:
    """The first architecture that can express the config; ValueError with what stands in the way of each."""
    for form in FORMATS:
        if not form.obstacles(config):
            return form
    ways = "; ".join(f"for {form.name}, {', '.join(form.obstacles(config))}" for form in FORMATS)
    raise ValueError(
        f"transformers has no model with all of these switches. In the way stand: {ways}. Save the model with "
        "save_model, or build it with the switches of one of the two."
    )


def _special_ids(tokenizer: Any) -> dict[str, int | None]:
    """What begins and ends a text, for a config of `transformers`."""
    end = None if tokenizer is None or hasattr(tokenizer, "mask_id") else tokenizer.end_id
    return {f"{role}_token_id": end for role in GPT_ROLES}


def _tokenizers_object(tokenizer: Any) -> Any:
    """The tokenizer as one of the `tokenizers` library, in whose format ours save themselves."""
    from tokenizers import Tokenizer

    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / TOKENIZER)
        return Tokenizer.from_file(str(Path(folder) / TOKENIZER))


def _load(source: str) -> "PreTrainedModel":
    """A causal language model of `transformers`, from a folder, this machine's cache, or the hub."""
    folder = model_folder(source)
    with quiet():
        return _from_folder(str(folder))


def _from_folder(folder: str) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"The model in {folder} cannot be loaded, it may be damaged: {error}") from error
