"""What the models of the study learn from: fixed sets of drawn samples, in the LLaVA format.

`python tutorials/study/lessons.py --lesson questions --seed 1 --counts 320 5120 --out DIR` writes 5120 samples and, for
each count, a file that names so many of them: a smaller set is the beginning of a larger one. What the models are
tested on is drawn in the same way, from the test split. Questions and answers are those of the plain language, for
which `model/` holds the configuration and the tokenizer.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from minllada_v.errors import InputError, complain
from minllada_v.world.plain import description
from minllada_v.world.samples import Sample, draw_samples, write_samples
from minllada_v.world.scenes import SIZES

SIZE, SHAPES = SIZES[0], 2  # pictures of one tile, with at most so many shapes
ABILITIES = {  # the more often one is named, the more often it is drawn; all in the plain language of `world.plain`
    "questions": ("colour", "shape", "describe", "describe"),
    "dialogues": ("colour", "shape", "dialogue", "dialogue", "dialogue", "dialogue"),
    "captions": ("describe",),
    "reading": ("colour", "shape", "describe", "describe"),
    "lists": ("colour", "shape", "describe", "describe"),
}
MOST = {"lists": 4}  # shapes, where there may be more


def draw(lesson: str, seed: int, split: str = "train") -> Iterator[Sample]:
    """The samples of a lesson, without end: the same for the same arguments.

    Of dialogues those about places are left out: they take longer to learn than the study has time for. Their first
    question follows its picture without a line break, which training would see and asking drops (see `chat.py`). In
    "reading" nothing is shown: what a picture would show is told, in front of the question. In "lists" a description
    leaves out empty squares, so that how long it is depends on the picture.
    """
    abilities = [f"plain {ability}" for ability in ABILITIES[lesson]]
    for sample in draw_samples(seed, split, MOST.get(lesson, SHAPES), [SIZE], abilities):
        sample = replace(sample, ability=sample.ability.removeprefix("plain "))
        if sample.ability == "dialogue" and "where" in sample.conversation[2]["value"]:
            continue
        if lesson == "dialogues":
            first, *others = sample.conversation
            shown = first | {"value": first["value"].replace("<image>\n", "<image>")}
            sample = replace(sample, conversation=[shown, *others])
        if lesson == "lists":
            *others, last = sample.conversation
            listed = ", ".join(thing for thing in last["value"].split(", ") if thing != "no shape")
            sample = replace(sample, conversation=[*others, last | {"value": listed}])
        yield told(sample) if lesson == "reading" else sample


def told(sample: Sample) -> Sample:
    """The same question about a picture that is told in words."""
    [scene] = sample.scenes
    first, *others = sample.conversation
    asked = first["value"].removeprefix("<image>\n")
    first = first | {"value": f"{description(scene, SIZE)}\n{asked}"}
    return replace(sample, pictures=[], conversation=[first, *others])


def write(folder: Path, lesson: str, seed: int, counts: list[int]):
    """Write the largest set to `folder`, and a file of each size beside its pictures. There is a folder once all is
    written. Raises `InputError` if it is there already or cannot be written."""
    if folder.exists():
        raise InputError(f"{folder} is there already; name a new folder")
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    samples, most = draw(lesson, seed), max(counts)
    if lesson == "reading":
        unfinished.mkdir(parents=True)
        entries = [{"conversations": sample.conversation} for sample in islice(samples, most)]
    else:
        write_samples(unfinished, samples, most)
        entries = json.loads((unfinished / "conversations.json").read_text(encoding="utf-8"))
        (unfinished / "conversations.json").unlink()
    for count in counts:
        (unfinished / f"{count}.json").write_text(json.dumps(entries[:count], indent=1) + "\n", encoding="utf-8")
    unfinished.rename(folder)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw training sets of the study.")
    option = parser.add_argument
    option("--lesson", choices=ABILITIES, required=True)
    option("--seed", metavar="N", type=int, required=True, help="another seed, other samples")
    option("--counts", metavar="N", type=int, nargs="+", required=True, help="how many samples the sets have")
    option("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    arguments = parser.parse_args(argv)
    try:
        write(arguments.out, arguments.lesson, arguments.seed, arguments.counts)
        return 0
    except (InputError, OSError) as error:
        return complain(error, 2)


if __name__ == "__main__":
    sys.exit(main())
