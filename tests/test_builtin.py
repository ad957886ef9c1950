"""The built-in model: what it brings, what speaks for it, and how it is found."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from device import COMMAND, DEVICE
from golden_data import CHECKPOINT, golden_model, picture
from test_generate import run

from minllada_v import InputError, SamplerConfig, answer, load_pretrained
from minllada_v.answer import encode_images, prompt_ids
from minllada_v.checkpoint import BUILTIN, empty_model
from minllada_v.config import Config
from minllada_v.config_json import check_config
from minllada_v.evaluate import Judge
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.evaluation.questions import world_questions
from minllada_v.generate import DESCRIBE
from minllada_v.world.sentences import NO_SHAPES
from minllada_v.world.wordings import WORDINGS

EXAMPLE = {"image": "picture.png", "conversations": [{"from": "human", "value": "<image>\nwhat is it?"},
                                                     {"from": "gpt", "value": "a star"}]}


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """The golden checkpoint in the place of the built-in model, with a system text and a short canvas of its own."""
    folder = tmp_path / "builtin"
    shutil.copytree(CHECKPOINT, folder)
    config = json.loads((folder / "config.json").read_text()) | {"system": "answer.", "gen_length": 6}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "example.json").write_text(json.dumps(EXAMPLE))
    picture(0).save(folder / "picture.png")
    monkeypatch.setattr("minllada_v.checkpoint.BUILTIN", folder)
    return folder


def expected(prompt: str, image: Path, length: int = 6, system: str = "answer.") -> str:
    return answer(*golden_model(), prompt, [image], system=system, sampler=SamplerConfig(length)) + "\n"


def test_without_arguments_the_bundled_question_is_answered(stand_in, capsys):
    """stderr says what was asked, stdout holds the answer alone."""
    code, out, err = run(capsys)
    assert (code, out) == (0, expected("what is it?", stand_in / "picture.png"))
    assert err.startswith(f"minllada_v: about {stand_in / 'picture.png'}: what is it?\n")


def test_a_question_alone_is_about_the_bundled_picture(stand_in, capsys):
    code, out, err = run(capsys, "--prompt", "how many?")
    assert (code, out) == (0, expected("how many?", stand_in / "picture.png"))
    assert err.startswith(f"minllada_v: about {stand_in / 'picture.png'}\n")


def test_of_other_pictures_the_built_in_model_says_that_it_knows_nothing(stand_in, tmp_path, capsys):
    """Once, on stderr; and a picture that comes without a question is described."""
    picture(2).save(tmp_path / "mine.png")
    code, out, err = run(capsys, "--image", str(tmp_path / "mine.png"))
    assert (code, out) == (0, expected(DESCRIBE, tmp_path / "mine.png"))
    assert err.count("knows only its small world") == 1 and f"asked: {DESCRIBE}" in err
    _, out, err = run(capsys, "--image", str(tmp_path / "mine.png"), "--prompt", "how many?")
    assert out == expected("how many?", tmp_path / "mine.png")
    assert err.count("knows only its small world") == 1 and "asked" not in err


def test_other_weights_bring_no_question_and_no_notes(stand_in, capsys):
    code, _, err = run(capsys, "--weights", str(CHECKPOINT))
    assert code == 2 and "--prompt" in err
    _, _, err = run(capsys, "--weights", str(stand_in), "--prompt", "how many?")
    assert "about" not in err and "small world" not in err


def test_options_win_over_what_the_model_says(stand_in, capsys):
    _, out, _ = run(capsys, "--system", "Be brief.", "--gen-length", "3")
    assert out == expected("what is it?", stand_in / "picture.png", 3, "Be brief.")
    _, out, _ = run(capsys, "--block-length", "3", "--json")  # a part of 6, not of 128
    assert json.loads(out)["steps"] == 6


def test_a_conversation_is_about_the_bundled_picture_too(stand_in, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("what is it?\n"))
    code, out, err = run(capsys, "--chat")
    assert (code, out) == (0, expected("what is it?", stand_in / "picture.png"))
    assert f"about {stand_in / 'picture.png'}\n" in err


def test_from_python_the_models_own_settings_are_the_defaults(stand_in):
    model, tokenizer = load_pretrained(device=DEVICE)
    shown = stand_in / "picture.png"
    assert answer(model, tokenizer, "what is it?", [shown]) + "\n" == expected("what is it?", shown)
    given = answer(model, tokenizer, "what is it?", [shown], system="Be brief.", sampler=SamplerConfig(3))
    assert given + "\n" == expected("what is it?", shown, 3, "Be brief.")


def test_a_model_without_these_keys_is_asked_as_the_released_one():
    values = json.loads((CHECKPOINT / "config.json").read_text())
    config = check_config(values, "here")
    assert (config.system, config.gen_length) == (None, 128) == (Config.system, Config.gen_length)
    assert check_config(values | {"system": "", "gen_length": 7}, "here").system == ""


@pytest.mark.parametrize("key, value", [("system", 3), ("system", ["a"]), ("gen_length", 0), ("gen_length", "6")])
def test_nonsense_in_these_keys_is_named(key, value):
    with pytest.raises(InputError, match=f"here: {key} must be"):
        check_config(json.loads((CHECKPOINT / "config.json").read_text()) | {key: value}, "here")


def test_a_missing_built_in_model_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("minllada_v.checkpoint.BUILTIN", tmp_path / "nowhere")
    code, out, err = run(capsys)
    assert (code, out) == (2, "") and "nowhere is not a folder" in err


def test_an_empty_model_has_the_shapes_of_a_full_one():
    model = golden_model()[0]
    shapes = {name: tensor.shape for name, tensor in empty_model(model.config).state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in model.state_dict().items()}


def test_the_bundled_picture_lies_beside_its_question():
    example = json.loads((BUILTIN / "example.json").read_text())
    asked, answered = example["conversations"]
    assert (asked["from"], answered["from"]) == ("human", "gpt") and asked["value"].startswith("<image>\n")
    assert len(encode_images(golden_model()[0], [BUILTIN / example["image"]])) == 1


def test_the_built_in_model_answers_its_question_truthfully(capsys):
    """Also where it fills in several tokens at once."""
    truth = json.loads((BUILTIN / "example.json").read_text())["conversations"][1]["value"]
    length = load_pretrained(device=DEVICE)[0].config.gen_length
    for steps in (length, max(1, length // 4)):
        code, out, _ = run(capsys, *COMMAND, "--steps", str(steps))
        assert (code, out) == (0, truth + "\n")


def test_the_bundled_question_was_never_trained():
    asked = json.loads((BUILTIN / "example.json").read_text())["conversations"][0]["value"]
    assert asked.removeprefix("<image>\n").lower().rstrip("?") in [
        text.format(shape="star") for text in WORDINGS["colour"][1]]


def test_the_built_in_model_knows_its_world_and_what_it_does_not_know():
    """Of a question of each ability in a trained wording, and one in a wording that is held out, at most 7 are answered
    wrong. (Its README has the table, of more.) So neither weights nor code can drift away from the other unseen. What
    is sure is filled in at once, which takes a sixth of the time of a step for each token."""
    model, tokenizer = load_pretrained(device=DEVICE)
    benchmark = replace(BENCHMARKS["small-world"], sampler=SamplerConfig(model.config.gen_length, threshold=0.9))
    records = Judge(model, tokenizer, benchmark).records(world_questions(1))
    wrong = [record["id"] for record in records if record["score"] < 1]
    assert len(records) == 32 and len(wrong) <= 7, wrong


def test_the_built_in_model_answers_a_photograph_with_what_it_cannot_see(capsys):
    """A cat, which is of no kind that training draws."""
    photo = Path(__file__).parents[1] / "tutorials" / "pictures" / "chelsea.png"
    code, out, _ = run(capsys, "--device", DEVICE, "--image", str(photo), "--prompt", "What do you see?")
    assert (code, out) == (0, NO_SHAPES + "\n")


def test_the_built_in_model_is_small_and_its_prompts_short():
    assert sum(file.stat().st_size for file in BUILTIN.iterdir()) <= 8_000_000
    model, tokenizer = load_pretrained(device=DEVICE)
    features = encode_images(model, [BUILTIN / "picture.png"])
    assert len(prompt_ids(tokenizer, "what?", features, system=model.config.system)) < len(
        prompt_ids(tokenizer, "what?", features))
