"""Make the bundled Chinese font: the system's Noto Sans CJK SC, cut down to the characters the course uses.

    python -m course_lib.plots.make_font

Run it again when the bundled data or a lesson brings new Chinese characters; same characters, same bytes.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTCollection, TTFont

from course_lib.files import write_atomically
from course_lib.plots.fonts import SUBSET, SUBSET_FAMILY

SOURCE = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
ROOT = Path(__file__).parents[2]
READ = ("data", "course_lib", "notebooks")  # the folders that bring the Chinese that is drawn
# What the lessons say in Chinese outside the data: their examples, and words for tokens, models and grammar.
LESSON_TEXT = (
    "我爱学习编程你好世界中文英语词句字模型注意力机器翻译今天气很的是在了不有和人这大为上个国他她它们到说时要就"
    "出会可也对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法如都同现当没动面起看定分还进"
    "小部其些主样理心本前开但因只从想实日军者意无力与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问"
    "一二四五六七八九零百千东西南北左右红黄蓝绿白黑猫狗鸟鱼书门水火山木金土月星期早晚吃喝走跑坐站笑哭"
)
PUNCTUATION = "，。？！：；、“”‘’（）《》【】…—·　"
FIXED_TIME = 3_786_912_000  # 2024-01-01 in seconds since 1904, so that the file does not depend on the day


def chinese_in(text: str) -> set[str]:
    """The characters of East Asian scripts and punctuation in a text."""
    return {char for char in text if 0x2E80 <= ord(char) <= 0x9FFF or 0xFF00 <= ord(char) <= 0xFFEF}


def characters(root: Path = ROOT) -> set[str]:
    """All Chinese characters of the bundled data, of the library and of the lessons."""
    found = set(LESSON_TEXT + PUNCTUATION)
    for path in sorted(path for folder in READ for path in (root / folder).rglob("*")):
        if path.suffix in {".txt", ".json", ".jsonl", ".csv", ".md", ".py", ".ipynb"}:
            found |= chinese_in(path.read_text("utf-8"))
        elif path.suffix == ".gz":
            found |= chinese_in(gzip.decompress(path.read_bytes()).decode("utf-8", errors="ignore"))
    return found


def simplified_chinese(collection: Path) -> TTFont:
    """The Simplified Chinese face of the collection."""
    if not collection.exists():
        raise FileNotFoundError(f"{collection} is missing: install it with 'apt-get install fonts-noto-cjk'.")
    for face in TTCollection(collection, lazy=True):
        if face["name"].getDebugName(1) == "Noto Sans CJK SC":
            return face
    raise ValueError(f"{collection} holds no face named 'Noto Sans CJK SC'.")


def make(target: Path = SUBSET) -> None:
    """Write the subset beside `target`, then move it into place."""
    font = simplified_chinese(SOURCE)
    vertical_and_layout = ["BASE", "DSIG", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]
    options = Options(hinting=False, desubroutinize=True, name_IDs=["*"], notdef_outline=True)
    options.layout_features, options.drop_tables = [], vertical_and_layout
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(sorted(characters())))
    subsetter.subset(font)
    keep = {0: font["name"].getDebugName(0), 1: SUBSET_FAMILY, 2: "Regular", 4: SUBSET_FAMILY}
    keep |= {3: f"{SUBSET_FAMILY} 1", 5: "Version 1.0", 6: SUBSET_FAMILY.replace(" ", "") + "-Regular"}
    keep[13] = "This Font Software is licensed under the SIL Open Font License, Version 1.1."
    font["name"].names = []
    for name_id, text in keep.items():
        font["name"].setName(text, name_id, 3, 1, 0x409)
    cff = font["CFF "].cff
    cff.fontNames = [keep[6]]
    cff.topDictIndex[0].FullName = cff.topDictIndex[0].FamilyName = SUBSET_FAMILY
    font.recalcTimestamp = False
    font["head"].modified = font["head"].created = FIXED_TIME
    content = io.BytesIO()
    font.save(content)
    write_atomically(target, content.getvalue())


if __name__ == "__main__":
    make()
    print(f"{SUBSET.name}: {len(characters())} characters, {SUBSET.stat().st_size / 1000:.0f} KB")
