"""What is asked of the model: to fill in masks, to predict the next token, or to say what each patch shows.

Each objective is a function of the model and of examples that gives one loss per example, (examples,) float32, in
nats per target. Every example brings its own time and its own seed for its masks. So its loss is the same whichever
process works on it, and beside whichever others; only padding joins the examples of a batch.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..autoregressive import next_token_loss
from ..chat import EOS, IGNORED, MASK
from ..errors import InputError
from ..loss import training_loss
from ..masking import Masking, draw_uniform, mask_by_time
from ..model import LLaDAV
from ..tokenizer import Tokenizer
from ..world.patch_words import spellings, word_loss
from .batch import Batch, denoiser, pad, splice_batch
from .examples import Example
from .settings import Settings

Objective = Callable[[LLaDAV, Sequence[Example], Tensor, Sequence[int]], Tensor]  # examples, times, seeds

PADDING_WEIGHT = 0.1  # on a canvas


def choose_objective(settings: Settings, tokenizer: Tokenizer) -> Objective:
    """The objective of a run. Raises `InputError` if the tokenizer does not suit stage "vision"."""
    if settings.stage == "vision":
        return partial(patch_loss, word_ids=spellings(tokenizer))
    shared = {"padding_id": tokenizer.token_id(EOS), "padding_weight": PADDING_WEIGHT if settings.canvas else 1.0}
    if settings.autoregressive:
        return partial(twin_loss, **shared)
    return partial(diffusion_loss, mask_id=tokenizer.token_id(MASK), attention=settings.attention, **shared)


def diffusion_loss(
    model: LLaDAV, examples: Sequence[Example], times: Tensor, seeds: Sequence[int], *, mask_id: int, padding_id: int,
    padding_weight: float = 1.0, attention: str | None = None, masking: Masking = mask_by_time,
) -> Tensor:
    """The paper's loss of each example: mask its targets at its time, and ask for them (see `loss.training_loss`, where
    `masking` is explained). `times` (examples,) in [0, 1). `attention` is that of the settings."""
    batch, unused = make_batch(model, examples, padding_id, attention)
    uniform = torch.cat([draw_uniform(row[None], torch.Generator().manual_seed(seed))
                         for row, seed in zip(batch.labels, seeds, strict=True)])
    weights = target_weights(batch.labels, padding_id, padding_weight)
    return training_loss(denoiser(model, batch), batch.ids, batch.labels, mask_id, times.to(model.device), uniform,
                         masking, weights) + unused


def twin_loss(
    model: LLaDAV, examples: Sequence[Example], times: Tensor, seeds: Sequence[int], *, padding_id: int,
    padding_weight: float = 1.0,
) -> Tensor:
    """The loss of the autoregressive twin: each target is predicted from what stands before it. Nothing is drawn, so
    `times` and `seeds` are not used."""
    batch, unused = make_batch(model, examples, padding_id)
    return next_token_loss(model, batch, target_weights(batch.labels, padding_id, padding_weight)) + unused


def patch_loss(
    model: LLaDAV, examples: Sequence[Example], times: Tensor, seeds: Sequence[int], *,
    word_ids: Sequence[Sequence[Tensor]],
) -> Tensor:
    """The loss of stage "vision": how badly the features of patches point to the words of what they show, the mean over
    the tiles of each example (see `world/patch_words.py`). Nothing is drawn here either."""
    features = model.project(pixel_values(model, examples))  # (tiles, patches, width)
    losses = word_loss(features.float(), model.language_model.embed_tokens.weight,
                       torch.cat([example.words for example in examples]).to(model.device), word_ids)
    return torch.stack([part.mean() for part in losses.split([len(example.words) for example in examples])])


def make_batch(
    model: LLaDAV, examples: Sequence[Example], padding_id: int, attention: str | None = None
) -> tuple[Batch, Tensor | float]:
    """The examples side by side, with the features of their pictures; and a 0 to add to their losses.

    The 0 depends on the vision tower even if there are no pictures: all processes must use the same parameters, or they
    wait for each other for ever.
    """
    input_ids, labels, part_ids = (
        part.to(model.device) for part in pad([(it.input_ids, it.labels, it.part_ids) for it in examples], padding_id))
    features, unused = picture_features(model, examples)
    seen_in_order = {None: None, "dialogue-causal": part_ids // 2, "prompt-first": part_ids}
    return splice_batch(input_ids, labels, features, seen_in_order[attention]), unused


def picture_features(model: LLaDAV, examples: Sequence[Example]) -> tuple[list[list[Tensor]], Tensor | float]:
    """The features of each example's pictures, (rows, width) each, and the 0 of `make_batch`."""
    if model.config.vision is None:
        return [[] for _ in examples], 0.0
    projected = model.project(pixel_values(model, examples))  # (tiles, patches, width)
    unused = 0 * (projected[:1].float().sum() + model.image_newline.sum())
    counts = [len(tiles.pixel_values) for example in examples for tiles in example.tiles]
    parts = iter(projected.split(counts) if counts else ())
    return [[model.merge(next(parts), tiles) for tiles in example.tiles] for example in examples], unused


def pixel_values(model: LLaDAV, examples: Sequence[Example]) -> Tensor:
    """All tiles of the examples' pictures, (tiles, 3, S, S), or a black one where there are none."""
    tiles = [tiles.pixel_values for example in examples for tiles in example.tiles]
    size = model.config.vision.image_size
    return torch.cat(tiles or [torch.zeros(1, 3, size, size)])


def target_weights(labels: Tensor, padding_id: int, padding_weight: float) -> Tensor | None:
    """How much each place of `labels` (batch, length) counts, with a mean of 1 over the targets. On a canvas padding
    counts less than the answer: there is more of it, and it is learned at once."""
    if padding_weight == 1:
        return None
    targets = labels != IGNORED
    weights = torch.where(labels == padding_id, padding_weight, 1.0) * targets
    return weights * (targets.sum(dim=1) / weights.sum(dim=1))[:, None]


def choose_trainable(model: LLaDAV, stage: str, train_vision: bool):
    """Freeze what does not learn: in stage "align" all but the projector, in stage "vision" all but the way from pixels
    to words. Raises `InputError` if the model has no vision tower for these stages, or has what would learn in low
    bits."""
    if stage != "tune" and model.config.vision is None:
        raise InputError(f"stage {stage} trains on pictures, and this checkpoint is a text-only LLaDA; "
                         "give it as --language, with a --vision")
    if stage == "tune" and model.config.weight_bits:
        raise InputError(f"weights in {model.config.weight_bits} bits are too coarse to learn in small steps; train "
                         "the original weights or, with --lora, an adapter beside these")
    learning = {
        "vision": ("vision_tower.", "mm_projector.", "language_model.embed_tokens."),
        "align": ("mm_projector.",),
        "tune": ("mm_projector.", "image_newline", "language_model.", *(("vision_tower.",) if train_vision else ())),
    }[stage]
    for name, parameter in model.named_parameters():
        unused = "post_layernorm" in name  # SigLIP's final norm is never applied
        parameter.requires_grad_(name.startswith(learning) and not unused)
