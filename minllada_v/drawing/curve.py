"""Lines through points: charts, and the loss curve of a run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..files import replacing
from .charts import BLUE, COLOURS, GREY, INK, LINE, RED, SIZE, WIDTH, font, label_width

Points = list[tuple[int, float]]  # step and loss


def smoothed(points: Points, window: int) -> Points:
    """The mean loss over each step and the `window` - 1 steps before."""
    sums = np.cumsum([0.0, *(loss for _, loss in points)])
    ends = np.arange(1, len(points) + 1)
    starts = np.maximum(0, ends - window)
    return [(step, mean) for (step, _), mean in zip(points, (sums[ends] - sums[starts]) / (ends - starts))]


def draw_curve(training: Points, held_out: Points, path: Path):
    """Write a PNG: the training loss in grey, its running mean in blue, the loss on what is held out in orange. Without
    any point nothing is written."""
    if not training + held_out:
        return
    mean = smoothed(training, max(1, len(training) // 50))
    top = max(loss for _, loss in mean + held_out) * 1.1 or 1.0  # single losses may jump far above
    chart = line_chart({"loss": training, "running mean": mean, "held out": held_out}, "step", "loss", (0.0, top),
                       (GREY, BLUE, RED))
    with replacing(path) as file:
        chart.save(file, "PNG")


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """1 to `most` round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`. `most` is 3 or more."""
    least = (high - low) / (most - 1) * (1 - 1e-9)
    power = 10.0 ** math.floor(math.log10(least))
    steps = [factor * power for factor in (0.5, 1, 2, 5, 10)]
    wanted = next(number for number, step in enumerate(steps) if step >= least)  # never the first, half of `power`
    return _multiples(steps[wanted], low, high) or _multiples(steps[wanted - 1], low, high)


def _multiples(step: float, low: float, high: float) -> list[float]:
    return [count * step for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def line_chart(
    series: Mapping[str, Sequence[tuple[float, ...]]], x_label: str = "", y_label: str = "",
    y_range: tuple[float, float] | None = None, colours: Sequence[str] = COLOURS, size: tuple[int, int] = (WIDTH, 400),
    x_names: Sequence[str] = (), labels: Mapping[str, Sequence[str]] | None = None,
) -> Image.Image:
    """A line through the points (x, y) of each series, with a legend of their names. Up to 40 points get dots too, and
    a point (x, y, low, high) gets an error bar. With `x_names` the axis has names at 0, 1, 2, … in place of numbers.
    `labels` has a text for each point of some series: these are not joined, for each speaks for itself.

    Points that are not finite are left out; what lies outside `y_range` is drawn at its edge.
    """
    series = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    xs = [x for points in series.values() for x, *_ in points] or [0.0]
    ys = y_range or [y for points in series.values() for _, *values in points for y in values] or [0.0]
    (x0, x1), (y0, y1) = (_widened(min(values), max(values)) for values in (xs, ys))
    x0, x1 = (-0.5, len(x_names) - 0.5) if x_names else (x0, x1)
    marks = ticks(y0, y1)
    left = label_width([f"{mark:.6g}" for mark in marks]) + 8
    top, right, bottom = 2 * (SIZE + 10), size[0] - 24, size[1] - 2 * (SIZE + 8)
    fine = 2  # drawn twice as large, then halved: lines get smooth edges
    picture = Image.new("RGB", (size[0] * fine, size[1] * fine), "white")
    draw = ImageDraw.Draw(picture)

    def place(x: float, y: float) -> tuple[float, float]:
        along, up = (x - x0) / (x1 - x0), (min(max(y, y0), y1) - y0) / (y1 - y0)
        return fine * (left + (right - left) * along), fine * (bottom - (bottom - top) * up)

    def text(x: float, y: float, words: str, anchor: str):
        draw.text((fine * x, fine * y), words, fill=INK, font=font(SIZE * fine), anchor=anchor)

    for mark in marks:
        draw.line([place(x0, mark), place(x1, mark)], LINE, fine)
        text(left - 8, place(x0, mark)[1] / fine, f"{mark:.6g}", "rm")
    for mark, name in enumerate(x_names) if x_names else [(mark, f"{mark:.6g}") for mark in ticks(x0, x1, 8)]:
        x, y = place(mark, y0)
        draw.line((x, y, x, y + 5 * fine), INK, fine)
        text(x / fine, bottom + 9, name, "mt")
    draw.line([place(x0, y0), place(x1, y0)], INK, fine)
    text(right, size[1] - 6, x_label, "rd")
    text(8, 6, y_label, "lt")
    x = left
    for (name, points), colour in zip(series.items(), [*colours, *COLOURS] * len(series)):
        if name not in (labels or {}):
            draw.line([place(*point[:2]) for point in points], colour, 2 * fine, joint="curve")
        for point in points:
            centre, *ends = (place(point[0], y) for y in point[1:])
            if len(points) <= 40:
                draw.ellipse([*np.subtract(centre, 4 * fine), *np.add(centre, 4 * fine)], colour)
            draw.line(ends, colour, 2 * fine)
            for end in ends:
                draw.line([*np.subtract(end, (6 * fine, 0)), *np.add(end, (6 * fine, 0))], colour, 2 * fine)
        draw.line((fine * x, fine * (top - 14), fine * (x + 22), fine * (top - 14)), colour, 4 * fine)
        text(x + 28, top - 14, name, "lm")
        x += 52 + font().getlength(name)
    area, taken = (fine * left, fine * top, fine * right, fine * bottom), []  # taken by dots, bars and then labels
    for x, *values in (point for points in series.values() for point in points):
        (x, low), (_, high) = place(x, min(values)), place(x, max(values))
        taken.append((x - 8 * fine, high - 8 * fine, x + 8 * fine, low + 8 * fine))
    for (name, points), colour in zip(series.items(), [*colours, *COLOURS] * len(series)):
        for point, label in zip(points, (labels or {}).get(name, ())):
            centre, wide = place(*point[:2]), font(SIZE * fine).getlength(label) + 6 * fine
            spot = free_spot(centre, wide, SIZE * fine, taken, area)
            draw.line([centre, spot], GREY, fine)
            draw.rectangle(around(*spot, wide, SIZE * fine), "white")
            draw.text(spot, label, fill=colour, font=font(SIZE * fine), anchor="mm")
    return picture.reduce(fine)


Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def around(x: float, y: float, width: float, height: float) -> Rectangle:
    """The rectangle of that size whose middle is (x, y)."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def free_spot(
    centre: tuple[float, float], width: float, height: float, taken: list[Rectangle], area: Rectangle
) -> tuple[float, float]:
    """The middle of the nearest rectangle beside `centre` that lies in `area` and meets none of `taken`, which it
    joins. It is looked for on growing circles; the last one tried is good enough."""
    for step in range(400):
        angle, far = step % 16 * math.pi / 8, height * (1 + step // 16 / 4)
        x, y = centre[0] + (far + width / 2) * math.cos(angle), centre[1] + far * math.sin(angle)
        box = around(x, y, width, height)
        inside = area[0] <= box[0] and area[1] <= box[1] and box[2] <= area[2] and box[3] <= area[3]
        if inside and not any(box[0] < it[2] and it[0] < box[2] and box[1] < it[3] and it[1] < box[3] for it in taken):
            break
    taken.append(box)
    return x, y


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty."""
    most = max(abs(low), abs(high))
    room = most / 2 if most > 1e-12 else 0.5
    return (low, high) if high - low > room * 1e-6 else (low - room, high + room)
