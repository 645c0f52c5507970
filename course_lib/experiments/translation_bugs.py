"""Three encoder–decoders with one thing wrong each, for lesson 15: all run, and their loss falls in training.

`SUSPECTS` has them by the names of those who wrote them. Only `forward`, what training sees, differs from the library's
model, except where the decoder itself does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.models.encoder_decoder import (
    Decoded,
    DecoderCache,
    Encoded,
    EncoderDecoder,
    EncoderDecoderOutput,
    shift_right,
)
from course_lib.models.gpt import IGNORED
from course_lib.nn.attention import padding_mask


class NotShifted(EncoderDecoder):
    """The decoder is given the very tokens that it has to predict."""

    def forward(self, source: Tensor, targets: Tensor, *, return_attentions: bool = False) -> EncoderDecoderOutput:
        """The logits for each target, which the decoder sees."""
        tokens = targets.masked_fill(targets == IGNORED, self.config.pad_id)
        logits = self.decode(tokens, self.encode(source)).logits
        return EncoderDecoderOutput(logits, self._loss(logits, targets))


class TargetsPadding(EncoderDecoder):
    """Cross-attention is kept from the padding of the *targets*, which says nothing about the source.

    Both texts are filled up to one length, or the mask would not fit and the mistake would show.
    """

    def forward(self, source: Tensor, targets: Tensor, *, return_attentions: bool = False) -> EncoderDecoderOutput:
        """The logits for each target, with the wrong mask."""
        length = max(source.shape[1], targets.shape[1])
        source = F.pad(source, (0, length - source.shape[1]), value=self.config.pad_id)
        filled = F.pad(targets, (0, length - targets.shape[1]), value=IGNORED)
        wrong = padding_mask(filled.masked_fill(filled == IGNORED, self.config.pad_id), self.config.pad_id)
        encoded = Encoded(self.encode(source).states, wrong, None)
        tokens = shift_right(targets, self.config.first_id, self.config.pad_id)
        logits = self.decode(tokens, encoded).logits
        return EncoderDecoderOutput(logits, self._loss(logits, targets))


class OwnMemory(EncoderDecoder):
    """Cross-attention is handed the decoder's start token in place of the encoder's vectors: nothing of the source."""

    def decode(
        self,
        tokens: Tensor,
        encoded: Encoded,
        *,
        return_attentions: bool = False,
        cache: list[DecoderCache] | None = None,
    ) -> Decoded:
        """The logits after each token, from what is written alone."""
        start = torch.full_like(tokens[:, :1], self.config.first_id)
        nothing = Encoded(self._embed(start), encoded.mask.new_ones(len(tokens), 1, 1, 1), None)
        return super().decode(tokens, nothing, return_attentions=return_attentions, cache=cache)


SUSPECTS: dict[str, type[EncoderDecoder]] = {"Ada": NotShifted, "Bo": TargetsPadding, "Cy": OwnMemory}
