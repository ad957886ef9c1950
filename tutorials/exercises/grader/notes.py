"""What in a student's files is worth a look, read without running them: imports, and our solutions."""

import ast
from pathlib import Path

from tasks import EXERCISES, SOLUTIONS

LOOK = {  # modules that an exercise has no use for, or that would do it: beginnings of their names
    "solutions", "tutorials", "tests", "minllada_v", "grading", "checks", "child", "watch", "guard", "grade",
    "hypothesis", "pytest", "unittest", "builtins", "importlib", "inspect", "ctypes", "gc", "os", "sys", "subprocess",
    "multiprocessing", "signal", "socket", "shutil", "pathlib", "atexit", "threading"}
CALLS = {"exec", "eval", "compile", "open", "__import__", "globals", "setattr"}
INSIDE = {"__code__", "__globals__", "__closure__", "__subclasses__"}
LINES = 4  # a function of fewer lines is easily written twice


def notes(folder: Path) -> list[str]:
    """What a teacher may want to look at in the Python files of `folder`. It says nothing on whether it is right."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        tree = parsed(path)
        handed_out = parsed(EXERCISES / path.name)
        for words in sorted(suspicious(tree) - suspicious(handed_out)):
            found.append(f"{path.relative_to(folder)} {words}")
        solution = functions(parsed(SOLUTIONS / path.name))
        for name, text in functions(tree).items():
            if name in solution and text == solution[name] and text.count("\n") >= LINES:
                found.append(f"{path.relative_to(folder)}: {name} is our solution, word for word")
    return found


def parsed(path: Path) -> ast.Module:
    """The file, or an empty one where it is not there or no Python: then its exercises are graded as such."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return ast.Module([], [])


def suspicious(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {f"imports {one.name}" for one in node.names if one.name.partition(".")[0] in LOOK}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in LOOK:
            found.add(f"imports {node.module} ({', '.join(one.name for one in node.names)})")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.add(f"calls {node.func.id}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "tutorials/solutions" in node.value:
            found.add("names the folder of the solutions")
        elif isinstance(node, ast.Attribute) and node.attr in INSIDE:
            found.add(f"uses {node.attr}")
    return found


def functions(tree: ast.Module) -> dict[str, str]:
    """The functions of a file, written out without comments and docstrings."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            found[node.name] = "\n".join([ast.unparse(node.args), *map(ast.unparse, body)])
    return found
