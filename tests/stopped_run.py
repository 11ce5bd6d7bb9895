"""A run that was stopped inside its second epoch, for tests of what comes after."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from whyconv import workflow
from whyconv.errors import StoppedError
from whyconv.training import loop

SMALL = {"network": "lesson", "epochs": 3, "batch": 16, "flips": "off", "threads": 1}


def begin(pictures: Path, place: Path, **settings: object) -> Path:
    """Trains in ``place/runs`` until Ctrl-C comes at step 5; returns the run folder."""
    real, calls = loop._Session._take_step, [0]

    def take_step(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        calls[0] += 1
        if calls[0] == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(loop._Session, "_take_step", take_step)
        with pytest.raises(StoppedError):
            workflow.train(str(pictures), out=str(place / "runs"), store=str(place / "store"), **SMALL | settings)
    (run,) = (place / "runs").iterdir()
    return run
