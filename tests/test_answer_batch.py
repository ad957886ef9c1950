"""Batches: every answer is the one that its question gets alone."""

from dataclasses import replace

import pytest
from golden_data import CASES, golden_model, picture, video_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v import InputError, Request, SamplerConfig, answer, answer_batch
from minllada_v.answer import answer_steps, encode_images, prompt_ids

MODEL, TOKENIZER = golden_model()
PICTURES = [picture(index) for index in range(3)]


@st.composite
def samplers(draw) -> SamplerConfig:
    block_length, blocks = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    sampler = SamplerConfig(
        block_length * blocks,
        block_length=block_length,
        temperature=draw(st.sampled_from([0.0, 0.0, 1.0])),
        cfg_scale=draw(st.sampled_from([0.0, 0.0, 1.5])),
        remasking=draw(st.sampled_from(["low_confidence", "low_confidence", "random"])),
        stop=draw(st.sampled_from([(), ("a",), ("e", "\n")])),
        suffix=draw(st.sampled_from(["", "So."])),
        seed=draw(st.integers(0, 99)),
        refresh_every=draw(st.sampled_from([1, 1, 2, 9])),
    )
    if sampler.remasking == "low_confidence":
        sampler = replace(sampler, threshold=draw(st.sampled_from([None, 0.0, 0.005, 0.02])))
    return sampler


@st.composite
def requests(draw) -> Request:
    images = draw(st.lists(st.sampled_from(PICTURES), max_size=2))
    return Request(draw(st.text(st.characters(codec="ascii", exclude_characters="<"), max_size=30)), images,
                   history=draw(st.sampled_from([(), (("Hi", "Hello."),)])), sampler=draw(samplers()))


def tokens_alone(request: Request) -> list[int]:
    features = encode_images(MODEL, request.images, request.video)
    ids = prompt_ids(TOKENIZER, request.prompt, features, request.history)
    *_, last = answer_steps(MODEL, TOKENIZER, ids, features, request.sampler)
    return last.answer.tolist()


@settings(deadline=None, max_examples=20)
@given(st.lists(requests(), min_size=1, max_size=4), st.randoms())
def test_a_batch_equals_its_singles_in_any_order(asked, order):
    """Lengths, pictures, stops, guidance, chance, refreshes and thresholds all differ, and every answer is, token for
    token, the one that it is alone, wherever in the batch it stands."""
    alone = [tokens_alone(request) for request in asked]
    shuffled = list(range(len(asked)))
    order.shuffle(shuffled)
    together = answer_batch(MODEL, TOKENIZER, [asked[number] for number in shuffled])
    assert [reply.tokens for reply in together] == [alone[number] for number in shuffled]


def test_a_batch_of_golden_questions():
    """The golden cases, each with its own settings, in one batch: the released answers."""
    asked = [Request("Describe the image in detail.", [PICTURES[0]], sampler=SamplerConfig(
        case["gen_length"], steps=case["steps"], block_length=case["block_length"],
        cfg_scale=case.get("cfg_scale", 0.0), stop=tuple(case.get("stop", ())),
        suffix=case.get("generation_suffix", ""))) for case in CASES["generate"]]
    texts = [TOKENIZER.decode(case["output"], skip_special_tokens=True).strip() for case in CASES["generate"]]
    assert [reply.text for reply in answer_batch(MODEL, TOKENIZER, asked)] == texts


def test_pictures_videos_and_text_together():
    sampler = SamplerConfig(6, refresh_every=3)
    kinds = [{"images": [PICTURES[0]]}, {"images": PICTURES}, {"video": video_frames()}, {}, {"system": "Be brief."}]
    asked = [Request("What is it?", sampler=sampler, **kind) for kind in kinds]
    expected = [answer(MODEL, TOKENIZER, "What is it?", sampler=sampler, **kind) for kind in kinds]
    assert [reply.text for reply in answer_batch(MODEL, TOKENIZER, asked)] == expected
    assert answer_batch(MODEL, TOKENIZER, []) == []


def test_a_picture_is_looked_at_once(tmp_path, monkeypatch):
    """The same path or the same PIL image goes through the vision tower once in each role: alone, among several (where
    it is one padded tile), or as a frame."""
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for path, image in zip(paths, PICTURES):
        image.save(path)
    tiles = []
    project = type(MODEL).project
    monkeypatch.setattr(type(MODEL), "project",
                        lambda model, pixels: tiles.append(len(pixels)) or project(model, pixels))

    def tiles_of(*sources) -> int:
        tiles.clear()
        answer_batch(MODEL, TOKENIZER, [Request("Hi", **source, sampler=SamplerConfig(1)) for source in sources])
        return sum(tiles)

    alone = tiles_of({"images": [paths[0]]})
    assert alone > 1 and tiles_of({"images": [paths[0]]}, {"images": [str(paths[0])]}, {"images": [paths[0]]}) == alone
    assert tiles_of({"images": [PICTURES[0]]}, {"images": [PICTURES[0]]}) == alone
    assert tiles_of({"images": [PICTURES[0]]}, {"images": [PICTURES[0].copy()]}) == 2 * alone
    assert tiles_of({"images": [*paths, paths[1]]}, {"images": paths[::-1]}) == 2
    assert tiles_of({"images": [paths[0]]}, {"images": paths}) == alone + 2
    frames = video_frames()
    assert tiles_of({"video": frames}, {"video": frames}) == len(frames)


def test_what_runs_shrinks_with_the_canvases_and_the_blocks(monkeypatch):
    """Finished canvases leave; with a refresh only blocks run; nothing is ever padded."""
    sizes = []
    forward = type(MODEL).forward

    def counting(model, ids, *rest):
        sizes.append(len(ids))
        return forward(model, ids, *rest)

    monkeypatch.setattr(type(MODEL), "forward", counting)
    samplers = [SamplerConfig(4, steps=2), SamplerConfig(4, refresh_every=4),
                SamplerConfig(2, steps=1, cfg_scale=1.0)]
    prompts = ["Hi", "What is this, then?", "And that?"]
    lengths = [len(prompt_ids(TOKENIZER, prompt)) + sampler.gen_length for prompt, sampler in zip(prompts, samplers)]
    answer_batch(MODEL, TOKENIZER, [Request(prompt, sampler=sampler) for prompt, sampler in zip(prompts, samplers)])
    assert sizes == [lengths[0] + lengths[1] + 2 * lengths[2], lengths[0] + 4, 4, 4]


@pytest.mark.parametrize("request_, says", [
    (Request("<image>?"), "the prompt has 1 <image>"),
    (Request("Hi", ["none.png"]), "none.png does not exist"),
    (Request("Hi", sampler=SamplerConfig(9000)), "prompt and answer are"),
    ("Hi", "give a Request, not a str"),
])
def test_a_bad_request_fails_alone_and_says_why(request_, says):
    """Its neighbours are answered as they would be without it."""
    good = Request("Hi", sampler=SamplerConfig(1))
    first, error, last = answer_batch(MODEL, TOKENIZER, [good, request_, good])
    assert isinstance(error, InputError) and says in str(error)
    assert first == last == answer_batch(MODEL, TOKENIZER, [good])[0]


def test_logits_that_are_not_numbers_fail_alone():
    """Far too much guidance breaks one answer in the middle of the sampling; its neighbours get theirs all the same."""
    good = Request("Hi", sampler=SamplerConfig(3))
    broken = Request("Hi", sampler=SamplerConfig(3, cfg_scale=3e38))
    replies = answer_batch(MODEL, TOKENIZER, [good, broken, good])
    assert isinstance(replies[1], InputError) and "the logits are not finite" in str(replies[1])
    assert replies[0] == replies[2] == answer_batch(MODEL, TOKENIZER, [good])[0]
