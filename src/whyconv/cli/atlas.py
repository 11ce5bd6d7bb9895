"""The verb that measures why convolutions on many sets of pictures: atlas. It needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whyconv import texts
from whyconv.cli.options import GroupBy, Json, LabelFrom, Lang, Layout, Seed, Store
from whyconv.cli.terminal import listening, print_json, print_text
from whyconv.errors import needing_extra


def atlas(  # noqa: PLR0913, PLR0917
    sets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SET]...", help="As for `whyconv train`; NAME=PLACE, PLACE@SIDE. Default: `digits`."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(metavar="8|16|32", help="Side in pixels; 8 for sets below 16 pixels, else 16.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for each set, 3 by default.")] = None,
    seed: Seed = None,
    layout: Layout = None,
    label_from: LabelFrom = None,
    group_by: GroupBy = None,
    store: Store = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the atlas.")] = Path("atlas"),
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Draw where locality helps and where sharing does.

    The control square of `whyconv why` on every set: points of accuracy gained by locality against points gained by
    sharing, each set a dot with its intervals, in atlas.svg and atlas.json. What was stopped goes on when asked again;
    a set that cannot be read is told and skipped.
    """
    language = texts.language(lang)
    with needing_extra("The atlas", "train"):
        from whyconv.machine import set_thread_habits

        set_thread_habits()
        from whyconv.atlas import Reading, measure_atlas
    from whyconv.show.atlas import atlas_lines
    from whyconv.show.text import printable

    with listening(language) as notify:
        found = measure_atlas(
            sets or [],
            out,
            notify,
            side=side,
            minutes=minutes,
            seed=seed or 0,
            reading=Reading(layout or "auto", label_from, group_by),
            store=Path(store) if store else None,
            language=language,
        )
    if as_json:
        print_json(found.model_dump_json())
    figure, record = (printable(str(out / name)) for name in ("atlas.svg", "atlas.json"))
    print_text([*atlas_lines(found, language), texts.say("atlas_written", language, figure=figure, record=record)])
