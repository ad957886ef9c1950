"""The questions of `generate --batch` and of `evaluate`: from a file of JSON lines, or drawn from the small world.

A line is a JSON object. Its text stands under `question` or `prompt`, the paths of its pictures under `image` or
`images` (or that of a video under `video`), and `id` names it, which is else the number of its line. To be judged it
also has `answer` or `answers`, any of which is right, and may have `options` and a `group`; MathVista's have
`answer_type`, `precision` and `unit` too. What is null, NaN or an empty text counts as not there: exporters write so
what they have not got. In the middle of a list it is refused, for options behind it would get another letter.

Every other key is ignored, unless a word of its name is one of `WORDS`: words for what is asked, what to look at, what
to choose from, and what is right. Such a key (`image_path`, `optionA`, `label`) could hold a part of the question in
another spelling, and without it the model would be asked something else, so it is refused by name. Only where that part
stands under a key of ours may a key that describes it stand beside it, as `image_size` does beside `image`.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from PIL import Image

from ..errors import InputError, quote
from ..files import kind_of, read_file
from ..image import Source, frame_files
from ..world.lessons import LESSONS, Lesson
from ..world.samples import Sample, draw_exam

TEXT, PICTURES = ("question", "prompt"), ("image", "images", "video")  # the keys that are read
CHOICES, RIGHT = ("options",), ("answers", "answer")
WORDS = {  # for the same in the names of other keys, in the singular
    TEXT: "question prompt query instruction conversation message history context passage hint subtitle system",
    PICTURES: "image img picture pic photo figure video clip frame visual media screenshot bbox crop start end",
    CHOICES: "option choice candidate distractor a b c d e f g h i j",
    RIGHT: "answer label target truth gold gt correct solution reference expected",
}
FILES = "file filename path url uri"  # words for what to look at where nothing else says it
DESCRIBING = set("id type size width height count num number source format kind category unit relation".split())


@dataclass(frozen=True)
class Question:
    """What is asked and what is right. A dialogue has several turns, all about the same pictures."""

    id: str | int
    group: str = ""  # the task, category or ability that it counts for
    turns: tuple[tuple[str, tuple[str, ...]], ...] = ()  # for each turn what is asked and the answers that are right
    options: tuple[str, ...] = ()  # of a multiple choice, the first one is A
    images: tuple[Source, ...] = ()
    video: str | Path | tuple[Source, ...] | None = None
    shown: str = ""  # the files as they are named: MME counts two questions about one picture together
    form: str = ""  # of MathVista's numbers: "integer", "float 1" (one decimal place), "float 2" or "list"
    unit: str = ""  # of MathVista's numbers
    error: str = ""  # what is wrong with its line, where the other lines are asked all the same


def world_questions(count: int, lesson: Lesson = LESSONS["everything"]) -> list[Question]:
    """`count` questions of each ability of a lesson of the small world, always the same, from the seeds that training
    never draws. Of "everything" then as many again with ", new" behind the ability, in wordings that training never
    draws; of "unknown" they are questions, and of "no_shapes" pictures, of kinds that it never draws."""
    exam = draw_exam(count, lesson.max_shapes, lesson.sizes, lesson.abilities, lesson == LESSONS["everything"])
    return [sample_question(name, sample) for name, sample in exam]


def sample_question(name: str, sample: Sample) -> Question:
    """What a sample of the small world asks, in all its turns."""
    said = [message["value"] for message in sample.conversation]
    turns = tuple((asked, (answered,)) for asked, answered in zip(said[::2], said[1::2]))
    pictures = tuple(sample.pictures)
    shown = {"video": pictures} if sample.video else {"images": pictures}
    return Question(name, sample.ability, turns, **shown)


def read_questions(path: Path, folder: Path | None = None, judged: bool = True) -> list[Question]:
    """The questions of the lines of `path` that are not blank. Pictures are relative to `folder`, or else to its own.

    Raises `InputError` if the file cannot be read, or two lines have one id. A line of another form is named in an
    `InputError` too if the answers will be `judged`; else it becomes a question with an `error`.
    """
    content = read_file(path)
    questions: dict[str | int, Question] = {}
    line_of: dict[str | int, int] = {}
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        name: str | int = number
        try:
            entry = _read_entry(line)
            name = entry.get("id", number)
            if type(name) not in (str, int):
                name = number
                raise InputError(f"id must be text or a whole number, not {quote(entry['id'])}")
            question = read_question(entry, name, folder or path.parent, judged)
        except InputError as error:
            if judged:
                raise InputError(f"{path}, line {number}: {error}") from None
            question = Question(name, error=str(error))
        if name in questions:
            raise InputError(f"{path}: lines {line_of[name]} and {number} have the same id {quote(name)}; give each an "
                             "id of its own (a line without one has its number)")
        questions[name], line_of[name] = question, number
    if judged and not questions:
        raise InputError(f"{path} holds no questions")
    return list(questions.values())


def read_question(entry: dict, name: str | int, folder: Path, judged: bool) -> Question:
    """The question of one line. Raises `InputError`."""
    check_keys(entry, judged)
    asked, group, unit, form = (_text(entry, *keys) for keys in (TEXT, ("group",), ("unit",), ("answer_type",)))
    if form == "float" and type(precision := entry.get("precision")) in (int, float):
        form = f"float {precision:g}"
    images, videos = _texts(entry, "image", "images"), _texts(entry, "video")
    if not asked and not (judged and images):  # a picture may hold the question
        raise InputError(f"{'question' if judged else 'prompt'} must be text that is not empty")
    if not judged and videos:
        raise InputError("a file of questions cannot ask about a video; use --video")
    if len(videos) > 1 or images and videos:
        raise InputError("give either pictures or one video")
    for shown in (*images, *videos):
        if kind_of(folder / shown) == "nothing":
            raise InputError(f"{folder / shown} does not exist; paths are relative to {folder}")
    options, answers = _texts(entry, *CHOICES), _texts(entry, *RIGHT) if judged else ()
    if len(options) > 26:
        raise InputError(f"it has {len(options)} options, and there are 26 letters")
    if judged and not answers:
        raise InputError('it has no answer; give "answer", or "answers" if several are right, none of them empty')
    bare = without_letters(options)
    answers = tuple(dict(zip(options, bare)).get(answer, answer) for answer in answers)
    return Question(name, group, ((asked, answers),), bare, tuple(folder / image for image in images),
                    folder / videos[0] if videos else None, ", ".join(images + videos), form, unit)


def check_keys(entry: dict, judged: bool):
    """Raises `InputError` naming a key that could say what the question is about, and is not read (see above)."""
    kinds = {TEXT: "what is asked", PICTURES: "what to look at", CHOICES: "what to choose from", RIGHT: "what is right"}
    read = {*TEXT, *PICTURES, *CHOICES, *RIGHT, "id", "group", "answer_type", "precision", "unit"}
    if not judged:  # nobody looks at what is right, and no letters are put in front of options
        del kinds[RIGHT]
        read -= {*CHOICES}
    for key in entry:
        if key in read:
            continue
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", key)]
        words = {word.removesuffix("s") for word in words if len(word) > 1 or len(key) == 1}
        for ours, kind in kinds.items():
            known = any(name in entry for name in ours)
            suspects = {*WORDS[ours].split(), *(FILES.split() if ours is PICTURES and not known else ())}
            if words & suspects and not (known and words & DESCRIBING):
                place = " or ".join(name for name in ours if name in read) or "the prompt"
                raise InputError(f"{quote(key)} is not read, and could say {kind}: put that into {place}, or take the "
                                 "key out")


def without_letters(options: Sequence[str]) -> tuple[str, ...]:
    """The options without the letters that all of them bear already, as "A. cat" and "B. dog" do, or "(A) cat" and
    "(B) dog". A prompt gives each the letter in its own way, and it would have two."""
    bare = [re.fullmatch(rf"\s*(?:\({letter}\)|{letter}[.):]\s)\s*(.+)", option, re.DOTALL)
            for letter, option in zip(ascii_uppercase, options)]
    return tuple(match[1] for match in bare) if len(bare) > 1 and all(bare) else tuple(options)


def digest(question: Question, prompts: Sequence[str], known: dict[Path, str]) -> str:
    """A few letters that say whether two questions are the same: what is asked (`prompts`, one for each turn), about
    which pictures, and what is right. The digests of files stand in `known` once they have been read.

    Every byte of a picture counts, for a file that was replaced may have kept its name, size and time.
    """
    shown = [question.video] if isinstance(question.video, (str, Path)) else question.video or question.images
    said = [list(prompts), [right for _, right in question.turns], question.options, question.group, question.shown,
            question.video is None, [content_digest(picture, known) for picture in shown]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def content_digest(picture: Source, known: dict[Path, str]) -> str:
    """SHA-256 of what a picture holds, or each frame of a folder; "" if it cannot be read, as asking will tell."""
    if isinstance(picture, Image.Image):
        return hashlib.sha256(f"{picture.mode} {picture.size}".encode() + picture.tobytes()).hexdigest()
    path = Path(picture)
    try:
        if path.is_dir():
            return " ".join(content_digest(frame, known) for frame in frame_files(path))
        if path not in known and path.is_file():  # a device may have no end
            with path.open("rb") as file:
                known[path] = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        pass
    return known.get(path, "")


def _read_entry(line: bytes) -> dict:
    """The object of one line, without what is null, NaN or an empty text. Raises `InputError`."""
    try:
        entry = json.loads(line.decode())
    except UnicodeDecodeError:
        raise InputError("this is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not valid JSON: {error}") from None
    if not isinstance(entry, dict):
        raise InputError(f"each line must be a JSON object, not a {type(entry).__name__}")
    return {key: value for key, value in entry.items() if not _missing(value)}


def _missing(value) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value != value  # NaN is not itself


def _texts(entry: dict, *keys: str) -> tuple[str, ...]:
    """What stands under one of the `keys`, one value or a list, as texts. What is missing at the end is left out."""
    found = [key for key in keys if key in entry]
    if len(found) > 1:
        raise InputError(f"it has {' and '.join(found)}; give one of them")
    if not found:
        return ()
    [key] = found
    values = list(entry[key]) if isinstance(entry[key], list) else [entry[key]]
    while values and _missing(values[-1]):
        values.pop()
    for number, value in enumerate(values, start=1):
        if _missing(value):
            raise InputError(f"number {number} of {key} is missing, and others follow it")
        if key in PICTURES and not isinstance(value, str):
            raise InputError(f"{key} must be a path or a list of paths, not {quote(entry[key])}")
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise InputError(f"{key} must be text, not {quote(value)}")
    return tuple(map(str, values))  # exporters write 3 as often as "3"


def _text(entry: dict, *keys: str) -> str:
    """The one text under one of the `keys`, or ""."""
    for key in keys:
        if isinstance(entry.get(key), list):
            raise InputError(f"{key} must be text, not {quote(entry[key])}")
    return "".join(_texts(entry, *keys))
