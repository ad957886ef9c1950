"""The masked-diffusion loss and the likelihood bound: first in worlds small enough to enumerate, then on the model."""

import copy
import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from device import DEVICE, assert_close, same
from golden_data import CASES, CLOSE, TENSORS, golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError
from minllada_v.chat import EOS, IGNORED, MASK
from minllada_v.evaluation.likelihood import likelihood_bound
from minllada_v.loss import masked_loss, training_loss
from minllada_v.masking import EPSILON, Masks, draw_times, draw_uniform, mask_by_count, mask_by_time
from minllada_v.tiles import picture_tiles
from minllada_v.training.batch import Batch, denoiser, dialogue_causal_mask, pad, splice_batch
from minllada_v.training.batch import masked as masked_attention
from minllada_v.training.conversations import training_example

SEEDS = st.integers(0, 2**32 - 1)
V = 3  # the vocabulary of the small worlds: tokens 0 to 2, and [MASK] is 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Small worlds.


def table_denoiser(table: torch.Tensor):
    """Logits looked up in `table`: for every canvas, (V + 1,) * length, those of every place, (length, V)."""
    return lambda canvas, masked: table[canvas.unbind(dim=1)][masked]


def arbitrary_denoiser(length: int, seed: int):
    """Random logits for every canvas of `length` tokens: conditionals that fit no joint distribution."""
    return table_denoiser(2 * torch.randn(*[V + 1] * length, length, V, dtype=torch.float64, generator=seeded(seed)))


def random_joint(length: int, seed: int) -> torch.Tensor:
    """A distribution over all sequences of `length` tokens: (V,) * length."""
    logits = 2 * torch.randn(*[V] * length, dtype=torch.float64, generator=seeded(seed))
    return logits.flatten().softmax(dim=0).view(logits.shape)


def consistent_denoiser(joint: torch.Tensor):
    """The conditionals of `joint`: what a place holds, given the visible tokens and nothing about other masks."""
    length, marginals = joint.dim(), joint
    for place in range(length):  # at index V, [MASK]: the sum over what could stand there
        marginals = torch.cat([marginals, marginals.sum(dim=place, keepdim=True)], dim=place)
    conditionals = [marginals.narrow(place, 0, V).movedim(place, -1).unsqueeze(place).expand(*[V + 1] * length, V)
                    for place in range(length)]
    return table_denoiser(torch.stack(conditionals, dim=-2).log())


def every_mask(length: int):
    """All ways of masking `length` places, as tensors (1, length)."""
    return [torch.tensor([mask]) for mask in itertools.product([False, True], repeat=length)]


def loss_of_mask(denoise, answer: torch.Tensor, masking, t: float, mask: torch.Tensor, labels=None) -> float:
    """The loss of `answer` (length,) with exactly `mask` (1, length), which low uniform numbers bring about."""
    labels = answer[None] if labels is None else labels
    masks = masking(labels, torch.tensor([t], dtype=torch.float64), torch.where(mask, 0.0, 1.0))
    assert masks.masked.equal(mask)
    return masked_loss(denoise, answer[None], labels, V, masks).item()


def mean_over_masks(denoise, answer: torch.Tensor, t: float) -> float:
    """The loss at time t, averaged over every mask: each target is masked with probability p(t)."""
    p = (1 - EPSILON) * t + EPSILON
    return sum(
        p ** int(mask.sum()) * (1 - p) ** int((~mask).sum()) * loss_of_mask(denoise, answer, mask_by_time, t, mask)
        for mask in every_mask(len(answer))
    )


def mean_over_times(denoise, answer: torch.Tensor, start: float = 0.0) -> float:
    """The loss averaged over every mask and every t in (start, 1).

    The average over masks is a polynomial in t, of degree below n, which Gauss-Legendre quadrature integrates without
    error.
    """
    nodes, weights = np.polynomial.legendre.leggauss(len(answer))
    times = start + (1 - start) * (nodes + 1) / 2
    return sum(weight / 2 * mean_over_masks(denoise, answer, t) for t, weight in zip(times.tolist(), weights.tolist()))


def mean_over_counts(denoise, answer: torch.Tensor, labels: torch.Tensor | None = None) -> float:
    """The loss averaged over every count l in 1..n and every mask of l targets."""
    targets = torch.ones(1, len(answer), dtype=torch.bool) if labels is None else labels != IGNORED
    n = int(targets.sum())
    by_count = {count: [] for count in range(1, n + 1)}
    for mask in every_mask(len(answer)):
        if mask.any() and not (mask & ~targets).any():
            count = int(mask.sum())
            by_count[count].append(loss_of_mask(denoise, answer, mask_by_count, (count - 0.5) / n, mask, labels))
    return sum(sum(losses) / len(losses) for losses in by_count.values()) / n


def test_the_loss_of_a_batch_is_the_sum_over_masked_places_term_by_term():
    """Oracle: a loop that computes every logarithm of a softmax by hand."""
    generator = seeded(0)
    denoise = arbitrary_denoiser(4, seed=0)
    ids = torch.randint(V, (50, 4), generator=generator)
    labels = ids.masked_fill(torch.rand(50, 4, generator=generator) < 0.3, IGNORED)
    masked = (labels != IGNORED) & (torch.rand(50, 4, generator=generator) < 0.5)
    divisor = torch.rand(50, generator=generator, dtype=torch.float64) + 0.1
    losses = masked_loss(denoise, ids, labels, V, Masks(masked, divisor))
    for sequence in range(50):
        canvas = ids[sequence].clone()
        canvas[masked[sequence]] = V
        total = 0.0
        for place in range(4):
            if masked[sequence, place]:
                only = torch.zeros(1, 4, dtype=torch.bool)
                only[0, place] = True
                logits = denoise(canvas[None], only)[0].tolist()
                total -= logits[labels[sequence, place]] - math.log(sum(math.exp(logit) for logit in logits))
        assert losses[sequence].item() == pytest.approx(total / divisor[sequence].item(), rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, t=st.floats(0, 1))
def test_a_perfect_denoiser_has_no_loss_whatever_is_masked(seed, t):
    """If the right token has probability 1 the loss is 0: for every t and every mask, not just on average."""
    answer = torch.randint(V, (3,), generator=seeded(seed))

    def perfect(canvas, masked):
        return torch.where(torch.eye(V)[answer] == 1, 0.0, -torch.inf).expand(len(canvas), -1, -1)[masked]

    masks = list(every_mask(3))
    assert len(masks) == 8
    for mask in masks:
        assert loss_of_mask(perfect, answer, mask_by_time, t, mask) == 0
        if mask.any():
            assert loss_of_mask(perfect, answer, mask_by_count, (int(mask.sum()) - 0.5) / 3, mask) == 0


@settings(deadline=None, max_examples=30)
@given(t=st.floats(0, 1), length=st.integers(1, 5))
def test_a_uniform_denoiser_loses_log_V_per_token_on_average_by_time_and_always_by_count(t, length):
    """By time, a mask of k places costs k · log V / (p · n): too little or too much, as chance masks few or many, and
    log V only on average over the masks, at every t. By count k masks are divided by k: log V for every mask."""
    def uniform(canvas, masked):
        return torch.zeros(int(masked.sum()), V, dtype=torch.float64)

    answer = torch.zeros(length, dtype=torch.long)
    assert mean_over_masks(uniform, answer, t) == pytest.approx(math.log(V))
    p = (1 - EPSILON) * t + EPSILON
    for mask in every_mask(length):
        count = int(mask.sum())
        by_time = loss_of_mask(uniform, answer, mask_by_time, t, mask)
        assert by_time == pytest.approx(count * math.log(V) / (p * length))
        if count:
            by_count = loss_of_mask(uniform, answer, mask_by_count, (count - 0.5) / length, mask)
            assert by_count == pytest.approx(math.log(V))


@settings(deadline=None)
@given(seed=SEEDS, first=st.integers(0, V - 1), second=st.integers(0, V - 1))
def test_in_a_two_token_world_the_average_is_what_enumeration_gives(seed, first, second):
    """Let A be the nats of both tokens, each asked for while the other is visible, and B while both are masked.
    At probability p one token alone is masked with p (1 − p) each, both with p². Divided by 2p this is
    ((1 − p) A + p B) / 2, and the mean of p is (1 + ε)/2. By count, A and B come up equally often: without ε the two
    ways of masking have the same expectation."""
    denoise = arbitrary_denoiser(2, seed)

    def nats(canvas, place, token):
        only = torch.tensor([[place == 0, place == 1]])
        return -denoise(torch.tensor([canvas]), only).log_softmax(dim=-1)[0, token].item()

    A = nats([V, second], 0, first) + nats([first, V], 1, second)
    B = nats([V, V], 0, first) + nats([V, V], 1, second)
    answer = torch.tensor([first, second])
    assert mean_over_counts(denoise, answer) == pytest.approx((A + B) / 4)
    assert mean_over_times(denoise, answer) == pytest.approx(((1 - EPSILON) * A + (1 + EPSILON) * B) / 4)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, length=st.integers(1, 4))
def test_both_ways_of_masking_have_one_expectation_but_for_epsilon(seed, length):
    """LLaDA equations 5 and 6 are equal for any denoiser if p is uniform in (0, 1). Training leaves (0, ε) out; with t
    continued below 0, to where p is 0, the averages agree exactly."""
    denoise, answer = arbitrary_denoiser(length, seed), torch.randint(V, (length,), generator=seeded(seed))
    by_time = mean_over_times(denoise, answer, start=-EPSILON / (1 - EPSILON))
    assert by_time == pytest.approx(mean_over_counts(denoise, answer), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, length=st.integers(1, 4))
def test_for_consistent_conditionals_the_bound_is_exact(seed, length):
    """If the denoiser's conditionals all come from one joint distribution, the bound by count, n times the loss, is
    −log p of the answer itself: unmasking in a random order is the chain rule, whatever the order."""
    joint = random_joint(length, seed)
    answer = torch.randint(V, (length,), generator=seeded(seed))
    bound = length * mean_over_counts(consistent_denoiser(joint), answer)
    assert bound == pytest.approx(-joint[tuple(answer.tolist())].log().item(), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_with_a_prompt_the_bound_is_the_conditional_probability(seed):
    """Places without a label are given: two of four tokens, and the bound is −log p(the others | them)."""
    joint = random_joint(4, seed)
    answer = torch.randint(V, (4,), generator=seeded(seed))
    labels = answer.clone()[None]
    labels[0, [0, 2]] = IGNORED
    bound = 2 * mean_over_counts(consistent_denoiser(joint), answer, labels)
    of_prompt = joint[answer[0], :, answer[2], :].sum()
    assert bound == pytest.approx(-(joint[tuple(answer.tolist())] / of_prompt).log().item(), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_for_any_denoiser_the_bound_lies_above_the_order_averaged_likelihood(seed):
    """Conditionals that fit no joint distribution give each order of unmasking its own likelihood. The model's is
    their mean, and −log of a mean is at most the mean of the −log, which the bound is."""
    denoise, answer = arbitrary_denoiser(3, seed), torch.randint(V, (3,), generator=seeded(seed))
    likelihoods = []
    for order in itertools.permutations(range(3)):
        canvas, log_p = torch.full((1, 3), V), 0.0
        for place in order:
            only = torch.zeros(1, 3, dtype=torch.bool)
            only[0, place] = True
            log_p += denoise(canvas, only).log_softmax(dim=-1)[0, answer[place]].item()
            canvas[0, place] = answer[place]
        likelihoods.append(math.exp(log_p))
    assert 3 * mean_over_counts(denoise, answer) >= -math.log(sum(likelihoods) / 6) - 1e-9


def mean_training_loss(denoise, ids, mask_id, generator, stratified=False, masking=mask_by_time) -> torch.Tensor:
    """What training minimizes: the mean over a batch, with times and masks drawn as it draws them."""
    t, uniform = draw_times(len(ids), generator, stratified), draw_uniform(ids, generator)
    return training_loss(denoise, ids, ids, mask_id, t, uniform, masking).mean()


@pytest.mark.parametrize("stratified", [False, True])
def test_the_training_loss_estimates_the_average_over_times_and_masks(stratified):
    """All draws together: the mean of 100 batches of 500 lies within five standard errors of the enumerated value."""
    denoise, answer = arbitrary_denoiser(3, seed=1), torch.tensor([2, 0, 1])
    ids, generator = answer.expand(500, -1), seeded(1)
    losses = torch.stack([mean_training_loss(denoise, ids, V, generator, stratified) for _ in range(100)])
    assert abs(losses.mean() - mean_over_times(denoise, answer)) < 5 * losses.std() / 10


# A schedule of one's own: p(t) and p′(t).
SCHEDULES = {
    "cosine": (lambda t: 1 - torch.cos(t * math.pi / 2), lambda t: math.pi / 2 * torch.sin(t * math.pi / 2)),
    "square": (lambda t: t**2, lambda t: 2 * t),
    "linear": (lambda t: t, torch.ones_like),
}


def by_schedule(probability, slope):
    """The masking that a student would write: the weight of a masked place is p′(t) / p(t)."""
    def masking(labels, t, uniform):
        p, targets = probability(t), labels != IGNORED
        return Masks(targets & (uniform < p[:, None]), p * targets.sum(dim=1) / slope(t))

    return masking


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None, max_examples=10)
@given(seed=SEEDS, length=st.integers(1, 3))
def test_with_the_weight_of_its_slope_every_schedule_has_one_expectation(schedule, seed, length):
    """The loss is an integral over p, so how p rises with t does not matter: on average over every mask and every t in
    (0, 1) it is the mean over counts, for any denoiser. Oracle: enumeration, and Gauss-Legendre quadrature over t."""
    probability, slope = SCHEDULES[schedule]
    denoise, answer = arbitrary_denoiser(length, seed), torch.randint(V, (length,), generator=seeded(seed))
    total = 0.0
    nodes, weights = np.polynomial.legendre.leggauss(12)
    for t, weight in zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True):
        p = probability(torch.tensor(t, dtype=torch.float64)).item()
        for mask in every_mask(length):
            chance = p ** int(mask.sum()) * (1 - p) ** int((~mask).sum())
            total += weight * chance * loss_of_mask(denoise, answer, by_schedule(probability, slope), t, mask)
    assert total == pytest.approx(mean_over_counts(denoise, answer), rel=1e-6)


def test_a_schedule_that_changes_p_alone_has_another_loss():
    """A cosine schedule in the weather world of chapter 7: right is −log 0.3 / 2 = 0.602. With the weight 1/p, which is
    that of the linear schedule, 0.532 comes out. Each within five standard errors of a mean of 100,000 draws."""
    world = torch.tensor([[0.45, 0.15], [0.10, 0.30]], dtype=torch.float64)  # [today, tomorrow]
    tables = torch.zeros(3, 3, 2, 2, dtype=torch.float64)  # [today, tomorrow, place, token]; 2 is [MASK]
    for today, tomorrow in itertools.product(range(3), range(3)):
        for place, joint, other in ((0, world, tomorrow), (1, world.T, today)):
            seen = joint.sum(dim=1) if other == 2 else joint[:, other]
            tables[today, tomorrow, place] = seen / seen.sum()

    def denoise(canvas, masked):
        return tables[canvas[:, 0], canvas[:, 1]][masked].log()

    probability, slope = SCHEDULES["cosine"]
    ids = torch.ones(100_000, 2, dtype=torch.long)  # rain, rain
    t, uniform = draw_times(len(ids), seeded(1)).double(), draw_uniform(ids, seeded(2))
    for slope_used, expected in ((slope, 0.602), (torch.ones_like, 0.532)):
        losses = training_loss(denoise, ids, ids, 2, t, uniform, by_schedule(probability, slope_used))
        assert losses.mean().item() == pytest.approx(expected, abs=5e-4 + 5 * losses.std().item() / len(ids) ** 0.5)
    assert abs(0.602 - 0.532) > 10 * losses.std().item() / len(ids) ** 0.5  # so the two are told apart


@pytest.mark.parametrize("masking", [mask_by_count, mask_by_time])
def test_the_likelihood_bound_estimates_the_exact_log_probability(masking):
    """200 draws for each of 100 copies: every copy's mean is an estimate, and their mean is within five standard
    errors of −log p. (By time there is an error of order ε besides, which is far smaller here.)"""
    joint, answer = random_joint(3, seed=2), torch.tensor([0, 2, 1])
    ids = answer.expand(100, -1)
    estimates = likelihood_bound(consistent_denoiser(joint), ids, ids, V, 200, seeded(2), masking)
    assert estimates.shape == (200, 100)
    means = estimates.mean(dim=0)
    assert abs(means.mean() + joint[0, 2, 1].log()) < 5 * means.std() / 10


def test_masking_by_count_has_less_variance_than_by_time():
    """The reason for it: chance no longer decides how many places are masked (LLaDA, section 2.4)."""
    denoise, labels = arbitrary_denoiser(3, seed=3), torch.tensor([0, 2, 1]).expand(20_000, -1)
    generator = seeded(3)
    t, uniform = draw_times(20_000, generator), draw_uniform(labels, generator)
    by_time, by_count = (masked_loss(denoise, labels, labels, V, way(labels, t, uniform)).var()
                         for way in (mask_by_time, mask_by_count))
    assert by_count < by_time / 2


def harder_with_more_masks(canvas, masked):
    """A denoiser for which token 0 costs 0.2 nats, and up to 3 more as more of its sequence is masked."""
    nats = 0.2 + 3 * masked.double().mean(dim=1, keepdim=True).expand(masked.shape)[masked]
    return torch.stack([torch.zeros_like(nats), nats.expm1().log()], dim=1)


def test_stratified_times_give_a_training_loss_of_less_variance():
    """Where more masks make every token harder, as they do for a real model, the loss depends on t, and times that are
    spread evenly over a batch of 8 leave that part of its variance out: here well over half of the whole."""
    ids, generator = torch.zeros(8, 32, dtype=torch.long), seeded(4)
    plain, stratified = (
        torch.stack([mean_training_loss(harder_with_more_masks, ids, 1, generator, way) for _ in range(400)]).var()
        for way in (False, True)
    )
    assert stratified < plain / 2


@settings(deadline=None)
@given(seed=SEEDS, length=st.integers(1, 4), t=st.floats(0, 1))
def test_weights_say_how_much_each_place_counts(seed, length, t):
    """With weights the loss is the weighted sum of what each masked place costs alone; equal ones change nothing."""
    generator = seeded(seed)
    denoise = arbitrary_denoiser(length, seed)
    answer = torch.randint(V, (1, length), generator=generator)
    masks = mask_by_time(answer, torch.tensor([t], dtype=torch.float64), draw_uniform(answer, generator))
    weights = torch.rand(1, length, generator=generator, dtype=torch.float64)
    canvas = answer.masked_fill(masks.masked, V)
    nats = [-float(denoise(canvas, torch.arange(length)[None] == place)[0].log_softmax(dim=0)[answer[0, place]])
            for place in range(length)]
    expected = sum(nats[place] * float(weights[0, place]) for place in range(length) if masks.masked[0, place])
    loss = masked_loss(denoise, answer, answer, V, masks, weights)
    assert float(loss) == pytest.approx(expected / float(masks.divisor), rel=1e-9)
    plain, ones = (masked_loss(denoise, answer, answer, V, masks, w) for w in (None, torch.ones(1, length)))
    assert plain.equal(ones)


def test_stratified_draws_try_every_count_equally_often():
    """The draws of the likelihood bound are stratified: with twice as many as there are targets, each count comes up
    twice. Where nothing but the count matters the estimate then has no error at all."""
    ids = torch.zeros(3, 16, dtype=torch.long)
    bounds = likelihood_bound(harder_with_more_masks, ids, ids, 1, 32, seeded(4)).mean(dim=0)
    exact = sum(0.2 + 3 * count / 16 for count in range(1, 17))
    assert bounds.tolist() == pytest.approx([exact] * 3, rel=1e-6)


def test_the_gradient_of_the_loss_is_that_of_its_finite_differences():
    """Through a small network, in float64, for both ways of masking; a sequence in which nothing is masked included."""
    generator = seeded(5)
    ids = torch.randint(V, (3, 4), generator=generator)
    embedding = torch.randn(V + 1, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    head = torch.randn(V, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    t, uniform = torch.tensor([0.0, 0.4, 0.9]), torch.rand(3, 4, generator=generator)
    assert mask_by_time(ids, t, uniform).masked.sum(dim=1).tolist()[0] == 0

    for masking in (mask_by_time, mask_by_count):
        def loss(embedding, head, masking=masking):
            def denoise(canvas, masked):
                seen = embedding[canvas]  # (batch, length, 5)
                return torch.tanh(seen + seen.mean(dim=1, keepdim=True))[masked] @ head.T

            return masked_loss(denoise, ids, ids, V, masking(ids, t, uniform))

        assert torch.autograd.gradcheck(loss, (embedding, head))


def test_logits_in_half_precision_are_compared_in_float32():
    """Cross-entropy over a large vocabulary in bfloat16 would be off in the second digit."""
    logits = torch.randn(1, 5000, generator=seeded(6)).bfloat16()
    ids = torch.tensor([[17]])
    masks = Masks(torch.tensor([[True]]), torch.ones(1))
    loss = masked_loss(lambda canvas, masked: logits, ids, ids, 5000, masks)
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, -logits.double().log_softmax(dim=-1)[:, 17].float())


# The model, against what the released implementation computed.


def trainable():
    """(a copy of the golden model with gradients, tokenizer, id of [MASK])."""
    model, tokenizer = golden_model()
    return copy.deepcopy(model).requires_grad_(True), tokenizer, tokenizer.token_id(MASK)


def features_of(model, index: int) -> torch.Tensor:
    """The features of golden picture `index`, with their gradients."""
    [tiles] = picture_tiles([picture(index)], model.config)
    return model.merge(model.project(tiles.pixel_values), tiles)


@cache
def examples():
    """`(input_ids, labels, part_ids)` of every golden conversation."""
    _, tokenizer = golden_model()
    return [training_example(tokenizer, sample["conversations"]) for sample in CASES["samples"]]


def padded(*arguments) -> list[torch.Tensor]:
    """What `pad` gives, where the model is."""
    return [part.to(DEVICE) for part in pad(*arguments)]


@pytest.mark.parametrize("case", CASES["losses"])
def test_golden_padding(case):
    """Padding stands in ids and labels alike: the model learns it."""
    _, tokenizer = golden_model()
    assert tokenizer.token_id(EOS) == case["padding_id"]
    input_ids, labels, part_ids = padded([examples()[sample] for sample in case["samples"]], case["padding_id"])
    assert input_ids.tolist() == case["input_ids"]
    assert labels.tolist() == case["labels"]
    assert part_ids.shape == labels.shape


@pytest.mark.parametrize("number", range(len(CASES["losses"])))
def test_golden_loss_and_gradients(number):
    """Loss of a batch and the norms of three gradients, from the lowest trained layer to the highest."""
    case = CASES["losses"][number]
    model, _, mask_id = trainable()
    pictures = [[features_of(model, case["image"])] for _ in case["samples"]]
    input_ids, labels, _ = padded([examples()[sample] for sample in case["samples"]], case["padding_id"])
    batch = splice_batch(input_ids, labels, pictures)
    assert batch.ids.shape == (len(case["samples"]), case["length"]) and batch.part_ids is None

    masks = mask_by_time(batch.labels, *(TENSORS[f"loss/{number}/{name}"].to(DEVICE) for name in ("t", "uniform")))
    loss = masked_loss(denoiser(model, batch), batch.ids, batch.labels, mask_id, masks).mean()
    loss.backward()
    weights = {
        "grad_projector0": model.mm_projector[0].weight,
        "grad_q0": model.language_model.layers[0].self_attn.q_proj.weight,
        "grad_lm_head": model.language_model.lm_head.weight,
    }
    assert_close(loss[None], TENSORS[f"loss/{number}/loss"], **CLOSE)
    for name, weight in weights.items():
        assert_close(weight.grad.norm()[None], TENSORS[f"loss/{number}/{name}"], **CLOSE)


def test_golden_dialogue_causal_logits():
    """Sample 1 with picture 1, nothing masked: the first and last logits under dialogue-causal attention."""
    model, _ = golden_model()
    input_ids, labels, part_ids = padded([examples()[1]], 0)
    batch = splice_batch(input_ids, labels, [[features_of(model, 1)]], part_ids // 2)
    asked = torch.zeros_like(batch.ids, dtype=torch.bool)
    asked[:, :4] = asked[:, -4:] = True
    logits = denoiser(model, batch)(batch.ids, asked)
    expected = torch.cat([TENSORS["dialogue/first_logits"], TENSORS["dialogue/last_logits"]])
    assert_close(logits, expected, **CLOSE)


# The model, in batches.


def filled_up_batch(model, dialogue_causal: bool) -> tuple[Batch, list[Batch]]:
    """Four sequences, about three pictures of different length and about none: as one batch, and each alone."""
    input_ids, labels, part_ids = padded([examples()[sample] for sample in (1, 1, 2, 1)], 603)
    pictures = [[features_of(model, 2)], [features_of(model, 0)], [], [features_of(model, 1)]]

    def spliced(rows: slice) -> Batch:
        its_parts = part_ids[rows] // 2 if dialogue_causal else None
        return splice_batch(input_ids[rows], labels[rows], pictures[rows], its_parts)

    return spliced(slice(None)), [spliced(slice(row, row + 1)) for row in range(4)]


@pytest.mark.parametrize("dialogue_causal", [False, True])
def test_a_filled_up_batch_is_the_mean_of_its_sequences(dialogue_causal):
    """The same masks give each sequence the same loss in the batch as alone, and the same gradient."""
    model, _, mask_id = trainable()
    batch, singles = filled_up_batch(model, dialogue_causal)
    lengths = [single.ids.shape[1] for single in singles]
    assert len(set(lengths)) == 4 and batch.ids.shape == (4, max(lengths))
    t, uniform = torch.tensor([0.3, 0.6, 0.5, 0.9], device=DEVICE), draw_uniform(batch.labels, seeded(7))

    masks = mask_by_time(batch.labels, t, uniform)
    together = masked_loss(denoiser(model, batch), batch.ids, batch.labels, mask_id, masks)
    alone = torch.cat([
        masked_loss(denoiser(model, single), single.ids, single.labels, mask_id,
                    mask_by_time(single.labels, t[row : row + 1], uniform[row : row + 1, : lengths[row]]))
        for row, single in enumerate(singles)
    ])
    assert_close(together, alone, rtol=1e-5, atol=1e-8)
    key = model.language_model.layers[0].self_attn.k_proj
    weights = [model.image_newline, model.mm_projector[0].weight, key.weight]
    for in_batch, of_singles in zip(torch.autograd.grad(together.mean(), weights, retain_graph=True),
                                    torch.autograd.grad(alone.mean(), weights)):
        assert_close(in_batch, of_singles, rtol=1e-4, atol=1e-4 * of_singles.abs().max().item())


@pytest.mark.parametrize("dialogue_causal", [False, True])
def test_what_stands_at_filled_up_places_changes_nothing(dialogue_causal):
    """No logits of a real place move when the ids there do, and no label asks for them."""
    model, _ = golden_model()
    batch, singles = filled_up_batch(model, dialogue_causal)
    lengths = torch.tensor([single.ids.shape[1] for single in singles], device=DEVICE)
    real = torch.arange(batch.ids.shape[1], device=DEVICE) < lengths[:, None]
    assert not real.all() and (batch.labels[~real] == IGNORED).all()
    denoise = denoiser(model, batch)
    changed = torch.where(real, batch.ids, 99)
    assert same(denoise(batch.ids, real), denoise(changed, real))
    assert not torch.allclose(denoise(batch.ids, ~real), denoise(changed, ~real))


def test_padding_is_learned_and_belongs_to_the_last_part():
    """Unlike what is filled up: padding is a target, and it is attended to, so the same question has other logits
    with it."""
    model, _ = golden_model()
    longer = tuple(2 * part for part in examples()[1])
    input_ids, labels, part_ids = padded([examples()[1], longer], 603)
    own = len(examples()[1][0])
    assert (input_ids[0, own:] == 603).all() and (labels[0, own:] == 603).all()
    assert (part_ids[0, own:] == part_ids[0, own - 1]).all()
    assert part_ids[0, own] == 3 and part_ids[1].tolist() == longer[2]

    logits = []
    for end in (own, None):
        batch = splice_batch(input_ids[:1, :end], labels[:1, :end], [[features_of(model, 1)]])
        asked = torch.zeros_like(batch.ids, dtype=torch.bool)
        asked[0, 0] = True
        logits.append(denoiser(model, batch)(batch.ids, asked))
    assert not torch.allclose(*logits, **CLOSE)


def test_picture_places_carry_no_label_and_the_pictures_part():
    """Where a picture's features stand there is nothing to ask; they belong to the part of their `<image>`."""
    model, _ = golden_model()
    input_ids, labels, part_ids = padded([examples()[1]], 603)
    batch = splice_batch(input_ids, labels, [[features_of(model, 1)]], part_ids + 5)
    shown = batch.ids == -200
    assert shown.sum() == len(batch.features[0]) > 1
    assert (batch.labels[shown] == IGNORED).all() and (batch.part_ids[shown] == 5).all()
    assert batch.labels[~shown].tolist() == [label for label, i in zip(labels[0], input_ids[0]) if i != -200]


def test_the_attention_gets_a_mask_only_if_the_batch_needs_one(monkeypatch):
    """Sequences of one length see everything without any mask; a dense one would rule the fastest kernels out. In a
    filled-up batch a place sees its own sequence and nothing behind it."""
    model, _, _ = trainable()
    masks, attention = [], torch.nn.functional.scaled_dot_product_attention
    filled_up, singles = filled_up_batch(model, dialogue_causal=False)

    def watched(*tensors, attn_mask=None, **options):
        masks[-1].append(attn_mask)
        return attention(*tensors, attn_mask=attn_mask, **options)

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", watched)
    for batch in (singles[0], filled_up):
        masks.append([])
        denoiser(model, batch)(batch.ids, torch.ones_like(batch.ids, dtype=torch.bool))
    without, (needed, *others) = masks
    assert without and not any(mask is not None for mask in without)
    assert others and all(mask.equal(needed) for mask in others)
    for row, single in enumerate(singles):
        length = single.ids.shape[1]
        assert needed[row, 0, :length, :length].all() and not needed[row, 0, :length, length:].any()


def test_logits_are_computed_at_masked_places_only():
    """`lm_head` sees one row for each masked place and none besides. Oracle: all logits, then those asked for."""
    model, _, mask_id = trainable()
    batch, _ = filled_up_batch(model, dialogue_causal=False)
    t, uniform = torch.tensor([0.2, 0.5, 0.0, 0.1], device=DEVICE), draw_uniform(batch.labels, seeded(8))
    masked = mask_by_time(batch.labels, t, uniform).masked
    canvas = batch.ids.masked_fill(masked, mask_id)
    embeddings = model.embed(canvas, batch.features)
    attend = masked_attention(dialogue_causal_mask(batch.part_ids))
    everywhere = model.language_model.lm_head(model.language_model(embeddings, attend))  # (batch, length, vocabulary)
    rows = []
    model.language_model.lm_head.register_forward_pre_hook(lambda _, inputs: rows.append(tuple(inputs[0].shape)))
    logits = denoiser(model, batch)(canvas, masked)
    assert rows == [(int(masked.sum()), model.config.hidden_size)]
    assert_close(logits, everywhere[masked], **CLOSE)


def test_a_batch_in_which_chance_masks_nothing_has_loss_0_and_gradient_0():
    """That happens, with few targets and a small t, and must not stop the training with an error or a NaN. The
    attention is asked about one place even then."""
    model, _, mask_id = trainable()
    asked = []
    model.language_model.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[2].tolist()))
    input_ids, labels, _ = padded([examples()[2]], 0)
    batch = splice_batch(input_ids, labels, [[]])
    masks = mask_by_time(labels, torch.zeros(1, device=DEVICE), torch.ones_like(labels))
    loss = masked_loss(denoiser(model, batch), batch.ids, batch.labels, mask_id, masks).mean()
    loss.backward()
    assert loss.item() == 0 and asked == [[0]]
    gradients = [parameter.grad for parameter in model.language_model.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_the_gradient_through_the_model_is_that_of_finite_differences():
    """In float64, for the features of the pictures, in a filled-up batch with dialogue-causal attention."""
    model, _, mask_id = trainable()
    model = model.double()
    model.compute_dtype = torch.float64
    input_ids, labels, part_ids = padded([examples()[1]] * 2, 0)
    rows = [torch.randn(count, 32, dtype=torch.float64, generator=seeded(9)).to(DEVICE).requires_grad_()
            for count in (3, 5)]

    def loss(*rows):
        batch = splice_batch(input_ids, labels, [[row] for row in rows], part_ids // 2)
        times = torch.tensor([0.5, 0.8], device=DEVICE)
        masks = mask_by_time(batch.labels, times, draw_uniform(batch.labels, seeded(9)))
        return masked_loss(denoiser(model, batch), batch.ids, batch.labels, mask_id, masks)

    assert torch.autograd.gradcheck(loss, rows, fast_mode=True)


def test_the_likelihood_bound_of_the_model_is_reproducible_and_has_a_gradient():
    """Of an answer about a picture: one estimate for each draw, the same for the same seed."""
    model, _, mask_id = trainable()
    input_ids, labels, _ = padded([examples()[0]], 0)
    batch = splice_batch(input_ids, labels, [[features_of(model, 1)]])
    one, two = (likelihood_bound(denoiser(model, batch), batch.ids, batch.labels, mask_id, 3, seeded(10))
                for _ in range(2))
    assert one.shape == (3, 1) and one.equal(two) and (one > 0).all()
    one.mean().backward()
    assert model.mm_projector[0].weight.grad.norm() > 0


def test_a_batch_with_the_wrong_number_of_pictures_is_refused():
    input_ids, labels, _ = padded([examples()[0]], 0)
    with pytest.raises(InputError, match="1 places for pictures, but 0 pictures"):
        splice_batch(input_ids, labels, [[]])
