"""Events of a long work -> lines as they come, and bars while they last where there is a terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from whyconv.results import EpochRecord, Event, Note, Progress
from whyconv.show.runs import epoch_line
from whyconv.show.text import note_lines
from whyconv.texts import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


def has_bars(console: Console, environment: Mapping[str, str] | None = None) -> bool:
    """Whether bars may be drawn: on a terminal that can move its cursor, and not under CI."""
    environment = os.environ if environment is None else environment
    return console.is_terminal and not console.is_dumb_terminal and environment.get("CI", "") in ("", "0", "false")


class Listener:
    """Shows notes and epochs as lines, and how far a stage has come as a bar.

    Args:
        console: Where to draw; the caller's choice of stream.
        language: "en" or "ko".
        bars: Whether to draw bars; without them, stages are silent and epochs are plain lines.
    """

    def __init__(self, console: Console, language: str, *, bars: bool) -> None:
        self._console = console
        self._language = language
        self._bars: Bars | None = _make_bars(console) if bars else None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case Progress():
                self._draw(event)
            case Note():
                style = "yellow" if event.level == "warning" else None
                for line in note_lines(event, self._language):
                    self._write(line, style)
            case EpochRecord():
                self._write(epoch_line(event, self._language), None)
                self._draw(Progress(stage="train", done=event.epoch, total=event.num_epochs))

    def _write(self, line: str, style: str | None) -> None:
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _draw(self, event: Progress) -> None:
        if self._bars is None:
            return
        if event.stage not in self._tasks:
            described = say(f"stage_{event.stage}", self._language)
            self._tasks[event.stage] = self._bars.add_task(described, total=event.total or None)
        task = self._tasks[event.stage]
        self._bars.update(task, completed=event.done, total=event.total or None)
        if event.total and event.done >= event.total:
            self._bars.remove_task(self._tasks.pop(event.stage))


def _make_bars(console: Console) -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Bars(*columns, console=console, transient=True)
