"""Solutions of the exercises of chapter 9."""

import math


def learning_rate(step, steps, peak):
    warm_up = math.ceil(0.03 * steps)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def what_learns(names, stage, train_vision):
    learning = {
        "vision": ("vision_tower.", "mm_projector.", "language_model.embed_tokens."),
        "align": ("mm_projector.",),
        "tune": ("mm_projector.", "image_newline", "language_model.") + (("vision_tower.",) if train_vision else ()),
    }[stage]
    return [name for name in names if name.startswith(learning) and "post_layernorm" not in name]


def step_gradient(batches, longest):
    good = [gradient for batch in batches for gradient in batch if gradient is not None]
    mean = [sum(numbers) / len(good) for numbers in zip(*good)]
    length = math.sqrt(sum(number**2 for number in mean))
    return [number * longest / length for number in mean] if length > longest else mean


def resume_property(train, fresh, steps, stops):
    state = fresh()
    for stop in [*stops, steps]:
        state = train(state, stop)
    return state == train(fresh(), steps)
