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
PLAIN_PRACTICE = often(**{"plain colour": 1, "plain shape": 2, "plain count": 4, "plain yes_no": 3, "plain where": 6,
                          "plain number": 3, "plain bars": 1, "plain describe": 2, "plain dialogue": 4,
                          "plain difference": 3, "plain motion": 1})
PRACTICE = often(colour=10, shape=7, count=10, yes_no=7, where=24, place=9, number=8, bars=7, describe=10, dialogue=15,
                 talk=15, difference=4, motion=3, not_there=8, unknown=32, no_shapes=3)
LESSONS = {
    "everything": Lesson(),
    "practice": Lesson(PRACTICE, sizes=(SIZES[0], *SIZES)),  # pictures of one tile twice as often: they cost less
    "plain": Lesson(PLAIN_PRACTICE),
    "plain-one-tile": Lesson(PLAIN_PRACTICE, sizes=SIZES[:1]),
    "plain-where": Lesson(("plain where",), max_shapes=2, sizes=SIZES[:1]),
    "patches": Lesson(often(**{"plain describe": 4, "plain number": 8, "plain bars": 1, "plain motion": 1,
                               "plain difference": 1})),
    "first-lesson": Lesson(("colour", "shape", "shape"), max_shapes=2, sizes=SIZES[:1]),
    # Each ability alone, small.
    **{ability: Lesson((ability,), max_shapes=4 if ability in ("count", "describe") else 2, sizes=SIZES[:1])
       for ability in ABILITIES},
}

# A preset is the command lines that it runs, one after another. {out} is the folder of the run.
PRESETS = {
    "first-lesson": (
        "--out {out}/vision --world first-lesson --config {config} --stage vision --steps 600 --batch-size 16 "
        "--learning-rate 1.2e-3 --vision-learning-rate 1.2e-3",
        "--out {out}/tune --world first-lesson --from {out}/vision/last --steps 2200 --batch-size 16 --canvas 20 "
        "--learning-rate 1.2e-3 --vision-learning-rate 0",
    ),
    # Of the built-in model.
    "built-in": (
        "--out {out}/1-vision --world patches --config {config} --stage vision --steps 5500 --batch-size 32 "
        "--learning-rate 1.2e-3 --vision-learning-rate 1.2e-3 --workers 1",
        "--out {out}/2-one-tile --world plain-one-tile --from {out}/1-vision/last --steps 6000 --batch-size 16 "
        "--canvas 20 --learning-rate 1.2e-3 --vision-learning-rate 0 --workers 1",
        "--out {out}/3-where --world plain-where --from {out}/2-one-tile/last --steps 1200 --batch-size 16 "
        "--canvas 20 --learning-rate 1.2e-3 --vision-learning-rate 0 --workers 1",
        "--out {out}/4-plain --world plain --from {out}/3-where/last --steps 14000 --batch-size 16 --canvas 20 "
        "--learning-rate 1.2e-3 --vision-learning-rate 2.4e-4 --workers 1",
        "--out {out}/5-talk --world practice --from {out}/4-plain/last --steps 21000 --batch-size 16 --canvas 20 "
        "--learning-rate 8e-4 --vision-learning-rate 1.6e-4 --workers 1",
        "--out {out}/6-where --world where --from {out}/5-talk/last --steps 2100 --batch-size 16 --canvas 20 "
        "--learning-rate 1.2e-3 --vision-learning-rate 0 --workers 1",
        "--out {out}/7-practice --world practice --from {out}/6-where/last --steps 18000 --batch-size 16 --canvas 20 "
        "--learning-rate 8e-4 --vision-learning-rate 1.6e-4 --workers 1",
    ),
}
