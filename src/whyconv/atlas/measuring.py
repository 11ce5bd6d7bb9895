"""The control square on many sets of pictures, one after the other, and all of them in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whyconv import __version__, files
from whyconv.atlas.one_set import USUAL_MINUTES, measure_set
from whyconv.atlas.places import RECOGNIZED, NamedPlace, Reading, name_places
from whyconv.demo import write_digits
from whyconv.errors import DataError, ModelFileError, StorageError, UsageError
from whyconv.explaining import SIDES
from whyconv.images.sources.reading import LAYOUTS
from whyconv.report.atlas import atlas_figure
from whyconv.results import Note, Notify
from whyconv.results.atlas import Atlas, SkippedSet

RECORD, FIGURE, PIECES = "atlas.json", "atlas.svg", "sets"
BROUGHT_ALONG = "digits"


def measure_atlas(  # noqa: PLR0913
    sets: Sequence[str],
    folder: Path,
    notify: Notify,
    *,
    side: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    reading: Reading = RECOGNIZED,
    store: Path | None = None,
    language: str = "en",
) -> Atlas:
    """Measures the control square on every set, and writes ``atlas.json`` and ``atlas.svg`` after each of them.

    What lies there from before is replaced once one of the sets is measured, and not by reasons alone.

    Args:
        sets: What ``whyconv train`` accepts, or NAME=PLACE, each also with @SIDE behind it: then that counts instead of
            ``side``. ``digits``, where that is no place here, are those that come with whyconv; the default.
        folder: For the atlas; what lies there from before is gone on with.
        notify: Told of notes and progress.
        side: Of the pictures in pixels, 8, 16 or 32; by default 8 for sets of fewer than 16 pixels, else 16.
        minutes: For the trainings on each set, 3 by default.
        seed: Of the division, the draws, the starting weights and the order.
        reading: How the pictures lie, the same for all sets.
        store: Folder for decoded pictures; None is the default one.
        language: Of the figure.

    Raises:
        UsageError: A word is out of range, or two sets have one name.
        StorageError: The folder cannot be made or takes no files; that is tried before any set is read.
        DataError: None of the sets could be measured.
        StoppedError: Ctrl-C or SIGTERM; what was trained is kept and not trained again.
    """
    minutes = USUAL_MINUTES if minutes is None else minutes
    places = name_places(sets)
    _require_sound([side, *(place.side for place in places)], minutes, seed, reading.layout)
    _require_writable(folder)
    places = [_found(place, folder) for place in places or [NamedPlace(BROUGHT_ALONG, BROUGHT_ALONG)]]
    atlas = Atlas(version=__version__, seed=seed, minutes=minutes, sets=[])
    for number, place in enumerate(places, 1):
        notify(Note(key="atlas_set", values={"name": place.name, "number": number, "total": len(places)}))
        try:
            found = measure_set(
                place, folder / PIECES, place.side or side, minutes, seed, notify, reading=reading, store=store
            )
            atlas = atlas.model_copy(update={"sets": [*atlas.sets, found]})
        except (DataError, UsageError, ModelFileError) as error:
            notify(Note(key="atlas_skipped", values={"name": place.name, "reason": str(error)}, level="warning"))
            skipped = SkippedSet(name=place.name, where=place.where, reason=str(error))
            atlas = atlas.model_copy(update={"skipped": [*atlas.skipped, skipped]})
        if atlas.sets:
            _write(atlas, folder, language)
    if not atlas.sets:
        raise DataError(f"None of the {len(places)} set(s) could be measured; the reasons stand above.")
    return atlas


def _found(place: NamedPlace, folder: Path) -> NamedPlace:
    """The place itself; the digits that come with whyconv are laid into the atlas first, where they are meant."""
    if place.where != BROUGHT_ALONG or Path(place.where).exists():
        return place
    return place._replace(where=str(write_digits(folder / BROUGHT_ALONG)))


def _require_sound(sides: Sequence[int | None], minutes: float, seed: int, layout: str) -> None:
    mistakes = [
        f"side = {side}: expected 8, 16 or 32, a power of two that one of the controls needs"
        for side in sides
        if side is not None and side not in SIDES
    ]
    if not 0 < minutes <= 100_000:
        mistakes.append(f"minutes = {minutes:g}: expected more than 0")
    if not 0 <= seed < 2**31:
        mistakes.append(f"seed = {seed}: expected 0 to 2147483647")
    if layout not in LAYOUTS:
        mistakes.append(f"layout = {layout}: expected one of {', '.join(LAYOUTS)}")
    if mistakes:
        raise UsageError("\n  ".join([f"whyconv atlas: {len(mistakes)} mistake(s)", *mistakes]))


def _require_writable(folder: Path) -> None:
    try:
        for part in (folder, folder / PIECES):
            part.mkdir(parents=True, exist_ok=True)
            files.try_folder(part)
    except OSError as error:
        raise StorageError(
            f"No atlas can be made in {folder}: {error.strerror or error}. Name another with --out."
        ) from None


def _write(atlas: Atlas, folder: Path, language: str) -> None:
    files.write_text(folder / RECORD, atlas.model_dump_json(indent=2) + "\n")
    files.write_text(folder / FIGURE, atlas_figure(atlas, language))
