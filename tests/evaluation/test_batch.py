"""`generate --batch`: a file of questions to a file of answers."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from device import COMMAND
from golden_data import CHECKPOINT, golden_model, picture

from minllada_v import SamplerConfig, answer, generate
from minllada_v.generate import main

OPTIONS = ["--weights", str(CHECKPOINT), *COMMAND, "--gen-length", "4"]


def write(path: Path, *lines) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def run(capsys, questions: Path, out: Path, *options: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line."""
    try:
        code = main([*OPTIONS, "--batch", str(questions), "--out", str(out), *options])
    except SystemExit as end:  # argparse
        code = end.code
    return code, *capsys.readouterr()


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


@pytest.mark.parametrize("options, sampler", [
    ([], {}),
    (["--refresh-every", "3", "--threshold", "0.01", "--cfg-scale", "0.5"],
     {"refresh_every": 3, "threshold": 0.01, "cfg_scale": 0.5}),
    (["--temperature", "1", "--seed", "5"], {"temperature": 1.0, "seed": 5}),
])
def test_each_record_is_the_answer_that_its_question_gets_alone(options, sampler, tmp_path, capsys):
    for index in range(2):
        picture(index).save(tmp_path / f"{index}.png")
    questions = write(tmp_path / "questions.jsonl", {"image": "0.png", "prompt": "What is it?"},
                      {"prompt": "Hi", "id": "greeting"}, "",
                      {"image": ["0.png", "1.png"], "prompt": "The same?", "id": 7},
                      {"image": str(tmp_path / "1.png"), "prompt": "And this?", "category": "x"})
    code, out, err = run(capsys, questions, tmp_path / "answers.jsonl", "--batch-size", "3", *options)
    model, tokenizer = golden_model()
    texts = [answer(model, tokenizer, prompt, [tmp_path / name for name in images], sampler=SamplerConfig(4, **sampler))
             for prompt, images in [("What is it?", ["0.png"]), ("Hi", []), ("The same?", ["0.png", "1.png"]),
                                    ("And this?", ["1.png"])]]
    found = records(tmp_path / "answers.jsonl")
    assert (code, out) == (0, "") and "4/4" in err and "tokens/s" in err
    assert [(record["id"], record["text"]) for record in found] == list(zip([1, "greeting", 7, 5], texts))
    assert [tokenizer.decode(record["tokens"], skip_special_tokens=True).strip() for record in found] == texts


def test_a_bad_line_costs_the_others_nothing(tmp_path, capsys):
    """Its record says what is wrong, and is not written twice."""
    questions = write(
        tmp_path / "questions.jsonl", "not json", {"prompt": "Hi", "id": "good"}, [1], {"prompt": " "}, {"id": True},
        {"image": "none.png", "prompt": "x", "id": "no file"}, {"prompt": "a <image>"}, {"video": "v", "prompt": "x"},
        {"image": [3], "prompt": "x"}, '{"prompt": "\\ud800"}', "[" * 100_000, '{"prompt": "end"}')
    code, _, err = run(capsys, questions, tmp_path / "answers.jsonl", "--batch-size", "4")
    found = records(tmp_path / "answers.jsonl")
    assert code == 0 and "10 of 12 questions could not be answered" in err
    assert [record["id"] for record in found] == [1, "good", 3, 4, 5, "no file", 7, 8, 9, 10, 11, 12]
    says = {1: "not valid JSON", 3: "must be a JSON object", 4: "prompt must be text", 5: "id must be text",
            "no file": "none.png does not exist", 7: "1 <image>, but 0 pictures", 8: "use --video",
            9: "image must be a path", 10: "not valid Unicode", 11: "not valid JSON"}
    assert all(words in next(record["error"] for record in found if record["id"] == identity)
               for identity, words in says.items())
    assert all("text" in record for record in found if record["id"] in ("good", 12))
    before = (tmp_path / "answers.jsonl").read_bytes()
    code, _, err = run(capsys, questions, tmp_path / "answers.jsonl")
    assert code == 0 and "10 of 12 questions could not be answered" in err
    assert (tmp_path / "answers.jsonl").read_bytes() == before


def test_neighbours_share_a_picture_across_batches(tmp_path, monkeypatch, capsys):
    picture(0).save(tmp_path / "0.png")
    tiles, model = [], golden_model()[0]
    look = type(model).project
    monkeypatch.setattr(type(model), "project", lambda model, pixels: tiles.append(len(pixels)) or look(model, pixels))
    line = {"image": "0.png", "prompt": "Hi"}
    for count in (1, 3):
        questions = write(tmp_path / f"{count}.jsonl", *[line] * count)
        run(capsys, questions, tmp_path / f"{count}.out", "--batch-size", "1")
        assert len(records(tmp_path / f"{count}.out")) == count
    assert sum(tiles[:len(tiles) // 2]) * 2 == sum(tiles)


# What a resumed file means.


@pytest.fixture
def answered(tmp_path, capsys):
    """A star and a square, asked about without ids."""
    for index, name in enumerate(("star", "square")):
        picture(index).save(tmp_path / f"{name}.png")
    questions = write(tmp_path / "questions.jsonl", *({"image": f"{name}.png", "prompt": "What is it?"}
                                                      for name in ("star", "square")))
    assert run(capsys, questions, tmp_path / "out")[0] == 0
    return questions, tmp_path / "out"


def asking(monkeypatch) -> list[str]:
    """What is asked from now on: the prompt and the pictures' names."""
    asked, usual = [], generate.answer_batch

    def listen(model, tokenizer, requests, cache):
        asked.extend(" ".join([request.prompt, *(image.name for image in request.images)]) for request in requests)
        return usual(model, tokenizer, requests, cache)

    monkeypatch.setattr(generate, "answer_batch", listen)
    return asked


def test_a_line_on_top_moves_no_answer_to_another_question(answered, capsys, monkeypatch):
    """Without ids the numbers of all lines change. Once, the star's answer then stood for the square's question."""
    questions, out = answered
    before = {record["id"]: record for record in records(out)}
    asked = asking(monkeypatch)
    run(capsys, questions, out)
    assert asked == []
    questions.write_text('{"prompt": "Hi"}\n' + questions.read_text())
    assert run(capsys, questions, out)[0] == 0
    assert asked == ["Hi", "What is it? star.png", "What is it? square.png"]
    last = {record["id"]: record for record in records(out)}
    assert [last[number]["text"] for number in (2, 3)] == [before[number]["text"] for number in (1, 2)]
    asked.clear()
    run(capsys, questions, out)
    assert asked == []


def test_a_prompt_or_a_picture_that_has_changed_is_asked_again(answered, capsys, monkeypatch, tmp_path):
    """A picture counts by what it shows: under another file of the same name, size and time it is another one."""
    questions, out = answered
    asked = asking(monkeypatch)
    before = (tmp_path / "star.png").stat()
    content = bytearray((tmp_path / "star.png").read_bytes())
    content[-1] ^= 1  # of a PNG the checksum of its end, which Pillow does not look at
    (tmp_path / "star.png").write_bytes(content)
    os.utime(tmp_path / "star.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    run(capsys, questions, out)
    assert asked == ["What is it? star.png"]
    questions.write_text(questions.read_text().replace('square.png", "prompt": "What', 'square.png", "prompt": "Where'))
    run(capsys, questions, out)
    assert asked[1:] == ["Where is it? square.png"]


@pytest.mark.parametrize("options, says", [
    (["--gen-length", "2"], "gen_length 4, and now it is 2"), (["--steps", "2"], "steps 4, and now it is 2"),
    (["--seed", "7"], "seed 0, and now it is 7"), (["--system", "Be brief."], "system None, and now it is 'Be brief.'"),
    (["--dtype", "bfloat16"], "weights"), (["--stop", "x"], "stop []"),
])
def test_other_settings_and_weights_are_refused(answered, capsys, monkeypatch, options, says):
    questions, out = answered
    asked, before = asking(monkeypatch), out.read_bytes()
    code, _, err = run(capsys, questions, out, *options)
    assert code == 2 and says in err and "name another --out" in err
    assert asked == [] and out.read_bytes() == before


def test_answers_of_other_weights_are_refused(answered, capsys, monkeypatch):
    questions, out = answered
    weight = golden_model()[0].language_model.norm.weight
    monkeypatch.setattr(generate, "load_pretrained", lambda *_: golden_model())
    try:
        weight[-1] += 1
        code, _, err = run(capsys, questions, out)
    finally:
        weight[-1] -= 1
    assert code == 2 and "answers with weights" in err


def test_what_failed_once_is_asked_again(answered, capsys, tmp_path):
    """A drive that was away for a minute must not cost its answers."""
    questions, out = answered
    (tmp_path / "star.png").rename(tmp_path / "away.png")
    code, _, err = run(capsys, questions, tmp_path / "new")
    assert code == 0 and "1 of 2 questions could not be answered" in err
    (tmp_path / "away.png").rename(tmp_path / "star.png")
    code, _, err = run(capsys, questions, tmp_path / "new")
    assert code == 0 and "could not be answered" not in err
    last = {record["id"]: record for record in records(tmp_path / "new")}
    assert [last[number]["text"] for number in (1, 2)] == [record["text"] for record in records(out)]


@pytest.mark.parametrize("options, says", [
    (["--gen-length", "9000"], "prompt and answer are 9000 tokens long"),
    (["--stop", "<|mdm_mask|>"], "a stop must not hold"),
    (["--threshold", "0.9"], "trained with --autoregressive"),
])
def test_what_fits_no_question_is_the_runs_mistake(options, says, tmp_path, capsys, monkeypatch):
    """And is said once, not of each question."""
    model, tokenizer = golden_model()
    monkeypatch.setattr(model, "config", replace(model.config, autoregressive="--threshold" in options))
    monkeypatch.setattr(generate, "load_pretrained", lambda *_: (model, tokenizer))
    questions = write(tmp_path / "questions.jsonl", {"prompt": "Hi"})
    code, _, err = run(capsys, questions, tmp_path / "answers.jsonl", *options)
    assert code == 2 and says in err and (tmp_path / "answers.jsonl").read_bytes() == b""


@pytest.mark.parametrize("change, says", [
    (["--batch", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
    (["--batch", "."], ". is a folder, not a file"),
    (["--out", "."], "cannot be written: Is a directory"),
    (["--image", "a.png"], "--batch finds its questions in the file"),
    (["--prompt", "Hi"], "--batch finds its questions in the file"),
    (["--batch-size", "0"], "--batch-size is at least 1"),
    (["--out", ""], "the name of a file or folder is empty"),
    (["--threshold", "-1"], "threshold must be 0 or more"),
])
def test_wrong_usage_is_said_before_anything_is_loaded(change, says, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minllada_v.generate.load_pretrained", None)
    questions = write(tmp_path / "questions.jsonl", {"prompt": "Hi"})
    code, out, err = run(capsys, questions, tmp_path / "answers.jsonl", *change)
    assert (code, out) == (2, "") and says in err
    code, _, err = run(capsys, questions, questions)
    assert code == 2 and "holds the questions" in err
