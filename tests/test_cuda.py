"""What only a GPU can show: the numbers of a CPU on it, few waits, NCCL. And what prepares for one, tried without."""

import json
import socket
import warnings
from pathlib import Path

import pytest
import torch
from device import DEVICE, TOLERANCE, alike, assert_close
from golden_data import CHECKPOINT, golden_model, picture
from safetensors.torch import save_file

from minllada_v import InputError, SamplerConfig, load_pretrained
from minllada_v.answer import answer_steps, encode_images, prompt_ids
from minllada_v.checkpoint import pick_device
from minllada_v.evaluation.answers import fingerprint
from minllada_v.generate import peak_memory
from minllada_v.low_bits import low_bit_layers
from minllada_v.processes import join_processes
from minllada_v.train import main
from minllada_v.training.adapters import load_adapter
from minllada_v.training.checkpoints import load_optimizer

on_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA")
IDS = torch.arange(20)
TRAIN = ["--from", str(CHECKPOINT), "--world", "--steps", "4", "--batch-size", "2", "--held-out", "2",
         "--answer-length", "2", "--learning-rate", "1e-3"]


def losses(*options: object) -> list[float]:
    """Of a run with these options."""
    options = list(map(str, options))
    assert main([*TRAIN, *options]) == 0
    lines = Path(options[options.index("--out") + 1], "log.jsonl").read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


@pytest.mark.parametrize("asked", [None, "cuda", torch.device("cuda", 0)])
def test_float32_is_float32_on_a_gpu_and_no_shape_is_planned_for(asked, monkeypatch):
    """Convolutions would be rounded to 10 bits, and the gradients of their weights added up in any order; and cuDNN's
    attention would be planned anew at every step, since one position fewer is open."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    torch.backends.cuda.enable_cudnn_sdp(True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    assert pick_device(asked).type == "cuda"
    assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cuda.cudnn_sdp_enabled()


def test_all_of_a_resumed_optimizer_lies_there_with_the_weights(tmp_path):
    """Its step counts too: a fused AdamW reads them there. The meta device stands for a GPU."""
    model = torch.nn.ParameterDict({"a": torch.empty(3, device="meta"), "b": torch.empty(2, 2, device="meta")})
    shapes = {"step": lambda parameter: (), "exp_avg": torch.Tensor.size, "exp_avg_sq": torch.Tensor.size}
    save_file({f"{key}/{name}": torch.ones(shape(parameter)) for name, parameter in model.items()
               for key, shape in shapes.items()}, tmp_path / "optimizer.safetensors")
    optimizer = torch.optim.AdamW(model.parameters())
    load_optimizer(tmp_path, model, optimizer)
    found = [tensor.device.type for state in optimizer.state.values() for tensor in state.values()]
    assert found == ["meta"] * 6


def test_more_processes_than_gpus_are_refused(monkeypatch):
    """In place of a traceback of CUDA's."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match="each process takes a GPU, and this machine has 2; start no more"):
        join_processes("cuda", shard=False)


@on_a_gpu
def test_a_gpu_computes_in_the_type_that_is_stored():
    """On a CPU it is float32, whatever is stored. The memory is the GPU's."""
    for dtype, expected in ((None, torch.bfloat16), (torch.float32, torch.float32)):
        model, _ = load_pretrained(None, DEVICE, dtype)
        logits = model(IDS.to(DEVICE))
        assert model.compute_dtype == logits.dtype == expected and logits.device.type == "cuda"
    assert peak_memory(model.device) == torch.cuda.max_memory_allocated() > 0


@on_a_gpu
def test_the_fingerprint_is_the_same_wherever_the_model_lies():
    assert fingerprint(load_pretrained(CHECKPOINT, DEVICE)[0]) == fingerprint(load_pretrained(CHECKPOINT, "cpu")[0])


@on_a_gpu
@pytest.mark.parametrize("sampler", [SamplerConfig(8), SamplerConfig(8, refresh_every=4, cfg_scale=0.5)])
def test_a_step_waits_for_the_gpu_once(sampler):
    """To fetch the choices. CUDA itself counts."""
    model, tokenizer = golden_model()
    features = encode_images(model, [picture(0)])
    steps = answer_steps(model, tokenizer, prompt_ids(tokenizer, "What?", features), features, sampler)
    next(steps)
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            count = len(list(steps))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [it for it in waits if "called a synchronizing" in str(it.message)]
    assert len(waits) == count == 7, {f"{it.filename}:{it.lineno}" for it in waits}


@on_a_gpu
@pytest.mark.parametrize("bits", [8, 4])
def test_low_bits_are_packed_there_as_here_and_compute_the_same(bits):
    """Packing is exact arithmetic. In bfloat16 logits are near those of float32."""
    here, _ = load_pretrained(CHECKPOINT, "cpu", torch.float32, bits)
    there, _ = load_pretrained(CHECKPOINT, DEVICE, torch.float32, bits)
    assert all(tensor.equal(there.state_dict()[name].cpu()) for name, tensor in here.state_dict().items())
    assert_close(there(IDS.to(DEVICE)), here(IDS))
    for one, other in zip(low_bit_layers(here).values(), low_bit_layers(there).values(), strict=True):
        x = torch.randn(3, one.in_features, generator=torch.Generator().manual_seed(0))
        gradients = [torch.autograd.grad(layer(it).square().sum(), it) for layer, it in (
            (one, x.clone().requires_grad_()), (other, x.to(DEVICE).requires_grad_()))]
        assert_close(gradients[1][0], gradients[0][0])
    rough = load_pretrained(CHECKPOINT, DEVICE, torch.bfloat16, bits)[0](IDS.to(DEVICE)).float().cpu()
    exact = here(IDS)
    assert (rough - exact).norm() < 0.05 * exact.norm()


@on_a_gpu
@pytest.mark.parametrize("options", [[], ["--lora", "3"], ["--stage", "tune", "--checkpointing"], ["--autoregressive"]],
                         ids=["all", "LoRA", "checkpointing", "twin"])
def test_training_has_the_losses_of_a_cpu(tmp_path, options):
    """In float32, to the tolerance of many sums; in bfloat16, the default there, to that of bfloat16."""
    expected = losses("--out", tmp_path / "cpu", "--device", "cpu", *options)
    there = losses("--out", tmp_path / "gpu", "--device", DEVICE, "--dtype", "float32", *options)
    assert alike(there, expected) and len(expected) == 4
    rough = losses("--out", tmp_path / "rough", "--device", DEVICE, *options)
    assert rough != there and rough == pytest.approx(expected, rel=TOLERANCE[torch.bfloat16])
    if "--lora" in options:
        models = [load_pretrained(CHECKPOINT, device)[0] for device in ("cpu", DEVICE)]
        for model in models:
            load_adapter(model, tmp_path / "gpu" / "last", CHECKPOINT)
        assert_close(models[1](IDS.to(DEVICE)), models[0](IDS))


@on_a_gpu
@pytest.mark.parametrize("options", [[], ["--shard"]], ids=["DistributedDataParallel", "fully_shard"])
def test_one_process_of_nccl_has_the_losses_of_none(tmp_path, monkeypatch, options):
    expected = losses("--out", tmp_path / "alone", "--device", DEVICE, "--dtype", "float32")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    assert alike(losses("--out", tmp_path / "nccl", "--device", DEVICE, "--dtype", "float32", *options), expected)
