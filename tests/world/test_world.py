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
from parsing import VALUES, meanings
from PIL import Image
from seeing import middle, read_number, rows, see, side_of

from minllada_v.chat import IMAGE, IMAGE_ID
from minllada_v.config import Config, VisionConfig
from minllada_v.errors import InputError
from minllada_v.image import read_frames, read_picture
from minllada_v.tiles import picture_tiles, video_tiles
from minllada_v.tokenizer_json import read_tokenizer
from minllada_v.training.conversations import training_example
from minllada_v.world.__main__ import main
from minllada_v.world.asking import FAMILIAR
from minllada_v.world.lessons import PRACTICE
from minllada_v.world.plain import PLAIN
from minllada_v.world.questions import ABILITIES
from minllada_v.world.samples import draw_sample, draw_samples
from minllada_v.world.scenes import COLOURS, SHAPES, SIZES
from minllada_v.world.sentences import NO_SHAPES, UNKNOWN
from minllada_v.world.unrelated_questions import HELD_OUT_QUESTIONS, QUESTIONS
from minllada_v.world.wordings import WORDINGS

TOKENIZER = read_tokenizer(CHECKPOINT / "tokenizer.json")
VISION = VisionConfig(32, 64, 2, 2, patch_size=8, image_size=48)
CONFIG = Config(32, 64, 1, 2, 2, 512, 1e-5, 1e4, 512, VISION, grids=((1, 1), (1, 2), (2, 1), (2, 2)))
KNOWN = [ability for ability in ABILITIES if ability not in ("unknown", "no_shapes")]

seeds = st.integers(0, 2**63 - 1)
splits = st.sampled_from(("train", "test"))
mosts = st.integers(1, 4)
every_ability = pytest.mark.parametrize("ability", ABILITIES)
every_known = pytest.mark.parametrize("ability", KNOWN)


def answers(sample) -> list[str]:
    return [message["value"] for message in sample.conversation if message["from"] == "gpt"]


def questions(sample) -> list[str]:
    return [message["value"].rsplit("\n")[-1] for message in sample.conversation if message["from"] == "human"]


# The oracle. It sees pixels, and reads the question by trying all wordings.


def corner_of(thing, picture: Image.Image) -> str:
    (x, y), (width, height) = middle(thing[2]), picture.size
    return f"{'bottom' if y > height / 2 else 'top'} {'right' if x > width / 2 else 'left'}"


def in_corners(things, picture: Image.Image, say, empty: str) -> str:
    in_corner = {corner_of(thing, picture): say(thing) for thing in things}
    assert len(in_corner) == len(things)
    said = [in_corner.get(f"{row} {column}", empty) for row in ("top", "bottom") for column in ("left", "right")]
    return "Top: {}, {}. Bottom: {}, {}.".format(*said)


def side_answer(things, picture: Image.Image, one: str, other: str, claim: str | None = None) -> str:
    both = [[thing for thing in things if thing[0] == name] for name in (one, other)]
    for name, found in zip((one, other), both):
        if not found:
            return f"There is no {name}."
    side = side_of(both[0][0], both[1][0])
    said = side + " of" if side in ("left", "right") else side
    one, other = (f"{thing[0]} at the {corner_of(thing, picture)}" for [thing] in both)
    if claim is None:
        return f"The {one} is {said} the {other}."
    return f"{'Yes' if claim == said else 'No'}, the {one} is {said} the {other}."


def answer_of(kind: str, slots: dict, pictures: list[Image.Image], shows: str, earlier: list) -> str:
    """The answer to a question of that kind. `shows` says what the first picture does: shapes, bars or a number."""
    picture = pictures[0]
    things = see(picture) if shows != "number" else []
    shapes = things if shows == "shapes" else []
    before, before_slots = earlier[-1] if earlier else ("", {})
    alike = [thing for thing in shapes if slots.get("shape", thing[0]) == thing[0]
             and slots.get("colour", thing[1]) == thing[1]]
    if kind == "and":
        *colour, name = slots["this"].split()
        singular = name.removesuffix("s")
        look = {"colour": colour[0]} if colour else {"shape": singular}
        if before == "shape":
            assert colour and name in ("one", "shape")
        return answer_of(before, look, pictures, shows, [])
    if kind == "and_a":
        assert before == "yes_no"
        kind = "yes_no"
    if kind == "of_them":
        assert before == "count"
        looked = {name: value for name, value in said(before_slots["things"]).items() if name == "shape"}
        return answer_of("count", looked | {"colour": slots["colour"]}, pictures, shows, [])
    if kind in ("where_it", "colour_it", "side_it"):
        [it] = [thing for thing in shapes if before_slots.get("shape", thing[0]) == thing[0]
                and before_slots.get("colour", thing[1]) == thing[1]]
        if kind == "side_it":
            return side_answer(shapes, picture, slots["shape"], it[0])
        return answer_of("place" if kind == "where_it" else "colour", {"shape": it[0]}, pictures, shows, [])
    match kind:
        case "colour" | "place" | "is_it":
            found = [thing for thing in shapes if thing[0] == slots["shape"]]
            if not found:
                return f"There is no {slots['shape']}."
            [it] = found
            if kind == "place":
                return f"The {it[0]} is at the {corner_of(it, picture)}."
            yes = "" if kind == "colour" else "Yes, " if it[1] == slots["colour"] else "No, "
            return f"{yes}{'the' if yes else 'The'} {it[0]} is {it[1]}."
        case "shape":
            if not alike:
                return f"There is no {slots['colour']} shape."
            [it] = alike
            return f"The {it[1]} shape is a {it[0]}."
        case "count":
            slots = said(slots["things"]) if "things" in slots else slots
            counted = [thing for thing in shapes if slots.get("shape", thing[0]) == thing[0]
                       and slots.get("colour", thing[1]) == thing[1]]
            listed = in_corners(counted, picture, lambda thing: slots.get("colour", thing[0]), "none")
            return f"{listed} That makes {len(counted)}."
        case "yes_no":
            slots = said(slots["thing"])
            found = [thing for thing in shapes if slots.get("shape", thing[0]) == thing[0]
                     and slots.get("colour", thing[1]) == thing[1]]
            named = [thing for thing in shapes if thing[0] == slots.get("shape")]
            if found:
                assert len(set(thing[:2] for thing in found)) == 1
                return f"Yes, there is a {found[0][1]} {found[0][0]}."
            if named:
                assert len(set(thing[1] for thing in named)) == 1
                return f"No, the {named[0][0]} is {named[0][1]}."
            return f"No, there is no {slots.get('shape') or slots['colour'] + ' shape'}."
        case "where" | "is_side":
            return side_answer(shapes, picture, slots["shape"], slots["other"], slots.get("side"))
        case "at":
            corner = f"{slots['row']} {slots['column']}"
            found = [f"a {thing[1]} {thing[0]}" for thing in shapes if corner_of(thing, picture) == corner]
            return f"There is {found[0] if found else 'no shape'} at the {corner}."
        case "number":
            return f"The number is {read_number(picture)}." if shows == "number" else "There is no number."
        case "bars":
            if shows != "bars":
                return "There is no bar."
            heights = sorted((box[3] - box[1], colour) for _, colour, box in things)
            heights = heights[::-1] if slots["most"] == "tallest" else heights
            assert abs(heights[0][0] - heights[1][0]) >= 6
            return f"The {heights[0][1]} bar is the {slots['most']}."
        case "describe":
            if shows != "shapes":
                return answer_of({"bars": "bars"}.get(shows, shows), {"most": "tallest"}, pictures, shows, [])
            return in_corners(shapes, picture, lambda thing: f"{thing[1]} {thing[0]}", "no shape")
        case "difference":
            [before], [after] = (set(things) - set(see(other))
                                 for things, other in ((things, pictures[1]), (see(pictures[1]), pictures[0])))
            assert sum(before[index] != after[index] for index in range(3)) == 1  # form, colour or place
            old, new = (f"{it[1]} {it[0]} at the {corner_of(it, picture)}" for it in (before, after))
            return f"The {old} is now a {new}."
        case "motion":
            way = [middle(next(thing for thing in see(frame) if thing[0] == slots["shape"])[2]) for frame in pictures]
            steps = np.diff(way, axis=0)
            axis = int(abs(steps[0, 1]) > abs(steps[0, 0]))
            assert (steps == steps[0]).all() and abs(steps[0, axis]) >= 3 and steps[0, 1 - axis] == 0
            return f"The {slots['shape']} moves {(('left', 'right'), ('up', 'down'))[axis][int(steps[0, axis] > 0)]}."
    raise AssertionError(f"nobody taught the oracle {kind!r}")


def said(thing: str) -> dict[str, str]:
    """The shape and the colour in "red stars", "stars" or "red shapes"."""
    words = [word.removesuffix("s") for word in thing.split()]
    return {kind: word for word in words for kind, every in (("shape", SHAPES), ("colour", COLOURS)) if word in every}


@every_known
@settings(deadline=None, max_examples=40)
@given(seed=seeds, split=splits, most=mosts, held_out=st.booleans())
def test_every_answer_is_true_of_the_pixels(ability, seed, split, most, held_out):
    sample = draw_sample(ability, seed, split, most, held_out=held_out)
    name = sample.scenes[0][0].name
    shows = "bars" if name == "bar" else "number" if name.isdecimal() else "shapes"
    earlier = []
    for question, answer in zip(questions(sample), answers(sample), strict=True):
        found = meanings(question)
        if not found:  # within a conversation people say other things too
            assert ability == "talk" and answer == UNKNOWN
            continue
        [(kind, slots)] = found
        assert answer_of(kind, dict(slots), sample.pictures, shows, earlier) == answer
        earlier.append((kind, dict(slots)))


@settings(deadline=None, max_examples=60)
@given(ability=st.sampled_from(("unknown", "no_shapes")), seed=seeds, held_out=st.booleans())
def test_what_cannot_be_known_has_one_answer(ability, seed, held_out):
    sample = draw_sample(ability, seed, held_out=held_out)
    assert answers(sample)[-1] == (UNKNOWN if ability == "unknown" else NO_SHAPES)
    assert len(meanings(questions(sample)[-1])) == (0 if ability == "unknown" else 1)
    assert (sample.scenes == [[]]) or ability == "unknown"


def test_no_unrelated_question_is_one_of_the_small_world():
    assert not [text for text in (*QUESTIONS, *HELD_OUT_QUESTIONS) if meanings(text)]
    # Mixtures of them hold a word that is not familiar, so every word of a question that has an answer must be.
    assert {word for values in VALUES.values() for value in values for word in value.split()} <= FAMILIAR


@every_ability
@settings(deadline=None, max_examples=25)
@given(seed=seeds, most=mosts)
def test_the_scene_is_what_the_pictures_show(ability, seed, most):
    sample = draw_sample(ability, seed, max_shapes=most)
    assert len(sample.scenes) == len(sample.pictures) == {"difference": 2, "motion": 8}.get(ability, 1)
    for scene, picture in zip(sample.scenes, sample.pictures):
        if not scene:
            assert ability in ("no_shapes", "unknown")
            continue
        number = scene[0].name.isdecimal()
        assert 1 <= len(scene) <= (2 if number else max(most, 2))
        if not number:
            shown = [("square" if thing.name == "bar" else thing.name, thing.colour, thing.box) for thing in scene]
            assert sorted(see(picture)) == sorted(shown)
        if scene[0].name in SHAPES and ability != "motion":  # what moves has no row
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
@given(ability=st.sampled_from((*ABILITIES, *PLAIN)), seed=seeds, split=splits, most=mosts)
def test_the_same_arguments_give_the_same_bytes(ability, seed, split, most):
    one, two = (draw_sample(ability, seed, split, most) for _ in range(2))
    assert fingerprint(one) == fingerprint(two) and one.scenes == two.scenes


def fingerprint(sample) -> tuple:
    return (str(sample.conversation), *(picture.size + (picture.tobytes(),) for picture in sample.pictures))


def test_a_seed_means_the_same_on_every_machine():
    # Pinned: Python's own hash would change this with every run, and test pictures would turn up in training.
    assert answers(draw_sample("describe", 0)) == ["Top: blue star, green star. Bottom: blue star, no shape."]
    assert answers(draw_sample("number", 2, "test")) == ["The number is 62."]


def test_no_two_seeds_and_splits_share_a_sample():
    samples = [draw_sample(ability, seed, split) for ability in KNOWN for split in ("train", "test")
               for seed in range(60)]
    assert len(set(map(fingerprint, samples))) == len(samples)


def test_yes_and_no_are_balanced_and_traps_are_traps():
    """Half of the traps are about something that is nowhere in the picture."""
    samples = [draw_sample("yes_no", seed) for seed in range(2000)]
    yes = sum(answers(sample)[0].startswith("Yes") for sample in samples)
    assert abs(yes - 1000) < 4 * 500**0.5  # 4 standard deviations
    no = [answers(sample)[0] for sample in samples if answers(sample)[0].startswith("No")]
    absent = sum(answer.startswith("No, there is no ") for answer in no)
    assert abs(absent - len(no) / 2) < 4 * (len(no) / 4) ** 0.5
    for sample in samples:
        [(kind, slots)] = meanings(questions(sample)[0])
        asked = dict(slots)
        asked = asked if kind == "is_it" else said(asked["thing"])
        if answers(sample)[0].startswith("No, the ") and "colour" in asked and len(sample.scenes[0]) > 1:
            assert asked["colour"] in [thing.colour for thing in sample.scenes[0]]  # the colour gives nothing away


def test_colour_shape_and_place_differ_equally_often():
    parts = Counter()
    for seed in range(600):
        before, after = (set(scene) for scene in draw_sample("difference", seed).scenes)
        [old], [new] = before - after, after - before
        parts[old.colour != new.colour, old.name != new.name, old.box != new.box] += 1
    assert len(parts) == 3 and all(sum(part) == 1 for part in parts) and min(parts.values()) > 160


POSSIBLE = {  # the answers, as patterns, and how many different ones there are
    "colour": ("The SHAPE is COLOUR.", 24),
    "shape": ("The COLOUR shape is a SHAPE.", 24),
    "count": ("Top: (.*), (.*). Bottom: (.*), (.*). That makes [0-4].", None),
    "yes_no": ("(Yes, there is a COLOUR SHAPE|No, there is no (SHAPE|COLOUR shape)|(Yes|No), the SHAPE is COLOUR).",
               None),
    "where": ("(The|Yes, the|No, the) SHAPE at PLACE is (left of|right of|above|below) the SHAPE at PLACE.", None),
    "place": ("(The SHAPE is|There is (no shape|a COLOUR SHAPE)) at the (top|bottom) (left|right).", 4 * (4 + 1 + 24)),
    "number": ("The number is [1-9][0-9].", 90),
    "bars": ("The COLOUR bar is the (tallest|shortest).", 12),
    "motion": ("The SHAPE moves (left|right|up|down).", 16),
    "not_there": ("There is no (SHAPE|COLOUR shape|number|bar).", 4 + 6 + 2),
}


@pytest.mark.parametrize("ability", POSSIBLE)
def test_every_possible_answer_occurs_and_no_other(ability):
    pattern, different = POSSIBLE[ability]
    pattern = pattern.replace(".", r"\.").replace(r"(\.*)", "(.*)")
    for word, any_of in (("PLACE", "the (top|bottom) (left|right)"), ("COLOUR", f"({'|'.join(COLOURS)})"),
                         ("SHAPE", f"({'|'.join(SHAPES)})")):
        pattern = pattern.replace(word, any_of)
    found = Counter(answers(draw_sample(ability, seed))[0] for seed in range(min(2500, 60 * (different or 40))))
    assert all(re.fullmatch(pattern, answer) for answer in found)
    if different:
        assert len(found) == different


def test_no_word_of_an_answer_depends_on_its_neighbour():
    """"a" fits whatever may follow it, because no colour and no shape begins with a vowel."""
    assert not [word for word in (*COLOURS, *SHAPES, "shape", "number", "bar") if word[0] in "aeiou"]
    texts = [answer for ability in KNOWN for seed in range(100) for answer in answers(draw_sample(ability, seed))]
    assert not [text for text in texts if re.search(r"\b(an|are|were)\b", text)]


def test_wordings_are_many_and_each_says_one_thing_once():
    """At least 12 of each kind for training and 4 kept out of it; of what follows up an answer so many together."""
    follow_ups = ("and", "and_a", "of_them", "where_it", "colour_it", "side_it")
    for kind, (trained, held_out) in WORDINGS.items():
        assert not set(trained) & set(held_out) and len(set(trained)) == len(trained)
        assert (len(trained) >= 12 and len(held_out) >= 4) or kind in follow_ups
        for text in () if kind == "unknown" else (*trained, *held_out):
            slots = {"shape": "star", "other": "circle", "colour": "red", "thing": "red star", "things": "red shapes",
                     "this": "red one", "row": "top", "column": "left", "most": "tallest", "side": "above"}
            assert {found for found, _ in meanings(text.format(**slots))} == {kind}
    assert sum(len(WORDINGS[kind][0]) for kind in follow_ups) >= 12
    assert len(QUESTIONS) + len(HELD_OUT_QUESTIONS) >= 200 and len(HELD_OUT_QUESTIONS) * 4 >= 200


def test_training_never_asks_what_is_kept_out_of_it():
    """Neither a wording nor an unrelated question of those that are held out is ever drawn, in either split."""
    held_out = {kind: {re.sub("[^a-z0-9 ]", "", text) for text in both[1] if "{" not in text}
                for kind, both in WORDINGS.items()}
    texts = {re.sub("[^a-z0-9 ]", "", question.lower()) for ability in ABILITIES for split in ("train", "test")
             for seed in range(250 if ability == "unknown" else 80)  # which has far more wordings than others
             for question in questions(draw_sample(ability, seed, split))}
    assert texts and not texts & set().union(*held_out.values())
    kept = {re.sub("[^a-z0-9 ]", "", question.lower())
            for seed in range(300) for question in questions(draw_sample("unknown", seed, held_out=True))[-1:]}
    assert kept & held_out["unknown"] and not kept & texts


def test_pictures_of_the_kinds_kept_out_are_drawn_only_when_asked_for(monkeypatch):
    from minllada_v.world import questions as drawing

    drawn = Counter()
    for kinds in (drawing.PICTURES, drawing.HELD_OUT_PICTURES):
        assert len(kinds) >= 2
    for held_out in (False, True):
        known = {hash(draw_sample("no_shapes", seed, held_out=held_out).pictures[0].tobytes()) for seed in range(40)}
        drawn[held_out] = known
    assert not drawn[False] & drawn[True] and len(drawing.PICTURES) + len(drawing.HELD_OUT_PICTURES) >= 6
    assert not {kind.__name__ for kind in drawing.PICTURES} & {kind.__name__ for kind in drawing.HELD_OUT_PICTURES}

    def never(rng, size):
        raise AssertionError("training drew a picture of a kind that is kept out")

    monkeypatch.setattr(drawing, "HELD_OUT_PICTURES", (never,))
    for _, sample in zip(range(300), draw_samples(0, abilities=("no_shapes", "unknown"))):
        assert sample.pictures


def test_practice_holds_every_ability():
    assert set(PRACTICE) == set(ABILITIES)


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
    if tiles[0].kind == "anyres" and sample.scenes != [[]]:
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
    few = zip(range(30), draw_samples(0, max_shapes=1, abilities=("plain describe", "count")))
    assert {(sample.ability, len(sample.scenes[0])) for _, sample in few} <= {("plain describe", 1), ("count", 1)}


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
