"""Draws system.png, the picture of the system in the README: `python tutorials/pictures/system.py`.

The tiles are the real ones of the photograph. The words of the answer are made up, to show the order of filling in.
"""

from pathlib import Path

import torch
from PIL import Image, ImageDraw

from minllada_v.config import Config, VisionConfig
from minllada_v.drawing.charts import INK, ORANGE, SKY, font
from minllada_v.image import read_picture
from minllada_v.tiles import anyres_tiles

HERE = Path(__file__).parent
GREY, LINE = "#6b6b6b", "#9a9a9a"
PICTURE, TEXT, MASK, FRESH = SKY, "#e8e8e8", "#9c9c9c", ORANGE  # masks as on the pages of the course
ANSWER = ["A", "cat", "with", "green", "eyes", "looks", "up", "."]
ORDER = [[1, 7], [4, 3], [0, 2], [5, 6]]  # which places each of four steps fills in

canvas = Image.new("RGB", (1400, 640), "white")
draw = ImageDraw.Draw(canvas)


def text(x: float, y: float, words: str, size: int = 20, colour: str = INK, anchor: str = "mm"):
    draw.multiline_text((x, y), words, fill=colour, font=font(size), anchor=anchor, align="center", spacing=6)


def arrow(*points: tuple[float, float]):
    draw.line(points, fill=LINE, width=3)
    (x0, y0), (x, y) = points[-2:]
    if x == x0:
        head = [(x, y), (x - 7, y - 12 if y > y0 else y + 12), (x + 7, y - 12 if y > y0 else y + 12)]
    else:
        head = [(x, y), (x - 12, y - 7), (x - 12, y + 7)]
    draw.polygon(head, fill=LINE)


def box(x: float, y: float, width: float, height: float, words: str, file: str):
    draw.rounded_rectangle((x, y, x + width, y + height), 10, outline=INK, width=2, fill="#f7f7f7")
    text(x + width / 2, y + height / 2 - 14, words)
    text(x + width / 2, y + height - 20, file, 16, GREY)


def token(x: float, y: float, width: float, colour: str, word: str = "", ink: str = INK):
    draw.rounded_rectangle((x, y, x + width - 4, y + 34), 5, fill=colour)
    text(x + width / 2 - 2, y + 17, word, 17, ink)


# the picture and its tiles
photo = read_picture(HERE / "chelsea.png")
canvas.paste(photo.resize((226, 150)), (40, 40))
text(153, 210, "picture", 20)
text(153, 236, "image.py", 16, GREY)
arrow((274, 115), (312, 115))
grids = tuple((a, b) for a in range(1, 7) for b in range(1, 7))
config = Config(8, 8, 1, 1, 1, 8, 1e-5, 1e4, 8, VisionConfig(), grids)
tiles = anyres_tiles(photo, config)
pixels = ((tiles.pixel_values * 0.5 + 0.5) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
for index, x in enumerate((326, 456, 566)):
    canvas.paste(Image.fromarray(pixels[index]).resize((106, 106)), (x, 62))
text(379, 42, "whole", 16, GREY)
text(563, 42, f"grid, {tiles.grid[0]} by {tiles.grid[1]}", 16, GREY)
text(499, 210, "tiles", 20)
text(499, 236, "tiles.py", 16, GREY)
arrow((682, 115), (720, 115))
box(724, 62, 150, 106, "ViT", "vision.py")
arrow((878, 115), (916, 115))
box(920, 62, 150, 106, "projector", "projector.py")
arrow((1074, 115), (1112, 115))
box(1116, 62, 244, 106, "unpad, shrink,\nmark line ends", "merge.py")

# one sequence
arrow((1238, 172), (1238, 262), (432, 262), (432, 292))
text(40, 312, "chat text, picture features, answer", 20, anchor="lm")
text(1256, 312, "chat.py, tokenizer.py, model.py", 16, GREY, "rm")
x, y = 40, 340
for colour, words in ((TEXT, ["system", "user"]), (PICTURE, [""] * 9), (TEXT, ["What", "is", "it", "?", "assistant"]),
                      (MASK, [""] * 8)):
    for word in words:
        width = 92 if word in ("system", "assistant") else 58 if word else 44
        token(x, y, width, colour, word)
        x += width
first_mask = x - 8 * 44

# the language model and the sampler
arrow((first_mask / 2, 382), (first_mask / 2, 424))
box(40, 428, 560, 100, "bidirectional transformer:\neverything sees everything", "language.py")
arrow((604, 474), (672, 474))
text(638, 452, "logits", 16, GREY)
left, widths = 760, [44, 60, 68, 80, 70, 76, 52, 36]
filled: set[int] = set()
for step, places in enumerate(ORDER):
    filled |= set(places)
    y, x = 416 + step * 42, left
    text(left - 14, y + 17, f"step {step + 1}", 16, GREY, "rm")
    for place, (word, width) in enumerate(zip(ANSWER, widths)):
        known = place in filled
        colour = FRESH if place in places else TEXT if known else MASK
        token(x, y, width, colour, word if known else "")
        x += width
text(left + sum(widths) + 14, 433, "sampler.py", 16, GREY, "lm")
text(left + sum(widths) / 2, 606, "the most confident places are filled first and stay", 18, INK)
arrow((690, 560), (690, 604), (320, 604), (320, 536))
text(310, 584, "once more, until no [MASK] is left", 18, INK, "rm")

canvas.save(HERE / "system.png", optimize=True)
