"""From scores to a table: POPE's and MME's numbers by hand, and what must hold for bootstrap intervals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minllada_v.evaluation.benchmarks import BENCHMARKS, MME_TASKS
from minllada_v.evaluation.paper_figures import FIGURES, MODELS, NOT_IN_THE_PAPER
from minllada_v.evaluation.table import Measure, format_table, measures


def record(score: float, group: str = "", shown: str = "", expected: str = "yes", answer: str = "yes") -> dict:
    return {"group": group, "shown": shown, "score": score, "turns": [{"expected": [expected], "answer": answer}]}


def yes_no_record(expected: str, answer: str) -> dict:
    return record(float(expected == answer), expected=expected, answer=answer)


def values(name: str, records: list[dict]) -> dict[str, float]:
    return {measure.name: measure.value for measure in measures(name, records)}


def test_pope_by_hand():
    """3 yes that are right, 1 yes too many, 2 yes missed (once by silence), 2 no that are right, 1 silence at a no."""
    records = [yes_no_record(*pair) for pair in [
        ("yes", "yes"), ("yes", "yes"), ("yes", "yes"), ("no", "yes"), ("yes", "no"), ("yes", "hm"), ("no", "no"),
        ("no", "no"), ("no", "")]]
    assert values("pope", records) == pytest.approx({
        "overall: accuracy": 500 / 9, "overall: precision": 75, "overall: recall": 60,
        "overall: F1": 100 * 2 * 0.75 * 0.6 / 1.35, "overall: yes-rate": 400 / 9})


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["yes", "no", "hm"])), min_size=1))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(pairs):
    """Where both are numbers above 0; the order of the answers does not matter."""
    found = values("pope", [yes_no_record(*pair) for pair in pairs])
    precision, recall = found["overall: precision"], found["overall: recall"]
    if precision > 0 and recall > 0:
        assert found["overall: F1"] == pytest.approx(2 / (1 / precision + 1 / recall))
    turned = values("pope", [yes_no_record(*pair) for pair in pairs[::-1]])
    assert found == pytest.approx(turned, nan_ok=True)


def test_mme_by_hand():
    """Two pictures of one task: both questions right, and one of two: accuracy 75 and accuracy⁺ 50. Another task with
    everything right has 200, and perception is the sum. A picture of the same name in another task is another one."""
    records = [record(1, "count", "a"), record(1, "count", "b"), record(1, "count", "a"), record(0, "count", "b"),
               record(1, "OCR", "a"), record(1, "OCR", "a"), record(0, "code_reasoning", "c"),
               record(1, "code_reasoning", "c")]
    assert values("mme", records) == pytest.approx({
        "count": 125, "ocr": 200, "perception (2 of 10 tasks)": 325,
        "code_reasoning": 50, "cognition (1 of 4 tasks)": 50})


def test_the_best_mme_is_2800():
    records = [record(1, task, "a") for tasks in MME_TASKS.values() for task in tasks for _ in range(2)]
    found = values("mme", records)
    assert found["perception"] == 2000 and found["cognition"] == 800


scores = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@settings(deadline=None, max_examples=20)
@given(scores)
def test_an_interval_lies_among_the_scores_and_around_typical_means(found):
    """Between the worst and the best score, in order, and without width where all scores are equal."""
    measure = Measure("x", len(found), [(np.array(found), np.ones(len(found)))])
    low, high = measure.interval()
    assert 100 * min(found) - 1e-9 <= low <= high <= 100 * max(found) + 1e-9
    assert measure.value == pytest.approx(100 * sum(found) / len(found))
    if len(set(found)) == 1:
        assert low == pytest.approx(high)


@pytest.mark.parametrize(("right", "of"), [(300, 400), (40, 80), (900, 1000)])
def test_the_interval_is_as_wide_as_the_binomial_one(right, of):
    """p ± 1.96 √(p (1 − p) / n) is a good approximation here; the bootstrap is to agree with it within a seventh."""
    found = np.array([1.0] * right + [0.0] * (of - right))
    low, high = Measure("x", of, [(found, np.ones(of))]).interval()
    p = right / of
    assert high - low == pytest.approx(100 * 2 * 1.96 * math.sqrt(p * (1 - p) / of), rel=1 / 7)
    assert (high + low) / 2 == pytest.approx(100 * p, abs=0.8)


def test_a_sum_of_ratios_varies_as_its_parts_together():
    """Two independent parts: variances add up."""
    coin = np.array([1.0, 0.0] * 50), np.ones(100)
    one, two = (Measure("x", 100, [coin] * parts).interval() for parts in (1, 2))
    assert (two[1] - two[0]) / (one[1] - one[0]) == pytest.approx(math.sqrt(2), rel=1 / 6)


def test_the_table_has_a_row_for_each_group_and_the_papers_number_at_the_overall_one():
    records = [record(1, "art"), record(0, "art"), record(1, "law")]
    first, *rows = format_table("mmmu", BENCHMARKS["mmmu"], records).splitlines()
    assert first.split() == ["accuracy", "answers", "score", "95", "%", "interval", "LLaDA-V", "LLaMA3-V", "Qwen2-VL"]
    assert rows[0].split()[:3] == ["art", "2", "50.0"] and rows[1].split()[:3] == ["law", "1", "100.0"]
    assert rows[2].split()[:3] == ["overall", "3", "66.7"] and rows[2].split()[-3:] == ["48.6", "45.4", "54.1"]
    assert "arXiv 2505.16933" in rows[-2] and "without width" in rows[-1]  # the one answer about law


def test_the_papers_figures_stand_beside_their_own_rows():
    """SEED-Bench's halves, and MME's two sums as the paper prints them, cognition first; nothing beside a part of a
    sum. Where the paper has no figure the table says so."""
    halves = [record(1, "a") | {"video": False}, record(0, "b") | {"video": False}, record(0, "b") | {"video": True}]
    rows = [line.split() for line in format_table("seed-bench", BENCHMARKS["seed-bench"], halves).splitlines()]
    assert rows[0][-2:] == ["LLaDA-V", "LLaMA3-V"]
    assert [row[:3] for row in rows[1:5]] == [["a", "1", "100.0"], ["b", "2", "0.0"], ["image", "2", "50.0"],
                                              ["video", "1", "0.0"]]
    assert [row[-2:] for row in rows[3:5]] == [["74.8", "76.6"], ["53.7", "55.0"]]
    every = [record(1, task, "a") for tasks in MME_TASKS.values() for task in tasks for _ in range(2)]
    rows = [line.split() for line in format_table("mme", BENCHMARKS["mme"], every).splitlines()]
    sums = [row for row in rows if row and row[0] in MME_TASKS]
    assert [(row[0], row[2], *row[-2:]) for row in sums] == [
        ("cognition", "800.0", "491", "446"), ("perception", "2000.0", "1507", "1581")]
    assert "LLaDA-V" not in format_table("mme", BENCHMARKS["mme"], every[:2])
    pro = format_table("mmmu-pro-vision", BENCHMARKS["mmmu-pro-vision"], [record(1)])
    assert pro.splitlines()[1].split()[-2:] == ["18.6", "14.5"] and "Qwen2-VL" not in pro
    for name, words in (("pope", "The paper has no figure for POPE."), ("ocrbench", "Others measured 63.2"),
                        ("mvbench", "Others measured 53.1")):
        table = format_table(name, BENCHMARKS[name], [record(1), record(0)])
        assert words in table and "Beside ours" not in table


def test_every_benchmark_has_a_figure_or_says_that_there_is_none():
    """Of no other than those that there are, and all headlines that have one are found."""
    named = {name.partition(":")[0] for name in FIGURES}
    assert named | {*NOT_IN_THE_PAPER} == {*BENCHMARKS} - {"small-world"} and not named & {*NOT_IN_THE_PAPER}
    assert len(FIGURES) == 19 and all(len(row) == len(MODELS) and row[0] and row[1] for row in FIGURES.values())


def test_mlvu_counts_each_of_its_tasks_alike():
    records = [record(1, "ego"), record(0, "ego"), record(0, "ego"), record(1, "order")]
    assert values("mlvu", records) == pytest.approx({"ego": 100 / 3, "order": 100, "mean of tasks": 200 / 3})
    assert values("mlvu", records[:3]) == pytest.approx({"mean of tasks": 100 / 3})
    [*_, headline] = measures("mlvu", records)
    assert headline.headline and headline.answers == 4


def test_whatever_a_group_is_called_the_table_can_be_printed():
    """Line breaks, a terminal's commands and halves of characters are left out."""
    table = format_table("mmmu", BENCHMARKS["mmmu"], [record(1, "a\nb\x1b[31m\ud800"), record(0, "law")])
    assert table.encode() and table.splitlines()[1].split()[:3] == ["ab[31m", "1", "100.0"]


@pytest.mark.parametrize("name", ["mathvista", "mathverse"])
def test_the_table_says_what_it_cannot_claim(name):
    assert "cannot be compared" in format_table(name, BENCHMARKS[name], [record(1), record(0)])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_a_table_for_a_single_wrong_answer(name):
    """No division by nothing: POPE's precision without any yes is no number, and no error."""
    table = format_table(name, BENCHMARKS[name], [record(0, "existence", answer="no")])
    assert "none" in table and "nan" not in table if name == "pope" else " 0.0 " in table
