"""What all commands share: streams that can be used, one line for each failure, and the exit code.

A command's `main` is a few lines on top of it:

    def main(argv: Sequence[str] | None = None) -> int:
        return run_command(lambda: run(parse_arguments(argv)))

The code is 0 for success, 1 for a failure, 2 for wrong usage or input, and 128 + n for the end by signal n. A command
that leaves something behind says what stands at the end of its line:

    with leaving(lambda: f"{out} holds what was answered, and the same command goes on from there"):
        evaluate(…)

`minllada_v/__init__.py` imports this file before all others, so it must not import anything that takes long.
"""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .errors import InputError, RunError, complain

INTERRUPTED, BROKEN_PIPE = 128 + signal.SIGINT, 128 + 13  # SIGPIPE, which Windows does not have


def run_command(run: Callable[[], int | None], failed: str = "failed") -> int:
    """Call `run`, which returns an exit code or None for 0; returns the exit code.

    What is wrong with the input, and what a machine can run out of, becomes one line on stderr; `failed` is its first
    word where it is not the user's mistake. Under torchrun only the first process speaks. Other exceptions are bugs
    of ours, and pass.
    """
    prepare_streams()
    if signal.getsignal(signal.SIGINT) is _end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = run() or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        return _say(str(error), 2)
    except KeyboardInterrupt as error:
        return _say(_with_notes("interrupted", error), INTERRUPTED)
    except (RuntimeError, MemoryError, OSError) as error:
        broken = [problem.strerror for stream in (sys.stdout, sys.stderr) if (problem := _drop_if_broken(stream))]
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE  # whoever read what we print has gone, as `head` does: no failure of ours
        reason = f"standard output cannot be written: {broken[0]}" if broken else reason_of(error)
        if reason is None:
            raise
        return _say(_with_notes(f"{failed}: {reason}", error), 1)
    finally:
        distributed = sys.modules.get("torch.distributed")
        if distributed and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def leaving(what_stands: Callable[[], str]) -> Iterator[None]:
    """Within `with`, the line of a failure ends with what stands on the disk at that time; "" adds nothing."""
    try:
        yield
    except BaseException as error:
        if words := what_stands():
            error.add_note(words)
        raise


def reason_of(error: Exception) -> str | None:
    """Why a run failed in a few words, or None where only a traceback can say it."""
    if isinstance(error, (RunError, MemoryError, OSError)) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return str(error) or type(error).__name__
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return f"this machine cannot compile, so leave out --compile: {' '.join(str(error).split())[:200]}"
    return "out of memory" if "can't allocate memory" in str(error) else None  # how PyTorch says it on a CPU


def prepare_streams():
    """No setting of a terminal may cost a result: open the streams that are closed, and accept any bytes both ways."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It takes the lowest free number, that of the closed stream, so that no other file is mistaken for it.
            setattr(sys, name, open(os.devnull, mode))
    if not isinstance(sys.stderr, _Forgiving):
        sys.stderr = _Forgiving(sys.stderr)
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if hasattr(stream, "reconfigure"):  # not so where a test stands in for it
            stream.reconfigure(errors=errors)
    warnings.filterwarnings("ignore", module="PIL")  # what cannot be read is an error of ours; the rest can


class _Forgiving:
    """stderr for commands: where it cannot be written, because its reader has gone or its disk is full, words are lost
    and not the work that they are about."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self):
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def _with_notes(problem: str, error: BaseException) -> str:
    return "; ".join([problem, *getattr(error, "__notes__", [])])


def _say(problem: str, code: int) -> int:
    if os.environ.get("RANK", "0") == "0":
        with suppress(OSError):
            complain(problem, code)
    return code


def _drop_if_broken(stream) -> OSError | None:
    """Why `stream` cannot be written any more, if so. Then it leads nowhere, or Python would complain as it ends."""
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error


def _end_at_once(number: int, frame):
    _say("interrupted", INTERRUPTED)
    os._exit(INTERRUPTED)


def _is_starting() -> bool:
    """Whether Python is just about to run `python -m minllada_v…`, and not a program that imports the package."""
    started_with = sys.orig_argv
    if sys.argv[:1] != ["-m"] or "-m" not in started_with:  # Python's argv while it looks for the module to run
        return False
    return started_with[started_with.index("-m") + 1].partition(".")[0] == __package__


if _is_starting():  # importing torch takes a second, in which Ctrl-C would give a traceback
    prepare_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)
