"""The loss curve of a run as a picture."""

from pathlib import Path

import numpy as np

from .charts import BLUE, GREY, RED, line_chart

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
    line_chart({"loss": training, "running mean": mean, "held out": held_out}, "step", "loss", (0.0, top),
               (GREY, BLUE, RED)).save(path)
