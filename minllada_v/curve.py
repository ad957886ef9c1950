"""The loss curve of a run as a picture."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 800, 400
LEFT, TOP, RIGHT, BOTTOM = 60, 20, WIDTH - 20, HEIGHT - 40
GREY, BLUE, RED = (170, 170, 170), (0, 90, 185), (205, 50, 20)

Points = list[tuple[int, float]]  # step and loss


def smoothed(points: Points, window: int) -> Points:
    """The mean loss over each step and the `window` - 1 steps before."""
    sums = np.cumsum([0.0, *(loss for _, loss in points)])
    ends = np.arange(1, len(points) + 1)
    starts = np.maximum(0, ends - window)
    return [(step, mean) for (step, _), mean in zip(points, (sums[ends] - sums[starts]) / (ends - starts))]


def draw_curve(training: Points, held_out: Points, path: Path):
    """Write a PNG: the training loss in grey, its running mean in blue, the loss on what is held out in red. Without
    any point nothing is written."""
    if not training + held_out:
        return
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    last = max(step for step, _ in training + held_out)
    mean = smoothed(training, max(1, len(training) // 50))
    top = max(loss for _, loss in mean + held_out) * 1.1 or 1.0

    def place(step: int, loss: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * step / last, max(TOP, BOTTOM - (BOTTOM - TOP) * loss / top)

    for share in (0, 0.25, 0.5, 0.75, 1):
        y = BOTTOM - (BOTTOM - TOP) * share
        draw.line([(LEFT, y), (RIGHT, y)], fill=(230, 230, 230))
        draw.text((LEFT - 6, y), f"{top * share:.3g}", fill="black", font=font, anchor="rm")
        x = LEFT + (RIGHT - LEFT) * share
        draw.text((x, BOTTOM + 6), f"{last * share:.0f}", fill="black", font=font, anchor="mt")
    for points, colour, width in ((training, GREY, 1), (mean, BLUE, 2), (held_out, RED, 2)):
        draw.line([place(*point) for point in points], fill=colour, width=width)
    for point in held_out:
        x, y = place(*point)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=RED)
    names = (("loss", GREY), ("running mean", BLUE), ("held out", RED))
    for line, (name, colour) in enumerate(names):
        draw.text((RIGHT - 4, TOP + 4 + 18 * line), name, fill=colour, font=font, anchor="rt")
    draw.text((RIGHT, HEIGHT - 4), "step", fill="black", font=font, anchor="rb")
    picture.save(path)
