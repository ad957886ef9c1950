"""Several canvases in one pass of the model: one behind another, each as long as it is.

All layers but attention treat every place by itself, and attention is told which places belong together. So nothing is
filled up, and a whole canvas may run beside another one's block.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .chat import IMAGE_ID
from .language import Part
from .model import LLaDAV, check_diffusion
from .sampler import Denoiser, View


def packed_denoiser(model: LLaDAV, features: Sequence[Sequence[Tensor]]) -> Denoiser:
    """The model as the function that the sampler asks. `features` are each row's pictures, (length, width) each.

    Prompts hold -200 where a row of `features` belongs. The keys and values that a view wants kept go into its `kept`.
    Raises `InputError` for an autoregressive model.
    """
    check_diffusion(model)
    nothing = torch.empty(0, model.config.hidden_size, device=model.device)
    pictures = [torch.cat(list(shown) or [nothing]).to(model.device) for shown in features]

    def on_device(pieces: list[Tensor]) -> Tensor:
        return torch.cat(pieces).to(model.device, non_blocking=True)

    def indices(positions: Tensor) -> slice | Tensor:  # a slice where there is no gap: it takes no copy
        first, last = int(positions[0]), int(positions[-1])
        return slice(first, last + 1) if last - first < len(positions) else on_device([positions])

    @torch.no_grad()
    def denoise(views: Sequence[View]) -> Tensor:
        ids = [view.ids[view.run] for view in views]
        positions = [view.positions[view.run] for view in views]
        shown = [pictures[view.row] for view, run in zip(views, ids) if (run == IMAGE_ID).any()]
        parts, asked, places = [], [], 0
        for view, run in zip(views, positions):
            parts.append(Part(len(run), len(view.asked), indices(run), indices(view.positions), view.kept))
            asked.append(view.asked + (places - view.run.start))
            places += len(run)
        logits = model.logits(on_device(ids), torch.cat(shown or [nothing]), on_device(asked), on_device(positions),
                              parts)
        return logits.cpu() if logits.device.type == "mps" else logits  # MPS has no float64

    return denoise
