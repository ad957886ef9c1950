"""What the graders share: how a student's function is asked, and how a mistake is said in words."""

import copy
import functools
import math
import traceback
from collections.abc import Callable, Mapping

import torch
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy
from PIL import Image

GRADING = settings(  # the same examples for everybody, at any time
    deadline=None, derandomize=True, database=None, report_multiple_bugs=False, max_examples=100,
    phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))


class NotYet(BaseException):
    """The exercise is not implemented yet. Not an `Exception`, or hypothesis would look for the smallest example."""


class Wrong(AssertionError):
    """A mistake, in words for the student; with a picture where that helps."""

    def __init__(self, words: str, picture: Image.Image | None = None):
        super().__init__(words)
        self.picture = picture


def require(condition: object, words: str, picture: Callable[[], Image.Image] | None = None):
    """Raise `Wrong` with `words` unless `condition` holds. `picture` is only called for if it does not."""
    if not condition:
        raise Wrong(words, picture() if picture else None)


def ask(function: Callable, *arguments):
    """What the student's `function` returns. An exception in it becomes `Wrong` with the call that led to it,
    `NotImplementedError` becomes `NotYet`. The function gets copies, so it cannot spoil the grader's own values; but
    not of functions, since with a method its whole object would be copied, for every example."""
    try:
        result = function(*(one if callable(one) else copy.deepcopy(one) for one in arguments))
    except NotImplementedError:
        raise NotYet from None
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        line = f" in line {frames[0].lineno}" if frames else ""
        raise Wrong(f"{call(function, *arguments)} stopped{line}: {type(error).__name__}: {error}") from None
    if result is None:
        raise Wrong(f"{call(function, *arguments)} gave None. Is a `return` missing?")
    return result


def agree(function: Callable, specification: Callable, *arguments):
    """What the student's `function` returns, if it is what `specification` returns. Otherwise raises `Wrong`."""
    found, expected = ask(function, *arguments), specification(*arguments)
    require(same(found, expected), f"{call(function, *arguments)}\n"
                                   f"should give  {spelled(expected)}\nyours gives  {spelled(found)}")
    return found


def same(found, expected, tolerance: float = 1e-5) -> bool:
    """Whether two values are equal, floating-point numbers to `tolerance`. A list is as good as a tuple."""
    if isinstance(expected, torch.Tensor):
        return (isinstance(found, torch.Tensor) and found.shape == expected.shape
                and torch.allclose(found.double(), expected.double(), tolerance, tolerance))
    if isinstance(found, torch.Tensor):
        return found.numel() == 1 and same(found.item(), expected)
    if isinstance(expected, list | tuple):
        return (isinstance(found, list | tuple) and len(found) == len(expected)
                and all(same(one, other) for one, other in zip(found, expected)))
    if isinstance(expected, dict):
        return (isinstance(found, dict) and found.keys() == expected.keys()
                and all(same(found[key], value) for key, value in expected.items()))
    if isinstance(expected, float) and isinstance(found, int | float):
        return math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    return bool(found == expected)


def call(function: Callable, *arguments) -> str:
    """A call as one would write it: `mask_words(['a', 'b'], 0.3)`."""
    return f"{getattr(function, '__name__', 'function')}({', '.join(map(spelled, arguments))})"


def spelled(value) -> str:
    """A value as one would write it, short."""
    if isinstance(value, Image.Image):
        return f"<a picture of {value.width} x {value.height}>"
    if isinstance(value, torch.Tensor):
        return f"tensor({value.tolist()})" if value.numel() <= 40 else f"<a tensor of shape {tuple(value.shape)}>"
    if callable(value):
        return getattr(value, "__name__", "function")
    if isinstance(value, set) and value:
        return f"{{{', '.join(map(spelled, sorted(value)))}}}"
    if isinstance(value, list | tuple | dict):
        inside = ", ".join(map(spelled, value)) if not isinstance(value, dict) else ", ".join(
            f"{key!r}: {spelled(one)}" for key, one in value.items())
        left, right = {list: "[]", dict: "{}"}.get(type(value), "()")
        return f"{left}{inside}{',' if left == '(' and len(value) == 1 else ''}{right}"
    return f"{value:.6g}" if isinstance(value, float) and value != int(value) else repr(value)


def grade_property(
    holds: Callable, right: Callable | tuple, planted: Mapping[str, Callable | tuple], inputs: SearchStrategy[tuple]
):
    """Grade a property that a student wrote: `holds(implementation, *input)` must be True for every input where the
    implementation is `right`, and must not be for some input where it is one of `planted`.

    The keys of `planted` say what is wrong: "an implementation that …". Where a property needs several functions,
    an implementation is a tuple of them. A property that stops with an exception has noticed something too.
    """
    def arguments(implementation, values: tuple) -> tuple:
        return (*implementation, *values) if isinstance(implementation, tuple) else (implementation, *values)

    def verdict(implementation, values: tuple) -> bool:
        result = ask(holds, *arguments(implementation, values))
        require(result is True or result is False, f"{holds.__name__} gave {spelled(result)}; a property is True or "
                                                   "False")
        return result

    def notices(implementation, values: tuple) -> bool:
        try:
            return not verdict(implementation, values)
        except Wrong:
            return True

    @GRADING
    @given(inputs)
    def accepts_what_is_right(values):
        require(verdict(right, values), f"The implementation is right, but your property says that it is not:\n"
                                        f"{call(holds, *arguments(right, values))} is False")

    accepts_what_is_right()
    for fault, implementation in planted.items():
        try:
            find(inputs, functools.partial(notices, implementation),
                 settings=settings(GRADING, phases=[Phase.generate], max_examples=500))
        except NoSuchExample:
            raise Wrong(f"Your property accepts an implementation that {fault}. (We looked at up to 500 "
                        "inputs.)") from None
