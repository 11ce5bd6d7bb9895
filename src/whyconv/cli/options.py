"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Lang = Annotated[str | None, typer.Option("--lang", metavar="en|ko", help="Language; that of the system by default.")]
Layout = Annotated[
    str | None,
    typer.Option(
        metavar="folders|splits|table|arrays|webdataset", help="How the pictures are laid out; recognized by default."
    ),
]
LabelFrom = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Take the label from each file's name: the first group.")
]
GroupBy = Annotated[
    str | None, typer.Option(metavar="REGEX|COLUMN", help="Pictures that agree in this stay together in a split.")
]
Store = Annotated[str | None, typer.Option(metavar="DIR", help="Folder for decoded pictures.")]
Seed = Annotated[int | None, typer.Option(help="Of the split, the weights and the order.")]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Folder for the run; runs by default.")]
