"""The command line: the answer alone on stdout, and one clear line for every mistake."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
import torch
from device import COMMAND, DEVICE
from golden_data import CASES, CHECKPOINT, GOLDEN, golden_model, picture, video_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minllada_v import SamplerConfig, answer, load_pretrained
from minllada_v.answer import encode_images, prompt_ids
from minllada_v.drawing.terminal import OPEN, Watch, picture_of, wrap
from minllada_v.generate import fill_in_defaults, main, parse_arguments
from minllada_v.sampler import Step

PHOTO = Path(__file__).parents[1] / "tutorials" / "pictures" / "chelsea.png"
QUESTION = "Describe the image in detail."
BASE = ["--weights", str(CHECKPOINT), *COMMAND]
SHORT = [*BASE, "--gen-length", "4", "--prompt", QUESTION]


@pytest.fixture
def photo(tmp_path) -> str:
    """Golden picture 0 as a file."""
    picture(0).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line."""
    try:
        code = main(list(arguments))
    except SystemExit as end:  # argparse
        code = end.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "case", CASES["generate"], ids=lambda case: "-".join(map(str, list(case.values())[1:-1]))[-40:])
def test_golden_answers_through_the_command_line(case, photo, capsys):
    """Every golden case, its settings given as options, gives its ids in the JSON object."""
    options = ["--gen-length", str(case["gen_length"]), "--steps", str(case["steps"]),
               "--block-length", str(case["block_length"]), "--cfg-scale", str(case.get("cfg_scale", 0.0)),
               "--suffix", case.get("generation_suffix", ""), "--json", "--image", photo, "--prompt", QUESTION]
    options += [word for stop in case.get("stop", []) for word in ("--stop", stop)]
    code, out, _ = run(capsys, *BASE, *options)
    result = json.loads(out)
    tokenizer = golden_model()[1]
    assert code == 0 and result["tokens"] == case["output"]
    assert result["text"] == tokenizer.decode(case["output"], skip_special_tokens=True).strip()
    assert result["prompt_length"] == CASES["prompts"][0]["length"]
    assert 1 <= result["steps"] <= case["steps"]
    assert result["forward_passes"] == result["steps"] * (2 if "cfg_scale" in case else 1)
    assert result["seconds"] > 0 and result["peak_memory_bytes"] > (10**7 if DEVICE == "cpu" else 10**5)


def test_stdout_carries_only_the_answer(photo, capsys):
    """The plain call prints what `answer` returns; the bar is on stderr."""
    code, out, err = run(capsys, *SHORT, "--image", photo)
    expected = answer(*golden_model(), QUESTION, [photo], sampler=SamplerConfig(gen_length=4))
    assert (code, out) == (0, expected + "\n")
    assert "4/4" in err


def test_the_prompt_can_come_from_stdin(photo, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(QUESTION + "\n"))
    _, from_stdin, _ = run(capsys, *BASE, "--gen-length", "4", "--image", photo, "--prompt", "-")
    assert from_stdin == run(capsys, *SHORT, "--image", photo)[1]


def test_several_pictures_and_a_video(tmp_path, capsys):
    for index in (0, 2):
        picture(index).save(tmp_path / f"{index}.png")
    asked = ["--gen-length", "4", "--json", "--prompt"]
    _, out, _ = run(capsys, *BASE, "--image", str(tmp_path / "0.png"), "--image", str(tmp_path / "2.png"), *asked,
                    "What is the difference?")
    assert json.loads(out)["prompt_length"] == CASES["multi"]["length"]
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(video_frames()):
        frame.save(tmp_path / "frames" / f"{index}.png")
    _, out, _ = run(capsys, *BASE, "--video", str(tmp_path / "frames"), *asked, "What happens in the video?")
    assert json.loads(out)["prompt_length"] == 95
    _, out, _ = run(capsys, *BASE, "--video", str(tmp_path / "frames"), "--frames", "2", *asked,
                    "What happens in the video?")
    assert json.loads(out)["prompt_length"] == 95 - 2 * 6


def test_a_seed_makes_chance_repeatable(photo, capsys):
    warm = [*SHORT, "--image", photo, "--temperature", "5", "--remasking", "random", "--gen-length", "16"]
    first, again, other = (run(capsys, *warm, "--seed", seed)[1] for seed in ("1", "1", "2"))
    assert first == again != other


def test_a_threshold_saves_forward_passes(photo, capsys):
    """--threshold 0 fills each block in one pass, with or without --refresh-every, which alone saves none."""
    asked = [*SHORT, "--image", photo, "--gen-length", "16", "--block-length", "8", "--json"]
    passes = [json.loads(run(capsys, *asked, *options)[1])["forward_passes"] for options in (
        [], ["--refresh-every", "4"], ["--threshold", "0"], ["--threshold", "0", "--refresh-every", "4"])]
    assert passes == [16, 16, 2, 2]


def test_undecodable_input_is_named(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff"), encoding="utf-8"))
    assert_one_line(*run(capsys, *SHORT, "--prompt", "-"), r"holds '\udcff', which is not valid Unicode")


def test_a_system_text_and_a_type_are_used(photo, capsys):
    """--system and --dtype give what `answer` gives with them."""
    _, out, _ = run(capsys, *SHORT, "--image", photo, "--system", "Be brief.", "--dtype", "float16", "--json")
    assert json.loads(out)["prompt_length"] == len(
        prompt_ids(golden_model()[1], QUESTION, encode_images(golden_model()[0], [photo]), system="Be brief."))
    model, tokenizer = load_pretrained(CHECKPOINT, DEVICE, torch.float16)
    expected = answer(model, tokenizer, QUESTION, [photo], system="Be brief.", sampler=SamplerConfig(4))
    assert json.loads(out)["text"] == expected


def test_defaults_are_those_of_the_released_demo(capsys):
    """128 tokens from 128 steps in a single block; of a video 32 frames."""
    arguments = parse_arguments([*BASE, "--prompt", "Hi"])
    fill_in_defaults(arguments, CHECKPOINT)
    assert (arguments.gen_length, arguments.steps, arguments.block_length, arguments.frames) == (128, None, None, 32)
    assert arguments.system is None
    assert SamplerConfig() == SamplerConfig(
        128, steps=128, block_length=128, temperature=0.0, cfg_scale=0.0, remasking="low_confidence")


@pytest.mark.parametrize("raised, code, says", [
    (KeyboardInterrupt(), 130, "interrupted"),
    (MemoryError(), 1, "failed: MemoryError"),
    (OSError(28, "No space left on device"), 1, "failed: [Errno 28] No space left on device"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "failed: out of memory"),
])
def test_failures_have_their_own_exit_codes(raised, code, says, capsys, monkeypatch):
    def failing(*_):
        raise raised
    monkeypatch.setattr("minllada_v.generate.load_pretrained", failing)
    assert run(capsys, *SHORT) == (code, "", f"minllada_v: {says}\n")


def test_seconds_count_the_answer_only(photo, capsys):
    start = time.perf_counter()
    _, out, _ = run(capsys, *SHORT, "--image", photo, "--json")
    assert 0 < json.loads(out)["seconds"] < time.perf_counter() - start


def test_chat_remembers_turns_and_the_picture_stays(photo, capsys, monkeypatch):
    """Two lines give two answers; the second is that of a question with the first turn as its history."""
    monkeypatch.setattr("sys.stdin", io.StringIO("What is it?\n\nAnd <image> <image>?\nWhere is it?\n"))
    looked = []
    monkeypatch.setattr("minllada_v.generate.encode_images", lambda *given: looked.append(1) or encode_images(*given))
    code, out, err = run(capsys, *BASE, "--gen-length", "4", "--image", photo, "--chat")
    assert looked == [1]  # once for the whole conversation
    config = SamplerConfig(gen_length=4)
    first = answer(*golden_model(), "What is it?", [photo], sampler=config)
    second = answer(*golden_model(), "Where is it?", [photo], history=[("What is it?", first)], sampler=config)
    assert code == 0 and out == f"{first}\n{second}\n"
    assert "2 <image>, but 1 pictures" in err  # said, and the conversation went on


def test_help_fits_a_screen_and_shows_three_examples(capsys):
    code, out, _ = run(capsys, "--help")
    lines = out.splitlines()
    assert code == 0 and len(lines) <= 42 and max(map(len, lines)) <= 80
    assert sum(line.startswith("  python -m minllada_v.generate --") for line in lines) == 3


def broken_copy(tmp_path: Path, change) -> str:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, folder)
    change(folder)
    return str(folder)


def edit(name: str, **values):
    def change(folder: Path):
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return change


def damage_norm(folder: Path):
    from safetensors.torch import load_file, save_file
    shard = folder / "model-00001-of-00002.safetensors"
    tensors = load_file(shard)
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], torch.nan)
    save_file(tensors, shard)


BROKEN_WEIGHTS = [
    (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    (lambda folder: (folder / "model-00001-of-00002.safetensors").unlink(), "is missing"),
    (lambda folder: (folder / "model-00001-of-00002.safetensors").write_bytes(b"short"), "truncated or not"),
    (edit("model.safetensors.index.json", weight_map={"a": "../../x"}), "points outside the folder"),
    (edit("model.safetensors.index.json", weight_map={"lm_head.weight": "model-00001-of-00002.safetensors"}),
     "is missing"),
    (edit("config.json", hidden_size=None), "hidden_size is missing"),
    (edit("config.json", vocab_size="many"), "vocab_size must be a whole number"),
    (edit("config.json", vocab_size=700), "(640, 32) in the file and should be (700, 32)"),
    (edit("config.json", num_hidden_layers=1), "belongs to a layer that the config does not have"),
    (edit("config.json", tokenizer_model_max_length=50), "the model reads at most 50"),
    (edit("config.json", vocab_size=615), "tokenizer.json has the id 615"),
    (edit("tokenizer.json", normalizer={"type": "Lowercase"}), "Lowercase"),
    (edit("tokenizer.json", added_tokens=[]), "no special token"),
    (damage_norm, "not finite at step 1 of 4"),
]


@pytest.mark.parametrize("change, says", BROKEN_WEIGHTS, ids=[says for _, says in BROKEN_WEIGHTS])
def test_bad_weights_get_one_line_and_code_2(change, says, tmp_path, photo, capsys):
    weights = broken_copy(tmp_path, change)
    code, out, err = run(capsys, *SHORT, "--image", photo, "--weights", weights)
    assert_one_line(code, out, err, says)


def assert_one_line(code: int, out: str, err: str, says: str):
    """Exit code 2, nothing on stdout, and on stderr one line of ours (after the bar, where it had begun)."""
    assert (code, out) == (2, "")
    lines = [line for line in err.replace("\r", "\n").splitlines() if line and "denoising" not in line]
    assert len(lines) == 1 and lines[0].startswith("minllada_v: ") and says in lines[0], err


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--weights", "nowhere"], "nowhere is not a folder"),
        (["--image", "missing.png"], "missing.png does not exist"),
        (["--image", str(GOLDEN)], "is a folder, not a picture"),
        (["--image", str(GOLDEN / "cases.json")], "is not a picture"),
        (["--image", str(PHOTO), "--prompt", "<image> or <image>"], "2 <image>, but 1 pictures"),
        (["--prompt", "<image> what?"], "1 <image>, but 0 pictures"),
        (["--video", "missing.gif"], "missing.gif does not exist"),
        (["--video", str(PHOTO)], "single picture"),
        (["--video", str(PHOTO.parent), "--image", str(PHOTO)], "either pictures or a video"),
        (["--video", str(PHOTO.parent), "--frames", "0"], "number of frames"),
        (["--gen-length", "0"], "gen_length must be a whole number, at least 1"),
        (["--gen-length", "10", "--block-length", "3"], "multiple of block_length 3"),
        (["--gen-length", "8", "--block-length", "4", "--steps", "3"], "multiple of the number of blocks"),
        (["--gen-length", "9000"], "the model reads at most 8192"),
        (["--temperature", "-1"], "temperature must be 0 or more"),
        (["--temperature", "nan"], "temperature must be 0 or more"),
        (["--seed", "-1"], "seed must be from 0"),
        (["--refresh-every", "0"], "refresh_every must be a whole number, at least 1"),
        (["--threshold", "-1"], "threshold must be 0 or more"),
        (["--threshold", "0.9", "--steps", "2"], "leave out steps, not 2"),
        (["--image", "/dev/null"], "is a device, not a picture"),
        (["--stop", ""], "stop must be a tuple of texts"),
        (["--prompt", "a\udcff"], "not valid Unicode"),
        (["--prompt", "  "], "the prompt is empty"),
        (["--stop", "<|mdm_mask|>"], "a stop must not hold <|mdm_mask|>"),
        (["--image", "x" * 300], "cannot be read: File name too long"),
        (["--weights", "x" * 300], "cannot be read: File name too long"),
        (["--video", str(GOLDEN / "cases.json")], "cases.json cannot be read as a video"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else value[:20],
)
def test_bad_input_gets_one_line_and_code_2(arguments, says, capsys):
    assert_one_line(*run(capsys, *SHORT, *arguments), says)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_absent_cuda_is_said(capsys):
    assert_one_line(*run(capsys, *SHORT, "--device", "cuda"), "cuda was asked for")


@pytest.mark.parametrize(
    "arguments", [["--steps", "many"], ["--remasking", "best"], ["--chat"], ["--nonsense"], ["--video", ""]])
def test_wrong_usage_is_code_2(arguments, capsys):
    code, out, err = run(capsys, *SHORT, *arguments)
    assert (code, out) == (2, "") and err.startswith("usage: ") and "error: " in err


def test_a_prompt_is_needed(capsys):
    code, _, err = run(capsys, *BASE)
    assert code == 2 and "--prompt" in err


def test_the_module_runs_as_a_command(photo):
    """As users start it: a process, with its exit code, for a good call and for a bad one. What an ASCII terminal
    cannot show is written as an escape, never lost with a traceback; and torch's compiler, which takes longer to import
    than all the rest, is not imported."""
    command = ["-m", "minllada_v.generate", *SHORT]
    good = subprocess.run([sys.executable, "-X", "importtime", *command, "--image", photo], capture_output=True,
                          env=os.environ | {"PYTHONIOENCODING": "ascii"})
    bad = subprocess.run([sys.executable, *command, "--image", "missing.png"], capture_output=True, text=True)
    assert good.returncode == 0 and good.stdout.isascii() and good.stdout.count(b"\n") >= 1
    imported = {line.rpartition(b"|")[2].strip() for line in good.stderr.splitlines() if b"import time:" in line}
    assert b"Traceback" not in good.stderr and b"torch" in imported and b"torch._dynamo" not in imported
    assert (bad.returncode, bad.stdout, bad.stderr) == (2, "", "minllada_v: missing.png does not exist\n")


def test_watch_redraws_in_place_and_leaves_nothing(photo, capsys, monkeypatch):
    """On a terminal every step is drawn over the one before; at the end only the answer is left, on stdout."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    code, out, err = run(capsys, *SHORT, "--image", photo, "--watch")
    assert code == 0 and out == run(capsys, *SHORT, "--image", photo)[1]
    frames = err.split("\x1b[1F\x1b[J")
    assert len(frames) == 5 and frames[-1] == ""
    assert [frame.count(OPEN) for frame in frames[:-1]] == [3, 2, 1, 0]


@settings(deadline=None)
@given(st.lists(st.integers(0, 640), max_size=30), st.integers(2, 20))
def test_the_drawing_fits_the_terminal_and_cannot_steer_it(ids, columns):
    """Whatever the answer, no control character is drawn, no line is too wide, and nothing is lost in wrapping."""
    _, tokenizer = golden_model()
    text = picture_of(ids, tokenizer, 606)
    assert text.isprintable() or all(character.isprintable() or character.isspace() for character in text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
    assert text.count(OPEN) >= ids.count(606)
    lines = wrap(text, columns)
    assert "".join(lines) == text and all(cells(line) <= columns for line in lines)


def cells(line: str) -> int:
    """How many cells of a terminal a line fills."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def test_wide_characters_fill_two_cells():
    assert wrap("一二三四", 5) == ["一二", "三四"]


def test_watch_shows_no_more_lines_than_the_terminal_has(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("LINES", "4")
    _, tokenizer = golden_model()
    nothing = torch.tensor([], dtype=torch.long)
    with Watch(tokenizer, 606) as screen:
        screen.draw(Step(nothing, nothing, nothing.double(), nothing, torch.full((95,), 606), 1))
        assert screen.lines == 3
    assert capsys.readouterr().err.endswith("\x1b[3F\x1b[J")


def test_pictures_given_as_objects_are_read_too():
    """`answer` takes paths and PIL images alike."""
    model, tokenizer = golden_model()
    sampler = SamplerConfig(gen_length=4)
    from_object = answer(model, tokenizer, QUESTION, [Image.open(PHOTO)], sampler=sampler)
    assert from_object == answer(model, tokenizer, QUESTION, [str(PHOTO)], sampler=sampler)
