"""Grades "build your own loss": masks and losses against slow ones and the released loss, and a training loop."""

import math

import torch
from golden import released
from grading import GRADING, agree, ask, call, require, same, seconds, spelled
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minllada_v.chat import MASK
from minllada_v.tiles import picture_tiles
from minllada_v.training.batch import splice_batch

IGNORED, MASK_ID = -100, 5
torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).step()  # at its first step torch changes parts of itself


@st.composite
def batches(draw):
    """(ids, labels, t, uniform) with a target at least in each row; tokens 0 to 4."""
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    ids = [draw(st.lists(st.integers(0, 4), min_size=length, max_size=length)) for _ in range(rows)]
    targets = [draw(st.sets(st.integers(0, length - 1), min_size=1)) for _ in range(rows)]
    labels = [[token if place in asked else IGNORED for place, token in enumerate(row)]
              for row, asked in zip(ids, targets)]
    number = st.sampled_from([0.0, 0.0005, 0.0011, 0.1, 0.25, 0.5, 0.5002, 0.6, 0.9, 0.999])
    t = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.999]), min_size=rows, max_size=rows))
    uniform = [draw(st.lists(number, min_size=length, max_size=length)) for _ in range(rows)]
    return torch.tensor(ids), torch.tensor(labels), torch.tensor(t), torch.tensor(uniform)


def probability(time: float) -> float:
    return 0.999 * time + 0.001


def mask(ids, labels, t, uniform, mask_id):
    masked = torch.zeros(ids.shape, dtype=torch.bool)
    for row, place in (labels != IGNORED).nonzero().tolist():
        masked[row, place] = float(uniform[row, place]) < probability(float(t[row]))
    return torch.where(masked, mask_id, ids), masked


ONE = torch.tensor([[1]])


@settings(GRADING, max_examples=50)
@given(batches())
@example((ONE, ONE, torch.tensor([0.0]), torch.tensor([[0.0]])))
@example((ONE, ONE, torch.tensor([0.0]), torch.tensor([[0.0011]])))
def check_mask(student, batch):
    agree(student.mask, mask, *batch, MASK_ID)
    given_ones = [it.clone() for it in batch]
    student.mask(*given_ones, MASK_ID)
    require(same(given_ones, list(batch)), f"{call(student.mask, *batch, MASK_ID)} changed what it was given.")


class Lost:
    """A model that says something at masked places only, and elsewhere what nobody should look at."""

    __name__ = "model"

    def __init__(self, elsewhere: float):
        self.elsewhere = torch.tensor([0.0, elsewhere, 0.0, 0.0, 0.0])
        self.table = torch.tensor([[math.sin(7 * place + 3 * token) * 2 for token in range(5)] for place in range(4)])
        self.table.requires_grad_(True)

    def __call__(self, canvas):
        table = self.table[:canvas.shape[1]] * (1 + canvas.sum(dim=1)[:, None, None] % 3)
        return torch.where((canvas == MASK_ID)[..., None], table, self.elsewhere)


def loss(model, ids, labels, t, uniform, mask_id):
    canvas, masked = mask(ids, labels, t, uniform, mask_id)
    logits, losses = model(canvas), []
    for row in range(len(ids)):
        n = int((labels[row] != IGNORED).sum())
        nats = [-logits[row, place].log_softmax(dim=0)[labels[row, place]] for place in range(ids.shape[1])
                if masked[row, place]]
        losses.append(sum(nats) / (probability(float(t[row])) * n) + 0 * model.table.sum())
    return torch.stack(losses)


@seconds(40)
def check_loss(student):
    @settings(GRADING, max_examples=50)
    @given(batches(), st.sampled_from([1.0, 3.0, math.inf]))
    def agrees(batch, elsewhere):
        model = Lost(elsewhere)
        found = agree(student.loss, loss, model, *batch, MASK_ID)
        gradients = []
        for losses in (found, loss(model, *batch, MASK_ID)):
            require(losses.requires_grad, "No gradient flows through the loss. Was it made to a plain number?")
            model.table.grad = None
            losses.sum().backward()
            gradients.append(model.table.grad)
        require(same(*gradients), f"{call(student.loss, model, *batch, MASK_ID)} is right, but its gradient is not: it "
                                  f"should be\n{spelled(gradients[1])}\nand is\n{spelled(gradients[0])}")

    agrees()
    model, tokenizer, _, cases, tensors = released()
    for number, case in enumerate(cases["losses"]):
        tiles = picture_tiles([picture(case["image"], tensors)], model.config)[0]
        with torch.no_grad():
            rows = model.merge(model.project(tiles.pixel_values), tiles)
        batch = splice_batch(*(torch.tensor(case[name]) for name in ("input_ids", "labels")),
                             [[rows]] * len(case["samples"]))
        draws = (tensors[f"loss/{number}/{name}"] for name in ("t", "uniform"))

        def released_model(canvas, batch=batch):
            with torch.no_grad():
                return model.language_model.lm_head(model.language_model(model.embed(canvas, batch.features)))

        found = ask(student.loss, released_model, batch.ids, batch.labels, *draws, tokenizer.token_id(MASK)).mean()
        require(same(float(found), case["loss"], 1e-4), f"The released training has the loss {case['loss']:.4f} in its "
                f"golden batch {number}, and yours is {float(found):.4f}.")


def picture(number, tensors):
    from PIL import Image

    return Image.fromarray(tensors[f"image/{number}/rgb"].numpy())


def toy(seed: int):
    """(parameters, batch_of) of a model with two small tables."""
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(6, 5, generator=generator).requires_grad_() for _ in range(2)]
    asked = []

    def batch_of(step):
        asked.append(step)
        chance = torch.Generator().manual_seed(seed + step)
        ids = torch.randint(5, (4, 3), generator=chance) % (1 + step % 5)

        def model(canvas):
            return 3 * tables[0][canvas] + tables[1][canvas].mean(dim=1, keepdim=True)
        return model, ids, ids, torch.rand(4, generator=chance), torch.rand(4, 3, generator=chance)

    return tables, batch_of, asked


def rate(step: int, steps: int) -> float:
    warm_up = next(count for count in range(1, steps + 1) if count >= 0.03 * steps)
    return (step + 1) / warm_up if step < warm_up else 0.5 + 0.5 * math.cos(
        math.pi * (step - warm_up) / (steps - warm_up))


def train(parameters, batch_of, steps, peak):
    """AdamW by hand."""
    losses, m, v = [], [0.0, 0.0], [0.0, 0.0]
    for step in range(steps):
        mean = sum_of_loss(*batch_of(step)) / 4
        gradients = torch.autograd.grad(mean, parameters)
        shrink = 1 / max(1.0, float(sum(it.square().sum() for it in gradients).sqrt()))
        for number, gradient in enumerate(gradients):
            m[number] = 0.9 * m[number] + 0.1 * shrink * gradient
            v[number] = 0.98 * v[number] + 0.02 * (shrink * gradient) ** 2
            size = (v[number] / (1 - 0.98 ** (step + 1))).sqrt() + 1e-8
            with torch.no_grad():
                parameters[number] -= peak * rate(step, steps) * m[number] / (1 - 0.9 ** (step + 1)) / size
        losses.append(mean.item())
    return losses


def sum_of_loss(model, ids, labels, t, uniform):
    canvas, masked = mask(ids, labels, t, uniform, MASK_ID)
    nats = -model(canvas).log_softmax(dim=-1).gather(-1, ids[..., None])[..., 0]
    return (nats * masked / (0.999 * t + 0.001)[:, None] / ids.shape[1]).sum()


@seconds(40)
def check_train(student):
    for steps in (1, 2, 34):
        (parameters, batch_of, asked), (right, right_batches, _) = toy(steps), toy(steps)
        losses = ask_in_place(student.train, parameters, batch_of, steps)
        expected = train(right, right_batches, steps, 0.05)
        of = f"With {steps} steps"
        require(asked == list(range(steps)), f"{of} the batches that were asked for are {spelled(asked)}.")
        require(isinstance(losses, list) and len(losses) == steps and all(isinstance(it, float) for it in losses),
                f"{of} `train` should return a list of {steps} numbers, not {spelled(losses)}.")
        for step, (one, other) in enumerate(zip(losses, expected)):
            require(same(one, other, 1e-3), f"{of} the loss of step {step} should be {other:.4f}, not {one:.4f}"
                                            + (f": the move of step {step - 1} was another." if step else "."))
        require(same(parameters, right, 1e-3), f"{of} the last move was another than that of a right loop.")


def ask_in_place(train_it, parameters, batch_of, steps):
    """What `train` returns; `ask` would hand over copies, which nobody could see change."""
    def run():
        return train_it(parameters, batch_of, steps, 0.05, MASK_ID)
    run.__name__ = f"train, with {steps} steps,"
    return ask(run)
