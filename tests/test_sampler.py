"""The reverse process: the released answers, and what every answer obeys whatever the model says."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from device import DEVICE
from golden_data import CASES, golden_model, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from literal import literal_sample

from minllada_v import InputError, SamplerConfig, answer
from minllada_v.answer import answer_steps, encode_images, prompt_ids
from minllada_v.sampler import Canvas, ModelInput, Step, find_stop, sample, transfer_schedule

VOCABULARY, MASK_ID, FORBIDDEN = 9, 7, (1, 3)
GOLDEN_CASES = [*CASES["generate"], CASES["generate_text_only"]]


def golden_settings(case: dict) -> SamplerConfig:
    return SamplerConfig(case["gen_length"], steps=case["steps"], block_length=case["block_length"],
                         cfg_scale=case.get("cfg_scale", 0.0), stop=tuple(case.get("stop", ())),
                         suffix=case.get("generation_suffix", ""))


@pytest.mark.parametrize("case", GOLDEN_CASES, ids=lambda case: "-".join(map(str, list(case.values())[1:-1]))[-40:])
def test_golden_answers_token_for_token(case):
    model, tokenizer = golden_model()
    pictures = [picture(case["image"])] if "image" in case else []
    question = "Describe the image in detail." if pictures else "What is 1+1?"
    features = encode_images(model, pictures)
    ids = prompt_ids(tokenizer, question, features)
    *_, last = answer_steps(model, tokenizer, ids, features, golden_settings(case))
    assert last.answer.tolist() == case["output"]
    text = tokenizer.decode(case["output"], skip_special_tokens=True).strip()
    assert answer(model, tokenizer, question, pictures, sampler=golden_settings(case)) == text


@pytest.mark.parametrize("case", CASES["transfer_schedule"], ids=lambda case: f"{case['masked']}-{case['steps']}")
def test_golden_transfer_schedule(case):
    assert list(transfer_schedule(case["masked"], case["steps"])) == case["counts"]


@given(st.integers(0, 300), st.integers(1, 300))
def test_schedule_commits_every_mask_and_falls_by_at_most_one(masked, steps):
    """The counts sum to the masks, never rise, differ by at most one and are never negative."""
    counts = list(transfer_schedule(masked, steps))
    assert len(counts) == steps and sum(counts) == masked
    assert counts == sorted(counts, reverse=True) and 0 <= counts[-1] and counts[0] - counts[-1] <= 1


class MadeUpDenoiser:
    """A model without meaning: its logits at a place depend, at random, on the whole canvas and on the place."""

    def __init__(self, seed: int, length: int):
        generator = torch.Generator().manual_seed(seed)
        self.mix = torch.randn(length, VOCABULARY, length, generator=generator)
        self.base = torch.randn(length, VOCABULARY, generator=generator).to(DEVICE)

    def everywhere(self, canvas: torch.Tensor, seen: list[int] | torch.Tensor) -> torch.Tensor:
        mixed = torch.einsum("lvk,k->lv", self.mix[:, :, seen], canvas[seen].float())
        return torch.sin(mixed).to(DEVICE) * 2 + self.base

    def logits(self, it: ModelInput) -> torch.Tensor:
        """What is wanted of one input. The cache of a canvas is what stood on it when its positions last ran."""
        kv_cache = [] if it.kv_cache is None else it.kv_cache
        if not kv_cache:
            kv_cache.append(torch.full((len(self.base),), -99))
        kv_cache[0][it.position_ids[it.window]] = it.ids[it.window]
        return self.everywhere(kv_cache[0], it.position_ids)[it.position_ids[it.logits_at]]

    def __call__(self, inputs: list[ModelInput]) -> torch.Tensor:
        return torch.cat([self.logits(it) for it in inputs])


def sample_one(denoise, prompt, config, mask_id, forbidden=(), stops=(), suffix=(), generator=None) -> Iterator[Step]:
    """Sample a single answer from a model `denoise(canvas, positions)` that always sees the whole canvas."""
    def ask(inputs):
        return torch.cat([denoise(it.ids, it.logits_at) for it in inputs]).to(DEVICE)
    canvas = Canvas(prompt, config, mask_id, forbidden, stops, suffix, generator)
    return (step for [(_, step)] in sample(ask, [canvas]))


@st.composite
def situations(draw, with_stops: bool = True, with_threshold: bool = True):
    """A made-up denoiser, a prompt, and everything that can be set."""
    block_length, blocks = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    config = SamplerConfig(
        gen_length=block_length * blocks,
        steps=blocks * draw(st.integers(1, 7)),
        block_length=block_length,
        temperature=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        cfg_scale=draw(st.sampled_from([0.0, 0.5, 2.0])),
        remasking=draw(st.sampled_from(["low_confidence", "random"])),
        seed=draw(st.integers(0, 2**32)),
        refresh_every=draw(st.sampled_from([1, 1, 2, 3, 100])),
    )
    threshold = draw(st.sampled_from([None, None, 0.0, 0.3, 0.5, 0.8, 2.0])) if with_threshold else None
    factor = draw(st.sampled_from([None, 0.0, 0.5, 1.0, 1.7])) if with_threshold and threshold is None else None
    if (threshold, factor) != (None, None):
        config = replace(config, steps=config.gen_length, remasking="low_confidence", threshold=threshold,
                         factor=factor)
    token = st.sampled_from([index for index in range(VOCABULARY) if index not in (MASK_ID, *FORBIDDEN)])
    prompt = torch.tensor(draw(st.lists(st.integers(0, VOCABULARY - 1), max_size=4)), dtype=torch.long)
    suffix = draw(st.lists(token, max_size=3))
    stops = draw(st.lists(st.lists(token, min_size=1, max_size=2), max_size=2)) if with_stops else []
    denoiser = MadeUpDenoiser(draw(st.integers(0, 2**32)), len(prompt) + config.gen_length + len(suffix))
    return denoiser, prompt, config, stops, suffix


def run(denoiser, prompt, config, stops, suffix) -> list[Step]:
    generator = torch.Generator(DEVICE).manual_seed(config.seed)
    canvas = Canvas(prompt, config, MASK_ID, FORBIDDEN, stops, suffix, generator)
    steps = [step for [(_, step)] in sample(denoiser, [canvas])]
    assert steps  # whoever asserts something of every step asserts it of one at least
    return steps


@settings(deadline=None, max_examples=100)
@given(situations())
def test_fast_sampler_equals_the_literal_one(situation):
    """Logits only where asked, stopping early, log-space noise, blocks run alone: the same answer as computing
    everything everywhere, from what the model may remember and see."""
    denoiser, prompt, config, stops, suffix = situation
    expected = literal_sample(
        denoiser.everywhere, prompt.tolist(), config.gen_length, config.steps, config.block_length, config.temperature,
        config.cfg_scale, config.remasking, MASK_ID, FORBIDDEN, stops, suffix,
        torch.Generator(DEVICE).manual_seed(config.seed), None, config.refresh_every, config.threshold, config.factor,
    )
    assert run(*situation)[-1].answer.tolist() == expected


@settings(deadline=None, max_examples=40)
@given(situations())
def test_every_place_is_committed_once_and_never_changed(situation):
    """A step changes the canvas exactly at its committed places, each of them a [MASK] before; prompt and suffix
    never change; without a stop no place is left."""
    _, prompt, config, stops, suffix = situation
    before = torch.cat([prompt, torch.full((config.gen_length,), MASK_ID), torch.tensor(suffix, dtype=torch.long)])
    for step in run(*situation):
        changed = (step.canvas != before).nonzero().flatten()
        assert changed.tolist() == sorted(step.committed.tolist())
        assert (before[step.committed] == MASK_ID).all()
        assert ((len(prompt) <= step.committed) & (step.committed < len(prompt) + config.gen_length)).all()
        before = step.canvas
    if not stops:
        assert MASK_ID not in before[len(prompt) : len(prompt) + config.gen_length]


@settings(deadline=None, max_examples=40)
@given(situations(with_stops=False, with_threshold=False))
def test_each_step_commits_what_the_schedule_says(situation):
    """Exactly the scheduled number a step, block after block."""
    config = situation[2]
    scheduled = [count for count in transfer_schedule(config.block_length, config.steps // config.blocks) if count]
    assert [len(step.committed) for step in run(*situation)] == scheduled * config.blocks


@settings(deadline=None, max_examples=40)
@given(situations())
def test_blocks_finish_left_to_right(situation):
    """No place of a block is filled while an earlier block has a [MASK]."""
    _, prompt, config, _, _ = situation
    before = 0
    for step in run(*situation):
        block = {(place - len(prompt)) // config.block_length for place in step.committed.tolist()}
        assert len(block) == 1 and min(block) >= before
        before = min(block)
        assert MASK_ID not in step.canvas[len(prompt) : len(prompt) + before * config.block_length]


@settings(deadline=None, max_examples=40)
@given(situations())
def test_the_most_confident_candidates_are_committed(situation):
    """Nothing that is left open was more confident than anything that was committed; confidences are probabilities."""
    for step in run(*situation):
        kept = torch.isin(step.candidates, step.committed)
        assert (0 <= step.confidence).all() and (step.confidence <= 1).all()
        assert (~kept).sum() == 0 or step.confidence[kept].min() >= step.confidence[~kept].max()


@settings(deadline=None, max_examples=40)
@given(situations())
def test_forbidden_tokens_never_appear(situation):
    """Neither the forbidden ids nor [MASK] are ever committed, whatever their logits are."""
    for step in run(*situation):
        assert not set(step.canvas[step.committed].tolist()) & {MASK_ID, *FORBIDDEN}


@settings(deadline=None, max_examples=40)
@given(situations())
def test_nothing_from_a_stop_on_is_returned(situation):
    """The answer, without the suffix, holds no stop and no [MASK]; it is the response up to the first stop."""
    _, prompt, config, stops, suffix = situation
    last = run(*situation)[-1]
    answered = last.answer.tolist()[: len(last.answer) - len(suffix)]
    response = last.canvas[len(prompt) : len(prompt) + config.gen_length].tolist()
    assert last.answer.tolist()[len(answered):] == suffix
    assert answered == response[: find_stop(response, stops)] and MASK_ID not in answered
    assert find_stop(answered, stops) == len(answered)


@settings(deadline=None, max_examples=40)
@given(situations())
def test_equal_seeds_give_equal_answers(situation):
    """The generator is the only source of chance."""
    assert run(*situation)[-1].answer.equal(run(*situation)[-1].answer)


@settings(deadline=None, max_examples=40)
@given(situations(), st.integers(0, 2**32))
def test_temperature_zero_ignores_the_seed(situation, seed):
    """With temperature 0 and low-confidence remasking no chance is left."""
    denoiser, prompt, config, stops, suffix = situation
    calm = replace(config, temperature=0.0, remasking="low_confidence")  # steps and threshold as they are
    first = run(denoiser, prompt, calm, stops, suffix)[-1].answer
    assert first.equal(run(denoiser, prompt, replace(calm, seed=seed), stops, suffix)[-1].answer)


@settings(deadline=None, max_examples=40)
@given(situations(with_stops=False))
def test_one_step_is_the_one_shot_argmax(situation):
    """With a single step every place takes the likeliest allowed token given the empty canvas."""
    denoiser, prompt, config, _, suffix = situation
    once = SamplerConfig(gen_length=config.gen_length, steps=1)
    canvas = torch.cat([prompt, torch.full((config.gen_length,), MASK_ID), torch.tensor(suffix, dtype=torch.long)])
    logits = denoiser.everywhere(canvas, torch.arange(len(canvas)))
    logits[:, [MASK_ID, *FORBIDDEN]] = -torch.inf
    expected = logits.argmax(-1)[len(prompt) : len(prompt) + config.gen_length].tolist()
    assert run(denoiser, prompt, once, [], suffix)[-1].answer.tolist() == expected + suffix


@settings(deadline=None, max_examples=40)
@given(situations())
def test_forward_passes_are_counted(situation):
    """One pass a step, two with guidance, and each asks only for the places that could be filled."""
    denoiser, prompt, config, stops, suffix = situation
    asked = []

    def counting(inputs):
        asked.extend(it.logits_at.tolist() for it in inputs)
        return denoiser(inputs)

    steps = run(counting, prompt, config, stops, suffix)
    passes = 2 if config.cfg_scale > 0 else 1
    assert steps[-1].forward_passes == len(asked) == passes * len(steps)
    assert asked == [step.candidates.tolist() for step in steps for _ in range(passes)]


@settings(deadline=None, max_examples=40)
@given(situations())
def test_only_refreshes_run_the_whole_canvas(situation):
    """The first step of a block and every r-th after it run all that is in sight; the others run the block alone, in
    sight itself; asked is only what runs. An exact run always sees the whole canvas, and keeps nothing."""
    denoiser, prompt, config, stops, suffix = situation
    passes = []
    steps = run(lambda inputs: passes.append(inputs) or denoiser(inputs), prompt, config, stops, suffix)
    length, steps_in_block = len(steps[0].canvas), {}
    for step, (prompted, *others) in zip(steps, passes, strict=True):
        block = (int(prompted.logits_at[0]) - len(prompt)) // config.block_length
        step_in_block = steps_in_block[block] = steps_in_block.get(block, -1) + 1
        start = len(prompt) + block * config.block_length
        whole = list(range(len(prompted.ids)))
        expected = whole if step_in_block % config.refresh_every == 0 else [
            place for place in whole if start <= prompted.position_ids[place] < start + config.block_length]
        assert whole[prompted.window] == expected and set(prompted.logits_at.tolist()) <= set(expected)
        assert prompted.position_ids[prompted.logits_at].tolist() == step.candidates.tolist()
        assert (prompted.kv_cache is None) == (config.refresh_every == 1)
        if config.exact:
            assert prompted.position_ids.tolist() == list(range(length))
        assert len(others) == (config.cfg_scale > 0)
        for unprompted in others:
            assert (unprompted.ids[: len(prompt)] == MASK_ID).all()
            assert unprompted.ids[len(prompt):].equal(prompted.ids[len(prompt):])
            assert (unprompted.window, unprompted.kv_cache is None) == (prompted.window, prompted.kv_cache is None)
            assert unprompted.kv_cache is None or unprompted.kv_cache is not prompted.kv_cache


@pytest.mark.parametrize("fast", [{}, {"refresh_every": 2}, {"refresh_every": 9}, {"threshold": 0.99}, {"factor": 0.1}])
def test_what_stands_behind_a_stop_leaves_the_canvas_unless_it_is_exact(fast):
    """Of prompt, four places and suffix the place in front of the last is the surest, and its token is the stop."""
    seen = []
    table = torch.zeros(6, VOCABULARY)
    table[3, 5] = 9

    def denoise(inputs):
        seen.extend(it.position_ids.tolist() for it in inputs)
        return torch.cat([table[it.position_ids[it.logits_at]] for it in inputs])

    canvas = Canvas(torch.tensor([0]), SamplerConfig(4, **fast), MASK_ID, FORBIDDEN, stops=[[5]], suffix=[6])
    list(sample(denoise, [canvas]))
    left = [0, 1, 2, 3, 5] if fast else list(range(6))
    assert seen == [list(range(6)), left, left]


@settings(deadline=None, max_examples=40)
@given(situations(with_threshold=False), st.sampled_from([0.0, 0.3, 0.6, 0.9]))
def test_a_threshold_commits_what_reaches_it(situation, threshold):
    """Each step commits exactly the places that are sure enough, or the surest one where none is."""
    denoiser, prompt, config, stops, suffix = situation
    config = replace(config, steps=config.gen_length, remasking="low_confidence", threshold=threshold)
    for step in run(denoiser, prompt, config, stops, suffix):
        sure = step.candidates[step.confidence >= threshold].tolist()
        assert sorted(step.committed.tolist()) == (sure or [int(step.candidates[step.confidence.argmax()])])


@pytest.mark.parametrize("threshold, left", [(0.25, [0]), (0.5, [1, 0]), (1.0, [2, 1, 0])])
def test_what_just_reaches_the_threshold_is_committed(threshold, left):
    """Three places, of which one is certain, one is torn between two tokens and one between four, and how many of them
    are open after each step."""
    table = torch.full((3, VOCABULARY), -torch.inf)
    table[0, 2], table[1, 2:4], table[2, 2:6] = 0, 0, 0
    steps = sample_one(lambda canvas, positions: table[positions], torch.tensor([], dtype=torch.long),
                       SamplerConfig(3, threshold=threshold), MASK_ID)
    assert [int((step.canvas == MASK_ID).sum()) for step in steps] == left


@settings(deadline=None, max_examples=40)
@given(situations(with_stops=False, with_threshold=False))
def test_the_ends_of_the_threshold(situation):
    """Threshold 0 fills a whole block in one step; one that nothing can reach gives the answer of a token a step."""
    denoiser, prompt, config, stops, suffix = situation
    one_a_step = replace(config, steps=config.gen_length, remasking="low_confidence")
    at_once = run(denoiser, prompt, replace(one_a_step, threshold=0.0), stops, suffix)
    assert [len(step.committed) for step in at_once] == [config.block_length] * config.blocks
    unreachable = run(denoiser, prompt, replace(one_a_step, threshold=1.5), stops, suffix)
    assert [step.canvas.tolist() for step in unreachable] == [
        step.canvas.tolist() for step in run(denoiser, prompt, one_a_step, stops, suffix)]


@settings(deadline=None, max_examples=40)
@given(situations(), st.integers(2, 9))
def test_a_model_that_ignores_the_rest_gives_one_answer_for_every_refresh(situation, refresh_every):
    """Where a place's logits depend on the place alone, nothing that is kept can be stale."""
    denoiser, prompt, config, stops, suffix = situation
    def alone(inputs):
        return torch.cat([denoiser.base[it.position_ids[it.logits_at]] for it in inputs])

    exact, cached = (run(alone, prompt, replace(config, refresh_every=every), stops, suffix)
                     for every in (1, refresh_every))
    assert exact[-1].answer.equal(cached[-1].answer) and len(exact) == len(cached)


@settings(deadline=None)
@given(st.lists(situations(), min_size=2, max_size=4), st.randoms())
def test_canvases_answer_together_as_they_do_alone_in_any_order(situations, random):
    """Side by side, each canvas with its own model, length, settings and chance, every step of every canvas is what
    it is alone, and one that is finished is asked about no more."""
    alone = [run(*situation) for situation in situations]
    order = list(range(len(situations)))
    random.shuffle(order)
    generators = [torch.Generator(DEVICE).manual_seed(config.seed) for _, _, config, _, _ in situations]
    canvases = [Canvas(*situations[number][1:3], MASK_ID, FORBIDDEN, *situations[number][3:], generators[number])
                for number in order]
    together, asked = [[] for _ in canvases], []

    def denoise(inputs):
        asked.append({it.canvas for it in inputs})
        return torch.cat([situations[order[it.canvas]][0].logits(it) for it in inputs])

    for steps in sample(denoise, canvases):
        assert {number for number, _ in steps} == asked[-1]
        for number, step in steps:
            together[number].append(step)
    for number, steps in zip(order, together):
        assert len(steps) == len(alone[number])
        for one, other in zip(steps, alone[number]):
            assert all(getattr(one, field).equal(getattr(other, field)) for field in
                       ("canvas", "candidates", "confidence", "committed", "answer"))
            assert one.forward_passes == other.forward_passes


@given(st.lists(st.integers(0, 3), max_size=8),
       st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=3))
def test_the_earliest_stop_counts(response, stops):
    """find_stop is the least position at which a stop starts, in full, within the response."""
    starts = [start for stop in stops for start in range(len(response) - len(stop) + 1)
              if all(response[start + offset] == token for offset, token in enumerate(stop))]
    assert find_stop(response, stops) == min(starts, default=len(response))


def test_gumbel_max_draws_from_the_softmax():
    """At temperature 1 tokens come as often as their probabilities say: 4,000 draws within 4 standard deviations."""
    logits = torch.tensor([0.0, 1.0, 2.0, 5.0])
    config = SamplerConfig(gen_length=4000, steps=1, temperature=1.0)
    flat = lambda canvas, positions: logits.expand(len(positions), 4)  # noqa: E731
    generator = torch.Generator(DEVICE).manual_seed(5)
    *_, last = sample_one(flat, torch.tensor([0]), config, mask_id=3, generator=generator)
    probabilities = torch.cat([logits[:3].softmax(0), torch.zeros(1)])  # [MASK] can't be chosen
    frequencies = last.answer.bincount(minlength=4) / 4000
    spread = (probabilities * (1 - probabilities) / 4000).sqrt()
    assert ((frequencies - probabilities).abs() <= 4 * spread).all()


def test_confidence_tells_sure_from_surer():
    """Probabilities of 1 − 2e-9 and 1 − 1e-11 are both 1.0 in float32; in float64 the surer place goes first."""
    table = torch.zeros(2, VOCABULARY)
    table[0, 2], table[1, 2] = 20, 25
    first, _ = sample_one(lambda canvas, positions: table[positions], torch.tensor([], dtype=torch.long),
                      SamplerConfig(2), MASK_ID)
    assert first.committed.tolist() == [1]


def test_equal_confidences_go_left_to_right():
    """Of a hundred places of one confidence each step takes the leftmost that are open."""
    flat = lambda canvas, positions: torch.arange(VOCABULARY).float().expand(len(positions), -1)  # noqa: E731
    steps = list(sample_one(flat, torch.tensor([0]), SamplerConfig(100, steps=10), MASK_ID))
    assert [place for step in steps for place in step.committed.tolist()] == list(range(1, 101))


def test_the_logits_handed_in_are_left_alone():
    """A denoiser may return its own float64 table; the sampler's −∞ are not written into it."""
    table = torch.zeros(4, VOCABULARY, dtype=torch.float64)
    list(sample_one(lambda canvas, positions: table[: len(positions)], torch.tensor([0]), SamplerConfig(4), MASK_ID))
    assert (table == 0).all()


def test_far_too_many_steps_take_no_time():
    """Steps that would commit nothing are not run, and not even counted out."""
    flat = lambda canvas, positions: torch.zeros(len(positions), VOCABULARY)  # noqa: E731
    assert len(list(sample_one(flat, torch.tensor([0]), SamplerConfig(4, steps=10**15), MASK_ID))) == 4


def margin(logits: torch.Tensor, tokens: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """How far the likeliest token is ahead of the next: a rule of one's own."""
    first, second = logits.softmax(dim=-1).topk(2).values.unbind(dim=-1)
    return first - second


@settings(deadline=None, max_examples=40)
@given(situations(with_threshold=False))
def test_what_sure_means_can_be_any_function_of_the_logits(situation):
    """With a rule of one's own, the surest by that rule go first, whatever else is set; it is given the logits without
    noise, and those of forbidden tokens are −∞."""
    denoiser, prompt, config, stops, suffix = situation
    given = []

    def noted_margin(logits, tokens, generator):
        assert (logits[:, [MASK_ID, *FORBIDDEN]] == -torch.inf).all() and logits.shape == (len(tokens), VOCABULARY)
        given.append(margin(logits, tokens, generator))
        return given[-1]

    steps = run(denoiser, prompt, replace(config, remasking=noted_margin), stops, suffix)
    for step, confidence in zip(steps, given, strict=True):
        assert step.confidence.equal(confidence.cpu())
        committed = torch.isin(step.candidates, step.committed)
        assert committed.all() or step.confidence[committed].min() >= step.confidence[~committed].max()
    assert steps


def test_random_remasking_draws_its_order_from_the_generator():
    """At temperature 0 chance decides nothing but the order, and the order is that of the uniform numbers that this
    seed gives: a draw that must never change."""
    flat = lambda canvas, positions: torch.arange(VOCABULARY).float().expand(len(positions), -1)  # noqa: E731
    steps = list(sample_one(flat, torch.tensor([0]), SamplerConfig(6, remasking="random"), MASK_ID,
                            generator=torch.Generator(DEVICE).manual_seed(7)))
    twin, open_places, expected = torch.Generator(DEVICE).manual_seed(7), list(range(1, 7)), []
    for _ in range(6):
        uniform = torch.rand(len(open_places), dtype=torch.float64, device=DEVICE, generator=twin)
        expected.append(open_places.pop(int(uniform.argmax())))
    assert [int(step.committed) for step in steps] == expected
    assert DEVICE != "cpu" or expected == [5, 3, 2, 6, 4, 1]


@pytest.mark.parametrize("factor, left", [(0.0, [2, 1, 0]), (0.7, [2, 1, 0]), (0.8, [1, 0]), (1.4, [1, 0]), (1.7, [0])])
def test_a_factor_commits_the_longest_run_that_is_sure_enough(factor, left):
    """Three places with confidences 0.9, 0.75 and 0.6. The second needs 1 − f/3, the third 1 − f/4, the first nothing;
    after a step the ranks begin anew."""
    table = torch.full((3, VOCABULARY), -torch.inf)
    for place, sure in enumerate((0.9, 0.75, 0.6)):
        table[place, 2], table[place, 4] = math.log(sure), math.log(1 - sure)
    steps = sample_one(lambda canvas, positions: table[positions], torch.tensor([], dtype=torch.long),
                       SamplerConfig(3, factor=factor), MASK_ID)
    assert [int((step.canvas == MASK_ID).sum()) for step in steps] == left


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("remasking", ["low_confidence", "random"])
def test_broken_logits_name_the_step(bad, remasking):
    """NaN or infinite logits end the run with the step at which they appeared, never with a made-up answer."""
    calls = []

    def breaking(canvas, positions):
        calls.append(1)
        return torch.full((len(positions), VOCABULARY), bad if len(calls) == 3 else 0.0)

    config = SamplerConfig(gen_length=5, remasking=remasking)
    with pytest.raises(InputError, match="step 3 of 5"):
        list(sample_one(breaking, torch.tensor([0]), config, MASK_ID, generator=torch.Generator(DEVICE)))


@pytest.mark.parametrize(
    "values, says",
    [
        ({"gen_length": 0}, "gen_length must be a whole number, at least 1, not 0"),
        ({"steps": 0}, "steps must be a whole number, at least 1"),
        ({"block_length": -1}, "block_length must be a whole number, at least 1"),
        ({"gen_length": 10, "block_length": 4}, "gen_length 10 must be a multiple of block_length 4"),
        ({"gen_length": 12, "block_length": 4, "steps": 4}, "steps 4 must be a multiple of the number of blocks, 3"),
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"cfg_scale": float("nan")}, "cfg_scale must be 0 or more"),
        ({"remasking": "hottest"}, "remasking must be"),
        ({"stop": ("a", "")}, "stop must be a tuple of texts that are not empty"),
        ({"stop": "abc"}, "stop must be a tuple of texts"),
        ({"gen_length": 4.0}, "gen_length must be a whole number"),
        ({"seed": 2**64}, "seed must be from 0"),
        ({"refresh_every": 0}, "refresh_every must be a whole number, at least 1"),
        ({"threshold": -0.1}, "threshold must be 0 or more"),
        ({"threshold": float("nan")}, "threshold must be 0 or more"),
        ({"threshold": 0.9, "steps": 64}, "leave out steps, not 64"),
        ({"threshold": 0.9, "remasking": "random"}, "a threshold needs the model's own confidence"),
        ({"factor": -0.1}, "factor must be 0 or more"),
        ({"factor": 1.0, "steps": 64}, "leave out steps, not 64"),
        ({"factor": 1.0, "remasking": "random"}, "a factor needs the model's own confidence"),
        ({"factor": 1.0, "threshold": 0.9}, "threshold and factor are two rules for the same thing"),
    ],
)
def test_settings_that_do_not_fit_are_named(values, says):
    with pytest.raises(InputError, match=re.escape(says)):
        SamplerConfig(**values)
