"""Training from the command line: `python -m minllada_v.train --out DIR --world --from DIR --steps N`.

The same command again goes on where a run was stopped, with the same numbers as if it had not been. Everything random
belongs to the seed and the number of the step and of the example, so there is no state but weights and optimizer.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import torch
import torch.distributed as dist
from torch.optim import AdamW
from torch.utils.data import DataLoader
from tqdm import tqdm

from .command import leaving, run_command
from .drawing.curve import draw_curve
from .errors import InputError, RunError, complain
from .files import naming, read_json
from .model import LLaDAV
from .processes import join_processes, lock, rank_and_size
from .training.adapters import ADAPTER_CONFIG, adapter_config, load_adapter
from .training.checkpoints import (
    Log,
    Progress,
    checkpoint_state,
    flush,
    load_optimizer,
    load_progress,
    recover,
    save_checkpoint,
)
from .training.data import PREPARATION, LlavaData, WorldData
from .training.distributed import Learner, Signals, distribute, ignore_signals, save_memory
from .training.examples import Examples, batches_of
from .training.frozen import keep_no_copies
from .training.held_out import held_out_loss, sample_answers
from .training.lora import add_lora, choose_adapters
from .training.objectives import choose_objective, choose_trainable
from .training.options import parse_arguments
from .training.settings import Settings
from .training.start import Start, as_json, from_checkpoint, from_nothing, from_parts
from .training.step import HINT, Run, make_optimizer, take_step
from .world.lessons import LESSONS

SAMPLE_ANSWERS = 4


def begin(settings: Settings, device: torch.device) -> Run:
    """Set up a new run, or the one that `--out` holds as it was saved. Raises `InputError`."""
    rank, processes = rank_and_size()
    last, log = settings.out / "last", Log(settings.out / "log.jsonl")
    locked = open_folder(settings.out, log) if rank == 0 else None
    if processes > 1:
        dist.barrier()
    if settings.world:
        data = WorldData(LESSONS[settings.world], settings.seed, settings.held_out)
    else:
        data = LlavaData(settings.data, settings.image_folder, settings.seed, settings.held_out)
    examples_per_step = settings.batch_size * settings.accumulate * processes
    steps = settings.steps or math.ceil(len(data.training) / examples_per_step)
    fixed = settings.fixed() | {"steps": steps, "examples a step": examples_per_step}
    if settings.data:
        fixed |= {"contents of data": data.contents, "preparation of records": PREPARATION}
    goes_on = last.exists()
    progress = load_progress(last, fixed) if goes_on else Progress()
    start = from_checkpoint(last) if goes_on and not settings.lora else first_weights(settings)
    if settings.lora:
        files = adapt(start.model, settings, last if goes_on else None)
    else:
        start.model.config = replace(start.model.config, **settings.way())
        choose_trainable(start.model, settings.stage, settings.vision_learning_rate > 0)
        files = checkpoint_files(start, settings)
    keep_no_copies(start.model)
    if settings.checkpointing:
        save_memory(start.model)
    bfloat16 = settings.dtype == "bfloat16" or settings.dtype == "auto" and device.type == "cuda"
    learner = Learner(start.model, start.tokenizer, choose_objective(settings, start.tokenizer), bfloat16)
    module = distribute(learner, device, settings.shard)
    optimizer = make_optimizer(learner, settings.learning_rate, settings.vision_learning_rate)
    if goes_on:
        load_optimizer(last, learner.model, optimizer)
    if rank == 0:
        log.cut(progress.step)
    examples = Examples(data, start.tokenizer, start.model.config, settings)
    return Run(settings, fixed, steps, learner, module, optimizer, examples, files, progress, log, rank, processes,
               locked)


def open_folder(out: Path, log: Log) -> IO:
    """Make the folder of a run, or tidy up the one that is there; returns its lock. Raises `InputError` if it holds
    something else, or another process writes to it."""
    is_run = log.path.exists() or out.is_dir() and {path.name for path in out.iterdir()} <= {"lock"}
    if out.exists() and not is_run:
        raise InputError(f"{out} holds something that is no run; name a new or empty folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    locked = lock(out / "lock")
    log.path.touch()
    recover(out / "last")
    recover(out / "best")
    return locked


def checkpoint_files(start: Start, settings: Settings) -> dict[str, bytes]:
    """The files beside the weights; `config.json` says in which way the model will have to be asked."""
    values = json.loads(start.files["config.json"])
    said = {name: value for name, value in values.items() if name not in settings.way()}
    if settings.system is not None:
        said["system"] = settings.system
    said |= {name: value for name, value in settings.way().items() if value}
    return start.files if said == values else start.files | {"config.json": as_json(said)}


def adapt(model: LLaDAV, settings: Settings, last: Path | None) -> dict[str, bytes]:
    """Put adapters on the model, fresh ones or those of the checkpoint `last`, and let only them learn, with the
    projector if the settings say so; returns the files beside them. Raises `InputError` if they do not fit."""
    for name, value in settings.way().items():
        if (its := getattr(model.config, name)) != value:
            option = f"--{name}" if its is True or value is True else f"--{name} {its or value}"
            raise InputError(f"adapters keep the way in which {settings.start} writes; "
                             f"{'give' if its else 'leave out'} {option}")
    if last:
        load_adapter(model, last, settings.start)
    else:
        add_lora(model, settings.lora, settings.lora_alpha, settings.seed)
    choose_adapters(model, settings.lora_only)
    config = adapter_config(settings.start, settings.lora, settings.lora_alpha, settings.lora_only)
    return {ADAPTER_CONFIG: config}


def first_weights(settings: Settings) -> Start:
    """What the settings say to start from."""
    if settings.start:
        return from_checkpoint(settings.start)
    if settings.config:
        return from_nothing(settings.config, settings.seed)
    return from_parts(settings.language, settings.vision, settings.seed)


def train(run: Run) -> int:
    """Train to the last step, or until a signal, and save; returns the number of the signal, or 0."""
    settings, progress = run.settings, run.progress
    steps = range(progress.step, run.steps)
    numbers = batches_of(run.rank, run.processes, settings.batch_size, settings.accumulate, steps)
    with Signals() as signals, tqdm(total=run.steps, initial=progress.step, desc="training", unit="step",
                                    disable=run.rank > 0) as bar:
        batches = iter(DataLoader(run.data, batch_sampler=numbers, num_workers=settings.workers, collate_fn=list,
                                  multiprocessing_context="fork" if settings.workers else None,
                                  worker_init_fn=ignore_signals))
        while progress.step < run.steps:
            loss, stop = take_step(run, batches, signals)
            bar.set_postfix_str("" if loss is None else f"loss {loss:.4f}", refresh=False)
            bar.update()
            done = progress.step == run.steps
            if done or progress.step % settings.evaluate_every == 0:
                evaluate(run)
            if done or stop or progress.step % settings.save_every == 0:
                save(run, "last", run.optimizer)
            if stop and not done:
                return signals.number or 15
        return signals.number  # what came in the last step: a preset's next stage shall not begin


def evaluate(run: Run):
    """Log the loss on what is held out and a few answers, draw the curve, keep the best weights. Raises `RunError` if
    the loss is no number."""
    settings = run.settings
    loss, problems = held_out_loss(run.learner, run.data, settings.batch_size)
    if loss is not None and not math.isfinite(loss):
        raise RunError(f"at step {run.progress.step} the loss on what is held out is {loss}; {HINT}")
    best = loss is not None and (run.progress.best is None or loss < run.progress.best)
    if best:
        run.progress.best = loss
        save(run, "best")
    if run.rank > 0 and not settings.shard:
        return
    answers = []
    if settings.stage != "vision":
        length = settings.answer_length or min(32, run.learner.model.config.gen_length)
        answers = sample_answers(run.learner, run.data, SAMPLE_ANSWERS, length)
    if run.rank == 0:
        run.log.write(step=run.progress.step, held_out_loss=loss, best=best, broken=problems, answers=answers)
        entries = run.log.read()
        curves = ([(entry["step"], entry[key]) for entry in entries if entry.get(key) is not None]
                  for key in ("loss", "held_out_loss"))
        with naming(settings.out / "loss.png"):
            draw_curve(*curves, settings.out / "loss.png")


def save(run: Run, name: str, optimizer: AdamW | None = None):
    """Write a checkpoint of the run, and make sure that its log is on the disk too."""
    if run.rank == 0:
        flush(run.log.path)
    save_checkpoint(run.settings.out / name, run.learner.model, run.files, optimizer,
                    checkpoint_state(run.progress, run.fixed), writes=run.rank == 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see command.py)."""
    def run() -> int:
        stages = parse_arguments(argv)
        # The optimizer's memory of a token that no longer occurs fades, and a CPU is slow with the tiniest numbers.
        torch.set_flush_denormal(True)
        try:
            return next((code for settings in stages if (code := run_stage(settings))), 0)
        finally:
            torch.set_flush_denormal(False)

    return run_command(run, failed="stopped")


def run_stage(settings: Settings) -> int:
    """Begin or go on with one stage, to its end; returns the exit code. Raises as `begin` and `train` do."""
    with leaving(lambda: what_stands(settings.out / "last")):
        run = begin(settings, join_processes(settings.device, settings.shard))
        number = train(run)
    if run.progress.truncated and run.rank == 0:
        complain(f"examples with a picture that lacks its end: {run.progress.truncated}; {run.log.path} names them", 0)
    if number and run.rank == 0:
        complain(f"stopped at step {run.progress.step} of {run.steps} and saved; "
                 "the same command goes on from there", 0)
    return 128 + number if number else 0


def what_stands(last: Path) -> str:
    """Which checkpoint there is to go on from."""
    try:
        step = read_json(last / "state.json")["progress"]["step"]
    except (InputError, KeyError, TypeError):
        return "nothing had been saved yet"
    return f"{last} holds step {step}, and the same command goes on from there"


if __name__ == "__main__":
    sys.exit(main())
