"""Lesson 09's hunt: three training programs with one bug each. Their curves look fine; look for an invariant first.

Each colleague has a `model`, the `batches` it was trained on, the validation `losses` it saw, and `evaluate()`, its own
way to measure. What is wrong with each stands in its class, further down.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor, nn

from course_lib.experiments.choices import CONTEXT, Setting, settings
from course_lib.models.gpt import GPT, IGNORED
from course_lib.training import Documents, Trainer
from course_lib.training.batches import Batch


class Colleague:
    """Somebody who trains a small GPT, without a bug."""

    dropout = 0.0
    documents: type[Documents] = Documents

    def __init__(self, setting: Setting, steps: int):
        self.model = self.build(setting)
        train = self.documents(setting.stories, CONTEXT, end_id=setting.tokenizer.end_id)
        held_out = [row[1:-1].tolist() if len(row) <= CONTEXT else row[1:].tolist() for row in setting.validation.rows]
        validation = self.documents(held_out, CONTEXT, end_id=setting.tokenizer.end_id)
        self.batches = list(train.in_order(16))[:4]
        every = max(1, steps // 6)
        config = settings(steps, 0, learning_rate=0.01, optimizer="muon", evaluate_every=every)
        self.trainer = Trainer(self.model, train, validation, config)
        self.trainer.evaluate = self.evaluate
        history = self.trainer.fit(progress=False)
        self.losses = [(r.step, r.validation_loss) for r in history if r.validation_loss is not None]

    def build(self, setting: Setting) -> GPT:
        """The model, untrained."""
        return setting.model(dropout=self.dropout)

    @torch.no_grad()
    def evaluate(self) -> float:
        """The validation loss, as this colleague measures it."""
        return Trainer.evaluate(self.trainer)


def predict(model: nn.Module, tokens: Int[Tensor, "time"]) -> Tensor:
    """The logits at each place of one text."""
    with torch.no_grad():
        return model.eval()(tokens[None]).logits[0]


def leak_at(model: nn.Module, tokens: Int[Tensor, "time"]) -> int | None:
    """The first place whose prediction depends on a later token, or None."""
    before = predict(model, tokens)
    for t in range(len(tokens) - 1):
        changed = tokens.clone()
        changed[t + 1 :] = (changed[t + 1 :] + 1) % model.config.vocab_size
        if not torch.allclose(predict(model, changed)[t], before[t], atol=1e-5):
            return t
    return None


def first_wrong_target(tokens: Int[Tensor, "time"], targets: Int[Tensor, "time"]) -> int | None:
    """The first place of a row whose target is not the token that follows, or None."""
    for t in range(len(tokens) - 1):
        if targets[t] != IGNORED and targets[t + 1] != IGNORED and targets[t] != tokens[t + 1]:
            return t
    return None


# ---------------------------------------------------------------------------------------------- the bugs


class _TwoAhead(Documents):
    """Targets moved by two places, not by one: the model learns to say the letter after the next."""

    def _batch(self, indices: list[int]) -> Batch:
        tokens, targets = super()._batch(indices)
        ignored = torch.full_like(targets[:, :1], IGNORED)
        return Batch(tokens, torch.cat([targets[:, 1:], ignored], dim=1))


class A(Colleague):
    """Labels off by one."""

    documents = _TwoAhead


class B(Colleague):
    """Evaluates in training mode: dropout blurs what is measured."""

    dropout = 0.3

    @torch.no_grad()
    def evaluate(self) -> float:
        """The mean loss over the validation batches; nobody called `model.eval()`."""
        self.model.train()
        total, count = 0.0, 0
        for tokens, targets in self.trainer.validation.in_order(16):
            n_targets = int((targets != IGNORED).sum())
            total += self.model(tokens, targets).loss.item() * n_targets
            count += n_targets
        return total / count


class C(Colleague):
    """A mask whose diagonal is one place too far: every block lets each place see the token that it should predict."""

    def build(self, setting: Setting) -> GPT:
        """A GPT whose blocks get another mask."""

        def one_too_far(_, inputs: tuple, keywords: dict) -> tuple[tuple, dict]:
            time = inputs[0].shape[1]
            mask = torch.ones(time, time, dtype=torch.bool).tril(diagonal=1)
            return inputs, keywords | {"causal": False, "mask": mask}

        model = super().build(setting)
        for block in model.blocks:
            block.register_forward_pre_hook(one_too_far, with_kwargs=True)
        return model


def colleagues(setting: Setting, steps: int) -> Iterator[tuple[str, Colleague]]:
    """Everybody's run, the honest one last."""
    for name, kind in {"A": A, "B": B, "C": C, "no bug": Colleague}.items():
        yield name, kind(setting, steps)
