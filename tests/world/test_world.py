"""The small world's answers against an oracle that only sees pixels, and the files that the command writes."""

import errno
import json
import os
import re
from collections import Counter

import numpy as np
import pytest
from golden_data import CHECKPOINT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minllada_v.chat import IMAGE, IMAGE_ID
from minllada_v.config import Config, VisionConfig
from minllada_v.errors import InputError
from minllada_v.image import read_frames, read_picture
from minllada_v.tiles import picture_tiles, video_tiles
from minllada_v.tokenizer_json import read_tokenizer
from minllada_v.training.conversations import training_example
from minllada_v.world.__main__ import main
from minllada_v.world.questions import WORDS
from minllada_v.world.samples import ABILITIES, draw_sample, draw_samples
from minllada_v.world.scenes import COLOURS, RGB, SHAPES, SIZES, glyph

TOKENIZER = read_tokenizer(CHECKPOINT / "tokenizer.json")
VISION = VisionConfig(32, 64, 2, 2, patch_size=8, image_size=48)
CONFIG = Config(32, 64, 1, 2, 2, 512, 1e-5, 1e4, 512, VISION, grids=((1, 1), (1, 2), (2, 1), (2, 2)))

seeds = st.integers(0, 2**63 - 1)
splits = st.sampled_from(("train", "test"))
mosts = st.integers(1, 4)
every_ability = pytest.mark.parametrize("ability", ABILITIES)


def answers(sample) -> list[str]:
    return [message["value"] for message in sample.conversation if message["from"] == "gpt"]


def questions(sample) -> list[str]:
    return [message["value"].rsplit("\n")[-1] for message in sample.conversation if message["from"] == "human"]


# The oracle: what a picture shows, from its pixels.


def see(picture: Image.Image) -> list[tuple[str, str, tuple[int, int, int, int]]]:
    """(form, colour, box) of each connected patch of one of the six colours, found by flooding."""
    pixels = np.asarray(picture).astype(int)
    left_over = {}
    for colour, rgb in RGB.items():
        ys, xs = np.nonzero((pixels == rgb).all(axis=2))
        left_over |= {(x, y): colour for x, y in zip(xs.tolist(), ys.tolist())}
    found = []
    while left_over:
        start, colour = left_over.popitem()
        patch, edge = {start}, [start]
        while edge:
            x, y = edge.pop()
            for near in [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]:
                if left_over.get(near) == colour:
                    del left_over[near]
                    patch.add(near)
                    edge.append(near)
        xs, ys = zip(*patch)
        box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        found.append((form(patch, box), colour, box))
    return found


def form(patch: set[tuple[int, int]], box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    full = len(patch) / ((right - left) * (bottom - top))
    if full == 1:
        return "square"
    if all((x, bottom - 1) in patch for x in range(left, right)):
        return "triangle"
    return "circle" if full > 0.7 else "star"


def middle(box) -> np.ndarray:
    left, top, right, bottom = box
    return np.array([(left + right) / 2, (top + bottom) / 2])


def rows(things) -> list:
    """In reading order. A row ends where the next middle is more than 12 pixels lower; none is nearly so."""
    things = sorted(things, key=lambda thing: middle(thing[2])[1])
    rows = [[things[0]]]
    for before, thing in zip(things, things[1:]):
        step = middle(thing[2])[1] - middle(before[2])[1]
        assert step <= 7 or step >= 17
        if step > 12:
            rows.append([])
        rows[-1].append(thing)
    return [thing for row in rows for thing in sorted(row, key=lambda thing: middle(thing[2])[0])]


def side_of(thing, other) -> str:
    """left, right, above or below; clearly so."""
    x, y = middle(thing[2]) - middle(other[2])
    far, near = max(abs(x), abs(y)), min(abs(x), abs(y))
    assert far >= 17 and near <= 7
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "above" if y < 0 else "below"


def only(things, *words):
    """The one thing of which all words are true."""
    [thing] = [thing for thing in things if set(words) <= set(thing[:2])]
    return thing


def look(thing) -> str:
    return f"{thing[1]} {thing[0]}"


def square_of(thing, picture: Image.Image) -> str:
    """Such as b2: the second half of the columns, the second half of the rows."""
    across, down = (int(part > length / 2) for part, length in zip(middle(thing[2]), picture.size))
    return "ab"[across] + "12"[down]


def named(thing, picture: Image.Image) -> str:
    return f"{thing[0]} {square_of(thing, picture)}"


def on_each_square(things, picture: Image.Image, word, empty: str) -> str:
    on = {square_of(thing, picture): word(thing) for thing in things}
    assert len(on) == len(things)
    return ", ".join(on.get(square, empty) for square in ("a1", "b1", "a2", "b2"))


def true_answer(question: str, pictures: list[Image.Image], earlier: list[tuple[str, str]]) -> str:
    things, picture = see(pictures[0]), pictures[0]
    match re.findall("[a-z]+", question):
        case ["what", "colour", "is", "the", shape]:
            return look(only(things, shape))
        case ["and", "the", shape]:
            assert earlier[-1][0].startswith("what colour")
            return look(only(things, shape))
        case ["what", "is", "the", colour, "shape"]:
            return look(only(things, colour))
        case ["how", "many", *which, "are", "there"]:
            word = {f"{shape}s": shape for shape in SHAPES}.get(which[0], which[0])
            found = [thing for thing in things if word == "shapes" or word in thing[:2]]
            said = on_each_square(found, picture, lambda thing: thing[word in COLOURS], "no")
            return f"{said}: {len(found)}"
        case ["is", "there", "a", colour, shape]:
            found = only(things, shape)
            return f"{look(found)}: {'yes' if found[1] == colour else 'no'}"
        case ["from", "the", other, "where", "is", "the", shape]:
            one, other = only(things, shape), only(things, other)
            return f"{named(one, picture)}, {named(other, picture)}: {side_of(one, other)}"
        case ["from", "it", "where", "is", "the", shape]:
            colour = re.fullmatch("what is the (.*) shape\\?", earlier[-1][0])[1]
            one, other = only(things, shape), only(things, colour)
            return f"{named(one, picture)}, {named(other, picture)}: {side_of(one, other)}"
        case ["which", "bar", "is", "tallest"]:
            heights = sorted(((box[3] - box[1], colour) for _, colour, box in things), reverse=True)
            assert heights[0][0] >= heights[1][0] + 6
            return f"{heights[0][1]} bar"
        case ["describe", "the", "picture"]:
            return on_each_square(things, picture, look, "no shape")
        case ["what", "number", "is", "this"]:
            return read_number(pictures[0])
        case ["what", "differs"]:
            [before], [after] = (set(things) - set(see(other))
                                 for things, other in ((things, pictures[1]), (see(pictures[1]), pictures[0])))
            assert sum(before[index] != after[index] for index in range(3)) == 1  # form, colour or place
            return ", ".join(f"{it[1]} {named(it, picture)}" for it in (before, after))
        case ["which", "way", "does", "the", shape, "move"]:
            way = [middle(only(see(frame), shape)[2]) for frame in pictures]
            steps = np.diff(way, axis=0)
            axis = int(abs(steps[0, 1]) > abs(steps[0, 0]))
            assert (steps == steps[0]).all() and abs(steps[0, axis]) >= 3 and steps[0, 1 - axis] == 0
            return f"{shape}: {(('left', 'right'), ('up', 'down'))[axis][int(steps[0, axis] > 0)]}"
    raise AssertionError(f"nobody taught the oracle {question!r}")


def read_number(picture: Image.Image) -> str:
    """Cut the ink into columns that belong together, and compare each with all ten digits."""
    pixels = np.asarray(picture).astype(int)
    ink = abs(pixels - pixels[0, 0]).sum(axis=2)
    ink = ink / ink.max()
    inked = np.flatnonzero(ink.any(axis=0))
    read = ""
    for columns in np.split(inked, np.flatnonzero(np.diff(inked) > 1) + 1):
        part = ink[:, columns]
        part = Image.fromarray(np.uint8(part[part.any(axis=1)] * 255))
        templates = [glyph(digit) for digit in "0123456789"]
        wrong = [abs(np.subtract(part.resize((32, 48)), template.resize((32, 48)), dtype=float)).mean()
                 + 100 * abs(part.width / part.height - template.width / template.height) for template in templates]
        read += str(np.argmin(wrong))
    return read


@every_ability
@settings(deadline=None, max_examples=40)
@given(seed=seeds, split=splits, most=mosts)
def test_every_answer_is_true_of_the_pixels(ability, seed, split, most):
    sample = draw_sample(ability, seed, split, most)
    earlier = []
    for question, answer in zip(questions(sample), answers(sample)):
        assert true_answer(question, sample.pictures, earlier) == answer
        earlier.append((question, answer))


@every_ability
@settings(deadline=None, max_examples=25)
@given(seed=seeds, most=mosts)
def test_the_scene_is_what_the_pictures_show(ability, seed, most):
    sample = draw_sample(ability, seed, max_shapes=most)
    assert len(sample.scenes) == len(sample.pictures) == {"difference": 2, "motion": 8}.get(ability, 1)
    for scene, picture in zip(sample.scenes, sample.pictures):
        assert 1 <= len(scene) <= (2 if ability == "number" else max(most, 2))
        if ability != "number":
            shown = [("square" if thing.name == "bar" else thing.name, thing.colour, thing.box) for thing in scene]
            assert sorted(see(picture)) == sorted(shown)
        if ability not in ("number", "bars", "motion"):  # what moves has no row
            assert shown == rows(shown)
        empty = np.ones((picture.height, picture.width), dtype=bool)
        for thing in scene:
            left, top, right, bottom = thing.box
            assert 1 <= left < right < picture.width and 1 <= top < bottom < picture.height
            assert empty[top - 1 : bottom + 1, left - 1 : right + 1].all()  # a pixel apart from the others
            empty[top:bottom, left:right] = False
        pixels = np.asarray(picture)
        assert (pixels[empty] == pixels[0, 0]).all() and pixels[0, 0].min() > 230


@settings(deadline=None)
@given(ability=st.sampled_from(tuple(ABILITIES)), seed=seeds, split=splits, most=mosts)
def test_the_same_arguments_give_the_same_bytes(ability, seed, split, most):
    one, two = (draw_sample(ability, seed, split, most) for _ in range(2))
    assert fingerprint(one) == fingerprint(two) and one.scenes == two.scenes


def fingerprint(sample) -> tuple:
    return (str(sample.conversation), *(picture.size + (picture.tobytes(),) for picture in sample.pictures))


def test_a_seed_means_the_same_on_every_machine():
    # Pinned: Python's own hash would change this with every run, and test pictures would turn up in training.
    assert answers(draw_sample("describe", 0)) == ["black square, black triangle, black triangle, no shape"]
    assert answers(draw_sample("number", 2, "test")) == ["62"]


def test_no_two_seeds_and_splits_share_a_sample():
    samples = [draw_sample(ability, seed, split) for ability in ABILITIES for split in ("train", "test")
               for seed in range(60)]
    assert len(set(map(fingerprint, samples))) == len(samples)


def test_yes_and_no_are_balanced_and_traps_are_traps():
    samples = [draw_sample("yes_no", seed) for seed in range(2000)]
    for total in (1, 2, 3, 4):
        same = [sample for sample in samples if len(sample.scenes[0]) == total]
        yes = sum(value(sample) == "yes" for sample in same)
        assert len(same) > 400 and abs(yes - len(same) / 2) < 4 * (len(same) / 4) ** 0.5  # 4 standard deviations
    for sample in samples:
        [*_, colour, shape] = questions(sample)[0].rstrip("?").split()
        looks = [(thing.colour, thing.name) for thing in sample.scenes[0]]
        assert ((colour, shape) in looks) == (value(sample) == "yes")
        colours, shapes = zip(*looks)
        assert shapes.count(shape) == 1 and (colour in colours or len(looks) == 1)  # neither gives the answer away


def test_colour_shape_and_place_differ_equally_often():
    parts = Counter()
    for seed in range(600):
        before, after = (set(scene) for scene in draw_sample("difference", seed).scenes)
        [old], [new] = before - after, after - before
        parts[old.colour != new.colour, old.name != new.name, old.box != new.box] += 1
    assert len(parts) == 3 and all(sum(part) == 1 for part in parts) and min(parts.values()) > 160


def value(sample) -> str:
    return answers(sample)[0].split(": ")[1]


SIDES = {"left", "right", "above", "below"}
LOOKS = {f"{colour} {shape}" for colour in COLOURS for shape in SHAPES}
POSSIBLE = {  # what stands behind the colon, if there is one
    "colour": LOOKS, "shape": LOOKS, "count": set("01234"), "yes_no": {"yes", "no"}, "where": SIDES,
    "number": {str(number) for number in range(10, 100)}, "bars": {f"{colour} bar" for colour in COLOURS},
    "dialogue": LOOKS | SIDES,
    "motion": {"left", "right", "up", "down"},
}


@pytest.mark.parametrize("ability", POSSIBLE)
def test_every_possible_answer_occurs_and_no_other(ability):
    total = 300 if len(POSSIBLE[ability]) < 10 else 1500
    counts = Counter(answer.split(": ")[-1] for seed in range(total) for answer in answers(draw_sample(ability, seed)))
    assert set(counts) == POSSIBLE[ability]
    if ability not in ("dialogue", "count", "number"):  # those whose answers are meant to be equally likely
        assert min(counts.values()) > 0.6 * total / len(counts)


def test_the_words_are_these_and_no_others():
    texts = [message["value"] for ability in ABILITIES for seed in range(200)
             for message in draw_sample(ability, seed).conversation]
    found = {word for text in texts for word in re.findall("[a-z]+", text.replace(IMAGE, ""))}
    assert found == set(WORDS) - {"place"} and len(WORDS) == len(set(WORDS))
    assert set("".join(texts)) <= set("abcdefghijklmnopqrstuvwxyz0123456789 ,.?:\n<>")


@every_ability
@settings(deadline=None, max_examples=20)
@given(seed=seeds, split=splits)
def test_every_sample_can_be_trained_on(ability, seed, split):
    sample = draw_sample(ability, seed, split)
    ids, labels, _ = training_example(TOKENIZER, sample.conversation)
    tiles = [video_tiles(sample.pictures, 48)] if sample.video else picture_tiles(sample.pictures, CONFIG)
    assert ids.count(IMAGE_ID) == len(tiles)
    for answer in answers(sample):
        assert TOKENIZER.decode([label for label in labels if label >= 0]).count(answer) >= 1
    if tiles[0].kind == "anyres":
        columns, rows = tiles[0].grid
        assert sample.pictures[0].size == (48 * columns, 48 * rows)  # so pixels stay as drawn
        assert len(tiles[0].pixel_values) == 1 + columns * rows


def test_pictures_of_every_size_occur_and_can_be_asked_for():
    assert {draw_sample("describe", seed).pictures[0].size for seed in range(40)} == set(SIZES)
    assert {draw_sample("bars", seed, sizes=[(48, 96)]).pictures[0].size for seed in range(10)} == {(48, 96)}


def test_a_mixed_stream_repeats_by_seed_and_holds_every_ability():
    def first(total, *arguments, **options):
        return [fingerprint(sample) for _, sample in zip(range(total), draw_samples(*arguments, **options))]

    assert first(20, 3) == first(20, 3)
    assert not set(first(20, 3)) & set(first(20, 3, "test")) and not set(first(20, 3)) & set(first(20, 4))
    assert {sample.ability for _, sample in zip(range(200), draw_samples(0))} == set(ABILITIES)
    few = zip(range(30), draw_samples(0, max_shapes=1, abilities=("describe", "count")))
    assert {(sample.ability, len(sample.scenes[0])) for _, sample in few} <= {("describe", 1), ("count", 1)}


@pytest.mark.parametrize("arguments, named", [
    (("smell", 0), "smell"), (("colour", 0, "exam"), "exam"), (("colour", 0, "train", 5), "5"),
    (("colour", 0, "train", 0), "0"),
])
def test_nonsense_is_refused_by_name(arguments, named):
    with pytest.raises(InputError, match=named):
        draw_sample(*arguments)


def test_the_command_writes_files_that_can_be_read_back(tmp_path, capsys):
    out = tmp_path / "new" / "world"
    assert main(["--out", str(out), "--count", "60", "--split", "test", "--seed", "7"]) == 0
    assert capsys.readouterr().out == ""
    entries = json.loads((out / "conversations.json").read_text(encoding="utf-8"))
    assert len(entries) == 60 and len({entry["id"] for entry in entries}) == 60
    for entry, sample in zip(entries, draw_samples(7, "test")):
        assert entry["conversations"] == sample.conversation
        if "video" in entry:
            read = read_frames(out / entry["video"])
        else:
            paths = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
            read = [read_picture(out / path) for path in paths]
        assert [picture.tobytes() for picture in read] == [picture.tobytes() for picture in sample.pictures]
        assert entry["conversations"][0]["value"].count(IMAGE) == (1 if "video" in entry else len(read))
    assert {"video", "image"} == {key for entry in entries for key in entry} - {"id", "conversations"}


def test_the_command_refuses_what_it_cannot_do_in_one_line(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("do not lose me")
    for out, count, named in (("full", 1, "not empty"), ("full/thesis.txt", 1, "thesis.txt"),
                              ("full/thesis.txt/below", 1, "below"), ("empty", 0, "--count")):
        assert main(["--out", str(tmp_path / out), "--count", str(count)]) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1 and named in printed.err and printed.out == ""
    assert not (tmp_path / "empty").exists()
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(tmp_path / "empty"), "--count", "many"])
    assert stop.value.code == 2


def test_a_full_disk_is_said(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    assert main(["--out", str(tmp_path / "world"), "--count", "3"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "minllada_v: failed: " in line and f"{tmp_path / 'world' / 'pictures' / '000000-'}" in line
    assert line.endswith("cannot be written: No space left on device; "
                         f"{tmp_path / 'world'} is not complete, and the same command begins it again")


def test_what_a_stopped_run_left_is_written_anew(tmp_path, capsys, monkeypatch):
    """Whatever was there of it, in the end the folder is as if nothing had happened."""
    drawn, save = [], Image.Image.save

    def stop_at_the_third(picture, *arguments, **options):
        drawn.append(picture)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        save(picture, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", stop_at_the_third)
        assert main(["--out", str(tmp_path / "a"), "--count", "9", "--seed", "1"]) == 130
    assert "interrupted; " in capsys.readouterr().err and list((tmp_path / "a" / "pictures").iterdir())
    for out in ("a", "b"):
        assert main(["--out", str(tmp_path / out), "--count", "4"]) == 0
    files = [{str(path.relative_to(tmp_path / out)): path.read_bytes() for path in (tmp_path / out).rglob("*.*")}
             for out in ("a", "b")]
    assert files[0] == files[1] and "conversations.json" in files[0] and len(files[0]) >= 5
    assert main(["--out", str(tmp_path / "a"), "--count", "4"]) == 2  # it is complete
