"""Sampling: turn logits into a choice, append it, and ask again."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.generation.conditioned import GenerativeModel, LanguageModel, read_sources
from course_lib.generation.decoder import RecomputingDecoder, make_decoder, threads_for, working
from course_lib.generation.probabilities import check_settings, probabilities_unchecked
from course_lib.models.encoder_decoder import EncoderDecoder

Prompts = Int[Tensor, "batch time"] | Sequence[Sequence[int]] | Sequence[Tensor]
"""Texts of one length as one tensor, or a list of texts of any lengths."""


@runtime_checkable
class Decodes(Protocol):
    """A tokenizer, as far as stop strings need one."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids."""


def stream(
    model: GenerativeModel,
    tokens: Prompts,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    use_cache: bool = True,
    generator: torch.Generator | None = None,
) -> Iterator[Int[Tensor, "batch"]]:
    """Yield the next token of every sequence, one step at a time.

    Past the model's context the oldest tokens are forgotten: the window slides, and is computed anew for each token.
    A warning says so when it begins.

    Args as in `generate`.
    """
    check_settings(temperature, top_k, top_p, min_p, repetition_penalty)
    if isinstance(model, EncoderDecoder):
        model, tokens = read_sources(model, tokens, max_new_tokens)
    texts = check_prompts(model, tokens, max_new_tokens)
    return _steps(
        model, texts, max_new_tokens, (temperature, top_k, top_p, min_p, repetition_penalty), use_cache, generator
    )


def _steps(
    model: LanguageModel,
    texts: list[Tensor],
    max_new_tokens: int,
    settings: tuple,
    use_cache: bool,
    generator: torch.Generator | None,
) -> Iterator[Int[Tensor, "batch"]]:
    """The tokens of `stream`, whose arguments were checked."""
    context = model.config.context_length
    longest = max(len(text) for text in texts)
    threads = threads_for(model)
    chosen: list[Tensor] = []
    was_training = model.training
    model.eval()
    try:
        with working(threads):
            decoder = make_decoder(model, texts, min(context, longest + max_new_tokens), use_cache)
            logits = decoder.read(texts) if max_new_tokens else None
            seen = _tokens_seen(texts, model.config.vocab_size) if settings[-1] != 1 else None
        for step in range(max_new_tokens):
            with working(threads):
                if longest + step == context + 1:  # the first token for which the context is too short
                    _say_that_it_slides(context)
                    decoder = RecomputingDecoder(model)
                    logits = decoder.read(_continued(texts, chosen))
                elif step:
                    logits = decoder.step(chosen[-1])
                probabilities = probabilities_unchecked(logits, *settings, seen)
                token = draw(probabilities, generator)
                if seen is not None:
                    seen.scatter_(1, token[:, None], True)
            chosen.append(token)
            yield token.clone()  # made outside of inference mode, so that it may enter any computation
    finally:
        model.train(was_training)


def draw(
    probabilities: Float[Tensor, "batch vocab_size"], generator: torch.Generator | None = None
) -> Int[Tensor, "batch"]:
    """One token of each row, with its probability; rows need not add up to 1.

    In a small vocabulary, what `torch.multinomial` draws for the same generator, without its checks of the rows:
    whoever has waited a time drawn from the exponential distribution with rate p_i is first with probability
    p_i / Σ p_j; and such a time is one with rate 1, divided by p_i. In a large one, random numbers for all tokens take
    as long as a part of the model; there one number is looked up in the sums p_1 + … + p_i.
    """
    if probabilities.shape[-1] <= RACE_UP_TO or probabilities.device.type == "mps":  # which has no float64
        waits = torch.empty_like(probabilities).exponential_(generator=generator)
        return (probabilities / waits).argmax(dim=-1)
    sums = probabilities.cumsum(dim=-1, dtype=torch.float64)
    place = torch.rand(len(sums), 1, dtype=sums.dtype, device=sums.device, generator=generator) * sums[:, -1:]
    return torch.searchsorted(sums, place, right=True)[:, 0]


RACE_UP_TO = 4096
"""The largest vocabulary in which every token gets a random number of its own."""


def generate(
    model: GenerativeModel,
    tokens: Prompts,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    use_cache: bool = True,
    generator: torch.Generator | None = None,
    *,
    repetition_penalty: float = 1.0,
    stop_id: int | None = None,
    stop_strings: str | Sequence[str] = (),
    tokenizer: Decodes | None = None,
) -> Int[Tensor, "batch longer"] | list[list[int]]:
    """Continue each sequence by up to `max_new_tokens`; answer prompt and continuation.

    Args:
        model: answers logits for tokens.
        tokens: the prompts, on the model's device: a tensor (batch, time), or a list of texts of any lengths. To an
            encoder–decoder they are the texts to read; the answer begins with its start token.
        max_new_tokens: how many tokens to add at most.
        temperature, top_k, top_p, min_p, repetition_penalty: as in `next_token_probabilities`. Temperature 0 always
            takes the likeliest token. The penalty counts the prompt's tokens too.
        use_cache: keep keys and values of earlier tokens instead of computing them again; same result, faster.
        generator: source of randomness, on the model's device; default torch's own.
        stop_id: a sequence that produces this token is finished; when all are, generation ends. What a finished
            sequence gets after it is more `stop_id`.
        stop_strings: a sequence whose continuation holds one of these texts is finished as well. Needs `tokenizer`.
            What it gets after that is `stop_id`, or its last token again where there is none.

    A tensor of prompts gives a tensor. A list of prompts gives a list of lists, and a finished text ends where it
    was finished: with its stop token, or with the token that completed a stop string.

    Raises ValueError for a setting outside its range, no prompt, an empty one, one longer than the context, or a
    token that is not the model's.
    """
    if isinstance(model, EncoderDecoder):
        model, tokens = read_sources(model, tokens, max_new_tokens)
    steps = stream(
        model,
        tokens,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        use_cache=use_cache,
        generator=generator,
    )
    texts = as_texts(tokens)
    ends = Endings(len(texts), stop_id, stop_strings, tokenizer)
    added: list[Tensor] = []
    for token in steps:
        added.append(ends.take(token))
        if ends.all_finished:
            break
    if isinstance(tokens, Tensor):
        return torch.cat([tokens, *(token[:, None] for token in added)], dim=1)
    rows = torch.stack(added, dim=1).tolist() if added else [[] for _ in texts]
    ended = zip(texts, rows, ends.lengths(len(added)), strict=True)
    return [text.tolist() + row[:length] for text, row, length in ended]


class Endings:
    """Knows which of several texts are finished, by a token or by a string.

    Args:
        batch: number of texts.
        stop_id: the token that ends a text, if there is one.
        stop_strings: texts that end a text; they need the tokenizer.
        tokenizer: turns tokens into text.
    """

    def __init__(
        self,
        batch: int,
        stop_id: int | None = None,
        stop_strings: str | Sequence[str] = (),
        tokenizer: Decodes | None = None,
    ):
        self.stop_id = stop_id
        self.stop_strings = [stop_strings] if isinstance(stop_strings, str) else list(stop_strings)
        if self.stop_strings and tokenizer is None:
            raise ValueError("Stop strings are looked for in the text, so give the tokenizer as well: tokenizer=….")
        if "" in self.stop_strings:
            raise ValueError("A stop string is empty, and every text holds the empty text: leave it out.")
        self.tokenizer = tokenizer
        self.ended_at: list[int | None] = [None] * batch
        self.rows: list[list[int]] = [[] for _ in range(batch)]

    @property
    def all_finished(self) -> bool:
        """Whether nothing is left to add."""
        return None not in self.ended_at

    def take(self, token: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
        """Note the next token of each text; answer them, with those after the end of a text replaced."""
        if self.stop_id is None and not self.stop_strings:
            return token
        for row, chosen in enumerate(token.tolist()):
            if self.ended_at[row] is not None:
                chosen = self.rows[row][-1] if self.stop_id is None else self.stop_id
            self.rows[row].append(chosen)
            if self.ended_at[row] is None and (chosen == self.stop_id or self._holds_stop_string(self.rows[row])):
                self.ended_at[row] = len(self.rows[row])
        return torch.tensor([row[-1] for row in self.rows], device=token.device)

    def lengths(self, added: int) -> list[int]:
        """How many of `added` tokens belong to each text."""
        return [added if end is None else end for end in self.ended_at]

    def _holds_stop_string(self, ids: list[int]) -> bool:
        """Whether one is in the text, looking only where the last token may have completed it."""
        if not self.stop_strings:
            return False
        # A character has at most four bytes, so at most four tokens; one more, because a token may begin within it.
        width = 4 * max(len(stop) for stop in self.stop_strings) + 4
        ending = self.tokenizer.decode(ids[-width:])
        return any(stop in ending for stop in self.stop_strings)


def as_texts(tokens: Prompts) -> list[Tensor]:
    """Each prompt as a tensor of its own."""
    return [text if isinstance(text, Tensor) else torch.tensor(text, dtype=torch.long) for text in tokens]


def check_prompts(model: LanguageModel, tokens: Prompts, max_new_tokens: int) -> list[Tensor]:
    """Each prompt as a tensor on the model's device; ValueError for what cannot be continued."""
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be 0 or more, but it is {max_new_tokens}.")
    if isinstance(tokens, Tensor) and tokens.ndim != 2:
        raise ValueError(
            f"The prompts have shape {tuple(tokens.shape)}; the model reads (batch, time): write tokens[None] for one "
            "prompt."
        )
    if not isinstance(tokens, Tensor) and len(tokens) and isinstance(tokens[0], int):
        raise ValueError("The prompts are a list of texts, each a list of ids: for one prompt, write [ids].")
    if len(tokens) == 0:
        raise ValueError("There is no prompt: give at least one text to continue.")
    device = next(model.parameters()).device
    texts = [text.to(device) for text in as_texts(tokens)]
    context = model.config.context_length
    for row, text in enumerate(texts):
        if len(text) == 0:
            raise ValueError(
                f"{_which(row, texts)} is empty: give the model at least one token to start from, such as the end "
                "token."
            )
        if len(text) > context:
            raise ValueError(
                f"{_which(row, texts)} is {len(text)} tokens long, but this model's context is {context}. Keep its "
                f"end, tokens[:, -{context}:], or use a model with a larger context_length."
            )
    return texts


def _which(row: int, texts: list[Tensor]) -> str:
    return "The prompt" if len(texts) == 1 else f"Prompt {row} of {len(texts)}"


def _tokens_seen(texts: list[Tensor], vocab_size: int) -> Tensor:
    """True where a text holds a token: (batch, vocab_size)."""
    seen = torch.zeros(len(texts), vocab_size, dtype=torch.bool, device=texts[0].device)
    for row, text in zip(seen, texts, strict=True):
        row[text.long()] = True
    return seen


def _continued(texts: list[Tensor], chosen: list[Tensor]) -> list[Tensor]:
    """Each text with the tokens that were added to it."""
    return [torch.cat(pair) for pair in zip(texts, torch.stack(chosen, dim=1), strict=True)]


def _say_that_it_slides(context: int) -> None:
    warnings.warn(
        f"The text fills this model's context of {context} tokens. From here on each token is predicted from the last "
        f"{context} alone, and these are computed anew each time, which is slower.",
        stacklevel=3,
    )
