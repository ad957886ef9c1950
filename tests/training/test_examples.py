"""Training data: what is read, in which order, and what is refused."""

import json
import re
from pathlib import Path

import pytest
import torch
from golden_data import golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.chat import IGNORED, IMAGE, IMAGE_ID, training_example
from minllada_v.training.examples import Examples, encode, turns_of
from minllada_v.world.lessons import LESSONS
from minllada_v.training.data import LlavaData, WorldData, derive_seed, read_record
from minllada_v.tiles import picture_tiles, video_tiles
from minllada_v.world.__main__ import main as write_world


def said(question: str, answer: str) -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


CHAT = said(f"{IMAGE}\nWhat is it?", "A cat.")


def write(folder: Path, records: list, lines: bool = False) -> Path:
    path = folder / "data.json"
    path.write_text("\n".join(map(json.dumps, records)) + "\n" if lines else json.dumps(records))
    return path


def numbered(count: int) -> list[dict]:
    """Text-only records that can be told apart."""
    return [{"id": str(index), "conversations": said("Hi", str(index))} for index in range(count)]


def examples(path: Path, stage: str = "tune", **options) -> Examples:
    model, tokenizer = golden_model()
    return Examples(LlavaData(path, None, seed=0, held_out=0, **options), tokenizer, model.config, stage, None)


@pytest.mark.parametrize("lines", [False, True], ids=["list", "lines"])
def test_what_the_small_world_writes_is_read(tmp_path, lines):
    """One picture, several, a video and two turns, as `world.py` writes them, in both forms of the file."""
    assert write_world(["--out", str(tmp_path / "world"), "--count", "30"]) == 0
    records = json.loads((tmp_path / "world" / "conversations.json").read_text())
    assert any("video" in record for record in records) and any(isinstance(r.get("image"), list) for r in records)
    data = examples(write(tmp_path / "world", records, lines))
    by_name = {record["id"]: record for record in records}
    model, tokenizer = golden_model()
    for number in range(30):
        read, example = data.data.training_record(number), data[number]
        record = by_name[read.name]
        ids, labels, turns = training_example(tokenizer, record["conversations"])
        assert (example.input_ids, example.labels, example.turn_ids) == (ids, labels, turns)
        assert read.video == ("video" in record) and len(example.tiles) == ids.count(IMAGE_ID)
        expected = ([video_tiles(read.pictures, model.config.vision.image_size)] if read.video else
                    picture_tiles(read.pictures, model.config))
        assert all(a.pixel_values.equal(b.pixel_values) for a, b in zip(example.tiles, expected))


def test_stage_align_is_the_picture_then_the_caption_and_a_line_break():
    """No chat format and no <|startoftext|>; caption and line break are the targets (description, section 12)."""
    model, tokenizer = golden_model()
    record = read_record({"conversations": said(f"Describe it.\n{IMAGE}", "A cat.")}, "it", Path())
    record.pictures.append(picture(0))
    example = encode(record, tokenizer, model.config, "align")
    caption = tokenizer.encode("A cat.\n")
    assert example.input_ids == [IMAGE_ID, *caption] and example.labels == [IGNORED, *caption]


def test_pictures_lie_beside_the_file_or_in_the_image_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    picture(0).save(tmp_path / "pictures" / "a.png")
    path = write(tmp_path, [{"image": "a.png", "conversations": CHAT}])
    with pytest.raises(InputError, match="does not exist"):
        LlavaData(path, None, 0, 0).training_record(0)
    assert LlavaData(path, tmp_path / "pictures", 0, 0).training_record(0).pictures[0].size == picture(0).size


BROKEN = {
    "missing picture": ({"image": "none.png", "conversations": CHAT}, "none.png does not exist"),
    "corrupt picture": ({"image": "corrupt.png", "conversations": CHAT}, "corrupt.png"),
    "cut picture": ({"image": "cut.png", "conversations": CHAT}, "cut.png"),
    "null in a path": ({"image": "a\0.png", "conversations": CHAT}, "record 0"),
    "picture is a folder": ({"image": ".", "conversations": CHAT}, "folder"),
    "missing video": ({"video": "none", "conversations": CHAT}, "none does not exist"),
    "picture and video": ({"image": "a.png", "video": "v", "conversations": CHAT}, "without an image"),
    "no placeholder": ({"image": "a.png", "conversations": said("What?", "A cat.")}, "0 <image>"),
    "two placeholders": ({"image": "a.png", "conversations": said(IMAGE * 2, "A cat.")}, "2 <image>"),
    "placeholder without picture": ({"conversations": CHAT}, "1 <image> in the messages from human, but 0"),
    "only gpt's placeholder": ({"image": "a.png", "conversations": said("What?", IMAGE)}, "0 <image>"),
    "too long": ({"conversations": said("Why? " * 9000, "So.")}, "reads at most 8192"),
    "too many pictures": ({"image": ["a.png"] * 600, "conversations": said(IMAGE * 600, "A cat.")}, "reads at most"),
    "no answer": ({"conversations": [{"from": "human", "value": "Hi"}]}, "nothing to learn"),
    "unknown speaker": ({"conversations": [*said("Hi", "Hi"), {"from": "cat", "value": "Miau"}]}, "'human' or 'gpt'"),
    "text is a number": ({"conversations": [*said("Hi", "Hi"), {"from": "human", "value": 3}]}, "'human' or 'gpt'"),
    "speaker is a list": ({"conversations": [*said("Hi", "Hi"), {"from": ["gpt"], "value": "x"}]}, "'human' or 'gpt'"),
    "no conversation": ({"image": "a.png"}, "conversations"),
    "messages are strings": ({"conversations": ["Hi"]}, "conversations"),
    "a list": ([1, 2], "conversations"),
    "a number as image": ({"image": 3, "conversations": CHAT}, "image must be"),
    "lone surrogate": ({"conversations": said("Hi", "\ud800")}, "not valid Unicode"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_is_an_error_that_names_it(tmp_path, name):
    """It comes out in place of the example, for the training loop to count; nothing else is put there."""
    record, problem = BROKEN[name]
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture" * 10)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    if isinstance(record, dict):
        record = {"id": "cat 7"} | record
    error = examples(write(tmp_path, [record]))[0]
    assert isinstance(error, InputError)
    assert problem in str(error) and ("cat 7" in str(error) or "record 0" in str(error))


def test_a_broken_line_is_one_broken_record_and_a_broken_list_is_refused(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(numbered(1)[0]) + '\n{"id": \n\n')
    found = [examples(path)[number] for number in range(2)]
    assert sorted(isinstance(example, InputError) for example in found) == [False, True]
    for content, problem in [("", "no records"), ("[]", "no records"), ("[1,", "neither"), ("\xff", "neither")]:
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + problem):
            LlavaData(path, None, 0)
    with pytest.raises(InputError, match="cannot be read"):
        LlavaData(tmp_path / "none.json", None, 0)


@pytest.mark.parametrize("lines", [False, True], ids=["list", "lines"])
def test_a_byte_order_mark_in_front_is_passed_over(tmp_path, lines):
    path = write(tmp_path, numbered(2), lines)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert not any(isinstance(examples(path)[number], InputError) for number in range(2))


def test_stage_align_refuses_conversations(tmp_path):
    for conversation in (said("Hi", "Hi"), CHAT * 2, CHAT[::-1]):
        assert isinstance(examples(write(tmp_path, [{"conversations": conversation}]), "align")[0], InputError)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), held_out=st.integers(0, 9), count=st.integers(10, 30))
def test_every_epoch_shows_every_record_once_in_another_order(tmp_path_factory, seed, held_out, count):
    """And never one that is held out. The order is the same when it is asked for from the middle."""
    path = write(tmp_path_factory.mktemp("data"), numbered(count))
    data, other = (LlavaData(path, None, seed, held_out) for _ in range(2))
    size = count - held_out
    epochs = [[data.index(epoch * size + position) for position in range(size)] for epoch in range(3)]
    shown = set(range(count)) - {int(data.held_out[number]) for number in range(held_out)}
    assert len(shown) == size and all(set(epoch) == shown for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1 or size < 5
    for number in (2 * size, 0, size + size // 2):  # any order of asking
        assert other.index(number) == epochs[number // size][number % size]


def test_training_never_sees_the_evaluation_of_the_small_world():
    data, same, other = (WorldData(LESSONS["everything"], seed) for seed in (0, 0, 1))
    assert data.held_out_record(0).conversation == other.held_out_record(0).conversation
    assert data.training_record(5).name == same.training_record(5).name != other.training_record(5).name


@given(batch_size=st.integers(1, 4), turns=st.integers(1, 3), processes=st.integers(1, 4))
def test_processes_share_the_batches_that_one_process_would_accumulate(batch_size, turns, processes):
    """All processes' batches together, in the order of dealing out, are those of one process; none is left out."""
    alone = list(turns_of(0, 1, batch_size, turns * processes, range(2, 5)))
    shared = [list(turns_of(rank, processes, batch_size, turns, range(2, 5))) for rank in range(processes)]
    assert [batch for dealt in zip(*shared) for batch in dealt] == alone
    step = batch_size * turns * processes
    assert [number for batch in alone for number in batch] == list(range(2 * step, 5 * step))


def test_derived_seeds_differ_with_every_part():
    seeds = [derive_seed(*parts) for parts in [(0,), (1,), (0, 1), (1, 0), (1, 1), (2**63, 5), (2**63, 6)]]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**64 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))
