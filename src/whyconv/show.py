"""Records -> lines of text for a terminal, at most 80 columns where the names in them allow it.

Nothing is printed here: every function returns lines. Names of files and classes come from anywhere, so
every one goes through ``printable``.
"""

from __future__ import annotations

import shlex
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from whyconv.results import (
    SURE,
    CheckReport,
    ClassCount,
    ClassScore,
    EpochRecord,
    Estimate,
    Evaluation,
    Note,
    Prediction,
    RunSummary,
    SizeRange,
    Unreadable,
)
from whyconv.texts import say

WIDTH = 80
PART_NAMES = ("train", "validation", "test")
_MANY_CLASSES = 16
_FEW = 5
_JOINERS = "\u200c\u200d"  # of Persian and of emoji: harmless, and names look broken without them


def printable(text: str) -> str:
    r"""Returns ``text`` with everything that could steer a terminal spelled out, such as ``\x1b``.

    Control characters, separators of lines, marks that turn the direction of writing, and bytes of a file
    name that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(_spell(letter) if _steers(letter) else letter for letter in text)


def check_lines(report: CheckReport, language: str) -> list[str]:
    """Returns what ``whyconv check`` found."""
    head = say("check_head", language, where=printable(report.where), layout=sentence(report.layout, language))
    count = say("check_count", language, n=report.num_pictures, classes=len(report.classes))
    rows = [*_picture_rows(report, language), *_twin_rows(report, language)]
    first = [f"{head}   {count}"] if cell_len(f"{head}   {count}") <= WIDTH else [head, count]
    lines = [*first, *_class_lines(report.classes, language), *_table(rows)]
    lines += [*_example_lines(report, language), *_unreadable_lines(report, language)]
    for note in report.notes:
        if not note.key.startswith("read_as_"):  # that is the first line
            lines += note_lines(note, language)
    return lines


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
    lines = [head, *_table(rows), *_score_lines(evaluation.classes, language)]
    lines.append(f"  {say('interval_note', language)}")
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
    scored = summary.test or summary.validation
    if scored is not None:
        lines += evaluation_lines(scored, language)
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
    lines.append(say("run_next", language, run=printable(shlex.quote(summary.run))))
    return [*lines, say("run_results", language, run=printable(summary.run))]


def scored_lines(summary: RunSummary, language: str) -> list[str]:
    """Returns the end of an evaluation: which file answered which pictures, the score, and where the report is."""
    run = printable(summary.run)
    lines = _wrap(say("evaluated_head", language, run=run, pictures=printable(summary.evaluated or "")), "")
    if summary.test is not None:
        lines += evaluation_lines(summary.test, language)
    return [*lines, say("evaluated_report", language, run=run)]


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
    return "   ".join([name, *(f"{printable(one.label)} {one.probability:.2f}" for one in prediction.labels[:top])])


def note_lines(note: Note, language: str) -> list[str]:
    """Returns a note as wrapped lines, warnings with a ``!`` in front."""
    return _wrap(sentence(note, language), "! " if note.level == "warning" else "  ")


def sentence(note: Note, language: str) -> str:
    """Returns what a note says, on one line."""
    values = {name: _printable_value(value, language) for name, value in note.values.items()}
    if note.values.get("part") in PART_NAMES:
        values["part"] = say(f"part_{note.values['part']}", language)
    return say(note.key, language, **values)


def interval(estimate: Estimate) -> str:
    """Returns ``84.1 % (79.9-88.0)``: a fraction and its 95 % interval in percent."""
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def clock(seconds: float) -> str:
    """Returns ``2:31``, or ``1:02:31`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _class_lines(classes: Sequence[ClassCount], language: str) -> list[str]:
    """Returns a row a class; of many, the largest and the smallest."""
    ordered = sorted(classes, key=lambda one: -one.num_pictures)
    total = sum(one.num_pictures for one in classes)
    rows = [_class_row(one, total, language) for one in ordered]
    if len(rows) > _MANY_CLASSES:
        hidden = say("check_more_classes", language, n=len(rows) - 2 * _FEW)
        return [*_table(rows[:_FEW]), f"  {hidden}", *_table(rows[-_FEW:])]
    return _table(rows)


def _class_row(one: ClassCount, total: int, language: str) -> tuple[str, str]:
    share = f"{one.num_pictures:>9,}   {100 * one.num_pictures / max(total, 1):5.1f} %"
    parts = [f"{say(f'part_{part}', language)} {count:,}" for part, count in one.num_by_part.items() if part]
    return printable(one.name), "   ".join([share, *parts])


def _picture_rows(report: CheckReport, language: str) -> Iterable[tuple[str, str]]:
    if report.widths and report.heights:
        some_gray = report.channels == "color" and report.num_gray
        channels = say(
            "channels_some_gray" if some_gray else f"channels_{report.channels}", language, n=report.num_gray
        )
        yield say("check_sizes", language), f"{_sizes(report.widths, report.heights)}, {channels}"
    formats = ", ".join(
        f"{name} {count:,}" for name, count in sorted(report.formats.items(), key=lambda item: -item[1])
    )
    if formats:
        yield say("check_formats", language), formats
    for key, count in (
        ("turned", report.num_turned),
        ("scaled", report.num_scaled),
        ("alpha", report.num_alpha),
        ("animated", report.num_animated),
    ):
        if count:
            yield say(f"check_{key}", language), say(f"check_{key}_value", language, n=count)


def _twin_rows(report: CheckReport, language: str) -> Iterable[tuple[str, str]]:
    groups = (("duplicates", report.duplicates), ("leaks", report.leaks), ("conflicts", report.conflicts))
    for key, found in groups:
        if found:
            pictures = sum(len(group.names) for group in found)
            yield say(f"check_{key}", language), say(f"check_{key}_value", language, n=len(found), pictures=pictures)
    if report.mirrored:
        yield say("check_mirrored", language), say("check_mirrored_value", language, n=len(report.mirrored))


def _example_lines(report: CheckReport, language: str) -> Iterable[str]:
    """Yields the first group of copies that would mislead a training."""
    for group in (report.leaks + report.conflicts)[:1]:
        first, second = (printable(name) for name in group.names[:2])
        more = " = ..." if len(group.names) > 2 else ""
        yield "  " + say("check_example", language)
        line = f"    {first} = {second}{more}"
        yield from [line] if cell_len(line) <= WIDTH else [f"    {first}", f"    = {second}{more}"]


def _unreadable_lines(report: CheckReport, language: str) -> list[str]:
    if not report.unreadable:
        return []
    lines = [say("check_unreadable", language, n=len(report.unreadable))]
    lines += [f"    {printable(one.name)}   {printable(one.reason)}" for one in report.unreadable[:_FEW]]
    if len(report.unreadable) > _FEW:
        lines.append("    " + say("and_more", language, n=len(report.unreadable) - _FEW))
    return lines


def _left_out_lines(left_out: Sequence[Unreadable], language: str) -> list[str]:
    """Returns how many pictures were not scored, and how many of them for which reason."""
    if not left_out:
        return []
    reasons = Counter(sentence(one.note, language) if one.note else printable(one.reason) for one in left_out)
    lines = [say("not_scored", language, n=len(left_out))]
    for reason, count in reasons.most_common(_FEW):
        lines += _wrap(f"{count:,}  {reason}", "    ")
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


def _score_lines(scores: Sequence[ClassScore], language: str) -> list[str]:
    """Returns recall and precision of each class; of many, those found least often."""
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
    lines = _table([head, *rows])
    hidden = len(scores) - len(shown)
    return [*lines, f"  {say('scores_hidden', language, n=hidden)}"] if hidden else lines


def _recall(score: ClassScore) -> float:
    return score.recall.value if score.recall else 2.0


def _sizes(widths: SizeRange, heights: SizeRange) -> str:
    if widths.min == widths.max and heights.min == heights.max:
        return f"{widths.min} x {heights.min}"
    return f"{widths.min}-{widths.max} x {heights.min}-{heights.max} ({widths.median} x {heights.median})"


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns rows with their columns aligned by width on the screen, where Hangul counts double."""
    rows = list(rows)
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _wrap(text: str, indent: str) -> list[str]:
    """Returns ``text`` in lines of at most 80 columns; long names and commands are never cut."""
    wide = sum(cell_len(letter) - 1 for letter in text)
    width = WIDTH - len(indent) - (WIDTH * wide // max(cell_len(text), 1))
    lines = textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return [(indent if place == 0 else " " * len(indent)) + line for place, line in enumerate(lines)]


def _printable_value(value: object, language: str) -> object:
    if isinstance(value, Note):
        return sentence(value, language)
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple):
        return ", ".join(printable(str(one)) for one in value)
    return value


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in _JOINERS


def _spell(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
