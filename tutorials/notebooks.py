"""The pages of the course as Jupyter notebooks, without running anything: `python tutorials/run.py --notebook DIR`.

The text becomes Markdown cells, each block of Python a code cell. Its outputs are those that stand on the page, which
`run.py` keeps true, and the pictures that it draws. The files are JSON in the format nbformat 4.5.
"""

import base64
import json
import os
import re
from pathlib import Path

PICTURE = re.compile(r"!\[([^]]*)\]\(pictures/([^)]+)\)\n*")
DRAWS = re.compile(r'"tutorials/drawn/([^"]+)"')  # where a block saves a picture
LINK = re.compile(r"(\]\()([^)#\s]+)([^)\s]*\))")  # the parts of a link that leads to another file
KIND = {".png": "image/png", ".gif": "image/gif"}


def write_notebook(page: Path, blocks: re.Pattern, folder: Path) -> Path:
    """Write `page` as a notebook into `folder`, and return its path. `blocks` finds the blocks of Python: a match has
    the code as group 1 and what it prints, or None, as group 3."""
    text, home = page.read_text(encoding="utf-8"), page.parent
    root = os.path.relpath(home.parent, folder)  # the pages name files from there
    setup = (f'import os\n\nfrom IPython.display import Image as Shown, display\n\n'
             f'if not os.path.isdir("tutorials"):\n    os.chdir({root!r})')
    drawn = {name for block in blocks.finditer(text) for name in DRAWS.findall(block[1])}
    cells, end = [], 0
    for block in blocks.finditer(text):
        cells.append(markdown(text[end:block.start()], home, folder, drawn))
        if end == 0:
            cells.append(code(setup, []))
        names = [name for name in DRAWS.findall(block[1]) if (home / "pictures" / name).exists()]
        shown = "".join(f'\ndisplay(Shown("tutorials/drawn/{name}"))' for name in names)
        outputs = [{"output_type": "stream", "name": "stdout", "text": lines(block[3])}] if block[3] else []
        outputs += [{"output_type": "display_data", "metadata": {}, "data": encoded(home / "pictures" / name)}
                    for name in names]
        cells.append(code(block[1].strip("\n") + shown, outputs))
        end = block.end()
    cells.append(markdown(text[end:], home, folder, drawn))
    cells = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cell for cell in cells if cell["source"])]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
                "nbformat": 4, "nbformat_minor": 5}
    path = folder / f"{page.stem}.ipynb"
    path.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")
    return path


def markdown(text: str, home: Path, folder: Path, drawn: set[str]) -> dict:
    """A cell of text. Pictures that blocks draw stand below their cells; others come with the text."""
    text = PICTURE.sub(lambda found: "" if found[2] in drawn else f"![{found[1]}](attachment:{found[2]})\n\n", text)
    names = re.findall(r"\(attachment:([^)]+)\)", text)
    attached = {"attachments": {name: encoded(home / "pictures" / name) for name in names}} if names else {}
    text = LINK.sub(lambda found: found[1] + target(found[2], home, folder) + found[3], text)
    return {"cell_type": "markdown", "metadata": {}, **attached, "source": lines(text.strip("\n"))}


def target(link: str, home: Path, folder: Path) -> str:
    """Where a link of a page leads from the notebook: to another notebook, or to the file."""
    if ":" in link:  # on the internet, or attached
        return link
    if re.fullmatch(r"\w+_\w+\.md", link):
        return link.removesuffix(".md") + ".ipynb"
    return Path(os.path.relpath(home / link, folder)).as_posix()


def code(source: str, outputs: list[dict]) -> dict:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": outputs, "source": lines(source)}


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def encoded(picture: Path) -> dict[str, str]:
    """A picture as the format holds it: by its kind, in base 64."""
    return {KIND[picture.suffix]: base64.b64encode(picture.read_bytes()).decode()}
