"""Exercises of chapter 9, training. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 9`. No exercise needs more than plain Python.
"""

import math  # for your code


def learning_rate(step, steps, peak):
    """★ ●● The learning rate of a step: up in a straight line, then down like half a wave.

        w  =  ⌈0.03 · steps⌉                                                    steps of warm-up
        rate  =  peak · (step + 1) / w                                          if step < w
        rate  =  peak · ½ · (1 + cos(π · (step − w) / (steps − w)))             else

        peak      ╱‾‾─╲
                 ╱     ╲
        0       ╱       ‾──
               0  w       steps

    step: a whole number from 0 to steps − 1. steps: how many there are in all, at least 1. peak: the highest rate.
    Returns a number.

    >>> [learning_rate(step, 100, 8.0) for step in (0, 1, 2, 3)]
    [2.6666666666666665, 5.333333333333333, 8.0, 8.0]
    """
    raise NotImplementedError


def what_learns(names, stage, train_vision):
    """★★ ●● Which parameters learn, and which are frozen.

        stage "vision"    vision tower, projector, token embeddings
        stage "align"     projector
        stage "tune"      all, but the vision tower only if train_vision is True

    But for one exception: the parameters with "post_layernorm" in their names are never used, so they never learn.

        mm_projector.0.weight  image_newline  vision_tower.layers.0.…   ──"align"──▶   mm_projector.0.weight

    names: a list of parameters' names. They begin with "vision_tower.", "mm_projector.", "image_newline",
    "language_model.embed_tokens." or another "language_model." (all the rest). stage: "vision", "align" or "tune".
    Returns the list of those names that learn, in the same order.

    >>> what_learns(["mm_projector.0.weight", "image_newline", "vision_tower.layers.0.mlp.fc1.bias"], "align", True)
    ['mm_projector.0.weight']
    """
    raise NotImplementedError


def step_gradient(batches, longest):
    """★★ ●●● One gradient of several batches.

    Memory may be too small for all examples of a step. Then they come in batches, one after another, and the gradients
    are added up. The result must be the mean over all examples, as if they had come at once. Some examples are broken
    (a picture that cannot be read): they do not count. At the end, a gradient that is longer than `longest`, as a
    vector, is shortened to that length, and keeps its direction.

        batch 0:  (1, 0)  broken         batch 1:  (3, 0)  (2, 3)            mean of three: (2, 1)

    batches: a list of batches. A batch is a list with, for each example, its gradient (a list of numbers, equally many
    in all), or None for a broken one. At least one is not broken. longest: a number above 0. Returns a list of numbers.

    >>> step_gradient([[[1.0, 0.0], None], [[3.0, 0.0], [2.0, 3.0]]], 10.0)
    [2.0, 1.0]
    >>> step_gradient([[[3.0, 4.0]]], 1.0)
    [0.6, 0.8]
    """
    raise NotImplementedError


def resume_property(train, fresh, steps, stops):
    """★★★ ●●● Write a property: a run that is stopped and goes on gives the same numbers as one that is not.

    train: a function `train(state, until)` that goes on from `state` until `until` steps are done, and returns the new
    state. It leaves `state` itself as it is. It may be right or wrong. fresh: a function without arguments that gives
    the state before the first step, a new one at each call. steps: how many steps a run has, 1 to 8. stops: after how
    many of them it is stopped: a list of up to three numbers from 0 to steps, the smaller first.

        fresh ─────────────────────────▶ steps
        fresh ────▶ stop ────▶ stop ───▶ steps            the same?

    A state is a dict, and a checkpoint is a state; what is not in it is lost when a run is stopped:
        "step"      how many steps are done
        "weights"   a list of numbers
        "momentum"  a list of numbers that the optimizer remembers

    Return True if a run that is stopped after each of `stops`, and each time goes on from there, at last to the end,
    has the same state there as a run that was never stopped. Else return False. The numbers must be exactly equal: a
    small difference is one that grows. A run may also be stopped at its end, or twice at the same step.

    Your property is tried with a right implementation and with some that we broke on purpose. It must be True for the
    first, always, and False for each of the others, on one input at least.

    >>> def fresh():
    ...     return {"step": 0, "weights": [0.0], "momentum": [0.0]}
    >>> resume_property(lambda state, until: state | {"step": until, "weights": [float(until)]}, fresh, 4, [2])
    True
    >>> resume_property(lambda state, until: {"step": until, "weights": [state["step"] + 1.0], "momentum": [0.0]},
    ...                 fresh, 4, [2])  # its weights come out as 3.0, and without the stop as 1.0
    False
    """
    raise NotImplementedError
