"""One optimizer step: draw times and masks, add up gradients over all batches and processes, count what is broken.

The loss is the mean over all examples of the step, on however many processes. What chance decides for an example
belongs to the seed, the number of the step and the example's place in it.
"""

import argparse
import contextlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from tqdm import tqdm

from ..errors import InputError, RunError
from .examples import Example, Examples
from .objectives import Learner
from ..masking import draw_times
from ..processes import Signals, sum_over_processes
from .data import derive_seed
from .checkpoints import Log, Progress, whole

WARM_UP = 0.03  # share of the steps in which the learning rate rises
BROKEN_LIMIT = 0.01  # share of broken examples that stops a run
BROKEN_COUNT_FROM = 100  # examples, below which only the end of the run is judged
HINT = "try a lower learning rate or --dtype float32, in another --out"


@dataclass
class Run:
    """All that belongs to a run."""

    arguments: argparse.Namespace
    settings: dict  # those that change the numbers
    steps: int
    learner: Learner
    module: nn.Module  # the learner as it is called in training
    optimizer: AdamW
    data: Examples
    files: dict[str, bytes]  # beside the weights of a checkpoint
    progress: Progress
    log: Log
    rank: int
    processes: int

    @property
    def examples_a_step(self) -> int:
        return self.arguments.batch_size * self.arguments.accumulate * self.processes


def learning_rate_factor(step: int, steps: int) -> float:
    """Of the peak learning rate, in (0, 1], at `step` of 0..steps-1: a linear rise, then half a cosine to nearly 0."""
    warm_up = math.ceil(WARM_UP * steps)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def make_optimizer(learner: Learner, learning_rate: float, vision_learning_rate: float) -> AdamW:
    """AdamW without weight decay; the vision tower has a learning rate of its own."""
    trained = [(name, parameter) for name, parameter in learner.model.named_parameters() if parameter.requires_grad]
    vision = [parameter for name, parameter in trained if name.startswith("vision_tower.")]
    others = [parameter for name, parameter in trained if not name.startswith("vision_tower.")]
    groups = [{"params": others, "peak": learning_rate}, {"params": vision, "peak": vision_learning_rate}]
    return AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98), weight_decay=0.0, fused=True)


def take_step(run: Run, batches: Iterator[list[Example | InputError]], signals: Signals) -> tuple[float | None, bool]:
    """One optimizer step; returns the mean loss of its examples, None if all are broken, and whether any process was
    told to stop.

    Raises `RunError` if the loss or a gradient is no number, which changes no weight, or too much data is broken.
    """
    losses, broken, stop = forward_and_backward(run, batches, signals)
    progress, count = run.progress, run.examples_a_step
    first = progress.step * count
    progress.step += 1
    progress.seen += count
    progress.broken += len(broken)
    if run.rank == 0:
        for place in broken:
            # Read again: it may have been another process that could not.
            problem = reason(run.data[first + place], f"example {first + place}")
            run.log.write(step=progress.step, skipped=problem)
            tqdm.write(f"skipped: {problem}", file=sys.stderr)
    loss = None
    if len(broken) < count:
        loss = losses.sum().item() / (count - len(broken))
        update(run, loss, count / (count - len(broken)))
    judged = progress.step == run.steps or progress.seen >= BROKEN_COUNT_FROM
    if judged and progress.broken > BROKEN_LIMIT * progress.seen:
        raise RunError(f"{progress.broken} of {progress.seen} examples were broken, more than "
                       f"{BROKEN_LIMIT:.0%}; {run.log.path} names them")
    return loss, stop


def reason(example: Example | InputError, name: str) -> str:
    """Why an example is broken; `name` is what to call it if this time it is not."""
    return str(example) if isinstance(example, InputError) else f"{name}, which can be read now"


def forward_and_backward(
    run: Run, batches: Iterator[list[Example | InputError]], signals: Signals
) -> tuple[Tensor, list[int], bool]:
    """Add up the gradients of a step's examples, divided by how many these should be.

    Returns their losses (examples,), 0 where one is broken, the places of those, and whether any process was told to
    stop: the same on all processes.
    """
    arguments, step, count = run.arguments, run.progress.step, run.examples_a_step
    times = draw_times(count, torch.Generator().manual_seed(derive_seed(arguments.seed, step)), stratified=True)
    report = torch.zeros(3, count, device=run.learner.model.device)  # losses; 1 for a broken example; a signal
    run.optimizer.zero_grad()
    for turn in range(arguments.accumulate):
        first = (turn * run.processes + run.rank) * arguments.batch_size
        examples = dict(enumerate(next(batches), first))
        good = [place for place, example in examples.items() if not isinstance(example, InputError)]
        more = turn + 1 < arguments.accumulate and isinstance(run.module, DistributedDataParallel)
        with run.module.no_sync() if more else contextlib.nullcontext():
            losses = run.module([examples[place] for place in good], times[good],
                                [derive_seed(arguments.seed, step, place) for place in good])
            (losses.sum() * run.processes / count).backward()  # the mean over processes will be taken
        report[1, list(examples)] = 1.0
        if good:
            report[0, good], report[1, good] = losses.detach(), 0.0
    report[2, 0] = signals.number
    sum_over_processes(report)
    return report[0], report[1].nonzero()[:, 0].tolist(), bool(report[2, 0])


def update(run: Run, loss: float, scale: float):
    """Change the weights by the gradients times `scale`. Raises `RunError`, and changes nothing, if these or the loss
    are no numbers."""
    trained = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    for parameter in trained if scale != 1 else ():
        parameter.grad *= scale
    norm = float(whole(nn.utils.clip_grad_norm_(trained, run.arguments.clip)))
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise RunError(f"at step {run.progress.step} the loss is {loss} and the gradient's length {norm}; {HINT}")
    factor = learning_rate_factor(run.progress.step - 1, run.steps)
    for group in run.optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    run.optimizer.step()
    if run.rank == 0:
        rate = run.arguments.learning_rate * factor
        run.log.write(step=run.progress.step, loss=loss, learning_rate=rate, gradient_norm=norm)
