"""What a model is: the sizes of its parts, and how pictures are cut into tiles.

`config_json.py` reads this from a checkpoint's `config.json`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of the vision tower. The defaults are SigLIP 2 so400m, as in released LLaDA-V."""

    hidden_size: int = 1152
    intermediate_size: int = 4304
    num_hidden_layers: int = 27  # as SigLIP was released; LLaDA-V drops the last one
    num_attention_heads: int = 16
    patch_size: int = 14
    image_size: int = 384
    layer_norm_eps: float = 1e-6

    @property
    def kept_layers(self) -> int:
        """How many layers LLaDA-V uses."""
        return self.num_hidden_layers - 1

    @property
    def patches_per_side(self) -> int:
        """27: the convolution leaves the last 6 of 384 pixels out."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class Config:
    """Everything the model needs to know. `vision` is None for LLaDA, which reads text only."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    max_length: int  # longest sequence, prompt and answer together
    vision: VisionConfig | None = None
    grids: tuple[tuple[int, int], ...] = ()  # tiles (columns, rows) a picture may be cut into
    anyres_max: int = 4  # one picture gives at most about 1 + this many tiles' worth of features
    newline_position: str = "grid"  # where a video's newline embeddings stand (see merge.py)
    tied_embeddings: bool = False  # lm_head has the weights of embed_tokens
    system: str | None = None  # the system text in training; None: chat.SYSTEM, as released
    gen_length: int = 128  # [MASK] tokens that an answer starts from, unless told otherwise
    autoregressive: bool = False  # trained to predict the next token (see autoregressive.py)
    attention: str | None = None  # "prompt-first": prompts do not see answers (see prompt_first.py)
    weight_bits: int | None = None  # 8 or 4 in the layers of the language model (see low_bits.py)
