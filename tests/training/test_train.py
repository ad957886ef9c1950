"""Training: the numbers of a run depend on its settings alone, not on interruptions, processes or memory savings; and
what goes wrong is said, with the last good checkpoint intact."""

import contextlib
import errno
import json
import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from device import COMMAND, DEVICE, alike, assert_close, same, same_files
from golden_data import CHECKPOINT, golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from started import run_two, start

import minllada_v.train
import minllada_v.training.checkpoints
import minllada_v.training.objectives
import minllada_v.training.step
from minllada_v import SamplerConfig, answer, load_pretrained
from minllada_v.chat import EOS, IGNORED
from minllada_v.checkpoint import FLOATS, open_tensors
from minllada_v.drawing.curve import draw_curve, smoothed
from minllada_v.masking import draw_times
from minllada_v.tensor_names import released_name
from minllada_v.train import main
from minllada_v.training.checkpoints import Log, recover, save_checkpoint
from minllada_v.training.data import LlavaData, WorldData, derive_seed
from minllada_v.training.distributed import Learner, distribute, own_weights, save_memory
from minllada_v.training.examples import Example, Examples
from minllada_v.training.objectives import choose_objective, choose_trainable, target_weights
from minllada_v.training.options import EXAMPLES, parse_arguments
from minllada_v.training.settings import Settings
from minllada_v.training.start import from_checkpoint, from_nothing
from minllada_v.training.step import learning_rate_factor
from minllada_v.world.lessons import LESSONS, PRESETS

BUILT_IN = Path(minllada_v.__file__).parent / "builtin"
SMALL = [*COMMAND, "--answer-length", "2", "--held-out", "2", "--batch-size", "2"]
GOLDEN = ["--from", str(CHECKPOINT)]
TUNE = Settings(Path("out"))
OLD_SETTINGS = {  # what a checkpoint of an earlier version has
    "data", "image-folder", "world", "start", "language", "vision", "config", "stage", "system", "canvas",
    "autoregressive", "attention", "batch-size", "learning-rate", "vision-learning-rate", "clip", "seed", "held-out",
    "dtype", "steps", "examples a step", "contents of data"}
WORLD = [*SMALL, *GOLDEN, "--world", "--learning-rate", "3e-3", "--steps", "6", "--save-every", "2",
         "--evaluate-every", "3"]


def run(capsys, *arguments) -> tuple[int, str]:
    """Exit code and the last line of stderr."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse
        code = end.code
    return code, capsys.readouterr().err.strip().split("\n")[-1]


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [entry["loss"] for entry in log(out) if "loss" in entry]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    return same_files(one / "model.safetensors", other / "model.safetensors")


def said(question: str, reply: str) -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": reply}]


def text_records(count: int) -> list[dict]:
    return [{"id": f"text {index}", "conversations": said("Say " + "very " * (index % 3) + "much", f"It is {index}.")}
            for index in range(count)]


def write(folder: Path, records: list[dict]) -> Path:
    (folder / "data.json").write_text(json.dumps(records))
    return folder / "data.json"


def trainable(fresh: bool = False) -> Learner:
    """The golden model or, `fresh`, one of its size with random weights as training draws them, ready to be trained."""
    start = from_nothing(CHECKPOINT / "config.json", seed=0) if fresh else from_checkpoint(CHECKPOINT)
    choose_trainable(start.model, "tune", True)
    own_weights(start.model)
    return Learner(start.model, start.tokenizer, choose_objective(TUNE, start.tokenizer)).to(DEVICE)


def drawn(count: int) -> list[Example]:
    model, tokenizer = golden_model()
    data = Examples(WorldData(LESSONS["everything"], seed=0), tokenizer, model.config, TUNE)
    return [data[number] for number in range(count)]


def gradients(learner: Learner, examples: list[Example]) -> dict[str, torch.Tensor]:
    learner.zero_grad()
    learner(examples, torch.full((len(examples),), 0.5), range(len(examples))).mean().backward()
    return {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("finished")
    assert main(["--out", str(out), *WORLD]) == 0
    return out


# What a run leaves behind.


def test_a_run_leaves_a_log_a_curve_and_checkpoints_that_generate_reads(finished):
    assert [entry["step"] for entry in log(finished) if "loss" in entry] == [1, 2, 3, 4, 5, 6]
    evaluations = [entry for entry in log(finished) if "held_out_loss" in entry]
    assert [entry["step"] for entry in evaluations] == [3, 6]
    assert all(set(said) == {"question", "expected", "answer"} for entry in evaluations for said in entry["answers"])
    with Image.open(finished / "loss.png") as curve:
        assert curve.size == (800, 400)
    names = set(open_tensors(CHECKPOINT))
    for folder in (finished / "last", finished / "best"):
        assert set(weights(folder)) == names and (folder / "config.json").read_bytes() == (
            CHECKPOINT / "config.json").read_bytes()
        assert isinstance(answer(*load_pretrained(folder, "cpu"), "Hi", sampler=SamplerConfig(gen_length=2)), str)
    assert not list(finished.glob("*.old")) and not list(finished.glob("*.unfinished"))


def test_a_model_learns_what_it_is_taught(tmp_path, capsys):
    """A hundred steps on two sentences, and the sentences come back."""
    taught = {"Who are you?": "A model.", "What is seen?": "Nothing."}
    records = [{"conversations": said(*turn)} for turn in taught.items()]
    code, _ = run(capsys, "--out", tmp_path / "out", *SMALL, *GOLDEN, "--data", write(tmp_path, records),
                  "--held-out", "0", "--steps", "100", "--learning-rate", "1e-2", "--system", "", "--batch-size", "16",
                  "--vision-learning-rate", "0")
    assert code == 0 and losses(tmp_path / "out")[-1] < 1 < losses(tmp_path / "out")[0] / 5
    model = load_pretrained(tmp_path / "out" / "last", "cpu")
    for question, expected in taught.items():
        for system in ("", None):  # None: what the checkpoint remembers
            assert answer(*model, question, system=system, sampler=SamplerConfig(gen_length=12)) == expected


@given(steps=st.integers(1, 400))
def test_the_learning_rate_rises_then_falls(steps):
    factors = [learning_rate_factor(step, steps) for step in range(steps)]
    top = factors.index(max(factors))
    assert all(0 < factor <= 1 for factor in factors) and factors[top] == 1
    assert factors[:top + 1] == sorted(factors[:top + 1]) and factors[top:] == sorted(factors[top:], reverse=True)
    assert top <= 0.03 * steps + 1


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(1, 9))
def test_the_curve_shows_running_means_and_any_numbers_can_be_drawn(tmp_path_factory, points, window):
    """Oracle: each mean computed by itself."""
    points = list(enumerate(points, start=1))
    for end, (step, mean) in enumerate(smoothed(points, window), start=1):
        recent = [loss for _, loss in points[max(0, end - window):end]]
        assert step == end and mean == pytest.approx(sum(recent) / len(recent), abs=1e-9)
    path = tmp_path_factory.mktemp("curve") / "loss.png"
    draw_curve(points, points[::3], path)
    with Image.open(path) as curve:
        assert len(curve.getcolors(800 * 400)) > 3


# The same numbers, whatever happens.


def test_an_examples_loss_does_not_depend_on_its_neighbours():
    """Each brings its own time and masks. Only padding joins the examples of a batch: these have the same length."""
    learner, examples = trainable(), drawn(24)
    lengths = [len(example.input_ids) for example in examples]
    length = max(lengths, key=lengths.count)
    examples = [example for example in examples if len(example.input_ids) == length]
    times = torch.linspace(0.2, 0.9, len(examples))
    together = learner(examples, times, range(len(examples)))
    alone = [learner([example], times[index:index + 1], [index]) for index, example in enumerate(examples)]
    assert len(examples) > 1
    assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-8)


def test_on_a_canvas_padding_counts_a_tenth_and_targets_one_on_average():
    _, tokenizer = golden_model()
    padding = tokenizer.token_id(EOS)
    labels = torch.tensor([[IGNORED, 5, 6, padding, padding], [IGNORED, IGNORED, 5, 6, 7]])
    assert choose_objective(TUNE, tokenizer).keywords["padding_weight"] == 1
    assert target_weights(labels, padding, 1.0) is None
    tenth = choose_objective(Settings(Path("out"), canvas=5), tokenizer).keywords["padding_weight"]
    weights = target_weights(labels, padding, tenth)
    assert weights[0].tolist() == pytest.approx([0, 4 / 2.2, 4 / 2.2, 0.4 / 2.2, 0.4 / 2.2])
    assert weights[1].tolist() == [0, 0, 1, 1, 1]


def test_gradient_checkpointing_changes_no_gradient():
    learner, examples = trainable(), drawn(2)
    plain = gradients(learner, examples)
    save_memory(learner.model)
    assert all(same(tensor, plain[name]) for name, tensor in gradients(learner, examples).items())


def test_autocast_computes_in_bfloat16_on_float32_weights():
    """Gradients and weights stay float32, and both are near to what float32 gives."""
    learner, examples = trainable(fresh=True), drawn(2)
    seen = []
    learner.model.language_model.layers[0].mlp.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    exact = gradients(learner, examples)
    learner.bfloat16 = True
    rough = gradients(learner, examples)
    assert seen == [torch.float32, torch.bfloat16]
    assert {tensor.dtype for tensor in rough.values()} == {torch.float32} and rough.keys() == exact.keys()
    difference = sum((rough[name] - exact[name]).square().sum() for name in exact).sqrt()
    assert 0 < difference < 0.05 * sum(tensor.square().sum() for tensor in exact.values()).sqrt()


def test_killed_and_started_again_the_log_goes_on_with_the_same_numbers(tmp_path, capsys, finished):
    """Oracle: the run that was not killed. SIGKILL at a moment that chance chooses, within a saving or
    between two. As long as it lives nobody else writes to its folder; its death frees it at once."""
    out = tmp_path / "out"
    process = start(tmp_path / "killed", main, ["--out", str(out), *WORLD])
    try:
        while process.is_alive() and len(Log(out / "log.jsonl").read()) < 3:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGSTOP)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        code, line = run(capsys, "--out", out, *WORLD)
        assert code == 2 and re.search("another process is writing to .*out; wait until it ends, or give another", line)
        assert before and before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert 2 < len(losses(out)) < 6
    assert main(["--out", str(out), *WORLD]) == 0
    assert alike(log(out), log(finished))
    assert same_weights(out / "last", finished / "last") and same_weights(out / "best", finished / "best")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("call", [
    "os.rename", "os.fsync", "shutil.rmtree", "minllada_v.training.checkpoints.save_file"])
def test_killed_at_any_step_of_saving_a_whole_checkpoint_is_left(tmp_path, monkeypatch, call):
    """The process ends before the n-th of these calls, for every n; what is left is the old checkpoint or the new."""
    module, name = call.rsplit(".", 1)
    real, model, out = getattr(sys.modules[module], name), golden_model()[0], tmp_path / "last"
    optimizer, reached, killed = torch.optim.AdamW(model.parameters()), 0, True
    while killed:
        reached, calls, killed = reached + 1, 0, False
        recover(out)
        save_checkpoint(out, model, {"config.json": b"old"}, optimizer, {"progress": "old"})

        def dying(*arguments, _end=reached, **options):
            nonlocal calls
            calls += 1
            if calls == _end:
                raise Killed
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(call, dying)
            try:
                save_checkpoint(out, model, {"config.json": b"new"}, optimizer, {"progress": "new"})
            except Killed:
                killed = True
        recover(out)
        age = (out / "config.json").read_text()
        assert age in ("old", "new") and json.loads((out / "state.json").read_text())["progress"] == age
        assert len(weights(out)) > 50 and (out / "optimizer.safetensors").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert reached > 1 and age == "new"


@pytest.mark.parametrize("saved", [False, True])
def test_killed_between_the_log_and_the_checkpoint_the_numbers_are_the_same(tmp_path, monkeypatch, finished, saved):
    """With the last evaluation in the log and its step not yet saved, or right after saving."""
    out, save = tmp_path / "out", minllada_v.train.save

    def killed(run, name, *others):
        if (name, run.progress.step) == ("last", 6) and not saved:
            raise Killed
        save(run, name, *others)
        if (name, run.progress.step) == ("last", 4) and saved:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("minllada_v.train.save", killed)
        main(["--out", str(out), *WORLD])
    assert main(["--out", str(out), *WORLD]) == 0
    assert alike(log(out), log(finished)) and same_weights(out / "last", finished / "last")


@pytest.mark.parametrize("number, workers", [(signal.SIGINT, 0), (signal.SIGTERM, 2)])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, capsys, monkeypatch, finished, number, workers):
    """Also where it goes to the processes that read ahead as well, as a terminal and `timeout` send it."""
    out, write_line, command = tmp_path / "out", Log.write, [*WORLD, "--workers", workers]

    def interrupted(self, **entry):
        write_line(self, **entry)
        if entry["step"] == 3 and "loss" in entry:
            reached = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            assert len(reached) == 1 + workers
            subprocess.run(["kill", f"-{number:d}", *map(str, reached)])  # what comes from a parent is told apart

    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", interrupted)
        code, line = run(capsys, "--out", out, *command)
    assert code == 128 + number and "step" in line and "the same command goes on" in line
    assert len(losses(out)) in (3, 4)
    assert run(capsys, "--out", out, *command)[0] == 0
    assert alike(log(out), log(finished)) and same_weights(out / "last", finished / "last")
    assert run(capsys, "--out", out, *command)[0] == 0  # there is nothing left to do
    assert alike(log(out), log(finished))


def patient(options: list[str]) -> int:
    """A run that does not end because much is broken."""
    minllada_v.training.step.BROKEN_LIMIT = 1
    return main(options)


def test_two_processes_have_the_losses_of_one_with_the_same_global_batch(tmp_path, capsys, monkeypatch):
    """With DistributedDataParallel, with fully_shard, with adapters on sharded weights. The data has what could make
    processes wait for each other for ever, or count wrongly: batches without pictures, with different numbers of
    tiles, with nothing but a broken record."""
    monkeypatch.setattr(minllada_v.training.step, "BROKEN_LIMIT", 1)
    picture(0).save(tmp_path / "a.png")
    records = text_records(16)
    for index in (2, 3, 7, 8):
        records[index]["image"] = "a.png"
        records[index]["conversations"][0]["value"] += "<image>"
    records[5]["image"] = records[11]["image"] = "none.png"
    common = [*SMALL, *GOLDEN, "--data", str(write(tmp_path, records)), "--batch-size", "1", "--learning-rate", "1e-3",
              "--steps", "4", "--evaluate-every", "4", "--device", "cpu"]  # two cannot share a GPU
    for out, extra in (("one", []), ("one adapter", ["--lora", "2"])):
        assert run(capsys, "--out", tmp_path / out, *common, "--accumulate", "4", *extra)[0] == 0
    for way, extra in enumerate(([], ["--shard", "--checkpointing"], ["--shard", "--checkpointing", "--lora", "2"])):
        run_two(tmp_path / f"{way} says", patient,
                ["--out", str(tmp_path / "two" / str(way)), *common, "--accumulate", "2", *extra])
    for way, out, file in (("0", "one", "model"), ("1", "one", "model"), ("2", "one adapter", "adapter_model")):
        expected, found = log(tmp_path / out), log(tmp_path / "two" / way)
        assert any("skipped" in entry for entry in expected)
        assert [entry.keys() for entry in found] == [entry.keys() for entry in expected]
        for one, two in zip(expected, found):
            assert all(two[key] == pytest.approx(value, rel=1e-4) if isinstance(value, float) else two[key] == value
                       for key, value in one.items())
        ours, others = (load_file(folder / way / "last" / f"{file}.safetensors")
                        for folder, way in ((tmp_path, out), (tmp_path / "two", way)))
        assert ours.keys() == others.keys()
        for name, tensor in ours.items():
            torch.testing.assert_close(others[name], tensor, rtol=1e-3, atol=2e-4)


# Where training starts from, and what it changes.


def changed_parts(out: Path) -> set[str]:
    """First words of the names of the weights that training has changed."""
    model = golden_model()[0]
    after = weights(out / "last")
    return {name.split(".")[0] for name, tensor in model.state_dict().items()
            if not after[released_name(name)].equal(tensor.cpu())}


SMALLEST_PRESET = (
    "--out {out}/vision --world first-lesson --config {config} --stage vision --steps 2",
    "--out {out}/tune --world first-lesson --from {out}/vision/last --steps 2 --canvas 12 --vision-learning-rate 0",
)


def test_a_preset_runs_its_stages_and_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    """What was given beside it counts for every stage; the words of patches teach just the way from pixels to words."""
    monkeypatch.setitem(PRESETS, "first-lesson", SMALLEST_PRESET)
    command = ["--preset", "first-lesson", "--out", tmp_path / "out", *SMALL, "--system", "answer."]
    with monkeypatch.context() as patch:  # Ctrl-C when there is nothing left to do but to save
        patch.setattr("minllada_v.train.evaluate", lambda run: os.kill(os.getpid(), signal.SIGINT))
        code, line = run(capsys, *command)
    assert code == 130 and "stopped at step 2 of 2 and saved" in line and not (tmp_path / "out" / "tune").exists()
    assert run(capsys, *command)[0] == 0
    start = from_nothing(BUILT_IN / "config.json", seed=0).model
    seeing, reading = weights(tmp_path / "out" / "vision" / "last"), weights(tmp_path / "out" / "tune" / "last")
    changed = {name for name, tensor in start.state_dict().items() if not seeing[released_name(name)].equal(tensor)}
    assert {".".join(name.split(".")[:2]) for name in changed if "vision_tower" not in name} == {
        "mm_projector.0", "mm_projector.2", "language_model.embed_tokens"}
    assert any("vision_tower" in name for name in changed)
    for name in start.state_dict():
        assert reading[released_name(name)].equal(seeing[released_name(name)]) == ("vision_tower" in name)
    for stage in ("vision", "tune"):
        assert len(losses(tmp_path / "out" / stage)) == 2
    before = (tmp_path / "out" / "tune" / "log.jsonl").read_bytes()
    assert run(capsys, *command)[0] == 0 and (tmp_path / "out" / "tune" / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_made_of_sound_commands(preset):
    first, *others = parse_arguments(["--preset", preset, "--out", "run", "--seed", "3"])
    assert first.config == BUILT_IN / "config.json" and first.config.exists()
    for before, after in zip([first, *others], others):
        assert after.start == before.out / "last"
    assert all(stage.seed == 3 and stage.out.parent == Path("run") for stage in (first, *others))


@pytest.mark.parametrize("options, expected", [
    (["--stage", "align"], {"mm_projector"}),
    (["--stage", "tune"], {"mm_projector", "image_newline", "language_model", "vision_tower"}),
    (["--stage", "tune", "--vision-learning-rate", "0"], {"mm_projector", "image_newline", "language_model"}),
], ids=["align", "tune", "frozen vision"])
def test_a_stage_trains_what_it_should(tmp_path, capsys, options, expected):
    (tmp_path / "pictures").mkdir()
    picture(0).save(tmp_path / "pictures" / "a.png")
    record = {"image": "a.png", "conversations": said("<image>", "A cat.")}
    code, _ = run(capsys, "--out", tmp_path / "out", *SMALL, *GOLDEN, "--data", write(tmp_path, [record] * 5),
                  "--image-folder", tmp_path / "pictures", "--learning-rate", "1e-2", *options)
    assert code == 0 and changed_parts(tmp_path / "out") == expected
    assert set(log(tmp_path / "out")[-1]["answers"][0]) == {"question", "expected", "answer"}


def test_frozen_weights_stay_in_the_type_they_are_stored_in(tmp_path, capsys):
    """In memory and in the checkpoint; what learns is float32. Oracle: the numbers of a run from the same weights
    stored as float32."""
    half = {name: tensor.bfloat16() for name, tensor in open_tensors(CHECKPOINT).items()}
    for folder, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        (tmp_path / folder).mkdir()
        for name in ("config.json", "tokenizer.json"):
            (tmp_path / folder / name).write_bytes((CHECKPOINT / name).read_bytes())
        save_file({name: tensor.to(dtype) for name, tensor in half.items()}, tmp_path / folder / "model.safetensors")
    picture(0).save(tmp_path / "a.png")
    data = write(tmp_path, [{"image": "a.png", "conversations": said("<image>", f"Cat {n}.")} for n in range(6)])
    for folder in ("bfloat16", "float32"):
        assert run(capsys, "--out", tmp_path / f"from {folder}", *SMALL, "--from", tmp_path / folder, "--data", data,
                   "--stage", "align", "--learning-rate", "1e-2", "--steps", "2")[0] == 0
    assert alike(log(tmp_path / "from bfloat16"), log(tmp_path / "from float32")) and losses(tmp_path / "from float32")
    trained, exact = (weights(tmp_path / f"from {folder}" / "last") for folder in ("bfloat16", "float32"))
    kinds = {dtype: {name for name, tensor in trained.items() if tensor.dtype == dtype} for dtype in FLOATS}
    assert {name.split(".")[1] for name in kinds[torch.float32]} == {"mm_projector"} and not kinds[torch.float16]
    assert all(tensor.equal(half[name]) for name, tensor in trained.items() if name in kinds[torch.bfloat16])
    assert all(same(tensor.float(), exact[name], but=0.01) for name, tensor in trained.items())

    start = from_checkpoint(tmp_path / "bfloat16")
    choose_trainable(start.model, "align", False)
    learner = Learner(start.model, start.tokenizer, choose_objective(TUNE, start.tokenizer))
    distribute(learner, torch.device(DEVICE), shard=False)
    assert {p.dtype: p.requires_grad for p in learner.parameters()} == {torch.bfloat16: False, torch.float32: True}


def test_gradients_are_clipped_and_the_vision_tower_has_a_rate_of_its_own(tmp_path, capsys, monkeypatch, finished):
    """In bfloat16, which gives nearly the loss that float32 does."""
    step, seen = torch.optim.AdamW.step, []

    def watched(self, *arguments):
        norm = torch.cat([p.grad.flatten() for group in self.param_groups for p in group["params"]]).norm().item()
        others, vision = self.param_groups
        assert [sum(p.dim() == 4 for p in group["params"]) for group in (others, vision)] == [0, 1]  # the convolution
        seen.append((norm, others["lr"], vision["lr"]))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    code, _ = run(capsys, "--out", tmp_path / "out", *WORLD, "--clip", "0.5", "--vision-learning-rate", "1e-4",
                  "--dtype", "bfloat16", "--steps", "2")
    assert code == 0 and all(entry["gradient_norm"] > 1 for entry in log(tmp_path / "out") if "loss" in entry)
    assert seen == [pytest.approx((0.5, rate, rate / 30), rel=1e-3) for rate in (3e-3, 3e-3)]
    assert 0 < abs(losses(tmp_path / "out")[0] / losses(finished)[0] - 1) < 0.02


def in_parts(folder: Path) -> tuple[Path, Path]:
    """The golden language model under LLaDA-8B's names, and its vision tower as SigLIP 2 is released: with one more
    layer, a pooling head and a text tower."""
    tensors = dict(open_tensors(CHECKPOINT))
    config = json.loads((CHECKPOINT / "config.json").read_text())
    language, vision = folder / "language", folder / "vision"
    language.mkdir()
    vision.mkdir()
    names = [("model.embed_tokens.", "model.transformer.wte."), ("model.norm.", "model.transformer.ln_f."),
             ("lm_head.", "model.transformer.ff_out."), ("model.layers.", "model.transformer.blocks."),
             ("self_attn.o_proj", "attn_out"), ("self_attn.", ""), ("mlp.gate_proj", "ff_proj"),
             ("mlp.up_proj", "up_proj"), ("mlp.down_proj", "ff_out"), ("input_layernorm", "attn_norm"),
             ("post_attention_layernorm", "ff_norm")]
    in_8b, in_siglip = {}, {}
    for name, tensor in tensors.items():
        tower = "model.vision_tower.vision_tower."
        if name.startswith(tower):
            in_siglip[name.removeprefix(tower)] = tensor
        elif "mm_projector" not in name and "image_newline" not in name:
            for ours, theirs in names:
                name = name.replace(ours, theirs)
            in_8b[name] = tensor
    in_siglip |= {name.replace("layers.2.", "layers.3."): tensor.clone() for name, tensor in in_siglip.items()}
    in_siglip |= {"vision_model.head.probe": torch.zeros(1, 1, 24), "logit_scale": torch.zeros(1),
                  "text_model.final_layer_norm.weight": torch.zeros(4)}
    save_file(in_8b, language / "model.safetensors")
    save_file(in_siglip, vision / "model.safetensors")
    (language / "config.json").write_text(json.dumps({
        "d_model": 32, "mlp_hidden_size": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 4, "embedding_size": 640,
        "vocab_size": 630, "max_sequence_length": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500000.0}))
    (vision / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": config["vision_config"]}))
    (language / "tokenizer.json").write_bytes((CHECKPOINT / "tokenizer.json").read_bytes())
    return language, vision


@pytest.mark.parametrize("ours", [False, True], ids=["released names", "our names"])
def test_a_language_model_and_a_vision_tower_get_a_fresh_projector(tmp_path, capsys, ours):
    language, vision = (CHECKPOINT, CHECKPOINT) if ours else in_parts(tmp_path)
    code, line = run(capsys, "--out", tmp_path / "out", *SMALL, "--language", language, "--vision", vision, "--world",
                     "--steps", "1", "--learning-rate", "0")
    assert code == 0, line
    assert changed_parts(tmp_path / "out") == {"mm_projector", "image_newline"}
    model, _ = load_pretrained(tmp_path / "out" / "last", "cpu")
    assert model.config == golden_model()[0].config
    assert all(tensor.abs().max() > 0 for tensor in model.mm_projector.state_dict().values())


def test_a_text_only_model_is_trained_on_text_and_on_no_pictures(tmp_path, capsys):
    language, _ = in_parts(tmp_path)
    command = ["--out", tmp_path / "out", *SMALL, "--from", language, "--data", write(tmp_path, text_records(6)),
               "--steps", "1", "--learning-rate", "1e-2"]
    code, line = run(capsys, *command, "--stage", "align")
    assert code == 2 and "trains on pictures" in line and "--language" in line
    assert run(capsys, *command)[0] == 0
    model, tokenizer = load_pretrained(tmp_path / "out" / "last", "cpu")
    assert model.config.vision is None
    assert not model.language_model.lm_head.weight.equal(golden_model()[0].language_model.lm_head.weight.cpu())
    assert isinstance(answer(model, tokenizer, "Hi", sampler=SamplerConfig(gen_length=2)), str)


def test_from_nothing_the_model_is_random_as_the_seed_says_and_knows_nothing(tmp_path, capsys):
    """Its first loss is that of a uniform guess: the logarithm of the vocabulary's size, on average."""
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        code, _ = run(capsys, "--out", tmp_path / out, *SMALL, "--config", CHECKPOINT / "config.json", "--world",
                      "--seed", seed, "--steps", "1", "--learning-rate", "0", "--batch-size", "32")
        assert code == 0
    assert same_weights(tmp_path / "a" / "last", tmp_path / "b" / "last")
    assert alike(losses(tmp_path / "a"), losses(tmp_path / "b"))
    assert not same_weights(tmp_path / "a" / "last", tmp_path / "c" / "last")
    assert losses(tmp_path / "a")[0] == pytest.approx(math.log(640), rel=0.15)


# What goes wrong.


def test_a_picture_that_lacks_its_end_is_trained_on_counted_and_named(tmp_path, capsys):
    """As in the released training; with workers too, which read in other processes."""
    picture(0).resize((300, 300)).save(tmp_path / "a.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:3000])
    records = text_records(8)
    records[3] |= {"image": "cut.jpg", "conversations": said("<image>", "A cat.")}
    for workers in (0, 1):
        out = tmp_path / str(workers)
        code, line = run(capsys, "--out", out, *SMALL, *GOLDEN, "--data", write(tmp_path, records),
                         "--held-out", "0", "--workers", workers)
        assert code == 0 and re.search(r"with a picture that lacks its end: 1; .*log.jsonl names them", line)
        named, = [entry["truncated"] for entry in log(out) if "truncated" in entry]
        assert named == "data.json, record 3: cut.jpg lacks its end, and is read as far as it goes"
        assert not any("skipped" in entry for entry in log(out)) and len(losses(out)) == 4
        progress = json.loads((out / "last" / "state.json").read_text())["progress"]
        assert (progress["seen"], progress["broken"], progress["truncated"]) == (8, 0, 1)


def test_a_broken_record_is_counted_named_and_skipped(tmp_path, capsys):
    records = text_records(120)
    records[50]["image"] = "none.png"
    code, _ = run(capsys, "--out", tmp_path / "out", *SMALL, *GOLDEN, "--data", write(tmp_path, records),
                  "--held-out", "0", "--batch-size", "20")
    assert code == 0 and len(losses(tmp_path / "out")) == 6
    skipped, = [entry["skipped"] for entry in log(tmp_path / "out") if "skipped" in entry]
    assert "record 50" in skipped and "none.png" in skipped
    state = json.loads((tmp_path / "out" / "last" / "state.json").read_text())
    assert (state["progress"]["seen"], state["progress"]["broken"]) == (120, 1)


def test_what_is_held_out_and_broken_is_named_too(tmp_path, capsys):
    records = [{"id": f"cat {index}", "image": "none.png", "conversations": said("<image>", "A cat.")}
               for index in range(8)]
    held_out = {int(index) for index in LlavaData(write(tmp_path, records), None, 0, 2).held_out}
    records = [record if index in held_out else text_records(1)[0] for index, record in enumerate(records)]
    records[min(held_out)] = text_records(1)[0]
    code, _ = run(capsys, "--out", tmp_path / "out", *SMALL, *GOLDEN, "--data", write(tmp_path, records))
    last = log(tmp_path / "out")[-1]
    assert code == 0 and last["held_out_loss"] > 0
    [problem] = last["broken"]
    assert f"record {max(held_out)}: " in problem and "none.png" in problem


def test_a_step_with_a_broken_record_is_the_mean_of_the_others(tmp_path, capsys, monkeypatch):
    """The same whether it leaves a gap in a batch, or a batch without anything. Oracle: the loss and the gradient of
    the one good example, with its draws."""
    monkeypatch.setattr(minllada_v.training.step, "BROKEN_LIMIT", 1)
    records = [*text_records(1), {"id": "broken"}]
    common = [*SMALL, *GOLDEN, "--data", write(tmp_path, records), "--held-out", "0"]
    assert run(capsys, "--out", tmp_path / "gap", *common, "--batch-size", "2")[0] == 0
    assert run(capsys, "--out", tmp_path / "empty", *common, "--batch-size", "1", "--accumulate", "2")[0] == 0
    learner, data = trainable(), LlavaData(tmp_path / "data.json", None, seed=0, held_out=0)
    place = [data.index(number) for number in range(2)].index(0)
    example = Examples(data, learner.tokenizer, learner.model.config, TUNE)[place]
    times = draw_times(2, torch.Generator().manual_seed(derive_seed(0, 0)), stratified=True)
    loss = learner([example], times[place:place + 1], [derive_seed(0, 0, place)])
    loss.sum().backward()
    norm = sum(p.grad.square().sum() for p in learner.parameters() if p.grad is not None).sqrt().item()
    for out in ("gap", "empty"):
        entry = next(entry for entry in log(tmp_path / out) if "loss" in entry)
        assert entry["loss"] == pytest.approx(loss.item()) and entry["gradient_norm"] == pytest.approx(norm, rel=1e-4)


def test_a_step_in_which_all_is_broken_changes_nothing(tmp_path, capsys):
    """Not even by the optimizer's momentum; the run ends because too much is broken."""
    code, line = run(capsys, "--out", tmp_path / "out", *SMALL, *GOLDEN, "--data", write(tmp_path, [{}] * 9),
                     "--evaluate-every", "1", "--save-every", "1")
    assert code == 1 and "8 of 8 examples were broken" in line and "last holds step 3" in line
    assert losses(tmp_path / "out") == [] and changed_parts(tmp_path / "out") == set()
    assert len([entry for entry in log(tmp_path / "out") if "skipped" in entry]) == 8


def test_too_many_broken_records_stop_the_run(tmp_path, capsys):
    records = text_records(150)
    for index in range(0, 150, 30):
        del records[index]["conversations"]
    common = [*SMALL, *GOLDEN, "--held-out", "0", "--batch-size", "10", "--data", write(tmp_path, records)]
    code, line = run(capsys, "--out", tmp_path / "out", *common)
    assert code == 1 and re.search(r"\d of 1\d0 examples were broken, more than 1%.*log.jsonl", line)
    assert len(losses(tmp_path / "out")) < 15
    few = write(tmp_path, [{"conversations": []}, *text_records(9)])  # judged at the end
    assert "1 of 10 examples" in run(capsys, "--out", tmp_path / "few", *common[:-1], few)[1]


def test_a_loss_that_is_no_number_stops_before_it_does_harm(tmp_path, capsys, monkeypatch, finished):
    out, real = tmp_path / "out", minllada_v.training.objectives.training_loss

    def nan(*arguments):
        return real(*arguments) * (math.nan if len(losses(out)) == 4 else 1)

    with monkeypatch.context() as patch:
        patch.setattr("minllada_v.training.objectives.training_loss", nan)
        code, line = run(capsys, "--out", out, *WORLD)
    assert code == 1 and "at step 5 the loss is nan" in line and "last holds step 4" in line
    assert run(capsys, "--out", out, *WORLD)[0] == 0
    assert alike(log(out), log(finished)) and same_weights(out / "last", finished / "last")


def test_a_held_out_loss_that_is_no_number_stops_the_run(tmp_path, capsys, monkeypatch):
    """As the best it would stay the best for ever."""
    monkeypatch.setattr("minllada_v.train.held_out_loss", lambda *_: (math.nan, []))
    code, line = run(capsys, "--out", tmp_path / "out", *WORLD)
    assert code == 1 and "at step 3 the loss on what is held out is nan" in line and "last holds step 2" in line
    assert not (tmp_path / "out" / "best").exists()


def test_too_little_memory_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minllada_v.training.objectives.training_loss", lambda *_: torch.empty(2**50))
    code, line = run(capsys, "--out", tmp_path / "out", *WORLD)
    assert code == 1 and "stopped: out of memory; nothing had been saved yet" in line


@pytest.mark.parametrize("moment", ["log", "curve"])
def test_a_disk_that_is_full_beside_the_checkpoint_leaves_it_too(tmp_path, capsys, monkeypatch, finished, moment):
    """With half a line in the log, or half a picture."""
    out, write_line, full = tmp_path / "out", Log.write, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_part(self, **entry):
        if entry["step"] == 5 and moment == "log":
            with self.path.open("a") as file:
                file.write(json.dumps(entry)[:20])
            raise full
        write_line(self, **entry)

    def draw(training, held_out, path):
        path.write_bytes(b"what still fitted")
        if moment == "curve":
            raise full

    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", write_part)
        patch.setattr("minllada_v.train.draw_curve", draw)
        code, line = run(capsys, "--out", out, *WORLD)
    held = {"log": 4, "curve": 2}[moment]
    assert code == 1 and "No space left on device" in line and f"last holds step {held}" in line
    assert run(capsys, "--out", out, *WORLD)[0] == 0
    assert alike(log(out), log(finished)) and same_weights(out / "last", finished / "last")
    with Image.open(out / "loss.png") as curve:
        curve.load()


@pytest.mark.parametrize("gone", ["reader", "room"])
def test_words_that_cannot_be_written_stop_no_training(tmp_path, monkeypatch, finished, gone):
    """stderr leads to a reader that has gone, as behind `2>&1 | head`, or to a full disk."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1) if gone == "reader" else open("/dev/full", "w", buffering=1)
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(OSError):
        print("this raises", file=sys.stderr)
    assert main(["--out", str(tmp_path / "out"), *WORLD]) == 0
    assert alike(log(tmp_path / "out"), log(finished)) and same_weights(tmp_path / "out" / "last", finished / "last")
    with contextlib.suppress(OSError):
        stream.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_named_with_the_file():
    with pytest.raises(OSError, match="^/dev/full cannot be written: No space left on device$"):
        Log(Path("/dev/full")).write(step=1)


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
], ids=["OSError", "SafetensorError"])
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, capsys, monkeypatch, finished, error):
    out, real = tmp_path / "out", minllada_v.training.checkpoints.save_file

    def full(tensors, path, **options):
        if len(losses(out)) >= 4:
            Path(path).write_bytes(b"what still fitted")
            raise error
        real(tensors, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("minllada_v.training.checkpoints.save_file", full)
        code, line = run(capsys, "--out", out, *WORLD)
    assert code == 1 and "No space left on device" in line and "last holds step 2" in line
    assert not list(out.glob("*.unfinished"))
    assert run(capsys, "--out", out, *WORLD)[0] == 0
    assert alike(log(out), log(finished))


def test_a_run_goes_on_with_its_own_settings_only(finished, capsys):
    for option, value, problem in (("--learning-rate", 1, "learning-rate 0.003, and now it is 1.0"),
                                   ("--steps", 8, "steps 6, and now it is 8")):
        code, line = run(capsys, "--out", finished, *WORLD, option, value)
        assert code == 2 and problem in line and "another --out" in line
    assert run(capsys, "--out", finished, *WORLD, "--save-every", "1", "--checkpointing")[0] == 0


def test_a_run_of_an_earlier_version_goes_on_or_is_refused(tmp_path, capsys, finished):
    """What `state.json` held then is enough for the small world. Records are prepared in another way since, so a run on
    a file would go on with other numbers; nothing of it is changed."""
    out, data = tmp_path / "world", tmp_path / "data"
    records = write(tmp_path, text_records(6))
    stop = [*WORLD[:-4], "--save-every", "2", "--evaluate-every", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minllada_v.train.evaluate", lambda run: os.kill(os.getpid(), signal.SIGINT))
        assert run(capsys, "--out", out, *stop)[0] == 130
    assert run(capsys, "--out", data, *SMALL, *GOLDEN, "--data", records, "--steps", "1")[0] == 0
    for folder in (out, data):
        state = json.loads((folder / "last" / "state.json").read_text())
        del state["progress"]["truncated"]
        for name in ("preparation of records", "lora", "lora-alpha", "lora-only"):
            state["settings"].pop(name, None)
        (folder / "lock").unlink()
        (folder / "last" / "state.json").write_text(json.dumps(state))
    assert set(state["settings"]) == OLD_SETTINGS
    log_before = log(data)
    code, line = run(capsys, "--out", data, *SMALL, *GOLDEN, "--data", records, "--steps", "1")
    assert code == 2 and "a run of an earlier version" in line and "another --out" in line and log(data) == log_before
    assert run(capsys, "--out", out, *stop)[0] == 0
    assert alike(losses(out), losses(finished)) and same_weights(out / "last", finished / "last")


def test_a_run_does_not_go_on_with_other_data_or_from_what_it_cannot_read(tmp_path, capsys):
    """Longer or shorter data would be in another order from there on. Each broken file is named, and left as it is."""
    out, data = tmp_path / "out", write(tmp_path, text_records(6))
    command = ["--out", out, *SMALL, *GOLDEN, "--data", data, "--steps", "1"]
    assert run(capsys, *command)[0] == 0
    write(tmp_path, text_records(5))
    code, line = run(capsys, *command)
    assert code == 2 and "contents of data" in line and "another --out" in line
    write(tmp_path, text_records(6))
    state = json.loads((out / "last" / "state.json").read_text())
    for path, contents, problem in (
        ("last/state.json", "{", "not valid JSON"),
        ("last/state.json", "{}", "state.json does not say how far"),
        ("last/state.json", json.dumps(state | {"progress": {"steps": 1}}), "state.json does not say how far"),
        ("last/state.json", json.dumps(state | {"settings": [1]}), "state.json does not say how far"),
        ("last/optimizer.safetensors", "x", "optimizer.safetensors is missing or broken"),
        ("last/model.safetensors", "x", "model.safetensors is truncated"),
        ("log.jsonl", '{"step": 1}\n\0\0\n{"step": 2}\n', "line 2 of"),
        ("log.jsonl", '{"epoch": 1}\n', "line 1 of"),
        ("log.jsonl", '{"step": "one"}\n', "line 1 of"),
        ("log.jsonl", "1\n", "line 1 of"),
    ):
        before = (out / path).read_bytes()
        (out / path).write_text(contents)
        code, line = run(capsys, *command)
        assert code == 2 and problem in line and (out / path).read_text() == contents, path
        (out / path).write_bytes(before)
    assert run(capsys, *command)[0] == 0


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.integers(0, 9)), cut=st.integers(0, 9), lost=st.integers(0, 30))
def test_a_log_that_was_cut_short_is_read_up_to_there(tmp_path_factory, steps, cut, lost):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    written = Log(path)
    for step in steps:
        written.write(step=step)
    if path.exists():
        os.truncate(path, max(0, path.stat().st_size - lost))
    entries = written.read()
    assert entries == [{"step": step} for step in steps][:len(entries)]
    written.cut(cut)
    assert written.read() == [entry for entry in entries if entry["step"] <= cut]


@pytest.mark.parametrize("arguments, problem", [
    ([], "either --data FILE or --world"),
    (["--world", "--data", "x.json"], "either --data FILE or --world"),
    (["--world", "--steps", "1"], "give one of --from"),
    (["--world", "--steps", "1", *GOLDEN, "--config", "x.json"], "give one of --from"),
    (["--world", "--steps", "1", "--language", "x"], "give one of --from"),
    (["--world", "nowhere", "--steps", "1", *GOLDEN], "invalid choice: 'nowhere'"),
    (["--preset", "everything"], "invalid choice: 'everything'"),
    (["--data", "x.json", "--stage", "vision", *GOLDEN], "give --world"),
    (["--world", "--stage", "vision", "--canvas", "4", "--steps", "1", *GOLDEN], "--canvas is for --stage tune"),
    (["--world", "--stage", "vision", "--steps", "1", *GOLDEN], "'circle' to be one token"),
    (["--world", *GOLDEN], "give --steps"),
    (["--world", *GOLDEN, "--steps", "0"], "at least 1"),
    (["--world", *GOLDEN, "--steps", "1", "--learning-rate", "nan"], "0 or more"),
    (["--world", *GOLDEN, "--steps", "1", "--seed", "-1"], "--seed must be 0 or more"),
    (["--world", *GOLDEN, "--steps", "1", "--shard"], "start them with torchrun"),
    (["--world", "--from", "none", "--steps", "1"], "none is not a folder"),
    (["--data", "none.json", *GOLDEN], "none.json does not exist"),
    (["--world", "--config", "none.json", "--steps", "1"], "none.json is missing"),
])
def test_wrong_options_are_named(tmp_path, capsys, arguments, problem):
    code, line = run(capsys, "--out", tmp_path / "out", "--device", "cpu", *arguments)
    assert code == 2 and problem in line


def test_the_examples_of_the_help_are_sound():
    lines = EXAMPLES.split("\n\n")[0].replace("\\\n", "").splitlines()[1:]
    stages = [parse_arguments(line.split("minllada_v.train")[1].split()) for line in lines]
    assert len(stages) == 4 and all(len(stage) == 1 for stage in stages)


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    code, line = run(capsys, "--out", tmp_path, *WORLD)
    assert code == 2 and "no run" in line and [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
