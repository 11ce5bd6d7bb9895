"""The comparison under real shifts: what it counts, how it draws anew, and that its arms differ in one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import realistic_shifts
import torch
from racing.cells import append_row, read_rows
from realistic_shifts import Size, missing, table, truth_of, verdict
from shifting.networks import SEEN, WINDOW, arms
from shifting.rates import by_seed, difference, drawn_anew, packed, per_picture, unpacked
from shifting.trials import crop_logits, crops

from whyconv.measures import translation
from whyconv.nets import BlurPool2d, PolyphasePool2d, Windowed

TINY = Size(train=64, epochs=1, batch=32, asked=20)


def answers_of(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 10, n)
    answers = np.where(draw.random((n, 25)) < 0.9, truth[:, None], draw.integers(0, 10, (n, 25)))
    return answers, truth


def rows_of(
    wrong: dict[str, float], n: int = 200, seeds: int = 5, shift: int = 3
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Arms that answer a share of the pictures wrongly under one shift (12: unmoved), and all others rightly."""
    truth = np.arange(n) % 10
    rows = []
    for seed in range(seeds):
        for arm, share in wrong.items():
            answers = np.repeat(truth[:, None], 25, axis=1)
            fooled = np.random.default_rng(seed).permutation(n)[: round(share * n)]
            answers[fooled, shift] = (answers[fooled, shift] + 1) % 10
            row = {"arm": arm, "seed": seed, "answers": packed(answers)}
            rows.append(row | {"training_seconds": 1.0, "milliseconds_per_picture": 1.0})
    return rows, truth


def test_rates_are_those_of_the_measure() -> None:
    """A network that knows its answers by heart, asked by ``translation``."""
    draw = np.random.default_rng(0)
    pictures = torch.from_numpy(draw.integers(0, 10, (40, 1, 6, 6)).astype(np.float32))
    truth = draw.integers(0, 10, 40)

    class Corner(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(x[:, 0, 0, 0].long(), 10).float()

    expected = translation(Corner(), pictures, truth, "crop", reach=2)
    answers = pictures[:, 0, :5, :5].long().reshape(40, 25).numpy()
    found = per_picture(answers, truth)
    assert found["accuracy"].mean() == pytest.approx(expected.accuracy.value)
    assert found["consistency"].mean() == pytest.approx(expected.consistency.value)
    assert found["worst_case_correct"].mean() == pytest.approx(expected.worst_case_correct.value)


def test_answers_are_read_as_they_were_written() -> None:
    answers, _ = answers_of(30, 1)
    assert (unpacked(packed(answers)) == answers).all()


def test_drawing_seeds_and_pictures_anew_gives_the_interval_of_both() -> None:
    """Values that differ by seed only, by picture only, and not at all, against the normal law."""
    seeds, pictures = 40, 400
    draw = np.random.default_rng(2)
    by_picture = np.repeat(draw.normal(size=(1, pictures)), seeds, axis=0) / 100
    by_seed_only = np.repeat(draw.normal(size=(seeds, 1)), pictures, axis=1) / 100
    for values, count in ((by_picture, pictures), (by_seed_only, seeds)):
        found = drawn_anew(values)
        half = 1.96 * 100 * values.std() / count**0.5
        assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
        assert found.value == pytest.approx(100 * values.mean())
    assert (drawn_anew(np.full((3, 9), 0.5)).low, drawn_anew(np.full((3, 9), 0.5)).high) == pytest.approx((50, 50))


def test_arms_are_compared_picture_by_picture_of_the_same_seed() -> None:
    rows, truth = rows_of({"blur": 0.2, "realistic": 0.1})
    found = difference(rows, "realistic", "blur", truth, "worst_case_correct")
    assert found.value == pytest.approx(10)
    assert found.low > 0
    assert difference(rows, "realistic", "blur", truth, "accuracy").value == 0
    assert by_seed(rows, "blur", truth, "consistency")[0].mean() == pytest.approx(1 - 0.2 / 24)


def test_the_verdict_says_as_plainly_where_another_arm_wins() -> None:
    won, truth = rows_of({"plain": 0.3, "blur": 0.2, "realistic": 0.1})
    assert "(blur), interval above 0: holds" in verdict(won, ["plain", "blur"], truth)
    lost, truth = rows_of({"plain": 0.3, "blur": 0.1, "realistic": 0.2})
    assert "(blur), interval above 0: does not hold" in verdict(lost, ["plain", "blur"], truth)
    assert "realistic less" in table(lost, truth)
    assert "does not hold" in table(lost, truth)


def test_a_gain_whose_interval_touches_0_does_not_hold() -> None:
    rows, truth = rows_of({"blur": 0.2, "realistic": 0.195}, seeds=1)
    assert difference(rows, "realistic", "blur", truth, "worst_case_correct").value == pytest.approx(0.5)
    assert "(blur), interval above 0: does not hold" in verdict(rows, ["blur"], truth)


@pytest.mark.parametrize(("lost", "word"), [(2, "holds"), (4, "does not hold")])
def test_plain_accuracy_may_fall_by_three_tenths_of_a_point(lost: int, word: str) -> None:
    rows, truth = rows_of({"plain": 0.2, "blur": 0.1, "realistic": 0.1 + lost / 1000}, n=1000, shift=12)
    last = verdict(rows, ["plain", "blur"], truth).splitlines()[-1]
    assert f"against the best of them (blur): {word}," in last


def test_what_is_there_is_not_trained_again_and_all_arms_of_a_seed_come_first() -> None:
    rows = [{"arm": "plain", "seed": 0}, {"arm": "blur", "seed": 1}]
    assert missing(["plain", "blur"], 2, rows) == [("blur", 0), ("plain", 1)]


def test_arms_have_the_same_maps_and_differ_in_what_halves_them() -> None:
    x = torch.randn(2, 3, SEEN, SEEN)
    shapes = {}
    for name, build in arms().items():
        network = build().eval()
        body = network.network if isinstance(network, Windowed) else network
        sizes: list[tuple[int, ...]] = []
        for block in body.blocks:
            block.register_forward_hook(lambda module, inputs, output, sizes=sizes: sizes.append(output.shape[1:]))
        body(x)
        shapes[name] = tuple(sizes)
        assert network(x).shape == (2, 10)
    assert len(set(shapes.values())) == 1
    kinds = {name: {type(each) for each in build().modules()} for name, build in arms().items()}
    assert BlurPool2d in kinds["blur"] & kinds["realistic"]
    assert PolyphasePool2d in kinds["adaptive"] & kinds["learned"]
    assert not {BlurPool2d, PolyphasePool2d} & kinds["plain"]


def test_crops_are_real_windows_of_the_picture_mirrored_or_not() -> None:
    picture = torch.arange(32.0 * 32).view(1, 1, 32, 32).expand(3, 3, 32, 32)
    draws = np.zeros((3, 11), np.float32)
    draws[1, 2:4] = (0.999, 0.5)
    draws[1:, 4] = 0.9
    found = crops(picture, draws)
    assert torch.equal(found[0], picture[0, :, :28, :28].flip(2))
    assert torch.equal(found[1], picture[0, :, 4:, 2:30])
    assert torch.equal(found[2], picture[0, :, :28, :28])


def test_windows_looked_at_once_are_what_the_network_says_of_every_crop() -> None:
    torch.manual_seed(0)
    network, x = arms()["realistic"]().eval(), torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        found = crop_logits(network, network, x)
        for down, right in ((0, 0), (2, 2), (4, 1)):
            own = network(x[:, :, down : down + SEEN, right : right + SEEN]).numpy()
            np.testing.assert_allclose(found[:, down, right], own, atol=1e-4)
    assert (network.side, network.window) == (SEEN, WINDOW)


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    held = {
        f"x_{part}": draw.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8) for part, n in (("train", 80), ("test", 30))
    }
    held |= {f"y_{part}": draw.integers(0, 10, n) for part, n in (("train", 80), ("test", 30))}
    path, results = tmp_path / "pictures.npz", tmp_path / "rows.jsonl"
    np.savez(path, **held)
    monkeypatch.setattr(realistic_shifts, "Size", lambda: TINY)
    words = ["realistic_shifts.py", str(path), "--seeds", "1", "--results", str(results)]
    monkeypatch.setattr("sys.argv", [*words, "--arms", "plain,realistic"])
    assert realistic_shifts.main() == 0
    first = read_rows(results)
    monkeypatch.setattr("sys.argv", words)
    assert realistic_shifts.main() == 0
    rows = read_rows(results)
    assert rows[:2] == first
    assert [row["arm"] for row in rows] == ["plain", "realistic", "blur", "adaptive", "learned"]
    assert all(len(row["answers"]) == TINY.asked for row in rows)
    assert "realistic less" in table(rows, truth_of(path, TINY))
    append_row(results, rows[0])
