"""Build your own loss, in three steps. Each uses what you wrote before. With the last a model learns what colours are
called, from your parts alone: `python tutorials/exercises/colours.py`. Grade yourself with
`python tutorials/exercises/grade.py --only my_loss`.

| step | function | after chapter |
|---|---|---|
| 1 | `mask` | 6 |
| 2 | `loss` | 7 |
| 3 | `train` | 9 |

A model is a function here: it takes canvases, (batch, length) int64 token ids, and returns logits, (batch, length,
vocabulary) float32. Pictures are within the model and need not concern you. No function changes what it is given.
"""

import math  # for your code

import torch

IGNORED = -100  # the label of a place that is no target
EPSILON = 0.001  # ε, the least probability of a mask


def mask(ids, labels, t, uniform, mask_id):
    """★ ●●● Put MASKs on a batch of examples, each at a time of its own.

    At time t a target is masked with probability p = (1 − ε) t + ε, and its uniform number decides, as in chapter 6.
    Where there is no target there is no MASK.

    ids, labels: (batch, length) int64. t: (batch,) float32. uniform: (batch, length) float32 in [0, 1). mask_id: the id
    of MASK. Returns a pair: the canvases, (batch, length) int64, and where they are masked, (batch, length) bool.

        ids       7    8    9           canvas   7  M  9
        labels    –    8    9    ──▶    masked      ■
        uniform  .1   .2   .8           t = 0.5

    >>> canvas, masked = mask(torch.tensor([[7, 8, 9]]), torch.tensor([[-100, 8, 9]]), torch.tensor([0.5]),
    ...                       torch.tensor([[0.1, 0.2, 0.8]]), 3)
    >>> canvas
    tensor([[7, 3, 9]])
    >>> masked
    tensor([[False,  True, False]])
    """
    raise NotImplementedError


def loss(model, ids, labels, t, uniform, mask_id):
    """★★ ●●● Say how much the masked tokens surprised the model.

    The surprise at a place is −ln of the probability that the model gives there to its label. We would like to know the
    mean of it over all n targets of an example. But one throw masks only some of them, and only at these may the model
    be asked. Add up what is masked, and divide it so that the mean over many throws of `uniform`, at the same t, comes
    out right. (So you may not divide by how many are masked in this throw: chapter 7.)

    What the model says at other places must not matter, whatever it is, not even infinity, and neither for the loss nor
    for its gradient. And where nothing is masked, the loss is 0.

    model: a function, see above. The others are as for `mask`, and each example has a target. Returns the losses,
    (batch,) float32, through which gradients flow.

        3 targets, p = 0.5
        surprise   2.0   ?   1.0            (2.0 + 1.0) / … = 2.0
        masked      ■         ■

    >>> def model(canvas):  # does not know which of 4 tokens it is
    ...     return torch.zeros(*canvas.shape, 4)
    >>> ids = torch.tensor([[0, 1, 2]])
    >>> loss(model, ids, ids, torch.tensor([0.5]), torch.tensor([[0.1, 0.9, 0.3]]), 3)
    tensor([1.8465])
    >>> loss(model, ids, ids, torch.tensor([0.5]), torch.tensor([[0.8, 0.9, 0.7]]), 3)
    tensor([0.])
    """
    raise NotImplementedError


def train(parameters, batch_of, steps, peak, mask_id):
    """★★★ ●●● Train: the loop around all of it.

    In each step, 0, 1, …, steps − 1: take its batch, compute its loss, the mean over the examples, and let every
    parameter make a move against its gradient. As in chapter 9, the optimizer is `torch.optim.AdamW` with betas 0.9 and
    0.98 and no weight decay; a gradient longer than 1 (of all parameters together) is shortened to 1; and the learning
    rate follows your `learning_rate` of chapter 9, up to `peak`. (To use that, `from chapter09 import learning_rate`.)

    The order matters, and so does what is left over from the step before.

    parameters: a list of tensors that require gradients. batch_of: a function; `batch_of(step)` returns the arguments
    of `loss` but for the last: (model, ids, labels, t, uniform). Ask it once for each step, in order. steps: a whole
    number, 1 or more. peak: the highest learning rate. Changes the parameters in place, and returns the list of the
    losses, a plain number for each step.

        batch ──▶ loss ──▶ gradient ──▶ not longer than 1 ──▶ a move at this step's rate ──▶ next batch

    >>> weight = torch.zeros(4, requires_grad=True)
    >>> ids = torch.tensor([[2]])
    >>> def batch_of(step):  # a model with four weights: its logits, whatever the canvas is
    ...     return lambda canvas: weight.expand(1, 1, 4), ids, ids, torch.tensor([0.9]), torch.tensor([[0.5]])
    >>> losses = train([weight], batch_of, 10, 1.0, 3)
    >>> round(losses[0], 4)
    1.5402
    >>> losses[-1] < 0.01
    True
    """
    raise NotImplementedError
