"""``report.html``: one file that needs nothing else, no network and no script."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from whyconv import texts
from whyconv.files import write_text
from whyconv.report.content import ReportContent
from whyconv.report.curves import Say, curves
from whyconv.report.matrix import MOST_LABELLED_CLASSES, confusion_map, count_bar, interval_bar
from whyconv.report.names import MAX_NAME_LENGTH, shown, shown_value
from whyconv.report.pictures import MOST_DETECTORS, data_uri, detector_pictures
from whyconv.report.sharing import MOST_LAYERS, sharing_chart
from whyconv.results import SURE, ClassScore, DuplicateGroup, Estimate, Evaluation, Note
from whyconv.texts import as_typed

MOST_ROWS = 50
# Between these, inside of the section: what `whyconv why` finds out later.
WHY_BEGINS, WHY_ENDS = "<!-- whyconv why: begins -->", "<!-- whyconv why: ends -->"
_PERCENT = "\u00a0%"  # a number and its sign stay on one line
_PLAN_LABELS = "report_plan_"
_FACTS = ("num_gray", "num_turned", "num_scaled", "num_alpha", "num_animated")


def write_report(path: Path, content: ReportContent, language: str = "en") -> None:
    """Writes the report of a run, whole or not at all.

    Args:
        path: Where to; an older report there is replaced.
        content: What to say.
        language: "en" or "ko".
    """
    write_text(path, render(content, language))


def render(content: ReportContent, language: str = "en") -> str:
    """Returns the report as HTML; the same content gives the same text."""
    say = speaker(language)
    template = environment(say).get_template("page.html.j2")
    summary = content.summary
    return template.render(
        content=content,
        summary=summary,
        score=content.evaluation,
        check=content.check,
        language=language,
        headline=headline(content, say),
        time=texts.clock(summary.seconds),
        figures=curves(content.epochs, content.losses, summary.best_epoch, say),
        wrong_pictures=content.most_confused,
        detectors=_detectors(content),
        plan=plan_rows(content, say),
        sharing=_sharing(content, say),
        commands=commands(content),
        begin=WHY_BEGINS,
        end=WHY_ENDS,
    )


def speaker(language: str, limit: int = MAX_NAME_LENGTH) -> Say:
    """Returns ``texts.say`` in one language, with every text value made safe to look at, cut where it is longer."""

    def say(key: str, **values: object) -> str:
        safe = {
            name: say(value.key, **value.values) if isinstance(value, Note) else shown_value(value, limit)
            for name, value in values.items()
        }
        return re.sub(r"(?<=\d) %", _PERCENT, texts.say(key, language, **safe))

    return say


def headline(content: ReportContent, say: Say) -> str:
    """Returns the result in one sentence, with its interval and the guess beside it."""
    score = content.evaluation
    if score is None:
        return say("report_headline_none")
    kind = "test" if content.summary.test is not None else "validation"
    values = score.accuracy.model_dump(include={"value", "low", "high"})
    guess = score.largest_class_fraction
    sentence = say(f"report_headline_{kind}", n=score.n, guess=guess, largest=score.largest_class, **values)
    return sentence if score.accuracy.low > guess else f"{sentence} {say('report_no_better')}"


def plan_rows(content: ReportContent, say: Say) -> list[tuple[str, str, str]]:
    """Returns label, value and rule of every entry of the plan."""
    rows = []
    for key, value in content.plan.items():
        label = say(_PLAN_LABELS + key) if _PLAN_LABELS + key in texts.sentences() else shown(key).replace("_", " ")
        reason = content.reasons.get(key)
        rows.append((label, plain(value, say), say(reason.key, **reason.values) if reason else ""))
    return rows


def plain(value: object, say: Say) -> str:
    """Returns a value of the plan or the environment as text for people."""
    if isinstance(value, bool):
        value = Note(key="report_yes" if value else "report_no")
    if isinstance(value, Note):
        return say(value.key, **value.values)
    if isinstance(value, float | int):
        return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{shown(str(name))} {plain(item, say)}" for name, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(item, say) for item in value)
    return "-" if value is None else shown(str(value), limit=400)


def commands(content: ReportContent) -> dict[str, str]:
    """Returns what to type next: to use the recognizer, in the shell and in Python, and to ask why convolutions."""
    run = shown(content.summary.run, limit=400)
    return {
        "shell": f"whyconv predict {as_typed(run)} pictures/",
        "evaluate": f"whyconv evaluate {as_typed(run)} labelled-pictures/",
        "why": f"whyconv why {as_typed(run)}",
        "python": f'import whyconv\n\nrecognizer = whyconv.open({run!r})\nprint(recognizer.predict("picture.jpg"))',
    }


def environment(say: Say) -> Environment:
    """Returns what templates of the page are read and filled in by."""
    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "name": _name,
        "percent": _percent,
        "estimate": partial(_estimate, say),
        "bar": partial(_bar, say),
        "plain": lambda value: plain(value, say),
        "uri": data_uri,
        "count_bar": count_bar,
        "parts": lambda names: ", ".join(_part_name(name, say) for name in names),
    }
    environment.globals |= {
        "t": say,
        "confusion_map": lambda score: _confusion(score, say),
        "is_compact": lambda score: len(score.classes) > MOST_LABELLED_CLASSES,
        "weakest_first": _weakest_first,
        "part_name": lambda name: _part_name(name, say),
        "exact": Markup('<span class="tag exact">{}</span>').format(say("report_exact")),
        "estimated": Markup('<span class="tag estimated">{}</span>').format(say("report_estimated")),
        "facts": _FACTS,
        "most_rows": MOST_ROWS,
        "sure": SURE,
        "kind_of": _kind_of,
    }
    return environment


def _part(name: str) -> str:
    return files("whyconv.report").joinpath(name).read_text(encoding="utf-8")


def _name(text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(shown(text))


def _part_name(name: str, say: Say) -> str:
    return say(f"part_{name}") if name in ("train", "validation", "test") else say("part_")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}{_PERCENT}"


def _estimate(say: Say, estimate: Estimate) -> Markup:
    """Returns value, interval and n; that n counts pictures is said above the table."""
    n = f"n={estimate.n:,}" if estimate.over == "pictures" else say(f"report_over_{estimate.over}", n=estimate.n)
    return Markup('<span class="estimate"><b>{}</b> <small>{:.1f}–{:.1f}, {}</small></span>').format(
        _percent(estimate.value), 100 * estimate.low, 100 * estimate.high, n
    )


def _bar(say: Say, estimate: Estimate) -> Markup:
    return interval_bar(estimate, say("report_interval", low=_percent(estimate.low), high=_percent(estimate.high)))


def _confusion(score: Evaluation, say: Say) -> Markup:
    return confusion_map(score.confusion, score.class_names, say("report_col_truth"), say("report_col_answer"))


def _weakest_first(scores: Sequence[ClassScore]) -> list[tuple[int, ClassScore]]:
    """Returns classes with their number in the matrix, from 1; those without pictures come last."""
    return sorted(
        enumerate(scores, start=1), key=lambda item: item[1].recall.value if item[1].recall is not None else math.inf
    )


def _kind_of(groups: Sequence[DuplicateGroup], kind: str) -> list[DuplicateGroup]:
    return [group for group in groups if group.kind == kind]


def _sharing(content: ReportContent, say: Say) -> dict[str, Any] | None:
    """The layers with free weights, their chart and the factors of the whole; or why they were not counted."""
    network = content.network
    if content.not_counted:
        return {"reason": content.not_counted}
    if network is None or not network.weighted:
        return None
    layers, totals = network.weighted[:MOST_LAYERS], network.totals
    factors = {"locality": totals.locality_factor, "sharing": totals.sharing_factor}
    return {
        "layers": layers,
        "hidden": len(network.weighted) - len(layers),
        "chart": sharing_chart(layers, say("report_section_sharing"), say("report_axis_count")),
        "totals": totals,
        "factors": factors | {"product": (totals.locality_factor or 1) * (totals.sharing_factor or 1)},
        "not_analyzed": network.not_analyzed,
    }


def _detectors(content: ReportContent) -> dict[str, Any] | None:
    weights = content.detectors
    if weights is None or not len(weights):
        return None
    pictures, greatest = detector_pictures(weights)
    count, height, width, channels = weights.shape
    shown_count = min(count, MOST_DETECTORS)
    values = {"n": count, "shown": shown_count, "width": width, "height": height, "low": -greatest, "high": greatest}
    return {"pictures": pictures, "about": values, "channels": channels}
