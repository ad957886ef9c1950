"""Exercises of chapter 4, the ViT and the projector. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 4`. All need torch, and nothing of `torch.nn`.
"""

import torch  # for your code


def cut_patches(tile, patch):
    """★ ●● Cut a tile into patches, each written as one row of numbers.

    The patches come in reading order: the upper line of patches first, from left to right. A patch is written channel
    by channel (first all of its red), each channel line by line. If `patch` does not divide the sides of the tile, what
    is left over at the right and at the lower edge is dropped.

        red   0 1 │ 2 3          patch 0:  0 1 4 5  and then its green and blue
              4 5 │ 6 7          patch 1:  2 3 6 7  and then its green and blue

    tile: (3, height, width) float32. patch: a whole number, at most height and width.
    Returns (patches, 3 · patch · patch) float32.

    >>> tile = torch.arange(24.0).view(3, 2, 4)  # red is [[0, 1, 2, 3], [4, 5, 6, 7]]
    >>> cut_patches(tile, 2)
    tensor([[ 0.,  1.,  4.,  5.,  8.,  9., 12., 13., 16., 17., 20., 21.],
            [ 2.,  3.,  6.,  7., 10., 11., 14., 15., 18., 19., 22., 23.]])
    """
    raise NotImplementedError


def project(features, w1, b1, w2, b2):
    """★★ ●● Project features into the width of the language model.

        z = W2 · GELU(W1 · f + b1) + b2        GELU(x) = x / 2 · (1 + erf(x / √2))

        vision width                         width of the language model
          f  ──W1, b1──▶  ──GELU──▶  ──W2, b2──▶  z          for each patch by itself

    features: (patches, vision width) float32. w1: (width, vision width). b1: (width,). w2: (width, width).
    b2: (width,). Returns (patches, width) float32. The exact GELU is asked for, and not the approximation of the tower.

    >>> one = torch.ones(1, 1)
    >>> project(torch.tensor([[1.0], [-1.0]]), one, torch.zeros(1), one, torch.zeros(1))
    tensor([[ 0.8413],
            [-0.1587]])
    """
    raise NotImplementedError


def attend(q, k, v):
    """★★ ●●● Attention of one head, without a mask: each query gets a mean of the values, weighted by how well it goes
    with the keys.

        query 2.0      key 0.0      key 1.0
          scores         0.0          2.0          product over √d
          shares        0.1192       0.8808        softmax: they add up to 1
          values       0   10       1   20
          result       0.8808   18.8080

    q: (queries, d) float32. k: (keys, d). v: (keys, value width). Returns (queries, value width) float32.
    Scores may be large: exp(1000) is infinite, and the result must be right all the same.

    >>> q, k = torch.tensor([[2.0]]), torch.tensor([[0.0], [1.0]])
    >>> attend(q, k, torch.tensor([[0.0, 10.0], [1.0, 20.0]]))
    tensor([[ 0.8808, 18.8080]])
    """
    raise NotImplementedError


def order_property(layer, rows, order):
    """★★★ ●●● Write a property: what must be true of every block without positions?

    Such a block is blind to order, and each patch sees all patches. So:

    1. Nothing but the order: if its rows are shuffled, its result is shuffled in the same way.
    2. It looks around: if one row is changed, here the last one, to `rows[-1] + 1`, then the result changes in *every*
       row.

        a b c  ──layer──▶  A B C             a b c′  ──layer──▶  A′ B′ C′
        c a b  ──layer──▶  C A B

    layer: a function from (patches, width) to (patches, width), both float64. rows: (patches, width) float64, two
    patches or more. order: a list of the numbers 0 to patches - 1 in some order. Returns True if both hold for these
    inputs, and False if not. Numbers that differ by less than 1e-9 count as equal, so a row has changed if one of its
    numbers differs by 1e-9 or more. Your property is tried with right blocks and with some that we broke on purpose.

    >>> order_property(lambda rows: rows + rows.mean(dim=0), torch.eye(3).double(), [2, 0, 1])
    True
    >>> order_property(lambda rows: 2 * rows, torch.eye(3).double(), [2, 0, 1])  # no row sees another
    False
    """
    raise NotImplementedError
