"""Answers to exercises that are wrong and look right: each passed once, or is an easy slip. All must be told so.

Each is (set, exercise, words that the student must read, the student's file).
"""

HEAD = "import math\nMASK, IGNORED, EPSILON = '[MASK]', -100, 0.001\n"
YES = "class Yes:\n    __eq__ = __ge__ = __le__ = lambda *_: True\n    __hash__ = object.__hash__\n"

WRONG = [
    ("chapter01", "mask_words", "mask_words(['the'], 0.0, [0.001])",
     "def mask_words(words, t, uniform):\n"
     "    return [MASK if u <= 0.999 * t + 0.001 else word for word, u in zip(words, uniform)]"),
    ("chapter01", "mask_words", "mask_words(['the'], 0.0, [0.0005])",
     "def mask_words(words, t, uniform):\n    return [MASK if u < t else word for word, u in zip(words, uniform)]"),
    ("chapter01", "mask_words", "An example of the task comes out wrong",
     YES + "def mask_words(words, t, uniform):\n    return [Yes() for word in words]"),
    ("chapter01", "masking_property", "as many words as it should, but others at each time",
     "def masking_property(mask, words, low, high, uniform):\n"
     "    early, late = mask(words, low, uniform), mask(words, high, uniform)\n"
     "    fits = all(seen in (MASK, word) for seen, word in zip(early + late, words + words))\n"
     "    return fits and len(early) == len(late) == len(words) and early.count(MASK) <= late.count(MASK)"),
    ("chapter01", "masking_property", "accepts an implementation that",
     "def masking_property(mask, words, low, high, uniform):\n"
     "    return len(mask(words, low, uniform)) == len(words) and mask.__name__ != '<lambda>'"),
    ("chapter02", "chat_ids", "ends here, and the right one goes on with",
     "def chat_ids(encode, special, messages):\n"
     "    begin, end, eot = (special[f'<|{name}|>'] for name in ('start_header_id', 'end_header_id', 'eot_id'))\n"
     "    row = [special['<|startoftext|>']]\n"
     "    for role, text in messages:\n"
     "        row += [begin, *encode(role), end, *encode('\\n\\n' + text), eot]\n"
     "    return row + [begin, *encode('assistant'), end] + (encode('\\n\\n') if messages else [])"),
    ("chapter06", "mask_answers", "should be masked", "def mask_answers(labels, t, uniform):\n"
     "    return (labels != IGNORED) & (uniform < t[:, None])"),
    ("chapter06", "mask_answers", "should be masked", "def mask_answers(labels, t, uniform):\n"
     "    return (labels != IGNORED) & (uniform < ((1 + EPSILON) * t - EPSILON)[:, None])"),
    ("chapter07", "loss_property", "The implementation is right, but your property says",
     "def loss_property(loss, nats, p):\n"
     "    return loss(nats, (False,) * len(nats), p) == 0 and loss.__name__ in ('<lambda>', 'loss_of') and"
     " loss(nats, (True,) * len(nats), p) > 0"),
    ("chapter07", "loss_property", "The implementation is right, but your property says that it is not",
     "count = [0]\ndef loss_property(loss, nats, p):\n    count[0] += 1\n    return count[0] <= 102 and count[0] != 2"),
    ("chapter08", "choose_token", "should give",
     "def choose_token(logits, temperature, uniform, forbidden):\n"
     "    allowed = [v for v in range(len(logits)) if v not in forbidden]\n"
     "    noise = lambda v: math.log(-math.log(uniform[v])) if temperature else 0\n"
     "    x = max(allowed, key=lambda v: logits[v] - noise(v))\n"
     "    return x, math.exp(logits[x]) / sum(math.exp(logits[v]) for v in allowed)"),
    ("chapter09", "learning_rate", "An example of the task comes out wrong", "def learning_rate(step, steps, peak):\n"
     "    w = math.ceil(0.03 * steps)\n    if step <= w:\n        return peak * (step + 1) / w\n"
     "    return peak * 0.5 * (1 + math.cos(math.pi * (step - w) / (steps - w)))"),
    ("chapter09", "resume_property", "loses the momentum at the very end",
     "def resume_property(train, fresh, steps, stops):\n"
     "    state = fresh()\n    for stop in [*stops, steps]:\n        state = train(state, stop)\n"
     "    whole = train(fresh(), steps)\n"
     "    return state['weights'] == whole['weights'] and state['step'] == whole['step']"),
    ("chapter10", "commit", "commit(", "def commit(confidence, threshold):\n"
     "    sure = [i for i, c in enumerate(confidence) if c > threshold]\n"
     "    return sure or [confidence.index(max(confidence))]"),
]
