"""Where the tests compute, and on how many threads.

A shell's background job ignores Ctrl-C, and so would the commands that the tests start there and interrupt.
"""

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; with tiny tensors a second waits
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--device", choices=("cpu", "cuda"), default="cpu", help="where the models of the tests compute")


def pytest_configure(config):
    """Before torch and any test are imported. What tests start has the same environment."""
    os.environ["TEST_DEVICE"] = config.getoption("device")
    if os.environ["TEST_DEVICE"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or commands would take a GPU where there is one
        return
    import torch

    if not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: this machine, or this PyTorch, has none")
