"""Several processes: those that torchrun started together, and those that shall not write to one folder."""

import os
from pathlib import Path
from typing import IO

import torch
import torch.distributed as dist

from .checkpoint import pick_device
from .errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def join_processes(device: str, shard: bool) -> torch.device:
    """Join the processes that torchrun started, if it did; returns this one's device. Raises `InputError`."""
    chosen = pick_device(None if device == "auto" else device)
    if "RANK" not in os.environ:
        if shard:
            raise InputError("--shard spreads weights over several processes; start them with torchrun")
        return chosen
    if chosen.type == "cuda":
        number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= count:
            raise InputError(f"each process takes a GPU, and this machine has {count}; start no more with "
                             "--nproc-per-node, or give --device cpu")
        chosen = torch.device("cuda", number)
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():  # by an earlier stage
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return chosen


def rank_and_size() -> tuple[int, int]:
    """Which process this is, and of how many."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def lock(path: Path) -> IO:
    """Lock the file `path`, which is made if need be, until the result is closed or this process ends, however it ends.
    Raises `InputError` if another process has it. Where the system knows no locks nothing is locked.

    It is a POSIX record lock: unlike flock's it is not handed down to processes that this one starts and that may
    outlive it for some seconds.
    """
    file = path.open("ab")
    try:
        if fcntl:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the two ways of saying that it is taken
        file.close()
        raise InputError(f"another process is writing to {path.parent}; wait until it ends, or give another --out"
                         ) from None
    except OSError:  # some network drives know no locks
        pass
    return file
