"""Write down which misconceptions a lesson's exercises know: `python -m tests.exercises.write_messages 02`.

The lists under `tests/exercises/messages` are committed; test_catalogue.py compares them with the exercises, so a
misconception cannot disappear, or change its message, without somebody saying so. With no lesson named, all are
written.
"""

import sys
from pathlib import Path

from course_lib.exercises.catalogue import exercises_of, lessons

FOLDER = Path(__file__).parent / "messages"
WORDS = 10


def messages_of(lesson: str) -> list[str]:
    """One line for each misconception: the exercise's id and the first words of the message."""
    return [
        f"{exercise.id}  {' '.join(wrong.message.split()[:WORDS])}"
        for exercise in exercises_of(lesson)
        for wrong in exercise.misconceptions
    ]


def list_of(lesson: str) -> Path:
    """The file that lists a lesson's misconceptions."""
    return FOLDER / f"{lesson}.txt"


if __name__ == "__main__":
    for lesson in sys.argv[1:] or lessons():
        list_of(lesson).write_text("\n".join(messages_of(lesson)) + "\n", encoding="utf-8")
        print(f"lesson {lesson}: {len(messages_of(lesson))} misconceptions")
