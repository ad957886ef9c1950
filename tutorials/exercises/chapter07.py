"""Exercises of chapter 7, the loss. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 7`. No exercise needs more than plain Python. All tokens
are targets here. A **mask** is a tuple with True for each masked place, such as (True, False). The **surprise** at a
masked place is −log of the probability that the model gave to the right token there, in nats.
"""

from itertools import permutations, product  # for your code


def sequence_loss(nats, masked, p):
    """★ ●●● The loss of one sequence with one mask.

        loss  =  Σ over masked places of nats[i]  /  (p · n),        n = len(nats)

        nats      1.0   2.0   4.0
        masked     ■     □     ■             (1.0 + 4.0) / (0.5 · 3)

    nats: a list of n surprises, one for each place. masked: a mask of n places. p: the masking probability, above 0.
    Returns a number.

    >>> sequence_loss([1.0, 2.0, 4.0], (True, False, True), 0.5)
    3.3333333333333335
    """
    raise NotImplementedError


def enumerated_loss(nats, p):
    """★★ ●●● The exact loss at masking probability p: the average over all masks, each as often as it comes.

    Each place is masked with probability p, by itself. What a model finds surprising depends on what it sees, so each
    mask has surprises of its own.

        p = 0.25        mask      how often      its loss
                         □          0.75           0
                         ■          0.25         1.5 / 0.25            on average 1.5

    nats: a dict from every mask of n places to a list of n surprises. At places that a mask does not hide nothing is
    asked, and the list has None. p: a number above 0, at most 1. Returns a number.

    >>> enumerated_loss({(False,): [None], (True,): [1.5]}, 0.25)
    1.5
    """
    raise NotImplementedError


def mean_over_orders(nats):
    """★★ ●●● The same without any 1/t: fill the places in, in every possible order.

    At first all n places are masked. An order says which place is filled in first, second, and so on. Each time, the
    model is surprised by what comes to that place, and the place is visible from then on. The surprises of an order,
    added up, are its −log p. Return their mean over all n! orders, divided by n.

        left first     ■ ■  1.0     □ ■  0.3          1.3
        right first    ■ ■  2.0     ■ □  0.5          2.5            mean 1.9, and half of it 0.95

    nats: as for `enumerated_loss`. Returns a number. (The grader computes it in another way: from the masks, with the
    weight 1/t. That it is the same is what chapter 7 is about.)

    >>> mean_over_orders({(False, False): [None, None], (True, False): [0.5, None],
    ...                   (False, True): [None, 0.3], (True, True): [1.0, 2.0]})
    0.95
    """
    raise NotImplementedError


def loss_property(loss, nats, p):
    """★★★ ●●● Write a property: what must be true of every right `sequence_loss`?

    Suppose that the surprises do not depend on the mask. Then the weight 1/p must make up, on average, for what is not
    asked. What is the average of the losses of all masks, each as often as it comes, whatever p is?

        nats  1.0  3.0         ■ ■       ■ □       □ ■       □ □
        loss                    …         …         …         …             on average  ?

    loss: a function that is used like `sequence_loss` above; it may be right or wrong. nats: a list of 1 to 4
    surprises. p: a number from 0.1 to 0.9. Returns True if `loss` is right on average, but for rounding, and False if
    not. Your property is tried with a right implementation and with some that we broke on purpose. It must be True for
    the first, always, and False for each of the others, on one input at least.

    >>> loss_property(lambda nats, masked, p: sum(x for x, hidden in zip(nats, masked) if hidden) / p / len(nats),
    ...               [1.0, 3.0], 0.5)
    True
    >>> loss_property(lambda nats, masked, p: 0, [1.0, 3.0], 0.5)
    False
    """
    raise NotImplementedError
