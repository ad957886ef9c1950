"""The runs of the study: for each figure a list, and the commands that make each run.

All start from one vision stage, so that a run is short and all see alike. Whatever two runs are compared by is the only
thing that differs between them: for a seed they have the same samples, in the same order, and as many updates.
"""

from dataclasses import dataclass, field

FIGURES = ("data", "attention", "steps", "stages")

UPDATES = 320  # of a run, each on BATCH examples; all times grow with it
BATCH = 16
RATE = "1.2e-3"
SIZES = (320, 800, 2000, 5120)  # samples; BATCH * UPDATES is an epoch of the largest
LONGER = (160, 640)  # other numbers of updates, on the smallest set
SEEDS = (1, 2, 3)
VISION_UPDATES, READER_UPDATES = 600, 400  # of what all runs share
CANVAS, TURN = 12, 3  # tokens of the longest answer: of "questions", and of "dialogues"
QUESTIONS = 400  # that are asked of a trained model
STEPS, ASKED = (1, 2, 4, 8, None), 40  # denoising steps (None: one a token); questions of each ability
METHODS = {"diffusion": "", "autoregression": " --autoregressive"}
ATTENTION = {"bidirectional": "", "dialogue-causal": " --attention dialogue-causal"}


@dataclass(frozen=True)
class Scale:
    """How much of the study is done. Numbers of updates are the same in all: with fewer nothing is learned."""

    seeds: tuple[int, ...] = SEEDS
    sizes: tuple[int, ...] = SIZES
    longer: tuple[int, ...] = LONGER
    asked: int = ASKED
    random_seeds: tuple[int, ...] = SEEDS
    stages: tuple[int, ...] = (UPDATES // 2, UPDATES)  # of the figure of that name


FULL, QUICK = Scale(), Scale((1, 2), (SIZES[0], SIZES[-1]), (), 10, (1,), (UPDATES,))


@dataclass(frozen=True)
class Run:
    """A model to train and ask, or only to ask. The last command prints what is measured."""

    name: str
    seed: int
    settings: dict = field(hash=False)  # what the figures tell runs apart by
    commands: tuple[str, ...] = ()


def train(folder: str, name: str, start: str, data: str, updates: int, seed: int, more: str = "") -> str:
    """The command of a training stage. {folder} is where the study works."""
    return (f"python -m minllada_v.train --out {folder}/{name} {start} --data {folder}/{data} --steps {updates} "
            f"--batch-size {BATCH} --learning-rate {RATE} --vision-learning-rate 0 --held-out 0 --seed {seed} "
            f"--evaluate-every {updates} --save-every 100 --device cpu{more}")


def ask(folder: str, name: str, lesson: str, length: int, more: str = "") -> str:
    """The command that asks a trained model."""
    return (f"python tutorials/study/measure.py --weights {folder}/{name}/last --lesson {lesson} --count {QUESTIONS} "
            f"--gen-length {length}{more}")


def preparations(figure: str, folder: str, scale: Scale) -> list[tuple[str, str]]:
    """What runs of a figure need: (what is there once it is done, command), in order."""
    vision = (f"{folder}/vision/last", (
        f"python -m minllada_v.train --out {folder}/vision --world first-lesson --stage vision "
        f"--config tutorials/study/model/config.json --steps {VISION_UPDATES} --batch-size {BATCH} "
        f"--learning-rate {RATE} --vision-learning-rate {RATE} --held-out 0 --evaluate-every {VISION_UPDATES} "
        f"--save-every 100 --device cpu"))

    def drawn(lesson: str, seed: int, counts: tuple[int, ...]) -> tuple[str, str]:
        out = f"{folder}/{lesson}-{seed}"
        return out, (f"python tutorials/study/lessons.py --lesson {lesson} --seed {seed} "
                     f"--counts {' '.join(map(str, counts))} --out {out}")

    most = SIZES[-1:]
    if figure == "data":
        return [vision, *(drawn("questions", seed, SIZES) for seed in scale.seeds)]
    if figure == "attention":
        talker = train(folder, "talker", f"--from {folder}/vision/last", f"questions-0/{most[0]}.json", UPDATES, 0,
                       f" --canvas {CANVAS}")
        return [vision, drawn("questions", 0, most), (f"{folder}/talker/last", talker),
                *(drawn("dialogues", seed, most) for seed in scale.seeds)]
    if figure == "stages":
        reader = train(folder, "reader", f"--from {folder}/vision/last", f"reading-0/{most[0]}.json", READER_UPDATES, 0,
                       f" --canvas {CANVAS}")
        return [vision, drawn("reading", 0, most), (f"{folder}/reader/last", reader),
                *(drawn(lesson, seed, most if lesson == "captions" else SIZES)
                  for seed in scale.seeds for lesson in ("captions", "questions"))]
    return []


def data_runs(folder: str, scale: Scale) -> list[Run]:
    """Diffusion against autoregression on fixed sets of growing size, with the same number of updates; on the
    smallest also with fewer and more of them."""
    amounts = [(size, UPDATES) for size in scale.sizes] + [(scale.sizes[0], updates) for updates in scale.longer]
    runs = []
    for seed in scale.seeds:
        for size, updates in amounts:
            for method, option in METHODS.items():
                name = f"data-{method}-{size}-{updates}-{seed}"
                runs.append(Run(name, seed, {"method": method, "samples": size, "updates": updates}, (
                    train(folder, name, f"--from {folder}/vision/last", f"questions-{seed}/{size}.json", updates, seed,
                          f" --canvas {CANVAS}{option}"),
                    ask(folder, name, "questions", CANVAS))))
    return runs


def attention_runs(folder: str, scale: Scale) -> list[Run]:
    """Bidirectional against dialogue-causal attention on dialogues of two turns, both of which are targets in one
    sequence. A model is asked in the way in which it was trained. All start from one that can answer single questions,
    where there is but one turn and both kinds of attention are the same."""
    runs = []
    for seed in scale.seeds:
        for attention, option in ATTENTION.items():
            name = f"attention-{attention}-{UPDATES}-{seed}"
            runs.append(Run(name, seed, {"attention": attention}, (
                train(folder, name, f"--from {folder}/talker/last", f"dialogues-{seed}/{SIZES[-1]}.json", UPDATES, seed,
                      option),
                ask(folder, name, "dialogues", TURN, option))))
    return runs


def steps_runs(folder: str, scale: Scale) -> list[Run]:
    """The built-in model with few and many denoising steps, and two rules for which tokens are kept."""
    runs = []
    for remasking in ("low_confidence", "random"):
        for steps in STEPS:
            for seed in scale.random_seeds if remasking == "random" else (0,):  # without chance a seed changes nothing
                count = "" if steps is None else f" --steps {steps}"
                runs.append(Run(f"steps-{remasking}-{steps or 'all'}-{scale.asked}-{seed}", seed,
                                {"remasking": remasking, "steps": steps}, (
                    f"python tutorials/study/measure.py --lesson small-world --count {scale.asked} "
                    f"--remasking {remasking} --seed {seed}{count}",)))
    return runs


def stages_runs(folder: str, scale: Scale) -> list[Run]:
    """A fresh projector between a vision tower that can see and a language model that can read: with a quarter of the
    updates for alignment on captions, or all of them for tuning."""
    parts, runs = f"--language {folder}/reader/last --vision {folder}/vision/last", []
    for seed in scale.seeds:
        for updates in scale.stages:
            for first in (0, updates // 4):
                name = f"stages-{'align' if first else 'tune'}-{updates}-{seed}"
                commands = [train(folder, f"{name}-first", parts, f"captions-{seed}/{SIZES[-1]}.json", first, seed,
                                  " --stage align")] if first else []
                start = f"--from {folder}/{name}-first/last" if first else parts
                commands += [train(folder, name, start, f"questions-{seed}/{SIZES[-1]}.json", updates - first, seed,
                                   f" --canvas {CANVAS}"), ask(folder, name, "questions", CANVAS)]
                runs.append(Run(name, seed, {"aligned": bool(first), "updates": updates}, tuple(commands)))
    return runs


RUNS = {"data": data_runs, "attention": attention_runs, "steps": steps_runs, "stages": stages_runs}
