"""The study: runs that are compared differ by one thing, are made once and go on after a kill, and tables say what the
results say."""

import json
import math
import re
import shlex
import signal
import subprocess
import sys
import time
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import mean

import pytest
import torch
from golden_data import golden_model, picture
from hypothesis import given
from hypothesis import strategies as st

from minllada_v import InputError, SamplerConfig, answer
from minllada_v.answer import encode_images
from minllada_v.chat import MASK
from minllada_v.errors import RunError
from minllada_v.evaluation.benchmarks import BENCHMARKS
from minllada_v.evaluation.questions import Question
from minllada_v.tokenizer_json import read_tokenizer
from minllada_v.training.batch import dialogue_causal_mask, masked
from minllada_v.training.options import parse_arguments
from minllada_v.world.scenes import SIZES as PICTURES

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tutorials" / "study"))

import figures  # noqa: E402
import lessons  # noqa: E402
import measure  # noqa: E402
import plan  # noqa: E402
import run as study  # noqa: E402

TRAINED = [figure for figure in plan.FIGURES if figure != "orders"]
SCALES = {"full": plan.FULL, "quick": plan.QUICK}


def without(command: str, run: plan.Run, *options: str) -> str:
    """A command without the name of its run, and without some options."""
    for option in options:
        command = command.replace(option, "")
    return command.replace(run.name, "RUN")


def training_options(words: list[str]) -> list[str]:
    """What a command says to `minllada_v.train`, whether it calls that or a script around it; [] for another one."""
    if words[1:3] == ["-m", "minllada_v.train"]:
        return words[3:]
    if words[1:3] == ["tutorials/study/padding.py", "--padding"]:
        return words[4:]
    return words[words.index("--out"):] if words[1] == "tutorials/study/along.py" else []


# The plan.


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("figure", plan.FIGURES)
def test_every_command_is_sound_and_has_what_it_needs(figure, scale):
    """Options parse, data is drawn before, checkpoints come from a stage before; no two runs share a folder."""
    runs = plan.RUNS[figure]("F", SCALES[scale])
    assert len({run.name for run in runs}) == len(runs) > 1
    there, sets = set(), set()

    def check(command: str):
        words = shlex.split(command)
        if options := training_options(words):
            [stage] = parse_arguments(options)
            for needed in (stage.start, stage.language, stage.vision):
                assert needed is None or str(needed.parent) in there, command
            assert stage.data is None or str(stage.data) in sets, command
            assert str(stage.out) not in there
            there.add(str(stage.out))
        elif words[1] == "tutorials/study/lessons.py":
            out, counts = words[words.index("--out") + 1], words[words.index("--counts") + 1:words.index("--out")]
            sets.update(f"{out}/{count}.json" for count in counts)
        elif words[1] == "tutorials/study/plain_heads.py":
            assert str(Path(words[words.index("--from") + 1]).parent) in there
            there.add(str(Path(words[words.index("--out") + 1]).parent))
        else:
            assert words[:2] == ["python", "tutorials/study/measure.py"]
            assert "--weights" not in words or str(Path(words[words.index("--weights") + 1]).parent) in there

    for _, command in plan.preparations(figure, "F", SCALES[scale]):
        check(command)
    for run in runs:
        for command in run.commands:
            check(command)


def test_the_study_is_as_large_as_it_says():
    """Four sizes that are 16 times apart, three seeds and more; small sets come 128 times or until 4,000 updates."""
    assert len(plan.SIZES) >= 4 and plan.SIZES[-1] == 16 * plan.SIZES[0] and list(plan.SIZES) == sorted(plan.SIZES)
    assert len(plan.SEEDS) >= 3 and plan.SIZES[-1] == plan.BATCH * plan.UPDATES
    assert len(plan.FULL.more_seeds) >= 4 and len(plan.FULL.many_seeds) >= 8
    assert max(plan.REPEATED.values()) == 128
    assert max(size // plan.BATCH * epochs for size, epochs in plan.REPEATED.items()) == 4000
    updates = [sum(int(number) for figure in TRAINED for run in plan.RUNS[figure]("F", scale)
                   for command in run.commands for number in re.findall(r" --out .*--steps (\d+)", command))
               for scale in (plan.FULL, plan.QUICK)]
    assert 0.03 < updates[1] / updates[0] < 0.06


DIFFER = {  # what tells compared runs apart, and all that they may differ by
    "data": ("method", [" --autoregressive"]),
    "rates": ("heads", ["/vision/last", "/plain/last"]),
    "repeats": ("method", [" --autoregressive", " 1.2e-3", " 6e-4"]),
    "masks": ("mask", [" --attention dialogue-causal", " --attention prompt-first", "-prompt-first/last", "/last"]),
    "padding": ("padding", [f" --padding {way}" for way in plan.PADDINGS]),
}


@pytest.mark.parametrize("figure", DIFFER)
def test_runs_that_are_compared_differ_by_one_thing(figure):
    key, differences = DIFFER[figure]
    compared = {}
    for run in plan.RUNS[figure]("F", plan.FULL):
        others = tuple(value for name, value in run.settings.items() if name != key)
        compared.setdefault((run.seed, others), []).append(run)
    assert compared
    for runs in compared.values():
        assert len({run.settings[key] for run in runs}) == len(runs) > 1
        assert len({tuple(without(command, run, *differences) for command in run.commands) for run in runs}) == 1
        assert all(run.commands[0].count("--seed") == 1 for run in runs)


def test_with_and_without_alignment_models_learn_for_as_many_updates():
    runs = plan.stages_runs("F", plan.FULL)
    assert {run.settings["aligned"] for run in runs} == {True, False}
    for run in runs:
        trained = [int(number) for command in run.commands for number in re.findall(r"train .*--steps (\d+)", command)]
        assert sum(trained) == run.settings["updates"] and len(trained) == 1 + run.settings["aligned"]


# What is learned, and what is asked.


@pytest.mark.parametrize("lesson", lessons.ABILITIES)
def test_answers_fit_on_the_canvas_and_pictures_are_as_the_lesson_says(lesson):
    tokenizer = read_tokenizer(ROOT / "tutorials" / "study" / "model" / "tokenizer.json")
    room = plan.TURN if lesson == "dialogues" else plan.CANVAS
    samples = list(islice(lessons.draw(lesson, 4), 150))
    assert {sample.ability for sample in samples} == {*lessons.ABILITIES[lesson]}
    for sample in samples:
        for message in sample.conversation[1::2]:
            assert len(tokenizer.encode(message["value"])) + 1 <= room
        assert not any("where" in message["value"] for message in sample.conversation)
        assert lesson != "dialogues" or sample.conversation[0]["value"].startswith("<image>wh")
        if lesson == "reading":
            words = sample.conversation[0]["value"].split("\n")
            assert not sample.pictures and "<image>" not in words[0] and len(words) == 2
            assert all(thing.colour in words[0] and thing.name in words[0] for thing in sample.scenes[0])
        else:
            assert [shown.size for shown in sample.pictures] == [PICTURES[0]]
    held_out = [sample.conversation for sample in islice(lessons.draw(lesson, 4, "test"), 150)]
    assert held_out != [sample.conversation for sample in samples]


@pytest.mark.parametrize("lesson", ["questions", "reading"])
def test_a_small_set_is_the_beginning_of_a_large_one_and_a_half_written_folder_is_none(tmp_path, lesson):
    out = tmp_path / "set"
    out.with_name("set.unfinished").mkdir()
    (out.with_name("set.unfinished") / "rubbish").touch()
    command = ["--lesson", lesson, "--seed", "1", "--counts", "3", "7", "--out", str(out)]
    assert lessons.main(command) == 0
    small, large = (json.loads((out / f"{count}.json").read_text()) for count in (3, 7))
    assert large[:3] == small and len(large) == 7 and not out.with_name("set.unfinished").exists()
    drawn = [sample.conversation for sample in islice(lessons.draw(lesson, 1), 7)]
    assert [entry["conversations"] for entry in large] == drawn
    assert all((out / entry["image"]).exists() for entry in large if "image" in entry)
    assert lessons.main(command) == 2




def judge(gen_length: int, model=None):
    golden, tokenizer = golden_model("cpu")
    benchmark = measure.replace(BENCHMARKS["small-world"], sampler=SamplerConfig(gen_length))
    return measure.Judge(model or golden, tokenizer, benchmark, "Be brief.")


def test_without_a_history_it_makes_no_difference_that_earlier_turns_see_nothing_of_the_last():
    model, tokenizer = golden_model("cpu")
    for shown in ([], [picture(0)]):
        usual = answer(model, tokenizer, "What?", shown, system="Be brief.", sampler=SamplerConfig(4))
        assert usual == measure.answer_by_turns(model, tokenizer, "What?", shown, [], "Be brief.", SamplerConfig(4))


def test_in_a_dialogue_earlier_turns_are_hidden_from_the_last_question():
    """Oracle: one pass over the whole conversation with the mask of the turns, and the likeliest token of each place
    taken where the model is surest, until all are filled in."""
    model, tokenizer = golden_model("cpu")
    history, shown, length = [("What is it?", "A cat.")], [picture(0)], 3
    said = measure.answer_by_turns(model, tokenizer, "Which colour?", shown, history, "", SamplerConfig(length))
    features = encode_images(model, shown)
    ids = measure.prompt_ids(tokenizer, "Which colour?", features, history, "")
    first_turn = len(measure.prompt_ids(tokenizer, *history[0][:1], features, [], "")) + len(
        tokenizer.encode("A cat.")) + 1
    canvas = torch.cat([ids, torch.full((length,), tokenizer.token_id(MASK))])
    turn_ids = (torch.arange(len(canvas)) >= first_turn).int()[None]
    never = [tokenizer.special[name] for name in (
        "<|endoftext|>", "<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|mdm_mask|>")]
    for _ in range(length):
        p = model(canvas, features, attend=masked(dialogue_causal_mask(turn_ids)))[-length:].double()
        p[:, never] = -torch.inf
        best, tokens = p.softmax(dim=-1).max(dim=-1)
        best[canvas[-length:] != tokenizer.token_id(MASK)] = -1
        canvas[len(ids) + best.argmax()] = tokens[best.argmax()]
    end = tokenizer.special["<|eot_id|>"]
    tokens = canvas[-length:].tolist()
    tokens = tokens[:tokens.index(end)] if end in tokens else tokens
    assert said == tokenizer.decode(tokens, skip_special_tokens=True).strip()
    usual = answer(model, tokenizer, "Which colour?", shown, history=history, system="", sampler=SamplerConfig(length))
    assert isinstance(usual, str)


def test_right_answers_are_counted_by_ability_and_by_turn():
    """A twin is asked as a twin; a dialogue is right if all of it is."""
    model, tokenizer = golden_model("cpu")
    model = copy(model)
    model.config = replace(model.config, autoregressive=True)
    sampler = SamplerConfig(3)
    first = answer(model, tokenizer, "What?", system="Be brief.", sampler=sampler)
    second = answer(model, tokenizer, "And?", history=[("What?", first)], system="Be brief.", sampler=sampler)
    questions = [Question("1", "dialogue", (("What?", (first,)), ("And?", (second,)))),
                 Question("2", "dialogue", (("What?", (first,)), ("And?", ("never",)))),
                 Question("3", "colour", (("What?", (first,)),)), Question("4", "colour", (("What?", ("never",)),))]
    assert measure.right_answers(measure.ask(judge(3, model), questions)) == {
        "dialogue": [1, 2], "turn 1": [2, 2], "turn 2": [1, 2], "colour": [1, 2]}
    broken = [Question("5", "colour", (("<image> <image>", ("red",)),), images=(picture(0),))]
    with pytest.raises(InputError):
        measure.ask(judge(3), broken)


# Making runs.


def printing(run: str, seed: int, seconds: float = 0.0, code: int = 0) -> plan.Run:
    """A run that takes no training: it notes that it was made, and prints what it measured."""
    script = (f"import json, sys, time; open({run!r}, 'a').write('x'); time.sleep({seconds}); "
              "print(json.dumps({'gen_length': 5, 'right': {'colour': [3, 4], 'turn 1': [9, 9]}})); "
              f"print('because', file=sys.stderr); sys.exit({code})")
    return plan.Run(Path(run).name, seed, {"rule": "random", "steps": 5}, (f"python -c {shlex.quote(script)}",))


def planned(monkeypatch, runs: list[plan.Run]):
    monkeypatch.setitem(plan.RUNS, "orders", lambda folder, scale: runs)


def test_a_run_is_made_once_and_its_result_says_how(tmp_path, monkeypatch):
    runs = [printing(str(tmp_path / name), seed) for seed, name in enumerate("abc")]
    planned(monkeypatch, runs)
    for _ in range(2):
        study.work("orders", tmp_path / "work", tmp_path / "results", False, 2)
    entries = sorted(figures.read_results("orders", tmp_path / "results"), key=lambda entry: entry["run"])
    assert [(tmp_path / name).read_text() for name in "abc"] == ["x"] * 3
    for seed, entry in enumerate(entries):
        assert entry["seed"] == seed and entry["commands"] == list(runs[seed].commands) and entry["seconds"] > 0
        assert entry["accuracy"] == 75 and entry["right"]["turn 1"] == [9, 9] and entry["steps"] == 5
    planned(monkeypatch, [*runs, printing(str(tmp_path / "d"), 7)])
    study.work("orders", tmp_path / "work", tmp_path / "results", False, 2)
    assert len(figures.read_results("orders", tmp_path / "results")) == 4 and (tmp_path / "a").read_text() == "x"


def test_a_run_that_fails_is_named_with_its_reason_and_the_others_are_kept(tmp_path, monkeypatch):
    planned(monkeypatch, [printing(str(tmp_path / "good"), 1), printing(str(tmp_path / "bad"), 2, 0.2, code=3)])
    with pytest.raises(RunError, match="(?s)ended with code 3; .*bad.txt ends with: because"):
        study.work("orders", tmp_path / "work", tmp_path / "results", False, 1)
    assert [entry["run"] for entry in figures.read_results("orders", tmp_path / "results")] == ["good"]


KILLED = """
import sys
sys.path[:0] = {paths}
import plan, run
from pathlib import Path
from test_study import printing
base = Path({base!r})
plan.RUNS["orders"] = lambda folder, scale: [printing(str(base / "quick"), 1), printing(str(base / "slow"), 2, 1.0)]
run.work("orders", base / "work", base / "results", False, 1)
"""


def test_killed_it_leaves_a_lock_to_its_last_child_and_then_goes_on_where_it_was(tmp_path, monkeypatch):
    """SIGKILL while the second run is at work: nobody else works beside that, and what was made is not made again."""
    paths = [str(folder) for folder in (ROOT / "tutorials" / "study", ROOT / "tests", ROOT)]
    script = KILLED.format(paths=paths, base=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "slow").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    runs = [printing(str(tmp_path / "quick"), 1), printing(str(tmp_path / "slow"), 2)]
    planned(monkeypatch, [runs[0], plan.Run("slow", 2, runs[1].settings, runs[1].commands)])
    with pytest.raises(InputError, match="a study is at work"):
        study.work("orders", tmp_path / "work", tmp_path / "results", False, 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            study.work("orders", tmp_path / "work", tmp_path / "results", False, 1)
            break
        except InputError:
            time.sleep(0.2)
    assert {entry["run"] for entry in figures.read_results("orders", tmp_path / "results")} == {"quick", "slow"}
    assert (tmp_path / "slow").read_text() == "xx"


# Tables and figures.


def test_a_line_that_a_kill_cut_short_is_left_out_and_the_newest_of_a_run_counts(tmp_path):
    for accuracy in (1, 2):
        figures.add_result("data", tmp_path, {"run": "a", "accuracy": accuracy})
    with (tmp_path / "data.jsonl").open("a") as file:
        file.write('{"run": "b", "accu')
    assert figures.read_results("data", tmp_path) == [{"run": "a", "accuracy": 2}]
    figures.add_result("data", tmp_path, {"run": "c", "accuracy": 3})
    assert [entry["run"] for entry in figures.read_results("data", tmp_path)] == ["a", "c"]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=6))
def test_a_difference_is_taken_seed_by_seed(pairs):
    """Its middle is the mean of the differences, and seeds that only one has count nowhere."""
    first, second = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in (0, 1))
    found = figures.difference(first, second | {99: 50.0})
    middle = mean(b - a for a, b in pairs)
    numbers = [float(number) for number in re.findall(r"[-+][\d.]+", found)]
    assert numbers[0] == pytest.approx(middle, abs=0.051)
    if len(pairs) > 1:
        assert numbers[1] <= numbers[0] <= numbers[2] and sum(numbers[1:]) / 2 == pytest.approx(middle, abs=0.11)


def test_the_interval_is_students():
    """By hand: differences 1, 2, 3 have mean 2 and deviation 1, so 2 ± 4.303 / √3."""
    assert figures.difference({1: 0.0, 2: 0.0, 3: 0.0}, {1: 1.0, 2: 2.0, 3: 3.0}) == "+2.0 (-0.5 to +4.5)"
    assert 4.303 / math.sqrt(3) == pytest.approx(2.484, abs=1e-3)


def entries_of(figure: str) -> list[dict]:
    """A result for each run of the plan, with an accuracy that tells it apart."""
    made = []
    for number, run in enumerate(plan.RUNS[figure]("F", plan.FULL)):
        names = ("colour", "shape", "count", "describe", "dialogue", "turn 1", "turn 2")
        right = {name: [number % 10, 10] for name in names}
        entry = {"run": run.name, "seed": run.seed, **run.settings, "accuracy": number % 100, "gen_length": 20,
                 "right": right, "wrong_length": number % 100, "tokens": 10 * number + 10, "passes": 5,
                 "each": "01" * (number % 7) + "1" * 20}
        if figure == "repeats":
            each = run.settings["samples"] // plan.BATCH
            entry["curve"] = [{"updates": each * epochs, "loss": 1.5, "right": {"colour": [number, 100]}}
                              for epochs in plan.MARKS if epochs < run.settings["epochs"]]
            entry["curve"].append({"updates": each * run.settings["epochs"], "loss": 2, "right": {"colour": [9, 10]}})
        made.append(entry)
    return made


@pytest.mark.parametrize("figure", plan.FIGURES)
def test_every_run_of_the_plan_has_its_place_in_the_table_and_in_the_figure(figure):
    """The means of the table, weighted by their seeds, are the mean of all runs, whichever was done first; and a figure
    is drawn."""
    entries = entries_of(figure)
    text = figures.table(figure, entries)
    assert figures.table(figure, entries[::-1]) == text
    assert figures.chart(figure, entries).size[0] == 800
    tables = {"stages": figures.by_stages, "rates": figures.by_rate}
    if figure in tables:
        found = tables[figure](entries)
        values = [value for numbers in found.values() for seeds in numbers.values() for value in seeds.values()]
        assert sorted(values) == sorted(entry["accuracy"] for entry in entries)
    if figure == "data":
        assert all(f"{size} samples" in text for size in plan.SIZES)
        assert all(f"{updates} updates" in text for updates in (*plan.LONGER, plan.UPDATES))
        assert figures.table(figure, entries, "describe") != text
    if figure == "repeats":
        for size, epochs in plan.REPEATED.items():
            found = figures.by_epochs(entries, size)
            assert [place[1] for place in figures.rows(found)] == sorted({*plan.MARKS, epochs}, key=int)[
                :1 + sorted({*plan.MARKS, epochs}).index(epochs)]
            assert {len(seeds) for numbers in found.values() for seeds in numbers.values()} == {4}
    if figure == "orders":
        assert len(text.splitlines()) == 1 + len(plan.STEPS) * len(plan.RULES)
    assert len(text.splitlines()) > 2 and figures.table(figure, []) == figures.NOTHING.format(figure)
    assert figures.chart(figure, []).size[0] == 800


def test_one_method_is_told_from_another_by_the_numbers_that_belong_to_it():
    entries = [{"run": f"{method}{seed}", "seed": seed, "method": method, "samples": 400, "updates": 400,
                "accuracy": accuracy + seed} for method, accuracy in (("diffusion", 50), ("autoregression", 70))
               for seed in (1, 2, 3)]
    line = figures.text_table(figures.by_samples(entries)).splitlines()[1]
    assert line.split("  ")[0] == "400 samples" and "52.0 (51.0 to 53.0)" in line and "72.0 (71.0 to 73.0)" in line
    assert line.endswith("+20.0 (+20.0 to +20.0)")
