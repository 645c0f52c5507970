"""Byte-level BPE in Python against the `tokenizers` library: training and encoding, in one interleaved run.

    python -m benchmarks.tokenizers_speed

Writes `tokenizers_speed.md` beside this file. Both sides get the same texts and settings, and are checked to give the
same merges and ids; only then is their time worth comparing. Rounds alternate, so that whatever else the machine does
falls on both.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "true"  # the library may use all cores, as it does by itself

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from benchmarks._machine import processor
from course_lib.files import write_atomically
from course_lib.text import BPETokenizer, load_corpus

REPORT = Path(__file__).with_suffix(".md")
VOCAB_SIZE = 1024
ROUNDS = 9
MEGABYTE = 1_000_000
CORPORA = ("tiny_world", "python_docs", "python_source")


def main() -> None:
    rows = [row for name in CORPORA for row in measure(name)]
    write_atomically(REPORT, report(rows).encode())
    print(REPORT.read_text(encoding="utf-8"))


def measure(name: str) -> list[dict]:
    """Training on about 1 MB, then encoding another 1 MB as one string: with new words, and with words met before."""
    train, other = two_megabytes(name)
    ours, theirs = BPETokenizer.train(train, VOCAB_SIZE), train_library(train)
    assert ours.token_to_id == theirs.get_vocab(), f"{name}: the vocabularies differ"
    assert ours.encode(other) == theirs.encode(other).ids, f"{name}: the ids differ"
    size = sum(len(text.encode()) for text in train) / MEGABYTE

    def encode_anew() -> None:
        ours._ids_of_word.clear()
        ours.encode(other)

    tasks = {
        f"train on {size:.2f} MB": (lambda: BPETokenizer.train(train, VOCAB_SIZE), lambda: train_library(train)),
        f"encode {len(other.encode()) / MEGABYTE:.2f} MB, first time": (encode_anew, lambda: theirs.encode(other)),
        "the same, words known": (lambda: ours.encode(other), lambda: theirs.encode(other)),
    }
    return [{"corpus": name, "task": task, "megabytes": size, **compare(*both)} for task, both in tasks.items()]


def two_megabytes(name: str) -> tuple[list[str], str]:
    """Documents to train on, and one long text of others; where the corpus has less than 2 MB, it is halved."""
    corpus = load_corpus(name)
    documents = corpus.train + corpus.validation + corpus.test
    half = min(MEGABYTE, sum(len(document.encode()) for document in documents) / 2)
    train, rest = take(documents, half)
    return train, "\n\n".join(take(rest, half)[0])


def take(documents: list[str], n_bytes: float) -> tuple[list[str], list[str]]:
    """The first documents that reach so many bytes together, and the others."""
    total = 0
    for number, document in enumerate(documents, start=1):
        total += len(document.encode())
        if total >= n_bytes:
            return documents[:number], documents[number:]
    return documents, []


def train_library(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> dict:
    """Seconds of each in turn, ROUNDS times; of ours also the CPU seconds, which other work moves less."""
    times: dict[str, list[float]] = {"ours": [], "theirs": [], "ours_cpu": []}
    for _ in range(ROUNDS):
        for whose, task in (("ours", ours), ("theirs", theirs)):
            start, cpu_start = time.perf_counter(), time.process_time()
            task()
            times[whose].append(time.perf_counter() - start)
            if whose == "ours":
                times["ours_cpu"].append(time.process_time() - cpu_start)
    return times


def report(rows: list[dict]) -> str:
    lines = [
        "# Byte-level BPE: this course's Python against `tokenizers`",
        "",
        "    python -m benchmarks.tokenizers_speed",
        "",
        f"Vocabulary {VOCAB_SIZE}, GPT-2's cutting into words, pairs seen at least twice. {ROUNDS} rounds, the two "
        "sides in turn; median seconds, and the range of the rounds. Merges and ids were the same on both sides.",
        "",
        f"Machine: {processor()}, {os.cpu_count()} logical cores, {platform.system()}; Python "
        f"{platform.python_version()}, tokenizers {tokenizers.__version__} (written in Rust, allowed all cores). Load "
        f"when the run ended: {os.getloadavg()[0]:.1f}.",
        "",
        "| corpus | task | this course | of it CPU | `tokenizers` | our time / its time |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratios = [ours / theirs for ours, theirs in zip(row["ours"], row["theirs"], strict=True)]
        lines.append(
            f"| {row['corpus']} | {row['task']} | {spread(row['ours'])} "
            f"| {statistics.median(row['ours_cpu']):.3f} s | {spread(row['theirs'])} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |"
        )
    judged = [row for row in rows if row["megabytes"] > 0.9]  # the aims are for 1 MB
    training = [row for row in judged if row["task"].startswith("train")]
    encoding = [row for row in judged if not row["task"].startswith("train")]
    slowest = max(statistics.median(row["ours"]) for row in training)
    worst = max(median_ratio(row) for row in training)
    least = min(1 / median_ratio(row) for row in encoding)
    lines += [
        "",
        "The aims are for 1 MB; python_docs is smaller, and more of its words are new.",
        "",
        f"* Training: at most {slowest:.2f} s (aim: at most 1 s: {met(slowest <= 1)}) and at most {worst:.2f} × the "
        f"time of `tokenizers` (aim: at most 2.5: {met(worst <= 2.5)}).",
        f"* Encoding one string: at least {least:.1f} × the speed of `tokenizers` (aim: at least 2: "
        f"{met(least >= 2)}).",
        "",
        "`tokenizers` also keeps track of where each token stands in the text and encodes lists of texts on several "
        "cores; on one string it uses one. This course's `encode` gives ids only, and remembers the words it has met.",
        "",
    ]
    return "\n".join(lines)


def median_ratio(row: dict) -> float:
    return statistics.median(ours / theirs for ours, theirs in zip(row["ours"], row["theirs"], strict=True))


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):.3f} s ({min(times):.3f}–{max(times):.3f})"


def met(reached: bool) -> str:
    return "met" if reached else "**missed**"


if __name__ == "__main__":
    main()
