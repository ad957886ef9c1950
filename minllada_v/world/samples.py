"""The small world: drawn pictures with questions whose answers are known, as many as wanted.

A few shapes on a plain background can be told apart by a model of a million parameters, and exercise everything that
LLaDA-V does: one, two and more tiles, several pictures, video, several turns.

`python -m minllada_v.world --out DIR --count N` writes them as files (see `__main__.py`).
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..chat import IMAGE
from ..errors import InputError
from ..files import naming
from .asking import word
from .plain import PLAIN, plain_answer, plain_question
from .questions import ABILITIES, NEW_PICTURES
from .scenes import SIZES, Scene, paint, pick
from .sentences import CANVAS, true_answer

SPLITS = ("train", "test")
FILLED = 0.3  # share of the answers behind which spaces fill the canvas, where there are long ones too
SHORT = {"colour", "shape"}  # abilities whose answers are about as long as each other
UNFINISHED = "conversations.json.unfinished"  # in a folder whose samples are not all written


@dataclass(frozen=True)
class Sample:
    """Pictures and a conversation about them."""

    ability: str  # one of ABILITIES or PLAIN, in an exam with ", new" behind it where wordings are held out
    pictures: list[Image.Image]  # the frames, of a video
    scenes: list[Scene]  # what each picture shows; nothing, if it is of another world
    video: bool
    conversation: list[dict]  # in the LLaVA format: {"from": "human" or "gpt", "value": text}


def draw_sample(
    ability: str, seed: int, split: str = "train", max_shapes: int = 4, sizes: Sequence[tuple[int, int]] = SIZES,
    held_out: bool = False,
) -> Sample:
    """The sample of that ability that belongs to `seed`: the same arguments give the same bytes.

    `max_shapes`, 1 to 4, and `sizes` (width, height; 48 or more) say how hard it may be. Abilities that need two
    shapes draw two at least; those with several pictures draw the smallest size, because each picture becomes a
    single tile. `held_out` asks in wordings, and shows unrelated pictures of kinds, that training never draws. Raises
    `InputError` for an ability, a split or a `max_shapes` that does not exist.
    """
    if ability not in ABILITIES and ability not in PLAIN:
        raise InputError(f"the ability must be one of {', '.join([*ABILITIES, *PLAIN])}, not {ability!r}")
    if not 1 <= max_shapes <= 4:
        raise InputError(f"max_shapes must be 1 to 4, not {max_shapes}")
    name = ability.removeprefix("plain ")
    rng = _generator(split, name, seed)
    size = SIZES[0] if name in ("difference", "motion") else pick(rng, sizes)
    background = tuple(rng.integers(232, 251, size=3).tolist())
    if ability in PLAIN:
        scenes, turns = PLAIN[ability](rng, max_shapes, size)
        said = [(plain_question(turn), plain_answer(turn, scenes, size)) for turn in turns]
    else:
        draw = NEW_PICTURES if held_out and ability == "no_shapes" else ABILITIES[ability]
        scenes, turns = draw(rng, max_shapes, size)
        said = [(word(rng, turn.wording or turn.kind, turn.slots, held_out),
                 true_answer(turn.kind, scenes, size, turn.slots)) for turn in turns]
    video = name == "motion"
    conversation = []
    for question, answer in said:
        conversation += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    places = " ".join([IMAGE] * (1 if video else len(scenes)))
    conversation[0]["value"] = f"{places}\n{said[0][0]}"
    pictures = [shown if isinstance(shown, Image.Image) else paint(shown, size, background) for shown in scenes]
    scenes = [[] if isinstance(shown, Image.Image) else shown for shown in scenes]
    return Sample(ability, pictures, scenes, video, conversation)


def draw_samples(
    seed: int,
    split: str = "train",
    max_shapes: int = 4,
    sizes: Sequence[tuple[int, int]] = SIZES,
    abilities: Sequence[str] = tuple(ABILITIES),
) -> Iterator[Sample]:
    """Samples without end, each of a random one of the `abilities`. The other arguments are those of `draw_sample`."""
    rng, filled = _generator(split, "any", seed), FILLED if not set(abilities) <= SHORT else 0.0
    while True:
        sample = draw_sample(pick(rng, abilities), int(rng.integers(2**63)), split, max_shapes, sizes)
        yield filled_up(sample) if sample.ability in ABILITIES and rng.random() < filled else sample


def filled_up(sample: Sample) -> Sample:
    """The same sample with spaces behind its last answer, which fill the canvas.

    What stands behind an answer decides much. Where <|endoftext|> belongs, the sampler may not choose it (see
    `answer.prepare`), and of all other tokens one is the surest, whatever it is: a short answer would begin with the
    end of a long one. Spaces may be chosen, and nobody sees them.
    """
    *before, last = sample.conversation
    tokens = len(re.findall(" ?[A-Za-z]+|[^A-Za-z]", last["value"]))
    spaces = " " * (CANVAS - 1 - tokens)  # the last place is that of <|eot_id|>
    return replace(sample, conversation=[*before, last | {"value": last["value"] + spaces}])


def draw_exam(
    count: int, max_shapes: int, sizes: Sequence[tuple[int, int]], abilities: Sequence[str], held_out: bool
) -> Iterator[tuple[str, Sample]]:
    """`count` samples of the test split of each of the `abilities`, each with its name: the same for the same
    arguments.

    With `held_out` then as many again in wordings that training never draws; of "unknown" these are questions, and
    of "no_shapes" kinds of pictures, that it never draws.
    """
    for new in (False, True) if held_out else (False,):
        for ability in (*ABILITIES, *PLAIN):
            for seed in range(count) if ability in abilities and not (new and ability in PLAIN) else ():
                sample = draw_sample(ability, seed, "test", max_shapes, sizes, new)
                sample = replace(sample, ability=f"{ability}, new") if new else sample
                yield f"{sample.ability} {seed}", sample


def _generator(split: str, ability: str, seed: int) -> np.random.Generator:
    """Random numbers that belong to these arguments, on every machine: Python's own `hash` changes with each run."""
    if split not in SPLITS:
        raise InputError(f"the split must be {' or '.join(SPLITS)}, not {split!r}")
    digest = hashlib.sha256(f"{split} {ability} {seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def write_samples(folder: Path, samples: Iterator[Sample], count: int):
    """Write `count` samples: `conversations.json` and, beside it, the pictures that it names.

    What a run left that was stopped is written anew. Raises `InputError` if `folder` cannot be written or holds
    something else.
    """
    if count < 1:
        raise InputError(f"--count must be at least 1, not {count}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / UNFINISHED).exists():
            raise InputError(f"{folder} is not empty; name a new folder")
        (folder / UNFINISHED).touch()  # until the end it says that what is here is ours
        shutil.rmtree(folder / "pictures", ignore_errors=True)
        (folder / "pictures").mkdir()
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    entries = []
    for index, sample in zip(tqdm(range(count), desc="drawing", unit="sample"), samples):
        name = f"{index:06}-{sample.ability}"
        with naming(folder / "pictures" / name):
            entries.append(write_sample(folder, name, sample))
    with naming(folder / "conversations.json"):
        (folder / UNFINISHED).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        os.replace(folder / UNFINISHED, folder / "conversations.json")


def write_sample(folder: Path, name: str, sample: Sample) -> dict:
    """Write the pictures of a sample below `folder`; returns its entry in the JSON list. A video is a folder."""
    path = f"pictures/{name}"
    if len(sample.pictures) == 1:
        sample.pictures[0].save(folder / f"{path}.png")
        return {"id": name, "image": f"{path}.png", "conversations": sample.conversation}
    (folder / path).mkdir()
    paths = [f"{path}/{index}.png" for index in range(1, len(sample.pictures) + 1)]
    for picture, file in zip(sample.pictures, paths):
        picture.save(folder / file)
    shown = {"video": path} if sample.video else {"image": paths}
    return {"id": name, **shown, "conversations": sample.conversation}
