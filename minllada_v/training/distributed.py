"""One run on one process or on several: the module that torch's wrappers act on, and signals to stop.

DistributedDataParallel and fully_shard act when a module's `forward` runs, so all that a step computes is in one
`forward`. What is computed is the objective's business, and the same for any number of processes.
"""

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from ..chat import EOS
from ..model import LLaDAV
from ..tokenizer import Tokenizer
from ..world.patch_words import CHOICES
from .examples import Example
from .objectives import Objective


class Learner(nn.Module):
    """A model and its objective as one module. Under `bfloat16` autocast picks the type of each operation, while
    weights that learn, gradients and the residual stream stay float32."""

    def __init__(self, model: LLaDAV, tokenizer: Tokenizer, objective: Objective, bfloat16: bool = False):
        super().__init__()
        self.model, self.tokenizer, self.objective, self.bfloat16 = model, tokenizer, objective, bfloat16

    def forward(self, examples: Sequence[Example], times: Tensor, seeds: Sequence[int]) -> Tensor:
        """The loss of each example (examples,) float32; `times` (examples,) in [0, 1) and `seeds` decide the masks.

        Without examples the loss is 0, and still everything has run once: other processes wait for this one in every
        layer.
        """
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bfloat16):
            if examples:
                return self.objective(self.model, examples, times, seeds)
            return 0 * self.objective(self.model, [self._stand_in()], torch.zeros(1), [0])

    def _stand_in(self) -> Example:
        """The smallest example that there is, with a black tile for stage "vision"."""
        padding, vision = self.tokenizer.token_id(EOS), self.model.config.vision
        words = torch.zeros(1, vision.patches_per_side**2, len(CHOICES), dtype=torch.long) if vision else None
        return Example([padding], [padding], [0], [], words)

    @torch.no_grad()
    def ask(self, function: Callable, *arguments):
        """`function(model, *arguments)`, with the arithmetic of training and weights put together if sharded."""
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bfloat16):
            return function(self.model, *arguments)


def distribute(learner: Learner, device: torch.device, shard: bool) -> nn.Module:
    """Bring the learner to `device` and to all processes; returns the module to call.

    With `shard` each process keeps a part of every weight, gradient and optimizer state, and layers are put together
    while they compute; else each keeps everything.
    """
    if shard:
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        for layer in layers(learner.model):
            own_weights(layer)  # one by one, so that memory never holds all of it in float32
            fully_shard(layer, mesh=mesh)
        own_weights(learner)
        fully_shard(learner, mesh=mesh)
        register_fsdp_forward_method(learner, "ask")
        return learner
    own_weights(learner)
    learner.to(device)
    return DistributedDataParallel(learner) if dist.is_initialized() else learner


def own_weights(module: nn.Module):
    """Take weights into memory instead of mapping them from a file: what learns as float32, because many small steps
    would be lost in bfloat16, and what is frozen in the type that it is stored in."""
    for parameter in module.parameters():
        if not isinstance(parameter, DTensor):  # else it has been sharded, and converted before
            dtype = torch.float32 if parameter.requires_grad else parameter.dtype
            parameter.data = parameter.data.to(dtype, copy=True)


def layers(model: LLaDAV) -> list[nn.Module]:
    """The transformer layers of both towers."""
    return [*(model.vision_tower.layers if model.config.vision else ()), *model.language_model.layers]


def save_memory(model: LLaDAV):
    """Gradient checkpointing: keep only each layer's input, and compute the layer again on the way back."""
    for layer in layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)


def sum_over_processes(values: Tensor):
    """Put the sum over all processes in place of `values`."""
    if dist.is_initialized():
        dist.all_reduce(values)


def gather(values: dict) -> dict:
    """The entries of all processes; all must call this."""
    if not dist.is_initialized():
        return values
    parts: list[dict] = [{}] * dist.get_world_size()
    dist.all_gather_object(parts, values)
    return {key: value for part in parts for key, value in part.items()}


def ignore_signals(_: int):
    """For processes that read data ahead. A signal to stop often goes to all of a run's processes; the training
    process still needs the data of its step, and ends these itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """Within `with`, Ctrl-C and SIGTERM end nothing, but set `number`. A second one acts as usual, except under
    torchrun, where each comes twice."""

    def __enter__(self) -> "Signals":
        self.number = 0
        self.usual = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self.usual.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame):
        self.number = number
        if "RANK" not in os.environ:  # torchrun passes on the Ctrl-C that the terminal has sent already
            self.__exit__()
