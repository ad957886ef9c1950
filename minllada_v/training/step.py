"""One optimizer step: draw times and masks, add up gradients over all batches and processes, count what is broken.

The loss is the mean over all examples of the step, on however many processes. What chance decides for an example
belongs to the seed, the number of the step and the example's place in it.
"""

import contextlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from tqdm import tqdm

from ..errors import InputError, RunError
from ..masking import draw_times
from .checkpoints import Log, Progress, whole
from .data import derive_seed
from .distributed import Learner, Signals, gather, sum_over_processes
from .examples import Example, Examples
from .settings import Settings

WARM_UP = 0.03  # share of the steps in which the learning rate rises
BROKEN_LIMIT = 0.01  # share of broken examples that stops a run
BROKEN_COUNT_FROM = 100  # examples, below which only the end of the run is judged
HINT = "try a lower learning rate or --dtype float32, in another --out"


@dataclass
class Run:
    """All that belongs to a run."""

    settings: Settings
    fixed: dict  # the settings that cannot change when it goes on, as a checkpoint holds them
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
    lock: IO | None  # keeps other runs out of the folder while this one lives; the first process has it

    @property
    def examples_per_step(self) -> int:
        return self.settings.batch_size * self.settings.accumulate * self.processes


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
    losses, remarks, stop = forward_and_backward(run, batches, signals)
    progress, count = run.progress, run.examples_per_step
    broken = [text for key, text in remarks if key == "skipped"]
    progress.step += 1
    progress.seen += count
    progress.broken += len(broken)
    progress.truncated += len(remarks) - len(broken)
    for key, text in remarks if run.rank == 0 else ():
        run.log.write(step=progress.step, **{key: text})
        tqdm.write(f"{key}: {text}", file=sys.stderr)
    loss = None
    if len(broken) < count:
        loss = losses.sum().item() / (count - len(broken))
        update(run, loss, count / (count - len(broken)))
    judged = progress.step == run.steps or progress.seen >= BROKEN_COUNT_FROM
    if judged and progress.broken > BROKEN_LIMIT * progress.seen:
        raise RunError(f"{progress.broken} of {progress.seen} examples were broken, more than "
                       f"{BROKEN_LIMIT:.0%}; {run.log.path} names them")
    return loss, stop


def forward_and_backward(
    run: Run, batches: Iterator[list[Example | InputError]], signals: Signals
) -> tuple[Tensor, list[tuple[str, str]], bool]:
    """Add up the gradients of a step's examples, divided by how many these should be.

    Returns their losses (examples,), 0 where one is broken; what the log will say of examples, as ("skipped" or
    "truncated", text); and whether any process was told to stop: the same on all processes.
    """
    settings, step, count = run.settings, run.progress.step, run.examples_per_step
    times = draw_times(count, torch.Generator().manual_seed(derive_seed(settings.seed, step)), stratified=True)
    report = torch.zeros(count + 2, device=run.learner.model.device)  # losses, a signal, the number of remarks
    remarks: dict[int, tuple[str, str]] = {}
    run.optimizer.zero_grad()
    for micro_step in range(settings.accumulate):
        first = (micro_step * run.processes + run.rank) * settings.batch_size
        good = {}
        for place, example in enumerate(next(batches), first):
            if isinstance(example, InputError):
                remarks[place] = "skipped", str(example)
                continue
            good[place] = example
            if example.warning:
                remarks[place] = "truncated", example.warning
        more = micro_step + 1 < settings.accumulate and isinstance(run.module, DistributedDataParallel)
        with run.module.no_sync() if more else contextlib.nullcontext():
            losses = run.module(list(good.values()), times[list(good)],
                                [derive_seed(settings.seed, step, place) for place in good])
            (losses.sum() * run.processes / count).backward()  # the mean over processes will be taken
        if good:
            report[list(good)] = losses.detach()
    report[count], report[count + 1] = signals.number, len(remarks)
    sum_over_processes(report)
    if report[count + 1]:
        remarks = gather(remarks)
    return report[:count], [remark for _, remark in sorted(remarks.items())], bool(report[count])


def update(run: Run, loss: float, scale: float):
    """Change the weights by the gradients times `scale`. Raises `RunError`, and changes nothing, if these or the loss
    are no numbers."""
    trained = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    for parameter in trained if scale != 1 else ():
        parameter.grad *= scale
    norm = float(whole(nn.utils.clip_grad_norm_(trained, run.settings.clip)))
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise RunError(f"at step {run.progress.step} the loss is {loss} and the gradient's length {norm}; {HINT}")
    factor = learning_rate_factor(run.progress.step - 1, run.steps)
    for group in run.optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    run.optimizer.step()
    if run.rank == 0:
        rate = run.settings.learning_rate * factor
        run.log.write(step=run.progress.step, loss=loss, learning_rate=rate, gradient_norm=norm)
