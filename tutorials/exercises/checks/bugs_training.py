"""Grades "find the bug", training."""

import torch
from finding import grade_test

IGNORED, MASK, PAD = -100, -1, 0


def check_in_batch_test(student):
    def alone(model, sequences):
        return [model(list(tokens), list(range(len(tokens))), [True] * len(tokens)) for tokens in sequences]

    def padded(model, sequences, left=False, hidden=True, shifted=False):
        results, longest = [], max(map(len, sequences))
        for tokens in sequences:
            rest = longest - len(tokens)
            filling, unseen = [PAD] * rest, [not hidden] * rest
            row = filling + tokens if left else tokens + filling
            seen = unseen + [True] * len(tokens) if left else [True] * len(tokens) + unseen
            before = rest if left and not shifted else 0
            numbers = model(row, [max(0, place - before) for place in range(longest)], seen)
            results.append(numbers[rest:] if left else numbers[:len(tokens)])
        return results

    def on_the_left(model, sequences):
        return padded(model, sequences, left=True)

    grade_test(
        student.in_batch_test, [alone, padded, on_the_left],
        lambda model, sequences: padded(model, sequences, left=True, shifted=True),
        {"lets the tokens look at the padding": lambda model, sequences: padded(model, sequences, hidden=False),
         "gives back the numbers of the padding too": lambda model, sequences: [
             model(row + [PAD], list(range(len(row) + 1)), [True] * len(row) + [False]) for row in sequences]})


def check_make_batch_test(student):
    def batched(row_of):
        def make_batch(examples):
            longest = max(len(prompt) + len(answer) for prompt, answer in examples)
            rows = [row_of(prompt, answer, longest - len(prompt) - len(answer)) for prompt, answer in examples]
            return [ids for ids, _ in rows], [labels for _, labels in rows]
        return make_batch

    def left(prompt, answer, rest, known=0):
        return [PAD] * rest + prompt + answer, [IGNORED] * (rest + len(prompt)) + answer

    def counted_from_the_left(prompt, answer, rest):
        ids = left(prompt, answer, rest)[0]
        return ids, [IGNORED] * len(prompt) + ids[len(prompt):]

    right = batched(lambda prompt, answer, rest: (
        prompt + answer + [PAD] * rest, [IGNORED] * len(prompt) + answer + [IGNORED] * rest))
    grade_test(
        student.make_batch_test, [batched(left), right], batched(counted_from_the_left),
        {"asks for the padding": batched(lambda prompt, answer, rest: (
            prompt + answer + [PAD] * rest, [IGNORED] * len(prompt) + answer + [PAD] * rest)),
         "asks for each token one place too early": batched(lambda prompt, answer, rest: (
             left(prompt, answer, rest)[0], (left(prompt, answer, rest)[1] + [IGNORED])[1:])),
         "asks for the prompt too": batched(lambda prompt, answer, rest: (
             left(prompt, answer, rest)[0], [IGNORED] * rest + prompt + answer))})


def loss_with(asked, masked=lambda target, u, p: target and u < p, divisor=lambda p, targets, masked: p * sum(targets)):
    """An `example_loss`. `asked` says whether a place counts, given whether it is a target and whether it is masked."""
    def example_loss(surprise, ids, labels, uniform, p):
        targets = [label != IGNORED for label in labels]
        hidden = [masked(target, u, p) for target, u in zip(targets, uniform)]
        canvas = [MASK if one else token for token, one in zip(ids, hidden)]
        nats = [surprise(canvas, place) for place in range(len(ids))]
        return sum(one for one, target, mask in zip(nats, targets, hidden) if asked(target, mask)) / divisor(
            p, targets, hidden)
    return example_loss


def check_example_loss_test(student):
    def only_asked_where_masked(surprise, ids, labels, uniform, p):
        places = [place for place, label in enumerate(labels) if label != IGNORED and uniform[place] < p]
        canvas = [MASK if place in places else token for place, token in enumerate(ids)]
        return sum(surprise(canvas, place) for place in places) / p / sum(label != IGNORED for label in labels)

    grade_test(
        student.example_loss_test, [loss_with(lambda target, mask: mask), only_asked_where_masked],
        loss_with(lambda target, mask: target),
        {"masks what is no target, and asks for it": loss_with(lambda target, mask: mask, lambda target, u, p: u < p),
         "divides by how many are masked": loss_with(
             lambda target, mask: mask, divisor=lambda p, targets, masked: max(1, sum(masked)))})


def check_batch_loss_test(student):
    def at_least_one(nats, masked):
        return ((nats * masked).sum(dim=1) / masked.sum(dim=1).clamp(min=1)).mean()

    def row_by_row(nats, masked):
        means = [row[mask].mean() if mask.any() else torch.tensor(0.0) for row, mask in zip(nats, masked)]
        return torch.stack(means).mean()

    grade_test(
        student.batch_loss_test, [at_least_one, row_by_row],
        lambda nats, masked: ((nats * masked).sum(dim=1) / masked.sum(dim=1)).mean(),
        {"leaves out the sequences in which nothing is masked": lambda nats, masked: (
            (nats * masked).sum(dim=1) / masked.sum(dim=1)).nan_to_num().sum() / masked.any(dim=1).sum().clamp(min=1),
         "takes the mean of all masked places, whichever sequence they are in": lambda nats, masked: (
             (nats * masked).sum() / masked.sum().clamp(min=1))})


def check_mean_gradient_test(student):
    def all_at_once(batches):
        everything = [gradient for batch in batches for gradient in batch]
        return sum(everything) / len(everything)

    def weighed(batches):
        examples = sum(map(len, batches))
        return sum(sum(batch) / len(batch) * len(batch) / examples for batch in batches)

    grade_test(
        student.mean_gradient_test, [all_at_once, weighed],
        lambda batches: sum(sum(batch) / len(batch) for batch in batches) / len(batches),
        {"counts every batch as if it were as large as the first": lambda batches: sum(map(sum, batches)) / (
            len(batches) * len(batches[0])),
         "adds the gradients up, and divides by nothing": lambda batches: sum(map(sum, batches))})
