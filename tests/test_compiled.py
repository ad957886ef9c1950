"""Compiled layers: the same answers, few things to compile. Dynamo runs here, the slow compilers behind it do not."""

import pytest
import torch
from device import COMMAND, DEVICE
from golden_data import CHECKPOINT, picture

from minllada_v import Request, SamplerConfig, answer, answer_batch, load_pretrained
from minllada_v.compiled import compile_layers
from minllada_v.generate import main


def compile_with(monkeypatch, backend):
    """From here on `backend` stands in for the compilers."""
    torch._dynamo.reset()
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile",
                        lambda module, **options: compile_module(module, backend=backend, **options))


@pytest.fixture
def graphs(monkeypatch) -> list:
    """Everything that is compiled from here on."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph

    compile_with(monkeypatch, backend)
    yield found
    torch._dynamo.reset()


def test_compiled_answers_are_the_same_and_nothing_is_compiled_twice(graphs):
    """Unequal questions, with guidance, refreshes and chance, answered twice: the answers of the plain model, from few
    graphs whatever the lengths; the second time nothing is compiled. All layers share these graphs."""
    model, tokenizer = load_pretrained(CHECKPOINT, DEVICE)
    samplers = [SamplerConfig(12), SamplerConfig(12, block_length=4, refresh_every=3, cfg_scale=0.5),
                SamplerConfig(12, threshold=0.01), SamplerConfig(12, temperature=1.0, remasking="random")]
    asked = [Request("What is it?" * number, [picture(0)] * (number % 2), sampler=sampler)
             for number, sampler in enumerate(samplers, start=1)]
    plain = answer_batch(model, tokenizer, asked)
    one_by_one = [answer(model, tokenizer, "What?" * number, sampler=SamplerConfig(3 + number)) for number in range(4)]
    compile_layers(model)
    assert answer_batch(model, tokenizer, asked) == plain
    assert graphs
    before = len(graphs)
    assert answer_batch(model, tokenizer, asked) == plain and len(graphs) == before
    assert one_by_one == [
        answer(model, tokenizer, "What?" * number, sampler=SamplerConfig(3 + number)) for number in range(4)]
    assert len(graphs) <= 12  # before and behind attention: one or more positions, all of them queries or some


def test_a_machine_that_cannot_compile_is_told(capsys, monkeypatch):
    """One line and exit code 1, in place of a compiler's traceback."""
    def broken(graph, inputs):
        raise ValueError("no compiler here")

    compile_with(monkeypatch, broken)
    code = main(["--weights", str(CHECKPOINT), *COMMAND, "--gen-length", "2", "--prompt", "Hi", "--compile"])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "") and "leave out --compile" in err and "no compiler here" in err
