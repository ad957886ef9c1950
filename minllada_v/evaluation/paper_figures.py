"""Figures to stand beside ours, in percent: those of the LLaDA-V paper (arXiv 2505.16933, its tables of results on
image benchmarks), for the diffusion model, its autoregressive twin LLaMA3-V, and Qwen2-VL.

These few were written down from memory, without the paper at hand: look one up before you quote it. What is missing
has not been looked up either, which says nothing about the paper.
"""

SOURCE = "arXiv 2505.16933"
MODELS = ("LLaDA-V", "LLaMA3-V", "Qwen2-VL")

FIGURES: dict[str, dict[str, float]] = {
    "mmmu": {"LLaDA-V": 48.6},
    "mmstar": {"LLaDA-V": 60.1},
    "mmbench": {"LLaDA-V": 82.9},
    "mathvista": {"LLaDA-V": 59.7},
    "mathverse": {"LLaDA-V": 28.5},
}
