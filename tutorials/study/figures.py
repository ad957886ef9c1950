"""From the results of the study to its tables and figures: the lines of JSON that run.py wrote, and nothing else.

A number stands for several seeds: their mean, with the lowest and the highest of them. Two ways are compared seed by
seed, since runs of one seed share samples and order.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev

from intervals import orders_chart, orders_table
from PIL import Image

from minllada_v.drawing.charts import stack
from minllada_v.drawing.curve import line_chart

RESULTS = Path(__file__).parent / "results"
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # by seeds: 97.5 % of Student's t
WAYS = (  # as they stand side by side, whichever was done first
    "diffusion", "autoregression", "that look for likeness", "drawn at random", "bidirectional", "dialogue-causal",
    "prompt-first", "low confidence", "random", "margin", "entropy", "left to right", "revising",
    "asked", "tenth", "unasked", "batch", "tuning alone", "alignment first")
NOTHING = "no results yet: python tutorials/study/run.py {}"

Place = tuple[str, float]  # a row of the table, and where it stands on the axis
Table = dict[str, dict[Place, dict[int, float]]]  # for each way and row the accuracy of each seed, in percent


def read_results(figure: str, folder: Path = RESULTS) -> list[dict]:
    """The results of a figure; of a run that was made again the last one counts."""
    path = folder / f"{figure}.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []  # a kill may have cut the last
    return list({entry["run"]: entry for entry in map(json.loads, lines)}.values())


def add_result(figure: str, folder: Path, entry: dict):
    """Write a line behind the others."""
    path = folder / f"{figure}.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("\n".join([*lines, json.dumps(entry)]) + "\n", encoding="utf-8")
    unfinished.replace(path)


def percent(entry: dict, name: str | None = None) -> float:
    """Right answers of a run: of all questions, or of those of an ability or a turn."""
    return entry["accuracy"] if name is None else 100 * entry["right"][name][0] / entry["right"][name][1]


def sort_out(
    entries: Sequence[dict], way: Callable[[dict], str], places: Callable[[dict], dict[Place, float]]
) -> Table:
    """Results by way, one of `WAYS`, row and seed. `places` are the rows to which a run adds a number."""
    found: Table = {}
    for entry in entries:
        for place, value in places(entry).items():
            found.setdefault(way(entry), {}).setdefault(place, {})[entry["seed"]] = value
    return {name: found[name] for name in WAYS if name in found}


def by_samples(entries: Sequence[dict], ability: str | None = None) -> Table:
    """Of the runs with the usual number of updates: that which most sizes have."""
    usual = usual_updates(entries)
    return sort_out([entry for entry in entries if entry["updates"] == usual], lambda entry: entry["method"],
                    lambda entry: {(f"{entry['samples']} samples", entry["samples"]): percent(entry, ability)})


def by_updates(entries: Sequence[dict], ability: str | None = None) -> Table:
    """Of the runs on the smallest set."""
    least = min((entry["samples"] for entry in entries), default=0)
    return sort_out([entry for entry in entries if entry["samples"] == least], lambda entry: entry["method"],
                    lambda entry: {(f"{entry['updates']} updates", entry["updates"]): percent(entry, ability)})


def usual_updates(entries: Sequence[dict]) -> int | None:
    """The number of updates with which the largest set was learned."""
    return max(((entry["samples"], entry["updates"]) for entry in entries), default=(0, None))[1]


def by_rate(entries: Sequence[dict]) -> Table:
    return sort_out(entries, lambda entry: entry["heads"],
                    lambda entry: {(f"rate {entry['rate']}", float(entry["rate"])): percent(entry)})


def by_epochs(entries: Sequence[dict], samples: int, ability: str | None = None, loss: bool = False) -> Table:
    """Of the runs on so many samples, what was measured along the way: right answers, or the held-out loss."""
    def places(entry: dict) -> dict[Place, float]:
        each = entry["curve"][-1]["updates"] // entry["epochs"]
        epochs = [mark["updates"] // each for mark in entry["curve"]]
        return {(f"{number} epoch{'s' * (number > 1)}", number):
                mark["loss"] if loss else percent(with_accuracy(mark), ability)
                for number, mark in zip(epochs, entry["curve"])}

    return sort_out([entry for entry in entries if entry["samples"] == samples], lambda entry: entry["method"], places)


def late_epochs(entries: Sequence[dict], ability: str | None = None, loss: bool = False) -> Table:
    """`by_epochs` of all sizes, from 16 epochs on."""
    found: Table = {}
    for size in sorted({entry["samples"] for entry in entries}):
        for way, marks in by_epochs(entries, size, ability, loss).items():
            found.setdefault(way, {}).update({(f"{size} samples, {label}", 1000 * size + number): numbers
                                              for (label, number), numbers in marks.items() if number >= 16})
    return found


def with_accuracy(mark: dict) -> dict:
    """A mark of a curve, in the form of a result."""
    right, asked = map(sum, zip(*mark["right"].values()))
    return mark | {"accuracy": 100 * right / asked}


def by_turn(entries: Sequence[dict]) -> Table:
    """Of dialogues the first turn, the second one, and both; and questions that stand alone."""
    return sort_out(entries, lambda entry: entry["mask"], lambda entry: {
        ("first turn", 1): percent(entry, "turn 1"), ("second turn", 2): percent(entry, "turn 2"),
        ("both turns", 3): percent(entry, "dialogue"), ("no dialogue", 4): alone(entry)})


def asked_of(entry: dict) -> int:
    """How many questions were asked."""
    return sum(number for _, number in entry["right"].values())


def alone(entry: dict) -> float:
    """Right answers to questions that stand alone, in percent."""
    right, asked = map(sum, zip(entry["right"]["colour"], entry["right"]["shape"]))
    return 100 * right / asked


def by_padding(entries: Sequence[dict]) -> Table:
    return sort_out(entries, lambda entry: entry["padding"], lambda entry: {
        ("right answers", 1): percent(entry), ("of wrong length", 2): 100 * entry["wrong_length"] / asked_of(entry)})


def by_stages(entries: Sequence[dict], ability: str | None = None) -> Table:
    return sort_out(entries, lambda entry: "alignment first" if entry["aligned"] else "tuning alone",
                    lambda entry: {(f"{entry['updates']} updates", entry["updates"]): percent(entry, ability)})


def rows(found: Table) -> list[Place]:
    """The rows of a table, in order."""
    return sorted({place for numbers in found.values() for place in numbers}, key=lambda place: place[1])


def text_table(found: Table, unit: str = "right answers, %", digits: int = 1) -> str:
    """Mean, lowest and highest of each way; and each way less the first, seed by seed, with the interval that holds the
    true difference in 95 of 100 such studies (Student's t): beside them if there are two ways, else below."""
    names = list(found)
    numbers = {place: [found[name].get(place, {}) for name in names] for place in rows(found)}
    means = [[place[0], *(of_seeds(way, digits) for way in ways)] for place, ways in numbers.items()]
    gaps = [[place[0], *(difference(ways[0], way, digits) for way in ways[1:])] for place, ways in numbers.items()]
    if len(names) == 2:
        both = [[*line, gap] for line, (_, gap) in zip(means, gaps)]
        return in_columns([[unit, *names, "difference" if any(line[-1] for line in both) else ""], *both])
    text = in_columns([[unit, *names], *means])
    if len(names) > 2:
        text += "\n\n" + in_columns([[f"less {names[0]}", *names[1:]], *gaps])
    return text


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width)
                               in enumerate(zip(line, widths))).rstrip() for line in lines)


def of_seeds(numbers: dict[int, float], digits: int = 1) -> str:
    """Mean, lowest and highest."""
    values = list(numbers.values())
    middle, low, high = (f"{value:.{digits}f}" for value in (
        (mean(values), min(values), max(values)) if values else (0, 0, 0)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle if values else ""


def difference(first: dict[int, float], second: dict[int, float], digits: int = 1) -> str:
    """The mean over the seeds that both have, with its interval; without, where there is one seed."""
    gaps = [second[seed] - first[seed] for seed in first if seed in second]
    if not gaps:
        return ""
    if len(gaps) not in T95:
        return f"{mean(gaps):+.{digits}f}"
    room = T95[len(gaps)] * stdev(gaps) / math.sqrt(len(gaps))
    return f"{mean(gaps):+.{digits}f} ({mean(gaps) - room:+.{digits}f} to {mean(gaps) + room:+.{digits}f})"


def table(figure: str, entries: Sequence[dict], ability: str | None = None) -> str:
    """The table of a figure as text; `ability` counts its questions alone, where a figure has several abilities."""
    if not entries:
        return NOTHING.format(figure)
    if figure == "data":
        return f"{text_table(by_samples(entries, ability))}\n\n{text_table(by_updates(entries, ability))}"
    if figure == "repeats":
        return "\n\n".join(text_table(by_epochs(entries, size, ability), f"{size} samples, right %")
                           for size in sizes(entries))
    if figure == "orders":
        return orders_table(entries, ability)
    if figure == "padding":
        return text_table(by_padding(entries), "answers, %")
    return text_table({"rates": by_rate, "masks": by_turn, "stages": by_stages}[figure](entries))


def sizes(entries: Sequence[dict]) -> list[int]:
    return sorted({entry["samples"] for entry in entries})


def chart(figure: str, entries: Sequence[dict]) -> Image.Image:
    """The figure: means as dots, and for each a bar from the lowest seed to the highest. Of "repeats" right answers
    stand on the left and the held-out loss on the right, a row for each size; of "orders" bars are 95 % intervals."""
    if figure == "orders":
        return orders_chart(entries)
    if figure == "repeats":
        return stack([pair(by_epochs(entries, size), by_epochs(entries, size, loss=True), f"{size} samples")
                      for size in sizes(entries)] or [draw({})])
    if figure == "padding":
        return draw(by_padding(entries), "answers, %")
    tables = {"data": (by_samples, by_updates), "rates": (by_rate,), "masks": (by_turn,), "stages": (by_stages,)}
    return stack([draw(tabulate(entries)) for tabulate in tables[figure]])


def pair(right: Table, loss: Table, title: str) -> Image.Image:
    """Right answers and loss of one size side by side."""
    both = Image.new("RGB", (800, 250), "white")
    both.paste(draw(right, f"{title}: right answers, %", size=(400, 250)), (0, 0))
    both.paste(draw(loss, "held-out loss (more than 1: on the edge)", (0, 1), size=(400, 250)), (400, 0))
    return both


def draw(found: Table, title: str = "right answers, %", y_range: tuple[float, float] | None = None,
         size: tuple[int, int] = (800, 340)) -> Image.Image:
    """One chart, with the rows of the table evenly spaced along its axis. It begins near the lowest number, or at 0 if
    that is far down."""
    places, series = rows(found), {}
    lowest = min((min(of_seed.values()) for numbers in found.values() for of_seed in numbers.values()), default=0)
    y_range = y_range or (math.floor(lowest / 10) * 10 if lowest > 40 else 0, 100)
    for number, (name, numbers) in enumerate(found.items()):
        beside = 0.06 * (number - (len(found) - 1) / 2)  # so that bars do not hide each other
        series[name] = [(row + beside, mean(of_seed), min(of_seed), max(of_seed)) for row, place in enumerate(places)
                        if (of_seed := list(numbers.get(place, {}).values()))]
    names, axis = [name for name, _ in places] or ["no results yet"], ""
    if "epoch" in names[0]:
        names, axis = [f"{epochs:g}" for _, epochs in places], "epochs"
    return line_chart(series, axis, title, y_range, size=size, x_names=names)
