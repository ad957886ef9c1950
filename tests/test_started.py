"""Processes that tests start do not disturb the one that starts them."""

import time

from started import start
from tqdm import tqdm


def draw_for_ever():
    with tqdm.get_lock():
        print("drawing")
        time.sleep(600)


def test_a_process_that_is_killed_while_it_draws_a_bar_leaves_others_free_to_draw(tmp_path):
    """Once the tests waited here for ever: the lock of tqdm was one for all, and who held it was dead."""
    list(tqdm(range(3)))  # makes the lock
    process = start(tmp_path / "killed", draw_for_ever)
    limit, out = time.monotonic() + 60, tmp_path / "killed.out"
    while not (out.exists() and out.read_text()) and time.monotonic() < limit:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert out.read_text() == "drawing\n"
    assert tqdm.get_lock().mp_lock.acquire(timeout=5)
    tqdm.get_lock().mp_lock.release()
