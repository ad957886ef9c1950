"""Exercises of chapter 13, on small hardware. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 13`. The third needs torch.
"""

import torch  # for your code


def quantise(row, bits):
    """★★ ●●● Store a row of weights as small whole numbers that share a scale.

    A weight w becomes a whole number q, its level, and is read as q · s again. With n bits use the levels −m … m, where
    m = 2^(n − 1) − 1; so the level 0 is a weight of exactly 0. The scale s is as small as it can be while the largest
    weight, of either sign, still finds its level. Then each weight takes the level that is nearest.

    row: a list of numbers. bits: a whole number, 2 or more. Returns (levels, scale): a list of whole numbers, and a
    number above 0. For a row of nothing but 0, the scale is 1.

        0.7  -0.31  0.02        3 bits: levels −3 … 3
        ├──┼──┼──┼──┼──┼──┤     s = 0.7 / 3
        -3       0  ▲     3
                    0.02 lies between 0 and 1, and nearer to 0

    >>> quantise([0.7, -0.31, 0.02], 3)
    ([3, -1, 0], 0.2333)
    >>> quantise([0.0, 0.0], 4)
    ([0, 0], 1.0)
    """
    raise NotImplementedError


def stored_bytes(rows, inputs, bits, group):
    """★ ●● Say how many bytes a quantised matrix takes.

    One large weight spoils a scale for all that share it. So each `group` weights of a row, one beside the other, have
    a scale of their own, of two bytes; the last group of a row may be smaller. Weights are packed as tightly as
    possible, but each row begins with a new byte.

    rows, inputs: the shape of the matrix. bits: how many a weight takes, 1 to 16. group: how many weights share a
    scale. All are whole numbers, 1 or more. Returns a whole number.

        a row of 5 weights, 4 bits, groups of 2:     ▒▒ ▒▒ ▒░   ══ ══ ══      3 + 6 bytes

    >>> stored_bytes(1, 5, 4, 2)
    9
    >>> stored_bytes(4096, 4096, 4, 64) / 4096**2  # bytes a weight, where bfloat16 takes 2
    0.53125
    """
    raise NotImplementedError


def adapted(layer, a, b, alpha):
    """★★ ●●● Teach a layer that cannot be changed, by what stands beside it (LoRA, arXiv 2106.09685).

        y  =  W x  +  (alpha / r) · B A x

    W is within the layer, perhaps in 4 bits, and stays as it is. Only A and B learn. They are thin: B A has the shape
    of W, but if you made that matrix you would need the memory that you wanted to save. So don't.

    layer: a function; `layer(x)` takes (batch, inputs) and returns (batch, outputs), W x for each row. a: (r, inputs),
    b: (outputs, r), float32, and r is far smaller than inputs and outputs. alpha: a number. Returns a function of x
    that is used as the layer was, and through which gradients reach a and b.

        x ──┬──▶ W ──────────────────────▶ + ──▶ y
            └──▶ A ──▶ r numbers ──▶ B ──▶ ┘

    >>> layer = adapted(lambda x: x, torch.tensor([[1.0, 1.0]]), torch.tensor([[0.5], [0.0]]), 2.0)
    >>> layer(torch.tensor([[3.0, 4.0]]))
    tensor([[10., 4.]])
    """
    raise NotImplementedError


def levels_property(quantise, row, bits):
    """★★★ ●● Write a property: what must hold of every good way to store a row in few bits?

    There is more than one. Besides the levels −m … m some use −m − 1 … m, since n bits can hold that one too; then the
    scale may be smaller, and it may be negative, so that the larger side gets the additional level. Do not ask for one
    of them. Ask what makes a way good: how far off may a weight be when it is read again? May levels stay unused, so
    that the others lie further apart than they need to? (Nobody says what else. Find it out.)

    quantise: a function; `quantise(row, bits)` returns (levels, scale), and a weight is read as level · scale. It may
    be right or wrong. row: a list of numbers, one at least. bits: 2, 4 or 8. Returns True if `quantise` does right
    with these inputs, and False if not.

        row  ──▶  quantise  ──▶  levels, scale  ──▶  your property: right, or not?

    >>> levels_property(lambda row, bits: ([1], row[0]), [0.5], 2)
    True
    >>> levels_property(lambda row, bits: ([0], row[0]), [0.5], 2)
    False
    """
    raise NotImplementedError
