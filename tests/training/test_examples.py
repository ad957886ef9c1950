"""Training data: what is read, in which order, and what is refused."""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from device import assert_close
from golden_data import CLOSE, GOLDEN, TENSORS, golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minllada_v import InputError
from minllada_v.chat import IGNORED, IMAGE, IMAGE_ID, chat_prompt
from minllada_v.image import read_picture
from minllada_v.tiles import anyres_tiles, picture_tiles, video_tiles
from minllada_v.training.conversations import training_example
from minllada_v.training.data import LlavaData, Record, WorldData, derive_seed, read_record
from minllada_v.training.examples import Examples, batches_of, encode
from minllada_v.training.objectives import picture_features
from minllada_v.training.settings import Settings
from minllada_v.world.__main__ import main as write_world
from minllada_v.world.lessons import LESSONS


def said(question: str, answer: str) -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


PREPARED = json.loads((GOLDEN / "preparation.json").read_text())
CHAT = said(f"{IMAGE}\nWhat is it?", "A cat.")


def write(folder: Path, records: list, lines: bool = False) -> Path:
    path = folder / "data.json"
    path.write_text("\n".join(map(json.dumps, records)) + "\n" if lines else json.dumps(records))
    return path


def numbered(count: int) -> list[dict]:
    """Text-only records that can be told apart."""
    return [{"id": str(index), "conversations": said("Hi", str(index))} for index in range(count)]


def examples(path: Path, stage: str = "tune", canvas: int | None = None) -> Examples:
    model, tokenizer = golden_model()
    return Examples(LlavaData(path, None, seed=0, held_out=0), tokenizer, model.config,
                    Settings(Path("out"), stage=stage, canvas=canvas))


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
        ids, labels, parts = training_example(tokenizer, record["conversations"])
        assert (example.input_ids, example.labels, example.part_ids) == (ids, labels, parts)
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


def test_stage_align_shows_one_square_tile_without_newline():
    """As the released first stage does: the base tile of golden picture 0 and nothing else, and as many features as it
    has patches, those that the released projector gives (description, section 12)."""
    model, tokenizer = golden_model()
    example = encode(Record("it", CHAT, [picture(0)], False), tokenizer, model.config, "align")
    [tiles] = example.tiles
    assert tiles.pixel_values.equal(anyres_tiles(picture(0), model.config).pixel_values[:1])
    [[features]], _ = picture_features(model, [example])
    assert features.shape == (16, 32)
    assert_close(features, TENSORS["prompt/0/projected"][0], **CLOSE)
    video = encode_error(Record("it", CHAT, [picture(0)] * 2, True), "align")
    assert "one picture, not a video" in video


def encode_error(record: Record, stage: str) -> str:
    with pytest.raises(InputError) as error:
        encode(record, golden_model()[1], golden_model()[0].config, stage)
    return str(error.value)


# How a conversation is prepared.


@pytest.mark.parametrize("case", PREPARED, ids=lambda case: case["case"])
def test_golden_preparation(tmp_path, case):
    """From the file to the ids and labels of the released code, `role` and `content` for `from` and `value` too."""
    picture(0).save(tmp_path / "a.png")
    shown = sum(message["value"].count(IMAGE) for message in case["conversations"])
    roles = {"human": "user", "gpt": "assistant"}
    respelled = [{"role": roles[it["from"]], "content": it["value"]} for it in case["conversations"]]
    for conversation in (case["conversations"], respelled):
        record = {"conversations": conversation} | ({"image": ["a.png"] * shown} if case["has_pictures"] else {})
        example = examples(write(tmp_path, [record]))[0]
        assert (example.input_ids, example.labels) == (case["input_ids"], case["labels"])
        assert len(example.tiles) == (shown if case["has_pictures"] else 0)


def test_a_canvas_and_a_caption_are_prepared_in_the_same_way(tmp_path):
    model, tokenizer = golden_model()
    picture(0).save(tmp_path / "a.png")
    greeted = [{"from": "gpt", "value": "Hello."}, *said(f"Which colours? \n{IMAGE}", "Red.")]
    path = write(tmp_path, [{"image": "a.png", "conversations": greeted}])
    canvas = examples(path, canvas=8)[0].input_ids
    assert canvas[:-8] == chat_prompt(tokenizer, f"{IMAGE}\nWhich colours?", 1)
    assert examples(path, "align")[0].input_ids == [IMAGE_ID, *tokenizer.encode("Red.\n")]
    path = write(tmp_path, [{"conversations": said("Fix <svg><image></svg> please", "Done.")}])
    text = examples(path, canvas=8)[0].input_ids
    assert IMAGE_ID not in text and "Fix <svg><image></svg> please" in tokenizer.decode(text)


# Where pictures are.


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png"])
def test_a_picture_that_lacks_its_end_is_read_as_far_as_it_goes_and_that_is_said(tmp_path, name):
    """As in the released training: the top half is there, what is missing is grey or black."""
    whole = picture(0).resize((400, 400))
    whole.save(tmp_path / f"whole{name[3:]}")
    content = (tmp_path / f"whole{name[3:]}").read_bytes()
    (tmp_path / name).write_bytes(content[:2 * len(content) // 3])
    path = write(tmp_path, [{"id": "cat 7", "image": ["a.png", name], "conversations": said(IMAGE * 2, "A cat.")}])
    picture(0).save(tmp_path / "a.png")
    assert examples(path)[0].warning == (
        f"data.json, record 0: {name} lacks its end, and is read as far as it goes")
    read = LlavaData(path, None, 0, 0).training_record(0).pictures[1]
    with Image.open(tmp_path / f"whole{name[3:]}") as expected:
        assert read.crop((0, 0, 400, 100)).tobytes() == expected.convert("RGB").crop((0, 0, 400, 100)).tobytes()
    with pytest.raises(InputError, match="truncated"):  # elsewhere, such a file is still refused
        read_picture(tmp_path / name)


def test_pictures_are_read_under_both_spellings(tmp_path):
    picture(0).save(tmp_path / "a.png")
    for names in ("a.png", ["a.png"]):
        path = write(tmp_path, [{"images": names, "image_id": 3, "image": None, "conversations": CHAT}])
        assert len(examples(path)[0].tiles) == 1


@pytest.mark.parametrize("path", ["/dev/zero", "fifo"])
def test_a_device_is_not_read(tmp_path, path):
    """It might never end, or never begin."""
    if path == "fifo":
        path = tmp_path / "fifo"
        os.mkfifo(path)
    with pytest.raises(InputError, match="is a (device|pipe), not a file"):
        LlavaData(path, None, 0)


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
    "cut before the pixels": ({"image": "cut.png", "conversations": CHAT}, "cut.png"),
    "null in a path": ({"image": "a\0.png", "conversations": CHAT}, "record 0"),
    "picture is a folder": ({"image": ".", "conversations": CHAT}, "folder"),
    "missing video": ({"video": "none", "conversations": CHAT}, "none does not exist"),
    "picture and video": ({"image": "a.png", "video": "v", "conversations": CHAT}, "without an image"),
    "no placeholder": ({"image": "a.png", "conversations": said("What?", "A cat.")}, "0 <image>"),
    "two placeholders": ({"image": "a.png", "conversations": said(IMAGE * 2, "A cat.")}, "2 <image>"),
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
    "a number as images": ({"images": 3, "conversations": CHAT}, "image must be"),
    "image and images": ({"image": "a.png", "images": ["a.png"], "conversations": CHAT}, "image and images"),
    "a key that is not read": ({"image_path": "a.png", "conversations": CHAT}, "its key 'image_path' is not read"),
    "frames under another name": ({"frames": ["a.png"], "conversations": CHAT}, "its key 'frames' is not read"),
    "system speaks": ({"conversations": [{"role": "system", "content": "x"}, *said("Hi", "Hi")]}, "'human' or 'gpt'"),
    "content is a list": ({"conversations": [{"role": "user", "content": [{"type": "text"}]}]}, "'human' or 'gpt'"),
    "only gpt, first": ({"conversations": said("Hi", "Hi")[1:]}, "nothing to learn"),
    "a long value": ({"conversations": [{"from": "cat", "value": "x" * 999}]}, "x…"),
    "lone surrogate": ({"conversations": said("Hi", "\ud800")}, "not valid Unicode"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_is_an_error_that_names_it(tmp_path, name):
    """It comes out in place of the example, for the training loop to count; nothing else is put there."""
    record, problem = BROKEN[name]
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture" * 10)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    if isinstance(record, dict):
        record = {"id": "cat 7"} | record
    error = examples(write(tmp_path, [record]))[0]
    assert isinstance(error, InputError)
    assert problem in str(error) and ("cat 7" in str(error) or "record 0" in str(error)) and len(str(error)) < 500


def test_a_broken_line_is_one_broken_record_and_a_broken_list_is_refused(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(numbered(1)[0]) + '\n{"id": \n\n')
    found = [examples(path)[number] for number in range(2)]
    assert sorted(isinstance(example, InputError) for example in found) == [False, True]
    for content, problem in [("", "no records"), ("[]", "no records"), ("[1,", "neither"), ("\xff", "neither")]:
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + problem):
            LlavaData(path, None, 0)
    with pytest.raises(InputError, match="does not exist"):
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
    alone = list(batches_of(0, 1, batch_size, turns * processes, range(2, 5)))
    shared = [list(batches_of(rank, processes, batch_size, turns, range(2, 5))) for rank in range(processes)]
    assert [batch for dealt in zip(*shared) for batch in dealt] == alone
    step = batch_size * turns * processes
    assert [number for batch in alone for number in batch] == list(range(2 * step, 5 * step))


def test_derived_seeds_differ_with_every_part():
    seeds = [derive_seed(*parts) for parts in [(0,), (1,), (0, 1), (1, 0), (1, 1), (2**63, 5), (2**63, 6)]]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**64 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))
