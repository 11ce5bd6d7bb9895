"""The whole self-test, tiny: orders that are robust at this size, the record, the lines, and how it ends early."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tiny_theory import LEAST, TINY
from whyconv.errors import StoppedError, UsageError
from whyconv.machine import num_cores
from whyconv.results import Theory
from whyconv.show.theory import theory_lines
from whyconv.study.theory import LADDER, num_steps, run_theory, sizes_for


@pytest.fixture(scope="module")
def found() -> Theory:
    return run_theory(TINY, seed=1, version="0")


def test_robust_orders_show_even_at_this_size(found: Theory) -> None:
    signal, energy, bits, borders = found.tasks
    largest = TINY.signal.sizes[-1]
    by_name = {one: signal.score(one, largest).accuracy.value for one in ("convolution", "local", "dense")}
    assert by_name["convolution"] > by_name["local"] + 0.05 > by_name["dense"] + 0.05
    assert energy.score("convolution", 200).accuracy.low > energy.score("dense", 200).accuracy.high + 0.1
    assert min(bits.score(one).accuracy.value for one in ("convolution", "local")) > bits.score("dense").accuracy.value
    assert borders.score("valid", test="similar").accuracy.value > 0.95
    assert borders.score("valid", test="dissimilar").accuracy.value < 0.05
    for border in ("circular", "full"):
        similar, dissimilar = (borders.score(border, test=test).by_seed for test in ("similar", "dissimilar"))
        assert similar == dissimilar
    exact = {one.name: one for one in borders.expectations if one.unit == "logits"}
    assert all(one.verdict == "as_expected" for one in exact.values())


def test_the_record_survives_json(found: Theory) -> None:
    assert Theory.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("language", ["en", "ko"])
def test_lines_fit_a_terminal_and_name_every_verdict(found: Theory, language: str) -> None:
    lines = theory_lines(found, language)
    assert [line for line in lines if cell_len(line) > 80] == []
    assert len(lines) < 110


def test_a_broken_promise_is_counted(found: Theory) -> None:
    task = found.tasks[3]
    worse = task.expectations[0].model_copy(update={"verdict": "contradicts"})
    changed = task.model_copy(update={"expectations": [worse, *task.expectations[1:]]})
    theory = found.model_copy(update={"tasks": [*found.tasks[:3], changed]})
    assert worse in theory.broken()
    assert f"{len(theory.broken())} of 12 expectations" in " ".join(" ".join(theory_lines(theory, "en")).split())


def test_it_ends_at_the_next_step() -> None:
    asked = 0

    def stop_after_some() -> None:
        nonlocal asked
        asked += 1
        if asked == 20:
            raise StoppedError("enough")

    with pytest.raises(StoppedError, match="enough"):
        run_theory(TINY, check_stop=stop_after_some)
    # The others that train at the time may ask once more.
    assert 20 <= asked < 20 + num_cores()


def test_steps_are_counted_to_the_last() -> None:
    told = []
    run_theory(LEAST, notify=told.append)
    assert told[-1].done == told[-1].total == num_steps(LEAST)


def test_minutes_choose_the_largest_size_that_fits() -> None:
    assert [sizes_for(minutes).minutes for minutes in (0.1, 1, 2.9, 3, 60)] == [1, 1, 1, 3, LADDER[-1].minutes]
    with pytest.raises(UsageError, match="more than 0"):
        sizes_for(0)
