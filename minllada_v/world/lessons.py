"""Lessons of the small world: what is drawn, and the presets that train a small model on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from .questions import ABILITIES
from .scenes import SIZES


@dataclass(frozen=True)
class Lesson:
    """A part of the small world, as `world.draw_samples` takes it."""

    abilities: Sequence[str] = tuple(ABILITIES)  # the more often one is named, the more often it is drawn
    max_shapes: int = 4
    sizes: Sequence[tuple[int, int]] = SIZES


def often(**times: int) -> tuple[str, ...]:
    """Each ability as often as it says."""
    return tuple(ability for ability, count in times.items() for _ in range(count))


# What takes longer to learn is drawn more often.
PRACTICE = often(
    colour=1, shape=2, count=4, yes_no=3, where=6, number=3, bars=1, describe=2, dialogue=4, difference=3, motion=1)
LESSONS = {
    "everything": Lesson(),
    "practice": Lesson(PRACTICE),
    "one-tile": Lesson(PRACTICE, sizes=SIZES[:1]),
    "patches": Lesson(often(describe=4, number=8, bars=1, motion=1, difference=1)),
    "first-lesson": Lesson(("colour", "shape"), max_shapes=2, sizes=SIZES[:1]),
    # Each ability alone, small. After 96,000 examples of the mixture "where" is wrong in three pictures of ten; on two
    # shapes it is learned here from 10,000.
    **{ability: Lesson((ability,), max_shapes=4 if ability in ("count", "describe") else 2, sizes=SIZES[:1])
       for ability in ABILITIES},
}

# A preset is the command lines that it runs, one after another. {out} is the folder of the run.
PRESETS = {
    "first-lesson": (
        "--out {out}/vision --world first-lesson --config {config} --stage vision --steps 700 --batch-size 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 1.2e-3",
        "--out {out}/tune --world first-lesson --from {out}/vision/last --steps 2200 --batch-size 16 --canvas 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 0",
    ),
    # Of the built-in model, which two processes of torchrun trained.
    "built-in": (
        "--out {out}/1-vision --world patches --config {config} --stage vision --steps 5500 --batch-size 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 1.2e-3 --workers 1",
        "--out {out}/2-one-tile --world one-tile --from {out}/1-vision/last --steps 6000 --canvas 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 0 --workers 1",
        "--out {out}/3-where --world where --from {out}/2-one-tile/last --steps 1200 --canvas 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 0 --workers 1",
        "--out {out}/4-practice --world practice --from {out}/3-where/last --steps 14000 --canvas 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 2.4e-4 --workers 1",
    ),
}
