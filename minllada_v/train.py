"""Training from the command line: `python -m minllada_v.train --out DIR --world --from DIR --steps N`.

The same command again goes on where a run was stopped, with the same numbers as if it had not been. Everything random
belongs to the seed and the number of the step and of the example, so there is no state but weights and optimizer.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.distributed as dist
from torch.optim import AdamW
from torch.utils.data import DataLoader
from tqdm import tqdm

from .drawing.curve import draw_curve
from .errors import InputError, RunError, complain
from .files import read_json
from .training.examples import Examples, turns_of
from .training.held_out import held_out_loss, sample_answers
from .training.objectives import Learner, choose_trainable, distribute, save_memory
from .world.lessons import LESSONS
from .training.options import parse_arguments, settings_of
from .processes import Signals, ignore_signals, join_processes, rank_and_size
from .training.data import LlavaData, WorldData
from .training.checkpoints import (
    Log, Progress, checkpoint_state, flush, load_optimizer, load_progress, recover, save_checkpoint,
)
from .training.start import Start, as_json, from_checkpoint, from_nothing, from_parts
from .training.step import HINT, Run, make_optimizer, reason, take_step

SAMPLE_ANSWERS = 4


def begin(arguments: argparse.Namespace, device: torch.device) -> Run:
    """Set up a new run, or the one that `--out` holds as it was saved. Raises `InputError`."""
    rank, processes = rank_and_size()
    out, last, log = arguments.out, arguments.out / "last", Log(arguments.out / "log.jsonl")
    if rank == 0:
        if out.exists() and not log.path.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} holds something that is no run; name a new or empty folder with --out")
        out.mkdir(parents=True, exist_ok=True)
        log.path.touch()
        recover(last)
        recover(out / "best")
    if processes > 1:
        dist.barrier()
    if arguments.world:
        data = WorldData(LESSONS[arguments.world], arguments.seed, arguments.held_out)
    else:
        data = LlavaData(arguments.data, arguments.image_folder, arguments.seed, arguments.held_out)
    examples_a_step = arguments.batch_size * arguments.accumulate * processes
    steps = arguments.steps or math.ceil(len(data.training) / examples_a_step)
    settings = settings_of(arguments) | {"steps": steps, "examples a step": examples_a_step}
    if arguments.data:
        settings["contents of data"] = data.contents
    goes_on = last.exists()
    progress = load_progress(last, settings) if goes_on else Progress()
    start = from_checkpoint(last) if goes_on else first_weights(arguments)
    start.model.config = replace(start.model.config, autoregressive=bool(arguments.autoregressive))

    choose_trainable(start.model, arguments.stage, arguments.vision_learning_rate > 0)
    if arguments.checkpointing:
        save_memory(start.model)
    bfloat16 = arguments.dtype == "bfloat16" or arguments.dtype == "auto" and device.type == "cuda"
    learner = Learner(start.model, start.tokenizer, bfloat16, arguments.stage, arguments.canvas is not None,
                      arguments.attention is not None)
    module = distribute(learner, device, arguments.shard)
    optimizer = make_optimizer(learner, arguments.learning_rate, arguments.vision_learning_rate)
    if goes_on:
        load_optimizer(last, learner.model, optimizer)
    if rank == 0:
        log.cut(progress.step)
    system = start.model.config.system if arguments.system is None else arguments.system
    remember(start, arguments)
    examples = Examples(data, start.tokenizer, start.model.config, arguments.stage, system, arguments.canvas)
    return Run(arguments, settings, steps, learner, module, optimizer, examples, start.files, progress, log, rank,
               processes)


def remember(start: Start, arguments: argparse.Namespace):
    """Let the saved `config.json` say in which way the model will have to be asked."""
    values = json.loads(start.files["config.json"])
    asked = {name: value for name, value in values.items() if name != "autoregressive"}
    if arguments.system is not None:
        asked["system"] = arguments.system
    if arguments.autoregressive:
        asked["autoregressive"] = True
    if asked != values:
        start.files["config.json"] = as_json(asked)


def first_weights(arguments: argparse.Namespace) -> Start:
    """What the command line says to start from."""
    if arguments.start:
        return from_checkpoint(arguments.start)
    if arguments.config:
        return from_nothing(arguments.config, arguments.seed)
    return from_parts(arguments.language, arguments.vision, arguments.seed)


def train(run: Run) -> int:
    """Train to the last step, or until a signal, and save; returns the number of the signal, or 0."""
    arguments, progress = run.arguments, run.progress
    steps = range(progress.step, run.steps)
    turns = turns_of(run.rank, run.processes, arguments.batch_size, arguments.accumulate, steps)
    with Signals() as signals, tqdm(total=run.steps, initial=progress.step, desc="training", unit="step",
                                    disable=run.rank > 0) as bar:
        batches = iter(DataLoader(run.data, batch_sampler=turns, num_workers=arguments.workers, collate_fn=list,
                                  multiprocessing_context="fork" if arguments.workers else None,
                                  worker_init_fn=ignore_signals))
        while progress.step < run.steps:
            loss, stop = take_step(run, batches, signals)
            bar.set_postfix_str("" if loss is None else f"loss {loss:.4f}", refresh=False)
            bar.update()
            done = progress.step == run.steps
            if done or progress.step % arguments.evaluate_every == 0:
                evaluate(run)
            if done or stop or progress.step % arguments.save_every == 0:
                save(run, "last", run.optimizer)
            if stop and not done:
                return signals.number or 15
        return signals.number  # what came in the last step: a preset's next stage shall not begin


def evaluate(run: Run):
    """Log the loss on what is held out and a few answers, draw the curve, keep the best weights. Raises `RunError` if
    the loss is no number."""
    loss, broken = held_out_loss(run.learner, run.data, run.arguments.batch_size)
    if loss is not None and not math.isfinite(loss):
        raise RunError(f"at step {run.progress.step} the loss on what is held out is {loss}; {HINT}")
    best = loss is not None and (run.progress.best is None or loss < run.progress.best)
    if best:
        run.progress.best = loss
        save(run, "best")
    if run.rank > 0 and not run.arguments.shard:
        return
    answers = []
    if run.arguments.stage != "vision":
        length = run.arguments.answer_length or min(32, run.learner.model.config.gen_length)
        answers = sample_answers(run.learner, run.data, SAMPLE_ANSWERS, length)
    if run.rank == 0:
        problems = [reason(run.data.held_out(number), f"held-out example {number}") for number in broken]
        run.log.write(step=run.progress.step, held_out_loss=loss, best=best, broken=problems, answers=answers)
        entries = run.log.read()
        draw_curve(*([(entry["step"], entry[key]) for entry in entries if entry.get(key) is not None]
                     for key in ("loss", "held_out_loss")), run.arguments.out / "loss.png")


def save(run: Run, name: str, optimizer: AdamW | None = None):
    """Write a checkpoint of the run, and make sure that its log is on the disk too."""
    if run.rank == 0:
        flush(run.log.path)
    save_checkpoint(run.arguments.out / name, run.learner.model, run.files, optimizer,
                    checkpoint_state(run.progress, run.settings), writes=run.rank == 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 where something given was wrong, 1 where the run failed."""
    stages = parse_arguments(argv)
    # The optimizer's memory of a token that no longer occurs fades away, and a CPU is slow with the tiniest numbers.
    torch.set_flush_denormal(True)
    try:
        return next((code for arguments in stages if (code := run_stage(arguments))), 0)
    finally:
        torch.set_flush_denormal(False)
        if dist.is_initialized():
            dist.destroy_process_group()


def run_stage(arguments: argparse.Namespace) -> int:
    """Begin or go on with one stage, to its end; returns the exit code."""
    try:
        run = begin(arguments, join_processes(arguments.device, arguments.shard))
        number = train(run)
        if number:
            return _complain(f"stopped at step {run.progress.step} of {run.steps} and saved; "
                             "the same command goes on from there", 128 + number)
        return 0
    except InputError as error:
        return _complain(error, 2)
    except KeyboardInterrupt:
        return _complain(f"interrupted; {_what_stands(arguments)}", 130)
    except (RunError, MemoryError, torch.OutOfMemoryError, OSError) as error:
        return _complain(f"stopped: {str(error) or type(error).__name__}; {_what_stands(arguments)}", 1)
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # how PyTorch says it on a CPU
            raise
        return _complain(f"stopped: out of memory; {_what_stands(arguments)}", 1)


def _what_stands(arguments: argparse.Namespace) -> str:
    """Which checkpoint there is to go on from."""
    last = arguments.out / "last"
    try:
        step = read_json(last / "state.json")["progress"]["step"]
    except (InputError, KeyError, TypeError):
        return "nothing had been saved yet"
    return f"{last} holds step {step}, and the same command goes on from there"


def _complain(problem: object, code: int) -> int:
    return complain(problem, code) if os.environ.get("RANK", "0") == "0" else code  # one process speaks for all


if __name__ == "__main__":
    sys.exit(main())
