"""Find the bug: five faults of training code that really happened, in code written anew.

As in bugs_sampler.py, where an example stands: each function is wrong, and its docstring says what it should do. Write
a hypothesis test that passes every right implementation, in whatever way it is written, and fails the one above and its
relatives. Grade yourself with `python tutorials/exercises/grade.py --only bugs_training`.
"""

from math import isclose

import torch
from hypothesis import given  # for your code
from hypothesis import strategies as st

IGNORED, MASK, PAD = -100, -1, 0


def fails(test, implementation) -> bool:
    """Whether `test` finds a fault in `implementation`."""
    try:
        test(implementation)
    except NotImplementedError:
        raise
    except Exception:
        return True
    return False


def in_batch(model, sequences):
    """What a model says of several sequences that run side by side: what it says of each one alone.

    model: a function; `model(tokens, positions, seen)` takes three lists of one length: token ids, where each token
    stands in its sequence (0, 1, 2, …), and which tokens may be looked at at all. It gives a list of numbers, one for
    each token. What it gives where `seen` is False is of no use, and tokens that are not seen have no influence on the
    others. sequences: a list of lists of token ids, none of them empty. Returns a list of lists of numbers.
    """
    longest = max(map(len, sequences))
    results = []
    for sequence in sequences:
        padding = longest - len(sequence)
        tokens = [PAD] * padding + sequence
        numbers = model(tokens, list(range(longest)), [False] * padding + [True] * len(sequence))
        results.append(numbers[padding:])
    return results


def in_batch_test(in_batch):
    """★★★ ●●● "One question at a time our model answers well. Sixteen at a time it answers most of them differently."

        model, sequences  ──▶  in_batch  ──▶  numbers  ──▶  your test: right, or not?

    The model is yours to make up. It need not be clever, but whatever might go wrong must change what it says.
    in_batch: a function like the one above, right or wrong. Returns nothing; fails if `in_batch` is wrong.

    >>> fails(in_batch_test, in_batch)
    True
    """
    raise NotImplementedError


def make_batch(examples):
    """Examples side by side: rows of token ids and rows of labels, all of one length.

    The labels are the tokens of the answer at the places where these stand, and IGNORED at all others. Shorter rows are
    filled up with PAD, on the left or on the right.

    examples: a list of pairs, (prompt, answer), each a list of token ids above 0. Returns (ids, labels).
    """
    longest = max(len(prompt) + len(answer) for prompt, answer in examples)
    ids, labels = [], []
    for prompt, answer in examples:
        row = [PAD] * (longest - len(prompt) - len(answer)) + prompt + answer
        ids.append(row)
        labels.append([IGNORED] * len(prompt) + row[len(prompt):])
    return ids, labels


def make_batch_test(make_batch):
    """★★ ●●● "We padded on the left, as for generation. Now the model repeats the end of every question first."

        examples  ──▶  make_batch  ──▶  ids, labels  ──▶  your test: right, or not?

    make_batch: a function like the one above, right or wrong. Returns nothing; fails if `make_batch` is wrong.

    >>> fails(make_batch_test, make_batch)
    True
    """
    raise NotImplementedError


def example_loss(surprise, ids, labels, uniform, p):
    """The loss of one example of masked diffusion: of n targets those are masked whose uniform number is below p, and

        loss  =  Σ over masked targets of their surprise  /  (p · n)

    surprise: a function; `surprise(canvas, place)` is how surprised the model is by the right token at a place, given
    the canvas, a list of token ids and MASKs. ids, labels, uniform: lists of one length; a place is a target if its
    label is not IGNORED, and there is one at least. p: a number above 0, at most 1.
    """
    targets = [label != IGNORED for label in labels]
    canvas = [MASK if target and u < p else token for token, target, u in zip(ids, targets, uniform)]
    return sum(surprise(canvas, place) for place, target in enumerate(targets) if target) / (p * sum(targets))


def example_loss_test(example_loss):
    """★★ ●●● "The loss is lower than that of anyone before us. The answers are not."

        surprise, ids, labels, uniform, p  ──▶  example_loss  ──▶  a number  ──▶  your test: right, or not?

    example_loss: a function like the one above, right or wrong. (A right one may well ask for surprises that it does
    not use.) Returns nothing; fails if `example_loss` is wrong.

    >>> fails(example_loss_test, example_loss)
    True
    """
    raise NotImplementedError


def batch_loss(nats, masked):
    """The loss of a batch: the mean over its sequences of the mean over a sequence's masked places.

    A sequence in which nothing is masked has the loss 0, and counts like any other.

    nats: (batch, length) float32, the surprise at each place. masked: (batch, length) bool. Returns a tensor without
    dimensions.
    """
    return ((nats * masked).sum(dim=1) / masked.sum(dim=1)).mean()


def batch_loss_test(batch_loss):
    """★ ●●● "It trained well for twenty minutes. Then every weight was nan."

        nats, masked  ──▶  batch_loss  ──▶  a number  ──▶  your test: right, or not?

    batch_loss: a function like the one above, right or wrong. Returns nothing; fails if `batch_loss` is wrong.

    >>> fails(batch_loss_test, batch_loss)
    True
    """
    raise NotImplementedError


def mean_gradient(batches):
    """The gradient of one update whose examples come in several batches, for want of memory: the mean over all
    examples, however they are dealt out.

    batches: a list of batches, each a list of gradients, one for each example, which are numbers here. No batch is
    empty. Returns a number.
    """
    total = 0.0
    for batch in batches:
        total += sum(batch) / len(batch)
    return total / len(batches)


def mean_gradient_test(mean_gradient):
    """★ ●● "Four batches of eight train another model than one of thirty-two. Not always, though."

        batches  ──▶  mean_gradient  ──▶  a number  ──▶  your test: right, or not?

    mean_gradient: a function like the one above, right or wrong. Returns nothing; fails if `mean_gradient` is wrong.

    >>> fails(mean_gradient_test, mean_gradient)
    True
    """
    raise NotImplementedError
