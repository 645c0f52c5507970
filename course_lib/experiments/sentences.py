"""Lesson 17's measurements: two trainings with the parts of `transformers`, on the sentences of the translation task.

    python -m course_lib.experiments.sentences

trains small GPT-2s with and without the end token among their labels, and the story BERT against one from scratch on
new sentences, three seeds each (about six minutes on one core), and writes `sentences_results.json` beside this file.
A run that is cut off goes on where it was when the command is given again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from course_lib.experiments.results import load_results, save_results
from course_lib.hub import load_model, to_huggingface
from course_lib.hub.huggingface import fast_tokenizer
from course_lib.models.gpt import IGNORED
from course_lib.text import load_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SEEDS = (0, 1, 2)
BATCH = 32
GPT_STEPS, BERT_STEPS = 400, 200
LOOKS = (0, 25, 50, 100, 200)
"""After how many steps the BERTs are measured."""
PROMPTS, PROMPT_LENGTH, MOST_NEW = 60, 2, 40
VALIDATION = 200

Batch = Mapping[str, Tensor]


def sentences(split: str) -> list[str]:
    """The English half of the translation task: what the lesson's data folder holds."""
    return [row["en"] for row in load_task("translation")[split]]


def fit(
    model: PreTrainedModel,
    rows: Sequence[Any],
    collate: Callable[[list], Batch],
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    looks: Mapping[int, Callable[[], None]] | None = None,
) -> PreTrainedModel:
    """Train as `transformers.Trainer` does unless told otherwise: AdamW, no decay, a rate that falls to 0, clipping.

    `looks` are called before the step of their number.
    """
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
    loader = DataLoader(rows, BATCH, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed))
    model.train()
    step = 0
    while step < steps:
        for batch in loader:
            if step == steps:
                break
            if step in (looks or {}):
                looks[step]()
                model.train()
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
    if looks and steps in looks:
        looks[steps]()
    return model.eval()


# ---------------------------------------------------------------- who stops?


def by_id(ids: Tensor, mask: Tensor, pad_id: int) -> Tensor:
    """Labels as DataCollatorForLanguageModeling makes them: no label wherever the id is that of padding."""
    return ids.masked_fill(ids == pad_id, IGNORED)


def by_mask(ids: Tensor, mask: Tensor, pad_id: int) -> Tensor:
    """Labels wherever the attention mask says that a token is real."""
    return ids.masked_fill(mask == 0, IGNORED)


LABELS = {"no label where id = pad_id": by_id, "no label where mask = 0": by_mask}


def gpt_rows(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Each text's ids, and the end token."""
    return [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]


def collate_gpt(pad_id: int, labels: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[[list[list[int]]], Batch]:
    """Rows as a batch that is padded on the right, with labels of one of the two kinds."""

    def collate(rows: list[list[int]]) -> Batch:
        time = max(map(len, rows))
        ids = torch.tensor([row + [pad_id] * (time - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (time - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": mask, "labels": labels(ids, mask, pad_id)}

    return collate


def new_gpt2(tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A small GPT-2 of `transformers` with weights of its own: two blocks of width 64, learned positions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    end = tokenizer.eos_token_id
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=64, n_layer=2, n_head=4, resid_pdrop=0.0,
                   embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=end, eos_token_id=end)
    )  # fmt: skip
    model.loss_type = "ForCausalLM"  # which it would take anyway, with a warning
    return model


def train_gpt2(
    tokenizer: PreTrainedTokenizerFast, labels: Callable[[Tensor, Tensor, int], Tensor], seed: int,
    steps: int = GPT_STEPS,
) -> PreTrainedModel:  # fmt: skip
    """A small GPT-2 trained on the sentences with labels of one kind."""
    collate = collate_gpt(tokenizer.pad_token_id, labels)
    rows = gpt_rows(tokenizer, sentences("train"))
    return fit(new_gpt2(tokenizer, seed), rows, collate, steps=steps, learning_rate=3e-3, seed=seed)


def written_lengths(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: int = PROMPTS, seed: int = 0
) -> list[int]:
    """How many tokens the model adds to each prompt before the end token; MOST_NEW where it never stops."""
    texts = gpt_rows(tokenizer, sentences("validation")[:prompts])
    begun = torch.tensor([row[:PROMPT_LENGTH] for row in texts])
    torch.manual_seed(seed)
    out = model.generate(
        begun, attention_mask=torch.ones_like(begun), do_sample=True, max_new_tokens=MOST_NEW,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    ended = out[:, PROMPT_LENGTH:] == tokenizer.eos_token_id
    return [int(row.nonzero()[0, 0]) if row.any() else MOST_NEW for row in ended]


def endings(seed: int, steps: int = GPT_STEPS) -> dict[str, float]:
    """For each kind of labels, the share of sentences that the model ends by itself."""
    tokenizer = fast_tokenizer(load_model("story_gpt")[1])
    shares = {}
    for name, labels in LABELS.items():
        lengths = written_lengths(train_gpt2(tokenizer, labels, seed, steps), tokenizer)
        shares[name] = round(sum(length < MOST_NEW for length in lengths) / len(lengths), 4)
    return shares


# ---------------------------------------------------------------- what is pre-training worth on new sentences?

STARTS = ("the story BERT", "from scratch")


def bert_from(start: str, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The story BERT as `transformers` has it, with its weights or with new ones, and its tokenizer."""
    from transformers import BertForMaskedLM

    ours, tokenizer = load_model("story_bert")
    theirs = to_huggingface(ours, tokenizer)
    torch.manual_seed(seed)
    model = BertForMaskedLM(theirs.config)
    if start == STARTS[0]:
        model.load_state_dict(theirs.state_dict(), strict=False)
    return model, fast_tokenizer(tokenizer, ours.config.context_length)


def loss_at_masks(model: PreTrainedModel, batch: Batch) -> float:
    """The mean loss at the masked places of a batch whose masks stay the same."""
    model.eval()
    with torch.no_grad():
        return model(**batch).loss.item()


def adaptation(start: str, seed: int, steps: int = BERT_STEPS) -> list[float]:
    """The loss on held-out sentences at each of LOOKS."""
    from transformers import DataCollatorForLanguageModeling

    model, tokenizer = bert_from(start, seed)
    encoded = {name: _encoded(tokenizer, sentences(name)) for name in ("train", "validation")}
    held_out = DataCollatorForLanguageModeling(tokenizer, seed=99)(encoded["validation"][:VALIDATION])
    losses: list[float] = []
    looks = {look: lambda: losses.append(round(loss_at_masks(model, held_out), 4)) for look in LOOKS if look <= steps}
    collate = DataCollatorForLanguageModeling(tokenizer, seed=seed)
    fit(model, encoded["train"], collate, steps=steps, learning_rate=5e-4, seed=seed, looks=looks)
    return losses


def _encoded(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[dict[str, list[int]]]:
    return [dict(tokenizer(text, return_special_tokens_mask=True)) for text in texts]


def run_all() -> dict[str, Any]:
    """Both measurements from each seed; what is stored already is not run again."""
    try:
        results = load_results("sentences")
    except FileNotFoundError:
        results = {"endings": {name: [] for name in LABELS}, "adaptation": {name: [] for name in STARTS}}
    for seed in SEEDS:
        if len(results["endings"][next(iter(LABELS))]) <= seed:
            for name, share in endings(seed).items():
                results["endings"][name].append(share)
            save_results("sentences", results)
        for start in STARTS:
            if len(results["adaptation"][start]) <= seed:
                results["adaptation"][start].append(adaptation(start, seed))
                save_results("sentences", results)
        print(seed, results, flush=True)
    return results


def stored() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("sentences")


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all()
