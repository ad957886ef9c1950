"""The options of the training command, and which of them go together."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..world.lessons import LESSONS, PRESETS
from .settings import STAGES, Settings

EXAMPLES = """examples:
  python -m minllada_v.train --out run --world --config config.json --steps 1000
  python -m minllada_v.train --out one --data captions.json --stage align \\
      --language LLaDA-8B-Instruct --vision siglip2-so400m-patch14-384
  torchrun --nproc-per-node 8 -m minllada_v.train --out two --data chats.json \\
      --from one/last --shard --checkpointing --batch-size 1 --accumulate 16
  python -m minllada_v.train --out small --data chats.json --from LLaDA-V \\
      --lora 8 --checkpointing --batch-size 1 --accumulate 16

The same command again goes on where the run was stopped.
"""


def parse_arguments(argv: Sequence[str] | None) -> list[Settings]:
    """The settings of the command line, or of each of the command lines that a preset stands for.

    Exits with code 2 where they make no sense.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=tuple(PRESETS))
    parser.add_argument("--out")
    chosen, others = parser.parse_known_args(argv)
    if chosen.preset is None or not chosen.out:  # where --out is missing, the others say so
        return [parse_stage(argv)]
    config = Path(__file__).parents[1] / "builtin" / "config.json"
    lines = [[word.format(out=chosen.out, config=config) for word in line.split()] for line in PRESETS[chosen.preset]]
    return [parse_stage([*line, *others]) for line in lines]


def parse_stage(argv: Sequence[str]) -> Settings:
    """The settings of one stage."""
    parser = argparse.ArgumentParser(
        prog="python -m minllada_v.train",
        usage="%(prog)s --out DIR (--data FILE | --world) (--from DIR | ...) [...]",
        description="Train LLaDA-V.",
        epilog=EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=80),
        argument_default=argparse.SUPPRESS,  # what is not given has the default of `Settings`
    )
    option = parser.add_argument
    option("--out", metavar="DIR", type=Path, required=True, help="folder of the run: log, curve, checkpoints")
    option("--data", metavar="FILE", type=Path, help="conversations in the LLaVA format, JSON list or JSON lines")
    option("--image-folder", metavar="DIR", type=Path, help="where its pictures are (the folder of FILE)")
    option("--world", metavar="LESSON", nargs="?", const="everything", choices=tuple(LESSONS),
           help=f"or the small world: {', '.join(LESSONS)}")
    option("--preset", choices=tuple(PRESETS), help="or all that makes a small model, from random weights")
    option("--from", dest="start", metavar="DIR", type=Path, help="start from this checkpoint")
    option("--language", metavar="DIR", type=Path, help="or from a language model,")
    option("--vision", metavar="DIR", type=Path, help="a SigLIP 2 tower, and a fresh projector")
    option("--config", metavar="FILE", type=Path, help="or from random weights; tokenizer.json lies beside it")
    option("--stage", choices=STAGES,
           help="tune (default): everything; align: projector only, on captions; vision: words of patches")
    option("--system", metavar="TEXT", help="system text in place of the model's own")
    option("--canvas", metavar="N", type=_above_zero, help="only last answers count, each on a canvas of N tokens")
    option("--autoregressive", action="store_true", help="the twin: learn to predict the next token")
    option("--attention", choices=("dialogue-causal", "prompt-first"),
           help="hide later turns from earlier ones, or also answers from their prompts (all see all)")
    option("--lora", metavar="RANK", type=_above_zero, help="learn small adapters and the projector; weights stay")
    option("--lora-alpha", metavar="R", type=_rate, help="how much adapters count (2 x RANK)")
    option("--lora-only", action="store_true", help="the projector stays too")
    option("--steps", metavar="N", type=_above_zero, help="optimizer steps (one epoch of --data)")
    option("--batch-size", metavar="N", type=_above_zero, help="examples at once, in each process (8)")
    option("--accumulate", metavar="N", type=_above_zero, help="batches whose gradients make a step (1)")
    option("--learning-rate", metavar="R", type=_rate, help="peak (tune 1e-5, --lora 2e-4, else 1e-3)")
    option("--vision-learning-rate", metavar="R", type=_rate,
           help="peak for the vision tower; 0 freezes it (tune: a fifth)")
    option("--clip", metavar="R", type=_rate, help="longest gradient; a longer one is shortened (1)")
    option("--seed", metavar="N", type=int, help="of order, masks and fresh weights (0)")
    option("--held-out", metavar="N", type=int, help="examples to evaluate on (64; of --data at most a tenth)")
    option("--evaluate-every", metavar="N", type=_above_zero, help="steps between evaluations (500)")
    option("--answer-length", metavar="N", type=_above_zero, help="tokens of sample answers (32, or the model's)")
    option("--save-every", metavar="N", type=_above_zero, help="steps between savings (500)")
    option("--checkpointing", action="store_true", help="save memory: compute each layer twice")
    option("--shard", action="store_true", help="spread weights over the processes of torchrun")
    option("--workers", metavar="N", type=int, help="processes that read data ahead (0)")
    option("--device", choices=("auto", "cpu", "cuda", "mps"), help="auto, cpu, cuda or mps")
    option("--dtype", choices=("auto", "float32", "bfloat16"),
           help="type of the arithmetic; weights that learn are float32 (bfloat16 on a GPU)")
    given = vars(parser.parse_args(argv))
    given.pop("preset", None)
    settings = Settings(**given)
    if (settings.data is None) == (settings.world is None):
        parser.error("give either --data FILE or --world")
    starts = (settings.start, settings.config, settings.language or settings.vision)
    if sum(start is not None for start in starts) != 1 or (settings.language is None) != (settings.vision is None):
        parser.error("give one of --from DIR, --config FILE, or --language DIR with --vision DIR")
    if settings.world and (settings.steps is None or settings.stage == "align"):
        parser.error("--world has no end and no captions: give --steps, and not --stage align")
    if settings.stage == "vision" and not settings.world:
        parser.error("--stage vision needs to know what each patch shows: give --world")
    if settings.canvas and settings.stage != "tune":
        parser.error("--canvas is for --stage tune")
    if settings.attention and (settings.autoregressive or settings.stage != "tune"):
        parser.error("--attention is for conversations: for --stage tune, and not beside --autoregressive")
    if settings.autoregressive and settings.stage == "vision":
        parser.error("--stage vision has no text, so nothing to predict: leave out --autoregressive")
    if settings.lora is None and (settings.lora_alpha is not None or settings.lora_only):
        parser.error("--lora-alpha and --lora-only need --lora RANK")
    if settings.lora and (settings.start is None or settings.stage != "tune" or settings.system is not None
                          or settings.vision_learning_rate):
        parser.error("--lora adapts the checkpoint of --from DIR, which is then asked as before, in --stage tune; "
                     "leave out --system and --vision-learning-rate")
    for name in ("seed", "workers", "held_out"):
        if (getattr(settings, name) or 0) < 0:
            parser.error(f"--{name.replace('_', '-')} must be 0 or more")
    return settings


def _above_zero(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return value


def _rate(text: str) -> float:
    if not 0 <= (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError("it must be 0 or more")
    return value
