"""BERTs from Hugging Face's weights and back: BERT, RoBERTa and ALBERT, with the heads of each.

A family is its names for our weights and its settings. What a checkpoint holds is told from the names in it: the same
folder may carry the encoder alone, or heads as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from course_lib.hub.folder import listed, own_tensors
from course_lib.hub.formats import OUR_ACTIVATION, THEIR_ACTIVATION
from course_lib.hub.places import model_folder, quiet, read_weights
from course_lib.models.bert import (
    BERT,
    BERTConfig,
    BERTForPretraining,
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BERTModel = (
    BERT | BERTForPretraining | BERTForSequenceClassification | BERTForTokenClassification | BERTForQuestionAnswering
)
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Family:
    """One of the three kinds of BERT in `transformers`.

    Attributes:
        name: how its classes begin; prefix: how the encoder's weights begin in a model with a head.
        outside: our names of the encoder's parts outside the blocks, and theirs.
        layer: how the names of a block's parts begin; block: our names of these parts, and theirs.
        heads: the same for the heads.
        of_texts: the parts that have other names in a model that classifies texts.
        to_ours: their config as arguments of ours, heads and labels aside; to_theirs: ours as arguments of theirs.
        unlike: what of their config our BERT has not, in words.
        obstacles: what of our model theirs has not, in words.
        shares_layers: whether it can keep one block for all layers; the others keep a copy for each.
    """

    name: str
    prefix: str
    outside: dict[str, str]
    layer: str
    block: dict[str, str]
    heads: dict[str, str]
    of_texts: dict[str, str]
    to_ours: Callable[[Any], dict[str, Any]]
    to_theirs: Callable[[BERTConfig], dict[str, Any]]
    unlike: Callable[[Any], list[str]]
    obstacles: Callable[[BERTModel], list[str]]
    shares_layers: bool = False

    def names(self, model: BERTModel, *, prefixed: bool) -> dict[str, str]:
        """Their name of each of our model's weights."""
        heads = self.heads | (self.of_texts if isinstance(model, BERTForSequenceClassification) else {})
        group = "0" if self.shares_layers and model.config.share_layers else None
        start = f"{self.prefix}." if prefixed else ""

        def their_name(name: str) -> str:
            part, leaf = name.removeprefix("bert.").rsplit(".", 1)
            if part in heads:
                return f"{heads[part]}.{leaf}"
            if not part.startswith("blocks."):
                return f"{start}{self.outside[part]}.{leaf}"
            _, number, part = part.split(".", 2)
            return f"{start}{self.layer.format(group or number)}.{self.block[part]}.{leaf}"

        return {name: their_name(name) for name in model.state_dict()}

    def has_head(self, head: str, weights: Weights) -> bool:
        """Whether a head of ours is among their weights."""
        return any(name.startswith(f"{self.heads[head]}.") for name in weights)


def bert_from_huggingface(source: "str | Path | PreTrainedModel") -> BERTModel:
    """Our BERT with the weights of a BERT, RoBERTa or ALBERT of `transformers`: the same vectors and attention.

    What comes back is what the source holds: a `BERT` where it is the encoder alone, a `BERTForPretraining` where it
    has the head for masked tokens (its encoder is `.bert`), or one of the three fine-tuned models with its labels.

    Args:
        source: a model that is loaded already, a folder that `save_pretrained` wrote, or a name on the hub
            ("bert-base-uncased"), which needs the network once. Only safetensors are read, and no code is run.

    The model is on the CPU, in float32 and in evaluation mode.

    Raises FileNotFoundError when a name is not on this machine and the hub cannot be reached; ValueError for a
    checkpoint of another family, for settings that our BERT does not have, and when weights are missing or left over.
    """
    theirs, weights, where = read_source(source)
    family = FAMILIES.get(theirs.model_type)
    if family is None:
        raise ValueError(_another_family(where, theirs.model_type))
    if unlike := family.unlike(theirs):
        raise ValueError(f"The {family.name} in {where} is set up as our BERT cannot be: {', '.join(unlike)}.")

    weights = _tidied(weights, family, where)
    ours = _empty_model(theirs, weights, family)
    prefixed = any(name.startswith(f"{family.prefix}.") for name in weights)
    own = {name for name, _ in own_tensors(ours)}  # a tensor with two names counts under the first
    names = {name: there for name, there in family.names(ours, prefixed=prefixed).items() if name in own}
    check_names(names, weights, ours, where)
    ours.load_state_dict({name: weights[there].float() for name, there in names.items()}, strict=False)
    return ours.eval()


def bert_to_transformers(model: BERTModel, special_ids: Mapping[str, int | None]) -> "PreTrainedModel":
    """The same model as one of `transformers`: BERT, RoBERTa or ALBERT, whichever has its switches.

    Raises ValueError for a model that none of them can express, with the settings that stand in the way.
    """
    import transformers

    config = model.config
    family = FAMILIES[_family_of(config)]
    if obstacles := family.obstacles(model):
        raise ValueError(
            f"transformers has no {family.name} with {', '.join(obstacles)}: save the model with save_model, or build "
            "it otherwise."
        )
    their_class = getattr(transformers, family.name + _suffix(model))
    settings = {**family.to_theirs(config), **_labels(config), **special_ids, "pad_token_id": config.pad_id}
    theirs = their_class(their_class.config_class(**settings))
    theirs.to(dtype=next(model.parameters()).dtype)

    names = family.names(model, prefixed=not isinstance(model, BERT))
    state = theirs.state_dict()
    given = {names[name]: tensor for name, tensor in model.state_dict().items() if names[name] in state}
    for name, tensor in state.items():
        if name.endswith("token_type_embeddings.weight"):  # ours may do without
            given.setdefault(name, torch.zeros_like(tensor))
    theirs.load_state_dict(given, strict=False)
    return theirs.eval()


def read_source(source: "str | Path | PreTrainedModel") -> tuple[Any, Weights, str]:
    """The config and the weights of a source, and what to call it in a message."""
    if not isinstance(source, str | Path):
        return source.config, {name: tensor.detach().cpu() for name, tensor in source.state_dict().items()}, "the model"
    from transformers import AutoConfig

    folder = model_folder(source)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"The settings in {folder} cannot be read: {error}") from error
    return config, read_weights(folder), str(source)


def _another_family(where: str, model_type: str) -> str:
    advice = {
        "gpt2": "gpt_from_huggingface loads it",
        "llama": "gpt_from_huggingface loads it",
        "t5": "t5_from_huggingface loads it",
    }.get(model_type, f"bert_from_huggingface loads {', '.join(FAMILIES)}")
    return f"{where} is of the family {model_type!r}, not a BERT: {advice}."


def _tidied(weights: Weights, family: Family, where: str) -> Weights:
    """The weights under today's names, without what is no weight and without what is kept twice."""
    tidy = {}
    for name, tensor in weights.items():
        if name.endswith((".position_ids", ".token_type_ids")):  # counting tables that older versions saved
            continue
        if name.endswith((".gamma", ".beta")):  # as the first BERTs were published
            name = name.removesuffix(".gamma").removesuffix(".beta") + (
                ".weight" if name.endswith(".gamma") else ".bias"
            )
        tidy[name] = tensor
    head = family.heads["head.decoder"]
    _drop_twin(tidy, f"{head}.decoder.bias", f"{head}.bias", where)
    _drop_twin(tidy, f"{head}.decoder.weight", f"{family.prefix}.embeddings.word_embeddings.weight", where)
    return tidy


def _drop_twin(weights: Weights, twin: str, original: str, where: str) -> None:
    """Forget a tensor that is another one's copy; ValueError when it is not."""
    copy = weights.pop(twin, None)
    if copy is None:
        return
    if not torch.equal(copy, weights.setdefault(original, copy)):
        raise ValueError(
            f"In {where}, {twin} is not {original}: our BERT ties the two, so this model cannot be loaded into it."
        )


def _empty_model(theirs: Any, weights: Weights, family: Family) -> BERTModel:
    """A model of ours with the parts that the weights are for."""
    settings = family.to_ours(theirs)
    labels = tuple(theirs.id2label[number] for number in sorted(theirs.id2label))
    pooler = any("pooler." in name for name in weights)
    architecture = (getattr(theirs, "architectures", None) or [""])[0] or ""

    if family.has_head("span", weights):
        return BERTForQuestionAnswering(BERTConfig(**settings, pooler=pooler))
    if "classifier.out_proj.weight" in weights:  # RoBERTa keeps its pooler in the head
        return BERTForSequenceClassification(BERTConfig(**settings, labels=labels))
    if family.has_head("classifier", weights):
        whole_text = pooler and not architecture.endswith("ForTokenClassification")
        kind = BERTForSequenceClassification if whole_text else BERTForTokenClassification
        return kind(BERTConfig(**settings, labels=labels, pooler=pooler))
    if family.has_head("head.transform", weights):
        judges = "next_sentence" in family.heads and family.has_head("next_sentence", weights)
        return BERTForPretraining(BERTConfig(**settings, pooler=pooler, next_sentence=judges))
    return BERT(BERTConfig(**settings, pooler=pooler))


def check_names(names: dict[str, str], weights: Weights, ours: nn.Module, where: str) -> None:
    """Raise ValueError for weights that are missing or left over, and for one of another shape.

    `names` are theirs for ours, `where` is what the message calls the source.
    """
    problems = []
    if missing := [name for name in names.values() if name not in weights]:
        problems.append(f"lacks {listed(missing)}, which a {type(ours).__name__} by its config.json has")
    if left_over := sorted(weights.keys() - set(names.values())):
        problems.append(f"holds {listed(left_over)}, which a {type(ours).__name__} by its config.json has not")
    if problems:
        raise ValueError(f"{where} {'; and it '.join(problems)}.")
    for name, tensor in own_tensors(ours):
        if weights[names[name]].shape != tensor.shape:
            raise ValueError(
                f"In {where}, {names[name]} has shape {tuple(weights[names[name]].shape)}, and by config.json it "
                f"should be {tuple(tensor.shape)}."
            )


def _family_of(config: BERTConfig) -> str:
    """Which of the three has these switches."""
    if config.d_embedding is not None:
        return "albert"
    return "roberta" if config.position_offset else "bert"


def _suffix(model: BERTModel) -> str:
    """How their class of this kind of model ends."""
    if isinstance(model, BERTForPretraining):
        return "ForPreTraining" if model.config.next_sentence else "ForMaskedLM"
    return {
        BERT: "Model",
        BERTForSequenceClassification: "ForSequenceClassification",
        BERTForTokenClassification: "ForTokenClassification",
        BERTForQuestionAnswering: "ForQuestionAnswering",
    }[type(model)]


def _labels(config: BERTConfig) -> dict[str, Any]:
    if not config.labels:
        return {}
    numbered = dict(enumerate(config.labels))
    return {"id2label": numbered, "label2id": {label: number for number, label in numbered.items()}}


def _sizes(theirs: Any) -> dict[str, Any]:
    """What the three families call by the same names."""
    return {
        "vocab_size": theirs.vocab_size,
        "context_length": theirs.max_position_embeddings,
        "d_model": theirs.hidden_size,
        "n_heads": theirs.num_attention_heads,
        "n_layers": theirs.num_hidden_layers,
        "d_ff": theirs.intermediate_size,
        "activation": OUR_ACTIVATION.get(theirs.hidden_act, theirs.hidden_act),
        "norm_eps": theirs.layer_norm_eps,
        "dropout": theirs.hidden_dropout_prob,
        "n_segments": theirs.type_vocab_size,
        "pad_id": theirs.pad_token_id or 0,
    }


def _their_sizes(ours: BERTConfig) -> dict[str, Any]:
    return {
        "vocab_size": ours.vocab_size,
        "max_position_embeddings": ours.context_length,
        "hidden_size": ours.d_model,
        "num_attention_heads": ours.n_heads,
        "num_hidden_layers": ours.n_layers,
        "intermediate_size": 4 * ours.d_model if ours.d_ff is None else ours.d_ff,
        "hidden_act": THEIR_ACTIVATION[ours.activation],
        "layer_norm_eps": ours.norm_eps,
        "hidden_dropout_prob": ours.dropout,
        "attention_probs_dropout_prob": ours.dropout,
        "type_vocab_size": max(1, ours.n_segments),
    }


def _roberta_sizes(theirs: Any) -> dict[str, Any]:
    """RoBERTa's table of positions begins with rows that no token uses: one for padding, and those before it."""
    offset = theirs.pad_token_id + 1
    length = theirs.max_position_embeddings - offset
    return _sizes(theirs) | {"context_length": length, "position_offset": offset}


def _unlike(theirs: Any) -> list[str]:
    """What the three families may be set to, and ours not."""
    usual = {
        "is_decoder": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
        "position_embedding_type": "absolute",
    }
    found = [
        f"{name}={getattr(theirs, name)}" for name, value in usual.items() if getattr(theirs, name, value) != value
    ]
    if theirs.hidden_act not in OUR_ACTIVATION:
        found.append(f"hidden_act={theirs.hidden_act!r}")
    return found


def _unlike_albert(theirs: Any) -> list[str]:
    found = _unlike(theirs)
    if theirs.num_hidden_groups not in (1, theirs.num_hidden_layers):
        found.append(f"num_hidden_groups={theirs.num_hidden_groups} for {theirs.num_hidden_layers} layers")
    if theirs.inner_group_num != 1:
        found.append(f"inner_group_num={theirs.inner_group_num}")
    return found


def _roberta_obstacles(model: BERTModel) -> list[str]:
    config, found = model.config, []
    if config.position_offset != config.pad_id + 1:
        found.append(f"position_offset={config.position_offset} where pad_id={config.pad_id} asks for the next number")
    if isinstance(model, BERTForPretraining):
        if config.next_sentence:
            found.append("next_sentence=True")
        if config.activation != "gelu":
            found.append(f"activation={config.activation!r} in its head")
    return found


def _albert_obstacles(model: BERTModel) -> list[str]:
    return ["position_offset"] if model.config.position_offset else []


OUTSIDE = {
    "token_embedding": "embeddings.word_embeddings",
    "positions.embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
}
BLOCK = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
FINE_TUNED = {"classifier": "classifier", "span": "qa_outputs"}

BERT_FAMILY = Family(
    name="Bert",
    prefix="bert",
    outside=OUTSIDE,
    layer="encoder.layer.{}",
    block=BLOCK,
    heads={
        "head.transform": "cls.predictions.transform.dense",
        "head.norm": "cls.predictions.transform.LayerNorm",
        "head.decoder": "cls.predictions",
        "next_sentence": "cls.seq_relationship",
        **FINE_TUNED,
    },
    of_texts={},
    to_ours=_sizes,
    to_theirs=_their_sizes,
    unlike=_unlike,
    obstacles=lambda model: [],
)
ROBERTA = Family(
    name="Roberta",
    prefix="roberta",
    outside=OUTSIDE,
    layer="encoder.layer.{}",
    block=BLOCK,
    heads={
        "head.transform": "lm_head.dense",
        "head.norm": "lm_head.layer_norm",
        "head.decoder": "lm_head",
        **FINE_TUNED,
    },
    of_texts={"pooler": "classifier.dense", "classifier": "classifier.out_proj"},
    to_ours=_roberta_sizes,
    to_theirs=lambda ours: _their_sizes(ours) | {"max_position_embeddings": ours.context_length + ours.position_offset},
    unlike=_unlike,
    obstacles=_roberta_obstacles,
)
ALBERT = Family(
    name="Albert",
    prefix="albert",
    outside=OUTSIDE | {"pooler": "pooler", "widen": "encoder.embedding_hidden_mapping_in"},
    layer="encoder.albert_layer_groups.{}.albert_layers.0",
    block={
        "attention.query": "attention.query",
        "attention.key": "attention.key",
        "attention.value": "attention.value",
        "attention.output": "attention.dense",
        "attention_norm": "attention.LayerNorm",
        "feed_forward.up": "ffn",
        "feed_forward.down": "ffn_output",
        "feed_forward_norm": "full_layer_layer_norm",
    },
    heads={
        "head.transform": "predictions.dense",
        "head.norm": "predictions.LayerNorm",
        "head.decoder": "predictions",
        "next_sentence": "sop_classifier.classifier",
        **FINE_TUNED,
    },
    of_texts={},
    to_ours=lambda theirs: (
        _sizes(theirs) | {"d_embedding": theirs.embedding_size, "share_layers": theirs.num_hidden_groups == 1}
    ),
    to_theirs=lambda ours: (
        _their_sizes(ours)
        | {
            "embedding_size": ours.d_embedding,
            "num_hidden_groups": 1 if ours.share_layers else ours.n_layers,
            "classifier_dropout_prob": ours.dropout,
        }
    ),
    unlike=_unlike_albert,
    obstacles=_albert_obstacles,
    shares_layers=True,
)
FAMILIES = {"bert": BERT_FAMILY, "roberta": ROBERTA, "albert": ALBERT}
