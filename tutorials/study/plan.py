"""The runs of the study: for each figure a list, and the commands that make each run.

All start from one vision stage, so that a run is short and all see alike. Whatever two runs are compared by is the only
thing that differs between them: for a seed they have the same samples, in the same order, and as many updates.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

FIGURES = ("data", "rates", "repeats", "masks", "orders", "padding", "stages")

UPDATES = 320  # of a run, each on BATCH examples; all times grow with it
BATCH = 16
RATE = "1.2e-3"
SIZES = (320, 800, 2000, 5120)  # samples; BATCH * UPDATES is an epoch of the largest
LONGER = (160, 640)  # other numbers of updates, on the smallest set
SEEDS = (1, 2, 3)
VISION_UPDATES, READER_UPDATES = 600, 400  # of what all runs share
CANVAS, TURN = 12, 3  # tokens of the longest answer: of "questions", and of "dialogues"
QUESTIONS = 400  # that are asked of a trained model
STEPS, ASKED = (2, 4, 8, 16), 25  # denoising steps; questions of each ability and of its new wordings
RULES = ("low_confidence", "random", "margin", "entropy", "left_to_right", "revising")
LONG_CANVAS = 24  # twice as long as the longest answer of "lists"
PADDINGS = ("asked", "tenth", "unasked", "batch")
RATES = ("6e-4", RATE, "2.4e-3")  # that the twin may choose from
REPEATED = {160: 128, 320: 128, 800: 64, 2000: 32}  # samples, and how often they come: at most 4,000 updates
MARKS = (1, 4, 16, 64, 128)  # epochs after which a model is asked
METHODS = {"diffusion": "", "autoregression": " --autoregressive"}
HEADS = {"that look for likeness": "vision", "drawn at random": "plain"}  # and the checkpoint that begins with them
RATE_OF = {"diffusion": RATE, "autoregression": "6e-4"}  # where sets are repeated: what `rates` found best
MASKS = {  # what each starts from, and the options of training and of asking
    "bidirectional": ("talker", "", ""),
    "dialogue-causal": ("talker", " --attention dialogue-causal", " --attention dialogue-causal"),
    "prompt-first": ("talker-prompt-first", " --attention prompt-first", "")}


@dataclass(frozen=True)
class Scale:
    """How much of the study is done. Numbers of updates are the same in all: with fewer nothing is learned."""

    seeds: tuple[int, ...] = SEEDS
    sizes: tuple[int, ...] = SIZES
    longer: tuple[int, ...] = LONGER
    rates: tuple[str, ...] = RATES
    repeated: dict[int, int] = field(default_factory=lambda: REPEATED)
    paddings: tuple[str, ...] = PADDINGS
    more_seeds: tuple[int, ...] = (1, 2, 3, 4)
    many_seeds: tuple[int, ...] = tuple(range(1, 9))
    questions: int = QUESTIONS
    asked: int = ASKED
    stages: tuple[int, ...] = (UPDATES // 2, UPDATES)  # of the figure of that name


FULL = Scale()
QUICK = Scale((1,), SIZES[-1:], (), (RATE,), {160: 32}, ("tenth", "batch"), (1,), (1,), 100, 5, (UPDATES,))


@dataclass(frozen=True)
class Run:
    """A model to train and ask, or only to ask. The last command prints what is measured."""

    name: str
    seed: int
    settings: dict = field(hash=False)  # what the figures tell runs apart by
    commands: tuple[str, ...] = ()


def train(folder: str, name: str, start: str, data: str, updates: int, seed: int, more: str = "",
          rate: str = RATE) -> str:
    """The command of a training stage. {folder} is where the study works."""
    return (f"python -m minllada_v.train --out {folder}/{name} {start} --data {folder}/{data} --steps {updates} "
            f"--batch-size {BATCH} --learning-rate {rate} --vision-learning-rate 0 --held-out 0 --seed {seed} "
            f"--evaluate-every {updates} --save-every 100 --device cpu{more}")


def train_along(count: int, marks: Iterable[int], every: int, *training) -> str:
    """The command that trains, and asks `count` questions after each of the steps `marks`, multiples of `every`."""
    *_, updates = marks = list(marks)
    command = train(*training).replace("python -m minllada_v.train", "python tutorials/study/along.py --marks "
                                       f"{' '.join(map(str, marks))} --lesson questions --count {count}")
    return command.replace(f"--evaluate-every {updates}", f"--evaluate-every {every}")


def ask(count: int, folder: str, name: str, lesson: str, length: int, more: str = "") -> str:
    """The command that asks a trained model `count` questions."""
    return (f"python tutorials/study/measure.py --weights {folder}/{name}/last --lesson {lesson} --count {count} "
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
    if figure in ("rates", "repeats"):
        plain = f"{folder}/plain/last", (f"python tutorials/study/plain_heads.py --from {folder}/vision/last "
                                         f"--out {folder}/plain/last")
        sets = [(f"{folder}/repeated-{seed}", drawn("questions", seed, tuple(REPEATED))[1].replace(
            f"{folder}/questions-{seed}", f"{folder}/repeated-{seed}")) for seed in scale.more_seeds]
        return [vision, *sets] if figure == "repeats" else [vision, plain, *sets]
    if figure == "data":
        return [vision, *(drawn("questions", seed, SIZES) for seed in scale.seeds)]
    if figure == "padding":
        return [vision, *(drawn("lists", seed, most) for seed in scale.more_seeds)]
    if figure == "masks":
        talkers = [(f"{folder}/{name}/last", train(folder, name, f"--from {folder}/vision/last",
                                                   f"questions-0/{most[0]}.json", UPDATES, 0,
                                                   f" --canvas {CANVAS}{option}"))
                   for name, option in (("talker", ""), ("talker-prompt-first", " --attention prompt-first"))]
        return [vision, drawn("questions", 0, most), *talkers,
                *(drawn("dialogues", seed, most) for seed in scale.many_seeds)]
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
                    ask(scale.questions, folder, name, "questions", CANVAS))))
    return runs


def rates_runs(folder: str, scale: Scale) -> list[Run]:
    """The twin's learning rate, with heads that look for likeness and without: the best of three."""
    runs = []
    for seed in scale.more_seeds[:2]:
        for rate in scale.rates:
            for heads, start in HEADS.items():
                name = f"rates-{start}-{rate}-{seed}"
                runs.append(Run(name, seed, {"heads": heads, "rate": rate}, (
                    train(folder, name, f"--from {folder}/{start}/last", f"repeated-{seed}/320.json", UPDATES, seed,
                          f" --canvas {CANVAS} --autoregressive", rate),
                    ask(scale.questions, folder, name, "questions", CANVAS))))
    return runs


def repeats_runs(folder: str, scale: Scale) -> list[Run]:
    """Diffusion against autoregression on small sets that are repeated often. Each has its own learning rate."""
    runs = []
    for size, epochs in scale.repeated.items():
        for seed in scale.more_seeds:
            for method, option in METHODS.items():
                name = f"repeats-{method}-{size}-{epochs}-{seed}"
                each = size // BATCH  # updates of an epoch
                marks = [mark * each for mark in MARKS if mark < epochs] + [epochs * each]
                runs.append(Run(name, seed, {"method": method, "samples": size, "epochs": epochs}, (
                    train_along(scale.questions, marks, each, folder, name, f"--from {folder}/vision/last",
                                f"repeated-{seed}/{size}.json", marks[-1], seed, f" --canvas {CANVAS}{option}",
                                RATE_OF[method]),)))
    return runs


def masks_runs(folder: str, scale: Scale) -> list[Run]:
    """Who may look at whom, on dialogues of two turns, both of which are targets in one sequence. A model is asked in
    the way in which it was trained. Each starts from one that learned in that way to answer single questions; there
    bidirectional and dialogue-causal attention are the same."""
    runs = []
    for seed in scale.many_seeds:
        for mask, (start, option, asked) in MASKS.items():
            name = f"masks-{mask}-{seed}"
            runs.append(Run(name, seed, {"mask": mask}, (
                train(folder, name, f"--from {folder}/{start}/last", f"dialogues-{seed}/{SIZES[-1]}.json", UPDATES,
                      seed, option),
                ask(scale.questions, folder, name, "dialogues", TURN, asked))))
    return runs


def orders_runs(folder: str, scale: Scale) -> list[Run]:
    """The built-in model with few and many steps, and several orders of writing."""
    return [Run(f"orders-{rule}-{steps}-{scale.asked}-{seed}", seed, {"rule": rule, "steps": steps}, (
                f"python tutorials/study/measure.py --lesson long-answers --count {scale.asked} --rule {rule} "
                f"--steps {steps} --seed {seed}",))
            for steps in STEPS for rule in RULES
            for seed in ((1, 2) if rule == "random" else (0,))]  # without chance a seed changes nothing


def padding_runs(folder: str, scale: Scale) -> list[Run]:
    """Canvases that are at least twice as long as the answers, and what training does with the rest of them."""
    runs = []
    for seed in scale.more_seeds:
        for way in scale.paddings:
            name = f"padding-{way}-{seed}"
            command = train(folder, name, f"--from {folder}/vision/last", f"lists-{seed}/{SIZES[-1]}.json", UPDATES,
                            seed, f" --canvas {LONG_CANVAS}")
            command = command.replace("-m minllada_v.train", f"tutorials/study/padding.py --padding {way}")
            runs.append(Run(name, seed, {"padding": way}, (
                command, ask(scale.questions, folder, name, "lists", LONG_CANVAS))))
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
                                   f" --canvas {CANVAS}"), ask(scale.questions, folder, name, "questions", CANVAS)]
                runs.append(Run(name, seed, {"aligned": bool(first), "updates": updates}, tuple(commands)))
    return runs


RUNS = {"data": data_runs, "rates": rates_runs, "repeats": repeats_runs, "masks": masks_runs, "orders": orders_runs,
        "padding": padding_runs, "stages": stages_runs}
