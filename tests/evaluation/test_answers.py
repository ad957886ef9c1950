"""The file of answers: nothing lost, nothing repeated, nothing taken over that was answered to something else."""

import io
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from device import COMMAND
from golden_data import CHECKPOINT, golden_model
from hypothesis import given, settings
from hypothesis import strategies as st
from started import CONTEXT, run_two, start

from minllada_v import InputError, evaluate, generate
from minllada_v.evaluation import answers
from minllada_v.evaluation.answers import AnswerFile, fingerprint
from minllada_v.evaluation.questions import Question

ONE = Question(1, turns=(("What?", ()),))


def prompts(question: Question) -> list[str]:
    return [text for text, _ in question.turns]


def reply(questions) -> list[dict]:
    """In place of the model: an answer that says whose it is, with what UTF-8 and JSON make long."""
    return [{"text": f"ä\n{question.id}", "tokens": [1, 2]} for question in questions]


def fill(path: Path | None, questions=(ONE,), ask=reply, batch_size=8, steps=1, rank=(0, 1)) -> AnswerFile:
    """What a command does with the file `path`."""
    with patch.object(answers, "rank_and_size", lambda: rank), AnswerFile(path) as file:
        file.begin({"steps": steps, "stop": ("a",)})
        file.fill(questions, prompts, ask, batch_size, "asking")
    return file


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def never(questions):
    raise AssertionError("nothing should be asked")


def test_a_line_says_how_and_each_other_one_is_a_record(tmp_path):
    """The folder is made where there is none; without a file the records are there all the same."""
    path = tmp_path / "new" / "answers.jsonl"
    file = fill(path, [ONE, replace(ONE, id="1")])
    first, *records = lines(path)
    assert first == {"settings": {"steps": 1, "stop": ["a"], "format": 2}}
    assert [(record["id"], record["text"]) for record in records] == [(1, "ä\n1"), ("1", "ä\n1")]
    assert list(file.records.values()) == records == list(fill(None, [ONE, replace(ONE, id="1")]).records.values())


IDS = st.lists(st.one_of(st.integers(0, 50), st.text(max_size=3)), unique_by=lambda one: (type(one), one), max_size=8)


@settings(deadline=None, max_examples=60)
@given(IDS, st.integers(1, 4), st.integers(1, 3), st.lists(st.integers(0, 600), max_size=3), st.randoms())
def test_killed_and_resumed_nothing_is_lost_or_repeated(ids, batch_size, processes, kills, order):
    """However many processes share the questions, in whatever order they write, and at whatever byte of the file each
    earlier run was killed: in the end every question has exactly one record, and whole records are never redone."""
    questions = [replace(ONE, id=name) for name in ids]
    with TemporaryDirectory() as folder:
        out, kept = Path(folder) / "answers.jsonl", b""
        for kill in [*kills, None]:
            for rank in [0, *order.sample(range(1, processes), processes - 1)]:  # process 0 begins
                fill(out, questions, batch_size=batch_size, rank=(rank, processes))
            content = out.read_bytes()
            assert content.startswith(kept)
            if kill is not None:
                os.truncate(out, min(kill, len(content)))
                kept = content[:min(kill, len(content))]
                kept = kept[:kept.rfind(b"\n") + 1]
        _, *records = lines(out)
    assert sorted(map(repr, (record["id"] for record in records))) == sorted(map(repr, ids))
    assert all(record["text"] == f"ä\n{record['id']}" for record in records)


@pytest.mark.parametrize("change", [
    {"turns": (("Which?", ()),)}, {"images": ("a.png",)}, {"options": ("x",)}, {"turns": (("What?", ("right",)),)},
])
def test_an_answer_to_another_question_of_the_same_id_is_not_taken_over(change, tmp_path):
    """It is asked again, and of two records the last counts."""
    path = tmp_path / "file"
    fill(path)
    file = fill(path, [replace(ONE, **change)], lambda questions: [{"text": "new"}])
    assert [record["text"] for record in lines(path)[1:]] == ["ä\n1", "new"] and file.records[1]["text"] == "new"
    fill(path, [replace(ONE, **change)], never)


def test_a_question_that_failed_is_asked_again_and_not_written_twice(tmp_path):
    path = tmp_path / "file"
    for _ in range(2):
        fill(path, ask=lambda questions: [{"error": "the drive is away"}])
    assert [record.get("error") for record in lines(path)[1:]] == ["the drive is away"]
    fill(path)
    assert lines(path)[2]["text"] == "ä\n1"
    fill(path, ask=never)


def test_other_settings_are_refused_by_name_and_the_file_is_left_alone(tmp_path):
    path = tmp_path / "file"
    fill(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="file holds answers with steps 1, and now it is 2; name another --out"):
        fill(path, ask=never, steps=2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [
    b"my thesis", b"my thesis\n", b'{"a": 1}\n', b"\xff\xfe\n", b'{"settings": 3}\n', b"[]\n", b"\n\nnotes\n", b"3\n",
    b'{"settings": {"steps": 1}, "mine": 2}', b'{"settings": 2', b'{"id": 1, "prompt": "a question"}\n',
])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no answers of ours; name another --out|by an earlier version"):
        fill(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b'{"id": 1, "text": "a", "tokens": [3]}\n', b'{"id": 1, "error": "a"}\nx\n',
                                     b'{"settings": {"steps": 1}}\n{"id": "1", "turns": [], "score": 1}\n'])
def test_files_of_earlier_versions_are_refused_with_what_to_do(tmp_path, content):
    """Of both commands: they did not note weights and questions."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="written by an earlier version, .* name another --out"):
        fill(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize("cut", [0, 1, 12, 24, 40])
def test_a_first_line_cut_short_is_begun_again(tmp_path, cut):
    """A run that was killed in its first moment."""
    fill(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "file").write_bytes(content[:cut])
    fill(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content


def test_half_a_line_that_others_wrote_behind_is_left_out(tmp_path):
    """As a full disk leaves it where other processes go on: both lines' questions are asked again."""
    path, questions = tmp_path / "file", [replace(ONE, id=name) for name in "abc"]
    fill(path, questions)
    first, *records = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, b'{"id": [1], "digest": "x"}\n', records[0], records[1][:15], records[2]]))
    asked = []
    fill(path, questions, lambda some: asked.extend(some) or reply(some))
    assert [question.id for question in asked] == ["b", "c"] and path.read_bytes().endswith(records[1] + records[2])


def test_a_device_is_written_to_and_never_read(tmp_path):
    """`--out /dev/stdout`, or a pipe: reading it might not end."""
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDWR)
    fill(tmp_path / "pipe")
    written = os.read(end, 10_000).splitlines()
    os.close(end)
    assert [list(json.loads(line)) for line in written] == [["settings"], ["id", "digest", "text", "tokens"]]


def test_a_full_disk_is_said_with_the_name_of_the_file():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        fill(Path("/dev/full"))


class InParts(io.FileIO):
    """A disk that takes seven bytes at once."""

    def write(self, text) -> int:
        return super().write(text[:7])


def test_a_record_is_whole_in_however_many_parts_it_is_written(tmp_path):
    with AnswerFile(tmp_path / "file") as file:
        file.file = InParts(tmp_path / "file", "a+b")
        file.begin({"steps": 1})
        file.fill([ONE], prompts, reply, 1, "asking")
    assert lines(tmp_path / "file")[1:] == list(file.records.values()) and file.records[1]["text"] == "ä\n1"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="cannot be"):
            AnswerFile(path)


def test_several_processes_need_a_file_to_meet_in():
    for path in (None, Path("/dev/null")):
        with pytest.raises(InputError, match="the answers of several processes meet in a file"):
            fill(path, rank=(0, 2))


def interrupted(questions):
    """Ctrl-C at the second question."""
    if questions[0].id == 2:
        raise KeyboardInterrupt
    return reply(questions)


def test_what_is_kept_is_said_only_where_something_is(tmp_path):
    """As a note of the error: once it named a file that was not there."""
    for path, count in ((tmp_path / "file", 0), (tmp_path / "file", 1), (None, 0)):
        with pytest.raises(KeyboardInterrupt) as caught:
            fill(path, [ONE] * count + [replace(ONE, id=2)], interrupted, 1)
        notes = getattr(caught.value, "__notes__", [])
        assert notes == [f"{path} holds what was answered, and the same command goes on from there"] * count


# The lock.


def hold(path: Path, held):
    with AnswerFile(path) as file:
        file.begin({"steps": 1, "stop": ["a"]})
        held.set()
        time.sleep(600)


def test_a_second_run_is_refused_in_one_line_until_the_first_is_dead(tmp_path, capsys, monkeypatch):
    """Both commands ask before they load anything; SIGKILL lets go of the lock."""
    for command in (generate, evaluate):
        monkeypatch.setattr(command, "load_pretrained", None)
    path, questions = tmp_path / "file", tmp_path / "questions.jsonl"
    questions.write_text('{"prompt": "Hi"}\n')
    held = CONTEXT.Event()
    first = start(tmp_path / "first", hold, path, held)
    try:
        assert held.wait(300)
        with pytest.raises(InputError, match="file is in use by another run.*name another --out"):
            AnswerFile(path)
        for command, options in ((generate, ["--batch", str(questions)]),
                                 (evaluate, ["--benchmark", "small-world", "--count", "1"])):
            assert command.main([*options, "--out", str(path)]) == 2
            out, err = capsys.readouterr()
            assert out == "" and "in use by another run" in err and len(err.splitlines()) == 1
    finally:
        first.kill()
        first.join()
    assert first.exitcode == -signal.SIGKILL
    fill(path)


def test_a_killed_command_goes_on_where_it_was(tmp_path):
    """SIGKILL in the middle; the same command again ends with every answer, each once."""
    questions, out = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    questions.write_text("".join(json.dumps({"prompt": f"Is it {number}?"}) + "\n" for number in range(200)))
    options = ["--weights", str(CHECKPOINT), *COMMAND, "--gen-length", "4", "--batch", str(questions),
               "--out", str(out), "--batch-size"]
    process = start(tmp_path / "killed", generate.main, [*options, "2"])
    limit = time.monotonic() + 300
    while not (out.exists() and out.read_bytes().count(b"\n") > 1) and time.monotonic() < limit:
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    killed = out.read_bytes()
    killed = killed[:killed.rfind(b"\n") + 1]
    assert 1 < killed.count(b"\n") < 200
    assert generate.main([*options, "50"]) == 0
    assert [record["id"] for record in lines(out)[1:]] == list(range(1, 201))
    assert out.read_bytes().startswith(killed)


def both(*options: list[str]):
    for command, some in zip((generate, evaluate), options, strict=True):
        command.run(command.parse_arguments(some))
    dist.destroy_process_group()


def test_two_processes_share_the_questions_of_either_command(tmp_path, capfd):
    """As under torchrun, with one file for both: every question is answered once, as one process answers it, and the
    first process prints the one table."""
    (tmp_path / "questions.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Is it {number}?"}) + "\n" for number in range(9)) + "broken\n")
    model = ["--weights", str(CHECKPOINT), "--device", "cpu", "--batch-size", "2"]
    batch = ["--batch", str(tmp_path / "questions.jsonl"), "--gen-length", "4", *model, "--out"]
    world = ["--benchmark", "small-world", "--lesson", "first-lesson", "--count", "2", "--steps", "1", *model, "--out"]
    for command, options in ((generate, batch), (evaluate, world)):
        assert command.main([*options, str(tmp_path / f"{options[0]} one")]) == 0
    alone = capfd.readouterr()
    out, err = run_two(tmp_path, both, *([*options, str(tmp_path / f"{options[0]} two")] for options in (batch, world)))
    assert out == alone.out and out.startswith("small world")
    for stderr in (alone.err, err):
        assert stderr.count("1 of 10 questions could not be answered") == 1
    for name, count in (("--batch", 10), ("--benchmark", 4)):
        first, *records = lines(tmp_path / f"{name} one")
        other, *found = lines(tmp_path / f"{name} two")
        assert other == first and len(records) == count
        assert sorted(map(str, found)) == sorted(map(str, records))


# The fingerprint of the weights.


def test_the_fingerprint_changes_with_every_weight():
    """With the first number of a tensor or the last, by the smallest change that there is; with some that change
    places; and with the config."""
    model, _ = golden_model()
    before = fingerprint(model)
    assert before == fingerprint(model)
    found = []
    for count, tensor in enumerate(model.state_dict().values()):
        number = tensor.view(-1)[-(count % 2)]
        kept = number.clone()
        number.copy_(torch.nextafter(kept, torch.full_like(kept, torch.inf)))
        found.append(fingerprint(model))
        number.copy_(kept)
    weight = model.language_model.lm_head.weight
    kept = weight[0].clone()
    weight[0] = kept.flip(0)
    found.append(fingerprint(model))
    weight[0] = kept
    assert fingerprint(model) == before and before not in found and len({*found}) == len(found) > 50
    config = model.config
    try:
        model.config = replace(config, autoregressive=True)
        assert fingerprint(model) != before
    finally:
        model.config = config


def test_the_fingerprint_changes_with_the_type_of_the_arithmetic(monkeypatch):
    model, _ = golden_model()
    before = fingerprint(model)
    monkeypatch.setattr(answers, "AT_ONCE", 1000)
    assert fingerprint(model) == before  # however many numbers are summed up at once
    monkeypatch.setattr(model, "compute_dtype", torch.bfloat16)
    assert fingerprint(model) != before
