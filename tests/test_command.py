"""The entry of all commands: every end has its exit code and at most one line, whatever the streams are."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from minllada_v.command import leaving, run_command
from minllada_v.errors import InputError, RunError

ROOT = Path(__file__).parents[1]
WORLD = f"{sys.executable} -m minllada_v.world --count 2 --out"

PRINTS = f"""env -u PYTHONUNBUFFERED {sys.executable} -c '
import sys, types
sys.modules["minllada_v"] = package = types.ModuleType("minllada_v")  # the whole package would import torch
package.__path__ = ["minllada_v"]
from minllada_v.command import run_command
sys.exit(run_command(lambda: print("x")))'"""


def raising(error: BaseException):
    def run():
        raise error
    return run


@pytest.mark.parametrize("error, code, line", [
    (InputError("x is wrong"), 2, "x is wrong"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (RunError("the loss is nan"), 1, "failed: the loss is nan"),
    (MemoryError(), 1, "failed: MemoryError"),
    (OSError(errno.ENOSPC, "No space left", "a.gif"), 1, "failed: [Errno 28] No space left: 'a.gif'"),
    (torch.OutOfMemoryError("CUDA out of memory.\nTried a lot"), 1, "failed: CUDA out of memory. Tried a lot"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "failed: out of memory"),
    (type("Unsupported", (RuntimeError,), {"__module__": "torch._dynamo.exc"})("no\ncompiler"), 1,
     "failed: this machine cannot compile, so leave out --compile: no compiler"),
])
def test_each_failure_is_one_line_and_its_code(error, code, line, capsys):
    assert run_command(raising(error)) == code
    assert capsys.readouterr() == ("", f"minllada_v: {line}\n")


def test_what_a_command_returns_is_its_code():
    assert [run_command(lambda: None), run_command(lambda: 0), run_command(lambda: 143)] == [0, 0, 143]


def test_a_bug_of_ours_keeps_its_traceback():
    for error in (RuntimeError("shapes differ"), ValueError("x"), KeyError("y")):
        with pytest.raises(type(error)):
            run_command(raising(error))


@pytest.mark.parametrize("error, line", [
    (KeyboardInterrupt(), "interrupted; a holds 3; b holds 5"),
    (OSError("full"), "stopped: full; a holds 3; b holds 5"),
    (InputError("x is wrong"), "x is wrong"),  # the user changes it, and nothing was begun
])
def test_a_failure_says_what_stands_at_that_time(error, line, capsys):
    held = {"a": 0, "b": 0}

    def run():
        with leaving(lambda: f"b holds {held['b']}"), leaving(lambda: ""), leaving(lambda: f"a holds {held['a']}"):
            held.update(a=3, b=5)
            raise error

    run_command(run, failed="stopped")
    assert capsys.readouterr().err == f"minllada_v: {line}\n"


@pytest.mark.parametrize("rank, lines", [("0", 1), ("1", 0)])
def test_one_process_speaks_for_all(rank, lines, capsys, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    assert run_command(raising(InputError("x is wrong"))) == 2
    assert capsys.readouterr().err.count("\n") == lines


def test_the_process_group_is_left(tmp_path):
    """Also where the run fails: processes that stay in a group wait for each other."""
    def run():
        torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
        raise InputError("x is wrong")

    assert run_command(run) == 2 and not torch.distributed.is_initialized()


def shell(command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, **options)


def test_closed_streams_stop_nothing(tmp_path):
    """With stdin, stdout and stderr closed a command does its work, and no file is taken for one of them."""
    ended = shell(f"{WORLD} {tmp_path}/closed <&- >&- 2>&-")
    assert (ended.returncode, len(list((tmp_path / "closed" / "pictures").iterdir()))) == (0, 2)


def test_a_reader_that_has_gone_is_no_failure():
    """As with `| head -0`: no traceback and no complaint, and the code of SIGPIPE."""
    ended = shell(f'{PRINTS} | true; echo ${{PIPESTATUS[0]}}')
    assert (ended.stdout, ended.stderr) == ("141\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_is_full_is_named():
    ended = shell(f"{PRINTS} > /dev/full")
    assert (ended.returncode, ended.stderr) == (
        1, "minllada_v: failed: standard output cannot be written: No space left on device\n")


SLOW_TORCH = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)\n"


@pytest.fixture
def slow_torch(tmp_path) -> dict[str, str]:
    """An environment in which Ctrl-C comes while torch is imported."""
    (tmp_path / "torch.py").write_text(SLOW_TORCH)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("module", ["minllada_v", "minllada_v.generate", "minllada_v.train", "minllada_v.evaluate",
                                    "minllada_v.convert", "minllada_v.world"])
def test_ctrl_c_while_torch_is_imported_is_one_line(module, slow_torch):
    ended = shell(f"{sys.executable} -m {module}", env=slow_torch)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "minllada_v: interrupted\n")


@pytest.mark.parametrize("program", [
    "-c 'import minllada_v' -m minllada_v.world", "-m pytest -m minllada_v.world", "-m elsewhere",
])
def test_ctrl_c_in_another_program_is_that_programs(program, slow_torch, tmp_path):
    """Importing the package must not change what a signal does to whoever imports it."""
    (tmp_path / "elsewhere.py").write_text("import minllada_v")
    (tmp_path / "pytest.py").write_text("import minllada_v")
    ended = shell(f"{sys.executable} {program}", env=slow_torch)
    assert ended.returncode == -signal.SIGINT and ended.stderr.endswith("KeyboardInterrupt\n")


def test_ctrl_c_later_says_what_stands(tmp_path):
    """Once a command runs, the signal ends it in the usual way, so that it can clean up."""
    command = [sys.executable, "-m", "minllada_v.world", "--count", "1000000", "--out", tmp_path / "out"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        while not (tmp_path / "out" / "pictures").exists():
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, printed = running.communicate()
    assert running.returncode == 130
    assert printed.endswith("minllada_v: interrupted; "
                            f"{tmp_path / 'out'} is not complete, and the same command begins it again\n")


def test_the_package_leaves_signals_as_they_are():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("ignored", [True, False])
def test_a_signal_that_is_ignored_stays_ignored(ignored, slow_torch):
    """As in a script's background jobs."""
    ended = shell(f"trap '{'' if ignored else '-'}' INT; {sys.executable} -m minllada_v.world --help", env=slow_torch)
    assert ended.returncode == (1 if ignored else 130)  # 1: the stand-in for torch is no torch
    assert ("interrupted" in ended.stderr) is not ignored
