"""Exercises of chapter 10, faster sampling. Replace each `raise NotImplementedError` by your own code.

Grade yourself with `python tutorials/exercises/grade.py --only 10`. The third needs torch.
"""

import torch  # for your code


def commit(confidence, threshold):
    """★ ●● Decide which open places are filled in, given a threshold.

    All places whose confidence is at least `threshold`. If there is none, the surest place alone; of several equally
    sure ones the leftmost.

        threshold 0.9         0.4  0.95  0.9          fills in  1, 2
                              0.4  0.7   0.6          fills in  1

    confidence: a list of numbers from 0 to 1, one for each open place; not empty. threshold: a number, 0 or more.
    Returns a list of indices into `confidence`, in rising order.

    >>> commit([0.4, 0.95, 0.9], 0.9)
    [1, 2]
    >>> commit([0.4, 0.7, 0.6], 0.9)
    [1]
    """
    raise NotImplementedError


def places_run(prompt, length, block, refresh):
    """★★ ●● Count the places that run while an answer is sampled with a cache, one place filled in a step.

    The canvas is cut into blocks, which are finished one after another; a block of `block` places takes `block` steps.
    Within each block, the steps 0, refresh, 2 · refresh, … run everything, prompt and canvas. The others run the places
    of the block alone. Each step costs as many places as it runs. Add them up.

        prompt 10, canvas 4, blocks of 2, refresh 2:        step 0    step 1    step 0    step 1
                                                            10 + 4       2      10 + 4       2             32

    prompt: how many places the prompt has. length: how many the canvas has. block: a divisor of `length`.
    refresh: 1 or more. Returns a whole number.

    >>> places_run(10, 4, 2, 1)
    56
    >>> places_run(10, 4, 2, 2)
    32
    """
    raise NotImplementedError


def attend_alone(queries, keys, values, fresh_keys, fresh_values, start):
    """★★ ●●● Run a block's attention alone, with cached keys and values for all other places.

    The places start, start + 1, …, start + n − 1 have fresh keys and values: these take the place of the cached ones.
    Then each query attends to all places, as in chapter 4: softmax of the products over √d.

        cached          k0  k1  k2  k3
        fresh               f0  f1              start 1
        attended to     k0  f0  f1  k3

    queries: (n, d) float64, those of the block. keys, values: (length, d) float64, from the cache, with old rows at the
    places of the block. fresh_keys, fresh_values: (n, d) float64. start: a whole number, start + n ≤ length.
    Returns (n, d) float64.

    >>> one, two = torch.tensor([[1.0]]).double(), torch.tensor([[0.0], [5.0]]).double()
    >>> attend_alone(one, two, two, 0 * one, one, 1)  # keys 0 and 0, so both weigh a half; values 0 and 1
    tensor([[0.5000]], dtype=torch.float64)
    """
    raise NotImplementedError


def cache_property(cached, network, layers, before, after, start, stop):
    """★★★ ●●● Write a property: what tells a right cache from a wrong one, where cached keys and values may be stale?

    network: a function; `network(layers, tokens)` runs a small transformer with so many layers on all tokens, and
    returns a list with one number for each place. In each layer every place sees all places. This one is right.
    cached: a function; `cached(layers, before, after, start, stop)` runs the tokens `before` whole, and keeps keys and
    values of each layer. Then it runs the places start, …, stop − 1 of `after` alone: there keys and values are fresh,
    and those of all other places come from the cache. It returns a list of numbers, one for each of the places
    start, …, stop − 1. It may be right or wrong.
    layers: 1, 2 or 3. before, after: two lists of whole numbers, of one length. They differ at most at the places start
    to stop − 1. Returns True if `cached` does right with these inputs, and False if not.

        before     1  2  3        runs whole, and is kept
        after      1  7  3        the place 1 runs alone: start 1, stop 2

    What is cached may be stale, so you cannot ask that the numbers agree with those of `network(layers, after)` in
    every case. But in two cases you can, for nothing can be stale: which? And how many numbers there are can always be
    asked. Numbers that differ by less than 1e-6 count as equal.

    Your property is tried with two right implementations (one of them keeps nothing and runs everything again, which
    is never wrong) and with some that we broke on purpose. It must be True for the first two, always, and False for
    each of the others, on one input at least.

    >>> def network(layers, tokens):
    ...     return [float(sum(tokens))] * len(tokens)
    >>> def cached(layers, before, after, start, stop):  # keeps nothing
    ...     return network(layers, after)[start:stop]
    >>> cache_property(cached, network, 1, [1, 2, 3], [1, 7, 3], 1, 2)
    True
    >>> cache_property(lambda *_: [0.0], network, 1, [1, 2, 3], [1, 7, 3], 1, 2)
    False
    """
    raise NotImplementedError
