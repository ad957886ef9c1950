"""A model learns what colours are called, from your own parts: `python tutorials/exercises/colours.py`.

Your masks, your loss and your training loop (my_loss.py) teach it. Your sampler (my_sampler.py) writes its answers, or
the package's if you have none yet. The eye and the embeddings are those of the built-in model, which know already
which words a picture shows. The transformer begins with fresh weights, as in chapter 9. About two minutes on one core.
"""

import argparse
import importlib
import sys
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from minllada_v import SamplerConfig, load_pretrained
from minllada_v.answer import answer_text, encode_images, prepare, prompt_ids, sample_all
from minllada_v.chat import BOS, END_HEADER, END_OF_TURN, EOS, MASK, START_HEADER
from minllada_v.drawing.charts import mosaic
from minllada_v.model import LLaDAV
from minllada_v.training.batch import denoiser, pad, splice_batch
from minllada_v.training.conversations import canvas_example
from minllada_v.training.start import draw_weights
from minllada_v.world.samples import draw_samples
from minllada_v.world.scenes import SIZES

LESSON = {"max_shapes": 2, "sizes": SIZES[:1], "abilities": ("colour",)}
CANVAS, BATCH, PEAK = 8, 16, 1.2e-3


def newborn():
    """The built-in model with a transformer that knows nothing, its tokenizer, and the parameters that learn."""
    model, tokenizer = load_pretrained(device="cpu")
    torch.manual_seed(0)
    fresh = LLaDAV(model.config)
    draw_weights(fresh)
    model.float().requires_grad_(False)
    for part in ("layers", "norm", "lm_head"):
        setattr(model.language_model, part, getattr(fresh.language_model, part))
    return model, tokenizer, [it for it in model.parameters() if it.requires_grad]


def batches(model, tokenizer, bar):
    """`batch_of(step)` as `train` wants it: each time 16 samples that are new."""
    samples = draw_samples(0, "train", **LESSON)

    def batch_of(step):
        some = list(islice(samples, BATCH))
        examples = [canvas_example(tokenizer, it.conversation, 1, CANVAS, model.config.system) for it in some]
        ids, labels, _ = pad(examples, tokenizer.token_id(EOS))
        batch = splice_batch(ids, labels, [encode_images(model, it.pictures) for it in some])
        denoise, chance = denoiser(model, batch), torch.Generator().manual_seed(step)

        def say(canvas):
            return denoise(canvas, torch.ones_like(canvas, dtype=torch.bool)).view(*canvas.shape, -1)

        bar.update()
        uniform = torch.rand(batch.ids.shape, generator=chance)
        return say, batch.ids, batch.labels, torch.rand(BATCH, generator=chance), uniform

    return batch_of


@torch.no_grad()
def ask(model, tokenizer, sample, write) -> str:
    """What the model says to a sample, written by `write`, or by the package's sampler if that is None."""
    features = encode_images(model, sample.pictures)
    question = sample.conversation[0]["value"].removeprefix("<image>\n")
    prompt = prompt_ids(tokenizer, question, features, system=model.config.system)
    if write is None:
        canvas = prepare(model, tokenizer, prompt, SamplerConfig(CANVAS))
        *_, [(_, last)] = sample_all(model, tokenizer, [canvas], [features])
        return answer_text(tokenizer, last)
    mask_id, turn, *forbidden = map(tokenizer.token_id, (MASK, END_OF_TURN, EOS, BOS, START_HEADER, END_HEADER))
    said = write(lambda canvas: model(canvas, features), prompt, CANVAS, CANVAS, CANVAS, mask_id, forbidden, [[turn]])
    return tokenizer.decode(said, skip_special_tokens=True).strip()


def students_own(folder: Path):
    """The student's `train` and `write`, or None for what is not there or not written yet."""
    sys.path.insert(0, str(folder))
    weight, one, chance = torch.zeros(3, requires_grad=True), torch.tensor([[0]]), torch.tensor([0.5])
    try:
        train = importlib.import_module("my_loss").train
        train([weight], lambda step: (lambda canvas: weight.expand(1, 1, 3), one, one, chance, chance[None]), 1, 1.0, 2)
    except (ImportError, AttributeError, NotImplementedError):
        train = None
    try:
        write = importlib.import_module("my_sampler").write
        write(lambda canvas: torch.eye(3)[canvas], torch.tensor([0]), 1, 1, 1, 2, [])
    except (ImportError, AttributeError, NotImplementedError):
        write = None
    return train, write


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", metavar="FOLDER", type=Path, default=Path("answers"), help="where your files are")
    parser.add_argument("--steps", type=int, default=300, help="how long it learns")
    parser.add_argument("--questions", type=int, default=100, help="how many it is asked in the end")
    options = parser.parse_args(arguments)
    train, write = students_own(options.answers)
    if train is None:
        parser.error(f"{options.answers} has no my_loss.py, or its `train` is not written yet")
    model, tokenizer, learning = newborn()
    with tqdm(total=options.steps, desc="learning", unit="step", delay=2, leave=False) as bar:
        losses = train(learning, batches(model, tokenizer, bar), options.steps, PEAK,
                       tokenizer.token_id(MASK))
    few = max(1, len(losses) // 10)
    print(f"loss: {sum(losses[:few]) / few:.3f} in the first {few} steps, {sum(losses[-few:]) / few:.3f} in the last")
    asked = list(islice(draw_samples(9, "test", **LESSON), options.questions))
    said = [ask(model, tokenizer, it, write) for it in tqdm(asked, "asking", leave=False, unit="question", delay=2)]
    for shapes in (1, 2):
        right = [one == it.conversation[1]["value"] for one, it in zip(said, asked) if len(it.scenes[0]) == shapes]
        if right:
            print(f"pictures with {shapes} shape{'s'[:shapes - 1]}: {sum(right)} of {len(right)} answers are right")
    path = options.answers / "colours.png"
    mosaic([it.pictures[0] for it in asked[:8]], said[:8]).save(path)
    print(f"The first eight are drawn in {path}.")


if __name__ == "__main__":
    main()
