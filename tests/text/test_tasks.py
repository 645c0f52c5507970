"""The committed files are what the program makes, and each task's labels are true."""

import hashlib
import json
import re
import subprocess
import sys

import pytest

from course_lib.text import load_corpus, load_task
from course_lib.text.bundled import data_folder
from course_lib.text.tiny_world import chinese, world
from course_lib.text.tiny_world.tasks import ENTITY_TAGS, TASK_SIZES


@pytest.mark.slow
def test_files_are_made_again_byte_for_byte(tmp_path):
    """In a process of its own, with another hash seed, so that no order hangs on hashes."""
    subprocess.run(
        [sys.executable, "-m", "course_lib.text.tiny_world", "--out", str(tmp_path)],
        check=True,
        capture_output=True,
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": str(data_folder().parent)},
    )
    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jsonl"))
    there = sorted(path.relative_to(data_folder()).as_posix() for path in data_folder().rglob("tiny_world/**/*.jsonl"))
    assert made == there
    assert all((tmp_path / name).read_bytes() == (data_folder() / name).read_bytes() for name in made)
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert entries.items() <= json.loads((data_folder() / "manifest.json").read_text())["files"].items()


def test_the_manifest_tells_the_truth():
    entries = json.loads((data_folder() / "manifest.json").read_text())["files"]
    for name, entry in entries.items():
        content = (data_folder() / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        if name.endswith(".jsonl"):
            assert entry["rows"] == len(content.splitlines())
    assert sum(path.stat().st_size for path in (data_folder() / "tiny_world").rglob("*.jsonl")) < 8_000_000


def test_datasets_reads_every_file(tmp_path):
    datasets = pytest.importorskip("datasets")
    for table in ("stories", *TASK_SIZES):
        files = {path.stem: str(path) for path in sorted((data_folder() / "tiny_world" / table).glob("*.jsonl"))}
        rows = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path))
        sizes = {split: len(part) for split, part in rows.items()}
        assert sizes == TASK_SIZES.get(table, {"train": 20_000, "validation": 1_000, "test": 1_000})


@pytest.fixture(scope="module")
def bodies():
    corpus = load_corpus("tiny_world")
    return {
        split: {story.partition("\n")[0] for story in getattr(corpus, split)}
        for split in ("train", "validation", "test")
    }


@pytest.fixture(scope="module", params=sorted(TASK_SIZES))
def task(request):
    return request.param, load_task(request.param)


def test_sizes_and_splits(task, bodies):
    """Items of a split come from the stories of that split; no item is in two splits."""
    name, splits = task
    assert {split: len(rows) for split, rows in splits.items()} == TASK_SIZES[name]
    column = {"sentiment": "text", "questions": "context", "summaries": "story"}.get(name)
    for split, rows in splits.items():
        if column:
            assert set(rows[column]) <= bodies[split]
    keys = [json.dumps(row, sort_keys=True) for rows in splits.values() for row in rows if name != "entities"]
    assert len(keys) == len(set(keys))


GOOD = re.compile(
    r"was happy|laughed out loud because|was proud|could not stop smiling|was excited|jumped for joy|felt better"
)
BAD = re.compile(r"was sad|cried because|was angry|stamped (his|her) foot|was scared|trembled|was worried|was bored")


def test_sentiment_is_the_last_feeling():
    for split, rows in load_task("sentiment").items():
        for row in rows:
            good = max((match.start() for match in GOOD.finditer(row["text"])), default=-1)
            bad = max((match.start() for match in BAD.finditer(row["text"])), default=-1)
            assert row["label"] == ("neutral" if good == bad else "positive" if good > bad else "negative"), row
        share = [rows["label"].count(label) / len(rows) for label in ("negative", "neutral", "positive")]
        assert max(share) - min(share) < 0.01, split


def test_entities_are_tagged():
    people, places = {*world.GIRLS, *world.BOYS}, {place.name for place in world.PLACES}
    adjectives = {*world.COLOURS, *world.QUALITIES}
    nouns = {word for noun in world.THINGS for word in noun.split()}
    seen = dict.fromkeys(ENTITY_TAGS, 0)
    for rows in load_task("entities").values():
        for row in rows:
            assert len(row["words"]) == len(row["tags"])
            for before, word, tag in zip(["O", *row["tags"]], row["words"], row["tags"], strict=False):
                seen[tag] += 1
                if tag.startswith("I-"):
                    assert before.endswith(tag[2:]) and before != "O", row
                if tag == "O":
                    assert word not in people, row
                elif tag == "B-person":
                    assert word in people
                elif tag == "B-place":
                    assert word in places
                else:
                    assert word in adjectives | nouns, row
    assert all(seen[tag] > 100 for tag in ("O", "B-person", "B-place", "B-object", "I-object"))


def test_answers_stand_in_the_context():
    kinds = set()
    for rows in load_task("questions").values():
        for row in rows:
            start = row["answer_start"]
            assert row["context"][start : start + len(row["answer"])] == row["answer"]
            kinds.add(" ".join(row["question"].split()[:2]))
    assert len(kinds) >= 9


def test_answers_agree_with_the_stories_own():
    """Where the corpus asks the same question of the same story, it gives the same answer."""
    corpus = load_corpus("tiny_world")
    told = {}
    for split in ("train", "validation", "test"):
        for story in getattr(corpus, split):
            body, *asked = story.split("\n")
            told |= {(body, line[: line.index("?") + 1]): line[line.index("?") + 2 :] for line in asked}
    compared = 0
    for rows in load_task("questions").values():
        for row in rows:
            answer = told.get((row["context"], row["question"]))
            if answer is not None:
                assert row["answer"].lower() in answer.lower(), (row, answer)
                compared += 1
    assert compared > 100


def test_summaries_name_only_what_the_story_names():
    names = re.compile(rf"\b({'|'.join((*world.GIRLS, *world.BOYS, *world.THINGS))})\b")
    for rows in load_task("summaries").values():
        for row in rows:
            assert re.fullmatch(r"[A-Z][^.]+\. [A-Z][^.]+\.", row["summary"]), row
            assert {*names.findall(row["summary"])} <= {*names.findall(row["story"])}, row
            assert len(row["summary"]) < len(row["story"]) + 40


def test_translation_holds_out_combinations():
    combined = re.compile(rf"\b({'|'.join((*world.COLOURS, *world.QUALITIES))}) ({'|'.join(world.THINGS)})\b")
    splits = load_task("translation")
    met = {split: {pair for row in rows for pair in combined.findall(row["en"])} for split, rows in splits.items()}
    assert met["combinations"] and all(chinese.is_held_out(*pair) for pair in met["combinations"])
    for split in ("train", "validation", "test"):
        assert not any(chinese.is_held_out(*pair) for pair in met[split])
    adjectives, nouns = zip(*met["train"], strict=True)
    assert {adjective for adjective, _ in met["combinations"]} <= {*adjectives}
    assert {noun for _, noun in met["combinations"]} <= {*nouns}


def test_translation_says_the_same_on_both_sides():
    """Names, numbers with their measure word, and adjectives of the English stand in the Chinese."""
    digits = {word: zh for word, zh in zip(world.NUMBERS[:10], chinese.NUMBERS_ZH, strict=True) if word != "no"}
    counted = {form: kind.one for kind in world.COUNTABLES for form in (kind.one, kind.many)}
    numbers = re.compile(rf"\b({'|'.join(digits)}) ({'|'.join(counted)})\b")
    things = re.compile(rf"\b(an? )?({'|'.join(chinese.ADJECTIVES_ZH)}) ({'|'.join(world.THINGS)})\b")
    checked = 0
    for rows in load_task("translation").values():
        for en, zh in zip(rows["en"], rows["zh"], strict=True):
            assert re.fullmatch(r"[\u4e00-\u9fff，]+[。？]", zh), zh
            assert en.endswith("?") == zh.endswith("？")
            for name in re.findall(r"\b[A-Z][a-z]+\b", en):
                assert name not in chinese.PEOPLE_ZH or chinese.PEOPLE_ZH[name] in zh, (en, zh)
            for number, word in numbers.findall(en):
                noun = chinese.COUNTABLES_ZH[counted[word]]
                assert digits[number] + noun.measure + noun.word in zh, (en, zh)
            for article, adjective, thing in things.findall(en):
                noun = chinese.THINGS_ZH[thing]
                start = f"一{noun.measure}" if article else ""
                assert start + chinese.ADJECTIVES_ZH[adjective] + noun.word in zh, (en, zh)
                checked += 1
    assert checked > 2_000


def test_the_chinese_words_are_those_of_the_world():
    assert {*chinese.THINGS_ZH} == {*world.THINGS}
    assert {*chinese.PLACES_ZH} == {place.name for place in world.PLACES}
    assert {*chinese.SPOTS_ZH} <= {spot for place in world.PLACES for spot in place.spots}
    assert {*chinese.COUNTABLES_ZH} == {kind.one for kind in world.COUNTABLES}
    causes = {cause for feeling in world.FEELINGS for cause in feeling.causes}
    assert {cause for known in chinese.CAUSES_ZH.values() for cause in known} <= causes


FLOORS = """
from course_lib.text import load_corpus
floor = load_corpus("tiny_world").floor
for split in ("validation", "test"):
    print("|", split, *(f"| {floor.per_character(split, context):.4f}" for context in (None, 256, 128, 64)), "|")
"""


@pytest.mark.slow
def test_the_data_card_tells_the_truth():
    """Its figures are the program's: sizes of the splits, length, and the floor of each split and context."""
    card = (data_folder() / "README.md").read_text(encoding="utf-8")
    for name, sizes in TASK_SIZES.items():
        row = next(line for line in card.splitlines() if line.startswith(f"| `{name}`"))
        assert [f"{sizes[split]:,}" for split in ("train", "validation", "test")] == row.split(" | ")[2:5]
    lengths = [len(story) for story in load_corpus("tiny_world").train]
    assert f"average {sum(lengths) / len(lengths):.0f} characters, at most {max(lengths)}" in card
    floors = subprocess.run([sys.executable, "-c", FLOORS], check=True, capture_output=True, text=True).stdout
    assert floors in card
