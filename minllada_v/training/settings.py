"""What a run is told, and which part of it cannot change on the way."""

from dataclasses import dataclass
from pathlib import Path

STAGES = ("vision", "align", "tune")
# Peak learning rates of the vision tower, and of all else that learns; in align and tune those of the paper.
LEARNING_RATES = {"vision": (1e-3, 1e-3), "align": (0.0, 1e-3), "tune": (2e-6, 1e-5)}
LORA_LEARNING_RATE = 2e-4  # as in QLoRA (arXiv 2305.14314) for 7B and 13B


@dataclass
class Settings:
    """The settings of a run, one per option of the command (see `options.py`)."""

    out: Path  # folder of the run
    data: Path | None = None  # conversations in the LLaVA format,
    image_folder: Path | None = None  # where their pictures are; None: beside them
    world: str | None = None  # or a lesson of the small world

    start: Path | None = None  # a checkpoint to start from,
    language: Path | None = None  # or a language model
    vision: Path | None = None  # and a vision tower,
    config: Path | None = None  # or nothing but a config

    stage: str = "tune"
    system: str | None = None  # system text; None: the model's own
    canvas: int | None = None  # tokens of the canvas, where only last answers count
    autoregressive: bool = False
    attention: str | None = None  # "dialogue-causal" or "prompt-first"; None: all see all
    lora: int | None = None  # the rank of adapters that learn in place of the weights,
    lora_alpha: float | None = None  # how much they count; None: 2 × rank
    lora_only: bool = False  # and whether the projector stays as it is too

    steps: int | None = None  # None: one epoch
    batch_size: int = 8  # examples at once, in each process
    accumulate: int = 1  # batches whose gradients make a step
    learning_rate: float | None = None  # peak; None: that of the stage
    vision_learning_rate: float | None = None  # None: in proportion to the other
    clip: float = 1.0
    seed: int = 0

    held_out: int | None = None
    evaluate_every: int = 500
    answer_length: int | None = None
    save_every: int = 500
    checkpointing: bool = False
    shard: bool = False
    workers: int = 0
    device: str = "auto"
    dtype: str = "auto"  # of the arithmetic

    def __post_init__(self):
        vision, other = (0.0, LORA_LEARNING_RATE) if self.lora else LEARNING_RATES[self.stage]
        if self.learning_rate is None:
            self.learning_rate = other
        if self.vision_learning_rate is None:
            self.vision_learning_rate = self.learning_rate * vision / other
        if self.lora and self.lora_alpha is None:
            self.lora_alpha = 2.0 * self.lora

    def way(self) -> dict:
        """What the config will say about how the model has to be asked. Dialogue-causal attention is not remembered."""
        kept = "prompt-first"
        return {"autoregressive": self.autoregressive, "attention": kept if self.attention == kept else None}

    def fixed(self) -> dict:
        """The settings that the numbers of a run depend on, as JSON can hold them. The others may change when it goes
        on."""
        names = ("data", "image_folder", "world", "start", "language", "vision", "config", "stage", "lora",
                 "lora_alpha", "lora_only", "system", "canvas", "autoregressive", "attention", "batch_size",
                 "learning_rate", "vision_learning_rate", "clip", "seed", "held_out", "dtype")
        values = {name.replace("_", "-"): getattr(self, name) for name in names}
        values |= {name: values[name] or None for name in ("autoregressive", "lora-only")}  # as older runs have it
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
