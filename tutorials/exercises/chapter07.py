"""Exercises of chapter 7, the loss. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `pytest tutorials/exercises -k chapter07`. No exercise needs more than plain Python. All tokens are
targets here. A **mask** is a tuple with True for each masked place, such as (True, False). The **surprise** at a masked
place is −log of the probability that the model gave to the right token there, in nats.
"""

from itertools import permutations, product  # for your code


def sequence_loss(nats, masked, p):
    """★ ●● The loss of one sequence with one mask.

        loss  =  Σ over masked places of nats[i]  /  (p · n),        n = len(nats)

    nats: a list of n surprises, one for each place. masked: a mask of n places. p: the masking probability, above 0.
    Returns a number.

    >>> sequence_loss([1.0, 2.0, 4.0], (True, False, True), 0.5)
    3.3333333333333335

    Hint: if nothing is masked, the loss is 0.
    """
    raise NotImplementedError


def enumerated_loss(nats, p):
    """★★ ●● The exact loss at masking probability p: the average over all masks.

        Σ over all masks of  p^k · (1 − p)^(n − k) · loss of the mask,        k = how many places it masks

    What a model finds surprising depends on what it sees, so each mask has surprises of its own.

    nats: a dict from every mask of n places to a list of n surprises. At places that a mask does not hide nothing is
    asked, and the list has None. p: a number above 0, at most 1. Returns a number.

    >>> enumerated_loss({(False,): [None], (True,): [1.5]}, 0.25)
    1.5

    Hint: 1.5 / 0.25 with probability 0.25, and 0 with probability 0.75. n is the length of any of the masks.
    """
    raise NotImplementedError


def mean_over_orders(nats):
    """★★ ●● The same without any 1/t: fill the places in, in every possible order.

    At first all n places are masked. An order says which place is filled in first, second, and so on. Each time, the
    model is surprised by what comes to that place, and the place is visible from then on. The surprises of an order,
    added up, are its −log p. Return their mean over all n! orders, divided by n.

    nats: as for `enumerated_loss`. Returns a number.

    >>> mean_over_orders({(False, False): [None, None], (True, False): [0.5, None],
    ...                   (False, True): [None, 0.3], (True, True): [1.0, 2.0]})
    0.95

    There the place 0 first: 1.0 + 0.3. The place 1 first: 2.0 + 0.5. The mean is 1.9, and half of it 0.95.
    (The grader computes it in another way: from the masks, with the weight 1/t. That it is the same is what chapter 7
    is about.) Hint: `permutations(range(n))`.
    """
    raise NotImplementedError


def loss_property(loss, nats, p):
    """★★★ ●● Write a property: what must be true of every right `sequence_loss`?

    Suppose that the surprises do not depend on the mask. Then the exact loss must be their plain mean, whatever p is:

        Σ over all masks of  p^k · (1 − p)^(n − k) · loss(nats, mask, p)  =  Σ nats[i] / n

    This says that the loss is right on average: the weight 1/p makes up for what is not asked.

    loss: a function that is used like `sequence_loss` above; it may be right or wrong. nats: a list of 1 to 4
    surprises. p: a number from 0.1 to 0.9. Returns True if the equation holds, but for rounding, and False if not.

    >>> loss_property(sequence_loss, [1.0, 3.0], 0.5)
    True
    >>> loss_property(lambda nats, masked, p: 0, [1.0, 3.0], 0.5)
    False

    Your property is tried with a right implementation and with some that we broke on purpose. It must be True for the
    first, always, and False for each of the others, on one input at least.

    Hint: `product([False, True], repeat=n)` gives every mask. Compare with `abs(one - other) < 1e-6`, not with `==`.
    """
    raise NotImplementedError
