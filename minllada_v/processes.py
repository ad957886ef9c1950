"""What comes from outside: the other processes of a run, and signals to stop it."""

import os
import signal

import torch
import torch.distributed as dist

from .checkpoint import pick_device
from .errors import InputError


def join_processes(device: str, shard: bool) -> torch.device:
    """Join the processes that torchrun started, if it did; returns this one's device. Raises `InputError`."""
    chosen = pick_device(None if device == "auto" else device)
    if "RANK" not in os.environ:
        if shard:
            raise InputError("--shard spreads weights over several processes; start them with torchrun")
        return chosen
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():  # by an earlier stage
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return chosen


def rank_and_size() -> tuple[int, int]:
    """Which process this is, and of how many."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def sum_over_processes(values: torch.Tensor):
    """Put the sum over all processes in place of `values`."""
    if dist.is_initialized():
        dist.all_reduce(values)


def ignore_signals(_: int):
    """For processes that read data ahead. A signal to stop often goes to all of a run's processes; the training
    process still needs the data of its step, and ends these itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """Within `with`, Ctrl-C and SIGTERM end nothing, but set `number`. A second one acts as usual, except under
    torchrun, where each comes twice."""

    def __enter__(self) -> "Signals":
        self.number = 0
        self.usual = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self.usual.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame):
        self.number = number
        if "RANK" not in os.environ:  # torchrun passes on the Ctrl-C that the terminal has sent already
            self.__exit__()
