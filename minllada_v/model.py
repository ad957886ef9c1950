"""LLaDA-V as one model: `splice` makes room for a picture's features, `embed` puts them there."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .chat import IMAGE_ID
from .config import Config
from .errors import InputError
from .language import Attend, LanguageModel, bidirectional
from .merge import merge
from .projector import Projector
from .tiles import Tiles
from .vision import VisionTower


class LLaDAV(nn.Module):
    """The whole model: logits for each position, given pictures, prompt and an unfinished answer.

    `compute_dtype` is the type of all activations; weights may be stored in another (see
    `layers.py`). A text-only checkpoint has no `vision_tower`, `mm_projector` and `image_newline`.
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
        """Where the weights are."""
        return self.language_model.norm.weight.device

    def project(self, pixel_values: Tensor) -> Tensor:
        """`pixel_values` (tiles, 3, S, S) → projected features (tiles, patches, width)."""
        pixel_values = pixel_values.to(self.device, self.compute_dtype)
        return self.mm_projector(self.vision_tower(pixel_values))

    def merge(self, projected: Tensor, tiles: Tiles) -> Tensor:
        """Projected features (tiles, patches, width) of one picture or video → (length, width), as
        the language model reads them."""
        newline, config = self.image_newline.to(projected.dtype), self.config
        return merge(projected, tiles, newline, config.anyres_max, config.newline_position)

    def embed(self, ids: Tensor, features: Sequence[Tensor]) -> Tensor:
        """`inputs_embeds` (batch, length, width) of spliced `ids` (batch, length): a token's
        embedding or, at -200, the next row of the pictures' `features`, (rows, width) each."""
        known = ids.clamp(min=0)  # -200 has no embedding; any will do, since it is overwritten
        inputs_embeds = self.language_model.embed_tokens(known).to(self.compute_dtype)
        nothing = inputs_embeds.new_empty(0, inputs_embeds.shape[-1])
        rows = torch.cat([nothing, *(picture.to(nothing) for picture in features)])
        return inputs_embeds.masked_scatter((ids == IMAGE_ID)[..., None], rows)

    def forward(
        self, ids: Tensor, features: Sequence[Tensor] = (), queries: Tensor | None = None,
        attend: Attend = bidirectional, position_ids: Tensor | None = None,
    ) -> Tensor:
        """Logits (length, vocabulary) of one spliced sequence `ids` (length,) int64, or
        (n, vocabulary) at the positions `queries` (n,). `features` (rows, width) are those of each
        picture, as `answer.encode_images` gives them.

        `attend` and `position_ids` are those of `LanguageModel.forward`. With `packing.packed`,
        `ids` may be several sequences, one behind another.
        """
        embeds = self.embed(ids[None], features)
        hidden_states = self.language_model(embeds, attend, queries, position_ids)
        return self.language_model.lm_head(hidden_states[0])


def splice(input_ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """For each position of the spliced sequence, where in `input_ids` (length,) it comes from.

    Every -200 is repeated as often as its picture has features (`lengths`, in order). Indexing with
    the result splices anything that is given per token: ids, labels, turn ids. Raises `InputError`
    if the counts differ.
    """
    is_picture = input_ids == IMAGE_ID
    count = int(is_picture.sum())
    if count != len(lengths):
        raise InputError(f"{count} places for pictures, but {len(lengths)} pictures")
    repeats = torch.ones_like(input_ids)
    repeats[is_picture] = torch.tensor(lengths, dtype=repeats.dtype, device=repeats.device)
    return torch.arange(len(input_ids), device=input_ids.device).repeat_interleave(repeats)
