"""``MODEL_CARD.md``: the nine sections of a model card, filled from the records of the run.

References:
    Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019, arXiv:1810.03993, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from whyconv.files import write_text
from whyconv.report.content import ReportContent
from whyconv.report.names import shown
from whyconv.report.page import plain, plan_rows, speaker
from whyconv.results import ClassScore, Estimate, Evaluation

_ACTIVE = re.compile(r"([\\`*_\[\]{}<>|#~!&$^])")
_MOST_CLASSES = 200

Say = Callable[..., str]


def write_card(path: Path, content: ReportContent, language: str = "en") -> None:
    """Writes the model card of a run, whole or not at all.

    What the records do not hold, and ``content.statements`` does not state, stands as "not stated".

    Args:
        path: Where to; an older card there is replaced.
        content: What to say.
        language: "en" or "ko".
    """
    write_text(path, card(content, language))


def card(content: ReportContent, language: str = "en") -> str:
    """Returns the model card as Markdown; the same content gives the same text."""
    say = speaker(language)
    sections = {
        "details": _details(content, say),
        "use": [_stated(key, content, say) for key in ("intended_use", "intended_users", "out_of_scope")],
        "factors": _factors(content, say),
        "metrics": _metrics(content.evaluation, say),
        "evaluation": _evaluation_data(content, say),
        "training": _training_data(content, say),
        "analyses": _analyses(content.evaluation, say),
        "ethics": [_stated("ethics", content, say)],
        "caveats": _caveats(content, say),
    }
    lines = [f"# {escaped(say('card_title', run=content.run))}", "", say("card_about")]
    for number, (key, rows) in enumerate(sections.items(), start=1):
        lines += ["", f"## {number}. {say(f'card_section_{key}')}", "", *rows]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Returns text in which Markdown and HTML see nothing but letters."""
    return _ACTIVE.sub(r"\\\1", text).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def _row(label: str, value: str) -> str:
    return f"- **{label}**: {escaped(value)}"


def _stated(key: str, content: ReportContent, say: Say) -> str:
    statement = " ".join(content.statements.get(key, "").split())
    return _row(say(f"card_{key}"), shown(statement, limit=2000) if statement else say("card_not_stated"))


def _details(content: ReportContent, say: Say) -> list[str]:
    summary, score = content.summary, content.evaluation
    values = {"network": summary.network, "parameters": summary.num_parameters}
    kind = say("card_kind_no_classes", **values)
    if score is not None:
        # Of very many classes not all have a score of their own.
        classes = max(len(score.classes), len(content.check.classes) if content.check is not None else 0)
        kind = say("card_kind_value", classes=classes, **values)
    trained = say("card_trained_value", num=summary.num_epochs, best=summary.best_epoch, seconds=summary.seconds)
    plan = [f"  - {escaped(label)}: {escaped(value)}" for label, value, _ in plan_rows(content, say)]
    environment = plain(content.environment, say) if content.environment else say("card_not_stated")
    return [
        _stated("developer", content, say),
        _row(say("card_kind"), kind),
        _row(say("card_trained"), trained),
        _row(say("card_energy"), say("card_not_stated")),
        *plan,
        _row(say("card_environment"), environment),
        _stated("license", content, say),
        _stated("contact", content, say),
    ]


def _factors(content: ReportContent, say: Say) -> list[str]:
    reported = say("card_factors_reported_value")
    return [_stated("factors", content, say), _row(say("card_factors_reported"), reported)]


def _metrics(score: Evaluation | None, say: Say) -> list[str]:
    calibration = score.calibration if score else None
    value = say("card_not_stated")
    if score is not None and calibration is not None:
        value = say(
            "card_calibration_value",
            temperature=calibration.temperature,
            n_fit=calibration.n_fit,
            before=_estimate(calibration.error_before, say),
            after=_estimate(calibration.error_after, say),
            part=_part(score, say),
        )
    return [
        f"- {say('card_metrics_accuracy')}",
        *_groups(score, say),
        f"- {say('card_metrics_threshold')}",
        _row(say("card_calibration"), value),
        _row(say("card_debiased"), _debiased(score, say)),
    ]


def _groups(score: Evaluation | None, say: Say) -> list[str]:
    """That pictures are not all independent, where they are not."""
    if score is None or not score.has_copies:
        return []
    return [f"- {say('interval_groups', n=score.n, groups=score.num_groups)}"]


def _debiased(score: Evaluation | None, say: Say) -> str:
    if score is None or score.debiased is None:
        return say("card_not_stated")
    return say("card_debiased_value", part=_part(score, say), **score.debiased.model_dump())


def _promises(score: Evaluation, say: Say) -> list[str]:
    """Answer sets, and answers that are called unsure; "not available" where the file can do neither."""
    sets, acceptance, missing = score.sets, score.acceptance, say("not_available")
    held = accepted = missing
    if sets is not None:
        values = {"level": sets.level, "size": sets.mean_size, "n_fit": sets.n_fit}
        held = say("card_sets_value", coverage=_estimate(sets.coverage, say), **values)
    if acceptance is not None:
        among = [
            _estimate(each, say) if each is not None else "-"
            for each in (acceptance.accuracy_accepted, acceptance.accuracy_unsure)
        ]
        accepted = say(
            "card_unsure_value",
            accepted=_estimate(acceptance.accepted, say),
            right=among[0],
            others=among[1],
            low=acceptance.low,
            high=acceptance.high,
            n_fit=acceptance.n_fit,
        )
    return [_row(say("card_sets"), held), _row(say("card_unsure"), accepted)]


def _evaluation_data(content: ReportContent, say: Say) -> list[str]:
    score, check, missing = content.evaluation, content.check, say("card_not_stated")
    part = say("card_evaluated_value", n=score.n, part=_part(score, say)) if score else missing
    leaks = say("card_leaks_value", n=len(check.leaks)) if check else missing
    prepared = missing
    if {"side", "channels"} <= content.plan.keys():
        prepared = say("card_preparation_value", side=content.plan["side"], channels=content.plan["channels"])
    return [
        _row(say("card_evaluated"), part),
        _source(content, say),
        _row(say("card_preparation"), prepared),
        _row(say("card_leaks"), leaks),
    ]


def _source(content: ReportContent, say: Say) -> str:
    check = content.check
    found = say("card_source_value", where=check.where, layout=check.layout) if check else say("card_not_stated")
    return _row(say("card_source"), found)


def _training_data(content: ReportContent, say: Say) -> list[str]:
    check, missing = content.check, say("card_not_stated")
    rows = [_source(content, say)]
    rows.append(_row(say("card_training_pictures"), plain(content.plan.get("num_train", missing), say)))
    if check is not None:
        counts = {
            "n": check.num_pictures,
            "unreadable": len(check.unreadable),
            "duplicates": len(check.duplicates),
            "conflicts": len(check.conflicts),
        }
        classes = {item.name: item.num_pictures for item in check.classes[:_MOST_CLASSES]}
        more = len(check.classes) - len(classes)
        listed = plain(classes, say) + (f", {say('report_more', n=more)}" if more else "")
        rows += [_row(say("card_data"), say("card_data_value", **counts)), _row(say("card_class_counts"), listed)]
    rows.append(_row(say("card_digest"), content.data_digest or missing))
    return [*rows, _stated("collection", content, say)]


def _analyses(score: Evaluation | None, say: Say) -> list[str]:
    if score is None:
        return [say("report_headline_none")]
    guess = say("card_guess_value", share=score.largest_class_fraction, largest=score.largest_class)
    pairs = [f"{shown(pair.truth)} → {shown(pair.answer)} {pair.count}" for pair in score.most_confused]
    head = [say(f"report_col_{name}") for name in ("class", "pictures", "recall", "precision")]
    return [
        _row(say("card_accuracy"), _estimate(score.accuracy, say)),
        _row(say("card_balanced_accuracy"), _estimate(score.balanced_accuracy, say)),
        _row(say("card_guess"), guess),
        _row(say("card_confused"), ", ".join(pairs) or "-"),
        *_promises(score, say),
        "",
        f"| {' | '.join(head)} |",
        "| :-- | --: | :-- | :-- |",
        *(_class_row(row, say) for row in score.classes),
    ]


def _class_row(row: ClassScore, say: Say) -> str:
    recall = _estimate(row.recall, say) if row.recall else say("report_classes_absent")
    precision = _estimate(row.precision, say) if row.precision else say("report_classes_never")
    return f"| {escaped(shown(row.name))} | {row.n:,} | {recall} | {precision} |"


def _estimate(estimate: Estimate, say: Say) -> str:
    over = say(f"report_over_{estimate.over}", n=estimate.n)
    return say("card_estimate", over=over, **estimate.model_dump(include={"value", "low", "high"}))


def _caveats(content: ReportContent, say: Say) -> list[str]:
    score, check = content.evaluation, content.check
    tells = score is not None and score.acceptance is not None
    known = [say("card_tells_unsure" if tells else "card_always_answers")]
    known += [say("card_same_kind")] if score is not None else []
    if content.summary.certificate is not None:
        certified = content.summary.certificate.sentence
        known.append(say(certified.key, **certified.values))
    if content.summary.windows is not None:
        told = content.summary.windows.sentence
        known.append(say(told.key, **told.values))
    if score is None:
        known.append(say("report_headline_none"))
    elif content.summary.test is None:
        known.append(say("card_no_test"))
    if score is not None and score.accuracy.low <= score.largest_class_fraction:
        known.append(say("report_no_better"))
    if check is not None:
        known += [say("card_leak_caveat")] if check.leaks else []
        known += [say(note.key, **note.values) for note in check.notes if note.level == "warning"]
    return [*(f"- {escaped(item)}" for item in known), _stated("caveats", content, say)]


def _part(score: Evaluation, say: Say) -> str:
    return say(f"part_{score.part}") if score.part in ("train", "validation", "test") else say("part_")
