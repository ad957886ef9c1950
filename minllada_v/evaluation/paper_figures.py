"""Figures to stand beside ours: those of LLaDA-V's paper, for the diffusion model, its autoregressive twin LLaMA3-V,
and Qwen2-VL. They are in percent, but for MME's sums. None: the paper prints no figure.

The key is the benchmark and, where several rows of its table have a figure, the row.
"""

SOURCE = "arXiv 2505.16933v2, Tables 2 and 3"
MODELS = ("LLaDA-V", "LLaMA3-V", "Qwen2-VL")

FIGURES: dict[str, tuple[float | None, float | None, float | None]] = {
    "mmmu": (48.6, 45.4, 54.1),
    "mmmu-pro-standard": (35.2, 28.3, 43.5),
    "mmmu-pro-vision": (18.6, 14.5, None),
    "mmstar": (60.1, 56.5, 60.7),
    "mme: cognition": (491, 446, None),
    "mme: perception": (1507, 1581, None),
    "seed-bench: image": (74.8, 76.6, None),
    "seed-bench: video": (53.7, 55.0, None),
    "mmbench": (82.9, 79.8, None),
    "mathverse": (28.5, 29.0, None),
    "mathvista": (59.7, 62.1, 58.2),
    "ai2d": (77.8, 81.1, 83.0),
    "chartqa": (78.3, 77.8, 83.0),
    "docvqa": (83.9, 86.2, None),
    "infovqa": (66.3, 58.9, None),
    "realworldqa": (63.2, 66.0, 70.1),
    "muirbench": (48.3, 47.4, None),
    "mlvu": (59.5, 57.5, None),
    "videomme": (56.1, 55.8, None),
}

NOT_IN_THE_PAPER = {  # what the table says instead
    "pope": "The paper has no figure for POPE.",
    "ocrbench": "The paper has no figure for OCRBench. Others measured 63.2 with LLaDA-V.",
    "mvbench": "The paper has no figure for MVBench. Others measured 53.1 with LLaDA-V.",
}
