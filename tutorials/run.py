"""Runs the chapters of the course and checks that they print what their pages say: `python tutorials/run.py [NN …]`.

A page's Python blocks run from top to bottom in one namespace, each typed line by line into an interactive
interpreter, so that a reader can paste them into `python` too. What a block prints stands in the `text` block right
below it. Blocks draw the pictures themselves, into the folder `drawn`, which git does not track, so that neither this
program nor a reader changes a page unawares. With `--update` new outputs are written into the pages, and their pictures
are copied to `pictures`, from where the pages show them. `--notebook DIR` writes the pages as notebooks and runs
nothing.
"""

import argparse
import code
import contextlib
import io
import math
import os
import re
import shutil
import sys
import traceback
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from notebooks import write_notebook
from tqdm import tqdm

FOLDER = Path(__file__).parent
TOLERANCE = 1e-3  # relative, of numbers with a decimal point; their last digit may also differ by one. Others are equal
BLOCK = re.compile(r"^```python\n(.*?)^```$(\n\n?```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"!\[[^]]*\]\(pictures/([^)]+)\)")  # a picture on a page
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass
class Typed(code.InteractiveConsole):
    """A console that is typed into by a program: it fails where it would show a traceback."""

    def __post_init__(self):
        super().__init__({"__name__": "__main__"})
        self.error = ""

    def showtraceback(self):
        kind, error, trace = sys.exc_info()
        ours = (code.__file__, "<console>")
        frames = [frame for frame in traceback.extract_tb(trace) if frame.filename not in ours]
        where = "".join(f"  {frame.filename}, line {frame.lineno}\n" for frame in frames[-3:])
        self.error = where + "".join(traceback.format_exception_only(kind, error))

    def showsyntaxerror(self, filename=None, **kwargs):
        kind, error, _ = sys.exc_info()
        self.error = (f"{kind.__name__}: {error.msg}\n(In an interactive interpreter a function or a loop ends with an "
                      "empty line, and has none in it.)")

    def type(self, source: str, first: int) -> str:
        """What `source`, which starts in line `first` of its page, prints. Raises `RuntimeError`, naming the line, if
        it ends with an error."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            for number, line in enumerate([*source.splitlines(), ""], start=first):
                self.push(line)
                if self.error:
                    raise RuntimeError(f"line {number}: {line.strip()}\n{self.error.rstrip()}")
        return printed.getvalue()


def agree(expected: str, found: str) -> bool:
    """Whether two lines say the same: equal words, and numbers within the tolerance. Spaces only separate."""
    if NUMBER.sub("0", " ".join(expected.split())) != NUMBER.sub("0", " ".join(found.split())):
        return False
    return all(map(close, NUMBER.findall(expected), NUMBER.findall(found)))


def close(expected: str, found: str) -> bool:
    """Whether two numbers, as they are written, agree to `TOLERANCE`."""
    if "." not in expected + found and "e" not in expected + found:
        return int(expected) == int(found)
    digits = len(expected.partition("e")[0].partition(".")[2])
    last = 0.0 if "e" in expected else 10.0**-digits
    return math.isclose(float(expected), float(found), rel_tol=TOLERANCE, abs_tol=last * 1.001)


def run_page(page: Path, update: bool = False) -> list[str]:
    """Run the blocks of `page` in the current folder. Returns a complaint for each that does not print what the page
    says or, with `update`, writes what it printed into the page and copies the page's pictures."""
    text, console, complaints = page.read_text(encoding="utf-8"), Typed(), []
    parts, end = [], 0
    blocks = list(BLOCK.finditer(text))
    for number, block in enumerate(tqdm(blocks, page.stem, unit="block", delay=2, leave=False), start=1):
        start_line = text.count("\n", 0, block.start(1)) + 1
        where = f"{page}, block {number}"
        try:
            printed = console.type(block[1], start_line)
        except RuntimeError as error:
            return [*complaints, f"{where}, {error}"]
        parts += [text[end:block.start()], f"```python\n{block[1]}```"]
        if printed:
            parts.append("\n\n```text\n" + printed.rstrip("\n") + "\n```")
        end = block.end()
        expected = (block[3] or "").rstrip("\n").splitlines()
        first = text.count("\n", 0, block.start(3)) + 1 if block[2] else start_line
        for line, (old, new) in enumerate(zip_longest(expected, printed.rstrip("\n").splitlines()), start=first):
            if not agree(old or "", new or "") or (old is None) != (new is None):
                complaints.append(f"{where}, line {line}\n  expected: {'nothing' if old is None else old}\n"
                                  f"  found:    {'nothing' if new is None else new}")
                break
    if update:
        page.write_text("".join(parts) + text[end:], encoding="utf-8")
        for drawn in (page.parent / "drawn" / name for name in SHOWN.findall(text)):
            if drawn.exists():  # else it comes with the course, or is drawn by a command that takes minutes
                shutil.copy(drawn, page.parent / "pictures")
        return []
    return complaints


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("chapters", nargs="*", metavar="NN", help="numbers of chapters, or change; left out: all")
    parser.add_argument("--update", action="store_true", help="write what the blocks print and draw into the pages")
    parser.add_argument("--notebook", metavar="DIR", type=Path, help="write the pages as Jupyter notebooks instead")
    options = parser.parse_args(arguments)
    pages = {page.name.partition("_")[0]: page for page in sorted(FOLDER.glob("*_*.md"))}  # by their numbers
    wanted = [chapter.zfill(2) for chapter in options.chapters] or list(pages)
    for chapter in wanted:
        if chapter not in pages:
            parser.error(f"there is no chapter {chapter}; there are {', '.join(pages)}")
    pages = [page for chapter, page in pages.items() if chapter in wanted]
    if options.notebook:
        try:
            options.notebook.mkdir(parents=True, exist_ok=True)
            for page in pages:
                print(write_notebook(page, BLOCK, options.notebook))
            return 0
        except OSError as error:
            parser.error(f"{options.notebook} cannot be written: {error.strerror}")
    os.chdir(FOLDER.parent)  # the pages name files from here
    sys.displayhook = lambda value: None  # only what is printed counts: shells differ in what else they show
    failed = False
    for page in (page.relative_to(FOLDER.parent) for page in pages):
        complaints = run_page(page, options.update)
        failed |= bool(complaints)
        print("\n".join(complaints) if complaints else f"{page}: ok", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
