"""Compiled layers: the same numbers, from few shapes. Dynamo runs here, the slow compilers behind it do not."""

from functools import partial

import pytest
import torch
from golden_data import CHECKPOINT, picture
from hypothesis import given, settings
from hypothesis import strategies as st

import minllada_v.compiled
from minllada_v import Request, SamplerConfig, answer_batch, load_pretrained
from minllada_v.compiled import compile_layers, rounded_up
from minllada_v.generate import main


@pytest.fixture
def shapes(monkeypatch) -> list[list[int]]:
    """Everything that is compiled from here on, as the numbers of places of its inputs."""
    found = []

    def backend(graph, inputs):
        found.append(sorted({given.shape[-2] for given in inputs if given.dim() > 2}))
        return graph

    torch._dynamo.reset()
    monkeypatch.setattr(minllada_v.compiled.torch, "compile", partial(torch.compile, backend=backend))
    yield found
    torch._dynamo.reset()


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_shapes_are_few_and_hardly_larger(places, more):
    """Rounding up never loses a place, adds less than an eighth or less than 16, keeps the order, and ends at shapes of
    which there are at most nine up to the double."""
    rounded = rounded_up(places)
    assert places <= rounded and rounded - places < max(16, places / 8)
    assert rounded_up(rounded) == rounded
    assert rounded_up(places) <= rounded_up(places + more)
    doubled = range(min(places, 2000) + 1, 2 * min(places, 2000) + 1)
    assert len({rounded_up(number) for number in doubled}) <= 9


def test_compiled_answers_are_the_same_and_shapes_are_compiled_once(shapes):
    """Unequal questions, with guidance, refreshes and chance, answered twice: the answers of the plain model, and the
    second time nothing is compiled."""
    model, tokenizer = load_pretrained(CHECKPOINT, "cpu")
    samplers = [SamplerConfig(12), SamplerConfig(12, block_length=4, refresh_every=3, cfg_scale=0.5),
                SamplerConfig(12, threshold=0.01), SamplerConfig(12, temperature=1.0, remasking="random")]
    asked = [Request("What is it?" * number, [picture(0)] * (number % 2), sampler=sampler)
             for number, sampler in enumerate(samplers, start=1)]
    plain = answer_batch(model, tokenizer, asked)
    compile_layers(model)
    assert answer_batch(model, tokenizer, asked) == plain
    assert shapes and all(len(places) == 1 and rounded_up(places[0]) == places[0] for places in shapes)
    once = len(shapes)  # queries, keys and values, and what follows attention: three functions
    assert once <= 3 * len({places[0] for places in shapes})
    assert answer_batch(model, tokenizer, asked) == plain and len(shapes) == once


def test_a_machine_that_cannot_compile_is_told(capsys, monkeypatch):
    """One line and exit code 1, in place of a compiler's traceback."""
    def broken(graph, inputs):
        raise ValueError("no compiler here")
    torch._dynamo.reset()
    monkeypatch.setattr(minllada_v.compiled.torch, "compile", partial(torch.compile, backend=broken))
    code = main(["--weights", str(CHECKPOINT), "--device", "cpu", "--gen-length", "2", "--prompt", "Hi", "--compile"])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "") and "leave out --compile" in err and "no compiler here" in err
