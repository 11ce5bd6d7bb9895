from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from racing.cells import Cell, Row, record
from racing.intervals import Mean
from racing.table import listing, put_into, tables
from racing.targets import Target, judged
from scipy import stats

MACHINE = {"processor": "P", "cores": 2, "memory_gigabytes": 24, "system": "S"}
N = 736


def row(tool: str, seed: int, wrong: int, *, data: str = "flowers", minutes: float = 3, **more: object) -> Row:
    measured = {
        "right": N - wrong,
        "n": N,
        "seconds": 178.0 + seed,
        "training_seconds": 150.0,
        "load_before": 0.1,
        "machine": MACHINE,
        "versions": {"python": "3"},
        "anchor_ratio": 1.0 + seed / 100,
        "date": "2026-11-25T10:00:00+00:00",
        **more,
    }
    return record(Cell(tool, data, minutes, seed), **measured)


WRONG = {
    "whyconv": [60, 66, 57],
    "fastai.fair": [150, 160, 140],
    "fastai.documented": [200, 210, 190],
    "keras.fair": [300],
}
ROWS = [row(tool, seed, wrong) for tool, found in WRONG.items() for seed, wrong in enumerate(found)]


def cells_of(text: str, tool: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| `{tool}`"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_says_mean_interval_and_n() -> None:
    tool, accuracy, n, seconds, training, anchor, _ = cells_of(tables(ROWS), "whyconv")
    rates = 100 * (1 - np.array(WRONG["whyconv"]) / N)
    low, high = stats.t.interval(0.95, 2, rates.mean(), stats.sem(rates))
    assert accuracy == f"{rates.mean():.2f} ({low:.2f}-{high:.2f})"
    assert (tool, n, seconds, training, anchor) == ("`whyconv`", "3 seeds", "178-180", "150", "1.00-1.02")


def test_errors_are_compared_with_the_better_peer() -> None:
    text = tables(ROWS)
    assert "error / fastai.fair" in text
    shown = cells_of(text, "whyconv")[-1]
    value, low, high = map(float, re.findall(r"[\d.]+", shown))
    ours, theirs = (np.array(WRONG[tool]) / N for tool in ("whyconv", "fastai.fair"))
    # Ratios of bootstrapped means of normal seeds stand in for the interval; both are rough with three seeds.
    random = np.random.default_rng(0)
    draws = [
        found.mean() + stats.t.rvs(2, size=200_000, random_state=random) * stats.sem(found) for found in (ours, theirs)
    ]
    expected = np.quantile(draws[0] / draws[1], [0.025, 0.975])
    assert value == pytest.approx(ours.mean() / theirs.mean(), abs=0.005)
    assert (low, high) == pytest.approx(tuple(expected), abs=0.03)
    assert cells_of(text, "fastai.fair")[-1] == ""


def test_one_seed_has_an_interval_over_pictures_and_says_so() -> None:
    _, accuracy, n, *_ = cells_of(tables(ROWS), "keras.fair")
    wilson = stats.binomtest(300, N).proportion_ci(method="wilson")
    assert accuracy == f"{100 * (1 - 300 / N):.2f} ({100 * (1 - wilson.high):.2f}-{100 * (1 - wilson.low):.2f})"
    assert n == "1 seed, 736 pictures"


def test_must_and_goal_are_judged() -> None:
    text = tables(ROWS)
    assert "must: error at most 0.7 of fastai or keras's: **met**" in text
    assert "goal: error at most 0.5 of fastai or keras's: **met**" in text
    worse = [each for each in ROWS if each["tool"] != "whyconv"] + [row("whyconv", seed, 120) for seed in range(2)]
    assert "must: error at most 0.7 of fastai or keras's: **not met (2 of 3 seeds)**" in tables(worse)


def test_a_command_over_its_budget_is_marked() -> None:
    assert "over" not in cells_of(tables(ROWS), "whyconv")[3]
    late = [row("whyconv", 0, 60, seconds=189.5)]
    assert cells_of(tables(late), "whyconv")[3] == "190 over"
    assert "**, but over the budget" in tables([*late, *(each for each in ROWS if each["tool"] != "whyconv")])


def test_states_and_budgets_do_not_mix() -> None:
    rows = [row("whyconv", 0, 60), row("whyconv", 0, 90, minutes=10), {**row("whyconv", 0, 30), "label": "new"}]
    text = tables(rows)
    assert "**flowers, 3 minutes**" in text
    assert "**flowers, 10 minutes**" in text
    assert "| `whyconv` [new] |" in text
    assert tables([]) == "Nothing was measured yet."


def error(value: float, half: float = 0.001, n: int = 5) -> Mean:
    return Mean(value, max(0.0, value - half), value + half, n, "seeds")


RATIO = Target("flowers", error_ratio=0.7, has_to_be_apart=True)


@pytest.mark.parametrize(
    ("target", "own", "peers", "verdict"),
    [
        (Target("cifar10", 6, accuracy=0.94, num_seeds=5), error(0.0599), {}, "met"),
        (Target("cifar10", 6, accuracy=0.94, num_seeds=5), error(0.0601), {}, "not met"),
        (Target("cifar10", 6, accuracy=0.94, num_seeds=5), error(0.05, n=3), {}, "met (3 of 5 seeds)"),
        (RATIO, error(0.069), {"fastai.fair": error(0.2), "keras.fair": error(0.1)}, "met"),
        (RATIO, error(0.071), {"fastai.fair": error(0.2), "keras.fair": error(0.1)}, "not met"),
        (RATIO, error(0.05, 0.04), {"fastai.fair": error(0.2), "keras.fair": error(0.1, 0.02)}, "not met"),
        (RATIO, error(0.05), {"fastai.fair": error(0.2)}, "no keras"),
        (RATIO, error(0.015), {"fastai.fair": error(0.2), "keras.fair": error(0.019)}, "met"),
        (RATIO, error(0.0195), {"fastai.fair": error(0.2), "keras.fair": error(0.019)}, "not met"),
    ],
)
def test_a_target_is_met_or_not(target: Target, own: Mean, peers: dict[str, Mean], verdict: str) -> None:
    assert judged(target, own, peers) == verdict


def test_tables_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- race: begin -->\nold\n<!-- race: end -->\nafter\n")
    put_into(page, "new")
    put_into(page, "newer")
    assert page.read_text() == "before\n<!-- race: begin -->\nnewer\n<!-- race: end -->\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="race: begin"):
        put_into(page, "new")
    assert page.read_text() == "no marks"


def test_the_listing_sums_what_cells_took_before_or_their_budgets() -> None:
    cells = [Cell("whyconv", "flowers", 3, 7), Cell("keras.fair", "flowers", 10, 0)]
    lines = listing(cells, ROWS).splitlines()
    minutes = [float(line.split()[0]) for line in lines]
    assert minutes[0] == pytest.approx((178 + 179 + 180) / 3 / 60 + 0.2, abs=0.05)
    assert minutes[1] == pytest.approx(10.7, abs=0.05)
    assert minutes[2] == pytest.approx(sum(minutes[:2]), abs=0.11)
