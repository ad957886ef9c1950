"""Training the autoregressive twin, and with the masks of `--attention`: the loss and the step are those of the plain
functions, nothing else differs from the usual way, and a checkpoint says how it will have to be asked."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from device import COMMAND, DEVICE, assert_close, same_files
from golden_data import CHECKPOINT, golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from minllada_v import InputError, SamplerConfig, answer, evaluate, generate, load_pretrained
from minllada_v.answer import encode_images
from minllada_v.autoregressive import next_token_loss
from minllada_v.chat import EOS, IGNORED, MASK
from minllada_v.config_json import check_config
from minllada_v.convert import convert
from minllada_v.evaluation.likelihood import answer_bounds
from minllada_v.loss import masked_loss, training_loss
from minllada_v.masking import draw_uniform, mask_by_time
from minllada_v.tensor_names import released_name
from minllada_v.train import main
from minllada_v.training.batch import denoiser, masked, pad, splice_batch
from minllada_v.training.checkpoints import Log
from minllada_v.training.data import Record
from minllada_v.training.distributed import Learner, own_weights
from minllada_v.training.examples import Example, encode
from minllada_v.training.objectives import (
    PADDING_WEIGHT,
    choose_objective,
    choose_trainable,
    picture_features,
    target_weights,
)
from minllada_v.training.settings import Settings
from minllada_v.training.start import from_checkpoint
from minllada_v.world.samples import draw_sample

TOKENIZER = golden_model()[1]
PADDING = TOKENIZER.token_id(EOS)
WAYS = {"twin": ["--autoregressive"], "dialogue-causal": ["--attention", "dialogue-causal"],
        "prompt-first": ["--attention", "prompt-first"]}
seeds = st.integers(0, 2**32)


def learner(**options) -> Learner:
    """The golden model, ready to be trained, as its own config.json would have it."""
    start = from_checkpoint(CHECKPOINT)
    settings = Settings(Path("out"), **options)
    if settings.autoregressive:
        values = json.loads(start.files["config.json"]) | {"autoregressive": True}
        start.model.config = check_config(values, "here")
    choose_trainable(start.model, "tune", True)
    own_weights(start.model)
    return Learner(start.model, start.tokenizer, choose_objective(settings, start.tokenizer)).to(DEVICE)


def padded(examples: list[Example]) -> list[torch.Tensor]:
    """What `pad` gives, where the model is."""
    return [part.to(DEVICE) for part in pad([(it.input_ids, it.labels, it.part_ids) for it in examples], PADDING)]


def world_examples(seed: int, count: int, canvas: int | None = None) -> tuple[list[Example], list[list]]:
    """Dialogues and questions about drawn pictures, by turns; and the pictures of each."""
    samples = [draw_sample("dialogue" if number % 2 else "colour", seed + number, sizes=[(48, 48)])
               for number in range(count)]
    config = golden_model()[0].config
    examples = [encode(Record("drawn", it.conversation, it.pictures, False), TOKENIZER, config, "tune", "", canvas)
                for it in samples]
    return examples, [it.pictures for it in samples]


@settings(deadline=None, max_examples=6)
@given(seeds, st.integers(1, 3), st.sampled_from([None, 40]))
def test_the_twin_learns_by_the_next_token_loss_whatever_the_time_and_the_masks(seed, count, canvas):
    """Oracle: the function itself, on a batch that was put together here. On a canvas padding counts a tenth."""
    examples, pictures = world_examples(seed, count, canvas)
    twin = learner(autoregressive=True, canvas=canvas)
    input_ids, labels, _ = padded(examples)
    batch = splice_batch(input_ids, labels, [encode_images(twin.model, shown) for shown in pictures])
    weights = None
    if canvas:
        weights = torch.where(batch.labels == PADDING, PADDING_WEIGHT, 1.0) * (batch.labels != IGNORED)
        weights *= (batch.labels != IGNORED).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
    expected = next_token_loss(twin.model, batch, weights)
    for time in (0.0, 0.7):
        found = twin(examples, torch.full((count,), time), [seed + number for number in range(count)])
        assert_close(found, expected)


@settings(deadline=None, max_examples=6)
@given(seeds, st.integers(1, 3), st.floats(0.1, 0.9))
def test_with_dialogue_causal_attention_the_masked_loss_is_that_of_a_network_handed_the_turns(seed, count, time):
    examples, pictures = world_examples(seed, count)
    causal, usual = learner(attention="dialogue-causal"), learner()
    input_ids, labels, part_ids = padded(examples)
    batch = splice_batch(input_ids, labels, [encode_images(causal.model, shown) for shown in pictures], part_ids // 2)
    uniform = torch.cat([draw_uniform(row[None], torch.Generator().manual_seed(number))
                         for number, row in enumerate(batch.labels)])
    times = torch.full((count,), time, device=DEVICE)
    masks = mask_by_time(batch.labels, times, uniform)
    expected = masked_loss(denoiser(causal.model, batch), batch.ids, batch.labels, TOKENIZER.token_id(MASK), masks)
    assert_close(causal(examples, times, range(count)), expected)
    differs = [not torch.isclose(one, other) for one, other in zip(usual(examples, times, range(count)), expected)]
    assert differs == [max(it.part_ids) > 1 for it in examples] or count > 1  # filling up rounds differently


@settings(deadline=None, max_examples=6)
@given(seeds, st.floats(0.1, 0.9), st.sampled_from([None, 40]))
def test_prompt_first_the_masked_loss_is_that_of_a_network_handed_the_table(seed, time, canvas):
    """Oracle: the plain loss of a network with a table of who sees whom, put together place by place. It is another
    than the loss of a network in which all see all."""
    [_, example], [_, pictures] = world_examples(seed, 2, canvas)
    first, usual = learner(attention="prompt-first", canvas=canvas), learner(canvas=canvas)
    features = encode_images(first.model, pictures)
    input_ids, labels, part_ids = padded([example])
    batch = splice_batch(input_ids, labels, [features], part_ids)
    its_parts = batch.part_ids[0].tolist()
    assert max(its_parts) == 3
    table = torch.tensor([[key <= query for key in its_parts] for query in its_parts], device=DEVICE)

    def denoise(ids, masked_places):
        hidden_states = first.model.language_model(first.model.embed(ids, features), masked(table[None, None]))
        return first.model.language_model.lm_head(hidden_states[masked_places])

    times, uniform = torch.tensor([time], device=DEVICE), draw_uniform(batch.labels, torch.Generator().manual_seed(3))
    weights = target_weights(batch.labels, PADDING, PADDING_WEIGHT if canvas else 1.0)
    expected = training_loss(denoise, batch.ids, batch.labels, TOKENIZER.token_id(MASK), times, uniform, mask_by_time,
                             weights)
    assert_close(first([example], times, [3]), expected)
    assert not torch.isclose(usual([example], times, [3]), expected)


@pytest.mark.parametrize("dialogue_causal", [True, False])
def test_what_is_asked_of_an_earlier_turn_cannot_see_a_later_one(dialogue_causal):
    """Only the first turn is asked here, and the second one is changed."""
    [_, example], _ = world_examples(5, 2)
    second = [place for place, part in enumerate(example.part_ids) if part > 1]
    labels = [label if part < 2 else IGNORED for label, part in zip(example.labels, example.part_ids)]
    losses = []
    for word in (7, 8):
        ids = [word if place in second else index for place, index in enumerate(example.input_ids)]
        losses.append(learner(attention="dialogue-causal" if dialogue_causal else None)(
            [Example(ids, labels, example.part_ids, example.tiles)], torch.tensor([0.6]), [1]).item())
    assert (losses[0] == losses[1]) == dialogue_causal


def test_a_weight_says_how_much_a_target_counts():
    """Twice as much everywhere is twice the loss, and what counts nothing may say anything."""
    examples, _ = world_examples(3, 1)
    model = golden_model()[0]
    ids, labels = (torch.tensor([values], device=DEVICE) for values in (examples[0].input_ids, examples[0].labels))
    shown = (ids == -200)
    batch = splice_batch(ids.masked_fill(shown, 5), labels, [[]])
    plain = next_token_loss(model, batch)
    assert_close(next_token_loss(model, batch, torch.full(ids.shape, 2.0, device=DEVICE)), 2 * plain)
    last = torch.zeros(ids.shape, device=DEVICE)
    last[0, -1] = 1.0
    other = splice_batch(batch.ids, labels.masked_fill(labels != labels[0, -1], 9).where(labels != IGNORED, labels),
                         [[]])
    assert_close(next_token_loss(model, batch, last), next_token_loss(model, other, last))


def write(folder, turns: int = 1, count: int = 8):
    """A file of conversations, half of them about a picture."""
    picture(0).save(folder / "a.png")
    records = []
    for number in range(count):
        messages = [{"from": who, "value": f"{text} {number}"} for _ in range(turns)
                    for who, text in (("human", "What is"), ("gpt", "It is"))]
        records.append({"conversations": messages})
        if number % 2:
            messages[0]["value"] = "<image>\n" + messages[0]["value"]
            records[-1]["image"] = "a.png"
    (folder / "data.json").write_text(json.dumps(records))
    return folder / "data.json"


def command(out, data, *more) -> list[str]:
    return [str(word) for word in (
        "--out", out, "--data", data, "--from", CHECKPOINT, *COMMAND, "--held-out", "2",
        "--answer-length", "3", "--batch-size", "3", "--learning-rate", "1e-3", "--system", "Be brief.", *more)]


def test_a_step_of_the_twin_changes_the_weights_as_plain_gradient_descent_on_its_loss_does(tmp_path):
    """Oracle: AdamW on the mean of the function's own losses, with a gradient that is no longer than 1."""
    data = write(tmp_path)
    assert main(command(tmp_path / "out", data, "--autoregressive", "--steps", "1", "--held-out", "0", "--batch-size",
                        "8", "--vision-learning-rate", "1e-3")) == 0
    twin = learner(autoregressive=True)
    records = json.loads(data.read_text())
    shown = [[picture(0)] if "image" in record else [] for record in records]
    examples = [encode(Record("", record["conversations"], pictures, False), TOKENIZER, twin.model.config, "tune",
                       "Be brief.") for record, pictures in zip(records, shown)]
    input_ids, labels, _ = padded(examples)
    trained = [parameter for parameter in twin.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    features, _ = picture_features(twin.model, examples)
    next_token_loss(twin.model, splice_batch(input_ids, labels, features)).mean().backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    before, after = golden_model()[0].state_dict(), load_file(tmp_path / "out/last/model.safetensors")
    found, expected, old = (torch.cat([tensor.flatten().cpu() for tensor in tensors]) for tensors in (
        [after[released_name(name)] for name in before], twin.model.state_dict().values(), before.values()))
    # AdamW's first step is nearly the sign of the gradient: where that is rounding (the bias of keys), any will do.
    assert ((found - expected).abs() < 1e-5).float().mean() > 0.99
    assert ((found - old).abs() > 5e-4).sum() > 10_000


def test_every_way_learns_from_the_same_examples_in_the_same_order(tmp_path, monkeypatch):
    """And makes as many updates. What is the same for seed 0 is not for another one."""
    data, forward, seen = write(tmp_path), Learner.forward, []

    def watched(self, examples, *rest):
        if torch.is_grad_enabled():
            seen.append([(example.input_ids, example.labels) for example in examples])
        return forward(self, examples, *rest)

    monkeypatch.setattr(Learner, "forward", watched)
    orders = []
    for number, options in enumerate(([], *WAYS.values(), ["--seed", "1"])):
        seen.clear()
        assert main(command(tmp_path / str(number), data, *options, "--steps", "3")) == 0
        orders.append(list(seen))
    assert orders[0] == orders[1] == orders[2] == orders[3] != orders[4] and sum(map(len, orders[0])) == 9


@pytest.mark.parametrize("way", WAYS)
def test_interrupted_and_started_again_the_numbers_are_the_same(tmp_path, monkeypatch, way):
    """Oracle: the run that nothing interrupted."""
    data, write_line = write(tmp_path, turns=2), Log.write
    options = [*WAYS[way], "--steps", "4", "--evaluate-every", "2"]

    def interrupted(self, **entry):
        write_line(self, **entry)
        if entry["step"] == 2 and "loss" in entry:
            os.kill(os.getpid(), signal.SIGTERM)

    assert main(command(tmp_path / "whole", data, *options)) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Log, "write", interrupted)
        assert main(command(tmp_path / "cut", data, *options)) == 128 + signal.SIGTERM
    assert main(command(tmp_path / "cut", data, *options)) == 0
    assert (tmp_path / "whole" / "log.jsonl").read_text().count("held_out_loss") == 2
    for name in ("log.jsonl", "last/model.safetensors"):
        assert same_files(tmp_path / "cut" / name, tmp_path / "whole" / name)


def test_the_ways_differ_and_a_run_cannot_change_from_one_to_another(tmp_path, capsys):
    data, losses = write(tmp_path, turns=2), []
    for number, options in enumerate(([], *WAYS.values())):
        assert main(command(tmp_path / str(number), data, *options, "--steps", "1")) == 0
        losses.append(json.loads((tmp_path / str(number) / "log.jsonl").read_text().splitlines()[0])["loss"])
    assert len(set(losses)) == 4
    for number, options in ((0, WAYS["twin"]), (1, []), (1, WAYS["dialogue-causal"]), (2, []), (3, [])):
        assert main(command(tmp_path / str(number), data, *options, "--steps", "1")) == 2
        assert "holds a run with" in capsys.readouterr().err


def test_a_twin_says_in_its_config_that_it_is_one_and_is_never_asked_to_fill_in_masks(tmp_path, capsys):
    data, twin = write(tmp_path), tmp_path / "twin"
    assert main(command(twin, data, "--autoregressive", "--steps", "1")) == 0
    assert json.loads((twin / "last/config.json").read_text())["autoregressive"] is True
    answers = json.loads((twin / "log.jsonl").read_text().splitlines()[-1])["answers"]
    model, tokenizer = load_pretrained(twin / "last", DEVICE)
    assert model.config.autoregressive and answers
    for said in answers:  # the sample answers are its own: written from left to right
        shown = [picture(0)] if "<image>" in said["question"] else []
        assert said["answer"] == answer(
            model, tokenizer, said["question"], shown, system="Be brief.", sampler=SamplerConfig(3))
    bounds = answer_bounds(model, tokenizer, "What?", ["Yes", "No"])  # exact, so nothing is drawn
    assert len(set(bounds)) == 2 and bounds == answer_bounds(model, tokenizer, "What?", ["Yes", "No"], draws=1, seed=7)
    capsys.readouterr()
    weights = ["--weights", str(twin / "last"), *COMMAND]
    assert generate.main([*weights, "--prompt", "What?", "--gen-length", "3", "--system", "Be brief."]) == 0
    assert capsys.readouterr().out == answer(
        model, tokenizer, "What?", system="Be brief.", sampler=SamplerConfig(3)) + "\n"
    config = twin / "last/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"gen_length": 4}))  # not 128 tokens a question
    assert evaluate.main([*weights, "--benchmark", "small-world", "--lesson", "colour", "--count", "2"]) == 0
    assert generate.main([*weights, "--prompt", "What?", "--threshold", "0.9"]) == 2
    assert "writes from left to right, and has no threshold" in capsys.readouterr().err


def test_a_diffusion_model_that_starts_from_a_twin_is_none(tmp_path):
    """And the other way round; the rest of config.json stays as it was."""
    data, before = write(tmp_path), json.loads((CHECKPOINT / "config.json").read_text())
    for start, out, options in ((CHECKPOINT, "one", ["--autoregressive"]), (tmp_path / "one/last", "two", [])):
        assert main([*command(tmp_path / out, data, *options, "--steps", "1"), "--from", str(start)]) == 0
    one, two = (json.loads((tmp_path / out / "last/config.json").read_text()) for out in ("one", "two"))
    assert two == before | {"system": "Be brief."} and one == two | {"autoregressive": True}
    assert isinstance(answer(*load_pretrained(tmp_path / "two/last", "cpu"), "What?"), str)


def test_a_prompt_first_model_says_so_until_it_is_trained_in_another_way(tmp_path, capsys):
    """Whatever it starts from; dialogue-causal attention is not remembered. Adapters keep the way of their base."""
    data, before = write(tmp_path), json.loads((CHECKPOINT / "config.json").read_text()) | {"system": "Be brief."}
    configs, first = [], str(tmp_path / "0/last")
    for number, (start, *options) in enumerate(([CHECKPOINT, *WAYS["prompt-first"]], [first, *WAYS["twin"]],
                                                [first, *WAYS["dialogue-causal"]], [first])):
        words = command(tmp_path / str(number), data, *options, "--steps", "1", "--from", start)
        assert main(words) == 0
        configs.append(json.loads((tmp_path / f"{number}/last/config.json").read_text()))
    assert configs == [before | {"attention": "prompt-first"}, before | {"autoregressive": True}, before, before]

    model, tokenizer = load_pretrained(first, DEVICE)
    answers = json.loads((tmp_path / "0/log.jsonl").read_text().splitlines()[-1])["answers"]
    assert model.config.attention == "prompt-first" and answers
    for said in answers:  # the sample answers are already written in its way
        shown = [picture(0)] if "<image>" in said["question"] else []
        assert said["answer"] == answer(model, tokenizer, said["question"], shown, sampler=SamplerConfig(3))
    convert(Path(first), tmp_path / "small", bits=8)
    assert load_pretrained(tmp_path / "small", DEVICE)[0].config.attention == "prompt-first"
    capsys.readouterr()
    assert generate.main(["--weights", first, *COMMAND, "--prompt", "What?", "--gen-length", "3"]) == 0
    assert capsys.readouterr().out == answer(model, tokenizer, "What?", sampler=SamplerConfig(3)) + "\n"

    adapting = ["--out", str(tmp_path / "a"), "--data", str(data), "--lora", "2", "--steps", "1", "--held-out", "0",
                *COMMAND, "--from"]
    for start, options, words in ((first, [], "give --attention prompt-first"),
                                  (first, WAYS["dialogue-causal"], "give --attention prompt-first"),
                                  (str(CHECKPOINT), WAYS["prompt-first"], "leave out --attention prompt-first")):
        assert main([*adapting, start, *options]) == 2
        assert words in capsys.readouterr().err
    assert main([*adapting, first, *WAYS["prompt-first"]]) == 0


@pytest.mark.parametrize("options, words", [
    (["--autoregressive", "--attention", "dialogue-causal"], "not beside --autoregressive"),
    (["--autoregressive", "--attention", "prompt-first"], "not beside --autoregressive"),
    (["--stage", "align", "--attention", "dialogue-causal"], "for --stage tune"),
    (["--attention", "causal"], "invalid choice")])
def test_options_that_make_no_sense_together_are_named(tmp_path, capsys, options, words):
    with pytest.raises(SystemExit) as end:
        main(command(tmp_path / "out", tmp_path / "data.json", *options))
    assert end.value.code == 2 and words in capsys.readouterr().err


@pytest.mark.parametrize("value", ["yes", 1, []])
def test_nonsense_in_config_json_is_named(value):
    with pytest.raises(InputError, match="here: autoregressive must be true or false"):
        check_config(json.loads((CHECKPOINT / "config.json").read_text()) | {"autoregressive": value}, "here")


@pytest.mark.parametrize("values, words", [
    ({"attention": "dialogue-causal"}, "here: attention is 'dialogue-causal', and only 'prompt-first' is supported"),
    ({"attention": True}, "attention is True"),
    ({"attention": "prompt-first", "autoregressive": True}, "cannot stand beside attention 'prompt-first'")])
def test_attention_in_config_json_is_checked(values, words):
    plain = json.loads((CHECKPOINT / "config.json").read_text())
    assert check_config(plain | {"attention": None}, "here") == check_config(plain, "here")
    assert check_config(plain | {"attention": "prompt-first"}, "here").attention == "prompt-first"
    with pytest.raises(InputError, match=words):
        check_config(plain | values, "here")
