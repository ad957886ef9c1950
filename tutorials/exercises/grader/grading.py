"""What checks share: how a student's function is asked, and how a mistake is said in words."""

import copy
import functools
import math
import sys
import traceback
from collections.abc import Callable, Mapping

from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

GRADING = settings(  # the same examples for everybody, at any time
    deadline=None, derandomize=True, database=None, report_multiple_bugs=False, max_examples=100,
    phases=[Phase.explicit, Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
THOROUGH = settings(GRADING, max_examples=300)  # where examples are cheap
SEARCHING = settings(GRADING, phases=[Phase.generate], max_examples=500)
SHOWN = 200  # letters of one value in a message, at most


class NotYet(BaseException):
    """The exercise is not implemented yet. Not an `Exception`, or hypothesis would look for the smallest example."""


class Wrong(AssertionError):
    """A mistake, in words for the student; with a picture where that helps."""

    def __init__(self, words: str, picture=None):
        super().__init__(words)
        self.picture = picture


def seconds(limit: int) -> Callable:
    """A check that may take `limit` seconds of the processor."""
    def marked(check):
        check.seconds = limit
        return check
    return marked


def require(condition: object, words: str, picture: Callable | None = None):
    """Raise `Wrong` with `words` unless `condition` holds. `picture` is only called for if it does not."""
    if not condition:
        raise Wrong(words, picture() if picture else None)


def ask(function: Callable, *arguments):
    """What the student's `function` returns. An exception in it becomes `Wrong` with the call that led to it,
    `NotImplementedError` becomes `NotYet`. The function gets copies, so it cannot spoil the check's own values; but
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
    """Whether two values are equal, floating-point numbers to `tolerance`. A list is as good as a tuple or an array."""
    if is_tensor(expected):
        return (is_tensor(found) and found.shape == expected.shape
                and found.double().allclose(expected.double(), tolerance, tolerance))
    if is_tensor(found):
        return found.numel() == 1 and same(found.item(), expected)
    if type(found).__module__ == "numpy":
        found = found.tolist()
    if isinstance(expected, list | tuple):
        return (isinstance(found, list | tuple) and len(found) == len(expected)
                and all(same(one, other, tolerance) for one, other in zip(found, expected)))
    if isinstance(expected, dict):
        return (isinstance(found, dict) and found.keys() == expected.keys()
                and all(same(found[key], value, tolerance) for key, value in expected.items()))
    if isinstance(expected, float) and isinstance(found, int | float):
        return math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return found == expected
    return isinstance(found, type(expected)) and bool(found == expected)  # not whatever says that it is equal to all


def is_tensor(value) -> bool:
    """Whether `value` is a tensor. Most exercises do without torch, so it is not imported for them."""
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def call(function: Callable, *arguments) -> str:
    """A call as one would write it: `mask_words(['a', 'b'], 0.3)`."""
    return f"{getattr(function, '__name__', 'function')}({', '.join(map(spelled, arguments))})"


def spelled(value) -> str:
    """A value as one would write it, short: numbers with up to six digits."""
    if is_tensor(value):
        return (f"tensor({spelled(value.tolist())})" if value.numel() <= 40
                else f"<a tensor of shape {tuple(value.shape)}>")
    if callable(value):
        return getattr(value, "__name__", "function")
    if isinstance(value, float):
        digits = f"{value:.6g}"
        return digits if set(digits) & set(".en") else digits + ".0"
    if isinstance(value, set) and value:
        return f"{{{', '.join(map(spelled, sorted(value)))}}}"
    if isinstance(value, list | tuple | dict):
        inside = ", ".join(map(spelled, value)) if not isinstance(value, dict) else ", ".join(
            f"{spelled(key)}: {spelled(one)}" for key, one in value.items())
        left, right = {list: "[]", dict: "{}"}.get(type(value), "()")
        return shortened(f"{left}{inside}{',' if left == '(' and len(value) == 1 else ''}{right}")
    return f"<a picture of {value.width} x {value.height}>" if hasattr(value, "getpixel") else shortened(repr(value))


def shortened(text: str, most: int = 5 * SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


def grade_property(
    holds: Callable, right: Callable | tuple, planted: Mapping[str, Callable | tuple], inputs: SearchStrategy[tuple],
    shows: Callable,
):
    """Grade a property that a student wrote: `holds(implementation, *input)` must be True for every input where the
    implementation is `right`, and must not be for some input where it is one of `planted`.

    The keys of `planted` say what is wrong: "an implementation that …". Where a property needs several functions,
    an implementation is a tuple of them. A property that stops with an exception has noticed something too.
    `shows(implementation, *input)` is what an implementation makes of an input, for messages.

    The property is handed all implementations in the same wrapper, so that it can only tell them apart by what they do;
    and the right one once more in the end, so that it cannot tell them apart by when they come.
    """
    def parts(implementation) -> tuple:
        return implementation if isinstance(implementation, tuple) else (implementation,)

    def verdict(implementation, values: tuple) -> bool:
        asked.clear()
        result = ask(holds, *(wrapped(one, parameter(holds, place), asked) if callable(one) else one
                              for place, one in enumerate(parts(implementation))), *values)
        require(result is True or result is False, f"{holds.__name__} gave {spelled(result)}; a property is True or "
                                                   "False")
        return result

    def notices(implementation, values: tuple) -> bool:
        try:
            return not verdict(implementation, values)
        except Wrong:
            return True

    def accepts_what_is_right(examples: int):
        @settings(GRADING, max_examples=examples)
        @given(inputs)
        def accepts(values):
            if not verdict(right, values):
                names = [wrapped(one, parameter(holds, place), []) if callable(one) else one
                         for place, one in enumerate(parts(right))]
                raise Wrong("The implementation is right, but your property says that it is not:\n"
                            f"{call(holds, *names, *values)} is False.\n"
                            + "".join(dict.fromkeys(f"{call(one, *arguments)} gave {spelled(result)}\n"
                                                    for one, arguments, result in asked))
                            + "All that the property should ask for holds there.")
        accepts()

    asked: list[tuple] = []
    accepts_what_is_right(100)
    for fault, implementation in planted.items():
        try:
            find(inputs, functools.partial(notices, implementation), settings=SEARCHING)
        except NoSuchExample:
            raise Wrong(f"Your property accepts an implementation that {fault}.\n"
                        + counterexample(parts(right), parts(implementation), inputs, shows)
                        + "(Your property was asked about up to 500 inputs.)") from None
    accepts_what_is_right(20)


def wrapped(function: Callable, name: str, asked: list[tuple]) -> Callable:
    """`function` under another name; the first things that it is asked, and what it answers, go to `asked`."""
    def implementation(*arguments, **named):
        result = function(*arguments, **named)
        if len(asked) < 6:
            asked.append((implementation, (*arguments, *named.values()), result))
        return result
    implementation.__name__ = name
    return implementation


def parameter(function: Callable, place: int) -> str:
    """What `function`, which a student may have made in any way, calls its argument number `place`."""
    names = getattr(getattr(function, "__code__", None), "co_varnames", ())
    return names[place] if place < len(names) else "implementation"


def counterexample(right: tuple, broken: tuple, inputs: SearchStrategy[tuple], shows: Callable) -> str:
    """A small input for which `broken` shows something else than `right`, with both; or nothing if none is found."""
    def shown(implementation, values):
        try:
            return shows(*implementation, *copy.deepcopy(values))
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    try:
        values = find(inputs, lambda values: not same(shown(broken, values), shown(right, values)),
                      settings=settings(SEARCHING, phases=[Phase.generate, Phase.shrink]))
    except NoSuchExample:
        return ""
    return (f"For example, with {', '.join(map(spelled, values))}\n"
            f"a right one gives  {spelled(shown(right, values))}\n"
            f"this one gives     {spelled(shown(broken, values))}\n")
