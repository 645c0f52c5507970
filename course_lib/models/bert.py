"""BERT: a stack of blocks in which every token sees every other, and heads that predict from what comes out.

`BERT` is the encoder. `BERTForPretraining` fills in masked tokens and tells whether two texts belong together; the
other three heads are for fine-tuning. Switches of the config make a RoBERTa or an ALBERT of it.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.models.gpt import IGNORED
from course_lib.models.inputs import check_length, check_range, mean_cross_entropy
from course_lib.nn.attention import check_head_counts
from course_lib.nn.layers import ACTIVATIONS, LayerNorm, TransformerBlock, check_choice
from course_lib.nn.positions import LearnedPositions


@dataclass(frozen=True)
class BERTConfig:
    """Everything that decides a BERT's shape. The defaults are BERT's choices.

    Attributes:
        vocab_size: number of different tokens, V.
        context_length: the most tokens it ever sees at once.
        d_model, n_heads, n_layers: width of the stream, heads of each block, number of blocks.
        d_ff: inner width of the feed-forward network; default 4 · d_model.
        activation: "gelu", "gelu_tanh", "relu" or "relu2".
        norm_eps: ε inside the norms' root.
        dropout: probability of dropping, in training, an attention weight, a sublayer's output or an embedding.
        n_segments: how many segments are told apart; with fewer than 2 the segments are not looked at (RoBERTa).
        pad_id: the token that fills short rows; nobody attends to it.
        position_offset: rows of the table of positions that no token uses. RoBERTa counts positions from `pad_id` + 1
            and gives padding the row before.
        d_embedding: width of the embeddings, which a linear map then widens to `d_model` (ALBERT). None: `d_model`
            itself, and no map.
        share_layers: whether all blocks are one and the same, run `n_layers` times (ALBERT).
        pooler: whether a vector for the whole text is made from the first token's.
        next_sentence: whether `BERTForPretraining` also tells whether the second text follows the first.
        labels: names of the classes that a head for fine-tuning tells apart.

    Sources: Devlin et al. 2019 (BERT); Liu et al. 2019 (RoBERTa); Lan et al. 2020 (ALBERT).
    """

    vocab_size: int
    context_length: int
    d_model: int
    n_heads: int
    n_layers: int
    d_ff: int | None = None
    activation: str = "gelu"
    norm_eps: float = 1e-12
    dropout: float = 0.1
    n_segments: int = 2
    pad_id: int = 0
    position_offset: int = 0
    d_embedding: int | None = None
    share_layers: bool = False
    pooler: bool = True
    next_sentence: bool = True
    labels: Sequence[str] = ()

    def __post_init__(self):
        object.__setattr__(self, "labels", tuple(self.labels))  # a file gives a list
        for name in ("vocab_size", "context_length", "d_model", "n_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but it is {getattr(self, name)}.")
        check_choice("activation of BERT", self.activation, [name for name in ACTIVATIONS if name != "swiglu"])
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability below 1, but it is {self.dropout}.")
        if not 0 <= self.pad_id < self.vocab_size:
            raise ValueError(f"pad_id is {self.pad_id}, but tokens go from 0 to {self.vocab_size - 1}.")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"Each label may stand in the list once, but it is {list(self.labels)}.")
        check_head_counts(self.d_model, self.n_heads, self.n_heads)

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings."""
        return self.d_model if self.d_embedding is None else self.d_embedding


@dataclass
class BERTOutput:
    """What the encoder answers.

    Attributes:
        hidden: a vector for each token, after the last block.
        pooled: a vector for the whole text; None without a pooler.
        attentions: the weights of each block; None unless asked for.
        hidden_states: what went into the first block, and what came out of each; None unless asked for.
    """

    hidden: Float[Tensor, "batch time d_model"]
    pooled: Float[Tensor, "batch d_model"] | None = None
    attentions: list[Float[Tensor, "batch heads query key"]] | None = None
    hidden_states: list[Float[Tensor, "batch time d_model"]] | None = None


class BERT(nn.Module):
    """An encoder-only transformer: each token's vector is made from the whole text, left and right of it.

    Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3.
    """

    def __init__(self, config: BERTConfig):
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positions = LearnedPositions(config.context_length + config.position_offset, width)
        self.segment_embedding = nn.Embedding(config.n_segments, width) if config.n_segments else None
        self.embedding_norm = LayerNorm(width, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.widen = nn.Linear(width, config.d_model) if config.d_embedding is not None else None
        if config.share_layers:  # the same block again and again: its weights count once, and learn from every layer
            self.blocks = nn.ModuleList([_block(config)] * config.n_layers)
        else:
            self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layers))
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.apply(_initialise)

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        segments: Int[Tensor, "batch time"] | None = None,
        mask: Bool[Tensor, "batch time"] | None = None,
        *,
        return_attentions: bool = False,
        return_hidden_states: bool = False,
    ) -> BERTOutput:
        """A vector for each of `tokens`.

        Args:
            tokens: ids, in [0, vocab_size).
            segments: for each token the text that it belongs to, 0 or 1; all 0 when left out.
            mask: True where a token is real, False where it is padding. Default: wherever it is not `pad_id`.
            return_attentions: also answer every block's attention weights.
            return_hidden_states: also answer the vectors before the first block and after each.

        Raises ValueError for a text longer than the encoder's positions, and for a token or segment that there is not.
        """
        config = self.config
        check_length(tokens.shape[1], config.context_length)
        check_range("Token", tokens, config.vocab_size, "was the text encoded with another tokenizer?")
        real = tokens != config.pad_id if mask is None else mask

        x = self._embed(tokens, segments, real)  # (batch, time, d_model)
        attentions, hidden_states = [], [x]
        for block in self.blocks:
            x, weights = block(x, mask=real[:, None, None, :], need_weights=return_attentions)
            attentions.append(weights)
            hidden_states.append(x)
        return BERTOutput(
            hidden=x,
            pooled=None if self.pooler is None else self.pooler(x[:, 0]).tanh(),
            attentions=attentions if return_attentions else None,
            hidden_states=hidden_states if return_hidden_states else None,
        )

    def count_parameters(self) -> int:
        """Number of trained numbers; a shared block counts once."""
        return _count_parameters(self)

    def _embed(self, tokens: Tensor, segments: Tensor | None, real: Tensor) -> Tensor:
        """Token, position and segment added up, normalised, and brought to the width of the stream."""
        x = self.token_embedding(tokens) + self._position_vectors(real)
        if self.segment_embedding is not None:
            if segments is None or self.config.n_segments < 2:
                segments = torch.zeros_like(tokens)
            check_range("Segment", segments, self.config.n_segments, "number the two texts of a pair 0 and 1.")
            x = x + self.segment_embedding(segments)
        x = self.dropout(self.embedding_norm(x))
        return x if self.widen is None else self.widen(x)

    def _position_vectors(self, real: Bool[Tensor, "batch time"]) -> Float[Tensor, "..."]:
        """BERT counts places; RoBERTa counts real tokens from its offset on, and padding stands before them."""
        offset = self.config.position_offset
        if not offset:
            return self.positions(real.shape[1])
        return self.positions.embedding(real.cumsum(dim=1) * real + (offset - 1))


@dataclass
class PretrainingOutput:
    """What a BERT answers while it is pre-trained.

    Attributes:
        logits: unnormalised log-probabilities of the token at each place; None in training with targets, where only the
            masked places are scored (one in seven), which saves a fifth of the time.
        next_sentence_logits: of "the second text follows the first" (0) and "it does not" (1); None without that head.
        loss: the sum of the two below; None without targets.
        masked_loss: mean cross-entropy in nats over the masked tokens.
        next_sentence_loss: mean cross-entropy over the pairs; None where no pair has a label.
        attentions: the weights of each block; None unless asked for.
    """

    logits: Float[Tensor, "batch time vocab_size"] | None
    next_sentence_logits: Float[Tensor, "batch 2"] | None = None
    loss: Float[Tensor, ""] | None = None
    masked_loss: Float[Tensor, ""] | None = None
    next_sentence_loss: Float[Tensor, ""] | None = None
    attentions: list[Float[Tensor, "batch heads query key"]] | None = None


class BERTForPretraining(nn.Module):
    """The encoder with the head that fills in masked tokens and, with `next_sentence`, the one that judges pairs.

    The head for masked tokens is one more layer and the table of token embeddings, used backwards (tied).

    Source: Devlin et al. 2019, section 3.1; Lan et al. 2020, section 3.1 (ALBERT's head tells the *order* of the two).
    """

    def __init__(self, config: BERTConfig):
        super().__init__()
        if config.next_sentence and not config.pooler:
            raise ValueError("Judging pairs needs the vector of the whole text: with next_sentence, set pooler=True.")
        self.config = config
        self.bert = BERT(config)
        self.head = MaskedTokenHead(config)
        self.head.decoder.weight = self.bert.token_embedding.weight
        self.next_sentence = nn.Linear(config.d_model, 2) if config.next_sentence else None
        for part in (self.head.transform, self.next_sentence):
            if part is not None:
                _initialise(part)

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        segments: Int[Tensor, "batch time"] | None = None,
        next_sentence: Int[Tensor, "batch"] | None = None,
        targets: Int[Tensor, "batch time"] | None = None,
        *,
        mask: Bool[Tensor, "batch time"] | None = None,
        return_attentions: bool = False,
    ) -> PretrainingOutput:
        """What stands at each place, and whether the second text follows the first.

        Args:
            tokens, segments, mask, return_attentions: as for `BERT`.
            next_sentence: for each row 0 when its second text follows the first, 1 when not, IGNORED when there is
                no saying; a model without that head takes no notice.
            targets: the token that really stands at each masked place, IGNORED elsewhere.
        """
        encoded = self.bert(tokens, segments, mask, return_attentions=return_attentions)
        output = PretrainingOutput(None, attentions=encoded.attentions)
        if targets is None or not self.training:
            output.logits = self.head(encoded.hidden)
        if self.next_sentence is not None:
            output.next_sentence_logits = self.next_sentence(encoded.pooled)
        if targets is not None:
            guessed = targets != IGNORED
            logits = self.head(encoded.hidden[guessed]) if output.logits is None else output.logits[guessed]
            output.masked_loss = output.loss = mean_cross_entropy(
                logits, targets[guessed], "Target", "was the text encoded with another tokenizer?"
            )
        if next_sentence is not None and output.next_sentence_logits is not None:
            output.next_sentence_loss = mean_cross_entropy(
                output.next_sentence_logits, next_sentence, "Next-sentence label", "0 says that it follows, 1 not."
            )
            output.loss = output.next_sentence_loss + (0.0 if output.loss is None else output.loss)
        return output

    def count_parameters(self) -> int:
        """Number of trained numbers; a tied or shared one counts once."""
        return _count_parameters(self)


class MaskedTokenHead(nn.Module):
    """norm(activation(W x)), then a score for every token of the vocabulary."""

    def __init__(self, config: BERTConfig):
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.transform = nn.Linear(config.d_model, config.embedding_width)
        self.norm = LayerNorm(config.embedding_width, eps=config.norm_eps)
        self.decoder = nn.Linear(config.embedding_width, config.vocab_size)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab_size"]:
        """Logits for each vector."""
        return self.decoder(self.norm(self.activation(self.transform(hidden))))


@dataclass
class ClassificationOutput:
    """What a classifier answers.

    Attributes:
        logits: unnormalised log-probabilities of each label, for each text or for each token.
        loss: mean cross-entropy in nats over the targets that count; None without targets.
        attentions: the weights of each block; None unless asked for.
    """

    logits: Float[Tensor, "batch *time labels"]
    loss: Float[Tensor, ""] | None = None
    attentions: list[Float[Tensor, "batch heads query key"]] | None = None


class _Classifier(nn.Module):
    """The encoder, dropout, and one linear map to the labels."""

    needs_pooler: ClassVar[bool]

    def __init__(self, config: BERTConfig):
        super().__init__()
        if len(config.labels) < 2:
            raise ValueError(f"A classifier needs at least two labels, but config.labels is {list(config.labels)}.")
        if self.needs_pooler and not config.pooler:
            raise ValueError("A label for a whole text needs the vector of the whole text: set pooler=True.")
        self.config = config
        self.bert = BERT(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.d_model, len(config.labels))
        _initialise(self.classifier)

    @classmethod
    def on(
        cls, encoder: "BERT | BERTForPretraining", labels: tuple[str, ...] | list[str], *, dropout: float | None = None
    ) -> "_Classifier":
        """A new head on a copy of a pre-trained encoder; the encoder that is given stays as it is.

        `dropout` is the encoder's, unless another is given.
        """
        dropout = encoder.config.dropout if dropout is None else dropout
        config = dataclasses.replace(encoder.config, labels=tuple(labels), pooler=cls.needs_pooler, dropout=dropout)
        model = cls(config)
        _copy_encoder(encoder, model)
        return model

    def count_parameters(self) -> int:
        """Number of trained numbers; a shared block counts once."""
        return _count_parameters(self)

    def _answer(self, vectors: Tensor, targets: Tensor | None, attentions: list[Tensor] | None) -> ClassificationOutput:
        logits = self.classifier(self.dropout(vectors))
        loss = None
        if targets is not None:
            labels = self.config.labels
            loss = mean_cross_entropy(
                logits, targets, "Label", f"the {len(labels)} labels are {', '.join(labels)}, numbered in this order."
            )
        return ClassificationOutput(logits, loss, attentions)


class BERTForSequenceClassification(_Classifier):
    """One label for each text (or pair of texts), from the pooled vector."""

    needs_pooler = True

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        segments: Int[Tensor, "batch time"] | None = None,
        targets: Int[Tensor, "batch"] | None = None,
        *,
        mask: Bool[Tensor, "batch time"] | None = None,
        return_attentions: bool = False,
    ) -> ClassificationOutput:
        """Scores of the labels, shape (batch, labels). Arguments as for `BERT`; `targets` are numbers of labels."""
        encoded = self.bert(tokens, segments, mask, return_attentions=return_attentions)
        return self._answer(self.read_from(tokens, encoded), targets, encoded.attentions)

    def read_from(self, tokens: Int[Tensor, "batch time"], encoded: BERTOutput) -> Float[Tensor, "batch d_model"]:
        """The vector of each text that the label is read from."""
        return encoded.pooled


class BERTForTokenClassification(_Classifier):
    """One label for each token, from its own vector."""

    needs_pooler = False

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        segments: Int[Tensor, "batch time"] | None = None,
        targets: Int[Tensor, "batch time"] | None = None,
        *,
        mask: Bool[Tensor, "batch time"] | None = None,
        return_attentions: bool = False,
    ) -> ClassificationOutput:
        """Scores of the labels, shape (batch, time, labels). `targets` are numbers of labels, IGNORED where none."""
        encoded = self.bert(tokens, segments, mask, return_attentions=return_attentions)
        return self._answer(encoded.hidden, targets, encoded.attentions)


@dataclass
class SpanOutput:
    """What a reader answers.

    Attributes:
        start_logits, end_logits: how likely the answer begins, and ends, at each token.
        loss: mean cross-entropy in nats of starts and ends; None without targets.
        attentions: the weights of each block; None unless asked for.
    """

    start_logits: Float[Tensor, "batch time"]
    end_logits: Float[Tensor, "batch time"]
    loss: Float[Tensor, ""] | None = None
    attentions: list[Float[Tensor, "batch heads query key"]] | None = None


class BERTForQuestionAnswering(nn.Module):
    """Where in the second text the answer to the first begins and ends; at the first token, [CLS], if nowhere.

    Source: Devlin et al. 2019, sections 4.2 and 4.3.
    """

    def __init__(self, config: BERTConfig):
        super().__init__()
        self.config = config
        self.bert = BERT(config)
        self.span = nn.Linear(config.d_model, 2)
        _initialise(self.span)

    @classmethod
    def on(cls, encoder: BERT | BERTForPretraining, *, dropout: float | None = None) -> "BERTForQuestionAnswering":
        """A new head on a copy of a pre-trained encoder; the encoder that is given stays as it is.

        `dropout` is the encoder's, unless another is given.
        """
        dropout = encoder.config.dropout if dropout is None else dropout
        model = cls(dataclasses.replace(encoder.config, pooler=False, dropout=dropout))
        _copy_encoder(encoder, model)
        return model

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        segments: Int[Tensor, "batch time"] | None = None,
        targets: Int[Tensor, "batch 2"] | None = None,
        *,
        mask: Bool[Tensor, "batch time"] | None = None,
        return_attentions: bool = False,
    ) -> SpanOutput:
        """Scores of each token as start and as end. `targets` holds the first and the last token of each answer."""
        encoded = self.bert(tokens, segments, mask, return_attentions=return_attentions)
        start, end = self.span(encoded.hidden).unbind(dim=-1)  # (batch, time) each
        loss = None
        if targets is not None:
            both = torch.stack([start, end], dim=1)  # (batch, 2, time)
            loss = mean_cross_entropy(both, targets, "Place", "an answer lies inside its text.")
        return SpanOutput(start, end, loss, encoded.attentions)

    def count_parameters(self) -> int:
        """Number of trained numbers; a shared block counts once."""
        return _count_parameters(self)


def _block(config: BERTConfig) -> TransformerBlock:
    return TransformerBlock(
        config.d_model,
        config.n_heads,
        config.d_ff,
        norm_position="post",
        norm_eps=config.norm_eps,
        activation=config.activation,
        dropout=config.dropout,
    )


def _initialise(module: nn.Module) -> None:
    """Normal weights of spread 0.02 and no additive constants, as BERT begins."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _copy_encoder(encoder: BERT | BERTForPretraining, model: nn.Module) -> None:
    """Copy the encoder's weights into `model.bert`; a pooler that only one of the two has is left as it is."""
    own = model.bert.state_dict()
    given = getattr(encoder, "bert", encoder).state_dict()
    model.bert.load_state_dict({name: given.get(name, weight) for name, weight in own.items()})


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
