"""The evaluation command: what is asked, what is written down, and that nothing answered is ever lost."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from device import COMMAND, DEVICE
from golden_data import CHECKPOINT, golden_model, picture

from minllada_v import SamplerConfig, answer, evaluate
from minllada_v.answer import Answer, encode_images, prompt_ids
from minllada_v.autoregressive import causal
from minllada_v.evaluate import main
from minllada_v.evaluation.answers import AnswerFile
from minllada_v.evaluation.benchmarks import BENCHMARKS, prompts
from minllada_v.evaluation.likelihood import answer_bounds, likelihood_bound
from minllada_v.evaluation.questions import sample_question, world_questions
from minllada_v.training.batch import Batch, denoiser
from minllada_v.world.lessons import LESSONS
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import draw_sample
from minllada_v.world.scenes import SIZES

MODEL, TOKENIZER = golden_model()
WORLD = ["--benchmark", "small-world", "--weights", str(CHECKPOINT), *COMMAND, "--count", "2"]
QUESTIONS = [{"id": f"q{index}", "question": f"Which is it, {index}?", "options": ["cat", "dog", "owl"],
              "answer": "ABC"[index % 3], "image": "a.png", "group": "even" if index % 2 == 0 else "odd"}
             for index in range(5)]


@pytest.fixture
def choice(tmp_path) -> list[str]:
    """Arguments for a multiple choice with five questions about one picture."""
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    return ["--benchmark", "mmstar", "--weights", str(CHECKPOINT), *COMMAND,
            "--data", str(tmp_path / "data.jsonl"), "--out", str(tmp_path / "out" / "answers.jsonl")]


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line."""
    try:
        code = main(list(arguments))
    except SystemExit as end:  # argparse
        code = end.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def records(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()[1:]]


def answering(monkeypatch, say) -> list[str]:
    """Let `say(prompt, images, video, history)` answer in place of the model; returns the requests."""
    asked = []

    def stand_in(model, tokenizer, requests):
        replies = []
        for request in requests:
            replies.append(Answer(say(request.prompt, request.images, request.video, request.history), []))
            asked.append(request)
        return replies

    monkeypatch.setattr(evaluate, "answer_batch", stand_in)
    return asked


def oracle() -> dict[tuple, str]:
    """The right answer to each turn of the small world's questions, if those before were answered rightly."""
    known = {}
    for question in world_questions(2):
        shown, history = tuple(picture.tobytes() for picture in question.video or question.images), ()
        for text, (right,) in question.turns:
            known[shown, history, text] = right
            history += ((text, right),)
    return known


def test_who_knows_the_small_world_has_everything_right(capsys, monkeypatch):
    """Every picture, frame, question and earlier turn reaches the one who answers."""
    known = oracle()
    answering(monkeypatch, lambda prompt, images, video, history: known[
        tuple(picture.tobytes() for picture in video or images), tuple(history), prompt])
    code, out, err = run(capsys, *WORLD)
    assert code == 0 and "64/64" in err
    rows = [line.rsplit(maxsplit=5)[:3] for line in out.splitlines()]
    assert ["overall", "64", "100.0"] in rows and ["motion, new", "2", "100.0"] in rows
    assert sum(row[1:] == ["2", "100.0"] for row in rows) == 32


def test_of_a_lesson_only_its_abilities_are_asked_on_pictures_of_its_sizes(capsys, monkeypatch, tmp_path):
    """With no more shapes than in its training; and answers to one lesson are not taken for those to another."""
    asked = answering(monkeypatch, lambda *_: "red")
    out = tmp_path / "answers.jsonl"
    code, table, _ = run(capsys, *WORLD, "--lesson", "first-lesson", "--out", str(out))
    assert code == 0 and "overall" in table
    assert [row for row in ABILITIES if f"\n{row} " in table] == ["colour", "shape"]
    assert len(asked) == 4 and {request.images[0].size for request in asked} == {(48, 48)}
    assert world_questions(40, LESSONS["first-lesson"])[40:] == [
        sample_question(f"shape {seed}", draw_sample("shape", seed, "test", 2, SIZES[:1])) for seed in range(40)]
    code, _, err = run(capsys, *WORLD, "--out", str(out))
    assert code == 2 and "answers with lesson 'first-lesson'" in err


def test_the_system_text_and_the_length_are_the_models_own(capsys, monkeypatch, tmp_path):
    """What config.json says, unless the command line says something else; each token gets a step."""
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | {"system": "Look.", "gen_length": 6}
    (folder / "config.json").write_text(json.dumps(config))
    asked = answering(monkeypatch, lambda *_: "red")
    run(capsys, *WORLD, "--count", "1", "--weights", str(folder))
    assert {(request.system, request.sampler) for request in asked} == {("Look.", SamplerConfig(6))}
    asked = answering(monkeypatch, lambda *_: "red")
    run(capsys, *WORLD, "--count", "1", "--weights", str(folder), "--system", "", "--steps", "2")
    assert {(request.system, request.sampler) for request in asked} == {("", SamplerConfig(6, steps=2))}


def test_a_dialogue_goes_on_from_the_models_own_answer_and_needs_every_turn(capsys, monkeypatch):
    """A wrong first answer stands in the second turn's history, and makes the dialogue wrong, whatever follows."""
    known, histories = {text: right for (_, _, text), right in oracle().items()}, []

    def say(prompt, images, video, history):
        histories.append(history)
        return known[prompt] if history else "mauve"

    answering(monkeypatch, say)
    out = run(capsys, *WORLD)[1]
    rows = [line.rsplit(maxsplit=5)[:3] for line in out.splitlines()]
    assert ["dialogue", "2", "0.0"] in rows and ["dialogue, new", "2", "0.0"] in rows
    second = [history for history in histories if history]
    assert len(second) >= 4 and all(history[0][1] == "mauve" for history in second)


def test_the_model_itself_is_asked(capsys, choice, tmp_path):
    """Without any stand-in the records hold what `answer` says to the prompt with its options and suffix."""
    assert run(capsys, *choice)[0] == 0
    benchmark = BENCHMARKS["mmstar"]
    for record, question in zip(records(tmp_path), QUESTIONS, strict=True):
        [turn] = record["turns"]
        assert turn["question"].startswith(question["question"] + "\nA. cat\nB. dog\nC. owl\nAnswer with the option's")
        assert turn["answer"] == answer(MODEL, TOKENIZER, turn["question"], [picture(0)], sampler=benchmark.sampler)
        assert record["id"] == question["id"] and record["group"] == question["group"] and "error" not in record


def test_every_score_is_written_down_and_counted(capsys, monkeypatch, choice, tmp_path):
    """Always "A": two of five are right, both in the group of even numbers or odd ones as they fall."""
    answering(monkeypatch, lambda *_: "A")
    code, out, _ = run(capsys, *choice)
    assert code == 0 and [record["score"] for record in records(tmp_path)] == [1, 0, 0, 1, 0]
    rows = [line.split()[:3] for line in out.splitlines()]
    assert ["even", "3", "33.3"] in rows and ["odd", "2", "50.0"] in rows and ["overall", "5", "40.0"] in rows


@pytest.mark.parametrize("batch_size", ["1", "2", "8"])
def test_interrupting_and_resuming_loses_and_repeats_nothing(capsys, monkeypatch, choice, tmp_path, batch_size):
    """Stopped at the fourth question, with a last line that was cut short: whole batches stay, the rest is asked, and
    the end is as if nothing had happened."""
    asked = answering(monkeypatch, lambda *_: "B")
    _, whole, _ = run(capsys, *choice)
    expected = records(tmp_path)
    (tmp_path / "out" / "answers.jsonl").unlink()

    def tired(*_):
        if len(asked) == 3:
            raise KeyboardInterrupt
        return "B"

    asked.clear()
    asked = answering(monkeypatch, tired)
    code, out, err = run(capsys, *choice, "--batch-size", batch_size)
    done = 3 // int(batch_size) * int(batch_size)
    assert code == 130 and out == "" and "interrupted" in err
    assert ("holds what was answered, and the same command goes on from there" in err) == (done > 0)
    assert records(tmp_path) == expected[:done]
    with (tmp_path / "out" / "answers.jsonl").open("a") as file:
        file.write('{"id": "q3", "gro')
    asked = answering(monkeypatch, lambda *_: "B")
    assert run(capsys, *choice, "--batch-size", batch_size)[1] == whole
    assert len(asked) == 5 - done and records(tmp_path) == expected
    asked.clear()
    assert run(capsys, *choice)[1] == whole and asked == []


def test_answers_to_another_question_do_not_count(capsys, monkeypatch, choice, tmp_path):
    """Where the file of questions has changed, those that changed are asked again."""
    answering(monkeypatch, lambda *_: "A")
    run(capsys, *choice)
    picture(1).save(tmp_path / "b.png")
    changed = [QUESTIONS[0] | {"answer": "C"}, *QUESTIONS[1:3], QUESTIONS[3] | {"image": "b.png"},
               QUESTIONS[4] | {"question": "What now?"}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(question) + "\n" for question in changed))
    asked = answering(monkeypatch, lambda *_: "C")
    out = run(capsys, *choice)[1]
    assert len(asked) == 3 and "What now?" in asked[2].prompt
    assert ["overall", "5", "20.0"] in [line.split()[:3] for line in out.splitlines()]


@pytest.mark.parametrize(("more", "named"), [
    (["--steps", "1"], "steps 2, and now it is 1"),
    (["--system", "Be brief."], "system None, and now it is 'Be brief.'"),
    (["--score", "likelihood"], "and now it is"), (["--dtype", "bfloat16"], "weights"),
    (["--benchmark", "ai2d"], "benchmark 'mmstar', and now it is 'ai2d'"),
])
def test_answers_of_other_settings_are_left_alone(capsys, monkeypatch, choice, tmp_path, more, named):
    answering(monkeypatch, lambda *_: "A")
    run(capsys, *choice)
    before = (tmp_path / "out" / "answers.jsonl").read_bytes()
    code, out, err = run(capsys, *choice, *more)
    assert code == 2 and out == "" and named in err and "name another --out" in err
    assert (tmp_path / "out" / "answers.jsonl").read_bytes() == before


def test_what_cannot_be_asked_is_named_counted_as_wrong_and_tried_again(capsys, monkeypatch, choice, tmp_path):
    """A picture that is broken stops nothing, and the exit code tells."""
    (tmp_path / "broken.png").write_bytes(b"no picture")
    some = [*QUESTIONS[:2], QUESTIONS[2] | {"image": "broken.png"}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(question) + "\n" for question in some))
    code, out, err = run(capsys, *choice)
    assert code == 1 and "1 of 3 questions could not be asked, and count as wrong; the first: q2: " in err
    assert "broken.png is not a picture" in err and ["overall", "3"] in [line.split()[:2] for line in out.splitlines()]
    assert [record["id"] for record in records(tmp_path) if "error" in record] == ["q2"]
    picture(0).save(tmp_path / "broken.png")
    asked = answering(monkeypatch, lambda *_: "C")
    assert run(capsys, *choice)[0] == 0 and len(asked) == 1


def test_a_full_disk_is_said_and_keeps_what_was_written(capsys, monkeypatch, choice, tmp_path):
    answering(monkeypatch, lambda *_: "A")
    add, count = AnswerFile.add, []

    def full(self, lines):
        count.append(lines)
        if len(count) == 3:
            raise OSError(28, "No space left on device")
        add(self, lines)

    monkeypatch.setattr(AnswerFile, "add", full)
    code, out, err = run(capsys, *choice, "--batch-size", "1")
    assert code == 1 and out == "" and "No space left on device" in err and len(records(tmp_path)) == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["--benchmark", "mmstar"], "needs --data FILE"),
    (["--benchmark", "mmstar", "--data", "x"], "--out FILE"),
    (["--benchmark", "small-world", "--data", "x"], "leave out --data"),
    (["--benchmark", "small-world", "--count", "0"], "--count must be at least 1"),
    (["--benchmark", "hats"], "invalid choice"),
    ([*WORLD, "--score", "likelihood"], "score it by generation"),
    ([*WORLD, "--lesson", "hats"], "invalid choice"),
    (["--benchmark", "pope", "--data", "x", "--out", "y", "--lesson", "colour"], "--lesson are for small-world"),
    ([*WORLD, "--steps", "0"], "--steps must be at least 1"),
    (["--benchmark", "mmstar", "--data", "none.jsonl", "--out", "x"], "none.jsonl does not exist"),
    ([*WORLD, "--weights", "nowhere"], "nowhere"),
])
def test_what_makes_no_sense_is_said_in_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and message in err and "Traceback" not in err


def test_a_picture_that_was_replaced_is_asked_about_again(capsys, monkeypatch, choice, tmp_path):
    """Under the name that it had. Once its old answers stood for the new picture."""
    answering(monkeypatch, lambda *_: "A")
    run(capsys, *choice)
    picture(1).save(tmp_path / "a.png")
    asked = answering(monkeypatch, lambda *_: "B")
    run(capsys, *choice)
    assert len(asked) == 5 and [record["turns"][0]["answer"] for record in records(tmp_path)] == ["A"] * 5 + ["B"] * 5


def test_mme_with_a_name_for_each_question_is_refused_before_anything_is_asked(capsys, monkeypatch, choice, tmp_path):
    picture(0).save(tmp_path / "b.png")
    asked = answering(monkeypatch, lambda *_: "Yes")
    for other, code in (("b.png", 2), ("a.png", 0)):
        questions = [{"question": f"Is it {index}?", "answer": answer, "group": "count", "image": name}
                     for index, (name, answer) in enumerate([("a.png", "Yes"), (other, "No")])]
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
        found, out, err = run(capsys, *choice, "--benchmark", "mme")
        assert found == code and ("give the same name in both" in err) == bool(code) == (not asked)
    assert ["count", "2", "50.0"] in [line.split()[:3] for line in out.splitlines()]  # accuracy 50, accuracy⁺ 0


def test_likelihood_takes_the_option_with_the_lowest_bound(capsys, choice, tmp_path):
    """The records hold the bound of each letter, and the answer is the letter where it is lowest."""
    code, out, _ = run(capsys, *choice, "--score", "likelihood")
    assert code == 0 and "likelihood" in out
    features = encode_images(MODEL, [picture(0)])
    for record in records(tmp_path):
        [turn] = record["turns"]
        assert list(turn["nats"]) == ["A", "B", "C"] and turn["answer"] == min(turn["nats"], key=turn["nats"].get)
        assert record["score"] == (turn["answer"] == turn["expected"][0])
    bounds = answer_bounds(MODEL, TOKENIZER, turn["question"], "ABC", features)
    assert list(turn["nats"].values()) == pytest.approx(bounds)


@pytest.mark.parametrize("text", ["A", "a cat that looks at you"])
def test_looking_at_each_mask_once_changes_no_bound(text):
    """The bound of an answer and its end of turn is the mean of what `loss.py` estimates, with the same draws."""
    features = encode_images(MODEL, [picture(0)])
    ids = prompt_ids(TOKENIZER, "What is it?", features)
    row = torch.cat([ids, torch.tensor([*TOKENIZER.encode(text), TOKENIZER.token_id("<|eot_id|>")])])[None].to(DEVICE)
    labels = row.clone()
    labels[:, :len(ids)] = -100
    with torch.no_grad():
        estimates = likelihood_bound(denoiser(MODEL, Batch(row, labels, tuple(features), None)), row, labels,
                                     TOKENIZER.token_id("<|mdm_mask|>"), 9, torch.Generator().manual_seed(5))
    [bound] = answer_bounds(MODEL, TOKENIZER, "What is it?", [text], features, draws=9, seed=5)
    assert bound == pytest.approx(estimates.mean().item(), rel=1e-4)


def test_the_bounds_are_those_behind_the_models_own_system_text(monkeypatch):
    expected = answer_bounds(MODEL, TOKENIZER, "What?", ["Yes"], system="Look.")
    monkeypatch.setattr(MODEL, "config", replace(MODEL.config, system="Look."))
    assert answer_bounds(MODEL, TOKENIZER, "What?", ["Yes"]) == expected


def test_an_answer_of_two_tokens_takes_three_passes_whatever_the_draws(monkeypatch):
    passes = []
    forward = MODEL.language_model.forward
    monkeypatch.setattr(MODEL.language_model, "forward", lambda *args: passes.append(1) or forward(*args))
    answer_bounds(MODEL, TOKENIZER, "Yes or no?", ["A", "B"])
    assert len(passes) == 6


def test_the_likelihood_of_a_twin_is_that_of_each_token_behind_those_before(monkeypatch):
    """Exactly: the product over the tokens of the answer and its end, one causal pass for each."""
    monkeypatch.setattr(MODEL, "config", replace(MODEL.config, autoregressive=True))
    features = encode_images(MODEL, [picture(0)])
    ids = prompt_ids(TOKENIZER, "What is it?", features)
    answers = ["A", "a cat that looks"]
    for text, bound in zip(answers, answer_bounds(MODEL, TOKENIZER, "What is it?", answers, features), strict=True):
        nats, said = 0.0, ids.tolist()
        for token in (*TOKENIZER.encode(text), TOKENIZER.token_id("<|eot_id|>")):
            with torch.no_grad():
                last = MODEL.language_model(MODEL.embed(torch.tensor([said], device=DEVICE), features), causal())[0, -1]
                nats -= MODEL.language_model.lm_head(last).log_softmax(dim=-1)[token].item()
            said.append(token)
        assert bound == pytest.approx(nats, rel=1e-4)


def test_a_twin_is_asked_as_any_model(capsys, monkeypatch, choice, tmp_path):
    monkeypatch.setattr(MODEL, "config", replace(MODEL.config, autoregressive=True))
    monkeypatch.setattr(evaluate, "load_pretrained", lambda *_: (MODEL, TOKENIZER))
    code, out, _ = run(capsys, *choice)
    assert code == 0 and "by generation, 2 tokens from left to right" in out
    sampler = BENCHMARKS["mmstar"].sampler
    for record in records(tmp_path):
        [turn] = record["turns"]
        assert turn["answer"] == answer(MODEL, TOKENIZER, turn["question"], [picture(0)], sampler=sampler)


def test_prompts_name_a_picture_where_the_question_does():
    """The small world's questions come with their <image>, as they are trained."""
    assert all(prompts(BENCHMARKS["small-world"], question)[0].startswith("<image>") for question in world_questions(1))
