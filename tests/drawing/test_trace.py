"""The denoising as a picture: what is drawn is what the sampler did."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_data import golden_model
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor
from test_generate import PHOTO, SHORT, assert_one_line, run
from test_sampler import sample_one

from minllada_v.drawing.charts import BLUE, GREY, ORANGE, WIDTH, font, tint, visible
from minllada_v.drawing.trace import (
    TALLEST,
    answer_rows,
    check_target,
    draw_frames,
    draw_trace,
    legend,
    save_trace,
    token_text,
)
from minllada_v.sampler import SamplerConfig

TOKENIZER = golden_model()[1]
MASK, END = TOKENIZER.token_id("<|mdm_mask|>"), TOKENIZER.token_id("<|eot_id|>")
PROMPT = torch.arange(5)


def denoised(seed: int, length: int, count: int, suffix: str = "", spread: float = 2.0) -> list:
    """The steps of an answer that chance gives. Its words are any tokens, a few of them ends of the turn."""
    generator = torch.Generator().manual_seed(seed)

    def denoise(canvas, positions):
        logits = torch.randn(len(positions), 640, generator=generator) * spread
        logits[:, END] += spread
        logits[:, TOKENIZER.largest_id + 1:] = -torch.inf
        return logits

    given = TOKENIZER.encode(suffix)
    return list(sample_one(denoise, PROMPT, SamplerConfig(length, steps=count), MASK, stops=[[END]], suffix=given))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 24), st.integers(1, 12), st.sampled_from(["", " So it is."]))
def test_rows_show_what_each_step_knew(seed, length, count, suffix):
    """Fresh tokens are orange, those of earlier steps blue, both in the shade of the confidence they were filled with;
    what is still open is grey, and what no step will fill is neither."""
    steps = denoised(seed, length, count, suffix)
    rows = answer_rows(steps, len(PROMPT), TOKENIZER, MASK)
    assert len(rows) == len(steps)
    suffix_start = len(PROMPT) + length
    for number, (row, step) in enumerate(zip(rows, steps)):
        assert len(row) == len(step.canvas) - len(PROMPT)
        response = step.canvas[len(PROMPT):suffix_start].tolist()
        end = len(PROMPT) + (response.index(END) if END in response else length)
        for place, box in enumerate(row, start=len(PROMPT)):
            filled = [(when, it) for when, it in enumerate(steps[:number + 1]) if place in it.committed.tolist()]
            if filled:
                (when, it), = filled
                sure = it.confidence[it.candidates.tolist().index(place)].item()
                assert box.fill == tint(ORANGE if when == number else BLUE, sure)
            elif place >= suffix_start or place >= end:
                assert box.fill == "#ffffff" and bool(box.text) == (place >= suffix_start)
                continue
            else:
                assert (box.fill, box.text) == (GREY, "")
                continue
            assert box.text == token_text(step.canvas[place].item(), TOKENIZER) != ""


def test_every_token_can_be_drawn_and_bytes_of_half_characters_are_named():
    lacking = bytes(font().getmask("\uffff"))
    for token in range(TOKENIZER.largest_id + 1):
        text = token_text(token, TOKENIZER)
        assert text and not any(char.isspace() or bytes(font().getmask(char)) == lacking for char in text)
    assert [token_text(token, TOKENIZER) for token in TOKENIZER.encode("é")] == ["<C3>", "<A9>"]
    assert token_text(TOKENIZER.encode(" red")[0], TOKENIZER) == visible(" red") == "·red"
    assert token_text(TOKENIZER.encode("\n\n")[0], TOKENIZER) == "\\n\\n"
    assert token_text(END, TOKENIZER) == "eot_id"


def colours_in(picture: Image.Image) -> set[tuple]:
    return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}


@pytest.mark.parametrize("length, count", [(8, 4), (128, 128)])
def test_a_long_answer_stays_a_picture_to_look_at(length, count):
    """However many steps there are, the picture has the usual width and a bounded height, and its colours are there."""
    rows = answer_rows(denoised(1, length, count, spread=0.2), len(PROMPT), TOKENIZER, MASK)
    picture = draw_trace(rows)
    assert picture.width == WIDTH and picture.height <= TALLEST + legend(rows, "confidence").height + 20
    boxes = {box.fill for row in rows for box in row}
    assert {ImageColor.getrgb(colour) for colour in boxes} <= colours_in(picture)


def test_places_stay_where_they_are_while_the_canvas_fills_in():
    """Between two frames nothing changes but the boxes of fresh and of just no longer fresh tokens."""
    steps = denoised(0, 40, 40, spread=0.2)
    rows = answer_rows(steps, len(PROMPT), TOKENIZER, MASK)
    frames = list(draw_frames(rows))
    assert len(frames) == len(steps) and len({frame.size for frame in frames}) == 1
    grey = np.array(ImageColor.getrgb(GREY))
    is_open = [(np.asarray(frame) == grey).all(axis=-1) for frame in frames]
    for frame in is_open:  # single pixels of letters may be as grey
        frame[:, 3:-3] &= np.all([np.roll(frame, shift, axis=1)[:, 3:-3] for shift in range(-3, 4)], axis=0)
    for before, after in zip(is_open, is_open[1:]):
        assert after.sum() < before.sum() and not (after & ~before).any()


def test_an_animation_has_a_frame_a_step_and_holds_the_last(tmp_path):
    steps = denoised(3, 6, 6)
    save_trace(tmp_path / "a.gif", steps, len(PROMPT), TOKENIZER, MASK)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == len(steps) and film.info["loop"] == 0
        times = []
        for index in range(film.n_frames):
            film.seek(index)
            times.append(film.info["duration"])
    assert times[-1] > max(times[:-1])


def test_the_legend_explains_the_signs_that_occur():
    """A sign that is not in the answer is not in the legend, which is then shorter."""
    plain, signs = (legend(answer_rows(denoised_text(text), 0, TOKENIZER, MASK), "confidence")
                    for text in ("red", "é é"))
    assert signs.height > plain.height


def denoised_text(text: str) -> list:
    ids = torch.tensor(TOKENIZER.encode(text))
    favour = torch.nn.functional.one_hot(ids, 640).double() * 9
    return list(sample_one(lambda canvas, places: favour[places], torch.tensor([], dtype=torch.long),
                           SamplerConfig(len(ids)), MASK))


# From the command line.


@pytest.mark.parametrize("name", ["a.png", "a.GIF"])
def test_the_command_draws_beside_its_answer(name, tmp_path, capsys):
    """stdout carries the answer as without a trace."""
    code, out, _ = run(capsys, *SHORT, "--image", str(PHOTO), "--trace", str(tmp_path / name))
    assert (code, out) == run(capsys, *SHORT, "--image", str(PHOTO))[:2] and code == 0
    with Image.open(tmp_path / name) as picture:
        assert picture.width == WIDTH and getattr(picture, "n_frames", 1) == (4 if name == "a.GIF" else 1)


@pytest.mark.parametrize("name, says", [
    ("a.jpg", "is a .gif or a .png file"),
    ("a", "is a .gif or a .png file"),
    ("", "is a .gif or a .png file"),
    ("nowhere/a.png", "cannot be written: No such file"),
    ("file/a.png", "cannot be written: Not a directory"),
    ("folder.png", "cannot be written: it is a folder"),
    ("x" * 300 + ".png", "File name too long"),
])
def test_a_trace_that_cannot_be_written_is_said_before_the_work(name, says, tmp_path, capsys, monkeypatch):
    """One line and exit code 2, before any weights are read."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr("minllada_v.generate.load_pretrained", None)
    assert_one_line(*run(capsys, *SHORT, "--trace", str(tmp_path / name) if name else ""), says)


def test_a_run_that_fails_leaves_files_as_they_were(tmp_path, capsys):
    (tmp_path / "old.png").write_bytes(b"old")
    for name in ("old.png", "new.png"):
        assert run(capsys, *SHORT, "--image", "missing.png", "--trace", str(tmp_path / name))[0] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"old"
    assert check_target(tmp_path / "old.png") == Path(tmp_path / "old.png")


def test_a_conversation_has_no_trace(tmp_path, capsys):
    code, out, err = run(capsys, *SHORT[:4], "--chat", "--trace", str(tmp_path / "a.png"))
    assert (code, out) == (2, "") and "--trace" in err
