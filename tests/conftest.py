"""The tests' tensors are tiny: on them a second thread only waits for the first.

A shell's background job ignores Ctrl-C, and so would the commands that the tests start there and interrupt.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in processes that tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
