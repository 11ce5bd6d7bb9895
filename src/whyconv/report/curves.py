"""The curves of a run: J of every step, J and accuracy of every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.charts import Axis, Floats, Series, decimate, legend, line_chart, running_mean
from whyconv.results import EpochRecord

Say = Callable[..., str]

_DRAWN_BINS = 304
_SPIKE_RATIO = 20.0
_PERCENT_STEPS = (0.0, 50.0, 80.0, 90.0)


@dataclass(frozen=True)
class Figure:
    """A chart with what stands around it; ``note`` may be empty."""

    title: str
    legend: Markup
    chart: Markup
    note: str = ""


def curves(
    epochs: Sequence[EpochRecord], losses: Sequence[float] | NDArray[Any], best_epoch: int, say: Say
) -> list[Figure]:
    """Returns the figures that can be drawn: by step, by epoch, and accuracy.

    Args:
        epochs: In order; may be empty.
        losses: J of every step, in nats (steps,); may be empty.
        best_epoch: The epoch whose weights were kept, marked in the charts by epoch.
        say: ``texts.say`` in the reader's language.
    """
    figures = [_by_step(np.asarray(losses, dtype=np.float64), say)] if len(losses) else []
    if epochs:
        is_drawn = any(record.epoch == best_epoch for record in epochs)
        mark = (float(best_epoch), say("report_chart_kept")) if is_drawn else None
        figures += [_loss_by_epoch(epochs, mark, say), _accuracy_by_epoch(epochs, mark, say)]
    return figures


def _by_step(losses: Floats, say: Say) -> Figure:
    steps, finite = np.arange(1, len(losses) + 1, dtype=np.float64), np.isfinite(losses)
    x, y = decimate(steps[finite], losses[finite], _DRAWN_BINS)
    series = [Series(say("report_chart_step_name"), x, y, "faint")]
    window = max(1, len(losses) // 50)
    if window > 1 and finite.all():
        mean_x, mean_y = decimate(running_mean(steps, window), running_mean(losses, window), _DRAWN_BINS)
        series.append(Series(say("report_chart_step_mean", n=window), mean_x, mean_y, "first"))
    title = say("report_chart_step")
    x_axis = Axis(say("report_axis_step"), 0, float(len(losses)))
    chart = line_chart(series, x_axis, _loss_axis(losses[finite], say), title)
    notes = [say("report_chart_drawn", n=len(losses))] if len(x) < finite.sum() else []
    notes += [say("report_chart_dropped", n=int((~finite).sum()))] if not finite.all() else []
    return Figure(title, legend(series), chart, " ".join(notes))


def _loss_by_epoch(epochs: Sequence[EpochRecord], mark: tuple[float, str] | None, say: Say) -> Figure:
    series = _both(epochs, "loss", "validation_loss", say)
    values = np.concatenate([item.y[np.isfinite(item.y)] for item in series])
    title = say("report_chart_loss")
    chart = line_chart(series, _epoch_axis(epochs, say), _loss_axis(values, say), title, mark)
    return Figure(title, legend(series), chart)


def _accuracy_by_epoch(epochs: Sequence[EpochRecord], mark: tuple[float, str] | None, say: Say) -> Figure:
    series = _both(epochs, "train_accuracy", "validation_accuracy", say, factor=100.0)
    least = min((float(item.y[np.isfinite(item.y)].min(initial=100.0)) for item in series), default=0.0)
    bottom = max(start for start in _PERCENT_STEPS if start <= max(least, 0.0))
    title = say("report_chart_accuracy")
    y_axis = Axis(say("report_axis_accuracy"), bottom, 100.0)
    return Figure(title, legend(series), line_chart(series, _epoch_axis(epochs, say), y_axis, title, mark))


def _both(epochs: Sequence[EpochRecord], train: str, validation: str, say: Say, factor: float = 1.0) -> list[Series]:
    x = np.array([record.epoch for record in epochs], dtype=np.float64)
    series = []
    for field, part in ((train, "train"), (validation, "validation")):
        values = [getattr(record, field) for record in epochs]
        y = factor * np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        if np.isfinite(y).any():
            series.append(Series(say(f"part_{part}"), x, y, "first" if part == "train" else "second"))
    return series


def _epoch_axis(epochs: Sequence[EpochRecord], say: Say) -> Axis:
    first, last = epochs[0].epoch, epochs[-1].epoch
    return Axis(say("report_axis_epoch"), float(first if last > first else first - 1), float(last))


def _loss_axis(values: Floats, say: Say) -> Axis:
    """Linear from 0 as in the lecture; logarithmic where one spike would flatten everything else."""
    positive = values[values > 0]
    top = float(values.max(initial=0.0)) or 1.0
    if len(positive) and top > _SPIKE_RATIO * float(np.median(positive)):
        return Axis(say("report_axis_loss_log"), float(positive.min()), top, is_log=True)
    return Axis(say("report_axis_loss"), 0.0, top)
