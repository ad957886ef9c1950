"""From the scores of single answers to a benchmark's table, with bootstrap intervals.

Every number in the table is a sum of ratios, one as a rule: what was reached over what could be. So is a mean of
scores, POPE's precision, recall and F1, and MME's score, which is a sum over tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .benchmarks import MME_TASKS, Benchmark
from .metrics import read_yes_no
from .paper_figures import FIGURES, MODELS, NOT_IN_THE_PAPER, SOURCE

RESAMPLES = 1000
Ratio = tuple[np.ndarray, np.ndarray]  # for each question (or picture) what it adds above and below the line


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    name: str
    answers: int  # that it stands on
    ratios: list[Ratio]
    headline: bool = False  # the one that papers report

    @property
    def value(self) -> float:
        """In percent, NaN where nothing could be reached."""
        return 100 * sum(_quotient(above.sum(), below.sum()) for above, below in self.ratios)

    def interval(self) -> tuple[float, float]:
        """95 % of the values that come out when the questions are drawn anew, with replacement, from those that were
        asked (percentile bootstrap, Efron 1979). Where all answers are equal it has no width, however few they are."""
        rng = np.random.default_rng(0)
        values = np.zeros(RESAMPLES)
        for above, below in self.ratios:
            draws = (rng.integers(len(above), size=len(above)) for _ in range(RESAMPLES))
            values += [100 * _quotient(above[drawn].sum(), below[drawn].sum()) for drawn in draws]
        values = values[~np.isnan(values)]
        return tuple(np.percentile(values, (2.5, 97.5)).tolist()) if len(values) else (np.nan, np.nan)


def measures(name: str, records: Sequence[dict]) -> list[Measure]:
    """The rows of benchmark `name`, over `records` with `group`, `shown`, `score`, and `turns` of `answer` and
    `expected`."""
    if name == "mme":
        return _mme(records)
    rows = _pope if name == "pope" else _accuracy
    groups: dict[str, list[dict]] = {}  # in the order in which they come
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    table = []
    if len(groups) > 1:
        for group, some in groups.items():
            table += rows(group or "(no group)", some, False)
    if name == "mlvu":
        return table + [_mean_of_groups(list(groups.values()))]
    if name == "seed-bench":
        parts = {part: [record for record in records if record.get("video", False) == (part == "video")]
                 for part in ("image", "video")}
        return table + [row for part, some in parts.items() if some for row in rows(part, some, True)]
    return table + rows("overall", records, True)


def _accuracy(name: str, records: Sequence[dict], headline: bool) -> list[Measure]:
    scores = np.array([record["score"] for record in records])
    return [Measure(name, len(records), [(scores, np.ones(len(scores)))], headline)]


def _mean_of_groups(groups: Sequence[Sequence[dict]]) -> Measure:
    """MLVU (arXiv 2406.04264): the mean over its tasks, however many questions each has."""
    scores = [np.array([record["score"] for record in records]) for records in groups]
    ratios = [(some, np.full(len(some), len(groups))) for some in scores]
    return Measure("mean of tasks", sum(map(len, scores)), ratios, True)


def _pope(name: str, records: Sequence[dict], headline: bool) -> list[Measure]:
    """POPE (arXiv 2305.10355): accuracy; precision, recall and F1 of "yes"; and how often the model says yes. What
    is neither yes nor no is wrong and does not count as yes."""
    right = np.array([record["score"] for record in records])
    true = np.array([float(read_yes_no(record["turns"][0]["expected"][0]) == "yes") for record in records])
    said = np.array([float(read_yes_no(record["turns"][0].get("answer", "")) == "yes") for record in records])
    one = np.ones(len(records))
    ratios = {"accuracy": (right, one), "precision": (said * true, said), "recall": (said * true, true),
              "F1": (2 * said * true, said + true), "yes-rate": (said, one)}
    return [Measure(f"{name}: {key}", len(records), [ratio], headline and key == "F1") for key, ratio in ratios.items()]


def _mme(records: Sequence[dict]) -> list[Measure]:
    """MME (arXiv 2306.13394): a task's score is accuracy, over its questions, plus accuracy⁺, over its pictures, of
    which all (two) questions must be right: 0 to 200. The sums over tasks are cognition and perception."""
    table = []
    for part, tasks in MME_TASKS.items():
        ratios, answers = [], 0
        for task in tasks:
            pictures: dict[str, list[float]] = {}
            for record in records:
                if record["group"].lower() == task:
                    pictures.setdefault(record["shown"], []).append(record["score"])
            if pictures:
                scores = np.array([np.mean(right) + min(right) for right in pictures.values()])
                count = sum(map(len, pictures.values()))
                ratios.append((scores, np.ones(len(scores))))
                answers += count
                table.append(Measure(task, count, ratios[-1:]))
        if ratios:
            missing = "" if len(ratios) == len(tasks) else f" ({len(ratios)} of {len(tasks)} tasks)"
            table.append(Measure(part + missing, answers, ratios, True))
    return table


def format_table(name: str, benchmark: Benchmark, records: Sequence[dict]) -> str:
    """The table as text, with the paper's numbers beside the headlines where there are any."""
    rows = measures(name, records)
    figures = [FIGURES.get(f"{name}: {row.name}", FIGURES.get(name)) if row.headline else None for row in rows]
    shown = [number for number in range(len(MODELS)) if any(beside and beside[number] for beside in figures)]
    head = benchmark.metric, "answers", "score", "95 % interval", *(MODELS[number] for number in shown)
    lines, alike = [head], False
    for row, beside in zip(rows, figures):
        low, high = row.interval()
        alike |= low == high
        values = f"{row.answers:,}", f"{row.value:.1f}", f"{low:.1f} to {high:.1f}"
        values = [value.replace("nan to nan", "").replace("nan", "none") for value in values]
        values += ["–" if beside[number] is None else str(beside[number]) for number in shown] if beside else []
        lines.append(("".join(filter(str.isprintable, row.name)), *values, *[""] * (len(head) - 1 - len(values))))
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                      for place, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines]
    notes = [benchmark.remark, NOT_IN_THE_PAPER.get(name, "")]
    if shown:
        notes.append(f"Beside ours: the paper's figures ({SOURCE}), on its own export of the data.")
    if alike:
        notes.append("An interval without width says that all answers scored alike, not that more of them would.")
    return "\n".join([*text, "", *filter(None, notes)]).rstrip()


def _quotient(above: float, below: float) -> float:
    return above / below if below else np.nan
