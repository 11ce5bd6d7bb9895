"""The verb that counts networks: inspect. It needs no torch for ONNX files."""

from __future__ import annotations

from typing import Annotated

import typer

from whyconv import texts
from whyconv.cli.options import Json, Lang
from whyconv.cli.terminal import print_json, print_text
from whyconv.errors import UsageError
from whyconv.machine import set_thread_habits


def inspect(  # noqa: PLR0913, PLR0917
    network: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE.onnx|NAME|module:callable",
            help="A run folder, an ONNX file, a published network such as resnet50, or your own code.",
        ),
    ],
    picture: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="One picture, such as 3x224x224; runs know theirs.")
    ] = None,
    layers: Annotated[str, typer.Option(metavar="some|weighted|all", help="Which layers are listed.")] = "some",
    fields: Annotated[bool, typer.Option("--fields", help="List what each layer sees of the picture.")] = False,
    verified: Annotated[
        bool, typer.Option("--verify", help="Prove the identities on each layer; needs torch and the weights.")
    ] = False,
    pictures: Annotated[
        str | None, typer.Option(metavar="PATH", help="Pictures, to measure the effective field of --layer on.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="For --pictures; by default the deepest that fits.")
    ] = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Count any network: what is connected, what is shared.

    Parameters, connections, multiply-adds, and what the same layers would hold without sharing and without
    locality. Nothing is trained and no weights are needed. Code runs only as package.module:callable.
    """
    from whyconv.anatomy import inspect_network, measure_effective_field, parse_shape, verify_named
    from whyconv.show.fields import effective_lines, field_lines, field_summary
    from whyconv.show.network import network_lines, require_layers

    set_thread_habits()  # before torch comes in
    language = texts.language(lang)
    shown = require_layers(layers)
    shape = parse_shape(picture) if picture is not None else None
    report = inspect_network(network, shape)
    if verified:
        report = report.model_copy(update={"verifications": verify_named(network, shape)})
    if layer is not None and pictures is None:
        raise UsageError(f"--layer {layer} is for measuring its effective field: add --pictures PATH.")
    if pictures is not None:
        effective, notes = measure_effective_field(network, pictures, shape, layer)
        report = report.model_copy(update={"effective": effective, "notes": [*report.notes, *notes]})
    if as_json:
        print_json(report.model_dump_json())
    print_text(network_lines(report, language, shown))
    if report.fields is not None:
        print_text(["", *(field_lines if fields else field_summary)(report.fields, language)])
    if report.effective is not None:
        print_text(["", *effective_lines(report.effective, language)])
    if report.verifications is not None:
        from whyconv.measures.verify import require_proved
        from whyconv.show.verify import verification_lines

        print_text(["", *verification_lines(report.verifications, language)])
        require_proved(report.verifications)
