"""The verb that hands a recognizer on: export. It needs torch, for the proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whyconv import texts
from whyconv.cli.options import AllowCode, Json, Lang, allow
from whyconv.cli.terminal import listening, print_json, print_text
from whyconv.errors import needing_extra


def export(  # noqa: PLR0913, PLR0917
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    to: Annotated[str, typer.Option(metavar="onnx|torch", help="One ONNX file, or weights and JSON in a folder.")] = (
        "onnx"
    ),
    any_size: Annotated[
        bool, typer.Option("--any-size", help="The file takes pictures of any size; the resize is inside it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where to; NAME.onnx or NAME-torch in the current folder.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures for the proof, where the run's own are gone.")
    ] = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Write a recognizer for other programs, and prove it.

    One ONNX file: 8-bit pixels in, probabilities and features out; classes and the way pictures are prepared are told
    in it. Before it is written, it and the trained network answer all test pictures; where they differ, nothing is
    written and the exit code is 4.
    """
    from whyconv.show.export import export_lines

    language = texts.language(lang)
    with needing_extra("Exporting", "train"):
        from whyconv.machine import set_thread_habits

        set_thread_habits()
        from whyconv.exporting import export_run

        allow(allow_code)
    with listening(language) as notify:
        report = export_run(run, notify, to=to, any_size=any_size, out=out, pictures=pictures)
    if as_json:
        print_json(report.model_dump_json())
    print_text(export_lines(report, language))
