"""why from the command line, on the run that the demo left."""

from __future__ import annotations

import json
from collections.abc import Callable

from command_line import Demo, Outcome
from whyconv.results.why import Why


def test_the_demo_ends_with_the_short_form(demo_run: Demo) -> None:
    assert "Why convolutions? The control square of runs/demo-digits-1" in demo_run.output
    square = Why.model_validate_json((demo_run.run / "why.json").read_text(encoding="utf-8")).square
    unmoved = [check.difference for check in square.checks if check.is_unmoved]
    assert max(unmoved) < 1e-9 < 1e-3 < min(check.difference for check in square.checks if not check.is_unmoved)
    assert len(square.protocol.sizes) == 2


def test_json_goes_to_stdout_and_words_to_stderr(demo_run: Demo, run: Callable[..., Outcome]) -> None:
    outcome = run("why", demo_run.run, "--quick", "--json", "--lang", "ko")
    assert outcome.code == 0, outcome.text
    assert json.loads(outcome.data)["square"]["protocol"]["readout"] == "mean"
    assert "왜 합성곱인가?" in outcome.text


def test_a_side_that_is_no_power_of_two_is_wrong_use(demo_run: Demo, run: Callable[..., Outcome]) -> None:
    outcome = run("why", demo_run.run, "--side", 24)
    assert outcome.code == 2
    assert "side = 24" in outcome.text
