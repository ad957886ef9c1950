"""Reading ends, whatever the path leads to, and writing leaves the new file or the old one."""

import io
import os
import sys

import pytest

from minllada_v.errors import InputError, quote
from minllada_v.files import MOST_TEXT, kind_of, naming, read_file, read_input, read_json, replacing


@pytest.mark.parametrize("make, kind", [
    (lambda path: path.write_text("{}"), "file"), (lambda path: path.mkdir(), "folder"),
    (os.mkfifo, "pipe"), (lambda path: path.symlink_to("/dev/zero"), "device"), (lambda path: None, "nothing"),
], ids=["file", "folder", "pipe", "device", "nothing"])
def test_only_files_are_read(make, kind, tmp_path):
    """A pipe would be waited for, and a device read without end."""
    path = tmp_path / "config.json"
    make(path)
    assert kind_of(path) == kind
    if kind == "file":
        assert (read_file(path), read_json(path)) == (b"{}", {})
        return
    for read, missing in ((read_file, "does not exist"), (read_json, "is missing")):
        says = missing if kind == "nothing" else f"is a {kind}, not a file"
        with pytest.raises(InputError, match=f"config.json {says}"):
            read(path)


def test_standard_input_is_read_to_its_end_but_not_for_ever(monkeypatch):
    assert read_input(io.StringIO("a\nb").read) == "a\nb"
    assert read_input(io.StringIO("a\nb").readline) == "a\n"
    with open("/dev/zero") as endless:
        for read in (endless.read, endless.readline):
            with pytest.raises(InputError, match=f"more than {MOST_TEXT:,} characters"):
                read_input(read)


@pytest.mark.parametrize("error, raised", [
    (OSError(28, "No space left on device"), "a.txt cannot be written: No space left on device$"),
    (OSError("encoder error"), "a.txt cannot be written: encoder error$"), (KeyboardInterrupt(), None),
])
def test_what_cannot_be_finished_leaves_the_file_before(error, raised, tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(error), match=raised), replacing(tmp_path / "a.txt") as file:
        file.write_text("ne")
        raise error
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_file_takes_its_place_and_a_link_stays_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "link").symlink_to("a.txt")
    with replacing(tmp_path / "link") as file:
        file.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "new" and (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_is_named():
    with pytest.raises(OSError, match="/dev/full cannot be written: No space left"), naming("/dev/full"):
        with open("/dev/full", "w") as file:
            file.write("x")


def test_a_value_is_quoted_in_200_characters_at_most():
    assert quote("a") == "'a'" and quote(5) == "5"
    assert len(quote("x" * 10_000)) == 200 and quote("x" * 198) == repr("x" * 198)
