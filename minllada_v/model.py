"""LLaDA-V: vision tower, projector and language model as one, and the splice of features into text."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .chat import IMAGE_ID
from .config import Config
from .errors import InputError
from .language import LanguageModel, Part
from .merge import merge
from .projector import Projector
from .tiles import Tiles
from .vision import VisionTower


class LLaDAV(nn.Module):
    """The whole model.

    `compute_dtype` is the type of all activations; weights may be stored in another (see `layers.py`).
    A text-only checkpoint has no `vision_tower`, `mm_projector` and `image_newline`.
    """

    def __init__(self, config: Config, compute_dtype: torch.dtype = torch.float32):
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        if config.vision:
            self.vision_tower = VisionTower(config.vision)
            self.mm_projector = Projector(config.vision.hidden_size, config.hidden_size)
            self.image_newline = nn.Parameter(torch.zeros(config.hidden_size))
        self.language_model = LanguageModel(config)

    @property
    def device(self) -> torch.device:
        return self.language_model.norm.weight.device

    def project(self, pixel_values: Tensor) -> Tensor:
        """`pixel_values` (tiles, 3, S, S) → projected features (tiles, patches, width)."""
        return self.mm_projector(self.vision_tower(pixel_values.to(self.device, self.compute_dtype)))

    def merge(self, projected: Tensor, tiles: Tiles) -> Tensor:
        """Projected features (tiles, patches, width) of one picture or video → (length, width), as the language
        model reads them."""
        newline = self.image_newline.to(projected.dtype)
        return merge(projected, tiles, newline, self.config.anyres_max, self.config.newline_position)

    def embed(self, ids: Tensor, features: Tensor) -> Tensor:
        """`inputs_embeds` (batch, length, width) of spliced `ids` (batch, length): a token's embedding or, where the
        id is -200, the next row of `features` (rows, width)."""
        inputs_embeds = self.language_model.embed_tokens(ids.clamp(min=0)).to(self.compute_dtype)
        return inputs_embeds.masked_scatter((ids == IMAGE_ID)[..., None], features.to(self.compute_dtype))

    def logits(
        self,
        ids: Tensor,
        features: Tensor,
        positions: Tensor,
        position_ids: Tensor | None = None,
        parts: Sequence[Part] | None = None,
    ) -> Tensor:
        """Logits (places, vocabulary) at `positions` (places,) of one spliced sequence `ids` (length,), or of several
        one behind another, which `position_ids` and `parts` tell apart (see `LanguageModel.forward`)."""
        hidden_states = self.language_model(self.embed(ids[None], features), None, positions, position_ids, parts)
        return self.language_model.lm_head(hidden_states[0])


def check_diffusion(model: LLaDAV):
    """Raises `InputError` if the model was trained to write from left to right: it cannot fill in masks."""
    if model.config.autoregressive:
        raise InputError("this model was trained with --autoregressive: it writes from left to right and cannot fill "
                         "in masks; ask it with answer_left_to_right of autoregressive.py")


def splice(input_ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """For each position of the spliced sequence, the position of `input_ids` (length,) that it comes from.

    Every -200 is repeated as often as its picture has features (`lengths`, in order). Indexing with the result
    splices anything that is given per token: ids, labels, turn ids. Raises `InputError` if the counts differ.
    """
    places = input_ids == IMAGE_ID
    if int(places.sum()) != len(lengths):
        raise InputError(f"{int(places.sum())} places for pictures, but {len(lengths)} pictures")
    repeats = torch.ones_like(input_ids)
    repeats[places] = torch.tensor(lengths, dtype=repeats.dtype, device=repeats.device)
    return torch.arange(len(input_ids), device=input_ids.device).repeat_interleave(repeats)
