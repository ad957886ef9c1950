"""The golden data, what the released implementation gave with a small checkpoint, for the checks that end with it."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from minllada_v import SamplerConfig, load_pretrained
from minllada_v.answer import encode_images, prompt_ids
from minllada_v.chat import BOS, END_HEADER, END_OF_TURN, EOS, MASK, START_HEADER
from minllada_v.language import attention
from minllada_v.packing import packed_denoiser
from minllada_v.sampler import Canvas, sample

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


@cache
def released():
    """(model, tokenizer, features, cases, tensors): `features` are a list with those of picture 0, (length, width);
    `cases` and `tensors` hold what tests/golden/README.md says."""
    model, tokenizer = load_pretrained(GOLDEN / "checkpoint", device="cpu")
    tensors = load_file(GOLDEN / "cases.safetensors")
    features = encode_images(model, [Image.fromarray(tensors["image/0/rgb"].numpy())])
    return model, tokenizer, features, json.loads((GOLDEN / "cases.json").read_text()), tensors


def questions() -> list[dict]:
    """Settings and answers of all golden cases."""
    cases = released()[3]
    return [*cases["generate"], cases["generate_text_only"]]


def question(case: dict) -> tuple[list, tuple]:
    """The features of a golden case's pictures, and what a sampler is asked there: (prompt, length, steps, block
    length, mask id, forbidden ids, stops, suffix, guidance)."""
    _, tokenizer, features, *_ = released()
    features = features if "image" in case else []
    prompt = prompt_ids(tokenizer, "Describe the image in detail." if features else "What is 1+1?", features)
    mask_id, turn, *forbidden = map(tokenizer.token_id, (MASK, END_OF_TURN, EOS, BOS, START_HEADER, END_HEADER))
    stops = [[turn], *(tokenizer.encode(stop, special_tokens=True) for stop in case.get("stop", ()))]
    suffix = tokenizer.encode(case.get("generation_suffix", ""))
    return features, (prompt, case["gen_length"], case["steps"], case["block_length"], mask_id, forbidden, stops,
                      suffix, case.get("cfg_scale", 0.0))


def network(tokens: Tensor, places: Tensor, remember: Callable) -> Tensor:
    """The golden model about picture 0, run at some places of a canvas: logits (places, vocabulary). `remember(layer,
    keys, values)` takes what these places made in a layer and gives what they attend to, (heads, length, width)."""
    def attend(q, k, v, queries, layer):
        return attention(q, *(kept[None] for kept in remember(layer, k[0], v[0])))
    return released()[0](tokens, released()[2] if (tokens < 0).any() else [], None, attend, places)


def packaged(case: dict, refresh: int) -> list[int]:
    """What this package answers in a golden case with a cache that is refreshed every so many steps, and no stop."""
    features, (prompt, length, steps, block, mask_id, forbidden, _, suffix, _) = question(case)
    config = SamplerConfig(length, steps=steps, block_length=block, refresh_every=refresh)
    canvas = Canvas(prompt, config, mask_id, forbidden, suffix=suffix)
    *_, [(_, last)] = sample(packed_denoiser(released()[0], [features]), [canvas])
    return last.answer.tolist()
