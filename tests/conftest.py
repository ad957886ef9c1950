"""The tests' tensors are tiny: on them a second thread only waits for the first."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in processes that tests start
