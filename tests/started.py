"""Processes of their own that have all imports from this one, so that each starts at once.

Where starting Python is what is tested, tests take `subprocess`, which costs seconds.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import RLock

import torch
from device import DEVICE
from torch.distributed import TCPStore
from tqdm import tqdm

# A process that has used a GPU, or any on macOS, cannot be copied.
CONTEXT = multiprocessing.get_context("fork" if DEVICE == "cpu" and sys.platform == "linux" else "spawn")


def start(written: Path, run: Callable, *arguments, **environment: str) -> BaseProcess:
    """A process that ends with the code `run(*arguments)`; its stdout and stderr go to `written`.out and .err."""
    process = CONTEXT.Process(target=_run, args=(str(written), environment, run, arguments))
    process.start()
    return process


def _run(written: str, environment: dict[str, str], run: Callable, arguments: tuple):
    for number, name in enumerate(("out", "err"), start=1):
        file = os.open(f"{written}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # pytest had its own
    os.environ.update(environment)
    torch.set_num_threads(1)  # the threads of the process that was copied do not exist here
    tqdm.set_lock(RLock())  # its own is shared with that process, which would wait for ever if we die and hold it
    sys.exit(run(*arguments))


def run_two(folder: Path, run: Callable, *arguments, seconds: float = 300) -> tuple[str, str]:
    """`run(*arguments)` in two processes of one group, as torchrun starts them; returns what both wrote to stdout and
    to stderr. If one fails or takes too long, the other is ended, and the assertion shows what they wrote.

    As torchrun's, the store in which they meet is here, so no port has to be free for a second time.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port),
             "TORCHELASTIC_USE_AGENT_STORE": "True"}
    folder.mkdir(parents=True, exist_ok=True)
    processes = [start(folder / rank, run, *arguments, RANK=rank, LOCAL_RANK=rank, **group) for rank in "01"]
    limit, running = time.monotonic() + seconds, processes
    while running and all(process.exitcode in (None, 0) for process in processes) and time.monotonic() < limit:
        wait([process.sentinel for process in running], limit - time.monotonic())
        running = [process for process in processes if process.exitcode is None]
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
        process.join()
    out, err = ([(folder / f"{rank}.{name}").read_text() for rank in "01"] for name in ("out", "err"))
    assert codes == [0, 0], "\n".join(
        ["exit codes of both processes (None: still running, and ended here)", *map(str, codes), *err, *out])
    return "".join(out), "".join(err)
