"""How a student's hypothesis test is graded: it must pass what is right, and fail what is not."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager

import grading
from grading import NotYet, Wrong, shortened
from hypothesis import Phase, settings


def grade_test(test: Callable, right: Sequence[Callable], shown: Callable, relatives: Mapping[str, Callable]):
    """Grade a test that a student wrote: `test(implementation)` must not raise anything for each of `right`, which are
    written in different ways; and must for `shown`, the faulty function in the task, and for its `relatives`, a dict
    from what is wrong ("an implementation that …") to the faulty one.

    Tests that `@given` runs get our settings, where a student sets none, so that they are the same every time.
    """
    for implementation in right:
        passes(test, implementation, 40)
    with default(settings(grading.SEARCHING, phases=[Phase.explicit, Phase.generate])):
        if failure(test, shown) is None:
            raise Wrong("Your test passes the function that stands above it in the file, and that is wrong.")
        for fault, implementation in relatives.items():
            if failure(test, implementation) is None:
                raise Wrong(f"Your test fails the function above it, as it should. But it passes one that {fault}.")
    passes(test, right[0], 5)  # once more: it cannot tell them apart by when they come


def passes(test: Callable, implementation: Callable, examples: int):
    """Require that the test passes what is right; each test that `@given` runs gets so many examples."""
    with default(settings(grading.GRADING, max_examples=examples)):
        error = failure(test, implementation)
    if error is not None:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", []) if "reproduce" not in note)
        raise Wrong(f"The implementation is right, but your test fails for it: {type(error).__name__}: "
                    f"{shortened(str(error), 400)}{shortened(notes, 600)}")


@contextmanager
def default(ours: settings):
    """What a test without settings of its own gets."""
    settings.register_profile("before", settings.default)
    settings.register_profile("ours", ours)
    settings.load_profile("ours")
    try:
        yield
    finally:
        settings.load_profile("before")


def failure(test: Callable, implementation: Callable) -> BaseException | None:
    """What the test raises. Every implementation is handed over in the same wrapper, so that none has a name."""
    def wrapper(*arguments, **named):
        return implementation(*arguments, **named)

    try:
        test(wrapper)
    except NotImplementedError:
        raise NotYet from None
    except (Exception, SystemExit) as error:
        return error
    return None
