"""The answer filling in, redrawn in place on a terminal."""

import os
import shutil
import sys
import unicodedata
from itertools import groupby

from ..sampler import Step
from ..tokenizer import Tokenizer

OPEN = "░"  # a place that is still [MASK]


class Watch:
    """Draws each step over the one before, on stderr; leaves nothing behind when the `with` block ends."""

    def __init__(self, tokenizer: Tokenizer, mask_id: int):
        self.tokenizer = tokenizer
        self.mask_id = mask_id
        self.lines = 0

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_):
        self._erase()

    def draw(self, step: Step):
        """Show the answer after `step`."""
        size = terminal_size()
        lines = wrap(picture_of(step.answer.tolist(), self.tokenizer, self.mask_id), size.columns)
        lines = lines[: max(1, size.lines - 1)]  # what has scrolled away could not be drawn over
        self._erase()
        print("\n".join(lines), file=sys.stderr, flush=True)
        self.lines = len(lines)

    def _erase(self):
        if self.lines:
            print(f"\x1b[{self.lines}F\x1b[J", end="", file=sys.stderr, flush=True)
        self.lines = 0


def terminal_size() -> os.terminal_size:
    """Columns and lines of the terminal that stderr is; stdout may well be a file."""
    try:
        return os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return shutil.get_terminal_size()


def picture_of(answer: list[int], tokenizer: Tokenizer, mask_id: int) -> str:
    """The answer as one line of text with a block for every place that is still open.

    Control characters are shown as blanks and line breaks as ⏎, so that no answer can steer the terminal.
    """
    text = ""
    for is_open, run in groupby(answer, lambda token: token == mask_id):
        ids = list(run)
        text += OPEN * len(ids) if is_open else tokenizer.decode(ids, skip_special_tokens=True)
    return "".join("⏎" if char == "\n" else " " if unicodedata.category(char)[0] == "C" else char for char in text)


def wrap(text: str, columns: int) -> list[str]:
    """Cut `text` into lines that fill at most `columns` cells; East Asian wide characters fill two."""
    lines, used = [""], 0
    for character in text:
        cells = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used + cells > columns:
            lines.append("")
            used = 0
        lines[-1] += character
        used += cells
    return lines
