"""What a run leaves on disk: its log, and checkpoints that are either whole or not there.

A checkpoint folder has the released layout, so `generate` reads it, or is a LoRA adapter. `last` also holds the
optimizer's state, which makes it possible to go on as if nothing had happened. No file is ever changed: a new folder is
written beside the old one, brought to the disk, and takes its name.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from ..errors import InputError
from ..files import naming, read_file, read_json
from ..model import LLaDAV
from ..tensor_names import released_name
from .adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_tensors


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0  # optimizer steps done
    seen: int = 0  # training examples, broken ones included
    broken: int = 0
    truncated: int = 0  # examples with a picture that lacks its end
    best: float | None = None  # lowest loss on what is held out


def save_checkpoint(
    folder: Path, model: LLaDAV, files: dict[str, bytes], optimizer: Optimizer | None = None,
    state: dict | None = None, writes: bool = True
):
    """Write the checkpoint `folder`, in place of the one that is there, or leave that one alone and raise OSError.

    `files` are those beside the weights, by name. With an adapter's config among them it becomes an adapter, which has
    only what learns. All processes must call this, for weights may be sharded; the one that `writes` writes.
    """
    parameters = dict(model.named_parameters())  # each once, where embeddings are tied
    if is_adapter := ADAPTER_CONFIG in files:
        weights = adapter_tensors({name: each for name, each in parameters.items() if each.requires_grad})
    else:
        weights = {released_name(name): each for name, each in parameters.items()}
    weights = _whole(weights, writes)
    moments = None if optimizer is None else _whole(_optimizer_tensors(model, optimizer), writes)
    if not writes:
        return
    recover(folder)
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        with naming(folder):
            unfinished.mkdir(parents=True)
            for name, content in files.items():
                (unfinished / name).write_bytes(content)
            weights_file = ADAPTER_WEIGHTS if is_adapter else "model.safetensors"
            save_file(weights, unfinished / weights_file, metadata={"format": "pt"})
            if moments is not None:
                save_file(moments, unfinished / "optimizer.safetensors")
            if state is not None:
                (unfinished / "state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
            for path in unfinished.glob("*.safetensors"):
                path.chmod(unfinished.stat().st_mode & 0o666)  # safetensors lets only the owner read them
            for path in [*unfinished.iterdir(), unfinished]:
                flush(path)
            replace_folder(folder, unfinished)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def replace_folder(folder: Path, new: Path):
    """Give the folder `new` the name `folder`. A folder cannot be renamed onto one that holds something, so the old one
    first steps aside; `recover` undoes that if the end comes in between."""
    old = folder.with_name(folder.name + ".old")
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path):
    """Bring back the old checkpoint where a run ended while the new one took its place, and clean up."""
    old = folder.with_name(folder.name + ".old")
    if old.exists() and not folder.exists():
        os.rename(old, folder)
    for left in (old, folder.with_name(folder.name + ".unfinished")):
        shutil.rmtree(left, ignore_errors=True)


def flush(path: Path):
    """Make sure that a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_progress(folder: Path, settings: dict) -> Progress:
    """How far the run in the checkpoint `folder` is. Raises `InputError` if it was made with other `settings`, or by a
    version that did not have all of them."""
    path = folder / "state.json"
    state = read_json(path)
    try:
        progress, made_with = Progress(**state["progress"]), dict(state["settings"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} does not say how far the run is, or with which settings") from None
    for name, value in settings.items():
        if name not in made_with and value is not None:
            raise InputError(f"{folder.parent} holds a run of an earlier version, without {name!r}: from here on its "
                             "numbers would be others; finish it with that version, or give another --out")
        before = made_with.get(name)
        if before != value:
            raise InputError(f"{folder.parent} holds a run with {name} {before}, and now it is {value}; "
                             "give the settings of that run, or another --out")
    return progress


def checkpoint_state(progress: Progress, settings: dict) -> dict:
    """What `load_progress` reads."""
    return {"progress": asdict(progress), "settings": settings}


def load_optimizer(folder: Path, model: LLaDAV, optimizer: Optimizer):
    """Give `optimizer` the state that it had when the checkpoint was saved, on any number of processes."""
    path = folder / "optimizer.safetensors"
    try:
        with safe_open(path, "pt") as file:
            for name, parameter in model.named_parameters():
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    if f"{key}/{name}" in file.keys():
                        tensor = file.get_tensor(f"{key}/{name}").clone()
                        optimizer.state[parameter][key] = (
                            tensor.to(parameter.device) if key == "step" else _placed(tensor, parameter))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is missing or broken: {error}") from None


def _optimizer_tensors(model: LLaDAV, optimizer: Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts by the names of the parameters."""
    return {f"{key}/{name}": tensor for name, parameter in model.named_parameters()
            for key, tensor in optimizer.state.get(parameter, {}).items()}


def _whole(tensors: dict[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Copies on the CPU, put together where they are sharded: all processes take part, and those that `keep` keep."""
    copies = {}
    for name, tensor in tensors.items():
        tensor = whole(tensor)
        if keep:
            copies[name] = tensor.detach().cpu().contiguous()
    return copies


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be sharded; all processes must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _placed(tensor: Tensor, parameter: Tensor) -> Tensor:
    """`tensor` where `parameter` is: on its device, and sharded as it is."""
    if isinstance(parameter, DTensor):
        return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)
    return tensor.to(parameter.device)


class Log:
    """A file of JSON lines, each with the `step` that it belongs to."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, **entry):
        """Add a line."""
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def read(self) -> list[dict]:
        """All lines. One that a kill cut short is left out; that can only be the last. Raises `InputError` if another
        is not as `write` writes it."""
        lines = read_file(self.path).split(b"\n") if self.path.exists() else []
        entries = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                entries.append(json.loads(line))
                known = isinstance(entries[-1]["step"], int)
            except (ValueError, KeyError, TypeError):
                known = False
            if not known:
                raise InputError(f"line {number} of {self.path} is not from the log of a run; delete it and all after "
                                 "it, or give another --out")
        return entries

    def cut(self, step: int):
        """Forget what came after `step`: those steps will be made again."""
        entries = [entry for entry in self.read() if entry["step"] <= step]
        unfinished = self.path.with_suffix(".unfinished")
        with naming(self.path):
            unfinished.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
            flush(unfinished)
            os.replace(unfinished, self.path)
