"""Solutions of the exercises of chapter 7."""

from itertools import permutations, product


def sequence_loss(nats, masked, p):
    return sum(value for value, hidden in zip(nats, masked) if hidden) / (p * len(nats))


def enumerated_loss(nats, p):
    total = 0.0
    for mask, values in nats.items():
        n, k = len(mask), sum(mask)
        total += p**k * (1 - p) ** (n - k) * sequence_loss(values, mask, p)
    return total


def mean_over_orders(nats):
    n = len(next(iter(nats)))
    sums = []
    for order in permutations(range(n)):
        masked, total = [True] * n, 0.0
        for place in order:
            total += nats[tuple(masked)][place]
            masked[place] = False
        sums.append(total)
    return sum(sums) / len(sums) / n


def loss_property(loss, nats, p):
    n = len(nats)
    average = sum(p ** sum(mask) * (1 - p) ** (n - sum(mask)) * loss(nats, mask, p)
                  for mask in product([False, True], repeat=n))
    return abs(average - sum(nats) / n) < 1e-6
