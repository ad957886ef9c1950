"""The questions of a benchmark: from a file of JSON lines, or drawn from the small world."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import kind_of
from ..image import Source
from ..world.lessons import LESSONS, Lesson
from ..world.questions import ABILITIES
from ..world.samples import Sample, draw_sample


@dataclass(frozen=True)
class Question:
    """What is asked and what is right. A dialogue has several turns, all about the same pictures."""

    id: str
    group: str  # the task, category or ability that it counts for, or ""
    turns: tuple[tuple[str, tuple[str, ...]], ...]  # for each turn what is asked and the answers that are right
    options: tuple[str, ...] = ()  # of a multiple choice, the first one is A
    images: tuple[Source, ...] = ()
    video: str | Path | tuple[Source, ...] | None = None
    shown: str = ""  # the files as they are named: MME counts two questions about one picture together


def world_questions(count: int, lesson: Lesson = LESSONS["everything"]) -> list[Question]:
    """`count` questions of each ability of a lesson of the small world, always the same, from the seeds that training
    never draws."""
    return [sample_question(f"{ability} {seed}", draw_sample(ability, seed, "test", lesson.max_shapes, lesson.sizes))
            for ability in ABILITIES if ability in lesson.abilities for seed in range(count)]


def sample_question(name: str, sample: Sample) -> Question:
    """What a sample of the small world asks, in all its turns."""
    said = [message["value"] for message in sample.conversation]
    turns = tuple((asked, (answered,)) for asked, answered in zip(said[::2], said[1::2]))
    pictures = tuple(sample.pictures)
    shown = {"video": pictures} if sample.video else {"images": pictures}
    return Question(name, sample.ability, turns, **shown)


def read_questions(path: Path, image_folder: Path | None = None) -> list[Question]:
    """The questions of a file of JSON lines. Each has `question`, and `answer` or `answers`, of which any is right;
    it may have `image`, `images` or `video`, `options`, `group` and `id`, which is else the number of the line.

    Paths are relative to `image_folder`, or else to the folder of the file. Raises `InputError` naming the line that
    is of another form, whose id was there before, or whose picture does not exist.
    """
    folder = path.parent if image_folder is None else image_folder
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; the questions are JSON lines") from None
    questions: dict[str, Question] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = read_question_line(line, str(number), folder)
            if question.id in questions:
                raise InputError(f"the id {question.id!r} was there before; ids must differ")
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        questions[question.id] = question
    if not questions:
        raise InputError(f"{path} holds no questions")
    return list(questions.values())


def read_question_line(line: str, number: str, folder: Path) -> Question:
    """The question of one line. Raises `InputError`."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not valid JSON: {error}") from None
    if not isinstance(entry, dict):
        raise InputError("each line must be a JSON object")
    asked = entry.get("question")
    if not isinstance(asked, str) or not asked.strip():
        raise InputError(f"question must be a text that is not empty, not {asked!r}")
    answers = _texts(entry, "answers", "answer")
    if not answers or not all(answer.strip() for answer in answers):
        raise InputError('it has no answer; give "answer", or "answers" if several are right, none of them empty')
    options = _texts(entry, "options")
    if len(options) > 26:
        raise InputError(f"it has {len(options)} options, and there are 26 letters")
    names, videos = _texts(entry, "images", "image"), _texts(entry, "video")
    if len(videos) > 1 or names and videos:
        raise InputError("give either pictures or one video")
    images, video = tuple(folder / name for name in names), folder / videos[0] if videos else None
    for shown in [*images, *([video] if video else [])]:
        if kind_of(shown) == "nothing":
            raise InputError(f"{shown} does not exist; paths are relative to the folder of the file, or to "
                             "--image-folder")
    group, name = (_text(entry.get(key, default), key) for key, default in (("group", ""), ("id", number)))
    return Question(name, group, ((asked, answers),), options, images, video, ", ".join(names + videos))


def _texts(entry: dict, *keys: str) -> tuple[str, ...]:
    """What stands under any of the `keys`, one or a list, as texts."""
    found = [key for key in keys if entry.get(key) is not None]
    if len(found) > 1:
        raise InputError(f"it has {' and '.join(found)}; give one of them")
    if not found:
        return ()
    value = entry[found[0]]
    return tuple(_text(text, found[0]) for text in (value if isinstance(value, list) else [value]))


def _text(value, key: str) -> str:
    """A text, or a number as one: exporters write 3 as often as "3"."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise InputError(f"{key} must be text, not {value!r}")
    return str(value)
