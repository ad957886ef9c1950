"""A file of questions to a file of answers: nothing lost, nothing repeated, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
import torch
from golden_data import CHECKPOINT, golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st

import minllada_v.evaluation.batch_run
from minllada_v import InputError, Request, SamplerConfig, answer
from minllada_v.evaluation.batch_run import answer_lines, append, read_questions, read_records, run_batch
from minllada_v.generate import main

OPTIONS = ["--weights", str(CHECKPOINT), "--device", "cpu", "--gen-length", "4"]


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
    return [json.loads(line) for line in path.read_text().splitlines()]


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
                      {"prompt": "Hi", "id": "greeting"}, "", {"image": ["0.png", "1.png"], "prompt": "The same?", "id": 7},
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
    """Its record says what is wrong, and it is not asked again."""
    questions = write(
        tmp_path / "questions.jsonl", "not json", {"prompt": "Hi", "id": "good"}, [1], {"prompt": " "}, {"id": True},
        {"image": "none.png", "prompt": "x", "id": "no file"}, {"prompt": "a <image>"}, {"video": "v", "prompt": "x"},
        {"image": [3], "prompt": "x"}, '{"prompt": "\\ud800"}', "[" * 100_000, '{"prompt": "end"}')
    code, _, err = run(capsys, questions, tmp_path / "answers.jsonl", "--batch-size", "4")
    found = records(tmp_path / "answers.jsonl")
    assert code == 0 and "10 of 12 questions could not be answered" in err
    assert [record["id"] for record in found] == [1, "good", 3, 4, 5, "no file", 7, 8, 9, 10, 11, 12]
    says = {1: "not valid JSON", 3: "must be a JSON object", 4: "prompt must be text", 5: "id must be text",
            "no file": "none.png does not exist", 7: "1 <image>, but 0 pictures", 8: "use --video", 9: "image must be a path",
            10: "not valid Unicode", 11: "not valid JSON"}
    assert all(words in next(record["error"] for record in found if record["id"] == identity)
               for identity, words in says.items())
    assert all("text" in record for record in found if record["id"] in ("good", 12))
    before = (tmp_path / "answers.jsonl").read_bytes()
    assert run(capsys, questions, tmp_path / "answers.jsonl")[0] == 0
    assert (tmp_path / "answers.jsonl").read_bytes() == before


def test_logits_that_are_no_numbers_cost_the_others_nothing():
    """Of a batch that fails together each question is answered alone."""
    model, tokenizer = golden_model()
    lines = [(prompt, Request(prompt, [picture(0)], sampler=SamplerConfig(2, cfg_scale=guidance)))
             for prompt, guidance in (("one", 0.0), ("broken", 3e38), ("two", 0.0))]
    found = answer_lines(model, tokenizer, lines, {})
    assert [record["id"] for record in found] == ["one", "broken", "two"]
    assert [record.get("text") for record in found] == [
        answer(model, tokenizer, "one", [picture(0)], sampler=SamplerConfig(2)), None,
        answer(model, tokenizer, "two", [picture(0)], sampler=SamplerConfig(2))]
    assert "not finite at step 1 of 2" in found[1]["error"]


def test_neighbours_share_a_picture_across_batches(tmp_path, monkeypatch):
    picture(0).save(tmp_path / "0.png")
    (model, tokenizer), tiles = golden_model(), []
    project = type(model).project
    monkeypatch.setattr(type(model), "project", lambda model, pixels: tiles.append(len(pixels)) or project(model, pixels))
    lines = [(number, Request("Hi", [tmp_path / "0.png"], sampler=SamplerConfig(1))) for number in range(3)]
    run_batch(model, tokenizer, lines[:1], set(), tmp_path / "one.jsonl", 1)
    once = sum(tiles)
    run_batch(model, tokenizer, lines, set(), tmp_path / "three.jsonl", 1)
    assert len(records(tmp_path / "three.jsonl")) == 3 and sum(tiles) == 2 * once


@pytest.mark.parametrize("options, says", [
    (["--gen-length", "9000"], "prompt and answer are 9000 tokens long"),
    (["--stop", "<|mdm_mask|>"], "a stop must not hold"),
])
def test_what_fits_no_question_is_the_runs_mistake(options, says, tmp_path, capsys, monkeypatch):
    """Were it each question's, no record would be left to ask for with better options."""
    model, tokenizer = golden_model()
    monkeypatch.setattr("minllada_v.generate.load_pretrained", lambda *_: (model, tokenizer))
    questions = write(tmp_path / "questions.jsonl", {"prompt": "Hi"})
    code, _, err = run(capsys, questions, tmp_path / "answers.jsonl", *options)
    assert code == 2 and says in err and records(tmp_path / "answers.jsonl") == []


def fake_answers(model, tokenizer, lines, seen) -> list[dict]:
    """In place of the model: an answer that says whose it is, with what UTF-8 and JSON make long."""
    return [{"id": identity, "text": f"ä\n{identity}", "tokens": [1, 2]} for identity, _ in lines]


IDS = st.lists(st.one_of(st.integers(0, 50), st.text(max_size=3)), unique_by=lambda one: (type(one), one), max_size=8)


@settings(deadline=None, max_examples=60)
@given(IDS, st.integers(1, 4), st.integers(1, 3), st.lists(st.integers(0, 400), max_size=3), st.randoms())
def test_killed_and_resumed_nothing_is_lost_or_repeated(ids, batch_size, processes, kills, order):
    """However many processes share the questions, in whatever order they write, and at whatever byte of the file each
    earlier run was killed: in the end every question has exactly one record, and whole records are never redone."""
    lines = [(identity, Request("Hi")) for identity in ids]
    written = []
    with TemporaryDirectory() as folder, patch.object(minllada_v.evaluation.batch_run, "answer_lines", fake_answers):
        out = Path(folder) / "answers.jsonl"
        for kill in [*kills, None]:
            ranks = list(range(processes))
            order.shuffle(ranks)
            for rank in ranks:
                done = read_records(out)
                assert {json.loads(line)["id"] for line in written} <= done
                with patch.object(minllada_v.evaluation.batch_run, "rank_and_size", lambda: (rank, processes)):
                    run_batch(None, None, lines, done, out, batch_size)
                if kill is not None:
                    os.truncate(out, min(kill, out.stat().st_size))
                    written = out.read_bytes().split(b"\n")[:-1]
        found = records(out)
    assert sorted(map(repr, (record["id"] for record in found))) == sorted(map(repr, ids))
    assert all(record["text"] == f"ä\n{record['id']}" for record in found)


def test_a_killed_command_goes_on_where_it_was(tmp_path, capsys):
    """SIGKILL in the middle; the same command again ends with every answer, each once."""
    questions = write(tmp_path / "questions.jsonl", *({"prompt": f"Is it {number}?"} for number in range(200)))
    out = tmp_path / "answers.jsonl"
    command = [sys.executable, "-m", "minllada_v.generate", *OPTIONS, "--batch", str(questions), "--out", str(out),
               "--batch-size", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        limit = time.monotonic() + 60
        while not (out.exists() and out.stat().st_size) and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    killed = records(out)
    assert 0 < len(killed) < 200
    assert run(capsys, questions, out, "--batch-size", "50")[0] == 0
    assert [record["id"] for record in records(out)] == list(range(1, 201))
    assert records(out)[:len(killed)] == killed


def test_two_processes_share_the_questions(tmp_path):
    """Under torchrun, with one file for both: every question is answered once, as one process answers it."""
    questions = write(tmp_path / "questions.jsonl", *({"prompt": f"Is it {number}?"} for number in range(9)), "broken")
    command = ["-m", "minllada_v.generate", *OPTIONS, "--batch", str(questions), "--batch-size", "2", "--out"]
    two = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                          *command, str(tmp_path / "two.jsonl")], capture_output=True, text=True)
    assert two.returncode == 0, two.stderr[-2000:]
    assert main([*command[2:], str(tmp_path / "one.jsonl")]) == 0
    one, two = records(tmp_path / "one.jsonl"), records(tmp_path / "two.jsonl")
    assert sorted(two, key=lambda record: record["id"]) == one


@pytest.mark.parametrize("torn, whole", [('{"id": 2, "te', 1), ('{"id": 2, "text": "b", "tokens": []}', 2), ('{', 1)])
def test_half_a_line_is_taken_away(torn, whole, tmp_path):
    """A last line without its end goes, unless only its end is missing."""
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": 1, "text": "a", "tokens": []}\n' + torn)
    assert read_records(path) == set(range(1, whole + 1))
    append(path, [{"id": 3, "error": "x"}])
    assert [record["id"] for record in records(path)] == [*range(1, whole + 1), 3]


@pytest.mark.parametrize("content", ["notes of mine", '{"id": 1, "prompt": "a question"}\n', '{"text": "a"}\n',
                                     'x\n{"id": 1, "text": "a"}\n', '{"id": [1], "text": "a"}\n', "\n\nnotes\n"])
def test_a_file_that_is_not_ours_is_left_alone(content, tmp_path, capsys):
    questions, out = write(tmp_path / "questions.jsonl", {"prompt": "Hi"}), tmp_path / "out"
    out.write_text(content)
    code, _, err = run(capsys, questions, out)
    assert code == 2 and "is no answer that --batch wrote" in err and out.read_text() == content


@pytest.mark.parametrize("lines", [[{"id": 3, "prompt": "a"}, {"id": 3, "prompt": "b"}],
                                   [{"prompt": "a"}, {"id": 1, "prompt": "b"}], [{"id": 2, "prompt": "a"}, "broken"]])
def test_equal_ids_are_rejected(lines, tmp_path):
    path = write(tmp_path / "questions.jsonl", *lines)
    with pytest.raises(InputError, match="lines 1 and 2 have the same id"):
        read_questions(path, None, SamplerConfig())


def test_the_number_and_the_text_are_different_ids(tmp_path):
    path = write(tmp_path / "questions.jsonl", {"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"})
    assert [identity for identity, _ in read_questions(path, None, SamplerConfig())] == [1, "1"]


@pytest.mark.parametrize("change, says", [
    (["--batch", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
    (["--batch", "."], "cannot be read: Is a directory"),
    (["--out", "no/such/folder"], "cannot be written: No such file or directory"),
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
