"""The self-test on theory as lines: each task with its sizes, what was found, and a verdict for every expectation."""

from __future__ import annotations

from collections.abc import Callable

from whyconv.results import ARCHITECTURES, BORDERS, Architecture, Estimate, Expectation, Theory, TheoryTask
from whyconv.show.text import table, wrap
from whyconv.texts import say


def theory_lines(theory: Theory, language: str) -> list[str]:
    """Returns the self-test as a person reads it: task by task, and whether all that is promised holds."""
    lines = wrap(say("theory_head", language), "")
    for task in theory.tasks:
        lines += ["", *_task_lines(task, language)]
    return [*lines, "", *_closing_lines(theory, language)]


def _task_lines(task: TheoryTask, language: str) -> list[str]:
    tables: dict[str, Callable[[TheoryTask, str], list[str]]] = {"borders": _border_lines}
    lines = wrap(say(f"theory_task_{task.name}", language, **task.settings), "")
    lines += wrap(say(f"theory_setting_{task.name}", language, **task.settings), "  ")
    lines += tables.get(task.name, _score_lines)(task, language)
    lines += [line for one in task.expectations for line in _expectation_lines(one, task, language)]
    rates = ", ".join(f"{rate:g}" for rate in task.learning_rates)
    at_edge = sum(one.is_rate_at_edge for one in task.scores)
    key = "theory_rates" if len(task.learning_rates) > 1 else "theory_rate"
    return [*lines, *wrap(say(key, language, rates=rates, n=at_edge, total=len(task.scores)), "  ")]


def _score_lines(task: TheoryTask, language: str) -> list[str]:
    """Accuracy of every architecture, a row a training size; for the signal, the samples needed below."""
    rows = [["n", *(_name(one, language) for one in ARCHITECTURES)]]
    for size in dict.fromkeys(one.n_train for one in task.scores):
        found = (task.score(one, size).accuracy for one in ARCHITECTURES)
        label = say("theory_always_new", language) if size is None else f"{size:,}"
        rows.append([label, *(_short(one) for one in found)])
    if task.needed:
        by_name = {one.network: one for one in task.needed}
        most = max(one.n_train or 0 for one in task.scores)
        cells = [(by_name[one].value, by_name[one].low, by_name[one].high) for one in ARCHITECTURES]
        rows.append([say("theory_needed", language), *(_samples(*one, most) for one in cells)])
    return table(rows)


def _border_lines(task: TheoryTask, language: str) -> list[str]:
    published = say("theory_published", language)
    head = ["", say("theory_similar", language), published, say("theory_dissimilar", language), published]
    rows = [head]
    for border in BORDERS:
        cells = []
        for test in ("similar", "dissimilar"):
            score = task.score(border, test=test)
            cells += [_short(score.accuracy), "" if score.published is None else f"{100 * score.published:.1f}"]
        rows.append([say(f"theory_border_{border}", language), *cells])
    return table(rows)


def _expectation_lines(one: Expectation, task: TheoryTask, language: str) -> list[str]:
    verdict = say(f"theory_verdict_{one.verdict}", language)
    promise = "" if one.is_promised else f" ({say('theory_not_promised', language)})"
    bound = f"{100 * one.bound:.0f}" if one.unit != "logits" else f"{one.bound:g}"
    expected = say(f"theory_expect_{one.name}", language, **task.settings | {"bound": bound})
    found = say("theory_found", language, found=_found(one, language), n=one.n)
    return [*wrap(f"{expected}{promise}", "  - "), *wrap(f"{found}: {verdict}", "    ")]


def _found(one: Expectation, language: str) -> str:
    """The number with its interval; a difference of logits is certified and has none."""
    match one.unit:
        case "logits":
            return say("theory_logits", language, value=f"{one.value or 0:.1g}")
        case "times":
            value = f"> {one.at_least or 0:.1f}" if one.value is None else f"{one.value:.1f}"
            high = f"> {one.at_least or one.value or 0:.1f}" if one.high is None else f"{one.high:.1f}"
            return say("theory_times", language, value=value, low=f"{one.low:.1f}", high=high)
        case _:
            values = {"value": _percent(one.value), "low": _percent(one.low), "high": _percent(one.high)}
            return say(f"theory_{one.unit}", language, **values)


def _closing_lines(theory: Theory, language: str) -> list[str]:
    broken = theory.broken()
    promised = sum(one.is_promised for task in theory.tasks for one in task.expectations)
    values = {"seconds": theory.seconds, "seed": theory.seed, "minutes": theory.minutes}
    lines = wrap(say("theory_interval_note", language, **values), "")
    if broken:
        return [*lines, *wrap(say("theory_broken", language, n=len(broken), total=promised), "! ")]
    return [*lines, *wrap(say("theory_kept", language, total=promised), "")]


def _name(architecture: Architecture, language: str) -> str:
    return say(f"square_corner_{architecture}", language)


def _short(estimate: Estimate) -> str:
    """``84.1 (80-88)``: in percent, the unit left to the heading."""
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.0f}-{100 * estimate.high:.0f})"


def _samples(value: float | None, low: float | None, high: float | None, most: int) -> str:
    """``70 (60-76)``; ``> 4,096`` where the target was never reached."""
    value_text, low_text, high_text = (f"> {most:,}" if one is None else f"{one:,.0f}" for one in (value, low, high))
    return value_text if low is None else f"{value_text} ({low_text}-{high_text})"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"
