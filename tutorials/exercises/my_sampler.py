"""Build your own LLaDA-V sampler, in five steps. Each uses what you wrote before. At the end the released model's
answers are compared with yours, token for token. Grade yourself with
`python tutorials/exercises/grade.py --only my_sampler`.

| step | function | after chapter |
|---|---|---|
| 1 | `transfer_schedule` | 1 |
| 2 | `confidence` | 6 |
| 3 | `one_step` | 8 |
| 4 | `write` | 8 |
| 5 | `remembering` | 10 |

A model is a function here: it takes a canvas, (length,) int64 token ids, and returns logits, (length, vocabulary)
float32, a row for each place of it. The canvas is a prompt, the answer (at first only MASKs), and perhaps a suffix, an
ending that is given. Pictures are within the model and need not concern you. No function changes what it is given.
"""

import torch  # for your code


def transfer_schedule(masked, steps):
    """★ ●●● Share out the places of an answer among the steps.

    All must be filled in when the steps are over. No step fills in more than an earlier one, and no two steps differ by
    more than one place. There is only one way to do that.

    masked: how many places are open, a whole number, 0 or more. steps: a whole number, 1 or more. Returns a list of
    whole numbers, one for each step.

        masked 8    ■■■■■■■■
        steps 3     ■■■  ■■■  ■■

    >>> transfer_schedule(8, 3)
    [3, 3, 2]
    >>> transfer_schedule(2, 4)
    [1, 1, 0, 0]
    """
    raise NotImplementedError


def confidence(logits, forbidden):
    """★★ ●●● Say for each place which token you would write there, and how sure the model is of it.

    Some tokens are forbidden. They are never chosen, and what remains is all that there is: the probabilities of the
    tokens that are left add up to 1. How sure the model is of a token is its probability among these.

    A trained model is very sure of nearly everything, and it matters how sure: where it doubts its token with 1e-9 it
    is surer than where it doubts it with 1e-8. Your answer must still tell these two apart.

    logits: (n, vocabulary) float32, a row for each place. forbidden: a list of token ids, not all of them. Returns a
    pair: tokens (n,) int64, of equally likely ones the first; and how sure, (n,) float64.

        logits      token 0    1    2            forbidden [2]
        place 0         2.0  1.0  5.0    ──▶     token 0, 0.7311
        place 1         0.0  0.0  5.0            token 0, 0.5

    >>> tokens, sure = confidence(torch.tensor([[2.0, 1.0, 5.0], [0.0, 0.0, 5.0]]), [2])
    >>> tokens
    tensor([0, 0])
    >>> sure
    tensor([0.7311, 0.5000], dtype=torch.float64)
    """
    raise NotImplementedError


def one_step(canvas, logits, start, stop, count, mask_id, forbidden):
    """★★ ●●● Do one step: fill in the places of a block that the model is surest of.

    The block is the places from `start` to `stop - 1`. Of its open places fill in the `count` surest, or all if fewer
    are open; of equally sure ones the one further left first. Nothing else changes. And when the step is over, what was
    filled in is filled in: think of what the model might propose for a MASK.

    canvas: (length,) int64. logits: (length, vocabulary) float32, for all places, also for those that are not open.
    mask_id: the token id of MASK, which no place of a prompt has. forbidden: a list of other token ids that may not be
    chosen. Returns the new canvas, (length,) int64.

        canvas   5 │ M  1  M │ M  M        block: places 1, 2, 3; count 1
        sure       │.6    .9 │.99 .8
        becomes  5 │ M  1  2 │ M  M

    >>> logits = torch.zeros(6, 4)
    >>> logits[3, 2] = logits[4, 1] = 7.0
    >>> one_step(torch.tensor([5, 3, 1, 3, 3, 3]), logits, 1, 4, 1, mask_id=3, forbidden=[])
    tensor([5, 3, 1, 2, 3, 3])
    """
    raise NotImplementedError


def write(model, prompt, length, steps, block, mask_id, forbidden, stops=(), suffix=(), guidance=0.0):
    """★★★ ●●● Write an answer, block by block, to its end.

    The canvas is the prompt, `length` MASKs, and the suffix. The answer's places are cut into blocks of `block` places,
    from left to right. A block is finished before the next begins, and each has an equal share of the steps. Before
    each step the model is asked about the whole canvas; a step that has nothing to fill in is left out.

    An answer ends before the first of its stops, wherever one stands in what is written so far. Nobody reads what
    is behind it, so open places there are not filled in any more. What is open before it still is. A stop may come to
    stand when places before it are open, and another may come to stand in front of it later.

    With guidance w above 0 the model is asked a second time at each step, about the canvas with every place of the
    prompt masked. Where l are the logits with the prompt and u those without it, take u + (w + 1)(l − u).

    model: a function, see above. prompt: (n,) int64, without MASKs. length: a multiple of `block`; steps: a multiple of
    how many blocks there are. mask_id, forbidden: as for `one_step`. stops: a list of stops, each a list of token
    ids. suffix: a list of token ids, none of them a MASK. guidance: a number, 0 or more. Returns a list of token ids:
    the answer up to its first stop, without that, and behind it the suffix.

        prompt │ M M M M │ M M M M │ suffix
               │ 4 M 7 M │ M M M M │              a step of block 1
               │ 4 2 7 9 │ M M M M │              … until it is finished
               │ 4 2 7 9 │ M 0 M M │              0 is a stop: only the first M is of interest now
        4 2 7 9 6 suffix

    >>> def counting(canvas):  # a model that is sure: at each place stands the number of the place
    ...     return 9.0 * torch.eye(10)[torch.arange(len(canvas))]
    >>> write(counting, torch.tensor([0, 0]), 4, 2, 2, mask_id=9, forbidden=[])
    [2, 3, 4, 5]
    >>> write(counting, torch.tensor([0, 0]), 4, 2, 2, mask_id=9, forbidden=[], stops=[[4]], suffix=[8])
    [2, 3, 8]
    """
    raise NotImplementedError


def remembering(network, first, block, refresh, mask_id):
    """★★★ ●● Give the model a memory: make a function that your `write` can use as its model.

    Now the network is asked for some places only, and keys and values of the others come from your memory (chapter 10).
    In each layer it says which keys and values it has just made, and attends to what you return:

        network(tokens, places, remember)
            tokens: (n,) int64, those that stand at `places`, (n,) int64. Returns their logits, (n, vocabulary).
            remember(layer, keys, values): your function. The network calls it once in each layer, 0, 1, 2, …, with
            the keys and values of these n places, each (heads, n, width). It must return keys and values of all
            places of the canvas, each (heads, length, width).

    Before the steps 0, refresh, 2 · refresh, … of each block all places run, and before the others the block alone.
    (Which one is being worked on? Nobody tells you. But the canvas shows it.) Nobody reads the logits of places that
    do not run.

    network: see above. first: where the answer begins. block, mask_id: as for `write`. refresh: a whole number, 1 or
    more. Returns a function `model(canvas)`. It is asked about one canvas only, as it fills in from step to step, and
    never when that is full. There is no guidance and no stop.

        refresh 2    prompt  block 1  block 2
        step 0       run     run      run         block 1
        step 1       kept    run      kept
        step 0       run     run      run         block 2
        step 1       kept    kept     run

    >>> seen = []
    >>> def network(tokens, places, remember):  # one layer; a token is its own key and value
    ...     keys, values = remember(0, tokens[None, :, None].float(), tokens[None, :, None].float())
    ...     seen.append((places.tolist(), keys.flatten().tolist()))
    ...     return torch.zeros(len(places), 4)
    >>> model = remembering(network, first=1, block=2, refresh=2, mask_id=3)
    >>> [tuple(model(torch.tensor(canvas)).shape) for canvas in ([1, 3, 3], [1, 0, 3])]
    [(3, 4), (3, 4)]
    >>> seen
    [([0, 1, 2], [1.0, 3.0, 3.0]), ([1, 2], [1.0, 0.0, 3.0])]
    """
    raise NotImplementedError
