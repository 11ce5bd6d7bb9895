"""The verb that says what an answer rests on: explain. It needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyconv import texts
from whyconv.cli.options import Json, Lang
from whyconv.cli.terminal import print_json, print_text
from whyconv.errors import UsageError, needing_extra

if TYPE_CHECKING:
    from whyconv.results.evidence import Evidence, MapKind

_ENDINGS = (".html", ".png")


def explain(  # noqa: PLR0913, PLR0917
    model: Annotated[Path, typer.Argument(metavar="RUN|FILE.onnx", help="A run folder or an exported file.")],
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="One picture.")],
    label: Annotated[str | None, typer.Option(metavar="NAME", help="Ask about this class, not the answer.")] = None,
    occlusion: Annotated[
        bool, typer.Option("--occlusion", help="Hide patches, also where the last map could be read.")
    ] = False,
    near: Annotated[int, typer.Option(min=0, help="How many of the nearest training pictures.")] = 6,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html|png", help="Write a page or a picture as well; needs 'train'.")
    ] = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Show what one answer rests on.

    A map over the picture: exact parts of the answer where the network ends in pooling and a linear layer, elsewhere
    what the probability loses where the picture is hidden. What the map can see of the picture, and the training
    pictures that the network takes for most alike.
    """
    from whyconv.evidence import as_message
    from whyconv.evidence import explain as find_evidence
    from whyconv.show.evidence import evidence_lines
    from whyconv.show.text import printable

    language = texts.language(lang)
    if out is not None:
        _require_free(out, model, picture)
    kind: MapKind | None = "occlusion" if occlusion else None
    evidence = find_evidence(model, picture, label=label, kind=kind, num_nearest=near)
    if as_json:
        print_json(json.dumps(as_message(evidence)))
    print_text(evidence_lines(evidence, language))
    if out is not None:
        _write(out, evidence, language)
        print_text([texts.say("evidence_written", language, path=printable(str(out)))])


def _require_free(out: Path, model: Path, picture: Path) -> None:
    """Refuses what evidence cannot be written to; of what is already there, only evidence is replaced."""
    if out.suffix.lower() not in _ENDINGS:
        raise UsageError(f"Evidence cannot be written to {out.name}. Expected a name ending in .html or .png.")
    with needing_extra("Writing evidence to a file (--out)", "train"):
        from whyconv.model_file import require_not_own
        from whyconv.report.evidence import is_evidence
    if not out.exists():
        return
    if picture.exists() and out.samefile(picture):
        raise UsageError(f"{out} is the picture that is asked about. Name another file with --out.")
    if out.is_file() and not is_evidence(out):
        require_not_own(out, model, "--out")
        raise UsageError(f"{out} is there and is no page or drawing of evidence. Name another file with --out.")


def _write(out: Path, evidence: Evidence, language: str) -> None:
    from whyconv.report.evidence import write_evidence_drawing, write_evidence_page

    if out.suffix.lower() == ".html":
        write_evidence_page(out, evidence, language)
    else:
        write_evidence_drawing(out, evidence)
