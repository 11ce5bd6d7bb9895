"""Epochs, scores and answers as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from whyconv.results import SURE, ClassScore, EpochRecord, Evaluation, Prediction, RunSummary, Suspects, Unreadable
from whyconv.show.certificate import certificate_lines
from whyconv.show.text import facts, interval, printable, sentence, table, wrap
from whyconv.texts import as_typed, clock, say

_MANY_CLASSES = 16
_FEW = 5


def evaluation_lines(evaluation: Evaluation, language: str) -> list[str]:
    """Returns one part's score: accuracies with intervals, what guessing would give, classes, mistakes."""
    part = say(f"part_{evaluation.part}", language)
    head = say("evaluation_head", language, part=part, n=evaluation.n)
    rows = [
        (say("accuracy", language), interval(evaluation.accuracy)),
        (say("balanced_accuracy", language), interval(evaluation.balanced_accuracy)),
        (
            say("guessing", language),
            say(
                "guessing_value",
                language,
                share=evaluation.largest_class_fraction,
                name=printable(evaluation.largest_class),
            ),
        ),
        *_mistake_rows(evaluation, language),
    ]
    lines = [head, *facts(rows), *_score_lines(evaluation, language)]
    lines.append(f"  {say('interval_note', language)}")
    if evaluation.has_copies:
        lines += wrap(say("interval_groups", language, n=evaluation.n, groups=evaluation.num_groups), "  ")
    return [*lines, *_left_out_lines(evaluation.left_out, language)]


def run_lines(summary: RunSummary, language: str) -> list[str]:
    """Returns the end of a training; the last line says where the results are."""
    lines = [
        say(
            "run_head",
            language,
            network=printable(summary.network),
            n=summary.num_parameters,
            best=summary.best_epoch,
            epochs=summary.num_epochs,
            time=clock(summary.seconds),
        )
    ]
    if summary.skipped_steps:
        steps = ", ".join(f"{each.step:,}" for each in summary.skipped_steps[:_FEW])
        more = ", ..." * (len(summary.skipped_steps) > _FEW)
        values = {"n": len(summary.skipped_steps), "steps": steps + more, "total": summary.num_steps}
        lines += wrap(say("run_skipped", language, **values), "")
    scored = summary.test or summary.validation
    if scored is not None:
        lines += evaluation_lines(scored, language)
    lines += suspect_lines(summary.suspects, language, where=f"{summary.run}/suspects.csv")
    if summary.parity is not None:
        parity = summary.parity
        lines.append(
            say(
                "parity",
                language,
                same=parity.num_same_answer,
                n=parity.n,
                difference=parity.largest_difference,
            )
        )
    if summary.certificate is not None:
        lines += wrap(sentence(summary.certificate.sentence, language), "")
    if summary.windows is not None:
        lines += wrap(sentence(summary.windows.sentence, language), "")
    lines.append(say("run_next", language, run=printable(as_typed(summary.run))))
    return [*lines, say("run_results", language, run=printable(summary.run))]


def scored_lines(summary: RunSummary, language: str) -> list[str]:
    """Returns the end of an evaluation: which file answered which pictures, the score, and where the report is.

    What the certificate of an invariant run says stands there in full.
    """
    run = printable(summary.run)
    lines = wrap(say("evaluated_head", language, run=run, pictures=printable(summary.evaluated or "")), "")
    if summary.test is not None:
        lines += evaluation_lines(summary.test, language)
    lines += suspect_lines(summary.suspects, language)
    if summary.certificate is not None:
        lines += certificate_lines(summary.certificate, language, summary.network)
    return [*lines, say("evaluated_report", language, run=run)]


def suspect_lines(suspects: Suspects | None, language: str, *, where: str = "") -> list[str]:
    """Returns how many labels are worth a look, with the first, and which file has them all; none if none is."""
    if suspects is None or not suspects.num_doubted:
        return []
    first, values = suspects.first[0], suspects.model_dump(include={"n", "num_doubted", "num_sure"})
    words = {"name": printable(first.name), "label": printable(first.label), "likely": printable(first.likely)}
    lines = wrap(say("suspects", language, **values, **words, probability=first.probability_likely), "")
    if suspects.judge_errs:
        lines += wrap(say("suspects_of_a_weak_judge", language, fraction=suspects.num_doubted / suspects.n), "  ")
    return [*lines, "  " + say("suspects_where", language, where=printable(where))] if where else lines


def run_values(summary: RunSummary) -> dict[str, object]:
    """Returns a summary as ``--json`` prints it: each part's accuracies as plain fractions beside their n."""
    values = summary.model_dump(mode="json")
    for part in ("test", "validation"):
        scored = getattr(summary, part)
        if scored is not None:
            values[part] |= {
                "accuracy": scored.accuracy.value,
                "low": scored.accuracy.low,
                "high": scored.accuracy.high,
                "balanced_accuracy": scored.balanced_accuracy.value,
                "balanced_low": scored.balanced_accuracy.low,
                "balanced_high": scored.balanced_accuracy.high,
            }
    return values


def epoch_line(record: EpochRecord, language: str) -> str:
    """Returns one line for one epoch; the columns keep their places through a training."""
    width = len(str(record.num_epochs))
    scores = say("epoch_train", language, loss=record.loss, share=record.train_accuracy)
    if record.validation_accuracy is not None:
        scores += "  " + say("epoch_validation", language, share=record.validation_accuracy)
    place = f"{record.epoch:>{width}}/{record.num_epochs}"
    best = "  " + say("epoch_best", language) if record.is_best else ""
    return f"{say('epoch', language)} {place}  {scores}  [{clock(record.seconds)}]{best}"


def prediction_line(prediction: Prediction, top: int) -> str:
    """Returns ``path   dog 0.93   wolf 0.05`` for one picture, or its path and why there is no answer."""
    name = printable(prediction.name)
    if prediction.error is not None:
        return f"{name}   error: {printable(prediction.error)}"
    words = [name, *(f"{printable(one.label)} {one.probability:.2f}" for one in prediction.labels[:top])]
    if prediction.label_set is not None:
        words.append("{" + ", ".join(printable(label) for label in prediction.label_set) + "}")
    return "   ".join([*words, *(["unsure"] if prediction.is_unsure else [])])


def _left_out_lines(left_out: Sequence[Unreadable], language: str) -> list[str]:
    """Returns how many pictures were not scored, and how many of them for which reason."""
    if not left_out:
        return []
    reasons = Counter(sentence(one.note, language) if one.note else printable(one.reason) for one in left_out)
    lines = [say("not_scored", language, n=len(left_out))]
    for reason, count in reasons.most_common(_FEW):
        lines += wrap(f"{count:,}  {reason}", "    ")
    hidden = len(left_out) - sum(count for _, count in reasons.most_common(_FEW))
    return [*lines, "    " + say("and_more", language, n=hidden)] if hidden else lines


def _mistake_rows(evaluation: Evaluation, language: str) -> Iterable[tuple[str, str]]:
    if evaluation.most_confused:
        pairs = [f"{printable(one.truth)} -> {printable(one.answer)}: {one.count}" for one in evaluation.most_confused]
        yield say("most_confused", language), ", ".join(pairs[:3])
    if evaluation.surest_wrong:
        first, wrong = evaluation.surest_wrong[0], evaluation.num_wrong
        count = say("sure_and_wrong_value", language, n=evaluation.num_sure_and_wrong, wrong=wrong, least=SURE)
        yield say("sure_and_wrong", language), count
        yield (
            say("surest_wrong", language),
            f"{printable(first.name)}: {printable(first.answer)} {first.probability:.2f}",
        )
    if evaluation.calibration is not None:
        fitted = evaluation.calibration
        errors = f"{interval(fitted.error_before)} -> {interval(fitted.error_after)}"
        told = say("calibration_value", language, errors=errors, temperature=fitted.temperature)
        yield say("calibration", language), told
    yield from _promise_rows(evaluation, language)


def _promise_rows(evaluation: Evaluation, language: str) -> Iterable[tuple[str, str]]:
    """Yields what became of promises: probabilities that hold, sets that hold the truth, pictures called unsure."""
    if evaluation.debiased is not None:
        # "the same" is the row before, where there is one.
        name = "debiased" if evaluation.calibration is not None else "debiased_alone"
        yield say(name, language), say("debiased_value", language, **evaluation.debiased.model_dump())
    sets, acceptance = evaluation.sets, evaluation.acceptance
    if sets is not None:
        told = say("set_coverage_value", language, coverage=interval(sets.coverage), size=sets.mean_size)
        yield say("set_coverage", language, level=sets.level), told
    if acceptance is not None:
        right = acceptance.accuracy_accepted
        values = {"accepted": interval(acceptance.accepted), "low": acceptance.low, "high": acceptance.high}
        yield say("accepted", language), say("accepted_value", language, **values)
        yield say("accuracy_accepted", language), interval(right) if right is not None else "-"
    elif evaluation.part != "validation":
        yield say("accepted", language), say("not_available", language)


def _score_lines(evaluation: Evaluation, language: str) -> list[str]:
    """Returns recall and precision of each class; of many, those found least often."""
    scores = evaluation.classes
    shown = sorted(scores, key=_recall)[: 2 * _FEW] if len(scores) > _MANY_CLASSES else scores
    rows = [
        (
            printable(score.name),
            f"{score.n:>8,}",
            interval(score.recall) if score.recall else "-",
            interval(score.precision) if score.precision else "-",
        )
        for score in shown
    ]
    head = tuple(say(f"scores_{column}", language) for column in ("class", "pictures", "recall", "precision"))
    lines = table([head, *rows])
    hidden = (evaluation.num_classes or len(scores)) - len(shown)
    return [*lines, f"  {say('scores_hidden', language, n=hidden)}"] if hidden else lines


def _recall(score: ClassScore) -> float:
    return score.recall.value if score.recall else 2.0
