"""Bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from whyconv.progress import Listener, has_bars
from whyconv.results import EpochRecord, Note, Progress

EPOCH = EpochRecord(
    epoch=1,
    num_epochs=2,
    step=5,
    loss=1.5,
    train_accuracy=0.5,
    validation_loss=None,
    validation_accuracy=None,
    learning_rate=0.1,
    seconds=3,
    is_best=False,
)


def terminal(**changes: object) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, **{"_environ": {"TERM": "xterm"}, **changes})


def test_plain_lines_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO())
    with Listener(console, "en", bars=has_bars(console, {})) as listener:
        for done in range(100):
            listener(Progress(stage="check", done=done, total=100))
        listener(EPOCH)
        listener(Note(key="predict_none", values={"paths": "[red]a[/red]"}, level="warning"))
    assert console.file.getvalue() == (
        "epoch 1/2  J 1.500  train 50.0 %  [0:03]\n! no pictures found in [red]a[/red]\n"
    )


def test_a_bar_while_a_stage_lasts() -> None:
    console = terminal()
    with Listener(console, "en", bars=True) as listener:
        listener(Progress(stage="check", done=30, total=100))
        listener(EPOCH)
        listener._bars.refresh()
    drawn = console.file.getvalue()
    assert "30/100" in drawn
    assert "1/2" in drawn.rpartition("train 50.0 %")[2]
    assert "train 50.0 %" in drawn


def test_a_stage_that_is_done_takes_its_bar_away() -> None:
    with Listener(terminal(), "en", bars=True) as listener:
        listener(Progress(stage="check", done=30, total=100))
        assert len(listener._bars.tasks) == 1
        listener(Progress(stage="check", done=100, total=100))
        assert listener._bars.tasks == []


@pytest.mark.parametrize(
    ("console", "environment", "expected"),
    [
        (terminal(), {}, True),
        (terminal(), {"CI": "true"}, False),
        (terminal(), {"CI": ""}, True),
        (terminal(_environ={"TERM": "dumb"}), {}, False),
        (Console(file=io.StringIO()), {}, False),
    ],
)
def test_where_bars_are_drawn(console: Console, environment: dict[str, str], expected: bool) -> None:
    assert has_bars(console, environment) is expected


def test_no_color_is_honored() -> None:
    console = terminal(_environ={"TERM": "xterm", "NO_COLOR": "1"})
    with Listener(console, "en", bars=False) as listener:
        listener(Note(key="predict_none", values={"paths": "x"}, level="warning"))
    assert "\x1b[3" not in console.file.getvalue()
    colored = terminal(color_system="standard")
    with Listener(colored, "en", bars=False) as listener:
        listener(Note(key="predict_none", values={"paths": "x"}, level="warning"))
    assert "\x1b[33m" in colored.file.getvalue()
