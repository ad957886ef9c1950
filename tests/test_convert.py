"""A checkpoint in bfloat16: half the size, each weight the nearest there is, and nothing else changed."""

import errno
import os
from pathlib import Path

import torch
from golden_data import CHECKPOINT
from safetensors.torch import load_file

from minllada_v import SamplerConfig, answer, load_pretrained
from minllada_v.checkpoint import open_tensors
from minllada_v.convert import main


def test_every_weight_is_rounded_and_what_lies_beside_them_stays(tmp_path):
    assert main(["--from", str(CHECKPOINT), "--out", str(tmp_path / "half")]) == 0
    before, after = open_tensors(CHECKPOINT), load_file(tmp_path / "half" / "model.safetensors")
    assert set(after) == set(before)
    for name, tensor in after.items():
        assert tensor.equal(before[name].to(torch.bfloat16))
    for name in ("config.json", "tokenizer.json"):
        assert (tmp_path / "half" / name).read_bytes() == (CHECKPOINT / name).read_bytes()
    model, tokenizer = load_pretrained(tmp_path / "half", "cpu")
    assert isinstance(answer(model, tokenizer, "Hi", sampler=SamplerConfig(gen_length=2)), str)


def test_what_is_wrong_is_said_and_nothing_is_overwritten(tmp_path, capsys):
    assert main(["--from", str(CHECKPOINT), "--out", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err and not any(tmp_path.iterdir())
    assert main(["--from", "none", "--out", str(tmp_path / "half")]) == 2
    assert "none is not a folder" in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    def full(tensors, path, **options):
        Path(path).write_bytes(b"what still fitted")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("minllada_v.training.checkpoints.save_file", full)
    assert main(["--from", str(CHECKPOINT), "--out", str(tmp_path / "half")]) == 1
    printed = capsys.readouterr().err
    assert "No space left on device" in printed and printed.count("\n") == 1 and not any(tmp_path.iterdir())
