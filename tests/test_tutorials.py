"""The course: chapters print what their pages say, the runner notices where they do not, links lead somewhere, pages
become notebooks, and terms are explained."""

import base64
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "tutorials").glob("*_*.md"))
SLOW = ("01", "06", "08", "09", "10", "13", "change")  # pages that take 3 s or more; .ci/run runs them


def load(name: str, path: Path):
    """The module of a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load("notebooks", ROOT / "tutorials" / "notebooks.py")  # which run.py imports from its own folder
course = load("tutorials_run", ROOT / "tutorials" / "run.py")


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """A copy of the course in a folder of its own, so that nothing is written in the repository."""
    shutil.copytree(ROOT / "tutorials", tmp_path / "tutorials")
    for name in ("tests", "minllada_v"):
        os.symlink(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(course, "FOLDER", tmp_path / "tutorials")
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    return tmp_path / "tutorials"


@pytest.mark.parametrize("page", [page for page in PAGES if not page.name.startswith(SLOW)], ids=lambda page: page.stem)
def test_a_chapter_prints_what_its_page_says(copy, page):
    assert course.run_page(copy / page.name) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_picture_that_a_page_shows_is_drawn_by_it_or_comes_with_the_course(page):
    """A page saves the pictures it shows, or links to the page that does, or says which command draws one that takes
    minutes; only the photograph comes with the course. So none can be out of date unseen."""
    text = page.read_text(encoding="utf-8")
    sources = [text, *(other.read_text(encoding="utf-8") for other in PAGES if f"]({other.name}#" in text)]
    for name in course.SHOWN.findall(text):
        drawn = f'"tutorials/drawn/{name}"' in "".join(sources) or f"--picture tutorials/drawn/{name}\n" in text
        assert name == "chelsea.png" or drawn


def test_pages_show_pictures_and_name_tests():
    """So the tests around this one, which are about each of these on a page, are about something."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(course.SHOWN.findall(text)) > 20 and text.count("](../minllada_v/") > 20
    assert re.search(r"`test_\w+`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page):
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")):
        assert f"def {name}(" in tests, f"{page.name} names {name}"


def write(folder: Path, text: str) -> Path:
    page = folder / "99_test.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_what_a_page_says_wrongly_is_told_with_its_place(copy, capsys):
    write(copy, "# A page\n\n```python\nx = 1\n```\n\n```python\nprint(x)\nprint(0.25)\n```\n\n```text\n1\n0.25\n```\n")
    assert course.main(["99"]) == 0
    write(copy, "# A page\n\n```python\nx = 2\n```\n\n```python\nprint(1)\nprint(x)\n```\n\n```text\n1\n1\n```\n")
    assert course.main(["99"]) == 1
    told = capsys.readouterr().out
    assert "99_test.md, block 2, line 14" in told and "expected: 1\n" in told and "found:    2\n" in told


@pytest.mark.parametrize("block, output", [("print(1)", ""), ("x = 1", "1"), ("print(1)", "1\n2"), ("print(12)", "1")])
def test_too_much_and_too_little_output_is_noticed(copy, block, output):
    page = write(copy, f"```python\n{block}\n```\n" + (f"\n```text\n{output}\n```\n" if output else ""))
    assert len(course.run_page(page)) == 1


@pytest.mark.parametrize("block, line, words", [
    ("x = [][1]", 4, "IndexError"), ("def f(:", 4, "SyntaxError"),
    ("for x in 'ab':\n    pass\nprint(x)", 6, "SyntaxError"),
    ("def f():\n    x = 1\n\n    return x", 7, "IndentationError")])
def test_a_block_that_cannot_be_pasted_into_python_or_fails_is_told(copy, block, line, words):
    """An interactive interpreter needs an empty line behind a compound statement, and none in it."""
    complaints = course.run_page(write(copy, f"Text.\n\n```python\n{block}\n```\n"))
    assert len(complaints) == 1 and words in complaints[0] and f"block 1, line {line}:" in complaints[0]


def test_an_update_writes_adds_and_removes_outputs_and_nothing_else(copy):
    old = ("# A\n\n```python\nprint(1)\n```\n\nB\n\n```python\nx = 5\n```\n\n```text\nold\n```\n\nC\n\n"
           "```python\nprint(x)\n```\n\n```text\n4\n```\n\n```sh\nls\n```\n\n```text\nno output\n```\n")
    new = ("# A\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\nB\n\n```python\nx = 5\n```\n\nC\n\n"
           "```python\nprint(x)\n```\n\n```text\n5\n```\n\n```sh\nls\n```\n\n```text\nno output\n```\n")
    page = write(copy, old)
    assert course.main(["99", "--update"]) == 0 and page.read_text() == new
    assert course.main(["99"]) == 0 and page.read_text() == new


def test_pictures_are_drawn_beside_the_pages_and_copied_only_by_an_update(copy):
    """So that a reader who runs or pastes a page never changes a picture that is tracked."""
    block = 'from PIL import Image\nImage.new("RGB", (2, 2)).save("tutorials/drawn/99_new.png")'
    write(copy, f"```python\n{block}\n```\n\n![New](pictures/99_new.png)\n![Photograph](pictures/chelsea.png)\n")
    before = {path.name: path.read_bytes() for path in (copy / "pictures").iterdir()}
    assert course.main(["99"]) == 0 and (copy / "drawn" / "99_new.png").exists()
    assert {path.name: path.read_bytes() for path in (copy / "pictures").iterdir()} == before
    assert course.main(["99", "--update"]) == 0
    after = {path.name: path.read_bytes() for path in (copy / "pictures").iterdir()}
    assert after == before | {"99_new.png": (copy / "drawn" / "99_new.png").read_bytes()}


@given(st.floats(1e-6, 1e6), st.integers(1, 6))
def test_numbers_agree_to_the_tolerance_and_not_beyond(number, digits):
    """A number agrees with one that is nearer than the tolerance, and not with one ten times as far; whole numbers
    must be equal."""
    written = f"loss {number:.{digits}f} at step 7"
    room = max(number * course.TOLERANCE, 10.0**-digits)
    assert course.agree(written, f"loss  {number + room / 3:.{digits + 3}f} at step 7")
    assert not course.agree(written, f"loss {number + 10 * room:.{digits + 3}f} at step 7")
    assert not course.agree(written, written.replace("7", "8")) or "7" not in written
    assert not course.agree(written, written.replace("loss", "cost"))


def test_the_course_begins_with_three_lines_that_install_what_the_readme_does():
    """The environment, the package with its tests, and the first chapter, so that a fresh clone can follow."""
    first, install, run = re.search(r"\A# .+\n\n```sh\n(.+)\n(.+)\n(.+)\n```",
                                    (ROOT / "tutorials" / "README.md").read_text(encoding="utf-8")).groups()
    command = re.search(r"^python3 -m venv .*-m pytest$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)[0]
    assert f"{first.split(' && ')[0]} && .venv/bin/{install} && " in command
    assert run == "python tutorials/run.py 1" and ". .venv/bin/activate" in first


def test_a_chapter_that_does_not_exist_is_an_error(copy, capsys):
    with pytest.raises(SystemExit):
        course.main(["77"])
    assert "there is no chapter 77" in capsys.readouterr().err


def cells_of(page: Path, folder: Path) -> list[dict]:
    """The cells of a page's notebook."""
    notebook = json.loads(course.write_notebook(page, course.BLOCK, folder).read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5) and notebook["metadata"]["kernelspec"]["name"]
    return notebook["cells"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_has_the_code_the_outputs_and_the_pictures_of_its_page(page, tmp_path):
    """In the format nbformat 4.5, whose own validator is not at hand here: it asks for these keys and no others. Links
    lead where those of the page do, seen from where the notebook is."""
    text, cells = page.read_text(encoding="utf-8"), cells_of(page, tmp_path)
    keys = {"code": {"outputs", "execution_count"}, "markdown": set()}
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert re.fullmatch(r"[\w-]{1,64}", cell["id"]) and all(isinstance(line, str) for line in cell["source"])
        assert cell.keys() - {"attachments"} == {"id", "cell_type", "metadata", "source"} | keys[cell["cell_type"]]
    setup, *typed = (cell for cell in cells if cell["cell_type"] == "code")
    assert "chdir" in "".join(setup["source"])
    blocks = list(course.BLOCK.finditer(text))
    assert len(typed) == len(blocks)
    for cell, block in zip(typed, blocks):
        assert "".join(cell["source"]).partition("\ndisplay(Shown(")[0] == block[1].strip("\n")
        printed = ["".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream"]
        assert printed == ([block[3]] if block[3] else [])
    data = [*(output["data"] for cell in typed for output in cell["outputs"] if "data" in output),
            *(data for cell in cells for data in cell.get("attachments", {}).values())]
    shown = {(page.parent / "pictures" / name).read_bytes() for name in course.SHOWN.findall(text)}
    assert {base64.b64decode(code) for each in data for code in each.values()} == shown
    for cell in cells:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", "".join(cell["source"]) * (cell["cell_type"] == "markdown")):
            there = {"http": True, "https": True, "attachment": link.partition(":")[2] in cell.get("attachments", {})}
            written = link.endswith(".ipynb") and (ROOT / "tutorials" / link).with_suffix(".md").exists()
            assert there.get(link.partition(":")[0], written or (tmp_path / link).exists()), link


def test_notebooks_are_written_where_they_are_wanted_and_nowhere_else(copy, capsys, tmp_path):
    assert course.main(["1", "--notebook", str(tmp_path / "new" / "folder")]) == 0
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["01_masked_diffusion.ipynb"]
    with pytest.raises(SystemExit) as stopped:
        course.main(["--notebook", str(copy / "run.py")])
    assert stopped.value.code == 2 and "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("page", [page for page in PAGES if page.name[0].isdecimal()], ids=lambda page: page.stem)
def test_a_chapter_says_what_it_is_for_and_ends_with_questions_and_reading(page):
    """At its top what the reader will be able to do, what is needed, and the minutes of the overview, which are about
    those of its length; in the end a summary, three questions with folded answers, and what to read."""
    text = page.read_text(encoding="utf-8")
    box = re.search(r"\A# .+\n\n((?:>.*\n)+)", text)[1].replace("\n>", "")
    minutes = int(re.search(r"\*\*You will be able to\*\* .*\*\*You need\*\* .*\*\*Reading time:\*\* (\d+) ", box)[1])
    overview = (page.parent / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\]\({page.name}\) \|.*\| {minutes} \|", overview)
    assert abs(minutes - len(text.split()) / 83) < 10
    summary, questions, reading = (text.index(title) for title in ("## What", "\n## Questions\n", "\n## To read\n"))
    assert summary < questions < reading and text.index("arXiv ", reading)
    assert len(re.findall(r"<details><summary>.+</summary>\n\n[^<]+\n\n</details>", text[questions:reading])) == 3


GLOSSARY = (ROOT / "tutorials" / "glossary.md").read_text(encoding="utf-8")
TERMS = dict(re.findall(r"^## (.+)\n[^#]*\(\[(\d+)\]\(", GLOSSARY, flags=re.MULTILINE))  # to their chapters
EVERYDAY = {"Block", "Guidance", "Mask", "Stage", "Turn"}  # words that are also used before they mean more
NO_PROSE = (r"^```.*?^```$", r"^\$\$.*?\$\$$", r"\$[^$\n]+\$", r"^[#>][^\n]*$", r"`[^`\n]*`",
            r"!?\[[^]]*\]\((?!glossary)[^)]*\)")


def prose(page: Path) -> str:
    """A page in small letters, without code, formulas, headings, boxes and other links."""
    text = page.read_text(encoding="utf-8")
    for kind in NO_PROSE:
        text = re.sub(kind, " ", text, flags=re.MULTILINE | re.DOTALL)
    return " ".join(text.lower().split())


def anchor(title: str) -> str:
    """What a heading is called behind a # in a link."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_term_of_the_glossary_is_linked_where_the_course_first_needs_it():
    """At its first use in the prose of all chapters, in their order; and that chapter is the one that its entry names.
    Of an everyday word any use in that chapter will do. Entries are in alphabetical order."""
    assert len(TERMS) == GLOSSARY.count("\n## ") > 60 and sorted(TERMS, key=str.lower) == list(TERMS)
    texts = {page.name[:2]: prose(page) for page in PAGES if page.name[0].isdecimal()}
    for term, chapter in TERMS.items():
        word, link = term.lower(), f"](glossary.md#{anchor(term)})"
        whole = re.compile(rf"(?<![\w-]){word}(s|es)?(?![\w-])")
        first = next(number for number, text in texts.items()
                     if (link in text if term in EVERYDAY else word in text and whole.search(text)))
        assert first == chapter.zfill(2), f"{term} is first needed in chapter {first}"
        if term not in EVERYDAY:
            used, end = whole.search(texts[first]).start(), texts[first].find(link)
            assert texts[first].rfind("[", 0, end) < used < end, f"the first use of {term} is no link"


FOLDERS = (".github", "minllada_v", "tests", "tutorials")
LINKING = [ROOT / "README.md", *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page):
    """To a file or folder that is there and, behind a #, to a heading of it."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT.resolve()), f"{page.name} links to {link}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in map(anchor, titles), f"{page.name} links to {link}"
