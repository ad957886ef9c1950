"""What the study does differently from the package: orders of writing, padding, and counting a twin's right answers."""

import json
import sys
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from golden_data import golden_model
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import SamplerConfig
from minllada_v.answer import Request, answer_batch, prompt_ids
from minllada_v.chat import END_OF_TURN, EOS, IGNORED
from minllada_v.sampler import Canvas, sample
from minllada_v.tokenizer_json import read_tokenizer
from minllada_v.training import objectives
from minllada_v.training.data import LlavaData
from minllada_v.training.examples import Example, Examples
from minllada_v.training.settings import Settings

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tutorials" / "study"))

import along  # noqa: E402
import lessons  # noqa: E402
import orders  # noqa: E402
import padding  # noqa: E402

VOCABULARY, MASK_ID, STOP = 9, 7, 2
seeds = st.integers(0, 2**32 - 1)


def logits_of(seed: int, count: int) -> torch.Tensor:
    return 3 * torch.randn(count, VOCABULARY, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 20))
def test_margin_and_entropy_are_what_they_are_called(seed, count):
    """Oracle: row by row from sorted probabilities."""
    logits = logits_of(seed, count)
    margins, entropies = (rule(logits, logits.argmax(dim=-1), None) for rule in (orders.margin, orders.entropy))
    for row, margin, entropy in zip(logits, margins, entropies, strict=True):
        p = sorted((row.exp() / row.exp().sum()).tolist())
        assert margin.item() == pytest.approx(p[-1] - p[-2])
        assert entropy.item() == pytest.approx(sum(each * torch.tensor(each).log().item() for each in p), abs=1e-6)


def written(seed: int, length: int, steps: int, rule: str) -> tuple[Canvas, list]:
    """A canvas that a model without meaning has filled in, in an order of the study; and all its steps."""
    config = SamplerConfig(length, steps=steps, remasking=orders.RULES[rule]())
    canvas = Canvas(torch.tensor([1, 1, 1]), config, MASK_ID, stops=[[STOP]])
    if rule == "revising":
        orders.revising(canvas)

    def denoise(inputs):
        [it] = inputs
        return logits_of(hash((seed, *it.ids.tolist())) % 2**32, len(it.logits_at)).float()

    return canvas, [step for [(_, step)] in sample(denoise, [canvas])]


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 40), st.integers(1, 8))
def test_from_left_to_right_no_token_stands_behind_an_open_place(seed, length, steps):
    """After every step the filled places are the first ones, also where more than one chunk of logits is looked at."""
    canvas, found = written(seed, length, steps, "left_to_right")
    for step in found:
        is_open = (step.canvas[canvas.first:canvas.end] == MASK_ID).int()
        assert (is_open.diff() >= 0).all()
    assert found


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 30), st.integers(2, 8))
def test_a_canvas_that_revises_opens_the_least_sure_and_is_full_at_the_end(seed, length, steps):
    """Oracle: how sure each token of the answer was when it was filled in last. No more passes than steps."""
    canvas, found = written(seed, length, steps, "revising")
    sure: dict[int, float] = {}
    for step, later in zip(found, [*found[1:], None]):
        confidence = dict(zip(step.candidates.tolist(), step.confidence.tolist()))
        filled = set(step.committed.tolist())
        sure |= {place: confidence[place] for place in filled}
        end = canvas.first + len(step.answer)
        if later is not None:
            opened = set(later.candidates.tolist()) & sure.keys()
            assert 1 <= len(opened) <= max(1, len(filled) // 2)
            stays = [number for place, number in sure.items() if place not in opened and place <= end]
            assert max(sure.pop(place) for place in opened) <= min(stays, default=1)
    assert len(found) <= steps
    assert MASK_ID not in canvas.ids[canvas.first:canvas.end].tolist()


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(4, 20))
def test_revising_changes_no_more_than_what_it_opened(seed, length):
    """A token that stands after a step and is not among the next candidates is the same after the next step."""
    _, found = written(seed, length, 4, "revising")
    for before, after in zip(found, found[1:]):
        kept = torch.ones(len(before.canvas), dtype=torch.bool)
        kept[after.candidates] = False
        assert (before.canvas[kept] == after.canvas[kept]).all()
    assert found


@settings(deadline=None, max_examples=5)
@given(seeds, st.integers(1, 4), st.data())
def test_one_pass_counts_what_a_twin_would_write(seed, length, data):
    """Oracle: what it writes, token by token. With any one token changed it is not what the twin would write."""
    model, tokenizer = golden_model("cpu")
    model = copy(model)
    model.config = replace(model.config, autoregressive=True)
    text = f"What is {seed}?"
    [said] = answer_batch(model, tokenizer, [Request(text, system="", sampler=SamplerConfig(length))])
    prompt = prompt_ids(tokenizer, text, system="").tolist()
    changed = data.draw(st.integers(0, len(said.tokens) - 1))
    other = [token + (place == changed) for place, token in enumerate(said.tokens)]
    examples = [Example(prompt + tokens, [IGNORED] * len(prompt) + tokens, [0] * (len(prompt) + len(tokens)), [])
                for tokens in (said.tokens, other)]
    assert along.twin_says(model, tokenizer, examples).tolist() == [True, False]


def test_an_example_that_comes_again_is_what_it_was_and_is_prepared_once(tmp_path, monkeypatch):
    """Oracle: the training command's own examples, over several epochs with a new order in each."""
    records = [{"conversations": [{"from": "human", "value": f"What is {number}?"}, {"from": "gpt", "value": "A"}]}
               for number in range(5)]
    (tmp_path / "data.json").write_text(json.dumps(records))
    model, tokenizer = golden_model("cpu")
    parts = (LlavaData(tmp_path / "data.json", None, 3, 0), tokenizer, model.config, Settings(tmp_path, canvas=8))
    expected = [Examples(*parts)[number] for number in range(17)]
    read = []
    monkeypatch.setattr(Examples, "_encoded", lambda self, method, number, once=Examples._encoded: (
        read.append(self.data.index(number)), once(self, method, number))[1])
    remembered = along.Remembered(*parts)
    assert [remembered[number] for number in range(17)] == expected and sorted(read) == [*range(5)]


def test_lists_leave_out_empty_squares_and_are_as_long_as_there_are_shapes():
    lengths = set()
    for drawn in islice(lessons.draw("lists", 3), 60):
        if drawn.ability == "describe":
            listed = drawn.conversation[1]["value"].split(", ")
            assert len(listed) == len(drawn.scenes[0]) and "no shape" not in listed
            lengths.add(len(listed))
    assert lengths == {1, 2, 3, 4}


@pytest.mark.parametrize("way", padding.WEIGHTS)
def test_padding_counts_as_the_way_says(way, monkeypatch):
    """In the end training sees other labels, or other weights of them."""
    tokenizer = read_tokenizer(ROOT / "tutorials" / "study" / "model" / "tokenizer.json")
    seen = {}

    def train(argv):
        message = [{"from": "human", "value": "what?"}, {"from": "gpt", "value": "red star"}]
        labels = padding.examples.canvas_example(tokenizer, message, 0, 8, "")[1]
        filling = [labels.count(tokenizer.token_id(EOS))]
        weights = objectives.target_weights(torch.tensor([labels]), tokenizer.token_id(EOS), objectives.PADDING_WEIGHT)
        seen.update(argv=argv, filling=filling[0], labels=labels,
                    weight=1.0 if weights is None else (weights[0, -1] / weights[0, -1 - filling[0]]).item())
        return 0

    monkeypatch.setattr(padding.train, "main", train)
    monkeypatch.setattr(objectives, "PADDING_WEIGHT", objectives.PADDING_WEIGHT)
    monkeypatch.setattr(padding.examples, "canvas_example", padding.filled)
    assert padding.main(["--padding", way, "--out", "x"]) == 0 and seen["argv"] == ["--out", "x"]
    assert seen["filling"] == (0 if way == "batch" else 5)
    assert seen["weight"] == pytest.approx(padding.WEIGHTS[way])
    if way == "batch":
        assert seen["labels"][-1] == tokenizer.token_id(END_OF_TURN)
