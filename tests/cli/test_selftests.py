"""selftest from the command line: streams, languages, and the exit code of a broken promise."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from command_line import Outcome
from tiny_theory import LEAST
from whyconv.results import Theory
from whyconv.study import theory
from whyconv.study.theory import selftest


@pytest.fixture(scope="module")
def found() -> Theory:
    return theory.run_theory(LEAST, seed=2)


def judged(found: Theory, verdict: str) -> Theory:
    """All verdicts the same."""
    tasks = [
        task.model_copy(
            update={"expectations": [one.model_copy(update={"verdict": verdict}) for one in task.expectations]}
        )
        for task in found.tasks
    ]
    return found.model_copy(update={"tasks": tasks})


@pytest.mark.parametrize(("verdict", "code"), [("as_expected", 0), ("not_at_this_size", 4), ("contradicts", 4)])
def test_a_broken_promise_has_an_exit_code(
    verdict: str, code: int, found: Theory, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theory, "run_theory", lambda *_, **__: judged(found, verdict))
    outcome = run("selftest", "theory", "--seconds", 30, "--json", "--lang", "ko")
    assert outcome.code == code
    assert len(json.loads(outcome.data)["tasks"]) == 4
    assert "이론 자체 검사" in outcome.text


def test_wrong_use_is_told(run: Callable[..., Outcome]) -> None:
    both = run("selftest", "--minutes", 1, "--seconds", 60)
    assert (both.code, run("selftest", "practice").code, run("selftest", "--minutes", -1).code) == (2, 2, 2)
    for seconds in (0, -30):
        outcome = run("selftest", "--seconds", seconds)
        assert (outcome.code, f"--seconds {seconds}: expected more than 0" in outcome.text) == (2, True)
        assert "minutes" not in outcome.text
    assert "expected one of them" in both.text


def test_ctrl_c_ends_it(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "LADDER", (LEAST,))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(selftest, "run_jobs", interrupt)
    outcome = run("selftest", "theory")
    assert outcome.code == 130
    assert "Stopped by Ctrl-C" in outcome.text
