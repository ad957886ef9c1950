"""Solutions of "build your own LLaDA-V sampler"."""

import torch


def transfer_schedule(masked, steps):
    each, more = divmod(masked, steps)
    return [each + (step < more) for step in range(steps)]


def confidence(logits, forbidden):
    logits = logits.double()  # in float32, sure and surer both round to 1
    logits[:, forbidden] = -torch.inf
    sure, tokens = logits.softmax(dim=-1).max(dim=-1)
    return tokens, sure


def one_step(canvas, logits, start, stop, count, mask_id, forbidden):
    places = start + (canvas[start:stop] == mask_id).nonzero()[:, 0]
    tokens, sure = confidence(logits[places], [mask_id, *forbidden])
    surest = sure.argsort(descending=True, stable=True)[:count]
    filled = canvas.clone()
    filled[places[surest]] = tokens[surest]
    return filled


def end_of(answer, stops):
    """Where the first stop begins in `answer`, or how long that is."""
    return next((start for start in range(len(answer)) if any(answer[start:start + len(stop)] == stop
                                                              for stop in stops)), len(answer))


def write(model, prompt, length, steps, block, mask_id, forbidden, stops=(), suffix=(), guidance=0.0):
    first, last = len(prompt), len(prompt) + length
    canvas = torch.cat([prompt, torch.full((length,), mask_id), torch.tensor(suffix, dtype=torch.long)])
    end = last
    for start in range(first, last, block):
        for count in transfer_schedule(block, steps // (length // block)):
            if count == 0 or not (canvas[start:min(start + block, end)] == mask_id).any():
                break
            logits = model(canvas)
            if guidance > 0:
                blind = canvas.clone()
                blind[:first] = mask_id
                without = model(blind)
                logits = without + (guidance + 1) * (logits - without)
            canvas = one_step(canvas, logits, start, min(start + block, end), count, mask_id, forbidden)
            end = first + end_of(canvas[first:last].tolist(), stops)
    return canvas[first:end].tolist() + list(suffix)


def remembering(network, first, block, refresh, mask_id):
    kept, before = {}, {"start": None, "steps": 0}

    def model(canvas):
        open_place = int((canvas == mask_id).nonzero()[0])
        start = open_place - (open_place - first) % block
        steps = before["steps"] + 1 if start == before["start"] else 0
        before.update(start=start, steps=steps)
        everything = steps % refresh == 0
        places = torch.arange(len(canvas)) if everything else torch.arange(start, start + block)

        def remember(layer, keys, values):
            if everything:
                kept[layer] = keys.clone(), values.clone()
            for old, new in zip(kept[layer], (keys, values)):
                old[:, places] = new
            return kept[layer]

        some = network(canvas[places], places, remember)
        logits = some.new_zeros(len(canvas), some.shape[1])
        logits[places] = some
        return logits

    return model
