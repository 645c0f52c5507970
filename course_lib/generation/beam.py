"""Beam search: keep the few likeliest beginnings, in place of one drawn at random.

Sources: Graves 2012, "Sequence Transduction with Recurrent Neural Networks", section 3; Wu et al. 2016, section 7,
and its common simplification for the length: log p / lengthᵃ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.generation.conditioned import Conditioned, GenerativeModel, LanguageModel, read_sources
from course_lib.generation.decoder import make_decoder, threads_for, working
from course_lib.generation.sampling import Prompts, check_prompts
from course_lib.models.encoder_decoder import EncoderDecoder


@dataclass(frozen=True)
class Hypothesis:
    """One continuation that a search found.

    Attributes:
        tokens: the prompt (of an encoder–decoder, the start token) and what was added, the stop token included.
        log_probability: the sum of the added tokens' log-probabilities, in nats.
        score: what hypotheses are ranked by, log_probability / lengthᵃ with the number of added tokens as length.
    """

    tokens: list[int]
    log_probability: float
    score: float


GOES_ON, FINISHED, DROPPED = "goes on", "finished", "dropped"


class Continuation(NamedTuple):
    """A beginning with one more token, and what the search decides about it.

    parent: which of the beginnings that went on at the step before, in their order; log_probability: the sum of the
    added tokens' so far; fate: GOES_ON, FINISHED (it ends here, and is ranked with the others that do) or DROPPED.
    """

    parent: int
    token: int
    log_probability: float
    fate: str


def beam_search(
    model: GenerativeModel,
    tokens: Prompts,
    max_new_tokens: int,
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    early_stopping: bool = False,
    stop_id: int | None = None,
    use_cache: bool = True,
    watch: Callable[[list[Continuation]], None] | None = None,
) -> list[list[Hypothesis]]:
    """For each prompt, the best continuations that were found, best first: at most `beams` of them.

    At each step every beginning is continued by every token, and the `beams` likeliest of all these go on. One that
    ends in `stop_id`, or has `max_new_tokens`, is finished. The search ends when no running one could overtake the
    finished ones at its present length (`early_stopping`: as soon as `beams` are finished).

    Args:
        model, tokens, max_new_tokens, use_cache: as in `generate`.
        beams: how many beginnings are kept. 1 is greedy search.
        length_penalty: the exponent a of the score log p / lengthᵃ. 0 ranks by probability, which favours short texts;
            1 by the mean over tokens; more favours long ones.
        early_stopping: stop at the first `beams` that are finished.
        stop_id: the token that ends a text.
        watch: called after each step with the continuations that were looked at, likeliest first.

    Raises ValueError for a prompt as in `generate`, fewer than one beam or one new token, or more tokens than the
    context holds: a search needs all its beginnings whole.
    """
    if beams < 1:
        raise ValueError(f"beams must be at least 1, but it is {beams}.")
    if max_new_tokens < 1:
        raise ValueError(f"A search adds at least one token, but max_new_tokens is {max_new_tokens}.")
    if isinstance(model, EncoderDecoder):
        model, tokens = read_sources(model, tokens, max_new_tokens)
    prompts = check_prompts(model, tokens, max_new_tokens)
    for prompt in prompts:
        if len(prompt) + max_new_tokens > model.config.context_length:
            raise ValueError(
                f"{len(prompt)} tokens of prompt and {max_new_tokens} new ones are more than the model's context of "
                f"{model.config.context_length}: ask for at most {model.config.context_length - len(prompt)}."
            )
    search = _Search(beams, length_penalty, early_stopping, max_new_tokens, stop_id, watch)
    was_training = model.training
    model.eval()
    try:
        with working(threads_for(model)):
            return [search.run(_for_row(model, row, beams), prompt, use_cache) for row, prompt in enumerate(prompts)]
    finally:
        model.train(was_training)


def _for_row(model: LanguageModel, row: int, beams: int) -> LanguageModel:
    """The model for all beginnings of one text: those of a translation look at one source."""
    return model.repeated(row, beams) if isinstance(model, Conditioned) else model


class _Candidate(NamedTuple):
    """A running beginning with one more token."""

    row: int  # of the beginning
    token: int
    log_probability: float
    finished: bool


@dataclass
class _Search:
    beams: int
    length_penalty: float
    early_stopping: bool
    max_new_tokens: int
    stop_id: int | None
    watch: Callable[[list[Continuation]], None] | None = None

    def run(self, model: LanguageModel, prompt: Tensor, use_cache: bool) -> list[Hypothesis]:
        """Search from one prompt."""
        prompts = [prompt] * self.beams
        decoder = make_decoder(model, prompts, len(prompt) + self.max_new_tokens, use_cache)
        logits = decoder.read(prompts)
        running = prompts
        # All beginnings are the same at first: only one of them may be continued, or all would stay the same.
        totals = torch.full((self.beams,), -torch.inf, device=prompt.device)
        totals[0] = 0.0
        finished: list[Hypothesis] = []
        for length in range(1, self.max_new_tokens + 1):
            candidates = self._best(totals[:, None] + logits.float().log_softmax(dim=-1), length)
            for candidate in candidates[: self.beams]:  # the rest are there so that enough go on
                if candidate.finished:
                    finished.append(self._hypothesis(running[candidate.row], candidate, length))
            finished = sorted(finished, key=lambda hypothesis: -hypothesis.score)[: self.beams]
            going_on = [candidate for candidate in candidates if not candidate.finished][: self.beams]
            if self.watch is not None:
                self.watch(self._decided(candidates, going_on))
            if length == self.max_new_tokens or self._is_settled(finished, going_on, length):
                break
            rows = torch.tensor([candidate.row for candidate in going_on], device=prompt.device)
            added = torch.tensor([candidate.token for candidate in going_on], device=prompt.device)
            totals = torch.tensor([candidate.log_probability for candidate in going_on], device=prompt.device)
            running = [torch.cat([running[row], token[None]]) for row, token in zip(rows.tolist(), added, strict=True)]
            decoder.reorder(rows)
            logits = decoder.step(added)
        return finished

    def _best(self, totals: Tensor, length: int) -> list[_Candidate]:
        """The likeliest of all continuations, best first: twice as many as beams, since half of them may finish."""
        vocab_size = totals.shape[1]
        best = totals.flatten().topk(min(2 * self.beams, totals.numel()))
        last = length == self.max_new_tokens
        return [
            _Candidate(index // vocab_size, index % vocab_size, total, last or index % vocab_size == self.stop_id)
            for total, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            if total > -torch.inf
        ]

    def _decided(self, candidates: list[_Candidate], going_on: list[_Candidate]) -> list[Continuation]:
        """The candidates with their fates."""
        fates = [
            FINISHED if one.finished and rank < self.beams else GOES_ON if one in going_on else DROPPED
            for rank, one in enumerate(candidates)
        ]
        return [
            Continuation(one.row, one.token, one.log_probability, fate)
            for one, fate in zip(candidates, fates, strict=True)
        ]

    def _hypothesis(self, beginning: Tensor, last: _Candidate, length: int) -> Hypothesis:
        tokens = [*beginning.tolist(), last.token]
        return Hypothesis(tokens, last.log_probability, last.log_probability / length**self.length_penalty)

    def _is_settled(self, finished: list[Hypothesis], going_on: list[_Candidate], length: int) -> bool:
        """Whether no running beginning can enter the finished ones, judged at its present length."""
        if not going_on:
            return True
        if len(finished) < self.beams:
            return False
        best_running = going_on[0].log_probability / length**self.length_penalty
        return self.early_stopping or best_running <= finished[-1].score
