"""An encoder–decoder that has read its sources answers as a GPT does: logits for the tokens so far.

So that sampling, the cache and beam search stand once, for both kinds of model.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.generation.compiled import Compiled
from course_lib.generation.stand_in import StandIn
from course_lib.models.encoder_decoder import Decoded, DecoderCache, Encoded, EncoderDecoder, EncoderDecoderConfig
from course_lib.models.gpt import GPT

Texts = Int[Tensor, "batch time"] | Sequence[Sequence[int]] | Sequence[Tensor]


class Conditioned(StandIn):
    """An encoder–decoder together with the sources that it has read; row i continues what is written for source i."""

    def __init__(self, model: EncoderDecoder, encoded: Encoded):
        self.model = model
        self.encoded = encoded
        self.config: EncoderDecoderConfig = model.config

    def __call__(self, tokens: Int[Tensor, "batch time"], *, cache: list[DecoderCache] | None = None) -> Decoded:
        """The logits after each of `tokens`, the first of which is the start token."""
        return self.model.decode(tokens, self.encoded, cache=cache)

    def repeated(self, source: int, times: int) -> "Conditioned":
        """The same model with `times` rows that all look at one of the sources."""
        states, mask = (
            tensor[source : source + 1].expand(times, *tensor.shape[1:])
            for tensor in (self.encoded.states, self.encoded.mask)
        )
        return Conditioned(self.model, Encoded(states, mask, None))

    def new_cache(self, batch: int, max_length: int | None = None) -> list[DecoderCache]:
        """As `EncoderDecoder.new_cache`."""
        return self.model.new_cache(batch, max_length)


LanguageModel = GPT | Compiled | Conditioned
"""What answers logits for the tokens so far."""

GenerativeModel = LanguageModel | EncoderDecoder
"""What texts can be had from: an encoder–decoder is given its sources where a GPT is given its prompts."""


def read_sources(
    model: EncoderDecoder, sources: Texts, max_new_tokens: int
) -> tuple[Conditioned, Tensor | list[list[int]]]:
    """The model with its sources read, and what it begins to write with: the start token for each of them.

    Sources may differ in length. As with prompts, a tensor gives a tensor and a list a list.

    Raises ValueError for no source, an empty one, one longer than the context, and for more tokens to write than the
    context holds: a decoder does not forget its beginning.
    """
    if isinstance(sources, Tensor) and sources.ndim != 2:
        raise ValueError(
            f"The sources have shape {tuple(sources.shape)}; the model reads (batch, time): write tokens[None] for one."
        )
    if len(sources) == 0:
        raise ValueError("There is no source: give at least one text to read.")
    if not isinstance(sources, Tensor) and isinstance(sources[0], int):
        raise ValueError("The sources are a list of texts, each a list of ids: for one source, write [ids].")
    room = model.config.context_length - 1  # for the start token takes a place
    if max_new_tokens > room:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}, but the decoder's positions end after {room} tokens and its start "
            f"token: ask for at most {room}."
        )
    if any(len(source) == 0 for source in sources):
        raise ValueError("A source is empty: give the model at least one token to read, such as the end token.")
    device = next(model.parameters()).device
    rows = [torch.as_tensor(source, device=device) for source in sources]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=model.config.pad_id)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            conditioned = Conditioned(model, model.encode(padded))
    finally:
        model.train(was_training)
    first = model.config.first_id
    if isinstance(sources, Tensor):
        return conditioned, torch.full((len(rows), 1), first, device=device)
    return conditioned, [[first] for _ in rows]
