"""The house keeps its shape: a short core that imports no wing, no circle, docstrings, a true reading order."""

import ast
import re
import sys
import textwrap
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import minllada_v

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "minllada_v"
CORE = """
    config tokenizer chat tiles vision projector merge layers language model masking loss sampler_config sampler
    """.split()
# Modules by their name inside the package: "training.data"; "training" and "" are the folders' __init__.py
MODULES = {".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): file
           for file in sorted(PACKAGE.rglob("*.py"))}
WINGS = {name for name, file in MODULES.items() if name and file.name == "__init__.py"}
TREE = textwrap.dedent(minllada_v.__doc__.partition("\n\n")[2]).rstrip()  # the reading order, below the first line
README = (ROOT / "README.md").read_text(encoding="utf-8")

each_module = pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "__init__")


def lines(name: str) -> list[str]:
    """The lines of a module."""
    return MODULES[name].read_text(encoding="utf-8").splitlines()


def imported_names(name: str) -> set[str]:
    """All that a module imports, at its top or anywhere in it, by absolute names as "minllada_v.config.Config"."""
    folder, found = ["minllada_v", *MODULES[name].relative_to(PACKAGE).parent.parts], set()
    for node in ast.walk(ast.parse("\n".join(lines(name)))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = folder[:len(folder) - node.level + 1] if node.level else []
            found |= {".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return found


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of the package that a module imports. An imported name is a module, or stands in one."""
    ours = {found.removeprefix("minllada_v").lstrip(".") for found in imported_names(name)
            if found.partition(".")[0] == "minllada_v"}
    return frozenset(found if found in MODULES else found.rpartition(".")[0] for found in ours)


def needs(name: str) -> set[str]:
    """The modules that a module imports, itself or by way of others."""
    found, waiting = set(), [name]
    while waiting:
        new = imports(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def test_imports_are_found():
    """The tests below are not blind: from a file beside, from another folder, by way of others, of a whole module."""
    assert {"config", "language", "vision", "projector", "merge"} <= imports("model")
    assert "checkpoint" in imports("") and "errors" in imports("training.data")
    assert "world.scenes" in imports("world.samples") and "layers" in needs("generate") - imports("generate")


def test_the_core_is_read_in_one_evening():
    """At most 14 files, each of at most 200 lines, at most 1,300 in all, none wider than 100. (Ruff knows one width
    for all files: the others' 120.)"""
    assert len(CORE) <= 14
    assert {name: len(lines(name)) for name in CORE if len(lines(name)) > 200} == {}
    assert sum(len(lines(name)) for name in CORE) <= 1300
    assert [f"{name}.py:{number}" for name in CORE
            for number, line in enumerate(lines(name), 1) if len(line) > 100] == []


@each_module
def test_a_file_has_at_most_250_lines(name):
    assert len(lines(name)) <= 250


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_no_wing_and_no_machinery(name):
    """Beside itself it needs, even by way of others, only what reads JSON and tells errors."""
    assert needs(name) <= {*CORE, "config_json", "tokenizer_json", "errors"}


def test_imports_go_in_no_circle():
    TopologicalSorter({name: imports(name) for name in MODULES}).prepare()  # or a CycleError that names the circle


@each_module
def test_a_module_imports_only_packages_that_are_installed_with_it(name):
    allowed = {"minllada_v", "torch", "numpy", "PIL", "safetensors", "tqdm", *sys.stdlib_module_names}
    assert {found.partition(".")[0] for found in imported_names(name)} <= allowed


@each_module
def test_modules_and_public_functions_and_classes_have_docstrings(name):
    tree = ast.parse("\n".join(lines(name)))
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]
    assert ast.get_docstring(tree)
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def test_the_reading_order_names_every_file_and_the_readme_shows_it():
    """First the core in its order, one file in a line, then each other file of the package's folder, and each wing."""
    assert re.findall(r"^  (\w+)", TREE, flags=re.MULTILINE)[:len(CORE)] == CORE
    beside = {name for name in MODULES if name and "." not in name and not name.startswith("__")} - WINGS
    assert beside <= set(re.findall(r"\w+", TREE))
    assert {f"{wing}/" for wing in WINGS | {"builtin"}} <= set(re.findall(r"\w+/", TREE))
    assert f"\n```\n{TREE}\n```\n" in README


def test_the_readme_says_how_long_the_core_is():
    """Its first paragraph has the number of lines of config … sampler, as `wc -l` counts them."""
    first_paragraph = README.split("\n\n")[1]
    assert re.findall(r"([\d,]+) lines", first_paragraph) == [f"{sum(len(lines(name)) for name in CORE):,}"]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_every_public_name_of_the_package_exists_and_it_has_a_version():
    assert all(hasattr(minllada_v, name) for name in minllada_v.__all__) and len(minllada_v.__all__) > 5
    assert re.fullmatch(r"\d+\.\d+\.\d+", minllada_v.__version__)
