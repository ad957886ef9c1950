"""Orders of writing side by side: right answers of one model, with the chance of the questions in place of seeds.

All orders are asked the same questions. So two of them are compared question by question, and only those count that one
gets right and the other does not.
"""

import math
from collections.abc import Sequence
from statistics import mean, stdev

from PIL import Image

from minllada_v.drawing.curve import line_chart

RULES = ("low_confidence", "margin", "entropy", "left_to_right", "random", "revising")
Z95 = 1.960


def interval(right: int, asked: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in percent (E. B. Wilson, JASA 22, 1927)."""
    p, z2 = right / asked, Z95**2 / asked
    middle, half = p + z2 / 2, math.sqrt(z2 * (p * (1 - p) + z2 / 4))
    return 100 * (middle - half) / (1 + z2), 100 * (middle + half) / (1 + z2)


def of_rule(entries: Sequence[dict], rule: str, steps: int) -> list[dict]:
    """The results of an order with so many steps: one, or of random writing several."""
    return sorted((it for it in entries if (it["rule"], it["steps"]) == (rule, steps)), key=lambda it: it["seed"])


def counts(entries: Sequence[dict], ability: str | None = None) -> tuple[int, int]:
    """Right answers and questions: of all, or of an ability in all its wordings."""
    found = [numbers for entry in entries for name, numbers in entry["right"].items()
             if ability is None or name.split(",")[0] == ability]
    return sum(right for right, _ in found), sum(asked for _, asked in found)


def per_pass(entries: Sequence[dict]) -> float:
    """Tokens of the answers, their ends included, for each pass of the model."""
    return sum(entry["tokens"] for entry in entries) / sum(entry["passes"] for entry in entries)


def gap(first: Sequence[dict], second: Sequence[dict]) -> str:
    """How many points the second is ahead, question by question, with its 95 % interval."""
    gaps = [100 * (int(b) - int(a)) for one in first for other in second for a, b in zip(one["each"], other["each"])]
    half = Z95 * stdev(gaps) / math.sqrt(len(first[0]["each"]))
    return f"{mean(gaps):+.1f} ({mean(gaps) - half:+.1f} to {mean(gaps) + half:+.1f})"


def orders_table(entries: Sequence[dict], ability: str | None = None) -> str:
    """A row for each order and number of steps."""
    lines = [("steps  order             tokens a pass  right answers, %     less low confidence")]
    for steps in sorted({entry["steps"] for entry in entries}):
        for rule in RULES:
            if not (found := of_rule(entries, rule, steps)):
                continue
            right, asked = counts(found, ability)
            low, high = interval(right, asked)
            share = f"{100 * right / asked:.1f} ({low:.1f} to {high:.1f})"
            usual = of_rule(entries, RULES[0], steps)
            other = gap(usual, found) if rule != RULES[0] and usual and ability is None else ""
            name, speed = rule.replace("_", " "), per_pass(found)
            lines.append(f"{steps:5}  {name:16}  {speed:13.1f}  {share:20} {other}".rstrip())
    return "\n".join(lines)


def orders_chart(entries: Sequence[dict]) -> Image.Image:
    """Right answers against tokens a pass; bars are 95 % intervals. The points of one number of steps stand beside each
    other, so that bars do not hide each other."""
    steps = sorted({entry["steps"] for entry in entries}, reverse=True)
    names = [f"{number} steps: {per_pass(of_rule(entries, RULES[0], number)):.1f} a pass" for number in steps
             if of_rule(entries, RULES[0], number)] or ["no results yet"]
    series = {}
    for place, rule in enumerate(RULES):
        series[rule.replace("_", " ")] = [
            (row + 0.1 * (place - 2.5), 100 * right / asked, *interval(right, asked))
            for row, number in enumerate(steps)
            if (found := of_rule(entries, rule, number)) for right, asked in [counts(found)]]
    lowest = min((point[2] for points in series.values() for point in points), default=0)
    return line_chart(series, "tokens a pass", "right answers, %", (math.floor(lowest / 10) * 10, 100), size=(800, 420),
                      x_names=names)
