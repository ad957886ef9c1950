"""Slips that turn a solution into a wrong answer: (set, exercise, what stands in the solution, what the slip writes).

Each is one that a student could make. The check of the exercise must notice it, not only the example of the task. The
tests try the first slip of each exercise, on few examples; `python tests/exercises/slips.py [WORD]` tries all of them,
or those of one set or exercise, and says which are not noticed.
"""

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

TUTORIALS = Path(__file__).parents[2] / "tutorials"

SLIPS = [
    # Build your own sampler.
    ("my_sampler", "transfer_schedule", "step < more", "step >= steps - more"),
    ("my_sampler", "transfer_schedule", "(step < more)", "0"),
    ("my_sampler", "confidence", "logits = logits.double()", "logits = logits.clone()"),
    ("my_sampler", "confidence", "logits = logits.double()", "logits = logits.softmax(dim=-1).double()"),
    ("my_sampler", "confidence", "return tokens, sure", "return tokens, sure.float().double()"),
    ("my_sampler", "one_step", "filled = canvas.clone()", "filled = canvas"),
    ("my_sampler", "one_step", "[mask_id, *forbidden]", "forbidden"),
    ("my_sampler", "one_step", "(canvas[start:stop] == mask_id)", "(canvas[start:] == mask_id)"),
    ("my_sampler", "one_step", "(canvas[start:stop] == mask_id)", "(canvas[start:stop] >= 0)"),
    ("my_sampler", "one_step", "descending=True", "descending=False"),
    ("my_sampler", "one_step", "sure.argsort(descending=True, stable=True)",
     "sure.flip(0).argsort(descending=True, stable=True).neg() + len(sure) - 1"),
    ("my_sampler", "write", "(guidance + 1)", "guidance"),
    ("my_sampler", "write", "min(start + block, end), count", "start + block, count"),
    ("my_sampler", "write", "transfer_schedule(block, steps // (length // block))", "transfer_schedule(length, steps)"),
    ("my_sampler", "write", "for start in range(len(answer)) if", "for start in range(1, len(answer)) if"),
    ("my_sampler", "write", "return canvas[first:end]", "return canvas[first:last]"),
    ("my_sampler", "write", "blind[:first] = mask_id", "blind[:] = mask_id"),
    ("my_sampler", "write", "torch.full((length,), mask_id), torch.tensor(suffix, dtype=torch.long)",
     "torch.full((length,), mask_id)"),
    ("my_sampler", "write", "    break", "    return canvas[first:end].tolist() + list(suffix)"),
    ("my_sampler", "write", "canvas[first:last].tolist(), stops)", "canvas.tolist(), stops)"),
    ("my_sampler", "remembering", "(open_place - first) % block", "0"),
    ("my_sampler", "remembering", "if start == before[\"start\"] else 0", ""),
    ("my_sampler", "remembering", "% refresh == 0", "== 0"),
    ("my_sampler", "remembering", "old[:, places] = new", "pass"),
    ("my_sampler", "remembering", "torch.arange(start, start + block)", "torch.arange(start, len(canvas))"),
    ("my_sampler", "remembering", "kept[layer] = keys.clone(), values.clone()",
     "kept[0] = kept[layer] = keys.clone(), values.clone()"),
    # Build your own loss.
    ("my_loss", "mask", "(labels != IGNORED) & (uniform", "(uniform"),
    ("my_loss", "mask", "probability(t)[:, None]", "t[:, None]"),
    ("my_loss", "mask", "ids.masked_fill(masked, mask_id)", "ids.masked_fill_(masked, mask_id)"),
    ("my_loss", "loss", "probability(t) * (labels != IGNORED).sum(dim=1)", "masked.sum(dim=1).clamp(min=1)"),
    ("my_loss", "loss", "probability(t) * (labels != IGNORED).sum(dim=1)", "t * (labels != IGNORED).sum(dim=1)"),
    ("my_loss", "loss", "probability(t) * (labels != IGNORED).sum(dim=1)", "probability(t) * ids.shape[1]"),
    ("my_loss", "loss", "model(canvas)[masked], labels[masked]", "model(ids)[masked], labels[masked]"),
    ("my_loss", "loss", "return sums / expected", "return (sums / expected).detach()"),
    ("my_loss", "loss", "F.cross_entropy(model(canvas)[masked], labels[masked], reduction=\"none\")",
     "(F.cross_entropy(model(canvas).mT, labels, reduction=\"none\") * masked)[masked] + 0 * model(canvas).sum()"),
    ("my_loss", "train", "optimizer.zero_grad()", "pass"),
    ("my_loss", "train", "torch.nn.utils.clip_grad_norm_(parameters, 1.0)", "pass"),
    ("my_loss", "train", "betas=(0.9, 0.98), weight_decay=0.0", "betas=(0.9, 0.98)"),
    ("my_loss", "train", "betas=(0.9, 0.98), ", ""),
    ("my_loss", "train", "= learning_rate(step, steps, peak)", "= peak"),
    ("my_loss", "train", "if step < warm_up:", "if step <= warm_up:"),
    ("my_loss", "train", ".mean()\n        mean.backward()", ".sum()\n        mean.backward()"),
    ("my_loss", "train", "        optimizer.step()\n", ""),
    # Find the bug: tests that pass what is wrong, or fail what is right.
    ("bugs_sampler", "choose_test", "exp(logits[token]) /", "exp(max(logits)) /"),
    ("bugs_sampler", "choose_test", "st.floats(0, 3)", "st.just(0.0)"),
    ("bugs_sampler", "choose_test", "assert isclose(", "assert 0 <= confidence <= 1 or isclose("),
    ("bugs_sampler", "draw_test", "assume(not forbidden >= set(range(len(tokens))))", "pass"),
    ("bugs_sampler", "draw_test", "[0.0, 1.0, 10.0]", "[0.0]"),
    ("bugs_sampler", "draw_test", "[0.0, 1.0, 10.0]", "[0.001]"),
    ("bugs_sampler", "draw_test", "assert 0 <= token < len(tokens) and token not in forbidden",
     "assert token == max(range(len(tokens)), key=logits.__getitem__)"),
    ("bugs_sampler", "remask_test", "key=lambda place: sure[place])", "key=lambda place: -sure[place])"),
    ("bugs_sampler", "remask_test", "word == (MASK if place in again else kept)", "word in (MASK, kept)"),
    ("bugs_sampler", "end_of_test", "assert end == len(answer) or stops_at(end)", "assert stops_at(end)"),
    ("bugs_sampler", "end_of_test", "assert not any(stops_at(place) for place in range(end))", "pass"),
    ("bugs_sampler", "end_of_test", "max_size=3))\n", "max_size=1))\n"),
    ("bugs_sampler", "merge_test", "assert pair not in zip(merged, merged[1:])", "pass"),
    ("bugs_sampler", "merge_test", "assert \"\".join(merged) == \"\".join(pieces)", "pass"),
    ("bugs_sampler", "merge_test", "st.lists(st.sampled_from(\"ab\"), max_size=6)",
     "st.lists(st.sampled_from(\"abcdefghij\"), max_size=6, unique=True)"),
    ("bugs_training", "in_batch_test", "everything + 100 * position", "everything"),
    ("bugs_training", "in_batch_test", "token + 1 for token, is_seen in", "0 for token, is_seen in"),
    ("bugs_training", "in_batch_test", "zip(tokens, seen) if is_seen", "zip(tokens, seen)"),
    ("bugs_training", "make_batch_test", "row[:places[0]][-len(prompt):] == prompt", "places[0] == len(prompt)"),
    ("bugs_training", "make_batch_test", " == answer\n", "\n"),
    ("bugs_training", "example_loss_test", "/ (p * sum(targets))", "/ max(1, sum(masked))"),
    ("bugs_training", "example_loss_test", "assert isclose(", "assert p < 1 or isclose("),
    ("bugs_training", "batch_loss_test", "if nats else 0.0", "if nats else 1.0"),
    ("bugs_training", "batch_loss_test", "assert isclose(", "assert 0.0 in means or isclose("),
    ("bugs_training", "mean_gradient_test", "assert isclose(", "assert len({*map(len, batches)}) > 1 or isclose("),
    ("bugs_training", "mean_gradient_test", "assert isclose(", "isclose("),
    # Chapters 11 to 13.
    ("chapter11", "count_weights", "hidden // heads * key_heads", "hidden"),
    ("chapter11", "count_weights", "+ hidden + 2 *", "+ 2 *"),
    ("chapter11", "count_weights", "2 * vocabulary", "vocabulary"),
    ("chapter11", "photo_places", "(map_width + 1)", "map_width"),
    ("chapter11", "photo_places", "factor > 1.1", "factor > 1"),
    ("chapter11", "photo_places", "map_height -= 2 *", "map_height -= 1 *"),
    ("chapter11", "photo_places", "width / height > map_width / map_height", "width > height"),
    ("chapter11", "step_seconds", "return max(weights", "return min(weights"),
    ("chapter11", "step_seconds", "2 * weights", "weights"),
    ("chapter11", "shards_property", "sorted(name for shard in shards for name in shard) != sorted(sizes)",
     "{name for shard in shards for name in shard} != {*sizes}"),
    ("chapter11", "shards_property", "if not all(shards):", "if False:"),
    ("chapter11", "shards_property", "len(shard) == 1 or ", ""),
    ("chapter12", "twin_questions", " and place > 0", ""), ("chapter12", "twin_questions", "(place - 1,", "(place,"),
    ("chapter12", "difference", "(n - 1)", "n"), ("chapter12", "difference", "[b - a for", "[a - b for"),
    ("chapter12", "luck", "1 - coverage**intervals", "(1 - coverage) ** intervals"),
    ("chapter12", "comparison_property", "(-mean, -high, -low)", "(-mean, -low, -high)"),
    ("chapter12", "comparison_property", "return close(moved, (mean, low, high))", "return True"),
    ("chapter12", "comparison_property", "10 * seed for", "10 for"),
    ("chapter13", "quantise", "max(map(abs, row), default=0)", "max(row, default=0)"),
    ("chapter13", "quantise", "2 ** (bits - 1) - 1", "2 ** (bits - 1)"),
    ("chapter13", "quantise", " or 1.0", " + 1e-9"),
    ("chapter13", "quantise", "[round(weight / scale)", "[int(weight / scale)"),
    ("chapter13", "stored_bytes", "-(-inputs // group)", "inputs // group"),
    ("chapter13", "stored_bytes", "rows * (-(-inputs * bits // 8) + 2 * scales)",
     "-(-rows * inputs * bits // 8) + 2 * rows * scales"),
    ("chapter13", "adapted", "x @ a.T @ b.T", "x @ (b @ a).T"), ("chapter13", "adapted", "/ len(a)", ""),
    ("chapter13", "adapted", "(x @ a.T @ b.T)", "(x @ a.T @ b.T).detach()"),
    ("chapter13", "levels_property", "abs(scale) / 2", "scale / 2"),
    ("chapter13", "levels_property", "return not any(row) or max(map(abs, levels)) >= most", "return True"),
    ("chapter13", "levels_property", "abs(scale) / 2", "abs(scale)"),
]


def told(check, name: str, right: str, slip: str) -> str:
    """What the check says of the solution with this slip in it; "" if it is content."""
    solution = (TUTORIALS / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    if right not in solution:
        return f"The solution has no {right}"
    student = ModuleType(name)
    exec(solution.replace(right, slip), vars(student))
    try:
        check(student)
    except sys.modules["grading"].Wrong as error:
        return str(error)
    return ""


def main(wanted: str = "") -> int:
    spec = importlib.util.spec_from_file_location("child", TUTORIALS / "exercises" / "grader" / "child.py")
    child = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(child)
    missed = 0
    for name, exercise, right, slip in SLIPS:
        if wanted in ("", name, exercise):
            try:
                words = told(getattr(child.checks_of(name), f"check_{exercise}"), name, right, slip)
            except Exception:
                words = traceback.format_exc()
            print(f"{exercise}: {right!r} -> {slip!r}\n    {words.splitlines()[0] if words else 'NOT NOTICED'}")
            missed += not words or words.startswith(("The solution has no", "Traceback"))
    print(f"{missed} were not noticed as they should be" if missed else "All were noticed.")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
