"""Exercises of chapter 11, the real thing. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 11`. No exercise needs more than plain Python.
"""

import math  # for your code


def count_weights(hidden, inner, layers, heads, key_heads, vocabulary):
    """★★ ●●● Count the weights of a language model without having it.

    Each layer has an attention, a SwiGLU and two norms. Chapter 5 says which matrices these are, chapter 11 counts them
    where all heads have keys of their own. Larger models often let several heads share one key head, which makes the
    matrices of keys and values narrower. Besides the layers there is a norm at the end and, for each token of the
    vocabulary, a row in the embeddings and another one in `lm_head`. No matrix has a bias.

    hidden: the width of a place. inner: the width inside the SwiGLU. heads: how many query heads there are; together
    they are as wide as `hidden`. key_heads: how many key heads, and as many for values; a divisor of `heads`. Returns a
    whole number.

        embeddings ─▶ [ norm ─ q k v o ─ norm ─ gate up down ] × layers ─▶ norm ─▶ lm_head

    >>> count_weights(4096, 12288, 32, 32, 32, 126464)  # the released model
    8015581184
    >>> count_weights(8, 16, 1, 4, 2, 10)
    760
    """
    raise NotImplementedError


def photo_places(size, grid, side, most):
    """★★ ●● Say how many places a photograph takes in the prompt.

    A tile has side · side features. The photograph is shown whole in a base tile, and once more in a grid of tiles that
    form one map. Of the map the padding is cut off: how much that is, your `border` of chapter 3 says. Let h lines of w
    features remain. If that is clearly more than `most` tiles have, the map is shrunk, for

        f  =  √( h · w / (most · side²) )  >  1.1        to ⌊h / f⌋ lines of ⌊w / f⌋, 1 at least

    And lines do not come alone (chapter 3: `read_lines`).

    size: (width, height) in pixels. grid: (columns, rows) of tiles. side, most: whole numbers above 0. Returns a whole
    number.

        base tile  27 · 27          map of 2 x 1 tiles   ░▓▓▓▓▓▓░    27 lines of 54; padding cut off: 27 of 40
                                                         ░▓▓▓▓▓▓░    each of which ends with a newline

    >>> photo_places((451, 300), (2, 1), 27, 4)
    1836
    >>> photo_places((4000, 3000), (6, 5), 27, 4)
    3627
    """
    raise NotImplementedError


def step_seconds(places, weights, bits, operations, bandwidth):
    """★ ●● Predict how long a step of the sampler takes, at best.

    A machine must do two things. It reads every weight from its memory, once for all places that run. And it multiplies
    and adds: each weight once for each place, two operations. Good machines do both at the same time.

    places: how many places run. weights: how many weights there are. bits: how many a weight takes. operations: how
    many the machine does in a second. bandwidth: how many bytes it reads in a second. Returns seconds.

        one place, 8e9 weights          3000 places
        reading     ██████████          ██████████
        computing   ▏                   ████████████████████████████

    >>> step_seconds(2000, 8e9, 16, 1e14, 2e12)
    0.32
    >>> step_seconds(1, 8e9, 16, 1e14, 2e12)
    0.008
    """
    raise NotImplementedError


def shards_property(split, sizes, most):
    """★★★ ●● Write a property: when is a checkpoint split into files as it should be?

    A large checkpoint comes in several files, its shards. Whoever loads one wants every tensor, and wants to know in
    which file it lies. Whoever has a small disk or a short patience wants no file larger than need be. A tensor is
    never cut. (This time nobody says what must hold. Find it out.)

    split: a function; `split(sizes, most)` returns a list of shards, each a list of names. It may be right or wrong.
    sizes: a dict from the names of tensors to their sizes in bytes, whole numbers above 0. It may be empty: then there
    is nothing to store, and no file. most: how large a file may be; a tensor that is larger is alone in its file.
    Returns True if `split` does right with these inputs, and False if not. Different ways of splitting can be right:
    more files than necessary are no fault, files without anything in them are.

        sizes  a 3  b 4  c 9  d 1      most 8       ──▶      [a b]  [c]  [d]

    >>> shards_property(lambda sizes, most: [["a"], ["b"]], {"a": 3, "b": 4}, 8)
    True
    >>> shards_property(lambda sizes, most: [["a", "b"]], {"a": 3, "b": 4}, 6)
    False
    """
    raise NotImplementedError
