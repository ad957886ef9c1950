"""The denoising of an answer as a picture: one row a step as PNG, one frame a step as GIF."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ..errors import InputError
from ..files import beside, kind_of, replacing
from ..sampler import Step
from ..tokenizer import Tokenizer
from .charts import (
    BLUE,
    GREY,
    LINE,
    ORANGE,
    Box,
    cells,
    column_widths,
    save_animation,
    scale,
    stack,
    tint,
    token_strips,
    visible,
)

TALLEST = 2400  # pixels; rows of words that take more are drawn as rows of cells
LONGEST = 12.0  # seconds that an animation takes
SIGNS = {"·": "· space", r"\\n": r"\n line break", "^eot_id$": "eot_id end of the turn",
         "<[89A-F].>": "<E4> part of a character", r"U\+": "U+4E2D not in this font"}


def check_target(path: str | Path) -> Path:
    """Make sure that a trace can be written to `path`, before there is work to lose. Raises `InputError`."""
    path = Path(path)
    if path.suffix.lower() not in (".gif", ".png"):
        raise InputError(f"a trace is a .gif or a .png file, and {str(path)!r} names neither")
    kind = kind_of(path)
    if kind not in ("file", "nothing"):
        raise InputError(f"{path} cannot be written: it is a {kind}")
    try:
        if kind == "file":
            path.open("ab").close()
        beside(path).open("ab").close()
        beside(path).unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return path


def save_trace(
    path: Path, steps: Sequence[Step], prompt_length: int, tokenizer: Tokenizer, mask_id: int, shade: str = "confidence"
):
    """Write the picture of all `steps` to `path`, whose suffix says which kind it is. `shade` names what the numbers
    in `Step.confidence` are."""
    rows = answer_rows(steps, prompt_length, tokenizer, mask_id)
    if path.suffix.lower() == ".png":
        with replacing(path) as file:
            draw_trace(rows, shade).save(file, "PNG")
        return
    frames = tqdm(draw_frames(rows, shade), total=len(rows), desc="drawing", unit="frame", delay=2, leave=False)
    save_animation(frames, path, seconds=min(0.6, max(0.06, LONGEST / len(rows))))


def answer_rows(steps: Sequence[Step], prompt_length: int, tokenizer: Tokenizer, mask_id: int) -> list[list[Box]]:
    """For each step the places of the answer, and of a suffix, as boxes whose colours `legend` explains."""
    word = cache(lambda token: token_text(token, tokenizer))
    given = int((steps[0].canvas[prompt_length:] != mask_id).sum()) - len(steps[0].committed)  # the suffix
    filled: dict[int, float] = {}  # the places that were filled, and the confidence then
    rows = []
    for step in steps:
        confidence = dict(zip(step.candidates.tolist(), step.confidence.tolist()))
        fresh = {place: confidence[place] for place in step.committed.tolist()}
        filled |= fresh
        end = prompt_length + len(step.answer) - given  # nothing behind it will be read
        row = []
        for place, token in enumerate(step.canvas[prompt_length:].tolist(), start=prompt_length):
            if place in filled:
                row.append(Box(word(token), tint(ORANGE if place in fresh else BLUE, filled[place])))
            elif token == mask_id and place < end:
                row.append(Box("", GREY))
            else:
                row.append(Box("" if token == mask_id else word(token), "#ffffff", LINE))
        rows.append(row)
    return rows


def token_text(token: int, tokenizer: Tokenizer) -> str:
    """One token as it can be drawn; a byte that is only a part of a character as <E4>, a special token by its name."""
    if token in tokenizer.special.values():
        return tokenizer.decode([token]).strip("<|>")
    text = tokenizer.token_bytes(token).decode("utf-8", errors="surrogateescape")
    return "".join(f"<{ord(char) - 0xDC00:02X}>" if "\udc80" <= char <= "\udcff" else visible(char) for char in text)


def legend(rows: Sequence[Sequence[Box]], shade: str) -> Image.Image:
    """What the colours and signs in `rows` mean."""
    kinds = [Box("[MASK]", GREY), Box("filled in this step", tint(ORANGE, 0.7)), Box("filled before", tint(BLUE, 0.7))]
    if any(box.frame for row in rows for box in row):
        kinds.append(Box("given, or not needed", "#ffffff", LINE))
    notes = [Box(note, "#ffffff") for sign, note in SIGNS.items() if any(re.search(sign, box.text) for box in rows[-1])]
    return token_strips([kinds, scale(BLUE), *([notes] if notes else [])], ["colour", shade, "signs"])


def draw_trace(rows: Sequence[Sequence[Box]], shade: str = "confidence") -> Image.Image:
    """One row a step: of words or, where these would fill pages, of a cell for each place, with the answer below."""
    labels = [f"step {number}" for number in range(1, len(rows) + 1)]
    widths = column_widths(rows)
    if len(rows) * token_strips(rows[:1], labels[:1], widths).height <= TALLEST:
        picture = token_strips(rows, labels, widths)
    else:
        places = [str(place) for place in range(1, len(rows[0]) + 1)]
        table = cells([[box.fill for box in row] for row in rows], labels, places, most=20)
        picture = stack([table, token_strips(rows[-1:], ["answer"])])
    return stack([picture, legend(rows, shade)], gap=20)


def draw_frames(rows: Sequence[Sequence[Box]], shade: str = "confidence") -> Iterator[Image.Image]:
    """One picture a step, in which each place stays where it is."""
    widths, below = column_widths(rows), legend(rows, shade)
    for number, row in enumerate(rows, start=1):
        title = token_strips([[Box(f"step {number} of {len(rows)}", "#ffffff")]])
        yield stack([title, token_strips([row], widths=widths), below], gap=12)
