"""Why convolutions, on the pictures of a run: the control square measured, written and read again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from whyconv import __version__, files
from whyconv.errors import DataError, StoppedError, UsageError
from whyconv.planning import Material
from whyconv.results import Note, Notify, Square, SquareProtocol
from whyconv.study import (
    LADDER,
    QUICK,
    WHOLE,
    SquarePictures,
    make_protocol,
    make_study,
    measure_square,
    needed_trainings,
    predict_seconds,
    rescale,
)
from whyconv.training.pictures import channel_statistics
from whyconv.training.stopping import stop_requests

RECORD = "why.json"
# What pictures larger than 8 pixels get, where nothing else is asked for.
USUAL_MINUTES = 10.0

Side = Literal[8, 16, 32]
SIDES: tuple[Side, ...] = (8, 16, 32)


def settle_question(side: int | None, minutes: float | None, quick: bool, seed: int, found: int) -> Side:
    """Checks what was asked for, and decides the side where it was left open.

    Args:
        side: As asked for, or None.
        minutes: As asked for, or None.
        quick: Whether the short form was asked for.
        seed: As asked for.
        found: Side of the pictures that the run's network sees.

    Returns:
        The side asked for; else 8 where the run saw fewer than 16 pixels, and 16 where it saw more.

    Raises:
        UsageError: Names every mistake at once.
    """
    mistakes = []
    if side is not None and side not in SIDES:
        mistakes.append(f"side = {side}: expected 8, 16 or 32, a power of two that one of the controls needs")
    if minutes is not None and not 0 < minutes <= 100_000:
        mistakes.append(f"minutes = {minutes:g}: expected more than 0")
    if minutes is not None and quick:
        mistakes.append("quick and minutes: expected one of the two")
    if not 0 <= seed < 2**31:
        mistakes.append(f"seed = {seed}: expected 0 to 2147483647")
    if mistakes:
        raise UsageError("\n  ".join([f"whyconv why: {len(mistakes)} mistake(s)", *mistakes]))
    return next((one for one in SIDES if one == side), 8 if found < 16 else 16)


def saved_square(run: Path, protocol: SquareProtocol, digest: str) -> Square | None:
    """The square that lies in the run folder, if it was measured on the same pictures by the same protocol."""
    try:
        saved = Square.model_validate_json((run / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
    same = (digest, protocol, __version__)
    return saved.model_copy(update={"run": str(run)}) if (saved.digest, saved.protocol, saved.version) == same else None


def plan_square(
    side: Side, *, channels: Literal[1, 3], num_train: int, num_classes: int, seed: int, quick: bool
) -> SquareProtocol:
    """The protocol where no minutes decide."""
    rung = QUICK if quick else WHOLE
    return make_protocol(rung, side=side, channels=channels, num_train=num_train, num_classes=num_classes, seed=seed)


def explain(
    run: Path, material: Material, protocol: SquareProtocol, notify: Notify, *, minutes: float | None, digest: str
) -> Square:
    """Measures the control square of a run's pictures and writes it into the run folder.

    Args:
        run: The run folder.
        material: Its pictures, at the protocol's side.
        protocol: As planned; where minutes are given, how much is trained follows from them.
        notify: Told what is done and how far it has come.
        minutes: For the whole of it, or None.
        digest: Of the pictures.

    Raises:
        DataError: There is no validation or no test part.
        StoppedError: Ctrl-C or SIGTERM; nothing was written.
    """
    began = time.perf_counter()
    pictures = _square_pictures(material)
    with stop_requests() as stop_requested:
        predict = predict_seconds(make_study(pictures, protocol))
        if minutes is not None:
            left = 60 * minutes - (time.perf_counter() - began)
            ladder = [rescale(protocol, rung, len(pictures.train), pictures.num_classes) for rung in LADDER]
            fitting = [one for one in ladder if predict(one) <= left]
            protocol = (fitting or ladder[-1:])[0]
            if not fitting:
                notify(Note(key="square_no_time", values={"minutes": minutes}, level="warning"))
        _tell_plan(protocol, predict(protocol), notify)

        def check_stop() -> None:
            if code := stop_requested():
                raise StoppedError("Stopped; nothing was written. Measure again with:  whyconv why " + str(run), code)

        square = measure_square(
            pictures, protocol, notify, check_stop=check_stop, run=str(run), digest=digest, version=__version__
        )
    files.write_text(run / RECORD, square.model_dump_json(indent=2) + "\n")
    return square


def _square_pictures(material: Material) -> SquarePictures:
    missing = [part.name for part in (material.validation, material.test) if not len(part)]
    if missing:
        raise DataError(
            f"The run has no {' and no '.join(missing)} part, and the control square needs both: validation pictures "
            "choose the learning rates, test pictures are what accuracies are over. Train anew with more pictures, or "
            "without --validation-fraction 0 and --test-fraction 0."
        )
    mean, std = channel_statistics(material.train.data.pixels)
    return SquarePictures(
        material.train.data,
        material.validation.data,
        material.test.data,
        num_classes=len(material.division.inspection.pictures.classes),
        mean=mean,
        std=std,
    )


def _tell_plan(protocol: SquareProtocol, seconds: float, notify: Notify) -> None:
    networks = protocol.num_draws * len(protocol.learning_rates)
    values = {"trainings": len(needed_trainings(protocol)), "networks": networks, "steps": protocol.steps}
    notify(Note(key="square_plan", values=values | {"side": protocol.side, "seconds": round(seconds)}))
