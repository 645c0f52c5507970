"""What a model gains from cleaner text, and what a leak does to its validation loss: the experiments of lesson 06.

`stages` cleans a messy collection step by step; `train_on` trains the same small GPT on any of them, byte by byte, and
`loss_on` measures it. The runs with several seeds take a while, so what they found is stored:

    python -m course_lib.experiments.clean_text   # some five minutes on two cores; writes clean_text_results.json
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from course_lib.experiments.messy_web import Page, docs_pages, messy_web
from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.cleaning import clean_text
from course_lib.text.duplicates import deduplicate
from course_lib.text.filters import guess_language, quality_problems
from course_lib.text.personal_data import redact
from course_lib.training import Record, TrainConfig, Trainer, Windows

END = 256  # the id after the 256 bytes
CONTEXT = 64
THRESHOLD = 0.5
"""Pages at least this similar count as copies."""

LEAST_WORDS = 30
SEEDS = (0, 1, 2)
STEPS, LEAK_STEPS = 300, 800
LEAK_PAGES = 30
EVERY = 100


def byte_ids(text: str) -> list[int]:
    """The UTF-8 bytes of a text: an alphabet of 256 signs that no text can surprise."""
    return list(text.encode())


def windows(texts: Sequence[str], context_length: int = CONTEXT) -> Windows:
    """Texts as windows of bytes."""
    return Windows([byte_ids(text) for text in texts], context_length, end_id=END)


def small_gpt(seed: int) -> GPT:
    """Two blocks of 48 features over bytes: some 72,000 parameters."""
    torch.manual_seed(seed)
    return GPT(GPTConfig(END + 1, context_length=CONTEXT, d_model=48, n_heads=4, n_layers=2))


def train_on(
    texts: Sequence[str],
    validation: Sequence[str],
    *,
    seed: int = 0,
    steps: int = STEPS,
    every: int | None = None,
    watch: Callable[[GPT, Record], None] = lambda model, record: None,
) -> GPT:
    """A new small GPT, trained on texts; `watch` is called after each evaluation."""
    model = small_gpt(seed)
    config = TrainConfig(
        steps, batch_size=16, learning_rate=0.01, optimizer="muon", warmup_steps=20, weight_decay=0.0,
        evaluate_every=every or steps, seed=seed, device="cpu", precision="float32",
    )  # fmt: skip

    def look(record: Record) -> None:
        if record.validation_loss is not None:
            watch(model, record)

    Trainer(model, windows(texts), windows(validation), config, callbacks=[look]).fit(progress=False)
    return model


@torch.no_grad()
def loss_on(model: GPT, texts: Sequence[str]) -> float:
    """The model's mean loss on texts, in nats a byte."""
    was_training = model.training
    model.eval()
    total = count = 0
    for batch in windows(texts).in_order(64):
        total += model(batch.tokens, batch.targets).loss.item() * batch.targets.numel()
        count += batch.targets.numel()
    model.train(was_training)
    return total / count


# ------------------------------------------------------------------------------------------ raw, cleaned, filtered


def without_repeated_lines(texts: Sequence[str], *, at_most: int = 50) -> list[str]:
    """Texts without the lines that stand in more than `at_most` of them: menus, notices, footers."""
    pages_with = Counter(line for text in texts for line in {line.strip() for line in text.splitlines()} if line)
    return [
        "\n".join(line for line in text.splitlines() if pages_with[line.strip()] <= at_most).strip() for text in texts
    ]


def is_good(text: str) -> bool:
    """English, and with no complaint about its quality; 30 words are enough."""
    return guess_language(text).code == "en" and not quality_problems(text, at_least=LEAST_WORDS)


def stages(pages: Sequence[Page], seed: int = 0) -> dict[str, list[str]]:
    """The same collection four times, raw, cleaned, filtered too, without copies too; and two controls.

    Each control has as many pages as the last stage, drawn at random: from the cleaned pages, and from the filtered
    ones. So they show what there is to gain from having fewer pages, whichever.
    """
    raw = [page.text for page in pages]
    cleaned = [redact(text) for text in without_repeated_lines([clean_text(text, form="NFKC") for text in raw])]
    filtered = [text for text in cleaned if is_good(text)]
    single = deduplicate(filtered, threshold=THRESHOLD)
    rng = random.Random(seed)
    controls = {
        f"{name}, at random": rng.sample(texts, len(single))
        for name, texts in (("cleaned", cleaned), ("filtered", filtered))
    }
    return {"raw": raw, "cleaned": cleaned, "filtered": filtered, "no copies": single} | controls


def unseen_pages(pages: Sequence[Page]) -> list[str]:
    """The pages of python_docs that the collection left out: what a model is measured on."""
    used = {page.clean for page in pages}
    return [text for text in docs_pages() if text not in used]


def compare_stages(seed: int, steps: int = STEPS) -> dict[str, float]:
    """Train the same model for as many updates on each stage; the loss on unseen good pages."""
    pages = messy_web(seed)
    unseen = unseen_pages(pages)[:50]
    return {
        name: round(loss_on(train_on(texts, unseen[:1], seed=seed, steps=steps), unseen), 4)
        for name, texts in stages(pages, seed).items()
    }


# ----------------------------------------------------------------------------------------------------------- leaks


def leaky_splits(seed: int, n_pages: int = LEAK_PAGES) -> dict[str, list[str]]:
    """Pages to train on, and three sets to validate on.

    * "other pages": as many pages, of which nothing is in training;
    * "other lines": lines of the training pages themselves, every sixth, taken out before training;
    * "near copies": what is trained on again, with one word in fifty changed.
    """
    rng = random.Random(seed)
    chosen = rng.sample(docs_pages(), 2 * n_pages)
    pages, others = chosen[:n_pages], chosen[n_pages:]
    lines = [line for page in pages for line in page.splitlines() if line.strip()]
    train = ["\n".join(line for place, line in enumerate(page.splitlines()) if place % 6) for page in pages]
    held_lines = ["\n".join(line for place, line in enumerate(page.splitlines()) if not place % 6) for page in pages]
    vocabulary = sorted({word for line in lines for word in line.split() if word.isalpha() and len(word) > 3})
    copies = [edited(page, rng, vocabulary) for page in train]
    return {"train": train, "other pages": others, "other lines": held_lines, "near copies": copies}


def edited(text: str, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """One word in fifty replaced."""
    return " ".join(
        rng.choice(vocabulary) if word.isalpha() and rng.random() < 0.02 else word for word in text.split(" ")
    )


def watch_leaks(seed: int, steps: int = LEAK_STEPS, every: int = EVERY) -> dict[str, list[float]]:
    """Train on the pages of `leaky_splits`, and follow the loss on each of its sets."""
    splits = leaky_splits(seed)
    curves: dict[str, list[float]] = {"step": []} | {name: [] for name in splits}

    def watch(model: GPT, record: Record) -> None:
        curves["step"].append(record.step)
        for name, texts in splits.items():
            curves[name].append(round(loss_on(model, texts), 4))

    train_on(splits["train"], splits["other pages"], seed=seed, steps=steps, every=every, watch=watch)
    return curves


def run_all() -> dict[str, Any]:
    """Both experiments for each of SEEDS, each run in a process of its own."""
    one_thread = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(2 * len(SEEDS), get_context("spawn"), **one_thread) as pool:
        stage_runs, leak_runs = pool.map(compare_stages, SEEDS), pool.map(watch_leaks, SEEDS)
        return {"steps": STEPS, "stages": list(stage_runs), "leaks": list(leak_runs)}


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("clean_text")


if __name__ == "__main__":
    save_results("clean_text", run_all())
