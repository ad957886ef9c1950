"""Grades chapter 9: the learning rate, what learns in which stage, one gradient of many, and going on after a stop."""

import copy
import math
import random

from grading import GRADING, THOROUGH, agree, ask, call, grade_property, require, same, spelled
from hypothesis import example, given
from hypothesis import strategies as st

NAMES = [
    "vision_tower.patch_embedding.weight", "vision_tower.layers.0.self_attn.q_proj.weight",
    "vision_tower.post_layernorm.bias", "mm_projector.0.weight", "mm_projector.2.bias", "image_newline",
    "language_model.embed_tokens.weight", "language_model.layers.3.mlp.up_proj.weight", "language_model.norm.weight",
    "language_model.lm_head.weight"]
NUMBERS = st.integers(-8, 8).map(float)


def rate(step: int, steps: int, peak: float) -> float:
    """Slow and obvious: the height at `step` of a ramp and a wave."""
    warm_up = next(count for count in range(1, steps + 1) if count >= 0.03 * steps)
    ramp = [peak * (count + 1) / warm_up for count in range(warm_up)]
    wave = [peak / 2 * (1 + math.cos(math.pi * count / (steps - warm_up))) for count in range(steps - warm_up)]
    return (ramp + wave)[step]


def steps_of_a_run(steps: int):
    """(step, steps), often at the border of the warm-up."""
    warm_up = math.ceil(0.03 * steps)
    borders = [step for step in (0, warm_up - 1, warm_up, warm_up + 1, steps - 1) if 0 <= step < steps]
    return st.tuples(st.sampled_from(borders) | st.integers(0, steps - 1), st.just(steps))


@GRADING
@example((3, 100), 1.0)
@example((0, 1), 1.0)
@given(st.integers(1, 300).flatmap(steps_of_a_run), st.sampled_from([1.0, 2.0, 1e-3]))
def check_learning_rate(student, where, peak):
    agree(student.learning_rate, rate, *where, peak)


@GRADING
@given(st.lists(st.sampled_from(NAMES), max_size=4, unique=True), st.sampled_from(["vision", "align", "tune"]),
       st.booleans())
def check_what_learns(student, names, stage, train_vision):
    def rule(name):
        """Whether a parameter learns, and why."""
        if "post_layernorm" in name:
            return False, "what has post_layernorm in its name never learns"
        part = next(part for part in ("vision_tower", "mm_projector", "image_newline", "language_model.embed_tokens",
                                      "language_model") if name.startswith(part))
        learns = {"vision_tower": stage == "vision" or stage == "tune" and train_vision, "mm_projector": True,
                  "image_newline": stage == "tune", "language_model.embed_tokens": stage != "align",
                  "language_model": stage == "tune"}[part]
        setting = f" with train_vision {train_vision}" if (part, stage) == ("vision_tower", "tune") else ""
        rest = "the rest of " if part == "language_model" else ""
        return learns, f"in stage {stage}{setting} {rest}{part} {'learns' if learns else 'is frozen'}"

    found = ask(student.what_learns, names, stage, train_vision)
    shown = call(student.what_learns, names, stage, train_vision)
    require(isinstance(found, list | tuple), f"{shown} should give a list of names, but gave {spelled(found)}.")
    expected = [name for name in names if rule(name)[0]]
    for name in names:
        require((name in found) == (name in expected), f"{shown}\nYour answer {'has' if name in found else 'lacks'} "
                                                       f"{name}, but {rule(name)[1]}.")
    require(list(found) == expected, f"{shown} should give {spelled(expected)}, in this order, but gave "
                                     f"{spelled(found)}.")


@st.composite
def gradients(draw):
    """Up to three batches of gradients of one width, some of them broken; one that is not at least."""
    width = draw(st.integers(1, 2))
    example = st.none() | st.lists(NUMBERS, min_size=width, max_size=width)
    return draw(st.lists(st.lists(example, max_size=3), min_size=1, max_size=3).filter(
        lambda batches: any(one is not None for batch in batches for one in batch)))


@THOROUGH
@given(gradients(), st.sampled_from([1.0, 2.5, 100.0]))
def check_step_gradient(student, batches, longest):
    good = [gradient for batch in batches for gradient in batch if gradient is not None]
    found, shown = ask(student.step_gradient, batches, longest), call(student.step_gradient, batches, longest)
    mean = [math.fsum(numbers) / len(good) for numbers in zip(*good)]
    length = math.dist(mean, [0.0] * len(mean))
    expected = [number * min(1.0, longest / length) for number in mean] if length else mean
    words = (f"the mean of the {len(good)} examples that count is {spelled(mean)}, which is {length:.4g} long" +
             (f" and must be shortened to {longest:.4g}" if length > longest else ""))
    require(same(found, expected), f"{shown}\nshould give  {spelled(expected)}\nyours gives  {spelled(found)}\n"
                                   f"For {words}.")


STEPS = 8  # at most; the learning rate of a run falls over all of them


def fresh() -> dict:
    return {"step": 0, "weights": [1.0, -2.0], "momentum": [0.0, 0.0]}


def one_step(state: dict, step: int, seed: int) -> dict:
    """A step of gradient descent with momentum towards numbers that chance draws, which `seed` decides."""
    chance, rate = random.Random(seed), 0.5 / (step + 1)
    momentum = [0.9 * old + weight - chance.random() for old, weight in zip(state["momentum"], state["weights"])]
    weights = [weight - rate * speed for weight, speed in zip(state["weights"], momentum)]
    return {"step": state["step"] + 1, "weights": weights, "momentum": momentum}


def trainer(before=lambda state: state, number=lambda state, done: state["step"], seed=lambda step, done: step,
            first=lambda state: state["step"]):
    """A `train` function, right unless told otherwise. `before` changes the state at the start of each call; `number`
    and `seed` say which step the learning rate and chance belong to, from the state and the steps `done` in this call;
    `first` where the call starts."""
    def train(state, until):
        start, state = first(state), before(copy.deepcopy(state))
        for done in range(until - start):
            step = number(state, done)
            state = one_step(state, step, seed(step, done))
        return state
    return train


def check_resume_property(student):
    def stopped(train, fresh, steps, stops):
        state = fresh()
        for stop in [*stops, steps]:
            state = train(state, stop)
        return state

    count = iter(range(10**9))
    grade_property(student.resume_property, (trainer(), fresh), {
        "forgets the optimizer's momentum when it goes on":
            (trainer(before=lambda state: state | {"momentum": [0.0, 0.0]}), fresh),
        "begins anew with the learning rate when it goes on":
            (trainer(number=lambda state, done: done, seed=lambda step, done: 7), fresh),
        "draws the examples of the first steps again when it goes on":
            (trainer(seed=lambda step, done: done), fresh),
        "goes on with chance where the last run in this process left it":
            (trainer(seed=lambda step, done: next(count)), fresh),
        "skips a step when it goes on":
            (trainer(first=lambda state: state["step"] + (state["step"] > 0)), fresh),
        "makes its last step again when it goes on": (trainer(first=lambda state: max(0, state["step"] - 1)), fresh),
        "rounds the weights when they are saved": (rounding, fresh),
        "counts the steps from 0 when it goes on": (forgetting_its_step, fresh),
        "goes on after a second stop with the momentum of the first": (first_momentum(), fresh),
        "loses the momentum at the very end, when no weight shows it any more": (without_last_momentum(), fresh),
    }, st.integers(1, STEPS).flatmap(lambda steps: st.tuples(
        st.just(steps), st.lists(st.integers(0, steps), max_size=3).map(sorted))), stopped)


def rounding(state, until):
    """Saves at the end of each call, in half precision, as it were."""
    state = trainer()(state, until)
    return state | {"weights": [round(weight, 2) for weight in state["weights"]]}


def forgetting_its_step(state, until):
    """Makes the right steps, and says that it made only those of this call."""
    done = trainer()(state, until)
    return done | {"step": until - state["step"]}


def first_momentum():
    """Writes the optimizer's state at the first stop of a run, and never again."""
    saved = []

    def train(state, until):
        if state["step"] == 0:
            saved.clear()
        elif saved:
            state = state | {"momentum": saved[0]}
        state = trainer()(state, until)
        if state["step"] > 0:
            saved.append(state["momentum"])
        return state
    return train


def without_last_momentum():
    """Has the right momentum at hand for its own steps, but not in the state that it returns after a stop."""
    kept = {}

    def train(state, until):
        goes_on = state["step"] > 0
        state = trainer()(state | {"momentum": kept.get(state["step"], state["momentum"])}, until)
        kept[until] = state["momentum"]
        return state | {"momentum": [0.0, 0.0]} if goes_on else state
    return train
