"""The model and its loss as one module, on one process or on several.

DistributedDataParallel and fully_shard act when a module's `forward` runs, so all that training computes is in one
`forward`. Every example brings its own time and its own seed for its masks. Its loss is therefore the same whichever
process works on it, and beside whichever others.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from ..answer import answer_steps, answer_text, encode_images, prompt_ids
from ..autoregressive import next_token_loss
from .batch import denoiser, pad, splice_batch
from ..chat import EOS, IGNORED, IMAGE_ID, MASK
from ..errors import InputError
from .examples import Example
from ..loss import masked_loss
from ..masking import draw_uniform, mask_by_time
from ..model import LLaDAV, splice
from ..world.patch_words import CHOICES, spellings, word_loss
from .data import Record
from ..sampler_config import SamplerConfig
from ..tokenizer import Tokenizer


PADDING_WEIGHT = 0.1


class Learner(nn.Module):
    """The model with all that training asks of it. Under `bfloat16` autocast picks the type of each operation, while
    weights, gradients and the residual stream stay float32."""

    def __init__(
        self, model: LLaDAV, tokenizer: Tokenizer, bfloat16: bool = False, stage: str = "tune", canvas: bool = False,
        dialogue_causal: bool = False,
    ):
        super().__init__()
        self.canvas, self.dialogue_causal = canvas, dialogue_causal
        self.spellings = spellings(tokenizer) if stage == "vision" else None
        self.model, self.tokenizer, self.bfloat16 = model, tokenizer, bfloat16
        self.mask_id, self.padding_id = tokenizer.token_id(MASK), tokenizer.token_id(EOS)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bfloat16)

    def forward(self, examples: Sequence[Example], times: Tensor, seeds: Sequence[int]) -> Tensor:
        """The loss of each example (examples,) float32, padded to the longest of them.

        `times` (examples,) in [0, 1); `seeds` say which places are masked. An autoregressive model needs neither.
        Without examples the loss is 0, and still everything has run once: other processes wait for this one in every
        layer.
        """
        if self.spellings:
            return self.patch_loss(examples)
        if not examples:
            nothing = Example([self.padding_id], [self.padding_id], [0], [])
            return 0 * Learner.forward(self, [nothing], torch.zeros(1), [0])
        device = self.model.device
        input_ids, labels, turn_ids = pad([(it.input_ids, it.labels, it.turn_ids) for it in examples], self.padding_id)
        turn_ids = turn_ids.to(device) if self.dialogue_causal else None
        with self.autocast():
            features, unused = self.features(examples)
            batch = splice_batch(input_ids.to(device), labels.to(device), features, turn_ids)
            weights = self.weights(batch.labels)
            if self.model.config.autoregressive:
                return next_token_loss(self.model, batch, weights) + unused
            uniform = torch.cat([draw_uniform(row[None], torch.Generator().manual_seed(seed))
                                 for row, seed in zip(batch.labels, seeds, strict=True)])
            masks = mask_by_time(batch.labels, times.to(device), uniform)
            return masked_loss(denoiser(self.model, batch), batch.ids, batch.labels, self.mask_id, masks,
                               weights) + unused

    def weights(self, labels: Tensor) -> Tensor | None:
        """How much each place of `labels` (batch, length) counts. On a canvas padding counts less than the answer:
        there is more of it, and it is learned at once."""
        if not self.canvas:
            return None
        targets = labels != IGNORED
        weights = torch.where(labels == self.padding_id, PADDING_WEIGHT, 1.0) * targets
        return weights * (targets.sum(dim=1) / weights.sum(dim=1))[:, None]

    def patch_loss(self, examples: Sequence[Example]) -> Tensor:
        """The loss of each example in stage "vision", (examples,) float32: the mean over its tiles."""
        config, device = self.model.config, self.model.device
        side = config.vision.patches_per_side
        tiles = [tiles.pixel_values for example in examples for tiles in example.tiles]
        black = torch.zeros(0 if tiles else 1, 3, config.vision.image_size, config.vision.image_size)
        words = [example.words for example in examples] or [torch.zeros(1, side**2, len(CHOICES), dtype=torch.long)]
        with self.autocast():
            features = self.model.project(torch.cat([*tiles, black]))
            losses = word_loss(features.float(), self.model.language_model.embed_tokens.weight,
                               torch.cat(words).to(device), self.spellings)
        means = torch.stack([part.mean() for part in losses.split([len(part) for part in words])])
        return means if examples else 0 * means[0]

    def features(self, examples: Sequence[Example]) -> tuple[list[list[Tensor]], Tensor | float]:
        """The features of each example's pictures, and a zero that depends on the vision tower even if there are none:
        all processes must use the same parameters, or they wait for each other for ever."""
        config = self.model.config
        if config.vision is None:
            return [[] for _ in examples], 0.0
        seen = [tiles for example in examples for tiles in example.tiles]
        black = torch.zeros(1, 3, config.vision.image_size, config.vision.image_size)
        pixels = torch.cat([tiles.pixel_values for tiles in seen] or [black])
        projected = self.model.project(pixels)
        unused = 0 * (projected[:1].float().sum() + self.model.image_newline.sum())
        parts = iter(projected.split([len(tiles.pixel_values) for tiles in seen]) if seen else ())
        return [[self.model.merge(next(parts), tiles) for tiles in example.tiles] for example in examples], unused

    @torch.no_grad()
    def answer(self, record: Record, stage: str, system: str | None, length: int) -> str:
        """What the model says to the first message of `record`, or to the picture alone in stage "align"."""
        video = record.pictures if record.video else None
        with self.autocast():
            features = encode_images(self.model, [] if record.video else record.pictures, video)
            if stage == "align":
                ids = torch.tensor([IMAGE_ID])
                ids = ids[splice(ids, [len(rows) for rows in features])]
            else:
                ids = prompt_ids(self.tokenizer, record.conversation[0]["value"], features, system=system)
            *_, last = answer_steps(self.model, self.tokenizer, ids, features, SamplerConfig(length))
        return answer_text(self.tokenizer, last)


def choose_trainable(model: LLaDAV, stage: str, train_vision: bool):
    """Freeze what does not learn: in stage "align" all but the projector and the newline, in stage "vision" all but
    the way from pixels to words. Raises `InputError` if the model has no vision tower for these stages."""
    if stage != "tune" and model.config.vision is None:
        raise InputError(f"stage {stage} trains on pictures, and this checkpoint is a text-only LLaDA; "
                         "give it as --language, with a --vision")
    learning = {
        "vision": ("vision_tower.", "mm_projector.", "language_model.embed_tokens."),
        "align": ("mm_projector.", "image_newline"),
        "tune": ("mm_projector.", "image_newline", "language_model.", *(("vision_tower.",) if train_vision else ())),
    }[stage]
    for name, parameter in model.named_parameters():
        unused = "post_layernorm" in name  # SigLIP's final norm is never applied
        parameter.requires_grad_(name.startswith(learning) and not unused)


def layers(model: LLaDAV) -> list[nn.Module]:
    """The transformer layers of both towers."""
    return [*(model.vision_tower.layers if model.config.vision else ()), *model.language_model.layers]


def save_memory(model: LLaDAV):
    """Gradient checkpointing: keep only each layer's input, and compute the layer again on the way back."""
    for layer in layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)


def to_float32(module: nn.Module):
    """Weights that can be trained: float32, in memory of their own instead of mapped from a file."""
    for parameter in module.parameters():
        if not isinstance(parameter, DTensor):  # else it has been sharded, and converted before
            parameter.data = parameter.data.to(torch.float32, copy=True)


def distribute(learner: Learner, device: torch.device, shard: bool) -> nn.Module:
    """Bring the learner to `device` and to all processes; returns the module to call.

    With `shard` each process keeps a part of every weight, gradient and optimizer state, and layers are put together
    while they compute; else each keeps everything.
    """
    if shard:
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        for layer in layers(learner.model):
            to_float32(layer)  # one by one, so that memory never holds all of it in float32
            fully_shard(layer, mesh=mesh)
        to_float32(learner)
        fully_shard(learner, mesh=mesh)
        register_fsdp_forward_method(learner, "answer")
        return learner
    to_float32(learner)
    learner.to(device)
    return DistributedDataParallel(learner) if dist.is_initialized() else learner
